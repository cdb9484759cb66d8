"""What NVML says of a GPU's condition, for records, outside the hot path. What cannot be read is absent."""

from collections.abc import Mapping

from energybench.probes._nvml import Board, Handle, Session

# nvml.h, nvmlClocksEventReason*: why the clocks are below what was asked for.
THROTTLE_REASONS = {
    0x001: "idle",
    0x002: "application-clocks",
    0x004: "power-cap",
    0x008: "hardware-slowdown",
    0x010: "sync-boost",
    0x020: "software-thermal",
    0x040: "hardware-thermal",
    0x080: "power-brake",
    0x100: "display-clocks",
}
# Fields that count nanoseconds since the driver was loaded, so that a record can show what a window lost.
THROTTLED = {74: "power_cap", 269: "software_thermal", 270: "hardware_thermal", 271: "power_brake"}
MEMORY_TEMPERATURE, AVERAGE_POWER = 82, 185


def driver_state(session: Session) -> dict[str, object]:
    """Versions of the driver and of NVML."""
    said = {"driver": "nvmlSystemGetDriverVersion", "nvml": "nvmlSystemGetNVMLVersion"}
    return _present({name: session.ask(call) for name, call in said.items()})


def board_state(session: Session, board: Board) -> dict[str, object]:
    """Clocks in hertz, temperatures, throttling, limits and modes of one GPU, now."""
    nvml, ask = session.nvml, session.ask
    facts: dict[str, object] = {
        "name": board.name,
        "uuid": board.uuid,
        "pci": board.pci,
        "architecture": board.architecture,
        "limit_watts": board.limit_watts,
        "mig": board.is_mig,
    }
    handle = ask("nvmlDeviceGetHandleByUUID", board.uuid)
    if handle is None:
        return facts
    persistence = ask("nvmlDeviceGetPersistenceMode", handle)
    processes = ask("nvmlDeviceGetComputeRunningProcesses", handle)
    facts |= {
        "sm_hertz": _hertz(ask("nvmlDeviceGetClockInfo", handle, nvml.NVML_CLOCK_SM)),
        "memory_hertz": _hertz(ask("nvmlDeviceGetClockInfo", handle, nvml.NVML_CLOCK_MEM)),
        "celsius": _celsius(session, handle),
        "memory_celsius": _unsigned(session, handle, MEMORY_TEMPERATURE),
        "average_watts": _scaled(_unsigned(session, handle, AVERAGE_POWER), 1e-3),
        "throttle_reasons": _reasons(session, handle),
        "throttled_seconds": _throttled(session, handle),
        "persistence_mode": None if persistence is None else bool(persistence),
        "processes": None if processes is None else sorted(process.pid for process in processes),
    }
    return _present(facts)


def _present(facts: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in facts.items() if value is not None}


def _hertz(mhz: int | None) -> float | None:
    return _scaled(mhz, 1e6)


def _scaled(value: int | None, scale: float) -> float | None:
    return None if value is None else value * scale


def _celsius(session: Session, handle: Handle) -> int | None:
    sensor = session.nvml.NVML_TEMPERATURE_GPU
    new: int | None = session.ask("nvmlDeviceGetTemperatureV", handle, sensor)
    old: int | None = session.ask("nvmlDeviceGetTemperature", handle, sensor) if new is None else new
    return old


def _unsigned(session: Session, handle: Handle, number: int) -> int | None:
    value = session.field(handle, number)
    return None if value is None else int(value.uiVal)


def _reasons(session: Session, handle: Handle) -> list[str] | None:
    mask = session.ask("nvmlDeviceGetCurrentClocksEventReasons", handle)
    if mask is None:  # the name before driver 535
        mask = session.ask("nvmlDeviceGetCurrentClocksThrottleReasons", handle)
    return None if mask is None else [name for bit, name in THROTTLE_REASONS.items() if mask & bit]


def _throttled(session: Session, handle: Handle) -> dict[str, float] | None:
    read = {name: session.field(handle, number) for number, name in THROTTLED.items()}
    return {name: value.ullVal / 1e9 for name, value in read.items() if value is not None} or None
