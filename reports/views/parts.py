"""What a record's joules consist of: disjoint domains or terms, what is static and what active, watts by phase."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from energybench.reports.numbers import bounds
from energybench.reports.views.part_looks import OTHERS, REST

MOST_PARTS = 7
"""Colours for parts by name; smaller ones are one part together."""
SPLIT = ("static", "active")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One kind of joule of one record, in parts that add up to it.

    Attributes:
        kind: of joule.
        of: what the parts are: domains, terms, or static and active.
        parts: joules a sample by name.
        joules: a sample, all of it.
        limits: its interval; None where none was stated.
        part_limits: the interval of each part that has one of its own.
    """

    kind: str
    of: str
    parts: Mapping[str, float]
    joules: float
    limits: tuple[float, float] | None = None
    part_limits: Mapping[str, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """Mean watts of each domain of the total in one phase; `doubt` is the standard uncertainty of their sum."""

    name: str
    kind: str
    seconds: float
    watts: Mapping[str, float]
    doubt: float = 0.0


def bars(record: Mapping[str, Any]) -> list[Bar]:
    """Every bar of a record: domains, then static and active; modelled terms."""
    samples = record["samples"]
    if not samples:
        return []
    return [*_metered(record, samples), *_estimated(record, samples), *_modelled(record, samples)]


def phases(record: Mapping[str, Any]) -> list[Phase]:
    """Idle before, the windows, idle after: those in which all domains of the total were read."""
    total = record.get("total")
    if not total or not record["seconds"]:
        return []
    cut, found = total["domains"], []
    spans = [(f"idle {one['when']}", one) for one in record.get("idle", ())]
    order = {"idle before": 0, "windows": 1, "idle after": 2}
    for name, part in sorted([*spans, ("windows", record)], key=lambda one: order.get(one[0], 3)):
        domains = part.get("domains", {})
        if not all("joules" in domains.get(domain, {}) for domain in cut):
            continue
        watts = {domain: domains[domain]["joules"] / part["seconds"] for domain in cut}
        doubt = math.hypot(*(domains[domain]["standard_uncertainty"] for domain in cut)) / part["seconds"]
        found.append(Phase(name=name, kind=total["provenance"], seconds=part["seconds"], watts=watts, doubt=doubt))
    return found


def common(parts: Sequence[Mapping[str, float]]) -> list[str]:
    """The names of parts that get a colour of their own, the largest first; the others are summed."""
    sums: dict[str, float] = {}
    for one in parts:
        whole = math.fsum(abs(value) for value in one.values()) or 1.0
        for name, value in one.items():
            sums[name] = sums.get(name, 0.0) + abs(value) / whole
    return sorted(sums, key=lambda name: (-sums[name], name))[:MOST_PARTS]


def gathered(parts: Mapping[str, float], named: Sequence[str]) -> dict[str, float]:
    """Parts by these names, in this order, and what is left as one."""
    kept = {name: parts[name] for name in named if name in parts}
    rest = [value for name, value in parts.items() if name not in kept]
    return kept | ({OTHERS: math.fsum(rest)} if rest else {})


def _metered(record: Mapping[str, Any], samples: int) -> list[Bar]:
    """Joules of the total by domain, and what idle power would have taken in the same time."""
    total = record.get("total")
    if not total:
        return []
    joules, kind = total["joules"] / samples, total["provenance"]
    read = {name: one for name in total["domains"] if "joules" in (one := record["domains"].get(name, {}))}
    parts = {name: one["joules"] / samples for name, one in read.items()}
    if abs(rest := joules - math.fsum(parts.values())) > 1e-6 * abs(joules):
        parts[REST] = rest
    doubt = 2 * total["standard_uncertainty"] / samples
    stated = record["results"].get("joules_per_sample")
    limits = (joules - doubt, joules + doubt)
    if stated and stated["provenance"] == kind and math.isclose(stated["value"], joules, rel_tol=0.01):
        limits = bounds(stated) or limits
    doubts = {name: 2 * one["standard_uncertainty"] / samples for name, one in read.items()}
    own = {name: (parts[name] - half, parts[name] + half) for name, half in doubts.items()}
    found = [Bar(kind=kind, of="domains", parts=parts, joules=joules, limits=limits, part_limits=own)]
    if read and (watts := _idle_watts(record, list(read))) is not None:
        found.append(_split(kind, joules, watts * record["seconds"] / samples, limits))
    return found


def _idle_watts(record: Mapping[str, Any], cut: Sequence[str]) -> float | None:
    """Mean power of these domains at rest; None where none of the baselines read all of them."""
    seen = [one for one in record.get("idle", ()) if all("joules" in one["domains"].get(name, {}) for name in cut)]
    watts = [math.fsum(one["domains"][name]["joules"] for name in cut) / one["seconds"] for one in seen]
    return fmean(watts) if watts else None


def _split(kind: str, joules: float, static: float, limits: tuple[float, float] | None) -> Bar:
    """Static and active; net joules may be below 0, where the machine rested more quietly than it idled."""
    return Bar(
        kind=kind,
        of=" and ".join(SPLIT),
        parts={"static": static, "active": joules - static},
        joules=joules,
        limits=limits,
    )


def _estimated(record: Mapping[str, Any], samples: int) -> list[Bar]:
    told, result = record.get("estimated"), record["results"].get("estimated_joules_per_sample")
    if not told or told.get("idle_watts") is None or not result:
        return []
    joules = told["joules"] / samples
    return [_split("estimated", joules, told["idle_watts"] * record["seconds"] / samples, bounds(result))]


def _modelled(record: Mapping[str, Any], samples: int) -> list[Bar]:
    told = record.get("modelled")
    if not told:
        return []
    parts = {term: told[f"{term}_joules"] / samples for term in ("memory", "arithmetic")}
    joules = told["joules"] / samples
    if abs(rest := joules - math.fsum(parts.values())) > 1e-6 * joules:
        parts[REST] = rest
    limits = (told["low"] / samples, told["high"] / samples) if "low" in told and "high" in told else None
    return [Bar(kind="modelled", of="terms", parts=parts, joules=joules, limits=limits)]
