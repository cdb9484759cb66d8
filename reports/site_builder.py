"""Records and asv results → a static site of flat pages that work offline; `pages` tells how its files are called.

    build(Path(".energybench/records"), Path("site"))

Beside index.html there are a page for each view, workload, commit and machine, how it was measured, a glossary, and the
data. Only what changed since the last build into the same folder is drawn again: `ledger` keeps what it was made from.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from energybench.reports import frames
from energybench.reports.ledger import Ledger
from energybench.reports.pages import INDEX

if TYPE_CHECKING:
    from energybench.reports.about import About
    from energybench.reports.evidence import Evidence, Places

Say = Callable[[str], None]


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
    evidence: "Evidence", site: Path, *, about: "About | None" = None, fresh: bool = False, say: Say = lambda _: None
) -> Path:
    """As `build`, from evidence that was found already."""
    from energybench.reports.about import NOBODY
    from energybench.reports.site import Site, copy_static

    for name in ("figures", "data"):
        (site / name).mkdir(parents=True, exist_ok=True)
    ledger = Ledger(site, fresh=fresh, say=say)
    copy_static(ledger)
    Site(evidence, ledger, about or NOBODY).write()
    ledger.close()
    return site / INDEX
