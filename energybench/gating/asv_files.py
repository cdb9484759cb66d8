"""asv's files read once, and read carefully: what is damaged or foreign is named with its file.

The formats are asv 0.6.6's: results of version 2, benchmarks.json of version 2, machine.json of version 1.
"""

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from energybench.gating.series import Trouble
from energybench.store import why

RESULTS, INDEX = 2, 2
"""Versions of the formats that are read."""
COLUMNS = ("result", "params", "version", "started_at", "duration")
INDEX_NAME, MACHINE_NAME = "benchmarks.json", "machine.json"


class AsvFileError(ValueError):
    """A file that is none of asv's, or a damaged one; the message has no path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One result file: a commit on a machine in an environment.

    Attributes:
        path: the file.
        commit: the full hash.
        machine: asv's name of it.
        environment: asv's name of it.
        when: the commit's date, seconds since 1970.
        params: machine parameters and requirements, as asv keeps them.
        requirements: packages and their versions.
        python: its version, or path.
        columns: names of the entries of a row.
        rows: by benchmark.
    """

    path: Path
    commit: str
    machine: str
    environment: str
    when: float
    params: Mapping[str, Any]
    requirements: Mapping[str, Any]
    python: str
    columns: Mapping[str, int]
    rows: Mapping[str, Sequence[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """A results_dir: what its benchmarks are, and which result files it has, by name only.

    Attributes:
        path: the folder.
        index: asv's description of each benchmark.
        files: of each machine, sorted.
        troubles: what is missing or damaged.
    """

    path: Path
    index: Mapping[str, Mapping[str, Any]]
    files: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    troubles: tuple[Trouble, ...] = ()

    def of_commit(self, commit: str) -> list[Path]:
        """The result files whose names begin with that commit's hash."""
        return [path for path in self.every() if commit.startswith(path.name.split("-", 1)[0])]

    def every(self) -> Iterator[Path]:
        """All result files."""
        return itertools.chain.from_iterable(self.files.values())


def is_results_folder(path: Path) -> bool:
    """Whether a folder is a results_dir: it has the index, or machines with their files."""
    return (path / INDEX_NAME).is_file() or any(path.glob(f"*/{MACHINE_NAME}"))


def read_tree(path: Path) -> Tree:
    """The index and the names of result files of a results_dir."""
    troubles: list[Trouble] = []
    index: Mapping[str, Mapping[str, Any]] = {}
    try:
        index = read_index(path / INDEX_NAME)
    except AsvFileError as error:
        troubles.append(Trouble(path=path / INDEX_NAME, reason=str(error)))
    files: dict[str, tuple[Path, ...]] = {}
    for folder in sorted(one for one in path.iterdir() if one.is_dir() and not one.name.startswith(".")):
        found = tuple(sorted(one for one in folder.glob("*.json") if one.name != MACHINE_NAME))
        if not found:
            continue
        files[folder.name] = found
        if problem := _machine_problem(folder / MACHINE_NAME):
            troubles.append(Trouble(path=folder / MACHINE_NAME, reason=problem, left_out=False))
    return Tree(path=path, index=index, files=files, troubles=tuple(troubles))


def read_index(path: Path) -> dict[str, Mapping[str, Any]]:
    """Each benchmark's description by name; an entry that is none is left out."""
    values = read_object(path)
    if values.get("version") != INDEX:
        raise AsvFileError(f"version {values.get('version')!r} of asv's index is not known here ({INDEX} is)")
    return {name: one for name, one in values.items() if isinstance(one, Mapping)}


def read_result(path: Path) -> Result:
    """A result file.

    Raises:
        AsvFileError: it is no such file, or a damaged one.
    """
    return result_of(read_object(path), path)


def result_of(values: Mapping[str, Any], path: Path) -> Result:
    """A result file's values, checked as far as all of its rows need it."""
    if not isinstance(values.get("commit_hash"), str) or not isinstance(values.get("results"), Mapping):
        raise AsvFileError("is no result file of asv: it has no commit_hash or no results")
    if values.get("version") != RESULTS:
        raise AsvFileError(f"version {values.get('version')!r} of asv's results is not known here ({RESULTS} is)")
    columns, params = values.get("result_columns"), values.get("params")
    if not isinstance(columns, list) or not set(COLUMNS[:2]) <= set(map(str, columns)):
        raise AsvFileError("its result_columns do not tell where result and params are")
    if not isinstance(params, Mapping):
        raise AsvFileError("it has no params, so its machine is not known")
    date, requirements = values.get("date"), values.get("requirements")
    return Result(
        path=path,
        commit=values["commit_hash"],
        machine=str(params.get("machine") or path.parent.name),
        environment=str(values.get("env_name", "")),
        when=date / 1000 if isinstance(date, int | float) and abs(date) < 1e15 else 0.0,
        params=params,
        requirements=requirements if isinstance(requirements, Mapping) else {},
        python=str(values.get("python", "")),
        columns={str(name): number for number, name in enumerate(columns)},
        rows=values["results"],
    )


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file; a NaN is one of asv's."""
    try:
        return parse_object(path.read_bytes())
    except OSError as error:
        raise AsvFileError(f"cannot be read ({why(error)})") from error


def parse_object(text: bytes) -> dict[str, Any]:
    """The JSON object in these bytes."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise AsvFileError(f"is not whole JSON: {error}") from error
    if not isinstance(values, dict):
        raise AsvFileError("is no JSON object")
    return values


def _machine_problem(path: Path) -> str:
    if not path.is_file():
        return "is missing; asv machine --yes writes it"
    try:
        values = read_object(path)
    except AsvFileError as error:
        return str(error)
    return "" if isinstance(values.get("machine"), str) else "does not name its machine"
