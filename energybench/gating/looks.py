"""Looks at interleaved rounds: what is settled, what is a suspect, and which points to measure again.

Whoever measures goes on like this:

    schedule = Schedule(rounds=(10, 20, 40))
    progress = None
    while progress is None or progress.again:
        …measure progress.points (all of them at first) up to schedule.rounds[progress.looks] rounds
        progress = take_look(base, head, rules, schedule, progress)
    progress.judgement.exit
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from energybench.gate import conclude, verdicts_of
from energybench.gating.accepted import Accepted
from energybench.gating.joining import Joined, join
from energybench.gating.rules import Rules
from energybench.gating.series import Key, Scalar, Side
from energybench.gating.spending import Schedule, Stage
from energybench.gating.verdicts import Judgement, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What is known after a look.

    Attributes:
        looks: how many were taken.
        judgement: what would be said if nothing more were measured.
        again: series that are still open and have looks left.
        since: the rounds, by pair, that each suspect had when it became one.
    """

    looks: int
    judgement: Judgement
    again: frozenset[Key]
    since: Mapping[Key, frozenset[str]]

    @property
    def suspects(self) -> frozenset[Key]:
        """Open series that are worse at first sight."""
        return frozenset(one.key for one in self.judgement.verdicts if one.suspect and one.key in self.again)

    @property
    def points(self) -> frozenset[tuple[str, tuple[tuple[str, Scalar], ...]]]:
        """Workload and parameters of what is to be measured again."""
        return frozenset((key.workload, key.parameters) for key in self.again)


def take_look(
    base: Side,
    head: Side,
    rules: Rules,
    schedule: Schedule,
    before: Progress | None = None,
    *,
    accepted: Sequence[Accepted] = (),
    today: dt.date | None = None,
) -> Progress:
    """Judge what is open with all rounds so far; what is settled keeps its verdict.

    Args:
        base: all rounds of base so far.
        head: all rounds of head; those with the same `pair` were measured side by side.
        rules: what is judged by; the same at every look.
        schedule: rounds of each look.
        before: what the last look gave; None at the first.
        accepted: regressions that do not count.
        today: for accepted ones that expire.
    """
    number = before.looks if before else 0
    stage = _stage(number, schedule, before)
    joined = list(join(base, head, rules))
    settled = _settled(before, joined)
    fresh, family = verdicts_of((one for one in joined if _key(one) not in settled), rules, stage=stage)
    now = {one.key: one for one in fresh}
    verdicts = [now[key] if (key := _key(one)) in now else settled[key] for one in joined]
    last = number + 1 >= len(schedule.rounds)
    return Progress(
        looks=number + 1,
        judgement=conclude(base, head, verdicts, rules, family=family, accepted=accepted, today=today),
        again=frozenset() if last else frozenset(key for key, one in now.items() if _is_open(one)),
        since={**_suspected(now, base), **stage.since},
    )


def _stage(number: int, schedule: Schedule, before: Progress | None) -> Stage:
    return Stage(
        share=schedule.share(number),
        gains=schedule.share_of_gains(number),
        confirm=True,
        since=before.since if before else {},
        family=before.judgement.family if before else None,
    )


def _settled(before: Progress | None, joined: Sequence[Joined | Verdict]) -> dict[Key, Verdict]:
    """What keeps its verdict: all but what is open, and what head cannot be measured on any more since."""
    if before is None:
        return {}
    lost = {one.key for one in joined if isinstance(one, Verdict)}
    done = (one for one in before.judgement.verdicts if one.key not in before.again)
    return {one.key: one for one in done if one.key not in lost or one.word in ("regression", "accepted")}


def _suspected(verdicts: Mapping[Key, Verdict], base: Side) -> dict[Key, frozenset[str]]:
    """The rounds that each suspect of this look has."""
    return {
        key: frozenset(each.pair for each in base.series[key].rounds if each.pair is not None)
        for key, one in verdicts.items()
        if one.suspect
    }


def _is_open(verdict: Verdict) -> bool:
    """Whether more rounds may tell: a test was made and told neither."""
    return verdict.word == "inconclusive" and verdict.p is not None


def _key(one: Joined | Verdict) -> Key:
    return one.key if isinstance(one, Verdict) else one.base.key
