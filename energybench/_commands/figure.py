"""`energybench figure`: one figure of the report for a paper."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from energybench._commands.report import places_of
from energybench.config import Settings, suggest
from energybench.reports import drawable, paper
from energybench.reports.chosen import Choice, Chosen
from energybench.reports.drawable import FigureError, Panels
from energybench.reports.evidence import Evidence
from energybench.terminal import console, say, table

ALL = Choice()
FORMATS = ("pdf", "svg", "png")
WIDTHS = (1, 2)
FEW = 12
"""Panels that a list or a message names; `figure NAME --list` names all."""


def draw(
    name: str,
    settings: Settings,
    *,
    choice: Choice = ALL,
    kind: str | None = None,
    output: Path | None = None,
    columns: int = 1,
    panel: str | None = None,
    dark: bool = False,
) -> int:
    """Write one figure and print its path; of several panels, where no file is named, each into one of its own.

    Args:
        name: of the figure, as `list_figures` prints it; `frontier/measured-qnn-infer` is its panel alone.
        settings: where the records are.
        choice: of the evidence; there may be one workload on one machine only where they are not chosen.
        kind: pdf, svg or png; by default the suffix of `output`, else pdf.
        output: the file, for one panel. By default the names of the figure and of the panel, here.
        columns: of a paper with two: 1 for the width of one, 2 for that of both.
        panel: one of several panels, of series also in words; the first ones where it is None.
        dark: for a dark slide instead of a page.
    """
    wanted = _format(kind, output)
    if columns not in WIDTHS:
        raise FigureError(f"a paper has no {columns} columns here; choose --columns 1 or 2")
    name, panel = _named(name, panel)
    found = drawable.panels(name, _chosen(settings, choice), dark=dark)
    names = _wanted(name, panel, found)
    if output and len(names) > 1:
        told = _few([f"{name}/{one}" for one in names])
        raise FigureError(f"{name} has {len(found.names)} panels here, and {output} is one file; name one of {told}")
    for note in found.notes:
        say(note)
    for part, figure in found.draw(names).items():
        path = output or Path(f"{f'{name}-{part}' if found.of_series or len(found.names) > 1 else name}.{wanted}")
        path.parent.mkdir(parents=True, exist_ok=True)
        console().print(paper.save(paper.fit(figure, columns), path, wanted, dark=dark), soft_wrap=True)
    if panel is None and len(names) < len(found.names):
        say(f"{len(names)} of {len(found.names):,} panels are drawn; `energybench figure {name} --list` names all")
    return 0


def list_figures(settings: Settings, name: str | None = None, choice: Choice = ALL) -> int:
    """Print the names of all figures, what they show and their panels; or all the panels of one figure, a line each."""
    chosen = _chosen(settings, choice)
    if name is not None:
        for one in drawable.panels(name, chosen, dark=False).names:
            console().print(f"{name}/{one}", soft_wrap=True)
        return 0
    drawn = table("figure", "shows", "data", "panels")
    for one, shows, panels in drawable.listed(chosen):
        drawn.add_row(one, shows, "yes" if panels else "no", _few(panels))
    console().print(drawn)
    return 0


def is_figure(name: str) -> bool:
    """Whether a word is the name of a figure, and no path."""
    return not Path(name).exists() and drawable.is_name(name)


def _chosen(settings: Settings, choice: Choice) -> Chosen:
    evidence = Evidence(places_of(settings))
    for one in evidence.refused_records:
        say(f"left out {one.path}: {one.reason}")
    return Chosen(evidence, choice)


def _wanted(name: str, panel: str | None, found: Panels) -> Sequence[str]:
    """The names of the panels that are to be drawn."""
    if panel is None:
        return found.names[: found.usual]
    one = found.named(panel)
    if one is None:
        near = suggest(panel, found.names)
        if near.startswith("known") and len(found.names) > FEW:
            near = f"known: {_few(found.names)}"
        raise FigureError(f"{name} has no panel {panel!r} here; {near}")
    return (one,)


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - FEW:,} more" if len(names) > FEW else ""
    return f"{', '.join(names[:FEW])}{more}"


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
