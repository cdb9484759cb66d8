"""Names beside points, where they cover nothing."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PLACES = ((7, 7), (-7, 7), (7, -7), (-7, -7), (0, 10), (0, -10), (7, 20), (-7, 20), (7, -20), (-7, -20))
"""Where the name of a point may stand, in typographic points from it, the best first."""


def name_points(axis: "Axes", points: Sequence[Mapping[Any, Any]], face: str) -> None:
    """The `level` of each point beside its `joules` and `accuracy`: colour alone does not tell all apart for everybody.

    A name goes where it covers no point and no other name, nor leaves the axes; where there is no such place, the
    legend must do.
    """
    from matplotlib.patheffects import withStroke
    from matplotlib.transforms import Bbox

    marks = [axis.transData.transform((row["joules"], row["accuracy"])) for row in points]
    taken = [Bbox.from_extents(x - 7, y - 7, x + 7, y + 7) for x, y in marks]
    frame = axis.get_window_extent().padded(2)
    for row in points:
        for right, up in PLACES:
            text = axis.annotate(
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
            text.set_in_layout(False)
            box = text.get_window_extent()
            inside = frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1
            if inside and not any(box.overlaps(other) for other in taken):
                taken.append(box)
                break
            text.remove()
