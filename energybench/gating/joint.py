"""Joules and accuracy of one point seen together: what one gained may have been paid with the other."""

from collections.abc import Sequence

from energybench.gating.verdicts import COMPARED, Point, Verdict

WORSE = ("regression", "accepted")
SENTENCES = {
    ("better", "worse"): "energy gain bought with accuracy",
    ("worse", "better"): "accuracy gain bought with energy",
    ("better", "better"): "less energy and more accuracy",
    ("worse", "worse"): "more energy and less accuracy",
    ("better", "same"): "less energy at the same accuracy",
    ("worse", "same"): "more energy at the same accuracy",
    ("same", "better"): "more accuracy at the same energy",
    ("same", "worse"): "less accuracy at the same energy",
    ("same", "same"): "the same energy and accuracy",
}


def points_of(verdicts: Sequence[Verdict]) -> tuple[Point, ...]:
    """Each kind of joules beside the accuracy of the same point, where both were judged."""
    judged = [one for one in verdicts if one.word in COMPARED]
    accuracies = {_point(one): one for one in judged if one.family == "accuracy"}
    return tuple(
        Point(
            workload=one.key.workload,
            parameters=one.key.parameters,
            joules=one,
            accuracy=beside,
            sentence=_sentence(one, beside),
        )
        for one in judged
        if one.unit == "J" and (beside := accuracies.get(_point(one))) is not None
    )


def _point(verdict: Verdict) -> tuple[object, ...]:
    return verdict.key.workload, verdict.key.parameters


def _sentence(joules: Verdict, accuracy: Verdict) -> str:
    seen = _way(joules), _way(accuracy)
    if "open" in seen:
        return ""
    return f"{SENTENCES[seen]}: {joules.key.metric} {_by(joules)}, {accuracy.key.metric} {_by(accuracy)}"


def _way(verdict: Verdict) -> str:
    if verdict.word in WORSE:
        return "worse"
    return {"improvement": "better", "pass": "same"}.get(verdict.word, "open")


def _by(verdict: Verdict) -> str:
    if verdict.change is None:
        return "from 0"
    return f"{100 * verdict.change:+.2f} {'points' if verdict.absolute else '%'}"
