"""CPU, DRAM and platform energy from the kernel's powercap tree (RAPL of Intel, AMD and Hygon).

Source: Linux drivers/powercap/powercap_sys.c and intel_rapl_common.c. A zone's `energy_uj` is a 32-bit hardware
counter times a unit that the driver keeps in whole nanojoules; it starts again at 0 after `max_energy_range_uj`
and one unit more. Zone numbers are hexadecimal and say nothing about sockets: zones are told apart by `name`.
"""

import errno
import math
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from energybench.model import Clock, Domain, Reading, Unavailable
from energybench.probes._powercap_zones import (
    Zone,
    absent_dram,
    declare,
    filesystem,
    find_zones,
    hidden,
    with_mirrors,
)
from energybench.ticks import measure_ticks

PRIORITY = 10
# A read takes a few microseconds; one that takes this long was interrupted on its way.
INTERRUPTED_NS = 200_000
ATTEMPTS = 4
# How long a program that truncates a plain file may take to write it: 2 ms in all.
REWRITES, REWRITE_SECONDS = 5, 0.0005


def open_probe(*, root: Path = Path("/"), clock: Clock = time.perf_counter_ns) -> "Powercap | Unavailable":
    """Open every RAPL zone under `root`/sys/class/powercap."""
    base = root / "sys/class/powercap"
    try:
        zones, unreadable = find_zones(base)
    except PermissionError:
        return hidden(base)
    if not zones:
        absent = Unavailable(
            reason=f"no RAPL zone under {base}",
            remedy="on bare metal: sudo modprobe intel_rapl_msr; in a virtual machine the host keeps the counters",
        )
        return next(iter(unreadable.values()), absent)
    return Powercap(zones, unreadable=unreadable, root=root, clock=clock)


class Powercap:
    """Open files on every readable zone; each read is one `pread` a zone."""

    name = "powercap"

    def __init__(
        self,
        zones: Sequence[Zone],
        *,
        unreadable: Mapping[str, Unavailable] | None = None,
        root: Path = Path("/"),
        clock: Clock = time.perf_counter_ns,
    ) -> None:
        self._clock = clock
        self._paths: list[Path] = []
        self._ranges: list[float] = []
        self._fds: list[int] = []
        self._may_be_replaced = filesystem(zones[0].path) not in ("sysfs", "fuse")
        declared: dict[str, Domain | Unavailable] = {}
        for domain, zone in declare(zones, root):
            problem = self._open(zone)
            declared[domain.name] = problem or domain
        declared |= unreadable or {}
        self.domains: Mapping[str, Domain | Unavailable] = declared | absent_dram(declared)
        before = self.read()
        self.domains = with_mirrors(self._with_ticks(), before, self.read())

    def read(self) -> list[Reading]:
        """One reading a zone, stamped at the middle of its system call."""
        clock, pread = self._clock, os.pread
        readings: list[Reading] = []
        before = clock()
        for index, fd in enumerate(self._fds):
            try:
                text = pread(fd, 32, 0)
                after = clock()
                if after - before > INTERRUPTED_NS:
                    text, before, after = self._quick_pread(fd)
                if text[-1:] != b"\n" or (self._may_be_replaced and not os.fstat(fd).st_nlink):
                    text, before, after = self._reread(index)
                value = int(text)
                is_sound = 0 <= value <= self._ranges[index]
                readings.append(((before + after) >> 1, value if is_sound else self._beyond(index, value)))
            except (OSError, ValueError) as error:
                after = clock()
                readings.append((after, self._failed(index, error)))
            before = after
        return readings

    def _quick_pread(self, fd: int) -> tuple[bytes, int, int]:
        """Read again after an interruption: when a value was sampled must be known to a fraction of a tick."""
        for _ in range(ATTEMPTS):
            before = self._clock()
            text = os.pread(fd, 32, 0)
            after = self._clock()
            if after - before <= INTERRUPTED_NS:
                break
        return text, before, after

    def close(self) -> None:
        """Close the files."""
        for fd in self._fds:
            with suppress(OSError):
                os.close(fd)
        self._fds.clear()

    def _open(self, zone: Zone) -> Unavailable | None:
        path = zone.path / "energy_uj"
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            return _explain(path, error)
        self._paths.append(path)
        self._fds.append(fd)
        self._ranges.append(zone.range_uj or math.inf)
        return None

    def _reread(self, index: int) -> tuple[bytes, int, int]:
        """Follow a file that was replaced or removed; raise where the number stays incomplete.

        A program that writes plain files may be half way, or leave the newline out: what it wrote then stands still.
        """
        last = b""
        for _ in range(REWRITES if self._may_be_replaced else 1):
            self._reopen(index)
            before = self._clock()
            text = os.pread(self._fds[index], 32, 0)
            after = self._clock()
            is_whole = text.isdigit() and text == last and os.fstat(self._fds[index]).st_size == len(text)
            if text[-1:] == b"\n" or is_whole:
                return text, before, after
            last = text
            if self._may_be_replaced:
                time.sleep(REWRITE_SECONDS)
        raise ValueError(f"short read: {text!r}")

    def _reopen(self, index: int) -> None:
        fresh = os.open(self._paths[index], os.O_RDONLY | os.O_CLOEXEC)
        os.dup2(fresh, self._fds[index], inheritable=False)
        os.close(fresh)

    def _failed(self, index: int, error: Exception) -> Unavailable:
        with suppress(OSError):
            self._reopen(index)  # for the next read: a zone comes back when its module is loaded again
        return _explain(self._paths[index], error)

    def _beyond(self, index: int, value: int) -> Unavailable:
        return self._failed(index, ValueError(f"{value} is damaged: the range is 0 to {self._ranges[index]}"))

    def _with_ticks(self) -> dict[str, Domain | Unavailable]:
        ticks = iter(measure_ticks(self.read, self._clock))
        return {
            name: replace(domain, tick=next(ticks)) if isinstance(domain, Domain) else domain
            for name, domain in self.domains.items()
        }


def _explain(path: Path, error: Exception) -> Unavailable:
    code = error.errno if isinstance(error, OSError) else None
    if code in (errno.EACCES, errno.EPERM):
        return Unavailable(
            reason=f"permission denied: {path} is readable by root alone (CVE-2020-8694)",
            remedy=f"sudo chmod a+r {path}  # until the next boot; it reopens the PLATYPUS side channel",
        )
    if code in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
        return Unavailable(
            reason=f"the zone vanished: {path}", remedy="sudo modprobe intel_rapl_msr, then measure again"
        )
    return Unavailable(reason=f"{path} could not be read: {error}", remedy="measure again; see dmesg if it stays")
