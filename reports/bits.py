"""What records found at each bit-width: plain points for the figures against bits, and nothing drawn."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from energybench.reports.figures import KINDS, ordered
from energybench.reports.frames import Stored, data_name, shown
from energybench.reports.numbers import bounds

WIDTHS = ("bits", "wbits", "abits")
"""The parameters that say a bit-width; all others tell the points of one width apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One panel against bits: its name in files, its heading, what its axis says, and how a point is marked.

    Attributes:
        name: of its files.
        heading: above it.
        label: of the vertical axis.
        unit: of the values.
        metric: the result of a record that it shows.
        provenance: the kind of joule that it shows, which shares its panel with no other; None for other metrics.
        marker: matplotlib's, the same as of its kind elsewhere.
    """

    name: str
    heading: str
    label: str
    unit: str
    metric: str
    provenance: str | None = None
    marker: str = "o"


TERMS = ("memory", "arithmetic")
"""The parts of modelled joules, drawn one by one."""
PANELS = (
    Panel(name="accuracy", heading="Accuracy", label="accuracy", unit="%", metric="accuracy"),
    *(
        Panel(
            name=kind,
            heading=heading,
            label=f"{kind} J per sample",
            unit="J",
            metric=metric,
            provenance=kind,
            marker=marker,
        )
        for kind, (metric, marker, heading) in KINDS.items()
    ),
    Panel(name="file-bytes", heading="Model file", label="bytes", unit="B", metric="file_bytes"),
    Panel(
        name="operand-bytes",
        heading="Operand traffic, counted",
        label="operand bytes per sample",
        unit="B",
        metric="operand_bytes_per_sample",
        marker="^",
    ),
    Panel(
        name="dram-bytes",
        heading="DRAM traffic",
        label="DRAM bytes per sample",
        unit="B",
        metric="dram_bytes_per_sample",
    ),
    Panel(name="rate", heading="Speed", label="samples per second", unit="/s", metric="samples_per_second"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One value at one width, with its interval (the value itself where none was stated).

    Attributes:
        level: the width as it is written: W1A1, or 8 where a record knows one width alone.
        plain: whether weights and activations have one width; a line leads through these.
        setting: the other parameters that vary, in words; empty where none does.
        term: which part of the value; empty where it is whole.
        value: in SI units.
        low: lower end.
        high: upper end.
    """

    level: str
    plain: bool
    setting: str
    term: str = ""
    value: float
    low: float
    high: float


def widths(record: Mapping[str, Any]) -> tuple[int, ...] | None:
    """Bits of weights and activations; of both in one number where only `bits` is known; None without any.

    The definition's `wbits` and `abits` are what was run. Of parameters, 0 means: as `bits`.
    """
    definition, parameters = record["workload"].get("definition", {}), record["parameters"]
    common = _bits(parameters.get("bits"))
    if not any(name in told for name in ("wbits", "abits") for told in (definition, parameters)):
        return (common,) if common else None
    found = [_bits(definition.get(name)) or _bits(parameters.get(name)) or common for name in ("wbits", "abits")]
    return (found[0], found[1]) if found[0] and found[1] else None


def level(found: tuple[int, ...]) -> str:
    """W1A4, or 8."""
    return "W{}A{}".format(*found) if len(found) == 2 else str(found[0])


def levels(stored: Sequence[Stored]) -> list[str]:
    """The widths of these records, the narrowest first; empty where fewer than two differ."""
    found = {widths(one.record) for one in stored} - {None}
    return ordered([level(one) for one in found if one]) if len(found) > 1 else []


def points(stored: Sequence[Stored]) -> dict[str, list[Point]]:
    """The points of each panel that has any, by the panel's name; empty where records do not differ in a width."""
    if not levels(stored):
        return {}
    words = settings([one.record["parameters"] for one in stored])
    found: dict[str, list[Point]] = {}
    for panel in PANELS:
        drawn = [
            point for one, setting in zip(stored, words, strict=True) for point in _points(one.record, panel, setting)
        ]
        if drawn:
            found[panel.name] = drawn
    return found


def settings(parameters: Sequence[Mapping[str, Any]], *, without: Collection[str] = WIDTHS) -> list[str]:
    """What tells each point from the others, beside its width: `batch 64, net vgg`."""
    names = sorted({name for one in parameters for name in one} - set(without))
    # 1 is neither 1.0 nor true: they are other words.
    told = {name: {(type(value), value) for value in (one.get(name) for one in parameters)} for name in names}
    varying = [name for name in names if len(told[name]) > 1]
    return [", ".join(f"{name} {shown(one[name])}" for name in varying if name in one) for one in parameters]


def data_names(stored: Sequence[Stored]) -> set[str]:
    """The data sets of these records, by the name in their definition, else by their parameter."""
    return {data_name(one.record) for one in stored} - {""}


def _points(record: Mapping[str, Any], panel: Panel, setting: str) -> list[Point]:
    found, result = widths(record), record["results"].get(panel.metric)
    if found is None or result is None or panel.provenance not in {None, result["provenance"]}:
        return []
    place: dict[str, Any] = {"level": level(found), "plain": len(set(found)) == 1, "setting": setting}
    if parts := _terms(record) if panel.provenance == "modelled" else []:
        return [Point(**place, term=term, value=joules, low=joules, high=joules) for term, joules in parts]
    value = float(result["value"])
    low, high = bounds(result) or (value, value)
    return [Point(**place, value=value, low=low, high=high)] if panel.unit == "%" or value > 0 else []


def _terms(record: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Modelled joules a sample, memory and arithmetic apart; a term that is 0 has no place on a logarithmic axis."""
    modelled, samples = record.get("modelled", {}), record["samples"]
    parts = [(term, float(modelled.get(f"{term}_joules", 0.0))) for term in TERMS]
    return [(term, joules / samples) for term, joules in parts if joules > 0 and samples]


def _bits(value: object) -> int | None:
    """A width; None for 0, for what is no whole number, and for nothing."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
