"""Joules a sample against accuracy at each bit-width, and the points that no other one beats in both."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from energybench.reports import bits, frames, origins
from energybench.reports.figures import KINDS
from energybench.reports.frames import Stored
from energybench.reports.numbers import quantity
from energybench.reports.odd import undrawn
from energybench.reports.views import frontier_figure
from energybench.reports.views.drawing import MOST_DRAWN
from energybench.reports.views.frontier_points import ALONE, Point, points, standing_words, workload_of
from energybench.reports.views.implausible import implausible
from energybench.reports.views.scatter import MOST_BARS
from energybench.reports.views.view import (
    Cell,
    Table,
    View,
    cut,
    framed,
    joules_of,
    latest,
    machine_name,
    plain,
    shown,
    without_place,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = (
    "record",
    "machine",
    "workload",
    "data",
    "weight_bits",
    "activation_bits",
    "provenance",
    "joules",
    "joules.low",
    "joules.high",
    "accuracy",
    "accuracy.low",
    "accuracy.high",
    "on_frontier",
    "certain",
    *origins.COLUMNS,
)
CAPTION = (
    "Further left takes less energy, further up is more often right; bars are the stated intervals. Each workload, "
    "data set, machine and kind of joule has its own panel, each kind its own mark. Steps join what no other point of "
    "a panel beats in both by its values; those points are filled, beaten ones open. Estimated and modelled joules "
    "share the error of their model, and accuracies the samples they were tested on, so the order of two points is "
    "surer than their bars, each by itself, say."
)
EMPTY = (
    "No record has joules, accuracy and a bit-width. Run a network at several widths, as "
    "`energybench run qnn-infer --bits 1,2,4,8,32`."
)


def view(stored: Sequence[Stored]) -> View:
    """The energy–accuracy frontier of the newest record of each point that has a bit-width.

    Columns of its data: record, machine, workload, data (set); weight_bits and activation_bits; provenance of the
    joules; joules (a sample) and accuracy (a share), each with `.low` and `.high` (absent where nobody stated them);
    on_frontier (no point of the same workload, data, machine and provenance beats it by its values); certain (whether
    the intervals, each by itself, leave no other answer); commit and created of the record.
    """
    found = points(stored)
    drawn = [one for one in found if not one.odd]
    panels = _panels(drawn)
    rows, cut_off = cut([_row(one) for one in _told(found)], "points")

    def draw(dark: bool) -> "dict[str, Figure]":
        return {name: frontier_figure.figure(own, heading, drawn, dark=dark) for name, (heading, own) in panels.items()}

    far = [note for kind in KINDS for note in _implausible([one for one in drawn if one.kind == kind], kind)]

    return View(
        name="frontier",
        title="Energy and accuracy by bit-width",
        answers="Which bit-widths give the most accuracy for their joules?",
        figures=draw if drawn else None,
        alts={name: _alt(own, heading) for name, (heading, own) in panels.items()},
        caption=CAPTION,
        table=Table(
            caption="Energy a sample and accuracy; what is on the frontier first",
            headings=("Point", "Bits", "Energy", "Accuracy", "On the frontier"),
            rows=rows,
        ),
        frame=framed(COLUMNS, map(_data, found)),
        notes=(
            *cut_off,
            *without_place(latest(stored)),
            *far,
            *_left_out(panels, drawn),
            *_without_width(stored),
            *undrawn({one.name: one.odd for one in found if one.odd}),
            *origins.origins(one.record for one in found),
        ),
        empty=None if found else EMPTY,
    )


def _told(found: Iterable[Point]) -> list[Point]:
    kinds = list(KINDS)
    return sorted(found, key=lambda one: (not one.on_frontier, kinds.index(one.kind), one.place.cost.value, one.name))


Panels = Mapping[str, tuple[str, list[Point]]]
"""Heading and points of each panel, by its name."""


def _panels(found: Sequence[Point]) -> Panels:
    """One for each kind of joule of what may stand on one frontier."""
    sets = list(dict.fromkeys(one.contest for one in found))
    titles = {frames.machine(one.record): frames.title(one.record) for one in found}
    names = _names(found, titles)
    panels: dict[str, tuple[str, list[Point]]] = {}
    for contest in sets:
        for kind in KINDS:
            own = [one for one in found if (one.kind, one.contest) == (kind, contest)]
            if own and len(panels) < MOST_DRAWN:
                where = _where(own[0], sets, titles)
                heading = KINDS[kind][2].partition(":")[0] if where else KINDS[kind][2]
                panels[names[own[0].rivals]] = (f"{heading}{where}", own)
    return panels


def _names(found: Sequence[Point], titles: Mapping[str, str]) -> dict[tuple[str, ...], str]:
    """Of each panel `estimated-qnn-infer`; with version, data and machine where others of its kind differ in them."""
    names: dict[tuple[str, ...], str] = {}
    every = list(dict.fromkeys(one.rivals for one in found))
    for workload, version, data, machine, kind in every:
        alike = [told for told in every if (told[0], told[-1]) == (workload, kind)]
        words = (f"v{version}", data, machine_name(machine, titles))
        apart = (len({told[place] for told in alike}) > 1 for place in (1, 2, 3))
        told = (workload, *(word for word, differs in zip(words, apart, strict=True) if differs))
        name = "-".join(filter(None, (kind, *map(plain, told))))
        number = 1 + sum(one == name or one.startswith(f"{name}--") for one in names.values())
        names[workload, version, data, machine, kind] = name if number == 1 else f"{name}--{number}"
    return names


def _where(one: Point, sets: Sequence[tuple[str, ...]], titles: Mapping[str, str]) -> str:
    """What tells a panel from those of other workloads, versions, data and machines."""
    workload, version, data, machine = one.contest
    words = (workload, f"version {version}", data, machine_name(machine, titles))
    alike = [told for told in sets if told[0] == workload]
    several = (len({told[place] for told in (alike if place == 1 else sets)}) > 1 for place in range(len(words)))
    return "".join(f", {word}" for word, differs in zip(words, several, strict=True) if word and differs)


def _implausible(own: Sequence[Point], kind: str) -> tuple[str, ...]:
    return implausible([(one.name, one.place.cost.value) for one in own], "J", f"{kind} joules")


def _alt(own: Sequence[Point], heading: str) -> str:
    costs, worths = ([getattr(one.place, way).value for one in own] for way in ("cost", "worth"))
    best = sorted((one for one in own if one.on_frontier and not one.alone), key=lambda one: one.place.cost.value)
    told = ", ".join(
        f"{one.level} of {workload_of(one)} ({quantity(one.place.cost.value, 'J')}, "
        f"{quantity(one.place.worth.value, '%')})"
        for one in best[:4]
    )
    more = f" and {len(best) - 4:,} more" if len(best) > 4 else ""
    return (
        f"{heading}: accuracy against {own[0].kind} joules per sample, {len(own):,} point{'s' * (len(own) > 1)}, "
        f"{quantity(min(costs), 'J')} to {quantity(max(costs), 'J')}, {quantity(min(worths), '%')} to "
        f"{quantity(max(worths), '%')}. "
        + (f"On the frontier by their values: {told}{more}." if best else f"There is {ALONE}, so no frontier.")
    )


def _row(one: Point) -> tuple[Cell, ...]:
    cost, worth = one.place.cost, one.place.worth
    kind = str(one.record["results"]["accuracy"]["provenance"])
    return (
        one.name,
        one.level,
        shown(cost.value, "J", one.kind, (cost.low, cost.high)),
        shown(worth.value, "%", kind, (worth.low, worth.high)),
        standing_words(one),
    )


def _left_out(panels: Panels, found: Sequence[Point]) -> tuple[str, ...]:
    notes = []
    for name, (_, own) in panels.items():
        if (count := len(frontier_figure.drawn(own))) < len(own):
            of = f"{count:,} of {len(own):,} points are drawn in {name}, without intervals"
            notes.append(f"{of}: of those that would cover one another, one.")
        elif count > MOST_BARS:
            notes.append(f"The intervals of the {count:,} points in {name} are not drawn; the data has them.")
    there = len({one.rivals for one in found})
    if there > len(panels):
        notes.append(f"{len(panels)} of {there:,} panels are drawn; the data has all points.")
    return tuple(notes)


def _without_width(stored: Sequence[Stored]) -> tuple[str, ...]:
    """How many points have all but a width."""
    bare = sum(
        "accuracy" in one.record["results"]
        and bits.widths(one.record) is None
        and any(joules_of(one.record, kind) for kind in KINDS)
        for one in latest(stored)
    )
    return (f"{bare:,} point{'s' * (bare > 1)} with joules and accuracy have no bit-width, so no place here.",) * (
        bare > 0
    )


def _data(one: Point) -> dict[str, object]:
    record = one.record
    row: dict[str, object] = {"record": record["id"], "machine": record["machine"]["id"], "workload": workload_of(one)}
    row |= {"data": frames.data_name(record), "provenance": one.kind}
    row |= {"weight_bits": one.widths[0], "activation_bits": one.widths[-1]}
    told = (("joules", one.place.cost), ("accuracy", one.place.worth))
    for (column, spread), stated in zip(told, one.stated, strict=True):
        row[column] = spread.value
        if stated:
            row[f"{column}.low"], row[f"{column}.high"] = spread.low, spread.high
    return (
        row
        | {"on_frontier": one.on_frontier, "certain": one.standing is not None and one.standing.certain}
        | origins.columns(record)
    )
