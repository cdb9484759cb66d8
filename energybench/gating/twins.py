"""What two sides have under several names: a run under asv leaves a record and a result in asv's own files.

Where both sides have records, those are judged, which tell more; where one of them has only asv's, that is.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from energybench.gating.from_asv import DESCRIBED, with_environment
from energybench.gating.series import Gap, Key, Series, Side

ENVIRONMENT = "environment"
TOLD_BY = "told by"


@dataclass(frozen=True, slots=True)
class _Names:
    """Where a side has a series: by the key of its records, and by the key of asv's results."""

    records: frozenset[Key]
    asv: Mapping[Key, Series | Gap]


def without_twins(base: Side, head: Side) -> tuple[Side, Side]:
    """Both sides with each series once, and with equal keys for what is the same."""
    base, head = _environments_named(base, head)
    base, head = _without_undescribed(base, head)
    names = _names(base), _names(head)
    recorded = names[0].records | names[1].records
    series, gaps = (dict(base.series), dict(head.series)), (list(base.gaps), list(head.gaps))
    for asvs in sorted({*names[0].asv, *names[1].asv}):
        record = next((key for key in (recorded_as(asvs), asvs) if key in recorded), None)
        if record is None:
            continue
        told = [(record in one.records, one.asv.get(asvs)) for one in names]
        for place, chosen in enumerate(_chosen(told)):
            _put(series[place], gaps[place], (record, asvs), chosen, told[place][1])
        _refused(series, record, told)
    return _with(base, series[0], gaps[0]), _with(head, series[1], gaps[1])


def recorded_as(key: Key) -> Key:
    """`quantized.QnnInfer` in asv is `qnn-infer` in records, where a suite measures that workload."""
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", key.workload.rpartition(".")[2]).lower()
    return replace(key, workload=name)


def _chosen(told: list[tuple[bool, Series | Gap | None]]) -> list[str]:
    """What each side is judged by: its record, asv's result, or both under the record's key."""
    if all(recorded for recorded, _ in told):
        return ["record", "record"]
    if all(isinstance(one, Series) for _, one in told):
        return ["asv", "asv"]
    return ["record" if recorded else "asv as record" for recorded, _ in told]


def _put(
    series: dict[Key, Series], gaps: list[Gap], keys: tuple[Key, Key], chosen: str, asvs: Series | Gap | None
) -> None:
    """Leave one of the two in a side."""
    record, own = keys
    if chosen == "record":
        if own in series and ENVIRONMENT in series[own].grounds:
            del series[own]
        gaps[:] = [one for one in gaps if one.environment is None or one.key != own]
        return
    gaps[:] = [one for one in gaps if one.environment is not None or one.key != record]
    series.pop(record, None)
    series.pop(own, None)
    key = own if chosen == "asv" else record
    if isinstance(asvs, Series):
        series[key] = replace(asvs, key=key)
    elif asvs is not None:
        gaps[:] = [replace(one, key=key) if one.key == own else one for one in gaps]


def _refused(
    series: tuple[dict[Key, Series], dict[Key, Series]], key: Key, told: list[tuple[bool, Series | Gap | None]]
) -> None:
    """A record and asv's result alone tell of different grounds: that is said instead of each of them."""
    if not all(key in side for side in series) or told[0][0] == told[1][0]:
        return
    if all(isinstance(one, Series) for _, one in told):
        return
    for side, (recorded, _) in zip(series, told, strict=True):
        side[key] = replace(side[key], grounds={TOLD_BY: "a record" if recorded else "asv's result alone"})


def _names(side: Side) -> _Names:
    asv: dict[Key, Series | Gap] = {one.key: one for one in side.gaps if one.environment is not None}
    asv |= {key: one for key, one in side.series.items() if ENVIRONMENT in one.grounds}
    asv |= side.beside
    records = {key for key, one in side.series.items() if ENVIRONMENT not in one.grounds}
    records |= {one.key for one in side.gaps if one.environment is None}
    return _Names(frozenset(records), asv)


def _with(side: Side, series: Mapping[Key, Series], gaps: Iterable[Gap]) -> Side:
    return replace(side, series=series, beside={}, gaps=tuple(one for one in gaps if one.key not in series))


def _environments_named(base: Side, head: Side) -> tuple[Side, Side]:
    """Where one side has asv's results of several environments, those of the other have it in their keys as well."""
    several = [_has_several(one) for one in (base, head)]
    if several[0] == several[1]:
        return base, head
    return (base, _named(head)) if several[0] else (_named(base), head)


def _has_several(side: Side) -> bool:
    own = (key for key, one in side.series.items() if ENVIRONMENT in one.grounds)
    return any(name == ENVIRONMENT for key in own for name, _ in key.parameters)


def _named(side: Side) -> Side:
    def renamed(series: Mapping[Key, Series]) -> dict[Key, Series]:
        found = {}
        for key, one in series.items():
            told = one.grounds.get(ENVIRONMENT)
            new = key if told is None else with_environment(key, told)
            found[new] = replace(one, key=new)
        return found

    gaps = [one if one.environment is None else _gap_named(one, one.environment) for one in side.gaps]
    return replace(side, series=renamed(side.series), beside=renamed(side.beside), gaps=tuple(gaps))


def _gap_named(gap: Gap, environment: str) -> Gap:
    return replace(gap, key=with_environment(gap.key, environment))


def _without_undescribed(base: Side, head: Side) -> tuple[Side, Side]:
    """Without benchmarks of head that asv has no description of and base did not run: nothing is known of them."""
    known = {key for key in head.series if key in base.series or DESCRIBED not in head.series[key].grounds}
    return base, replace(head, series={key: one for key, one in head.series.items() if key in known})
