"""Before anything is tested: what one side lacks, what is refused, and what differs beside the values."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from energybench.gating.cautions import cautions
from energybench.gating.from_asv import DESCRIBED, UNKNOWN_DISPATCH
from energybench.gating.plausible import impossible
from energybench.gating.rules import ASKED_FOR, Rules, absolute
from energybench.gating.series import Key, Series, Side
from energybench.gating.summary import Summary, summary
from energybench.gating.verdicts import Verdict, Word

SEED = "seed"
WHOLE_POINT = ("", "*")
"""What stands for the metric in a gap of a whole point."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """Two series that may be compared; `note` is said beside whatever is found."""

    base: Series
    head: Series
    note: str = ""


def join(base: Side, head: Side, rules: Rules) -> Iterator[Joined | Verdict]:
    """Each series of base and then those that only head has: a pair to compare, or already a verdict.

    Raises:
        RulesError: a name of the rules is none of these series.
    """
    if base.series and head.series:
        rules.check_names([*base.series.values(), *head.series.values()])
    gaps = {gap.key: gap.reason for gap in head.gaps}
    unknown = {gap.key: gap.reason for gap in base.gaps}
    before, now = _filled(base, rules), _filled(head, rules)
    for key, old in before.items():
        new = now.get(key)
        if _is_only_estimated(old, new, rules):
            yield verdict(old, new, "left out", reason="estimates are not judged; ask for them with --allow estimated")
        elif new is None:
            yield _not_measured(old, None, _gap(key, gaps) or f"{head.name} has no such series", rules)
        elif DESCRIBED in old.grounds and DESCRIBED in new.grounds:
            yield verdict(old, new, "left out", reason="asv's index does not describe it any more")
        elif reason := refusal(old, new, rules) or impossible(old, new):
            yield verdict(old, new, "not comparable", reason=reason)
        elif (lost := _gap(key, gaps)) and not rules.may_miss(key):
            yield _not_measured(old, new, f"{lost}, after {_rounds(new)}", rules)
        else:
            yield Joined(base=old, head=new, note=_note(old, new, _gap(key, unknown), lost))
    for key, new in now.items():
        if key not in before:
            yield _without_base(new, base, _gap(key, unknown), rules)


def _filled(side: Side, rules: Rules) -> dict[Key, Series]:
    """What is judged of a side: series with values, without rounds that have none."""
    found = {key: one for key, one in side.series.items() if rules.selects(one)}
    for key, one in list(found.items()):
        if all(each.values for each in one.rounds) and one.rounds:
            continue
        rounds = tuple(each for each in one.rounds if each.values)
        if rounds:
            found[key] = replace(one, rounds=rounds)
        else:
            del found[key]
    return found


def refusal(base: Series, head: Series, rules: Rules) -> str:
    """Why two series are not compared; empty where they are."""
    different = [
        f"{name} {old} in base, {new} in head"
        for name, old, new in (
            ("provenance", base.provenance, head.provenance),
            ("unit", base.unit, head.unit),
            ("better", _better(base), _better(head)),
        )
        if old != new
    ]
    if base.grounds != head.grounds:
        names = dict.fromkeys([*base.grounds, *head.grounds])
        if _has_seeds_in_common(base, head):
            names.pop(SEED, None)
        pairs = ((name, base.grounds.get(name, "absent"), head.grounds.get(name, "absent")) for name in names)
        different += [f"{name} {old} in base, {new} in head" for name, old, new in pairs if old != new]
    if different:
        return "; ".join(different)
    if base.grounds.get("dispatch") == UNKNOWN_DISPATCH:
        return "dispatch unknown in base and head; asv machine --yes --arch ARCH --cpu CPU tells it, then measure again"
    if base.provenance in ASKED_FOR and base.provenance not in rules.allow:
        return f"{base.provenance} values are not judged; ask for them with --allow {base.provenance}"
    return ""


def _has_seeds_in_common(base: Series, head: Series) -> bool:
    """Whether there are seeds to compare one by one; without any, what was done differs."""
    old, new = ({each.seed for each in one.rounds} - {None} for one in (base, head))
    return not old.isdisjoint(new)


def _is_only_estimated(base: Series | None, head: Series | None, rules: Rules) -> bool:
    """Estimates stand beside what is judged, and decide nothing unless they are asked for."""
    kinds = {one.provenance for one in (base, head) if one}
    return kinds == {"estimated"} and "estimated" not in rules.allow


def verdict(base: Series | None, head: Series | None, word: Word, **more: Any) -> Verdict:
    """A verdict with what the two series say of themselves."""
    one = base or head
    assert one is not None
    old, new = (summary(side) if side else Summary() for side in (base, head))
    return Verdict(
        key=one.key,
        family=one.family,
        unit=one.unit,
        provenance=one.provenance,
        higher_is_better=one.higher_is_better,
        absolute=absolute(one),
        word=word,
        base=old.value,
        head=new.value,
        base_bounds=old.bounds,
        head_bounds=new.bounds,
        exact=all(told.exact for told, side in ((old, base), (new, head)) if side),
        spread=new.spread,
        **more,
    )


def _not_measured(old: Series, new: Series | None, why: str, rules: Rules) -> Verdict:
    allowed = rules.may_miss(old.key)
    return verdict(old, new, "not measured", allowed=allowed, reason=f"{why} (allowed)" if allowed else why)


def _without_base(new: Series, base: Side, lost: str | None, rules: Rules) -> Verdict:
    """New, or open where base should have had it: nobody knows then what head did to it."""
    if lost is None or _is_only_estimated(None, new, rules):
        return verdict(None, new, "new")
    return verdict(None, new, "inconclusive", reason=f"{base.name} has no value of it: {lost}; measure base again")


def _note(old: Series, new: Series, lost_by_base: str | None, lost_by_head: str | None) -> str:
    told = [f"base, after {_rounds(old)}: {lost_by_base}"] if lost_by_base else []
    told += [f"head, after {_rounds(new)}: {lost_by_head} (allowed)"] if lost_by_head else []
    return "; ".join([*told, *cautions(old, new)])


def _rounds(series: Series) -> str:
    return "1 round" if len(series.rounds) == 1 else f"{len(series.rounds)} rounds"


def _gap(key: Key, gaps: Mapping[Key, str]) -> str | None:
    """Why a series has no value, or no more of them; a gap may be of the metric or of the whole point."""
    if not gaps:
        return None
    whole = (replace(key, metric=name) for name in WHOLE_POINT)
    return next((gaps[one] for one in (key, *whole) if one in gaps), None)


def _better(series: Series) -> str:
    return "larger" if series.higher_is_better else "smaller"
