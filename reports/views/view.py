"""One view of a report: what it answers, its figures, a small table, its data; or what would fill it."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from energybench.gating.series import Key
from energybench.reports import frames
from energybench.reports.bits import settings
from energybench.reports.figures import KINDS
from energybench.reports.frames import Stored
from energybench.reports.numbers import Shown, change, quantity, stated

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Words that lead to another page of the site, by the name of its file."""

    text: str
    page: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """Which way something changed, as `worse` or `perhaps worse`: filled and coloured where that is certain.

    Attributes:
        text: what stands there.
        certain: whether it is.
        better: whether that is better.
    """

    text: str
    certain: bool
    better: bool = False

    @property
    def look(self) -> str:
        """Its class in the style sheet."""
        return "perhaps" if not self.certain else "better" if self.better else "worse"


Text: TypeAlias = str | tuple[str | Link, ...]
"""Words, some of them links."""
Cell: TypeAlias = Text | Shown | Said
Draw: TypeAlias = "Callable[[bool], Mapping[str, Figure]]"
"""Draws for a light (False) or a dark page, by the name of the panel."""
MOST_ROWS = 50
"""Of a table on a page; its data has every row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A small table.

    Attributes:
        caption: above it.
        headings: of the columns; the first column names the row.
        rows: the first `at_once` are shown, the others stand behind a line that opens them.
        folded: what stands behind a line that opens it, as values that did not move.
        summary: that line.
    """

    caption: str = ""
    headings: tuple[str, ...] = ()
    rows: tuple[tuple[Cell, ...], ...] = ()
    at_once: int = 8
    folded: tuple[tuple[Cell, ...], ...] = ()
    summary: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What a page shows of one question.

    Attributes:
        name: of its files: lower case, digits and hyphens.
        title: its heading.
        answers: one sentence on what it answers.
        told: the answer, in sentences; the first one is the one that counts.
        advice: what to do, what matters most first; code stands between backticks.
        figures: draws for a light (False) or a dark page, by the name of the panel; None without data.
        alts: what each panel shows, in a sentence.
        charts: what a browser draws in place of a panel to look into, by the name of the panel; plain JSON, as
            `static/report.js` reads it.
        commits: hash, day and subject of each commit, by its place on the axis of charts over commits.
        caption: below the figures: what marks and bars mean.
        table: numbers for people.
        second: a further table, of another question, below it.
        frame: its data, a row a value, in SI units; the columns are documented where the view is made.
        notes: what is not drawn or not listed, and how many there are.
        empty: what would fill it; None where there is data.
    """

    name: str
    title: str
    answers: str
    told: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()
    figures: "Draw | None" = None
    alts: Mapping[str, str] = field(default_factory=dict)
    charts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    commits: Sequence[Sequence[str]] = ()
    caption: str = ""
    table: Table = field(default_factory=Table)
    second: Table = field(default_factory=Table)
    frame: "Callable[[], pd.DataFrame]"
    notes: tuple[Text, ...] = ()
    empty: str | None = None


def framed(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> "Callable[[], pd.DataFrame]":
    """Makes the frame of a view when it is asked for; the columns are there without rows as well."""
    kept = tuple(rows)

    def make() -> "pd.DataFrame":
        import pandas as pd

        return pd.DataFrame(kept, columns=list(columns))

    return make


class Latest(list[Stored]):
    """Records of which each is the newest of its point."""


def latest(stored: Sequence[Stored]) -> Latest:
    """The newest record of each parameter point, on each machine."""
    if isinstance(stored, Latest):
        return stored
    return Latest(one for group in frames.grouped(stored) for one in frames.newest(group))


def names(stored: Sequence[Stored]) -> list[str]:
    """What people call each point: `qnn-infer, bits 8, on the box`; machines only where there are several."""
    ids = {frames.machine(one.record): frames.title(one.record) for one in stored}
    told = {machine: machine_name(machine, ids) for machine in ids}
    names = point_names([one.record for one in stored])
    if len(ids) < 2:
        return names
    return [f"{name}, on {told[frames.machine(one.record)]}" for one, name in zip(stored, names, strict=True)]


def point_names(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """The workload of each record, and the parameters that tell it from others of the same workload."""
    return _pointed([(str(one["workload"]["name"]), one["parameters"]) for one in records])


def key_names(keys: Iterable[Key]) -> dict[Key, str]:
    """What people call each series: `seconds of qnn-infer, bits 8`; parameters only where some vary."""
    found = list(dict.fromkeys(keys))
    points = list(dict.fromkeys((key.workload, key.parameters) for key in found))
    told = dict(zip(points, _pointed([(name, dict(parameters)) for name, parameters in points]), strict=True))
    return {key: f"{spoken(key.metric)} of {told[key.workload, key.parameters]}" for key in found}


def _pointed(points: Sequence[tuple[str, Mapping[str, Any]]]) -> list[str]:
    """`qnn-infer, bits 8`, in the order of the points."""
    places: dict[str, list[int]] = {}
    for number, (workload, _) in enumerate(points):
        places.setdefault(workload, []).append(number)
    named = [""] * len(points)
    for workload, own in places.items():
        told = settings([points[number][1] for number in own], without=())
        for number, setting in zip(own, told, strict=True):
            named[number] = ", ".join(filter(None, (workload or frames.NO_NAME, setting)))
    return named


def plain(text: str) -> str:
    """A part of a file's name."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40]


def spoken(metric: str) -> str:
    """`joules_per_sample` as `joules`: what is not a sample's says so."""
    return metric.removesuffix("_per_sample").replace("_", " ")


def machine_name(key: str, titles: Mapping[str, str]) -> str:
    """A machine's name for people, with its id where another one has the same name."""
    title = titles[key]
    return title if list(titles.values()).count(title) == 1 else f"{title} ({key})"


def kind_of(result: Mapping[str, Any] | None, kind: str) -> bool:
    """Whether a result is there, of this kind and above 0, so that it has a place on a logarithmic axis."""
    return result is not None and result["provenance"] == kind and result["value"] > 0


def without_place(stored: Sequence[Stored]) -> tuple[str, ...]:
    """A note on joules and seconds of 0 or less, which a logarithmic axis has no place for."""
    metrics = [*(metric for metric, _, _ in KINDS.values()), "seconds_per_sample"]
    results = [one.record["results"][name] for one in stored for name in metrics if name in one.record["results"]]
    count = sum(one["value"] <= 0 for one in results)
    note = f"{count:,} results of 0 or less have no place on a logarithmic axis; the records have them."
    return (note,) if count else ()


def joules_of(record: Mapping[str, Any], kind: str) -> Mapping[str, Any] | None:
    """Joules a sample of one kind; None where the record has none above 0."""
    result: Mapping[str, Any] | None = record["results"].get(KINDS[kind][0])
    return result if kind_of(result, kind) else None


def shown(
    value: float, unit: str, provenance: str, limits: tuple[float, float] | None = None, *, otherwise: str = ""
) -> Shown:
    """A number for a table's cell, with its interval; `otherwise` stands where it has none."""
    if limits is None or limits[0] == limits[1]:
        return Shown(text=quantity(value, unit), interval=otherwise, provenance=provenance, value=value)
    text, interval = stated(value, limits, unit)
    return Shown(text=text, interval=interval, provenance=provenance, value=value)


def changed(
    value: float, limits: tuple[float, float] | None, unit: str, provenance: str, *, otherwise: str = ""
) -> Shown:
    """A change for a table's cell, as `shown`; of a share the unit is `%`, of a difference of shares `points`."""
    text, interval = change(value, limits if limits and limits[0] != limits[1] else None, unit)
    return Shown(text=text, interval=interval or otherwise, provenance=provenance, value=value)


def linked(text: str, page: str | None) -> Text:
    """Words that lead to a page, where there is one."""
    return text if page is None else (Link(text=text, page=page),)


def joined(*parts: Text) -> Text:
    """Words one after the other; plain where none of them is a link."""
    flat = [one for part in parts for one in ((part,) if isinstance(part, str) else part) if one]
    return tuple(flat) if any(isinstance(one, Link) for one in flat) else "".join(map(str, flat))


def cut(rows: Sequence[tuple[Cell, ...]], what: str) -> tuple[tuple[tuple[Cell, ...], ...], tuple[str, ...]]:
    """As many rows as a page shows, and a note on the others."""
    left = len(rows) - MOST_ROWS
    note = (f"The table lists {MOST_ROWS} of {len(rows):,} {what}; the data has all of them.",) if left > 0 else ()
    return tuple(rows[:MOST_ROWS]), note
