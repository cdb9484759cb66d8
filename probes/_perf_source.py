"""One domain behind perf: the open events that add up to it, scaled where the kernel shared counters."""

import errno
import os
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from energybench.model import Domain, Unavailable
from energybench.probes._perf_pmu import read_text
from energybench.probes._perf_syscall import RECORD, EventConfig

OpenEvent: TypeAlias = Callable[[EventConfig, int], int]
ReadEvent: TypeAlias = Callable[[int, int], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event on one processor; `weight` turns its counts into the domain's."""

    config: EventConfig
    cpu: int
    weight: float = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a domain needs. `longest_gap_seconds`: counts are lost when nobody reads for longer."""

    domain: Domain
    events: tuple[Event, ...]
    longest_gap_seconds: float | None = None


class NeverCountedError(ValueError):
    """The kernel gave the event no hardware counter since the last read."""


class Counter:
    """One open event. While the kernel shares counters, each step is scaled by the time really counted.

    Scaling steps rather than totals keeps the count from running backwards when the load changes.
    """

    __slots__ = ("_missed", "_seen", "fd", "weight")

    def __init__(self, fd: int, weight: float) -> None:
        self.fd, self.weight = fd, weight
        self._missed = 0
        self._seen = (0, 0, 0)

    @property
    def multiplexed(self) -> bool:
        """Whether any reading so far was scaled."""
        return self._seen != (0, 0, 0)

    def counts(self, record: bytes) -> int:
        """The total so far from the kernel's record.

        Raises:
            struct.error: a short read.
            NeverCountedError: there is nothing to scale.
        """
        value, enabled, running = RECORD.unpack(record)
        if enabled != running:
            self._scale(value, enabled, running)
        return int(value) + self._missed

    def _scale(self, value: int, enabled: int, running: int) -> None:
        seen_value, seen_enabled, seen_running = self._seen
        counted_ns, whole_ns = running - seen_running, enabled - seen_enabled
        if whole_ns and not counted_ns:
            raise NeverCountedError("another user of the counters kept this event from counting")
        if counted_ns:
            self._missed += round((value - seen_value) * (whole_ns - counted_ns) / counted_ns)
        self._seen = (value, enabled, running)


class Source:
    """The events of one domain, opened together: a sum that lacks one of its boxes is a wrong number."""

    def __init__(self, wanted: Wanted, root: Path, open_event: OpenEvent, read_event: ReadEvent) -> None:
        self.wanted = wanted
        self._root, self._open_event, self._read_event = root, open_event, read_event
        self._counters: list[Counter] = []
        self._last_ns: int | None = None

    @property
    def multiplexed(self) -> bool:
        """Whether one of the events shares its hardware counter."""
        return any(counter.multiplexed for counter in self._counters)

    def open(self) -> Unavailable | None:
        """Open every event, or none and say why."""
        try:
            for event in self.wanted.events:
                self._counters.append(Counter(self._open_event(event.config, event.cpu), event.weight))
        except OSError as error:
            self.close()
            return self._explain(error)
        return None

    def read(self, ns: int) -> int | Unavailable:
        """The domain's raw count; `ns` is now, for counters that must be read now and then."""
        if not self._counters and (problem := self.open()):
            return problem
        try:
            raw = 0
            for counter in self._counters:
                counts = counter.counts(self._read_event(counter.fd, RECORD.size))
                raw += counts if counter.weight == 1 else round(counts * counter.weight)
        except NeverCountedError as error:
            return Unavailable(reason=str(error), remedy="measure for longer, or stop the other perf session")
        except (OSError, struct.error) as error:
            self.close()  # opened afresh by the next read
            return self._explain(error)
        return self._overdue(ns) or raw

    def close(self) -> None:
        """Stop counting."""
        for counter in self._counters:
            with suppress(OSError):
                os.close(counter.fd)
        self._counters.clear()

    def _overdue(self, ns: int) -> Unavailable | None:
        limit, last, self._last_ns = self.wanted.longest_gap_seconds, self._last_ns, ns
        if limit is None or last is None or ns - last <= limit * 1e9:
            return None
        hours = (ns - last) / 3.6e12
        return Unavailable(
            reason=f"{self.wanted.domain.source}: unread for {hours:.0f} h, it may have saturated",
            remedy="measure again: this reading has reset the counters",
        )

    def _explain(self, error: Exception) -> Unavailable:
        source = self.wanted.domain.source
        if isinstance(error, struct.error):
            return Unavailable(
                reason=f"short read of {source}: the kernel has put the event into its error state",
                remedy="measure again; it is opened afresh. See dmesg if it stays",
            )
        code = error.errno if isinstance(error, OSError) else None
        if code in (errno.EACCES, errno.EPERM):
            return _forbidden(self._root, source)
        if code in (errno.ENODEV, errno.ENOENT, errno.ENXIO, errno.EINVAL, errno.EOPNOTSUPP):
            return Unavailable(
                reason=f"this machine does not count {source}: {error}",
                remedy="measure on bare metal: a virtual machine has what its host passes on",
            )
        if code in (errno.EMFILE, errno.ENFILE):
            return Unavailable(reason=f"too many open files for {source}", remedy="ulimit -n 4096, then measure again")
        if code == errno.ENOSYS:
            return Unavailable(
                reason=f"no system call for {source}: {error}", remedy="use a kernel with CONFIG_PERF_EVENTS"
            )
        return Unavailable(reason=f"{source} could not be read: {error}", remedy="measure again; see dmesg if it stays")


def _forbidden(root: Path, source: str) -> Unavailable:
    """Counting the whole machine needs paranoid ≤ 0 or CAP_PERFMON; Debian's level 3 wants more still."""
    text = read_text(root / "proc/sys/kernel/perf_event_paranoid")
    level = int(text) if text.lstrip("-").isdigit() else None
    reason = f"permission denied: {source} (kernel.perf_event_paranoid is {text or 'unknown'})"
    command = "sudo sysctl kernel.perf_event_paranoid=0"
    if level is not None and level >= 3:
        return Unavailable(
            reason=reason,
            remedy=f"{command}  # at level 3 Debian wants CAP_SYS_ADMIN, CAP_PERFMON is not enough",
        )
    if level is not None and level <= 0:
        return Unavailable(
            reason=f"{reason}: a container's seccomp profile forbids perf_event_open",
            remedy="docker run --cap-add PERFMON --security-opt seccomp=unconfined …",
        )
    return Unavailable(
        reason=reason,
        remedy=f"{command}  # or, for one dedicated interpreter: sudo setcap cap_perfmon=ep PROGRAM",
    )
