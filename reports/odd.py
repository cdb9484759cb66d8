"""Records whose numbers cannot be: they are shown as they are, and named, for somebody must look at them."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from energybench.reports.frames import Refused, Stored
from energybench.reports.numbers import quantity

MOST_WATTS = 1e7
"""More than any one machine draws: a whole supercomputer has a few times as much."""
ALLOWED = 2.0
"""Joules a sample are the mean of windows, which may have had other numbers of samples: that much above the whole."""
PER_SAMPLE = "_per_sample"
REMEDY = "Look at its counter, or measure it again."


def odd(stored: Sequence[Stored]) -> list[Refused]:
    """The records that are odd, with what is odd about each, and what to do."""
    told = [(one.path, what) for one in stored if (what := "; ".join(_oddities(one.record)))]
    return [Refused(path=path, reason=f"{what}. {REMEDY}") for path, what in told]


def _oddities(record: Mapping[str, Any]) -> Iterator[str]:
    yield from _too_much_power(record)
    samples, whole = record["samples"], record.get("total", {}).get("joules", math.inf)
    for name, result in record["results"].items():
        value, unit = result["value"], result["unit"]
        if name == "accuracy" and unit == "1" and not 0 <= value <= 1:
            yield f"its accuracy is {value:g}, and a share is 0 to 1"
        if unit == "J" and value < 0 and not name.startswith("net_"):
            yield f"its {name} is {value:g} J, and cannot be less than 0"
        if name == "joules_per_sample" and "target" not in record and value * samples > ALLOWED * whole:
            yield f"its {name}, {quantity(value, 'J')}, is over {ALLOWED:g} times its total over its samples"


def _too_much_power(record: Mapping[str, Any]) -> Iterator[str]:
    """What takes more power than any machine has, by the seconds that it took."""
    seconds, samples = record["seconds"], record["samples"]
    if not seconds:
        return
    joules = {f"domain {name}": one["joules"] for name, one in record["domains"].items() if "joules" in one}
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
