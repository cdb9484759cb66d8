"""Series that must be the same whenever the same work is done: compared seed by seed, any difference is one."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from energybench.gating.by_seed import not_run, same, values_of
from energybench.gating.effects import TINY
from energybench.gating.joining import Joined, verdict
from energybench.gating.rules import Rules, absolute
from energybench.gating.series import Series
from energybench.gating.summary import summary
from energybench.gating.verdicts import Verdict, Word


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """What one seed gave on both sides.

    Attributes:
        seed: None where nobody knows it, or where the sides have no seed in common.
        old: base's number.
        new: head's; the worst where head does not repeat itself.
        numbers: how many different ones head gave.
    """

    seed: int | None
    old: float
    new: float
    numbers: int = 1

    def change(self, *, difference: bool) -> float:
        """head/base - 1, or head - base; infinite where base is 0 and head is not."""
        apart = self.new - self.old
        if abs(apart) <= TINY * max(abs(self.old), abs(self.new)):
            return 0.0
        unit = 1.0 if difference else abs(self.old)
        return apart / unit if unit else math.copysign(math.inf, apart)


def counts_of(base: Series, head: Series) -> tuple[Count, ...] | None:
    """The numbers of each seed that both have; None where base itself does not repeat its own, or nothing is exact."""
    if not (base.exact or base.family == "size"):
        return None
    old, new = values_of(base), values_of(head)
    finite = all(math.isfinite(value) for values in new.values() for value in values)
    if not finite or not all(map(same, old.values())):
        return None
    worst = min if base.higher_is_better else max
    common = [seed for seed in old if seed in new]
    found = [
        Count(seed=seed, old=old[seed][0], new=worst(new[seed]), numbers=1 if same(new[seed]) else len(set(new[seed])))
        for seed in common
    ]
    if found:
        return tuple(found)
    every = [[value for values in side.values() for value in values] for side in (old, new)]
    return (Count(seed=None, old=every[0][0], new=every[1][0]),) if all(map(same, every)) else None


def exactly(joined: Joined, counts: Sequence[Count], rules: Rules) -> Verdict:
    """Equal numbers pass; one seed that is worse by more than the margin is a regression."""
    base, head = joined.base, joined.head
    margin, sign = rules.margin(base), -1.0 if base.higher_is_better else 1.0
    worse = {one: sign * one.change(difference=absolute(base)) for one in counts}
    most, least = max(counts, key=worse.__getitem__), min(counts, key=worse.__getitem__)
    word, shown = _word(worse[most], worse[least], margin), most
    if word == "improvement":
        shown = least
    lacking = not_run(base, head, exact=True)
    missed = bool(lacking) and word != "regression" and not rules.may_miss(base.key)
    change = shown.change(difference=absolute(base))
    reasons = [
        lacking,
        f"at seed {shown.seed}, of {len(counts)} in common" if len(counts) > 1 and word != "pass" else "",
        f"head gives {shown.numbers} numbers for the same work, and the worst counts" if shown.numbers > 1 else "",
        "" if math.isfinite(change) else "base is 0",
        "worse, and within the margin" if word == "pass" and worse[most] > TINY else "",
        joined.note,
    ]
    found = verdict(
        base,
        head,
        "not measured" if missed else word,
        change=change if math.isfinite(change) else None,
        margin=margin,
        reason="; ".join(filter(None, reasons)),
    )
    told = [summary(_of_seed(base, shown.seed, shown.old)), summary(_of_seed(head, shown.seed, shown.new))]
    return replace(
        found, base=shown.old, head=shown.new, base_bounds=told[0].bounds, head_bounds=told[1].bounds, exact=True
    )


def _of_seed(series: Series, seed: int | None, number: float) -> Series:
    """The series with the rounds that gave this number at this seed."""
    rounds = tuple(one for one in series.rounds if seed in (None, one.seed) and number in one.values)
    return replace(series, rounds=rounds)


def _word(most: float, least: float, margin: float) -> Word:
    """`most` and `least` are how much worse seeds are."""
    if most > margin + TINY:
        return "regression"
    return "improvement" if -least > margin + TINY else "pass"
