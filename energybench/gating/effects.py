"""How much larger head is than base, its bounds and its p: from means, their variances and degrees of freedom.

Variances that are known to different degrees are combined by Welch and Satterthwaite (Biometrics Bulletin 2, 1946);
single shares are compared by Newcombe's interval, his method 10 (Statistics in Medicine 17, 1998).
"""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

from energybench.stats import wilson_interval

TINY = 1e-9
"""Differences below are rounding."""
ROUNDING = 1e-12
"""Scatter below is rounding."""
NORMAL = statistics.NormalDist()

Scale = Literal["log", "absolute", "relative"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """How much larger head is than base.

    Attributes:
        scale: of `change`: log ratio, difference, or difference in units of base's mean.
        change: head less base on that scale; `low` and `high` are its one-sided bounds.
        above: one-sided p of head being larger.
        below: one-sided p of head being smaller.
        spread: standard deviation of one round's change; None where more rounds would tell nothing.
        floor: standard deviation that no number of rounds makes smaller.
        rounds: of the smaller side.
        paired: whether rounds were compared side by side.
        note: what it rests on, where people must know.
    """

    scale: Scale
    change: float
    low: float
    high: float
    above: float
    below: float
    spread: float | None
    floor: float = 0.0
    rounds: int
    paired: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Untold:
    """Why nothing can be said of a difference, and what would help."""

    reason: str


class Mean(NamedTuple):
    """A mean, the variance of it, and the degrees of freedom that this variance is known with."""

    value: float
    variance: float
    degrees: float


def effect_of(
    scale: Scale,
    change: float,
    parts: Sequence[Mean],
    *,
    confidence: float,
    rounds: int,
    floor: float = 0.0,
    paired: bool = False,
) -> Effect:
    """The effect of a change whose variance is the sum of those of its parts, `floor` squared among them."""
    variance = math.fsum(part.variance for part in parts)
    error = math.sqrt(variance)
    if error <= ROUNDING:
        error, change = 0.0, change if abs(change) > TINY else 0.0
    degrees = _degrees(parts, variance)
    reach = error * quantile(degrees, confidence) if error else 0.0
    above, below = _tails(change, error, degrees)
    own = max(0.0, variance - floor**2)
    return Effect(
        scale=scale,
        change=change,
        low=change - reach,
        high=change + reach,
        above=above,
        below=below,
        spread=math.sqrt(own * rounds),
        floor=floor,
        rounds=rounds,
        paired=paired,
    )


def certain(scale: Scale, change: float, *, note: str = "") -> Effect:
    """The effect of a change that nothing scatters."""
    above, below = _tails(change, 0.0, math.inf)
    return Effect(
        scale=scale,
        change=change,
        low=change,
        high=change,
        above=above,
        below=below,
        spread=None,
        rounds=1,
        note=note,
    )


def _degrees(parts: Sequence[Mean], variance: float) -> float:
    if len(parts) == 1:
        return parts[0].degrees
    if variance == 0:
        return math.inf
    return 1 / math.fsum((part.variance / variance) ** 2 / part.degrees for part in parts)


def _tails(change: float, error: float, degrees: float) -> tuple[float, float]:
    """One-sided p of head being larger and of its being smaller."""
    if error == 0:
        return float(change <= 0), float(change >= 0)
    score = change / error
    if math.isinf(degrees):
        return NORMAL.cdf(-score), NORMAL.cdf(score)
    from scipy.special import stdtr

    return float(stdtr(degrees, -score)), float(stdtr(degrees, score))


@lru_cache(maxsize=4096)
def quantile(degrees: float, level: float) -> float:
    """Student's t at this one-sided level."""
    if math.isinf(degrees) or degrees > 1e6:
        return NORMAL.inv_cdf(level)
    from scipy.special import stdtrit

    return float(stdtrit(degrees, level))


def mean_of(values: Sequence[float]) -> Mean:
    """The mean, its variance and their degrees of freedom, of at least two values."""
    n = len(values)
    mean = math.fsum(values) / n
    squares = math.fsum([(value - mean) ** 2 for value in values])
    return Mean(mean, squares / (n - 1) / n, n - 1)


def newcombe(old: float, n: int, new: float, m: int, z: float) -> tuple[float, float]:
    """Bounds of the difference of two shares of `n` and `m` samples, so many standard deviations away."""
    (low, high), (least, most) = wilson_interval(old, n, z), wilson_interval(new, m, z)
    change = new - old
    return change - math.hypot(new - least, high - old), change + math.hypot(most - new, old - low)


def reaching(beyond: Callable[[float], bool]) -> float:
    """The one-sided p at which a bound reaches 0, by halving."""
    near, far = 0.0, 37.0
    if not beyond(near):
        return 1.0
    for _ in range(50):
        middle = (near + far) / 2
        near, far = (middle, far) if beyond(middle) else (near, middle)
    return NORMAL.cdf(-near)
