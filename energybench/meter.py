"""Probes held open and read together: at the edges of windows, and by a background thread while a window is open.

Windows may nest, overlap, come from any thread and live across a fork. An edge reads every counter once; what is
computed from the edges waits until somebody asks (`energybench.measurement`).
"""

import math
import os
import sys
import threading
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

from energybench.measurement import Measurement
from energybench.model import Clock, Domain, Probe, Reading, Unavailable, UnknownNameError
from energybench.tracks import STALL_TICKS, CounterTrack, Edge, Mark, Track, make_track, poll_seconds

# Ticks up to this are waited for by spinning, and at the end of a short window in any case.
FINE_TICK: Final = 0.002
FOLLOWED_TICKS: Final = 10
# A background thread that wakes less often than this sleeps on by itself; a faster one is stopped between windows.
SELDOM_SECONDS: Final = 1.0
SIMULATE: Final = "ENERGYBENCH_SIMULATE"


@runtime_checkable
class Attachable(Protocol):
    """A probe that must be told when a window opens and closes, in the thread that does it."""

    def attach(self) -> None:
        """A window opens."""
        ...

    def detach(self) -> None:
        """It closes."""
        ...


@dataclass(slots=True)
class _Source:
    """A probe, a track for each of its readable domains, and how often it has to be polled."""

    probe: Probe
    tracks: Sequence[Track]
    needed_seconds: float
    seconds: float
    due_ns: int = 0


class Meter:
    """Probes held open, the preferred first; `Unavailable` for those that this machine does not have.

    Args:
        probes: by name.
        clock: nanoseconds; the probes use the same.
        poll: False where the caller polls by itself (a test with a clock of its own).
    """

    def __init__(
        self,
        probes: Mapping[str, Probe | Unavailable],
        *,
        clock: Clock = time.perf_counter_ns,
        poll: bool = True,
    ) -> None:
        self.probes, self.clock = probes, clock
        self.domains, owners = choose_domains(probes)
        reading = {n: p for n, p in probes.items() if not isinstance(p, Unavailable) and n in owners.values()}
        self._sources = [_source(probe) for probe in reading.values()]
        self.tracks = [track for source in self._sources for track in source.tracks]
        named = [(name, t) for name, source in zip(reading, self._sources, strict=True) for t in source.tracks]
        self.chosen = [owners[track.domain.name] == name for name, track in named]
        self._fine_tick = max((t for track in self.tracks if (t := _tick(track.domain)) <= FINE_TICK), default=0.0)
        self._has_gpu = any(name.startswith("gpu") for name in owners)
        self._attachable = [p for p in probes.values() if isinstance(p, Attachable)]
        self._poll = poll and bool(self._sources)
        self._open, self._closed = 0, False
        self._no_gaps: list[float | None] = [None] * len(self.tracks)
        self._last_ticks: dict[int, tuple[Mark, float]] = {}
        self._snapshots: list[list[Edge]] = []
        self._tracing = 0
        self._start_afresh()
        self._edges()
        _METERS.add(self)

    @property
    def readable(self) -> dict[str, Domain]:
        """The domains that this meter reads."""
        return {name: domain for name, domain in self.domains.items() if isinstance(domain, Domain)}

    def window(self, *, align: bool = False, trace_hz: float | None = None) -> Measurement:
        """A window that is begun and ended by `with`, or by `begin()` and `end()`."""
        return Measurement(self, align=align, trace_hz=trace_hz)

    def enter(self, trace_hz: float | None = None) -> None:
        """Make ready for a window: the thread runs, a device's queue is drained."""
        for probe in self._attachable:
            probe.attach()
        if trace_hz:
            self._trace(trace_hz)
        self._open += 1
        if self._poll and (self._thread is None or (self._open == 1 and self._seconds < SELDOM_SECONDS)):
            self._wake_thread()
        if self._has_gpu:
            synchronise()

    def leave(self, trace_hz: float | None = None) -> None:
        """Undo `enter`."""
        self._open -= 1
        if trace_hz:
            self._trace(None)
        for probe in self._attachable:
            probe.detach()

    def edges(self) -> list[Edge]:
        """Every domain's total now, in the order of `tracks`, with the work of a GPU finished."""
        if self._has_gpu:
            synchronise()
        return self._edges()

    def opening_edges(self) -> tuple[list[Edge], list[float | None]]:
        """The edges before a body. A counter that still shows the tick at which the last window ended lies on it.

        Windows that follow each other closely would otherwise all begin just after a tick: a bias, not a scatter.
        """
        edges = self.edges()
        if not self._last_ticks:
            return edges, self._no_gaps
        gaps: list[float | None] = [None] * len(edges)
        for index, (mark, gap) in self._last_ticks.items():
            now = edges[index]
            if isinstance(now, Mark) and (now.total, now.breaks) == (mark.total, mark.breaks):
                edges[index], gaps[index] = mark, gap
        return edges, gaps

    def closing_edges(self, seconds: float) -> tuple[list[Edge], list[float | None]]:
        """The edges after a body of `seconds`, and for those that lie on a tick the gap between its two readings.

        A body of at least 10 fine ticks is followed to the next one. That is at most 10 % of its time, halves the
        tick's uncertainty, and tells a counter that has frozen from one that works. A window inside another is not
        followed, because the wait would be in the outer one.
        """
        if self._open > 1 or not self._fine_tick or seconds < FOLLOWED_TICKS * self._fine_tick:
            return self.edges(), self._no_gaps
        return self.aligned_edges(last=False, slowest=self._fine_tick)

    def aligned_edges(self, *, last: bool, slowest: float = math.inf) -> tuple[list[Edge], list[float | None]]:
        """Edges that lie on ticks, and the seconds between the two readings that enclose each; None for others.

        At the begin of a window (`last`) a counter's edge is its latest tick before the body starts, at the end its
        first tick. A counter that does not tick within 20 of its ticks stands still.
        """
        ticks = {i: t for i, track in enumerate(self.tracks) if 0 < (t := _tick(track.domain)) <= slowest}
        waiting = set(ticks)
        longest = max(ticks.values(), default=0.0)
        pause = longest / 200 if longest > FINE_TICK else 0.0
        first = previous = self.edges()
        deadline = self.clock() + int(STALL_TICKS * longest * 1e9)
        edges, gaps = list(first), [ticks.get(index) for index in range(len(first))]
        while waiting:
            if pause:
                time.sleep(pause)
            late = self.clock() >= deadline
            current = self._edges()
            for index, (before, now) in enumerate(zip(previous, current, strict=True)):
                if isinstance(before, Unavailable) or isinstance(now, Unavailable):
                    edges[index] = now
                    waiting.discard(index)
                elif index in ticks and now.total != before.total and (last or index in waiting):
                    edges[index] = now._replace(ns=(before.ns + now.ns) >> 1)
                    gap = gaps[index] = (now.ns - before.ns) / 1e9
                    if gap <= ticks[index] / 2:  # else the thread was interrupted: the next tick is better known
                        waiting.discard(index)
            previous = current
            if late:
                break
        self._last_ticks = {
            index: (mark, gap)
            for index, (mark, gap) in enumerate(zip(edges, gaps, strict=True))
            if gap is not None and isinstance(mark, Mark) and mark is not first[index]
        }
        for index in waiting:
            if edges[index] is first[index]:
                edges[index] = self.tracks[index].freeze(STALL_TICKS * ticks[index])
        return edges, gaps

    def poll(self) -> None:
        """Read the sources that are due. The background thread calls it; so does a test that has no thread."""
        now = self.clock()
        for source in self._sources:
            if now >= source.due_ns:
                source.due_ns = now + int(source.seconds * 1e9)
                with self.lock:
                    for track, reading in zip(source.tracks, self._read(source), strict=True):
                        track.move(reading)
        if self._tracing:
            self._snapshots.append([Mark(track.ns, track.total, track.breaks) for track in self.tracks])

    def state(self) -> dict[str, Mapping[str, object]]:
        """What the probes say of their devices: clocks, temperature, throttling, limits."""
        return {name: p.state() for name, p in self.probes.items() if hasattr(p, "state")}

    def samples(self, begin_ns: int, end_ns: int) -> list[tuple[float, str, float]]:
        """Seconds after `begin_ns`, domain and watts of what was traced between two moments."""
        return sorted(_watts(self.tracks, self._snapshots, begin_ns, end_ns))

    def close(self) -> None:
        """Stop the thread and close the probes."""
        self._closed = True
        self._wake.set()
        if self._thread and self._thread is not threading.current_thread():
            self._thread.join()
        for probe in self.probes.values():
            if not isinstance(probe, Unavailable):
                probe.close()

    def _edges(self) -> list[Edge]:
        with self.lock:
            return [
                track.edge(reading)
                for source in self._sources
                for track, reading in zip(source.tracks, self._read(source), strict=True)
            ]

    def _read(self, source: _Source) -> Sequence[Reading]:
        """A probe's readings; where it breaks its promise, why each of them is missing."""
        try:
            readings = source.probe.read()
        except Exception as error:
            return [(self.clock(), _broken(source.probe.name, error))] * len(source.tracks)
        if len(readings) == len(source.tracks):
            return readings
        count = ValueError(f"{len(readings)} readings for {len(source.tracks)} domains")
        return [(self.clock(), _broken(source.probe.name, count))] * len(source.tracks)

    def _trace(self, hertz: float | None) -> None:
        """Poll at this rate and keep what is seen; None ends one window's trace."""
        if hertz and not self._tracing:
            self._snapshots.clear()
        self._tracing += 1 if hertz else -1
        for source in self._sources:
            source.due_ns = 0
            if hertz:
                source.seconds = min(source.seconds, 1 / hertz)
            elif not self._tracing:
                source.seconds = source.needed_seconds
        self._seconds = min((source.seconds for source in self._sources), default=30.0)

    def _start_afresh(self) -> None:
        """Locks and thread of this process: a thread does not live across fork, a held lock would for ever."""
        self.lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._seconds = min((source.seconds for source in self._sources), default=30.0)

    def after_fork(self) -> None:
        """In the child: locks and a thread of its own."""
        self._start_afresh()
        if self._open and self._poll:
            self._wake_thread()

    def _wake_thread(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._guard, name="energybench", daemon=True)
            self._thread.start()
        self._wake.set()

    def _guard(self) -> None:
        wake = self._wake
        while not self._closed:
            if self._open:
                with suppress(RuntimeError):  # the interpreter is going down
                    self.poll()
            idle = not self._open and self._seconds < SELDOM_SECONDS
            wake.wait(None if idle else self._seconds)
            wake.clear()


_METERS: "weakref.WeakSet[Meter]" = weakref.WeakSet()


_held: "list[Meter]" = []


def _hold_meters() -> None:
    """Before a fork: no other thread is in the middle of a track's step."""
    _held.extend(_METERS)
    for meter in _held:
        meter.lock.acquire()


def _let_go_of_meters() -> None:
    for meter in _held:
        meter.lock.release()
    _held.clear()


def _revive_meters() -> None:
    for meter in _held:
        meter.after_fork()
    _held.clear()


os.register_at_fork(before=_hold_meters, after_in_parent=_let_go_of_meters, after_in_child=_revive_meters)


def open_meter(
    names: Sequence[str] | None = None, *, root: Path = Path("/"), clock: Clock = time.perf_counter_ns
) -> Meter:
    """Open the probes of these names, or all that measure by themselves; the simulated machine where it is asked for.

    Raises:
        UnknownNameError: no probe has one of the names.
    """
    from energybench import probes  # here, so that `import energybench` does not look for entry points

    if names is None:
        names = ["simulated"] if simulating() else [n for n in probes.names() if not probes.is_on_request(n)]
        names = sorted(names, key=probes.priority)
    return Meter({name: _opened(name, root, clock) for name in names}, clock=clock)


def simulating() -> bool:
    """Whether ENERGYBENCH_SIMULATE asks for a machine."""
    return os.environ.get(SIMULATE, "").strip().lower() not in ("", "0", "no", "off", "false")


def _opened(name: str, root: Path, clock: Clock) -> Probe | Unavailable:
    """A probe, or why there is none: one that breaks, perhaps a third party's, must not take the others along."""
    from energybench import probes

    try:
        probe = probes.open_probe(name, root=root, clock=clock)
    except UnknownNameError:
        raise
    except Exception as error:
        return _broken(name, error)
    if not isinstance(probe, Probe | Unavailable):
        return _broken(name, TypeError(f"open_probe gave {probe!r}"))
    return probe


def _broken(name: str, error: Exception) -> Unavailable:
    return Unavailable(
        reason=f"the probe {name!r} is broken: {type(error).__name__}: {error}",
        remedy="tell its author, and name the probes that you want in the meantime",
    )


def choose_domains(
    probes: Mapping[str, Probe | Unavailable],
) -> tuple[dict[str, Domain | Unavailable], dict[str, str]]:
    """Each domain from the first probe that can read it, else why nobody can; and which probe reads which."""
    domains: dict[str, Domain | Unavailable] = {}
    owners: dict[str, str] = {}
    for name, probe in probes.items():
        offered = {name: probe} if isinstance(probe, Unavailable) else probe.domains
        for part, domain in offered.items():
            if isinstance(domain, Domain) and part not in owners:
                domains[part] = domain
                owners[part] = name
            else:
                domains.setdefault(part, domain)
    return domains, owners


def synchronise() -> None:
    """Wait for every CUDA device that this process uses; nothing where torch is not loaded."""
    torch = sys.modules.get("torch")
    cuda = getattr(torch, "cuda", None)
    if cuda is None or not cuda.is_initialized():
        return
    for device in range(cuda.device_count()):
        if torch._C._cuda_hasPrimaryContext(device):  # type: ignore[union-attr]  # noqa: SLF001 -- synchronising would create one
            cuda.synchronize(device)


def _tick(domain: Domain) -> float:
    """The tick of a domain that an edge can wait for; 0 for gauges and for counters that were not seen to tick."""
    return domain.tick or 0.0 if domain.kind == "counter" and domain.quantity == "joules" else 0.0


def _source(probe: Probe) -> _Source:
    tracks = [make_track(domain) for domain in probe.domains.values() if isinstance(domain, Domain)]
    wanted = [poll_seconds(track.domain) for track in tracks]
    needed = min([*wanted, getattr(probe, "poll_seconds", 30.0)])
    return _Source(probe=probe, tracks=tracks, needed_seconds=needed, seconds=needed)


def _watts(
    tracks: Sequence[Track], snapshots: Sequence[Sequence[Edge]], begin_ns: int, end_ns: int
) -> Iterator[tuple[float, str, float]]:
    for index, track in enumerate(tracks):
        if track.domain.quantity != "joules":
            continue
        scale = track.domain.scale if isinstance(track, CounterTrack) else 1.0
        marks = [edges[index] for edges in snapshots]
        for before, now in pairwise(marks):
            assert isinstance(before, Mark)
            assert isinstance(now, Mark)
            if begin_ns <= before.ns < now.ns <= end_ns and before.breaks == now.breaks:
                watts = (now.total - before.total) * scale / (now.ns - before.ns) * 1e9
                yield ((before.ns + now.ns) / 2 - begin_ns) / 1e9, track.domain.name, watts
