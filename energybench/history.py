"""Change points of every series over commits, with the commit that made each, worse or better.

    found = history(Library(repository=Path("."), records=Path(".energybench/records")))
    found.changes

Steps of the machine, its driver, the probe, the environment, torch or the workload's version part a series: values on
either side are never compared, and no commit is blamed for what lies between them.
"""

import math
import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from itertools import groupby, pairwise
from typing import Literal, TypeAlias

from energybench.gating.cautions import words_of
from energybench.gating.changes import exact_levels, levels_of, noise_of, penalty, told
from energybench.gating.commits import Commit
from energybench.gating.floors import floors
from energybench.gating.level_intervals import Errors, error_of_mean, intervals, mean_bounds, own_errors
from energybench.gating.library import Library
from energybench.gating.line import Laid, Line, Row, lay
from energybench.gating.observed import Observation, Observed, Track, observe
from energybench.gating.rules import Rules, absolute, path_of
from energybench.gating.scales import scale_of
from energybench.gating.series import Floor, Key, Series, Trouble

Bounds: TypeAlias = tuple[float, float]
EXACT_FAMILIES = ("modelled", "size")
RULES = Rules()


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A series' step from one level to another.

    Attributes:
        key: of the series; `lane` names what sets it apart where there are several, as two machines.
        direction: worse or better, in the metric's own direction.
        commit: the first with the new level; `after` is the last that was measured before it.
        unmeasured: commits between the two, any of which may have made it.
        old: level before, in `unit`.
        new: level from there on.
        change: new/old - 1; new - old where `absolute`; None where old is 0.
        old_bounds: the 95 % interval of `old`, from how values lie about their levels and from their own errors, else
            as records state it; None where nothing tells.
        new_bounds: the same of `new`.
        bounds: the same of `change`; None of what is exact.
        exact: levels are numbers that the same work always gives.
        last: whether only the last commit shows it.
        creeping: how many steps, each within the margin, it is the sum of; 0 where it is one step. `after` and `old`
            are then of the level that was told last, `commit` is where the sum exceeded the margin.
        cautions: what records of `commit` warn of (`not quiet`, `throttled`): no commit did that.
        cautions_before: what those of `after` do.
    """

    key: Key
    lane: Mapping[str, str]
    unit: str
    provenance: str
    direction: Literal["worse", "better"]
    commit: Commit
    after: Commit
    unmeasured: int
    old: float
    new: float
    change: float | None
    absolute: bool
    last: bool
    old_bounds: Bounds | None = None
    new_bounds: Bounds | None = None
    bounds: Bounds | None = None
    exact: bool = False
    creeping: int = 0
    cautions: tuple[str, ...] = ()
    cautions_before: tuple[str, ...] = ()

    @property
    def certain(self) -> bool:
        """Whether it is more than noise: exact, or with an interval that does not hold 0."""
        return self.exact or (self.bounds is not None and not self.bounds[0] <= 0 <= self.bounds[1])

    @property
    def word(self) -> str:
        """`worse`; `perhaps worse` where that is not certain."""
        return self.direction if self.certain else f"perhaps {self.direction}"

    @property
    def warned(self) -> str:
        """The cautions for people: `not quiet, as before it`; empty where there are none."""
        if self.cautions and self.cautions == self.cautions_before:
            return f"{', '.join(self.cautions)}, as before it"
        told = [
            ", ".join(self.cautions),
            f"{', '.join(self.cautions_before)} before it" if self.cautions_before else "",
        ]
        return "; ".join(filter(None, told))


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Something beside the commits that changed, from one commit's results to another's, and in how many series."""

    what: tuple[str, ...]
    after: Commit
    commit: Commit
    series: int


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What happened over commits.

    Attributes:
        changes: the oldest first, those of one commit together.
        steps: of the surroundings.
        series: how many were looked at.
        commits: how many have results.
        strangers: commits with results that are not on the branch, or were merged into it.
        by_date: whether commits are in the order of dates, since git knows none of them.
        shallow: whether git lacks commits that have results, as this clone is shallow.
        troubles: files that could not be used.
    """

    changes: tuple[Change, ...]
    steps: tuple[Step, ...]
    series: int
    commits: int
    strangers: int = 0
    by_date: bool = False
    shallow: bool = False
    troubles: tuple[Trouble, ...] = ()


def history(
    library: Library,
    *,
    branch: str = "HEAD",
    since: str | None = None,
    pattern: str = "*",
    observed: Observed | None = None,
    laid: Laid | None = None,
    floor_of: Callable[[Series], Floor | None] | None = None,
) -> History:
    """Find the changes of all series of a library.

    Args:
        library: records and asv results, of one machine where it was chosen.
        branch: whose commits, in git's order.
        since: a commit, or a day as 2027-01-31: what came before is not told.
        pattern: a glob of labels or paths of series.
        observed: all values of the library, where they were read already.
        laid: the same along the commits of the branch, where they were laid already.
        floor_of: the noise of a series, where it was learnt already.

    Raises:
        CommitError: there is no such branch, or `since` is neither a commit nor a day.
    """
    observed = observed or observe(library)

    def wanted(track: Track) -> bool:
        return any(fnmatchcase(name, pattern) for name in (track.key.label, path_of(track.key)))

    laid = laid or lay(library.repository, observed, branch=branch, wanted=wanted)
    line, rows = laid.line, laid.rows
    floor_of = floor_of or floors(library, observed)
    first = line.first_after(since)
    changes: list[Change] = []
    steps: Counter[tuple[tuple[str, ...], int, int]] = Counter()
    for row in rows:
        found, seams = _walk(row, line, floor_of, len(rows))
        changes += [one for one in found if line.rank[one.commit.hash] >= first]
        steps.update(one for one in seams if one[2] >= first)
    return History(
        changes=tuple(sorted(changes, key=lambda one: (line.rank[one.commit.hash], one.key.label))),
        steps=tuple(
            Step(what=what, after=line.commits[old], commit=line.commits[new], series=count)
            for (what, old, new), count in sorted(steps.items(), key=lambda one: one[0][2])
        ),
        series=len(rows),
        commits=len({one.commit for row in rows for one in row.observations}),
        strangers=line.strangers,
        by_date=line.by_date,
        shallow=line.shallow,
        troubles=observed.troubles,
    )


_Seam = tuple[tuple[str, ...], int, int]


def _walk(
    row: Row, line: Line, floor_of: Callable[[Series], Floor | None], rows: int
) -> tuple[list[Change], list[_Seam]]:
    """The changes within each piece of equal surroundings, and the seams between them."""
    pieces = [list(group) for _, group in groupby(row.observations, key=lambda one: id(one.context))]
    changes = [change for piece in pieces for change in _changes(row, piece, line, floor_of, rows)]
    seams = []
    for old, new in pairwise(pieces):
        before, after = old[-1].context, new[0].context
        names = dict.fromkeys([*before, *after])
        what = [
            f"{n}: {before.get(n, 'none')} → {after.get(n, 'none')}" for n in names if before.get(n) != after.get(n)
        ]
        seams.append((tuple(what), line.rank[old[-1].commit], line.rank[new[0].commit]))
    return changes, seams


def _changes(
    row: Row, piece: list[Observation], line: Line, floor_of: Callable[[Series], Floor | None], rows: int
) -> list[Change]:
    commits = [(name, list(group)) for name, group in groupby(piece, key=lambda one: one.commit)]
    values = [_mean(group) for _, group in commits]
    if len(values) < 2:
        return []
    series = _as_series(row.track, piece[-1].context)
    is_absolute, margin = absolute(series), RULES.margin(series, scattering=not series.exact)
    scale = scale_of(values, absolute=is_absolute)
    is_exact = series.exact or (series.family in EXACT_FAMILIES and margin == 0)
    if is_exact:
        found = exact_levels(values)
        levels, limit = found.levels, 0.0
    else:
        numbers = [scale.of(value) for value in values]
        own = _noise(piece, series, floor_of, margin, is_absolute=is_absolute)

        def errors() -> Errors:
            each = [error_of_mean([one.value for one in group], [one.error for one in group]) for _, group in commits]
            return own_errors(values, each, scale, floor_of(series))

        found = levels_of(numbers, noise_of(numbers, own), penalty(len(numbers), rows), own=errors)
        levels = tuple(scale.back(one) for one in found.levels)
        limit = margin
    moved = told(found, levels, limit, is_absolute=is_absolute)
    stated = [mean_bounds([one.bounds for one in group]) for _, group in commits] if moved else []
    changes = []
    for one in moved:
        places = line.rank[commits[one.after][0]], line.rank[commits[one.start][0]]
        change = _change(row, line, places, (one.old, one.new), is_absolute=is_absolute)
        within = sum(one.after < place < one.start for place in range(len(values))) if one.creeping else 0
        changes.append(
            replace(
                change,
                **intervals(found, scale, stated, one.after, one.start),
                exact=is_exact,
                last=one.start == len(values) - 1,
                creeping=one.creeping,
                unmeasured=change.unmeasured - within,
                cautions=_cautions(commits[one.start][1]),
                cautions_before=_cautions(commits[one.after][1]),
            )
        )
    return changes


def _cautions(group: Sequence[Observation]) -> tuple[str, ...]:
    return words_of(flag for one in group for flag in one.flags)


def _mean(group: Sequence[Observation]) -> float:
    return group[0].value if len(group) == 1 else statistics.fmean(one.value for one in group)


def _noise(
    piece: Sequence[Observation],
    series: Series,
    floor_of: Callable[[Series], Floor | None],
    margin: float,
    *,
    is_absolute: bool,
) -> float:
    """Standard deviation of one commit's value: its own scatter, and how far unchanged sets lie apart.

    Where nobody knows the latter, a margin is taken to be two standard deviations of the difference of two sets.
    """
    unit = 1.0 if is_absolute else statistics.median([abs(one.value) for one in piece]) or 1.0
    errors = [one.error / unit for one in piece if one.error is not None]
    own = statistics.fmean([one * one for one in errors]) if errors else 0.0
    floor = floor_of(series)
    between = floor.relative if floor else margin / 2
    return math.sqrt(own + between**2 / 2)


def _as_series(track: Track, context: Mapping[str, str]) -> Series:
    return Series(
        key=track.key,
        family=track.family,
        unit=track.unit,
        provenance=track.provenance,
        higher_is_better=track.higher_is_better,
        exact=track.exact,
        grounds=context,
        margin=track.margin,
        rounds=(),
    )


def _change(row: Row, line: Line, places: tuple[int, int], levels: tuple[float, float], *, is_absolute: bool) -> Change:
    (before, place), (old, new), track = places, levels, row.track
    size = new - old if is_absolute else new / old - 1 if old else None
    return Change(
        key=track.key,
        lane=row.lane,
        unit=track.unit,
        provenance=track.provenance,
        direction="better" if (new > old) == track.higher_is_better else "worse",
        commit=line.commits[place],
        after=line.commits[before],
        unmeasured=place - before - 1,
        old=old,
        new=new,
        change=size,
        absolute=is_absolute,
        last=False,
    )
