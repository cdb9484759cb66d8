"""One phase of relaxation, of fixed length or until each sample has settled, and how it ended."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from energybench.workloads.eqprop._field import Field, Nudge
from energybench.workloads.eqprop._stopping import WINDOW, DivergenceError, Residuals, Sweep, contraction

# Closing up costs about a sweep of a small network: it waits until a sixteenth of the rows can leave.
_LEAVE_SHARE = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """How a phase ended, by sample.

    Attributes:
        sweeps: (batch,) int64, sweeps that each sample took part in.
        last: (batch,), RMS over all free units of the change of its last sweep; None where nobody looked.
        earlier: (batch,) each, the residuals of the sweeps before the last, oldest first, where they were looked at.
        bound: (batch,), what r·q/(1 − q) says of its distance to the fixed point; None where no tolerance was asked.
        trace: each sweep, where it was asked for.
    """

    sweeps: Tensor
    last: Tensor | None = None
    earlier: tuple[Tensor, ...] = ()
    bound: Tensor | None = None
    trace: list[Sweep] = field(default_factory=list)

    @property
    def residual(self) -> Tensor:
        """(batch,), RMS over all free units of the change of the last sweep.

        Raises:
            ValueError: nobody looked.
        """
        if self.last is None:
            raise ValueError("this phase was not watched: ask for it with watch=True")
        return self.last

    @property
    def contraction(self) -> Tensor:
        """(batch,), the larger of the last ratios of successive residuals; 1 where none is known."""
        return contraction((*self.earlier, self.residual))


@dataclass(frozen=True, slots=True, kw_only=True)
class Dynamics:
    """What a phase moves, and how.

    Attributes:
        field: the states.
        run: so many sweeps over them.
        history: an empty history of residuals.
        remedy: what to do where they do not settle.
    """

    field: Field
    run: Callable[[int, Nudge | None], None]
    history: Residuals
    remedy: str


def settle_all(dynamics: Dynamics, sweeps: int, nudge: Nudge | None, *, watch: bool) -> Settled:
    """All sweeps for all samples; residuals are taken where they decide something, or not at all."""
    states, history = dynamics.field, dynamics.history
    taken = torch.full((len(states.base),), sweeps, device=states.base.device)
    if not watch:
        dynamics.run(sweeps, nudge)
        # What is not a number reaches the output in the same sweep, and what it is made of in the next.
        if not math.isfinite(float(states.now[-1].sum())):
            raise _divergence(dynamics, sweeps, int(states.change().argmax()), math.inf, [])
        return Settled(sweeps=taken)
    # An even number of sweeps before the last: synchronous ones may alternate.
    done, early = 0, max(2 - sweeps % 2, sweeps - WINDOW)
    for until in sorted({min(early, sweeps), max(sweeps - 1, 1), sweeps}):
        dynamics.run(until - done, nudge)
        history.see(until, states.change(), states.energy(nudge) if history.wants_energy else None)
        done = until
    if (diverged := history.diverged()) is not None:
        raise _divergence(dynamics, sweeps, *diverged, [])
    return Settled(sweeps=taken, last=history.last, earlier=history.latest[:-1][-1:])


class Watched:
    """A phase in which samples are watched, and each may stop for itself.

    Args:
        dynamics: what moves.
        tolerance: a sample stops where its bound is at most this; None: none stops.
        nudge: what pulls.
        compact: samples that have stopped leave the field; else all stay until the last has settled.
        trace: note each sweep.
    """

    def __init__(
        self, dynamics: Dynamics, tolerance: float | None, nudge: Nudge | None, *, compact: bool, trace: bool
    ) -> None:
        self._dynamics, self._field, self._history = dynamics, dynamics.field, dynamics.history
        self._tolerance, self._nudge, self._compact, self._traced = tolerance, nudge, compact, trace
        self._trace: list[Sweep] = []
        rows, device = len(self._field.now[0]), self._field.now[0].device
        self._names = torch.arange(rows, device=device)
        self._taken = torch.zeros(rows, dtype=torch.int64, device=device)
        self._found: Tensor | None = None

    def settle(self, sweeps: int) -> Settled:
        """At most so many sweeps."""
        rows, start = len(self._names), time.perf_counter()
        for sweep in range(1, sweeps + 1):
            self._dynamics.run(1, self._nudge)
            energy = self._field.energy(self._nudge) if self._history.wants_energy else None
            self._history.see(sweep, self._field.change(), energy)
            self._note(sweep, start)
            if (diverged := self._history.diverged()) is not None:
                raise _divergence(self._dynamics, sweep, *diverged, self._trace)
            if self._tolerance is not None and self._stop(sweep, self._tolerance):
                break
        found = self._write(slice(None), sweep)
        self._field.gather(rows, self._names)
        bound, *earlier, residual = found
        return Settled(
            sweeps=self._taken, last=residual, earlier=tuple(earlier[3 - len(self._history.latest) :]),
            trace=self._trace, bound=bound if self._tolerance is not None else None,
        )  # fmt: skip

    def _stop(self, sweep: int, tolerance: float) -> bool:
        """Let settled samples leave; whether all have settled."""
        settled = self._history.bound() <= tolerance
        count = int(settled.sum())
        if count == len(settled):
            return True
        if self._compact and count and count * _LEAVE_SHARE >= len(settled):
            gone, left = settled.nonzero()[:, 0], (~settled).nonzero()[:, 0]
            self._write(gone, sweep)
            self._field.leave(gone, left, self._names)
            self._history.keep(left)
            self._nudge = self._nudge and self._nudge.keep(left)
            self._names = self._names[left]
        return False

    def _write(self, rows: Tensor | slice, sweep: int) -> Tensor:
        """Note how these rows of the field have ended: bound, and the last three residuals."""
        latest = self._history.latest
        told = torch.stack([self._history.bound(), *latest[:1] * (3 - len(latest)), *latest])
        if self._found is None:
            self._found = told.new_empty(4, len(self._taken))
        names = self._names[rows]
        self._found[:, names] = told[:, rows]
        self._taken[names] = sweep
        return self._found

    def _note(self, sweep: int, start: float) -> None:
        if not self._traced:
            return
        residual = self._history.last
        middle, most = float(residual.median()), float(residual.max())
        seconds = time.perf_counter() - start
        seen = Sweep(sweep=sweep, active=len(residual), residual_median=middle, residual_max=most, seconds=seconds)
        self._trace.append(seen)


def _divergence(dynamics: Dynamics, sweep: int, row: int, ratio: float, trace: list[Sweep]) -> DivergenceError:
    """The error that says where a relaxation left the rails, and how to keep it on them."""
    layer = dynamics.field.most_changed(row)
    told = f"contraction {ratio:.3g}" if math.isfinite(ratio) else "a state that is not finite"
    problem = f"the relaxation diverges in layer {layer} at sweep {sweep}: {told}; {dynamics.remedy}"
    error = DivergenceError(problem)
    error.trace = trace
    return error
