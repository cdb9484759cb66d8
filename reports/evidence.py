"""Everything that a site is made of, read once: records, asv results, their order along commits, and what changed."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from energybench.gating.asv_files import is_results_folder
from energybench.gating.commits import top_of
from energybench.gating.library import CONFIGURATION, Library, SideError, results_dir
from energybench.gating.series import Trouble
from energybench.reports import frames
from energybench.reports.frames import Refused, Stored
from energybench.reports.views.seen import Seen
from energybench.store import DEFAULT_RECORDS

NOTHING = Path(os.devnull)
COLLECTED = ("records", "results")


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where the evidence lies.

    Attributes:
        records: a folder of records, or one record; it may not exist.
        repository: whose commits they are of.
        results: asv's results_dir; None where there is none.
        troubles: why results are missing that should be there.
    """

    records: Path
    repository: Path
    results: Path | None = None
    troubles: tuple[Refused, ...] = ()


def places(path: Path) -> Places:
    """What a path means: records, a results_dir of asv, a collection of both, or a project with them.

    asv's results of the repository that the records are in belong to them.
    """
    if is_results_folder(path):
        return Places(records=NOTHING, repository=top_of(path), results=path)
    if all((path / name).is_dir() for name in COLLECTED):
        return Places(records=path / "records", repository=top_of(path), results=path / "results")
    folder = path if path.is_dir() else path.parent
    is_project = (path / CONFIGURATION).is_file() or (path / DEFAULT_RECORDS).is_dir()
    repository = path if is_project else top_of(folder) if folder.exists() else folder
    records = path / DEFAULT_RECORDS if is_project else path
    try:
        results = results_dir(repository)
    except SideError as error:
        trouble = Refused(path=repository / CONFIGURATION, reason=f"{error}.")
        return Places(records=records, repository=repository, troubles=(trouble,))
    return Places(records=records, repository=repository, results=results if results and results.is_dir() else None)


class Evidence(Seen):
    """What pages are made from; each part is read or computed when it is asked for first.

    Args:
        where: the evidence lies.
        found: what `frames.read` gave, where the records have been read.
    """

    def __init__(self, where: Places, found: frames.Found | None = None) -> None:
        self.where = where
        read = found or (
            frames.read(where.records) if where.records.exists() and where.records != NOTHING else ([], [])
        )
        self.stored: list[Stored] = read[0]
        self._refused = read[1]
        super().__init__(_library(where), remember=True)

    @cached_property
    def refused(self) -> Sequence[Refused]:
        """Files that are in no number: damaged records, damaged results of asv."""
        known = {one.path for one in self._refused}
        troubles = [one for one in self.observed.troubles if one.left_out and one.path not in known]
        return [*self._refused, *self.where.troubles, *map(_refusal, troubles)]


def _library(where: Places) -> Library:
    """The same as the gate knows it."""
    folder = where.records.is_dir() or where.records == NOTHING
    records = where.records if folder else where.records.parent
    return Library(repository=where.repository, records=records, results=where.results or NOTHING)


def _refusal(trouble: Trouble) -> Refused:
    return Refused(path=trouble.path, reason=f"{trouble.reason.rstrip('.')}.")
