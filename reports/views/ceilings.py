"""What an energy table allows: operations a joule at each number of operations a byte (Choi et al., IPDPS 2013)."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TABLES = Path(__file__).resolve().parents[2] / "probes" / "tables"
LEAST_SHARE = 0.01
"""Of all operations that a number format has, so that its ceiling is drawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceiling:
    """What a table allows for one number format: joules an operation, and least and most joules a byte of DRAM."""

    name: str
    joules_per_operation: float
    joules_per_byte: tuple[float, float]

    def at(self, intensity: float, joules_per_byte: float) -> float:
        """Operations a joule at that many operations a byte."""
        return 1 / (self.joules_per_operation + joules_per_byte / intensity)


def ceilings(table: str, formats: Sequence[str], folder: Path = TABLES) -> list[Ceiling]:
    """The ceilings of number formats (`fp32`, `int8`, `b1`) in a named table; none where it is not there."""
    values = _table(table, folder)
    costs: dict[str, float] = {
        str(row["operation"]): float(row["picojoules"]) * 1e-12 for row in values.get("operations", ())
    }
    dram = next((row for row in values.get("memories", ()) if row["memory"] == "dram"), None)
    if dram is None:
        return []
    told = dram["picojoules"]
    low, high = (float(one) * 1e-12 / (dram["bits"] / 8) for one in (told if isinstance(told, list) else (told, told)))
    found = []
    for name in formats:
        rows = [costs[one] for one in (f"{name}.add", f"{name}.mul") if one in costs]
        rows = rows or [cost for one, cost in costs.items() if one.startswith(f"{name}.")]
        if rows:
            mean = sum(rows) / len(rows)
            found.append(Ceiling(name=name, joules_per_operation=mean, joules_per_byte=(low, high)))
    return found


def of_records(records: Iterable[Mapping[str, Any]], folder: Path) -> dict[str, list[Ceiling]]:
    """By table, for the number formats that these records computed in."""
    formats: dict[str, dict[str, None]] = {}
    for record in records:
        if "modelled" in record:
            counts = (record.get("operators") or {}).get("counts", {}).get("operations", {})
            formats.setdefault(str(record["modelled"]["table"]), {}).update(dict.fromkeys(_formats(counts)))
    told = {table: ceilings(table, list(names), folder) for table, names in formats.items()}
    return {table: found for table, found in told.items() if found}


def unknown(records: Iterable[Mapping[str, Any]], folder: Path) -> tuple[str, ...]:
    """Tables that records name and this installation does not have."""
    tables = dict.fromkeys(str(record["modelled"]["table"]) for record in records if "modelled" in record)
    return tuple(
        f"No ceilings: the energy table {name} is not installed here." for name in tables if not _table(name, folder)
    )


def _table(name: str, folder: Path) -> Mapping[str, Any]:
    """A table by its name; nothing where there is none of it."""
    file = folder / f"{name}.json"
    if not re.fullmatch(r"[A-Za-z0-9._-]+", name) or not file.is_file():
        return {}
    values: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return values


def _formats(counts: Mapping[str, Any]) -> list[str]:
    """The number formats of operations, those that have hardly any left out."""
    sums: dict[str, float] = {}
    for name, count in counts.items():
        if isinstance(count, int | float):
            head = name.partition(".")[0]
            sums[head] = sums.get(head, 0.0) + count
    return [name for name, count in sums.items() if count >= LEAST_SHARE * sum(sums.values())]
