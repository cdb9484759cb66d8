"""CPU, DRAM and platform energy from the kernel's powercap tree (RAPL of Intel, AMD and Hygon).

Source: Linux drivers/powercap/powercap_sys.c and intel_rapl_common.c. A zone's `energy_uj` is a 32-bit hardware
counter times a unit that the driver keeps in whole nanojoules; it starts again at 0 after `max_energy_range_uj`
and one unit more. Zone numbers are hexadecimal and say nothing about sockets: zones are told apart by `name`.
"""

import errno
import os
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from energybench.model import Clock, Domain, Reading, Unavailable
from energybench.ticks import measure_ticks

PRIORITY = 10
ZONE = re.compile(r"(intel-rapl|intel-rapl-mmio)((?::[0-9a-f]+)+)")
DIE = re.compile(r"(package-\d+)-die-\d+")
LAST_COUNT = 0xFFFFFFFF
UNLIMITED_WATTS = 1000.0
# A read takes a few microseconds; one that takes this long was interrupted on its way.
INTERRUPTED_NS = 200_000
ATTEMPTS = 4
# Rectangular ±5 % (Intel) and ±10 % (AMD's firmware model): no vendor states a figure; external-meter studies do.
GAIN = {"GenuineIntel": 0.05 / 3**0.5, "AuthenticAMD": 0.10 / 3**0.5, "HygonGenuine": 0.10 / 3**0.5}
# Sandy and Ivy Bridge model their RAPL from event counts; from Haswell on it is measured at the regulator.
MODELLING_INTEL = {42, 45, 58, 62}


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """One directory of the tree: `control` is intel-rapl or intel-rapl-mmio, `parent` its parent zone's name."""

    path: Path
    control: str
    name: str
    parent: str


def open_probe(*, root: Path = Path("/"), clock: Clock = time.perf_counter_ns) -> "Powercap | Unavailable":
    """Open every RAPL zone under `root`/sys/class/powercap."""
    base = root / "sys/class/powercap"
    zones = find_zones(base)
    if not zones:
        return Unavailable(
            reason=f"no RAPL zone under {base}",
            remedy="on bare metal: sudo modprobe intel_rapl_msr; in a virtual machine the host keeps the counters",
        )
    return Powercap(zones, root=root, clock=clock)


def find_zones(base: Path) -> list[Zone]:
    """Zones that carry RAPL energy, MSR and TPMI ones before their memory-mapped twins."""
    found = []
    for path in sorted(base.iterdir()) if base.is_dir() else []:
        match = ZONE.fullmatch(path.name)
        name = _text(path / "name") if match else ""
        if match and name:
            ids = match[2].rsplit(":", 1)[0]
            parent = _text(base / f"{match[1]}{ids}" / "name") if ids else ""
            found.append(Zone(path=path, control=match[1], name=name, parent=parent))
    return sorted(found, key=lambda zone: zone.control)


class Powercap:
    """Open files on every readable zone; each read is one `pread` a zone."""

    name = "powercap"

    def __init__(self, zones: Sequence[Zone], *, root: Path = Path("/"), clock: Clock = time.perf_counter_ns) -> None:
        self._clock = clock
        self._paths: list[Path] = []
        self._fds: list[int] = []
        self._may_be_replaced = _filesystem(zones[0].path) not in ("sysfs", "fuse")
        declared: dict[str, Domain | Unavailable] = {}
        for domain, path in _declare(zones, root):
            problem = self._open(path)
            declared[domain.name] = problem or domain
        self.domains: Mapping[str, Domain | Unavailable] = declared | _absent_dram(declared)
        before = self.read()
        self.domains = _with_mirrors(self._with_ticks(), before, self.read())

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
                    text, after = self._reread(index)
                readings.append(((before + after) >> 1, int(text)))
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

    def _open(self, path: Path) -> Unavailable | None:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            return _explain(path, error)
        self._paths.append(path)
        self._fds.append(fd)
        return None

    def _reread(self, index: int) -> tuple[bytes, int]:
        """Follow a file that was replaced or removed; raise where the number stays incomplete."""
        self._reopen(index)
        text = os.pread(self._fds[index], 32, 0)
        if text[-1:] != b"\n":
            raise ValueError(f"short read: {text!r}")
        return text, self._clock()

    def _reopen(self, index: int) -> None:
        fresh = os.open(self._paths[index], os.O_RDONLY | os.O_CLOEXEC)
        os.dup2(fresh, self._fds[index], inheritable=False)
        os.close(fresh)

    def _failed(self, index: int, error: Exception) -> Unavailable:
        with suppress(OSError):
            self._reopen(index)  # for the next read: a zone comes back when its module is loaded again
        return _explain(self._paths[index], error)

    def _with_ticks(self) -> dict[str, Domain | Unavailable]:
        ticks = iter(measure_ticks(self.read, self._clock))
        return {
            name: replace(domain, tick=next(ticks)) if isinstance(domain, Domain) else domain
            for name, domain in self.domains.items()
        }


def _declare(zones: Sequence[Zone], root: Path) -> Iterable[tuple[Domain, Path]]:
    names: set[str] = set()
    vendor, model = _processor(root)
    by_firmware = vendor in ("AuthenticAMD", "HygonGenuine") or (vendor == "GenuineIntel" and model in MODELLING_INTEL)
    on_hardware = _filesystem(zones[0].path) == "sysfs"
    for zone in zones:
        name = _domain_name(zone)
        twin = name if name in names else None
        if twin:
            name += ".mmio" if zone.control == "intel-rapl-mmio" else f".{zone.path.name.replace(':', '-')}"
        names.add(name)
        range_uj = int(_text(zone.path / "max_energy_range_uj") or 0)
        flags: tuple[str, ...] = ("firmware-model",) if by_firmware else ()
        if zone.name == "core" and vendor == "AuthenticAMD":
            flags += ("one-core-only",)  # the driver reads the per-core MSR of the zone's first processor
        yield (
            Domain(
                name=name,
                probe="powercap",
                scale=1e-6,
                resolution=max(1e-6, range_uj / LAST_COUNT / 1e6),
                modulus=range_uj + round(range_uj / LAST_COUNT) or None,
                max_rate=_most_watts(zone.path),
                # A gain belongs to a physical sensor; a tree that is not the kernel's has none.
                gain=GAIN.get(vendor, 0.05) if on_hardware else 0.0,
                scope=_scope(zone.name),
                additive=twin is None and zone.name.startswith(("package-", "dram")),
                contains=_contents(zone, zones),
                duplicates=twin,
                flags=flags,
                source=str(zone.path / "energy_uj"),
            ),
            zone.path / "energy_uj",
        )


def _domain_name(zone: Zone) -> str:
    if zone.name.startswith("package-"):
        return f"cpu.{zone.name}"
    if zone.name.startswith("psys"):
        return f"platform.{zone.name}"
    return f"cpu.{zone.name}-{zone.parent.removeprefix('package-')}" if zone.parent else f"cpu.{zone.name}"


def _scope(zone_name: str) -> str:
    if DIE.fullmatch(zone_name):
        return "die"
    return "platform" if zone_name.startswith("psys") else zone_name.split("-")[0]


def _contents(zone: Zone, zones: Sequence[Zone]) -> tuple[str, ...]:
    """A package holds its cores and uncore; its DRAM stands outside. psys holds everything."""
    if zone.name.startswith("psys"):
        inside = [z for z in zones if z.name.startswith(("package-", "dram"))]
    else:
        inside = [z for z in zones if z.parent == zone.name and z.name != "dram"]
    return tuple(dict.fromkeys(_domain_name(z) for z in inside))


def _most_watts(zone: Path) -> float:
    """Twice the highest declared limit, at most 2 kW; 1 kW where nothing is declared (AMD, DRAM)."""
    declared = [
        _text(path) for part in ("max_power_uw", "power_limit_uw") for path in zone.glob(f"constraint_*_{part}")
    ]
    watts = max((int(text) / 1e6 for text in declared if text.isdigit()), default=0.0)
    return min(2 * watts, 2000.0) if watts else UNLIMITED_WATTS


def _absent_dram(declared: Mapping[str, Domain | Unavailable]) -> dict[str, Unavailable]:
    """A package without a DRAM counter (AMD, most Intel clients): say that memory is left out."""
    packages = {match[1] for name in declared if (match := re.match(r"cpu\.package-(\d+)", name))}
    absent = {f"cpu.dram-{n}" for n in sorted(packages) if not any(d.startswith(f"cpu.dram-{n}") for d in declared)}
    return {
        name: Unavailable(
            reason="this processor has no DRAM counter: memory is not included",
            remedy="an external meter covers memory; compare only totals that leave it out alike",
        )
        for name in sorted(absent)
    }


def _with_mirrors(
    domains: Mapping[str, Domain | Unavailable], before: Sequence[Reading], after: Sequence[Reading]
) -> dict[str, Domain | Unavailable]:
    """Mark dies that show one socket counter: before Linux 6.12, AMD's zones `package-0-die-*` were one and the same.

    Mirrors stand at nearly the same count and moved by nearly the same amount; genuine dies do neither.
    """
    readable = [domain for domain in domains.values() if isinstance(domain, Domain)]
    first: dict[str, tuple[str, int, int]] = {}
    marked = dict(domains)
    for domain, (_, start), (_, end) in zip(readable, before, after, strict=True):
        package = DIE.fullmatch(domain.name.removeprefix("cpu."))
        if not package or not isinstance(start, int) or not isinstance(end, int):
            continue
        twin, its_end, its_change = first.setdefault(package[1], (domain.name, end, end - start))
        same_place = abs(end - its_end) <= 0.005 * max(end, its_end)
        same_change = abs(end - start - its_change) <= 0.1 * max(end - start, its_change)
        if twin != domain.name and same_place and same_change:
            marked[domain.name] = replace(domain, additive=False, duplicates=twin, flags=(*domain.flags, "mirror"))
    return marked


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


def _processor(root: Path) -> tuple[str, int]:
    text = _text(root / "proc/cpuinfo")
    vendor = re.search(r"^vendor_id\s*:\s*(\S+)", text, re.MULTILINE)
    model = re.search(r"^model\s*:\s*(\d+)", text, re.MULTILINE)
    return (vendor[1] if vendor else "", int(model[1]) if model else 0)


def _filesystem(path: Path) -> str:
    """The type of the file system that a path is on: sysfs for the kernel's own counters."""
    device = path.stat().st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in _text(Path("/proc/self/mountinfo")).splitlines():
        fields, _, tail = line.partition(" - ")
        if fields.split()[2] == wanted:
            return tail.split()[0].split(".")[0]
    return ""


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
