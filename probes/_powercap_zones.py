"""The zones of the powercap tree: which there are, what each meters, and which show the same joules."""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from energybench.model import Domain, Reading, Unavailable

ZONE = re.compile(r"(intel-rapl|intel-rapl-mmio)((?::[0-9a-f]+)+)")
DIE = re.compile(r"(package-\d+)-die-\d+")
LAST_COUNT = 0xFFFFFFFF
UNLIMITED_WATTS = 1000.0
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
    range_uj: int


def find_zones(base: Path) -> tuple[list[Zone], dict[str, Unavailable]]:
    """Zones that carry RAPL energy, MSR and TPMI ones before their memory-mapped twins; then those that are damaged.

    Raises:
        PermissionError: `base` itself cannot be listed.
    """
    found: list[Zone] = []
    unreadable: dict[str, Unavailable] = {}
    for path in sorted(base.iterdir()) if base.is_dir() else []:
        match = ZONE.fullmatch(path.name)
        try:
            zone = _zone(path, match) if match else None
        except PermissionError as error:
            unreadable[_unread_name(path)] = hidden(Path(error.filename))
        except (OSError, ValueError) as error:
            unreadable[_unread_name(path)] = damaged(path, error)
        else:
            found += [zone] if zone else []
    return sorted(found, key=lambda zone: zone.control), unreadable


def _zone(path: Path, match: re.Match[str]) -> Zone | None:
    """The zone of a folder; None where it has no name.

    Raises:
        OSError: a file cannot be read.
        ValueError: a file holds something else than it should.
    """
    name = _strict(path / "name")
    if not name:
        return None
    range_uj = int(_strict(path / "max_energy_range_uj") or 0)
    if range_uj < 0:
        raise ValueError(f"max_energy_range_uj is {range_uj}")
    ids = match[2].rsplit(":", 1)[0]
    parent = _parent(path.parent / f"{match[1]}{ids}") if ids else ""
    return Zone(path=path, control=match[1], name=name, parent=parent, range_uj=range_uj)


def _parent(path: Path) -> str:
    try:
        return _strict(path / "name")
    except (OSError, ValueError):
        return _unread_name(path).removeprefix("cpu.")


def _unread_name(path: Path) -> str:
    """The domain of a zone whose name is unknown: in a total, one at the top is missed like a package."""
    folder = path.name.replace(":", "-")
    return f"cpu.package-{folder}" if path.name.count(":") == 1 else f"cpu.{folder}"


def declare(zones: Sequence[Zone], root: Path) -> Iterable[tuple[Domain, Zone]]:
    names: set[str] = set()
    vendor, model = _processor(root)
    by_firmware = vendor in ("AuthenticAMD", "HygonGenuine") or (vendor == "GenuineIntel" and model in MODELLING_INTEL)
    on_hardware = filesystem(zones[0].path) == "sysfs"
    for zone in zones:
        name = _domain_name(zone)
        twin, is_mapped = name if name in names else None, zone.control == "intel-rapl-mmio"
        if twin:
            name += ".mmio" if is_mapped else f".{zone.path.name.replace(':', '-')}"
        names.add(name)
        flags: tuple[str, ...] = ("firmware-model",) if by_firmware else ()
        if zone.name == "core" and vendor == "AuthenticAMD":
            flags += ("one-core-only",)  # the driver reads the per-core MSR of the zone's first processor
        yield (
            Domain(
                name=name,
                probe="powercap",
                scale=1e-6,
                resolution=max(1e-6, zone.range_uj / LAST_COUNT / 1e6),
                modulus=zone.range_uj + round(zone.range_uj / LAST_COUNT) or None,
                max_rate=_most_watts(zone.path),
                # A gain belongs to a physical sensor; a tree that is not the kernel's has none.
                gain=GAIN.get(vendor, 0.05) if on_hardware else 0.0,
                scope=_scope(zone.name),
                # A memory-mapped twin stands in where its original cannot be read; a total takes one of them.
                additive=(twin is None or is_mapped) and zone.name.startswith(("package-", "dram")),
                contains=_contents(zone, zones),
                duplicates=twin,
                flags=flags,
                source=str(zone.path / "energy_uj"),
            ),
            zone,
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
    watts = max((int(text) / 1e6 for text in declared if text.isdecimal()), default=0.0)
    return min(2 * watts, 2000.0) if watts else UNLIMITED_WATTS


def absent_dram(declared: Mapping[str, Domain | Unavailable]) -> dict[str, Unavailable]:
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


def with_mirrors(
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


def hidden(path: Path) -> Unavailable:
    """What must be opened: the first folder on the way that may not be searched, or the path itself."""
    real = Path(os.path.realpath(path))
    closed = (folder for folder in reversed(real.parents) if not os.access(folder, os.X_OK, effective_ids=True))
    target = next(closed, path)
    mode = "a+rx" if target != path or path.is_dir() else "a+r"
    return Unavailable(reason=f"permission denied: {path}", remedy=f"sudo chmod {mode} {target}")


def damaged(path: Path, error: Exception) -> Unavailable:
    return Unavailable(reason=f"{path} is damaged: {error}", remedy="measure again; see dmesg if it stays")


def _processor(root: Path) -> tuple[str, int]:
    text = _text(root / "proc/cpuinfo")
    vendor = re.search(r"^vendor_id\s*:\s*(\S+)", text, re.MULTILINE)
    model = re.search(r"^model\s*:\s*(\d+)", text, re.MULTILINE)
    return (vendor[1] if vendor else "", int(model[1]) if model else 0)


def filesystem(path: Path) -> str:
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
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _strict(path: Path) -> str:
    """What stands in a file, or nothing where there is none; everything else is an error."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""
