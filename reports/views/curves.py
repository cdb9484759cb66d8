"""Every series over commits: values with their intervals, levels between change points, steps of the surroundings."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from statistics import fmean
from typing import NamedTuple

from energybench.gating.commits import Commit
from energybench.gating.level_intervals import error_of_mean, mean_bounds, wider
from energybench.gating.line import Laid, Row
from energybench.gating.observed import Observation, Track
from energybench.history import Change, History
from energybench.reports.views.changed import importance


class Value(NamedTuple):
    """One commit's value: its place among commits with results, mean, and standard error where it is known.

    `stated` is the interval that its records state of what they share: a test set, the model of an estimate.
    """

    place: int
    commit: str
    value: float
    error: float | None
    values: int
    stated: tuple[float, float] | None = None

    @property
    def bounds(self) -> tuple[float, float] | None:
        """Its interval: ±2 standard errors, and at least as stated; None where neither is known."""
        drawn = (self.value - 2 * self.error, self.value + 2 * self.error) if self.error else None
        return wider(drawn, self.stated)


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """A stretch of commits at one level, first and last place included."""

    first: int
    last: int
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A series over commits.

    Attributes:
        track: what it is of.
        lane: what sets it apart from others of the same key, as a machine.
        values: in the order of commits.
        levels: between change points and steps.
        changes: as `history` found them, the oldest first.
        steps: the place after which something beside the commits was different, and what.
    """

    track: Track
    lane: Mapping[str, str]
    values: tuple[Value, ...]
    levels: tuple[Level, ...]
    changes: tuple[Change, ...]
    steps: tuple[tuple[int, str], ...]

    @property
    def largest(self) -> float:
        """The largest change, as a share or a difference; 0 without one."""
        return max((abs(one.change) if one.change is not None else math.inf for one in self.changes), default=0.0)


def curves(laid: Laid, found: History) -> list[Curve]:
    """The curves of series along their commits: those that changed for certain first, of these those that got worse.

    Among series that did the same those of joules come first, then by how much they changed.
    """
    line, measured = laid.line, {one.commit for row in laid.rows for one in row.observations}
    places = {name: place for place, name in enumerate(sorted(measured, key=line.rank.__getitem__))}
    changes: dict[object, list[Change]] = {}
    for one in found.changes:
        changes.setdefault((one.key, one.provenance, tuple(sorted(one.lane.items()))), []).append(one)
    told = []
    for row in laid.rows:
        own = changes.get((row.track.key, row.track.provenance, tuple(sorted(row.lane.items()))), [])
        told.append(_curve(row, own, places))
    return sorted(told, key=_interest)


def measured(laid: Laid) -> list[Commit]:
    """The commits with results, the oldest first: places count along them."""
    found = {one.commit for row in laid.rows for one in row.observations}
    return [one for one in laid.line.commits if one.hash in found]


def _interest(one: Curve) -> tuple[object, ...]:
    certain = [change for change in one.changes if change.certain]
    worse = any(change.direction == "worse" for change in certain or one.changes)
    rank = importance(one.track.unit, one.track.family)
    name = one.track.key.label, sorted(one.lane.items())
    return (not one.changes, not certain, not worse, rank, -one.largest, *name)


def _curve(row: Row, changes: Sequence[Change], places: Mapping[str, int]) -> Curve:
    pieces = [list(group) for _, group in groupby(row.observations, key=lambda one: id(one.context))]
    valued = [_values(piece, places) for piece in pieces]
    levels = [level for values in valued for level in _levels(values, changes, places)]
    steps = []
    for (old, new), values in zip(pairwise(pieces), valued[1:], strict=True):
        steps.append((values[0].place, _different(old[-1].context, new[0].context)))
    return Curve(
        track=row.track,
        lane=row.lane,
        values=tuple(value for values in valued for value in values),
        levels=tuple(levels),
        changes=tuple(changes),
        steps=tuple(steps),
    )


def _values(piece: Sequence[Observation], places: Mapping[str, int]) -> list[Value]:
    """The mean of each commit, and its standard error by what its results say of themselves."""
    if len({one.commit for one in piece}) == len(piece):
        return [Value(places[one.commit], one.commit, one.value, one.error, 1, one.bounds) for one in piece]
    found = []
    for commit, group in groupby(piece, key=lambda one: one.commit):
        own = list(group)
        error = error_of_mean([one.value for one in own], [one.error for one in own])
        mean = fmean(one.value for one in own)
        found.append(Value(places[commit], commit, mean, error, len(own), mean_bounds([one.bounds for one in own])))
    return found


def _levels(values: Sequence[Value], changes: Sequence[Change], places: Mapping[str, int]) -> list[Level]:
    """The levels of a piece of equal surroundings, as its changes tell them; its mean where it has none."""
    first, last = values[0].place, values[-1].place
    own = [one for one in changes if first <= places[one.after.hash] and places[one.commit.hash] <= last]
    if not own:
        return [Level(first=first, last=last, value=fmean([one.value for one in values]))] if len(values) > 1 else []
    levels = []
    for one in own:
        levels.append(Level(first=first, last=places[one.after.hash], value=one.old))
        first = places[one.commit.hash]
    return [*levels, Level(first=first, last=last, value=own[-1].new)]


def _different(old: Mapping[str, str], new: Mapping[str, str]) -> str:
    names = dict.fromkeys([*old, *new])
    told = [f"{n}: {old.get(n, 'none')} → {new.get(n, 'none')}" for n in names if old.get(n) != new.get(n)]
    return "; ".join(told)
