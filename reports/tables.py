"""The table and the first glance of one workload on one machine: plain values for the page's template."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from energybench.reports.bits import WIDTHS, level, widths
from energybench.reports.figures import KINDS, ordered
from energybench.reports.frames import Stored, shown
from energybench.reports.numbers import show
from energybench.reports.origins import origin
from energybench.reports.pairs import Pair

HEADINGS = {
    "joules_per_sample": "Energy per sample",
    "net_joules_per_sample": "Energy above idle per sample",
    "estimated_joules_per_sample": "Estimated energy per sample",
    "modelled_joules_per_sample": "Modelled energy per sample",
    "dram_bytes_per_sample": "DRAM traffic per sample",
    "operand_bytes_per_sample": "Operand traffic per sample",
    "operations_per_sample": "Operations per sample",
    "seconds_per_sample": "Time per sample",
    "accuracy": "Accuracy",
    "file_bytes": "Model file",
}
"""The metrics a reader looks for, in this order; others follow under their own names."""
ALWAYS = ("joules_per_sample", "accuracy")
NOT_SHOWN = frozenset({"samples_per_second", "flops_per_sample"})
MOST_ROWS = 200
"""Points that a page has at most; the data has every one."""
MOST_COLUMNS, MOST_MORE = 7, 9
_ACRONYMS = frozenset({"bp", "ep", "bptt", "flops", "dram"})
LAST = ("operand_bytes_per_sample", "operations_per_sample", "file_bytes")
"""Where all would be too wide side by side, these stand in the second table."""


def group_table(stored: Sequence[Stored]) -> dict[str, Any]:
    """`settings` (parameters that vary), `fixed` (the others), `columns`, `rows`, how many `cut`.

    What only this workload says of itself has a table of its own, `more`: side by side, all would be too wide.
    """
    records = [_with_widths(one.record) for one in stored]
    names = sorted({name for record in records for name in record["parameters"]})
    varying = [name for name in names if len({json.dumps(record["parameters"].get(name)) for record in records}) > 1]
    settings = varying or names[:1]
    alike = [(name, shown(records[-1]["parameters"].get(name, ""))) for name in names if name not in settings]
    present = {metric for record in records for metric in record["results"]} | set(ALWAYS)
    metrics = [name for name in HEADINGS if name in present]
    if len(metrics) > MOST_COLUMNS:
        metrics = [name for name in metrics if name not in LAST]
    others = [name for name in LAST if name in present and name not in metrics]
    others += sorted(present - set(HEADINGS) - NOT_SHOWN)
    return {
        "caption": "One row a parameter point",
        "settings": settings,
        "fixed": [(name, text) for name, text in alike if text],
        "columns": [HEADINGS[name] for name in metrics],
        "has_origins": any(any(origin(record)) for record in records),
        "more": [[HEADINGS.get(name, _spoken(name)) for name in part] for part in _parted(others)],
        "rows": [_row(record, settings, metrics, others) for record in records[:MOST_ROWS]],
        "cut": max(0, len(records) - MOST_ROWS),
    }


def _parted(names: Sequence[str]) -> list[Sequence[str]]:
    """In parts that fit side by side."""
    count = -(-len(names) // MOST_MORE)
    each = -(-len(names) // max(count, 1))
    return [names[start : start + each] for start in range(0, len(names), each)] if count else []


def _spoken(name: str) -> str:
    """`peak_memory_bytes` as `Peak memory`: the unit stands at the number."""
    words = name.removesuffix("_bytes").split("_")
    told = " ".join(word.upper() if word in _ACRONYMS else word for word in words)
    return told[:1].upper() + told[1:]


def glance(stored: Sequence[Stored], level: str | None) -> list[dict[str, Any]]:
    """What the lowest level costs against the highest, all else equal: a ratio a kind of joule, and accuracy.

    Empty where there is nothing to compare. That intervals overlap is said, lest a ratio pass for a finding.
    """
    name = (level or "").removeprefix("param.")
    levels = ordered([one.record["parameters"][name] for one in stored if name in one.record["parameters"]])
    if len(levels) < 2 or levels[0] == levels[-1]:
        return []
    base = next(one.record for one in stored if str(one.record["parameters"].get(name)) == levels[-1])
    other = next((one.record for one in stored if _twin(one.record, base, name, levels[0])), None)
    if other is None:
        return []
    pair = Pair(other=other, base=base, setting=name, levels=(levels[0], levels[-1]), at=_at(stored, base, name))
    tiles = [pair.ratio(kind, metric) for kind, (metric, _, _) in KINDS.items()]
    tiles += [pair.accuracy(), pair.ratio(None, "seconds_per_sample")]
    return [tile for tile in tiles if tile is not None]


def _at(stored: Sequence[Stored], record: Mapping[str, Any], name: str) -> str:
    """The other parameters that vary among the points, as this one has them."""
    every = [one.record["parameters"] for one in stored]
    varying = [key for key in record["parameters"] if len({json.dumps(one.get(key)) for one in every}) > 1]
    own = [(key, shown(record["parameters"][key])) for key in varying if key != name]
    return ", ".join(f"{key} {text}" for key, text in own if text)


def _with_widths(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """The record with W1A4 as its `bits` where weights and activations are told apart: the widths that were run."""
    found = widths(record)
    if found is None or len(found) < 2:
        return record
    rest = {name: value for name, value in record["parameters"].items() if name not in WIDTHS}
    return {**record, "parameters": {"bits": level(found), **rest}}


def _row(
    record: Mapping[str, Any], settings: Sequence[str], metrics: Sequence[str], others: Sequence[str]
) -> dict[str, Any]:
    results = record["results"]
    return {
        "settings": [shown(record["parameters"].get(name, "")) for name in settings],
        "cells": [show(results[name], percent=name == "accuracy") if name in results else None for name in metrics],
        "more": [[show(results[name]) if name in results else None for name in part] for part in _parted(others)],
        "missed": "",
        "flags": list(record.get("flags", ())),
        "origin": origin(record),
    }


def _twin(record: Mapping[str, Any], base: Mapping[str, Any], name: str, level: str) -> bool:
    rest = {key: value for key, value in record["parameters"].items() if key != name}
    return str(record["parameters"].get(name)) == level and rest == {
        key: value for key, value in base["parameters"].items() if key != name
    }
