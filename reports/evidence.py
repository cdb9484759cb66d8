"""Everything that a site is made of, read once: records, asv results, their order along commits, and what changed."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from energybench import asv_configuration
from energybench.gating.asv_files import is_results_folder
from energybench.gating.commits import top_of
from energybench.gating.library import Library, SideError, results_dir
from energybench.gating.series import Trouble
from energybench.reports import frames
from energybench.reports.frames import Refused, Stored
from energybench.reports.odd import odd
from energybench.reports.views.seen import Seen
from energybench.store import DEFAULT_RECORDS

NOTHING = Path(os.devnull)
COLLECTED = ("records", "results")
USED = "Its results are shown all the same; asv machine --yes writes it anew."
"""Of the description of a machine that asv wrote."""


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
    is_project = asv_configuration.beside(path) is not None or (path / DEFAULT_RECORDS).is_dir()
    repository = path if is_project else top_of(folder) if folder.exists() else folder
    records = path / DEFAULT_RECORDS if is_project else path
    try:
        results = results_dir(repository)
    except SideError as error:
        configuration = asv_configuration.of_repository(repository) or repository
        trouble = Refused(path=configuration, reason=f"{error}.")
        return Places(records=records, repository=repository, troubles=(trouble,))
    return Places(records=records, repository=repository, results=results if results and results.is_dir() else None)


class Evidence(Seen):
    """What pages are made from; each part is read or computed when it is asked for first.

    Args:
        where: the evidence lies.
        found: what `frames.read` gave, where the records have been read.
        base: what scorecards compare with, as `Seen` has it; `head` what they compare.
        workers: processes that parse very many records, as `recorded.read` has them.
        machine: the id or name of the machine whose results over commits are taken; all where None.
    """

    def __init__(
        self,
        where: Places,
        found: frames.Found | None = None,
        *,
        base: str | None = None,
        head: str | None = None,
        workers: int = 1,
        machine: str | None = None,
    ) -> None:
        super().__init__(_library(where, workers, machine), remember=True, base=base, head=head)
        self.where = where
        self.stored: list[Stored]
        self.stored, self._refused = found or self._read()

    def _read(self) -> frames.Found:
        if self.where.records.is_dir():
            return frames.over_commits(self.library)
        return frames.read(self.where.records) if self.where.records.is_file() else ([], [])

    @property
    def refused_records(self) -> Sequence[Refused]:
        """Files among the records that hold none, or that cannot be read."""
        return self._refused

    @cached_property
    def refused(self) -> Sequence[Refused]:
        """Files that are in no number, or could not be used as they should: damaged records, damaged files of asv."""
        known = {one.path for one in self._refused}
        troubles = [one for one in self.observed.troubles if one.path not in known and _is_told(one)]
        return [*self._refused, *self.where.troubles, *map(_refusal, troubles)]

    @cached_property
    def odd(self) -> Sequence[Refused]:
        """Records that are shown, and whose numbers cannot be."""
        return odd(self.stored)


def _library(where: Places, workers: int, machine: str | None) -> Library:
    """The same as the gate knows it."""
    folder = where.records.is_dir() or where.records == NOTHING
    records = where.records if folder else where.records.parent
    results = where.results or NOTHING
    return Library(
        repository=where.repository,
        records=records,
        results=results,
        machine=machine,
        remember=True,
        workers=workers,
    )


def _is_told(trouble: Trouble) -> bool:
    """Whether a page tells of it: asv may have no description of a machine, and that is no damage."""
    return trouble.left_out or trouble.path.exists()


def _refusal(trouble: Trouble) -> Refused:
    reason = trouble.reason.rstrip(".")
    return Refused(path=trouble.path, reason=f"{reason}." if trouble.left_out else f"{reason}. {USED}")
