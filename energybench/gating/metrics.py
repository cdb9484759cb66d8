"""Which metrics are judged, and in which family: by their names and units."""

import re

from energybench.gating.series import Family
from energybench.model import Provenance

NOT_JUDGED_UNITS = ("1/s", "FLOP", "op", "W", "J/s")
"""Rates are seconds said otherwise; operations are already in modelled joules."""
SHARES = ("communication_cpu_joules", "waiting_joules")
"""Parts of joules that are judged as a whole."""
SIZES = ("file_bytes",)
LONG_UNITS = {"joules": "J", "joule": "J", "seconds": "s", "second": "s", "bytes": "B", "byte": "B"}
PREFIXES = {"n": 1e-9, "u": 1e-6, "µ": 1e-6, "μ": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
OTHERS = {
    "Wh": ("J", 3600.0),
    "Ws": ("J", 1.0),
    "min": ("s", 60.0),
    "h": ("s", 3600.0),
    "hours": ("s", 3600.0),
    "minutes": ("s", 60.0),
    "milliseconds": ("s", 1e-3),
    "microseconds": ("s", 1e-6),
    "nanoseconds": ("s", 1e-9),
    "millijoules": ("J", 1e-3),
    "microjoules": ("J", 1e-6),
    "kilojoules": ("J", 1e3),
    "%": ("1", 0.01),
    "percent": ("1", 0.01),
    "KB": ("B", 1e3),
    "KiB": ("B", 2.0**10),
    "MiB": ("B", 2.0**20),
    "GiB": ("B", 2.0**30),
}
"""Units that are no SI symbol with a prefix, in SI."""
GOOD = frozenset(("accuracy", "acc", "auc", "f1", "recall", "precision", "score", "throughput", "bandwidth", "speedup"))
BAD = frozenset(("loss", "error", "errors", "drop", "miss", "misses", "regret"))
"""Words of names and units that say which way is up."""
EXACT_NAMES = ("modelled_joules", "operand_bytes", "payload_bytes")
"""What is counted, and the same whenever the same work is done."""


def family_of(name: str, unit: str, provenance: Provenance) -> Family | None:
    """The family of a metric; None where it is not judged."""
    if unit in NOT_JUDGED_UNITS or name.startswith("net_") or any(share in name for share in SHARES):
        return None
    if unit == "J":
        return "modelled" if provenance == "modelled" else "joules"
    if name in SIZES:
        return "size"
    if unit == "B" and provenance == "modelled":
        return "modelled"
    if unit == "B" and _bytes_a_something(name):
        return "traffic"
    if unit == "s":
        return "seconds"
    return "accuracy" if name == "accuracy" or name.startswith("accuracy_") else "quality"


def is_counted(name: str) -> bool:
    """Whether equal work gives an equal number; how often work was done until something happened is none."""
    return name.startswith(EXACT_NAMES) and not name.endswith("_to_accuracy")


def short_unit(unit: str) -> str:
    """`J` for `joules`: SI symbols as records have them."""
    return LONG_UNITS.get(unit, unit)


def si_unit(unit: str) -> tuple[str, float]:
    """The SI unit without a prefix, and what a value in the given unit is multiplied with.

    `mJ` is 0.001 J, `kWh/epoch` 3.6e6 J (an epoch is part of the name), `B/s` stays a rate.
    """
    first, slash, below = unit.partition("/")
    symbol, factor = _symbol(first.strip())
    if not slash or symbol not in ("J", "s", "B"):
        return (symbol, factor) if not slash else (unit, 1.0)
    return (f"{symbol}/s", factor) if short_unit(below.strip()) == "s" else (symbol, factor)


def more_is_better(name: str, unit: str) -> bool:
    """Which way is up where a benchmark does not tell: up for accuracies, scores and rates."""
    words = set(re.split(r"[^a-z0-9]+", f"{name.rpartition('.')[2]} {unit}".lower()))
    if words & BAD:
        return False
    return bool(words & GOOD) or (unit.endswith("/s") and unit != "J/s")


def is_accuracy(name: str, unit: str) -> bool:
    """Whether a benchmark's values are shares that are right, by its name or its unit."""
    words = set(re.split(r"[^a-z0-9]+", f"{name.rpartition('.')[2]} {unit}".lower()))
    return bool(words & {"accuracy", "acc"}) and not words & BAD


def _symbol(unit: str) -> tuple[str, float]:
    known = short_unit(unit)
    if known in ("J", "s", "B"):
        return known, 1.0
    if known in OTHERS:
        return OTHERS[known]
    prefix, base = known[:1], known[1:]
    if prefix in PREFIXES and base in ("J", "s", "B", "Wh", "Ws"):
        symbol, factor = OTHERS.get(base, (base, 1.0))
        return symbol, PREFIXES[prefix] * factor
    return unit, 1.0


def _bytes_a_something(name: str) -> bool:
    return "_bytes_per_" in name or name.endswith("_bytes_to_accuracy")
