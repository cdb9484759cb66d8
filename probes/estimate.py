"""Joules where nothing can be read: CPU time and elapsed time through a power model, with an honest interval.

The watts are those of a whole server per hardware thread, idle and at full load, from the Cloud Carbon Footprint
coefficients of April 2026 (derived from SPECpower results). Studies find models of this kind off by up to 40 %
on a known machine (Fischer, arXiv 2509.22092); a virtual machine hides its processor, its neighbours and its
share of the idle power, so the interval is at least a factor of two each way.
"""

import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from energybench.cpu_time import cpu_seconds
from energybench.model import Clock, Domain, Estimate, Reading, Unavailable

PRIORITY = 90
SOURCE = "Cloud Carbon Footprint coefficients, 2026-04"


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerModel:
    """Watts of a whole server per hardware thread, and the factor of the interval."""

    name: str
    idle_watts: float
    full_watts: float
    factor: float


UNKNOWN = PowerModel(name="unknown processor", idle_watts=0.8, full_watts=3.0, factor=3.0)
# Vendor, family, models and first stepping as CPUID gives them; idle and full watts per thread; factor. Two
# exceptions: SPECpower's own file gives Genoa a third to two thirds of these watts, so its interval is wider; the
# coefficients for Turin are an outlier against the same file, so its watts are read there.
ROWS = (
    ("GenuineIntel", 6, {85}, 5, "Cascade Lake", 0.69, 4.06, 2.0),
    ("GenuineIntel", 6, {85}, 0, "Skylake-SP", 0.61, 4.10, 2.0),
    ("GenuineIntel", 6, {106, 108}, 0, "Ice Lake-SP", 0.77, 3.76, 2.0),
    ("GenuineIntel", 6, {143}, 0, "Sapphire Rapids", 1.04, 4.16, 2.0),
    ("GenuineIntel", 6, {207}, 0, "Emerald Rapids", 0.81, 4.48, 2.0),
    ("GenuineIntel", 6, {173}, 0, "Granite Rapids", 0.58, 2.53, 2.0),
    ("AuthenticAMD", 23, {1}, 0, "EPYC Naples", 0.85, 2.60, 2.0),
    ("AuthenticAMD", 23, {49}, 0, "EPYC Rome", 0.47, 1.69, 2.0),
    ("AuthenticAMD", 25, {0, 1}, 0, "EPYC Milan", 0.46, 1.96, 2.0),
    ("AuthenticAMD", 25, {17, 160}, 0, "EPYC Genoa", 0.74, 2.28, 3.0),
    ("AuthenticAMD", 26, {2, 17}, 0, "EPYC Turin (SPECpower 2026-03)", 0.23, 1.32, 2.0),
)


def open_probe(
    *,
    root: Path = Path("/"),
    clock: Clock = time.perf_counter_ns,
    cpu: Callable[[], float] = cpu_seconds,
    threads: int | None = None,
) -> "EstimateProbe":
    """Choose the power model by the processor that `root`/proc/cpuinfo names."""
    return EstimateProbe(find_model(root), threads=threads or os.cpu_count() or 1, clock=clock, cpu=cpu)


def find_model(root: Path) -> PowerModel:
    """The model of this processor; one for unknown processors, with a wider interval, where none fits."""
    path = root / "proc/cpuinfo"
    text = path.read_text() if path.is_file() else ""
    vendor = re.search(r"^vendor_id\s*:\s*(\S+)", text, re.MULTILINE)
    family, model, stepping = (
        int(match[1]) if (match := re.search(rf"^{key}\s*:\s*(\d+)", text, re.MULTILINE)) else -1
        for key in ("cpu family", "model", "stepping")
    )
    for its_vendor, its_family, its_models, first_stepping, name, idle, full, factor in ROWS:
        same = vendor and vendor[1] == its_vendor and family == its_family and model in its_models
        if same and stepping >= first_stepping:
            return PowerModel(name=name, idle_watts=idle, full_watts=full, factor=factor)
    return UNKNOWN


class EstimateProbe:
    """A counter in microjoules: every thread's idle power, and its busy power for the CPU time of this process."""

    name = "estimate"

    def __init__(self, model: PowerModel, *, threads: int, clock: Clock, cpu: Callable[[], float]) -> None:
        self.model, self._threads, self._clock, self._cpu = model, threads, clock, cpu
        self._start_ns = clock()
        self.domains: Mapping[str, Domain | Unavailable] = {
            "node.estimate": Domain(
                name="node.estimate",
                probe="estimate",
                scale=1e-6,
                resolution=1e-6,
                scope="node",
                provenance="estimated",
                additive=False,
                source=f"{SOURCE}: {model.name}, {threads} threads at {model.idle_watts}–{model.full_watts} W",
            )
        }

    def read(self) -> list[Reading]:
        """Estimated microjoules since the probe was opened."""
        now = self._clock()
        idle = self.model.idle_watts * self._threads * (now - self._start_ns) / 1e9
        busy = (self.model.full_watts - self.model.idle_watts) * self._cpu()
        return [(now, int((idle + busy) * 1e6))]

    def interval(self, joules: float) -> Estimate:
        """The estimate of a window with its interval: a factor each way, not a sigma."""
        factor = self.model.factor
        source = self.domains["node.estimate"]
        assert isinstance(source, Domain)
        return Estimate(
            joules=joules,
            low=joules / factor,
            high=joules * factor,
            model=f"{source.source}, ×/÷ {factor:g}",
            idle_watts=self.model.idle_watts * self._threads,
        )

    def close(self) -> None:
        """Nothing is held."""
