"""Bytes, FLOPs and low-bit operations as the operators say them: exact and repeatable.

torch's operators are seen by the dispatcher; kernels of our own announce themselves through
`energybench.operations`. An operator whose arithmetic is not known is listed with its calls, and its bytes
are counted all the same.
"""

import importlib.util
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from energybench import operations
from energybench.model import Clock, Domain, Reading, Unavailable
from energybench.probes._tables import EnergyTable, ModelledEnergy, energy, table, tables

if TYPE_CHECKING:
    from energybench.probes._dispatch import CountingMode, Tally

__all__ = [
    "Counts",
    "EnergyTable",
    "ModelledEnergy",
    "OperatorProbe",
    "count",
    "energy",
    "open_probe",
    "summed",
    "table",
    "tables",
    "typical",
]

ON_REQUEST = True
TYPICAL_RUNS = 3


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


@dataclass(slots=True)
class Attachment:
    """One thread's counting: how many windows want it, and the mode on its stack."""

    tally: "Tally"
    mode: "CountingMode"
    depth: int = 0


class OperatorProbe:
    """Counts what runs in the threads that are attached, as one counter of bytes for the process.

    Windows that are open at once in two threads hold the work of both: they read one counter. Work of a thread that
    opened no window is in none of them.
    """

    name = "operators"

    def __init__(self, *, clock: Clock = time.perf_counter_ns) -> None:
        # Imported when the probe is opened, so that no window waits for torch.
        from energybench.probes import _dispatch

        self._dispatch = _dispatch
        self._clock = clock
        self._lock = threading.Lock()
        self._finished = _dispatch.Tally()
        self._running: list[Attachment] = []
        self._windows = 0
        self._thread = threading.local()
        self.domains: Mapping[str, Domain | Unavailable] = {"operators": _domain()}

    def attach(self) -> None:
        """Count what the calling thread runs, until `detach`; windows nest."""
        own = self._own() or self._begin()
        with self._lock:
            own.depth += 1
            self._windows += 1
            if own.depth == 1:
                self._running.append(own)

    def detach(self) -> None:
        """End one `attach`, of the calling thread if it has one.

        A window that is ended in another thread than it was begun in cannot be told from that thread's others: its
        counting goes on until no window is open.
        """
        own = self._own()
        with self._lock:
            self._windows = max(self._windows - 1, 0)
            if own:
                own.depth -= 1
            self._end([a for a in self._running if not (a.depth and self._windows)])
        self._own()

    def _own(self) -> Attachment | None:
        """The calling thread's attachment; one that another thread has ended is taken off first."""
        own: Attachment | None = getattr(self._thread, "attachment", None)
        if own and own.mode.is_over:
            own.mode.leave()
            operations.deactivate(own.mode)
            own = self._thread.attachment = None
        return own

    def _begin(self) -> Attachment:
        tally = self._dispatch.Tally()
        own = self._thread.attachment = Attachment(tally, self._dispatch.CountingMode(tally))
        operations.activate(own.mode)
        own.mode.__enter__()  # type: ignore[no-untyped-call]
        return own

    def _end(self, ended: Sequence[Attachment]) -> None:
        for attachment in ended:
            attachment.mode.is_over = True
            self._running.remove(attachment)
            self._finished.merge(attachment.tally)

    def read(self) -> Sequence[Reading]:
        """The bytes counted since the probe was opened."""
        with self._lock:
            total = sum(t.read_bytes + t.written_bytes for t in self._tallies())
        return [(self._clock(), total)]

    def counts(self) -> Counts:
        """Everything counted since the probe was opened."""
        whole = self._dispatch.Tally()
        with self._lock:
            for tally in self._tallies():
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
        """Stop counting, in every thread."""
        with self._lock:
            self._windows = 0
            self._end(list(self._running))
        self._own()

    def _tallies(self) -> list["Tally"]:
        return [self._finished, *(attachment.tally for attachment in self._running)]


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


def typical(work: Callable[[], object]) -> Counts:
    """What one run of `work` computes and moves, as two of up to three runs agree on.

    A step of a training that begins a pass also shuffles, and the very first one makes the optimizer's state. Which
    steps these are depends on how long a warm-up took; what is counted must not. Where no two agree, the counts depend
    on the data, and the last stands for them.
    """
    seen: list[Counts] = []
    while len(seen) < TYPICAL_RUNS:
        counts = count(work)
        if counts in seen:
            break
        seen.append(counts)
    return counts


def summed(parts: Iterable[Mapping[str, Any]]) -> Counts:
    """The counts of work that ran in several processes, from the plain values (`dataclasses.asdict`) of each."""
    whole: dict[str, Counter[str]] = {name: Counter() for name in ("operations", "calls", "unmapped")}
    numbers: Counter[str] = Counter()
    for part in parts:
        numbers.update({name: part[name] for name in ("read_bytes", "written_bytes", "flops")})
        for name, counted in whole.items():
            counted.update(part[name])
    operations, calls, unmapped = (dict(sorted(counted.items())) for counted in whole.values())
    return Counts(
        read_bytes=numbers["read_bytes"],
        written_bytes=numbers["written_bytes"],
        operations=operations,
        flops=numbers["flops"],
        calls=calls,
        unmapped=unmapped,
    )


def _domain() -> Domain:
    return Domain(
        name="operators",
        probe="operators",
        quantity="operand_bytes",
        resolution=0.0,
        tick=0.0,
        scope="process",
        provenance="modelled",
        additive=False,
        exclusive=False,
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
