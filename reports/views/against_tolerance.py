"""Joules a sample of a relaxation against its tolerance, where several were run."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from energybench.reports.bits import settings
from energybench.reports.figures import INK, KINDS
from energybench.reports.frames import Stored
from energybench.reports.labels import shortened
from energybench.reports.numbers import bounds, quantity
from energybench.reports.plotting import LINES, colours, legend, logarithmic, panel_axes, tick, widened
from energybench.reports.views.drawing import MOST_DRAWN, ends, outline
from energybench.reports.views.pictures import Picture
from energybench.reports.views.settling import tolerance_of
from energybench.reports.views.view import joules_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_LINES = 8
"""Settings of a panel that are told apart."""
MOST_TICKS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """Joules a sample of one record at its tolerance, with the interval (None where none was stated)."""

    setting: str
    tolerance: float
    joules: float
    limits: tuple[float, float] | None


def against_tolerance(own: Sequence[Stored], where: str) -> Iterator[tuple[str, Picture]]:
    """Joules a sample of each kind, where several tolerances were run."""
    records = [one.record for one in own if tolerance_of(one.record)]
    words = settings([record["parameters"] for record in records], without=("tolerance",))
    for kind in KINDS:
        found = [
            Spent(
                setting=setting,
                tolerance=tolerance_of(record) or 0.0,
                joules=float(joules["value"]),
                limits=bounds(joules),
            )
            for record, setting in zip(records, words, strict=True)
            if (joules := joules_of(record, kind))
        ]
        if len({one.tolerance for one in found}) > 1:
            found.sort(key=lambda one: one.tolerance)
            drawn = partial(_figure, found, kind, where)
            yield f"{kind}-tolerance", Picture(alt=_alt(found, kind), draw=drawn)


def _figure(found: Sequence[Spent], kind: str, where: str, dark: bool) -> "Figure":
    """A line a setting; those after the last colour are not told apart."""
    told = list(dict.fromkeys(one.setting for one in found))
    inks = dict(zip(told, colours(len(told), dark=dark), strict=True)) if len(told) <= MOST_LINES else {}
    muted = str(INK[dark]["muted"])
    with panel_axes(
        f"{kind.capitalize()} joules by tolerance{where}", "tolerance", f"{kind} J per sample", dark=dark
    ) as parts:
        figure, axis = parts
        for number, setting in enumerate(told):
            own = [one for one in found if one.setting == setting]
            look = {"linestyle": LINES[number % len(LINES)], "marker": KINDS[kind][1] if inks else ""}
            _line(axis, own, {"color": inks.get(setting, muted)} | look)
        ends_up = [end for one in found for end in (one.joules, *(one.limits or ())) if end > 0]
        logarithmic(axis, "J", *widened(min(ends_up), max(ends_up)))
        _tolerances(axis, sorted({one.tolerance for one in found}))
        looks: list[dict[str, Any]] = [
            {"color": ink, "marker": KINDS[kind][1], "linestyle": LINES[place % len(LINES)]}
            for place, ink in enumerate(inks.values())
        ]
        entries = [(shortened(name), look) for name, look in zip(inks, looks, strict=True)] if len(inks) > 1 else []
        legend(figure, entries, dark=dark)
    return figure


def _tolerances(axis: "Axes", found: Sequence[float]) -> None:
    """Ticks at the tolerances themselves, where they are few."""
    from matplotlib.ticker import FixedLocator

    logarithmic(axis, "", found[0] / 1.6, found[-1] * 1.6, way="x")
    if len(found) <= MOST_TICKS:
        axis.xaxis.set_major_locator(FixedLocator(found))


def _line(axis: "Axes", own: Sequence[Spent], look: Mapping[str, Any]) -> None:
    line = outline([(one.tolerance, one.joules) for one in own])
    x, y = zip(*line, strict=True)
    axis.plot(x, y, markersize=7, linewidth=1.5, zorder=3, **look)
    ink = look["color"]
    for one in own if look["marker"] and len(own) <= MOST_DRAWN else ():
        bar = ends(one.joules, *(one.limits or (None, None)))
        if bar:
            axis.errorbar(one.tolerance, one.joules, yerr=bar, fmt="none", ecolor=ink, elinewidth=1.2, capsize=2.5)


def _alt(found: Sequence[Spent], kind: str) -> str:
    told = (found[0], found[-1])
    begin, end = (f"{quantity(one.joules, 'J')} at a tolerance of {tick(one.tolerance, '')}" for one in told)
    count = len({one.tolerance for one in found})
    return f"{kind.capitalize()} joules per sample against tolerance, {count:,} tolerances: {begin}, {end}."
