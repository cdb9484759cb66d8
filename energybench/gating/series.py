"""What is judged: the series of one side, their rounds, and what must be equal for two of them to be comparable."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from energybench.model import Provenance

Scalar: TypeAlias = int | float | str | bool
FEW = 3
"""So many parameters are always shown."""
Family = Literal["joules", "traffic", "seconds", "accuracy", "modelled", "size", "quality"]
"""Metrics that share a margin. `modelled` are joules and bytes that were counted, `traffic` bytes that were measured,
`size` the bytes of a file, `quality` what a workload says of itself beside its accuracy."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Key:
    """What two series must share to be joined: workload, parameters in the order of their names, metric."""

    workload: str
    parameters: tuple[tuple[str, Scalar], ...]
    metric: str

    @property
    def label(self) -> str:
        """`qnn-infer bits=8 · joules_per_sample`."""
        return self.named(name for name, _ in self.parameters)

    def named(self, shown: Iterable[str]) -> str:
        """The label with these parameters alone."""
        wanted = set(shown)
        point = [self.workload, *(f"{name}={value}" for name, value in self.parameters if name in wanted)]
        return f"{' '.join(point)} · {self.metric}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One run of a point: rounds are the unit, windows within one only sharpen it.

    Attributes:
        values: one a window, in the unit of the series; one alone where a run gives a single number.
        when: seconds since 1970 at which it was measured.
        pair: rounds of base and head with the same pair were measured side by side; None where nothing is known.
        seed: of the workload's random numbers; None where the source does not tell.
        judged: how many samples an accuracy is over; None where the source does not tell.
        systematic: relative standard uncertainty that all rounds of this machine share (gain); 0 where not stated.
        standard_error: of a single value that stands for `count` samples which were not kept (asv's summary).
        count: how many those were.
        bounds: the interval that the source itself states, of what is estimated or modelled its whole range; None where
            it states none.
        flags: warnings of the record and of its windows (`below-resolution`, `throttled` …), and `not-quiet` where the
            machine was not quiet.
    """

    values: tuple[float, ...]
    when: float
    pair: str | None = None
    seed: int | None = None
    judged: int | None = None
    systematic: float = 0.0
    standard_error: float | None = None
    count: int | None = None
    bounds: tuple[float, float] | None = None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One metric of one parameter point on one side.

    Attributes:
        key: what joins it with the other side.
        family: which margin it has.
        unit: of the values, in SI without a prefix.
        provenance: measured, estimated, simulated or modelled.
        higher_is_better: which way is up.
        exact: the same work gives the same number, so any difference is one.
        grounds: by name what must be equal to be comparable: `machine`, `domains`, `probes`, `driver`, `protocol`,
            `workload version`, `definition`, and for exact ones `torch`, `dispatch`, `seed`. A name that is absent on
            one side is a difference; both absent is none.
        margin: declared by the benchmark itself (asv); None where the family's holds.
        rounds: the oldest first.
        note: what a reader must know who sees it compared; empty where there is nothing.
    """

    key: Key
    family: Family
    unit: str
    provenance: Provenance
    higher_is_better: bool
    exact: bool
    grounds: Mapping[str, str]
    margin: float | None = None
    rounds: tuple[Round, ...]
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A point, or a metric of one, that a side should have measured and did not: why.

    `environment` is asv's, of what asv should have measured.
    """

    key: Key
    reason: str
    environment: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """A file that could not be used, and why; one that is not `left_out` is used all the same."""

    path: Path
    reason: str
    left_out: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """Everything that one side has.

    Attributes:
        name: as the user gave it.
        commit: the full hash, where it is of one commit.
        series: by key.
        beside: what asv's own files have of series that records tell of.
        gaps: what failed or was skipped.
        troubles: files that were left out.
    """

    name: str
    commit: str | None = None
    series: Mapping[Key, Series] = field(default_factory=dict)
    beside: Mapping[Key, Series] = field(default_factory=dict)
    gaps: tuple[Gap, ...] = ()
    troubles: tuple[Trouble, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """How far two sets of one machine, measured at different times with nothing changed, lie apart.

    Attributes:
        relative: standard deviation of the log ratio between two such sets, beyond what their own rounds explain.
        degrees: of freedom that it is known with.
        source: where it was learnt, for people.
    """

    relative: float
    degrees: float
    source: str


def short_labels(keys: Iterable[Key]) -> dict[Key, str]:
    """Each series with the parameters that vary among those of its workload; with all where they are few."""
    every = list(keys)
    values: dict[tuple[str, str], set[Scalar | None]] = {}
    points = {(key.workload, key.parameters) for key in every}
    names = {(workload, name) for workload, parameters in points for name, _ in parameters}
    of: dict[str, list[dict[str, Scalar]]] = {}
    for workload, parameters in points:
        of.setdefault(workload, []).append(dict(parameters))
    for workload, name in names:
        values[workload, name] = {one.get(name) for one in of[workload]}
    varying = {(workload, name) for (workload, name), found in values.items() if len(found) > 1}

    def shown(key: Key) -> list[str]:
        few = len(key.parameters) <= FEW
        return [name for name, _ in key.parameters if few or (key.workload, name) in varying]

    return {key: key.named(shown(key)) for key in every}
