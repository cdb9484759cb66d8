"""Every value that was ever measured of each series: what noise floors and histories are learnt from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from energybench.gating import from_asv
from energybench.gating.asv_files import Result
from energybench.gating.asv_meaning import as_it_was
from energybench.gating.asv_rows import Parameters, points_of
from energybench.gating.errors import error_of_samples
from energybench.gating.from_records import bounds_of, seconds_of
from energybench.gating.library import Library
from energybench.gating.remembered import Entry, Memory
from energybench.gating.series import Family, Key, Trouble
from energybench.model import Provenance

LANES = ("machine", "environment", "quick", "seed", "dispatch", "measured by")
"""What may differ between results of one commit: each is a lane of its own."""


class Observation(NamedTuple):
    """One value: of which commit, when, its standard error where it is known, what held beside it, what it warns of.

    `bounds` is what a record states of a value whose windows do not scatter: an accuracy, an estimate, a model.
    """

    commit: str
    when: float
    value: float
    error: float | None
    context: Mapping[str, str]
    flags: tuple[str, ...] = ()
    bounds: tuple[float, float] | None = None


@dataclass(slots=True, kw_only=True)
class Track:
    """A series over all commits, in no order.

    Attributes:
        key: of the series.
        family: which margin it has.
        unit: of the values.
        provenance: measured, estimated, simulated or modelled.
        higher_is_better: which way is up.
        exact: any difference is one.
        margin: declared by the benchmark; None where the family's holds.
        recorded: told by records; by asv's own files where not.
        observations: filled while files are read.
    """

    key: Key
    family: Family
    unit: str
    provenance: Provenance
    higher_is_better: bool
    exact: bool
    margin: float | None
    recorded: bool = False
    observations: list[Observation] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """All tracks, when asv says that commits were made, and files that could not be used."""

    tracks: tuple[Track, ...]
    dates: Mapping[str, float]
    troubles: tuple[Trouble, ...]


class _Reader:
    """Tracks under construction; equal contexts are one object, so that they are told apart by identity."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self.tracks: dict[object, Track] = {}
        self.troubles = [*library.record_troubles, *(one for tree in library.trees for one in tree.troubles)]
        self._meanings: dict[tuple[int, str, str], from_asv.Meaning] = {}
        self._contexts: dict[tuple[tuple[str, str], ...], Mapping[str, str]] = {}

    def _one(self, context: Mapping[str, str]) -> Mapping[str, str]:
        return self._contexts.setdefault(tuple(sorted(context.items())), context)

    def add_records(self) -> None:
        """Each record is an observation of each of its metrics."""
        tracks: dict[int, list[Track]] = {}
        contexts: dict[int, list[Mapping[str, str]]] = {}
        for one in self.library.every_record():
            commit, when = one.commit, seconds_of(one.brief["created"])
            if commit is None or self.library.machine not in (None, *one.machine):
                continue
            judged, results = one.judged, one.brief["results"]
            # What many records share is one object, so that each is looked at once.
            if id(judged.series) not in tracks:
                tracks[id(judged.series)] = [self._track(series) for series in judged.series]
            if id(judged.contexts) not in contexts:
                contexts[id(judged.contexts)] = list(map(self._one, judged.contexts))
            told = zip(contexts[id(judged.contexts)], judged.values, judged.errors, judged.flags, strict=True)
            for track, (context, value, error, flags) in zip(tracks[id(judged.series)], told, strict=True):
                bounds = _stated(results[track.key.metric]) if error is None else None
                track.observations.append(Observation(commit, when, value, error, context, tuple(flags), bounds))

    def _track(self, series: Sequence[Any]) -> Track:
        new = _track(series)
        return self.tracks.setdefault((new.key, new.provenance), new)

    def _meaning(self, name: str, version: str, index: Mapping[str, Mapping[str, Any]]) -> from_asv.Meaning:
        place = (id(index), name, version)
        if place not in self._meanings:
            described = from_asv.meaning_of(name, index[name])
            assert described is not None, "rows of benchmarks that mean nothing are not read"
            self._meanings[place] = as_it_was(described, version)
        return self._meanings[place]

    def add_file(self, entry: Entry, path: Path, index: Mapping[str, Mapping[str, Any]]) -> None:
        """Each value of a result file is an observation; `entry` is what `read_file` made of it."""
        contexts = [self._one(one) for one in entry["contexts"]]
        for name, version, number, params, values, errors in entry["rows"]:
            meaning = self._meaning(name, version, index)
            for point, value, error in zip(points_of(params, meaning.names), values, errors, strict=True):
                if value is None:
                    continue
                place = (name, meaning.provenance, point)
                track = self.tracks.get(place)
                if track is None:
                    track = self.tracks[place] = _track_of(meaning, point)
                track.observations.append(Observation(entry["commit"], entry["when"], value, error, contexts[number]))
        self.troubles += [Trouble(path=path, reason=reason) for reason in entry["damaged"]]


def read_file(result: Result, index: Mapping[str, Mapping[str, Any]]) -> Entry:
    """The values of a result file in plain JSON: they may be kept, so that it is not parsed again."""
    damaged: list[from_asv.Damaged] = []
    contexts: list[dict[str, str]] = []
    rows = []
    for name, meaning, version, values in from_asv.rows_of(result, index, damaged):
        context = from_asv.context_of(result, meaning, version)
        if context not in contexts:
            contexts.append(context)
        params = result.rows[name][result.columns["params"]] or []
        errors = [error_of_samples(one.samples) if one.samples else one.error for one in values]
        told = [None if one.missing else one.value for one in values]
        rows.append([name, version, contexts.index(context), params, told, errors])
    reasons = [one.reason for one in damaged]
    who = {"commit": result.commit, "when": result.when, "machine": result.machine}
    return {**who, "contexts": contexts, "rows": rows, "damaged": reasons}


def observe(library: Library, *, memory: Memory | None = None) -> Observed:
    """Read everything that a library has of its machine, each file once.

    Args:
        library: what there is.
        memory: result files that were read before; those in it are not parsed again.
    """
    reader, dates = _Reader(library), {}
    for path, index in library.every_file():
        known = memory.get(path) if memory else None
        entry = known.own if known else None
        if entry is None:
            one = library.parsed(path)
            if isinstance(one, Trouble):
                reader.troubles.append(one)
                continue
            entry = read_file(one, index)
            if memory:
                memory.put(path, entry)
        if library.machine in (None, entry["machine"]):
            dates[entry["commit"]] = entry["when"]
            reader.add_file(entry, path, index)
    reader.add_records()
    return Observed(tracks=tuple(reader.tracks.values()), dates=dates, troubles=tuple(reader.troubles))


def _stated(result: Mapping[str, Any]) -> tuple[float, float] | None:
    return bounds_of(result["value"], result.get("low"), result.get("high"), result.get("standard_uncertainty"))


def lane_of(one: Observation) -> tuple[str, ...]:
    """Which lane it is in."""
    return tuple(one.context.get(name, "") for name in LANES)


def _track(series: Sequence[Any]) -> Track:
    """The track of a series as `recorded.Judged` tells it."""
    workload, parameters, metric, family, unit, provenance, higher_is_better, exact = series
    return Track(
        key=Key(workload=workload, parameters=tuple((name, value) for name, value in parameters), metric=metric),
        family=family,
        unit=unit,
        provenance=provenance,
        higher_is_better=higher_is_better,
        exact=exact,
        margin=None,
        recorded=True,
    )


def _track_of(meaning: from_asv.Meaning, parameters: Parameters) -> Track:
    return Track(
        key=Key(workload=meaning.workload, parameters=parameters, metric=meaning.metric),
        family=meaning.family,
        unit=meaning.unit,
        provenance=meaning.provenance,
        higher_is_better=meaning.higher_is_better,
        exact=meaning.exact,
        margin=meaning.margin,
    )
