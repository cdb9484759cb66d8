"""Where the joules of each machine come from, and which sources it could not read, why, and what would grant them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from energybench.reports.figures import KINDS
from energybench.reports.frames import Stored
from energybench.reports.numbers import Shown
from energybench.reports.pages import machine_page
from energybench.reports.views.view import Cell, Table, linked, machine_name

HEADINGS = ("Machine", "Joules", "Source", "Why not", "Remedy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One source of joules on one machine, or one that could not be read.

    Attributes:
        machine: as `frames.machine` tells it.
        name: the probe and its domains, the power model, the energy table; of what was not read the probe or domain.
        kind: provenance of the joules; empty of what was not read.
        records: with joules of it.
        reason: why it could not be read; empty where it was.
        remedy: what would grant it; empty where nothing is known.
    """

    machine: str
    name: str
    kind: str = ""
    records: int = 0
    reason: str = ""
    remedy: str = ""


def sources(stored: Sequence[Stored]) -> list[Source]:
    """Of each machine the sources of its joules, the best first, then what its newest record could not read."""
    counted: dict[tuple[str, str, str], int] = {}
    newest: dict[str, Mapping[str, Any]] = {}
    for one in stored:
        machine = one.machine
        newest[machine] = one.record
        for kind, name in _of(one.record):
            counted[machine, kind, name] = counted.get((machine, kind, name), 0) + 1
    found: list[Source] = []
    for machine, record in sorted(newest.items()):
        own = [(kind, name, count) for (where, kind, name), count in counted.items() if where == machine]
        own.sort(key=lambda one: (list(KINDS).index(one[0]), one[1]))
        found += [Source(machine=machine, name=name, kind=kind, records=count) for kind, name, count in own]
        found += [
            Source(machine=machine, name=name, reason=told["unavailable"], remedy=told.get("remedy", ""))
            for name, told in record.get("domains", {}).items()
            if "unavailable" in told
        ]
    return found


def table(found: Sequence[Source], titles: Mapping[str, str]) -> Table:
    """The sources as a table for people."""
    return Table(
        caption="Where joules come from on each machine, and what its newest record could not read",
        headings=HEADINGS,
        rows=tuple(_row(one, titles) for one in found),
        at_once=20,
    )


def data(one: Source) -> dict[str, object]:
    """A source as a row of the data."""
    row: dict[str, object] = {"machine": one.machine, "what": "source" if one.kind else "not read", "name": one.name}
    if one.kind:
        return row | {"metric": "joules", "provenance": one.kind, "repeats": one.records}
    return row | {"reason": one.reason} | ({"remedy": one.remedy} if one.remedy else {})


def _of(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Kind and source of each joule that a record tells of."""
    probes: dict[tuple[str, str], list[str]] = {}
    for name, domain in record.get("domains", {}).items():
        if "joules" in domain:
            probes.setdefault((domain["provenance"], domain.get("probe", "")), []).append(name)
    found = [
        (kind, f"{probe}: {', '.join(names)}" if probe else ", ".join(names)) for (kind, probe), names in probes.items()
    ]
    if told := record.get("estimated"):
        found.append(("estimated", f"time × {told['model']}"))
    if told := record.get("modelled"):
        found.append(("modelled", f"counts × {told['table']}"))
    named = {kind for kind, _ in found}
    kinds = {one["provenance"] for one in record["results"].values() if one["unit"] == "J"}
    return found + [(kind, "not told") for kind in KINDS if kind in kinds - named]


def _row(one: Source, titles: Mapping[str, str]) -> tuple[Cell, ...]:
    machine = linked(machine_name(one.machine, titles), machine_page(one.machine))
    if not one.kind:
        return machine, "not read", one.name, one.reason, one.remedy or "none known"
    count = f"{one.records:,} record{'s' if one.records != 1 else ''}"
    return machine, Shown(text=count, interval="", provenance=one.kind, value=one.records), one.name, "–", "–"
