"""A compiled libnvidia-ml.so.1 under the real nvidia-ml-py: GPUs whose joules and bytes are known exactly."""

import ctypes
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent / "nvml.c"
HOPPER, ADA, AMPERE, VOLTA, PASCAL = 9, 8, 7, 5, 4
DRAM, PCIE_TX, PCIE_RX, NVLINK_RX, NVLINK_TX = 10, 20, 21, 60, 61


def build_nvml(folder: Path, *without: str) -> Path:
    """Compile the library; `without` names what an old driver lacks: ENERGY, FIELDS, GPM."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "libnvidia-ml.so.1"
    lacks = [f"-DNO_{part}" for part in without]
    flags = ["-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror", "-pthread", *lacks]
    subprocess.run(["cc", *flags, "-o", str(path), str(SOURCE), "-lm"], check=True)
    return path


class NvmlLibrary:
    """The library of one test, with its GPUs' power, traffic and faults in hand.

    Args:
        path: what `build_nvml` made.
        clock_step_seconds: how far the virtual clock moves each time that it is read.
        settings: FAKE_NVML_* variables without that prefix: GPUS, ARCH, WATTS, PERIOD_US, MIG, C2C …
    """

    def __init__(
        self, path: Path, *, is_virtual: bool = True, clock_step_seconds: float = 2e-4, **settings: object
    ) -> None:
        import pynvml

        self.path = path
        self.step = clock_step_seconds
        self.settings = {f"FAKE_NVML_{name}": str(value) for name, value in settings.items()}
        self._c = _declared(ctypes.CDLL(str(path)))
        self._pynvml = pynvml
        self._before = pynvml.nvmlLib
        pynvml.nvmlLib = self._c
        pynvml._nvmlGetFunctionPointer_cache.clear()
        self.restart(is_virtual=is_virtual)

    def restart(self, *, is_virtual: bool = True) -> None:
        """New GPUs at time 0, as `settings` describe them."""
        kept = {name: os.environ.get(name) for name in self.settings}
        os.environ.update(self.settings)
        self._c.fake_reset(int(is_virtual))
        for name, value in kept.items():
            os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)

    def close(self) -> None:
        self._pynvml.nvmlLib = self._before
        self._pynvml._nvmlGetFunctionPointer_cache.clear()

    def without(self, folder: Path, *parts: str) -> "NvmlLibrary":
        """The same GPUs under a driver that lacks ENERGY, FIELDS or GPM; close it before this one."""
        settings = {name.removeprefix("FAKE_NVML_"): value for name, value in self.settings.items()}
        return NvmlLibrary(build_nvml(folder, *parts), clock_step_seconds=self.step, **settings)

    def environment(self) -> Mapping[str, str]:
        """For a process of its own that shall find this library by its name."""
        return os.environ | self.settings | {"LD_LIBRARY_PATH": str(self.path.parent)}

    def clock(self) -> int:
        """The machine's clock in nanoseconds; looking at it takes `step`."""
        self._c.fake_advance(self.step * 1e6)
        return round(self._c.fake_now_us() * 1e3)

    @property
    def seconds(self) -> float:
        return float(self._c.fake_now_us()) / 1e6

    def advance(self, seconds: float) -> None:
        self._c.fake_advance(seconds * 1e6)

    sleep = advance

    def power(self, gpu: int, watts: float) -> None:
        """From now on the GPU draws `watts`."""
        self._c.fake_wave(gpu, watts, 0.0, 0.0, 0.0)

    def wave(self, gpu: int, low: float, high: float, *, period: float, duty: float = 0.5) -> None:
        """From now on it draws `high` watts for `duty` of each `period` seconds, then `low`."""
        self._c.fake_wave(gpu, low, high, period * 1e6, duty)

    def joules(self, gpu: int, begin: float, end: float) -> float:
        """What the GPU truly used between two times in seconds."""
        return float(self._c.fake_true_uj(gpu, begin * 1e6, end * 1e6)) / 1e6

    def traffic(self, gpu: int, metric: int, value: float) -> None:
        """From now on a GPM metric is `value`: per cent of the peak for DRAM, MiB/s for links."""
        self._c.fake_traffic(gpu, metric, value)

    def fail(self, function: str, code: int, *, gpu: int = -1) -> None:
        """A function returns `code` from now on; `field186` and `gpm10` name one field and one metric."""
        self._c.fake_fail(function.encode(), gpu, code)

    def heal(self) -> None:
        self._c.fake_heal()

    def freeze(self, gpu: int) -> None:
        """The energy counter stands still."""
        self._c.fake_freeze(gpu)

    def restart_counter(self, gpu: int) -> None:
        """The energy counter starts again at 0, as when the driver is loaded anew."""
        self._c.fake_restart_counter(gpu)

    def name(self, gpu: int, name: str, *, cores: int = 16896) -> None:
        self._c.fake_name(gpu, name.encode(), cores)

    @property
    def samples_alive(self) -> int:
        """GPM samples that were allocated and not freed."""
        return int(self._c.fake_samples_alive())

    @property
    def clients(self) -> int:
        """How often this process has NVML open."""
        return int(self._c.fake_references())


def _declared(library: ctypes.CDLL) -> ctypes.CDLL:
    real, whole, text = ctypes.c_double, ctypes.c_int, ctypes.c_char_p
    for name, arguments, result in (
        ("fake_reset", [whole], None),
        ("fake_advance", [real], None),
        ("fake_now_us", [], real),
        ("fake_wave", [whole, real, real, real, real], None),
        ("fake_true_uj", [whole, real, real], real),
        ("fake_traffic", [whole, whole, real], None),
        ("fake_fail", [text, whole, whole], None),
        ("fake_heal", [], None),
        ("fake_freeze", [whole], None),
        ("fake_restart_counter", [whole], None),
        ("fake_name", [whole, text, ctypes.c_uint], None),
        ("fake_samples_alive", [], ctypes.c_ulonglong),
        ("fake_references", [], ctypes.c_uint),
    ):
        function = getattr(library, name)
        function.argtypes, function.restype = arguments, result
    return library


@pytest.fixture(scope="session")
def nvml_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The fake, complete; its folder is what LD_LIBRARY_PATH takes."""
    return build_nvml(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def nvml(nvml_library: Path) -> Iterator[NvmlLibrary]:
    """Two Hopper GPUs of 100 W on a virtual clock; `restart` with other `settings` for another machine."""
    library = NvmlLibrary(nvml_library, GPUS=2, ARCH=HOPPER, WATTS=100)
    yield library
    library.close()
