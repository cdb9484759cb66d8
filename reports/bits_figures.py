"""Figures against bits: a panel each for accuracy, every kind of joule, bytes and speed."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from statistics import median
from typing import TYPE_CHECKING, Any

from energybench.reports.bits import PANELS, TERMS, Panel, Point, points
from energybench.reports.figures import INK, MOST_LABELS, ordered, ramp
from energybench.reports.frames import Stored
from energybench.reports.plotting import legend, logarithmic, panel_axes, tick
from energybench.reports.published import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DASHES = {"": "-", "arithmetic": "-", "memory": "--"}
MARKERS = {"arithmetic": "^", "memory": "v"}
NEIGHBOURS = 0.16
"""Between two settings at one width, in widths: their intervals must not lie on one another."""


def against_bits(stored: Sequence[Stored], published: Sequence[Row] = (), *, dark: bool = False) -> "dict[str, Figure]":
    """A figure for each panel of `bits.PANELS` that has points; none where the records differ in no width.

    Args:
        stored: records of one workload on one machine.
        published: rows for the panel of accuracy, of the same data.
        dark: ink for a dark page.
    """
    found = points(stored)
    return {
        panel.name: _panel(panel, found[panel.name], published if panel.name == "accuracy" else (), dark=dark)
        for panel in PANELS
        if panel.name in found
    }


def published_errors(rows: Sequence[Row], *, dark: bool = False) -> "Figure":
    """Published error (log) against bits, a colour for each data set."""
    names = list(dict.fromkeys(row.data_title for row in rows))
    colours = dict(zip(names, ramp(len(names), dark=dark), strict=True))
    places = _places([row.level for row in rows])
    errors = [1 - row.accuracy for row in rows]
    with _axes("Published, other data", "error", places, dark=dark) as (figure, axis):
        for row in rows:
            at = places[row.level] + _shift(names.index(row.data_title), len(names))
            axis.plot(at, 1 - row.accuracy, "D", mfc="none", mec=colours[row.data_title], mew=1.5, ms=6.5, zorder=3)
        logarithmic(axis, "%", min(errors) / 1.4, min(1.0, max(errors) * 1.4))
        legend(figure, [(name, {"marker": "D", "mfc": "none", "mec": colours[name]}) for name in names], dark=dark)
    return figure


def _panel(panel: Panel, found: Sequence[Point], published: Sequence[Row], *, dark: bool) -> "Figure":
    settings = ordered([point.setting for point in found])
    # The ends of the ramp are for what is ordered: one setting alone has its middle.
    tones = ramp(len(settings), dark=dark) if len(settings) > 1 else ramp(3, dark=dark)[1:2]
    colours = dict(zip(settings, tones, strict=True))
    places = _places([*(point.level for point in found), *(row.level for row in published)])
    terms = [term for term in (*TERMS, "") if any(point.term == term for point in found)]
    with _axes(panel.heading, panel.label, places, dark=dark) as (figure, axis):
        for number, setting in enumerate(settings):
            for term in terms:
                own = [point for point in found if (point.setting, point.term) == (setting, term)]
                shift, look = _shift(number, len(settings)), {"color": colours[setting], "linestyle": DASHES[term]}
                _line(axis, own, places, shift, look)
                _marks(axis, own, places, shift, MARKERS.get(term, panel.marker), colours[setting])
        _publish(axis, published, places, str(INK[dark]["muted"]))
        _scale(axis, panel, found, published)
        legend(figure, _entries(panel, terms, colours, bool(published), str(INK[dark]["muted"])), dark=dark)
    return figure


@contextmanager
def _axes(heading: str, label: str, places: Mapping[str, int], *, dark: bool) -> "Iterator[tuple[Figure, Axes]]":
    """An empty panel with the widths along its horizontal axis, in equal steps; its style holds inside the block."""
    small = len(places) > MOST_LABELS
    bits = "weights and activations" if any(name.startswith("W") for name in places) else "a value"
    with panel_axes(heading, f"bits of {bits}", label, dark=dark) as (figure, axis):
        # W1A1 in two lines: seven widths stand side by side on a phone.
        words = [name if small else name.replace("A", "\nA") for name in places]
        size = 10.5 if len(places) <= 8 else 9 if not small else 7.5
        axis.set_xticks(list(places.values()), words, rotation=90 if small else 0, fontsize=size)
        axis.set(xlim=(-0.6, len(places) - 0.4))
        axis.grid(visible=False, axis="x")
        yield figure, axis


def _places(names: Sequence[str]) -> dict[str, int]:
    return {name: place for place, name in enumerate(ordered(names))}


def _shift(number: int, count: int) -> float:
    return (number - (count - 1) / 2) * min(NEIGHBOURS, 0.7 / count)


def _line(axis: "Axes", own: Sequence[Point], places: Mapping[str, int], shift: float, look: Mapping[str, Any]) -> None:
    """Through the medians of the widths where weights and activations are alike: only those are one series."""
    values: dict[str, list[float]] = {}
    for point in own:
        if point.plain:
            values.setdefault(point.level, []).append(point.value)
    along = sorted(values, key=lambda name: places[name])
    if len(along) > 1:
        heights = [median(values[name]) for name in along]
        axis.plot([places[name] + shift for name in along], heights, linewidth=1.3, alpha=0.65, zorder=2, **look)


def _marks(
    axis: "Axes", own: Sequence[Point], places: Mapping[str, int], shift: float, marker: str, colour: Any
) -> None:
    for point in own:
        at = places[point.level] + shift
        if point.low < point.high:
            ends = [[max(0.0, point.value - point.low)], [max(0.0, point.high - point.value)]]
            axis.errorbar(at, point.value, yerr=ends, fmt="none", ecolor=colour, elinewidth=1.4, capsize=3)
        axis.plot(at, point.value, marker, color=colour, markersize=7, zorder=3)


def _publish(axis: "Axes", published: Sequence[Row], places: Mapping[str, int], ink: str) -> None:
    for row in published:
        axis.plot(places[row.level], row.accuracy, "D", mfc="none", mec=ink, mew=1.5, ms=6.5, zorder=4)


def _scale(axis: "Axes", panel: Panel, found: Sequence[Point], published: Sequence[Row]) -> None:
    """Accuracy on a linear axis, all else on a logarithmic one of a decade and a bit at least."""
    from matplotlib.ticker import FuncFormatter

    shares = [row.accuracy for row in published]
    low, high = min([*(point.low for point in found), *shares]), max([*(point.high for point in found), *shares])
    if panel.unit == "%":
        margin = max(0.12 * (high - low), 0.005)
        axis.set_ylim(low - margin, high + margin)
        axis.yaxis.set_major_formatter(FuncFormatter(lambda share, _: tick(share, "%")))
        return
    low = min(point.low if point.low > 0 else point.value for point in found)
    widen = max(1.4, (15 * low / high) ** 0.5)
    logarithmic(axis, panel.unit, low / widen, high * widen)


def _entries(
    panel: Panel, terms: Sequence[str], colours: Mapping[str, Any], published: bool, ink: str
) -> list[tuple[str, dict[str, Any]]]:
    """Name and look of what a panel shows: settings by colour, terms by marker and dashes, published rows hollow."""
    names = list(colours) if len(colours) <= MOST_LABELS else [*list(colours)[:1], *list(colours)[-1:]]
    entries = [(name, {"marker": panel.marker, "color": colours[name]}) for name in names if len(colours) > 1]
    first = next(iter(colours.values())) if len(colours) == 1 else ink
    entries += [
        (f"{term} term", {"marker": MARKERS[term], "linestyle": DASHES[term], "color": first}) for term in terms if term
    ]
    return entries + ([("published", {"marker": "D", "mfc": "none", "mec": ink})] if published else [])
