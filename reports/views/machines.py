"""Machines: where their joules come from, how well each repeats itself, its draw at rest, its canary over time."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from energybench.reports import frames
from energybench.reports.figures import KINDS
from energybench.reports.frames import Stored
from energybench.reports.numbers import EXACT, quantity
from energybench.reports.views import machine_panels, machine_sources
from energybench.reports.views.drawing import MOST_DRAWN
from energybench.reports.views.noise import FloorOf, Idle, Noise, canary_lines, idles, noises, with_floor
from energybench.reports.views.noise import canaries as canaries_beside
from energybench.reports.views.view import MOST_ROWS, Cell, Table, View, cut, framed, machine_name, shown, spoken

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from energybench.reports.views.machine_panels import Drawing

COLUMNS = (
    "machine",
    "what",
    "name",
    "metric",
    "provenance",
    "when",
    "value",
    "value.low",
    "value.high",
    "unit",
    "standard_uncertainty",
    "repeats",
    "floor",
    "floor_source",
    "reason",
    "remedy",
)
MOST_MACHINES = 4
CAPTION = (
    "Variation: standard deviation over mean of records of the same point and commit; its interval is that of a "
    "standard deviation of so few normal values, 95 %. An upright line is the "
    "floor that the gate goes by: how far apart two unchanged sets lie. Idle watts have a mark for each baseline,"
    " with ±2 standard uncertainties. A cross on the canary was outside of its history."
)
NO_NOISE = (
    "Nothing tells of noise: no point was measured twice on one machine, and there is neither an idle baseline nor a "
    "canary. Run a workload again, on a machine with a counter."
)
EMPTY = "No record tells of a machine. Run a workload, as `energybench run qnn-infer --quick`."


def view(
    stored: Sequence[Stored],
    *,
    floor_of: FloorOf | None = None,
    canaries: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
) -> View:
    """What is known of the machines of these records.

    Columns of its data: machine (its id, with `-simulated` where counters were); what (`noise`, `idle`, `canary`,
    `source` of joules, `not read`); name (of the point, the domain, the source); metric; provenance; when; value (of
    noise the standard deviation over the mean of repeats, with `.low` and `.high`; else watts, joules or seconds);
    unit; standard_uncertainty;
    repeats (of a source its records); floor (standard deviation of the log ratio of unchanged sets); floor_source;
    reason and remedy of what was not read.

    Args:
        stored: all records, repeats as well.
        floor_of: the noise floor of a series, as `gating.floors.floors` gives it.
        canaries: the lines of each machine's canary by its id; read from beside the records by default.
    """
    titles = frames.titles(stored)
    noise, idle = noises(stored), idles(stored)
    if floor_of:
        noise = [*(with_floor(one, floor_of) for one in noise[:MOST_ROWS]), *noise[MOST_ROWS:]]
    found = machine_sources.sources(stored)
    birds = canaries_beside(stored) if canaries is None else canaries
    panels = _panels(titles, noise, idle, birds)
    kept, notes = cut([_row(one, titles) for one in noise], "series with repeats")

    def draw(dark: bool) -> "dict[str, Figure]":
        return {name: drawing(dark) for name, (drawing, _) in panels.items()}

    return View(
        name="machines",
        title="Machines and their noise",
        answers="Where do joules come from, how far apart do repeats lie where nothing changed, has a machine drifted?",
        figures=draw if panels else None,
        alts={name: alt for name, (_, alt) in panels.items()},
        caption=CAPTION,
        table=Table(
            caption="Repeats of the same point, the noisiest first",
            headings=("Point", "Result", "Machine", "Repeats", "Variation", "Floor"),
            rows=kept,
        ),
        second=machine_sources.table(found, titles),
        frame=framed(
            COLUMNS,
            [
                *map(_noise_data, noise),
                *map(_idle_data, idle),
                *_canary_data(birds),
                *map(machine_sources.data, found),
            ],
        ),
        notes=(*notes, *_left_out(titles, noise, idle), *(() if panels else (NO_NOISE,))),
        empty=None if panels or found else EMPTY,
    )


def _panels(
    titles: Mapping[str, str],
    noise: Sequence[Noise],
    idle: Sequence[Idle],
    birds: Mapping[str, Sequence[Mapping[str, Any]]],
) -> "dict[str, tuple[Drawing, str]]":
    """How to draw each panel, and what it shows in a sentence."""
    panels: dict[str, tuple[Drawing, str]] = {}
    for number, machine in enumerate(sorted(titles)[:MOST_MACHINES], 1):
        on = machine_name(machine, titles)
        for kind in KINDS:
            own = [one for one in noise if (one.machine, one.kind) == (machine, kind)]
            if own:
                panels[f"noise-{number}-{kind}"] = machine_panels.noise_panel(on, kind, own[:MOST_DRAWN])
            rested = [one for one in idle if (one.machine, one.kind) == (machine, kind)]
            if rested:
                panels[f"idle-{number}-{kind}"] = machine_panels.idle_panel(on, kind, rested)
        simulated = machine.endswith("-simulated")
        for name, kind, values in canary_lines(birds.get(machine.removesuffix("-simulated"), ())):
            # Seconds are those of the real machine either way; joules belong to the one whose counters they are.
            if (kind == "simulated") == simulated or name == "seconds":
                panels[f"canary-{number}-{name}-{kind}"] = machine_panels.canary_panel(on, name, kind, values)
    # Panels of one kind are about as tall as one another, and stand side by side.
    order = ("noise", "idle", "canary")
    return dict(sorted(panels.items(), key=lambda one: order.index(one[0].partition("-")[0])))


def _left_out(titles: Mapping[str, str], noise: Sequence[Noise], idle: Sequence[Idle]) -> tuple[str, ...]:
    notes = []
    if len(titles) > MOST_MACHINES:
        notes.append(f"{MOST_MACHINES} of {len(titles):,} machines are drawn; the data has all of them.")
    for machine in sorted(titles)[:MOST_MACHINES]:
        on = machine_name(machine, titles)
        domains = len({one.domain for one in idle if one.machine == machine})
        if domains > MOST_DRAWN:
            notes.append(f"{MOST_DRAWN} of {domains:,} idle domains of {on} are drawn.")
        for kind in KINDS:
            count = sum((one.machine, one.kind) == (machine, kind) for one in noise)
            if count > MOST_DRAWN:
                notes.append(f"{MOST_DRAWN} of {count:,} {kind} series of {on} are drawn, the noisiest.")
    return tuple(notes)


def _row(one: Noise, titles: Mapping[str, str]) -> tuple[Cell, ...]:
    floor = f"{quantity(one.floor.relative, '%')}, from {one.floor.source}" if one.floor else "not known"
    return (
        one.name,
        spoken(one.metric),
        machine_name(one.machine, titles),
        f"{one.repeats:,}",
        shown(one.variation, "%", one.kind, one.limits, otherwise=EXACT),
        floor,
    )


def _noise_data(one: Noise) -> dict[str, object]:
    row: dict[str, object] = {"machine": one.machine, "what": "noise", "name": one.name, "metric": one.metric}
    row |= {"provenance": one.kind, "value": one.variation, "unit": "1", "repeats": one.repeats}
    row |= dict(zip(("value.low", "value.high"), one.limits, strict=True))
    return row | ({"floor": one.floor.relative, "floor_source": one.floor.source} if one.floor else {})


def _idle_data(one: Idle) -> dict[str, object]:
    row: dict[str, object] = {"machine": one.machine, "what": "idle", "name": one.domain, "metric": "watts"}
    row |= {"provenance": one.kind, "when": one.when, "value": one.watts, "unit": "W"}
    return row | {"standard_uncertainty": one.doubt}


def _canary_data(birds: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[dict[str, object]]:
    return [
        {"machine": machine, "what": "canary", "name": "canary", "metric": name, "provenance": kind}
        | {"when": when, "value": value, "unit": "J" if name == "joules" else "s"}
        for machine, lines in birds.items()
        for name, kind, values in canary_lines(lines)
        for when, value, _ in values
    ]
