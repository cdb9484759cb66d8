"""Which points no other one beats in cost and in worth: by their values, and what their intervals leave open."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """A value and its interval; the value itself at both ends where none was stated."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A point: of two, the better one costs no more and is worth no less, and is not the same in both."""

    cost: Spread
    worth: Spread


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a point stands among others.

    Attributes:
        on_frontier: no other one is better by its values.
        certain: the intervals, each by itself, leave no other answer.
        rival: the number of the one that is better, or that may be within the intervals; None where none may be.
    """

    on_frontier: bool
    certain: bool
    rival: int | None = None


def standings(places: Sequence[Place]) -> list[Standing]:
    """The standing of each point among all of them, in their order."""
    best = frontier(places)
    ahead, costs, on = _Ahead(places), [places[number].cost.value for number in best], set(best)
    found = []
    for number, one in enumerate(places):
        if number in on:
            rival = ahead.may_beat(number)
            found.append(Standing(on_frontier=True, certain=rival is None, rival=rival))
        else:
            rival = best[bisect_right(costs, one.cost.value) - 1]
            found.append(Standing(on_frontier=False, certain=ahead.surely_beaten(one), rival=rival))
    return found


def frontier(places: Sequence[Place]) -> list[int]:
    """The numbers of the points that no other beats by its values, the cheapest first; equal ones are all on it."""
    kept: list[int] = []
    for number in sorted(range(len(places)), key=lambda one: (places[one].cost.value, -places[one].worth.value)):
        one, last = places[number], places[kept[-1]] if kept else None
        same = last is not None and (last.cost.value, last.worth.value) == (one.cost.value, one.worth.value)
        if last is None or same or one.worth.value > last.worth.value:
            kept.append(number)
    return kept


class _Ahead:
    """The greatest worth among all points up to a cost, at the ends of the intervals."""

    def __init__(self, places: Sequence[Place]) -> None:
        self._places = places
        self._cheapest = sorted(range(len(places)), key=lambda one: places[one].cost.low)
        self._dearest = sorted(range(len(places)), key=lambda one: places[one].cost.high)
        self._lows = [places[one].cost.low for one in self._cheapest]
        self._highs = [places[one].cost.high for one in self._dearest]
        self._most, self._next = self._two_best()
        self._least: list[float] = []
        for one in self._dearest:
            self._least.append(max(places[one].worth.low, self._least[-1] if self._least else float("-inf")))

    def may_beat(self, number: int) -> int | None:
        """The one of greatest worth that is better where intervals fall in its favour; None where none is."""
        one = self._places[number]
        for end, strictly in ((bisect_right(self._lows, one.cost.high), True), (self._below(one), False)):
            first, second = (self._most[end - 1], self._next[end - 1]) if end else (None, None)
            rival = second if first == number else first
            if rival is None:
                continue
            worth = self._places[rival].worth.high
            if worth > one.worth.low or (not strictly and worth == one.worth.low):
                return rival
        return None

    def surely_beaten(self, one: Place) -> bool:
        """Whether some point is better wherever in the intervals both are."""
        cheaper, no_dearer = bisect_left(self._highs, one.cost.low), bisect_right(self._highs, one.cost.low)
        return bool(
            (cheaper and self._least[cheaper - 1] >= one.worth.high)
            or (no_dearer and self._least[no_dearer - 1] > one.worth.high)
        )

    def _below(self, one: Place) -> int:
        return bisect_left(self._lows, one.cost.high)

    def _two_best(self) -> tuple[list[int], list[int | None]]:
        """Along rising lowest costs, the number of greatest worth so far and the one after it."""
        most: list[int] = []
        after: list[int | None] = []
        for number in self._cheapest:
            told = [number, *most[-1:], *(one for one in after[-1:] if one is not None)]
            told.sort(key=lambda one: -self._places[one].worth.high)
            most.append(told[0])
            after.append(told[1] if len(told) > 1 else None)
        return most, after
