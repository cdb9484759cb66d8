"""Joules a sample against seconds a sample: what time costs energy, and which points no other one beats in both."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from energybench.reports import frames
from energybench.reports.figures import INK, KINDS
from energybench.reports.frames import Stored
from energybench.reports.numbers import bounds, quantity
from energybench.reports.plotting import legend, panel_axes, tick
from energybench.reports.views import scatter
from energybench.reports.views.drawing import ground
from energybench.reports.views.scatter import Spot
from energybench.reports.views.view import (
    Cell,
    Table,
    View,
    cut,
    framed,
    joules_of,
    kind_of,
    latest,
    names,
    shown,
    without_place,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = (
    "record",
    "machine",
    "workload",
    "name",
    "provenance",
    "seconds",
    "seconds.low",
    "seconds.high",
    "joules",
    "joules.low",
    "joules.high",
    "energy_delay_product",
    "on_front",
)
MOST_LINES = 6
CAPTION = (
    "Further left is faster, further down takes less energy; bars are the stated intervals. Dotted lines join "
    "equal energy-delay products. Steps join the points of a workload that no other point of it beats in both. "
    "Each kind of joule has its own panel and mark."
)
EMPTY = (
    "No record has both joules and seconds a sample. Run a workload at several points, as "
    "`energybench run qnn-infer --param batch=1,8,64`."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One record in one kind of joule: its name, its spot, its place in the data, and whether it is on the front."""

    name: str
    kind: str
    record: Mapping[str, Any]
    spot: Spot
    front: bool = False


def view(stored: Sequence[Stored]) -> View:
    """The time–energy trade-off of the newest record of each point.

    Columns of its data: record, machine, workload, name; provenance of the joules; seconds and joules (a sample), each
    with `.low` and `.high`; energy_delay_product (J·s); on_front (no point of the same group is better in both).
    """
    found = points(stored)
    kinds = [kind for kind in KINDS if any(one.kind == kind for one in found)]
    rows, notes = cut([_row(one) for one in _ordered(found)], "points")

    def draw(dark: bool) -> "dict[str, Figure]":
        return {kind: _figure([one for one in found if one.kind == kind], kind, dark=dark) for kind in kinds}

    return View(
        name="time-energy",
        title="Time and energy",
        answers="What does a sample take in seconds and in joules, and which points does no other beat in both?",
        figures=draw if found else None,
        alts={kind: _alt([one for one in found if one.kind == kind], kind) for kind in kinds},
        caption=CAPTION,
        table=Table(
            caption="Time and energy a sample; the smallest energy-delay product first",
            headings=("Point", "Time", "Energy", "Energy × time", "Not beaten"),
            rows=rows,
        ),
        frame=framed(COLUMNS, map(_data, found)),
        notes=(*notes, *without_place(latest(stored)), *scatter.left_out([(one.kind, one.spot) for one in found])),
        empty=None if found else EMPTY,
    )


def points(stored: Sequence[Stored]) -> list[Point]:
    """Every newest record that has both, once for each kind of joule."""
    newest = latest(stored)
    found: list[Point] = []
    for one, name, group in zip(newest, names(newest), scatter.groups(newest), strict=True):
        seconds = one.record["results"].get("seconds_per_sample")
        for kind in KINDS:
            joules = joules_of(one.record, kind)
            if joules is not None and seconds is not None and kind_of(seconds, seconds["provenance"]):
                spot = Spot(
                    group=group,
                    x=float(seconds["value"]),
                    y=float(joules["value"]),
                    across=bounds(seconds),
                    up=bounds(joules),
                )
                found.append(Point(name=name, kind=kind, record=one.record, spot=spot))
    return _marked(found)


def front(spots: Sequence[Spot]) -> list[int]:
    """The places of those that no other is at most as slow and at most as costly as, the fastest first."""
    kept: list[int] = []
    for number in sorted(range(len(spots)), key=lambda place: (spots[place].x, spots[place].y)):
        if not kept or spots[number].y < spots[kept[-1]].y:
            kept.append(number)
    return kept


def _marked(found: Sequence[Point]) -> list[Point]:
    """With what is on the front of its workload, version, machine and kind."""
    sets: dict[tuple[str, ...], list[int]] = {}
    for number, one in enumerate(found):
        sets.setdefault((*_set(one), one.kind), []).append(number)
    best = {own[place] for own in sets.values() for place in front([found[number].spot for number in own])}
    return [
        Point(name=one.name, kind=one.kind, record=one.record, spot=one.spot, front=number in best)
        for number, one in enumerate(found)
    ]


def _ordered(found: Sequence[Point]) -> list[Point]:
    kinds = list(KINDS)
    return sorted(found, key=lambda one: (kinds.index(one.kind), one.spot.x * one.spot.y, one.name))


def _figure(found: Sequence[Point], kind: str, *, dark: bool) -> "Figure":
    _, marker, heading = KINDS[kind]
    spots = [one.spot for one in found]
    inks = scatter.looks([one.group for one in spots], dark=dark)
    with panel_axes(heading, "seconds per sample", f"{kind} joules per sample", dark=dark) as (figure, axis):
        scatter.scale(axis, spots, ("s", "J"))
        _equal_products(axis, dark=dark)
        for group in dict.fromkeys(_set(one) for one in found):
            _steps(axis, [one for one in found if _set(one) == group], inks, dark=dark)
        scatter.draw(axis, spots, marker, inks, dark=dark)
        legend(figure, scatter.entries(inks, marker), dark=dark)
    return figure


def _set(one: Point) -> tuple[str, ...]:
    """Points that may stand on one front: of one workload in one version, on one machine."""
    workload = one.record["workload"]
    return str(workload["name"]), str(workload["version"]), frames.machine(one.record)


def _steps(axis: "Axes", own: Sequence[Point], inks: Mapping[str, Mapping[str, Any]], *, dark: bool) -> None:
    """The front of one workload, in the colour of its group where it has one."""
    best = sorted((one.spot for one in own if one.front), key=lambda spot: spot.x)
    alone = {one.spot.group for one in own}
    ink = inks[alone.pop()]["color"] if len(alone) == 1 else INK[dark]["muted"]
    if len(best) > 1:
        x, y = ([getattr(spot, way) for spot in best] for way in ("x", "y"))
        axis.plot(x, y, drawstyle="steps-post", color=ink, linewidth=1.5, zorder=2)


def _equal_products(axis: "Axes", *, dark: bool) -> None:
    """Lines of equal joules × seconds, each with its value where it leaves the axes."""
    (left, right), (bottom, top) = ([math.log10(end) for end in ends] for ends in (axis.get_xlim(), axis.get_ylim()))
    first, last = math.ceil(left + bottom), math.floor(right + top)
    muted = str(INK[dark]["muted"])
    for power in range(first, last + 1, max(1, -(-(last - first + 1) // MOST_LINES))):
        axis.plot(
            [10**left, 10**right],
            [10 ** (power - left), 10 ** (power - right)],
            ":",
            color=muted,
            linewidth=1,
            zorder=1,
        )
        # Points lie about the rising diagonal: the end that is further from it has room for a word.
        x = min(right, power - bottom)
        low = power - x - bottom < 0.5 * (top - bottom)
        x = x if low else max(left, power - top)
        at = (x - left) / (right - left)
        if at > 0.1 if low else at < 0.85:
            _name_line(axis, (10**x, 10 ** (power - x)), f" {tick(10.0**power, 'J·s')} ", low=low, dark=dark)


def _name_line(axis: "Axes", place: tuple[float, float], text: str, *, low: bool, dark: bool) -> None:
    axis.text(
        *place,
        text,
        color=str(INK[dark]["muted"]),
        fontsize=8.5,
        ha="right" if low else "left",
        va="bottom" if low else "top",
        zorder=2,
        clip_on=True,
        bbox=ground(dark=dark),
    )


def _alt(found: Sequence[Point], kind: str) -> str:
    x, y = ([one.spot.x for one in found], [one.spot.y for one in found])
    return (
        f"{kind.capitalize()} joules against seconds per sample, {len(found):,} point{'s' if len(found) > 1 else ''}: "
        f"{quantity(min(x), 's')} to {quantity(max(x), 's')}, {quantity(min(y), 'J')} to {quantity(max(y), 'J')}; "
        f"{sum(one.front for one in found):,} not beaten in both."
    )


def _row(one: Point) -> tuple[Cell, ...]:
    spot = one.spot
    return (
        one.name,
        shown(spot.x, "s", one.record["results"]["seconds_per_sample"]["provenance"], spot.across),
        shown(spot.y, "J", one.kind, spot.up),
        f"{quantity(spot.x * spot.y, 'J')}·s",
        "yes" if one.front else "no",
    )


def _data(one: Point) -> dict[str, object]:
    spot = one.spot
    workload, machine = one.record["workload"], one.record["machine"]
    values = {"seconds": (spot.x, spot.across), "joules": (spot.y, spot.up)}
    row: dict[str, object] = {"record": one.record["id"], "machine": machine["id"], "workload": workload["name"]}
    row |= {"name": one.name, "provenance": one.kind}
    for column, (value, limits) in values.items():
        row[column] = value
        if limits:
            row[f"{column}.low"], row[f"{column}.high"] = limits
    return row | {"energy_delay_product": spot.x * spot.y, "on_front": one.front}
