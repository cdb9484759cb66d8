"""Which metrics are judged, and in which family: by their names and units."""

from energybench.gating.series import Family
from energybench.model import Provenance

NOT_JUDGED_UNITS = ("1/s", "FLOP", "op", "W")
"""Rates are seconds said otherwise; operations are already in modelled joules."""
SHARES = ("communication_cpu_joules", "waiting_joules")
"""Parts of joules that are judged as a whole."""
SIZES = ("file_bytes",)
LONG_UNITS = {"joules": "J", "joule": "J", "seconds": "s", "second": "s", "bytes": "B", "byte": "B"}
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


def _bytes_a_something(name: str) -> bool:
    return "_bytes_per_" in name or name.endswith("_bytes_to_accuracy")
