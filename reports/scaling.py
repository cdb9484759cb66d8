"""What training costs as nodes are added: time, bytes, joules and accuracy against nodes, each by its provenance.

Any record is taken that has the parameters `nodes` and `strategy`. A modelled cluster is in its `details["scaling"]`,
as `workloads/distributed/scaling.py` writes it: it has a panel of its own, or stands beyond the most nodes that ran.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING, Any

from energybench.reports.analog import is_number
from energybench.reports.bits import settings
from energybench.reports.figures import INK, KINDS
from energybench.reports.frames import Stored
from energybench.reports.numbers import bounds, quantity
from energybench.reports.plotting import LINES, colours, legend, logarithmic, panel_axes, percent, widened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MODELLED = "modelled"
CLUSTER = "modelled cluster"
"""What no process ran: nodes of a host each, as a model says."""
LOOPBACK = "loopback"
APART = 1.035
"""Between two strategies at one number of nodes, as a factor, where their intervals are drawn."""
AXES = ("nodes", "strategy")
ORDER = ("isolated", "own-outputs", "sync", "star", "local", "cultural", "distilled")
"""Strategies that have colours and dashes of their own, the same in each panel; others come after them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One panel against nodes.

    Attributes:
        name: of its files.
        heading: above it.
        label: of the vertical axis.
        unit: of the values.
        metric: the result of a record that it shows; empty where it shows none.
        kind: the provenance that it shows alone; empty where any will do.
        modelled: the number of a modelled point that it shows beyond those measured; empty where it shows none.
    """

    name: str
    heading: str
    label: str
    unit: str
    metric: str = ""
    kind: str = ""
    modelled: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A value at a number of nodes, with its interval (the value itself where none was stated)."""

    nodes: int
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """The points of one strategy and one provenance.

    Attributes:
        name: the strategy, with the parameters that vary beside it.
        strategy: by itself.
        kind: the provenance of the points.
        ran: whether processes ran on as many nodes; else they are of a modelled cluster.
        loopback: whether its bytes are those of the loopback interface of one host.
        points: by nodes.
    """

    name: str
    strategy: str
    kind: str
    ran: bool = True
    loopback: bool = False
    points: list[Point]

    @property
    def source(self) -> str:
        """What its marks are, for the legend and in words."""
        return f"{self.kind}{', loopback' if self.loopback else ''}" if self.ran else CLUSTER


PANELS = (
    Panel(name="seconds", heading="Time of a step", label="seconds per step", unit="s",
          metric="seconds_per_step", modelled="seconds"),
    Panel(name="payload", heading="Payload that a node sends", label="payload bytes per step", unit="B",
          metric="payload_bytes_per_step", modelled="payload_bytes"),
    Panel(name="tcp", heading="TCP, framing included", label="TCP bytes per step", unit="B",
          metric="tcp_bytes_per_step", modelled="tcp_bytes"),
    Panel(name="wire", heading="Wire, headers included", label="wire bytes per step", unit="B",
          metric="wire_bytes_per_step", modelled="wire_bytes"),
    *(Panel(name=kind, heading=heading, label=f"{kind} J per sample", unit="J", metric=metric, kind=kind)
      for kind, (metric, _, heading) in KINDS.items()),
    Panel(name="simulation", heading="Modelled cluster", label="modelled J per sample", unit="J",
          modelled="joules_per_sample"),
    Panel(name="accuracy", heading="Accuracy, mean of nodes", label="accuracy", unit="%", metric="accuracy"),
)  # fmt: skip
"""Joules of a kind share a panel with no other kind, and those of a simulated cluster with none at all."""


def panels(stored: Sequence[Stored]) -> dict[str, tuple[Panel, list[Curve]]]:
    """The panels that these records fill, by name."""
    records = [one.record for one in stored if scales(one.record)]
    told = list(zip(records, curve_names(records), strict=True))
    made = [(panel, [*_found(told, panel), *_modelled(told, panel)]) for panel in PANELS]
    return {panel.name: (panel, curves) for panel, curves in made if curves}


def ordered(strategies: Mapping[str, str]) -> list[str]:
    """Names by their strategy, those of one strategy in the order in which they came."""
    places = {strategy: place for place, strategy in enumerate(ORDER)}
    return sorted(strategies, key=lambda name: (places.get(strategies[name], len(places)), strategies[name]))


def scales(record: Mapping[str, Any]) -> bool:
    """Whether a record says how many nodes trained, and by which strategy."""
    return bool(nodes_of(record) and strategy_of(record))


def curve_names(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """The curve that each of these records is on: its strategy, and the parameters that vary beside it."""
    beside = [{name: value for name, value in one["parameters"].items() if name not in AXES} for one in records]
    return [_named(one, words) for one, words in zip(records, settings(beside), strict=True)]


def figures(
    stored: Sequence[Stored], *, dark: bool = False, where: str = "", only: Collection[str] | None = None
) -> "dict[str, Figure]":
    """A figure for each panel of `panels`.

    Args:
        stored: records of one workload on one machine.
        dark: ink for a dark page.
        where: what stands in headings after their own words.
        only: names of panels; all where None.
    """
    found = panels(stored)
    names = ordered({curve.name: curve.strategy for _, curves in found.values() for curve in curves})
    looks = {
        name: {"color": ink, "linestyle": LINES[place % len(LINES)]}
        for place, (name, ink) in enumerate(zip(names, _inks(len(names), dark=dark), strict=True))
    }
    return {
        name: _figure(replace(panel, heading=f"{panel.heading}{where}"), curves, looks, dark=dark)
        for name, (panel, curves) in found.items()
        if only is None or name in only
    }


def alt(stored: Sequence[Stored], name: str) -> str:
    """What a panel shows, in a sentence: each curve at its first and its last number of nodes."""
    panel, curves = panels(stored)[name]
    parts = []
    for curve in curves:
        ends = [curve.points[0], curve.points[-1]][: len(curve.points)]
        told = ", ".join(f"{quantity(point.value, panel.unit)} at {count(point.nodes)}" for point in ends)
        parts.append(f"{curve.name} ({curve.source}) {told}")
    label = panel.label[0].upper() + panel.label[1:]
    return f"{label} against nodes: {'; '.join(parts)}."


def count(nodes: float) -> str:
    """A number of nodes: `8`, `10,000`."""
    return f"{nodes:,.0f}"


def nodes_of(record: Mapping[str, Any]) -> int:
    """How many nodes trained; 0 where a record does not say."""
    nodes = record["parameters"].get("nodes")
    return nodes if isinstance(nodes, int) and not isinstance(nodes, bool) and nodes > 0 else 0


def strategy_of(record: Mapping[str, Any]) -> str:
    """How they trained; empty where a record does not say."""
    return str(record["parameters"].get("strategy") or "")


def _named(record: Mapping[str, Any], words: str) -> str:
    return ", ".join(filter(None, (strategy_of(record), words)))


Told = Sequence[tuple[Mapping[str, Any], str]]


def _found(told: Told, panel: Panel) -> Iterator[Curve]:
    """What records found, a curve a name and provenance; of several at one number of nodes the median and the range."""
    found: dict[tuple[str, str, bool], dict[int, list[Point]]] = {}
    strategies = {}
    for record, name in told:
        result = record["results"].get(panel.metric)
        if result is None or not _drawn(panel, result["value"]) or panel.kind not in ("", result["provenance"]):
            continue
        value, nodes = float(result["value"]), nodes_of(record)
        low, high = bounds(result) or (value, value)
        looped = panel.name == "wire" and LOOPBACK in record.get("flags", ())
        points = found.setdefault((name, result["provenance"], looped), {}).setdefault(nodes, [])
        points.append(Point(nodes=nodes, value=value, low=low, high=high))
        strategies[name] = strategy_of(record)
    for name in ordered(strategies):
        for (of, kind, looped), by_nodes in found.items():
            if of == name:
                points = [_middle(by_nodes[nodes]) for nodes in sorted(by_nodes)]
                yield Curve(name=name, strategy=strategies[name], kind=kind, loopback=looped, points=points)


def _middle(points: Sequence[Point]) -> Point:
    low, high = min(point.low for point in points), max(point.high for point in points)
    return Point(nodes=points[0].nodes, value=median(point.value for point in points), low=low, high=high)


def _modelled(told: Told, panel: Panel) -> Iterator[Curve]:
    """What the last record of each name says was modelled, beyond the most nodes that ran."""
    last = {name: record for record, name in told if panel.modelled and modelled_points(record)}
    most = max((nodes_of(record) for record, _ in told), default=0) if panel.metric else 0
    for name in ordered({name: strategy_of(record) for name, record in last.items()}):
        points = [point for row in modelled_points(last[name]) if (point := _point(row, panel)) and point.nodes > most]
        if points:
            points.sort(key=lambda point: point.nodes)
            yield Curve(name=name, strategy=strategy_of(last[name]), kind=MODELLED, ran=False, points=points)


def modelled_points(record: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The points of a modelled curve; none where there is none, or where it is not said to be modelled."""
    told = (record.get("details") or {}).get("scaling")
    if not isinstance(told, Mapping) or told.get("provenance") != MODELLED or not isinstance(told.get("points"), list):
        return []
    return [row for row in told["points"] if isinstance(row, Mapping)]


def _point(row: Mapping[str, Any], panel: Panel) -> Point | None:
    """A modelled point; None where its number is missing, or has no place on a logarithmic axis."""
    nodes, found = row.get("nodes"), row.get(panel.modelled)
    spread = found if isinstance(found, Mapping) else {"value": found}
    value = spread.get("value")
    numbers: list[Any] = [value, spread.get("low", value), spread.get("high", value)]
    if not isinstance(nodes, int) or nodes < 1 or not all(_drawn(panel, number) for number in numbers):
        return None
    middle, low, high = map(float, numbers)
    return Point(nodes=nodes, value=middle, low=low, high=high)


def _drawn(panel: Panel, value: Any) -> bool:
    """Whether a value is a number that its axis has a place for."""
    if not is_number(value):
        return False
    return bool(0 <= value <= 1 if panel.unit == "%" else 0 < value < float("inf"))


def _inks(number: int, *, dark: bool) -> list[Any]:
    return colours(number, dark=dark) if number else []


def _figure(panel: Panel, curves: Sequence[Curve], looks: Mapping[str, Mapping[str, Any]], *, dark: bool) -> "Figure":
    with panel_axes(panel.heading, "nodes", panel.label, dark=dark) as (figure, axis):
        ran = [curve for curve in curves if curve.ran]
        for place, curve in enumerate(ran):
            _draw_ran(axis, curve, looks[curve.name], _apart(ran, place))
        for curve in curves:
            if not curve.ran:
                _draw_modelled(axis, curve, looks[curve.name])
        _scale(axis, panel, curves)
        legend(figure, _entries(curves, looks, str(INK[dark]["muted"])), dark=dark)
    return figure


def _entries(
    curves: Sequence[Curve], looks: Mapping[str, Mapping[str, Any]], muted: str
) -> list[tuple[str, dict[str, Any]]]:
    """Strategies by colour and dashes, then each provenance by its mark."""
    names = dict.fromkeys(curve.name for curve in curves)
    entries: list[tuple[str, dict[str, Any]]] = [(name, {**looks[name], "marker": ""}) for name in names]
    sources = {curve.source: _mark(curve, muted) for curve in curves}
    return [*entries, *((source, {"color": muted} | mark) for source, mark in sources.items())]


def _mark(curve: Curve, ink: Any) -> dict[str, Any]:
    """The mark of a provenance as everywhere in the report; hollow where the bytes are on no wire or no process ran."""
    marker = KINDS[curve.kind][1] if curve.kind in KINDS else "X"
    hollow = curve.loopback or not curve.ran
    return {"marker": marker, "markerfacecolor": "none" if hollow else ink, "markeredgecolor": ink}


def _apart(curves: Sequence[Curve], place: int) -> float:
    """What the nodes of a curve are multiplied by: bars of several at one place must not lie on one another."""
    bars = any(point.low < point.high for curve in curves for point in curve.points)
    return APART ** (place - (len(curves) - 1) / 2) if bars else 1.0


def _draw_ran(axis: "Axes", curve: Curve, look: Mapping[str, Any], apart: float) -> None:
    """Marks on a line, with their intervals."""
    nodes = [point.nodes * apart for point in curve.points]
    mark = {"markersize": 7, **_mark(curve, look["color"])}
    axis.plot(nodes, [point.value for point in curve.points], linewidth=1.6, zorder=3, **look, **mark)
    for at, point in zip(nodes, curve.points, strict=True):
        if point.low < point.high:
            ends = [[max(0.0, point.value - point.low)], [max(0.0, point.high - point.value)]]
            axis.errorbar(at, point.value, yerr=ends, fmt="none", ecolor=look["color"], elinewidth=1.2, capsize=2.5)


def _draw_modelled(axis: "Axes", curve: Curve, look: Mapping[str, Any]) -> None:
    """Smaller marks on a thinner line, in the band of their range."""
    nodes = [point.nodes for point in curve.points]
    mark = {"markeredgewidth": 1.1, "markersize": 5, **_mark(curve, look["color"])}
    axis.plot(nodes, [point.value for point in curve.points], linewidth=1.0, zorder=2, **look, **mark)
    if any(point.low < point.high for point in curve.points):
        lows, highs = [point.low for point in curve.points], [point.high for point in curve.points]
        axis.fill_between(nodes, lows, highs, color=look["color"], alpha=0.1, linewidth=0)


def _scale(axis: "Axes", panel: Panel, curves: Sequence[Curve]) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    points = [point for curve in curves for point in curve.points]
    low, high = min(point.low for point in points), max(point.high for point in points)
    if panel.unit == "%":
        percent(axis, low, high)
    else:
        least = min(point.value for point in points)
        logarithmic(axis, panel.unit, *widened(low if low > 0 else least, high))
    nodes = sorted({point.nodes for point in points})
    # A long number at the right end needs room.
    axis.set(xscale="log", xlim=(nodes[0] / 1.3, nodes[-1] * (1.3 if nodes[-1] < 1000 else 2.2)))
    powers = [10**power for power in range(len(str(nodes[-1]))) if 10**power > 2 * nodes[0]]
    axis.xaxis.set_major_locator(FixedLocator(nodes if len(nodes) <= 6 else [nodes[0], *powers]))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: count(value)))
    ran = [point.nodes for curve in curves if curve.ran for point in curve.points]
    beyond = [point.nodes for curve in curves if not curve.ran for point in curve.points]
    if ran and beyond:
        axis.axvline((max(ran) * min(beyond)) ** 0.5, color="0.5", linewidth=0.8, linestyle=":", zorder=1)
