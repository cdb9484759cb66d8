"""What records say of networks that settle: phases, tolerance, and rows for a table and for data."""

from collections.abc import Iterator, Mapping
from typing import Any

from energybench.reports import origins, relaxation
from energybench.reports.analog import is_number
from energybench.reports.figures import KINDS
from energybench.reports.numbers import EXACT, UNKNOWN, Shown, bounds
from energybench.reports.plotting import tick
from energybench.reports.views.view import Cell, joules_of, shown

MEAN = f"mean, {UNKNOWN}"


def phases(record: Mapping[str, Any]) -> dict[str, float]:
    """Mean sweeps of the free phase and of all nudged ones together; empty where none are nudged."""
    free, every = number_of(record, "free_sweeps"), number_of(record, "sweeps")
    if free is None or every is None or not number_of(record, "nudged_sweeps") or not every > free:
        return {}
    return {relaxation.FREE: free, "nudged": every - free}


def phase_joules(record: Mapping[str, Any], kind: str) -> dict[str, float]:
    """Joules a sample × the share of the sweeps that a phase has."""
    told, joules = phases(record), joules_of(record, kind)
    if joules is None:
        return {}
    every = sum(told.values())
    return {name: sweeps / every * float(joules["value"]) for name, sweeps in told.items()}


def tolerance_of(record: Mapping[str, Any]) -> float | None:
    """What was set; None for 0, which means none."""
    told = record["parameters"].get("tolerance")
    return float(told) if is_number(told) and told > 0 else None


def number_of(record: Mapping[str, Any], metric: str) -> float | None:
    """A result by its name; None where it is absent or no number."""
    result = record["results"].get(metric)
    return float(result["value"]) if result and is_number(result["value"]) else None


def rows_of(record: Mapping[str, Any], name: str) -> list[tuple[Cell, ...]]:
    """One for each kind of joule."""
    tolerance, accuracy = tolerance_of(record), record["results"].get("accuracy")
    end = number_of(record, "residual")
    right: Cell = (
        shown(float(accuracy["value"]), "%", accuracy["provenance"], bounds(accuracy), otherwise=UNKNOWN)
        if accuracy
        else ""
    )
    residual = record["results"]["residual"]["provenance"] if end is not None else ""
    return [
        (
            name,
            tick(tolerance, "") if tolerance else "none",
            _sweeps(record),
            shown(end, "", residual, otherwise=UNKNOWN) if end is not None else "",
            shown(float(joules["value"]), "J", kind, bounds(joules), otherwise=UNKNOWN),
            right,
        )
        for kind in KINDS
        if (joules := joules_of(record, kind))
    ]


def data(record: Mapping[str, Any], name: str) -> Iterator[dict[str, object]]:
    """Rows of the frame of the view: sweeps, phases, then the step as a whole."""
    who: dict[str, object] = {"record": record["id"], "machine": record["machine"]["id"], "name": name}
    who |= {"workload": record["workload"]["name"], **origins.columns(record)}
    who |= {"tolerance": tolerance} if (tolerance := tolerance_of(record)) else {}
    kinds = [kind for kind in KINDS if joules_of(record, kind)]
    told = relaxation.trace(record)
    for kind in kinds or [""]:
        yield from _sweep_rows(record, told, who, kind) if told else ()
    for kind in kinds:
        joules = phase_joules(record, kind)
        for phase, sweeps in phases(record).items():
            yield who | {"what": "phase", "phase": phase, "sweeps": sweeps, "provenance": kind, "joules": joules[phase]}
        yield who | _step_row(record, kind)


def _sweeps(record: Mapping[str, Any]) -> Cell:
    """The sweeps of a phase: as many for all samples where no tolerance ends them, else their mean."""
    free = number_of(record, "free_sweeps")
    told = phases(record) or ({relaxation.FREE: free} if free is not None else {})
    if not told:
        return ""
    text = ", ".join(f"{sweeps:.3g} {name}" for name, sweeps in told.items())
    return Shown(
        text=text,
        interval=MEAN if tolerance_of(record) else EXACT,
        provenance=record["results"]["free_sweeps"]["provenance"],
    )


def _sweep_rows(
    record: Mapping[str, Any], told: Mapping[str, Any], who: Mapping[str, object], kind: str
) -> Iterator[dict[str, object]]:
    so_far = relaxation.joules_so_far(record, kind) if kind else []
    for place, (sweep, phase) in enumerate(zip(told["sweep"], relaxation.phases_of(told), strict=True)):
        row = {"what": "sweep", "phase": phase, "sweep": sweep}
        row |= {column: told[column][place] for column in ("active", "residual_median", "residual_max", "seconds")}
        yield {**who, **row} | ({"provenance": kind, "joules": so_far[place]} if so_far else {})


def _step_row(record: Mapping[str, Any], kind: str) -> dict[str, object]:
    joules = joules_of(record, kind)
    assert joules is not None
    row: dict[str, object] = {"what": "step", "provenance": kind, "joules": joules["value"]}
    if limits := bounds(joules):
        row["joules.low"], row["joules.high"] = limits
    every, right = number_of(record, "sweeps"), number_of(record, "accuracy")
    return row | ({"sweeps": every} if every else {}) | ({"accuracy": right} if right is not None else {})
