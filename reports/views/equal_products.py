"""Lines of equal joules × seconds behind points of both, each with its value where there is room for it."""

import math
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from energybench.reports.figures import INK
from energybench.reports.labels import Room
from energybench.reports.plotting import tick
from energybench.reports.views import scatter
from energybench.reports.views.drawing import ground
from energybench.reports.views.scatter import Spot

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Text

MOST_LINES = 6
ALONG = (0.02, 0.98, 0.12, 0.88, 0.25, 0.75, 0.4, 0.6, 0.5)
"""Where the value of a line may stand: shares of its way through the axes, the best first."""


def equal_products(axis: "Axes", *, dark: bool) -> list[tuple[int, float, float]]:
    """Lines of equal joules × seconds: the power of ten of each, and the ends of its seconds as powers of ten."""
    (left, right), (bottom, top) = ([math.log10(end) for end in ends] for ends in (axis.get_xlim(), axis.get_ylim()))
    first, last = math.ceil(left + bottom), math.floor(right + top)
    lines = []
    for power in range(first, last + 1, max(1, -(-(last - first + 1) // MOST_LINES))):
        ends = max(left, power - top), min(right, power - bottom)
        x, y = [10**end for end in ends], [10 ** (power - end) for end in ends]
        axis.plot(x, y, ":", color=str(INK[dark]["muted"]), linewidth=1, zorder=1)
        lines.append((power, *ends))
    return lines


def name_lines(axis: "Axes", lines: Sequence[tuple[int, float, float]], spots: Sequence[Spot], *, dark: bool) -> None:
    """The value of each line on it, where no point is and no other value; a line without room for it has none."""
    room = Room(axis, [(one.x, one.y) for one in spots], scatter.bars(spots))

    def write(power: int, at: float, share: float) -> "Text":
        return axis.text(
            10**at,
            10 ** (power - at),
            tick(10.0**power, "J·s"),
            color=str(INK[dark]["muted"]),
            fontsize=8.5,
            ha="left" if share < 0.5 else "right",
            va="top" if share < 0.5 else "bottom",
            zorder=2,
            bbox=ground(dark=dark),
        )

    for power, left, right in lines:
        room.put(partial(write, power, left + share * (right - left), share) for share in ALONG)
