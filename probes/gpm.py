"""Memory, PCIe and NVLink traffic of NVIDIA GPUs from Hopper on, through NVML's GPU performance monitoring.

GPM tells DRAM traffic as per cent of a theoretical peak. The peak is taken as memory clock x 2 x bus width;
whether GPM divides by the same is not documented, so `calibrate` finds the factor with a copy of known size
and keeps it by UUID. Without it the bytes are flagged `uncalibrated`. Links are told in MiB/s.
"""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from energybench.model import Clock, Domain, Quantity, Reading, Unavailable, UnknownNameError
from energybench.probes._gpm_calibration import (
    Calibration,
    default_path,
    load,
    measure_factor,
    save,
    torch_copy,
)
from energybench.probes._gpm_chain import SHORTEST_NS, Chain, Meaning, gpm_failure
from energybench.probes._nvml import COUNT, Board, Session, failure, find_boards, open_session, visible_boards
from energybench.probes._nvml_order import ASSUMED, VISIBLE, chosen_uuids

PRIORITY = 20
GAIN = 0.05
DRAM = 10
MIB = 2.0**20
PCIE_MIB = 128e9 / MIB  # 16 lanes of generation 6, one way
NVLINK_MIB = 1.8e12 / MIB  # the sixth generation, one way
SUPPORT = "nvmlGpmQueryDeviceSupport"


class Metric(NamedTuple):
    """A GPM metric that is a rate of bytes, and the most of it that is possible. TX is what the GPU sends."""

    number: int
    name: str
    quantity: Quantity
    most: float


METRICS = (
    Metric(DRAM, "dram", "dram_bytes", 100.0),
    Metric(20, "pcie-tx", "pcie_bytes", PCIE_MIB),
    Metric(21, "pcie-rx", "pcie_bytes", PCIE_MIB),
    Metric(61, "nvlink-tx", "nvlink_bytes", NVLINK_MIB),
    Metric(60, "nvlink-rx", "nvlink_bytes", NVLINK_MIB),
)


def open_probe(
    *,
    root: Path = Path("/"),  # noqa: ARG001 - every probe takes it; GPM has no file of its own
    clock: Clock = time.perf_counter_ns,
    environ: Mapping[str, str] = os.environ,
    calibration: Path | None = None,
) -> "Gpm | Unavailable":
    """The GPUs that have GPM, of those that CUDA_VISIBLE_DEVICES names where it is set."""
    session, code = open_session()
    if session is None:
        return failure(code, "nvmlInit")
    try:
        boards, is_assumed = visible_boards(find_boards(session)), False
    except session.NVMLError as error:
        session.close()
        return failure(error.value, COUNT)  # type: ignore[attr-defined]
    if VISIBLE in environ:
        uuids, is_assumed = chosen_uuids(session, boards, environ)
        boards = [board for board in boards if board.uuid in uuids]
    supported = [board for board in boards if _has_gpm(session, board)]
    if not supported:
        old = session.function(SUPPORT) is None
        session.close()
        return Unavailable(
            reason="the NVIDIA driver is too old for GPM" if old else "no visible GPU has GPM: it came with Hopper",
            remedy="install NVIDIA driver 530 or newer" if old else "for older GPUs: ncu or DCGM (field 1005)",
        )
    factors = load(calibration or default_path(environ))
    return Gpm(session, supported, factors, clock=clock, is_assumed=is_assumed)


class Gpm:
    """Chains of samples, one a GPU; each read takes one more and tells all bytes up to it."""

    name = "gpm"

    def __init__(
        self,
        session: Session,
        boards: Sequence[Board],
        factors: Mapping[str, Calibration],
        *,
        clock: Clock = time.perf_counter_ns,
        is_assumed: bool = False,
    ) -> None:
        self._session, self._pid, self._factors = session, os.getpid(), dict(factors)
        self._clock = clock
        self._chains: list[Chain] = []
        self.domains: Mapping[str, Domain | Unavailable] = {}
        started = [(board, _start(session, board, factors.get(board.uuid), clock)) for board in boards]
        _wait_for_an_interval(clock)
        declared: dict[str, Domain | Unavailable] = {}
        for board, chain in started:
            declared |= self._declare(board, chain, is_assumed=is_assumed)
        self.domains = declared

    def read(self) -> list[Reading]:
        """One reading a domain."""
        if self._pid != os.getpid() or any(chain.is_stale for chain in self._chains):
            self._renew()
        return [reading for chain in self._chains for reading in chain.read()]

    def state(self) -> dict[str, object]:
        """The calibration factors in use, by GPU."""
        return {uuid: {"dram_factor": known.factor} for uuid, known in self._factors.items()}

    def close(self) -> None:
        """Free the samples, and give NVML back."""
        for chain in self._chains:
            chain.close()
        self._session.close()

    def _renew(self) -> None:
        is_forked, self._pid = self._pid != os.getpid(), os.getpid()
        try:
            self._session.renew()
            for chain in self._chains:
                chain.renew()
            if is_forked:
                _wait_for_an_interval(self._clock)  # else a child's first window has nothing to begin from
        except self._session.NVMLError:
            for chain in self._chains:
                chain.is_stale = True  # each read says why until NVML opens again

    def _declare(
        self, board: Board, chain: Chain | Unavailable, *, is_assumed: bool
    ) -> dict[str, Domain | Unavailable]:
        names = [f"gpu.{board.index}.{metric.name}" for metric in METRICS]
        if isinstance(chain, Unavailable):
            return dict.fromkeys(names, chain)
        first, call_seconds = chain.read(), chain.call_seconds
        declared: dict[str, Domain | Unavailable] = {}
        for name, metric, meaning, (_, raw) in zip(names, METRICS, chain.meanings, first, strict=True):
            declared[name] = (
                raw
                if isinstance(raw, Unavailable)
                else self._domain(name, board, metric, meaning, call_seconds, is_assumed=is_assumed)
            )
        readable = [i for i, name in enumerate(names) if isinstance(declared[name], Domain)]
        chain.keep(readable)
        self._chains.append(chain)
        return declared

    def _domain(
        self,
        name: str,
        board: Board,
        metric: Metric,
        meaning: Meaning,
        call_seconds: float,
        *,
        is_assumed: bool,
    ) -> Domain:
        known = self._factors.get(board.uuid) if metric.number == DRAM else None
        most = meaning.most * meaning.bytes_per_second
        said = {
            "derived": True,
            "uncalibrated": metric.number == DRAM and known is None,
            "parent-wide": board.is_mig,
            ASSUMED: is_assumed,
        }
        return Domain(
            name=name,
            probe="gpm",
            quantity=metric.quantity,
            # Within the call nobody knows when the hardware was looked at: the residual at a window's edge.
            resolution=most * call_seconds,
            max_rate=2 * most,
            gain=known.standard_uncertainty if known else GAIN,
            scope="gpu-board",
            additive=False,
            flags=tuple(flag for flag, is_so in said.items() if is_so),
            source=f"GPM metric {metric.number} of {board.uuid} at {board.pci}",
        )


def _has_gpm(session: Session, board: Board) -> bool:
    handle = session.ask("nvmlDeviceGetHandleByUUID", board.uuid)
    said = session.ask(SUPPORT, handle) if handle is not None else None
    return bool(said and said.isSupportedDevice)


def _start(session: Session, board: Board, known: Calibration | None, clock: Clock) -> Chain | Unavailable:
    peak = peak_bytes_per_second(session, board)
    if peak is None:
        return Unavailable(
            reason="the driver does not tell memory clock and bus width, so GPM's per cent mean nothing",
            remedy="install NVIDIA driver 530 or newer",
        )
    dram = Meaning(DRAM, peak / 100 * (known.factor if known else 1.0), 100.0)
    links = [Meaning(metric.number, MIB, metric.most) for metric in METRICS[1:]]
    try:
        return Chain(session, board.uuid, [dram, *links], clock)
    except session.NVMLError as error:
        return gpm_failure(error.value, "nvmlGpmSampleGet")  # type: ignore[attr-defined]


def peak_bytes_per_second(session: Session, board: Board) -> float | None:
    """Memory clock x 2 (both edges) x bus width: 3.352e12 for an H100 SXM."""
    handle = session.ask("nvmlDeviceGetHandleByUUID", board.uuid)
    if handle is None:
        return None
    mhz = session.ask("nvmlDeviceGetMaxClockInfo", handle, session.nvml.NVML_CLOCK_MEM)
    bits = session.ask("nvmlDeviceGetMemoryBusWidth", handle)
    return mhz * 1e6 * 2 * bits / 8 if mhz and bits else None


def _wait_for_an_interval(clock: Clock) -> None:
    """Let the shortest interval of GPM pass, so that every later read has a sample to start from."""
    deadline = clock() + SHORTEST_NS + SHORTEST_NS // 10
    time.sleep(SHORTEST_NS / 0.9e9)
    while clock() < deadline:
        pass  # a clock that is not the machine's


def calibrate(
    uuid: str,
    *,
    copy: Callable[[], int] | None = None,
    path: Path | None = None,
    clock: Clock = time.perf_counter_ns,
    seconds: float = 1.0,
    repeats: int = 5,
) -> Calibration:
    """Find and keep the factor from GPM's DRAM bytes to true ones, on a GPU that nobody else uses.

    Args:
        uuid: the GPU, as `nvidia-smi -L` prints it.
        copy: moves a known number of bytes and returns it when done; torch's copy on the device if not given.
        path: the file to keep the factor in; the user's own if not given.
        clock: nanoseconds.
        seconds: how long one run of copies is.
        repeats: how many runs.

    Raises:
        UnknownNameError: NVML or torch sees no such GPU.
        RuntimeError: GPM cannot be read there.
    """
    session, code = open_session()
    if session is None:
        raise RuntimeError(_sentence(failure(code, "nvmlInit")))
    try:
        board = next((b for b in _answering(session) if b.uuid == uuid), None)
        if board is None:
            raise UnknownNameError(f"NVML sees no GPU {uuid}; nvidia-smi -L lists them")
        chain = _start(session, board, None, clock)
        if isinstance(chain, Unavailable):
            raise RuntimeError(_sentence(chain))  # noqa: TRY004 - a value that says why, not a wrong type
        chain.keep([0])
        try:
            _wait_for_an_interval(clock)
            moved = copy or torch_copy(uuid)
            found = measure_factor(lambda: _dram(chain), moved, clock=clock, seconds=seconds, repeats=repeats)
        finally:
            chain.close()
    finally:
        session.close()
    save(path or default_path(), uuid, found)
    return found


def _answering(session: Session) -> list[Board]:
    try:
        return visible_boards(find_boards(session))
    except session.NVMLError as error:
        raise RuntimeError(_sentence(failure(error.value, COUNT))) from error  # type: ignore[attr-defined]


def _dram(chain: Chain) -> int:
    ((_, raw),) = chain.read()
    if isinstance(raw, Unavailable):
        raise RuntimeError(_sentence(raw))  # noqa: TRY004 - likewise
    return raw


def _sentence(problem: Unavailable) -> str:
    return f"{problem.reason}; {problem.remedy}"
