"""What an energy table allows as curves behind points, each with its name where there is room for it."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from energybench.reports.figures import INK
from energybench.reports.labels import Room
from energybench.reports.plotting import logarithmic
from energybench.reports.views import scatter
from energybench.reports.views.ceilings import Ceiling
from energybench.reports.views.drawing import ground
from energybench.reports.views.scatter import Spot

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Text

STEPS = 60
ALONG = (0.99, 0.96, 0.93, 0.89, 0.85, 0.78, 0.7, 0.55, 0.4, 0.25, 0.1)
"""Where the name of a curve may end: shares of its way through the axes, the best first."""
TOGETHER = 0.09
"""Of the height of the axes, between two names."""
Top: TypeAlias = "tuple[Ceiling, str]"
"""A ceiling and what it is called."""


def draw_curves(axis: "Axes", told: Mapping[str, Sequence[Ceiling]], *, dark: bool) -> list[Top]:
    """The ceilings with their bands."""
    left, right = axis.get_xlim()
    xs = [left * (right / left) ** (step / STEPS) for step in range(STEPS + 1)]
    muted = str(INK[dark]["muted"])
    tops: list[Top] = []
    for table, every in told.items():
        for one in every:
            low, high = one.joules_per_byte
            middle = (low + high) / 2
            axis.plot(xs, [one.at(x, middle) for x in xs], color=muted, linewidth=1.2, zorder=2)
            band = [one.at(x, high) for x in xs], [one.at(x, low) for x in xs]
            axis.fill_between(xs, *band, color=muted, alpha=0.14, linewidth=0)
            tops.append((one, f"{one.name} ({table})" if len(told) > 1 else one.name))
            ends = min(axis.get_ylim()[0], band[0][0]), max(axis.get_ylim()[1], 4 * one.at(right, middle))
            logarithmic(axis, "", *ends)
    return tops


def name_curves(axis: "Axes", tops: Sequence[Top], spots: Sequence[Spot], *, dark: bool) -> None:
    """Names on the curves, where no point and no other name is; one for curves that end together."""
    room, muted = Room(axis, [(one.x, one.y) for one in spots], scatter.bars(spots)), str(INK[dark]["muted"])
    (left, right), (bottom, top) = axis.get_xlim(), axis.get_ylim()
    apart = (top / bottom) ** TOGETHER

    def write(one: Ceiling, name: str, share: float, below: bool) -> "Text":
        x = left * (right / left) ** share
        return axis.text(
            x,
            one.at(x, _middle(one)) * apart ** (-0.2 if below else 0.2),
            name,
            color=muted,
            fontsize=9,
            ha="right",
            va="top" if below else "bottom",
            zorder=5,
            bbox=ground(dark=dark),
        )

    for curves, name in reversed(_joined(tops, right, apart)):
        room.put(
            partial(write, curves[0] if below else curves[-1], name, share, below)
            for share in ALONG
            for below in (False, True)
        )


def _joined(tops: Sequence[Top], right: float, apart: float) -> list[tuple[list[Ceiling], str]]:
    """Curves that end together, the lowest first, with their names as one."""

    def end(one: Ceiling) -> float:
        return one.at(right, _middle(one))

    joined: list[tuple[list[Ceiling], str]] = []
    for one, name in sorted(tops, key=lambda told: end(told[0])):
        if joined and end(one) < end(joined[-1][0][-1]) * apart:
            joined[-1] = ([*joined[-1][0], one], f"{joined[-1][1]}, {name}")
        else:
            joined.append(([one], name))
    return joined


def _middle(one: Ceiling) -> float:
    """Joules a byte in the middle of the range."""
    return sum(one.joules_per_byte) / 2
