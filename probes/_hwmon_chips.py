"""What sensor chips sysfs shows, and which power or energy channels they have.

Source: Linux Documentation/hwmon/sysfs-interface.rst. The number in `hwmonN` changes from boot to boot:
a chip is known by its name and its device. Old drivers put attributes, the name too, into `hwmonN/device/`.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from energybench.model import Kind

CHANNEL = re.compile(r"(energy|power|in|curr)(\d+)_(input|average)")
PREFERENCE = (("energy", "input"), ("power", "average"), ("power", "input"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Chip:
    """One sensor chip. `device`: the address of what it sits on, the same after a reboot (`0000:03:00.0`)."""

    name: str
    device: str
    homes: tuple[Path, ...] = field(compare=False)

    def find(self, attribute: str) -> Path | None:
        """The attribute's path, in the chip's own folder or in that of its device."""
        return next((home / attribute for home in self.homes if (home / attribute).exists()), None)

    def text(self, attribute: str) -> str:
        """The attribute without its newline; empty where there is none."""
        path = self.find(attribute)
        return read_text(path) if path else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One power or energy of a chip.

    Attributes:
        key: what finds it again after a renumbering: its attribute's name.
        label: what the board calls it.
        kind: counter (energy) or gauge (power).
        paths: one file, or voltage and current, whose product is the reading.
        scale: joules or watts of one raw count.
        averaging: seconds over which the sensor averages.
        tick: seconds between updates as the driver declares them.
    """

    chip: Chip
    key: str
    label: str
    kind: Kind = "gauge"
    paths: tuple[Path, ...] = field(compare=False)
    scale: float = 1e-6
    averaging: float = 0.0
    tick: float | None = None


def find_channels(root: Path) -> list[Channel]:
    """Every power and energy channel of this machine, in an order that does not depend on hwmon numbers."""
    chips = {chip.homes[0].resolve(): chip for chip in _chips(root)}
    channels = [channel for chip in chips.values() for channel in _channels(chip)]
    return sorted(channels, key=lambda c: (c.chip.name, c.chip.device, _number(c.key), c.key))


def read_text(path: Path) -> str:
    """The file without its newline; empty where it is missing or unreadable."""
    with suppress(OSError):
        return path.read_text().strip()
    return ""


def _chips(root: Path) -> Iterator[Chip]:
    """The class lists every chip; Jetson's older kernels keep theirs below the i2c driver."""
    drivers = root / "sys/bus/i2c/drivers"
    folders = [*root.glob("sys/class/hwmon/hwmon*"), *drivers.glob("ina3221*/*/hwmon/hwmon*")]
    for folder in sorted(folders):
        homes = (folder, folder / "device")
        name = read_text(folder / "name") or read_text(folder / "device/name")
        if name:
            yield Chip(name=name, device=_device(folder), homes=homes)
    for folder in sorted(drivers.glob("ina3221*/*/iio:device*")):
        yield Chip(name="ina3221x", device=folder.parent.name, homes=(folder,))


def _device(folder: Path) -> str:
    """`device` links to what the chip sits on; without the link it is two folders up."""
    link = folder / "device"
    return link.resolve().name if link.is_symlink() else folder.resolve().parent.parent.name


def _channels(chip: Chip) -> Iterator[Channel]:
    if chip.name == "ina3221x":
        yield from _iio_rails(chip)
        return
    found = {match[0]: match for match in map(CHANNEL.fullmatch, _attributes(chip)) if match}
    numbers = sorted({(match[1], int(match[2])) for match in found.values()})
    for kind, number in numbers:
        if kind in ("energy", "power"):
            yield _best(chip, kind, number, found)
    if not any(kind in ("energy", "power") for kind, _ in numbers):
        yield from _volts_times_amps(chip, found)


def _attributes(chip: Chip) -> list[str]:
    return [path.name for home in chip.homes if home.is_dir() for path in home.iterdir()]


def _best(chip: Chip, kind: str, number: int, found: dict[str, re.Match[str]]) -> Channel:
    """The average where there is one: it sees all of the time, an instant does not."""
    form = next(form for part, form in PREFERENCE if part == kind and f"{kind}{number}_{form}" in found)
    key = f"{kind}{number}_{form}"
    path = chip.find(key)
    assert path
    interval_ms = chip.text(f"power{number}_average_interval") if form == "average" else ""
    return Channel(
        chip=chip,
        key=key,
        label=chip.text(f"{kind}{number}_label") or chip.text(f"{kind}{number}_oem_info"),
        kind="counter" if kind == "energy" else "gauge",
        paths=(path,),
        averaging=int(interval_ms) / 1e3 if interval_ms.isdigit() else 0.0,
        tick=_declared_tick(chip, interval_ms),
    )


def _volts_times_amps(chip: Chip, found: dict[str, re.Match[str]]) -> Iterator[Channel]:
    """Millivolts times milliamperes are microwatts."""
    for number in sorted(int(match[2]) for match in found.values() if match[1] == "curr"):
        volts, amps = chip.find(f"in{number}_input"), chip.find(f"curr{number}_input")
        if volts and amps:
            label = chip.text(f"in{number}_label") or chip.text(f"curr{number}_label")
            key = f"in{number}_input*curr{number}_input"
            yield Channel(chip=chip, key=key, label=label, paths=(volts, amps), tick=_declared_tick(chip, ""))


def _iio_rails(chip: Chip) -> Iterator[Channel]:
    for path in sorted(chip.homes[0].glob("rail_name_*")):
        number = path.name.rpartition("_")[2]
        milliwatts = chip.find(f"in_power{number}_input")
        if milliwatts:
            yield Channel(chip=chip, key=milliwatts.name, label=read_text(path), paths=(milliwatts,), scale=1e-3)


def _declared_tick(chip: Chip, interval_ms: str) -> float | None:
    text = interval_ms or chip.text("update_interval")
    return int(text) / 1e3 if text.isdigit() and int(text) else None


def _number(key: str) -> int:
    match = re.search(r"\d+", key)
    return int(match[0]) if match else 0
