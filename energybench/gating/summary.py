"""What one side says of a series: its value, how far that may be off, and how far its rounds lie apart."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from energybench import stats
from energybench.gating.by_seed import same, seed_means
from energybench.gating.series import Round, Series

SHARED = ("estimated", "modelled")
"""Kinds of which all rounds share what they may be off by: no number of them makes their intervals smaller."""
NEVER_BELOW_0 = ("J", "s", "B", "1/s")
NET = "net_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """One side of a series.

    Attributes:
        value: the mean of its rounds, of a single one of its values; None where there is none.
        spread: the standard deviation of the same; None of one value.
        bounds: 95 % where rounds or windows give one, the whole range of what is estimated or modelled; None where
            nothing tells.
        exact: the same work always gives this number.
    """

    value: float | None = None
    spread: float | None = None
    bounds: tuple[float, float] | None = None
    exact: bool = False


def summary(series: Series) -> Summary:
    """The summary of the rounds of a series."""
    rounds = series.rounds
    values = rounds[0].values if len(rounds) == 1 else [sum(one.values) / len(one.values) for one in rounds]
    if not values:
        return Summary()
    mean = sum(values) / len(values)
    if not math.isfinite(mean):
        return Summary()
    squares = sum([(value - mean) * (value - mean) for value in values])
    known = len(values) > 1 and math.isfinite(squares)
    return Summary(
        value=mean,
        spread=math.sqrt(squares / (len(values) - 1)) if known else None,
        bounds=_bounds(series, values, mean) if known or len(values) == 1 else None,
        exact=(series.exact or series.family == "size") and same([each for one in rounds for each in one.values]),
    )


def _bounds(series: Series, values: Sequence[float], mean: float) -> tuple[float, float] | None:
    stated = _stated(series.rounds)
    if stated and len(series.rounds) == 1:
        return stated
    drawn = _drawn(series, values, mean)
    if stated and (series.provenance in SHARED or series.family == "accuracy"):
        # Another draw of the test set, or another model, would move every round alike.
        return (min(stated[0], drawn[0]), max(stated[1], drawn[1])) if drawn else stated
    return drawn or stated


def _stated(rounds: Sequence[Round]) -> tuple[float, float] | None:
    """What the sources of all rounds say themselves, on average."""
    told = [one.bounds for one in rounds if one.bounds is not None]
    if not told or len(told) < len(rounds):
        return None
    return statistics.fmean(low for low, _ in told), statistics.fmean(high for _, high in told)


def _drawn(series: Series, values: Sequence[float], mean: float) -> tuple[float, float] | None:
    """Student's interval of independent repeats: rounds of one seed are one, where it is the seed that scatters."""
    seeds = list(seed_means(series).values())
    repeats = seeds if len(seeds) > 1 or (seeds and same(values)) else values
    shared = abs(mean) * statistics.fmean(one.systematic for one in series.rounds)
    first = series.rounds[0]
    if len(repeats) > 1:
        error, degrees = stats.standard_error(repeats), float(len(repeats) - 1)
    elif len(values) == 1 and first.standard_error:
        error, degrees = first.standard_error, float(first.count - 1) if first.count and first.count > 1 else math.inf
    else:
        return None
    if not error or (series.exact and same(repeats)):
        return None
    found = stats.combined_interval(mean, error, degrees, shared)
    return _possible(series, mean, found.low), _possible(series, mean, found.high)


def _possible(series: Series, mean: float, end: float) -> float:
    """An end of an interval within what the quantity can be."""
    if series.unit in NEVER_BELOW_0 and mean >= 0 and not series.key.metric.startswith(NET):
        return max(end, 0.0)
    return min(max(end, 0.0), 1.0) if series.family == "accuracy" and 0 <= mean <= 1 else end
