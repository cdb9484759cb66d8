"""Records and asv results → a static site of flat pages that work offline; `pages` tells how its files are called.

    build(Path(".energybench/records"), Path("site"))

Beside index.html there are a page for each view, workload, commit and machine, how it was measured, a glossary, and the
data. Only what changed since the last build into the same folder is drawn again: `ledger` keeps what it was made from.
"""

import contextlib
import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from energybench.reports import frames
from energybench.reports.ledger import NAME, Ledger
from energybench.reports.pages import INDEX
from energybench.site_files import WRITTEN_BY_SITE

if TYPE_CHECKING:
    from energybench.reports.about import About
    from energybench.reports.evidence import Evidence, Places

Say = Callable[[str], None]
OURS = "Written by energybench"
"""What every page of a site says at its end."""


FOLDERS = WRITTEN_BY_SITE
SUFFIXES = frozenset({".html", ".css", ".js", ".svg", ".csv", ".json", ".parquet", ".cff", ".uPlot"})
"""Of all files that a site may have."""


class SiteError(ValueError):
    """A folder that is no place for a site."""


def build(
    records: Path,
    site: Path,
    found: frames.Found | None = None,
    *,
    where: "Places | None" = None,
    about: "About | None" = None,
    fresh: bool = False,
    say: Say = lambda _: None,
) -> Path:
    """Write the site of the evidence at `records` into the folder `site`; return its index.html.

    Files of an earlier build that are no longer part of the site are removed, all others stay. Files that cannot be
    read are named on the front page, with the reason. No evidence at all gives a page that says what would fill it.

    Args:
        records: a folder of records, one record, a results_dir of asv, a collection of both, or a project.
        site: where to write.
        found: what `frames.read` gave, where the records have been read.
        where: the evidence lies, where `records` alone does not tell it.
        about: its title, authors and address.
        fresh: draw everything again.
        say: told what is being made.
    """
    from energybench.reports.evidence import Evidence, places

    return write(Evidence(where or places(records), found), site, about=about, fresh=fresh, say=say)


def write(
    evidence: "Evidence",
    site: Path,
    *,
    about: "About | None" = None,
    fresh: bool = False,
    wait: bool = False,
    say: Say = lambda _: None,
) -> Path:
    """As `build`, from evidence that was found already; `wait` for another build into the same folder to end.

    Raises:
        SiteError: the folder is no place for a site, as one of records is; it cannot be written; or another build is
            writing it.
    """
    from energybench.reports.about import NOBODY
    from energybench.reports.site import Site, copy_static

    _check(site, evidence.where)
    with _clear_of_errors(site), contextlib.ExitStack() as held:
        for name in FOLDERS:
            (site / name).mkdir(parents=True, exist_ok=True)
        held.enter_context(_alone_in(site, wait=wait))
        ledger = Ledger(site, fresh=fresh, say=say)
        copy_static(ledger)
        Site(evidence, ledger, about or NOBODY).write()
        ledger.close()
    return site / INDEX


@contextlib.contextmanager
def _clear_of_errors(site: Path) -> Iterator[None]:
    """Say of a folder that cannot be written what to do."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS) and not _is_in(error.filename, site):
            raise
        from energybench.store import why

        raise SiteError(f"{site} cannot be written ({why(error)}); {_REMEDY}") from error


_REMEDY = "free some space there and make it yours to write, or name another folder with --output"


def _is_in(name: object, site: Path) -> bool:
    """Whether a file is in the site, or a folder that it needs above."""
    return isinstance(name, str | os.PathLike) and (Path(name).is_relative_to(site) or site.is_relative_to(Path(name)))


@contextlib.contextmanager
def _alone_in(site: Path, *, wait: bool) -> Iterator[None]:
    """Hold the folder: two builds at a time would each remove what the other one draws."""
    descriptor = os.open(site, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        message = f"another energybench is writing {site}; wait until it has finished, or name another folder"
        raise SiteError(f"{message} with --output") from error
    except OSError:  # a file system without locks
        pass
    try:
        yield
    finally:
        os.close(descriptor)


def _check(site: Path, where: "Places") -> None:
    """Refuse a folder in which building would write over what is not ours, outside of it, or among the evidence.

    Raises:
        SiteError: there is a foreign index.html, a link where a file or folder of the site may be, or evidence.
    """
    if site.exists() and not site.is_dir():
        raise SiteError(f"{site} is a file; name a folder with --output")
    if site.resolve() == where.records.resolve():
        raise SiteError(f"{site} holds what the site is made of; name a folder outside of it with --output")
    # A search for records passes over a site; asv takes every folder among its results for a machine.
    if where.results and site.resolve().is_relative_to(where.results.resolve()):
        raise SiteError(f"{site} is among the results of asv; name a folder outside of {where.results} with --output")
    if link := next(_links(site), None):
        raise SiteError(f"{link} is a link where a file of the site may be; name another folder with --output")
    index = site / INDEX
    if (
        index.exists()
        and not (site / NAME).exists()
        and OURS not in index.read_text(encoding="utf-8", errors="replace")
    ):
        raise SiteError(f"{index} was not written by energybench; name another folder with --output")


def _links(site: Path) -> Iterator[str]:
    """Links that a file or folder of the site may have the name of."""
    for folder in (site, *(site / name for name in FOLDERS)):
        if not folder.is_dir():
            continue
        with os.scandir(folder) as entries:
            yield from sorted(
                one.path
                for one in entries
                if one.is_symlink() and (one.name in FOLDERS or Path(one.name).suffix in SUFFIXES)
            )
