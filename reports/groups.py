"""The records of one workload on one machine, or trainings to one accuracy: tables, figures and words for its page."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from energybench.reports import bits, crossbar, figures, frames, origins, panels, published, ranks, targets
from energybench.reports.ledger import Ledger, Made, digest, digest_of_json
from energybench.reports.machines import facts
from energybench.reports.odd import newest_day, undrawn, what_cannot_be
from energybench.reports.pages import machine_page, plain
from energybench.reports.tables import glance, group_table
from energybench.reports.views.view import machine_name, names

if TYPE_CHECKING:
    import pandas as pd

MOST_POINTS = 300
"""Points of a workload that are drawn: of more, as many, evenly chosen."""
Shown = dict[str, list[dict[str, Any]]]
"""Lists of figures by what a template calls them."""


def groups(stored: Sequence[frames.Stored], table: "pd.DataFrame", ledger: Ledger) -> list[dict[str, Any]]:
    """What the template of each group must know, workloads first, trainings to an accuracy last.

    Args:
        stored: all records.
        table: the same as a frame.
        ledger: of the site that the figures go to.
    """
    found, titles = [], frames.titles(stored)
    for number, part in enumerate(frames.grouped(stored), start=1):
        group = _trained(part, ledger) if targets.is_target(part) else _group(part, table, ledger)
        found.append({"id": f"w{number}", **group, "machine": machine_name(part[0].machine, titles)})
    return found


def _group(stored: Sequence[frames.Stored], table: "pd.DataFrame", ledger: Ledger) -> dict[str, Any]:
    newest = frames.newest(stored)
    record = newest[-1].record
    possible = [one for one in newest if not what_cannot_be(one.record)]
    shown, every = few(possible), few(newest)
    kept = table[table["id"].isin([one.record["id"] for one in shown])].dropna(axis="columns", how="all")
    workload = record["workload"]["name"]
    same, other = published.split(published.rows(workload), bits.data_names(newest))
    name = _name(workload, record["workload"]["version"], frames.machine(record))

    def draw(site: Path) -> Shown:
        if not shown:
            return {kind: [] for kind in ("figures", "bits", "relaxation", "analog", "terms", "scaling")}
        return {
            "figures": panels.energy_accuracy(*_by_width(kept, shown), name, workload, site),
            "bits": panels.against_bits(shown, same, other, name, site),
            "relaxation": panels.relaxing(shown, name, site),
            "analog": panels.against_mismatch(shown, name, site),
            "terms": panels.crossbar_terms(shown, name, site),
            "scaling": panels.against_nodes(shown, name, site),
        }

    drawn = _drawn(name, shown, ledger, draw)
    return {
        "name": workload,
        "title": workload or frames.NO_NAME,
        "template": "group.html",
        "version": record["workload"]["version"],
        **_who(stored, newest),
        "unlikely": undrawn(_impossible(newest)),
        "glance": glance(possible, figures.level_column(kept)) if possible else [],
        **drawn,
        "undrawn": len(possible) - len(shown),
        "ranks": ranks.tables(every),
        "rank_headings": ranks.HEADINGS,
        "crossbar": crossbar.table(every),
        "constants": crossbar.sources(every),
        "published": [*same, *other] if drawn["bits"] else [],
        "sources": _sources(newest),
        "definition": facts(record["workload"].get("definition", {})),
    } | group_table(newest)


def _trained(stored: Sequence[frames.Stored], ledger: Ledger) -> dict[str, Any]:
    """Trainings to one accuracy, of whatever workloads."""
    newest = frames.newest(stored)
    record, target = newest[-1].record, newest[-1].record["target"]
    title = targets.title(record)
    name = _name(title, frames.data_name(record), frames.machine(record))
    return {
        "name": title,
        "title": title,
        "template": "trained.html",
        **_who(stored, newest),
        "unlikely": (),
        "criterion": target["criterion"],
        "repeats": sorted({len(one.record["target"]["repeats"]) for one in newest}),
        **_drawn(name, newest, ledger, lambda site: {"trained": panels.to_accuracy(newest, name, site)}),
        "published": [],
        "sources": _sources(newest),
        "definitions": [
            (" ".join(filter(None, name)), facts(one.record["workload"].get("definition", {})))
            for one, name in zip(newest, targets.names(newest), strict=True)
        ],
    } | targets.table(newest)


def _impossible(newest: Sequence[frames.Stored]) -> dict[str, str]:
    """What cannot be about points, by their names."""
    told = zip(newest, names(newest), strict=True)
    return {name: what for one, name in told if (what := what_cannot_be(one.record))}


def few(newest: Sequence[frames.Stored], most: int = MOST_POINTS) -> Sequence[frames.Stored]:
    """All points where they are few, else so many from the first to the last."""
    if len(newest) <= most:
        return newest
    step = (len(newest) - 1) / (most - 1)
    return [newest[round(place * step)] for place in range(most)]


def _who(stored: Sequence[frames.Stored], newest: Sequence[frames.Stored]) -> dict[str, Any]:
    record = newest[-1].record
    return {
        "machine_page": machine_page(frames.machine(record)),
        "quick": any(one.record["quick"] for one in newest),
        "older": len(stored) - len(newest),
        "newest": newest_day(newest),
        "origins": origins.origins(one.record for one in newest),
    }


def _drawn(name: str, newest: Sequence[frames.Stored], ledger: Ledger, draw: Callable[[Path], Shown]) -> Shown:
    """The figures of a group, drawn where its newest records are others than those of the last build."""

    def make() -> Made:
        shown = draw(ledger.site)
        return Made(
            files=[one[tone] for own in shown.values() for one in own for tone in ("light", "dark")], value=shown
        )

    drawn: Shown = ledger.made(f"figures of {name}", digest_of_json(one.record for one in newest), make)
    return drawn


def _name(*parts: object) -> str:
    """A part of files' names that no other group has."""
    return f"{plain(str(parts[0])) or 'workload'}-{digest(*parts)[:6]}"


def _by_width(table: "pd.DataFrame", stored: Sequence[frames.Stored]) -> "tuple[pd.DataFrame, str | None]":
    """The table with a column that says W1A1 …, and its name, where records differ in such widths."""
    found = {one.record["id"]: bits.widths(one.record) for one in stored}
    if len(bits.levels(stored)) < 2 or not all(one and len(one) == 2 for one in found.values()):
        return table, None
    return table.assign(widths=[bits.level(found[one] or ()) for one in table["id"]]), "widths"


def _sources(stored: Sequence[frames.Stored]) -> list[str]:
    """Which power model and energy table the numbers rest on, and what the operator counter had no formula for."""
    said: dict[str, None] = {}
    for record in (one.record for one in stored):
        if "estimated" in record:
            said[f"Estimated with {record['estimated']['model']}."] = None
        if "modelled" in record:
            said[f"Modelled with the energy table {record['modelled']['table']}."] = None
        unmapped = record.get("operators", {}).get("unmapped", [])
        if unmapped:
            said[f"Not in the counts, for want of a formula: {', '.join(unmapped)}."] = None
    return list(said)
