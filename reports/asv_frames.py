"""asv's results as plain rows: one for each value of each commit, beside the records in the frames."""

import datetime as dt
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from energybench.gating.asv_files import MACHINE_NAME, AsvFileError, Result, is_results_folder, read_object, read_tree
from energybench.gating.asv_files import result_of as checked
from energybench.gating.asv_rows import Parameters, Value
from energybench.gating.errors import error_of_samples
from energybench.gating.from_asv import Damaged, Meaning, rows_of
from energybench.gating.library import index_near
from energybench.gating.series import Trouble
from energybench.reports.numbers import COVERAGE
from energybench.store import may_hold_records

Index = Mapping[str, Mapping[str, Any]]


class AsvValue(NamedTuple):
    """One value of one benchmark at one combination of parameters, of one commit.

    `created` is when it was measured (None where asv kept no moment), `committed` the date of the commit, both in UTC
    and ISO 8601; `version` is the benchmark's; `low` and `high` are ±2 standard errors by its samples or by asv's
    summary of them.
    """

    path: Path
    created: str | None
    committed: str
    machine: str
    environment: str
    commit: str
    workload: str
    version: str
    parameters: Parameters
    metric: str
    value: float
    low: float | None
    high: float | None
    unit: str
    provenance: str
    higher_is_better: bool
    repeats: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """What is where below a folder: results of asv, other JSON files, and folders that may not be looked into."""

    trees: tuple[Path, ...]
    files: tuple[Path, ...]
    closed: tuple[OSError, ...]


def places(folder: Path) -> Places:
    """Results_dirs of asv (or folders of one machine in them) below a folder, and the JSON files outside of them."""
    trees: list[Path] = []
    files: list[Path] = []
    closed: list[OSError] = []
    for name, below, inside in os.walk(folder, onerror=closed.append):
        here = Path(name)
        if is_results_folder(here) or MACHINE_NAME in inside:
            trees.append(here)
            below.clear()
            continue
        below[:] = sorted(one for one in below if may_hold_records(here / one))
        files += [here / one for one in sorted(inside) if one.endswith(".json") and not one.startswith(".")]
    return Places(trees=tuple(sorted(trees)), files=tuple(sorted(files)), closed=tuple(closed))


def read_folder(folder: Path) -> tuple[list[AsvValue], list[Trouble]]:
    """All values in a results_dir, or in the folder of one machine of it; and what could not be used."""
    if is_results_folder(folder):
        tree = read_tree(folder)
        files, index, troubles = list(tree.every()), tree.index, list(tree.troubles)
    else:
        files = sorted(one for one in folder.glob("*.json") if one.name not in (MACHINE_NAME, "benchmarks.json"))
        index, told = index_near(folder)
        troubles = list(told)
    values: list[AsvValue] = []
    for file in files:
        try:
            values += _values(checked(read_object(file), file), index, troubles)
        except AsvFileError as error:
            troubles.append(Trouble(path=file, reason=str(error)))
    return values, [one for one in troubles if one.left_out]


def read_file(file: Path) -> tuple[list[AsvValue], list[Trouble]] | None:
    """The values of one result file; None where it is none of asv's."""
    try:
        content = read_object(file)
    except AsvFileError:
        return None
    if "commit_hash" not in content or "results" not in content:
        return None
    index, told = index_near(file.parent)
    troubles = list(told)
    try:
        return list(_values(checked(content, file), index, troubles)), troubles
    except AsvFileError as error:
        return [], [Trouble(path=file, reason=str(error))]


def wide(values: Iterable[AsvValue]) -> list[dict[str, object]]:
    """A row for each point of each result file, its metrics side by side: the rows of `frames.load`."""
    rows: dict[tuple[Path, str, Parameters], dict[str, object]] = {}
    for one in values:
        place = (one.path, one.workload, one.parameters)
        row = rows.get(place)
        if row is None:
            row = rows[place] = _who(one) | {f"param.{name}": value for name, value in one.parameters}
        row[one.metric] = one.value
        if one.low is not None:
            row[f"{one.metric}.low"], row[f"{one.metric}.high"] = one.low, one.high
        row[f"{one.metric}.provenance"] = one.provenance
    return list(rows.values())


def _who(one: AsvValue) -> dict[str, object]:
    return {
        "id": one.path.stem,
        "created": one.created,
        "committed": one.committed,
        "machine": one.machine,
        "environment": one.environment,
        "commit": one.commit,
        "workload": one.workload,
        "workload_version": one.version,
        "flags": (),
        "path": str(one.path),
    }


def values_of(result: Result, index: Index) -> list[AsvValue]:
    """The values of a result file that was read; damaged rows are left out."""
    return list(_values(result, index, []))


def _values(result: Result, index: Index, troubles: list[Trouble]) -> Iterator[AsvValue]:
    committed = _moment(result.when)
    damaged: list[Damaged] = []
    for name, meaning, version, values in rows_of(result, index, damaged):
        created = _started(result, name)
        for value in values:
            if not value.missing:
                yield _value(result, meaning, version, value, (created, committed))
    troubles += [Trouble(path=result.path, reason=one.reason) for one in damaged]


def _value(
    result: Result, meaning: Meaning, version: str, value: Value, when: tuple[str | None, str | None]
) -> AsvValue:
    error = error_of_samples(value.samples) if value.samples else value.error
    reach = COVERAGE * error if error else None
    return AsvValue(
        path=result.path,
        created=when[0],
        committed=when[1] or "",
        machine=result.machine,
        environment=result.environment,
        commit=result.commit,
        workload=meaning.workload,
        version=version,
        parameters=value.parameters,
        metric=meaning.metric,
        value=value.value,
        low=None if reach is None else value.value - reach,
        high=None if reach is None else value.value + reach,
        unit=meaning.unit,
        provenance=meaning.provenance,
        higher_is_better=meaning.higher_is_better,
        repeats=len(value.samples) or value.repeats,
    )


def _started(result: Result, name: str) -> str | None:
    """When asv began a benchmark; it writes milliseconds since 1970."""
    place, row = result.columns.get("started_at"), result.rows[name]
    told = row[place] if place is not None and isinstance(row, list) and place < len(row) else None
    return _moment(told / 1000) if isinstance(told, int | float) and 0 < told < 1e15 else None


def _moment(seconds: float) -> str | None:
    """A moment in UTC; None for none."""
    if not seconds:
        return None
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
