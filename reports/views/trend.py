"""Results over commits: each value with its interval, the level before and after a change, and what else changed."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from energybench.gating.series import Key
from energybench.history import Change, History
from energybench.reports.numbers import EXACT, UNKNOWN, quantity
from energybench.reports.pages import INDEX, commit_page
from energybench.reports.views import trend_figure
from energybench.reports.views.curves import Curve
from energybench.reports.views.drawing import MOST_DRAWN
from energybench.reports.views.seen import Seen
from energybench.reports.views.trend_chart import chart, words
from energybench.reports.views.view import (
    MOST_ROWS,
    Cell,
    Link,
    Table,
    Text,
    View,
    framed,
    joined,
    key_names,
    linked,
    plain,
    shown,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = (
    "series",
    "workload",
    "metric",
    "provenance",
    "unit",
    "lane",
    "place",
    "commit",
    "value",
    "low",
    "high",
    "exact",
    "standard_error",
    "values",
    "level",
    "step_before",
)
NAMES, MOST_OF_MANY = 4, 2
"""Changes that are named; series that are drawn where there are more than a table lists, as each has a page."""
HEADINGS = ("Series", "Commits", "First", "Last", "Changes")
CAPTION = (
    "Commits from left to right in git's order, those without results left out. Bars and bands are ±2 standard errors. "
    "Level lines end where a change was found, beyond the margin of the series, and charts have an upright dashed line "
    "there; an upright dotted line is where the machine, driver, torch or anything else beside the commit changed, and "
    "values on either side are not compared."
)
EMPTY = (
    "There are no results of two commits yet. Run the same workload at another commit with nothing uncommitted, as "
    "`energybench run qnn-infer`, or `asv run` in a project with an energy suite."
)


_TITLE, _ANSWERS = "Over commits", "Which commit changed what, and by how much?"


def view(seen: Seen | None) -> View:
    """The trends of a library's series over commits.

    Columns of its data, a row a commit of a series (of those that are drawn where there are very many): series,
    workload, metric, provenance, unit; lane (what sets it apart from others of the same series, as a machine); place
    (of the commit among those with results, from 0); commit; value (a mean of `values` results, in the unit) with low
    and high (±2 standard errors, else as its records state them; absent where nothing tells) and exact (needs no
    interval); standard_error; level (of the stretch between change points); step_before (what else was different from
    the commit before on).

    Args:
        seen: records and asv results over commits; None where there is no repository.
    """
    if seen is None:
        return View(name="trend", title=_TITLE, answers=_ANSWERS, frame=framed(COLUMNS, ()), empty=EMPTY)
    told = [one for one in seen.curves if len(one.values) > 1]
    names = key_names(one.track.key for one in told)
    most = MOST_DRAWN if len(told) <= MOST_ROWS else MOST_OF_MANY
    drawn = {f"{number:02}-{plain(one.track.key.metric)}": one for number, one in enumerate(told[:most], 1)}
    data = told if len(told) <= MOST_ROWS else told[:most]
    rows = [row(one, names, page=seen.page(one.track.key)) for one in told[:MOST_ROWS]]

    def draw(dark: bool) -> "dict[str, Figure]":
        return {name: trend_figure.figure(one, names, dark=dark) for name, one in drawn.items()}

    return View(
        name="trend",
        title=_TITLE,
        answers=_ANSWERS,
        figures=draw if told else None,
        alts={name: alt(one, names) for name, one in drawn.items()},
        charts={name: chart(one, names) for name, one in drawn.items()},
        commits=words(seen.commits) if told else (),
        caption=CAPTION,
        table=Table(
            caption="Series over commits: those that changed for certain first, joules before all else. Values have ±2 "
            "standard errors, or what records state",
            headings=HEADINGS,
            rows=tuple(rows),
        ),
        frame=framed(COLUMNS, [row for one in data for row in _data(one)]),
        notes=tuple(_left_out(seen.found, len(told))),
        empty=None if told else EMPTY,
    )


def _left_out(found: History, count: int) -> list[Text]:
    notes: list[Text] = []
    most = MOST_DRAWN if count <= MOST_ROWS else MOST_OF_MANY
    if count > most:
        notes.append(f"{most} of {count:,} series are drawn, the first ones of the table.")
    if count > MOST_ROWS:
        notes.append(
            f"The table lists {MOST_ROWS} of {count:,} series, and the data of this view has those that are drawn; "
            "every series is on its workload's page."
        )
    if found.strangers:
        notes.append(f"{found.strangers:,} commits with results are not on this branch, and are left out.")
    if found.by_date:
        notes.append("git knows none of these commits, so they stand in the order of dates.")
    if count := len(found.troubles):
        told = f"{count:,} file{'s' if count > 1 else ''} could not be used: "
        notes.append((told, Link(text="the front page", page=INDEX), " says why, and what to do."))
    return notes


def _told(changes: Sequence[Change]) -> list[tuple[str, str]]:
    """How large the last changes were, and the commit of each."""
    return [(trend_figure.sized(one), one.commit.hash) for one in changes[-NAMES:]]


def alt(one: Curve, names: Mapping[Key, str]) -> str:
    """What a series did, in a sentence."""
    unit, values = trend_figure.unit_of(one), [value.value for value in one.values]
    steps = f" Something beside the commits changed {len(one.steps)} times." if one.steps else ""
    told = [f"{size} at {commit[:8]}" for size, commit in _told(one.changes)]
    more = [f"{len(one.changes) - NAMES} before"] if len(one.changes) > NAMES else []
    changes = "; ".join([*told, *more]) or "no change found"
    return (
        f"{one.track.provenance.capitalize()} {trend_figure.title(one, names)} over {len(values):,} commits, "
        f"{quantity(min(values), unit)} to {quantity(max(values), unit)}: {changes}.{steps}"
    )


def row(one: Curve, names: Mapping[Key, str], *, page: str | None = None) -> tuple[Cell, ...]:
    """Name, number of commits, first and last value, and what changed; `HEADINGS` are of these.

    Args:
        one: the series.
        names: of all series.
        page: that the name leads to.
    """
    unit, kind, otherwise = trend_figure.unit_of(one), one.track.provenance, EXACT if one.track.exact else UNKNOWN
    cells = [
        shown(value.value, unit, kind, value.bounds, otherwise=otherwise) for value in (one.values[0], one.values[-1])
    ]
    told: list[Text] = [(f"{size} at ", _commit(commit)) for size, commit in _told(one.changes)]
    told += [f"{len(one.changes) - NAMES} before"] if len(one.changes) > NAMES else []
    told += [(f"beside it, {text} at ", _commit(commit)) for text, commit in _steps(one)]
    parts = [part for number, text in enumerate(told) for part in (("; ", text) if number else (text,))]
    name = linked(trend_figure.title(one, names), page)
    return name, f"{len(one.values):,}", *cells, joined(*parts) if parts else "none"


def _commit(name: str) -> Link:
    return Link(text=name[:8], page=commit_page(name))


def _steps(one: Curve) -> list[tuple[str, str]]:
    """What else was different, and from which commit on."""
    commits = {value.place: value.commit for value in one.values}
    return [(text, commits[place]) for place, text in one.steps[-NAMES:]]


def steps_of(one: Curve) -> list[str]:
    """The same in words: `kernel: 6.1 → 6.2 at a6f1d8a0`."""
    return [f"{text} at {commit[:8]}" for text, commit in _steps(one)]


def _data(one: Curve) -> list[dict[str, object]]:
    steps, key, rows = dict(one.steps), one.track.key, []
    who = {"series": key.label, "workload": key.workload, "metric": key.metric, "provenance": one.track.provenance}
    who |= {"unit": one.track.unit, "lane": ", ".join(f"{name} {value}" for name, value in one.lane.items())}
    for value in one.values:
        row: dict[str, object] = who | {"place": value.place, "commit": value.commit, "value": value.value}
        level = next((each.value for each in one.levels if each.first <= value.place <= each.last), math.nan)
        optional = {"standard_error": value.error, "level": level, "step_before": steps.get(value.place)}
        row |= {"values": value.values, "exact": one.track.exact}
        row |= dict(zip(("low", "high"), value.bounds or (), strict=False))
        rows.append(row | {n: v for n, v in optional.items() if v is not None and v == v})
    return rows
