"""NVIDIA GPUs through NVML: an energy counter on each, beside the power that its sensor shows.

The counter is in millijoules since the driver was loaded (Volta and newer). Nobody says how it accumulates, so
the tick is measured, and POWER_INSTANT stands beside it as a check. nvmlDeviceGetPowerUsage is a trap: from
Ampere on, the A100 apart, it is the mean of the last second.

Sensor facts: Yang, Adámek and Armour, SC24 (arXiv 2312.02741), who held 70 boards against an external meter.
Board by board the gain is off by 5 % typically, and stays off by the same amount.
"""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from energybench.model import Clock, Domain, Reading, Unavailable
from energybench.probes._nvml import (
    ABSENT,
    COUNT,
    NO_FUNCTION,
    NOT_INITIALISED,
    NOT_SUPPORTED,
    Board,
    Session,
    failure,
    find_boards,
    has_nvidia_gpu,
    open_session,
    visible_boards,
)
from energybench.probes._nvml_channel import Channel, Source, bind, failing, try_once
from energybench.probes._nvml_order import ASSUMED, VISIBLE, chosen_uuids
from energybench.probes._nvml_state import board_state, driver_state
from energybench.ticks import measure_ticks

PRIORITY = 10
ENERGY, USAGE, FIELDS = (
    "nvmlDeviceGetTotalEnergyConsumption",
    "nvmlDeviceGetPowerUsage",
    "nvmlDeviceGetFieldValues",
)
POWER_AVERAGE, POWER_INSTANT = 185, 186
BOARD_SCOPE, MODULE_SCOPE = 0, 1
GAIN = 0.05 / 3**0.5  # rectangular ±5 %
NOT_OFFERED = {NOT_SUPPORTED, NO_FUNCTION}
# A hundred milliseconds is the slowest tick known: five of them show four gaps.
TICK_LIMIT_SECONDS, TICK_CHANGES = 0.55, 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensor:
    """A power sensor looks for `window` of every `update` seconds; PowerUsage averages over `usage_mean`."""

    update: float
    window: float
    usage_mean: float
    is_studied: bool = True


SENSORS = {
    "pascal": Sensor(update=0.020, window=0.010, usage_mean=0.0),
    "volta": Sensor(update=0.020, window=0.010, usage_mean=0.0),
    "turing": Sensor(update=0.100, window=0.100, usage_mean=0.0),
    "ga100": Sensor(update=0.100, window=0.025, usage_mean=0.0),
    "ampere": Sensor(update=0.100, window=0.100, usage_mean=1.0),
    "ada": Sensor(update=0.100, window=0.100, usage_mean=1.0),
    "hopper": Sensor(update=0.100, window=0.025, usage_mean=1.0),
}
OLDER = Sensor(update=0.100, window=0.100, usage_mean=0.0, is_studied=False)
NEWER = Sensor(update=0.100, window=0.100, usage_mean=1.0, is_studied=False)


def open_probe(
    *, root: Path = Path("/"), clock: Clock = time.perf_counter_ns, environ: Mapping[str, str] = os.environ
) -> "Nvml | Unavailable":
    """Every GPU that NVML shows; with CUDA_VISIBLE_DEVICES set, those of them that it names."""
    session, code = open_session()
    if session is None:
        problem = failure(code, "nvmlInit")
        is_there = code not in ABSENT or has_nvidia_gpu(root)
        return Nvml(None, {"gpu": problem}, {}, clock=clock) if is_there else problem
    try:
        found = find_boards(session)
    except session.NVMLError as error:
        session.close()
        return Nvml(None, {"gpu": failure(error.value, COUNT)}, {}, clock=clock)  # type: ignore[attr-defined]
    boards = visible_boards(found)
    is_assumed = False
    if VISIBLE in environ:
        uuids, is_assumed = chosen_uuids(session, boards, environ)
        boards = [board for board in boards if board.uuid in uuids]
    lost = {f"gpu.{index}": board for index, board in enumerate(found) if isinstance(board, Unavailable)}
    if not boards and not lost:
        session.close()
        return _none_visible(bool(found))
    return Nvml(session, lost, {board: _packages(root, board) for board in boards}, clock=clock, is_assumed=is_assumed)


def _none_visible(is_hidden: bool) -> Unavailable:
    if is_hidden:
        return Unavailable(reason=f"{VISIBLE} hides every GPU", remedy=f"unset {VISIBLE}")
    return Unavailable(reason="NVML sees no GPU", remedy="nvidia-smi -L; in a container: docker run --gpus all")


class Nvml:
    """GPUs held open. A reading is one call through a prepared pointer, into a prepared cell."""

    name = "nvml"

    def __init__(
        self,
        session: Session | None,
        lost: Mapping[str, Unavailable],
        boards: Mapping[Board, tuple[str, ...]],
        *,
        clock: Clock = time.perf_counter_ns,
        is_assumed: bool = False,
    ) -> None:
        self._session, self._boards, self._clock = session, tuple(boards), clock
        self._pid, self._is_stale = os.getpid(), False
        self._sources: list[Source] = []
        declared: dict[str, Domain | Unavailable] = dict(lost)
        for board, packages in boards.items():
            for name, domain, source in _declare(session, board, packages, is_assumed=is_assumed) if session else ():
                declared[name] = domain
                if isinstance(domain, Domain):
                    self._sources.append(source)
        self._channels = self._bound()
        self.domains: Mapping[str, Domain | Unavailable] = _with_ticks(declared, self.read, clock)

    def read(self) -> list[Reading]:
        """One reading a domain, stamped at the middle of its call."""
        if self._is_stale or self._pid != os.getpid():
            self._renew()
        clock = self._clock
        readings: list[Reading] = []
        before = clock()
        for channel in self._channels:
            code = channel.fetch() or channel.status.value
            after = clock()
            readings.append(((before + after) >> 1, self._failed(channel, code) if code else channel.cell.value))
            before = after
        return readings

    def state(self) -> dict[str, object]:
        """The driver's version, and each GPU's clocks, temperatures, throttling, limits and modes."""
        if self._session is None:
            return {}
        said = {f"gpu.{board.index}": board_state(self._session, board) for board in self._boards}
        return driver_state(self._session) | said

    def close(self) -> None:
        """Give NVML back."""
        if self._session:
            self._session.close()

    def _failed(self, channel: Channel, code: int) -> Unavailable:
        self._is_stale = self._is_stale or code == NOT_INITIALISED
        return failure(code, channel.call)

    def _renew(self) -> None:
        """Open NVML again, in a child after a fork or where someone else shut it down."""
        self._pid, self._is_stale = os.getpid(), False
        if self._session is None:
            return
        try:
            self._session.renew()
        except self._session.NVMLError as error:
            code: int = error.value  # type: ignore[attr-defined]
            self._channels = [failing(source.describe(), code) for source in self._sources]
            self._is_stale = True
            return
        self._channels = self._bound()

    def _bound(self) -> list[Channel]:
        return [bind(self._session, source) for source in self._sources] if self._session else []


def _declare(
    session: Session, board: Board, packages: tuple[str, ...], *, is_assumed: bool
) -> list[tuple[str, Domain | Unavailable, Source]]:
    """The counter and the power of one GPU; without a counter, its power takes the place."""
    sensor = SENSORS.get(board.architecture, OLDER if board.architecture in ("kepler", "maxwell") else NEWER)
    name, counter = f"gpu.{board.index}", Source(board.uuid, ENERGY)
    code = try_once(session, counter)
    power, power_code = _power(session, board, sensor)
    joules = _domain(board, sensor, counter, packages, is_assumed=is_assumed)
    watts = replace(joules, kind="gauge", averaging=power.averaging, source=_where(power, board))
    if code in NOT_OFFERED:
        problem = failure(code, ENERGY) if power_code in NOT_OFFERED else failure(power_code, power.describe())
        return [(name, problem if power_code else watts, power)]
    beside = replace(watts, name=f"{name}.power", checks=name, additive=False, contains=())
    return [
        (name, failure(code, ENERGY) if code else joules, counter),
        (beside.name, failure(power_code, power.describe()) if power_code else beside, power),
    ]


def _domain(board: Board, sensor: Sensor, counter: Source, packages: tuple[str, ...], *, is_assumed: bool) -> Domain:
    said = {
        "parent-wide": board.is_mig,  # a MIG slice has no meter of its own
        "module-wide": board.is_module,  # Grace Hopper: the counter covers CPU and memory too
        "sensor-unstudied": not sensor.is_studied,
        ASSUMED: is_assumed,
    }
    return Domain(
        name=f"gpu.{board.index}",
        probe="nvml",
        scale=1e-3,
        resolution=1e-3,
        max_rate=2 * board.limit_watts if board.limit_watts else None,
        gain=GAIN,
        seen=sensor.window / sensor.update,
        scope="module" if board.is_module else "gpu-board",
        contains=packages if board.is_module else (),
        flags=tuple(flag for flag, is_so in said.items() if is_so),
        source=_where(counter, board),
    )


def _where(source: Source, board: Board) -> str:
    return f"{source.describe()} of {board.uuid} at {board.pci}"


def _power(session: Session, board: Board, sensor: Sensor) -> tuple[Source, int]:
    """The most immediate power that the driver offers, of the part that the counter covers."""
    scope = MODULE_SCOPE if board.is_module else BOARD_SCOPE
    choices = [
        Source(board.uuid, FIELDS, POWER_INSTANT, scope),
        Source(board.uuid, FIELDS, POWER_AVERAGE, scope, averaging=1.0),
    ]
    if not board.is_module:
        choices.append(Source(board.uuid, USAGE, averaging=sensor.usage_mean))
    tried = [(choice, try_once(session, choice)) for choice in choices]
    works = [pair for pair in tried if not pair[1]]
    denied = [pair for pair in tried if pair[1] not in NOT_OFFERED]
    return (works or denied or tried)[0]


def _packages(root: Path, board: Board) -> tuple[str, ...]:
    """The CPU domains of the socket that shares a module with this GPU."""
    device = root / "sys/bus/pci/devices" / board.pci.lower()[-12:]
    try:
        first = (device / "local_cpulist").read_text().strip().replace(",", "-").split("-")[0]
        package = (root / f"sys/devices/system/cpu/cpu{first}/topology/physical_package_id").read_text().strip()
    except OSError:
        package = str(board.index)
    return tuple(f"cpu.{part}-{package}" for part in ("socket", "package", "sysio", "dram"))


def _with_ticks(
    declared: Mapping[str, Domain | Unavailable], read: Callable[[], Sequence[Reading]], clock: Clock
) -> dict[str, Domain | Unavailable]:
    """All ticks in one spin, of half a second at most. Power that does not change shows none."""
    ticks = iter(measure_ticks(read, clock, limit_seconds=TICK_LIMIT_SECONDS, changes=TICK_CHANGES))
    return {
        name: replace(domain, tick=next(ticks)) if isinstance(domain, Domain) else domain
        for name, domain in declared.items()
    }
