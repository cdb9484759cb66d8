"""The file of accepted regressions: which series may be worse, why, and until when.

[[accepted]]
series = "qnn-infer/bits=8,*/joules_per_sample"
reason = "the new kernel is exact, the old one was not"
until = 2027-01-31
up_to = 0.2
commit = "1f0c9a7"

`until` is the last day; `up_to` and `commit`, the beginning of head's hash, may be left out.
"""

import datetime as dt
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from energybench.gating.rules import covers
from energybench.gating.series import Key

NAMES = {"series", "reason", "until", "commit", "up_to"}


class AcceptedError(ValueError):
    """A file of accepted regressions that cannot be read as one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """One entry.

    Attributes:
        series: a glob of labels or of paths `workload/parameters/metric`.
        reason: why it is accepted, for people.
        until: the last day on which it counts.
        commit: the beginning of head's hash, where only that commit is accepted.
        up_to: the largest worsening that is accepted, on the scale of the series' margin.
    """

    series: str
    reason: str
    until: dt.date
    commit: str | None = None
    up_to: float | None = None

    def expired(self, today: dt.date) -> bool:
        """Whether its last day is over."""
        return today > self.until

    def accepts(self, key: Key, worsening: float | None, commit: str | None) -> bool:
        """Whether it covers a regression of this size; None where the size cannot be told."""
        if not covers(self.series, key):
            return False
        if self.commit is not None and not (commit or "").startswith(self.commit):
            return False
        return self.up_to is None or (worsening is not None and worsening <= self.up_to)


def read_accepted(path: Path) -> tuple[Accepted, ...]:
    """The entries of a file, in its order; AcceptedError names the file and what is wrong in it."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise AcceptedError(f"{path}: {error.strerror}; name a file of accepted regressions") from error
    except ValueError as error:
        raise AcceptedError(f"{path}: {error}; correct it, it must be TOML") from error
    entries = document.get("accepted", [])
    if set(document) - {"accepted"} or not isinstance(entries, list):
        raise AcceptedError(f"{path}: only [[accepted]] may stand in it; correct it")
    return tuple(_entry(f"{path}: entry {number}", one) for number, one in enumerate(entries, 1))


def used_nowhere(
    entries: Sequence[Accepted], used: Sequence[Accepted], keys: Sequence[Key], today: dt.date
) -> tuple[tuple[Accepted, str], ...]:
    """Entries that changed no verdict, and why each did not."""
    told = []
    for entry in entries:
        if entry.expired(today):
            told.append((entry, f"expired on {entry.until}, it does not count any more"))
        elif not any(covers(entry.series, key) for key in keys):
            told.append((entry, "matches no series"))
        elif entry not in used:
            told.append((entry, "covers no regression of this comparison"))
    return tuple(told)


def _entry(where: str, entry: Any) -> Accepted:
    if not isinstance(entry, Mapping):
        raise AcceptedError(f"{where} is no table; write it under [[accepted]]")
    if unknown := sorted(set(entry) - NAMES):
        raise AcceptedError(f"{where} has {unknown[0]}; choose from {', '.join(sorted(NAMES))}")
    for name in ("series", "reason", "commit"):
        given = entry.get(name)
        if (given is None and name != "commit") or (given is not None and not (isinstance(given, str) and given)):
            raise AcceptedError(f'{where}: {name} must be some text; write {name} = "…"')
    limit = entry.get("up_to")
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int | float) or not limit >= 0):
        raise AcceptedError(f"{where}: up_to is {limit!r}; write a number, as 0.2 for 20 %")
    return Accepted(
        series=entry["series"],
        reason=entry["reason"],
        until=_day(where, entry.get("until")),
        commit=entry.get("commit"),
        up_to=None if limit is None else float(limit),
    )


def _day(where: str, given: Any) -> dt.date:
    if isinstance(given, dt.datetime):
        return given.date()
    if isinstance(given, dt.date):
        return given
    try:
        return dt.date.fromisoformat(given)
    except (TypeError, ValueError) as error:
        raise AcceptedError(f"{where}: until is {given!r}; write a day, as until = 2027-01-31") from error
