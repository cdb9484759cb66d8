"""The page of asv's own series over commits: what changed, the trends, the data; static and offline."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from energybench.gating.library import Library
from energybench.gating.observed import observe
from energybench.gating.series import Key
from energybench.history import Change, History, history
from energybench.reports import asv_frames, exports, frames
from energybench.reports.numbers import quantity, short
from energybench.reports.views import trend, writing
from energybench.reports.views.view import Cell, Table, View, cut, framed, key_names, shown

if TYPE_CHECKING:
    from jinja2 import Template

HERE = Path(__file__).parent
NO_RECORDS = Path(os.devnull)
COLUMNS = ("commit", "after", "workload", "metric", "label", "direction", "provenance", "unit", "old", "new", "change")
QUIET = "No series has changed by more than its margin."


def build(*, project: str, repository: Path, results: Path, site: Path) -> Path:
    """Write index.html, report.css, figures and data of a results_dir into the folder `site`; return the page.

    Args:
        project: its name, for the heading.
        repository: whose commits they are; where git knows none of them, dates order them.
        results: asv's results_dir.
        site: where to write.
    """
    for name in ("figures", "data"):
        (site / name).mkdir(parents=True, exist_ok=True)
    library = Library(repository=repository, records=NO_RECORDS, results=results)
    observed = observe(library)
    found = history(library)
    values, troubles = asv_frames.read_folder(results)
    written = exports.export(frames.tidy([], values), site / "data", "series")
    keys = [track.key for track in observed.tracks]
    views = [changes(found, keys), trend.view(library, observed=observed, found=found)]
    text = _template().render(
        project=project,
        series=found.series,
        commits=found.commits,
        views=[writing.write(one, site) for one in views],
        refused=[{"name": one.path.name, "reason": one.reason} for one in troubles],
        files=[one.name for one in written.files],
        without=f"There is {written.left_out}." if written.left_out else "",
    )
    css = HERE / "static" / "report.css"
    (site / "report.css").write_text(css.read_text(encoding="utf-8"), encoding="utf-8")
    (site / "index.html").write_text(text, encoding="utf-8")
    return site / "index.html"


def _template() -> "Template":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    loader = FileSystemLoader(HERE / "templates", encoding="utf-8")
    pages = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return pages.get_template("asv_series.html")


def changes(found: History, keys: Iterable[Key]) -> View:
    """The changes of a history, the newest commit first; `keys` of all series tell how each is named.

    Columns of its data: commit (the first with the new level), after (the last measured before it), workload, metric,
    label (workload, parameters, metric), direction (worse or better, in the metric's own), provenance, unit, old and
    new (levels), change (new/old - 1, or new - old of an accuracy).
    """
    newest = _newest(found.changes)
    names = key_names(keys)
    rows, notes = cut([_row(one, names[one.key]) for one in newest], "changes")
    return View(
        name="changes",
        title="What changed",
        answers="Which commit made which series worse or better, each in its own direction?",
        table=Table(
            caption="Changes beyond the margin of their series, the newest commit first",
            headings=("Commit", "Series", "Was it", "Before", "After", "Change"),
            rows=rows,
        ),
        frame=framed(COLUMNS, [_data(one) for one in newest]),
        notes=notes if newest else (QUIET,),
    )


def _newest(changes: Sequence[Change]) -> list[Change]:
    """The newest commit first; of each what got worse before what got better, the largest first."""
    places = {one.commit.hash: place for place, one in enumerate(changes)}

    def order(one: Change) -> tuple[int, bool, float, str]:
        return -places[one.commit.hash], one.direction == "better", -abs(one.change or 0.0), one.key.label

    return sorted(changes, key=order)


def _row(one: Change, name: str) -> tuple[Cell, ...]:
    lane = "".join(f", {what} {value}" for what, value in one.lane.items() if value)
    unsure = f" (or one of {one.unmeasured} unmeasured before it)" if one.unmeasured else ""
    commit = f"{one.commit.hash[:8]} {one.commit.subject}".strip()
    before, after = (shown(value, _unit(one), one.provenance) for value in (one.old, one.new))
    word = f"{one.direction}, last commit only" if one.last else one.direction
    return f"{commit}{unsure}", f"{name}{lane}", word, before, after, _size(one)


def _unit(one: Change) -> str:
    return "%" if one.absolute and one.unit in ("1", "") else short(one.unit)


def _size(one: Change) -> str:
    """`+12 %` of what it was, or `-3 points` of an accuracy."""
    if one.change is None:
        return "from 0"
    if not one.absolute:
        return f"{100 * one.change:+.3g} %".replace("-", "−")
    amount = f"{100 * abs(one.change):.3g} points" if _unit(one) == "%" else quantity(abs(one.change), _unit(one))
    return f"{'−' if one.change < 0 else '+'}{amount}"


def _data(one: Change) -> dict[str, object]:
    told: dict[str, object] = {
        "commit": one.commit.hash,
        "after": one.after.hash,
        "workload": one.key.workload,
        "metric": one.key.metric,
        "label": one.key.label,
        "direction": one.direction,
        "provenance": one.provenance,
        "unit": one.unit,
        "old": one.old,
        "new": one.new,
    }
    return told if one.change is None else told | {"change": one.change}
