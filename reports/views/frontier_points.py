"""Points of energy and accuracy at a bit-width: what records say, and where each stands among its rivals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from energybench.reports import bits, frames
from energybench.reports.figures import KINDS
from energybench.reports.frames import Stored
from energybench.reports.numbers import bounds
from energybench.reports.odd import what_cannot_be
from energybench.reports.views.pareto import Place, Spread, Standing, standings
from energybench.reports.views.view import joules_of, latest, names

ALONE = "only one point"
"""What is said of a point that nothing can be compared with."""
IMPOSSIBLE = "not compared: its numbers cannot be"


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One record in one kind of joule.

    Attributes:
        name: of the record, for people.
        kind: of joule.
        widths: bits of weights and activations, or of both in one number.
        record: as it is stored.
        place: joules a sample, and accuracy.
        stated: whether joules and accuracy have an interval.
        standing: among the points of the same workload, data, machine and kind.
        rival: what people call the point that beats it, or may.
        alone: whether there are no others of the same workload, data, machine and kind.
        odd: what cannot be about its record; such a point beats no other, and has no place on an axis.
    """

    name: str
    kind: str
    widths: tuple[int, ...]
    record: Mapping[str, Any]
    place: Place
    stated: tuple[bool, bool]
    standing: Standing | None = None
    rival: str = ""
    alone: bool = False
    odd: str = ""

    @property
    def level(self) -> str:
        """W1A4, or 8."""
        return bits.level(self.widths)

    @property
    def on_frontier(self) -> bool:
        """By its values."""
        return self.standing is not None and self.standing.on_frontier

    @property
    def contest(self) -> tuple[str, str, str, str]:
        """Workload, version, data and machine: points that may stand on one frontier have them in common."""
        workload, data = self.record["workload"], frames.data_name(self.record)
        return str(workload["name"]), str(workload["version"]), data, frames.machine(self.record)

    @property
    def rivals(self) -> tuple[str, ...]:
        """And they are of one kind of joule."""
        return (*self.contest, self.kind)


def points(stored: Sequence[Stored]) -> list[Point]:
    """Every newest record with a width, an accuracy and joules, once for each kind of joule."""
    newest = latest(stored)
    found = []
    for one, name in zip(newest, names(newest), strict=True):
        width, accuracy = bits.widths(one.record), one.record["results"].get("accuracy")
        if width is None or accuracy is None:
            continue
        for kind in KINDS:
            if joules := joules_of(one.record, kind):
                told = (bounds(joules), bounds(accuracy))
                place = Place(cost=_spread(joules, told[0]), worth=_spread(accuracy, told[1]))
                stated = (told[0] is not None, told[1] is not None)
                point = Point(name=name, kind=kind, widths=width, record=one.record, place=place, stated=stated)
                found.append(replace(point, odd=what_cannot_be(one.record)))
    return _placed(found)


def standing_words(one: Point) -> str:
    """Whether a point is on the frontier, and how sure that is."""
    if one.standing is None:
        return IMPOSSIBLE
    if one.alone:
        return ALONE
    if one.standing.certain:
        return "yes" if one.on_frontier else f"no, beaten by {one.rival}"
    return f"{'yes' if one.on_frontier else 'no'}, by its value; within the interval of {one.rival}"


def workload_of(one: Point) -> str:
    """The name of its workload."""
    return str(one.record["workload"]["name"])


def _spread(result: Mapping[str, Any], limits: tuple[float, float] | None) -> Spread:
    value = float(result["value"])
    low, high = limits or (value, value)
    return Spread(value=value, low=low, high=high)


def _placed(found: Sequence[Point]) -> list[Point]:
    """With the standing of each among its rivals."""
    sets: dict[tuple[str, ...], list[int]] = {}
    for number, one in enumerate(found):
        if one.odd:
            continue
        sets.setdefault(one.rivals, []).append(number)
    placed = list(found)
    for own in sets.values():
        for number, standing in zip(own, standings([found[one].place for one in own]), strict=True):
            other = found[own[standing.rival]] if standing.rival is not None else None
            rival = "" if other is None else other.level if other.level != found[number].level else other.name
            placed[number] = replace(found[number], standing=standing, rival=rival, alone=len(own) == 1)
    return placed
