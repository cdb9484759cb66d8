"""Interleaved rounds of two commits: A B, B A, …; each measurement by a process of its own, beside its twin."""

import itertools
import os
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from energybench.gating.trees import SuitePoint, Tree, measure_point

Name: TypeAlias = Literal["base", "head"]
SIDES: tuple[Name, Name] = ("base", "head")
QUICK: Mapping[str, Any] = {"idle_seconds": 0.0, "warmup_seconds": 2.0}
"""The protocol in a round: its twin is the baseline."""

Measure: TypeAlias = Callable[..., dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """One measurement of a round.

    Attributes:
        point: what was measured.
        side: base or head.
        number: of the round, from 1.
        record: its file; None where there is none, and `reason` says why.
        skipped: the work cannot run here, and says so.
    """

    point: SuitePoint
    side: Name
    number: int
    record: Path | None = None
    reason: str = ""
    skipped: bool = False


@dataclass(slots=True, kw_only=True)
class Session:
    """Rounds of two trees on this machine.

    Attributes:
        trees: base and head.
        suite: the folder of the asv suite.
        settings: of the protocol, in each round.
        seed: of the order of points in a round.
        name: what the rounds of this session are known by.
        taken: every measurement so far.
    """

    trees: Mapping[Name, Tree]
    suite: Path
    settings: Mapping[str, Any] = field(default_factory=lambda: dict(QUICK))
    seed: int = 0
    name: str = field(default_factory=lambda: os.urandom(6).hex())
    measure: Measure = measure_point
    clock: Callable[[], float] = time.monotonic
    taken: list[Taken] = field(default_factory=list)

    def rounds_of(self, point: SuitePoint) -> int:
        """How many rounds a point has, failed ones included."""
        return max((one.number for one in self.taken if one.point == point), default=0)

    def failed(self, point: SuitePoint) -> bool:
        """Whether a side of it could not be measured: it is not tried again."""
        return any(one.record is None for one in self.taken if one.point == point)

    def take(self, points: Sequence[SuitePoint], rounds: int, *, until: float | None = None) -> Iterator[Taken]:
        """Measure until each of the points has so many rounds; what the time does not allow is left out whole.

        Args:
            points: what is measured; those that failed are left out.
            rounds: in all, with those of earlier calls.
            until: on the clock; no measurement of a pair is begun later.
        """
        for number in range(1, rounds + 1):
            order = [one for one in points if self.rounds_of(one) < number]
            random.Random(f"{self.seed}-{number}").shuffle(order)  # noqa: S311 -- an order, no secret
            for point in order:
                if self.failed(point):
                    continue
                if until is not None and self.clock() >= until:
                    return
                yield from self._pair(point, number)

    def _pair(self, point: SuitePoint, number: int) -> Iterator[Taken]:
        """Both sides of a round, head first in every other one."""
        for side in SIDES if number % 2 else reversed(SIDES):
            tags = {"interleaved": {"session": self.name, "round": number, "side": side}}
            told = self.measure(self.trees[side], self.suite, point, settings=self.settings, tags=tags)
            record = told.get("record")
            one = Taken(
                point=point,
                side=side,
                number=number,
                record=Path(record) if record else None,
                reason=str(told.get("error") or told.get("skip") or ""),
                skipped="skip" in told,
            )
            self.taken.append(one)
            yield one

    def records(self, side: Name) -> list[Path]:
        """The records of a side; of a pair that lacks its other half too."""
        return [one.record for one in self.taken if one.side == side and one.record]

    def failures(self, side: Name) -> list[Taken]:
        """What could not be measured, once a point."""
        lost = [one for one in self.taken if one.side == side and one.record is None]
        return [next(group) for _, group in itertools.groupby(lost, key=lambda one: one.point)]
