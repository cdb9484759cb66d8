"""Student's t distribution in plain Python: a process that measures would be longer at importing scipy than at this."""

import math
import statistics
from functools import lru_cache

NORMAL_FROM = 1e6
"""With more degrees of freedom the normal distribution is taken: they differ by less than a millionth."""
TERMS, TINY = 1000, 1e-300
EXACT = 1e-15


@lru_cache(maxsize=4096)
def quantile(degrees: float, level: float) -> float:
    """The t that is not exceeded with this probability, by Newton's method.

    Args:
        degrees: of freedom, above 0; `math.inf` for the normal distribution.
        level: above 0 and below 1.
    """
    normal = statistics.NormalDist().inv_cdf(level)
    if degrees > NORMAL_FROM or level == 0.5:
        return normal
    beyond = min(level, 1 - level)
    # The tail is convex and heavier than the normal one: from there, steps go outwards and never too far.
    t = abs(normal)
    for _ in range(TERMS):
        step = (tail(degrees, t) - beyond) / _density(degrees, t)
        t += step
        if abs(step) <= EXACT * t:
            break
    return math.copysign(t, normal)


def tail(degrees: float, t: float) -> float:
    """The probability of more than this `t`, which is 0 or more; small ones are as exact as others."""
    square = t * t
    return _beta(degrees / 2, 0.5, degrees / (degrees + square), square / (degrees + square), _size(degrees)) / 2


def _density(degrees: float, t: float) -> float:
    return math.exp(_size(degrees) - (degrees + 1) / 2 * math.log1p(t * t / degrees)) / math.sqrt(degrees)


def _size(degrees: float) -> float:
    """The logarithm of 1/B(degrees/2, 1/2); of many degrees by its series, where logarithms of gammas cancel."""
    a = degrees / 2
    if a < 100:
        return math.lgamma(a + 0.5) - math.lgamma(a) - math.log(math.pi) / 2
    return (math.log(a / math.pi) - 1 / (4 * a) + 1 / (96 * a**3)) / 2


def _beta(a: float, b: float, x: float, rest: float, size: float) -> float:
    """The regularized incomplete beta function I_x(a, b), given 1 - x and -ln B(a, b) (DLMF 8.17.4 and 8.17.22)."""
    if x <= 0 or rest <= 0:
        return float(x > 0)
    if x > (a + 1) / (a + b + 2):
        return 1 - _beta(b, a, rest, x, size)
    return math.exp(size + a * math.log(x) + b * math.log(rest)) / (a * _fraction(a, b, x))


def _fraction(a: float, b: float, x: float) -> float:
    """1 + d1/(1 + d2/(1 + …)) of the incomplete beta function, by Lentz's method."""
    value = over = 1.0
    under = 0.0
    for number in range(1, TERMS):
        half, odd = divmod(number, 2)
        if odd:
            term = -(a + half) * (a + b + half) * x / ((a + 2 * half) * (a + 2 * half + 1))
        else:
            term = half * (b - half) * x / ((a + 2 * half - 1) * (a + 2 * half))
        under = 1 / (1 + term * under or TINY)
        over = 1 + term / over or TINY
        value *= over * under
        if abs(over * under - 1) <= EXACT:
            break
    return value
