"""`energybench history`: which commit made which series worse or better."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from energybench import history as changes_of
from energybench.boundary import USAGE, describe
from energybench.gating.commits import Commit, CommitError, top_of
from energybench.gating.library import SHALLOW, Library, SideError
from energybench.gating.series import Trouble
from energybench.history import Change, History, Step
from energybench.store import records_folder
from energybench.terminal import console, emit, quantity, say, table


def history(
    *,
    repository: Path = Path(),
    records: Path | None = None,
    results: Path | None = None,
    branch: str = "HEAD",
    since: str | None = None,
    series: str = "*",
    machine: str | None = None,
    as_json: bool = False,
) -> int:
    """Show the change points of every series; the exit code: 0, 2 where nothing could be looked at."""
    try:
        library = Library(
            repository=top_of(repository), records=records or records_folder(), results=results, machine=machine
        )
        found = changes_of.history(library, branch=branch, since=since, pattern=series)
    except (CommitError, SideError) as error:
        say(describe(error))
        return USAGE
    if as_json:
        emit(as_values(found))
    _tell(found)
    if not as_json and found.series:
        _show(found)
    if found.series:
        return 0
    say("no series here has results of a commit; run energybench run or asv run on commits, or choose another --series")
    return USAGE


def as_values(found: History) -> dict[str, Any]:
    """The history in plain values, as --json prints it."""
    return {
        "schema": 1,
        "series": found.series,
        "commits": found.commits,
        "not_on_branch": found.strangers,
        "shallow": found.shallow,
        "order": "date" if found.by_date else "git",
        "changes": [_change_values(one) for one in found.changes],
        "steps": [_step_values(one) for one in found.steps],
        "troubles": [{"path": str(one.path), "reason": one.reason} for one in found.troubles],
    }


def _change_values(one: Change) -> dict[str, Any]:
    values = {
        "workload": one.key.workload,
        "parameters": dict(one.key.parameters),
        "metric": one.key.metric,
        "lane": dict(one.lane) or None,
        "unit": one.unit,
        "provenance": one.provenance,
        "direction": one.direction,
        "commit": _commit_values(one.commit),
        "after": _commit_values(one.after),
        "unmeasured": one.unmeasured,
        **_with_bounds("old", one.old, one.old_bounds),
        **_with_bounds("new", one.new, one.new_bounds),
        **_with_bounds("change", one.change, one.bounds),
        "exact": one.exact or None,
        "absolute": one.absolute,
        "last": one.last,
        "creeping": one.creeping or None,
        "cautions": list(one.cautions) or None,
        "cautions_before": list(one.cautions_before) or None,
    }
    return {name: value for name, value in values.items() if value is not None}


def _with_bounds(name: str, value: float | None, bounds: tuple[float, float] | None) -> dict[str, float | None]:
    low, high = bounds or (None, None)
    return {name: value, f"{name}_low": low, f"{name}_high": high}


def _step_values(one: Step) -> dict[str, Any]:
    commits = {"commit": _commit_values(one.commit), "after": _commit_values(one.after)}
    return {"what": list(one.what), **commits, "series": one.series}


def _commit_values(commit: Commit) -> Mapping[str, str]:
    told = {"hash": commit.hash, "subject": commit.subject, "author": commit.author, "date": commit.date}
    return {name: value for name, value in told.items() if value}


def _tell(found: History) -> None:
    for one in found.troubles:
        say(_trouble(one))
    if found.by_date:
        say("git knows none of the commits with results; they are in the order of their dates")
    elif found.strangers:
        say(f"{found.strangers} commits with results are not on this branch, or were merged into it, and were left out")
    if found.shallow:
        say(SHALLOW)


def _trouble(one: Trouble) -> str:
    return f"{one.path}: {one.reason}" + ("; left out" if one.left_out else "")


def _show(found: History) -> None:
    from rich.text import Text

    screen = console()
    drawn = table("commit", "date", "subject", "series", "", "change", "before", "after")
    for one in found.changes:
        drawn.add_row(*map(Text, _cells(one)))  # what looks like markup in a subject is none
    if found.changes:
        screen.print(drawn)
    steps = table("from", "commit", "series", "what changed beside the commits")
    for step in found.steps:
        steps.add_row(step.after.hash[:8], step.commit.hash[:8], str(step.series), Text("\n".join(step.what)))
    if found.steps:
        screen.print(steps)
    worse = sum(one.direction == "worse" for one in found.changes)
    better = len(found.changes) - worse
    say(f"{found.series} series over {found.commits} commits: {worse} changes for the worse, {better} for the better")


def _cells(one: Change) -> tuple[str, ...]:
    lane = "".join(f" [{name} {value}]" for name, value in one.lane.items())
    unsure = f" (or one of {one.unmeasured} unmeasured before it)" if one.unmeasured and not one.creeping else ""
    if one.creeping:
        unsure = f" (creeping: {one.creeping} steps within the margin, after {one.after.hash[:8]})"
    unsure += f" ({one.warned})" if one.warned else ""
    label = f"{one.key.label}{lane}" + (f" ({one.provenance})" if one.provenance != "measured" else "")
    return (
        one.commit.hash[:8],
        one.commit.date[:10],
        f"{one.commit.subject}{unsure}",
        label,
        f"{one.direction}, last commit only" if one.last else one.direction,
        _by(one),
        _amount(one.old, one.unit),
        _amount(one.new, one.unit),
    )


def _by(one: Change) -> str:
    if one.change is None:
        return "from 0"
    return f"{one.change:+.4f}" if one.absolute else f"{100 * one.change:+.2f} %"


def _amount(value: float, unit: str) -> str:
    return f"{value:.4g}" if unit in ("1", "") else quantity(value, unit)
