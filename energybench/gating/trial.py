"""How far head lies from base and how sure that is: rounds are the unit, on the log scale where values allow it.

Interleaved rounds are compared pair by pair. Sets that were measured at different times are compared by Welch's test
with the variance of the noise floor added. Accuracies are compared as they are, seed by seed where seeds match; all
rounds of one seed are one observation.
"""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from energybench.gating.by_seed import ON_THE_MACHINE, both_seed_means, repeats
from energybench.gating.effects import (
    NORMAL,
    TINY,
    Effect,
    Mean,
    Scale,
    Untold,
    certain,
    effect_of,
    mean_of,
    newcombe,
    reaching,
)
from energybench.gating.rules import absolute
from energybench.gating.series import Floor, Round, Series

Seeds: TypeAlias = Mapping[int | None, float]
ONE_SEED = "at one seed, which gives each side the same number whenever it is run"
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
    if by_seed := both_seed_means(base, head):
        return _compare_seeds(base, head, *by_seed, confidence)
    if by_pair := _paired(base, head):
        return _compare_pairs(base, *by_pair, confidence)
    if base.family in ON_THE_MACHINE and base.provenance != "modelled":
        return _compare_sets(base, head, floor(head), confidence)
    return _compare_observations(base, head, confidence)


def _paired(base: Series, head: Series) -> tuple[list[float], list[float]] | None:
    """Values of rounds that were measured side by side; None where there are not two."""
    old, new = _by_pair(base), _by_pair(head)
    common = [name for name in old if name in new]
    return ([old[name] for name in common], [new[name] for name in common]) if len(common) > 1 else None


def _by_pair(series: Series) -> dict[object, float]:
    return {one.pair: _mean(one.values) for one in series.rounds if one.pair is not None}


def _compare_seeds(base: Series, head: Series, old: Seeds, new: Seeds, confidence: float) -> Effect | Untold:
    """Seed by seed where head has no other seeds than base; else as two sets, in which every seed counts."""
    if len(old) == len(new) == 1:
        (before,), (after,) = old.values(), new.values()
        return _compare_single(base, head, before, after, confidence, at_one_seed=old.keys() == new.keys())
    if len(new) > 1 and new.keys() <= old.keys():
        return _compare_pairs(base, [old[seed] for seed in new], list(new.values()), confidence)
    if min(len(old), len(new)) < 2:
        return Untold(reason="one seed has no scatter; run both sides with the same seeds, at least 3")
    effect = _welch(base, head, list(old.values()), list(new.values()), confidence)
    return effect if isinstance(effect, Untold) else replace(effect, note="the seeds are not those of base")


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
    if len(series.rounds) > 1 or len(first.values) > 1 or first.standard_error is None or (first.count or 0) < 2:
        return None
    assert first.count
    return first.standard_error, first.count


def _units(rounds: Sequence[Round]) -> list[float]:
    """A value a round; of a single round its windows."""
    return list(rounds[0].values) if len(rounds) == 1 else [_mean(one.values) for one in rounds]


def _compare_observations(base: Series, head: Series, confidence: float) -> Effect | Untold:
    """Values that do not move with the machine: accuracies, and counts that depend on data, of seeds nobody knows."""
    old, new = _units(base.rounds), _units(head.rounds)
    summarised = bool(_summary(base) and _summary(head))
    if len(old) == len(new) == 1 and not summarised:
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
    rounds = min(len(base.rounds), len(head.rounds)) if floor else min(_observed(base, old), _observed(head, new))
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


def _observed(series: Series, values: Sequence[float]) -> int:
    """How many observations there are, those counted that were not kept."""
    known = _summary(series) if len(values) == 1 else None
    return known[1] if known else len(values)


def _compare_single(
    base: Series, head: Series, old: float, new: float, confidence: float, *, at_one_seed: bool = False
) -> Effect | Untold:
    """One value each: the same, or two shares of so many samples, or one seed that always gives it, or nothing."""
    if abs(new - old) <= TINY * max(abs(old), abs(new)):
        return certain("absolute", 0.0)
    n, m = _judged(base), _judged(head)
    if at_one_seed and n is m is None and repeats(base) and repeats(head):
        scaled = _scaled(base, [old], [new])
        return scaled if isinstance(scaled, Untold) else certain(scaled[0], scaled[2][0] - scaled[1][0], note=ONE_SEED)
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


def _judged(series: Series) -> int | None:
    """Over how many samples each of its values is; None where a round does not tell."""
    told = [one.judged for one in series.rounds]
    return min(one for one in told if one is not None) if None not in told else None


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
