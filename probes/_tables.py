"""Energy tables: picojoules an operation and an access, as data files with their sources."""

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from energybench.model import Provenance, UnknownNameError

_TABLES = Path(__file__).parent / "tables"
_PICO = 1e-12


class Counted(Protocol):
    """Anything that says what it computed and moved."""

    @property
    def operand_bytes(self) -> int:
        """Bytes read and written."""
        ...

    @property
    def operations(self) -> Mapping[str, int]:
        """How many operations of each name."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyTable:
    """A published energy table.

    Attributes:
        name: the name of its file.
        title: the process and where it was published.
        operation_joules: joules of one operation, by name.
        memory_joules: joules of one byte, lowest and highest published, by memory.
        rows: the file's rows with their sources; `read` says whether a row was read at a primary or a
        secondary source,
            or is derived from other rows.
    """

    name: str
    title: str
    operation_joules: Mapping[str, float]
    memory_joules: Mapping[str, tuple[float, float]]
    rows: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelledEnergy:
    """Joules by counts and a table, arithmetic and memory apart.

    Attributes:
        joules: arithmetic, and memory at the middle of its published range.
        arithmetic_joules: of the operations that the table prices.
        memory_joules: of the bytes, at the middle of the range.
        low: the whole, with memory at its lowest.
        high: the whole, with memory at its highest.
        table: the table's name.
        memory: which memory the bytes were priced as.
        unpriced: operations that the table has no row for: their joules are not in any number here.
        provenance: modelled.
    """

    joules: float
    arithmetic_joules: float
    memory_joules: float
    low: float
    high: float
    table: str
    memory: str
    unpriced: Mapping[str, int]
    provenance: Provenance = "modelled"


def tables() -> list[str]:
    """The names of the energy tables that there are."""
    return sorted(path.stem for path in _TABLES.glob("*.json"))


def table(name: str) -> EnergyTable:
    """The energy table of that name. Raises UnknownNameError, with the nearest name, where there is none."""
    known = tables()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.3)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
        raise UnknownNameError(f"there is no energy table {name!r}: {hint}")
    content = json.loads((_TABLES / f"{name}.json").read_text(encoding="utf-8"))
    operations, memories = content["operations"], content["memories"]
    return EnergyTable(
        name=name,
        title=content["title"],
        operation_joules={row["operation"]: row["picojoules"] * _PICO for row in operations},
        memory_joules={row["memory"]: _range_per_byte(row) for row in memories},
        rows=(*operations, *memories),
    )


def energy(counts: Counted, priced_by: EnergyTable | str, *, memory: str = "dram") -> ModelledEnergy:
    """What these counts cost by a table. Every operand byte is an access to `memory`: no cache holds it."""
    prices = table(priced_by) if isinstance(priced_by, str) else priced_by
    if memory not in prices.memory_joules:
        there = ", ".join(prices.memory_joules)
        raise UnknownNameError(f"the energy table {prices.name} has no row for {memory}: it prices {there}")
    each = prices.operation_joules
    arithmetic = sum(each[name] * count for name, count in sorted(counts.operations.items()) if name in each)
    low, high = (joules * counts.operand_bytes for joules in prices.memory_joules[memory])
    middle = (low + high) / 2
    return ModelledEnergy(
        joules=arithmetic + middle,
        arithmetic_joules=arithmetic,
        memory_joules=middle,
        low=arithmetic + low,
        high=arithmetic + high,
        table=prices.name,
        memory=memory,
        unpriced={name: count for name, count in counts.operations.items() if name not in each},
    )


def _range_per_byte(row: Mapping[str, Any]) -> tuple[float, float]:
    width = row["bits"] / 8
    low, high = row["picojoules"] if isinstance(row["picojoules"], list) else (row["picojoules"],) * 2
    return low * _PICO / width, high * _PICO / width
