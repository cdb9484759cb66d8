"""Two comparable series to a verdict: exactly where they must be equal, else by a test that the whole family shares."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from energybench.gating.by_seed import not_run
from energybench.gating.cautions import below_resolution
from energybench.gating.decide import Worsening, decide, rounds_needed, worsening
from energybench.gating.effects import TINY, Effect, Untold
from energybench.gating.exact import counts_of, exactly
from energybench.gating.joining import Joined, verdict
from energybench.gating.rules import Rules
from energybench.gating.series import Floor, Series
from energybench.gating.spending import SUSPECT, Stage
from energybench.gating.trial import compare
from energybench.gating.verdicts import Verdict

FARTHEST = 700.0
"""Log ratios beyond are no numbers any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighed:
    """Two series and the effect between them, not yet judged."""

    joined: Joined
    effect: Effect
    margin: float


def weigh(joined: Joined, rules: Rules, floors: Callable[[Series], Floor | None]) -> Weighed | Verdict:
    """The effect, or a verdict where the values are exact or nothing can be told."""
    base, head = joined.base, joined.head
    if counts := counts_of(base, head):
        return exactly(joined, counts, rules)
    margin = rules.margin(base, scattering=True)
    unread = below_resolution(base, head)
    effect = Untold(reason=unread) if unread else compare(base, head, floors, rules.confidence)
    if isinstance(effect, Effect):
        return Weighed(joined=joined, effect=effect, margin=margin)
    lacking = _lacking(joined, rules)
    reason = _said(lacking, effect.reason, joined.note)
    return verdict(base, head, "not measured" if lacking else "inconclusive", margin=margin, reason=reason)


def weighed_verdict(weighed: Weighed, rules: Rules, *, stage: Stage, family: int) -> Verdict:
    """The word for an effect, with what people need to follow it."""
    base, head, effect = weighed.joined.base, weighed.joined.head, weighed.effect
    seen = worsening(effect, higher_is_better=base.higher_is_better, margin=weighed.margin)
    level, whole = rules.alpha * stage.share / family, rules.alpha / family
    confirmed = not stage.confirm or (seen.p < level and not seen.within and _confirmed(weighed, stage))
    word = decide(seen, level=level, gain_level=rules.alpha * stage.gains / family, confirmed=confirmed)
    lacking = _lacking(weighed.joined, rules) if word != "regression" else ""
    if lacking:
        word = "not measured"
    why = _certainly_within(seen, effect, whole) if word == "pass" else lacking
    told: dict[str, Any] = {}
    if word == "inconclusive":
        needed = rounds_needed(effect, seen, level=whole, confidence=rules.confidence)
        told, why = {"needed": needed, "suspect": seen.suspect}, _open(seen, effect, needed)
    return verdict(
        base,
        head,
        word,
        margin=weighed.margin,
        p=seen.p,
        rounds=effect.rounds,
        paired=effect.paired,
        reason=_said(why, effect.note, weighed.joined.note),
        **_shown(effect),
        **told,
    )


def _lacking(joined: Joined, rules: Rules) -> str:
    """Seeds that head should have been run with; empty where it may miss them."""
    return "" if rules.may_miss(joined.base.key) else not_run(joined.base, joined.head)


def _said(*reasons: str) -> str:
    return "; ".join(filter(None, reasons))


def _confirmed(weighed: Weighed, stage: Stage) -> bool:
    """Whether the rounds since it became a suspect show the worsening by themselves."""
    base, head = weighed.joined.base, weighed.joined.head
    before = stage.since.get(base.key)
    if before is None:
        return False
    fresh = [replace(one, rounds=tuple(each for each in one.rounds if each.pair not in before)) for one in (base, head)]
    if not all(one.rounds for one in fresh):
        return False
    effect = compare(fresh[0], fresh[1], lambda _: None)
    if isinstance(effect, Untold):
        return False
    return worsening(effect, higher_is_better=base.higher_is_better, margin=0.0).p < SUSPECT


def _shown(effect: Effect) -> Mapping[str, Any]:
    """The effect as a share or a difference; a bound that is no number is absent."""
    if effect.scale != "log":
        return {"change": effect.change, "low": effect.low, "high": effect.high}
    numbers = (("change", effect.change), ("low", effect.low), ("high", effect.high))
    return {name: math.expm1(value) for name, value in numbers if value < FARTHEST}


def _certainly_within(seen: Worsening, effect: Effect, level: float) -> str:
    if seen.p >= level or seen.worse <= TINY:
        return ""
    share = math.expm1(seen.worse) if effect.scale == "log" else seen.worse
    much = f"{share:.4f}" if effect.scale == "absolute" else f"{100 * share:.2f} %"
    return f"certainly worse, by {much}, and within the margin"


def _open(seen: Worsening, effect: Effect, needed: int | None) -> str:
    doubt = "worse at first sight, not confirmed; " if seen.suspect else ""
    if needed is not None:
        return f"{doubt}{needed} rounds a side would likely settle it"
    if effect.spread is None:
        return f"{doubt}judge it on more samples, or with several seeds"
    if effect.floor:
        return f"{doubt}no number of rounds would settle it at this noise floor; interleave both with gate --run"
    return f"{doubt}no number of rounds would settle it: it lies on its margin"
