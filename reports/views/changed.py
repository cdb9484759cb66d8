"""The newest commit of a machine judged against the one before it, and the order in which people want to read it."""

from collections.abc import Callable, Mapping, Sequence

from energybench.gate import judge
from energybench.gating.asv_files import Result, Tree
from energybench.gating.floors import floors
from energybench.gating.from_asv import from_asv
from energybench.gating.from_records import commit_of, from_records
from energybench.gating.library import Library
from energybench.gating.line import Line
from energybench.gating.observed import Observed, observe
from energybench.gating.rules import SCATTERING, Rules
from energybench.gating.series import Floor, Series, Side
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
SHORT = 8
"""Letters of a commit in the names of asv's files."""
FOLDED = ("pass", "left out", "new")


def newest_against_before(
    library: Library,
    *,
    observed: Observed | None = None,
    line: Line | None = None,
    floor_of: Callable[[Series], Floor | None] | None = None,
    rules: Rules = RULES,
) -> dict[str, Judgement]:
    """Of each machine with results of two commits at least the newest against the one before it, by the machine's id.

    Machines with records are judged by these; others, by asv's name of them, by asv's results.

    Args:
        library: records and asv results.
        observed: all of its values, where they were read already.
        line: its commits, where they were laid already.
        floor_of: the noise of a series, where it was learnt already.
        rules: what it is judged by.
    """
    seen = observed or observe(library)
    line, floor_of = line or Line(library.repository, "HEAD", seen), floor_of or floors(library, seen)
    found = {}
    known = {name for one in library.stored for name in (one.record.machine.id, one.record.machine.name)}
    for machine, sides in _asv_sides(library, line).items():
        if machine not in known:
            found[machine] = judge(*sides, rules, floors=floor_of)
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


def _asv_sides(library: Library, line: Line) -> dict[str, tuple[Side, Side]]:
    """The last two commits of each machine in asv's results, the older one first."""
    tree, found = library.tree, {}
    short = {one.hash[:SHORT]: one.hash for one in line.commits}
    for machine, files in (tree.files if tree else {}).items():
        own: dict[str, list[Result]] = {}
        newest = sorted(files, key=lambda file: line.rank.get(short.get(file.name[:SHORT], ""), -1))
        for file in reversed(newest):
            one = library.result(file)
            if isinstance(one, Result) and one.commit in line.rank:
                own.setdefault(one.commit, []).append(one)
            if len(own) > 2:
                break
        commits = sorted(own, key=line.rank.__getitem__)[-2:]
        if len(commits) == 2 and tree:
            base, head = (_asv_side(commit, own[commit], tree) for commit in commits)
            found[machine] = interleaved(base, head)
    return found


def _asv_side(commit: str, results: Sequence[Result], tree: Tree) -> Side:
    told = from_asv(results, tree.index)
    return Side(name=commit[:8], commit=commit, series=told.series, gaps=told.gaps, troubles=told.troubles)


def ordered(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Regressions first, and what moved most in units of its uncertainty first among each kind."""
    return sorted(
        verdicts, key=lambda one: (ORDER.index(word(one)), -weight(one), -abs(one.change or 0.0), one.key.label)
    )


def word(verdict: Verdict) -> str:
    """The verdict's word; what is worse at first sight and not confirmed is a suspect."""
    return "suspect" if verdict.word == "inconclusive" and verdict.suspect else verdict.word


def weight(verdict: Verdict) -> float:
    """How large the change is in half widths of its interval; of what is exact, and has none, in margins.

    A margin of 0 counts as the one of counts that scatter: an exact change that is smaller than that weighs less than
    any certain one with an interval, which weighs 1 at least, and a tiny one hardly anything.
    """
    if not verdict.change:
        return 0.0
    if verdict.low is None or verdict.high is None or verdict.low == verdict.high:
        return abs(verdict.change) / (verdict.margin or SCATTERING)
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
