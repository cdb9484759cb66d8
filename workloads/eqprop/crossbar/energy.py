"""What an analog crossbar would use, modelled: what `counts` counts × published constants.

Never measured, and never to be added to what is. Terms: converters, static (devices and amplifiers while settling),
updates (pulses), digital (operations and memory). low and high take every constant of a term at its low and high end
at once. The constants are `constants.json`.
"""

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from energybench.workloads.eqprop.crossbar.counts import Counts
from energybench.workloads.eqprop.crossbar.counts import digital as digital_counts

_CONSTANTS = Path(__file__).with_name("constants.json")
_ENDS = ("value", "low", "high")
_PAIR = 2
_COST_KEYS = {
    "converters": ("adc", "dac"),
    "static": ("conductance", "read_voltage", "settling", "neuron"),
    "updates": ("pulse", "pulses"),
    "digital": ("float_mac", "mac", "memory"),
}
_OF_A_CHIP = ("converters", "static")
"""What a whole chip's joules a product are of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant:
    """One published number.

    Attributes:
        value: the one that is used, in `unit`.
        low: the least that was found, or is plausible.
        high: the most.
        unit: SI.
        what: what it is of.
        source: where each of the three is from.
        read: how each was come by: primary, secondary, recalled or assumed.
    """

    value: float
    low: float
    high: float
    unit: str
    what: str
    source: str
    read: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """Modelled joules of one part, for one sample."""

    term: str
    joules: float
    low: float
    high: float
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Check(Term):
    """Modelled joules that stand in for those of other terms, and how many times as many they are."""

    factor: float


@functools.cache
def constants() -> Mapping[str, Constant]:
    """The constants, by name."""
    found = json.loads(_CONSTANTS.read_text(encoding="utf-8"))["constants"]
    return {name: Constant(**row) for name, row in found.items()}


def terms(counts: Counts) -> list[Term]:
    """Modelled joules of a sample by part: converters, static, updates, digital; an answer has no updates."""
    ends = [_joules(counts, {name: getattr(row, end) for name, row in constants().items()}) for end in _ENDS]
    return [
        Term(term=name, joules=ends[0][name], low=ends[1][name], high=ends[2][name], source=_source(name))
        for name in _COST_KEYS
        if ends[0][name]
    ]


def total(parts: Sequence[Term]) -> Term:
    """The sum of the parts, its low and high their lows' and highs'."""
    sums = (sum(getattr(part, name) for part in parts) for name in ("joules", "low", "high"))
    joules, low, high = sums
    return Term(term="total", joules=joules, low=low, high=high, source="the sum of its terms")


def by_chip(counts: Counts, of: str) -> Check:
    """What the same analog products would use on a measured chip: a check of converters and static, in no sum.

    The chip's joules hold its converters, and it converts at each product of a matrix and a vector. Units that stay
    analog from sweep to sweep need none of that: the factor tells how much of a saving rests on them.

    Args:
        counts: of a crossbar.
        of: what they are the counts of.
    """
    chip = constants()["chip"]
    joules, low, high = (counts.products * value for value in (chip.value, chip.low, chip.high))
    modelled = sum(part.joules for part in terms(counts) if part.term in _OF_A_CHIP)
    return Check(
        term=f"{of} by a whole chip", joules=joules, low=low, high=high, source=_said("chip"), factor=joules / modelled
    )


def digital(sizes: Sequence[int], *, training: bool, batch: int = 1) -> Term:
    """The same network on a digital machine, by backpropagation; `batch` is the samples that share a coupling's read.

    Weights come from memory, so that one sample at a time costs several times as much as a batch does.
    """
    (found,) = terms(digital_counts(sizes, training=training, batch=batch))
    together = f"batch {batch}" if batch > 1 else "one sample at a time"
    name = f"{'backpropagation in fp32' if training else 'an answer at 8 bits'}, {together}"
    return Term(term=name, joules=found.joules, low=found.low, high=found.high, source=found.source)


def _joules(counts: Counts, cost: Mapping[str, float]) -> dict[str, float]:
    device = _PAIR * cost["conductance"] * cost["read_voltage"] ** 2 * cost["settling"]
    return {
        "converters": counts.dac * cost["dac"] + counts.adc * cost["adc"],
        "static": counts.line_reads * device + counts.unit_reads * cost["neuron"] * cost["settling"],
        "updates": counts.updates * cost["pulses"] * cost["pulse"],
        "digital": counts.macs * cost["mac"] + counts.float_macs * cost["float_mac"] + counts.bytes * cost["memory"],
    }


def _source(term: str) -> str:
    return "; ".join(f"{name}: {_said(name)}" for name in _COST_KEYS[term])


def _said(name: str) -> str:
    row = constants()[name]
    return f"{row.source} ({row.read['value']})"
