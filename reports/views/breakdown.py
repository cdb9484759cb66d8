"""Where the joules go: disjoint domains, static and active, modelled terms; watts idle and under load."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from energybench.reports import origins
from energybench.reports.figures import INK, KINDS
from energybench.reports.frames import Stored
from energybench.reports.labels import shortened
from energybench.reports.numbers import UNKNOWN, Shown, quantity, stated
from energybench.reports.plotting import panel_axes
from energybench.reports.views.drawing import MOST_DRAWN, prefixed, row_fit, rows, spread_out
from energybench.reports.views.implausible import implausible
from energybench.reports.views.part_looks import looks_of
from energybench.reports.views.parts import Bar, Phase, bars, common, gathered, phases
from energybench.reports.views.row_names import headed, told_apart
from energybench.reports.views.stacks import stack
from energybench.reports.views.view import Cell, Table, View, cut, framed, latest, names, shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = (
    "record",
    "machine",
    "workload",
    "name",
    "provenance",
    "phase",
    "of",
    "part",
    "joules",
    "joules.low",
    "joules.high",
    "watts",
    "share",
    *origins.COLUMNS,
)
CAPTION = (
    "Parts of one bar add up to it, and none contains another. Static is idle power times the time of the "
    "windows, active the rest. Modelled joules have terms of the energy table in place of domains. The number "
    "above a bar is all of it, with its interval; parts by domain and bars at watts have ±2 standard uncertainties of "
    "their counters. A part has the same colour and hatch in all panels."
)
PARTS_UNKNOWN = "intervals of the parts not known"
EMPTY = (
    "No record has joules in parts. Run a workload on a machine with a readable counter (`energybench doctor` tells), "
    "or one that torch runs, whose joules are modelled by term."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One panel: its heading, what its axis says, and rows of parts with a name each."""

    name: str
    heading: str
    kind: str
    labels: list[str]
    parts: list[Mapping[str, float]]
    doubts: list[float] | None = None


def view(stored: Sequence[Stored]) -> View:
    """The breakdown of the newest record of each point.

    Columns of its data: record, machine, workload, name, provenance; phase (`windows`, `idle before`, `idle after`); of
    (`domains`, `static and active`, `terms`: the parts of one of these add up, those of two overlap); part; joules (a
    sample, windows only) with `.low` and `.high` (of domains: ±2 standard uncertainties of the counter); watts (a mean,
    domains only); share (of the joules a sample); commit and created of the record.
    """
    newest = latest(stored)
    told = [(one.record, name) for one, name in zip(newest, names(newest), strict=True)]
    found = [(name, record, bar) for record, name in told for bar in bars(record)]
    every = [bar for _, _, bar in found]
    at_work = [(name, record, one) for record, name in told for one in phases(record)]
    panels, notes = _panels([(name, bar) for name, _, bar in found], [(name, one) for name, _, one in at_work])
    rows_shown, cut_off = cut([_row(name, bar) for name, _, bar in found], "bars")

    def draw(dark: bool) -> "dict[str, Figure]":
        looks = looks_of((name for panel in panels for name in _drawn_parts(panel)), dark=dark)
        return {panel.name: _figure(panel, looks, dark=dark) for panel in panels}

    drawn = {id(record) for _, record, _ in found}
    data = [row for name, record, bar in found for row in _data(record, name, bar)]
    data += [row for name, record, one in at_work for row in _phase_data(record, name, one)]
    return View(
        name="breakdown",
        title="Where the joules go",
        answers="Which part of the machine takes the energy, and how much of it would be taken anyway?",
        figures=draw if panels else None,
        alts={panel.name: _alt(panel) for panel in panels},
        caption=CAPTION,
        table=Table(
            caption="Joules a sample in parts",
            headings=("Point", "Energy", "In", "Parts"),
            rows=rows_shown,
        ),
        frame=framed(COLUMNS, data),
        notes=(
            *cut_off,
            *notes,
            *_without_idle(every),
            *_below_idle(every),
            *_implausible(found),
            *origins.origins(record for record, _ in told if id(record) in drawn),
        ),
        empty=None if panels else EMPTY,
    )


def _panels(found: Sequence[tuple[str, Bar]], at_work: Sequence[tuple[str, Phase]]) -> tuple[list[Panel], list[str]]:
    """A panel for each kind of joule and what it is told apart by, then one of watts; and what is not drawn."""
    panels, notes = [], []
    for kind in KINDS:
        for of in dict.fromkeys(bar.of for _, bar in found if bar.kind == kind):
            own = [(name, bar) for name, bar in found if (bar.kind, bar.of) == (kind, of)]
            if len(own) > MOST_DRAWN:
                notes.append(
                    f"{MOST_DRAWN} of {len(own):,} points are drawn by {of}, {kind}; the data has all of them."
                )
            own = own[:MOST_DRAWN]
            labels, shared = told_apart([name for name, _ in own])
            panels.append(
                Panel(
                    name=f"{kind}-{of.replace(' ', '-')}",
                    heading=headed(f"{KINDS[kind][2]}, {of}", shared),
                    kind=kind,
                    labels=[f"{label}: {_told(bar)}" for label, (_, bar) in zip(labels, own, strict=True)],
                    parts=[bar.parts for _, bar in own],
                )
            )
    for kind in KINDS:
        phased = [(name, one) for name, one in at_work if one.kind == kind]
        if len(phased) > MOST_DRAWN:
            notes.append(f"{MOST_DRAWN} of {len(phased):,} phases are drawn, {kind}; the data has all of them.")
        if phased:
            panels.append(_phase_panel(kind, phased[:MOST_DRAWN]))
    return panels, notes


def _without_idle(found: Sequence[Bar]) -> tuple[str, ...]:
    """How many metered points nobody knows the static part of."""
    metered = sum(bar.of == "domains" for bar in found)
    split = sum(bar.of != "domains" and bar.kind in {"measured", "simulated"} for bar in found)
    left = metered - split
    return (f"{left:,} of {metered:,} points have no idle baseline, so no static part.",) if left else ()


def _below_idle(found: Iterable[Bar]) -> tuple[str, ...]:
    """How many points took less than idle power would have."""
    split = [bar for bar in found if "active" in bar.parts]
    count = sum(bar.parts["active"] < 0 for bar in split)
    note = (
        f"{count:,} of {len(split):,} points have active joules below 0: the machine took more power idle, when its "
        "baseline was measured, than at work. Such a baseline is not to be believed, nor are static and active of it."
    )
    return (note,) if count else ()


def _implausible(found: Sequence[tuple[str, Mapping[str, Any], Bar]]) -> Iterator[str]:
    """Of each kind of joule."""
    for kind in KINDS:
        whole = {name: bar.joules for name, _, bar in found if bar.kind == kind}
        yield from implausible(list(whole.items()), "J", f"{kind} joules")


def _phase_panel(kind: str, phased: Sequence[tuple[str, Phase]]) -> Panel:
    labels, shared = told_apart([f"{name}, {one.name}" for name, one in phased])
    watts = [quantity(sum(one.watts.values()), "W") for _, one in phased]
    return Panel(
        name=f"{kind}-phases",
        heading=headed(f"{KINDS[kind][2]}, watts by phase", shared),
        kind=kind,
        labels=[f"{label}: {told}" for label, told in zip(labels, watts, strict=True)],
        parts=[one.watts for _, one in phased],
        doubts=[one.doubt for _, one in phased],
    )


def _told(bar: Bar) -> str:
    if not bar.limits:
        return quantity(bar.joules, "J")
    number, interval = stated(bar.joules, bar.limits, "J")
    return f"{number} ({interval})"


def _drawn_parts(panel: Panel) -> Iterator[str]:
    named = common(panel.parts)
    return (name for one in panel.parts for name in gathered(one, named))


def _figure(panel: Panel, every: Mapping[str, Any], *, dark: bool) -> "Figure":
    from matplotlib.patches import Patch

    # Where one bar would leave no room for the others, each is as long as the axis: its watts stand above it.
    watts = panel.doubts is not None and not spread_out([sum(one.values()) for one in panel.parts])
    label = f"share of {panel.kind} {'joules per sample' if panel.doubts is None else 'watts'}"
    label = f"{panel.kind} watts, mean of the phase" if watts else label
    named = common(panel.parts)
    gathered_parts = [gathered(one, named) for one in panel.parts]
    looks = {name: look for name, look in every.items() if any(name in one for one in gathered_parts)}
    with panel_axes(panel.heading, label, "", dark=dark) as (figure, axis):
        places = rows(axis, panel.labels, dark=dark)
        for number, (place, one) in enumerate(zip(places, gathered_parts, strict=True)):
            whole = 1.0 if watts else sum(value for value in one.values() if value > 0) or 1.0
            parts = {name: one[name] / whole for name in looks if name in one}
            stack(axis, place, parts, looks, str(INK[dark]["face"]))
            if watts and panel.doubts and panel.doubts[number]:
                at, reach = sum(one.values()), 2 * panel.doubts[number]
                axis.errorbar(
                    at, place, xerr=reach, fmt="none", ecolor=str(INK[dark]["ink"]), capsize=3, elinewidth=1.2
                )
        prefixed(axis, "W" if watts else "%", way="x")
        axis.axvline(0, color=str(INK[dark]["muted"]), linewidth=0.8)
        axis.set_xlim(None, None if watts else 1.0)
        edge = str(INK[dark]["face"])
        patches = [Patch(label=shortened(name), edgecolor=edge, linewidth=0.5, **look) for name, look in looks.items()]
        row_fit(figure, patches, dark=dark)
    return figure


def _alt(panel: Panel) -> str:
    """The parts of the first rows in words."""
    unit = "W" if panel.doubts is not None else "J"
    told = [
        f"{label}, of which {', '.join(f'{name} {quantity(value, unit)}' for name, value in one.items())}"
        for label, one in zip(panel.labels[:3], panel.parts[:3], strict=False)
    ]
    more = f"; {len(panel.labels) - 3} more rows" if len(panel.labels) > 3 else ""
    return f"{panel.heading}, stacked bars: {'; '.join(told)}{more}."


def _row(name: str, bar: Bar) -> tuple[Cell, ...]:
    energy = shown(bar.joules, "J", bar.kind, bar.limits, otherwise=UNKNOWN)
    return name, energy, bar.of, _parts_cell(bar)


def _parts_cell(bar: Bar) -> Shown:
    """All parts with their intervals, and what is not known of them, under the badge that they share."""
    told = []
    for part, joules in bar.parts.items():
        number = shown(joules, "J", bar.kind, bar.part_limits.get(part))
        told.append(f"{part} {number.text}{f' ({number.interval})' if number.interval else ''}")
    unknown = [part for part in bar.parts if part not in bar.part_limits]
    said = (
        "" if not unknown else PARTS_UNKNOWN if len(unknown) == len(bar.parts) else f"of {', '.join(unknown)} {UNKNOWN}"
    )
    return Shown(text=", ".join(told), interval=said, provenance=bar.kind)


def _data(record: Mapping[str, Any], name: str, bar: Bar) -> list[dict[str, object]]:
    return [
        _who(record, name, bar.kind)
        | {"phase": "windows", "of": bar.of, "part": part, "joules": joules}
        | dict(zip(("joules.low", "joules.high"), bar.part_limits.get(part, ()), strict=False))
        | ({"share": joules / bar.joules} if bar.joules else {})
        for part, joules in bar.parts.items()
    ]


def _phase_data(record: Mapping[str, Any], name: str, one: Phase) -> list[dict[str, object]]:
    who = _who(record, name, one.kind)
    return [
        who | {"phase": one.name, "of": "domains", "part": part, "watts": watts} for part, watts in one.watts.items()
    ]


def _who(record: Mapping[str, Any], name: str, kind: str) -> dict[str, object]:
    return {
        "record": record["id"],
        "machine": record["machine"]["id"],
        "workload": record["workload"]["name"],
        "name": name,
        "provenance": kind,
        **origins.columns(record),
    }
