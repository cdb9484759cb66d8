"""What was measured of a point -> its record, with the flags that a reader must know of."""

import json
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import energybench
from energybench import communication, extras, host, results, sums
from energybench.dephase import Sensor, residual
from energybench.model import Provenance, Task
from energybench.quiet import Quiet
from energybench.record import DomainEnergy, DomainUnavailable, Idle, Metric, Part, Record, Window, parse
from energybench.results import Alias, exact
from energybench.settings import Point
from energybench.stepping import Warm

ALIASED = 0.03
SLOWER = 0.05


class Counting(Protocol):
    """Counts what a step computes and moves, and prices it: `energybench.probes.operators`."""

    def count(self, work: Callable[[], object]) -> Any:
        """Run the work once and say what it did."""
        ...

    def typical(self, work: Callable[[], object]) -> Any:
        """Run the work a few times and say what one of them does, as most of them do it."""
        ...

    def summed(self, parts: Sequence[Mapping[str, Any]]) -> Any:
        """What several processes did, each as plain values."""
        ...

    def energy(self, counts: Any, priced_by: Any) -> Any:
        """What these counts cost by a named table."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Where and how all points of a run are measured."""

    machine: Mapping[str, Any]
    quiet: Quiet
    protocol: Mapping[str, Any]
    probes: Mapping[str, Any]
    sources: list[list[str]]
    throttled_before: int | None
    provenance: Provenance


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What was measured of one point."""

    id: str
    windows: list[Window]
    idles: list[Idle]
    gap_seconds: float
    sensors: Sequence[Sensor]
    blinking: tuple[str, ...]
    resumed: bool
    prepare_seconds: float
    warm: Warm | None


def assemble(point: Point, task: Task, measured: Measured, setting: Setting, counting: Counting | None) -> Record:
    """Judge the quality, count the operators, and put a record together."""
    windows = measured.windows
    alias = Alias(residual=residual_of(measured), domains=measured.blinking)
    metrics = _metrics(measured, alias, task, point.workload.name, setting.provenance)
    each = [(w.seconds - w.gap_seconds) / w.steps for w in windows]
    parts = framed(point, task.definition, measured, setting, alias, each)
    parts |= {"parameters": dict(point.parameters), "results": {name: dump(metric) for name, metric in metrics.items()}}
    if told := extras.details(point.workload.name, task):
        parts["details"] = told
    if counting and (
        found := count_operators(
            parts, task, lambda: counting.typical(task.step), counting, str(setting.protocol["table"])
        )
    ):
        parts["results"] |= {name: dump(one) for name, one in _counted(*found, task.samples).items()}
    return parse(parts)


def framed(
    point: Point,
    definition: Mapping[str, object],
    measured: Measured,
    setting: Setting,
    alias: Alias,
    each: Sequence[float],
) -> dict[str, Any]:
    """All of a record but its parameters and results; `each` is the time of like work, the first measured first."""
    return {
        "schema": 1,
        "id": measured.id,
        "created": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "energybench": energybench.__version__,
        **_circumstances(setting, setting.protocol["windows"]),
        "workload": _workload(point, definition),
        **_amounts(measured.windows, alias),
        "idle": [dump(idle) for idle in measured.idles],
        "windows": [dump(w) for w in measured.windows],
        "flags": _flags(measured, setting, alias, each),
        "timing": _timing(measured),
    }


def _workload(point: Point, definition: Mapping[str, object]) -> dict[str, Any]:
    work, source = point.workload, getattr(point, "source", None)
    values = {"name": work.name, "version": work.version, "definition": plain_values(definition)}
    return values | ({"source": source} if source else {})


def plain_values(values: Mapping[str, object]) -> dict[str, Any]:
    """A definition as it will be read back from JSON."""
    plain: dict[str, Any] = json.loads(json.dumps(dict(values), allow_nan=False))
    return plain


def dump(part: Part) -> dict[str, Any]:
    """A part of a record as plain values; what is absent is absent."""
    return part.model_dump(mode="json", exclude_none=True)


def _metrics(measured: Measured, alias: Alias, task: Task, name: str, provenance: Provenance) -> dict[str, Metric]:
    windows = measured.windows
    metrics = {
        **results.energy_metrics(windows, measured.idles, alias),
        **results.estimate_metrics(windows),
        **communication.metrics(windows, measured.idles),
        **results.time_metrics(windows),
        **results.traffic_metrics(windows, provenance),
        **results.quality_metrics(extras.judged(name, task.evaluate()), getattr(task, "judged", None)),
    }
    metrics |= results.modelled_metrics(extras.modelled(name, task, metrics))
    if task.file_bytes is not None:
        metrics["file_bytes"] = exact(float(task.file_bytes), unit="B", provenance="measured")
    return metrics


def _circumstances(setting: Setting, windows: int) -> dict[str, Any]:
    protocol = {key: value for key, value in setting.protocol.items() if value is not None}
    return {
        "protocol": {**protocol, "windows": windows},
        "seed": setting.protocol["seed"],
        "quick": setting.protocol["quick"],
        "machine": dict(setting.machine),
        "quiet": {"quiet": setting.quiet.quiet, "reasons": list(setting.quiet.reasons)},
        "probes": dict(setting.probes),
        "sources": setting.sources,
    }


def _amounts(windows: Sequence[Window], alias: Alias) -> dict[str, Any]:
    """Sums over the windows."""
    kinds = set.intersection(*(set(w.traffic) for w in windows))
    hidden = {name: results.hidden(windows, Alias(residual=alias.residual, domains=(name,))) for name in alias.domains}
    domains = {name: _widened(part, hidden.get(name, 0.0)) for name, part in sums.summed_domains(windows).items()}
    amounts: dict[str, Any] = {
        "seconds": math.fsum(w.seconds for w in windows),
        "steps": sum(w.steps for w in windows),
        "samples": sum(w.samples for w in windows),
        "traffic": {kind: math.fsum(w.traffic[kind] for w in windows) for kind in sorted(kinds)},
        "domains": {name: dump(part) for name, part in domains.items()},
    }
    if total := sums.summed_total(windows):
        error = math.hypot(total.standard_uncertainty, *(hidden.get(name, 0.0) for name in total.domains))
        amounts["total"] = {**dump(total), "standard_uncertainty": error}
    if estimate := sums.summed_estimate(windows):
        amounts["estimated"] = dump(estimate)
    trace = [[w.round, *sample] for w in windows for sample in w.trace or []]
    return amounts | ({"trace": trace} if trace else {})


def _widened(part: DomainEnergy | DomainUnavailable, hidden: float) -> DomainEnergy | DomainUnavailable:
    """Joules of a sensor that looks away, with what it may have missed."""
    if isinstance(part, DomainUnavailable) or not hidden:
        return part
    flags = ["aliased"] if hidden > ALIASED * part.joules else []
    return part.model_copy(
        update={
            "standard_uncertainty": math.hypot(part.standard_uncertainty, hidden),
            "components": {**(part.components or {}), "aliasing": hidden},
            "flags": [*part.flags, *flags],
        }
    )


def residual_of(measured: Measured) -> float:
    """The relative standard error of one window by aliasing, at the period that the steps really had."""
    windows = measured.windows
    if not measured.sensors or not windows:
        return 0.0
    steps = statistics.median_low([w.steps for w in windows])
    period = statistics.median((w.seconds) / w.steps for w in windows)
    return residual(period, measured.sensors, steps=steps)


def _flags(measured: Measured, setting: Setting, alias: Alias, each: Sequence[float]) -> list[str]:
    """What a reader must know of the whole record; flags of single domains stand at the domain as well."""
    windows, idles = measured.windows, measured.idles
    covered = sums.common_total(windows)
    cut = covered[0].total.domains if covered and covered[0].total else []
    rest = results.at_rest(idles, cut)
    throttled = host.throttle_count()
    found = {
        "aliased": bool(alias.domains) and alias.residual / math.sqrt(len(windows)) > ALIASED,
        "dephased": measured.gap_seconds > 0,
        "gaps-included": measured.gap_seconds > 0 and bool(cut) and rest is None,
        "domains-changed": 0 < len(covered) < len(windows),
        "idle-drift": rest is not None and rest.drift > 0,
        "time-drift": abs(each[-1] - each[0]) > SLOWER * min(each),
        "not-steady": measured.warm is not None and not measured.warm.steady,
        "cpu-throttled": None not in (throttled, setting.throttled_before) and throttled != setting.throttled_before,
        "resumed": measured.resumed,
    }
    told = dict.fromkeys(flag for w in windows for flag in w.flags)
    return [*told, *(name for name, holds in found.items() if holds and name not in told)]


def _timing(measured: Measured) -> dict[str, float]:
    timing = {"prepare_seconds": measured.prepare_seconds, "gap_seconds": measured.gap_seconds}
    if measured.warm:
        timing |= {"warmup_seconds": measured.warm.seconds, "step_seconds": measured.warm.step_seconds}
    return timing


def count_operators(
    parts: dict[str, Any], worker: object, count: Callable[[], Any], counting: Counting, table: str
) -> tuple[Any, Any] | None:
    """The work of one step once more, outside the windows, with its operators counted; scaled to all measured steps.

    A worker whose work is in other processes counts there, and offers `counts()`.

    Returns:
        The counts of this one step, and what they cost by the table; None where nothing was seen to run: numpy's
        work is not 0 J.
    """
    elsewhere = getattr(worker, "counts", None)
    counts = counting.summed(elsewhere()) if elsewhere else count()
    if not counts.calls:
        return None
    priced = counting.energy(counts, table)
    steps = parts["steps"]
    parts["operators"] = {
        "unmapped": sorted(counts.unmapped),
        "counts": {
            "operations": dict(counts.operations),
            "calls": dict(counts.calls),
            "flops": counts.flops,
            "read_bytes": counts.read_bytes,
            "written_bytes": counts.written_bytes,
        },
        "unpriced": dict(priced.unpriced),
    }
    parts["modelled"] = {
        "table": priced.table,
        **{
            name: getattr(priced, name) * steps
            for name in ("joules", "arithmetic_joules", "memory_joules", "low", "high")
        },
    }
    parts["traffic"] = {"operand_bytes": counts.operand_bytes * float(steps), **parts["traffic"]}
    return counts, priced


def _counted(counts: Any, priced: Any, samples: int) -> dict[str, Metric]:
    """What one step counts, for each of its samples."""
    modelled = Metric(
        value=priced.joules / samples,
        low=priced.low / samples,
        high=priced.high / samples,
        unit="J",
        provenance="modelled",
        higher_is_better=False,
    )
    each = {name: exact(value / samples, unit=unit, provenance="modelled") for name, value, unit in amounts_of(counts)}
    return {"modelled_joules_per_sample": modelled} | {f"{name}_per_sample": one for name, one in each.items()}


def amounts_of(counts: Any) -> list[tuple[str, float, str]]:
    """What was counted, beside joules: name, value and unit."""
    return [
        ("operand_bytes", counts.operand_bytes, "B"),
        ("flops", counts.flops, "FLOP"),
        ("operations", sum(counts.operations.values()), "op"),
    ]
