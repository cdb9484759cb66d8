"""A judgement in plain sentences: what moved, what nobody can tell, what is missing, and what to do first."""

from collections.abc import Mapping, Sequence

from energybench.gating.series import Key
from energybench.gating.verdicts import Judgement, Verdict
from energybench.reports.views.changed import ordered, word
from energybench.reports.views.forest import changed_by
from energybench.reports.views.reasons import clause

NAMED = 3
"""Series or workloads that a sentence names."""
SENTENCES = {
    "accepted": ("is worse, and accepted", "are worse, and accepted"),
    "suspect": ("is perhaps worse", "are perhaps worse"),
    "improvement": ("is better", "are better"),
    "inconclusive": ("cannot be told apart from noise",) * 2,
    "not measured": ("was not measured at {head}", "were not measured at {head}"),
    "not comparable": ("cannot be compared",) * 2,
    "pass": ("did not move beyond its margin", "did not move beyond their margins"),
    "new": ("is new", "are new"),
    "left out": ("is left out", "are left out"),
}
"""What is said of one series, and of several, by the word of their verdict."""
MOVED = ("regression", "suspect", "improvement")
REASONED = ("not comparable", "left out")


def told(judgement: Judgement, names: Mapping[Key, str]) -> tuple[str, ...]:
    """What changed, and how sure that is; a regression first."""
    found = _by_word(judgement)
    sides = f"{judgement.head} against {judgement.base}"
    if worse := found.get("regression"):
        first = f"{len(worse):,} series {'is' if len(worse) == 1 else 'are'} worse: {_named(worse, names)}"
    elif judgement.compared:
        first = f"no regression found among {judgement.compared:,} series that were compared"
    else:
        first = "nothing could be compared" + (f", {judgement.reason}" if judgement.reason else "")
    rest = [_sentence(kind, found[kind], judgement, names) for kind in SENTENCES if kind in found]
    return tuple(f"{one}." for one in (f"{sides}: {first}", *rest))


def advice(judgement: Judgement, names: Mapping[Key, str]) -> tuple[str, ...]:
    """What to do: about regressions, what is open, and what is missing."""
    found, steps = _by_word(judgement), []
    base, head = (commit[:8] if commit else name for name, commit in _sides(judgement))
    if worse := found.get("regression"):
        steps.append(
            f"Look first at what made {names[worse[0].key]} worse. Where it is wanted, an accepted regression says so."
        )
    if still := [*found.get("suspect", ()), *found.get("inconclusive", ())]:
        needed = [one.needed for one in still if one.needed is not None]
        rounds = f"; {max(needed):,} rounds a side would likely settle {len(needed):,} of them" if needed else ""
        steps.append(f"To settle what is open: `energybench gate --run {base} {head}` measures both in turns{rounds}.")
    if missing := found.get("not measured"):
        workloads = list(dict.fromkeys(one.key.workload for one in missing))
        more = [f"{len(workloads) - NAMED:,} more"] if len(workloads) > NAMED else []
        steps.append(f"To measure what is missing: run {_listed([*workloads[:NAMED], *more])} at {head}.")
    return tuple(steps)


def _by_word(judgement: Judgement) -> dict[str, list[Verdict]]:
    found: dict[str, list[Verdict]] = {}
    for one in ordered(judgement.verdicts):
        found.setdefault(word(one), []).append(one)
    return found


def _sides(judgement: Judgement) -> tuple[tuple[str, str | None], ...]:
    return (judgement.base, judgement.base_commit), (judgement.head, judgement.head_commit)


def _sentence(kind: str, own: Sequence[Verdict], judgement: Judgement, names: Mapping[Key, str]) -> str:
    text = SENTENCES[kind][len(own) > 1].format(head=judgement.head)
    reasons = {clause(one.reason) for one in own}
    if kind in MOVED:
        text += f": {_named(own, names)}"
    elif kind in REASONED and len(reasons) == 1 and (reason := reasons.pop()):
        text += f": {reason}"
    return f"{len(own):,} {text}"


def _named(own: Sequence[Verdict], names: Mapping[Key, str]) -> str:
    """`joules of qnn-infer, +8.8 %`, the first ones."""
    told = [", ".join(filter(None, (names[one.key], changed_by(one)))) for one in own[:NAMED]]
    return "; ".join([*told, *([f"{len(own) - NAMED:,} more"] if len(own) > NAMED else [])])


def _listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))
