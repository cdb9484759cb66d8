"""Every value that was ever measured of each series: what noise floors and histories are learnt from."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from energybench.gating import from_asv, from_records
from energybench.gating.asv_files import Result
from energybench.gating.asv_rows import Parameters
from energybench.gating.library import Library
from energybench.gating.series import Family, Key, Round, Series, Trouble
from energybench.model import Provenance

LANES = ("machine", "environment", "quick", "seed", "dispatch")
"""What may differ between results of one commit: each is a lane of its own."""


class Observation(NamedTuple):
    """One value: of which commit, when, its standard error where it is known, and what held beside the commit."""

    commit: str
    when: float
    value: float
    error: float | None
    context: Mapping[str, str]


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
        observations: filled while files are read.
    """

    key: Key
    family: Family
    unit: str
    provenance: Provenance
    higher_is_better: bool
    exact: bool
    margin: float | None
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
        self._contexts: dict[tuple[tuple[str, str], ...], Mapping[str, str]] = {}

    def _one(self, context: Mapping[str, str]) -> Mapping[str, str]:
        return self._contexts.setdefault(tuple(sorted(context.items())), context)

    def add_records(self) -> None:
        """Each record is an observation of each of its metrics."""
        for stored in self.library.every_record():
            record, machine = stored.record, self.library.machine
            commit = from_records.commit_of(record)
            if commit is None or machine not in (None, record.machine.id, record.machine.name):
                continue
            for series in from_records.of_record(record):
                only = series.rounds[0]
                value = statistics.fmean(only.values)
                context = self._one(from_records.context_of(record, series))
                track = self.tracks.setdefault((series.key, series.provenance), _track(series))
                track.observations.append(Observation(commit, only.when, value, error_of(only), context))

    def add_result(self, result: Result, index: Mapping[str, Mapping[str, Any]]) -> None:
        """Each value of a result file is an observation."""
        damaged: list[from_asv.Damaged] = []
        for name, meaning, version, values in from_asv.rows_of(result, index, damaged):
            context = self._one(from_asv.context_of(result, meaning, version))
            for value in values:
                if value.missing:
                    continue
                place = (name, meaning.provenance, value.parameters)
                track = self.tracks.get(place)
                if track is None:
                    track = self.tracks[place] = _track_of(meaning, value.parameters)
                error = error_of_samples(value.samples) if value.samples else value.error
                track.observations.append(Observation(result.commit, result.when, value.value, error, context))
        self.troubles += [Trouble(path=result.path, reason=one.reason) for one in damaged]


def observe(library: Library) -> Observed:
    """Read everything that a library has of its machine, each file once."""
    reader, dates = _Reader(library), {}
    for one, index in library.every_result():
        if isinstance(one, Trouble):
            reader.troubles.append(one)
            continue
        dates[one.commit] = one.when
        reader.add_result(one, index)
    reader.add_records()
    return Observed(tracks=tuple(reader.tracks.values()), dates=dates, troubles=tuple(reader.troubles))


def error_of(one: Round) -> float | None:
    """The standard error of a round's value by its own windows, or as asv summarised them."""
    if len(one.values) > 1:
        return error_of_samples(one.values)
    return one.standard_error


def error_of_samples(samples: Sequence[float]) -> float | None:
    """The standard error of their mean; None for one."""
    return statistics.stdev(samples) / math.sqrt(len(samples)) if len(samples) > 1 else None


def lane_of(one: Observation) -> tuple[str, ...]:
    """Which lane it is in."""
    return tuple(one.context.get(name, "") for name in LANES)


def _track(series: Series) -> Track:
    return Track(
        key=series.key,
        family=series.family,
        unit=series.unit,
        provenance=series.provenance,
        higher_is_better=series.higher_is_better,
        exact=series.exact,
        margin=series.margin,
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
