"""Operations a joule against operations a byte, under what an energy table allows (Choi et al., IPDPS 2013)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from energybench.reports import origins
from energybench.reports.figures import INK, KINDS
from energybench.reports.frames import Stored
from energybench.reports.numbers import bounds, quantity
from energybench.reports.odd import undrawn, what_cannot_be
from energybench.reports.plotting import legend, panel_axes, tick
from energybench.reports.views import scatter
from energybench.reports.views.ceiling_curves import draw_curves, name_curves
from energybench.reports.views.ceilings import TABLES, Ceiling, of_records, unknown
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
    "operations",
    "bytes",
    "joules",
    "operations_per_byte",
    "operations_per_joule",
    "operations_per_joule.low",
    "operations_per_joule.high",
    *origins.COLUMNS,
)
CAPTION = (
    "Operations of any number format, and operand bytes as operators ask for them, whatever caches save. Curves "
    "are what the energy table allows in one format, half additions and half multiplications, with all operands "
    "in DRAM; the band is the table's range for DRAM. They hold for modelled joules alone, so other panels have "
    "none."
)
EMPTY = (
    "No record has counted operations and bytes beside joules. They are counted where torch runs the workload: "
    "`energybench run qnn-infer --bits 1,8,32`."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One record in one kind of joule; `odd` is what cannot be about it, and keeps it off the axes."""

    name: str
    kind: str
    record: Mapping[str, Any]
    operations: float
    bytes: float
    spot: Spot
    odd: str = ""


def view(stored: Sequence[Stored], *, tables: Path = TABLES) -> View:
    """The energy roofline of the newest record of each point.

    Columns of its data: record, machine, workload, name; provenance of the joules; operations, bytes (of operands,
    counted) and joules of a sample; operations_per_byte; operations_per_joule with `.low` and `.high`; commit and
    created of the record.

    Args:
        stored: the records.
        tables: the folder of energy tables, for the ceilings of modelled joules.
    """
    found = points(stored)
    drawn = [one for one in found if not one.odd]
    kinds = [kind for kind in KINDS if any(one.kind == kind for one in drawn)]
    modelled = [one.record for one in drawn if one.kind == "modelled"]
    told = {"modelled": of_records(modelled, tables)}
    rows, notes = cut([_row(one) for one in found], "points")

    def draw(dark: bool) -> "dict[str, Figure]":
        own = {kind: [one for one in drawn if one.kind == kind] for kind in kinds}
        spots = {kind: scatter.few([one.spot for one in own[kind]]) for kind in kinds}
        inks = scatter.looks(list(spots.values()), dark=dark)
        return {kind: _figure(spots[kind], kind, inks, told.get(kind, {}), dark=dark) for kind in kinds}

    far = [
        note
        for kind in kinds
        for note in implausible([(one.name, one.spot.y) for one in drawn if one.kind == kind], "op/J", f"{kind} op/J")
    ]

    return View(
        name="roofline",
        title="Energy roofline",
        answers="Is the energy of a workload bound by moving bytes or by computing?",
        figures=draw if drawn else None,
        alts={kind: _alt([one for one in drawn if one.kind == kind], kind, told.get(kind, {})) for kind in kinds},
        caption=CAPTION,
        table=Table(
            caption="Operations against bytes and joules, of a sample",
            headings=("Point", "Operations per byte", "Operations per joule", "Energy"),
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
            *unknown(modelled, tables),
        ),
        empty=None if found else EMPTY,
    )


def points(stored: Sequence[Stored]) -> list[Point]:
    """Every newest record that counted operations and bytes, once for each kind of joule."""
    newest = latest(stored)
    found = []
    for one, name, group in zip(newest, names(newest), scatter.groups(newest), strict=True):
        counted = [one.record["results"].get(f"{what}_per_sample") for what in ("operations", "operand_bytes")]
        if not all(kind_of(each, "modelled") for each in counted):
            continue
        operations, moved = (float(each["value"]) for each in counted)
        for kind in KINDS:
            if joules := joules_of(one.record, kind):
                limits = bounds(joules)
                spot = Spot(
                    group=group,
                    x=operations / moved,
                    y=operations / float(joules["value"]),
                    up=(operations / limits[1], operations / limits[0]) if limits and limits[0] > 0 else None,
                )
                point = Point(name=name, kind=kind, record=one.record, operations=operations, bytes=moved, spot=spot)
                found.append(replace(point, odd=what_cannot_be(one.record)))
    return sorted(found, key=lambda one: list(KINDS).index(one.kind))


def _figure(
    spots: Sequence[Spot],
    kind: str,
    inks: Mapping[str, Mapping[str, Any]],
    told: Mapping[str, Sequence[Ceiling]],
    *,
    dark: bool,
) -> "Figure":
    """One kind of joule; colours are those of all panels."""
    _, marker, heading = KINDS[kind]
    with panel_axes(heading, "operations per operand byte", f"op per {kind} joule", dark=dark) as parts:
        figure, axis = parts
        scatter.scale(axis, spots, ("", ""))
        tops = draw_curves(axis, told, dark=dark)
        _ticks(axis)
        scatter.draw(axis, spots, marker, inks, dark=dark)
        line = {"color": str(INK[dark]["muted"]), "marker": "", "linestyle": "-"}
        tables = [(", ".join(told), line)] if told else []
        legend(figure, [*scatter.entries(spots, inks, marker), *tables], dark=dark)
        name_curves(axis, tops, spots, dark=dark)
    return figure


def _ticks(axis: "Axes") -> None:
    """Powers of ten without a unit: operations are counted, whatever they are."""
    from matplotlib.ticker import FuncFormatter

    for one in (axis.xaxis, axis.yaxis):
        one.set_major_formatter(FuncFormatter(lambda value, _: tick(value, "op").removesuffix("op").rstrip()))


def _alt(found: Sequence[Point], kind: str, told: Mapping[str, Sequence[Ceiling]]) -> str:
    x, y = [one.spot.x for one in found], [one.spot.y for one in found]
    allowed = {
        table: [f"{one.name} {_rate(1 / one.joules_per_operation)}" for one in own] for table, own in told.items()
    }
    under = "; ".join(f"{table} allows {', '.join(most)} at most" for table, most in allowed.items())
    count = f"{len(found):,} point{'s' if len(found) > 1 else ''}"
    return (
        f"Operations per {kind} joule against operations per byte, {count}: "
        f"{quantity(min(x), '')} to {quantity(max(x), '')} operations per byte, {_rate(min(y))} to {_rate(max(y))}"
        f"{f'; {under}' if under else ''}."
    )


def _rate(value: float) -> str:
    return quantity(value, "op/J")


def _row(one: Point) -> tuple[Cell, ...]:
    joules = joules_of(one.record, one.kind)
    assert joules is not None
    return (
        one.name,
        shown(one.spot.x, "op/B", "modelled"),
        shown(one.spot.y, "op/J", one.kind, one.spot.up),
        shown(float(joules["value"]), "J", one.kind, bounds(joules)),
    )


def _data(one: Point) -> dict[str, object]:
    record, spot = one.record, one.spot
    joules = joules_of(record, one.kind)
    assert joules is not None
    row = {"record": record["id"], "machine": record["machine"]["id"], "workload": record["workload"]["name"]}
    row |= {"name": one.name, "provenance": one.kind, "operations": one.operations, "bytes": one.bytes}
    row |= {"joules": joules["value"], "operations_per_byte": spot.x, "operations_per_joule": spot.y}
    if spot.up:
        row["operations_per_joule.low"], row["operations_per_joule.high"] = spot.up
    return row | origins.columns(record)
