"""pyRAPL's reading of the CPU's energy, repaired: a second opinion on our own powercap reader.

pyRAPL 0.2.3.1 logs through the root logger when it is imported, knows no place but /sys, says joules and
means microjoules, puts -1 for sockets that it does not read, counts zones in decimal, and sees no wraps.
"""

import errno
import importlib
import logging
import re
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from energybench.model import Clock, Domain, Reading, Unavailable
from energybench.probes import open_probe as open_by_name
from energybench.probes._cross_check import CrossCheck, compare
from energybench.ticks import measure_ticks

PRIORITY = 60
ON_REQUEST = True
PACKAGE = re.compile(r"package-(\d+)")
LAST_COUNT = 0xFFFFFFFF
GAIN = 0.05 / 3**0.5


def open_probe(*, root: Path = Path("/"), clock: Clock = time.perf_counter_ns) -> "PyRapl | Unavailable":
    """Open every package and its DRAM through pyRAPL."""
    try:
        library = _import_quietly()
    except ImportError as error:
        return Unavailable(reason=f"pyRAPL cannot be imported: {error}", remedy="pip install pyRAPL")
    zones = sorted(_packages(root / "sys/class/powercap/intel-rapl"))
    if not zones:
        return Unavailable(
            reason=f"no RAPL package under {root / 'sys/class/powercap/intel-rapl'}",
            remedy="on bare metal: sudo modprobe intel_rapl_msr; in a virtual machine the host keeps them",
        )
    return PyRapl(library, zones, clock=clock)


def cross_check(
    seconds: float = 0.2,
    *,
    root: Path = Path("/"),
    clock: Clock = time.perf_counter_ns,
    sleep: Callable[[float], None] = time.sleep,
) -> CrossCheck | Unavailable:
    """Read the same interval with pyRAPL and with our powercap probe, and compare."""
    theirs = open_probe(root=root, clock=clock)
    if isinstance(theirs, Unavailable):
        return theirs
    ours = open_by_name("powercap", root=root, clock=clock)
    if isinstance(ours, Unavailable):
        theirs.close()
        return ours
    try:
        return compare(ours, theirs, seconds, sleep)
    finally:
        ours.close()
        theirs.close()


class Device:
    """A pyRAPL device of one package, below any root; made anew after a failure: it keeps its file open."""

    def __init__(self, api: Any, package: int, zone: Path, source: Path) -> None:
        self.source = source
        self._api, self._package, self._zone = api, package, zone
        self._device: Any = _rooted(api, package, zone)

    def read(self) -> int:
        """Microjoules, which pyRAPL calls joules.

        Raises:
            OSError, ValueError: the file could not be read, or pyRAPL put -1 for it.
        """
        if self._device is None:
            self._device = _rooted(self._api, self._package, self._zone)
        microjoules = int(self._device.energy()[self._package])
        if microjoules < 0:
            raise ValueError("pyRAPL does not read this package")
        return microjoules

    def close(self) -> None:
        """Close pyRAPL's files, which it leaves open."""
        for file in vars(self._device)["_sys_files"] if self._device else []:
            with suppress(OSError):
                file.close()
        self._device = None


class PyRapl:
    """One pyRAPL device for each domain, so that one failing file takes no other down with it."""

    name = "pyrapl"

    def __init__(self, library: Any, zones: Sequence[tuple[int, Path]], *, clock: Clock) -> None:
        self._clock = clock
        self._devices: list[Device] = []
        domains: dict[str, Domain | Unavailable] = {}
        for package, zone in zones:
            name = f"cpu.package-{package}"
            domains[name] = self._open(name, library.PkgAPI, package, zone, zone)
            dram = next((p for p in sorted(zone.glob(f"{zone.name}:*")) if _text(p / "name") == "dram"), None)
            if dram:
                name = f"cpu.dram-{package}"
                domains[name] = self._open(name, library.DramAPI, package, zone, dram)
        ticks = iter(measure_ticks(self.read, clock))
        self.domains: Mapping[str, Domain | Unavailable] = {
            name: replace(domain, tick=next(ticks)) if isinstance(domain, Domain) else domain
            for name, domain in domains.items()
        }

    def read(self) -> Sequence[Reading]:
        """One reading a domain, stamped at the middle of its system calls."""
        readings: list[Reading] = []
        before = self._clock()
        for device in self._devices:
            raw: int | Unavailable
            try:
                raw = device.read()
            except (OSError, ValueError) as error:
                device.close()
                raw = _explain(device.source, error)
            after = self._clock()
            readings.append(((before + after) >> 1, raw))
            before = after
        return readings

    def close(self) -> None:
        """Close every device."""
        for device in self._devices:
            device.close()
        self._devices.clear()

    def _open(self, name: str, api: Any, package: int, zone: Path, source: Path) -> Domain | Unavailable:
        try:
            device = Device(api, package, zone, source)
            device.read()
        except (OSError, ValueError) as error:
            return _explain(source, error)
        range_uj = int(_text(source / "max_energy_range_uj") or 0)
        self._devices.append(device)
        return Domain(
            name=name,
            probe=self.name,
            scale=1e-6,
            resolution=max(1e-6, range_uj / LAST_COUNT / 1e6),
            modulus=range_uj + round(range_uj / LAST_COUNT) or None,
            max_rate=1000.0,
            gain=GAIN,
            scope=name.partition(".")[2].partition("-")[0],
            source=f"pyRAPL of {source}/energy_uj",
        )


def _import_quietly() -> Any:
    """Import it without its warning through the root logger, which would also configure logging."""

    def is_not_from_pyrapl(record: logging.LogRecord) -> bool:
        return "pyRAPL" not in record.pathname

    root_logger, silent = logging.getLogger(), logging.NullHandler()
    root_logger.addFilter(is_not_from_pyrapl)
    root_logger.addHandler(silent)  # with no handler at all, the first warning installs one
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its regular expressions are not raw strings
            return importlib.import_module("pyRAPL")
    finally:
        root_logger.removeHandler(silent)
        root_logger.removeFilter(is_not_from_pyrapl)


def _packages(control: Path) -> Iterator[tuple[int, Path]]:
    """Package number and zone. Dies (`package-0-die-1`) are left out: pyRAPL takes them all for package 0."""
    for path in control.glob("intel-rapl:*"):
        match = PACKAGE.fullmatch(_text(path / "name"))
        if match:
            yield int(match[1]), path


def _rooted(api: Any, package: int, zone: Path) -> Any:
    """A device of class `api` that reads one zone, instead of counting zones under /sys."""

    class Rooted(api):  # type: ignore[misc]  # pyRAPL has no types
        def __init__(self) -> None:
            self._socket_ids = [package]
            self._sys_files = self._open_rapl_files()

        def _get_socket_directory_names(self) -> list[tuple[str, str]]:
            return [(str(zone), zone.name.rpartition(":")[2])]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it leaves the files open in which it looks for names
        try:
            return Rooted()
        except Exception as error:  # an OSError, or pyRAPL's own for a zone that is gone
            error.__traceback__ = None  # its frames hold those files
            problem = error if isinstance(error, OSError) else OSError(errno.ENODEV, "pyRAPL cannot find it")
    raise problem


def _explain(source: Path, error: Exception) -> Unavailable:
    path = source / "energy_uj"
    if isinstance(error, PermissionError):
        return Unavailable(
            reason=f"permission denied: {path} is readable by root alone (CVE-2020-8694)",
            remedy=f"sudo chmod a+r {path}  # until the next boot; it reopens the PLATYPUS side channel",
        )
    return Unavailable(reason=f"pyRAPL could not read {path}: {error}", remedy="use the probe powercap")


def _text(path: Path) -> str:
    with suppress(OSError):
        return path.read_text().strip()
    return ""
