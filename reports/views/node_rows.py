"""Steps of training on several nodes as rows, for a table and for data."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from energybench.reports import origins, scaling
from energybench.reports.analog import is_number
from energybench.reports.numbers import UNKNOWN, Shown, bounds
from energybench.reports.views.part_looks import REST
from energybench.reports.views.spending import METERED, batch_of, modelled, parts_of, range_of, spent_by
from energybench.reports.views.view import MOST_ROWS, Cell, shown

BYTES = ("payload_bytes", "tcp_bytes", "wire_bytes")
COLUMNS = (
    "record",
    "machine",
    "workload",
    "strategy",
    "name",
    "nodes",
    "source",
    "provenance",
    "joules",
    "joules.low",
    "joules.high",
    "computing",
    "communication",
    "waiting",
    "wire",
    "seconds",
    "seconds.low",
    "seconds.high",
    "payload_bytes",
    "tcp_bytes",
    "tcp_bytes.low",
    "tcp_bytes.high",
    "wire_bytes",
    "accuracy",
    "accuracy.low",
    "accuracy.high",
    *origins.COLUMNS,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One record, with the name of its curve."""

    name: str
    record: Mapping[str, Any]

    @property
    def label(self) -> str:
        """`sync, 4 nodes`."""
        return at(self.name, scaling.nodes_of(self.record))


def at(name: str, nodes: int) -> str:
    """`sync, 4 nodes`."""
    return f"{name}, {scaling.count(nodes)} node{'s' * (nodes > 1)}"


def rows_of(one: Point, where: str) -> Iterator[tuple[Cell, ...]]:
    """One for each kind of joule of processes; one without where there is none."""
    results = one.record["results"]
    right = results.get("accuracy")
    accuracy = shown(float(right["value"]), "%", right["provenance"], bounds(right), otherwise=UNKNOWN) if right else ""
    rest = (_of_a_step(results, "tcp_bytes", "B"), _of_a_step(results, "seconds", "s"), accuracy)
    spent = {kind: found for kind in METERED if (found := spent_by(one.record, kind))}
    for kind, found in spent.items():
        energy = shown(found.joules, "J", kind, found.limits, otherwise=UNKNOWN)
        yield f"{one.label}{where}", energy, _shares(found.parts, found.joules, kind), *rest
    if not spent:
        yield f"{one.label}{where}", "", "", *rest


def modelled_rows(own: Sequence[Point], where: str) -> Iterator[tuple[Cell, ...]]:
    """One for each point of the modelled cluster."""
    for name, rows in modelled((one.name, one.record) for one in own).items():
        for row in rows:
            told = ", ".join(f"{part} {100 * value / row['joules']:.1f} %" for part, value in parts_of(row).items())
            parts = Shown(text=told, interval=UNKNOWN, provenance=scaling.MODELLED)
            energy = shown(float(row["joules"]), "J", scaling.MODELLED, range_of(row), otherwise=UNKNOWN)
            sent, seconds = (
                shown(float(row[column]), unit, scaling.MODELLED, otherwise=UNKNOWN)
                if is_number(row.get(column))
                else ""
                for column, unit in (("tcp_bytes", "B"), ("seconds", "s"))
            )
            yield f"{at(name, row['nodes'])}{where}, modelled", energy, parts, sent, seconds, ""


def summary(rows: Sequence[tuple[Cell, ...]]) -> str:
    """What the line says that opens them."""
    listed = "" if len(rows) <= MOST_ROWS else f", of which {MOST_ROWS} are listed"
    return f"{len(rows):,} points of a modelled cluster{listed}"


def data(own: Sequence[Point]) -> Iterator[dict[str, object]]:
    """Rows of the frame of the view: processes that ran, then the modelled cluster."""
    for one in own:
        who = _who(one) | {"nodes": scaling.nodes_of(one.record), "source": "processes"}
        told = _told(one.record)
        kinds = {kind: spent for kind in METERED if (spent := spent_by(one.record, kind))}
        for kind, spent in kinds.items():
            parts = {} if REST in spent.parts else dict(spent.parts)
            low, high = spent.limits
            joules = {"joules": spent.joules, "joules.low": low, "joules.high": high}
            yield {**who, "provenance": kind, **joules, **parts, **told}
        if not kinds:
            yield {**who, **told}
        wired, batch = one.record["results"].get("wire_joules_per_sample"), batch_of(one.record)
        if wired and batch:
            yield {**who, "provenance": wired["provenance"], "wire": wired["value"] * batch}
    last = {one.name: one for one in own}
    for name, rows in modelled((one.name, one.record) for one in own).items():
        for row in rows:
            yield _who(last[name]) | _modelled_data(row)


def _shares(parts: Mapping[str, float], whole: float, kind: str) -> Cell:
    """`45.1 %, 29.0 %, 25.9 %`: of the same provenance as the joules that were shared out."""
    if REST in parts:
        return REST
    told = ", ".join(f"{100 * joules / whole:.1f} %" for joules in parts.values())
    return Shown(text=told, interval=UNKNOWN, provenance=kind)


def _of_a_step(results: Mapping[str, Any], what: str, unit: str) -> Cell:
    """What a node took in a step, as a cell; empty where a record does not say."""
    result = results.get(f"{what}_per_step")
    if not result:
        return ""
    return shown(float(result["value"]), unit, result["provenance"], step_limits(results, what), otherwise=UNKNOWN)


def step_limits(results: Mapping[str, Any], what: str) -> tuple[float, float] | None:
    """The interval of what a step took: its own, else that of a sample, of which every step has the same number."""
    step, sample = (results.get(f"{what}_per_{each}") for each in ("step", "sample"))
    if step is None or (own := bounds(step)) is not None:
        return own if step else None
    limits = bounds(sample) if sample and sample["value"] and sample["provenance"] == step["provenance"] else None
    if sample is None or limits is None:
        return None
    samples = float(step["value"]) / float(sample["value"])
    return limits[0] * samples, limits[1] * samples


def _who(one: Point) -> dict[str, object]:
    record = one.record
    row: dict[str, object] = {"record": record["id"], "machine": record["machine"]["id"], **origins.columns(record)}
    return row | {"workload": record["workload"]["name"], "strategy": scaling.strategy_of(record), "name": one.name}


def _told(record: Mapping[str, Any]) -> dict[str, object]:
    """What does not depend on the kind of joule."""
    results = record["results"]
    columns = {f"{name}_per_step": name for name in ("seconds", *BYTES)} | {"accuracy": "accuracy"}
    row = {column: results[metric]["value"] for metric, column in columns.items() if metric in results}
    for name in ("seconds", "tcp_bytes"):
        if of_a_step := step_limits(results, name):
            row[f"{name}.low"], row[f"{name}.high"] = of_a_step
    if limits := bounds(results.get("accuracy", {"value": None})):
        row["accuracy.low"], row["accuracy.high"] = limits
    return row


def _modelled_data(row: Mapping[str, Any]) -> dict[str, object]:
    told: dict[str, object] = {"nodes": row["nodes"], "source": "model", "provenance": scaling.MODELLED}
    told |= {"joules": row["joules"], "joules.low": row["low"], "joules.high": row["high"]}
    told |= {part: joules for part, joules in parts_of(row).items() if part in COLUMNS}
    return told | {name: row[name] for name in ("seconds", *BYTES) if is_number(row.get(name))}
