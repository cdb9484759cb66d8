"""Words within axes, where they cover no point and no other words."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text
    from matplotlib.transforms import Bbox

Place: TypeAlias = tuple[float, float]
PLACES = ((7, 7), (-7, 7), (7, -7), (-7, -7), (0, 10), (0, -10), (7, 20), (-7, 20), (7, -20), (-7, -20))
"""Where the name of a point may stand, in typographic points from it, the best first."""
PLACED = "placed"
"""The label of an artist that may go where it has no room: it is said elsewhere as well."""
REACH = 7
"""Pixels around a point that its mark may cover."""


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

    def put(self, tries: "Iterable[Callable[[], Text]]") -> bool:
        """Write the first of these that covers nothing and stays within the axes; none where each would."""
        several = list(tries)
        return any(self._written(write, [*self._taken, *self._bars]) for write in several) or any(
            self._written(write, self._taken) for write in several
        )

    def _written(self, write: "Callable[[], Text]", taken: "Sequence[Bbox]") -> bool:
        text = write()
        text.set_in_layout(False)
        box, frame = text.get_window_extent(), self._frame
        inside = frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1
        if inside and not any(box.overlaps(other) for other in taken):
            self._taken.append(box)
            text.set_label(PLACED)
            return True
        text.remove()
        return False


def name_points(
    axis: "Axes", points: Sequence[Mapping[Any, Any]], face: str, bars: Iterable[tuple[Place, Place]] = ()
) -> None:
    """The `level` of each point beside its `joules` and `accuracy`: colour alone does not tell all apart for everybody.

    Where there is no free place for a name, the legend must do.

    Args:
        axis: of the points.
        points: the first of them have the choice.
        face: the colour of the page.
        bars: the ends of their intervals.
    """
    room = Room(axis, [(row["joules"], row["accuracy"]) for row in points], bars)
    for row in points:
        room.put(_tries(axis, row, face))


def without_collisions(figure: "Figure") -> None:
    """Take placed words away that another size of the figure or of its type has put upon one another."""
    kept: list[Bbox] = []
    for text in [one for axis in figure.axes for one in axis.texts if one.get_label() == PLACED]:
        box = text.get_window_extent()
        if any(box.overlaps(other) for other in kept):
            text.remove()
        else:
            kept.append(box)


def _tries(axis: "Axes", row: Mapping[Any, Any], face: str) -> "Iterable[Callable[[], Text]]":
    from matplotlib.patheffects import withStroke

    def beside(right: int, up: int) -> "Text":
        return axis.annotate(
            row["level"],
            (row["joules"], row["accuracy"]),
            xytext=(right, up),
            textcoords="offset points",
            ha="left" if right > 0 else "right" if right < 0 else "center",
            va="bottom" if up > 0 else "top",
            fontsize=11,
            zorder=4,
            path_effects=[withStroke(linewidth=3, foreground=face)],
        )

    return (partial(beside, right, up) for right, up in PLACES)
