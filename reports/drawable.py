"""The figures that may be drawn for a paper, with the names of their panels, of all evidence or of what was chosen."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from energybench.config import suggest
from energybench.model import UnknownNameError
from energybench.reports import frames, paper
from energybench.reports.chosen import Choice, Chosen, workload_of
from energybench.reports.frames import Stored
from energybench.reports.views import trend_figure, views
from energybench.reports.views.curves import Curve
from energybench.reports.views.drawing import MOST_DRAWN
from energybench.reports.views.view import View, key_names

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TABLES = ("changes",)
"""Views that are tables by their nature."""
OVER_COMMITS = ("scorecard", "trend")
"""What the figures begin with that take a metric."""
Figures: TypeAlias = "Mapping[str, Figure]"


class FigureError(ValueError):
    """A figure that cannot be drawn as it was asked for; the message says what there is to choose from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panels:
    """The panels of a figure.

    Attributes:
        names: of all that can be drawn.
        draw: those of these names.
        usual: how many of them are drawn where none is named.
        notes: what was left out, for who asked.
        of_series: whether each is a series: a file of one alone is called by it.
    """

    names: tuple[str, ...]
    draw: Callable[[Sequence[str]], Figures]
    usual: int
    notes: tuple[str, ...] = ()
    of_series: bool = False

    def named(self, name: str) -> str | None:
        """The panel that is called so; of a series its name in words will do."""
        return next((one for one in (name, trend_figure.file_name(name)) if one in self.names), None)


def is_name(name: str) -> bool:
    """Whether a figure may be called so."""
    names = {one.name for one in paper.drawings()} | {one.name for one in views(())} - set(TABLES)
    return name in names or re.fullmatch(r"scorecard-\d+", name) is not None


def panels(name: str, chosen: Chosen, *, dark: bool) -> Panels:
    """The panels of the figure `name`.

    Raises:
        UnknownNameError: no figure has that name.
        FigureError: there is nothing to draw, or more than one thing.
    """
    if chosen.choice.metric is not None and not name.startswith(OVER_COMMITS):
        raise FigureError(f"{name} is not drawn of one metric; leave --metric out, or name {' or '.join(OVER_COMMITS)}")
    for one in paper.drawings():
        if one.name == name:
            return _of_records(one, chosen, dark=dark)
    known = _views(chosen)
    if name not in known:
        raise _unknown(name, chosen, known)
    return (
        _trends(chosen, dark=dark) if name == "trend" and _series(chosen) else _of_view(known[name], chosen, dark=dark)
    )


def listed(chosen: Chosen) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Each figure, what it shows, and the names of its panels; none where there is no data."""
    for one in paper.drawings():
        drawn = [one.draw(group, False) for group in paper.groups(chosen.stored, trained=one.trained)]
        yield one.name, one.shows, tuple(dict.fromkeys(panel for figures in drawn for panel in figures))
    for name, view in _views(chosen).items():
        if view.figures is None and name in TABLES:
            continue
        told = tuple(_series(chosen)) if name == "trend" else tuple(view.alts)
        yield name, view.answers.partition("?")[0] + "?", () if view.empty else told


def _views(chosen: Chosen) -> dict[str, View]:
    return {view.name: view for view in views(chosen.stored, chosen)}


def _unknown(name: str, chosen: Chosen, known: Mapping[str, View]) -> Exception:
    """No figure has that name, or none of what was chosen."""
    names = [one.name for one in paper.drawings()] + [one for one in known if one not in TABLES]
    if str(chosen.choice) and name in {view.name for view in views(chosen.evidence.stored, chosen.evidence)}:
        return FigureError(f"there is no {name} of {chosen.choice}; {suggest(name, names)}")
    return UnknownNameError(f"there is no figure {name!r}; {suggest(name, names)}")


def _of_view(view: View, chosen: Chosen, *, dark: bool) -> Panels:
    if view.figures is None:
        raise FigureError(_nothing(view, chosen))
    draw = view.figures

    def some(names: Sequence[str]) -> Figures:
        drawn = draw(dark)
        return {name: drawn[name] for name in names}

    return Panels(names=tuple(view.alts), draw=some, usual=len(view.alts))


def _nothing(view: View, chosen: Chosen) -> str:
    """Why a view has no figure, and of what there is one."""
    if what := str(chosen.choice):
        there = list(_workloads_of(view.name, chosen))
        told = f"it has of {', '.join(there)}" if there else "nor of any other"
        return f"{view.name} has no figure of {what}; {told}"
    if view.empty:
        return f"{chosen.evidence.where.records} has no data for {view.name}: {view.empty}"
    return f"{view.name} has only a table for these records; `energybench report` shows it"


def _workloads_of(name: str, chosen: Chosen) -> Iterator[str]:
    """The workloads that a view has a figure of."""
    every = {workload_of(one) for one in chosen.evidence.stored} | {
        one.track.key.workload for one in chosen.every_curve
    }
    for workload in sorted(every):
        view = _views(Chosen(chosen.evidence, Choice(workload=workload))).get(name)
        if view is not None and view.figures is not None:
            yield workload


def _series(chosen: Chosen) -> dict[str, Curve]:
    """The chosen series of more than one commit, by the names of their panels."""
    own = set(map(id, chosen.curves))
    named = trend_figure.by_name([one for one in chosen.every_curve if len(one.values) > 1])
    return {name: one for name, one in named.items() if id(one) in own}


def _trends(chosen: Chosen, *, dark: bool) -> Panels:
    series = _series(chosen)
    names = key_names(one.track.key for one in chosen.every_curve if len(one.values) > 1)

    def some(wanted: Sequence[str]) -> Figures:
        return {name: trend_figure.figure(series[name], names, dark=dark) for name in wanted}

    return Panels(names=tuple(series), draw=some, usual=MOST_DRAWN, of_series=True)


def _of_records(one: paper.Drawing, chosen: Chosen, *, dark: bool) -> Panels:
    groups = _newest_versions(one, chosen.stored)
    real = {_what(one, group) for group in groups if not _is_simulated(group)}
    kept = [group for group in groups if not _is_simulated(group) or _what(one, group) not in real]
    drawn = {paper.title(group): figures for group in kept if (figures := one.draw(group, dark))}
    if not drawn and kept != groups:  # what is real has too little for this figure
        kept = groups
        drawn = {paper.title(group): figures for group in groups if (figures := one.draw(group, dark))}
    if not drawn:
        raise FigureError(f"there is no data for {one.name} in these records; make some, as with: {one.fill}")
    if len(drawn) > 1:
        raise FigureError(f"{one.name} can be drawn of {'; of '.join(drawn)}; choose with --workload or --machine")
    (figures,) = drawn.values()
    told = ", ".join(f"--machine {group[-1].machine}" for group in groups if group not in kept)
    return Panels(
        names=tuple(figures),
        draw=lambda names: {name: figures[name] for name in names},
        usual=len(figures),
        notes=(f"left out what has simulated counters; {told} draws it",) if told else (),
    )


def _newest_versions(one: paper.Drawing, stored: Sequence[Stored]) -> list[list[Stored]]:
    """Of a workload on a machine its newest version only."""
    groups = paper.groups(stored, trained=one.trained)
    return list({(*_what(one, group), group[-1].machine): group for group in groups}.values())


def _what(one: paper.Drawing, group: Sequence[Stored]) -> tuple[str, str]:
    """The workload, or the accuracy and data that were trained to."""
    record = group[-1].record
    return (
        (str(record["target"]["accuracy"]), frames.data_name(record)) if one.trained else (workload_of(group[-1]), "")
    )


def _is_simulated(group: Sequence[Stored]) -> bool:
    """Whether its machine has simulated counters."""
    return group[-1].machine != str(group[-1].record["machine"]["id"])
