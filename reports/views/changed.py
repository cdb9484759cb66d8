"""Two commits of a machine judged, the newest against the one before it or others, in the order that people want."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from energybench.gate import judge
from energybench.gating.asv_files import Result, Tree
from energybench.gating.floors import floors
from energybench.gating.from_asv import from_asv
from energybench.gating.from_records import from_records
from energybench.gating.library import Library
from energybench.gating.line import Line
from energybench.gating.observed import Observed, observe
from energybench.gating.recorded import Recorded
from energybench.gating.rules import SCATTERING, Rules
from energybench.gating.series import Floor, Series, Side
from energybench.gating.sides import interleaved
from energybench.gating.verdicts import Judgement, Verdict
from energybench.reports.views.pair import Pair, impossible

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
NEWEST = Pair()
FOLDED = ("pass", "left out", "new")


def newest_against_before(
    library: Library,
    *,
    observed: Observed | None = None,
    line: Line | None = None,
    floor_of: Callable[[Series], Floor | None] | None = None,
    rules: Rules = RULES,
    pair: Pair = NEWEST,
) -> dict[str, Judgement]:
    """Of each machine with results of two commits at least the newest against the one before it, by the machine's id.

    Machines with records are judged by these; others, by asv's name of them, by asv's results.

    Args:
        library: records and asv results.
        observed: all of its values, where they were read already.
        line: its commits, where they were laid already.
        floor_of: the noise of a series, where it was learnt already.
        rules: what it is judged by.
        pair: commits to compare instead; machines without results of both are left out.

    Raises:
        PairError: no machine has results of both commits that were asked for.
    """
    seen = observed or observe(library)
    line, floor_of = line or Line(library.repository, "HEAD", seen), floor_of or floors(library, seen)
    found = {}
    known = {name for one in library.recorded for name in one.machine}
    for machine, sides in _asv_sides(library, line, pair).items():
        if machine not in known:
            found[machine] = judge(*sides, rules, floors=floor_of)
    for machine in sorted({one.machine[0] for one in library.recorded}):
        own = [one for one in library.recorded if one.machine[0] == machine]
        commits = pair.of({one.commit for one in own if one.commit}, line.rank)
        if library.machine in (None, *own[0].machine) and commits:
            base, head = interleaved(*(_side(own, commit, machine, pair) for commit in commits))
            found[machine] = judge(base, head, rules, floors=floor_of)
    if pair.commits and not found:
        raise impossible(library, pair)
    return found


def _asv_sides(library: Library, line: Line, pair: Pair) -> dict[str, tuple[Side, Side]]:
    """The two commits of each machine in asv's results, base first."""
    tree, found = library.tree, {}
    short = {one.hash[:SHORT]: one.hash for one in line.commits}
    for machine, files in (tree.files if tree else {}).items():
        ranks = {file: line.rank.get(short.get(file.name[:SHORT], ""), -1) for file in files}
        own = _results(library, ranks, line, pair)
        commits = pair.of(own.keys(), line.rank)
        if commits and tree:
            base, head = (_asv_side(commit, own[commit], tree, pair) for commit in commits)
            found[machine] = interleaved(base, head)
    return found


def _results(library: Library, ranks: Mapping[Path, int], line: Line, pair: Pair) -> dict[str, list[Result]]:
    """By commit a machine's results of those that were asked for, and of the newest ones up to head."""
    wanted = {one[:SHORT] for one in pair.commits}
    last = line.rank.get(pair.head, -2) if pair.head else len(line.commits)
    chosen = [file for file in ranks if ranks[file] <= last or file.name[:SHORT] in wanted]
    own: dict[str, list[Result]] = {}
    for file in sorted(chosen, key=lambda file: (file.name[:SHORT] in wanted, ranks[file]), reverse=True):
        one = library.result(file)
        if isinstance(one, Result) and (one.commit in line.rank or one.commit in pair.commits):
            own.setdefault(one.commit, []).append(one)
        if len(own) > 2 + len(wanted):
            break
    return own


def _asv_side(commit: str, results: Sequence[Result], tree: Tree, pair: Pair) -> Side:
    told = from_asv(results, tree.index)
    return Side(name=pair.name(commit), commit=commit, series=told.series, gaps=told.gaps, troubles=told.troubles)


def ordered(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Regressions first; of each kind what moved most in units of its uncertainty, then by what it is of."""

    def order(one: Verdict) -> tuple[object, ...]:
        rank = importance(one.unit, one.family)
        return ORDER.index(word(one)), -weight(one), rank, -abs(one.change or 0.0), one.key.label

    return sorted(verdicts, key=order)


def importance(unit: str, family: str) -> int:
    """What comes first where nothing else tells: joules, then seconds, accuracy, and all else."""
    return 0 if unit == "J" else 1 if unit == "s" else 2 if family == "accuracy" else 3


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


def _side(recorded: Sequence[Recorded], commit: str, machine: str, pair: Pair) -> Side:
    found = from_records([one.stored() for one in recorded if one.commit == commit], machine=machine)
    return Side(name=pair.name(commit), commit=commit, series=found.series, gaps=found.gaps, troubles=found.troubles)
