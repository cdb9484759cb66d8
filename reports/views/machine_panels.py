"""The panels of a machine: variation of repeats, watts at rest, the canary; how to draw each, and what it shows."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from energybench.reports.figures import INK, KINDS
from energybench.reports.numbers import quantity
from energybench.reports.plotting import colours, logarithmic, panel_axes, widened
from energybench.reports.views.drawing import MOST_DRAWN, fit, outline, prefixed, row_fit, rows, spread_out
from energybench.reports.views.noise import Idle, Noise
from energybench.reports.views.view import spoken

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Drawing: TypeAlias = "Callable[[bool], Figure]"
LEAST_VARIATION = 1e-5
INCHES = 2.1
SIDES = (0.95, 0.12)


def noise_panel(on: str, kind: str, own: Sequence[Noise]) -> "tuple[Drawing, str]":
    """Variation of the noisiest series, with their floors."""

    def draw(dark: bool) -> "Figure":
        from matplotlib.lines import Line2D

        ink, muted = colours(1, dark=dark)[0], str(INK[dark]["muted"])
        with panel_axes(f"Variation, {kind}, {on}", "standard deviation / mean", "", dark=dark) as (figure, axis):
            places = rows(axis, [f"{one.name}: {spoken(one.metric)}" for one in own], dark=dark)
            floors = [(place, one.floor.relative) for place, one in zip(places, own, strict=True) if one.floor]
            dots = [max(one.variation, LEAST_VARIATION) for one in own]
            every = [*dots, *(max(floor, LEAST_VARIATION) for _, floor in floors)]
            logarithmic(axis, "%", *widened(min(every), max(every)), way="x")
            axis.plot(dots, places, KINDS[kind][1], color=ink, markersize=8, zorder=4)
            floored = [max(floor, LEAST_VARIATION) for _, floor in floors]
            axis.plot(floored, [place for place, _ in floors], "|", color=muted, markersize=16, mew=2.5, zorder=3)
            handles = [Line2D([], [], marker=KINDS[kind][1], color=ink, linestyle="", markersize=7, label=kind)]
            if floors:
                line = Line2D([], [], marker="|", color=muted, linestyle="", markersize=11, mew=2.5, label="floor")
                handles.append(line)
            row_fit(figure, handles, dark=dark)
        return figure

    worst = own[0]
    return draw, (
        f"Variation of {len(own)} {kind} series on {on}: most in {spoken(worst.metric)} of {worst.name}, "
        f"{quantity(worst.variation, '%')} over {worst.repeats} repeats."
    )


def idle_panel(on: str, kind: str, rested: Sequence[Idle]) -> "tuple[Drawing, str]":
    """Watts of each domain at every baseline."""
    domains = list(dict.fromkeys(one.domain for one in rested))[:MOST_DRAWN]
    own = {domain: [one for one in rested if one.domain == domain] for domain in domains}

    def draw(dark: bool) -> "Figure":
        ink = colours(1, dark=dark)[0]
        with panel_axes(f"Idle, {kind}, {on}", f"{kind} watts at rest", "", dark=dark) as (figure, axis):
            for place, domain in zip(rows(axis, domains, dark=dark), domains, strict=True):
                few = len(own[domain]) <= MOST_DRAWN * 5
                watts = [one.watts for one in own[domain]]
                watts = watts if few else [*sorted(watts)[:: len(watts) // (MOST_DRAWN * 5)], max(watts)]
                axis.plot(watts, [place] * len(watts), KINDS[kind][1], color=ink, markersize=6, alpha=0.8)
                for one in own[domain] if few else ():
                    axis.errorbar(one.watts, place, xerr=2 * one.doubt, fmt="none", ecolor=ink, elinewidth=1.1)
            _watts(axis, [one.watts for one in rested])
            row_fit(figure, dark=dark)
        return figure

    told = []
    for domain in domains:
        watts = sorted(one.watts for one in own[domain])
        told.append(f"{domain} {quantity(watts[0], 'W')} to {quantity(watts[-1], 'W')}")
    return draw, f"Watts at rest on {on}, {kind}: {'; '.join(told)}."


def _watts(axis: "Axes", values: Sequence[float]) -> None:
    above = [value for value in values if value > 0]
    if spread_out(values):
        logarithmic(axis, "W", *widened(min(above), max(above)), way="x")
    else:
        prefixed(axis, "W", way="x")
        axis.set_xlim(min(0.0, *values), (max(values) or 1.0) * 1.12)


def canary_panel(on: str, name: str, kind: str, values: Sequence[tuple[str, float, bool]]) -> "tuple[Drawing, str]":
    """What the canary took, run after run."""
    unit = "J" if name == "joules" else "s"
    amounts = [value for _, value, _ in values]

    def draw(dark: bool) -> "Figure":
        from matplotlib.ticker import MaxNLocator

        ink = colours(1, dark=dark)[0]
        with panel_axes(f"Canary, {on}", "runs, the oldest first", f"{kind} {name} of a run", dark=dark) as parts:
            figure, axis = parts
            line = outline(list(enumerate(amounts, 1)))
            look = KINDS[kind][1] if len(line) < MOST_DRAWN * 5 else ""
            axis.plot(*zip(*line, strict=True), marker=look, color=ink, markersize=5, linewidth=1.2)
            off = [(place, value) for place, (_, value, outside) in enumerate(values, 1) if outside][:MOST_DRAWN]
            axis.plot([place for place, _ in off], [value for _, value in off], "x", color=ink, markersize=12, mew=2)
            if max(amounts) > 3 * min(amounts):
                logarithmic(axis, unit, *widened(min(amounts), max(amounts)))
            else:
                prefixed(axis, unit, way="y")
                middle, reach = (max(amounts) + min(amounts)) / 2, max(max(amounts) - min(amounts), 0.1 * max(amounts))
                axis.set_ylim(middle - 0.7 * reach, middle + 0.7 * reach)
            axis.set_xlim(0.5, len(values) + 0.5)
            axis.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True, min_n_ticks=1))
            fit(figure, INCHES, dark=dark, sides=SIDES)
        return figure

    off = sum(outside for _, _, outside in values)
    told = (
        f"{kind.capitalize()} {name} of the canary on {on}, {len(values):,} runs: {quantity(min(amounts), unit)} to "
        f"{quantity(max(amounts), unit)}; {off} outside of its history."
    )
    return draw, told
