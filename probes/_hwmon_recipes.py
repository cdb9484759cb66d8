"""What each known board's channels are called here, and which of them lie inside another.

Sources: Linux drivers/hwmon/{ina3221,acpi_power_meter,amd_energy}.c, drivers/gpu/drm/{amd,i915,xe}, NVIDIA's
Grace and Jetson guides. A channel is told apart by the name of its chip and its label.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from energybench.probes._hwmon_chips import Channel, read_text

# The supply of the whole module, on boards that meter it.
JETSON_TOTAL = ("VDD_IN", "POM_5V_IN")
JETSON_RAIL = re.compile(r"(VDD|VIN|POM|VDDQ)_\w+|GPU|CPU|SOC|CV|VDDRQ|SYS5V")
UNCONNECTED = ("", "NC")  # without a label: curr4 beside in4, sums of an INA3221
GRACE = re.compile(r"(Module|Grace|CPU|SysIO) Power Socket (\d+)")
ESOCKET = re.compile(r"Esocket(\d+)")
NVIDIA, DISPLAY_CONTROLLER = "0x10de", "0x03"
GAIN_INA3221 = 0.02  # 1 to 3 % with the boards' shunts
GAIN_OTHER = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a channel belongs: the part of a `Domain` that its number does not tell."""

    channel: Channel
    name: str
    scope: str
    additive: bool = False
    contains: tuple[str, ...] = ()
    duplicates: str | None = None
    flags: tuple[str, ...] = ()
    gain: float = GAIN_OTHER


Recipe: TypeAlias = Callable[[Sequence[Channel], Path], Iterator[Place]]


def places(channels: Sequence[Channel], root: Path) -> list[Place]:
    """Each channel's place, by the recipe for its chip; where names meet, the device is added."""
    found: list[Place] = []
    for recipe, names in RECIPES.items():
        found += recipe([c for c in channels if c.chip.name in names], root)
    known = {name for names in RECIPES.values() for name in names}
    found += generic([c for c in channels if c.chip.name not in known and not _is_intel_tile(c)])
    names_taken = Counter(place.name for place in found)
    return [
        replace(place, name=f"{place.name}@{place.channel.chip.device}") if names_taken[place.name] > 1 else place
        for place in found
    ]


def jetson(channels: Sequence[Channel], _root: Path) -> Iterator[Place]:
    """Rails of a module. Where the supply is metered it holds all others; where it is not, they add up."""
    rails = [c for c in channels if c.label not in UNCONNECTED]
    total = next((c for label in JETSON_TOTAL for c in rails if c.label == label), None)
    for rail in rails:
        others = tuple(f"rail.{c.label}" for c in rails if c is not rail)
        yield Place(
            channel=rail,
            name=f"rail.{rail.label}",
            scope="module" if rail is total else "rail",
            additive=rail is total if total else bool(JETSON_RAIL.fullmatch(rail.label)),
            contains=others if rail is total else (),
            # Nobody but NVIDIA knows whether such rails miss a regulator or feed each other.
            flags=() if total else ("sum-of-rails",),
            gain=GAIN_INA3221,
        )


def acpi_meter(channels: Sequence[Channel], root: Path) -> Iterator[Place]:
    """Grace and Grace Hopper label their meters; elsewhere one without a label is the whole node's."""
    node_named = False
    for channel in channels:
        match = GRACE.fullmatch(channel.label)
        if match:
            yield _grace(channel, match[1], int(match[2]), root)
        elif channel.label:
            yield Place(channel=channel, name=f"hwmon.power_meter.{channel.label}", scope="rail")
        else:
            name = f"hwmon.power_meter.{channel.chip.device}" if node_named else "node"
            yield Place(channel=channel, name=name, scope="node", additive=not node_named)
            node_named = True


def _grace(channel: Channel, part: str, socket: int, root: Path) -> Place:
    """Module ⊇ Grace and its GPUs; Grace ⊇ CPU and SysIO (and LPDDR, which has no meter of its own)."""
    cpu = (f"cpu.package-{socket}", f"cpu.sysio-{socket}")
    grace = f"cpu.socket-{socket}"
    if part == "Module":
        contains = (grace, *cpu, *_gpus_on(socket, root))
        return Place(channel=channel, name=f"module-{socket}", scope="module", additive=True, contains=contains)
    if part == "Grace":
        return Place(channel=channel, name=grace, scope="socket", additive=True, contains=cpu)
    name, scope = (cpu[0], "package") if part == "CPU" else (cpu[1], "rail")
    return Place(channel=channel, name=name, scope=scope, additive=True)


def _gpus_on(socket: int, root: Path) -> list[str]:
    """The GPUs that hang on a Grace socket, numbered as NVML does: by PCI address."""
    devices = [
        path
        for path in sorted(root.glob("sys/bus/pci/devices/*"))
        if read_text(path / "vendor") == NVIDIA and read_text(path / "class").startswith(DISPLAY_CONTROLLER)
    ]
    near = [f"gpu.{i}" for i, path in enumerate(devices) if read_text(path / "numa_node") == str(socket)]
    return near or [f"gpu.{socket}"]


def amdgpu(channels: Sequence[Channel], _root: Path) -> Iterator[Place]:
    """A board's power; an APU's includes the processor and is then RAPL's package once more."""
    for channel in channels:
        if not channel.key.startswith("power1_"):
            continue  # power2 is a limit's second view (fast PPT)
        name = f"gpu.{channel.chip.device}"
        if channel.chip.text("in1_label") == "vddnb":  # amdgpu shows it on APUs alone
            yield Place(
                channel=channel,
                name=name,
                scope="package",
                duplicates="cpu.package-0",
                flags=("includes-cpu", "firmware-model"),
            )
        else:
            yield Place(channel=channel, name=name, scope="gpu-board", additive=True)


def intel_gpu(channels: Sequence[Channel], _root: Path) -> Iterator[Place]:
    """Channel 1 is the card, channel 2 its package; the package counts where the card is not metered."""
    for channel in channels:
        siblings = [c for c in channels if c.chip.device == channel.chip.device]
        card = next((c for c in siblings if _is_card(c)), None)
        whole = f"gpu.{channel.chip.device}"
        if channel is card:
            inside = (f"{whole}.package",) if len(siblings) > 1 else ()
            yield Place(channel=channel, name=whole, scope="gpu-board", additive=True, contains=inside)
        elif channel is next(c for c in siblings if not _is_card(c)):
            yield Place(channel=channel, name=f"{whole}.package", scope="gpu-die", additive=card is None)


def _is_card(channel: Channel) -> bool:
    return channel.label == "card" or (not channel.label and channel.key == "energy1_input")


def _is_intel_tile(channel: Channel) -> bool:
    """`i915_gt0` repeats a part of the card."""
    return bool(re.fullmatch(r"i915_gt\d+", channel.chip.name))


def amd_energy(channels: Sequence[Channel], _root: Path) -> Iterator[Place]:
    """Sockets only: `Ecore*` are inside them. They show the register that powercap's package shows."""
    for channel in channels:
        match = ESOCKET.fullmatch(channel.label)
        if match:
            yield Place(
                channel=channel,
                name=f"cpu.socket-{match[1]}",
                scope="package",
                additive=True,
                duplicates=f"cpu.package-{match[1]}",
                flags=("firmware-model",),
                gain=0.10 / 3**0.5,
            )


def hsmp(channels: Sequence[Channel], _root: Path) -> Iterator[Place]:
    """One chip a socket, in the order of their devices."""
    for socket, channel in enumerate(channels):
        yield Place(
            channel=channel,
            name=f"cpu.package-{socket}.power",
            scope="package",
            duplicates=f"cpu.package-{socket}",
            flags=("firmware-model",),
        )


def generic(channels: Sequence[Channel]) -> Iterator[Place]:
    """Any other chip: shown under its own name, never added, since nobody knows what it lies inside."""
    for channel in channels:
        label = channel.label or channel.key.partition("_")[0]
        yield Place(channel=channel, name=f"hwmon.{channel.chip.name}.{label}", scope="rail")


RECIPES: dict[Recipe, tuple[str, ...]] = {
    jetson: ("ina3221", "ina3221x"),
    acpi_meter: ("power_meter",),
    amdgpu: ("amdgpu",),
    intel_gpu: ("i915", "xe"),
    amd_energy: ("amd_energy", "zenergy"),
    hsmp: ("amd_hsmp_hwmon",),
}
