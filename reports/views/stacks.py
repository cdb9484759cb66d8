"""Joules in parts that add up: a bar a row, its name and its number above it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from energybench.reports.figures import INK
from energybench.reports.labels import shortened
from energybench.reports.numbers import quantity, stated
from energybench.reports.plotting import panel_axes
from energybench.reports.views.drawing import ends, prefixed, row_fit, rows, spread_out
from energybench.reports.views.part_looks import looks_of
from energybench.reports.views.pictures import Picture
from energybench.reports.views.row_names import headed, told_apart

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HEIGHT = 0.42


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """One bar.

    Attributes:
        name: above it.
        parts: joules by name, from the left.
        whole: joules, all of it.
        limits: its interval; None where none was stated.
    """

    name: str
    parts: Mapping[str, float]
    whole: float
    limits: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One panel of bars.

    Attributes:
        heading: above it.
        label: of joules, below it.
        stacks: from the top.
        shares: whether all bars are as long as the axis.
    """

    heading: str
    label: str
    stacks: Sequence[Stack]
    shares: bool = False


def picture(panel: Panel) -> Picture:
    """A panel that is not drawn yet."""
    return Picture(alt=alt(panel), draw=partial(_drawn, panel))


def _drawn(panel: Panel, dark: bool) -> "Figure":
    return figure(panel, dark=dark)


def figure(panel: Panel, *, dark: bool) -> "Figure":
    """Bars from 0 on one axis; where one would leave no room for the others each is as long as the axis."""
    from matplotlib.patches import Patch

    shares = panel.shares or spread_out([one.whole for one in panel.stacks])
    label = f"share of {panel.label}" if shares else panel.label
    looks = looks_of((name for one in panel.stacks for name in one.parts), dark=dark)
    names, shared = told_apart([one.name for one in panel.stacks])
    edge = str(INK[dark]["face"])
    with panel_axes(headed(panel.heading, shared), label, "", dark=dark) as (made, axis):
        places = rows(axis, list(map(_numbered, panel.stacks, names)), dark=dark)
        for place, one in zip(places, panel.stacks, strict=True):
            scale = one.whole if shares else 1.0
            parts = {name: one.parts[name] / scale for name in looks if name in one.parts}
            stack(axis, place, parts, looks, edge)
            bar = ends(one.whole, *one.limits) if one.limits and not shares else None
            if bar:
                ink = str(INK[dark]["ink"])
                axis.errorbar(one.whole, place, xerr=bar, fmt="none", ecolor=ink, capsize=3, elinewidth=1.2, zorder=4)
        prefixed(axis, "%" if shares else "J", way="x")
        axis.set_xlim(min(0.0, axis.get_xlim()[0]) if _below(panel) else 0.0, 1.0 if shares else None)
        patches = [Patch(label=shortened(name), edgecolor=edge, linewidth=0.5, **look) for name, look in looks.items()]
        row_fit(made, patches, dark=dark)
    return made


def alt(panel: Panel) -> str:
    """The parts of the first bars in words."""
    told = [f"{one.name} {quantity(one.whole, 'J')}, of which {in_words(one.parts)}" for one in panel.stacks[:4]]
    more = f"; {len(panel.stacks) - 4} more bars" if len(panel.stacks) > 4 else ""
    return f"{panel.heading}, stacked bars of {panel.label}: {'; '.join(told)}{more}."


def in_words(parts: Mapping[str, float]) -> str:
    """`free 2.10 µJ, nudged 2.80 µJ`."""
    return ", ".join(f"{name} {quantity(joules, 'J')}" for name, joules in parts.items())


def _below(panel: Panel) -> bool:
    return any(value < 0 for one in panel.stacks for value in one.parts.values())


def _numbered(one: Stack, name: str) -> str:
    """`sync, 2 nodes: 6.40 mJ (1.60 to 12.8 mJ)`."""
    if not one.limits or one.limits[0] >= one.limits[1]:
        return f"{name}: {quantity(one.whole, 'J')}"
    number, interval = stated(one.whole, one.limits, "J")
    return f"{name}: {number} ({interval})"


def stack(axis: "Axes", place: float, parts: Mapping[str, float], looks: Mapping[str, Any], edge: str) -> None:
    """Parts above 0 side by side; one below 0 to the left of it."""
    begin = 0.0
    for name, value in parts.items():
        start = begin if value >= 0 else 0.0
        axis.barh(place, value, HEIGHT, left=start, edgecolor=edge, linewidth=0.8, zorder=3, **looks[name])
        begin += max(0.0, value)
