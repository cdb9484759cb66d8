"""Warnings of a record that belong to one of its metrics."""

from energybench.gating.grounds import ON_THE_MACHINE
from energybench.gating.series import Family
from energybench.record import DomainEnergy, Metric, Record

NOT_QUIET = "not-quiet"
BELOW, SMALL_PART = "below-resolution", 0.1
"""A domain whose ticks are coarse makes a total coarse where it is more than this share of it."""
OF_ENERGY = (BELOW, "tick-unknown", "aliased", "counter-power-mismatch", "idle-drift", "gaps-included", "dephased")
"""Flags that say nothing of seconds and traffic."""


def flags_of(record: Record, family: Family, metric: Metric) -> tuple[str, ...]:
    """What a reader must know of a metric that was measured on the machine."""
    if family not in ON_THE_MACHINE:
        return ()
    told = dict.fromkeys([*record.flags, *(flag for window in record.windows for flag in window.flags)])
    if family != "joules" or metric.provenance == "estimated":
        told = {flag: None for flag in told if flag not in OF_ENERGY}
    elif BELOW in told and _is_small_part(record):
        del told[BELOW]
    return (*told, *(() if record.quiet.quiet else (NOT_QUIET,)))


def _is_small_part(record: Record) -> bool:
    """Whether the domains that the counter is too coarse for are a small part of the total."""
    parts = {name: one for name, one in record.domains.items() if isinstance(one, DomainEnergy)}
    coarse = [one for one in parts.values() if BELOW in one.flags]
    if record.total is None or not coarse:
        return False
    below = [parts[name] for name in record.total.domains if name in parts and BELOW in parts[name].flags]
    return sum(one.joules for one in below) <= SMALL_PART * record.total.joules
