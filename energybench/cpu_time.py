"""Processor time of this process, of the children that it has waited for, and of the processes that it follows."""

import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class _Carried:
    """CPU seconds that the kernel's counters do not have, or will have a second time.

    Attributes:
        seconds: added to what the kernel says of this process and the children it has waited for.
        at_fork: what a forked child, which the kernel starts at 0 again, goes on from.
        followed: by process id, the last seconds seen of running processes that are not waited for yet.
    """

    seconds: float = 0.0
    at_fork: float = 0.0
    followed: dict[int, float] = field(default_factory=dict)

    def look(self) -> None:
        """In the parent, just before it forks."""
        self.at_fork = cpu_seconds()

    def take(self) -> None:
        """In the child."""
        self.seconds = self.at_fork
        self.followed.clear()


_carried = _Carried()


def cpu_seconds() -> float:
    """User and system seconds, to the microsecond, all threads included; a forked child goes on from its parent's."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    own = _carried.seconds + time.process_time() + children.ru_utime + children.ru_stime
    return own + sum(map(_seen, list(_carried.followed)))


def follow(pid: int) -> None:
    """Count another process from now on: what it used before is left out."""
    seconds = _process_seconds(pid)
    if seconds is not None and pid not in _carried.followed:
        _carried.followed[pid] = seconds
        _carried.seconds -= seconds


@contextmanager
def reaping() -> Iterator[None]:
    """Wait inside for what was followed: what the kernel then adds to our children's time was counted already."""
    before = cpu_seconds()
    yield
    _carried.followed = {
        pid: seconds for pid, seconds in _carried.followed.items() if _process_seconds(pid) is not None
    }
    _carried.seconds += before - cpu_seconds()


def _seen(pid: int) -> float:
    """The seconds of a followed process; the last that were seen, where it has ended."""
    now = _process_seconds(pid)
    if now is not None:
        _carried.followed[pid] = max(now, _carried.followed[pid])
    return _carried.followed[pid]


def _process_seconds(pid: int) -> float | None:
    # The clock id that clock_getcpuclockid(3) makes of a process id: linux/posix-timers.h, CPUCLOCK_SCHED.
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return None


os.register_at_fork(before=_carried.look, after_in_child=_carried.take)
