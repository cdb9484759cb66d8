"""The page of each commit: what changed there, every number beside the one before, what else was different."""

import math
import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

from energybench.gating.commits import Commit
from energybench.gating.series import Key
from energybench.history import Change
from energybench.reports import frames
from energybench.reports.evidence import Evidence
from energybench.reports.frames import Stored, commit_of
from energybench.reports.ledger import digest
from energybench.reports.numbers import COVERAGE, EXACT, Shown, plus_minus
from energybench.reports.pages import machine_page, workload_page
from energybench.reports.surroundings import Difference, compared, newest_by_commit
from energybench.reports.views import changes as change_view
from energybench.reports.views import trend_figure
from energybench.reports.views.curves import Curve, Value
from energybench.reports.views.view import key_names, machine_name, point_names, shown

MOST_RECORDS = 50
MOST_SERIES = 200
"""Rows of a table of a commit; the data has every value."""
WORDS = ("worse", "better", "perhaps worse", "perhaps better")
Place = tuple[int, int]
"""Which curve, and which of its values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One series at one commit.

    Attributes:
        name: of the series; `page` of its workload.
        now: its value.
        before: at the last commit that was measured; None where there is none.
        difference: in words; why there is none.
        size: of the difference, in units of its standard error where that is known; what rows are sorted by.
    """

    name: str
    page: str
    now: Shown
    before: Shown | None
    difference: str
    size: float


class CommitPages:
    """The pages of all commits with results; each is made when it is asked for."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self.commits = evidence.commits
        self._places: dict[str, list[Place]] = {one.hash: [] for one in self.commits}
        # In an order that a new commit does not change, as that of the curves: those that changed come first there.
        for number in sorted(range(len(evidence.curves)), key=self._heads.__getitem__):
            for place, value in enumerate(evidence.curves[number].values):
                self._places[value.commit].append((number, place))
        self._changes: dict[str, list[Change]] = {}
        for change in evidence.found.changes:
            self._changes.setdefault(change.commit.hash, []).append(change)
        self._known: dict[Place, Shown] = {}
        self._records: dict[str, list[Stored]] = {}
        for one in evidence.stored:
            if commit := commit_of(one.record):
                self._records.setdefault(commit, []).append(one)

    @cached_property
    def names(self) -> Mapping[Key, str]:
        """What people call each series."""
        return key_names(one.track.key for one in self.evidence.curves)

    @cached_property
    def _heads(self) -> list[bytes]:
        return [
            f"{trend_figure.title(one, self.names)}\0{one.track.unit}\0{one.track.provenance}".encode()
            for one in self.evidence.curves
        ]

    @cached_property
    def _packed(self) -> list[list[bytes]]:
        """Each value of each curve with the one before, as bytes: they are compared for all commits on each build."""
        return [_pairs(head, one.values) for head, one in zip(self._heads, self.evidence.curves, strict=True)]

    @cached_property
    def _steps(self) -> list[dict[int, str]]:
        return [dict(one.steps) for one in self.evidence.curves]

    @cached_property
    def _surroundings(self) -> dict[str, list[tuple[str, list[Difference]]]]:
        """Of each commit the machines with records there and before, and what else was different."""
        found: dict[str, list[tuple[str, list[Difference]]]] = {}
        for machine, newest in newest_by_commit(self.evidence.stored, self.evidence.laid.line.rank).items():
            for (_, old), (commit, new) in pairwise(newest.items()):
                found.setdefault(commit, []).append((machine, compared(old, new)))
        return found

    def inputs(self, place: int) -> str:
        """A digest of everything that the page of a commit shows."""
        one = self.commits[place]
        packed = self._packed
        parts = [packed[number][at] for number, at in self._places[one.hash]]
        around = [self.commits[near] for near in (place - 1, place + 1) if 0 <= near < len(self.commits)]
        told = [self._changes.get(one.hash, []), self._surroundings.get(one.hash, [])]
        records = [one.record["id"] for one in self._records.get(one.hash, ())]
        return digest(one, around, told, self._told_steps(one), records, b"".join(parts))

    def values(self, place: int) -> dict[str, Any]:
        """What the template of a commit must know."""
        one, changes = self.commits[place], self._changes.get(self.commits[place].hash, [])
        rows = sorted(self._rows(one), key=lambda row: (-row.size, row.name))
        return {
            "commit": one,
            "before": self.commits[place - 1] if place else None,
            "after": self.commits[place + 1] if place + 1 < len(self.commits) else None,
            "changes": [
                change_view.row(each, self.names[each.key], page=self.evidence.page(each.key))[1:]
                for each in _worst_first(changes)
            ],
            **_parted(rows),
            "surroundings": [
                {"where": self._title(machine), "page": machine_page(machine), "differences": told}
                | {"base": "Before", "head": "Here"}
                for machine, told in self._surroundings.get(one.hash, ())
            ],
            "steps": self._told_steps(one),
            **self._own_records(one),
        }

    def summaries(self) -> Iterator[dict[str, Any]]:
        """A line for each commit, the newest first."""
        for one in reversed(self.commits):
            told = Counter(change.word for change in self._changes.get(one.hash, ()))
            yield {
                "commit": one,
                "series": len(self._places[one.hash]),
                "records": len(self._records.get(one.hash, ())),
                **{word.replace(" ", "_"): told[word] for word in WORDS},
                "else": _else(each for _, own in self._surroundings.get(one.hash, ()) for each in own),
            }

    def unresolved(self) -> list[dict[str, Any]]:
        """Series whose last certain change was for the worse, the newest first: nothing since made them better."""
        places = {one.hash: place for place, one in enumerate(self.commits)}
        worse = sorted(
            (one for one in self._last(certain=True).values() if one.direction == "worse"),
            key=lambda one: (-places[one.commit.hash], -abs(one.change or math.inf), one.key.label),
        )
        return [
            {
                "series": self.names[one.key],
                "page": workload_page(one.key.workload),
                "said": change_view.said(one),
                "size": trend_figure.sized(one),
                "provenance": one.provenance,
                "commit": one.commit,
                "warned": one.warned,
            }
            for one in worse
        ]

    def perhaps_worse(self) -> int:
        """How many more series are perhaps worse since their last change: nobody can tell."""
        certain = self._last(certain=True)
        listed = {track for track, one in certain.items() if one.direction == "worse"}
        last = self._last(certain=False)
        return sum(one.word == "perhaps worse" for track, one in last.items() if track not in listed)

    def _last(self, *, certain: bool) -> dict[object, Change]:
        """The last change of each series, or the last one that is certain."""
        changes = (one for one in self.evidence.found.changes if one.certain or not certain)
        return {(one.key, one.provenance, tuple(one.lane.items())): one for one in changes}

    def _rows(self, commit: Commit) -> Iterator[Row]:
        for number, at in self._places[commit.hash]:
            curve = self.evidence.curves[number]
            value = curve.values[at]
            old = curve.values[at - 1] if at else None
            step = self._steps[number].get(value.place)
            difference, size = _difference(old, value, curve, step)
            yield Row(
                name=trend_figure.title(curve, self.names),
                page=workload_page(curve.track.key.workload),
                now=self._shown(number, at),
                before=self._shown(number, at - 1) if at else None,
                difference=difference,
                size=size,
            )

    def _shown(self, number: int, at: int) -> Shown:
        """A value for people: each is on its own page and on the next one's."""
        known = self._known.get((number, at))
        if known is None:
            curve, one = self.evidence.curves[number], self.evidence.curves[number].values[at]
            unit, otherwise = trend_figure.unit_of(curve), EXACT if curve.track.exact else ""
            known = shown(one.value, unit, curve.track.provenance, one.bounds, otherwise=otherwise)
            self._known[number, at] = known
        return known

    @cached_property
    def _stepped(self) -> dict[str, dict[str, int]]:
        """By commit what else was different, and in how many series."""
        found: dict[str, dict[str, int]] = {}
        for curve, steps in zip(self.evidence.curves, self._steps, strict=True):
            for value in curve.values if steps else ():
                if step := steps.get(value.place):
                    counted = found.setdefault(value.commit, {})
                    counted[step] = counted.get(step, 0) + 1
        return found

    def _told_steps(self, commit: Commit) -> list[tuple[str, int]]:
        return sorted(self._stepped.get(commit.hash, {}).items(), key=lambda one: (-one[1], one[0]))

    def _own_records(self, commit: Commit) -> dict[str, Any]:
        own = self._records.get(commit.hash, [])
        told = [
            {
                "point": name,
                "page": workload_page(one.record["workload"]["name"]),
                "machine": self._title(frames.machine(one.record)),
                "created": str(one.record["created"])[:16].replace("T", " "),
                "quiet": one.record.get("quiet", {}).get("quiet", True),
                "flags": list(one.record.get("flags", ())),
            }
            for one, name in zip(own[:MOST_RECORDS], point_names([one.record for one in own]), strict=False)
        ]
        return {"records": told, "more_records": max(0, len(own) - MOST_RECORDS)}

    @cached_property
    def _titles(self) -> dict[str, str]:
        return frames.titles(self.evidence.stored)

    def _title(self, machine: str) -> str:
        return machine_name(machine, self._titles)


def _pairs(head: bytes, values: Sequence[Value]) -> list[bytes]:
    pack = struct.Struct("<ddi").pack
    told = [pack(one.value, math.nan if one.error is None else one.error, one.values) for one in values]
    return [head + old + new for old, new in pairwise([b"", *told])]


def _parted(rows: Sequence[Row]) -> dict[str, Any]:
    """Series with a value before, and those that begin: of each as many as a page shows, and how many there are."""
    known, begun = [row for row in rows if row.before], [row for row in rows if not row.before]
    return {
        "rows": known[:MOST_SERIES],
        "row_count": len(known),
        "begun": begun[:MOST_SERIES],
        "begun_count": len(begun),
    }


def _worst_first(changes: Sequence[Change]) -> list[Change]:
    """Certain ones first."""

    def order(one: Change) -> tuple[object, ...]:
        return not one.certain, one.direction == "better", -abs(one.change or math.inf), one.key.label

    return sorted(changes, key=order)


def _else(differences: Iterable[Difference]) -> str:
    """What differed beside the code, in words; empty where nothing did."""
    of_run = {one.of_run for one in differences}
    parts = ["the machine or its software"] * (False in of_run) + ["how it was measured"] * (True in of_run)
    return f"{' and '.join(parts)} differed" if parts else ""


def _difference(old: Value | None, new: Value, curve: Curve, step: str | None) -> tuple[str, float]:
    """In words, and how large it is for sorting."""
    if old is None:
        return "first value", 0.0
    if step:
        return "not compared: something else was different", 0.0
    by = new.value - old.value
    if not by:
        return "the same", 0.0
    errors = [one.error or 0.0 for one in (old, new)]
    size = abs(by) / math.hypot(*errors) if any(errors) else math.inf
    unit = "points" if curve.track.family == "accuracy" else "%"
    if unit == "%" and not old.value:
        return "from 0", size
    of = abs(old.value) if unit == "%" else 1.0
    return plus_minus(by / of, COVERAGE * math.hypot(*errors) / of, unit, signed=True), size
