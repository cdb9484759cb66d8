"""Intervals, bootstrap and effect sizes. A repeat is the unit: samples within one run depend on each other.

numpy and scipy are imported when something is computed, not with this module.
"""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from energybench import student

CONFIDENCE = 0.95
# Scales the median absolute deviation to the standard deviation of a normal distribution.
NORMAL_MAD = 1.482602218505602

Samples = Sequence[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A value between two limits, and its standard uncertainty where the method gives one."""

    value: float
    low: float
    high: float
    standard_uncertainty: float | None = None


def median(samples: Samples) -> float:
    """The middle of at least one sample."""
    return statistics.median(_some(samples, 1))


def mad(samples: Samples) -> float:
    """Median absolute deviation, scaled to the standard deviation of a normal distribution."""
    middle = median(samples)
    return NORMAL_MAD * statistics.median(abs(x - middle) for x in samples)


def standard_error(samples: Samples) -> float:
    """The standard uncertainty of the mean of independent repeats (GUM type A)."""
    return statistics.stdev(_some(samples, 2)) / math.sqrt(len(samples))


def mean_interval(samples: Samples, *, confidence: float = CONFIDENCE) -> Interval:
    """The mean of independent repeats with Student's t interval."""
    error = standard_error(samples)
    return _around(statistics.fmean(samples), error, error * t_factor(len(samples) - 1, confidence))


def combined_interval(
    value: float, repeatability: float, degrees: float, systematic: float, *, confidence: float = CONFIDENCE
) -> Interval:
    """An interval from what repeats show and what they cannot show (GUM G.4, Welch-Satterthwaite).

    Args:
        value: the best value.
        repeatability: standard uncertainty with so many `degrees` of freedom.
        degrees: `math.inf` where it is known and not estimated.
        systematic: standard uncertainty of what all repeats share, taken as known.
        confidence: of the interval.
    """
    error = math.hypot(repeatability, systematic)
    effective = degrees * (error / repeatability) ** 4 if repeatability > 0 else math.inf
    return _around(value, error, error * t_factor(effective, confidence))


def t_factor(degrees: float, confidence: float = CONFIDENCE) -> float:
    """How many standard uncertainties reach to either side at this confidence."""
    return student.quantile(degrees, (1 + confidence) / 2)


def bootstrap(
    samples: Samples,
    statistic: Callable[[Samples], float] = median,
    *,
    confidence: float = CONFIDENCE,
    resamples: int = 5000,
    seed: int = 0,
) -> Interval:
    """The bias-corrected and accelerated bootstrap interval of any statistic of independent repeats."""
    import numpy as np
    from scipy.special import ndtr, ndtri

    values = np.asarray(_some(samples, 3), dtype=float)
    point = statistic(values.tolist())
    rng = np.random.default_rng(seed)
    drawn = values[rng.integers(0, len(values), size=(resamples, len(values)))]
    replicas = np.sort([statistic(row) for row in drawn.tolist()])
    error = float(np.std(replicas, ddof=1))
    if error == 0.0:
        return Interval(value=point, low=point, high=point, standard_uncertainty=0.0)
    below = np.mean(replicas < point) + 0.5 * np.mean(replicas == point)
    bias = ndtri(np.clip(below, 1 / resamples, 1 - 1 / resamples))
    left_out = [statistic(np.delete(values, i).tolist()) for i in range(len(values))]
    deviations = np.mean(left_out) - np.asarray(left_out)
    spread = float(np.sum(deviations**2))
    acceleration = float(np.sum(deviations**3)) / (6 * spread**1.5) if spread > 0 else 0.0
    tails = bias + ndtri(np.array([(1 - confidence) / 2, (1 + confidence) / 2]))
    levels = ndtr(bias + tails / (1 - acceleration * tails))
    low, high = np.quantile(replicas, levels)
    return Interval(value=point, low=float(low), high=float(high), standard_uncertainty=error)


def hodges_lehmann(base: Samples, head: Samples, *, confidence: float = CONFIDENCE) -> Interval:
    """How much larger `head` is than `base`: the median of all differences, with its rank-sum interval.

    The interval is distribution-free and exact; ValueError where so few repeats cannot give that confidence.
    """
    differences = sorted(h - b for b in _some(base, 1) for h in _some(head, 1))
    rank = _rank_sum_limit(len(base), len(head), (1 - confidence) / 2)
    if rank < 1:
        need = f"{len(base)} and {len(head)} repeats give no {confidence:.0%} interval"
        raise ValueError(f"{need}: measure more, at least 4 of each for 95 %")
    return Interval(value=statistics.median(differences), low=differences[rank - 1], high=differences[-rank])


def ratio(base: Samples, head: Samples, *, paired: bool = False, confidence: float = CONFIDENCE) -> Interval:
    """The ratio head/base of geometric means with its t interval on the log scale.

    Args:
        base: repeats of the one, all positive.
        head: repeats of the other.
        paired: whether repeat i of both was measured side by side; differences are then taken pair by pair.
        confidence: of the interval.
    """
    old, new = _logs(base), _logs(head)
    if paired:
        logs = [n - o for o, n in zip(old, new, strict=True)]
        error, degrees = standard_error(logs), float(len(logs) - 1)
    else:
        a, b = standard_error(old), standard_error(new)
        error = math.hypot(a, b)
        spread = a**4 / (len(old) - 1) + b**4 / (len(new) - 1)
        degrees = error**4 / spread if spread > 0 else math.inf
    middle = statistics.fmean(new) - statistics.fmean(old)
    reach = error * t_factor(degrees, confidence)
    return Interval(
        value=math.exp(middle),
        low=math.exp(middle - reach),
        high=math.exp(middle + reach),
        standard_uncertainty=math.exp(middle) * error,
    )


def ratio_hodges_lehmann(base: Samples, head: Samples, *, confidence: float = CONFIDENCE) -> Interval:
    """The ratio head/base without any assumption on the distribution: Hodges-Lehmann on the log scale."""
    logs = hodges_lehmann(_logs(base), _logs(head), confidence=confidence)
    return Interval(value=math.exp(logs.value), low=math.exp(logs.low), high=math.exp(logs.high))


def hedges_g(base: Samples, head: Samples) -> float:
    """The difference of means in pooled standard deviations, corrected for few repeats; inf for no spread."""
    degrees = len(_some(base, 2)) + len(_some(head, 2)) - 2
    squares = (len(base) - 1) * statistics.variance(base) + (len(head) - 1) * statistics.variance(head)
    difference = statistics.fmean(head) - statistics.fmean(base)
    if squares == 0:
        return 0.0 if difference == 0 else math.copysign(math.inf, difference)
    return difference / math.sqrt(squares / degrees) * (1 - 3 / (4 * degrees - 1))


def cliffs_delta(base: Samples, head: Samples) -> float:
    """How often `head` is larger less how often it is smaller, from -1 to 1."""
    signs = [(h > b) - (h < b) for b in _some(base, 1) for h in _some(head, 1)]
    return statistics.fmean(signs)


def effective_samples(samples: Samples) -> float:
    """How many independent samples a series of dependent ones is worth: n (1 - r)/(1 + r), r at lag 1.

    For power traces and the like. It never exceeds n, and a constant series is worth one.
    """
    n = len(_some(samples, 3))
    mean = statistics.fmean(samples)
    deviations = [x - mean for x in samples]
    squares = math.fsum(d * d for d in deviations)
    if squares == 0:
        return 1.0
    lagged = math.fsum(a * b for a, b in pairwise(deviations)) / squares
    correlation = min(max(lagged, 0.0), 1 - 1 / n)
    return max(1.0, n * (1 - correlation) / (1 + correlation))


def batch_means(samples: Samples, batches: int = 20) -> list[float]:
    """Means of successive equal batches: nearly independent where a batch outlasts the correlation."""
    size = len(samples) // batches
    if size < 1:
        raise ValueError(f"{len(samples)} samples do not fill {batches} batches: ask for fewer batches")
    return [statistics.fmean(samples[i * size : (i + 1) * size]) for i in range(batches)]


@lru_cache(maxsize=64)
def _rank_sum_limit(m: int, n: int, tail: float) -> int:
    """The largest k with P(U < k) <= tail under equal distributions: the k-th difference from either end."""
    ways = [1]  # how often each U occurs: the Gaussian binomial coefficient, multiplied and divided out
    for i in range(1, m + 1):
        ways = _divided(_times(ways, n + i), i)
    allowed, total = tail * math.comb(m + n, m), 0
    for u, count in enumerate(ways):
        total += count
        if total > allowed:
            return u
    raise AssertionError("a tail below one half is always exceeded")


def _times(ways: list[int], step: int) -> list[int]:
    """Multiply by (1 - q^step)."""
    longer = ways + [0] * step
    return [a - b for a, b in zip(longer, [0] * step + ways, strict=True)]


def _divided(ways: list[int], step: int) -> list[int]:
    """Divide by (1 - q^step), which goes without a rest."""
    quotient = list(ways)
    for i in range(step, len(quotient)):
        quotient[i] += quotient[i - step]
    return quotient[: len(quotient) - step]


def _around(value: float, error: float, reach: float) -> Interval:
    return Interval(value=value, low=value - reach, high=value + reach, standard_uncertainty=error)


def _logs(samples: Samples) -> list[float]:
    if min(_some(samples, 1)) <= 0:
        raise ValueError("a ratio needs values above 0: compare net energies by their difference")
    return [math.log(x) for x in samples]


def _some(samples: Samples, least: int) -> Samples:
    if len(samples) < least:
        raise ValueError(f"{len(samples)} repeats are too few: measure at least {least}")
    return samples


def wilson_interval(share: float, n: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's score interval of a share of n samples (E. B. Wilson, JASA 22, 1927)."""
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(middle - half, 0.0), min(middle + half, 1.0)
