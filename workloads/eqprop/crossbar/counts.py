"""What one sample asks of a crossbar, and of a digital machine: conversions, reads, updates, operations, bytes.

The crossbar that is counted:

- couplings are pairs of devices; a line at the state s carries s·V, so that a coupling dissipates 2G·V²·s² for as long
  as the network settles, once for each direction that is driven: forward by the layer below, backward by that above;
- equilibrium propagation is analog from end to end: inputs are converted once and held, units stay analog through all
  sweeps, outputs are converted for an answer; training converts the states of both nudged phases, and the targets;
- backpropagation reads layer by layer: each layer is converted at both its ends, forward, and for the error backward;
  `backward="programmed"` reads nothing backward, but multiplies digitally by a copy of the couplings;
- what is learned from a sample is a digital product of converted states; gradient and momentum are in digital memory
  and move once a step, as do the couplings; so do full-precision sums and copies of them where the machine keeps any;
- a device that is not reciprocal has a second array of the couplings of layers 2, 3, …, and moves those as well.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

_WORD = 4  # bytes of an fp32 number
_MOMENTUM_MACS = 2
_MOMENTUM_BYTES = 4 * _WORD  # the gradient's write and read, the speed's read and write
_COUPLING_BYTES = 2 * _WORD  # its read and write, where digital memory has it


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


def inference(sizes: Sequence[int], activity: Sequence[float], *, rule: str, sweeps: int) -> Counts:
    """One answer of a crossbar.

    Args:
        sizes: units of each layer, inputs first.
        activity: the mean squared state of each layer, inputs first.
        rule: "ep" relaxes for that many sweeps; "bp" reads each layer once.
        sweeps: of a free phase.
    """
    edge = sizes[0] + sizes[-1]
    if rule == "ep":
        lines, products = _sweep(sizes, activity)
        return Counts(
            dac=sizes[0], adc=sizes[-1], line_reads=sweeps * lines, unit_reads=sweeps * sum(sizes[1:]), bytes=edge,
            products=sweeps * products,
        )  # fmt: skip
    lines = sum(below * above * square for below, above, square in zip(sizes, sizes[1:], activity, strict=False))
    return Counts(
        dac=sum(sizes[:-1]), adc=sum(sizes[1:]), line_reads=lines, unit_reads=sum(sizes[1:]),
        bytes=edge + 2 * sum(sizes[1:-1]), products=_couplings(sizes),
    )  # fmt: skip


def training(
    sizes: Sequence[int], activity: Sequence[float], *, rule: str, free: int, nudged: int, batch: int,
    backward: str = "transposed", reciprocal: bool = True, summed: bool = False,
) -> Counts:  # fmt: skip
    """One sample of one step of a crossbar that learns in situ; what a step does once is divided by its batch.

    Args:
        sizes: units of each layer, inputs first.
        activity: the mean squared state of each layer, inputs first.
        rule: "ep" or "bp".
        free: sweeps of EP's free phase.
        nudged: sweeps of each of its nudged phases.
        batch: samples of a step.
        backward: what BP sends the error back through: "transposed" reads or the "programmed" couplings.
        reciprocal: whether both directions see the same device.
        summed: whether full-precision sums are kept beside the couplings.
    """
    couplings, units, inner = _couplings(sizes), sum(sizes[1:]), _inner(sizes)
    digital_error = rule == "bp" and backward == "programmed"
    # Nothing reads a second array where the error is digital.
    second = 0 if reciprocal or digital_error else inner
    kept = couplings if summed else inner if digital_error else 0
    once = {"updates": (couplings + second) / batch, "float_macs": _MOMENTUM_MACS * couplings / batch}
    memory = (_MOMENTUM_BYTES * couplings + _COUPLING_BYTES * kept) / batch
    answer = inference(sizes, activity, rule=rule, sweeps=free + 2 * nudged)
    if rule == "ep":
        # x·(s⁺ - s⁻) for the first layer, s⁺s⁺ - s⁻s⁻ for the others; free and both nudged phases settle.
        return Counts(
            dac=sizes[0] + 2 * sizes[-1], adc=2 * units, line_reads=answer.line_reads, unit_reads=answer.unit_reads,
            macs=couplings + inner, bytes=answer.bytes + 4 * units + memory, products=answer.products, **once,
        )  # fmt: skip
    stored = answer.bytes + sizes[-1] + 2 * units + memory
    if digital_error:
        return Counts(
            dac=answer.dac, adc=answer.adc, line_reads=answer.line_reads, unit_reads=answer.unit_reads,
            macs=couplings + inner, bytes=stored + _WORD * inner / batch, products=answer.products, **once,
        )  # fmt: skip
    # Errors are scaled to the full range of a line: their squares are at most 1.
    return Counts(
        dac=answer.dac + sum(sizes[2:]), adc=answer.adc + sum(sizes[1:-1]), line_reads=answer.line_reads + inner,
        unit_reads=answer.unit_reads + sum(sizes[1:-1]), macs=couplings, bytes=stored,
        products=answer.products + inner, **once,
    )  # fmt: skip


def digital(sizes: Sequence[int], *, training: bool, batch: int) -> Counts:
    """One sample of the same network on a digital machine by backpropagation: 8-bit answers, fp32 training.

    A minibatch reads each coupling once, backward that of layers 2, 3, … once more; a step of the optimiser reads and
    writes couplings and momentum, and the gradient was written and is read.
    """
    couplings, inner = _couplings(sizes), _inner(sizes)
    if not training:
        return Counts(macs=couplings, bytes=couplings / batch + sum(sizes))
    step = (_MOMENTUM_BYTES + _COUPLING_BYTES) * couplings
    return Counts(
        float_macs=2 * couplings + inner + _MOMENTUM_MACS * couplings / batch,
        bytes=_WORD * ((couplings + inner) / batch + 2 * sum(sizes)) + step / batch,
    )


def _sweep(sizes: Sequence[int], activity: Sequence[float]) -> tuple[float, int]:
    """Line reads and products of a sweep: every array is driven from below, and from above where units are below."""
    lines, products = 0.0, 0
    for layer, (below, above) in enumerate(itertools.pairwise(sizes)):
        lines += below * above * (activity[layer] + (activity[layer + 1] if layer else 0.0))
        products += below * above * (2 if layer else 1)
    return lines, products


def _couplings(sizes: Sequence[int]) -> int:
    return sum(below * above for below, above in itertools.pairwise(sizes))


def _inner(sizes: Sequence[int]) -> int:
    """Couplings between layers of units, which errors and feedback go through: all but the first layer's."""
    return _couplings(sizes[1:])
