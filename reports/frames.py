"""Records and asv results as pandas frames: plain SI numbers, the columns listed at `load` and at the long forms."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from energybench.reports.long_frames import OF_ASV, commit_of, dated, tidy, traces, whole, windows
from energybench.reports.numbers import bounds

if TYPE_CHECKING:
    import pandas as pd

    from energybench.gating.library import Library
    from energybench.gating.recorded import Recorded
    from energybench.reports.asv_frames import AsvValue
    from energybench.store import Problem

__all__ = [
    "COLUMNS",
    "Contents",
    "Found",
    "Refused",
    "Stored",
    "commit_of",
    "contents",
    "data_name",
    "frame",
    "grouped",
    "in_order",
    "in_time",
    "load",
    "machine",
    "newest",
    "over_commits",
    "parameters",
    "point_order",
    "read",
    "row",
    "shown",
    "tidy",
    "title",
    "titles",
    "traces",
    "windows",
]
COLUMNS = (
    "id",
    "created",
    "machine",
    "commit",
    "workload",
    "workload_version",
    "seed",
    "quick",
    "seconds",
    "samples",
    "flags",
    "path",
)


NO_NAME = "(no name)"
"""What stands for an empty name of a workload: a link must have words."""


@dataclass(frozen=True, kw_only=True)
class Stored:
    """A record and the file it was read from.

    Attributes:
        path: the file.
        record: its values; of a record over commits those that `recorded` keeps at hand.
        recorded: where the others are; None where `record` is whole.
    """

    path: Path
    record: Mapping[str, Any]
    recorded: "Recorded | None" = None

    @property
    def whole(self) -> "Stored":
        """The same with all values of the record."""
        return self if self.recorded is None else Stored(path=self.path, record=self.recorded.whole)

    @cached_property
    def machine(self) -> str:
        """As `machine` of its record, once."""
        return machine(self.record)

    @property
    def traced(self) -> bool:
        """Whether it has a power trace."""
        return self.recorded.traced if self.recorded else "trace" in self.record

    @property
    def digest(self) -> str:
        """SHA-256 of the whole record."""
        from energybench.gating.recorded import digest_of

        return self.recorded.digest if self.recorded else digest_of(self.record)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A file that is no record we can read: which, why, and what to do."""

    path: Path
    reason: str


Found = tuple[list[Stored], list[Refused]]
"""What `read` gives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """Everything that `load` reads: records, values of asv, and files that are neither."""

    stored: list[Stored]
    asv: "list[AsvValue]"
    refused: list[Refused]


def load(path: str | Path) -> "pd.DataFrame":
    """Records and asv results, a row each, oldest first.

    Columns, all in SI units and in this order:
        id (of the record; of asv the name of its file), created (UTC; when it was measured), machine (its id; asv's
        name of it), commit (the full hash; NA where files differed from it), workload, workload_version, seed, quick;
        `param.<name>` for each parameter that occurs;
        seconds and samples, over all the measured windows of the record;
        for each metric that occurs, `<metric>` (`joules_per_sample`, `accuracy`, …), `<metric>.low` and
        `<metric>.high` (its interval), `<metric>.provenance` (measured, estimated, simulated, modelled);
        flags (a tuple) and path.
    Where there are asv results, `committed` (the commit's date) and `environment` follow `commit`. A row of asv is one
    combination of parameters of one commit; series that are not judged (rates, counts of operations) are not in it.
    What was not measured is NA there, never 0.

    Args:
        path: a record, a result file of asv, a results_dir, a folder of records or of both (searched with its
            subfolders), or a project's folder: its `.energybench/records` and the results_dir of its asv.conf.json.

    Raises:
        FileNotFoundError: there is nothing at `path`.
        ValueError: a file is damaged or of an unknown version; the message names it and says what to do.
    """
    found = contents(Path(path))
    if found.refused:
        more = f" ({len(found.refused) - 1} more like it)" if len(found.refused) > 1 else ""
        raise ValueError(f"{found.refused[0].path}: {found.refused[0].reason}{more}")
    return frame(found.stored, found.asv)


def read(path: Path) -> Found:
    """The records at `path`, oldest first, and the files that were refused; results of asv are among these."""
    _check(path)
    return _read([path])


def contents(path: Path) -> Contents:
    """Records and asv results at `path`, as `load` knows it, and the files that were refused."""
    from energybench.reports import asv_frames

    _check(path)
    if path.is_file():
        found = asv_frames.read_file(path)
        stored, refused = _read([path]) if found is None else ([], [])
        values, troubles = found or ([], [])
        return Contents(stored=stored, asv=values, refused=[*refused, *map(_refusal, troubles)])
    records, trees = _of_project(path) or (None, ())
    if records is None:
        below = asv_frames.places(path)
        trees = below.trees
        stored, refused = _read(below.files if trees else [path])
        refused += [_closed(one) for one in below.closed] if trees else []
    else:
        stored, refused = _read([records] if records.exists() else [])
    read_trees = [asv_frames.read_folder(one) for one in trees]
    return Contents(
        stored=stored,
        asv=[value for values, _ in read_trees for value in values],
        refused=[*refused, *(_refusal(one) for _, troubles in read_trees for one in troubles)],
    )


def _check(path: Path) -> None:
    if not path.exists():
        raise FileNotFoundError(
            f"no records at {path}: make some with `energybench run qnn-infer`, or name another path"
        )


def _of_project(path: Path) -> tuple[Path, tuple[Path, ...]] | None:
    """The records and results_dirs of a project; None where the folder is none."""
    from energybench import asv_configuration
    from energybench.gating.library import results_dir
    from energybench.store import DEFAULT_RECORDS

    if asv_configuration.beside(path) is None and not (path / DEFAULT_RECORDS).is_dir():
        return None
    results = results_dir(path)
    return path / DEFAULT_RECORDS, (results,) if results is not None and results.is_dir() else ()


def _read(paths: Iterable[Path]) -> Found:
    from energybench import store

    found = list(chain.from_iterable(map(store.iter_records, paths)))
    stored = [Stored(path=one.path, record=one.record.to_json()) for one in found if isinstance(one, store.Stored)]
    return sorted(stored, key=in_time), [_problem(one) for one in found if isinstance(one, store.Problem)]


def over_commits(library: "Library") -> Found:
    """As `read`, of the records of a library, each once: with what lies over commits, and the rest in their files."""
    found = library.found
    stored = [Stored(path=one.path, record=one.brief, recorded=one) for one in found.records]
    return sorted(stored, key=in_time), [*map(_problem, found.problems), *map(_refusal, found.copies)]


def in_time(one: Stored) -> tuple[str, str]:
    """What puts records in the order in which they were written."""
    return one.record["created"], one.record["id"]


def _problem(one: "Problem") -> Refused:
    return Refused(path=one.path, reason=f"{one.reason}. {one.remedy}".rstrip(". ") + ".")


def _refusal(trouble: Any) -> Refused:
    return Refused(path=trouble.path, reason=f"{trouble.reason.rstrip('.')}.")


def _closed(error: OSError) -> Refused:
    from energybench.store import why

    return Refused(path=Path(error.filename), reason=f"cannot be read ({why(error)}). Make it readable.")


def frame(stored: Sequence[Stored], asv: "Iterable[AsvValue]" = ()) -> "pd.DataFrame":
    """The frame of `load`, from what was read already."""
    import pandas as pd

    from energybench.reports import asv_frames

    rows = [*(row(one) for one in stored), *asv_frames.wide(asv)]
    if len(rows) > len(stored):
        rows.sort(key=lambda row: (row["created"] or row.get("committed") or "", row["id"]))
    table = pd.DataFrame(rows)
    if table.empty:
        return pd.DataFrame(columns=list(COLUMNS))
    table = table.assign(**{name: table.get(name) for name in COLUMNS if name not in (*table.columns, "commit")})
    dated(table)
    return whole(table[in_order([str(name) for name in table.columns])])


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
        groups.setdefault(_group_key(one), []).append(one)
    return [groups[key] for key in sorted(groups)]


def _group_key(stored: Stored) -> tuple[str, ...]:
    record = stored.record
    if target := record.get("target"):
        return ("training", f"{target['accuracy']:.9f}", data_name(record), stored.machine)
    workload = record["workload"]
    return ("steps", workload["name"], f"{workload['version']:09}", stored.machine)


def newest(stored: Sequence[Stored]) -> list[Stored]:
    """The last record of each parameter point, whole, in the order of workloads and their parameters."""
    keys: dict[tuple[str, int, int], str] = {}
    points: dict[str, Stored] = {}
    for one in stored:
        record = one.record
        # Parameters that several records share may be one object.
        place = (record["workload"]["name"], id(record["parameters"]), record["seed"])
        key = keys[place] = keys.get(place) or _point_key(record)
        points[key] = one
    order = sorted((one.whole for one in points.values()), key=lambda one: point_order(one.record["parameters"]))
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


def titles(stored: Sequence[Stored]) -> dict[str, str]:
    """The name for people of each machine, by what tells them apart, as its newest record has it."""
    return {one.machine: title(one.record) for one in {one.machine: one for one in stored}.values()}


def shown(value: object) -> str:
    """A parameter's value in words; of a path its last part: a published page need not tell where someone's home is."""
    if isinstance(value, str) and value.startswith("/"):
        return Path(value).name or value
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def row(stored: Stored) -> dict[str, Any]:
    """The row of a record in the frame of `load`, its moment as text; what it does not have is absent."""
    record = stored.record
    cells: dict[str, Any] = {
        "id": record["id"],
        "created": record["created"],
        "machine": record["machine"]["id"],
        "workload": record["workload"]["name"],
        "workload_version": record["workload"]["version"],
        "seed": record["seed"],
        "quick": record["quick"],
    }
    cells |= {"commit": commit} if (commit := commit_of(record)) else {}
    cells |= {f"param.{name}": value for name, value in record["parameters"].items()}
    cells |= {"seconds": record["seconds"], "samples": record["samples"]}
    for metric, result in record["results"].items():
        cells[metric] = result["value"]
        limits = bounds(result)
        if limits is not None:
            cells[f"{metric}.low"], cells[f"{metric}.high"] = limits
        cells[f"{metric}.provenance"] = result["provenance"]
    return cells | {"flags": tuple(record.get("flags", ())), "path": str(stored.path)}


def in_order(names: list[str]) -> list[str]:
    """Columns as `load` has them: who, parameters, amounts, metrics with their interval beside them, flags and path."""
    who, amounts, last = (*COLUMNS[:4], *OF_ASV, *COLUMNS[4:8]), COLUMNS[8:10], COLUMNS[10:]
    settings = sorted(name for name in names if name.startswith("param."))
    rest = sorted({name.split(".", 1)[0] for name in names} - {*COLUMNS, *OF_ASV, "param"})
    metrics = [f"{one}{part}" for one in rest for part in ("", ".low", ".high", ".provenance")]
    return [name for name in (*who, *settings, *amounts, *metrics, *last) if name in names]
