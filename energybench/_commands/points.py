"""The points of a run and their records: which belongs to which, what each is called, and what a record lacks."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from energybench import settings
from energybench._commands.plan import Job
from energybench.settings import Outcome
from energybench.terminal import share

Key: TypeAlias = tuple[str, tuple[tuple[str, Any], ...]]
"""A workload's name and its parameters: what tells the points of a run apart."""


def in_order(job: Job, outcome: Outcome) -> list[dict[str, Any]]:
    """Records, in plain values, in the order of the points: those found and those measured now."""
    records = [record.to_json() for record in (*job.found.values(), *outcome.records)]
    kept = {_record_key(one): one for one in records}
    return [kept[key_of(point)] for point in job.points if key_of(point) in kept]


def key_of(point: settings.Point) -> Key:
    """The key of a point."""
    return point.workload.name, tuple(sorted(point.parameters.items()))


def _record_key(record: Mapping[str, Any]) -> Key:
    """The key of the point that a record is of; the accuracy that all were trained to is none of its parameters."""
    own = {key: value for key, value in record["parameters"].items() if key != settings.PARAMETER}
    return record["workload"]["name"], tuple(sorted(own.items()))


def names(points: Sequence[settings.Point]) -> dict[Key, str]:
    """Each point in short: its workload, and the parameters that vary or are not at their default."""
    return {key_of(point): _name(point, points) for point in points}


def _name(point: settings.Point, points: Sequence[settings.Point]) -> str:
    others = [one.parameters for one in points if one.workload.name == point.workload.name]
    known = point.workload.parameters
    told = [
        f"{name}={value}"
        for name, value in point.parameters.items()
        if name not in known or value != known[name].default or any(one.get(name) != value for one in others)
    ]
    return " ".join([point.workload.name, *told])


def lacking(
    records: Sequence[Mapping[str, Any]], require: str | None, named: Mapping[Key, str]
) -> list[tuple[str, str]]:
    """The records whose joules are not of the kind that `--require` asks for."""
    if require is None:
        return []
    lost = [one for one in records if _kind(one) != require]
    return [(named[_record_key(one)], f"its joules are not {require}; energybench doctor tells why") for one in lost]


def _kind(record: Mapping[str, Any]) -> str | None:
    """Where the joules of a record come from; of trainings, whether they reached their target or not."""
    if "target" in record:
        source = record.get("total") or record.get("estimated", {})
    else:
        found = record["results"]
        source = found.get("joules_per_sample") or found.get("estimated_joules_per_sample", {})
    kind: str | None = source.get("provenance")
    return kind


def not_reached(records: Sequence[Mapping[str, Any]], named: Mapping[Key, str]) -> list[tuple[str, str]]:
    """The points that were not trained to their target in every repeat, and how far they came."""
    missed = [one for one in records if "target" in one and one["target"]["reached"] < len(one["target"]["repeats"])]
    return [(named[_record_key(one)], _missed(one["target"])) for one in missed]


def _missed(target: Mapping[str, Any]) -> str:
    repeats, reached, passes = len(target["repeats"]), target["reached"], target["most_passes"]
    within = f"in {passes} pass{'es' if passes > 1 else ''}, best accuracy {target['best_accuracy']:.2%}"
    if not reached:
        return (
            f"{share(target['accuracy'])} not reached {within}; no joules to it. Ask for less, or let it train longer"
        )
    return (
        f"{share(target['accuracy'])} reached in {reached} of {repeats} trainings {within}; "
        f"joules to it are those of all {repeats} over {reached}"
    )
