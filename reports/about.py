"""What a report says of itself to others: its title, how it is cited, and badges that stand for it elsewhere."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import unescape
from typing import Any

from energybench.reports import badge, citation
from energybench.reports.evidence import Evidence
from energybench.reports.frames import Stored
from energybench.reports.ledger import Ledger
from energybench.reports.pages import INDEX, workload_page
from energybench.reports.views.view import latest, names

JOULES = (
    "joules_per_sample",
    "estimated_joules_per_sample",
    "modelled_joules_per_sample",
)
"""Which number a badge of a workload tells: the first that the record has."""
CFF = "CITATION.cff"


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """Who publishes a report, and where.

    Attributes:
        title: of the report; empty where it has none of its own.
        authors: `Family, Given` each, or the name of a group.
        address: of its folder; empty where it is not published.
    """

    title: str = ""
    authors: tuple[str, ...] = ()
    address: str = ""


NOBODY = About()


def cited(evidence: Evidence, about: About, ledger: Ledger) -> dict[str, Any] | None:
    """How the report is cited; None without records."""
    told = citation.cite(evidence.stored, authors=about.authors, title=about.title, address=about.address)
    if told is None:
        return None
    cff = citation.cff(told)
    if cff:
        ledger.page(CFF, cff)
    return {"plain": citation.plain(told), "bibtex": citation.bibtex(told), "cff": bool(cff)}


def badges(evidence: Evidence, about: About, ledger: Ledger) -> list[dict[str, Any]]:
    """A badge of what the newest commit did, where there are two, and one of the newest point of each workload."""
    found = [
        _badge(f"badge{f'-{number}' if number > 1 else ''}.svg", badge.verdict(judgement), INDEX, about, ledger)
        for number, judgement in enumerate(evidence.judged.values(), 1)
    ]
    shown = latest(evidence.stored)
    labels = {one.record["id"]: name for one, name in zip(shown, names(shown), strict=True)}
    for workload, record in sorted(_told_of(evidence.stored).items()):
        metric = next(name for name in JOULES if name in record["results"])
        drawn = badge.series(record["results"][metric], label=f"{labels.get(record['id'], workload)}, joules/sample")
        page = workload_page(workload)
        file = page.replace("workload-", "badge-", 1).replace(".html", ".svg")
        found.append(_badge(file, drawn, page, about, ledger))
    return found


def _told_of(stored: Sequence[Stored]) -> dict[str, Mapping[str, Any]]:
    """The newest record with joules of each workload; a simulated machine stands in for no real one that has some."""
    joules = [one for one in stored if not set(JOULES).isdisjoint(one.record["results"])]
    real_last = sorted(joules, key=lambda one: one.machine == one.record["machine"]["id"])
    return {str(one.record["workload"]["name"]): one.record for one in real_last}


def _badge(file: str, drawn: str, page: str, about: About, ledger: Ledger) -> dict[str, Any]:
    ledger.page(file, drawn)
    text = drawn.partition("<title>")[2].partition("</title>")[0]
    where = f"{about.address.rstrip('/')}/" if about.address else ""
    return {"file": file, "text": unescape(text), "snippet": badge.snippet(where + file, unescape(text), where + page)}
