"""The points of a run: parameters as they were typed, checked against each workload and multiplied out."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from energybench import workloads as works
from energybench.config import YES, suggest
from energybench.model import Parameter, UnknownNameError, Workload

Value: TypeAlias = int | float | str | bool


class SameNameError(ValueError):
    """Two workloads of one name: their records could not be told apart."""


class ParameterError(ValueError):
    """A parameter that was given no value, or one that its workload does not take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One workload with a value for each of its parameters; `source` is the SHA-256 of its file."""

    workload: Workload
    parameters: Mapping[str, Value]
    source: str | None = None

    @property
    def label(self) -> str:
        """`qnn-infer bits=8 batch=64`."""
        return " ".join([self.workload.name, *(f"{key}={value}" for key, value in self.parameters.items())])


def points(names: Sequence[str], given: Mapping[str, Sequence[str]]) -> list[Point]:
    """Load the workloads and multiply out what was given; what was not given stands at its default.

    Raises:
        UnknownNameError: no such workload, or a parameter that one of them does not have.
        ParameterError: a value that does not fit.
        SameNameError: two workloads of one name.
    """
    return [
        Point(workload=workload, parameters=parameters, source=works.source(workload))
        for workload in _loaded(names)
        for parameters in expand(workload, given)
    ]


def _loaded(names: Sequence[str]) -> list[Workload]:
    """Each workload once, however often and by whatever path it was named."""
    places = {works.place(name): name for name in reversed(names)}
    found: dict[str, tuple[str, Workload]] = {}
    for name in dict.fromkeys(places[works.place(name)] for name in names):
        workload = works.load(name)
        first, known = found.setdefault(workload.name, (name, workload))
        if known is not workload:
            raise SameNameError(f"{first} and {name} are both named {workload.name!r}; give one of them another name")
    return [workload for _, workload in found.values()]


def parse(given: Sequence[str], flags: Mapping[str, str | None]) -> dict[str, list[str]]:
    """`bits=1,2` and `--bits 1,2` to values by name, in the order given, each once.

    Raises:
        ParameterError: not of the form name=value.
    """
    pairs = [_split(text) for text in given] + [(name, value) for name, value in flags.items() if value is not None]
    values: dict[str, list[str]] = {}
    for name, text in pairs:
        parts = [part.strip() for part in text.split(",") if part.strip()]
        if not parts:
            raise ParameterError(f"parameter {name!r} has no value; give it as --param {name}=VALUE[,VALUE]")
        kept = values.setdefault(name, [])
        kept += [part for part in dict.fromkeys(parts) if part not in kept]
    return values


def _split(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise ParameterError(f"--param {text!r} has no value; give it as --param NAME=VALUE[,VALUE]")
    return name.strip(), value


def expand(workload: Workload, given: Mapping[str, Sequence[str]]) -> list[dict[str, Value]]:
    """Every combination of the values given, the first parameter varying slowest.

    A workload may offer a `matrix`: values of some parameters that are compared where none of these are given.
    """
    for name in given:
        if name not in workload.parameters:
            raise UnknownNameError(f"{workload.name} has no parameter {name!r}; {suggest(name, workload.parameters)}")
    offered = _offered(workload, given)
    choices = [
        list(dict.fromkeys(convert(workload.name, name, parameter, text) for text in given[name]))
        if name in given
        else list(offered.get(name, [parameter.default]))
        for name, parameter in workload.parameters.items()
    ]
    return [dict(zip(workload.parameters, values, strict=True)) for values in itertools.product(*choices)]


def _offered(workload: Workload, given: Mapping[str, Sequence[str]]) -> Mapping[str, Sequence[Value]]:
    """What a workload compares by itself; each parameter gives way to what is given of it."""
    offered: Mapping[str, Sequence[Value]] = getattr(workload, "matrix", {})
    return {name: values for name, values in offered.items() if name not in given}


def convert(workload: str, name: str, parameter: Parameter, text: str) -> Value:
    """The value of this text, of the kind that the parameter's default has."""
    value = _as_kind_of(parameter.default, text)
    if value is None:
        kind = {bool: "true or false", int: "a whole number", float: "a number"}[type(parameter.default)]
        raise ParameterError(f"{workload}: {name}={text} will not do; give {kind}")
    if parameter.choices and value not in parameter.choices:
        choices = ", ".join(str(choice) for choice in parameter.choices)
        raise ParameterError(f"{workload}: {name}={text} will not do; choose from {choices}")
    return value


def _as_kind_of(default: Value, text: str) -> Value | None:
    if isinstance(default, bool):
        return YES.get(text.lower())
    if isinstance(default, str):
        return text
    try:
        value = type(default)(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
