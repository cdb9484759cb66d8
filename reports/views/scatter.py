"""Points with intervals on two logarithmic axes, each group with a colour and a line style of its own."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from energybench.reports import frames
from energybench.reports.figures import INK
from energybench.reports.frames import Stored
from energybench.reports.labels import shortened
from energybench.reports.plotting import colours, logarithmic, widened
from energybench.reports.views.drawing import ends, thin
from energybench.reports.views.view import machine_name, names

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_COLOURS = 8
"""That can be told apart, of one panel."""
MOST_GROUPS = 2 * MOST_COLOURS
"""Of one panel: with full marks and, in the same colours, with open ones."""
CROWDED = 16
"""Points from which on intervals are thin and pale, so that marks are seen before them."""
MOST_BARS = 60
"""Points up to which each has its interval drawn."""
OTHERS = "others"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """A point: its group, its two values above 0, and the interval of each; None where none was stated."""

    group: str
    x: float
    y: float
    across: tuple[float, float] | None = None
    up: tuple[float, float] | None = None


def groups(stored: Sequence[Stored]) -> list[str]:
    """The group of each record: its workload, and its machine where there are several; of one workload its setting."""
    machines = {frames.machine(one.record): frames.title(one.record) for one in stored}
    kinds = [
        " on ".join(
            [one.record["workload"]["name"]]
            + ([machine_name(frames.machine(one.record), machines)] if len(machines) > 1 else [])
        )
        for one in stored
    ]
    if len(set(kinds)) > 1:
        return kinds
    words = [name.partition(", ")[2] for name in names(stored)]
    return words if all(words) and 1 < len(set(words)) <= MOST_COLOURS else kinds


def few(spots: Sequence[Spot]) -> list[Spot]:
    """The spots of a panel in as many groups as have a look: the most frequent by name, the others as one."""
    count = Counter(one.group for one in spots)
    if len(count) <= MOST_GROUPS:
        return list(spots)
    first = {label for label, _ in count.most_common(MOST_GROUPS - 1)}
    return [one if one.group in first else replace(one, group=OTHERS) for one in spots]


def looks(panels: Sequence[Sequence[Spot]], *, dark: bool) -> dict[str, dict[str, Any]]:
    """The look of each group, the same in all panels, and another one than those that stand beside it in some."""
    sets = [{one.group for one in spots} for spots in panels]
    told = list(dict.fromkeys(one.group for spots in panels for one in spots))
    if len(told) == 1:
        return {told[0]: {"color": colours(1, dark=dark)[0]}}
    inks, places = colours(MOST_COLOURS, dark=dark), dict[str, int]()
    for name in told:
        beside = {places[other] for own in sets if name in own for other in own & places.keys()}
        free = [place for place in range(MOST_GROUPS) if place not in beside]
        unused = [place for place in free if place not in places.values()]
        places[name] = next(iter(unused or free), MOST_GROUPS - 1)
    opened = {"markerfacecolor": str(INK[dark]["face"]), "markeredgewidth": 1.6}
    return {
        name: {"color": inks[place % MOST_COLOURS], **(opened if place >= MOST_COLOURS else {})}
        for name, place in places.items()
    }


def bars(spots: Sequence[Spot]) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """The ends of their intervals, where they are drawn."""
    if len(spots) > MOST_BARS:
        return []
    flat = [((one.across[0], one.y), (one.across[1], one.y)) for one in spots if one.across and one.across[0] > 0]
    return flat + [((one.x, one.up[0]), (one.x, one.up[1])) for one in spots if one.up and one.up[0] > 0]


def draw(
    axis: "Axes", spots: Sequence[Spot], marker: str, inks: Mapping[str, Mapping[str, Any]], *, dark: bool
) -> None:
    """Put points on logarithmic axes that are set already."""
    kept = thin([(one.x, one.y) for one in spots])
    few, crowded = len(kept) <= MOST_BARS, len(kept) > CROWDED
    for group, look in inks.items():
        own = [spots[number] for number in kept if spots[number].group == group]
        edge = look["color"] if "markerfacecolor" in look else str(INK[dark]["face"])
        axis.plot(
            [one.x for one in own],
            [one.y for one in own],
            marker,
            markersize=(6.5 if crowded else 8) if few else 5,
            zorder=4,
            **{"markeredgecolor": edge, "markeredgewidth": 0.7, **look},
        )
        for one in own if few else ():
            _bar(axis, one, look["color"], crowded=crowded)


def scale(axis: "Axes", spots: Sequence[Spot], units: tuple[str, str]) -> None:
    """Both axes around all points and their intervals."""
    for way, unit, values in (
        ("x", units[0], [v for one in spots for v in (one.x, *(one.across or ()))]),
        ("y", units[1], [v for one in spots for v in (one.y, *(one.up or ()))]),
    ):
        above = [value for value in values if value > 0]
        logarithmic(axis, unit, *widened(min(above), max(above)), way="x" if way == "x" else "y")


def entries(
    spots: Sequence[Spot], inks: Mapping[str, Mapping[str, Any]], marker: str
) -> list[tuple[str, dict[str, Any]]]:
    """For the legend, the groups of a panel: none where there is one group alone in all of them."""
    if len(inks) < 2:
        return []
    here = {one.group for one in spots}
    return [(shortened(name), {"marker": marker, **look}) for name, look in inks.items() if name in here]


def left_out(spots: Sequence[tuple[str, Spot]]) -> tuple[str, ...]:
    """What is not drawn of the spots of each kind of joule."""
    notes = []
    for kind in dict.fromkeys(kind for kind, _ in spots):
        own = [(spot.x, spot.y) for its, spot in spots if its == kind]
        if (drawn := len(thin(own))) < len(own):
            of = f"{drawn:,} of {len(own):,} {kind} points"
            notes.append(f"{of} are drawn, without intervals: of those that would cover one another, one.")
        elif drawn > MOST_BARS:
            notes.append(f"The intervals of {drawn:,} {kind} points are not drawn; the data has them.")
    return tuple(notes)


def _bar(axis: "Axes", one: Spot, ink: Any, *, crowded: bool) -> None:
    bars = {
        "xerr": ends(one.x, *(one.across or (None, None))),
        "yerr": ends(one.y, *(one.up or (None, None))),
    }
    told: dict[str, Any] = {name: bar for name, bar in bars.items() if bar is not None}
    if told:
        look: dict[str, Any] = (
            {"elinewidth": 0.8, "capsize": 0, "alpha": 0.4} if crowded else {"elinewidth": 1.2, "capsize": 2.5}
        )
        axis.errorbar(one.x, one.y, **told, fmt="none", ecolor=ink, zorder=3, **look)
