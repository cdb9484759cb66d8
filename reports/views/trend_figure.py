"""One series over commits as a panel: values, intervals, levels, and how much each change was."""

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from energybench.gating.series import Key
from energybench.history import Change
from energybench.reports import numbers
from energybench.reports.figures import INK, KINDS
from energybench.reports.numbers import quantity, short
from energybench.reports.plotting import colours, logarithmic, panel_axes, widened
from energybench.reports.views.curves import Curve
from energybench.reports.views.drawing import ACROSS, fit, ground, outline, prefixed, spread_out
from energybench.reports.views.view import key_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_BARS = 60
NAMES = 4
"""Commits that are named below the axes."""
MARGIN = 0.6
"""Commits left free at either end."""
LETTER = 0.026
"""Of the width of the axes."""
INCHES = 2.1
LONGEST = 150
"""Letters of a file's name."""
SIDES = (1.1, 0.35)


def figure(one: Curve, names: Mapping[Key, str], *, dark: bool) -> "Figure":
    """The panel of a series."""
    ink, muted, kind = colours(1, dark=dark)[0], str(INK[dark]["muted"]), one.track.provenance
    unit = unit_of(one)
    label = f"{kind}{f' {unit}' if unit else ''}{' per sample' if one.track.key.metric.endswith('_per_sample') else ''}"
    with panel_axes(title(one, names), "commits", label, dark=dark) as (figure, axis):
        for place, _ in one.steps:
            axis.axvline(place - 0.5, color=muted, linestyle=":", linewidth=1.6, zorder=1)
        (_draw_few if len(one.values) <= MOST_BARS else _draw_many)(axis, one, ink)
        for level in one.levels:
            ends = (level.first - 0.4, level.last + 0.4)
            axis.plot(ends, [level.value] * 2, color=muted, linewidth=2.2, alpha=0.8, zorder=2)
        _mark_changes(axis, one, dark=dark)
        _scale(axis, one, unit)
        fit(figure, INCHES, dark=dark, sides=SIDES)
    return figure


def title(one: Curve, names: Mapping[Key, str]) -> str:
    """The name of a series, with what sets it apart."""
    lane = ", ".join(f"{name} {value}" for name, value in one.lane.items() if value)
    return f"{names[one.track.key]}{f' ({lane})' if lane else ''}"


def file_name(text: str) -> str:
    """Words as a part of a file's name."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:LONGEST]


def by_name(curves: Iterable[Curve]) -> dict[str, Curve]:
    """Series by what their files are called, as `estimated-joules-of-qnn-infer-bits-8`."""
    found = list(curves)
    names, told = key_names(one.track.key for one in found), dict[str, Curve]()
    for one in found:
        name = file_name(title(one, names))
        if name in told:
            name = f"{name}-{one.track.provenance}"
        number = next(number for number in range(1, len(told) + 2) if _numbered(name, number) not in told)
        told[_numbered(name, number)] = one
    return told


def _numbered(name: str, number: int) -> str:
    return name if number == 1 else f"{name}-{number}"


def unit_of(one: Curve) -> str:
    """The unit of its axis; of an accuracy percent."""
    return "%" if one.track.family == "accuracy" else short(one.track.unit)


def size(change: Change) -> str:
    """`+12 % worse`, `+12 % perhaps worse`: by how much, and in which direction for this series."""
    if change.change is None:
        return f"from 0, {change.word}"
    size = f"{100 * abs(change.change):.3g}{' points' if change.absolute else ' %'}"
    if change.absolute and change.unit not in {"1", ""}:
        size = quantity(abs(change.change), short(change.unit))
    return f"{'−' if change.change < 0 else '+'}{size} {change.word}"


def change_unit(change: Change) -> str:
    """What its size is told in: percent of what it was, points of an accuracy, or its own unit."""
    if not change.absolute:
        return "%"
    return "points" if change.unit in {"1", ""} else short(change.unit)


def sized(one: Change) -> str:
    """`+12.0 % worse (+10.9 to +13.1 %)`: the same with its interval, or why it has none."""
    if one.change is None:
        return size(one)
    if one.bounds is None or one.bounds[0] == one.bounds[1]:
        return f"{size(one)} ({numbers.EXACT if one.exact else numbers.UNKNOWN})"
    text, interval = numbers.change(one.change, one.bounds, change_unit(one))
    return f"{text} {one.word} ({interval})"


def ends(value: float, error: float | None) -> tuple[float, ...]:
    """±2 standard errors; nothing where the error is not known."""
    return (value - 2 * error, value + 2 * error) if error else ()


def _draw_few(axis: "Axes", one: Curve, ink: Any) -> None:
    """A mark and a bar for each commit."""
    marker = KINDS[one.track.provenance][1]
    axis.plot([v.place for v in one.values], [v.value for v in one.values], marker, color=ink, markersize=6.5, zorder=3)
    for value in one.values:
        if value.error:
            axis.errorbar(value.place, value.value, yerr=2 * value.error, fmt="none", ecolor=ink, capsize=2.5)


def _draw_many(axis: "Axes", one: Curve, ink: Any) -> None:
    """Dots, of each column of pixels the lowest and the highest, on a band of intervals."""
    kept = outline([(float(value.place), value.value) for value in one.values], ACROSS)
    axis.plot(*zip(*kept, strict=True), ".", color=ink, markersize=2.5, zorder=3)
    told = [value for value in one.values if value.error][:: 1 + len(one.values) // ACROSS]
    low, high = ([ends(value.value, value.error)[side] for value in told] for side in (0, 1))
    axis.fill_between([value.place for value in told], low, high, color=ink, alpha=0.2, linewidth=0, zorder=1)


def _mark_changes(axis: "Axes", one: Curve, *, dark: bool) -> None:
    """At the largest changes how much, in words, where they do not cover one another."""
    places = {value.commit: value.place for value in one.values}
    first, last = one.values[0].place, one.values[-1].place
    taken: list[tuple[float, float]] = []
    for change in sorted(one.changes, key=lambda one: -abs(one.change or 0.0)):
        at = (places.get(change.commit.hash, -1e9) - first + MARGIN) / (last - first + 2 * MARGIN)
        wide = LETTER * (len(size(change)) + 1)
        way = "right" if at > 0.7 else "left" if at < 0.3 else "center"
        begin = at - wide * {"left": 0.0, "center": 0.5, "right": 1.0}[way]
        if at < 0 or any(begin < end and start < begin + wide for start, end in taken):
            continue
        taken.append((begin, begin + wide))
        axis.annotate(
            size(change),
            (places[change.commit.hash], 0.99),
            xycoords=axis.get_xaxis_transform(),
            ha=way,
            va="top",
            fontsize=9.5,
            color=str(INK[dark]["ink"]),
            bbox=ground(dark=dark),
            zorder=5,
        )


def _scale(axis: "Axes", one: Curve, unit: str) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter

    values = [v for value in one.values for v in (value.value, *ends(value.value, value.error))]
    above = [value for value in values if value > 0]
    if spread_out(values) and len(above) == len(values):
        logarithmic(axis, unit, *widened(min(above), max(above)))
    else:
        prefixed(axis, unit, way="y")
        reach = max(max(values) - min(values), 0.02 * max(map(abs, values)), 1e-30)
        axis.set_ylim(min(values) - 0.1 * reach, max(values) + 0.25 * reach)
    commits = {value.place: value.commit[:8] for value in one.values}
    places = sorted(commits)
    kept = [places[round(number * (len(places) - 1) / (NAMES - 1))] for number in range(NAMES)]
    axis.xaxis.set_major_locator(FixedLocator(sorted(set(kept))))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda place, _: commits.get(round(place), "")))
    axis.tick_params(axis="x", labelsize=9.5)
    axis.set_xlim(places[0] - MARGIN, places[-1] + MARGIN)
