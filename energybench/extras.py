"""What a task says of itself beside its steps, checked before a record holds it: quality, details, modelled numbers."""

import json
import math
import numbers
from collections.abc import Collection, Mapping
from typing import Any

from energybench.model import Modelled, Task

COUNTED = ("modelled_joules_per_sample", "operand_bytes_per_sample", "flops_per_sample", "operations_per_sample")
"""Results that the operator counter gives."""
RESERVED = frozenset(
    {
        *COUNTED,
        *(f"{kind}joules_per_sample" for kind in ("", "net_", "estimated_")),
        *(
            f"{kind}{spent}_joules_per_sample"
            for kind in ("", "estimated_")
            for spent in ("communication_cpu", "waiting")
        ),
        *(f"{kind}_bytes_per_sample" for kind in ("dram", "wire", "tcp", "payload", "pcie", "nvlink")),
        "seconds_per_sample",
        "samples_per_second",
        "accuracy",
        "file_bytes",
    }
)
"""Results of the protocol, on some machine or other: no model may take their names, nor any `…_to_accuracy`."""


class TaskError(ValueError):
    """A task that says what cannot be; the message names the workload and what is wrong."""


def judged(name: str, quality: Mapping[str, Any]) -> dict[str, float]:
    """What `evaluate` gave, as finite numbers; whatever else it gave is named."""
    if not isinstance(quality, Mapping):
        raise TaskError(f"{name}: evaluate() gave {quality!r}; it gives a dict of numbers by their names")
    for metric, value in quality.items():
        if not _is_finite(value):
            raise TaskError(f"{name}: evaluate() gave {metric}={value!r}; each of its values is a finite number")
        if "joules" in str(metric):
            raise TaskError(f"{name}: evaluate() gave {metric}: joules that a workload computes belong in modelled()")
    return {str(metric): float(value) for metric, value in quality.items()}


def details(name: str, task: Task) -> dict[str, Any]:
    """What `details` gave, as it will be read back from JSON; empty where a task offers none."""
    offered = getattr(task, "details", None)
    if offered is None:
        return {}
    told = offered()
    if not isinstance(told, Mapping):
        raise TaskError(f"{name}: details() gave {told!r}; it gives a dict of plain JSON values")
    try:
        plain: dict[str, Any] = json.loads(json.dumps(dict(told), allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise TaskError(
            f"{name}: details() cannot be written as JSON: {error}; give numbers that are finite, words and lists"
        ) from error
    return plain


def modelled(name: str, task: Task, taken: Collection[str]) -> dict[str, Modelled]:
    """What `modelled` gave; a number that is none, and a name that is taken, are refused.

    Args:
        name: of the workload, for messages.
        task: what may offer it.
        taken: names of results that were measured, estimated or judged.
    """
    offered = getattr(task, "modelled", None)
    if offered is None:
        return {}
    told = offered()
    if not isinstance(told, Mapping):
        raise TaskError(f"{name}: modelled() gave {told!r}; it gives a dict of Modelled by their names")
    for metric, one in told.items():
        if not isinstance(metric, str) or not metric:
            raise TaskError(f"{name}: modelled() gave the name {metric!r}; give a word, as 'analog_joules_per_sample'")
        _check_modelled(f"{name}: modelled() gave {metric}", one)
        if metric in taken or metric in RESERVED or metric.endswith("_to_accuracy"):
            raise TaskError(f"{name}: modelled() gave {metric}, which is another result's name; choose one of its own")
    return dict(told)


def _check_modelled(said: str, one: object) -> None:
    if not isinstance(one, Modelled):
        raise TaskError(f"{said}={one!r}; give a Modelled(value=…, low=…, high=…, unit=…)")
    values = [value for value in (one.low, one.value, one.high) if value is not None]
    if one.value is None or not all(map(_is_finite, values)):
        raise TaskError(f"{said} = {one.value!r} ({one.low!r} to {one.high!r}); its numbers are finite")
    if values != sorted(values):
        raise TaskError(f"{said} = {one.value!r} ({one.low!r} to {one.high!r}); low ≤ value ≤ high")
    if one.unit == "J" and values[0] < 0:
        raise TaskError(f"{said} = {one.value!r} ({one.low!r} to {one.high!r}) J; joules are 0 or more")
    if not isinstance(one.unit, str) or not one.unit:
        raise TaskError(f"{said} with unit={one.unit!r}; give one, as 'J'")


def _is_finite(value: object) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)
