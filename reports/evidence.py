"""Everything that a site is made of, read once: records, asv results, their order along commits, and what changed."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from energybench.gating.asv_files import is_results_folder
from energybench.gating.commits import Commit, top_of
from energybench.gating.library import CONFIGURATION, Library, SideError, results_dir
from energybench.gating.line import Laid, lay
from energybench.gating.observed import Observed, observe
from energybench.gating.series import Trouble
from energybench.gating.verdicts import Judgement
from energybench.history import History, history
from energybench.reports import frames
from energybench.reports.frames import Refused, Stored
from energybench.reports.views.changed import newest_against_before
from energybench.reports.views.curves import Curve, curves
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


class Evidence:
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

    @cached_property
    def library(self) -> Library:
        """Records and asv results, as the gate knows them."""
        records = self.where.records if self.where.records.is_dir() else self.where.records.parent
        if self.where.records == NOTHING:
            records = NOTHING
        return Library(repository=self.where.repository, records=records, results=self.where.results or NOTHING)

    @cached_property
    def observed(self) -> Observed:
        """Every value of each series."""
        return observe(self.library)

    @cached_property
    def laid(self) -> Laid:
        """All series along their commits."""
        return lay(self.where.repository, self.observed)

    @cached_property
    def found(self) -> History:
        """Which commits changed what."""
        return history(self.library, observed=self.observed, laid=self.laid)

    @cached_property
    def curves(self) -> Sequence[Curve]:
        """All series over commits, those that changed first."""
        return curves(self.laid, self.found)

    @cached_property
    def judged(self) -> Mapping[str, Judgement]:
        """The newest commit of each machine against the one before it."""
        return newest_against_before(self.library, observed=self.observed)

    @cached_property
    def commits(self) -> Sequence[Commit]:
        """The commits with results, the oldest first; places of the curves count along them."""
        measured = {one.commit for row in self.laid.rows for one in row.observations}
        return [one for one in self.laid.line.commits if one.hash in measured]

    @cached_property
    def refused(self) -> Sequence[Refused]:
        """Files that are in no number: damaged records, damaged results of asv."""
        known = {one.path for one in self._refused}
        troubles = [one for one in self.observed.troubles if one.left_out and one.path not in known]
        return [*self._refused, *self.where.troubles, *map(_refusal, troubles)]


def _refusal(trouble: Trouble) -> Refused:
    return Refused(path=trouble.path, reason=f"{trouble.reason.rstrip('.')}.")
