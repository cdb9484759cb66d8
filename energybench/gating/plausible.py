"""Values that cannot be: judged, they would pass for improvements."""

import math
from collections.abc import Iterator

from energybench.gating.cautions import BELOW
from energybench.gating.series import Series

NEVER_NEGATIVE = ("joules", "traffic", "modelled", "size")
COUNTED = ("modelled", "size")


def impossible(base: Series, head: Series) -> str:
    """What neither side can have measured or counted, and what to do; empty where all may be."""
    told = [why for name, one in (("base", base), ("head", head)) if (why := _impossible(name, one))]
    if told:
        return "; ".join(told)
    if base.family in COUNTED and not any(_means(head)) and any(_means(base)):
        return f"head is 0 {head.unit} and base is not, so that nothing was counted; look at how it is counted"
    if base.family == "modelled" and base.unit == "J" and not any(_means(base)) and any(_means(head)):
        return f"base is 0 {base.unit} and head is not, so that nothing was counted; look at how it is counted"
    return ""


def _impossible(name: str, series: Series) -> str:
    values = list(_means(series))
    if not all(map(math.isfinite, values)):
        return ""
    if series.family == "accuracy" and (wrong := next((one for one in values if not 0 <= one <= 1), None)) is not None:
        return f"{name} is {wrong:g}, and an accuracy is a share of 0 to 1; give it as one"
    if series.family in NEVER_NEGATIVE and min(values) < 0:
        return f"{name} is {min(values):g} {series.unit}, and cannot be less than 0; measure it again"
    if series.family == "joules" and 0 in values and not any(BELOW in each.flags for each in series.rounds):
        return f"{name} is 0 {series.unit}: its counter did not move; measure longer windows"
    return ""


def _means(series: Series) -> Iterator[float]:
    return (sum(each.values) / len(each.values) for each in series.rounds)
