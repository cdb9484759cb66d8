"""What the figures of views share: rows with their names above them, thinned points, outlines of long lines."""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from energybench.reports.figures import INK
from energybench.reports.numbers import prefix
from energybench.reports.plotting import BOTTOM, ENTRIES, SIZE, TOP, keep_labels, tick
from energybench.reports.views.row_names import broken

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_DRAWN = 12
"""Rows of a panel, or panels of a view: more of them nobody reads."""
MOST_POINTS = 400
"""Points of a scatter plot, about; of those that would cover one another one is drawn."""
COLUMNS, LINES = 32, 24
"""Cells that a scatter plot is thinned by."""
ACROSS = 300
"""Pixels that a line of a panel is across, about."""
ROW_INCHES, ROW_SIDES = 0.46, (0.28, 0.28)
ROW_ROOM = 0.2
"""Above and below all rows, in rows."""
LINE = 0.35
"""A further line of a name, in rows."""
DIGITS = 3
"""That a tick has anyway."""
EXTREME = 1000.0
"""From this ratio on a linear axis shows the largest value only."""


def rows(axis: "Axes", labels: Sequence[str], *, dark: bool) -> list[float]:
    """Make room for a row a label, the first at the top; its name stands above its mark. Returns their places."""
    names = [broken(label) for label in labels]
    lines = [LINE * (len(name) - 1) for name in names]
    places = [-number - sum(lines[1 : number + 1]) for number in range(len(labels))]
    axis.set_ylim(places[-1] - 0.45, 0.55 + ROW_ROOM + lines[0])
    axis.set_yticks([])
    axis.grid(visible=False, axis="y")
    for place, name in zip(places, names, strict=True):
        axis.text(
            0.0,
            place + 0.3,
            "\n".join(name),
            transform=axis.get_yaxis_transform(),
            fontsize=9.5,
            va="bottom",
            ha="left",
            color=str(INK[dark]["ink"]),
            zorder=5,
            bbox=ground(dark=dark),
        )
    return places


def ground(*, dark: bool) -> dict[str, Any]:
    """A box behind words that stand on lines; an outline of each letter would make files ten times as large."""
    return {"facecolor": str(INK[dark]["face"]), "edgecolor": "none", "pad": 0.6}


def fit(
    figure: "Figure",
    inches: float,
    handles: "Sequence[Artist]" = (),
    *,
    dark: bool,
    sides: tuple[float, float] = ROW_SIDES,
) -> None:
    """Make the axes that tall, with the legend of these handles below them; `sides` are inches beside the axes."""
    width, longest = SIZE[0], max((len(str(one.get_label())) for one in handles), default=0)
    columns = max(1, min(4, len(handles), 48 // (longest + 4)))
    below = BOTTOM + ENTRIES * -(-len(handles) // columns) + (0.04 if handles else 0.0)
    height = TOP + inches + below
    figure.set_size_inches(width, height)
    figure.subplots_adjust(
        left=sides[0] / width, right=1 - sides[1] / width, top=1 - TOP / height, bottom=below / height
    )
    keep_labels(figure)
    if not handles:
        return
    figure.legend(
        handles=list(handles),
        loc="lower center",
        ncols=columns,
        frameon=False,
        labelcolor=str(INK[dark]["ink"]),
        fontsize=10,
        columnspacing=1.4,
        handletextpad=0.4,
        borderpad=0.1,
    )


def row_fit(figure: "Figure", handles: "Sequence[Artist]" = (), *, dark: bool) -> None:
    """As `fit`, for a panel that `rows` made room in."""
    bottom, top = figure.axes[0].get_ylim()
    fit(figure, (top - bottom - ROW_ROOM) * ROW_INCHES + 0.1, handles, dark=dark)


def prefixed(axis: "Axes", unit: str, *, way: Literal["x", "y"]) -> None:
    """Ticks of a linear axis in SI prefixes or percent, few enough to stand side by side."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    one = axis.yaxis if way == "y" else axis.xaxis

    def label(value: float, _: object) -> str:
        low, high = one.get_view_interval()
        text = tick_of(abs(value), unit, most=max(abs(low), abs(high)), wide=high - low)
        return f"−{text}" if value < 0 else text

    one.set_major_locator(MaxNLocator(nbins=6 if way == "y" else 4))
    one.set_major_formatter(FuncFormatter(label))


def tick_of(value: float, unit: str, *, most: float, wide: float) -> str:
    """What stands at a tick, with as many digits as tell it from the next one."""
    digits = math.ceil(math.log10(most / wide)) + 2 if 0 < wide < most else 0
    if digits <= DIGITS or not value:
        return tick(value, unit)
    divisor, letter = (0.01, "") if unit == "%" else prefix(value) if unit else (1.0, "")
    return f"{value / divisor:.{digits}g} {letter}{unit}".rstrip()


def thin(points: Sequence[tuple[float, float]], kept: Collection[int] = ()) -> list[int]:
    """Which points to draw: all where they are few, else one a cell of a logarithmic grid, and those to be kept.

    Args:
        points: above 0, in both directions.
        kept: the places of points that must be drawn, as the ends of a line.
    """
    if len(points) <= MOST_POINTS:
        return list(range(len(points)))
    logs = [(math.log(x), math.log(y)) for x, y in points]
    cells: dict[tuple[int, int], int] = {}
    (left, bottom), (right, top) = (tuple(side(one[way] for one in logs) for way in (0, 1)) for side in (min, max))
    for number, (x, y) in enumerate(logs):
        across = int((x - left) / ((right - left) or 1.0) * COLUMNS)
        up = int((y - bottom) / ((top - bottom) or 1.0) * LINES)
        cells.setdefault((across, up), number)
    return sorted({*cells.values(), *kept})


def outline(points: Sequence[tuple[float, float]], columns: int = ACROSS) -> list[tuple[float, float]]:
    """A line in order of x with no more than the lowest and the highest point of each column of pixels."""
    if len(points) <= 2 * columns:
        return list(points)
    begin, wide = points[0][0], (points[-1][0] - points[0][0]) or 1.0
    columned: dict[int, list[int]] = {}
    for number, (x, _) in enumerate(points):
        columned.setdefault(min(columns - 1, int((x - begin) / wide * columns)), []).append(number)
    kept = {side(inside, key=lambda number: points[number][1]) for inside in columned.values() for side in (min, max)}
    return [points[number] for number in sorted(kept)]


def spread_out(values: Collection[float]) -> bool:
    """Whether positive values are too far apart for a linear axis."""
    above = sorted(value for value in values if value > 0)
    return bool(above) and above[-1] > EXTREME * above[len(above) // 2]


def ends(value: float, low: float | None, high: float | None) -> list[list[float]] | None:
    """What an error bar wants: how far down and how far up; None without an interval."""
    if low is None or high is None or low == high:
        return None
    return [[max(0.0, value - low)], [max(0.0, high - value)]]


def mark(kind: str, ink: Any, **more: Any) -> Mapping[str, Any]:
    """The marker of a kind of joule, as everywhere in the report."""
    from energybench.reports.figures import KINDS

    return {"marker": KINDS[kind][1] if kind in KINDS else "o", "color": ink, "linestyle": ""} | more
