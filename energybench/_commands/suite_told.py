"""What `energybench run --asv-suite` says of a run: a table, what went wrong, and data."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from energybench.store import Store
from energybench.suites.choosing import Combination
from energybench.suites.place import Suite
from energybench.suites.running import Tried
from energybench.suites.served import Found
from energybench.terminal import console, emit, plus_minus, quantity, say, table

if TYPE_CHECKING:
    from rich.table import Table

NO_VALUES = "a parameter of it has no values"
FAILURES = ("failed", "timeout", "crashed")


@dataclass(slots=True, kw_only=True)
class Told:
    """What a run over a suite has seen so far.

    Attributes:
        found: what the suite has; None until it was imported.
        chosen: what is to be measured.
        tried: what became of it.
        empty: benchmarks that were asked for, and have a parameter without values.
        quiet: why the machine was not.
        lost: why the rest could not be measured.
        tree: the asv results, where they were written.
        stopped: by Ctrl-C or SIGTERM, with which exit code.
    """

    suite: Suite
    store: Store
    found: Found | None = None
    chosen: Sequence[Combination] = ()
    tried: list[Tried] = field(default_factory=list)
    empty: Sequence[str] = ()
    quiet: tuple[str, ...] = ()
    lost: str = ""
    tree: Path | None = None
    stopped: int = 0

    @property
    def records(self) -> list[dict[str, Any]]:
        """The records in plain values."""
        return [one.record.to_json() for one in self.tried if one.record]

    @property
    def broken(self) -> Sequence[Mapping[str, str]]:
        """What could not be imported or made."""
        return self.found.broken if self.found else ()

    @property
    def not_reached(self) -> int:
        """Combinations that there was no time for."""
        return len(self.chosen) - len(self.tried)

    def of(self, *states: str) -> list[Tried]:
        """What ended in one of these states."""
        return [one for one in self.tried if one.status in states]


def show(told: Told, *, as_json: bool) -> None:
    """The table, what went wrong, and where the results are."""
    if told.records:
        console(stderr=as_json).print(_table(told))
    if as_json:
        emit(_data(told))
    for one in told.tried:
        if one.status != "ok":
            say(f"{one.combination.label} {_words(one)}: {one.reason}")
    if told.lost:
        say(told.lost)
    if told.quiet:
        say(f"the machine was not quiet: {'; '.join(sorted(told.quiet))}")
    say(_summary(told))
    if told.records:
        say(f"records in {told.store.folder}; " + _where(told))


def _words(one: Tried) -> str:
    return "is below the resolution" if one.status == "below-resolution" else one.status


def _summary(told: Told) -> str:
    """`55 of 63 combinations measured, 8 failed; …`."""
    counts = Counter(one.status for one in told.tried)
    parts = [f"{counts.pop('ok', 0)} of {len(told.chosen)} combinations measured"]
    parts += [f"{number} {state}" for state, number in sorted(counts.items())]
    if told.not_reached:
        why = "before it was stopped" if told.stopped else "before the suite was lost" if told.lost else "in the budget"
        parts.append(f"{told.not_reached} not reached {why}")
    if told.empty:
        parts.append(f"{len(told.empty)} benchmarks without combinations skipped")
    if told.broken:
        parts.append(f"{len(told.broken)} modules or benchmarks could not be imported")
    return ", ".join(parts)


def _where(told: Told) -> str:
    if told.tree is None and told.suite.commit:
        return "nothing was added to the asv results"
    if told.tree is None:
        return f"no asv results, which are kept by commit: {told.suite.root} is in no git repository"
    return f"asv results in {told.tree}: asv --config {told.tree / 'asv.conf.json'} publish"


def _table(told: Told) -> "Table":
    drawn = table("benchmark", "energy, a call", "time, a call", "mode", "flags", title=f"asv:{told.suite.project}")
    for one in told.tried:
        if one.record is None:
            continue
        found = one.record.results
        joules = found.get("joules_per_sample") or found.get("estimated_joules_per_sample")
        energy = "–"
        if joules:
            half = (joules.high - joules.low) / 2 if joules.high is not None and joules.low is not None else 0.0
            energy = f"{plus_minus(joules.value, half, 'J')} ({joules.provenance})"
        seconds = quantity(found["seconds_per_sample"].value, "s")
        drawn.add_row(one.combination.label, energy, seconds, one.mode, ", ".join(one.record.flags))
    return drawn


def _data(told: Told) -> dict[str, Any]:
    """What `--json` puts on stdout."""
    rows = [
        {
            "benchmark": one.combination.benchmark.name,
            "parameters": one.combination.parameters,
            "status": one.status,
            "reason": one.reason,
        }
        for one in told.tried
        if one.status != "ok"
    ]
    empty = [{"benchmark": one, "parameters": {}, "status": "skipped", "reason": NO_VALUES} for one in told.empty]
    return {
        "schema": 1,
        "project": told.suite.project,
        "combinations": len(told.chosen),
        "records": told.records,
        "skipped": [*(row for row in rows if row["status"] not in FAILURES), *empty],
        "failed": [row for row in rows if row["status"] in FAILURES],
        "broken": [dict(one) for one in told.broken],
        "not_reached": told.not_reached,
        **({"lost": told.lost} if told.lost else {}),
        **({"asv": str(told.tree)} if told.tree else {}),
    }
