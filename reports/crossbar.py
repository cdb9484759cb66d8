"""The terms of a modelled analog crossbar, apart from all that was measured: figures, table and sources."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from energybench.reports.analog import is_number, listed
from energybench.reports.bits import settings
from energybench.reports.frames import Stored
from energybench.reports.numbers import quantity, show
from energybench.reports.plotting import colours, legend, logarithmic, panel_axes, widened

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TERMS = {
    "crossbar": "Joules an inference of a modelled analog crossbar, term by term",
    "crossbar_training": "Joules a training sample of a modelled analog crossbar that learns in situ, term by term",
    "checks": (
        "A check of converters and static together: the same products at the joules of a whole measured chip, which "
        "converts at each product of a matrix and a vector; the model assumes units that stay analog, with no "
        "conversions between sweeps"
    ),
    "digital": "The same work on a modelled digital machine",
}
"""The lists of modelled terms that a record may tell of, and what each is."""
SIDES = (1.1, 0.25)
"""Inches left of a panel's axes, where the names of terms stand, and right, where the last joules may reach."""
DRAWN = {"crossbar": "Modelled crossbar, inference", "crossbar_training": "Modelled crossbar, training"}
"""The lists that are parts of one machine, and what stands above their panels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TermList:
    """Modelled terms of one or several records: what they are of, the parameters of these records, and the rows."""

    name: str
    heading: str
    setting: str
    rows: list[Mapping[str, Any]]


def table(stored: Sequence[Stored]) -> list[dict[str, Any]]:
    """The modelled terms that records tell of, in plain values for the page: a table a list, equal ones once."""
    return [
        {"heading": one.heading, "setting": one.setting, "rows": [_shown(row) for row in one.rows]}
        for one in _term_lists(stored)
    ]


def sources(stored: Sequence[Stored]) -> list[tuple[str, str]]:
    """Where the constants of the terms come from, each source once."""
    found: dict[str, dict[str, None]] = {}
    for row in (row for one in _term_lists(stored) for row in one.rows if row.get("source")):
        found.setdefault(str(row["source"]), {})[str(row.get("term", ""))] = None
    return [("; ".join(terms), source) for source, terms in found.items()]


def figures(stored: Sequence[Stored], *, dark: bool = False) -> "dict[str, Figure]":
    """The terms of modelled crossbars with their ranges: a panel for each list of several terms."""
    return {name: _terms(one, dark=dark) for name, one in _drawn(stored).items()}


def alt(stored: Sequence[Stored], name: str) -> str:
    """What a panel of terms shows, in a sentence."""
    one = _drawn(stored)[name]
    parts = [f"{row.get('term', '')} {quantity(row['joules'], 'J')}" for row in one.rows]
    return f"{one.heading}: {', '.join(parts)}. All modelled."


def _drawn(stored: Sequence[Stored]) -> dict[str, TermList]:
    """The lists of parts, where any is above 0."""
    lists = [one for one in _term_lists(stored) if one.name in DRAWN and any(row["joules"] > 0 for row in one.rows)]
    return {f"terms-{number}": one for number, one in enumerate(lists, start=1)}


def _term_lists(stored: Sequence[Stored]) -> list[TermList]:
    words = settings([one.record["parameters"] for one in stored])
    found: dict[str, tuple[str, list[str], list[Mapping[str, Any]]]] = {}
    for name in TERMS:
        for one, setting in zip(stored, words, strict=True):
            rows = [row for row in listed(one.record, name) if is_number(row.get("joules"))]
            if rows:
                found.setdefault(repr((name, rows)), (name, [], rows))[1].append(setting)
    return [
        TermList(name=name, heading=TERMS[name], setting="; ".join(filter(None, told)), rows=rows)
        for name, told, rows in found.values()
    ]


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    result = {"value": float(row["joules"]), "unit": "J", "provenance": "modelled"}
    result |= {end: float(row[end]) for end in ("low", "high") if is_number(row.get(end))}
    return {"term": _named(row), "joules": show(result)}


def _named(row: Mapping[str, Any]) -> str:
    """A term's name; of one that stands in for others, how many times as many joules it has as they."""
    name = str(row.get("term", ""))
    return f"{name}, {row['factor']:.2g} × the model's" if is_number(row.get("factor")) else name


def _terms(one: TermList, *, dark: bool) -> "Figure":
    """A mark and a range for each term, on a logarithmic axis that measured joules never share."""
    rows = [row for row in reversed(one.rows) if row["joules"] > 0]
    (ink,) = colours(1, dark=dark)
    with panel_axes(DRAWN[one.name], "modelled joules", "", dark=dark) as (figure, axis):
        for place, row in enumerate(rows):
            low, high = (float(row[end]) if is_number(row.get(end)) else row["joules"] for end in ("low", "high"))
            axis.plot([max(low, high * 1e-9), high], [place, place], color=ink, linewidth=5, alpha=0.3, zorder=2)
            axis.plot(row["joules"], place, "^", color=ink, markersize=8, zorder=3)
        ends = [float(row[end]) for row in rows for end in ("low", "joules", "high") if is_number(row.get(end))]
        logarithmic(axis, "J", *widened(min(value for value in ends if value > 0), max(ends)), way="x")
        axis.set_yticks(range(len(rows)), [str(row.get("term", "")) for row in rows])
        axis.set_ylim(-0.6, len(rows) - 0.4)
        axis.grid(visible=False, axis="y")
        legend(figure, [], dark=dark, sides=SIDES)
    return figure
