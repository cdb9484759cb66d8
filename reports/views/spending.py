"""What a step of training on several nodes costs, in parts: shared out by time, and as a model of a cluster says."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from energybench.reports import scaling
from energybench.reports.analog import is_number
from energybench.reports.figures import KINDS
from energybench.reports.numbers import bounds
from energybench.reports.views.part_looks import REST
from energybench.reports.views.view import joules_of

METERED = tuple(kind for kind in KINDS if kind != "modelled")
"""Kinds of joule that hold communication: the modelled ones count operations of the network alone."""
TERMS = {"compute": "computing", "communication CPU": "communication", "waiting": "waiting", "wire": "wire"}
"""Terms of a modelled point, by what they are called here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """Joules of a node and step, all of them with their interval, and in parts; without parts where none are known."""

    joules: float
    limits: tuple[float, float]
    parts: Mapping[str, float]


def spent_by(record: Mapping[str, Any], kind: str) -> Spent | None:
    """Joules of a node and step of one kind: joules a sample times the samples that a node takes in a step."""
    joules, batch = joules_of(record, kind), batch_of(record)
    if joules is None or not batch:
        return None
    whole = float(joules["value"]) * batch
    low, high = bounds(joules) or (float(joules["value"]),) * 2
    prefix = KINDS[kind][0].removesuffix("joules_per_sample")
    told = [record["results"].get(f"{prefix}{term}_joules_per_sample") for term in ("communication_cpu", "waiting")]
    parts = {REST: whole}
    if all(one is not None and one["provenance"] == kind for one in told):
        talking, waiting = (float(one["value"]) * batch for one in told if one)
        parts = {"computing": whole - talking - waiting, "communication": talking, "waiting": waiting}
    return Spent(joules=whole, limits=(low * batch, high * batch), parts=parts)


def batch_of(record: Mapping[str, Any]) -> float | None:
    """Samples that a node takes in a step; None where a record does not say."""
    told = record["workload"].get("definition", {}).get("batch", record["parameters"].get("batch"))
    return float(told) if is_number(told) and told > 0 else None


def modelled(curves: Iterable[tuple[str, Mapping[str, Any]]]) -> dict[str, list[Mapping[str, Any]]]:
    """The points with joules of the modelled cluster of each curve, as the last of its records tells them.

    Args:
        curves: the name of a curve and a record on it.
    """
    last = {name: record for name, record in curves if scaling.modelled_points(record)}
    return {name: [row for row in scaling.modelled_points(record) if _whole(row)] for name, record in last.items()}


def parts_of(row: Mapping[str, Any]) -> dict[str, float]:
    """Joules of a modelled point by part."""
    return {TERMS.get(name, name): float(term["joules"]) for name, term in row["terms"].items()}


def range_of(row: Mapping[str, Any]) -> tuple[float, float]:
    """The interval of a modelled point."""
    return float(row["low"]), float(row["high"])


def _whole(row: Mapping[str, Any]) -> bool:
    """Whether a modelled point has nodes, joules and parts of them."""
    nodes, terms = row.get("nodes"), row.get("terms")
    return (
        isinstance(nodes, int)
        and all(is_number(row.get(name)) for name in ("joules", "low", "high"))
        and row["joules"] > 0
        and isinstance(terms, Mapping)
        and all(isinstance(term, Mapping) and is_number(term.get("joules")) for term in terms.values())
        and bool(terms)
    )
