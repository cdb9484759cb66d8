"""What a benchmark was measured to take -> its record, joules a call."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from energybench import results, stepping
from energybench.assembly import Measured, Setting, dump, framed, residual_of
from energybench.keys import digest
from energybench.meter import Meter
from energybench.model import Parameter, Task
from energybench.record import Idle, Record, Window, parse
from energybench.results import Alias
from energybench.settings import Value
from energybench.suites.choosing import Combination
from energybench.suites.served import Ran

METHOD = 1
"""Raised when joules a call of a suite's benchmark change their meaning."""


class Timed:
    """A benchmark of a suite as a workload: nobody but its suite can prepare it."""

    summary = "calls of an asv benchmark"

    def __init__(self, name: str) -> None:
        self.name, self.version = name, METHOD
        self.parameters: Mapping[str, Parameter] = {}

    def prepare(self, parameters: Mapping[str, Value], *, seed: int, quick: bool) -> Task:
        """It is set up by asv_runner, in a process of its own."""
        raise NotImplementedError(f"{self.name} is measured with: energybench run --asv-suite")


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedPoint:
    """A benchmark with a value for each of its parameters."""

    workload: Timed
    parameters: Mapping[str, Value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What all records of one run share."""

    id: str
    project: str
    setting: Setting
    idles: Sequence[Idle]
    meter: Meter


def point_of(one: Combination, project: str) -> TimedPoint:
    """The point of a combination; its workload is `asv:PROJECT:BENCHMARK`."""
    return TimedPoint(workload=Timed(f"asv:{project}:{one.benchmark.name}"), parameters=one.parameters)


def record_of(one: Combination, ran: Ran, windows: Sequence[Window], run: Run, *, preparing: float) -> Record:
    """The record of a combination: a call is a step and a sample.

    Args:
        one: what was called.
        ran: how.
        windows: what was measured.
        run: where, and with what.
        preparing: seconds of its process beside its windows.
    """
    point = point_of(one, run.project)
    energies = stepping.energy_domains(run.meter)
    measured = Measured(
        id=_id(run, one),
        windows=list(windows),
        idles=list(run.idles),
        gap_seconds=0.0,
        sensors=stepping.blinking(run.meter),
        blinking=tuple(d.name for d in energies if d.tick and d.seen < 1),
        resumed=False,
        prepare_seconds=preparing,
        warm=None,
    )
    alias = Alias(residual=residual_of(measured), domains=measured.blinking)
    setting = replace(run.setting, protocol={**run.setting.protocol, "windows": len(windows)})
    each = [window.seconds / window.samples for window in windows]
    parts = framed(point, _definition(one, ran), measured, setting, alias, each)
    metrics = {
        **results.energy_metrics(windows, run.idles, alias),
        **results.estimate_metrics(windows),
        **results.time_metrics(windows),
        **results.traffic_metrics(windows, setting.provenance),
    }
    parts |= {"parameters": dict(point.parameters), "results": {name: dump(metric) for name, metric in metrics.items()}}
    details = {"pretty_name": one.benchmark.pretty_name, "note": ran.note or None}
    return parse(parts | {"details": {key: value for key, value in details.items() if value}})


def _definition(one: Combination, ran: Ran) -> dict[str, object]:
    """What two records must share: what is called, in which version, and how."""
    return {
        "task": "calls of an asv benchmark",
        "benchmark": one.benchmark.name,
        "benchmark_version": one.benchmark.version,
        "number": ran.number,
        "mode": ran.mode,
    }


def _id(run: Run, one: Combination) -> str:
    """The run, a name to read, and digits that tell combinations apart."""
    readable = re.sub(r"[^A-Za-z0-9._-]", "_", f"{run.project}-{one.benchmark.name}")[:120]
    return f"{run.id}-{readable}-{digest([run.project, one.benchmark.name, one.index])}"
