"""What a call of `run` asks for, what of it is there already, and what the rest would take."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Any

from energybench import host, protocol, settings, stepping, store
from energybench.config import Settings
from energybench.keys import key_of, record_key
from energybench.matrix import Point
from energybench.meter import open_meter
from energybench.record import Record
from energybench.terminal import console, duration, emit, share, table


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What one call of `run` asks for.

    Attributes:
        points: all that was asked for.
        said: what flags, environment and file say.
        how: what the protocol makes of it.
        store: where records go.
        found: records that are there already, by point; only with `--resume`.
    """

    points: Sequence[Point]
    said: Settings
    how: settings.Settings
    store: store.Store
    found: Mapping[str, Record]

    @property
    def left(self) -> list[Point]:
        """The points that have no record yet. All, where an unfinished run is there to be taken up."""
        missing = [point for point in self.points if point.label not in self.found]
        unfinished = any(self.store.journals.glob("*.jsonl"))
        return list(self.points) if missing and unfinished else missing


def make_job(points: Sequence[Point], wanted: Settings, *, resume: bool) -> Job:
    """Turn what was said into what the protocol takes, and look for what is there already."""
    from energybench.probes import operators

    given = {
        "windows": wanted.windows,
        "window_seconds": wanted.seconds,
        "idle_seconds": wanted.idle,
        "warmup_seconds": wanted.warmup,
        "table": wanted.table,
        "energy_to_accuracy": wanted.energy_to_accuracy,
    }
    changes: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    changes |= {"seed": wanted.seed, "align": wanted.align, "trace_hz": wanted.trace}
    how = settings.Settings.quickly(**changes) if wanted.quick else settings.Settings(**changes)
    operators.table(how.table)  # an unknown name is told now, not after an hour
    kept = store.Store(host.machine_id(), root=wanted.records)
    found = finished(points, how, kept, _sources(wanted)) if resume else {}
    return Job(points=points, said=wanted, how=how, store=kept, found=found)


def _sources(wanted: Settings) -> list[list[str]]:
    """What the meter of this run reads, and with which probes."""
    with closing(open_meter(list(wanted.probes) or None)) as meter:
        return stepping.sources(meter)


def finished(
    points: Sequence[Point], how: settings.Settings, kept: store.Store, sources: list[list[str]]
) -> dict[str, Record]:
    """The newest record of each point that was measured with the same settings, software and probes."""
    software = _software(host.fingerprint())
    labels = {key_of(point, how): point.label for point in points}
    asked = {key: value for key, value in asdict(how).items() if value is not None}
    same: dict[str, Record] = {}
    for record in history(kept):
        values = record.to_json()
        told = values["protocol"]
        alike = record.sources == sources and _software(values["machine"]) == software
        if alike and all(told.get(key) == value for key, value in asked.items()):
            same[labels.get(record_key(record), "")] = record
    same.pop("", None)
    return same


def history(kept: store.Store) -> list[Record]:
    """Every record of this machine that can be read, the oldest first."""
    if not kept.folder.is_dir():
        return []
    stored, _ = store.read_all(kept.folder)
    return sorted((one.record for one in stored), key=lambda record: record.created)


def _software(machine: Mapping[str, Any]) -> dict[str, Any]:
    """What a change of means that a finished point is to be measured again."""
    return {key: machine.get(key) for key in ("packages", "python", "git")}


def show_plan(points: Sequence[Point], wanted: Settings, *, resume: bool, as_json: bool) -> int:
    """List what would be measured and how long it would take."""
    job = make_job(points, wanted, resume=resume)
    with closing(open_meter(list(wanted.probes) or None)) as meter:
        planned = protocol.plan(job.left, meter=meter, settings=job.how, history=history(job.store))
    seconds = sum(one.seconds for one in planned)
    if as_json:
        emit({"schema": 1, "points": [_plan_row(one, job.how) for one in planned], "seconds": seconds})
        return 0
    drawn = table("workload", "parameters", "window", "predicted")
    for one in planned:
        name, _, parameters = label(one.point).partition(" ")
        window = "a pass" if one.window_seconds is None else f"{one.window_seconds:.3g} s"
        drawn.add_row(name, parameters, window, _predicted(one))
    console().print(drawn)
    doing = f"{len(planned)} of {len(points)} points to {_what(job.how)}"
    console().print(f"{doing}: about {duration(seconds)}{_unknown(planned)}.", soft_wrap=True)
    return 0


def _predicted(one: protocol.Planned) -> str:
    trained = one.window_seconds is None and not one.measured_before
    return f"{duration(one.seconds)} and the trainings" if trained else duration(one.seconds)


def _what(how: settings.Settings) -> str:
    """What is done with the points."""
    if how.energy_to_accuracy is None:
        return "measure"
    times = f"{how.windows} times" if how.windows > 1 else "once"
    return f"train {times} from scratch to an accuracy of {share(how.energy_to_accuracy)}"


def _unknown(planned: Sequence[protocol.Planned]) -> str:
    """What no record tells the time of."""
    new = [one for one in planned if not one.measured_before]
    if not new:
        return ""
    return f", and the preparing{' and training' if new[0].window_seconds is None else ''} of new points"


def label(point: settings.Point) -> str:
    """`qnn-infer bits=8 batch=64`, for a point that came back from the protocol."""
    return Point(workload=point.workload, parameters=point.parameters).label


def _plan_row(planned: protocol.Planned, how: settings.Settings) -> dict[str, Any]:
    row = {
        "workload": planned.point.workload.name,
        "parameters": dict(planned.point.parameters),
        "seconds": planned.seconds,
        "measured_before": planned.measured_before,
    }
    if planned.window_seconds is not None:
        return row | {"window_seconds": planned.window_seconds}
    return row | {"energy_to_accuracy": how.energy_to_accuracy, "repeats": how.windows}
