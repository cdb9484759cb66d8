"""Words of figures: names that are short enough to draw, and where they cover no point and no other words."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from energybench.terminal import visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.path import Path
    from matplotlib.text import Annotation, Text
    from matplotlib.transforms import Bbox

Place: TypeAlias = tuple[float, float]
PLACES = ((7, 7), (-7, 7), (7, -7), (-7, -7), (0, 10), (0, -10), (7, 20), (-7, 20), (7, -20), (-7, -20))
"""Where the name of a point may stand, in typographic points from it, the best first."""
FAR = tuple(
    (round(reach * across), round(reach * up))
    for reach in (22, 34, 48, 64)
    for across, up in (
        (1, 1),
        (-1, 1),
        (1, -1),
        (-1, -1),
        (0.3, 1),
        (-0.3, 1),
        (0.3, -1),
        (-0.3, -1),
        (1, 0.4),
        (-1, 0.4),
    )
)
"""Where it may stand with a line to its point, where there is no room nearer."""
PLACED, LEADER = "placed", "leader"
"""The label of an artist that may go where it has no room: it is said elsewhere as well."""
REACH = 7
"""Pixels around a point that its mark may cover."""
MOST_BESIDE = 24
"""Letters beside a point."""
LONGEST = 50
"""Letters that fit across a panel, about."""


def shortened(text: str, most: int = LONGEST) -> str:
    """A name that fits; its middle goes, for the beginning and the end tell points apart."""
    if len(text) <= most:
        return text
    head = (most - 1) // 2
    return f"{text[:head]}…{text[len(text) - (most - 1 - head) :]}"


class Room:
    """What is free within axes whose size and scales are set already."""

    def __init__(
        self, axis: "Axes", marks: Iterable[tuple[float, float]] = (), bars: Iterable[tuple[Place, Place]] = ()
    ) -> None:
        """Keep words off marks, and off bars if there is another place; both are given in the units of the axes."""
        from matplotlib.transforms import Bbox

        pixels = [axis.transData.transform(one) for one in marks]
        self._taken = [Bbox.from_extents(x - REACH, y - REACH, x + REACH, y + REACH) for x, y in pixels]
        self._bars = [Bbox(axis.transData.transform(ends)).padded(2) for ends in bars]
        self._frame = axis.get_window_extent().padded(2)
        self._lines: list[Path] = []

    def put(self, tries: "Iterable[Callable[[], Text]]") -> bool:
        """Write the first of these that covers nothing and stays within the axes; none where each would."""
        several = list(tries)
        return any(self._written(write, [*self._taken, *self._bars]) for write in several) or any(
            self._written(write, self._taken) for write in several
        )

    def _written(self, write: "Callable[[], Text]", taken: "Sequence[Bbox]") -> bool:
        text = write()
        text.set_in_layout(False)
        box = text.get_window_extent()
        if self._fits(box, taken):
            self._taken.append(box)
            text.set_label(PLACED)
            return True
        text.remove()
        return False

    def take(self, point: Place, boxes: "Iterable[tuple[Place, Bbox]]") -> Place | None:
        """The first place whose box covers no mark, bar or word and stays within the axes; it is taken then.

        A line from the point to a box that is far goes through no other mark and no word, and crosses no such line.
        """
        from matplotlib.path import Path

        for place, box in boxes:
            if not self._fits(box, [*self._taken, *self._bars]):
                continue
            nearest = [min(max(at, low), high) for at, low, high in zip(point, box.min, box.max, strict=True)]
            line = Path([point, nearest])
            if place in FAR and not self._clear(line, point):
                continue
            self._taken.append(box)
            self._lines += [line] if place in FAR else []
            return place
        return None

    def _clear(self, line: "Path", point: Place) -> bool:
        others = [box for box in self._taken if not box.contains(*point)]
        return not any(line.intersects_bbox(box, filled=False) for box in others) and not any(
            line.intersects_path(other, filled=False) for other in self._lines
        )

    def _fits(self, box: "Bbox", taken: "Sequence[Bbox]") -> bool:
        frame = self._frame
        inside = frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1
        return inside and not any(box.overlaps(other) for other in taken)


def name_points(
    axis: "Axes", points: Sequence[Mapping[Any, Any]], face: str, bars: Iterable[tuple[Place, Place]] = ()
) -> None:
    """The `level` of each point beside its `joules` and `accuracy`: colour alone does not tell all apart for everybody.

    A name covers no mark and no interval. Where there is no free place for it, the legend must do.

    Args:
        axis: of the points.
        points: the first of them have the choice.
        face: the colour of the page.
        bars: the ends of their intervals.
    """
    room = Room(axis, [(row["joules"], row["accuracy"]) for row in points], bars)
    for row in points:
        x, y = axis.transData.transform((row["joules"], row["accuracy"]))
        place = room.take((float(x), float(y)), _boxes(axis, row, face))
        if place is not None:
            if place in FAR:
                _lead(axis, row, place)
            text = _beside(axis, row, face, place)
            text.set_in_layout(False)
            text.set_label(PLACED)


def without_collisions(figure: "Figure") -> None:
    """Take placed words away that another size of the figure or of its type has put upon one another."""
    kept: list[Bbox] = []
    for text in [one for axis in figure.axes for one in axis.texts if one.get_label() == PLACED]:
        box = text.get_window_extent()
        if any(box.overlaps(other) for other in kept):
            for one in [text, *_leader(text)]:
                one.remove()
        else:
            kept.append(box)


def _boxes(axis: "Axes", row: Mapping[Any, Any], face: str) -> "Iterator[tuple[Place, Bbox]]":
    """The pixels that the name of a point would take at each of its places."""
    from matplotlib.transforms import Bbox

    text = _beside(axis, row, face, PLACES[0])
    size = text.get_window_extent()
    text.remove()
    figure = axis.get_figure(root=True)
    assert figure is not None
    dot = figure.dpi / 72
    x, y = axis.transData.transform((row["joules"], row["accuracy"]))
    for right, up in (*PLACES, *FAR):
        left = x + right * dot - (0 if right > 0 else size.width if right < 0 else size.width / 2)
        bottom = y + up * dot - (0 if up > 0 else size.height)
        yield (right, up), Bbox.from_bounds(left, bottom, size.width, size.height)


def _beside(axis: "Axes", row: Mapping[Any, Any], face: str, place: Place) -> "Annotation":
    from matplotlib.patheffects import withStroke

    right, up = place
    return axis.annotate(
        shortened(visible(str(row["level"])), MOST_BESIDE),
        (row["joules"], row["accuracy"]),
        xytext=place,
        textcoords="offset points",
        ha="left" if right > 0 else "right" if right < 0 else "center",
        va="bottom" if up > 0 else "top",
        fontsize=11,
        zorder=4,
        path_effects=[withStroke(linewidth=3, foreground=face)],
    )


def _lead(axis: "Axes", row: Mapping[Any, Any], place: Place) -> None:
    """A thin line from a point to its name."""
    line = axis.annotate(
        "",
        (row["joules"], row["accuracy"]),
        xytext=place,
        textcoords="offset points",
        arrowprops={"arrowstyle": "-", "linewidth": 0.7, "color": "0.5", "shrinkA": 0, "shrinkB": 4},
        zorder=3.5,
    )
    line.set_in_layout(False)
    line.set_label(LEADER)


def _leader(text: "Text") -> "list[Text]":
    """The line to a name, where it has one."""
    axis, place = text.axes, getattr(text, "xy", None)
    if axis is None:
        return []
    return [one for one in axis.texts if one.get_label() == LEADER and getattr(one, "xy", None) == place]
