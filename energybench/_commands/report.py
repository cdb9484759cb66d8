"""`energybench report`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from energybench._commands.results import target_table, workload_table
from energybench.config import Settings
from energybench.reports import frames
from energybench.terminal import console, say

if TYPE_CHECKING:
    from rich.table import Table


def build(settings: Settings) -> int:
    """Write the site, then print its path and the tables that are on it."""
    from energybench.reports import site_builder

    found = _read(settings)
    stored, refused = found
    page = site_builder.build(settings.records, settings.site, found)
    for one in refused:
        say(f"left out {one.path}: {one.reason}")
    if not stored:
        say(f"no record in {settings.records}; run `energybench run qnn-infer` first")
    groups = frames.grouped(stored)
    shown = [frames.newest(group) for group in groups]
    console().print(*_tables(shown), sep="")
    if earlier := len(stored) - sum(len(group) for group in shown):
        console().print(f"{earlier} earlier record{'s' if earlier > 1 else ''} in {settings.records}", soft_wrap=True)
    console().print(page, soft_wrap=True)
    return 0


def _read(settings: Settings) -> frames.Found:
    """What is there to report; only the default folder may be missing, for nothing may have been run yet."""
    if settings.records == Settings().records and not settings.records.exists():
        return [], []
    return frames.read(settings.records)


def _tables(groups: Sequence[Sequence[frames.Stored]]) -> "list[Table]":
    """The tables of the page in short: one for each workload, version, machine and simulated or not."""
    several = len({frames.machine(group[0].record) for group in groups}) > 1
    tables = []
    for group in groups:
        records = [one.record for one in group]
        on = f" on {frames.title(records[-1])}" if several else ""
        if "target" in records[0]:
            data = frames.shown(frames.data_name(records[0]))
            tables.append(target_table(f"{f', {data}' if data else ''}{on}", records))
        else:
            tables.append(workload_table(f"{records[0]['workload']['name']}{on}", records))
    return tables
