"""From an effect to a word: a difference must be certain, sameness must be shown, and what is neither stays open."""

import math
from dataclasses import dataclass

from energybench.gating.effects import NORMAL, TINY, Effect, quantile
from energybench.gating.spending import SUSPECT
from energybench.gating.verdicts import Word

POWER = 0.8
MOST_ROUNDS = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Worsening:
    """An effect in the direction that is worse.

    Attributes:
        worse: how much worse head is, on the effect's scale; `most` and `least` bound it.
        limit: the margin on that scale.
        p: one-sided, of head being worse; `p_better` of its being better.
    """

    worse: float
    least: float
    most: float
    limit: float
    p: float
    p_better: float

    @property
    def within(self) -> bool:
        """Shown to be worse by less than the margin, or not worse."""
        return self.most <= self.limit + TINY

    @property
    def gain_within(self) -> bool:
        """Shown to be better by less than the margin, or not better."""
        return -self.least <= self.limit + TINY

    @property
    def suspect(self) -> bool:
        """Worse at first sight."""
        return self.p < SUSPECT and not self.within


def worsening(effect: Effect, *, higher_is_better: bool, margin: float) -> Worsening:
    """Turn an effect so that up is worse."""
    limit = math.log1p(margin) if effect.scale == "log" else margin
    if higher_is_better:
        return Worsening(
            worse=-effect.change,
            least=-effect.high,
            most=-effect.low,
            limit=limit,
            p=effect.below,
            p_better=effect.above,
        )
    return Worsening(
        worse=effect.change,
        least=effect.low,
        most=effect.high,
        limit=limit,
        p=effect.above,
        p_better=effect.below,
    )


def decide(seen: Worsening, *, level: float, gain_level: float, confirmed: bool = True) -> Word:
    """The word for one series.

    Args:
        seen: the effect, turned.
        level: one-sided p below which a worsening is certain.
        gain_level: the same for a gain.
        confirmed: whether fresh rounds agree, where they must.
    """
    if seen.p < level and not seen.within and confirmed:
        return "regression"
    if seen.p_better < gain_level and not seen.gain_within:
        return "improvement"
    return "pass" if seen.within else "inconclusive"


def rounds_needed(effect: Effect, seen: Worsening, *, level: float, confidence: float) -> int | None:
    """Rounds a side that would settle it in four of five cases if the effect is what it seems; None if none would."""
    if effect.spread is None:
        return None
    ways = ((seen.limit - seen.worse, confidence), (seen.worse, 1 - level))
    found = [n for gap, sure in ways if (n := _rounds(gap, sure, effect)) is not None]
    return max(min(found), effect.rounds + 1) if found else None


def _rounds(gap: float, sure: float, effect: Effect) -> int | None:
    """The fewest rounds with which the bound of that confidence likely clears a gap, by the power of the t test."""
    if gap <= TINY or not _clears(MOST_ROUNDS, gap, sure, effect):
        return None
    few, many = 1, MOST_ROUNDS
    while many - few > 1:
        middle = (few + many) // 2
        few, many = (few, middle) if _clears(middle, gap, sure, effect) else (middle, many)
    return many


def _clears(rounds: int, gap: float, sure: float, effect: Effect) -> bool:
    assert effect.spread is not None
    error = math.hypot(effect.spread / math.sqrt(rounds), effect.floor)
    return (quantile(rounds - 1, sure) + NORMAL.inv_cdf(POWER)) * error <= gap
