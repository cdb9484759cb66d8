"""The power trace: watts of each domain through the windows, which are laid end to end, with what was throttled."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from energybench.reports import origins
from energybench.reports.figures import INK, KINDS
from energybench.reports.frames import Stored
from energybench.reports.labels import shortened
from energybench.reports.numbers import UNKNOWN, quantity
from energybench.reports.plotting import colours, panel_axes, widened
from energybench.reports.views.drawing import fit, outline, prefixed, spread_out
from energybench.reports.views.implausible import implausible
from energybench.reports.views.trace_chart import chart
from energybench.reports.views.traces import Trace, starts_of, traces_of
from energybench.reports.views.view import Table, View, cut, framed, shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = (
    "record",
    "machine",
    "workload",
    "name",
    "window",
    "seconds",
    "domain",
    "watts",
    "provenance",
    "throttled",
    *origins.COLUMNS,
)
MOST_TRACES, MOST_DOMAINS = 6, 8
LINES: tuple[Any, ...] = ("-", "--", "-.", ":")
EVERY_OTHER = "every other window"
INCHES, SIDES = 2.2, (0.95, 0.3)
CAPTION = (
    "Watts of each domain; one domain may contain another. Every other window is shaded; they are laid end to "
    "end, and what was between them is not drawn. A hatched window with a T was throttled. Of many samples, each "
    "column of pixels has the lowest and the highest. Where the newest record of a point has no trace, the newest one "
    "that has one is shown, with its day."
)
EMPTY = (
    "No record has a power trace. `energybench run qnn-infer --trace 20` keeps one where a counter or a power sensor "
    "can be read, which `energybench doctor` tells; with `ENERGYBENCH_SIMULATE=1` before it, of a simulated machine."
)


def view(stored: Sequence[Stored]) -> View:
    """The newest power trace of each point, the newest first.

    A point whose newest record has no trace is there with an older one, by its day.

    Columns of its data, a row a sample: record, machine, workload, name; window (from 0); seconds (since the window
    began); domain; watts (a mean since the sample before); provenance; throttled (whether the window was); commit and
    created of the record. Domains may contain one another, and their watts are in no sum here.
    """
    found = [one for one in traces_of(stored) if one.samples]
    found.sort(key=lambda one: str(one.record["created"]), reverse=True)
    drawn = {f"{place}-{kind}": (one, kind) for place, (one, kind) in enumerate(_panels(found), 1)}
    rows, notes = cut([row for one in found for row in _rows(one)], "traced domains")

    def draw(dark: bool) -> "dict[str, Figure]":
        return {name: _figure(one, kind, dark=dark) for name, (one, kind) in drawn.items()}

    return View(
        name="power",
        title="Power trace",
        answers="Was the power steady through the windows, and was anything throttled?",
        figures=draw if found else None,
        alts={name: _alt(one, kind) for name, (one, kind) in drawn.items()},
        charts={name: chart(one, kind) for name, (one, kind) in drawn.items()},
        caption=CAPTION,
        table=Table(
            caption="Watts of what was traced",
            headings=("Point", "Domain", "Samples", "Lowest", "Mean", "Highest"),
            rows=rows,
        ),
        frame=lambda: _frame(found),
        notes=(*_left_out(found), *origins.origins(one.record for one in found), *_implausible(found), *notes),
        empty=None if found else EMPTY,
    )


def _panels(found: Sequence[Trace]) -> list[tuple[Trace, str]]:
    """Kinds of joule never share an axis."""
    return [(one, kind) for one in found for kind in KINDS if kind in one.kinds.values()][:MOST_TRACES]


def _figure(one: Trace, kind: str, *, dark: bool) -> "Figure":
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    own = [domain for domain, from_ in one.kinds.items() if from_ == kind][:MOST_DOMAINS]
    inks = dict(zip(own, colours(len(own), dark=dark), strict=True))
    lines = {domain: LINES[number % len(LINES)] for number, domain in enumerate(own)}
    starts = starts_of(one)
    heading = f"{KINDS[kind][2]}: {one.name}"
    with panel_axes(heading, "time, windows end to end", f"{kind} watts", dark=dark) as (figure, axis):
        _bands(axis, starts, dark=dark)
        shaded = [Patch(color=str(INK[dark]["muted"]), alpha=0.2, label=EVERY_OTHER)] if len(starts) > 1 else []
        for domain, _, line in _lines(one, own, starts):
            look = {"color": inks[domain], "linestyle": lines[domain], "marker": "." if len(line) < 30 else ""}
            axis.plot(*zip(*outline(line), strict=True), linewidth=1.4, markersize=4, **look)
        _scale(axis, [sample.watts for sample in one.samples if sample.domain in own], starts)
        fit(
            figure,
            INCHES,
            [
                *(Line2D([], [], color=inks[name], linestyle=lines[name], label=shortened(name)) for name in own),
                *shaded,
            ],
            dark=dark,
            sides=SIDES,
        )
    return figure


def _lines(
    one: Trace, domains: Sequence[str], starts: Mapping[int, tuple[float, float, bool]]
) -> list[tuple[str, int, list[tuple[float, float]]]]:
    """The points of each domain in each window, where the window lies on the axis."""
    lines: dict[tuple[str, int], list[tuple[float, float]]] = {}
    for sample in one.samples:
        if sample.domain in domains:
            place = starts[sample.window][0] + sample.seconds, sample.watts
            lines.setdefault((sample.domain, sample.window), []).append(place)
    return [(domain, window, sorted(line)) for (domain, window), line in lines.items()]


def _bands(axis: "Axes", starts: Mapping[int, tuple[float, float, bool]], *, dark: bool) -> None:
    """Every other window shaded; a throttled one hatched, with a letter."""
    muted = str(INK[dark]["muted"])
    for place, (begin, length, throttled) in enumerate(starts.values()):
        if place % 2 == 0:
            axis.axvspan(begin, begin + length, color=muted, alpha=0.1, linewidth=0, zorder=0)
        if throttled:
            axis.axvspan(
                begin, begin + length, fill=False, hatch="//", edgecolor=muted, linewidth=0, alpha=0.5, zorder=0
            )
            axis.text(
                begin + length / 2,
                0.97,
                "T",
                transform=axis.get_xaxis_transform(),
                color=str(INK[dark]["ink"]),
                va="top",
            )


def _scale(axis: "Axes", values: Sequence[float], starts: Mapping[int, tuple[float, float, bool]]) -> None:
    from energybench.reports.plotting import logarithmic

    end = max(begin + length for begin, length, _ in starts.values())
    if spread_out(values):
        above = [value for value in values if value > 0]
        logarithmic(axis, "W", *widened(min(above), max(above)))
    else:
        prefixed(axis, "W", way="y")
        axis.set_ylim(min(0.0, *values), (max(values) or 1.0) * 1.12)
    prefixed(axis, "s", way="x")
    axis.set_xlim(0, end or 1.0)


def _alt(one: Trace, kind: str) -> str:
    own = [domain for domain, from_ in one.kinds.items() if from_ == kind][:MOST_DOMAINS]
    told = []
    for domain in own[:4]:
        watts = [sample.watts for sample in one.samples if sample.domain == domain]
        told.append(f"{domain} {quantity(min(watts), 'W')} to {quantity(max(watts), 'W')}")
    starts = starts_of(one)
    slow = sum(throttled for _, _, throttled in starts.values())
    return (
        f"{kind.capitalize()} watts of {one.name} through {len(starts)} windows: {'; '.join(told)}; "
        f"{f'{slow} windows throttled' if slow else 'nothing throttled'}."
    )


def _rows(one: Trace) -> list[tuple[Any, ...]]:
    rows = []
    for domain, kind in one.kinds.items():
        watts = [sample.watts for sample in one.samples if sample.domain == domain]
        parts = (min(watts), sum(watts) / len(watts), max(watts))
        rows.append(
            (one.name, domain, f"{len(watts):,}", *(shown(value, "W", kind, otherwise=UNKNOWN) for value in parts))
        )
    return rows


def _implausible(found: Sequence[Trace]) -> Iterator[str]:
    """Of the samples of each trace, by kind."""
    for one in found:
        kinds = one.kinds
        for kind in dict.fromkeys(kinds.values()):
            watts = [(sample.domain, sample.watts) for sample in one.samples if kinds[sample.domain] == kind]
            yield from implausible(watts, "W", f"{kind} watts of {one.name}")


def _left_out(found: Sequence[Trace]) -> tuple[str, ...]:
    notes = []
    panels = sum(len(set(one.kinds.values()) & set(KINDS)) for one in found)
    if panels > MOST_TRACES:
        notes.append(f"{MOST_TRACES} of {panels:,} traces are drawn, the newest; the data has all of them.")
    notes += [
        f"{one.name}: of {len(one.kinds)} domains the {MOST_DOMAINS} with the most watts are drawn."
        for one in found[:MOST_TRACES]
        if len(one.kinds) > MOST_DOMAINS
    ]
    if damaged := sum(one.damaged for one in found):
        notes.append(f"{damaged:,} sample{'s are none and are' if damaged > 1 else ' is none and is'} left out.")
    return tuple(notes)


def _frame(found: Sequence[Trace]) -> Any:
    """Made when it is asked for: a trace may have very many samples."""
    rows = []
    for one in found:
        record, kinds, starts = one.record, one.kinds, starts_of(one)
        who = {"record": record["id"], "machine": record["machine"]["id"], "workload": record["workload"]["name"]}
        who |= origins.columns(record)
        rows += [
            who
            | {"name": one.name, "window": s.window, "seconds": s.seconds, "domain": s.domain, "watts": s.watts}
            | {"provenance": kinds[s.domain], "throttled": starts[s.window][2]}
            for s in one.samples
        ]
    return framed(COLUMNS, rows)()
