"""One build of a site: its views, groups and pages, from evidence that was found."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from energybench.reports import data, frames, glossary, published
from energybench.reports.about import About, badges, cited
from energybench.reports.commits import CommitPages
from energybench.reports.evidence import Evidence
from energybench.reports.flags import meanings
from energybench.reports.groups import groups as groups_of
from energybench.reports.ledger import Ledger, Made
from energybench.reports.machine_pages import compared, machine_pages
from energybench.reports.machines import methods
from energybench.reports.odd import newest_day
from energybench.reports.pages import COMMITS, DATA, GLOSSARY, HERE, INDEX, METHOD, commit_page, rendered, view_page
from energybench.reports.views import trend, views, writing
from energybench.reports.views.view import latest
from energybench.reports.workload_pages import workload_pages

STATIC = (
    "report.css",
    "report.js",
    "theme.js",
    "vendor/uPlot.iife.min.js",
    "vendor/uPlot.min.css",
    "vendor/LICENSE.uPlot",
    "icon.svg",
)
LISTED = 12
"""Commits of the front page; all are on a page of their own."""
TILES, TILES_EACH = 8, 2
KINDS = ("measured", "estimated", "modelled", "simulated")


class Site:
    """One build, into the site of a ledger."""

    def __init__(self, evidence: Evidence, ledger: Ledger, about: About) -> None:
        self.evidence, self.ledger, self.about = evidence, ledger, about
        stored = evidence.stored
        self.groups = groups_of(stored, frames.frame(sorted(latest(stored), key=frames.in_time)), ledger)
        self.views = [writing.write(one, ledger) for one in views(stored, evidence)]
        self.machines = machine_pages(evidence)
        self.commits = CommitPages(evidence)
        self.common = {
            "pages": [one for one in self.views if not one["empty"]],
            "has_commits": bool(self.commits.commits),
            "has_evidence": bool(stored or evidence.found.series),
            "has_machines": bool(self.machines),
        }

    def write(self) -> None:
        """All pages, the front page last: it is what a reader looks for."""
        evidence, ledger = self.evidence, self.ledger
        files = data.write(evidence, ledger)
        for view in self.views:
            self._page(view_page(view["name"]), "view_page.html", view=view)
        workloads = workload_pages(evidence, self.groups)
        for page in workloads:
            shown = _published(page["groups"])
            self._page(page["file"], "workload.html", workload=page, published=shown, headings=trend.HEADINGS)
        for machine in self.machines:
            self._page(machine["file"], "machine.html", machine=machine)
        self._write_commits()
        self._page(METHOD, "method.html", methods=methods(evidence.stored), flags=meanings(self.groups, self.machines))
        self._page(GLOSSARY, "glossary.html", parts=glossary.parts())
        published_as = {"citation": cited(evidence, self.about, ledger), "address": self.about.address}
        self._page(DATA, "data.html", files=files, badges=badges(evidence, self.about, ledger), **published_as)
        self._page(INDEX, "index.html", **self._front(workloads), files=files)

    def _write_commits(self) -> None:
        for place, commit in enumerate(self.commits.commits):
            name = commit_page(commit.hash)

            def make(place: int = place, name: str = name) -> Made:
                page = rendered("commit.html", **self.commits.values(place), **self.common)
                return Made(files=[self.ledger.text(name, page)])

            self.ledger.made(name, self.commits.inputs(place), make)
        if self.commits.commits:
            self._page(COMMITS, "commits.html", commits=list(self.commits.summaries()))

    def _front(self, workloads: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        evidence, stored = self.evidence, self.evidence.stored
        return {
            "title": self.about.title,
            "count": len(stored),
            "series": evidence.found.series,
            "newest": newest_day(stored),
            "refused": [
                {"path": data.below(one.path, evidence.where.records), "reason": one.reason} for one in evidence.refused
            ],
            "odd": [
                {"path": data.below(one.path, evidence.where.records), "reason": one.reason} for one in evidence.odd
            ],
            "views": self.views,
            "first": [one for one in self.views if one["name"].startswith("scorecard") and not one["empty"]],
            "glance": _glance(self.groups),
            "kinds": glossary.kinds(),
            "unresolved": self.commits.unresolved(),
            "perhaps": self.commits.perhaps_worse(),
            "workloads": workloads,
            "machines": self.machines,
            "compared": compared(evidence),
            "commits": list(self.commits.summaries())[:LISTED],
            "all_commits": len(self.commits.commits),
            "where": str(evidence.where.records),
        }

    def _page(self, name: str, template: str, **values: Any) -> None:
        self.ledger.page(name, rendered(template, **self.common, **values))


def _glance(groups: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The first comparisons of each workload, those of measured joules before others."""
    tiles = [
        {**tile, "workload": group["name"], "machine": group["machine"], "place": place}
        for group in groups
        for place, tile in enumerate(group.get("glance", ())[:TILES_EACH])
    ]
    return sorted(tiles, key=lambda one: (one["place"], KINDS.index(one["provenance"])))[:TILES]


def copy_static(ledger: Ledger) -> None:
    """Write style sheet, scripts and icon."""
    for name in STATIC:
        ledger.page(Path(name).name, (HERE / "static" / name).read_text(encoding="utf-8"))


def _published(groups: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows behind every hollow mark on a page, each once, with where it was read."""
    return published.table(row for group in groups for row in group["published"])
