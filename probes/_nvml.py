"""NVML held open, its failures as values, and what it says of each GPU.

Source: nvml.h 13.5. `nvidia-ml-py` finds and opens the library and looks devices up; readings then go through
raw function pointers of the same library, because a wrapper's lookup and exception cost more than the call.
"""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from energybench.model import Unavailable

Handle: TypeAlias = Any
NOT_INITIALISED, NOT_SUPPORTED, NO_PERMISSION, NO_FUNCTION, UNKNOWN = 1, 3, 4, 13, 999
ABSENT = {9, 12}  # no driver loaded, no library: the machine may just have no GPU of this make
COUNT = "nvmlDeviceGetCount"
NVIDIA, DISPLAY = "0x10de", "0x03"

FAILURES: dict[int, tuple[str, str]] = {
    NOT_INITIALISED: (
        "NVML was shut down in this process",
        "measure again; leave nvmlShutdown to who called nvmlInit",
    ),
    2: ("the device handle is no longer valid", "measure again; see sudo dmesg | grep -i xid"),
    NOT_SUPPORTED: (
        "this GPU does not offer it (older than Volta, a vGPU guest, or an integrated GPU)",
        "measure at the host or with a wall meter",
    ),
    NO_PERMISSION: (
        "permission denied",
        "sudo chmod a+rw /dev/nvidiactl /dev/nvidia[0-9]*  # in a container: docker run --gpus all",
    ),
    6: (
        "NVML does not find the device",
        "nvidia-smi -L lists the devices; in a container: docker run --gpus all",
    ),
    9: ("the NVIDIA driver is not loaded", "sudo modprobe nvidia"),
    10: ("the driver did not answer in time", "measure again; sudo nvidia-smi -pm 1 keeps the driver awake"),
    12: (
        "libnvidia-ml.so.1 was not found: the NVIDIA driver is not installed",
        "sudo apt install nvidia-driver  # in a container: docker run --gpus all",
    ),
    NO_FUNCTION: (
        "the installed driver is too old: it lacks the function",
        "install NVIDIA driver 530 or newer",
    ),
    15: (
        "the GPU has fallen off the bus",
        "sudo nvidia-smi --gpu-reset, or reboot; see sudo dmesg | grep -i xid",
    ),
    16: ("the GPU needs a reset", "sudo nvidia-smi --gpu-reset"),
    18: (
        "the driver was upgraded and the old one is still loaded",
        "reboot, or: sudo rmmod nvidia_uvm nvidia_drm nvidia_modeset nvidia && sudo modprobe nvidia",
    ),
    25: ("the driver speaks another version of this call", "pip install --upgrade nvidia-ml-py"),
    27: ("the sensor is not ready", "measure for at least 0.1 s"),
    UNKNOWN: ("an unknown error of the driver", "measure again; see sudo dmesg | grep -i nvrm"),
}


def failure(code: int, call: str, *, remedy: str | None = None) -> Unavailable:
    """What an NVML return code means for who wants to measure."""
    reason, usual = FAILURES.get(code, (f"NVML error {code}", FAILURES[UNKNOWN][1]))
    return Unavailable(reason=f"{call}: {reason}", remedy=remedy or usual)


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """One GPU. `speed` is cores times hertz: what CUDA's FASTEST_FIRST order goes by, roughly.

    `architecture` splits Ampere: `ga100` is the A100 and A30, whose sensor is another one.
    """

    index: int
    uuid: str
    pci: str
    name: str
    architecture: str
    speed: float
    limit_watts: float | None
    is_mig: bool
    is_module: bool


class Session:
    """NVML, held open: without persistence mode, its counters restart when the last client goes."""

    def __init__(self) -> None:
        import pynvml

        self.nvml = pynvml
        self.NVMLError: type[Exception] = pynvml.NVMLError
        pynvml.nvmlInit()
        self._pid, self._times = os.getpid(), 1

    def renew(self) -> None:
        """Open NVML in a forked child, or after someone else shut it down. The parent's stays as it is."""
        self.nvml.nvmlInit()
        self._times = self._times + 1 if self._pid == os.getpid() else 1
        self._pid = os.getpid()

    def function(self, name: str) -> Callable[..., int] | None:
        """A raw pointer that nvidia-ml-py does not share; None where the driver lacks the function."""
        try:
            return self.nvml.nvmlLib[name]  # type: ignore[no-any-return]
        except AttributeError:
            return None

    def handle(self, uuid: str) -> Handle:
        """The device of a UUID (GPU- or MIG-)."""
        return self.nvml.nvmlDeviceGetHandleByUUID(uuid)

    def ask(self, name: str, *arguments: object) -> Any:
        """What a function says, or None where it fails: for facts that a record may lack."""
        try:
            return getattr(self.nvml, name)(*arguments)
        except (self.NVMLError, AttributeError):
            return None

    def field(self, handle: Handle, number: int, scope: int = 0) -> Any:
        """One field's value structure, or None where it fails."""
        values = self.ask("nvmlDeviceGetFieldValues", handle, [(number, scope)])
        return values[0].value if values and values[0].nvmlReturn == 0 else None

    def close(self) -> None:
        """Give NVML back where this process opened it."""
        while self._pid == os.getpid() and self._times:
            self._times -= 1
            with suppress(self.NVMLError):
                self.nvml.nvmlShutdown()


def open_session() -> tuple[Session | None, int]:
    """NVML, or None and the code with which it refused."""
    try:
        return Session(), 0
    except Exception as error:  # NVMLError's class is only known once its module is loaded
        code = getattr(error, "value", None)
        if not isinstance(code, int):
            raise
        return None, code


def find_boards(session: Session) -> list[Board | Unavailable]:
    """Every GPU of the machine in NVML's order (by PCI address), lost ones as `Unavailable`.

    Raises:
        pynvml.NVMLError: NVML does not even say how many there are.
    """
    boards: list[Board | Unavailable] = []
    for index in range(session.nvml.nvmlDeviceGetCount()):
        try:
            boards.append(_board(session, index))
        except session.NVMLError as error:
            boards.append(failure(error.value, f"GPU {index}"))  # type: ignore[attr-defined]
    return boards


def _board(session: Session, index: int) -> Board:
    nvml, ask = session.nvml, session.ask
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    limit_mw = ask("nvmlDeviceGetEnforcedPowerLimit", handle)
    cores = ask("nvmlDeviceGetNumGpuCores", handle) or 0
    sm_mhz = ask("nvmlDeviceGetMaxClockInfo", handle, nvml.NVML_CLOCK_SM) or 0
    mig_modes = ask("nvmlDeviceGetMigMode", handle)
    link = ask("nvmlDeviceGetC2cModeInfoV", handle)
    pci = ask("nvmlDeviceGetPciInfo", handle)
    return Board(
        index=index,
        uuid=_text(nvml.nvmlDeviceGetUUID(handle)),
        pci=_text(pci.busId) if pci else "",
        name=_text(ask("nvmlDeviceGetName", handle) or "NVIDIA GPU"),
        architecture=_architecture(session, handle),
        speed=cores * sm_mhz * 1e6,
        limit_watts=limit_mw / 1e3 if limit_mw else None,
        is_mig=bool(mig_modes and mig_modes[0]),
        is_module=bool(link and link.isC2cEnabled),
    )


def _architecture(session: Session, handle: Handle) -> str:
    number = session.ask("nvmlDeviceGetArchitecture", handle)
    prefix = "NVML_DEVICE_ARCH_"
    known = {value: name for name, value in vars(session.nvml).items() if name.startswith(prefix)}
    name = str(known.get(number, prefix + "UNKNOWN")).removeprefix(prefix).lower()
    if name == "ampere" and session.ask("nvmlDeviceGetCudaComputeCapability", handle) in (None, (8, 0)):
        return "ga100"
    return name


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def has_nvidia_gpu(root: Path) -> bool:
    """Whether the PCI bus shows an NVIDIA display device, with or without a driver."""
    for vendor in sorted((root / "sys/bus/pci/devices").glob("*/vendor")):
        with suppress(OSError):
            kind = (vendor.parent / "class").read_text()
            if vendor.read_text().strip() == NVIDIA and kind.startswith(DISPLAY):
                return True
    return False


def visible_boards(found: Sequence[Board | Unavailable]) -> list[Board]:
    """The boards that answered."""
    return [board for board in found if isinstance(board, Board)]
