"""Series over commits as a browser draws them: values with intervals, levels, changes, steps, and words of commits."""

from collections.abc import Mapping, Sequence
from typing import Any

from energybench.gating.commits import Commit, CommitError, order
from energybench.gating.library import Library
from energybench.gating.series import Key
from energybench.reports.views import trend_figure
from energybench.reports.views.curves import Curve, Value
from energybench.reports.views.drawing import outline, spread_out
from energybench.reports.views.trace_chart import brief

MOST_VALUES = 2000
LETTERS = 48
"""Of a commit's subject."""


def charts(library: Library, drawn: Mapping[str, Curve], names: Mapping[Key, str]) -> dict[str, dict[str, Any]]:
    """What stands for each panel, by its name."""
    if not drawn:
        return {}
    known = _known(library)
    return {name: chart(one, names, known) for name, one in drawn.items()}


def chart(one: Curve, names: Mapping[Key, str], known: Mapping[str, Commit]) -> dict[str, Any]:
    """One series; `known` are the commits that git has words for."""
    kept = _thinned(one.values)
    limits = [trend_figure.ends(value.value, value.error) or (None, None) for value in kept]
    places = {value.commit: value.place for value in one.values}
    changes = sorted(one.changes, key=lambda change: -abs(change.change or 0.0))
    told = [bound for value, ends in zip(kept, limits, strict=True) for bound in (value.value, *ends)]
    above = [bound for bound in told if bound is not None]
    return {
        "kind": "trend",
        "title": trend_figure.title(one, names),
        "unit": trend_figure.unit_of(one),
        "per": "per sample" if one.track.key.metric.endswith("_per_sample") else "",
        "provenance": one.track.provenance,
        "log": spread_out(above) and min(above) > 0,
        "x": [value.place for value in kept],
        "commits": [_words(value.commit, known) for value in kept],
        "value": [brief(value.value) for value in kept],
        "low": [brief(low) for low, _ in limits],
        "high": [brief(high) for _, high in limits],
        "levels": [{"first": level.first, "last": level.last, "value": brief(level.value)} for level in one.levels],
        "changes": [
            {"place": places[change.commit.hash], "text": trend_figure.size(change)}
            for change in changes
            if change.commit.hash in places
        ],
        "steps": [{"place": place, "text": text} for place, text in one.steps],
    }


def _known(library: Library) -> dict[str, Commit]:
    """Commits that git does not know have a hash and no words."""
    try:
        return {one.hash: one for one in order(library.repository, "HEAD")}
    except CommitError:
        return {}


def _thinned(values: Sequence[Value]) -> list[Value]:
    """All where they are few, else of each stretch the lowest and the highest."""
    if len(values) <= MOST_VALUES:
        return list(values)
    kept = {place for place, _ in outline([(float(one.place), one.value) for one in values], MOST_VALUES // 2)}
    return [one for one in values if one.place in kept]


def _words(commit: str, known: Mapping[str, Commit]) -> list[str]:
    one = known.get(commit)
    if one is None:
        return [commit[:10], "", ""]
    return [
        commit[:10],
        one.date[:10],
        one.subject if len(one.subject) <= LETTERS else f"{one.subject[: LETTERS - 1]}…",
    ]
