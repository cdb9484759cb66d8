"""What a measuring run is told, and what it tells: points, settings, progress, outcome."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol, Self

from energybench.model import Workload
from energybench.record import Record

VERSION = 1
PARAMETER = "energy_to_accuracy"
"""What a record's parameters call the accuracy that was trained to."""

Value = int | float | str | bool
Stage = Literal["preflight", "prepare", "idle", "warm-up", "windows", "training", "results", "done"]


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
        energy_to_accuracy: train to this held-out accuracy, from scratch in each of the `windows` repeats; None to
            measure steps.
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
    energy_to_accuracy: float | None = None

    def __post_init__(self) -> None:
        if self.windows < 1 or self.target_error <= 0 or (self.window_seconds or 1.0) <= 0:
            raise ValueError("a run needs at least one window, of some length, and a target error above 0")
        if self.energy_to_accuracy is not None and not 0 < self.energy_to_accuracy <= 1:
            raise ValueError(
                f"energy_to_accuracy={self.energy_to_accuracy}: give a share above 0 and at most 1, as 0.97"
            )

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


def full_parameters(point: Point, settings: Settings) -> dict[str, Value]:
    """A point's parameters as its record has them: the accuracy that was trained to is one of them."""
    target = settings.energy_to_accuracy
    return {**point.parameters, **({} if target is None else {PARAMETER: target})}


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where a run stands: `done` of `total` units of the stage, seconds left where they are known, and a word more."""

    stage: Stage
    done: int
    total: int
    point: Point | None = None
    seconds_left: float | None = None
    note: str = ""


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
