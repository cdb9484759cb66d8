"""Joules (log) against accuracy: colours are bit-widths, marks kinds of joule, steps the frontier."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from energybench.reports.figures import INK, KINDS, MOST_LABELS, ordered, ramp
from energybench.reports.labels import name_points
from energybench.reports.plotting import legend, logarithmic, panel_axes, percent, widened
from energybench.reports.views.drawing import MOST_POINTS, ends, outline, thin
from energybench.reports.views.frontier_points import Point
from energybench.reports.views.scatter import MOST_BARS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_NAMED = 30
"""Points that are named where there is room; those on the frontier have the choice."""
ROOM = (0.95, 0.22)
"""Inches beside the axes: a tick at the right edge has a unit."""


def figure(own: Sequence[Point], heading: str, found: Sequence[Point], *, dark: bool) -> "Figure":
    """One kind of joule of one workload; colours are those of everything that was found."""
    inks, kind, muted = _inks(found, dark=dark), own[0].kind, str(INK[dark]["muted"])
    with panel_axes(heading, f"{kind} joules per sample", "accuracy", dark=dark) as (figure, axis):
        _scale(axis, own)
        if not own[0].alone:
            _steps(axis, own, muted)
        shown = drawn(own)
        few = len(shown) <= MOST_BARS
        for one in sorted(shown, key=lambda one: one.on_frontier):
            _mark(axis, one, inks[one.level], KINDS[kind][1], few=few, dark=dark)
        legend(figure, _entries(own, inks, muted), dark=dark, sides=ROOM)
        if len(own) <= MOST_NAMED and len({one.level for one in own}) > 1:
            rows = [
                {"level": one.level, "joules": one.place.cost.value, "accuracy": one.place.worth.value}
                for one in sorted(own, key=lambda one: not one.on_frontier)
            ]
            name_points(axis, rows, str(INK[dark]["face"]), [bar for one in own for bar in _bars(one)])
    return figure


def drawn(own: Sequence[Point]) -> list[Point]:
    """Of points that would cover one another one, but all of a frontier that is not as long itself."""
    best = [number for number, one in enumerate(own) if one.on_frontier]
    # Accuracy stands on a linear axis and may be 0: its exponential is what a logarithmic grid sees as linear.
    flat = [(one.place.cost.value, math.exp(one.place.worth.value)) for one in own]
    return [own[number] for number in thin(flat, best if len(best) <= MOST_POINTS else ())]


def _inks(found: Sequence[Point], *, dark: bool) -> dict[str, Any]:
    """The colour of each width, in order, the same in all panels."""
    levels = ordered([one.level for one in found])
    return dict(zip(levels, ramp(len(levels), dark=dark) if len(levels) > 1 else ramp(3, dark=dark)[1:2], strict=True))


def _scale(axis: "Axes", own: Sequence[Point]) -> None:
    costs = [end for one in own for end in (one.place.cost.value, one.place.cost.low, one.place.cost.high) if end > 0]
    worths = [end for one in own for end in (one.place.worth.low, one.place.worth.high)]
    logarithmic(axis, "J", *widened(min(costs), max(costs)), way="x")
    percent(axis, min(worths), max(worths))


def _steps(axis: "Axes", rivals: Sequence[Point], ink: str) -> None:
    """What accuracy can be had for at most so many joules, on to the dearest of the points that are beaten."""
    line = sorted((one.place.cost.value, one.place.worth.value) for one in rivals if one.on_frontier)
    line = outline([*line, (max(one.place.cost.value for one in rivals), line[-1][1])])
    x, y = zip(*line, strict=True)
    axis.plot(x, y, drawstyle="steps-post", color=ink, linewidth=1.4, zorder=2)


def _mark(axis: "Axes", one: Point, ink: Any, marker: str, *, few: bool, dark: bool) -> None:
    cost, worth = one.place.cost, one.place.worth
    bars = {"xerr": ends(cost.value, cost.low, cost.high), "yerr": ends(worth.value, worth.low, worth.high)}
    told: dict[str, Any] = {name: bar for name, bar in bars.items() if bar is not None}
    if few and told:
        fade = 1.0 if one.on_frontier else 0.55
        axis.errorbar(
            cost.value, worth.value, **told, fmt="none", ecolor=ink, elinewidth=1.2, capsize=2.5, zorder=3, alpha=fade
        )
    face = str(INK[dark]["face"])
    look = {"mfc": ink, "mec": face, "mew": 0.7} if one.on_frontier else {"mfc": face, "mec": ink, "mew": 1.5}
    order = 5 if one.on_frontier else 4
    axis.plot(cost.value, worth.value, marker, markersize=8 if few else 5, zorder=order, **look)


def _bars(one: Point) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """The ends of both intervals."""
    cost, worth = one.place.cost, one.place.worth
    low = cost.low if cost.low > 0 else cost.value
    return [((low, worth.value), (cost.high, worth.value)), ((cost.value, worth.low), (cost.value, worth.high))]


def _entries(own: Sequence[Point], inks: Mapping[str, Any], muted: str) -> list[tuple[str, dict[str, Any]]]:
    """Widths by colour, then what steps and open marks mean."""
    levels = [name for name in inks if any(one.level == name for one in own)]
    levels = levels if len(levels) <= MOST_LABELS else [levels[0], levels[-1]]
    marker = KINDS[own[0].kind][1]
    entries: list[tuple[str, dict[str, Any]]] = [(name, {"marker": marker, "color": inks[name]}) for name in levels]
    if not own[0].alone:
        entries.append(("frontier", {"marker": "", "linestyle": "-", "color": muted}))
    if not all(one.on_frontier for one in own):
        entries.append(("beaten", {"marker": marker, "mfc": "none", "mec": muted, "mew": 1.5}))
    return entries
