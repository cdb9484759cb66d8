"""What each seed gave: rounds of one seed are repeats, and no more than one observation together."""

import math
import statistics
from collections.abc import Sequence

from energybench.gating.effects import TINY
from energybench.gating.series import Series

ON_THE_MACHINE = ("joules", "traffic", "seconds")
"""Families in which it is the machine that makes values scatter, and not the seed."""


def values_of(series: Series) -> dict[int | None, list[float]]:
    """All values of each seed, in the order of rounds; None stands for a seed that nobody knows."""
    found: dict[int | None, list[float]] = {}
    for one in series.rounds:
        found.setdefault(one.seed, []).extend(one.values)
    return found


def seed_means(series: Series) -> dict[int | None, float]:
    """A value for each seed; empty where a seed is not known, or where values scatter for other reasons."""
    found = values_of(series)
    if series.family in ON_THE_MACHINE or None in found:
        return {}
    return {seed: statistics.fmean(values) for seed, values in found.items()}


def both_seed_means(base: Series, head: Series) -> tuple[dict[int | None, float], dict[int | None, float]] | None:
    """Those of both sides; None where rounds are what is compared.

    Of one seed each, only an accuracy is one observation whatever its repeats say; anything else may scatter by timing,
    and then its rounds tell.
    """
    old, new = seed_means(base), seed_means(head)
    if not old or not new:
        return None
    one_each = len(old) == len(new) == 1
    if one_each and base.family != "accuracy" and not (repeats(base) and repeats(head)):
        return None
    return old, new


def repeats(series: Series) -> bool:
    """Whether one seed was run at least twice, and gave the same number whenever it was."""
    found = values_of(series)
    return len(series.rounds) > 1 and len(found) == 1 and all(same(values) for values in found.values())


def same(values: Sequence[float]) -> bool:
    """Whether they are one number."""
    low, high = min(values), max(values)
    return math.isfinite(low) and math.isfinite(high) and high - low <= TINY * max(abs(low), abs(high))


def not_run(base: Series, head: Series, *, exact: bool = False) -> str:
    """Which of base's seeds head lacks, in words; empty where others stand for them, or nobody knows.

    What is exact is compared seed by seed, so that no other seed stands for one.
    """
    if base.family in ON_THE_MACHINE:
        return ""
    old, new = values_of(base), values_of(head)
    lacking = [seed for seed in old if seed not in new]
    if None in old or None in new or not lacking or len(lacking) == len(old):
        return ""
    if len(new) >= len(old) and not exact:
        return ""
    shown = ", ".join(str(seed) for seed in lacking[:5]) + (" …" if len(lacking) > 5 else "")
    return f"head was not run with {len(lacking)} of base's {len(old)} seeds ({shown})"
