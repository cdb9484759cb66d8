"""What the panels of a page share: size, inks, axes, legend. A panel is a figure of its own, beside others like it."""

import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from energybench.reports.figures import INK, ramp, style
from energybench.reports.labels import shortened
from energybench.reports.numbers import power, prefix
from energybench.terminal import visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text

SIZE = (4.2, 3.5)
SIDES, TOP, BOTTOM, ENTRIES = (0.95, 0.1), 0.4, 0.72, 0.2
"""Inches around the axes, and for each line of the legend: fixed, so that panels side by side line up."""
SMALLER, EDGE = 10, 0.1
"""Points of a heading that is too wide, and inches that it leaves free of the panel, both sides together."""
MOST_LETTERS = 120
"""Of a heading; of a longer one the middle goes. The page has the whole name."""
LEAST_POINTS = 8.0
"""Of a label of an axis that is too long for its panel."""
BOUND = 1e-100
"""What lies beyond it, or its reciprocal, stands outside of an axis: there is no such joule."""
LEAST = 2.1
"""Inches that the axes have at least: a long legend makes the panel taller."""

CATEGORIES = {
    False: ("#0b5cad", "#b3261e", "#0b6b3a", "#8a4b00", "#7a3db8", "#4d5866", "#a0166b", "#0e6f78"),
    True: ("#7fb8f5", "#ff9b8f", "#7fd8a4", "#f3bd78", "#cbb2f7", "#b9c2cd", "#f58fc4", "#74d3dc"),
}
"""Colours of things that have no order, on a light and on a dark page; markers tell them apart as well."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
"""Of panels that have no kind of joule: where there is one, its mark is that of the kind, in `figures.KINDS`."""
LINES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (5, 2, 1, 2)), (0, (9, 2)), (0, (3, 1.5)), (0, (1, 3)))
"""Tell apart without colour as well what has the same mark."""


@contextmanager
def panel_axes(heading: str, xlabel: str, ylabel: str, *, dark: bool) -> "Iterator[tuple[Figure, Axes]]":
    """An empty panel; its style holds inside the block, and a heading too wide for it is broken at its end."""
    import matplotlib as mpl
    import seaborn as sns
    from matplotlib.figure import Figure

    with mpl.rc_context(sns.axes_style("whitegrid") | style(dark=dark)):
        figure = Figure(figsize=SIZE)
        axis = figure.subplots()
        axis.set(
            title=shortened(visible(heading), MOST_LETTERS),
            xlabel=shortened(xlabel, MOST_LETTERS),
            ylabel=shortened(ylabel, MOST_LETTERS),
        )
        yield figure, axis
        _break_heading(figure, axis)


def _break_heading(figure: "Figure", axis: "Axes") -> None:
    """Lines over the middle of the axes that end within the panel, smaller where one does not do; it grows by them."""
    width, height = figure.get_size_inches()
    place, heading = axis.get_position(), axis.get_title()
    middle = (place.x0 + place.x1) / 2
    room = 2 * width * min(middle, 1 - middle) - EDGE
    if _inches(figure, axis)[0] <= room:
        return
    axis.title.set_fontsize(SMALLER)
    one_line = _inches(figure, axis)[1]
    for columns in range(len(heading), 9, -1):
        lines = textwrap.wrap(heading, columns, break_on_hyphens=False)
        axis.title.set_text("\n".join(lines))
        if _inches(figure, axis)[0] <= room:
            axis.title.set_text("\n".join(_balanced(heading, lines)))
            break
    more = max(0.0, _inches(figure, axis)[1] - one_line)
    figure.set_size_inches(width, height + more)
    figure.subplots_adjust(bottom=place.y0 * height / (height + more), top=place.y1 * height / (height + more))


def _balanced(text: str, lines: Sequence[str]) -> list[str]:
    """As many lines, and none much shorter than the others."""
    longest = max(map(len, lines))
    told = (
        textwrap.wrap(text, columns, break_on_hyphens=False) for columns in range(max(map(len, text.split())), longest)
    )
    return next((one for one in told if len(one) == len(lines)), list(lines))


def keep_labels(figure: "Figure") -> None:
    """Labels of axes within the panel: smaller where they are long, and the axes give way to wide ticks."""
    (axis,) = figure.axes
    edge, across = EDGE / 2 * figure.dpi, axis.xaxis.label
    _shrink(across, across.get_window_extent().width, figure.bbox.width - 2 * edge)
    _shrink(axis.yaxis.label, axis.yaxis.label.get_window_extent().height, figure.bbox.height - 2 * edge)
    beside = axis.yaxis.get_tightbbox() if axis.yaxis.label.get_text() else None
    if beside is not None and beside.x0 < edge:
        figure.subplots_adjust(left=figure.subplotpars.left + (edge - beside.x0) / figure.bbox.width)
    below = axis.xaxis.get_tightbbox()  # where its label is, is known only now
    if below is not None and below.x1 > figure.bbox.width - 2:
        figure.subplots_adjust(right=figure.subplotpars.right - (below.x1 - figure.bbox.width + 2) / figure.bbox.width)
    box = across.get_window_extent()
    if over := min(0.0, box.x0 - edge) or max(0.0, box.x1 - figure.bbox.width + edge):
        across.set_x(0.5 - over / axis.bbox.width)


def _shrink(label: "Text", wide: float, room: float) -> None:
    if wide > room:
        label.set_fontsize(max(LEAST_POINTS, float(label.get_fontsize()) * room / wide))


def _inches(figure: "Figure", axis: "Axes") -> tuple[float, float]:
    """Width and height of a heading."""
    box = axis.title.get_window_extent()
    return box.width / figure.dpi, box.height / figure.dpi


def colours(count: int, *, dark: bool) -> list[Any]:
    """As many colours as there are things without an order; one alone has the middle of the ramp."""
    if count == 1:
        return ramp(3, dark=dark)[1:2]
    return [CATEGORIES[dark][number % len(CATEGORIES[dark])] for number in range(count)]


def logarithmic(axis: "Axes", unit: str, low: float, high: float, *, way: Literal["x", "y"] = "y") -> None:
    """A logarithmic axis from low to high, its ticks in SI prefixes or in percent."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    low, high = min(max(low, BOUND), 1 / BOUND / 100), min(max(high, 100 * BOUND), 1 / BOUND)
    axis.set(**{f"{way}scale": "log", f"{way}lim": (low, high)})
    one = axis.yaxis if way == "y" else axis.xaxis
    steps = (1.0, 2.0, 5.0) if high / low < 15 else (1.0, 3.0) if high / low < 300 else (1.0,)
    # Labels side by side need more room than labels above each other.
    one.set_major_locator(LogLocator(subs=steps, numticks=8 if way == "y" else 5))
    one.set_minor_locator(NullLocator())
    one.set_major_formatter(FuncFormatter(lambda value, _: tick(value, unit)))


def percent(axis: "Axes", low: float, high: float) -> None:
    """A linear vertical axis of shares, with a margin."""
    from matplotlib.ticker import FuncFormatter

    margin = max(0.08 * (high - low), 0.005)
    axis.set_ylim(low - margin, high + margin)
    axis.yaxis.set_major_formatter(FuncFormatter(lambda share, _: tick(share, "%")))


def widened(low: float, high: float) -> tuple[float, float]:
    """The ends of a logarithmic axis around these values: a decade and a bit at least."""
    by = max(1.4, (15 * low / high) ** 0.5)
    return low / by, high * by


def tick(value: float, unit: str) -> str:
    """`10 µJ`, `2.5 %`, `0.001`: what stands at a tick."""
    if unit == "%":
        return f"{100 * value:.4g} %".replace("-", "−")
    if not unit:
        return _power(value) if 0 < value < 1e-3 else f"{value:g}".replace("-", "−")
    # There are no thousandths of a byte; means of bytes may be below 1.
    divisor, letter = prefix(value) if unit != "B" or abs(value) >= 1 else (1.0, "")
    return f"{value / divisor:.3g} {letter}{unit}".replace(" /", "/").replace("-", "−")


def _power(value: float) -> str:
    """`10⁻⁶`, `2.5 × 10⁻⁶`: small numbers without a unit."""
    digits = f"{value:.5e}".partition("e")[0].rstrip("0").partition(".")[2]
    return power(value, len(digits)).removeprefix("1 × ")


def legend(
    figure: "Figure", entries: Sequence[tuple[str, dict[str, Any]]], *, dark: bool, sides: tuple[float, float] = SIDES
) -> None:
    """What the marks mean, below the axes, which make room for it, and inches at their left and right side."""
    from matplotlib.lines import Line2D

    entries = [(shortened(visible(name)), look) for name, look in entries]
    columns = max(1, min(4, len(entries), 46 // (max((len(name) for name, _ in entries), default=0) + 4)))
    width, height = SIZE
    rows = ENTRIES * -(-len(entries) // columns) + (0.04 if entries else 0)
    height = max(height, TOP + BOTTOM + rows + LEAST)
    figure.set_size_inches(width, height)
    figure.subplots_adjust(
        left=sides[0] / width, right=1 - sides[1] / width, top=1 - TOP / height, bottom=(BOTTOM + rows) / height
    )
    keep_labels(figure)
    if not entries:
        return
    common: dict[str, Any] = {"linestyle": "", "markersize": 7}
    handles = [Line2D([], [], **(common | look), label=name) for name, look in entries]
    figure.legend(
        handles=handles,
        loc="lower center",
        ncols=columns,
        frameon=False,
        labelcolor=str(INK[dark]["ink"]),
        fontsize=10,
        columnspacing=1.4,
        handletextpad=0.3,
        borderpad=0.1,
    )
