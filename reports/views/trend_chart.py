"""Series over commits as a browser draws them: values with intervals, levels, changes, steps, and words of commits."""

from collections.abc import Mapping, Sequence
from typing import Any

from energybench.gating.commits import Commit
from energybench.gating.series import Key
from energybench.reports.views import trend_figure
from energybench.reports.views.curves import Curve, Value
from energybench.reports.views.drawing import outline, spread_out
from energybench.reports.views.trace_chart import brief

MOST_VALUES = 2000
LETTERS = 48
"""Of a commit's subject."""


def chart(one: Curve, names: Mapping[Key, str]) -> dict[str, Any]:
    """One series; `words` of the commits stand beside all charts of a section."""
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
        "value": _rounded([value.value for value in kept]),
        "low": _rounded([low for low, _ in limits]),
        "high": _rounded([high for _, high in limits]),
        "levels": [{"first": level.first, "last": level.last, "value": brief(level.value)} for level in one.levels],
        "changes": [
            {"place": places[change.commit.hash], "text": trend_figure.size(change)}
            for change in changes
            if change.commit.hash in places
        ],
        "steps": [{"place": place, "text": text} for place, text in one.steps],
    }


def _rounded(values: Sequence[float | None]) -> list[float | None]:
    """As `brief`, of very many."""
    return [None if one is None else float(f"{one:.6g}") for one in values]


def _thinned(values: Sequence[Value]) -> list[Value]:
    """All where they are few, else of each stretch the lowest and the highest."""
    if len(values) <= MOST_VALUES:
        return list(values)
    kept = {place for place, _ in outline([(float(one.place), one.value) for one in values], MOST_VALUES // 2)}
    return [one for one in values if one.place in kept]


def words(commits: Sequence[Commit]) -> list[list[str]]:
    """What charts of one section say of commits, by place: hash, day and subject."""
    return [[one.hash[:8], one.date[:10], _cut(one.subject)] for one in commits]


def _cut(subject: str) -> str:
    return subject if len(subject) <= LETTERS else f"{subject[: LETTERS - 1]}…"
