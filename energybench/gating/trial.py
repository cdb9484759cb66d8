"""How far head lies from base and how sure that is: rounds are the unit, on the log scale where values allow it.

Interleaved rounds are compared pair by pair. Sets that were measured at different times are compared by Welch's test
with the variance of the noise floor added. Accuracies are compared as they are, seed by seed where seeds match.
"""

import math
import statistics
from collections.abc import Callable, Sequence

from energybench.gating.effects import NORMAL, TINY, Effect, Mean, Scale, Untold, effect_of, mean_of, newcombe, reaching
from energybench.gating.rules import absolute
from energybench.gating.series import Floor, Round, Series

MACHINE = ("joules", "traffic", "seconds")
"""Families that move with the machine from day to day."""
LARGEST = 1e75
"""Values beyond are nonsense, and the squares of their ratios no numbers."""


def compare(
    base: Series, head: Series, floor: Callable[[Series], Floor | None], confidence: float = 0.99
) -> Effect | Untold:
    """Judge nothing yet: the effect and its bounds, or why there is none.

    Args:
        base: one series.
        head: the same one of the other side.
        floor: how far apart unchanged sets of this series lie; asked only where rounds were not interleaved.
        confidence: of each bound.
    """
    if not all(abs(value) < LARGEST for one in (base, head) for each in one.rounds for value in each.values):
        return Untold(reason="a value is not a finite number; measure it again")
    if by_pair := _paired(base, head):
        return _compare_pairs(base, *by_pair, confidence)
    if base.family in MACHINE and base.provenance != "modelled":
        return _compare_sets(base, head, floor(head), confidence)
    return _compare_observations(base, head, confidence)


def _paired(base: Series, head: Series) -> tuple[list[float], list[float]] | None:
    """Values of rounds that were measured side by side, or with one seed; None where there are not two."""
    old = _by_seed(base) or _by_pair(base)
    new = _by_seed(head) or _by_pair(head)
    common = [name for name in old if name in new]
    return ([old[name] for name in common], [new[name] for name in common]) if len(common) > 1 else None


def _by_pair(series: Series) -> dict[object, float]:
    return {one.pair: _mean(one.values) for one in series.rounds if one.pair is not None}


def _by_seed(series: Series) -> dict[object, float]:
    """What each seed gave, where it is seeds that make values scatter; empty where there is one seed."""
    if series.family in MACHINE:
        return {}
    found: dict[object, list[float]] = {}
    for one in series.rounds:
        found.setdefault(one.seed, []).append(_mean(one.values))
    if len(found) < 2 or None in found:
        return {}
    return {seed: statistics.fmean(values) for seed, values in found.items()}


def _compare_pairs(series: Series, old: list[float], new: list[float], confidence: float) -> Effect | Untold:
    scaled = _scaled(series, old, new)
    if isinstance(scaled, Untold):
        return scaled
    scale, before, after = scaled
    differences = [b - a for a, b in zip(before, after, strict=True)]
    mean = mean_of(differences)
    return effect_of(scale, mean.value, [mean], confidence=confidence, rounds=len(differences), paired=True)


def _compare_sets(base: Series, head: Series, floor: Floor | None, confidence: float) -> Effect | Untold:
    """Two sets of different times: nothing is said without knowing how far unchanged ones lie apart."""
    if floor is None:
        return Untold(
            reason="the sides were measured at different times and this machine has no history of unchanged repeats; "
            "measure base twice, or interleave both with gate --run"
        )
    old, new = _units(base.rounds), _units(head.rounds)
    if not all(len(values) > 1 or _summary(one) for values, one in ((old, base), (new, head))):
        return Untold(reason="one value has no scatter; measure at least 3 rounds")
    return _welch(base, head, old, new, confidence, floor=floor)


def _summary(series: Series) -> tuple[float, int] | None:
    """Standard error and count of samples that were not kept, where one value stands for all of them."""
    first = series.rounds[0]
    if len(series.rounds) > 1 or len(first.values) > 1 or not first.standard_error or (first.count or 0) < 2:
        return None
    assert first.count
    return first.standard_error, first.count


def _units(rounds: Sequence[Round]) -> list[float]:
    """A value a round; of a single round its windows."""
    return list(rounds[0].values) if len(rounds) == 1 else [_mean(one.values) for one in rounds]


def _compare_observations(base: Series, head: Series, confidence: float) -> Effect | Untold:
    """Values that do not move with the machine: accuracies, and counts that depend on data."""
    old = list(_by_seed(base).values()) or _units(base.rounds)
    new = list(_by_seed(head).values()) or _units(head.rounds)
    if len(old) == len(new) == 1:
        return _compare_single(base, head, old[0], new[0], confidence)
    if not all(len(values) > 1 or _summary(one) for values, one in ((old, base), (new, head))):
        return Untold(reason="one value has no scatter; run both sides with at least 3 seeds")
    return _welch(base, head, old, new, confidence)


def _welch(
    base: Series,
    head: Series,
    old: Sequence[float],
    new: Sequence[float],
    confidence: float,
    *,
    floor: Floor | None = None,
) -> Effect | Untold:
    scaled = _scaled(base, old, new)
    if isinstance(scaled, Untold):
        return scaled
    scale, before, after = scaled
    unit = abs(statistics.fmean(old)) if scale == "relative" else 1.0
    first, last = _mean_on(scale, base, before, unit), _mean_on(scale, head, after, unit)
    rounds = min(len(base.rounds), len(head.rounds)) if floor else min(len(old), len(new))
    parts = [first, last] + ([Mean(0.0, floor.relative**2, floor.degrees)] if floor else [])
    beyond = floor.relative if floor else 0.0
    return effect_of(scale, last.value - first.value, parts, confidence=confidence, rounds=rounds, floor=beyond)


def _mean_on(scale: Scale, series: Series, values: Sequence[float], unit: float) -> Mean:
    """The mean of values on a scale; of a single one with what was kept of the samples behind it."""
    known = _summary(series) if len(values) == 1 else None
    if known is None:
        return mean_of(values)
    error, count = known
    within = error / (series.rounds[0].values[0] if scale == "log" else unit)
    return Mean(values[0], within**2, count - 1)


def _compare_single(base: Series, head: Series, old: float, new: float, confidence: float) -> Effect | Untold:
    """One value each: the same, or two shares of so many samples, or nothing to go by."""
    if abs(new - old) <= TINY * max(abs(old), abs(new)):
        return Effect(scale="absolute", change=0.0, low=0.0, high=0.0, above=1.0, below=1.0, spread=None, rounds=1)
    n, m = base.rounds[0].judged, head.rounds[0].judged
    if not (n and m and absolute(base) and 0 <= old <= 1 and 0 <= new <= 1):
        return Untold(reason="one value on each side cannot be told from chance; run both with at least 3 seeds")
    low, high = newcombe(old, n, new, m, NORMAL.inv_cdf(confidence))
    return Effect(
        scale="absolute",
        change=new - old,
        low=low,
        high=high,
        above=reaching(lambda z: newcombe(old, n, new, m, z)[0] > 0),
        below=reaching(lambda z: newcombe(old, n, new, m, z)[1] < 0),
        spread=None,
        rounds=1,
    )


def _scaled(
    series: Series, old: Sequence[float], new: Sequence[float]
) -> tuple[Scale, Sequence[float], Sequence[float]] | Untold:
    """Both on the scale that the series is judged on; a relative difference where a value is not above 0."""
    if absolute(series):
        return "absolute", old, new
    if min(old) > 0 and min(new) > 0:
        return "log", [math.log(value) for value in old], [math.log(value) for value in new]
    unit = abs(statistics.fmean(old))
    if unit > 1 / LARGEST:
        return "relative", [value / unit for value in old], [value / unit for value in new]
    if not any(old) and not any(new):
        return "relative", old, new
    return Untold(reason="base is 0 on average, so no share of it can be told; measure longer windows")


def _mean(values: Sequence[float]) -> float:
    return values[0] if len(values) == 1 else math.fsum(values) / len(values)
