"""Records → one static page: index.html, report.css, figures/*.svg, data/records.*. No script."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from energybench.reports import bits, crossbar, figures, frames, panels, published, ranks, targets
from energybench.reports.flags import meanings
from energybench.reports.machines import anchor, facts, machines, methods
from energybench.reports.tables import glance, group_table

if TYPE_CHECKING:
    import pandas as pd

HERE = Path(__file__).parent
FIGURES = ("figures", "bits", "relaxation", "analog", "terms", "scaling", "trained")
"""What a group calls its lists of figures."""


def build(records: Path, site: Path, found: frames.Found | None = None) -> Path:
    """Write the page of the records below `records` into the folder `site`; return its index.html.

    Figures of an earlier run that are no longer shown are removed. Files that cannot be read are named on
    the page, with the reason. No records at all give a page that says what would fill it.

    Args:
        records: the folder of the records, or one record.
        site: where to write.
        found: what `frames.read(records)` gave, where that has been done.
    """
    stored, refused = found or (frames.read(records) if records.exists() else ([], []))
    table = frames.frame(stored)
    (site / "figures").mkdir(parents=True, exist_ok=True)
    (site / "data").mkdir(exist_ok=True)
    _write_data(table, records, site)
    groups = [
        _trained(number, part, site) if targets.is_target(part) else _group(number, part, table, site)
        for number, part in enumerate(frames.grouped(stored), start=1)
    ]
    seen = _views(stored, records, site)
    shown = [one for group in groups for name in FIGURES for one in group.get(name, ())]
    panels.remove_stale(site, [*shown, *(one for view in seen for one in view["figures"])])
    told = machines(stored)
    page = (
        _environment()
        .get_template("index.html")
        .render(
            count=len(stored),
            workloads=len({one.record["workload"]["name"] for one in stored}),
            newest=str(stored[-1].record["created"])[:10] if stored else "",
            refused=[{"path": _relative(one.path, records), "reason": one.reason} for one in refused],
            groups=groups,
            views=[one for one in seen if not one["empty"]],
            unfilled=[one for one in seen if one["empty"]],
            machines=told,
            flags=meanings(groups, told),
            methods=methods(stored),
            published=_published(groups),
            where=str(records),
        )
    )
    _write(site / "report.css", (HERE / "static" / "report.css").read_text(encoding="utf-8"))
    _write(site / "index.html", page)
    return site / "index.html"


def _environment() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    loader = FileSystemLoader(HERE / "templates", encoding="utf-8")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


def _views(stored: Sequence[frames.Stored], records: Path, site: Path) -> list[dict[str, Any]]:
    """The views over all records, written, and what each has for its template; none where there are no records.

    Commits are those of the git repository that the records are in.
    """
    if not stored:
        return []
    from energybench.gating.commits import top_of
    from energybench.gating.library import Library
    from energybench.reports.views import views, writing

    folder = records if records.is_dir() else records.parent
    return [writing.write(one, site) for one in views(stored, Library(repository=top_of(folder), records=folder))]


def _write(path: Path, text: str) -> None:
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def _relative(path: Path, records: Path) -> str:
    """A record's path below the records: a published page need not tell where someone's home is."""
    return str(path.relative_to(records)) if path != records and path.is_relative_to(records) else path.name


def _write_data(table: "pd.DataFrame", records: Path, site: Path) -> None:
    shown = table.assign(path=[_relative(Path(path), records) for path in table["path"]])
    for name in frames.parameters(shown):
        shown[name] = [frames.shown(value) if isinstance(value, str) else value for value in shown[name]]
    shown["flags"] = [" ".join(flags) for flags in shown["flags"]]
    _write(site / "data" / "records.csv", shown.to_csv(index=False))
    rows = json.loads(shown.to_json(orient="records", date_format="iso", double_precision=15))
    present = [{name: value for name, value in row.items() if value is not None} for row in rows]
    _write(site / "data" / "records.json", json.dumps(present, indent=1, ensure_ascii=False) + "\n")


def _group(number: int, stored: list[frames.Stored], table: "pd.DataFrame", site: Path) -> dict[str, Any]:
    newest = frames.newest(stored)
    record = newest[-1].record
    kept = table[table["id"].isin([one.record["id"] for one in newest])].dropna(axis="columns", how="all")
    workload = record["workload"]["name"]
    name = f"{number}-{_plain(workload) or 'workload'}"
    same, other = published.split(published.rows(workload), bits.data_names(newest))
    against = panels.against_bits(newest, same, other, name, site)
    return {
        "id": f"w{number}",
        "title": workload,
        "template": "group.html",
        "version": record["workload"]["version"],
        "machine": frames.title(record),
        "machine_id": anchor(frames.machine(record)),
        "quick": any(one.record["quick"] for one in newest),
        "older": len(stored) - len(newest),
        "glance": glance(newest, figures.level_column(kept)),
        "figures": panels.energy_accuracy(*_by_width(kept, newest), name, workload, site),
        "bits": against,
        "relaxation": panels.relaxing(newest, name, site),
        "analog": panels.against_mismatch(newest, name, site),
        "terms": panels.crossbar_terms(newest, name, site),
        "scaling": panels.against_nodes(newest, name, site),
        "ranks": ranks.tables(newest),
        "rank_headings": ranks.HEADINGS,
        "crossbar": crossbar.table(newest),
        "constants": crossbar.sources(newest),
        "published": [*same, *other] if against else [],
        "sources": _sources(newest),
        "definition": facts(record["workload"].get("definition", {})),
    } | group_table(newest)


def _trained(number: int, stored: list[frames.Stored], site: Path) -> dict[str, Any]:
    """Trainings to one accuracy, of whatever workloads."""
    newest = frames.newest(stored)
    record, target = newest[-1].record, newest[-1].record["target"]
    return {
        "id": f"w{number}",
        "title": targets.title(record),
        "template": "trained.html",
        "machine": frames.title(record),
        "machine_id": anchor(frames.machine(record)),
        "quick": any(one.record["quick"] for one in newest),
        "older": len(stored) - len(newest),
        "criterion": target["criterion"],
        "repeats": sorted({len(one.record["target"]["repeats"]) for one in newest}),
        "trained": panels.to_accuracy(newest, f"{number}-{_plain(targets.title(record))}", site),
        "published": [],
        "sources": _sources(newest),
        "definitions": [
            (" ".join(filter(None, name)), facts(one.record["workload"].get("definition", {})))
            for one, name in zip(newest, targets.names(newest), strict=True)
        ],
    } | targets.table(newest)


def _plain(text: str) -> str:
    """A part of a file's name."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40]


def _by_width(table: "pd.DataFrame", stored: Sequence[frames.Stored]) -> "tuple[pd.DataFrame, str | None]":
    """The table with a column that says W1A1 …, and its name, where records differ in such widths."""
    found = {one.record["id"]: bits.widths(one.record) for one in stored}
    if len(bits.levels(stored)) < 2 or not all(one and len(one) == 2 for one in found.values()):
        return table, None
    return table.assign(widths=[bits.level(found[one] or ()) for one in table["id"]]), "widths"


def _published(groups: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows behind every hollow mark on the page, each once, with where it was read."""
    return published.table(row for group in groups for row in group["published"])


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
