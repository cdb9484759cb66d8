"""How sure the levels of a row of values are, and the change from one to another: 95 % intervals."""

import math
import statistics
from collections.abc import Sequence
from typing import TypedDict

from energybench.gating.changes import Levels
from energybench.gating.scales import Scale
from energybench.gating.series import Floor
from energybench.stats import t_factor

Errors = Sequence[float | None]


class Intervals(TypedDict, total=False):
    """Of the level before a change, of the one after, and of the change; what is not known is absent."""

    old_bounds: tuple[float, float]
    new_bounds: tuple[float, float]
    bounds: tuple[float, float]


def own_errors(values: Sequence[float], errors: Errors, scale: Scale, floor: Floor | None) -> list[float | None]:
    """The standard error of each commit's value on the scale: its own, and how far unchanged sets lie apart.

    Args:
        values: of the commits.
        errors: their own; None where one is not known.
        scale: that they are judged on.
        floor: how far unchanged sets lie apart; None where nobody knows.
    """
    between = floor.relative / math.sqrt(2) if floor and scale.kind == "log" else 0.0
    found: list[float | None] = []
    for value, error in zip(values, errors, strict=True):
        own = 0.0 if error is None else scale.error(value, error)
        found.append(math.hypot(own, between) or None)
    return found


def mean_bounds(stated: Sequence[tuple[float, float] | None]) -> tuple[float, float] | None:
    """The interval of the mean of values whose intervals have one cause, as the test set or the model that they share.

    Another number of them makes it no smaller; None where one of them has none.
    """
    told = [one for one in stated if one is not None]
    if not told or len(told) < len(stated):
        return None
    return statistics.fmean(low for low, _ in told), statistics.fmean(high for _, high in told)


def wider(one: tuple[float, float] | None, other: tuple[float, float] | None) -> tuple[float, float] | None:
    """What holds both intervals: how values scatter, and what all of them share."""
    if one is None or other is None:
        return one or other
    return min(one[0], other[0]), max(one[1], other[1])


def error_of_mean(values: Sequence[float], errors: Errors) -> float | None:
    """The standard error of the mean of some values: by their own, else by how they lie about it."""
    known = [error for error in errors if error]
    if known and len(known) == len(errors):
        return math.hypot(*known) / len(known)
    return statistics.stdev(values) / math.sqrt(len(values)) or None if len(values) > 1 else None


def intervals(
    found: Levels, scale: Scale, stated: Sequence[tuple[float, float] | None], after: int, start: int
) -> Intervals:
    """Those of a change between two values, the last of one level and the first of another.

    Args:
        found: the levels.
        scale: that they are on.
        stated: the intervals of all values that their records state of what they share; they say nothing of the change.
        after: the place of the last value before the change.
        start: the place of the first one after it.
    """
    places = found.piece_of(after), found.piece_of(start)
    old, new = (found.levels[one] for one in places)
    before, behind = (found.errors[one] if found.errors else None for one in places)
    factor = t_factor(found.degrees)
    told: Intervals = {}
    if (bounds := wider(_drawn(old, before, factor, scale), _shared(found, stated, places[0]))) is not None:
        told["old_bounds"] = bounds
    if (bounds := wider(_drawn(new, behind, factor, scale), _shared(found, stated, places[1]))) is not None:
        told["new_bounds"] = bounds
    if before is not None and behind is not None and (scale.kind != "unit" or old):
        reach, level = factor * math.hypot(before, behind), scale.back(old)
        ends = [scale.change(new - old + side, level) for side in (-reach, reach)]
        told["bounds"] = min(ends), max(ends)
    return told


def _drawn(level: float, error: float | None, factor: float, scale: Scale) -> tuple[float, float] | None:
    return None if error is None else (scale.back(level - factor * error), scale.back(level + factor * error))


def _shared(found: Levels, stated: Sequence[tuple[float, float] | None], piece: int) -> tuple[float, float] | None:
    return mean_bounds([one for place, one in enumerate(stated) if found.piece_of(place) == piece])
