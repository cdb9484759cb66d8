"""How far repeats of one point lie apart, what a machine draws at rest, and what its canary took."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev
from typing import Any

from energybench.gating.floors import CANARY, read_canary
from energybench.gating.from_records import of_record
from energybench.gating.series import Floor, Series
from energybench.record import parse
from energybench.reports.frames import Stored
from energybench.reports.views.view import point_names

ENDINGS = ("_per_sample", "_per_step", "_to_accuracy")
COSTS = ("J", "s", "B")
FloorOf = Callable[[Series], Floor | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """The scatter of one series on one machine.

    Attributes:
        machine: as `frames.machine` tells it.
        name: of the point.
        metric: of its results.
        kind: provenance of the values.
        repeats: records, over all commits that have at least two.
        variation: standard deviation over mean of records of one commit, pooled.
        degrees: of freedom, which are the repeats less their commits.
        floor: how far apart unchanged sets lie, standard deviation of the log ratio; None where nobody knows.
        newest: the last record of them.
    """

    machine: str
    name: str
    metric: str
    kind: str
    repeats: int
    variation: float
    degrees: int
    floor: Floor | None = None
    newest: Stored

    @property
    def limits(self) -> tuple[float, float]:
        """95 % for the variation, of repeats that scatter normally: from two, anything up to 32 times as much."""
        from scipy.special import chdtri

        low, high = (math.sqrt(self.degrees / float(chdtri(self.degrees, tail))) for tail in (0.025, 0.975))
        return self.variation * low, self.variation * high


@dataclass(frozen=True, slots=True, kw_only=True)
class Idle:
    """Watts of a domain at rest, once; `doubt` is their standard uncertainty."""

    machine: str
    when: str
    domain: str
    kind: str
    watts: float
    doubt: float


def noises(stored: Sequence[Stored]) -> list[Noise]:
    """Each series with repeats, the noisiest first; what is counted has no noise and is not among them."""
    names = _names(stored)
    repeats: dict[tuple[str, ...], list[Stored]] = {}
    for one in stored:
        point = (one.machine, names[_point(one.record)], str(one.record["seed"]), _commit(one.record))
        repeats.setdefault(point, []).append(one)
    sets: dict[tuple[str, ...], dict[str, list[float]]] = {}
    newest: dict[tuple[str, ...], Stored] = {}
    for (*who, commit), own in repeats.items():
        for one in own if len(own) > 1 else ():
            for metric, result in one.record["results"].items():
                if result["provenance"] == "modelled" or result["unit"] not in COSTS or not metric.endswith(ENDINGS):
                    continue
                key = (*who, metric, result["provenance"])
                sets.setdefault(key, {}).setdefault(commit, []).append(float(result["value"]))
                newest[key] = one
    found = [_noise(key, list(by_commit.values()), newest[key]) for key, by_commit in sets.items()]
    return sorted((one for one in found if one), key=lambda one: (-one.variation, one.name, one.metric))


def with_floor(one: Noise, floor_of: FloorOf) -> Noise:
    """The same with what is known of its floor."""
    series = next((s for s in of_record(parse(dict(one.newest.whole.record))) if s.key.metric == one.metric), None)
    return replace(one, floor=floor_of(series)) if series else one


def idles(stored: Sequence[Stored]) -> list[Idle]:
    """Every baseline of every domain, the oldest first."""
    return [
        Idle(
            machine=one.machine,
            when=str(one.record["created"]),
            domain=domain,
            kind=energy["provenance"],
            watts=energy["joules"] / idle["seconds"],
            doubt=energy["standard_uncertainty"] / idle["seconds"],
        )
        for one in stored
        for idle in one.record.get("idle", ())
        for domain, energy in idle["domains"].items()
        if "joules" in energy
    ]


def canaries(stored: Sequence[Stored]) -> dict[str, list[Mapping[str, Any]]]:
    """The canary of each machine, from the file beside its records, by the machine's id."""
    last = {one.record["machine"]["id"]: one.path for one in stored}
    found = {machine: read_canary(path.parent / CANARY) for machine, path in sorted(last.items())}
    return {machine: lines for machine, lines in found.items() if lines}


def canary_lines(lines: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str, list[tuple[str, float, bool]]]]:
    """Joules by kind, then seconds: (name, kind, values), each value with when it was and whether it was outside."""
    for name, kind in dict.fromkeys(
        [("joules", str(one.get("provenance", "measured"))) for one in lines if "joules" in one]
        + [("seconds", "measured")]
    ):
        values = [
            (str(one.get("when", "")), float(one[name]), bool(one.get("outside")))
            for one in lines
            if _positive(one.get(name)) and (name == "seconds" or one.get("provenance", "measured") == kind)
        ]
        if values:
            yield name, kind, values


def _noise(key: tuple[str, ...], sets: Sequence[Sequence[float]], newest: Stored) -> Noise | None:
    repeated = [values for values in sets if len(values) > 1 and fmean(values) > 0]
    if not repeated:
        return None
    degrees = sum(len(values) - 1 for values in repeated)
    squares = math.fsum((len(values) - 1) * (stdev(values) / fmean(values)) ** 2 for values in repeated)
    machine, name, _, metric, kind = key
    return Noise(
        machine=machine,
        name=name,
        metric=metric,
        kind=kind,
        repeats=sum(map(len, repeated)),
        variation=math.sqrt(squares / degrees),
        degrees=degrees,
        newest=newest,
    )


def _names(stored: Sequence[Stored]) -> dict[tuple[str, str], str]:
    """What people call each point that occurs."""
    records = {_point(one.record): one.record for one in stored}
    return dict(zip(records, point_names(list(records.values())), strict=True))


def _point(record: Mapping[str, Any]) -> tuple[str, str]:
    return str(record["workload"]["name"]), repr(record["parameters"])


def _commit(record: Mapping[str, Any]) -> str:
    """What code it was: with files changed nobody knows, and they may all be the same."""
    git = record["machine"].get("git")
    return str(git.get("commit", "")) if isinstance(git, dict) and not git.get("dirty") else ""


def _positive(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf
