"""The analog experiment: error against mismatch by arm, from `details.analog.rows`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

from energybench.reports.bits import settings
from energybench.reports.frames import Stored
from energybench.reports.numbers import quantity
from energybench.reports.plotting import MARKERS, colours, legend, logarithmic, panel_axes, tick, widened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEAST_ERROR = 1e-3
"""An error of 0 has no place on a logarithmic axis: it is drawn here, at 0.1 %."""
APART = 0.012
"""Between two arms at one mismatch, in widths of the axis: their bars must not lie on one another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """The error of one arm at one mismatch: mean, lowest and highest over the seeds."""

    arm: str
    mismatch: float
    mean: float
    low: float
    high: float
    seeds: int


def points(record: Mapping[str, Any]) -> list[Point]:
    """Rows of a record by arm and mismatch, in the order in which the arms were told; without what is no number."""
    found: dict[tuple[str, float], list[float]] = {}
    for row in listed(record, "rows"):
        if all(is_number(row.get(name)) for name in ("mismatch", "error")) and row.get("arm"):
            found.setdefault((str(row["arm"]), float(row["mismatch"])), []).append(float(row["error"]))
    return [
        Point(arm=arm, mismatch=mismatch, mean=fmean(errors), low=min(errors), high=max(errors), seeds=len(errors))
        for (arm, mismatch), errors in found.items()
    ]


def panels(stored: Sequence[Stored]) -> dict[str, tuple[str, list[Point]]]:
    """Heading and points of each record that has some, by the name of its panel."""
    words = settings([one.record["parameters"] for one in stored])
    found = [(setting, points(one.record)) for one, setting in zip(stored, words, strict=True)]
    kept = [(setting or "Error against mismatch", drawn) for setting, drawn in found if drawn]
    return {f"error-{number}": one for number, one in enumerate(kept, start=1)}


def figures(stored: Sequence[Stored], *, dark: bool = False) -> "dict[str, Figure]":
    """Error against mismatch: a panel for each record."""
    return {name: _figure(heading, found, dark=dark) for name, (heading, found) in panels(stored).items()}


def alt(stored: Sequence[Stored], name: str) -> str:
    """What a panel shows, in a sentence: each arm at the least and at the largest mismatch."""
    _, found = panels(stored)[name]
    levels = sorted({point.mismatch for point in found})
    ends = [levels[0], levels[-1]] if len(levels) > 1 else levels
    parts = []
    for arm in dict.fromkeys(point.arm for point in found):
        told = [
            f"{quantity(point.mean, '%')} at {tick(point.mismatch, '%')}"
            for at in ends
            for point in found
            if (point.arm, point.mismatch) == (arm, at)
        ]
        parts.append(f"{arm} {', '.join(told)}" if told else arm)
    seeds = max(point.seeds for point in found)
    return f"Error against device mismatch, mean over {seeds} seed{'s' if seeds > 1 else ''}: {'; '.join(parts)}."


def listed(record: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """The rows of a list in a record's `details.analog`; none where there is no such list."""
    told = (record.get("details") or {}).get("analog")
    rows = told.get(name) if isinstance(told, Mapping) else None
    return [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []


def is_number(value: object) -> bool:
    """Whether it is a whole or a real number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _figure(heading: str, found: Sequence[Point], *, dark: bool) -> "Figure":
    arms = list(dict.fromkeys(point.arm for point in found))
    inks = dict(zip(arms, colours(len(arms), dark=dark), strict=True))
    levels = sorted({point.mismatch for point in found})
    width = (levels[-1] - levels[0]) or 0.1
    with panel_axes(heading, "mismatch of devices", "held-out error", dark=dark) as (figure, axis):
        for number, arm in enumerate(arms):
            own = sorted((point for point in found if point.arm == arm), key=lambda point: point.mismatch)
            shift = (number - (len(arms) - 1) / 2) * APART * width
            _draw(axis, own, shift, {"color": inks[arm], "marker": MARKERS[number % len(MARKERS)]})
        _scale(axis, found, levels, width)
        legend(
            figure,
            [
                (arm, {"color": inks[arm], "marker": MARKERS[n % len(MARKERS)], "linestyle": _dashes(arm)})
                for n, arm in enumerate(arms)
            ],
            dark=dark,
        )
    return figure


def _dashes(arm: str) -> str:
    """Learnt on the device itself, or elsewhere: what the experiment is about is told by the line."""
    return "-" if "situ" in arm else "--"


def _draw(axis: "Axes", own: Sequence[Point], shift: float, look: Mapping[str, Any]) -> None:
    """A line through the means, a bar from the lowest to the highest seed."""
    places = [point.mismatch + shift for point in own]
    means = [max(point.mean, LEAST_ERROR) for point in own]
    axis.plot(places, means, linestyle=_dashes(own[0].arm), linewidth=1.4, markersize=6, zorder=3, **look)
    for place, mean, point in zip(places, means, own, strict=True):
        if point.low < point.high:
            ends = [[mean - max(point.low, LEAST_ERROR)], [max(point.high, LEAST_ERROR) - mean]]
            axis.errorbar(place, mean, yerr=ends, fmt="none", ecolor=look["color"], elinewidth=1.2, capsize=2.5)


def _scale(axis: "Axes", found: Sequence[Point], levels: Sequence[float], width: float) -> None:
    low = max(min(point.low for point in found), LEAST_ERROR)
    high = max(max(point.high for point in found), LEAST_ERROR)
    begin, end = widened(low, high)
    logarithmic(axis, "%", begin, min(end, 1.05) if high <= 1 else end)
    axis.set_xlim(levels[0] - 0.08 * width, levels[-1] + 0.08 * width)
    axis.set_xticks(levels, [tick(level, "%") for level in levels])
