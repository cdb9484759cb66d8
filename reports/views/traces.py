"""Power traces of records: samples by window and domain, and where each window lies when they are laid end to end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from energybench.reports.frames import Stored
from energybench.reports.long_frames import source_kinds
from energybench.reports.views.view import latest, names

THROTTLED = ("throttled", "cpu-throttled")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Watts of a domain, that many seconds into a window."""

    window: int
    seconds: float
    domain: str
    watts: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """The samples of a record that are some, and how many are not."""

    name: str
    record: Mapping[str, Any]
    samples: Sequence[Sample]
    damaged: int

    @property
    def kinds(self) -> dict[str, str]:
        """Where the watts of each domain come from, the domains with the most watts first."""
        most: dict[str, float] = {}
        for one in self.samples:
            most[one.domain] = max(one.watts, most.get(one.domain, one.watts))
        told = source_kinds(self.record)
        total = str((self.record.get("total") or {}).get("provenance", "measured"))
        domains = self.record["domains"]
        return {
            name: str(domains.get(name, {}).get("provenance") or told.get(name, total))
            for name in sorted(most, key=lambda name: (-most[name], name))
        }


def traces_of(stored: Sequence[Stored]) -> list[Trace]:
    """The newest trace of each point, of all records; where the newest record of a point has none, its name has a day.

    Points have the names that they have among all.
    """
    newest, traced = latest(stored), latest([one for one in stored if one.traced])
    told = names([*newest, *traced])[len(newest) :]
    last = {one.record["id"] for one in newest}
    return [
        trace_of(one.record, name if one.record["id"] in last else f"{name}, of {_moment(one.record)}")
        for one, name in zip(traced, told, strict=True)
    ]


def _moment(record: Mapping[str, Any]) -> str:
    """`2026-11-22 10:00`: a point may have been measured twice on a day."""
    return str(record["created"])[:16].replace("T", " ")


def trace_of(record: Mapping[str, Any], name: str) -> Trace:
    """The trace of a record; what is no sample is counted."""
    samples, damaged = [], 0
    for row in record["trace"]:
        match row:
            case [int(window), int() | float() as seconds, str(domain), int() | float() as watts]:
                samples.append(Sample(window=window, seconds=float(seconds), domain=domain, watts=float(watts)))
            case _:
                damaged += 1
    return Trace(name=name, record=record, samples=samples, damaged=damaged)


def starts_of(one: Trace) -> dict[int, tuple[float, float, bool]]:
    """Where each window begins on the axis, how long it is, and whether it was throttled; windows lie end to end."""
    last: dict[int, float] = {}
    for sample in one.samples:
        last[sample.window] = max(sample.seconds, last.get(sample.window, 0.0))
    windows, starts, begin = one.record["windows"], {}, 0.0
    for number in sorted(last):
        known = windows[number] if 0 <= number < len(windows) else {}
        length = max(float(known.get("seconds", 0.0)), last[number])
        starts[number] = (begin, length, not set(THROTTLED).isdisjoint(known.get("flags", ())))
        begin += length
    return starts
