"""Records → one static page: index.html, report.css, figures/*.svg, data/records.*. No script."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from energybench.reports import figures, frames
from energybench.reports.flags import meanings
from energybench.reports.machines import anchor, facts, machines, methods
from energybench.reports.numbers import quantity
from energybench.reports.tables import glance, group_table

if TYPE_CHECKING:
    import pandas as pd

HERE = Path(__file__).parent
FIGURE_PREFIX = "energy-accuracy-"


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
    groups = [_group(number, part, table, site) for number, part in enumerate(frames.grouped(stored), start=1)]
    _remove_stale(site, groups)
    told = machines(stored)
    page = (
        _environment()
        .get_template("index.html")
        .render(
            count=len(stored),
            newest=str(stored[-1].record["created"])[:10] if stored else "",
            refused=[{"path": _relative(one.path, records), "reason": one.reason} for one in refused],
            groups=groups,
            machines=told,
            flags=meanings(groups, told),
            methods=methods(stored),
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


def _write(path: Path, text: str) -> None:
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def _relative(path: Path, records: Path) -> str:
    """A record's path below the records: a published page need not tell where someone's home is."""
    return str(path.relative_to(records)) if path != records and path.is_relative_to(records) else path.name


def _write_data(table: "pd.DataFrame", records: Path, site: Path) -> None:
    shown = table.assign(path=[_relative(Path(path), records) for path in table["path"]])
    shown["flags"] = [" ".join(flags) for flags in shown["flags"]]
    _write(site / "data" / "records.csv", shown.to_csv(index=False))
    rows = json.loads(shown.to_json(orient="records", date_format="iso", double_precision=15))
    present = [{name: value for name, value in row.items() if value is not None} for row in rows]
    _write(site / "data" / "records.json", json.dumps(present, indent=1, ensure_ascii=False) + "\n")


def _group(number: int, stored: list[frames.Stored], table: "pd.DataFrame", site: Path) -> dict[str, Any]:
    newest = frames.newest(stored)
    record = newest[-1].record
    kept = table[table["id"].isin([one.record["id"] for one in newest])].dropna(axis="columns", how="all")
    name = re.sub(r"[^a-z0-9]+", "-", record["workload"]["name"].lower()).strip("-")[:40] or "workload"
    return {
        "id": f"w{number}",
        "workload": record["workload"]["name"],
        "version": record["workload"]["version"],
        "machine": frames.title(record),
        "machine_id": anchor(frames.machine(record)),
        "quick": any(one.record["quick"] for one in newest),
        "older": len(stored) - len(newest),
        "glance": glance(newest, figures.level_column(kept)),
        "figures": _figures(kept, f"{number}-{name}", record["workload"]["name"], site),
        "sources": _sources(newest),
        "definition": facts(record["workload"].get("definition", {})),
    } | group_table(newest)


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


def _figures(table: "pd.DataFrame", name: str, workload: str, site: Path) -> list[dict[str, Any]]:
    """Draw each kind of joule for light and for dark; what the template needs to show them."""
    shown: dict[str, dict[str, Any]] = {}
    for dark in (False, True):
        for kind, figure in figures.energy_accuracy(table, dark=dark).items():
            file = f"figures/{FIGURE_PREFIX}{name}-{kind}{'-dark' if dark else ''}.svg"
            figures.save(figure, site / file, dark=dark)
            width, height = (round(96 * inches) for inches in figure.get_size_inches())
            one = shown.setdefault(
                kind, {"width": width, "height": height, "kind": kind, "alt": _alt(table, kind, workload)}
            )
            one["dark" if dark else "light"] = file
    return list(shown.values())


def _alt(table: "pd.DataFrame", kind: str, workload: str) -> str:
    """What a figure shows, in a sentence: the table below it has every number."""
    drawn = figures.points(table, None)
    drawn = drawn[drawn["kind"] == kind]
    (less, more), (worst, best) = ((drawn[name].min(), drawn[name].max()) for name in ("joules", "accuracy"))
    points = f"{len(drawn)} point{'s' if len(drawn) != 1 else ''}"
    return (
        f"Accuracy against {kind} joules per sample of {workload}: {points}, {quantity(less, 'J')} to "
        f"{quantity(more, 'J')} per sample, accuracy {quantity(worst, '%')} to {quantity(best, '%')}."
    )


def _remove_stale(site: Path, groups: Sequence[Mapping[str, Any]]) -> None:
    shown = {Path(one[tone]).name for group in groups for one in group["figures"] for tone in ("light", "dark")}
    for file in (site / "figures").glob(f"{FIGURE_PREFIX}*.svg"):
        if file.name not in shown:
            file.unlink()
