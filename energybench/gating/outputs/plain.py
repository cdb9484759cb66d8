"""A judgement as plain values, for JSON; what is absent has no key."""

from energybench.gating.accepted import Accepted
from energybench.gating.verdicts import Judgement, Point, Verdict

SCHEMA = 1


def plain(judgement: Judgement) -> dict[str, object]:
    """Everything that is known, in names that programs may rely on."""
    return _present(
        {
            "schema": SCHEMA,
            "verdict": judgement.word,
            "exit": judgement.exit,
            "reason": judgement.reason or None,
            "base": _present({"name": judgement.base, "commit": judgement.base_commit}),
            "head": _present({"name": judgement.head, "commit": judgement.head_commit}),
            "compared": judgement.compared,
            "alpha": judgement.alpha,
            "family": judgement.family,
            "series": [_series(one) for one in judgement.verdicts],
            "points": [_point(one) for one in judgement.points],
            "accepted": [_accepted(one.accepted) | {"covers": one.key.label} for one in judgement.of("accepted")]
            + [_accepted(entry) | {"unused": why} for entry, why in judgement.idle],
            "troubles": [
                {"path": str(one.path), "reason": one.reason, "left_out": one.left_out} for one in judgement.troubles
            ],
        }
    )


def _series(verdict: Verdict) -> dict[str, object]:
    return _present(
        {
            "series": verdict.key.label,
            "workload": verdict.key.workload,
            "parameters": dict(verdict.key.parameters),
            "metric": verdict.key.metric,
            "family": verdict.family,
            "verdict": verdict.word,
            "base": verdict.base,
            "base_low": verdict.base_bounds and verdict.base_bounds[0],
            "base_high": verdict.base_bounds and verdict.base_bounds[1],
            "head": verdict.head,
            "head_low": verdict.head_bounds and verdict.head_bounds[0],
            "head_high": verdict.head_bounds and verdict.head_bounds[1],
            "exact": verdict.exact or None,
            "unit": verdict.unit,
            "provenance": verdict.provenance,
            "higher_is_better": verdict.higher_is_better,
            "scale": "difference" if verdict.absolute else "ratio",
            "change": verdict.change,
            "low": verdict.low,
            "high": verdict.high,
            "margin": verdict.margin,
            "p": verdict.p,
            "rounds": verdict.rounds,
            "paired": verdict.paired if verdict.rounds is not None else None,
            "rounds_needed": verdict.needed,
            "suspect": verdict.suspect or None,
            "allowed": verdict.allowed or None,
            "reason": verdict.reason or None,
        }
    )


def _point(point: Point) -> dict[str, object]:
    return _present(
        {
            "workload": point.workload,
            "parameters": dict(point.parameters),
            "joules": {"metric": point.joules.key.metric, "verdict": point.joules.word},
            "accuracy": {"metric": point.accuracy.key.metric, "verdict": point.accuracy.word},
            "sentence": point.sentence or None,
        }
    )


def _accepted(entry: Accepted | None) -> dict[str, object]:
    assert entry is not None
    return _present(
        {
            "series": entry.series,
            "reason": entry.reason,
            "until": entry.until.isoformat(),
            "commit": entry.commit,
            "up_to": entry.up_to,
        }
    )


def _present(entries: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in entries.items() if value is not None}
