"""asv's results to series: a commit's value of each benchmark and combination of parameters."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from energybench.gating.asv_files import AsvFileError, Result
from energybench.gating.asv_meaning import Meaning, as_it_was, meaning_of, undescribed
from energybench.gating.asv_rows import Parameters, Value, points_of, scaled, values_of
from energybench.gating.grounds import ON_THE_MACHINE
from energybench.gating.series import Gap, Key, Round, Series, Trouble

__all__ = ["Damaged", "FromAsv", "Meaning", "context_of", "from_asv", "grounds_of", "meaning_of", "rows_of"]

OF_THE_SYSTEM = ("machine", "os", "ram", "python", "cpu", "arch", "num_cpu", "version")
OF_A_SUITE = re.compile(r"\d+\.\d+(-full)?(-simulated)?")
"""The version of an EnergySuite: the protocol's, the definition's, and what else makes it another measurement."""
FULL = "-full"
DESCRIBED = "described"
"""The ground of what asv's index has no description of."""
UNKNOWN_TORCH = "as the environment has it"
TORCH_NOTE = "neither side tells its version of torch"
UNKNOWN = "unknown"
UNKNOWN_DISPATCH = f"{UNKNOWN} {UNKNOWN}"
"""Of a machine file with neither arch nor cpu, as `asv machine --machine NAME` alone writes it."""
CPU_NOTE = "neither side tells its processor; asv machine --cpu does"


@dataclass(frozen=True, slots=True, kw_only=True)
class FromAsv:
    """What result files of one commit hold."""

    series: Mapping[Key, Series]
    gaps: tuple[Gap, ...] = ()
    troubles: tuple[Trouble, ...] = ()


def from_asv(results: Iterable[Result], index: Mapping[str, Mapping[str, Any]]) -> FromAsv:
    """The series of a commit's result files; where they are of several environments, each is a parameter.

    Args:
        results: files of one commit and one machine.
        index: asv's description of each benchmark.
    """
    found = list(results)
    several = len({one.environment for one in found}) > 1
    series: dict[Key, Series] = {}
    gaps: list[Gap] = []
    troubles: list[Trouble] = []

    def gap(key: Key, reason: str, result: Result) -> None:
        gaps.append(Gap(key=named(key, result), reason=reason, environment=result.environment))

    def named(key: Key, result: Result) -> Key:
        return with_environment(key, result.environment) if several else key

    for result in found:
        damaged: list[Damaged] = []
        for name, meaning, version, values in _every_row_of(result, index, damaged):
            grounds = grounds_of(result, meaning, version)
            for value in values:
                key = _key(meaning, value.parameters)
                if value.missing:
                    gap(key, f"{name} {value.missing} in asv", result)
                else:
                    series[named(key, result)] = _series(named(key, result), meaning, grounds, value, result)
        for one in damaged:
            troubles.append(Trouble(path=result.path, reason=one.reason))
            for point in points_of(one.meaning.params, one.meaning.names):
                gap(_key(one.meaning, point), f"{result.path}: {one.reason}", result)
    return FromAsv(series=series, gaps=tuple(gaps), troubles=tuple(troubles))


@dataclass(frozen=True, slots=True, kw_only=True)
class Damaged:
    """A row that cannot be read."""

    meaning: Meaning
    reason: str


def _every_row_of(
    result: Result, index: Mapping[str, Mapping[str, Any]], damaged: list[Damaged]
) -> Iterator[tuple[str, Meaning, str, list[Value]]]:
    """As `rows_of`, and the rows of benchmarks that the index does not have any more: they were measured once."""
    yield from rows_of(result, index, damaged)
    for name, row in result.rows.items():
        if not index or name in index:
            continue
        try:
            values = [one for one in values_of(row, result.columns, ()) if not one.missing]
        except AsvFileError:
            continue
        yield name, undescribed(name), _version(row, result), values


def _version(row: object, result: Result) -> str:
    place = result.columns.get("version")
    return str(row[place]) if place is not None and isinstance(row, list) and place < len(row) else ""


def rows_of(
    result: Result, index: Mapping[str, Mapping[str, Any]], damaged: list[Damaged]
) -> Iterator[tuple[str, Meaning, str, list[Value]]]:
    """Benchmark, meaning, version and values of each row that is judged; what cannot be read goes to `damaged`.

    A benchmark that the index does not have was taken out of the suite, and is passed over as asv does.
    """
    for name, row in result.rows.items():
        described = index.get(name)
        if described is None or (meaning := meaning_of(name, described)) is None:
            continue
        try:
            values = list(values_of(row, result.columns, meaning.names))
        except AsvFileError as error:
            damaged.append(Damaged(meaning=meaning, reason=f"{name}: {error}"))
            continue
        if meaning.factor != 1.0:
            values = [scaled(one, meaning.factor) for one in values]
        version = _version(row, result)
        yield name, as_it_was(meaning, version), version, values


def grounds_of(result: Result, meaning: Meaning, version: str) -> dict[str, str]:
    """What must be equal for two results of a benchmark to be comparable."""
    found = {"workload version": version, "environment": result.environment}
    if OF_A_SUITE.fullmatch(version):
        found |= {"workload version": version.replace(FULL, ""), "quick": "no" if FULL in version else "yes"}
    if not meaning.described:
        return found | {DESCRIBED: "no"}
    if meaning.family == "modelled":
        return found | {
            "torch": torch_of(result),
            "python": result.python,
            "dispatch": " ".join(str(result.params.get(name) or UNKNOWN) for name in ("arch", "cpu")),
        }
    return {**found, **machine_of(result)} if meaning.family in ON_THE_MACHINE else found


def machine_of(result: Result) -> dict[str, str]:
    """The machine and everything that its owner says of it, such as a driver or a power meter."""
    params = result.params
    told = {name: str(params[name]) for name in ("cpu", "arch", "num_cpu") if params.get(name) not in (None, "")}
    own = {name: str(value) for name, value in params.items() if _is_own(name, result)}
    return {"machine": result.machine, **told, **{name: value for name, value in own.items() if value}}


def context_of(result: Result, meaning: Meaning, version: str) -> dict[str, str]:
    """Everything beside the commit that may move a series."""
    found = {**grounds_of(result, meaning, version), "torch": torch_of(result)}
    return {**found, "kernel": str(result.params.get("os", ""))} if meaning.family in ON_THE_MACHINE else found


def torch_of(result: Result) -> str:
    """The version of torch that the environment asks for."""
    return str(result.requirements.get("torch") or UNKNOWN_TORCH)


def _is_own(name: str, result: Result) -> bool:
    return name not in OF_THE_SYSTEM and name not in result.requirements


def _key(meaning: Meaning, parameters: Parameters) -> Key:
    return Key(workload=meaning.workload, parameters=parameters, metric=meaning.metric)


def with_environment(key: Key, environment: str) -> Key:
    """The key of one of several environments of asv."""
    return replace(key, parameters=tuple(sorted([*key.parameters, ("environment", environment)])))


def _series(key: Key, meaning: Meaning, grounds: Mapping[str, str], value: Value, result: Result) -> Series:
    one = Round(
        values=value.samples or (value.value,),
        when=result.when,
        standard_error=None if value.samples else value.error,
        count=None if value.samples else value.repeats,
    )
    return Series(
        key=key,
        family=meaning.family,
        unit=meaning.unit,
        provenance=meaning.provenance,
        higher_is_better=meaning.higher_is_better,
        exact=meaning.exact,
        grounds=grounds,
        margin=meaning.margin,
        rounds=(one,),
        note="; ".join(_notes(grounds)),
    )


def _notes(grounds: Mapping[str, str]) -> Iterator[str]:
    """What is not known of this side, nor then of another one with the same grounds."""
    if grounds.get("torch") == UNKNOWN_TORCH:
        yield TORCH_NOTE
    if grounds.get("dispatch", "").endswith(f" {UNKNOWN}"):
        yield CPU_NOTE
