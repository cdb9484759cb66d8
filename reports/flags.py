"""What the flags on a page mean, a sentence each; docs/measuring.md has the formulas."""

from collections.abc import Mapping, Sequence
from typing import Any

MEANINGS = {
    "aliased": "A periodic load may have hidden from a sensor that looks away; the error this may make is in ±.",
    "approximate": "The counter is approximate, by the word of its maker.",
    "beats-unverified": "The counter's bytes for each event are the documentation's and were never checked.",
    "below-resolution": "The window is too short for how finely the counter counts or how often it is updated.",
    "counter-power-mismatch": "The energy counter and the power of the same device differ by more than both allow.",
    "cpu-throttled": "The kernel counted thermal throttling of the processor.",
    "dephased": "Short rests between steps kept a periodic load out of the sensor's phase; they are taken out again.",
    "derived": "Computed from percentages or rates that the driver gives, not counted.",
    "device-order-assumed": "Which device a counter belongs to follows from the usual order of devices alone.",
    "domains-changed": "A domain failed in some window, which is kept and left out of the joules.",
    "firmware-model": "The device's firmware computes this energy from a model of its own.",
    "gaps-included": "Rests between steps are still in the joules: no idle baseline covers the domains.",
    "idle-drift": "Idle power before and after differs by more than 2 % and by more than its noise.",
    "includes-cpu": "The reading covers the processor too.",
    "loopback": "All nodes were on one host: wire bytes are its loopback's, other programs' included, and on no wire.",
    "machine-wide": "Several nodes ran on one host and shared its counters: the joules are those of all of them.",
    "mirror": "A second view of a counter that is already there, so it is in no sum.",
    "module-wide": "The counter covers the processor and memory of the module too.",
    "multiplexed": "The counter was on the hardware for a part of the time only, and was scaled up.",
    "not-steady": "Warm-up ended by its time limit, before the point was steady.",
    "one-core-only": "The driver reads one core of the socket only.",
    "parent-wide": "The counter covers the whole GPU and not the slice alone.",
    "rank-lost": "A node was lost while it was measured: joules and time hold its restart, bytes are absent.",
    "resumed": "The windows come from more than one session.",
    "sensor-unstudied": "Nobody has published how this GPU's sensor averages, so it is assumed to.",
    "sum-of-rails": "A sum of supply rails, which may miss a regulator or count one twice.",
    "target-not-reached": "A training did not come to the accuracy; what it used is counted in what the others took.",
    "throttled": "A GPU was slowed down by heat or by its power brake.",
    "tick-unknown": "How often the counter is updated could not be seen; ± allows for up to a second.",
    "time-drift": "The first and the last window differ by more than 5 % in time per step.",
    "uncalibrated": "The bytes were never compared with a known amount of traffic on this device.",
}
UNKNOWN = "Not a flag of this version of energybench; what set it says more."


def meanings(groups: Sequence[Mapping[str, Any]], machines: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """The flags that occur on the page, by name, with what they mean."""
    rows = [row for group in groups for row in group["rows"]]
    domains = [domain for machine in machines for domain in machine["domains"]]
    return [(flag, MEANINGS.get(flag, UNKNOWN)) for flag in sorted({f for one in rows + domains for f in one["flags"]})]
