"""What records say of a relaxation, sweep by sweep: residual, active samples, and joules shared out by time."""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from energybench.reports.bits import settings
from energybench.reports.figures import INK, KINDS, MOST_LABELS
from energybench.reports.frames import Stored
from energybench.reports.labels import Room
from energybench.reports.numbers import quantity
from energybench.reports.plotting import LINES, MARKERS, colours, legend, logarithmic, panel_axes, widened
from energybench.reports.views.drawing import ground, outline

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text

DASHES = {"median": "-", "largest": "--"}
NEEDED = ("sweep", "active", "residual_median", "residual_max", "seconds")
FREE = "free"
"""The phase of sweeps that nothing nudges: of all of them where a record names none."""
ACROSS = (0.5, 0.25, 0.75)
"""Where the name of a phase may stand: shares of its way, the best first."""
MOST_CURVES = 6
"""Of a panel; of the residual both the median and the largest are drawn of half as many relaxations."""
SHADES = (0.07, 0.2)
"""Of phases, in turns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Values at each sweep, of one record: the median or the largest residual, or one number alone.

    Attributes:
        setting: the parameters that vary, in words.
        term: `median` or `largest`; empty where there is but one.
        sweeps: from 1.
        values: in SI units, above 0.
    """

    setting: str
    term: str = ""
    sweeps: list[int]
    values: list[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A phase, from its first sweep to its last."""

    name: str
    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One panel against sweeps: its name in files, its heading, what its axis says, and the unit of that."""

    name: str
    heading: str
    label: str
    unit: str


def panels(stored: Sequence[Stored]) -> dict[str, tuple[Panel, list[Curve]]]:
    """The panels that these records fill, by name: residual, active samples, and one for each kind of joule."""
    records = [one.record for one in stored if trace(one.record)]
    words = settings([record["parameters"] for record in records])
    told = list(zip(records, words, strict=True))
    made = [
        (_residual_panel(told), list(_residuals(told))),
        (Panel(name="active", heading="Active samples", label="samples still relaxing", unit=""), list(_active(told))),
        *((_joule_panel(kind), list(_joules(told, kind))) for kind in KINDS),
    ]
    return {panel.name: (panel, curves) for panel, curves in made if curves}


def figures(
    stored: Sequence[Stored], *, dark: bool = False, where: str = "", without: Collection[str] = ()
) -> "dict[str, Figure]":
    """A figure for each panel of `panels`, with its phases shaded.

    Args:
        stored: records of one workload on one machine.
        dark: ink for a dark page.
        where: what stands in headings after their own words.
        without: names of panels that are not wanted.
    """
    phases = spans(stored)
    own = {} if phases else borders(stored)
    return {
        name: _figure(panel, curves, phases, own, where, dark=dark)
        for name, (panel, curves) in panels(stored).items()
        if name not in without
    }


def spans(stored: Sequence[Stored]) -> list[Span]:
    """The phases of these relaxations, where they are the same in all; of one phase alone, up to the longest."""
    found = [_spans(told) for one in stored if (told := trace(one.record))]
    names = {one.name for phases in found for one in phases}
    if len(names) == 1:
        return [max((one for phases in found for one in phases), key=lambda one: one.last)]
    return found[0] if found and all(one == found[0] for one in found) else []


def borders(stored: Sequence[Stored]) -> dict[str, list[Span]]:
    """The phases of each relaxation by its setting: what `spans` gives none of, for they differ."""
    records = [one.record for one in stored if trace(one.record)]
    words = settings([record["parameters"] for record in records])
    return {word: _spans(record["details"]["relaxation"]) for record, word in zip(records, words, strict=True)}


def spread(every: Sequence[Stored], most: int = MOST_CURVES) -> list[Stored]:
    """At most so many of them, the first and the last among them, in even steps."""
    if len(every) <= most:
        return list(every)
    return [every[round(place * (len(every) - 1) / (most - 1))] for place in range(most)]


def medians_alone(relaxations: int) -> bool:
    """Whether of so many relaxations the median residual is drawn and the largest is not."""
    return 2 * relaxations > MOST_CURVES


def _spans(told: Mapping[str, Any]) -> list[Span]:
    sweeps, names = told["sweep"], phases_of(told)
    found: list[Span] = []
    for sweep, name in zip(sweeps, names, strict=True):
        begun = found and found[-1].name == name
        first = found.pop().first if begun else sweep
        found.append(Span(name=name, first=first, last=sweep))
    return found


def phases_of(told: Mapping[str, Any]) -> list[str]:
    """The phase of each sweep of a trace."""
    names = told.get("phase")
    length = len(told["sweep"])
    return [str(name) for name in names] if isinstance(names, list) and len(names) == length else [FREE] * length


def alt(stored: Sequence[Stored], name: str) -> str:
    """What a panel shows, in a sentence."""
    panel, curves = panels(stored)[name]
    first = max(curves, key=lambda curve: len(curve.sweeps))
    begin, end = (quantity(first.values[place], panel.unit) for place in (0, -1))
    of = f"{len(curves)} curve{'s' if len(curves) > 1 else ''}"
    label = " ".join((panel.label[0].upper() + panel.label[1:]).split())
    told = f"{label} against sweep, {of}: {begin} at sweep {first.sweeps[0]}, {end} at sweep {first.sweeps[-1]}"
    return f"{told}{f' ({first.term})' if first.term else ''}."


def trace(record: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The sweeps that a record tells of; None where it tells of none, or tells it in another form."""
    found = (record.get("details") or {}).get("relaxation")
    if not isinstance(found, Mapping) or not all(isinstance(found.get(name), list) for name in NEEDED):
        return None
    lengths = {len(found[name]) for name in NEEDED}
    numbers = all(isinstance(value, int | float) for name in NEEDED for value in found[name])
    return found if lengths != {0} and len(lengths) == 1 and numbers else None


Told = Sequence[tuple[Mapping[str, Any], str]]


def _residual_panel(told: Told) -> Panel:
    median = "median " if medians_alone(len(told)) else ""
    return Panel(name="residual", heading="Residual", label=f"{median}residual (RMS change)", unit="")


def _residuals(told: Told) -> Iterator[Curve]:
    terms = [("median", "residual_median"), ("largest", "residual_max")]
    if medians_alone(len(told)):
        terms = [("", "residual_median")]
    for record, setting in told:
        sweeps = record["details"]["relaxation"]
        for term, name in terms:
            yield from _curve(setting, term, sweeps["sweep"], sweeps[name])


def _active(told: Told) -> Iterator[Curve]:
    for record, setting in told:
        sweeps = record["details"]["relaxation"]
        yield from _curve(setting, "", sweeps["sweep"], sweeps["active"])


def _joules(told: Told, kind: str) -> Iterator[Curve]:
    """Joules a sample × the share of the time that has passed: nobody metered a sweep by itself."""
    for record, setting in told:
        if so_far := joules_so_far(record, kind):
            yield from _curve(setting, "", record["details"]["relaxation"]["sweep"], so_far)


def joules_so_far(record: Mapping[str, Any], kind: str) -> list[float]:
    """Joules a sample up to the end of each sweep of its trace; empty where it has none of this kind."""
    result, seconds = record["results"].get(KINDS[kind][0]), record["details"]["relaxation"]["seconds"]
    if result is None or result["provenance"] != kind or not seconds[-1] > 0:
        return []
    return [passed / seconds[-1] * float(result["value"]) for passed in seconds]


def _curve(setting: str, term: str, sweeps: Sequence[int], values: Sequence[float]) -> Iterator[Curve]:
    """Where a value is above 0: a logarithmic axis has no place for what has come to rest exactly."""
    kept = [(sweep, float(value)) for sweep, value in zip(sweeps, values, strict=True) if value > 0]
    if kept:
        yield Curve(setting=setting, term=term, sweeps=[one for one, _ in kept], values=[value for _, value in kept])


def _joule_panel(kind: str) -> Panel:
    return Panel(
        name=kind,
        heading=f"{kind.capitalize()} joules so far",
        label=f"{kind} J per sample,\nshared out by time",
        unit="J",
    )


def _figure(
    panel: Panel,
    curves: Sequence[Curve],
    phases: Sequence[Span],
    borders: Mapping[str, Sequence[Span]],
    where: str,
    *,
    dark: bool,
) -> "Figure":
    names = list(dict.fromkeys(curve.setting for curve in curves))
    inks = dict(zip(names, colours(len(names), dark=dark), strict=True))
    # Of a kind of joule the mark says the kind, so dashes tell settings apart; else marks do, and dashes tell terms.
    marks = {
        name: KINDS[panel.name][1] if panel.name in KINDS else MARKERS[number % len(MARKERS)]
        for number, name in enumerate(names)
    }
    dashes = {name: LINES[number % len(LINES)] if panel.name in KINDS else "-" for number, name in enumerate(names)}
    with panel_axes(f"{panel.heading}{where}", "sweep", panel.label, dark=dark) as (figure, axis):
        if "\n" in panel.label:
            axis.yaxis.label.set_fontsize(9.5)  # two lines, beside ticks with their unit
            axis.yaxis.labelpad = 1
        for curve in curves:
            few = {"marker": marks[curve.setting], "markersize": 5} if curve.term != "largest" else {}
            line_style = DASHES.get(curve.term, dashes[curve.setting])
            look: dict[str, Any] = {"color": inks[curve.setting], "linestyle": line_style} | few
            line = outline(list(zip(curve.sweeps, curve.values, strict=True)))
            x, y = zip(*line, strict=True)
            step = _every(line)
            start = names.index(curve.setting) * step // len(names)
            axis.plot(x, y, markevery=(start, step), linewidth=1.3, **look)
            _uprights(axis, curve, borders.get(curve.setting, ()), inks[curve.setting])
        _scale(axis, panel, curves)
        lines = {name: {"linestyle": dashes[name]} if panel.name in KINDS else {} for name in names}
        entries = [
            (name, {"color": inks[name], "marker": marks[name]} | lines[name])
            for name in names[:MOST_LABELS]
            if len(names) > 1
        ]
        terms = [term for term in DASHES if any(curve.term == term for curve in curves)]
        ink = inks[names[0]] if len(names) == 1 else "0.5"
        entries += [(term, {"color": ink, "linestyle": DASHES[term], "marker": ""}) for term in terms]
        told = list(dict.fromkeys(one.name for own in borders.values() for one in own))
        if len(told) > 1:
            upright = {"color": ink, "marker": "|", "markersize": 12, "markeredgewidth": 1.8}
            entries.append((" → ".join(told), upright))
        legend(figure, entries, dark=dark)
        _shade(axis, phases, curves, str(INK[dark]["muted"]), dark=dark)
    return figure


def _every(line: Sequence[Any]) -> int:
    """A mark at every so many sweeps: more of them would hide the line, and those of other lines."""
    return max(1, len(line) // 5)


def _uprights(axis: "Axes", curve: Curve, own: Sequence[Span], ink: Any) -> None:
    """A small upright on a curve between the last sweep of a phase and the first of the next."""
    values = dict(zip(curve.sweeps, curve.values, strict=True))
    sides = [(values.get(before.last), values.get(after.first), after.first) for before, after in pairwise(own)]
    for old, new, first in sides:
        if old is not None and new is not None:
            look = {"color": ink, "markersize": 12, "markeredgewidth": 1.8}
            axis.plot(first - 0.5, math.sqrt(old * new), "|", zorder=4, **look)


def _shade(axis: "Axes", phases: Sequence[Span], curves: Sequence[Curve], ink: str, *, dark: bool) -> None:
    """Each phase as a band with its name, where no curve passes."""
    room = Room(axis, [place for curve in curves for place in zip(curve.sweeps, curve.values, strict=True)])

    def write(name: str, at: float, height: float) -> "Text":
        return axis.text(
            at,
            height,
            name,
            transform=axis.get_xaxis_transform(),
            ha="center",
            va="bottom" if height < 0.5 else "top",
            fontsize=9,
            color=ink,
            bbox=ground(dark=dark),
        )

    for number, one in enumerate(phases):
        begin, end = one.first - 0.5, one.last + 0.5
        axis.axvspan(begin, end, color=ink, alpha=SHADES[number % len(SHADES)], linewidth=0, zorder=0)
        places = [(begin + share * (end - begin), height) for share in ACROSS for height in (0.03, 0.97)]
        room.put(partial(write, one.name, *place) for place in places)


def _scale(axis: "Axes", panel: Panel, curves: Sequence[Curve]) -> None:
    from matplotlib.ticker import MaxNLocator

    values = [value for curve in curves for value in curve.values]
    logarithmic(axis, panel.unit, *widened(min(values), max(values)))
    last = max(curve.sweeps[-1] for curve in curves)
    axis.set_xlim(0, last + max(0.5, 0.03 * last))
    axis.xaxis.set_major_locator(MaxNLocator(6, integer=True))
