"""Records to series: each record is one round of every metric that is judged."""

import datetime as dt
import re
import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from energybench import results
from energybench.gating.flags import flags_of
from energybench.gating.grounds import (
    definition_grounds,
    depends_on_data,
    grounds_of,
    samples_a_step,
    surroundings,
    table_of,
    unavailable,
)
from energybench.gating.metrics import family_of, is_counted
from energybench.gating.series import Gap, Key, Round, Scalar, Series, Trouble
from energybench.record import Metric, Record
from energybench.store import Stored

HASH = re.compile("[0-9a-f]{6,64}")
Z = 1.96
"""Of the interval that a record gives an accuracy."""
JOULES = "joules_per_sample"
PER_SAMPLE = "_per_sample"
SAME = 1e-9
COVERAGE = 2.0


class SeveralMachinesError(ValueError):
    """A set of results of several machines, which nothing says how to choose from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FromRecords:
    """What a set of records holds: series by key, what they lack, and files that were left out of a series."""

    series: Mapping[Key, Series]
    gaps: tuple[Gap, ...] = ()
    troubles: tuple[Trouble, ...] = ()


def from_records(stored: Iterable[Stored], *, machine: str | None = None) -> FromRecords:
    """The series of records, one round a record, the oldest first.

    Args:
        stored: records and the files they came from.
        machine: the id or the name of the machine whose records are taken; there may be one only where it is None.

    Raises:
        SeveralMachinesError: the records are of several machines, and none was chosen.
    """
    chosen = of_machine(stored, machine)
    grouped: dict[Key, list[tuple[Stored, Series]]] = {}
    gaps: dict[Key, list[Gap]] = {}
    for one in sorted(chosen, key=lambda each: (each.record.created, each.record.id)):
        for part in of_record(one.record):
            grouped.setdefault(part.key, []).append((one, part))
        if gap := without_joules(one.record):
            gaps.setdefault(gap.key, []).append(gap)
    troubles: list[Trouble] = []
    series = {key: _merged(parts, len(gaps.get(key, ())), troubles) for key, parts in grouped.items()}
    return FromRecords(
        series=series,
        gaps=tuple(found[-1] for key, found in gaps.items() if key not in series),
        troubles=tuple(dict.fromkeys(troubles)),
    )


def of_machine(stored: Iterable[Stored], machine: str | None) -> list[Stored]:
    """The records of one machine, chosen by id or name."""
    found = list(stored)
    if machine is not None:
        return [one for one in found if machine in (one.record.machine.id, one.record.machine.name)]
    ids = {one.record.machine.id: one.record.machine.name for one in found}
    if len(ids) > 1:
        named = ", ".join(f"{number} ({name})" for number, name in sorted(ids.items()))
        raise SeveralMachinesError(f"these records are of several machines: {named}; choose one with --machine")
    return found


def key_of(record: Record, metric: str) -> Key:
    """What joins a metric of a record with another record's."""
    return Key(workload=record.workload.name, parameters=parameters_of(record.parameters), metric=metric)


def parameters_of(parameters: Mapping[str, Scalar]) -> tuple[tuple[str, Scalar], ...]:
    """In the order of their names."""
    return tuple(sorted(parameters.items()))


def of_record(record: Record) -> Iterator[Series]:
    """A series of one round for each metric of a record that is judged."""
    windows, defined = _windows(record), definition_grounds(record)
    for name, metric in record.results.items():
        family = family_of(name, metric.unit, metric.provenance)
        if family is None:
            continue
        counted = family == "modelled" and is_counted(name) and not depends_on_data(record.workload.definition)
        exact = counted or family == "size"
        grounds = grounds_of(record, family, metric.provenance, exact=exact, defined=defined)
        if family == "modelled" and metric.unit == "J":
            grounds |= table_of(record)
        if name.endswith(PER_SAMPLE):
            grounds |= samples_a_step(record)
        yield Series(
            key=key_of(record, name),
            family=family,
            unit=metric.unit,
            provenance=metric.provenance,
            higher_is_better=metric.higher_is_better,
            exact=exact,
            grounds=grounds,
            rounds=(_round(record, name, metric, windows.get(name, ()), flags_of(record, family, metric)),),
        )


def without_joules(record: Record) -> Gap | None:
    """Why a record has no joules; None where it has, or where it was trained to an accuracy."""
    if JOULES in record.results or record.target is not None:
        return None
    return Gap(key=key_of(record, JOULES), reason=unavailable(record))


def seconds_of(created: str) -> float:
    """When a record was written, in seconds since 1970."""
    return dt.datetime.fromisoformat(created).timestamp()


def commit_of(record: Record) -> str | None:
    """The commit that it is of; None where files differed from it, or nobody knows."""
    return commit_in(record.machine.model_extra or {})


def commit_in(machine: Mapping[str, Any]) -> str | None:
    """The same, from what a record says of its machine; what is no hash names no commit."""
    git = machine.get("git")
    if not isinstance(git, dict) or git.get("dirty") or not HASH.fullmatch(str(git.get("commit", ""))):
        return None
    return str(git["commit"])


def context_of(record: Record, series: Series) -> dict[str, str]:
    """Everything beside the commit that may move a series of this record."""
    by = "run" if _pair(record) is None else "gate --run"
    return {**surroundings(record, series.family), **series.grounds, "measured by": by}


def samples_behind(metric: Metric) -> int | None:
    """Over how many samples a share is, from its interval by Wilson's formula; None where it has none.

    The middle of the interval is (p + a/2) / (1 + a) with a = z²/n, its half width at p = 1/2 is half of √(a/(1+a)).
    """
    if metric.low is None or metric.high is None or metric.repeats or metric.unit != "1":
        return None
    share, middle, width = metric.value, (metric.low + metric.high) / 2, metric.high - metric.low
    if abs(share - 0.5) > 1e-6:
        spent = (share - middle) / (middle - 0.5) if middle != 0.5 else 0.0
    else:
        spent = width**2 / (1 - width**2) if width < 1 else 0.0
    return round(Z**2 / spent) if spent > 0 else None


def _windows(record: Record) -> dict[str, list[float]]:
    """One value a window; of a record that trains to an accuracy, one a training."""
    if record.target is not None:
        return _trainings(record)
    if not record.windows or not all(window.samples for window in record.windows):
        return {}
    return results.by_window(record)


def _trainings(record: Record) -> dict[str, list[float]]:
    """Joules and seconds of each training, where all came to their end: what a failure took is shared out else."""
    target = record.target
    if target is None or target.reached < len(target.repeats):
        return {}
    found = {"seconds_to_accuracy": [one.seconds for one in target.repeats]}
    joules: dict[int, float] = {}
    for window in record.windows:
        if window.total is None:
            return found
        joules[window.round] = joules.get(window.round, 0.0) + window.total.joules
    return {**found, "joules_to_accuracy": list(joules.values())}


def _round(record: Record, name: str, metric: Metric, windows: Iterable[float], flags: tuple[str, ...]) -> Round:
    values = tuple(windows)
    mean = statistics.fmean(values) if values else 0.0
    # A result that is no plain mean of its windows sets the scale; they tell how it scatters.
    scale = metric.value / mean if mean else 1.0
    if values and abs(scale - 1) > SAME:
        values = tuple(value * scale for value in values)
    return Round(
        values=values or (metric.value,),
        when=seconds_of(record.created),
        pair=_pair(record),
        seed=record.seed,
        judged=samples_behind(metric) if name == "accuracy" else None,
        systematic=abs(metric.systematic / metric.value) if metric.systematic and metric.value else 0.0,
        bounds=bounds_of(metric.value, metric.low, metric.high, metric.standard_uncertainty),
        flags=flags,
    )


def bounds_of(
    value: float, low: float | None, high: float | None, standard_uncertainty: float | None
) -> tuple[float, float] | None:
    """The interval that a result states; ±2 standard uncertainties where it has these alone."""
    if low is not None and high is not None:
        return (low, high) if low < high else None
    reach = COVERAGE * (standard_uncertainty or 0.0)
    return (value - reach, value + reach) if reach else None


def _pair(record: Record) -> str | None:
    told: Any = (record.model_extra or {}).get("interleaved")
    if not isinstance(told, Mapping) or "session" not in told or "round" not in told:
        return None
    return f"{told['session']}:{told['round']}"


def _merged(parts: list[tuple[Stored, Series]], without: int, troubles: list[Trouble]) -> Series:
    """One series of several records; those measured on other grounds than the newest are named and left out.

    Args:
        parts: each record's, the oldest first.
        without: how many more records of this point have no such metric.
        troubles: what is left out is added.
    """
    newest = parts[-1][1]
    seeds = {one.record.seed for one, _ in parts}
    kept = []
    for stored, series in parts:
        if different := _other_grounds(series, newest):
            troubles.append(Trouble(path=stored.path, reason=f"{different}; left out"))
        else:
            kept.append(series)
    rounds = tuple(one.rounds[0] for one in kept)
    grounds = dict(newest.grounds)
    if "seed" in grounds:
        grounds["seed"] = ", ".join(str(seed) for seed in sorted(seeds))
    if "domains" in grounds:
        grounds["domains"] += _lost([one.grounds.get("domains", "none") for _, one in parts], without)
    return replace(newest, grounds=grounds, rounds=rounds)


def _lost(domains: list[str], without: int) -> str:
    """The domains of the records that have others than the newest: joules of some domains are not those of all."""
    others = Counter(one for one in domains if one != domains[-1]) + Counter({"none": without})
    count = len(domains) + without
    told = "; ".join(f"{names} in {number} of {count} records" for names, number in sorted(others.items()))
    return f" ({told})" if told else ""


def _other_grounds(series: Series, newest: Series) -> str:
    names = dict.fromkeys([*series.grounds, *newest.grounds])
    for name in names:
        old, new = series.grounds.get(name, "absent"), newest.grounds.get(name, "absent")
        if old != new and name != "seed":
            return f"its {name} is {old}, {new} in the newest of these records"
    return (
        "" if series.provenance == newest.provenance else f"it is {series.provenance}, the newest {newest.provenance}"
    )
