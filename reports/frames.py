"""Records read back into a pandas frame: a row a record, plain SI numbers, the columns listed at `load`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from energybench.reports.numbers import bounds

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    "id",
    "created",
    "machine",
    "workload",
    "workload_version",
    "seed",
    "quick",
    "seconds",
    "samples",
    "flags",
    "path",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A record and the file it was read from."""

    path: Path
    record: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A file that is no record we can read: which, why, and what to do."""

    path: Path
    reason: str


Found = tuple[list[Stored], list[Refused]]
"""What `read` gives."""


def load(path: str | Path) -> "pd.DataFrame":
    """The records in a folder (searched with its subfolders) or in one file, a row each, oldest first.

    Columns, all in SI units and in this order:
        id, created (UTC), machine (the machine's id), workload, workload_version, seed, quick;
        `param.<name>` for each parameter that occurs;
        seconds and samples, over all the measured windows of the record;
        for each metric that occurs, `<metric>` (`joules_per_sample`, `accuracy`, …), `<metric>.low` and
        `<metric>.high` (its interval), `<metric>.provenance` (measured, estimated, simulated, modelled);
        flags (a tuple) and path.
    What a record did not measure is NA there, never 0.

    Raises:
        FileNotFoundError: there is nothing at `path`.
        ValueError: a file is damaged or of an unknown version; the message names it and says what to do.
    """
    stored, refused = read(Path(path))
    if refused:
        more = f" ({len(refused) - 1} more like it)" if len(refused) > 1 else ""
        raise ValueError(f"{refused[0].path}: {refused[0].reason}{more}")
    return frame(stored)


def read(path: Path) -> Found:
    """The records at `path`, oldest first, and the files that were refused."""
    from energybench import store

    if not path.exists():
        raise FileNotFoundError(
            f"no records at {path}: make some with `energybench run qnn-infer`, or name another path"
        )
    found, problems = store.read_all(path)
    stored = [Stored(path=one.path, record=one.record.to_json()) for one in found]
    stored.sort(key=lambda one: (one.record["created"], one.record["id"]))
    refused = [Refused(path=one.path, reason=f"{one.reason}. {one.remedy}".rstrip(". ") + ".") for one in problems]
    return stored, refused


def frame(stored: Sequence[Stored]) -> "pd.DataFrame":
    """The frame of `load`, from records already read."""
    import pandas as pd

    table = pd.DataFrame([_row(one) for one in stored])
    if table.empty:
        return pd.DataFrame(columns=list(COLUMNS))
    table["created"] = pd.to_datetime(table["created"], utc=True, format="ISO8601")
    return table[_ordered([str(name) for name in table.columns])]


def parameters(table: "pd.DataFrame") -> list[str]:
    """The columns that hold parameters."""
    return [str(name) for name in table.columns if str(name).startswith("param.")]


def grouped(stored: Sequence[Stored]) -> list[list[Stored]]:
    """Records that belong in one table: the same workload in the same version on the same machine.

    Trainings to an accuracy stand apart, and last: all workloads that were trained to the same one, on the same data
    and machine, are one group.
    """
    groups: dict[tuple[str, ...], list[Stored]] = {}
    for one in stored:
        groups.setdefault(_group_key(one.record), []).append(one)
    return [groups[key] for key in sorted(groups)]


def _group_key(record: Mapping[str, Any]) -> tuple[str, ...]:
    if target := record.get("target"):
        return ("training", f"{target['accuracy']:.9f}", data_name(record), machine(record))
    workload = record["workload"]
    return ("steps", workload["name"], f"{workload['version']:09}", machine(record))


def newest(stored: Sequence[Stored]) -> list[Stored]:
    """The last record of each parameter point, in the order of workloads and their parameters."""
    points = {_point_key(one.record): one for one in stored}
    order = sorted(points.values(), key=lambda one: point_order(one.record["parameters"]))
    return sorted(order, key=lambda one: str(one.record["workload"]["name"]))


def _point_key(record: Mapping[str, Any]) -> str:
    return json.dumps([record["workload"]["name"], record["parameters"], record["seed"]], sort_keys=True)


def data_name(record: Mapping[str, Any]) -> str:
    """The data set of a record, by the name in its definition, else by its parameter; empty where it has none."""
    told = record["workload"].get("definition", {}).get("data", record["parameters"].get("data"))
    return str(told.get("name", "") if isinstance(told, Mapping) else told or "")


def point_order(parameters: Mapping[str, Any]) -> list[tuple[str, int, float, str]]:
    """Points by their parameters: 8 before 16, and words after numbers."""

    def number(value: object) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool)

    return [
        (name, 0, float(value), "") if number(value) else (name, 1, 0.0, str(value))
        for name, value in sorted(parameters.items())
    ]


def machine(record: Mapping[str, Any]) -> str:
    """What tells machines apart: the id, and whether its counters were simulated, lest that hide what is real."""
    kinds = [result["provenance"] for result in record["results"].values()]
    simulated = "simulated" in [*kinds, record.get("total", {}).get("provenance")]
    return f"{record['machine']['id']}{'-simulated' if simulated else ''}"


def title(record: Mapping[str, Any]) -> str:
    """A machine's name for people."""
    name = str(record["machine"]["name"])
    return f"{name}, simulated counters" if machine(record) != record["machine"]["id"] else name


def shown(value: object) -> str:
    """A parameter's value in words; of a path its last part: a published page need not tell where someone's home is."""
    if isinstance(value, str) and value.startswith("/"):
        return Path(value).name or value
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _row(stored: Stored) -> dict[str, object]:
    record = stored.record
    row: dict[str, object] = {
        "id": record["id"],
        "created": record["created"],
        "machine": record["machine"]["id"],
        "workload": record["workload"]["name"],
        "workload_version": record["workload"]["version"],
        "seed": record["seed"],
        "quick": record["quick"],
    }
    row |= {f"param.{name}": value for name, value in record["parameters"].items()}
    row |= {"seconds": record["seconds"], "samples": record["samples"]}
    for metric, result in record["results"].items():
        row[metric] = result["value"]
        limits = bounds(result)
        if limits is not None:
            row[f"{metric}.low"], row[f"{metric}.high"] = limits
        row[f"{metric}.provenance"] = result["provenance"]
    return row | {"flags": tuple(record.get("flags", ())), "path": str(stored.path)}


def _ordered(names: list[str]) -> list[str]:
    """Who, parameters, amounts, metrics by name with their interval beside them, then flags and path."""
    who, amounts, last = COLUMNS[:7], COLUMNS[7:9], COLUMNS[9:]
    settings = sorted(name for name in names if name.startswith("param."))
    rest = sorted({name.split(".", 1)[0] for name in names} - set(COLUMNS) - {"param"})
    metrics = [f"{one}{part}" for one in rest for part in ("", ".low", ".high", ".provenance")]
    return [name for name in (*who, *settings, *amounts, *metrics, *last) if name in names]
