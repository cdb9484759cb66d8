"""The newest commit of a machine judged against the one before it, and the order in which people want to read it."""

import math
from collections.abc import Mapping, Sequence

from energybench.gate import judge
from energybench.gating.floors import floors
from energybench.gating.from_records import commit_of, from_records
from energybench.gating.library import Library
from energybench.gating.line import Line
from energybench.gating.observed import Observed, observe
from energybench.gating.rules import Rules
from energybench.gating.series import Side
from energybench.gating.sides import interleaved
from energybench.gating.verdicts import Judgement, Verdict
from energybench.store import Stored

RULES = Rules(allow=frozenset({"simulated"}))
"""A report shows what a simulated machine says, with its mark; estimates are left out as in the gate."""
ORDER = (
    "regression",
    "accepted",
    "suspect",
    "improvement",
    "not measured",
    "not comparable",
    "inconclusive",
    "new",
    "pass",
    "left out",
)
FOLDED = ("pass", "left out", "new")


def newest_against_before(
    library: Library, *, observed: Observed | None = None, rules: Rules = RULES
) -> dict[str, Judgement]:
    """Of each machine with records of two commits at least the newest against the one before it, by the machine's id.

    Args:
        library: records; its asv results are for the noise floors.
        observed: all of its values, where they were read already.
        rules: what it is judged by.
    """
    seen = observed or observe(library)
    line, floor_of = Line(library.repository, "HEAD", seen), floors(library, seen)
    found = {}
    for machine in sorted({one.record.machine.id for one in library.stored}):
        own = [one for one in library.stored if one.record.machine.id == machine]
        commits = sorted(
            {name for one in own if (name := commit_of(one.record)) in line.rank and name},
            key=lambda name: line.rank[name],
        )
        if library.machine in (None, machine, own[0].record.machine.name) and len(commits) > 1:
            base, head = interleaved(*(_side(own, commit, machine) for commit in commits[-2:]))
            found[machine] = judge(base, head, rules, floors=floor_of)
    return found


def ordered(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Regressions first, and what moved most in units of its uncertainty first among each kind."""
    return sorted(
        verdicts, key=lambda one: (ORDER.index(word(one)), -weight(one), -abs(one.change or 0.0), one.key.label)
    )


def word(verdict: Verdict) -> str:
    """The verdict's word; what is worse at first sight and not confirmed is a suspect."""
    return "suspect" if verdict.word == "inconclusive" and verdict.suspect else verdict.word


def weight(verdict: Verdict) -> float:
    """How large the change is in half widths of its interval; what is exact has none, and weighs most."""
    if not verdict.change:
        return 0.0
    if verdict.low is None or verdict.high is None or verdict.low == verdict.high:
        return math.inf
    return abs(verdict.change) / ((verdict.high - verdict.low) / 2)


def folded(verdict: Verdict) -> bool:
    """Whether it is behind a line that opens it: nothing that anyone must do something about."""
    return word(verdict) in FOLDED


def counts(verdicts: Sequence[Verdict]) -> Mapping[str, int]:
    """How many there are of each word, in the order of the words."""
    words = [word(one) for one in verdicts]
    return {name: words.count(name) for name in ORDER if name in words}


def _side(stored: Sequence[Stored], commit: str, machine: str) -> Side:
    found = from_records([one for one in stored if commit_of(one.record) == commit], machine=machine)
    return Side(name=commit[:8], commit=commit, series=found.series, gaps=found.gaps, troubles=found.troubles)
