"""Records over commits: of each one what a history is made of is at hand, and all else stays in its file.

    found = read(folder, Memory(cache_file(folder, kind="records"), folder))
    found.records[0].brief["results"]          # plain JSON values, as those of the whole record
    found.records[0].whole["windows"]          # read from the file when it is asked for

A record has ten kilobytes and more, most of them windows and counts that only the page of its own point shows, and a
long history has tens of thousands of records. So each file is read and validated once, and of it are kept its results,
what the gate made of them, and one object for each of the parts that many records share.
"""

import hashlib
import json
import multiprocessing
import signal
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from energybench.gating import from_records
from energybench.gating.errors import error_of
from energybench.gating.remembered import Known, Memory
from energybench.gating.series import Series, Trouble
from energybench.record import Record
from energybench.store import Problem, Stored, load, record_files
from energybench.store import read as read_record

OWN = (
    *("schema", "id", "created", "energybench", "seed", "quick", "seconds", "steps", "samples", "total", "results"),
    *("flags", "target", "estimated", "modelled"),
)
SHARED = ("machine", "workload", "protocol", "parameters", "probes", "quiet")
"""What is at hand of a record: its own values, and those that it mostly has in common with others. So are its domains,
and of `idle` those that were read: of each other one it says why there is nothing, as the record itself does."""


MANY = 2000
"""New files from which on workers are faster than their start."""
CHUNK = 50


class Judged(NamedTuple):
    """The metrics of a record as the gate judges them, in one order; equal lists of several records are one object.

    Attributes:
        series: of each workload, parameters as pairs, metric, family, unit, provenance, higher_is_better, exact.
        contexts: what held beside the commit.
        values: the mean of its windows.
        errors: its standard error; None where it is not known.
        flags: what it warns of.
    """

    series: Sequence[Sequence[Any]]
    contexts: Sequence[Mapping[str, str]]
    values: Sequence[float]
    errors: Sequence[float | None]
    flags: Sequence[Sequence[str]]


class Recorded:
    """One record over commits.

    Attributes:
        path: its file.
        brief: what is at hand of it, in the plain values of the whole record.
        digest: SHA-256 of the whole record, as `digest_of` has it.
        judged: what the gate made of it.
        traced: whether it has a power trace.
    """

    def __init__(self, path: Path, known: Known) -> None:
        own, (*shared, missing, series, contexts) = known
        values, errors, flags = own["judged"]
        self.path, self.judged = path, Judged(series, contexts, values, errors, flags or _none(len(values)))
        for result in own["brief"]["results"].values():
            # Millions of these words live to the end.
            result["unit"], result["provenance"] = sys.intern(result["unit"]), sys.intern(result["provenance"])
        self.digest: str = own["digest"]
        self.traced: bool = own["traced"]
        self.brief: Mapping[str, Any] = {
            **own["brief"],
            **dict(zip(SHARED, shared, strict=True)),
            "domains": {**own["domains"], **missing},
        }

    @property
    def machine(self) -> tuple[str, str]:
        """The machine's id, and its name for people."""
        return self.brief["machine"]["id"], self.brief["machine"]["name"]

    @cached_property
    def commit(self) -> str | None:
        """The commit that it is of; None where files differed from it, or nobody knows."""
        return from_records.commit_in(self.brief["machine"])

    def stored(self) -> Stored:
        """The record itself, read again.

        Raises:
            RecordError, StoreError: its file is another one by now.
        """
        return Stored(path=self.path, record=read_record(self.path))

    @cached_property
    def whole(self) -> Mapping[str, Any]:
        """All values of the record, read again."""
        return self.stored().record.to_json()


@lru_cache
def _none(count: int) -> tuple[tuple[str, ...], ...]:
    """No flags, of so many metrics."""
    return ((),) * count


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Records below a folder, each once; copies and other contents of one id; and files that hold none."""

    records: Sequence[Recorded] = ()
    copies: tuple[Trouble, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def troubles(self) -> tuple[Trouble, ...]:
        """All files that are in no number."""
        return (*self.copies, *(Trouble(path=one.path, reason=one.reason) for one in self.problems))


def read(folder: Path, memory: Memory, *, workers: int = 1) -> Found:
    """The records in a file or below a folder; those that the memory has are not parsed again.

    Args:
        folder: where they are.
        memory: what was read of them before.
        workers: processes that parse where very many are new; only for a program whose main module may be imported.
    """
    files, problems = record_files(folder)
    known = {file: memory.get(file) for file in files}
    parsed = _parsed([file for file, one in known.items() if one is None], workers)
    records: dict[tuple[str, str], Recorded] = {}
    newest: dict[tuple[object, ...], Recorded] = {}
    copies = []
    for file in files:
        one, values = known.pop(file), None
        if one is None:
            new = next(parsed)
            if isinstance(new, Problem):
                problems.append(new)
                continue
            values = new.values
            one = memory.put(file, *new.kept)
        recorded = Recorded(file, one)
        if values is not None:
            _keep_newest(recorded, values, newest)
        first = records.setdefault((recorded.machine[0], recorded.brief["id"]), recorded)
        if first is not recorded:
            copies.append(Trouble(path=file, reason=_copied(recorded, first)))
    return Found(records=list(records.values()), copies=tuple(copies), problems=tuple(problems))


class _Parsed(NamedTuple):
    """A record in plain values, and what is kept of it."""

    values: dict[str, Any]
    kept: tuple[dict[str, Any], list[Any]]


def _parsed(files: Sequence[Path], workers: int) -> Iterator[_Parsed | Problem]:
    """Each file in order."""
    if workers < 2 or len(files) < MANY:
        yield from map(_parse, files)
        return
    # A process that is forked beside threads may hang; the keyboard interrupts the one that they work for.
    context = multiprocessing.get_context("spawn")
    quiet = (signal.SIGINT, signal.SIG_IGN)
    with ProcessPoolExecutor(workers, context, initializer=signal.signal, initargs=quiet) as pool:
        yield from pool.map(_parse, files, chunksize=CHUNK)


def _parse(file: Path) -> _Parsed | Problem:
    one = load(file)
    if isinstance(one, Problem):
        return one
    values = one.record.to_json()
    return _Parsed(values, summary(one.record, values))


def _keep_newest(one: Recorded, values: Mapping[str, Any], newest: dict[tuple[object, ...], Recorded]) -> None:
    """Keep all values of the last record of each point: a report shows these, and need not read them again."""
    brief = one.brief
    point = (brief["machine"]["id"], id(brief["workload"]), id(brief["parameters"]), brief["seed"])
    if point in newest:
        del newest[point].whole
    one.whole, newest[point] = values, one


def _copied(one: Recorded, first: Recorded) -> str:
    same = one.digest == first.digest
    return f"is a copy of {first.path}" if same else f"has the id of {first.path} and another content"


def of_stored(stored: Stored) -> Recorded:
    """The same of a record that is at hand."""
    return Recorded(stored.path, Known(*summary(stored.record, stored.record.to_json())))


def summary(record: Record, values: Mapping[str, Any]) -> tuple[dict[str, Any], list[Any]]:
    """What is kept of a record with these values: its own, and those that others may share."""
    brief = {name: values[name] for name in OWN if name in values}
    if idle := values.get("idle"):
        brief["idle"] = [{**one, "domains": _read(one.get("domains", {}))} for one in idle]
    series = list(from_records.of_record(record))
    rounds = [one.rounds[0] for one in series]
    means = [statistics.fmean(one.values) for one in rounds]
    flags = [list(one.flags) for one in rounds]
    judged = [means, [error_of(one) for one in rounds], flags if any(flags) else []]
    domains = values["domains"]
    read_domains = _read(domains)
    missing = {name: one for name, one in domains.items() if name not in read_domains}
    contexts = [from_records.context_of(record, one) for one in series]
    own = {
        "digest": digest_of(values),
        "brief": brief,
        "domains": read_domains,
        "judged": judged,
        "traced": "trace" in values,
    }
    return own, [*(values.get(name, {}) for name in SHARED), missing, list(map(_described, series)), contexts]


def digest_of(values: Mapping[str, Any]) -> str:
    """SHA-256 of a record's JSON with sorted keys, without spaces, in UTF-8, and a newline."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(f"{text}\n".encode()).hexdigest()


def _described(one: Series) -> list[Any]:
    key = one.key
    told = [one.family, one.unit, one.provenance, one.higher_is_better, one.exact]
    return [key.workload, [list(pair) for pair in key.parameters], key.metric, *told]


def _read(domains: Mapping[str, Any]) -> dict[str, Any]:
    return {name: one for name, one in domains.items() if "joules" in one}
