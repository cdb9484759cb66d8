"""The standard error of a value, by the samples behind it."""

import math
import statistics
from collections.abc import Sequence

from energybench.gating.series import Round


def error_of(one: Round) -> float | None:
    """The standard error of a round's value by its own windows, or as asv summarised them."""
    if len(one.values) > 1:
        return error_of_samples(one.values)
    return one.standard_error


def error_of_samples(samples: Sequence[float]) -> float | None:
    """The standard error of their mean; None for one."""
    return statistics.stdev(samples) / math.sqrt(len(samples)) if len(samples) > 1 else None
