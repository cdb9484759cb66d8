"""Two versions of one of asv's files as one, and where they contradict each other."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from energybench.gating.metrics import short_unit

Prefer = Literal["first", "newest"]
HEADER = ("commit_hash", "env_name", "params", "python", "requirements", "env_vars", "result_columns", "version")
MEANING = ("version", "unit", "type", "higher_is_better", "param_names")
"""What two entries of one benchmark must share; code and time limits may differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """The one file, and what the second said otherwise."""

    values: Mapping[str, Any]
    contradictions: tuple[str, ...] = ()


def merge_results(first: Mapping[str, Any], second: Mapping[str, Any], prefer: Prefer | None) -> Merged:
    """A result file with the rows of both; of two different rows the preferred one, else the first, contradicted."""
    different = [name for name in HEADER if first.get(name) != second.get(name)]
    if different:
        newest = second if _latest(second) > _latest(first) else first
        told = () if prefer else (f"{', '.join(different)} differ",)
        return Merged(values=newest if prefer == "newest" else first, contradictions=told)
    rows, told_rows = dict(first["results"]), []
    place = _column(first)
    for name, row in second["results"].items():
        if name not in rows:
            rows[name] = row
        elif not same(rows[name], row):
            if prefer == "newest" and _started(row, place) > _started(rows[name], place):
                rows[name] = row
            elif prefer is None:
                told_rows.append(name)
    durations = {**_mapping(second.get("durations")), **_mapping(first.get("durations"))}
    values = {**first, "results": rows, "durations": durations}
    return Merged(values=values, contradictions=tuple(f"{name} has other values" for name in told_rows))


def merge_index(first: Mapping[str, Any], second: Mapping[str, Any], prefer: Prefer | None) -> Merged:
    """An index with the benchmarks of both; one of another version or meaning contradicts."""
    entries, told = dict(first), []
    for name, entry in second.items():
        if name not in entries:
            entries[name] = entry
        elif isinstance(entry, Mapping) and (why := _difference(entries[name], entry)):
            if prefer == "newest":
                entries[name] = entry
            elif prefer is None:
                told.append(f"{name}: {why}")
    return Merged(values=entries, contradictions=tuple(told))


def same(one: object, other: object) -> bool:
    """Whether two JSON values are the same; NaN is itself."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other or (one != one and other != other)  # only NaN is not itself


def _difference(first: object, second: Mapping[str, Any]) -> str:
    if not isinstance(first, Mapping):
        return "it is no description in one of them"
    for name in MEANING:
        old, new = first.get(name), second.get(name)
        if name == "unit":
            old, new = short_unit(str(old)), short_unit(str(new))
        if old != new:
            return f"{name} {old} in one, {new} in another"
    return ""


def _latest(values: Mapping[str, Any]) -> float:
    place = _column(values)
    return max((_started(row, place) for row in values["results"].values()), default=0.0)


def _column(values: Mapping[str, Any]) -> int | None:
    columns = values.get("result_columns")
    return columns.index("started_at") if isinstance(columns, list) and "started_at" in columns else None


def _started(row: object, place: int | None) -> float:
    cell = row[place] if place is not None and isinstance(row, list) and place < len(row) else None
    return float(cell) if isinstance(cell, int | float) and abs(cell) < 1e300 else 0.0


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
