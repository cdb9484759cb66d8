"""Operations a joule against operations a byte, under what an energy table allows (Choi et al., IPDPS 2013)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from energybench.reports.figures import INK, KINDS
from energybench.reports.frames import Stored
from energybench.reports.numbers import Shown, bounds, quantity, span
from energybench.reports.plotting import legend, panel_axes, tick
from energybench.reports.views import scatter
from energybench.reports.views.ceilings import TABLES, Ceiling, of_records, unknown
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
    "operations",
    "bytes",
    "joules",
    "operations_per_byte",
    "operations_per_joule",
    "operations_per_joule.low",
    "operations_per_joule.high",
)
STEPS = 60
TOGETHER = 0.09
"""Of the height of the axes, between two names."""
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
    """One record in one kind of joule."""

    name: str
    kind: str
    record: Mapping[str, Any]
    operations: float
    bytes: float
    spot: Spot


def view(stored: Sequence[Stored], *, tables: Path = TABLES) -> View:
    """The energy roofline of the newest record of each point.

    Columns of its data: record, machine, workload, name; provenance of the joules; operations, bytes (of operands,
    counted) and joules of a sample; operations_per_byte; operations_per_joule with `.low` and `.high`.

    Args:
        stored: the records.
        tables: the folder of energy tables, for the ceilings of modelled joules.
    """
    found = points(stored)
    kinds = [kind for kind in KINDS if any(one.kind == kind for one in found)]
    modelled = [one.record for one in found if one.kind == "modelled"]
    told = {"modelled": of_records(modelled, tables)}
    rows, notes = cut([_row(one) for one in found], "points")

    def draw(dark: bool) -> "dict[str, Figure]":
        own = {kind: [one for one in found if one.kind == kind] for kind in kinds}
        return {kind: _figure(own[kind], kind, told.get(kind, {}), dark=dark) for kind in kinds}

    return View(
        name="roofline",
        title="Energy roofline",
        answers="Is the energy of a workload bound by moving bytes or by computing?",
        figures=draw if found else None,
        alts={kind: _alt([one for one in found if one.kind == kind], kind, told.get(kind, {})) for kind in kinds},
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
            *scatter.left_out([(one.kind, one.spot) for one in found]),
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
                found.append(point)
    return sorted(found, key=lambda one: list(KINDS).index(one.kind))


def _figure(found: Sequence[Point], kind: str, told: Mapping[str, Sequence[Ceiling]], *, dark: bool) -> "Figure":
    _, marker, heading = KINDS[kind]
    spots = [one.spot for one in found]
    inks = scatter.looks([one.group for one in spots], dark=dark)
    with panel_axes(heading, "operations per operand byte", f"op per {kind} joule", dark=dark) as parts:
        figure, axis = parts
        scatter.scale(axis, spots, ("", ""))
        _ticks(axis)
        _curves(axis, told, dark=dark)
        scatter.draw(axis, spots, marker, inks, dark=dark)
        line = {"color": str(INK[dark]["muted"]), "marker": "", "linestyle": "-"}
        tables = [(", ".join(told), line)] if told else []
        legend(figure, [*scatter.entries(inks, marker), *tables], dark=dark)
    return figure


def _ticks(axis: "Axes") -> None:
    """Powers of ten without a unit: operations are counted, whatever they are."""
    from matplotlib.ticker import FuncFormatter

    for one in (axis.xaxis, axis.yaxis):
        one.set_major_formatter(FuncFormatter(lambda value, _: tick(value, "op").removesuffix("op").rstrip()))


def _curves(axis: "Axes", told: Mapping[str, Sequence[Ceiling]], *, dark: bool) -> None:
    """The ceilings with their bands; names at the right end, one for those that end together."""
    left, right = axis.get_xlim()
    xs = [left * (right / left) ** (step / STEPS) for step in range(STEPS + 1)]
    muted = str(INK[dark]["muted"])
    tops: list[tuple[float, str]] = []
    for table, every in told.items():
        for one in every:
            low, high = one.joules_per_byte
            middle = (low + high) / 2
            axis.plot(xs, [one.at(x, middle) for x in xs], color=muted, linewidth=1.2, zorder=2)
            band = [one.at(x, high) for x in xs], [one.at(x, low) for x in xs]
            axis.fill_between(xs, *band, color=muted, alpha=0.14, linewidth=0)
            tops.append((one.at(right, middle), f"{one.name} ({table})" if len(told) > 1 else one.name))
            axis.set_ylim(min(axis.get_ylim()[0], band[0][0]), max(axis.get_ylim()[1], 4 * tops[-1][0]))
    apart = (axis.get_ylim()[1] / axis.get_ylim()[0]) ** TOGETHER
    for top, name in _joined(sorted(tops), apart):
        axis.text(
            right,
            top * apart**0.2,
            f"{name} ",
            color=muted,
            fontsize=9,
            ha="right",
            va="bottom",
            zorder=5,
            bbox=ground(dark=dark),
        )


def _joined(tops: Sequence[tuple[float, str]], apart: float) -> list[tuple[float, str]]:
    """Names that would cover one another as one, at the highest of them."""
    joined: list[tuple[float, str]] = []
    for top, name in tops:
        if joined and top < joined[-1][0] * apart:
            joined[-1] = (top, f"{joined[-1][1]}, {name}")
        else:
            joined.append((top, name))
    return joined


def _alt(found: Sequence[Point], kind: str, told: Mapping[str, Sequence[Ceiling]]) -> str:
    x, y = [one.spot.x for one in found], [one.spot.y for one in found]
    under = "; ".join(
        f"{table} allows {', '.join(f'{one.name} {_rate(1 / one.joules_per_operation)}' for one in every)} at most"
        for table, every in told.items()
    )
    count = f"{len(found):,} point{'s' if len(found) > 1 else ''}"
    return (
        f"Operations per {kind} joule against operations per byte, {count}: "
        f"{quantity(min(x), '')} to {quantity(max(x), '')} operations per byte, {_rate(min(y))} to {_rate(max(y))}"
        f"{f'; {under}' if under else ''}."
    )


def _interval(spot: Spot) -> str:
    return f"{span(*spot.up, 'op', like=spot.y)}/J" if spot.up and spot.up[0] != spot.up[1] else ""


def _rate(value: float) -> str:
    return f"{quantity(value, 'op')}/J"


def _row(one: Point) -> tuple[Cell, ...]:
    joules = joules_of(one.record, one.kind)
    assert joules is not None
    return (
        one.name,
        f"{quantity(one.spot.x, '')} op/B",
        Shown(text=_rate(one.spot.y), interval=_interval(one.spot), provenance=one.kind),
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
    return row
