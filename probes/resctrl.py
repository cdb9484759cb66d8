"""Memory bytes of this process and its children, counted by the L3 monitors behind /sys/fs/resctrl.

Source: Linux Documentation/filesystems/resctrl.rst. The only memory traffic that is this process's own. A
group has a monitoring id; threads put into it, and what they fork afterwards, are counted wherever they run.
Root can make the group `energybench` beforehand and give its `tasks` to a user, who then need not make one.
"""

import errno
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from energybench.model import Clock, Domain, Reading, Unavailable

PRIORITY = 40
PREMADE = "energybench"
FEATURE = "mbm_total_bytes"
# The kernel's own self-test allows 8 % against the memory controllers (mbm_test.c); rectangular.
GAIN = 0.08 / 3**0.5
MOST_PASSES = 100
# What stands in a counter's place, and what it means.
WORDS = {
    b"Unavailable": "the hardware gives no count: the group is new, or the processor lacks a counter for it",
    b"Error": "the hardware reports an error for this group",
    b"Unassigned": "no hardware counter is assigned to the group",
}
REMEDIES = {
    errno.EACCES: "sudo mkdir {mon}/energybench && sudo chown $USER {mon}/energybench/tasks",
    errno.EPERM: "sudo mkdir {mon}/energybench && sudo chown $USER {mon}/energybench/tasks",
    errno.EROFS: "mount resctrl writable, or run outside the container",
    errno.ENOSPC: "all monitoring ids are in use: remove a group, sudo rmdir {mon}/NAME",
    errno.EBUSY: "freed monitoring ids are still in use by the cache: wait a minute, then measure again",
}


def open_probe(
    *,
    root: Path = Path("/"),
    clock: Clock = time.perf_counter_ns,
    make_group: Callable[[Path], None] = Path.mkdir,
    remove_group: Callable[[Path], None] = Path.rmdir,
    pid: int | None = None,
) -> "Resctrl | Unavailable":
    """Put this process (or `pid`) with all its threads into a monitoring group."""
    base = root / "sys/fs/resctrl"
    lacking = _lacking(base)
    if lacking:
        return lacking
    pid = pid or os.getpid()
    groups = _groups(base, root / f"proc/{pid}")
    group, ours = _group(groups, pid)
    try:
        if ours:
            make_group(group)
        _move_threads(group / "tasks", root / f"proc/{pid}/task")
        return Resctrl(group, pid, remove_group if ours else None, clock=clock)
    except OSError as error:
        if ours and group.is_dir():
            with suppress(OSError):
                remove_group(group)
        return _explain(error, groups)


class Resctrl:
    """A monitoring group and the open counters of its L3 domains."""

    name = "resctrl"

    def __init__(self, group: Path, pid: int, remove_group: Callable[[Path], None] | None, *, clock: Clock) -> None:
        self._group, self._pid, self._remove_group, self._clock = group, pid, remove_group, clock
        self._fds: list[int] = []
        self._settled = False  # the first count after a group is made, or after a word, means nothing
        self._open()
        domain = Domain(
            name="mbm.process-group",
            probe=self.name,
            quantity="dram_bytes",
            resolution=64.0,
            gain=GAIN,
            scope="process-group",
            exclusive=True,
            source=f"{group}/mon_data/mon_L3_*/{FEATURE}",
        )
        self.domains: Mapping[str, Domain | Unavailable] = {domain.name: domain}
        self._sum()

    def read(self) -> list[Reading]:
        """Bytes since the group was made, summed over the L3 domains, at the middle of the system calls."""
        before = self._clock()
        raw = self._sum()
        return [((before + self._clock()) >> 1, raw)]

    def close(self) -> None:
        """Close the counters; remove the group if it is ours: its id is free then, its threads the root's."""
        self._close()
        if self._remove_group:
            with suppress(OSError):
                self._remove_group(self._group)

    def _open(self) -> None:
        """Parents only: `mon_sub_L3_*` below them are the same bytes, by sub-NUMA cluster."""
        if str(self._pid) not in (self._group / "tasks").read_text().split():
            # Somebody removed the group and made it again: its count would stay at 0 for ever.
            raise ProcessLookupError(errno.ESRCH, "process is no longer in it", str(self._group))
        for path in sorted(self._group.glob(f"mon_data/mon_L3_*/{FEATURE}")):
            self._fds.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        if not self._fds:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), f"{self._group}/mon_data/mon_L3_*")

    def _close(self) -> None:
        while self._fds:
            with suppress(OSError):
                os.close(self._fds.pop())

    def _texts(self) -> list[bytes]:
        if not self._fds:
            self._open()
        texts = [os.pread(fd, 64, 0).strip() for fd in self._fds]
        if b"" in texts:
            raise OSError(errno.EIO, "short read", str(self._group))
        return texts

    def _sum(self) -> int | Unavailable:
        try:
            texts = self._texts()
        except OSError as error:
            self._close()  # opened afresh by the next read
            self._settled = False
            return _explain(error, self._group.parent)
        word = next((text for text in texts if not text.isdigit()), None)
        if word is not None:
            self._settled = False
            return _no_number(word, self._group)
        if not self._settled:
            self._settled = True
            return Unavailable(reason=f"{self._group.name} has only just begun to count", remedy="measure again")
        return sum(int(text) for text in texts)


def _lacking(base: Path) -> Unavailable | None:
    try:
        features = (base / "info/L3_MON/mon_features").read_text().split()
    except PermissionError as error:
        return _explain(error, base / "mon_groups")
    except OSError:
        return Unavailable(
            reason=f"no L3 monitoring under {base}",
            remedy=f"where /proc/cpuinfo says cqm_mbm_total: sudo mount -t resctrl resctrl {base}",
        )
    if FEATURE in features:
        return None
    return Unavailable(
        reason=f"this processor monitors {', '.join(features) or 'nothing'}, not memory bytes",
        remedy="use the memory controllers' counters: the probe perf_event",
    )


def _groups(base: Path, process: Path) -> Path:
    """Where a group for this process may be: inside the control group that the process is in."""
    with suppress(OSError):
        for line in (process / "cpu_resctrl_groups").read_text().splitlines():
            if line.startswith("res:"):
                return base / line.removeprefix("res:").strip().strip("/") / "mon_groups"
    return base / "mon_groups"


def _group(groups: Path, pid: int) -> tuple[Path, bool]:
    """The group to use, and whether it is ours to make and to remove."""
    premade = groups / PREMADE
    return (premade, False) if premade.is_dir() else (groups / f"{PREMADE}_{pid}", True)


def _move_threads(tasks: Path, threads: Path) -> None:
    """Move every thread, one write each; look again until none was born meanwhile and missed it."""
    moved: set[str] = set()
    fd = os.open(tasks, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    try:
        for _ in range(MOST_PASSES):
            new = {path.name for path in threads.iterdir()} - moved
            if not new:
                return
            for thread in new:
                with suppress(ProcessLookupError):  # it has ended
                    os.write(fd, f"{thread}\n".encode())
            moved |= new
    finally:
        os.close(fd)
    raise OSError(errno.EAGAIN, "the process makes threads faster than they can be moved", str(tasks))


def _no_number(word: bytes, group: Path) -> Unavailable:
    text = word.decode(errors="replace")
    remedy = "measure again; stop other users of resctrl, pqos and LIKWID if it stays"
    if word == b"Unassigned":
        remedy = f"echo 'mbm_total_bytes:*=e' | sudo tee {group / 'mbm_L3_assignments'}"
    reason = WORDS.get(word, "no number")
    return Unavailable(reason=f"{group.name} reads {text!r}: {reason}", remedy=remedy)


def _explain(error: OSError, groups: Path) -> Unavailable:
    remedy = REMEDIES.get(error.errno or 0, "measure again; see info/last_cmd_status if it stays")
    return Unavailable(reason=f"resctrl: {error}", remedy=remedy.format(mon=groups))
