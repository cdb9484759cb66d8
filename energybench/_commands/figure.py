"""`energybench figure`: one figure of the report for a paper."""

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from energybench.config import Settings, suggest
from energybench.model import UnknownNameError
from energybench.reports import frames, paper
from energybench.reports.frames import Stored
from energybench.terminal import console, say, table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

VIEWS = "energybench.reports.views"
FORMATS = ("pdf", "svg", "png")
WIDTHS = (1, 2)


class FigureError(ValueError):
    """A figure that cannot be drawn as it was asked for; the message says what there is to choose from."""


def draw(
    name: str,
    settings: Settings,
    *,
    kind: str | None = None,
    output: Path | None = None,
    columns: int = 1,
    workload: str | None = None,
    machine: str | None = None,
    panel: str | None = None,
    dark: bool = False,
) -> int:
    """Write one figure and print its path; of several panels, where no file is named, each into one of its own.

    Args:
        name: of the figure, as `list_figures` prints it; `frontier/measured` is its panel alone.
        settings: where the records are.
        kind: pdf, svg or png; by default the suffix of `output`, else pdf.
        output: the file, for one panel. By default the names of the figure and of the panel, here.
        columns: of a paper with two: 1 for the width of one, 2 for that of both.
        workload: whose records; there may be one only where it is None.
        machine: the id or name of a machine, in the same way.
        panel: one of several panels; all of them where it is None.
        dark: for a dark slide instead of a page.
    """
    wanted = _format(kind, output)
    if columns not in WIDTHS:
        raise FigureError(f"a paper has no {columns} columns here; choose --columns 1 or 2")
    name, panel = _named(name, panel)
    panels = _panels(name, settings, _read(settings), workload=workload, machine=machine, dark=dark)
    if panel is not None and panel not in panels:
        raise FigureError(f"{name} has no panel {panel!r} here; {suggest(panel, tuple(panels))}")
    chosen = panels if panel is None else {panel: panels[panel]}
    if output and len(chosen) > 1:
        names = ", ".join(f"{name}/{one}" for one in chosen)
        raise FigureError(f"{name} has {len(chosen)} panels here, and {output} is one file; name one of {names}")
    for part, figure in chosen.items():
        path = output or Path(f"{name if len(panels) == 1 else f'{name}-{part}'}.{wanted}")
        path.parent.mkdir(parents=True, exist_ok=True)
        console().print(paper.save(paper.fit(figure, columns), path, wanted, dark=dark), soft_wrap=True)
    return 0


def list_figures(settings: Settings) -> int:
    """Print the names of all figures, what they show, and which have data in these records."""
    stored = _read(settings)
    drawn = table("figure", "shows", "data")
    for one in paper.drawings():
        has = any(one.draw(group, False) for group in paper.groups(stored, trained=one.trained))
        drawn.add_row(one.name, one.shows, "yes" if has else "no")
    for name, view in _views(stored, settings).items():
        drawn.add_row(name, view.answers, "yes" if view.figures and not view.empty else "no")
    console().print(drawn)
    return 0


def _named(name: str, panel: str | None) -> tuple[str, str | None]:
    """A figure and its panel, which may stand after a slash."""
    figure, slash, part = name.partition("/")
    if slash and panel not in (None, part):
        raise FigureError(f"{name} is one panel and --panel {panel} another; leave one of them out")
    return figure, part if slash else panel


def _format(kind: str | None, output: Path | None) -> paper.Format:
    told = kind or (output.suffix[1:].lower() if output and output.suffix else "pdf")
    if told not in FORMATS:
        raise FigureError(f"no figure is written as {told!r}; choose --format pdf, svg or png")
    return cast("paper.Format", told)


def _read(settings: Settings) -> list[Stored]:
    if settings.records == Settings().records and not settings.records.exists():
        return []
    stored, refused = frames.read(settings.records)
    for one in refused:
        say(f"left out {one.path}: {one.reason}")
    return stored


def _panels(
    name: str, settings: Settings, stored: Sequence[Stored], *, workload: str | None, machine: str | None, dark: bool
) -> "Mapping[str, Figure]":
    """The panels of a figure.

    Raises:
        UnknownNameError: no figure has that name.
        FigureError: there is nothing to draw, or more than one thing.
    """
    own = {one.name: one for one in paper.drawings()}
    if name in own:
        return _of_records(own[name], _chosen(stored, workload, machine), dark=dark)
    known = _views(stored, settings)
    if name not in known:
        raise UnknownNameError(f"there is no figure {name!r}; {suggest(name, (*own, *known))}")
    view = _views(_chosen(stored, workload, machine), settings).get(name, known[name])
    if view.empty:
        raise FigureError(f"{settings.records} has no data for {name}: {view.empty}")
    if view.figures is None:
        raise FigureError(f"{name} has only a table for these records; `energybench report` shows it")
    drawn: Mapping[str, Figure] = view.figures(dark)
    return drawn


def _of_records(one: paper.Drawing, stored: Sequence[Stored], *, dark: bool) -> "Mapping[str, Figure]":
    drawn = {paper.title(group): panels for group in _groups(one, stored) if (panels := one.draw(group, dark))}
    if not drawn:
        raise FigureError(f"there is no data for {one.name} in these records; make some, as with: {one.fill}")
    if len(drawn) > 1:
        raise FigureError(f"{one.name} can be drawn of {'; of '.join(drawn)}; choose with --workload or --machine")
    return next(iter(drawn.values()))


def _groups(one: paper.Drawing, stored: Sequence[Stored]) -> list[list[Stored]]:
    """Of a workload on a machine its newest version only."""
    newest: dict[object, list[Stored]] = {}
    for group in paper.groups(stored, trained=one.trained):
        record = group[-1].record
        what = record["target"]["accuracy"] if one.trained else record["workload"]["name"]
        newest[what, frames.data_name(record) if one.trained else "", frames.machine(record)] = group
    return list(newest.values())


def _chosen(stored: Sequence[Stored], workload: str | None, machine: str | None) -> list[Stored]:
    """The records of a workload and of a machine."""
    names = sorted({str(one.record["workload"]["name"]) for one in stored})
    if workload is not None and workload not in names:
        raise UnknownNameError(f"no record is of the workload {workload!r}; {_near(workload, names)}")
    kept = [one for one in stored if workload in (None, one.record["workload"]["name"])]
    if machine is None:
        return kept
    found = [one for one in kept if machine in _names(one)]
    if not found:
        known = sorted({name for one in kept for name in _names(one)})
        raise UnknownNameError(f"no record is of the machine {machine!r}; {_near(machine, known)}")
    return found


def _near(name: str, known: Sequence[str]) -> str:
    return suggest(name, tuple(known)) if known else "there are no records; make some with `energybench run qnn-infer`"


def _names(one: Stored) -> tuple[str, str, str]:
    """A machine's key in the report, its id, its name."""
    told = one.record["machine"]
    return frames.machine(one.record), str(told["id"]), str(told["name"])


def _views(stored: Sequence[Stored], settings: Settings) -> dict[str, Any]:
    """The views of a report by name, where they are installed."""
    if importlib.util.find_spec(VIEWS) is None:
        return {}
    from energybench.gating.commits import top_of
    from energybench.gating.library import Library
    from energybench.reports.views import Seen, views

    library = Library(repository=top_of(Path()), records=settings.records)
    return {view.name: view for view in views(stored, Seen(library))}
