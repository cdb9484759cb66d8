"""Bytes, FLOPs and low-bit operations as the operators say them: exact and repeatable.

torch's operators are seen by the dispatcher; kernels of our own announce themselves through
`energybench.operations`. An operator whose arithmetic is not known is listed with its calls, and its bytes
are counted all the same.
"""

import importlib.util
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from energybench import operations
from energybench.model import Clock, Domain, Reading, Unavailable
from energybench.probes._tables import EnergyTable, ModelledEnergy, energy, table, tables

if TYPE_CHECKING:
    from energybench.probes._dispatch import Tally

__all__ = [
    "Counts",
    "EnergyTable",
    "ModelledEnergy",
    "OperatorProbe",
    "count",
    "energy",
    "open_probe",
    "table",
    "tables",
]

ON_REQUEST = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What some work computes and moves.

    Attributes:
        read_bytes: bytes of the operands read, each region once a call.
        written_bytes: bytes of the results and of what was changed in place.
        operations: how many operations of each name (`fp32.mul`, `int8.mul`, `b1.xnor`).
        flops: the floating-point operations among them.
        calls: how often each operator and kernel ran.
        unmapped: those among them whose arithmetic no formula gives.
    """

    read_bytes: int
    written_bytes: int
    operations: Mapping[str, int]
    flops: int
    calls: Mapping[str, int]
    unmapped: Mapping[str, int]

    @property
    def operand_bytes(self) -> int:
        """Bytes read and written."""
        return self.read_bytes + self.written_bytes


class OperatorProbe:
    """Counts what runs in the threads that are attached, as a counter of bytes."""

    name = "operators"

    def __init__(self, *, clock: Clock = time.perf_counter_ns) -> None:
        # Imported when the probe is opened, so that no window waits for torch.
        from energybench.probes import _dispatch

        self._dispatch = _dispatch
        self._clock = clock
        self._lock = threading.Lock()
        self._finished = _dispatch.Tally()
        self._running: list[Tally] = []
        self._thread = threading.local()
        self.domains: Mapping[str, Domain | Unavailable] = {"operators": _domain()}

    def attach(self) -> None:
        """Count what the calling thread runs, until `detach`; windows nest."""
        self._thread.depth = getattr(self._thread, "depth", 0) + 1
        if self._thread.depth > 1:
            return
        tally = self._dispatch.Tally()
        mode = self._dispatch.CountingMode(tally)
        with self._lock:
            self._running.append(tally)
        self._thread.mode, self._thread.tally = mode, tally
        operations.activate(mode)
        mode.__enter__()  # type: ignore[no-untyped-call]

    def detach(self) -> None:
        """End one `attach` of the calling thread; in a thread that has none, nothing happens."""
        self._thread.depth = getattr(self._thread, "depth", 0) - 1
        if self._thread.depth > 0:
            return
        if self._thread.depth < 0:
            self._thread.depth = 0
            return
        self._thread.mode.leave()
        operations.deactivate(self._thread.mode)
        with self._lock:
            self._running.remove(self._thread.tally)
            self._finished.merge(self._thread.tally)
        self._thread.mode = self._thread.tally = None

    def read(self) -> Sequence[Reading]:
        """The bytes counted since the probe was opened."""
        with self._lock:
            total = sum(t.read_bytes + t.written_bytes for t in (self._finished, *self._running))
        return [(self._clock(), total)]

    def counts(self) -> Counts:
        """Everything counted since the probe was opened."""
        whole = self._dispatch.Tally()
        with self._lock:
            for tally in (self._finished, *self._running):
                whole.merge(tally)
        return _counts(whole)

    def state(self) -> Mapping[str, object]:
        """What a record keeps: operations, calls, and the operators that no formula knows."""
        counts = self.counts()
        return {
            "operations": dict(counts.operations),
            "calls": dict(counts.calls),
            "unmapped": dict(counts.unmapped),
            "flops": counts.flops,
        }

    def close(self) -> None:
        """Stop counting in the calling thread."""
        while getattr(self._thread, "depth", 0) > 0:
            self.detach()


def open_probe(*, root: Path = Path("/"), clock: Clock = time.perf_counter_ns) -> OperatorProbe | Unavailable:  # noqa: ARG001
    """The counter of operators, where torch is installed."""
    if importlib.util.find_spec("torch") is None:
        return Unavailable(
            reason="operators are counted through torch, which is not installed",
            remedy="pip install 'energybench[workloads]'",
        )
    return OperatorProbe(clock=clock)


def count(work: Callable[[], object]) -> Counts:
    """Run `work` once, untimed, and say what it computes and moves; other counters go on beside it."""
    from energybench.probes._dispatch import CountingMode, Tally

    tally = Tally()
    mode = CountingMode(tally)
    with operations.counting(mode), mode:
        work()
    return _counts(tally)


def _domain() -> Domain:
    return Domain(
        name="operators",
        probe="operators",
        quantity="operand_bytes",
        resolution=0.0,
        tick=0.0,
        scope="thread",
        provenance="modelled",
        additive=False,
        exclusive=True,
        source="torch's dispatcher, energybench.operations",
    )


def _counts(tally: "Tally") -> Counts:
    return Counts(
        read_bytes=tally.read_bytes,
        written_bytes=tally.written_bytes,
        operations=dict(sorted(tally.operations.items())),
        flops=operations.flops(tally.operations),
        calls=dict(sorted(tally.calls.items())),
        unmapped=dict(sorted(tally.unmapped.items())),
    )
