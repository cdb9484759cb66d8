"""What a measuring run is told, and what it tells: points, settings, progress, outcome."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol, Self

from energybench.model import Workload
from energybench.record import Record

VERSION = 1

Value = int | float | str | bool
Stage = Literal["preflight", "prepare", "idle", "warm-up", "windows", "results", "done"]


class Point(Protocol):
    """One workload with a value for each of its parameters."""

    @property
    def workload(self) -> Workload:
        """What runs."""
        ...

    @property
    def parameters(self) -> Mapping[str, Value]:
        """With which values."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How to measure.

    Attributes:
        windows: measured windows for each point; they are the repeats of the statistics.
        window_seconds: the length of a window; from tick and target error where None.
        target_error: relative error (k=2) that the sensor's tick may cause in a window.
        min_seconds: no window is shorter.
        max_seconds: no window is longer for the sensor's sake.
        idle_seconds: length of each idle baseline; 0 for none.
        warmup_seconds: the most that a point is warmed up.
        align: edges wait for the counters' ticks.
        trace_hz: keep a power trace of the windows.
        seed: of the workload and of the order of points.
        quick: smaller tasks.
        dephase: steps may be separated by short rests where a sensor looks away (see `energybench.dephase`).
        table: the energy table of modelled joules.
    """

    windows: int = 5
    window_seconds: float | None = None
    target_error: float = 0.01
    min_seconds: float = 1.0
    max_seconds: float = 60.0
    idle_seconds: float = 30.0
    warmup_seconds: float = 60.0
    align: bool = False
    trace_hz: float | None = None
    seed: int = 0
    quick: bool = False
    dephase: bool = True
    table: str = "horowitz-45nm"

    def __post_init__(self) -> None:
        if self.windows < 1 or self.target_error <= 0 or (self.window_seconds or 1.0) <= 0:
            raise ValueError("a run needs at least one window, of some length, and a target error above 0")

    @classmethod
    def quickly(cls, **changes: Any) -> Self:
        """A look in seconds: three short windows, short baselines, smaller tasks."""
        short = cls(
            windows=3,
            target_error=0.03,
            min_seconds=0.3,
            max_seconds=10.0,
            idle_seconds=2.0,
            warmup_seconds=5.0,
            quick=True,
        )
        return replace(short, **changes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where a run stands: `done` of `total` units of the stage, and its seconds left where they are known."""

    stage: Stage
    done: int
    total: int
    point: Point | None = None
    seconds_left: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A point that could not be measured; the others went on."""

    point: Point
    error: Exception


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run gave: records and their files in the order of the points, and the points that failed."""

    records: list[Record]
    paths: list[Path]
    failures: list[Failure]
