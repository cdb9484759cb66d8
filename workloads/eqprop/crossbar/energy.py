"""What an analog crossbar would use, modelled: counted conversions, reads, updates, operations × published constants.

Never measured, and never to be added to what is. The machine that is counted:

- couplings are pairs of devices; a line at the state s carries s·V, so that a coupling dissipates 2G·V²·s² for as long
  as the network settles, once for each direction that is driven: forward by the layer below, backward by that above;
- equilibrium propagation is analog from end to end: inputs are converted once and held, units stay analog through all
  sweeps, outputs are converted for an answer; training converts the states of both nudged phases, and the targets;
- backpropagation reads layer by layer: each layer is converted at both its ends, forward, and for the error backward;
- what is learned from a sample is a digital product of converted states; momentum is kept in digital memory and moves
  once a step, as do the couplings.

Terms: converters, static (devices and amplifiers while settling), updates (pulses), digital (operations and memory).
low and high take every constant of a term at its low and high end at once. The constants are `constants.json`.
"""

import functools
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_CONSTANTS = Path(__file__).with_name("constants.json")
_ENDS = ("value", "low", "high")
_PAIR = 2
_MOMENTUM_MACS = 2
_MOMENTUM_BYTES = 12  # the gradient's read, the speed's read and write, fp32
_COST_KEYS = {
    "converters": ("adc", "dac"),
    "static": ("conductance", "read_voltage", "settling", "neuron"),
    "updates": ("pulse", "pulses"),
    "digital": ("float_mac", "mac", "memory"),
}


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
class Counts:
    """What one sample asks of the machine.

    Attributes:
        dac: conversions to analog.
        adc: conversions to digital.
        line_reads: Σ over couplings, directions and settling times of the squared state that drives them.
        unit_reads: Σ over units of settling times.
        updates: couplings that are moved, divided among the samples of a step.
        macs: digital multiplications and additions of states.
        float_macs: those of the optimiser, in fp32.
        bytes: to and from digital memory.
        products: analog multiplications and additions, for the check by a whole chip.
    """

    dac: float = 0.0
    adc: float = 0.0
    line_reads: float = 0.0
    unit_reads: float = 0.0
    updates: float = 0.0
    macs: float = 0.0
    float_macs: float = 0.0
    bytes: float = 0.0
    products: float = 0.0


@functools.cache
def constants() -> Mapping[str, Constant]:
    """The constants, by name."""
    found = json.loads(_CONSTANTS.read_text(encoding="utf-8"))["constants"]
    return {name: Constant(**row) for name, row in found.items()}


def terms(counts: Counts) -> list[Term]:
    """Modelled joules of a sample by part: converters, static, updates, digital."""
    ends = [_joules(counts, {name: getattr(row, end) for name, row in constants().items()}) for end in _ENDS]
    return [
        Term(term=name, joules=ends[0][name], low=ends[1][name], high=ends[2][name], source=_source(name))
        for name in _COST_KEYS
    ]


def total(parts: Sequence[Term]) -> Term:
    """The sum of the parts, its low and high their lows' and highs'."""
    sums = (sum(getattr(part, name) for part in parts) for name in ("joules", "low", "high"))
    joules, low, high = sums
    return Term(term="total", joules=joules, low=low, high=high, source="the sum of its terms")


def by_chip(counts: Counts) -> Term:
    """What the same analog products would use on a measured chip, all of its parts: a check of the whole, in no sum."""
    chip = constants()["chip"]
    joules, low, high = (counts.products * value for value in (chip.value, chip.low, chip.high))
    return Term(term="by a whole chip", joules=joules, low=low, high=high, source=_said("chip"))


def digital(sizes: Sequence[int], *, training: bool, batch: int = 1) -> Term:
    """The same network on a digital machine by backpropagation: 8-bit inference, fp32 training, couplings from memory.

    A minibatch reads each coupling once; `batch` is the samples that share a read.
    """
    couplings = _couplings(sizes)
    hidden = couplings - sizes[0] * sizes[1]
    share, width = couplings / batch, 4 if training else 1
    moved = width * (share + sum(sizes)) * (2 if training else 1)
    if training:
        operations = {"float_macs": 2 * couplings + hidden + _MOMENTUM_MACS * share}
        counts = Counts(**operations, bytes=moved + _MOMENTUM_BYTES * share)
    else:
        counts = Counts(macs=couplings, bytes=moved)
    found = next(part for part in terms(counts) if part.term == "digital")
    name = "backpropagation on a digital machine" if training else "a digital machine"
    return Term(term=name, joules=found.joules, low=found.low, high=found.high, source=found.source)


def inference(sizes: Sequence[int], activity: Sequence[float], *, rule: str, sweeps: int) -> Counts:
    """One answer.

    Args:
        sizes: units of each layer, inputs first.
        activity: the mean squared state of each layer, inputs first.
        rule: "ep" relaxes for that many sweeps; "bp" reads each layer once.
        sweeps: of a free phase.
    """
    edge = sizes[0] + sizes[-1]
    if rule == "ep":
        return _relaxed(sizes, activity, sweeps=sweeps, dac=sizes[0], adc=sizes[-1], moved=edge)
    lines = sum(below * above * square for below, above, square in zip(sizes, sizes[1:], activity, strict=False))
    return Counts(
        dac=sum(sizes[:-1]), adc=sum(sizes[1:]), line_reads=lines, unit_reads=sum(sizes[1:]),
        bytes=edge + 2 * sum(sizes[1:-1]), products=_couplings(sizes),
    )  # fmt: skip


def training(
    sizes: Sequence[int], activity: Sequence[float], *, rule: str, free: int, nudged: int, batch: int
) -> Counts:
    """One sample of one step that learns in situ; what a step does once is divided by its batch."""
    couplings, units = _couplings(sizes), sum(sizes[1:])
    inner = couplings - sizes[0] * sizes[1]
    once = {
        "updates": couplings / batch,
        "float_macs": _MOMENTUM_MACS * couplings / batch,
    }
    momentum = _MOMENTUM_BYTES * couplings / batch
    if rule == "ep":
        # x·(s⁺ - s⁻) for the first layer, s⁺s⁺ - s⁻s⁻ for the others; free and both nudged phases settle.
        return _relaxed(
            sizes, activity, sweeps=free + 2 * nudged, dac=sizes[0] + 2 * sizes[-1], adc=2 * units,
            moved=sizes[0] + sizes[-1] + 4 * units + momentum, macs=couplings + inner, **once,
        )  # fmt: skip
    answer = inference(sizes, activity, rule="bp", sweeps=1)
    # Errors are scaled to the full range of a line: their squares are at most 1.
    return Counts(
        dac=answer.dac + sum(sizes[2:]), adc=answer.adc + sum(sizes[1:-1]), line_reads=answer.line_reads + inner,
        unit_reads=answer.unit_reads + sum(sizes[1:-1]), macs=couplings,
        bytes=answer.bytes + sizes[-1] + 2 * units + momentum, products=answer.products + inner, **once,
    )  # fmt: skip


def _relaxed(
    sizes: Sequence[int], activity: Sequence[float], *, sweeps: int, dac: float, adc: float, moved: float,
    macs: float = 0.0, updates: float = 0.0, float_macs: float = 0.0,
) -> Counts:  # fmt: skip
    """Phases that settle: every array is driven from below, and from above where there are units below."""
    lines, products = 0.0, 0
    for layer, (below, above) in enumerate(itertools.pairwise(sizes)):
        lines += below * above * (activity[layer] + (activity[layer + 1] if layer else 0.0))
        products += below * above * (2 if layer else 1)
    return Counts(
        dac=dac, adc=adc, line_reads=sweeps * lines, unit_reads=sweeps * sum(sizes[1:]), bytes=moved, macs=macs,
        updates=updates, float_macs=float_macs, products=sweeps * products,
    )  # fmt: skip


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


def _couplings(sizes: Sequence[int]) -> int:
    return sum(below * above for below, above in itertools.pairwise(sizes))
