"""What a benchmark of asv means: which series its values are, in which unit and direction."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from energybench.gating.metrics import family_of, is_accuracy, is_counted, more_is_better, si_unit
from energybench.gating.series import Family
from energybench.model import Provenance

ENERGY = "energy_"
PROVENANCES = ("measured", "estimated", "simulated", "modelled")
MEMORY = ("memory", "peakmemory")


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """What a benchmark's values are, as the index tells; they are in `unit` once multiplied with `factor`."""

    workload: str
    metric: str
    family: Family
    unit: str
    provenance: Provenance
    higher_is_better: bool
    exact: bool
    margin: float | None
    names: tuple[object, ...]
    params: object = ()
    factor: float = 1.0
    described: bool = True


def meaning_of(name: str, described: Mapping[str, Any]) -> Meaning | None:
    """What a benchmark's values are; None where they are not judged."""
    given = str(described.get("unit", ""))
    unit, factor = si_unit(given)
    workload, metric = _named(name, described, unit)
    provenance = _provenance(metric, described)
    family = family_of(metric, unit, provenance)
    if described.get("type") in MEMORY:
        family = "quality"
    if family is None:
        return None
    up = described.get("higher_is_better")
    if not isinstance(up, bool):
        up = family in ("quality", "accuracy") and more_is_better(name, given)
    if family == "quality" and up and is_accuracy(name, given):
        family, unit = "accuracy", "1"
    margin, counted = described.get("margin"), family == "size" or (family == "modelled" and is_counted(metric))
    names = described.get("param_names")
    return Meaning(
        workload=workload,
        metric=metric,
        family=family,
        unit=unit,
        provenance=provenance,
        higher_is_better=up,
        exact=counted and not margin and described.get("exact", True) is not False,
        margin=float(margin) if isinstance(margin, int | float) and margin >= 0 else None,
        names=tuple(names) if isinstance(names, list) else (),
        params=described.get("params") or [],
        factor=factor,
    )


def undescribed(name: str) -> Meaning:
    """Of a benchmark that was taken out of the suite: that it was there is all that is known."""
    kind = {"type": "energy"} if name.rpartition(".")[2].startswith(ENERGY) else {}
    workload, metric = _named(name, kind, "")
    return Meaning(
        workload=workload,
        metric=metric,
        family="quality",
        unit="",
        provenance=_provenance(metric, {}),
        higher_is_better=False,
        exact=False,
        margin=None,
        names=(),
        described=False,
    )


def _named(name: str, described: Mapping[str, Any], unit: str) -> tuple[str, str]:
    """`quantized.QnnInfer` and `joules_per_sample`; of another benchmark its name, and what it counts."""
    place, _, last = name.rpartition(".")
    if described.get("type") == "energy" and place and last.startswith(ENERGY) and last != ENERGY:
        return place, last.removeprefix(ENERGY)
    kind = {"J": "joules", "s": "seconds", "B": "bytes"}.get(unit)
    return name, kind or str(described.get("type") or unit or "value")


def _provenance(metric: str, described: Mapping[str, Any]) -> Provenance:
    told = described.get("provenance")
    if told in PROVENANCES:
        return cast("Provenance", told)
    return "modelled" if metric.startswith(("modelled_", "operand_bytes", "payload_bytes")) else "measured"


def as_it_was(meaning: Meaning, version: str) -> Meaning:
    """The index is of the last run: what a simulated machine said before it, or a counter, is told by the version."""
    if version.endswith("-simulated") and meaning.provenance == "measured":
        return replace(meaning, provenance="simulated")
    if meaning.provenance == "simulated" and not version.endswith("-simulated"):
        return replace(meaning, provenance="measured")
    return meaning
