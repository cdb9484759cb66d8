"""`energybench doctor`: what can be read here, how finely, what is missing and how to grant it."""

import contextlib
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from energybench import probes as probing
from energybench.meter import Meter, choose_domains, simulating
from energybench.model import Clock, Domain, Probe, Unavailable

CHECK_SECONDS = 0.3
MISMATCH = 0.10
UNITS = {"joules": "J", "celsius": "°C", "hertz": "Hz"}
# It counts what torch is told to do, not what a machine does, and needs torch to be opened.
NOT_HARDWARE = ("operators",)


def examine(*, root: Path = Path("/"), clock: Clock = time.perf_counter_ns) -> dict[str, Any]:
    """Open every probe, and say what each can read, in the names of the JSON interface."""
    opened = open_all(root=root, clock=clock)
    try:
        used = {name: probe for name, probe in opened.items() if _is_used(name)}
        domains, _ = choose_domains(used)
        return {
            "schema": 1,
            "domains": {name: describe(domain) for name, domain in domains.items()},
            "probes": {name: _describe_probe(name, probe) for name, probe in opened.items()},
            "checks": _cross_check(opened, clock),
            "quiet": _quiet(root, opened),
        }
    finally:
        for probe in opened.values():
            if not isinstance(probe, Unavailable):
                probe.close()


def has_energy(report: Mapping[str, Any]) -> bool:
    """Whether any joule here comes from a counter or a sensor, or from a simulated one that was asked for."""
    return any(
        entry.get("unit") in ("J", "W") and entry["provenance"] != "estimated" for entry in report["domains"].values()
    )


def open_all(*, root: Path, clock: Clock) -> dict[str, Probe | Unavailable]:
    """Every probe for hardware, the preferred first; the simulated machine only where it is asked for."""
    simulated = simulating()
    names = [name for name in probing.names() if name not in NOT_HARDWARE and (name != "simulated" or simulated)]
    opened = {name: _open(name, root=root, clock=clock) for name in names}
    return dict(sorted(opened.items(), key=lambda item: _priority(item[0])))


def _open(name: str, *, root: Path, clock: Clock) -> Probe | Unavailable:
    try:
        return probing.open_probe(name, root=root, clock=clock)
    except Exception as error:  # one broken plug-in must not hide what the others can read
        return Unavailable(
            reason=f"the probe failed to open: {type(error).__name__}: {error}",
            remedy="report it to the probe's author, with what energybench.probes.open_probe says",
        )


def _priority(name: str) -> int:
    with contextlib.suppress(Exception):  # a plug-in that cannot even be imported has told so already
        return probing.priority(name)
    return probing.DEFAULT_PRIORITY


def _is_used(name: str) -> bool:
    if simulating():
        return name == "simulated"
    with contextlib.suppress(Exception):
        return not probing.is_on_request(name)
    return True


def describe(domain: Domain | Unavailable) -> dict[str, Any]:
    """One domain in plain values; a key that has nothing to say is absent."""
    if isinstance(domain, Unavailable):
        return {"unavailable": domain.reason, "remedy": domain.remedy}
    told: dict[str, Any] = {
        "unit": _unit(domain),
        "resolution": domain.resolution,
        "tick": domain.tick,
        "wraps_after_seconds": wrap_seconds(domain),
        "relative_gain_uncertainty": domain.gain,
        "probe": domain.probe,
        "provenance": domain.provenance,
        "kind": domain.kind,
        "scope": domain.scope,
        "in_total": domain.additive and domain.quantity == "joules" and domain.provenance != "estimated",
        "contains": list(domain.contains),
        "duplicates": domain.duplicates,
        "flags": list(domain.flags),
        "source": domain.source,
    }
    return {key: value for key, value in told.items() if value is not None}


def wrap_seconds(domain: Domain) -> float | None:
    """How long the counter runs at full power before it starts again at 0."""
    if not domain.modulus or not domain.max_rate:
        return None
    return domain.modulus * domain.scale / domain.max_rate


def _unit(domain: Domain) -> str:
    if domain.quantity == "joules" and domain.kind == "gauge":
        return "W"
    unit = UNITS.get(domain.quantity, "B")
    return "B/s" if unit == "B" and domain.kind == "gauge" else unit


def _describe_probe(name: str, probe: Probe | Unavailable) -> dict[str, Any]:
    if isinstance(probe, Unavailable):
        return {"unavailable": probe.reason, "remedy": probe.remedy}
    return {
        "used": _is_used(name),
        "domains": {domain: describe(entry) for domain, entry in probe.domains.items()},
    }


def _cross_check(opened: Mapping[str, Probe | Unavailable], clock: Clock) -> list[dict[str, Any]]:
    """Joules of pyRAPL against our own powercap reader over one and the same stretch of time."""
    ours, theirs = opened.get("powercap"), opened.get("pyrapl")
    if ours is None or theirs is None or isinstance(ours, Unavailable) or isinstance(theirs, Unavailable):
        return []
    meters = [Meter({name: probe}, clock=clock, poll=False) for name, probe in (("powercap", ours), ("pyrapl", theirs))]
    with meters[0].window() as first, meters[1].window() as second:
        end = clock() + int(CHECK_SECONDS * 1e9)
        while clock() < end:
            sum(range(1000))  # work, so that there are joules to compare
    shared = [name for name in first.domains if name in second.domains]
    return [_compared(name, first.domains[name], second.domains[name]) for name in shared]


def _compared(name: str, first: object, second: object) -> dict[str, Any]:
    for side, energy in (("powercap", first), ("pyrapl", second)):
        if isinstance(energy, Unavailable):
            return {"domain": name, "unavailable": f"{side}: {energy.reason}", "remedy": energy.remedy}
    ours, theirs = getattr(first, "joules", 0.0), getattr(second, "joules", 0.0)
    agree = abs(ours - theirs) <= MISMATCH * max(ours, theirs)
    return {"domain": name, "seconds": CHECK_SECONDS, "powercap": ours, "pyrapl": theirs, "agree": agree}


def _quiet(root: Path, opened: Mapping[str, Probe | Unavailable]) -> dict[str, Any]:
    from energybench.quiet import quiet

    state = {name: probe.state() for name, probe in opened.items() if hasattr(probe, "state")}
    verdict = quiet(root=root, state=state)
    return {"quiet": verdict.quiet, "reasons": list(verdict.reasons)}


def remedies(report: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """What is missing: (probe or domain, why, what to do), each remedy once with all that it would open."""
    gathered: dict[tuple[str, str], list[str]] = {}
    for name, entry in _missing(report):
        gathered.setdefault((entry["unavailable"], entry["remedy"]), []).append(name)
    return [(", ".join(dict.fromkeys(names)), why, what) for (why, what), names in gathered.items()]


def _missing(report: Mapping[str, Any]) -> Iterable[tuple[str, Mapping[str, str]]]:
    for name, entry in report["probes"].items():
        if "unavailable" in entry:
            yield name, entry
        for domain, detail in entry.get("domains", {}).items():
            if "unavailable" in detail:
                yield f"{name}: {domain}", detail
