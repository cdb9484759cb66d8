"""`energybench report`."""

import contextlib
import gc
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from energybench._commands.results import MOST_ROWS, target_table, workload_table
from energybench.config import Settings
from energybench.reports import frames
from energybench.terminal import console, say

if TYPE_CHECKING:
    from rich.table import Table

    from energybench.reports.evidence import Places


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What else `report` is asked for.

    Attributes:
        single_file: also write the whole site as this one file.
        serve: serve the site on loopback, and rebuild it when records arrive.
        port: to serve on.
        fresh: draw everything again.
        base: what scorecards compare with, a commit, a branch or a tag; None for the commit before head.
        head: what they compare; None for the newest commit of each machine.
    """

    single_file: Path | None = None
    serve: bool = False
    port: int | None = None
    fresh: bool = False
    base: str | None = None
    head: str | None = None


def build(settings: Settings, wanted: Wanted | None = None) -> int:
    """Write the site, then print its path and the tables that are on it; serve it where that was asked for."""
    wanted = wanted or Wanted()
    where = places_of(settings)
    if wanted.serve:
        return _serve(settings, where, wanted)
    found = build_once(settings, where, wanted)
    stored, refused = found
    for one in refused:
        say(f"left out {one.path}: {one.reason}")
    if not stored and where.results is None:
        say(f"no record in {settings.records}; run `energybench run qnn-infer` first")
    groups = frames.grouped(stored)
    shown = [frames.newest(group) for group in groups]
    console().print(*_tables(shown), sep="")
    if earlier := len(stored) - sum(len(group) for group in shown):
        console().print(f"{earlier} earlier record{'s' if earlier > 1 else ''} in {settings.records}", soft_wrap=True)
    for page in filter(None, (settings.site / "index.html", wanted.single_file)):
        console().print(page, soft_wrap=True)
    return 0


def places_of(settings: Settings) -> "Places":
    """Where the evidence is; only the default folder may be missing, for nothing may have been run yet."""
    from energybench.reports.evidence import places

    if settings.records != Settings().records and not settings.records.exists():
        frames.read(settings.records)  # says what is missing, and what to do
    return places(settings.records)


def build_once(settings: Settings, where: "Places", wanted: Wanted) -> frames.Found:
    """Build the site once; the records that it is of."""
    from energybench.reports import single_file, site_builder
    from energybench.reports.about import About
    from energybench.reports.evidence import Evidence

    # Millions of small values live to the end: looking for cycles among them takes a third of the time.
    gc.set_threshold(50_000, 50, 50)
    about = About(title=settings.title, authors=settings.authors, address=settings.address)
    with _progress() as tell:
        if wanted.single_file:
            single_file.check(settings.site, wanted.single_file)
        evidence = Evidence(where, base=wanted.base, head=wanted.head, workers=os.cpu_count() or 1)
        evidence.check()
        site_builder.write(evidence, settings.site, about=about, fresh=wanted.fresh, wait=wanted.serve, say=tell)
        if wanted.single_file:
            tell(str(wanted.single_file))
            single_file.single(settings.site, wanted.single_file)
    return evidence.stored, list(evidence.refused)


def _serve(settings: Settings, where: "Places", wanted: Wanted) -> int:
    from energybench.reports import serving

    def rebuild() -> bool:
        build_once(settings, where, wanted)
        return True

    watch = [path for path in (where.records, where.results) if path]
    return serving.serve(settings.site, rebuild, watch=watch, port=serving.PORT if wanted.port is None else wanted.port)


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """What is being made, in one line that changes; silent where nobody looks."""
    count = 0
    with console(stderr=True).status("reading records") as status:

        def tell(what: str) -> None:
            nonlocal count
            count += 1
            status.update(f"{what} ({count:,} made)")

        yield tell


def _tables(groups: Sequence[Sequence[frames.Stored]]) -> "list[Table]":
    """The tables of the page in short: one for each workload, version, machine and simulated or not."""
    several = len({frames.machine(group[0].record) for group in groups}) > 1
    tables = []
    for group in groups:
        records = [one.record for one in group]
        on = f" on {frames.title(records[-1])}" if several else ""
        if "target" in records[0]:
            data = frames.shown(frames.data_name(records[0]))
            tables.append(target_table(f"{f', {data}' if data else ''}{on}", records, MOST_ROWS))
        else:
            tables.append(workload_table(f"{records[0]['workload']['name']}{on}", records, MOST_ROWS))
    return tables
