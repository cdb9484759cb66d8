"""Changes as a forest: a row a series, its change with bounds, and the margin."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from energybench.gating.series import Key
from energybench.gating.verdicts import Verdict
from energybench.reports.figures import INK, KINDS
from energybench.reports.numbers import quantity, short
from energybench.reports.plotting import CATEGORIES, panel_axes, tick
from energybench.reports.views.changed import word
from energybench.reports.views.drawing import prefixed, row_fit, rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIGNS = {
    "regression": "worse",
    "accepted": "worse, accepted",
    "suspect": "perhaps worse",
    "improvement": "better",
}
STEEP = 2.0
"""From this change on, of itself, an axis is logarithmic beyond `LINEAR`."""
LINEAR = 0.1
CROWDED = 2
"""Decades from which fewer ticks have room."""


def figure(own: Sequence[Verdict], names: Mapping[Key, str], *, dark: bool) -> "Figure":
    """Series of one kind and scale, a row each."""
    from matplotlib.lines import Line2D

    kind, absolute = own[0].provenance, own[0].absolute
    _, marker, heading = KINDS[kind]
    ink, muted = CATEGORIES[dark][0], str(INK[dark]["muted"])
    label = "head / base − 1"
    if absolute:
        label = f"head − base{', accuracy' if all(one.family == 'accuracy' for one in own) else ''}"
    with panel_axes(f"{heading.partition(':')[0]}, change", label, "", dark=dark) as (figure, axis):
        places = rows(axis, [f"{sign(one)} · {names[one.key]}" for one in own], dark=dark)
        axis.axvline(0, color=muted, linewidth=1)
        for place, one in zip(places, own, strict=True):
            assert one.change is not None
            low, high = one.low if one.low is not None else one.change, one.high if one.high is not None else one.change
            axis.plot([low, high], [place, place], color=ink, linewidth=1.8, zorder=3, solid_capstyle="butt")
            face = ink if word(one) in SIGNS and word(one) != "suspect" else str(INK[dark]["face"])
            axis.plot(one.change, place, marker, color=ink, mfc=face, mew=1.6, markersize=8, zorder=4)
            if one.margin:
                axis.plot(
                    -one.margin if one.higher_is_better else one.margin, place, "|", color=muted, markersize=15, mew=2
                )
        _scale(axis, own, absolute=absolute)
        name = f"{kind}, with bounds" if any(one.low != one.high for one in own) else kind
        entries = [Line2D([], [], marker=marker, color=ink, linestyle="-", markersize=7, label=name)]
        if any(one.margin for one in own):
            entries.append(Line2D([], [], marker="|", color=muted, linestyle="", markersize=11, mew=2, label="margin"))
        row_fit(figure, entries, dark=dark)
    return figure


def alt(own: Sequence[Verdict], names: Mapping[Key, str]) -> str:
    """The first of them in words."""
    told = "; ".join(f"{sign(one)}, {names[one.key]} {changed_by(one)}" for one in own[:4])
    more = f"; {len(own) - 4} more" if len(own) > 4 else ""
    return f"Change of head against base of {len(own)} {own[0].provenance} series, with bounds: {told}{more}."


def sign(one: Verdict) -> str:
    """A verdict in a word or two."""
    return SIGNS.get(word(one), word(one))


def changed_by(one: Verdict) -> str:
    """`+12.3 %`, `−1.2 points`, `+0.5`; empty where the change has no number."""
    if one.change is None:
        return ""
    if not one.absolute:
        return signed(one.change, "%")
    return f"{signed(100 * one.change, '')} points" if one.family == "accuracy" else signed(one.change, short(one.unit))


def signed(value: float, unit: str) -> str:
    """A number with its sign; a share in percent."""
    text = f"{100 * abs(value):.3g} %" if unit == "%" else quantity(abs(value), unit)
    return f"{'−' if value < 0 else '+' if value > 0 else ''}{text}"


def _scale(axis: "Axes", own: Sequence[Verdict], *, absolute: bool) -> None:
    """Shares in percent; a change of several times itself would flatten the others, so the axis then bends."""
    values = [value for one in own for value in (one.change, one.low, one.high) if value is not None]
    most = max(abs(value) for value in values)
    if most <= STEEP:
        unit = "" if absolute and any(one.family != "accuracy" for one in own) else "%"
        prefixed(axis, unit, way="x")
        bounded = any(one.low != one.high for one in own)
        reach = max(most, (0.01 if absolute else 0.02) if bounded else 1e-9)
        low, high = min(values), max(values)
        axis.set_xlim(min(low, -0.25 * reach) - 0.08 * reach, max(high, 0.25 * reach) + 0.08 * reach)
        return
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    axis.set_xscale("symlog", linthresh=LINEAR)
    axis.set_xlabel(f"{axis.get_xlabel()}, logarithmic beyond ±{tick(LINEAR, '%')}", fontsize=10)
    top = math.ceil(math.log10(most))
    powers = {top, top // 2} if top > CROWDED else {0, top}
    ticks = [0.0, *(10.0**power for power in sorted(powers))]
    if min(values) < -LINEAR and top <= CROWDED:
        ticks = [-1.0, *ticks]
    axis.xaxis.set_major_locator(FixedLocator(ticks))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: signed(value, "%").removeprefix("+")))
