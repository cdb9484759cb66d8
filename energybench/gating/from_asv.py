"""asv's results to series: a commit's value of each benchmark and combination of parameters."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from energybench.gating.asv_files import AsvFileError, Result
from energybench.gating.asv_rows import Value, values_of
from energybench.gating.grounds import ON_THE_MACHINE
from energybench.gating.metrics import family_of, is_counted, short_unit
from energybench.gating.series import Family, Gap, Key, Round, Series, Trouble
from energybench.model import Provenance

ENERGY = "energy_"
PROVENANCES = ("measured", "estimated", "simulated", "modelled")
OF_THE_SYSTEM = ("machine", "os", "ram", "python", "cpu", "arch", "num_cpu", "version")
MEMORY = ("memory", "peakmemory")


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """What a benchmark's values are, as the index tells."""

    workload: str
    metric: str
    family: Family
    unit: str
    provenance: Provenance
    higher_is_better: bool
    exact: bool
    margin: float | None
    names: tuple[object, ...]


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
    environments = {one.environment for one in found}
    series: dict[Key, Series] = {}
    gaps: list[Gap] = []
    troubles: list[Trouble] = []
    for result in found:
        for name, meaning, version, values in rows_of(result, index, troubles):
            grounds = grounds_of(result, meaning, version)
            for value in values:
                key = Key(workload=meaning.workload, parameters=value.parameters, metric=meaning.metric)
                if len(environments) > 1:
                    key = _with_environment(key, result.environment)
                if value.missing:
                    gaps.append(Gap(key=key, reason=f"{name} {value.missing} in asv"))
                else:
                    series[key] = _series(key, meaning, grounds, value, result)
    return FromAsv(series=series, gaps=tuple(gaps), troubles=tuple(troubles))


def rows_of(
    result: Result, index: Mapping[str, Mapping[str, Any]], troubles: list[Trouble]
) -> Iterator[tuple[str, Meaning, str, list[Value]]]:
    """Benchmark, meaning, version and values of each row that is judged; what is damaged goes to `troubles`.

    A benchmark that the index does not have was taken out of the suite, and is passed over as asv does.
    """
    place = result.columns.get("version")
    for name, row in result.rows.items():
        described = index.get(name)
        if described is None or (meaning := meaning_of(name, described)) is None:
            continue
        try:
            values = list(values_of(row, result.columns, meaning.names))
        except AsvFileError as error:
            troubles.append(Trouble(path=result.path, reason=f"{name}: {error}"))
            continue
        version = str(row[place]) if place is not None and isinstance(row, list) and place < len(row) else ""
        yield name, _as_it_was(meaning, version), version, values


def meaning_of(name: str, described: Mapping[str, Any]) -> Meaning | None:
    """What a benchmark's values are; None where they are not judged."""
    unit = short_unit(str(described.get("unit", "")))
    workload, metric = _named(name, described, unit)
    provenance = _provenance(metric, described)
    family = family_of(metric, unit, provenance)
    if described.get("type") in MEMORY:
        family = "quality"
    if family is None:
        return None
    margin = described.get("margin")
    names = described.get("param_names")
    return Meaning(
        workload=workload,
        metric=metric,
        family=family,
        unit=unit,
        provenance=provenance,
        higher_is_better=described.get("higher_is_better") is True,
        exact=family == "modelled" and is_counted(metric) and not margin and described.get("exact", True) is not False,
        margin=float(margin) if isinstance(margin, int | float) and margin >= 0 else None,
        names=tuple(names) if isinstance(names, list) else (),
    )


def grounds_of(result: Result, meaning: Meaning, version: str) -> dict[str, str]:
    """What must be equal for two results of a benchmark to be comparable."""
    found = {"workload version": version, "environment": result.environment}
    if meaning.family == "modelled":
        return found | {
            "torch": torch_of(result),
            "python": result.python,
            "dispatch": " ".join(str(result.params.get(name, "unknown")) for name in ("arch", "cpu")),
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
    return str(result.requirements.get("torch") or "as the environment has it")


def _is_own(name: str, result: Result) -> bool:
    return name not in OF_THE_SYSTEM and name not in result.requirements


def _named(name: str, described: Mapping[str, Any], unit: str) -> tuple[str, str]:
    """`quantized.QnnInfer` and `joules_per_sample`; of another benchmark its name, and what it counts."""
    place, _, last = name.rpartition(".")
    if described.get("type") == "energy" and place and last.startswith(ENERGY) and last != ENERGY:
        return place, last.removeprefix(ENERGY)
    kind = {"J": "joules", "s": "seconds", "B": "bytes"}.get(unit)
    return name, kind or str(described.get("type") or unit or "value")


def _provenance(metric: str, described: Mapping[str, Any]) -> Provenance:
    told = described.get("provenance")
    if told in PROVENANCES:
        return cast("Provenance", told)
    return "modelled" if metric.startswith(("modelled_", "operand_bytes", "payload_bytes")) else "measured"


def _as_it_was(meaning: Meaning, version: str) -> Meaning:
    """The index is of the last run: what a simulated machine said before it, or a counter, is told by the version."""
    if version.endswith("-simulated") and meaning.provenance == "measured":
        return replace(meaning, provenance="simulated")
    if meaning.provenance == "simulated" and not version.endswith("-simulated"):
        return replace(meaning, provenance="measured")
    return meaning


def _with_environment(key: Key, environment: str) -> Key:
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
    )
