"""Bytes that one GPU moved, added up from GPM's averages over the time between two samples.

GPM needs 100 ms between two samples. To tell the bytes up to this very moment at any read, two anchors are
kept: the last sample that ended an interval, and the one before it. A read less than 100 ms after the last
takes its average from the one before. So a window's edge leaves nothing out; what is left is when, within the
call, the hardware was sampled.
"""

import ctypes
import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from energybench.model import Clock, Reading, Unavailable
from energybench.probes._nvml import NO_FUNCTION, NO_PERMISSION, Session, failure

SHORTEST_NS: Final = 100_000_000
NOT_READY: Final = 27
# A restarted count goes on this far below: a window across the restart sees a counter that went backwards.
RESTART: Final = 1 << 62
NONSENSE: Final = 1.5
UNGATED: Final = (
    "echo options nvidia NVreg_RestrictProfilingToAdminUsers=0 | "
    "sudo tee /etc/modprobe.d/nvidia-profiling.conf && sudo update-initramfs -u && sudo reboot"
)
TOO_SOON: Final = Unavailable(
    reason="GPM was opened less than 0.1 s ago: it averages over 0.1 s at least",
    remedy="measure for at least 0.1 s",
)


class Meaning(NamedTuple):
    """What a metric's value is worth: bytes a second for one unit of it, and the most that it can be."""

    metric: int
    bytes_per_second: float
    most: float


@dataclass(slots=True)
class Anchor:
    """A sample, when it was taken, and the bytes counted by then."""

    sample: Any
    ns: int = 0
    totals: list[float] = field(default_factory=list)


def gpm_failure(code: int, call: str) -> Unavailable:
    """NVML's failures, with the remedy that is GPM's own."""
    return failure(code, call, remedy=UNGATED if code == NO_PERMISSION else None)


class Chain:
    """The running totals of one GPU's metrics."""

    def __init__(self, session: Session, uuid: str, meanings: Sequence[Meaning], clock: Clock) -> None:
        """Take the first sample.

        Raises:
            pynvml.NVMLError: NVML refuses; nothing stays allocated.
        """
        self.meanings, self.is_stale, self.call_seconds = tuple(meanings), False, 0.0
        self._session, self._uuid, self._clock = session, uuid, clock
        self._offset = 0
        self._last: list[int] = []
        self._samples: list[Any] = []
        self._old: Anchor | None = None
        try:
            self._begin()
        except session.NVMLError:
            self.close()
            raise

    def read(self) -> list[Reading]:
        """The bytes of each metric up to now, stamped at the middle of the sampling call."""
        code, ns = self._take(self._fresh)
        if code:
            return [(ns, gpm_failure(code, "nvmlGpmSampleGet"))] * len(self.meanings)
        for anchor in (self._recent, self._old):
            if anchor and ns - anchor.ns >= SHORTEST_NS:
                code = self._average(anchor)
                if code != NOT_READY:
                    return self._readings(anchor, ns, code)
        return [(ns, TOO_SOON)] * len(self.meanings)

    def keep(self, wanted: Sequence[int]) -> None:
        """Go on with some of the metrics only, by their positions."""
        self.meanings = tuple(self.meanings[i] for i in wanted)
        for anchor in filter(None, (self._recent, self._old)):
            anchor.totals = [anchor.totals[i] for i in wanted]
        self._last = [self._last[i] for i in wanted]
        self._prepare()

    def renew(self) -> None:
        """Start again with new handles and samples: after a fork, and after NVML was shut down."""
        self._samples = []
        self._restart_below()
        self._begin()

    def close(self) -> None:
        """Free the samples."""
        free = self._session.function("nvmlGpmSampleFree")
        assert free or not self._samples
        for sample in self._samples:
            free(sample)  # type: ignore[misc]
        self._samples = []

    def _begin(self) -> None:
        nvml = self._session.nvml
        self._handle = self._session.handle(self._uuid)
        for _ in range(3):
            self._samples.append(nvml.nvmlGpmSampleAlloc())
        self._recent, self._old = Anchor(self._samples[0]), None
        self._fresh, self._spare = self._samples[1], self._samples[2]
        self._prepare()
        self._anchor_at(self._recent)

    def _prepare(self) -> None:
        nvml, session = self._session.nvml, self._session
        sample, metrics = session.function("nvmlGpmSampleGet"), session.function("nvmlGpmMetricsGet")
        if sample is None or metrics is None:
            raise session.NVMLError(NO_FUNCTION)
        self._sample: Callable[..., int] = functools.partial(sample, self._handle)
        layout, one = nvml.c_nvmlGpmMetricsGet_t, nvml.c_nvmlGpmMetric_t
        self._request = request = layout(numMetrics=len(self.meanings))
        request.version = nvml.NVML_GPM_METRICS_GET_VERSION  # nvidia-ml-py leaves it 0
        self._metrics: Callable[[], int] = functools.partial(metrics, ctypes.byref(request))
        self._cells = []
        for index, meaning in enumerate(self.meanings):
            request.metrics[index].metricId = meaning.metric
            start = layout.metrics.offset + index * ctypes.sizeof(one)
            status = ctypes.c_int.from_buffer(request, start + one.nvmlReturn.offset)
            self._cells.append((status, ctypes.c_double.from_buffer(request, start + one.value.offset)))

    def _anchor_at(self, anchor: Anchor) -> None:
        code, anchor.ns = self._take(anchor.sample)
        if code:
            raise self._session.NVMLError(code)
        anchor.totals = [0.0] * len(self.meanings)
        self._last = [self._offset] * len(self.meanings)

    def _take(self, sample: Any) -> tuple[int, int]:
        before = self._clock()
        code = self._sample(sample)
        after = self._clock()
        self.call_seconds = (after - before) / 1e9
        self.is_stale = self.is_stale or code == 1
        return code, (before + after) >> 1

    def _average(self, anchor: Anchor) -> int:
        self._request.sample1, self._request.sample2 = anchor.sample, self._fresh
        return self._metrics()

    def _readings(self, anchor: Anchor, ns: int, code: int) -> list[Reading]:
        if code:
            return [(ns, gpm_failure(code, "nvmlGpmMetricsGet"))] * len(self.meanings)
        seconds = (ns - anchor.ns) / 1e9
        readings: list[Reading] = []
        totals: list[float] = []
        for index, (meaning, (status, cell)) in enumerate(zip(self.meanings, self._cells, strict=True)):
            value = cell.value
            if status.value:
                readings.append((ns, gpm_failure(status.value, f"GPM metric {meaning.metric}")))
            elif not math.isfinite(value) or not 0 <= value <= NONSENSE * meaning.most:
                return self._nonsense(ns, meaning, value)
            else:
                totals.append(anchor.totals[index] + value * meaning.bytes_per_second * seconds)
                # Averages over different times differ in their last digits: bytes never go back for it.
                self._last[index] = max(self._last[index], self._offset + int(totals[-1]))
                readings.append((ns, self._last[index]))
        if anchor is self._recent and len(totals) == len(self.meanings):
            self._rotate(ns, totals)
        return readings

    def _rotate(self, ns: int, totals: list[float]) -> None:
        free = self._old.sample if self._old else self._spare
        self._old, self._recent = self._recent, Anchor(self._fresh, ns, totals)
        self._fresh = free

    def _nonsense(self, ns: int, meaning: Meaning, value: float) -> list[Reading]:
        """A GPU that was reset: the average over the reset means nothing, so the count starts again."""
        self._restart_below()
        self._recent, self._old = Anchor(self._fresh, ns, [0.0] * len(self.meanings)), None
        self._last = [self._offset] * len(self.meanings)
        self._fresh, self._spare = (s for s in self._samples if s is not self._recent.sample)
        problem = Unavailable(
            reason=f"GPM metric {meaning.metric} is {value:.4g}, beyond its range: the GPU was reset",
            remedy="measure again",
        )
        return [(ns, problem)] * len(self.meanings)

    def _restart_below(self) -> None:
        self._offset -= RESTART
        self.is_stale = False
