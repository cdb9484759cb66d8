"""Commits in their order, and what was measured of a series along them."""

import datetime as dt
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from energybench.gating.commits import Commit, CommitError, full_hash, known, order, shallow
from energybench.gating.observed import LANES, Observation, Observed, Track, lane_of
from energybench.gating.twins import TOLD_BY, recorded_as

DAY = re.compile(r"\d{4}-\d\d-\d\d")


class Line:
    """The commits in their order, and the place of each.

    Attributes:
        commits: the oldest first.
        rank: the place of each hash.
        strangers: how many commits have results and are not among them.
        by_date: whether the order is that of dates, since git knows none of them.
        shallow: whether commits have results that git does not have, as this clone is shallow.
    """

    def __init__(self, repository: Path, branch: str, observed: Observed) -> None:
        measured = {one.commit for track in observed.tracks for one in track.observations}
        try:
            commits = order(repository, branch)
        except CommitError:
            if branch != "HEAD":
                raise
            commits = []
        on_the_line = any(one.hash in measured for one in commits)
        self.by_date = bool(measured) and not on_the_line and not known(repository, measured)
        if self.by_date:
            commits = _in_order_of_dates(observed)
        self.repository, self.commits = repository, commits
        self.rank = {one.hash: place for place, one in enumerate(commits)}
        beside = [one for one in measured if one not in self.rank]
        self.strangers = len(beside)
        away = measured if self.by_date else beside
        self.shallow = bool(away) and shallow(repository) and len(known(repository, away)) < len(away)

    def first_after(self, since: str | None) -> int:
        """The place of the first commit that is told of."""
        if since is None:
            return 0
        found = full_hash(self.repository, since)
        if found in self.rank:
            return self.rank[found] + 1
        if found is None and DAY.match(since):
            day = _day(since)
            return next((place for place, one in enumerate(self.commits) if one.date >= day), len(self.commits))
        raise CommitError(f"{since} is neither a commit of this branch nor a day; write a hash, or 2027-01-31")


def _day(text: str) -> str:
    try:
        dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise CommitError(f"{text} is no day: {error}; write one as 2027-01-31") from error
    return text


def _in_order_of_dates(observed: Observed) -> list[Commit]:
    when: dict[str, float] = {}
    for track in observed.tracks:
        for one in track.observations:
            when[one.commit] = min(observed.dates.get(one.commit, one.when), when.get(one.commit, math.inf))
    dated = sorted(when.items(), key=lambda one: (one[1], one[0]))
    return [Commit(hash=name, date=dt.datetime.fromtimestamp(at, dt.UTC).isoformat()) for name, at in dated]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Observations of one track in the order of commits, of lanes that follow each other."""

    track: Track
    lane: Mapping[str, str]
    observations: Sequence[Observation]


@dataclass(frozen=True, slots=True, kw_only=True)
class Laid:
    """All series along their commits."""

    line: Line
    rows: Sequence[Row]


def lay(
    repository: Path, observed: Observed, *, branch: str = "HEAD", wanted: Callable[[Track], bool] = lambda _: True
) -> Laid:
    """Lay the wanted tracks along the commits of a branch, each series once.

    Raises:
        CommitError: there is no such branch.
    """
    line = Line(repository, branch, observed)
    tracks = [one for one in once(observed.tracks) if wanted(one)]
    names = Counter((one.key, one.provenance) for one in tracks)
    rows = []
    for track in tracks:
        found = rows_of(track, line)
        if names[track.key, track.provenance] > 1:
            found = [replace(one, lane={**one.lane, TOLD_BY: "records" if track.recorded else "asv"}) for one in found]
        rows += found
    return Laid(line=line, rows=rows)


def once(tracks: Sequence[Track]) -> list[Track]:
    """Without the asv series that records tell of as well, for each of their commits: a run under asv leaves both."""
    recorded = {(one.key, one.provenance): one for one in tracks if one.recorded}

    def told_twice(one: Track) -> bool:
        # A suite of another project has one name in its records and in asv.
        twins = (recorded.get((key, one.provenance)) for key in (recorded_as(one.key), one.key))
        return any(twin is not None and _commits(one) <= _commits(twin) for twin in twins)

    return [one for one in tracks if one.recorded or not told_twice(one)] if recorded else list(tracks)


def _commits(track: Track) -> set[str]:
    return {one.commit for one in track.observations}


def rows_of(track: Track, line: Line) -> list[Row]:
    """One row of a track; one for each lane where they were measured beside each other."""
    known = [one for one in track.observations if one.commit in line.rank]
    lanes: dict[tuple[str, ...], list[Observation]] = {}
    # Equal surroundings are one object, so that each is looked at once.
    names = {place: lane_of(one) for place, one in {id(one.context): one for one in known}.items()}
    for one in sorted(known, key=lambda one: (line.rank[one.commit], one.when)):
        lanes.setdefault(names[id(one.context)], []).append(one)
    ranges = sorted((line.rank[one[0].commit], line.rank[one[-1].commit]) for one in lanes.values())
    if all(old[1] <= new[0] for old, new in pairwise(ranges)):
        every = [one for _, lane in sorted(lanes.items(), key=lambda one: line.rank[one[1][0].commit]) for one in lane]
        return [Row(track=track, lane={}, observations=every)] if every else []
    varying = [place for place in range(len(LANES)) if len({lane[place] for lane in lanes}) > 1]
    return [
        Row(track=track, lane={LANES[place]: lane[place] for place in varying}, observations=found)
        for lane, found in lanes.items()
    ]
