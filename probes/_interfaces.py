"""Network interfaces: what each has transmitted, and which of them are the wires."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

LOOPBACK = "lo"
_TRANSMITTED, _UP = 8, 1


def sent_by_interface(root: Path) -> dict[str, int]:
    """Bytes that each interface of this process's network namespace has transmitted, headers included."""
    with (root / "proc/self/net/dev").open("rb") as file:
        lines = file.read().decode().splitlines()[2:]
    pairs = (line.rpartition(":") for line in lines)  # an alias has a colon in its name
    return {name.strip(): int(values.split()[_TRANSMITTED]) for name, _, values in pairs}


def wires(names: Iterable[str], root: Path) -> list[str]:
    """The interfaces whose bytes may be added up: devices that are up; without any, what stands on no other.

    A bridge, a tunnel or a bond hands its bytes on to another interface, which counts them again. In a container or a
    namespace no interface is a device: its end of the pair is the wire.
    """
    folders = {name: root / "sys/class/net" / name for name in names if name != LOOPBACK}
    up = [name for name, folder in folders.items() if _is_up(folder)]
    devices = [name for name in up if (folders[name] / "device").exists()]
    return devices or [name for name in up if not any(folders[name].glob("lower_*"))]


def _is_up(folder: Path) -> bool:
    """Unless sysfs says otherwise: it may show another namespace."""
    with suppress(OSError):
        return bool(int((folder / "flags").read_text(), 16) & _UP)
    return True
