"""The standard error of a value, by the samples behind it."""

import math
from collections.abc import Sequence

from energybench.gating.series import Round


def error_of(one: Round) -> float | None:
    """The standard error of a round's value by its own windows, or as asv summarised them."""
    if len(one.values) > 1:
        return error_of_samples(one.values)
    return one.standard_error


def error_of_samples(samples: Sequence[float]) -> float | None:
    """The standard error of their mean; None for one."""
    count = len(samples)
    if count < 2:
        return None
    mean = math.fsum(samples) / count
    # `statistics.stdev` works in fractions: exact, and too slow for the windows of a long history.
    return math.hypot(*(one - mean for one in samples)) / math.sqrt((count - 1) * count)
