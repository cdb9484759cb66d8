"""The results of a repository: its records, and the results_dir of its asv.conf.json; each file is read once."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from energybench import asv_configuration
from energybench.asv_configuration import ConfigurationError
from energybench.gating.asv_files import (
    INDEX_NAME,
    AsvFileError,
    Result,
    Tree,
    is_results_folder,
    read_index,
    read_result,
    read_tree,
)
from energybench.gating.commits import full_hash, shallow
from energybench.gating.recorded import Found, Recorded, of_stored, read
from energybench.gating.remembered import Memory, cache_file
from energybench.gating.series import Trouble
from energybench.store import Problem, Stored, iter_records

HASH = re.compile("[0-9a-f]{6,40}")
SHALLOW = "this clone is shallow: git fetch --unshallow gets the commits that it lacks"


class SideError(ValueError):
    """What was named as one side of a comparison is nothing that can be read as one."""


class Library:
    """Records and asv results, found when they are asked for.

    Args:
        repository: whose commits they are of.
        records: the folder of records of all machines.
        results: asv's results_dir; by default the one that asv.conf.json names.
        machine: the id or name of the machine whose results are taken; all where None.
        remember: keep what was read of records for the next time.
        workers: processes that parse very many records, as `recorded.read` has them.
    """

    def __init__(
        self,
        *,
        repository: Path,
        records: Path,
        results: Path | None = None,
        machine: str | None = None,
        remember: bool = False,
        workers: int = 1,
    ) -> None:
        self.repository, self.records, self.machine = repository, records, machine
        self._results, self._remember, self._workers = results, remember, workers
        self._read: dict[Path, Result | Trouble] = {}
        self._more: list[Recorded] = []
        self._more_trees: list[Tree] = []

    @cached_property
    def found(self) -> Found:
        """The records, and files among them that are none."""
        if not self.records.is_dir():
            return Found()
        memory = Memory(cache_file(self.records, kind="records") if self._remember else None, self.records)
        found = read(self.records, memory, workers=self._workers)
        memory.keep()
        return found

    @property
    def recorded(self) -> Sequence[Recorded]:
        """All records, each once."""
        return self.found.records

    @cached_property
    def stored(self) -> list[Stored]:
        """All records, whole."""
        return [one.stored() for one in self.recorded]

    def add(self, *stored: Stored, tree: Tree | None = None) -> None:
        """What was named beside the library's own: its noise is learnt from that as well."""
        self._more += map(of_stored, stored)
        if tree and tree.path.resolve() not in {one.path.resolve() for one in self.trees}:
            self._more_trees.append(tree)

    def every_record(self) -> list[Recorded]:
        """All records, each once, and those that were named beside."""
        known = {(one.machine[0], one.brief["id"]): one for one in (*self._more, *self.recorded)}
        return list(known.values())

    @property
    def trees(self) -> list[Tree]:
        """All results_dirs."""
        return [*([self.tree] if self.tree else []), *self._more_trees]

    @property
    def record_troubles(self) -> tuple[Trouble, ...]:
        """Files among the records that are none."""
        return self.found.troubles

    @cached_property
    def tree(self) -> Tree | None:
        """The results_dir; None where there is none."""
        path = self._results or results_dir(self.repository)
        if path is None or not path.is_dir():
            return None
        return read_tree(path)

    def records_of(self, commit: str) -> list[Stored]:
        """The records of a commit with nothing changed."""
        return [one.stored() for one in self.recorded if one.commit == commit]

    def result(self, path: Path) -> Result | Trouble:
        """A result file, parsed the first time."""
        if path not in self._read:
            self._read[path] = _result(path)
        return self._read[path]

    def results_of(self, commit: str) -> tuple[list[Result], tuple[Trouble, ...]]:
        """Results in asv's files of a commit, on all machines or the chosen one, and the files that are none."""
        if self.tree is None:
            return [], ()
        found = [self.result(path) for path in self.tree.of_commit(commit)]
        results = [one for one in found if isinstance(one, Result) and one.commit == commit and self.wanted(one)]
        return results, tuple(one for one in found if isinstance(one, Trouble))

    def every_file(self) -> Iterator[tuple[Path, Mapping[str, Mapping[str, Any]]]]:
        """All result files of all machines, with the index that they go with."""
        for tree in self.trees:
            yield from ((path, tree.index) for path in tree.every())

    def parsed(self, path: Path) -> Result | Trouble:
        """A result file, not kept: there may be thousands."""
        return self._read.get(path) or _result(path)

    def wanted(self, result: Result) -> bool:
        """Whether it is of the chosen machine."""
        return self.machine in (None, result.machine)

    def commits(self) -> list[str]:
        """The beginnings of the hashes of commits that have results, the newest record first."""
        newest = sorted(self.recorded, key=lambda one: str(one.brief["created"]), reverse=True)
        names = [one.commit[:8] for one in newest if one.commit]
        names += [path.name.split("-", 1)[0][:8] for path in (self.tree.every() if self.tree else ())]
        return list(dict.fromkeys(names))

    def known_as(self, text: str) -> str | None:
        """The commit that the beginning of a hash stands for among those with results, as git may not have them all."""
        if not HASH.fullmatch(text):
            return None
        found = {one.commit for one in self.recorded if one.commit and one.commit.startswith(text)}
        for path in self.tree.every() if self.tree else ():
            name = path.name.split("-", 1)[0]
            if (name.startswith(text) or text.startswith(name)) and isinstance(one := self.result(path), Result):
                found |= {one.commit} if one.commit.startswith(text) else set()
        return found.pop() if len(found) == 1 else None

    def shallow(self) -> str:
        """What to do about a clone that has only the newest commits; empty for any other."""
        return SHALLOW if shallow(self.repository) else ""

    def hash_of(self, text: str) -> str | None:
        """The full hash that some text stands for in the repository."""
        return full_hash(self.repository, text)


def read_records(path: Path) -> tuple[list[Stored], tuple[Trouble, ...]]:
    """The records in a file or below a folder, each once, and the files that are none."""
    stored: dict[tuple[str, str], Stored] = {}
    troubles = []
    for one in iter_records(path):
        if isinstance(one, Problem):
            troubles.append(Trouble(path=one.path, reason=one.reason))
            continue
        known = stored.setdefault((one.record.machine.id, one.record.id), one)
        if known is not one:
            same = known.record == one.record
            reason = f"is a copy of {known.path}" if same else f"has the id of {known.path} and another content"
            troubles.append(Trouble(path=one.path, reason=reason))
    return list(stored.values()), tuple(troubles)


def results_dir(repository: Path) -> Path | None:
    """The results_dir of a repository's asv.conf.json, which stands at its top or in a folder there.

    Raises:
        SideError: the file cannot be read.
    """
    found = asv_configuration.of_repository(repository)
    if found is None:
        return None
    try:
        return asv_configuration.results_dir(found)
    except ConfigurationError as error:
        raise SideError(f"{error}; correct it, or name the results_dir itself") from error


def index_near(folder: Path) -> tuple[Mapping[str, Mapping[str, Any]], tuple[Trouble, ...]]:
    """The index of benchmarks that a folder of result files goes with."""
    places = [folder / INDEX_NAME, folder.parent / INDEX_NAME]
    path = next((one for one in places if one.is_file()), places[1])
    try:
        return read_index(path), ()
    except AsvFileError as error:
        return {}, (Trouble(path=path, reason=str(error)),)


def holds_results(folder: Path) -> bool:
    """Whether a folder is a results_dir or has result files of asv in it."""
    if is_results_folder(folder) or (folder / "machine.json").is_file():
        return True
    return any(isinstance(_result(path), Result) for path in sorted(folder.glob("*.json"))[:20])


def _result(path: Path) -> Result | Trouble:
    try:
        return read_result(path)
    except AsvFileError as error:
        return Trouble(path=path, reason=str(error))
