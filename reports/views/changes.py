"""What changed over commits: each change of a series beyond its margin, the newest first."""

from collections.abc import Sequence

from energybench.history import Change
from energybench.reports.numbers import EXACT, UNKNOWN, short
from energybench.reports.pages import commit_page
from energybench.reports.views import trend_figure
from energybench.reports.views.seen import Seen
from energybench.reports.views.view import (
    Cell,
    Said,
    Table,
    View,
    changed,
    cut,
    framed,
    joined,
    key_names,
    linked,
    shown,
)

COLUMNS = (
    "commit",
    "after",
    "workload",
    "metric",
    "label",
    "direction",
    "certain",
    "provenance",
    "unit",
    "old",
    "old.low",
    "old.high",
    "new",
    "new.low",
    "new.high",
    "change",
    "change.low",
    "change.high",
    "exact",
)
HEADINGS = ("Commit", "Series", "Was it", "Before", "After", "Change")
CAPTION = (
    "Changes beyond the margin of their series, the newest commit first. A filled mark is certain: the same work gives "
    "the same number, or the interval of the change does not hold 0. A hollow one is not"
)
QUIET = "No series has changed by more than its margin."
EMPTY = (
    "There are no results of two commits yet. Run the same workload at another commit with nothing uncommitted, as "
    "`energybench run qnn-infer`, or `asv run` in a project with an energy suite."
)


def view(seen: Seen | None) -> View:
    """The changes of all series, the newest commit first.

    Columns of its data: commit (the first with the new level), after (the last measured before it), workload, metric,
    label (workload, parameters, metric), direction (worse or better, in the metric's own), certain (exact, or its
    interval does not hold 0), provenance, unit, old and new (levels), change (new/old - 1, or new - old of an
    accuracy), each with `.low` and `.high` (95 %, from how values lie about their levels and from their own errors;
    absent where neither is known); exact (needs no interval: the same work gives the same number).
    """
    found = seen.found if seen else None
    newest = _newest(found.changes) if found else []
    names = key_names(one.track.key for one in seen.curves) if seen else {}
    told = (
        [row(one, names[one.key], page=seen.page(one.key), commit=commit_page(one.commit.hash)) for one in newest]
        if seen
        else []
    )
    rows, notes = cut(told, "changes")
    return View(
        name="changes",
        title="Changes by commit",
        answers="Which commit made which series worse or better, each in its own direction?",
        told=counted(newest),
        table=Table(
            caption=CAPTION,
            headings=HEADINGS,
            rows=rows,
        ),
        frame=framed(COLUMNS, [_data(one) for one in newest]),
        notes=notes if newest else (QUIET,),
        empty=None if found and found.commits > 1 else EMPTY,
    )


def _newest(changes: Sequence[Change]) -> list[Change]:
    """The newest commit first; of each what is certain, what got worse before what got better, the largest first."""
    places = {one.commit.hash: place for place, one in enumerate(changes)}

    def order(one: Change) -> tuple[object, ...]:
        size = -abs(one.change or 0.0)
        return -places[one.commit.hash], not one.certain, one.direction == "better", size, one.key.label

    return sorted(changes, key=order)


def counted(changes: Sequence[Change]) -> tuple[str, ...]:
    """`2 worse, 1 better for certain.`, `8 perhaps worse.`; empty without any."""
    found = [
        (certain, f"{count:,} {'' if certain else 'perhaps '}{way}")
        for certain in (True, False)
        for way in ("worse", "better")
        if (count := sum((one.certain, one.direction) == (certain, way) for one in changes))
    ]
    sure, unsure = (", ".join(text for certain, text in found if certain is kind) for kind in (True, False))
    return tuple(f"{one}." for one in (f"{sure} for certain" if sure else "", unsure) if one)


def said(one: Change, more: str = "") -> Said:
    """Which way it changed, as far as that is certain."""
    return Said(text=f"{one.word}{more}", certain=one.certain, better=one.direction == "better")


def row(one: Change, name: str, *, page: str | None = None, commit: str | None = None) -> tuple[Cell, ...]:
    """Commit, series, direction, levels before and after, and how large the change is; `HEADINGS` are of these.

    Args:
        one: the change.
        name: of its series.
        page: that the name leads to.
        commit: the page that the commit leads to.
    """
    lane = "".join(f", {what} {value}" for what, value in one.lane.items() if value)
    unsure = f" (or one of {one.unmeasured} unmeasured before it)" if one.unmeasured else ""
    unsure += f" ({one.warned})" if one.warned else ""
    unit, otherwise = _unit(one), EXACT if one.exact else UNKNOWN
    before, after = (
        shown(value, unit, one.provenance, bounds, otherwise=otherwise)
        for value, bounds in ((one.old, one.old_bounds), (one.new, one.new_bounds))
    )
    word = said(one, ", last commit only" if one.last else "")
    link = linked(f"{one.commit.hash[:8]} {one.commit.subject}".strip(), commit)
    return joined(link, unsure), joined(linked(name, page), lane), word, before, after, _size(one, otherwise)


def _unit(one: Change) -> str:
    return "%" if one.absolute and one.unit in ("1", "") else short(one.unit)


def _size(one: Change, otherwise: str) -> Cell:
    """`+12 %` of what it was, or `-3 points` of an accuracy."""
    if one.change is None:
        return "from 0"
    return changed(one.change, one.bounds, trend_figure.change_unit(one), one.provenance, otherwise=otherwise)


def _data(one: Change) -> dict[str, object]:
    told: dict[str, object] = {
        "commit": one.commit.hash,
        "after": one.after.hash,
        "workload": one.key.workload,
        "metric": one.key.metric,
        "label": one.key.label,
        "direction": one.direction,
        "certain": one.certain,
        "provenance": one.provenance,
        "unit": one.unit,
        "old": one.old,
        "new": one.new,
        "exact": one.exact,
    }
    for name, bounds in (("old", one.old_bounds), ("new", one.new_bounds), ("change", one.bounds)):
        if bounds is not None:
            told |= {f"{name}.low": bounds[0], f"{name}.high": bounds[1]}
    return told if one.change is None else told | {"change": one.change}
