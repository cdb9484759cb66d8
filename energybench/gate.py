"""Judge head against base: one verdict for each series, and the exit code that follows from them.

    judgement = judge(base, head, Rules(), floors=floor_of)

A series passes when it is shown to be worse by less than its margin, is a regression when it is certainly worse and not
shown to lie within the margin, and stays inconclusive when the values tell neither.
"""

import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from energybench.gating.accepted import Accepted, used_nowhere
from energybench.gating.joining import Joined, join
from energybench.gating.joint import points_of
from energybench.gating.rules import Rules
from energybench.gating.series import Floor, Series, Side
from energybench.gating.spending import STORED, Stage
from energybench.gating.verdicts import COMPARED, Judgement, Verdict
from energybench.gating.weighing import Weighed, weigh, weighed_verdict

Floors = Callable[[Series], Floor | None]


def no_floor(series: Series) -> Floor | None:  # noqa: ARG001 -- it is asked like any other
    """What is known of a machine without history."""
    return None


def judge(
    base: Side,
    head: Side,
    rules: Rules,
    *,
    floors: Floors = no_floor,
    stage: Stage = STORED,
    accepted: Sequence[Accepted] = (),
    today: dt.date | None = None,
) -> Judgement:
    """Every series of both sides, and the exit code.

    Args:
        base: what was before.
        head: what is now.
        rules: margins, allowed error, what may be missing, which joules are refused.
        floors: how far apart unchanged sets of a series lie; None where nobody knows.
        stage: which look this is; the only one by default.
        accepted: regressions that do not count.
        today: for accepted ones that expire; by default the day in UTC.
    """
    verdicts, family = verdicts_of(join(base, head, rules), rules, floors=floors, stage=stage)
    return conclude(base, head, verdicts, rules, family=family, accepted=accepted, today=today)


def verdicts_of(
    joined: Iterable[Joined | Verdict], rules: Rules, *, floors: Floors = no_floor, stage: Stage = STORED
) -> tuple[tuple[Verdict, ...], int]:
    """The verdict of each, in order, and how many series share the allowed error."""
    seen = [one if isinstance(one, Verdict) else weigh(one, rules, floors) for one in joined]
    family = stage.family or sum(isinstance(one, Weighed) for one in seen) or 1
    verdicts = (
        weighed_verdict(one, rules, stage=stage, family=family) if isinstance(one, Weighed) else one for one in seen
    )
    return tuple(verdicts), family


def conclude(
    base: Side,
    head: Side,
    verdicts: Sequence[Verdict],
    rules: Rules,
    *,
    family: int,
    accepted: Sequence[Accepted] = (),
    today: dt.date | None = None,
) -> Judgement:
    """From verdicts to the whole: accepted regressions, joules beside accuracy, the exit code and its reason."""
    day = today or dt.datetime.now(dt.UTC).date()
    valid = [entry for entry in accepted if not entry.expired(day)]
    final = tuple(_accept(one, valid, head.commit) for one in verdicts)
    used = [one.accepted for one in final if one.accepted]
    code, reason = _exit(base, head, final)
    return Judgement(
        base=base.name,
        head=head.name,
        base_commit=base.commit,
        head_commit=head.commit,
        verdicts=final,
        points=points_of(final),
        idle=used_nowhere(accepted, used, [one.key for one in final], day),
        troubles=(*base.troubles, *head.troubles),
        alpha=rules.alpha,
        family=family,
        exit=code,
        reason=reason,
    )


def _accept(verdict: Verdict, entries: Sequence[Accepted], commit: str | None) -> Verdict:
    if verdict.word != "regression":
        return verdict
    covering = (entry for entry in entries if entry.accepts(verdict.key, verdict.worsening, commit))
    entry = next(covering, None)
    if entry is None:
        return verdict
    return replace(verdict, word="accepted", accepted=entry, reason=f"accepted until {entry.until}: {entry.reason}")


def _exit(base: Side, head: Side, verdicts: Sequence[Verdict]) -> tuple[int, str]:
    """The first that holds of 2, 1, 4, 3, 0; never 0 when nothing was compared."""
    counted = {one.word for one in verdicts if not one.allowed}
    if "not comparable" in counted:
        return 2, "" if any(one.word in COMPARED for one in verdicts) else "nothing could be compared"
    if not any(one.word in COMPARED for one in verdicts):
        return _nothing_compared(base, head, verdicts)
    codes = (("regression", 1), ("not measured", 4), ("inconclusive", 3))
    return next((code for word, code in codes if word in counted), 0), ""


def _nothing_compared(base: Side, head: Side, verdicts: Sequence[Verdict]) -> tuple[int, str]:
    missing = any(one.word == "not measured" for one in verdicts)
    if not missing and any(one.word == "left out" for one in verdicts):
        return 2, "there is nothing but estimates; ask for them with --allow estimated"
    if not missing:
        return 2, f"{base.name} has nothing to compare with; measure it first"
    if not any(one.word == "new" for one in verdicts):
        return 4, f"{head.name} measured nothing of what {base.name} did"
    return 2, f"{base.name} and {head.name} have no series in common; compare runs of the same workloads"
