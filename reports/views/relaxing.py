"""Relaxations of networks that settle: residual and joules so far by sweep, joules against tolerance, and by phase."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from energybench.reports import frames, origins, relaxation
from energybench.reports.figures import KINDS
from energybench.reports.frames import Stored
from energybench.reports.numbers import bounds
from energybench.reports.views import stacks
from energybench.reports.views.against_tolerance import against_tolerance
from energybench.reports.views.drawing import MOST_DRAWN
from energybench.reports.views.implausible import implausible
from energybench.reports.views.pictures import Picture, first
from energybench.reports.views.settling import data, number_of, phase_joules, rows_of
from energybench.reports.views.stacks import Stack
from energybench.reports.views.view import Table, View, cut, framed, joules_of, latest, machine_name, names

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = (
    "record",
    "machine",
    "workload",
    "name",
    "what",
    "tolerance",
    "phase",
    "sweep",
    "sweeps",
    "active",
    "residual_median",
    "residual_max",
    "seconds",
    "provenance",
    "joules",
    "joules.low",
    "joules.high",
    "accuracy",
    *origins.COLUMNS,
)
CAPTION = (
    "A sweep updates every unit once; the residual is the change that it made, and a sample is done when its residual "
    "is below the tolerance. Bands are phases. Nobody meters a sweep: joules of a step are shared out by the time that "
    "its sweeps took, and joules of a training step evenly among its sweeps, its update included. Each kind of joule "
    "has its own panel."
)
EMPTY = (
    "No record tells of a relaxation. Run `energybench run eqprop-relax --param tolerance=0.01,0.001,0.0001`, and "
    "`energybench run eqprop-train` for joules of the free and the nudged phase."
)


def view(stored: Sequence[Stored]) -> View:
    """The relaxations of the newest record of each point.

    Columns of its data: record, machine, workload, name; what (`sweep`: a sweep of a traced relaxation; `phase`: one of
    a training step; `step`: a record as a whole); tolerance (of the residual; absent where none was set); phase
    (`free`, `nudged`); sweep (from 1), or sweeps (mean number of the phase or the step); active (samples still
    relaxing), residual_median, residual_max and seconds (since the start) of a sweep; provenance of the joules; joules
    (a sample: up to the end of the sweep, of the phase, or of the step) with `.low` and `.high`; accuracy; commit and
    created of the record.
    """
    newest = [one for one in latest(stored) if _settles(one.record)]
    told = list(zip(newest, names(newest), strict=True))
    panels, notes = _panels(newest)
    rows, cut_off = cut([row for one, name in told for row in rows_of(one.record, name)], "rows")

    def draw(dark: bool) -> "dict[str, Figure]":
        return {name: panel.draw(dark) for name, panel in panels.items()}

    return View(
        name="relaxation",
        title="Relaxation",
        answers="How fast does an equilibrium network settle, and what do its sweeps cost?",
        figures=draw if panels else None,
        alts={name: panel.alt for name, panel in panels.items()},
        caption=CAPTION,
        table=Table(
            caption="Sweeps and joules a sample",
            headings=("Point", "Tolerance", "Sweeps", "Residual at the end", "Energy", "Accuracy"),
            rows=rows,
        ),
        frame=framed(COLUMNS, (row for one, name in told for row in data(one.record, name))),
        notes=(
            *cut_off,
            *notes,
            *_implausible([(one.record, name) for one, name in told]),
            *origins.origins(one.record for one, _ in told),
        ),
        empty=None if newest else EMPTY,
    )


def _implausible(told: Sequence[tuple[Mapping[str, Any], str]]) -> Iterator[str]:
    for kind in KINDS:
        found = [(name, float(joules["value"])) for record, name in told if (joules := joules_of(record, kind))]
        yield from implausible(found, "J", f"{kind} joules")


def _settles(record: Mapping[str, Any]) -> bool:
    return relaxation.trace(record) is not None or number_of(record, "free_sweeps") is not None


def _panels(newest: Sequence[Stored]) -> tuple[dict[str, Picture], list[str]]:
    """Of each workload on each machine; and what is not drawn."""
    groups = frames.grouped(newest)
    panels: dict[str, Picture] = {}
    notes: list[str] = []
    for number, group in enumerate(groups, 1):
        own = frames.newest(group)
        where = _where(own[0].record, groups)
        end = f"-{number}" if len(groups) > 1 else ""
        made = [*_traced(own, where, notes), *against_tolerance(own, where), *_by_phase(own, where, notes)]
        panels |= {f"{name}{end}": panel for name, panel in made}
    return first(panels, notes)


def _where(record: Mapping[str, Any], groups: Sequence[Sequence[Stored]]) -> str:
    """The workload and the machine, where there are several."""
    titles = {frames.machine(one.record): frames.title(one.record) for group in groups for one in group}
    workload, workloads = record["workload"]["name"], {group[0].record["workload"]["name"] for group in groups}
    machine = f", {machine_name(frames.machine(record), titles)}" if len(titles) > 1 else ""
    return f"{f', {workload}' if len(workloads) > 1 else ''}{machine}"


def _traced(own: Sequence[Stored], where: str, notes: list[str]) -> Iterator[tuple[str, Picture]]:
    """Residual, then joules so far of each kind."""
    every = [one for one in own if relaxation.trace(one.record)]
    kept = relaxation.spread(every)
    if len(kept) < len(every):
        notes.append(f"{len(kept)} of {len(every):,} relaxations are drawn{where}, evenly from their order.")
    if kept and not relaxation.spans(kept):
        notes.append(f"Phases differ{where} and are not shaded: an upright on each curve is where its next one begins.")
    if relaxation.medians_alone(len(kept)):
        notes.append(f"Of {len(kept)} relaxations the median residual is drawn{where}; the data has the largest.")
    for name in relaxation.panels(kept):
        if name != "active":
            drawn = partial(_one_traced, kept, name, where)
            alt = relaxation.alt(kept, name)
            yield name if name == "residual" else f"{name}-so-far", Picture(alt=alt, draw=drawn)


def _one_traced(kept: Sequence[Stored], name: str, where: str, dark: bool) -> "Figure":
    others = [panel for panel in relaxation.panels(kept) if panel != name]
    return relaxation.figures(kept, dark=dark, where=where, without=others)[name]


def _by_phase(own: Sequence[Stored], where: str, notes: list[str]) -> Iterator[tuple[str, Picture]]:
    """Joules of a training step, free and nudged, evenly by sweeps."""
    titles = dict(zip((one.record["id"] for one in own), names(own), strict=True))
    for kind in KINDS:
        bars = [
            Stack(name=titles[one.record["id"]], parts=parts, whole=float(joules["value"]), limits=bounds(joules))
            for one in own
            if (joules := joules_of(one.record, kind)) and (parts := phase_joules(one.record, kind))
        ]
        if len(bars) > MOST_DRAWN:
            notes.append(f"{MOST_DRAWN} of {len(bars):,} points are drawn by phase, {kind}; the data has all of them.")
        if bars:
            panel = stacks.Panel(
                heading=f"{kind.capitalize()} joules of a training step{where}",
                label=f"{kind} J per sample, shared out by sweeps",
                stacks=bars[:MOST_DRAWN],
            )
            yield f"{kind}-phases", stacks.picture(panel)
