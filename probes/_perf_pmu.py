"""What sysfs says about performance monitoring units: events, how to encode them, on which processors.

Source: Linux Documentation/ABI/testing/sysfs-bus-event_source-devices-{format,events}.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from energybench.probes._perf_syscall import EventConfig

WORDS = ("config", "config1", "config2")
BYTES = {"Bytes": 1.0, "KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pmu:
    """One directory of /sys/bus/event_source/devices. `cpus`: one for each package or die that it counts."""

    name: str
    path: Path
    type: int
    cpus: tuple[int, ...]

    def events(self) -> list[str]:
        """Names of the events that the kernel describes; a virtual machine's PMU may have none."""
        folder = self.path / "events"
        return (
            sorted(p.name for p in folder.iterdir() if p.suffix not in (".scale", ".unit", ".snapshot", ".per-pkg"))
            if folder.is_dir()
            else []
        )

    def encode(self, terms: str) -> EventConfig:
        """Place `event=0x04,umask=0x0f` where the format files say.

        Raises:
            ValueError: a term that this PMU does not have, or a value too large for it.
        """
        words = dict.fromkeys(WORDS, 0)
        for term in terms.strip().split(","):
            key, _, text = term.strip().partition("=")
            value = int(text, 0) if text else 1
            word, bits = (key, list(range(64))) if key in WORDS else self._format(key)
            for bit in bits:
                words[word] |= (value & 1) << bit
                value >>= 1
            if value:
                raise ValueError(f"{self.name}: {term} does not fit in {len(bits)} bits")
        return EventConfig(type=self.type, **words)

    def event(self, name: str) -> tuple[EventConfig, float, str]:
        """The event's encoding, what one count is worth, and in which unit.

        Raises:
            OSError, ValueError: the description is missing or makes no sense.
        """
        folder = self.path / "events"
        config = self.encode((folder / name).read_text())
        scale = read_text(folder / f"{name}.scale")
        return config, float(scale) if scale else 1.0, read_text(folder / f"{name}.unit")

    def _format(self, key: str) -> tuple[str, list[int]]:
        """`config:0-7,32-35` means: the value's low byte in bits 0 to 7, the next four bits from 32 on."""
        spec = read_text(self.path / "format" / key)
        word, _, bits = spec.partition(":")
        if word not in WORDS:
            raise ValueError(f"{self.name} has no term {key!r}: {spec!r}")
        return word, parse_ranges(bits)


def find_pmus(root: Path) -> Iterator[Pmu]:
    """Every PMU with a type; one that cannot be read is left out."""
    base = root / "sys/bus/event_source/devices"
    for path in sorted(base.iterdir(), key=_natural) if base.is_dir() else []:
        kind = read_text(path / "type")
        if kind.isdigit():
            cpus = parse_ranges(read_text(path / "cpumask")) or [0]
            yield Pmu(name=path.name, path=path, type=int(kind), cpus=tuple(cpus))


def parse_ranges(text: str) -> list[int]:
    """`0-3,8` is 0, 1, 2, 3, 8."""
    numbers: list[int] = []
    for part in filter(None, text.strip().split(",")):
        first, _, last = part.partition("-")
        numbers += range(int(first), int(last or first) + 1)
    return numbers


def package_of(root: Path, cpu: int) -> int:
    """The physical package of a processor; ids need not start at 0. Without topology there is one: 0."""
    text = read_text(root / f"sys/devices/system/cpu/cpu{cpu}/topology/physical_package_id")
    return max(int(text), 0) if text.lstrip("-").isdigit() else 0


def die_of(root: Path, cpu: int) -> int:
    """The die of a processor inside its package."""
    text = read_text(root / f"sys/devices/system/cpu/cpu{cpu}/topology/die_id")
    return int(text) if text.isdigit() else 0


def vendor_of(root: Path) -> str:
    """`GenuineIntel`, `AuthenticAMD`, `HygonGenuine`; empty on ARM."""
    match = re.search(r"^vendor_id\s*:\s*(\S+)", read_text(root / "proc/cpuinfo"), re.MULTILINE)
    return match[1] if match else ""


def read_text(path: Path) -> str:
    """The attribute without its newline; empty where it is missing or unreadable."""
    with suppress(OSError):
        return path.read_text().strip()
    return ""


def _natural(path: Path) -> tuple[str, int]:
    match = re.fullmatch(r"(.*?)(\d*)", path.name)
    assert match
    return match[1], int(match[2] or -1)
