"""Records whose numbers cannot be: they are shown as they are, and named, for somebody must look at them."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from energybench.reports.frames import Refused, Stored
from energybench.reports.numbers import power, quantity, short

MOST_WATTS = 1e7
"""More than any one machine draws: a whole supercomputer has a few times as much."""
ALLOWED = 2.0
"""Joules a sample are the mean of windows, which may have had other numbers of samples: that much above the whole."""
BEYOND = 1e100
"""No quantity of this world comes near it in SI units."""
PER_SAMPLE = "_per_sample"
JOULES = re.compile(r"(^|_)joules_(per_\w+|to_accuracy)$")
SECONDS = re.compile(r"^seconds_(per_\w+|to_accuracy)$")
FIRST_YEAR = 2000
REMEDY = "Look at its counter, or measure it again."
MOST_NAMED = 3


def odd(stored: Sequence[Stored]) -> list[Refused]:
    """The records that are odd, with what is odd about each, and what to do."""
    now = datetime.now(UTC)
    told = [(one.path, what) for one in stored if (what := "; ".join([*oddities(one.record), *_when(one.record, now)]))]
    return [Refused(path=path, reason=f"{what}. {REMEDY}") for path, what in told]


def oddities(record: Mapping[str, Any]) -> Iterator[str]:
    """What cannot be about the numbers of a record."""
    yield from _too_much_power(record)
    yield from _beyond(record)
    samples, whole = record.get("samples", 0), record.get("total", {}).get("joules", math.inf)
    for name, result in record["results"].items():
        value, unit = result["value"], short(result["unit"])
        if name == "accuracy" and not (unit == "" and 0 <= value <= 1):
            yield f"its accuracy is {value:g}{f' {unit}' if unit else ''}, and a share is 0 to 1"
        if JOULES.search(name) and unit != "J":
            yield f"its {name} is in {unit or 'no unit'}, and not in J"
        if unit == "J" and value < 0 and not name.startswith("net_"):
            yield f"its {name} is {quantity(value, 'J')}, and cannot be less than 0"
        if SECONDS.search(name) and value <= 0:
            yield f"its {name} is {quantity(value, 's')}, and must be more than 0"
        if name == "joules_per_sample" and "target" not in record and value * samples > ALLOWED * whole:
            yield f"its {name}, {quantity(value, 'J')}, is over {ALLOWED:g} times its total over its samples"


def what_cannot_be(record: Mapping[str, Any]) -> str:
    """`oddities` in one line; empty where there are none."""
    return "; ".join(oddities(record))


def _beyond(record: Mapping[str, Any]) -> Iterator[str]:
    """Values that no axis has room for, and most arithmetic neither; those of one record have one cause."""
    found = [(name, one["value"]) for name, one in record["results"].items() if abs(one["value"]) >= BEYOND]
    if found:
        more = f", and {len(found) - 1:,} more results are as absurd" if len(found) > 1 else ""
        yield f"its {found[0][0]} is {power(found[0][1], 2)}, and nothing is so large{more}"


def undrawn(odd_ones: Mapping[str, str]) -> tuple[str, ...]:
    """A note on the points that are left out of axes, which they would squash for all others.

    Args:
        odd_ones: what cannot be about each, by what people call it.
    """
    if not odd_ones:
        return ()
    told = "; ".join(f"{name} ({what.partition('; ')[0]})" for name, what in list(odd_ones.items())[:MOST_NAMED])
    more = f"; and {len(odd_ones) - MOST_NAMED:,} more" if len(odd_ones) > MOST_NAMED else ""
    are = "is" if len(odd_ones) == 1 else "are"
    return (f"Not drawn, for the numbers cannot be: {told}{more}. The table and the data have what {are} left out.",)


def newest_day(stored: Sequence[Stored], now: datetime | None = None) -> str:
    """The last day that a record is of, `2026-11-22`, but for days that cannot be; empty without one."""
    latest = now or datetime.now(UTC)
    return max((str(one.record["created"])[:10] for one in stored if not list(_when(one.record, latest))), default="")


def _when(record: Mapping[str, Any], now: datetime) -> Iterator[str]:
    """A moment that no clock should have told; `now` is that of the reader."""
    day = str(record["created"])[:10]
    if int(day[:4]) < FIRST_YEAR or day > (now + timedelta(days=1)).strftime("%Y-%m-%d"):
        yield f"it was created on {day}, so the clock was wrong"


def _too_much_power(record: Mapping[str, Any]) -> Iterator[str]:
    """What takes more power than any machine has, by the seconds that it took."""
    seconds, samples = record.get("seconds", 0.0), record.get("samples", 0)
    if not seconds:
        return
    joules = {f"domain {name}": one["joules"] for name, one in record.get("domains", {}).items() if "joules" in one}
    joules |= {name: record[name]["joules"] for name in ("total", "estimated", "modelled") if name in record}
    # Those of one record that are beyond all bounds have one cause.
    per_sample = {
        name: one["value"] * samples
        for name, one in record["results"].items()
        if one["unit"] == "J" and name.endswith(PER_SAMPLE)
    }
    name, most = max({**per_sample, **joules}.items(), key=lambda one: one[1], default=("", 0.0))
    if most > MOST_WATTS * seconds:
        yield f"its {name} would take {quantity(most / seconds, 'W')}, more than {MOST_WATTS / 1e6:g} MW"
