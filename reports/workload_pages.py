"""The page of each workload: its tables and figures on every machine, and its series over commits."""

from collections.abc import Mapping, Sequence
from typing import Any

from energybench.gating.commits import Commit
from energybench.gating.series import Key
from energybench.gating.twins import recorded_as
from energybench.reports import trend_picture
from energybench.reports.evidence import Evidence
from energybench.reports.frames import NO_NAME
from energybench.reports.pages import workload_page
from energybench.reports.views import changes, trend, trend_chart, trend_figure
from energybench.reports.views.curves import Curve
from energybench.reports.views.view import key_names
from energybench.reports.views.writing import embedded

MOST_DRAWN, QUIET_DRAWN = 24, 4
"""Series over commits that a page draws: so many of those that changed, or with those that did not so many in all."""


def workload_pages(evidence: Evidence, groups: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What the template of each workload must know, in the order of their names; trainings to an accuracy last."""
    curves = by_workload(evidence.curves)
    names = [*dict.fromkeys(str(one["name"]) for one in groups)]
    names += sorted(set(curves) - set(names))
    return [
        _page(name, [one for one in groups if one["name"] == name], curves.get(name, ()), evidence.commits)
        for name in names
    ]


def by_workload(curves: Sequence[Curve]) -> dict[str, list[Curve]]:
    """The curves of each workload; those of a suite of asv belong to the workload that it measures."""
    known = {one.track.key.workload for one in curves}
    found: dict[str, list[Curve]] = {}
    for one in curves:
        told = recorded_as(one.track.key).workload
        found.setdefault(told if told in known else one.track.key.workload, []).append(one)
    return found


def _page(
    name: str, groups: Sequence[Mapping[str, Any]], curves: Sequence[Curve], commits: Sequence[Commit]
) -> dict[str, Any]:
    names = key_names(one.track.key for one in curves)
    several = [one for one in curves if len(one.values) > 1]
    moved = sum(bool(one.changes) for one in several)
    drawn = min(MOST_DRAWN, max(QUIET_DRAWN, moved))
    machines = list(dict.fromkeys(str(one["machine"]) for one in groups))
    return {
        "name": name or NO_NAME,
        "file": workload_page(name),
        "groups": groups,
        "machines": machines,
        "points": sum(len(one["rows"]) for one in groups),
        "newest": max((str(one["newest"]) for one in groups), default=""),
        "series": len(curves),
        "commits": len({value.commit for one in curves for value in one.values}),
        "changed": [_changed(one, names) for one in several if one.changes][:3],
        "trends": [_trend(one, names, commits) for one in several[:drawn]],
        "words": embedded(trend_chart.words(commits)) if several else "",
        "undrawn": [trend.row(one, names) for one in several[drawn:]],
    }


def _changed(one: Curve, names: Mapping[Key, str]) -> dict[str, Any]:
    key, last = one.track.key, one.changes[-1]
    return {
        "series": names[key].replace(f" of {key.workload}", "", 1),
        "size": trend_figure.sized(last),
        "commit": last.commit.hash,
        "said": changes.said(last),
        "provenance": last.provenance,
    }


def _trend(one: Curve, names: Mapping[Key, str], commits: Sequence[Commit]) -> dict[str, Any]:
    alt = trend.alt(one, names)
    return {
        "title": trend_figure.title(one, names),
        "provenance": one.track.provenance,
        "alt": alt,
        "picture": trend_picture.picture(one, [each.hash[:8] for each in commits], alt),
        "chart": embedded(trend_chart.chart(one, names)),
        "changes": [(trend_figure.sized(change), change.commit.hash) for change in one.changes[-trend.NAMES :]],
        "steps": trend.steps_of(one),
    }
