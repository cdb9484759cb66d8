"""A powercap tree behind FUSE whose energy is known exactly at every moment.

Each package draws a square wave; its counter ticks, wraps and is served fresh at each read, as sysfs does. Run as a
program it mounts the tree and serves it until it is unmounted:

    python powercap_fuse.py MOUNTPOINT '{"tick": 0.001, "range_joules": 262143.32885}' PACKAGES
"""

import errno
import json
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class SquareWave:
    """Watts between two levels, each for half a period; energy counted from moment 0 of the monotonic clock."""

    low_watts: float = 55.0
    high_watts: float = 85.0
    period: float = 0.0137
    tick: float = 0.001
    range_joules: float = 262143.32885
    start_joules: float = 100.0

    def joules(self, seconds: float) -> float:
        """The energy used since moment 0, exact."""
        periods, rest = divmod(seconds, self.period)
        half = self.period / 2
        in_period = self.high_watts * min(rest, half) + self.low_watts * max(rest - half, 0.0)
        return self.start_joules + periods * half * (self.high_watts + self.low_watts) + in_period

    def energy_uj(self, seconds: float) -> int:
        """What the counter shows: the energy at the last tick, wrapped."""
        at_tick = seconds // self.tick * self.tick
        return int(self.joules(at_tick) * 1e6) % (round(self.range_joules * 1e6) + 1)


class Tree:
    """The files of the zones, in the nested and the flat place; a file operation class for fusepy.

    `fault` is a file to write while the tree is served: lines such as `0 EIO` give zone 0 an errno name, or SHORT
    for half a number, FREEZE and BACKWARD for counters that stand still or fall. An empty file ends all faults.
    """

    def __init__(self, wave: SquareWave, packages: int = 1) -> None:
        self.wave = wave
        self.faults: dict[int, tuple[str, int]] = {}
        self.static: dict[str, bytes] = {}
        self.counters: dict[str, int] = {}
        for number in range(packages):
            files = {
                "name": f"package-{number}",
                "max_energy_range_uj": str(round(wave.range_joules * 1e6)),
                "enabled": "1",
                "constraint_0_name": "long_term",
                "constraint_0_max_power_uw": "100000000",
            }
            for zone in (f"/intel-rapl/intel-rapl:{number:x}", f"/intel-rapl:{number:x}"):
                self.static |= {f"{zone}/{name}": f"{text}\n".encode() for name, text in files.items()}
                self.counters[f"{zone}/energy_uj"] = number
        names = [*self.static, *self.counters, "/fault"]
        self.folders = {str(parent) for name in names for parent in Path(name).parents}
        self.names = set(names)

    def counter(self, number: int) -> bytes:
        fault, frozen = self.faults.get(number, ("", 0))
        if fault in ("", "FREEZE", "BACKWARD", "SHORT"):
            now = self.wave.energy_uj(time.perf_counter())
            value = {"FREEZE": frozen, "BACKWARD": max(frozen - 5_000_000, 0)}.get(fault, now)
            text = f"{value}\n".encode()
            return text[: len(text) // 2] if fault == "SHORT" else text
        raise OSError(getattr(errno, fault), fault)

    def __call__(self, operation: str, path: str, *arguments: object) -> object:
        return getattr(self, operation)(path, *arguments) if hasattr(self, operation) else 0

    def truncate(self, path: str, length: int, handle: object = None) -> int:
        return 0

    def access(self, path: str, mode: int) -> int:
        return 0

    def open(self, path: str, flags: int) -> int:
        return 0

    def getattr(self, path: str, handle: object = None) -> dict[str, float]:
        if path in self.folders:
            return {"st_mode": stat.S_IFDIR | 0o755, "st_nlink": 2}
        if path not in self.names:
            raise OSError(errno.ENOENT, path)
        return {
            "st_mode": stat.S_IFREG | (0o644 if path == "/fault" else 0o444),
            "st_nlink": 1,
            "st_size": 4096,
        }

    def readdir(self, path: str, handle: object) -> list[str]:
        names = self.names | self.folders
        return [".", "..", *(Path(n).name for n in names if n != "/" and str(Path(n).parent) == path)]

    def read(self, path: str, size: int, offset: int, handle: object) -> bytes:
        if path in self.counters:
            return self.counter(self.counters[path])[offset : offset + size]
        return self.static.get(path, b"")[offset : offset + size]

    def write(self, path: str, data: bytes, offset: int, handle: object) -> int:
        frozen = self.wave.energy_uj(time.perf_counter())
        pairs = [line.split() for line in data.decode().splitlines() if line.strip()]
        self.faults = {int(number): (fault, frozen) for number, fault in pairs}
        return len(data)


def serve(mount_point: str, settings: str, packages: str = "1") -> None:
    """Mount and answer until unmounted; in the foreground, one thread."""
    from fuse import FUSE

    tree = Tree(SquareWave(**json.loads(settings)), int(packages))
    FUSE(tree, mount_point, foreground=True, nothreads=True, direct_io=True, attr_timeout=0, entry_timeout=0)


@contextmanager
def mounted(mount_point: Path, wave: SquareWave, packages: int = 1) -> Iterator[Path]:
    """The tree at a mount point, served by a process of its own; FileNotFoundError without FUSE."""
    mount_point.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, __file__, str(mount_point), json.dumps(asdict(wave)), str(packages)]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 15
        while not (mount_point / "fault").exists():
            if server.poll() is not None or time.monotonic() > deadline:
                raise FileNotFoundError(f"FUSE did not mount: {server.stderr and server.stderr.read()}")
            time.sleep(0.02)
        yield mount_point
    finally:
        subprocess.run(["fusermount", "-u", "-z", str(mount_point)], check=False, capture_output=True)
        server.terminate()
        server.communicate(timeout=10)


if __name__ == "__main__":
    serve(*sys.argv[1:])
