"""What communication costs as nodes are added: joules of a step in parts, bytes, time and accuracy by strategy."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, TypeAlias

from energybench.reports import frames, origins, scaling
from energybench.reports.flags import MEANINGS
from energybench.reports.frames import Stored
from energybench.reports.views import stacks
from energybench.reports.views.drawing import MOST_DRAWN
from energybench.reports.views.implausible import implausible
from energybench.reports.views.node_rows import COLUMNS, Point, at, data, modelled_rows, rows_of, summary
from energybench.reports.views.pictures import Picture, first
from energybench.reports.views.spending import METERED, Spent, modelled, parts_of, range_of, spent_by
from energybench.reports.views.stacks import Stack
from energybench.reports.views.view import MOST_ROWS, Table, View, cut, framed, latest, machine_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_CURVES = 8
"""Strategies and settings of a panel: colours that can be told apart."""
SHOWN = (*METERED, "simulation", "payload", "tcp", "wire", "seconds", "accuracy")
"""Panels of `scaling` that are drawn here as well, in this order."""
MOST_SHARES = 4
"""Bars of the modelled cluster of one curve."""
NOTED = ("machine-wide", "loopback", "rank-lost")
CAPTION = (
    "Joules of a step are shared out by where the processes' time went, and a share keeps their provenance: "
    "communication is processor time for moving bytes, waiting the power at rest while a node is blocked, computing "
    "the rest. Against nodes, colour and dashes tell strategies apart, marks where a number comes from; nodes that no "
    "process ran on are a modelled cluster, in hollow marks, and no line joins the two. Payload is counted by the "
    "program from the sizes of its messages, so it is modelled; TCP bytes are measured by the kernel, by socket; wire "
    "bytes are measured by the counters of network interfaces, of one host by its loopback, which is no wire, and "
    "computed from TCP bytes and frames for the modelled cluster. No meter reads the joules of a link: they are "
    "modelled always."
)
EMPTY = (
    "No record tells of several nodes. Train on some, as "
    "`energybench run dist-train --nodes 1,2,4 --strategy sync,cultural`."
)


def view(stored: Sequence[Stored]) -> View:
    """Joules, bytes, time and accuracy against nodes of the newest record of each point.

    Columns of its data: record, machine, workload, strategy, name (of the curve), nodes; source (`processes` that ran,
    or a `model` of a cluster); provenance of the joules; joules of a node and step with `.low` and `.high`, and of
    these computing, communication (processors) and waiting; wire (joules of it, modelled, in a row of its own for
    processes); seconds of a step and tcp_bytes that a node sends in it, each with `.low` and `.high`; payload_bytes
    (counted) and wire_bytes likewise sent; accuracy (mean of the nodes) with `.low` and `.high`; commit and created of
    the record.
    """
    groups = _groups(stored)
    panels, notes = _panels(groups)
    points = [point for _, own in groups for point in own]
    listed = [row for where, own in groups for point in own for row in rows_of(point, where)]
    rows, cut_off = cut(listed, "points")
    cluster = [row for where, own in groups for row in modelled_rows(own, where)]

    def draw(dark: bool) -> "dict[str, Figure]":
        return {name: panel.draw(dark) for name, panel in panels.items()}

    return View(
        name="communication",
        title="Communication",
        answers="What does it cost to train on more nodes, and how much of that is communication?",
        figures=draw if panels else None,
        alts={name: panel.alt for name, panel in panels.items()},
        caption=CAPTION,
        table=Table(
            caption="A step of a node",
            headings=("Point", "Energy", "Computing, communication, waiting", "TCP bytes sent", "Time", "Accuracy"),
            rows=rows,
            folded=tuple(cluster[:MOST_ROWS]),
            summary=summary(cluster),
        ),
        frame=framed(COLUMNS, [row for _, own in groups for row in data(own)]),
        notes=(
            *cut_off,
            *notes,
            *_implausible(points),
            *_flagged(points),
            *origins.origins(one.record for one in points),
        ),
        empty=None if points else EMPTY,
    )


Groups: TypeAlias = list[tuple[str, list[Point]]]
"""The points of each workload on each machine, with what stands in headings after their own words."""


def _groups(stored: Sequence[Stored]) -> Groups:
    newest = [one for one in latest(stored) if scaling.scales(one.record)]
    titles = {frames.machine(one.record): frames.title(one.record) for one in newest}
    found = []
    for group in frames.grouped(newest):
        records = [one.record for one in group]
        machine = frames.machine(records[0])
        where = f", {machine_name(machine, titles)}" if len(titles) > 1 else ""
        points = [
            Point(name=name, record=record) for record, name in zip(records, scaling.curve_names(records), strict=True)
        ]
        order = scaling.ordered({one.name: scaling.strategy_of(one.record) for one in points})
        places = {name: place for place, name in enumerate(order)}
        points.sort(key=lambda one: (places[one.name], scaling.nodes_of(one.record), one.record["seed"]))
        found.append((where, points))
    return found


def _panels(groups: Groups) -> tuple[dict[str, Picture], list[str]]:
    """Of each workload on each machine; and what is not drawn."""
    panels: dict[str, Picture] = {}
    notes: list[str] = []
    for number, (where, every) in enumerate(groups, 1):
        own = _few(every)
        left, there = (len({one.name for one in points}) for points in (own, every))
        if left < there:
            notes.append(f"{left} of {there:,} curves are drawn{where}; the data has all of them.")
        end = f"-{number}" if len(groups) > 1 else ""
        made = [*_split(own, where, notes), *_cluster(own, where), *_against_nodes(own, where)]
        panels |= {f"{name}{end}": panel for name, panel in made}
    return first(panels, notes)


def _few(points: Sequence[Point]) -> list[Point]:
    """Those of as many curves as have colours: one of each strategy, then a second one of each."""
    strategies = {one.name: scaling.strategy_of(one.record) for one in points}
    seen: dict[str, int] = {}
    turns = {}
    for name in scaling.ordered(strategies):
        turns[name] = seen[strategies[name]] = seen.get(strategies[name], 0) + 1
    kept = set(sorted(turns, key=turns.__getitem__)[:MOST_CURVES])
    return [one for one in points if one.name in kept]


def _split(own: Sequence[Point], where: str, notes: list[str]) -> Iterator[tuple[str, Picture]]:
    """Joules of a step in parts, from processes: a panel for each kind that is shared out."""
    for kind in METERED:
        found: dict[str, dict[int, list[Spent]]] = {}
        for one in own:
            if spent := spent_by(one.record, kind):
                found.setdefault(one.name, {}).setdefault(scaling.nodes_of(one.record), []).append(spent)
        each = max(1, MOST_DRAWN // max(1, len(found)))
        bars = [_mean(at(name, nodes), told[nodes]) for name, told in found.items() for nodes in _some(told, each)]
        if len(bars) < (there := sum(map(len, found.values()))):
            notes.append(f"{len(bars)} of {there:,} points are drawn in parts, {kind}{where}.")
        if bars:
            panel = stacks.Panel(
                heading=f"{kind.capitalize()} joules of a step{where}",
                label=f"{kind} J per node and step, shared out by time",
                stacks=bars,
            )
            yield f"{kind}-parts", stacks.picture(panel)


def _mean(name: str, several: Sequence[Spent]) -> Stack:
    """Of several seeds the mean, and the whole range."""
    names = list(dict.fromkeys(part for one in several for part in one.parts))
    parts = {part: fmean(one.parts.get(part, 0.0) for one in several) for part in names}
    limits = (min(one.limits[0] for one in several), max(one.limits[1] for one in several))
    return Stack(name=name, parts=parts, whole=fmean(one.joules for one in several), limits=limits)


def _cluster(own: Sequence[Point], where: str) -> Iterator[tuple[str, Picture]]:
    """Shares of the modelled joules of a step, at a few numbers of nodes of each strategy."""
    curves = {
        name: {row["nodes"]: row for row in rows}
        for name, rows in modelled((one.name, one.record) for one in own).items()
    }
    each = min(MOST_SHARES, max(1, MOST_DRAWN // max(1, len(curves))))
    bars = [
        Stack(
            name=at(name, nodes), parts=parts_of(rows[nodes]), whole=rows[nodes]["joules"], limits=range_of(rows[nodes])
        )
        for name, rows in curves.items()
        for nodes in _some(rows, each)
    ]
    if bars:
        label = f"{scaling.MODELLED} J per node and step"
        panel = stacks.Panel(heading=f"Modelled cluster, in parts{where}", label=label, stacks=bars, shares=True)
        yield "simulation-parts", stacks.picture(panel)


def _some(nodes: Iterable[int], most: int) -> list[int]:
    """At most so many of them in even steps, the first and the last among them; of one alone the last."""
    told = sorted(nodes)
    if len(told) <= most:
        return told
    return [told[round(place * (len(told) - 1) / (most - 1))] for place in range(most)] if most > 1 else told[-1:]


def _against_nodes(own: Sequence[Point], where: str) -> Iterator[tuple[str, Picture]]:
    """Joules, bytes, time and accuracy against nodes, as they are drawn for a workload."""
    stored = [Stored(path=Path(), record=one.record) for one in own]
    found = scaling.panels(stored)
    for name in SHOWN:
        if name in found:
            yield name, Picture(alt=scaling.alt(stored, name), draw=partial(_one_against_nodes, stored, name, where))


def _one_against_nodes(stored: Sequence[Stored], name: str, where: str, dark: bool) -> "Figure":
    return scaling.figures(stored, dark=dark, where=where, only=(name,))[name]


def _implausible(points: Sequence[Point]) -> Iterator[str]:
    """Of each kind of joule, and of what else stands against nodes."""
    for panel in scaling.PANELS:
        told = [
            (one.label, float(result["value"]))
            for one in points
            if (result := one.record["results"].get(panel.metric)) and panel.kind in ("", result["provenance"])
        ]
        yield from implausible(told, panel.unit, panel.label)


def _flagged(points: Sequence[Point]) -> list[str]:
    """What the joules and bytes of these points are, beside what one would think."""
    counts = {flag: sum(flag in one.record.get("flags", ()) for one in points) for flag in NOTED}
    return [
        f"{count:,} of {len(points):,} points are {flag}. {MEANINGS[flag]}" for flag, count in counts.items() if count
    ]
