"""What changed over commits: each change of a series beyond its margin, the newest first."""

from collections.abc import Sequence

from energybench.history import Change
from energybench.reports.numbers import quantity, short
from energybench.reports.views.seen import Seen
from energybench.reports.views.view import Cell, Table, View, cut, framed, key_names, shown

COLUMNS = ("commit", "after", "workload", "metric", "label", "direction", "provenance", "unit", "old", "new", "change")
QUIET = "No series has changed by more than its margin."
EMPTY = (
    "There are no results of two commits yet. Run the same workload at another commit with nothing uncommitted, as "
    "`energybench run qnn-infer`, or `asv run` in a project with an energy suite."
)


def view(seen: Seen | None) -> View:
    """The changes of all series, the newest commit first.

    Columns of its data: commit (the first with the new level), after (the last measured before it), workload, metric,
    label (workload, parameters, metric), direction (worse or better, in the metric's own), provenance, unit, old and
    new (levels), change (new/old - 1, or new - old of an accuracy).
    """
    found = seen.found if seen else None
    newest = _newest(found.changes) if found else []
    names = key_names(one.track.key for one in seen.curves) if seen else {}
    rows, notes = cut([row(one, names[one.key]) for one in newest], "changes")
    return View(
        name="changes",
        title="Changes by commit",
        answers="Which commit made which series worse or better, each in its own direction?",
        table=Table(
            caption="Changes beyond the margin of their series, the newest commit first",
            headings=("Commit", "Series", "Was it", "Before", "After", "Change"),
            rows=rows,
        ),
        frame=framed(COLUMNS, [_data(one) for one in newest]),
        notes=notes if newest else (QUIET,),
        empty=None if found and found.commits > 1 else EMPTY,
    )


def _newest(changes: Sequence[Change]) -> list[Change]:
    """The newest commit first; of each what got worse before what got better, the largest first."""
    places = {one.commit.hash: place for place, one in enumerate(changes)}

    def order(one: Change) -> tuple[int, bool, float, str]:
        return -places[one.commit.hash], one.direction == "better", -abs(one.change or 0.0), one.key.label

    return sorted(changes, key=order)


def row(one: Change, name: str) -> tuple[Cell, ...]:
    """Commit, series, direction, levels before and after, and how large the change is."""
    lane = "".join(f", {what} {value}" for what, value in one.lane.items() if value)
    unsure = f" (or one of {one.unmeasured} unmeasured before it)" if one.unmeasured else ""
    unsure += f" ({one.warned})" if one.warned else ""
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
