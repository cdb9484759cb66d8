"""Joules a sample against seconds a sample: what time costs energy, and which points no other one beats in both."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from energybench.reports import frames, origins
from energybench.reports.figures import INK, KINDS
from energybench.reports.frames import Stored
from energybench.reports.numbers import bounds, quantity
from energybench.reports.odd import undrawn, what_cannot_be
from energybench.reports.plotting import legend, panel_axes
from energybench.reports.views import scatter
from energybench.reports.views.equal_products import equal_products, name_lines
from energybench.reports.views.implausible import implausible
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
    "energy_delay_product.low",
    "energy_delay_product.high",
    "on_front",
    *origins.COLUMNS,
)
ALONE, IMPOSSIBLE = "only one point", "not compared: its numbers cannot be"
CAPTION = (
    "Further left is faster, further down takes less energy; bars are the stated intervals. Dotted lines join "
    "equal energy-delay products. Steps join the points of a workload that no other point of it beats in both. "
    "Each kind of joule has its own panel and mark. Energy × time is the product of both values; its interval is from "
    "the product of both lower ends to that of both upper ends, as if both were off in the same direction at once, and "
    "its provenance that of the joules."
)
EMPTY = (
    "No record has both joules and seconds a sample. Run a workload at several points, as "
    "`energybench run qnn-infer --param batch=1,8,64`."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One record in one kind of joule.

    Attributes:
        name: of the record, for people.
        kind: of joule.
        record: as it is stored.
        spot: seconds and joules a sample.
        front: whether no other point of its workload beats it in both.
        alone: whether there are no others of its workload, version, machine and kind.
        odd: what cannot be about its record; such a point beats no other, and has no place on an axis.
    """

    name: str
    kind: str
    record: Mapping[str, Any]
    spot: Spot
    front: bool = False
    alone: bool = False
    odd: str = ""

    @property
    def product(self) -> float:
        """Joules × seconds."""
        return self.spot.x * self.spot.y

    @property
    def product_limits(self) -> tuple[float, float] | None:
        """Both lower ends, and both upper ones, multiplied; None where neither interval was stated."""
        spot = self.spot
        if not spot.across and not spot.up:
            return None
        across, up = spot.across or (spot.x, spot.x), spot.up or (spot.y, spot.y)
        return max(0.0, across[0]) * max(0.0, up[0]), across[1] * up[1]


def view(stored: Sequence[Stored]) -> View:
    """The time–energy trade-off of the newest record of each point.

    Columns of its data: record, machine, workload, name; provenance of the joules; seconds and joules (a sample), each
    with `.low` and `.high`; energy_delay_product (J·s) with `.low` and `.high`; on_front (no point of the same
    workload, version and machine is better in both); commit and created of the record.
    """
    found = points(stored)
    drawn = [one for one in found if not one.odd]
    kinds = [kind for kind in KINDS if any(one.kind == kind for one in drawn)]
    rows, notes = cut([_row(one) for one in _ordered(found)], "points")

    def draw(dark: bool) -> "dict[str, Figure]":
        own = {kind: [one for one in drawn if one.kind == kind] for kind in kinds}
        spots = {kind: scatter.few([one.spot for one in own[kind]]) for kind in kinds}
        inks = scatter.looks(list(spots.values()), dark=dark)
        return {kind: _figure(own[kind], spots[kind], kind, inks, dark=dark) for kind in kinds}

    far = [note for kind in kinds for note in _implausible([one for one in drawn if one.kind == kind], kind)]

    return View(
        name="time-energy",
        title="Time and energy",
        answers="What does a sample take in seconds and in joules, and which points does no other beat in both?",
        figures=draw if drawn else None,
        alts={kind: _alt([one for one in drawn if one.kind == kind], kind) for kind in kinds},
        caption=CAPTION,
        table=Table(
            caption="Time and energy a sample; the smallest energy-delay product first",
            headings=("Point", "Time", "Energy", "Energy × time", "Not beaten"),
            rows=rows,
        ),
        frame=framed(COLUMNS, map(_data, found)),
        notes=(
            *notes,
            *without_place(latest(stored)),
            *far,
            *scatter.left_out([(one.kind, one.spot) for one in drawn]),
            *undrawn({one.name: one.odd for one in found if one.odd}),
            *origins.origins(one.record for one in found),
        ),
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
                odd = what_cannot_be(one.record)
                found.append(Point(name=name, kind=kind, record=one.record, spot=spot, odd=odd))
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
        if one.odd:
            continue
        sets.setdefault((*_set(one), one.kind), []).append(number)
    best = {own[place] for own in sets.values() for place in front([found[number].spot for number in own])}
    alone = {own[0] for own in sets.values() if len(own) == 1}
    return [replace(one, front=number in best, alone=number in alone) for number, one in enumerate(found)]


def _ordered(found: Sequence[Point]) -> list[Point]:
    kinds = list(KINDS)
    return sorted(found, key=lambda one: (kinds.index(one.kind), one.product, one.name))


def _figure(
    found: Sequence[Point], spots: Sequence[Spot], kind: str, inks: Mapping[str, Mapping[str, Any]], *, dark: bool
) -> "Figure":
    """One kind of joule; colours are those of all panels."""
    _, marker, heading = KINDS[kind]
    with panel_axes(heading, "seconds per sample", f"{kind} joules per sample", dark=dark) as (figure, axis):
        scatter.scale(axis, spots, ("s", "J"))
        lines = equal_products(axis, dark=dark)
        stepped = [_steps(axis, own, inks, dark=dark) for own in _sets(found)]
        scatter.draw(axis, spots, marker, inks, dark=dark)
        steps = {"marker": "", "linestyle": "-", "color": str(INK[dark]["muted"])}
        more = [("not beaten in both", steps)] if any(stepped) else []
        legend(figure, [*scatter.entries(spots, inks, marker), *more], dark=dark)
        name_lines(axis, lines, spots, dark=dark)
    return figure


def _set(one: Point) -> tuple[str, ...]:
    """Points that may stand on one front: of one workload in one version, on one machine."""
    workload = one.record["workload"]
    return str(workload["name"]), str(workload["version"]), frames.machine(one.record)


def _sets(found: Sequence[Point]) -> list[list[Point]]:
    return [[one for one in found if _set(one) == group] for group in dict.fromkeys(map(_set, found))]


def _steps(axis: "Axes", own: Sequence[Point], inks: Mapping[str, Mapping[str, Any]], *, dark: bool) -> bool:
    """The front of one workload, in the colour of its group where it has one; whether there is a line to draw."""
    best = sorted((one.spot for one in own if one.front), key=lambda spot: spot.x)
    alone = {one.spot.group for one in own}
    ink = inks.get(alone.pop(), {}).get("color") if len(alone) == 1 else None
    if len(best) > 1:
        x, y = ([getattr(spot, way) for spot in best] for way in ("x", "y"))
        axis.plot(x, y, drawstyle="steps-post", color=ink or INK[dark]["muted"], linewidth=1.5, zorder=2)
    return len(best) > 1


def _implausible(own: Sequence[Point], kind: str) -> tuple[str, ...]:
    seconds = implausible([(one.name, one.spot.x) for one in own], "s", f"seconds of points with {kind} joules")
    return *implausible([(one.name, one.spot.y) for one in own], "J", f"{kind} joules"), *seconds


def _alt(found: Sequence[Point], kind: str) -> str:
    x, y = ([one.spot.x for one in found], [one.spot.y for one in found])
    compared = [one for one in found if not one.alone]
    best = f"{sum(one.front for one in compared):,} not beaten in both" if compared else f"{ALONE} of each workload"
    return (
        f"{kind.capitalize()} joules against seconds per sample, {len(found):,} point{'s' if len(found) > 1 else ''}: "
        f"{quantity(min(x), 's')} to {quantity(max(x), 's')}, {quantity(min(y), 'J')} to {quantity(max(y), 'J')}; "
        f"{best}."
    )


def _row(one: Point) -> tuple[Cell, ...]:
    spot = one.spot
    return (
        one.name,
        shown(spot.x, "s", one.record["results"]["seconds_per_sample"]["provenance"], spot.across),
        shown(spot.y, "J", one.kind, spot.up),
        shown(one.product, "J·s", one.kind, one.product_limits),
        IMPOSSIBLE if one.odd else ALONE if one.alone else "yes" if one.front else "no",
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
    row["energy_delay_product"] = one.product
    if limits := one.product_limits:
        row["energy_delay_product.low"], row["energy_delay_product.high"] = limits
    return row | {"on_front": one.front} | origins.columns(one.record)
