"""Two commits measured now, in interleaved rounds, until each series is settled or the budget is spent."""

import os
import re
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from energybench import asv_configuration, instrument, lock
from energybench.asv_configuration import ConfigurationError
from energybench.gate import conclude, judge
from energybench.gating.accepted import Accepted
from energybench.gating.commits import full_hash
from energybench.gating.from_records import from_records
from energybench.gating.looks import Progress, take_look
from energybench.gating.rounds import Name, Session, Taken
from energybench.gating.rules import Rules
from energybench.gating.series import Gap, Key, Side, Trouble
from energybench.gating.spending import Schedule
from energybench.gating.trees import SuitePoint, Tree, TreeError, check_out, list_points
from energybench.gating.verdicts import Judgement, Verdict
from energybench.meter import open_meter
from energybench.preflight import measures_joules, preflight
from energybench.store import Stored, read
from energybench.terminal import duration, say


class LiveError(ValueError):
    """Two commits that cannot be measured here; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """How two commits are measured.

    Attributes:
        suite: the folder of the asv suite; None for the benchmark_dir of asv.conf.json.
        bench: a regular expression of points, as `qnn-infer bits=8`; all where None.
        schedule: rounds at each look.
        budget: seconds of measuring; no pair is begun later.
        build: a command that is run in each commit's files.
        python: who runs the commits; this Python where None.
        force: measure although the machine is not quiet, or its canary is outside its history.
        canary_reset: what the canary says now is the new normal.
        records: the folder of records of all machines.
    """

    suite: Path | None = None
    bench: str | None = None
    schedule: Schedule
    budget: float | None = None
    build: str | None = None
    python: str | None = None
    force: bool = False
    canary_reset: bool = False
    records: Path


def measure(
    base: str,
    head: str,
    live: Live,
    rules: Rules,
    *,
    repository: Path,
    accepted: Sequence[Accepted] = (),
    clock: Callable[[], float] = time.monotonic,
) -> Judgement:
    """Measure two commits of a repository in turn, and judge head.

    Raises:
        LiveError: there is no such commit or suite, or no point of it matches.
        TreeError: a commit cannot be had, or base does not build.
    """
    commits: dict[Name, str] = {"base": _commit(base, repository), "head": _commit(head, repository)}
    suite = live.suite or suite_of(repository)
    names: dict[Name, str] = {"base": base, "head": head}
    os.environ["ENERGYBENCH_RECORDS"] = str(live.records.absolute())
    with tempfile.TemporaryDirectory(prefix="energybench-gate-") as folder, lock.measuring():
        os.environ[instrument.HELD_BY] = str(os.getpid())
        with closing(open_meter()) as meter:
            forced = live.force or not measures_joules(meter)
            preflight(meter, folder=live.records, force=forced, reset=live.canary_reset)
        trees, lost = _trees(repository, commits, Path(folder), live)
        points, troubles = _points(trees, suite, live.bench)
        session = Session(trees=trees, suite=suite, clock=clock)
        if lost:
            return _unbuilt(names, commits, points, lost, rules, session)
        until = None if live.budget is None else clock() + live.budget
        progress: Progress | None = None
        while progress is None or (progress.again and (until is None or clock() < until)):
            wanted = [one for one in points if progress is None or (one.workload, one.parameters) in progress.points]
            rounds = live.schedule.rounds[progress.looks if progress else 0]
            _tell(session.take(wanted, rounds, until=until), len(wanted), rounds, clock)
            old = _side(session, "base", names["base"], commits["base"], troubles)
            new = _side(session, "head", names["head"], commits["head"], ())
            progress = take_look(old, new, rules, live.schedule, progress, accepted=accepted)
            if progress.again:
                say(f"{len(progress.points)} of {len(points)} points are still open after {rounds} rounds")
        return _with_unreached(progress.judgement, old, new, points, session, rules, accepted)


def suite_of(repository: Path) -> Path:
    """The benchmark_dir of a repository's asv.conf.json."""
    path = asv_configuration.of_repository(repository)
    if path is None:
        raise LiveError(f"{repository} has no asv.conf.json; make a suite with energybench init-asv, or name --suite")
    try:
        values = asv_configuration.loaded(path)
    except ConfigurationError as error:
        raise LiveError(f"{error}; correct it, or name --suite") from error
    return path.parent / str(values.get("benchmark_dir", "benchmarks"))


def _commit(text: str, repository: Path) -> str:
    found = full_hash(repository, text)
    if found is None:
        raise LiveError(f"{text} is no commit of {repository}; with --run, name two commits")
    return found


def _trees(
    repository: Path, commits: Mapping[Name, str], folder: Path, live: Live
) -> tuple[dict[Name, Tree], str | None]:
    """Both commits' files; and why head has none that work."""
    trees: dict[Name, Tree] = {}
    for side, commit in commits.items():
        try:
            tree = check_out(repository, commit, folder / side, build=live.build)
        except TreeError as error:
            if side == "base":
                raise
            return {"base": trees["base"], "head": trees["base"]}, str(error)
        trees[side] = tree if live.python is None else Tree(commit=commit, folder=tree.folder, python=live.python)
    return trees, None


def _points(trees: Mapping[Name, Tree], suite: Path, bench: str | None) -> tuple[list[SuitePoint], tuple[Trouble, ...]]:
    """The points that are measured, and the modules of the suite that cannot be imported."""
    if not suite.is_dir():
        raise LiveError(f"there is no folder {suite}; name the one of an asv suite with --suite")
    try:
        wanted = re.compile(bench or "")
    except re.error as error:
        raise LiveError(f"--bench {bench!r} is no regular expression: {error}") from error
    points, broken = list_points(trees["base"], suite)
    if trees["head"] != trees["base"]:
        broken += [one for one in list_points(trees["head"], suite)[1] if one not in broken]
    for one in broken:
        say(f"left out of the suite: {one}")
    chosen = [one for one in points if wanted.search(one.label) or wanted.search(one.suite)]
    if not chosen:
        known = f"; there are {', '.join(one.label for one in points[:5])}" if points else ""
        raise LiveError(f"no point of {suite} matches{known}")
    return chosen, tuple(Trouble(path=suite, reason=one) for one in broken)


def _unbuilt(
    names: Mapping[Name, str],
    commits: Mapping[Name, str],
    points: Iterable[SuitePoint],
    reason: str,
    rules: Rules,
    session: Session,
) -> Judgement:
    """The judgement on a head that does not build: base is measured once, so that what is missing has its names."""
    say(reason)
    for _ in session.take(list(points)[:1], 1):
        pass
    base = _side(session, "base", names["base"], commits["base"], ())
    gaps = tuple(Gap(key=key, reason=reason) for key in base.series)
    return judge(base, Side(name=names["head"], commit=commits["head"], gaps=gaps), rules)


def _with_unreached(
    judgement: Judgement,
    base: Side,
    head: Side,
    points: Iterable[SuitePoint],
    session: Session,
    rules: Rules,
    accepted: Sequence[Accepted],
) -> Judgement:
    """The judgement with the points that the budget did not reach: they are not measured, and no pass."""
    keys = [
        Key(workload=one.workload, parameters=one.parameters, metric="*")
        for one in points
        if not session.rounds_of(one)
    ]
    if not keys:
        return judgement
    lost = [
        Verdict(
            key=key,
            family="joules",
            unit="J",
            provenance="measured",
            higher_is_better=False,
            word="not measured",
            allowed=rules.may_miss(key),
            reason="the budget ended before it was its turn; allow more, or fewer points with --bench",
        )
        for key in keys
    ]
    verdicts = (*judgement.verdicts, *lost)
    return conclude(base, head, verdicts, rules, family=judgement.family, accepted=accepted)


def _side(session: Session, side: Name, name: str, commit: str, troubles: tuple[Trouble, ...]) -> Side:
    """What was measured of a side so far, and what could not be."""
    found = from_records([Stored(path=path, record=read(path)) for path in session.records(side)])
    gaps = tuple(
        Gap(key=Key(workload=one.point.workload, parameters=one.point.parameters, metric="*"), reason=one.reason)
        for one in session.failures(side)
    )
    return Side(
        name=name,
        commit=commit,
        series=found.series,
        gaps=(*found.gaps, *gaps),
        troubles=(*troubles, *found.troubles),
    )


def _tell(taken: Iterable[Taken], points: int, rounds: int, clock: Callable[[], float]) -> None:
    """Say what is under way, a line a round, and what failed."""
    begin, told = clock(), 0
    for done, one in enumerate(taken, start=1):
        if one.reason:
            say(f"{one.side} {one.point.label}: {'skipped, ' if one.skipped else ''}{one.reason}")
        if one.number != told:
            told = one.number
            left = 2 * points * (rounds - told + 1) * (clock() - begin) / done
            say(f"round {told} of {rounds}, of {points} points: about {duration(left)} left")
