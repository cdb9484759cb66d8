"""What nobody measured of a training: the energy of its wire, and how it would go on many hosts like this one."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from energybench.model import Modelled
from energybench.workloads.distributed import codecs, links, scaling

if TYPE_CHECKING:
    from energybench.workloads.distributed._recipe import Recipe
    from energybench.workloads.distributed._task import Whole

BYTE_SECONDS = 0.5e-9
"""Processor time of one byte of TCP, both ends and kernel; `tests/bench/distributed_link.py` measures it."""


def curve(recipe: "Recipe", link: str, whole: "Whole") -> dict[str, Any] | None:
    """Steps on 1 to 10,000 hosts of one node each, over a named link; None where there is no model of the strategy."""
    setting = _setting(recipe, whole)
    if setting is None:
        return None
    # What one node alone computes under cultural evolution was not run: it has nobody to hear.
    counts = [nodes for nodes in scaling.NODES if nodes > 1 or recipe.strategy != "cultural"]
    return scaling.curve(recipe.strategy, links.named(link), setting, counts)


def wire_joules(recipe: "Recipe", link: str, whole: "Whole") -> Mapping[str, Modelled]:
    """Joules a sample of moving its bytes over a named link among as many hosts as there were nodes."""
    setting = _setting(recipe, whole)
    if setting is None:
        return {}
    terms = scaling.point(recipe.strategy, recipe.nodes, links.named(link), setting).get("terms", {})
    if "wire" not in terms:
        return {}
    value, low, high = (terms["wire"][name] / recipe.batch for name in ("joules", "low", "high"))
    return {"wire_joules_per_sample": Modelled(value=value, low=low, high=high)}


def _setting(recipe: "Recipe", whole: "Whole") -> scaling.Setting | None:
    """What was measured here, and what a host like this one is taken to use."""
    spent = whole.spent_per_step()
    plain = recipe.carrier == "gather" and recipe.compression != "powersgd" and len(set(recipe.nets)) == 1
    if spent is None or not plain or recipe.strategy not in scaling.STRATEGIES or recipe.nodes == 1:
        return None
    idle, busy = links.host()
    threads = len(os.sched_getaffinity(0))
    every = recipe.every if recipe.strategy in ("local", "cultural") else 1
    codec = codecs.CODECS[recipe.codec]
    width = whole.classes if codec.source == "logits" else recipe.hidden
    return scaling.Setting(
        compute_seconds=spent.computing,
        message_seconds=max(spent.talking - spent.tcp_bytes * BYTE_SECONDS, 0.0) / (spent.messages or 1.0),
        byte_seconds=BYTE_SECONDS,
        batch=recipe.batch,
        size=whole.weight_bytes,
        element=2 if recipe.compression == "fp16" else 4,
        outputs=codec.bytes(recipe.every * recipe.batch, width),
        every=every,
        cores=threads,
        ranks=1,
        static_watts=scaling.Range(value=idle.value, low=idle.low, high=idle.high) * threads,
        joules_per_cpu_second=scaling.Range(value=busy.value, low=busy.low, high=busy.high),
    )
