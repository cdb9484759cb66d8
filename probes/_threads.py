"""How long each thread of a process computed and how long it waited for a processor.

Source: /proc/PID/task/*/schedstat, nanoseconds by the scheduler (Linux Documentation/scheduler/sched-stats.rst). What
remains of a thread's time it was blocked: it slept, or waited for a message, a lock or a disk.
"""

import os
import time
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from energybench.model import Unavailable


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadTime:
    """A thread's name, its seconds on a processor, and its seconds in the queue for one, since it began."""

    name: str
    cpu_seconds: float
    queued_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadSpan:
    """What the threads of a process did in a span of time.

    Attributes:
        cpu_seconds: of the main thread, on a processor.
        queued_seconds: of the main thread, ready and waiting for one.
        blocked_seconds: of the main thread: the rest.
        other_cpu_seconds: of all other threads, by name. One that ended in the span is not in it.
    """

    cpu_seconds: float
    queued_seconds: float
    blocked_seconds: float
    other_cpu_seconds: Mapping[str, float]


def thread_times(root: Path = Path("/"), pid: int | str = "self") -> dict[int, ThreadTime]:
    """Every thread by its id; nothing where the kernel keeps no such account. Costs some 30 µs a thread.

    The calling thread is exact to the moment. What another has computed since the scheduler last looked at it, at
    most one of its ticks (1 to 10 ms), comes with the next reading.
    """
    time.thread_time()  # the kernel brings the calling thread's account up to date for this, and for no file
    times: dict[int, ThreadTime] = {}
    tasks = root / f"proc/{pid}/task"
    for name in sorted(os.listdir(tasks), key=int) if tasks.is_dir() else ():  # noqa: PTH208 -- names, not paths
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended
            times[int(name)] = _thread_time(tasks / name)
    return times


def span(
    before: Mapping[int, ThreadTime], after: Mapping[int, ThreadTime], *, seconds: float, main: int
) -> ThreadSpan | Unavailable:
    """What happened between two readings that lie `seconds` apart; `main` is the main thread's id, the process's."""
    first, last = before.get(main), after.get(main)
    if first is None or last is None or not last.cpu_seconds:
        return Unavailable(
            reason=f"the scheduler keeps no account of thread {main}: /proc/{main}/schedstat is absent or 0",
            remedy="use a kernel with CONFIG_SCHED_INFO",
        )
    cpu, queued = last.cpu_seconds - first.cpu_seconds, last.queued_seconds - first.queued_seconds
    others: defaultdict[str, float] = defaultdict(float)
    for thread, now in after.items():
        if thread != main:
            others[now.name] += now.cpu_seconds - (before[thread].cpu_seconds if thread in before else 0.0)
    return ThreadSpan(
        cpu_seconds=cpu,
        queued_seconds=queued,
        blocked_seconds=seconds - cpu - queued,
        other_cpu_seconds=dict(others),
    )


def _thread_time(task: Path) -> ThreadTime:
    computed, queued, _ = (task / "schedstat").read_text().split()
    return ThreadTime(
        name=(task / "comm").read_text().rstrip("\n"), cpu_seconds=int(computed) / 1e9, queued_seconds=int(queued) / 1e9
    )
