"""What may be added up: a disjoint cut of the domains, their traffic, and the cross-checks between them."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from math import sqrt

from energybench.model import Domain, Energy, Total, Traffic, Unavailable
from energybench.tracks import Edge, Track
from energybench.uncertainty import COVERAGE, combined, why_not

MISMATCH = 0.10
CHECKED_TICKS = 20
WHOLE = ("wall", "node")
PART = re.compile(r"cpu\.(package|dram)-[^.]+|gpu(\.\d+)?|module-\d+")


def total(domains: Mapping[str, Domain | Unavailable], energies: Mapping[str, Energy | Unavailable]) -> Total | None:
    """Σ distinct packages + Σ DRAM + Σ GPUs, or the wall alone; None where nothing of it was measured."""
    cut = disjoint(domains, energies)
    measured = {name: e for name in cut if isinstance(e := energies[name], Energy)}
    kinds = {e.provenance for e in measured.values()}
    if len(kinds) != 1:
        return None  # nothing, or measured beside simulated: never one sum
    return Total(
        joules=sum(e.joules for e in measured.values()),
        standard_uncertainty=_of_sum(measured.values()),
        provenance=kinds.pop(),
        domains=tuple(measured),
        missing=_missing(domains, energies, cut),
    )


def disjoint(domains: Mapping[str, Domain | Unavailable], energies: Mapping[str, Energy | Unavailable]) -> list[str]:
    """The measured domains that do not overlap: a metered whole replaces its parts, a twin counts once."""
    usable = {
        name: domain
        for name, domain in domains.items()
        if isinstance(domain, Domain) and domain.additive and isinstance(energies.get(name), Energy)
    }
    if "wall" in usable:
        return ["wall"]
    if "node" in usable:
        # A board's meter is a coarse gauge: it stands for the machine only where no processor can be read.
        if not any(name.startswith(("cpu.", "module-")) for name in usable):
            return ["node"]
        del usable["node"]
    inside = {part for domain in usable.values() for part in domain.contains}
    return [name for name, domain in usable.items() if name not in inside and domain.duplicates not in usable]


def _missing(
    domains: Mapping[str, Domain | Unavailable], energies: Mapping[str, Energy | Unavailable], cut: Iterable[str]
) -> tuple[str, ...]:
    """Parts of the machine that belong in its total and were not measured; `cpu` where no processor was."""
    chosen = [domain for name in cut if isinstance(domain := domains[name], Domain)]
    if any(domain.name in WHOLE for domain in chosen):
        return ()
    covered = {part for d in chosen for part in (d.name, *d.contains, *([d.duplicates] if d.duplicates else []))}
    lost = [name for name, e in energies.items() if isinstance(e, Unavailable) and _belongs(name, domains[name])]
    if not any(name.startswith("cpu.") for name in covered.union(lost)):
        lost.append("cpu")
    return tuple(name for name in lost if not covered & {name, getattr(domains.get(name), "duplicates", None)})


def _belongs(name: str, domain: Domain | Unavailable) -> bool:
    """Whether a part that failed would have been added, as far as its name or its declaration tells."""
    if isinstance(domain, Domain):
        return domain.additive
    return PART.fullmatch(name) is not None


def _of_sum(energies: Iterable[Energy]) -> float:
    """Gains of one probe's sensors share their error and add up; everything else adds in squares."""
    gains: defaultdict[str, float] = defaultdict(float)
    squares = 0.0
    for energy in energies:
        gain = energy.components.get("gain", 0.0)
        gains[energy.probe] += gain
        squares += max(energy.standard_uncertainty**2 - gain**2, 0.0)
    return sqrt(squares + sum(gain**2 for gain in gains.values()))


def cross_checked(
    domains: Mapping[str, Domain | Unavailable], energies: Mapping[str, Energy | Unavailable], seconds: float
) -> dict[str, Energy | Unavailable]:
    """Flag a counter that its power gauge contradicts by more than 10 % and the uncertainty of both."""
    checked = dict(energies)
    for gauge in domains.values():
        if not isinstance(gauge, Domain) or not gauge.checks:
            continue
        counter, power = checked.get(gauge.checks), checked.get(gauge.name)
        if not isinstance(counter, Energy) or not isinstance(power, Energy):
            continue
        difference = abs(counter.joules - power.joules)
        # Both read one sensor, so its gain cancels; a window of few ticks shows nothing.
        doubt = COVERAGE * sqrt(_random(counter) ** 2 + _random(power) ** 2)
        ticks = seconds / (gauge.tick or 0.1)
        if ticks >= CHECKED_TICKS and difference > max(MISMATCH * max(counter.joules, power.joules), doubt):
            checked[gauge.checks] = replace(counter, flags=(*counter.flags, "counter-power-mismatch"))
    return checked


def _random(energy: Energy) -> float:
    return sqrt(max(energy.standard_uncertainty**2 - energy.components.get("gain", 0.0) ** 2, 0.0))


def moved(track: Track, begin: Edge, end: Edge) -> Traffic | Unavailable:
    """Bytes between two marks of one domain; no bytes are a result like any other."""
    if isinstance(begin, Unavailable) or isinstance(end, Unavailable) or end.breaks != begin.breaks:
        return why_not(track, begin, end)
    domain = track.domain
    amount = (end.total - begin.total) * domain.scale
    span = (end.ns - begin.ns) / 1e9
    tick = amount / span * domain.tick / sqrt(6) if domain.tick and span else 0.0
    return Traffic(
        bytes=amount,
        standard_uncertainty=combined({"t": tick, "r": domain.resolution / sqrt(6), "g": domain.gain * amount}),
        provenance=domain.provenance,
        domains=(domain.name,),
    )


def traffic(domains: Mapping[str, Domain], amounts: Mapping[str, Traffic | Unavailable]) -> dict[str, Traffic]:
    """Bytes by kind. A kind is absent where one of its parts failed; of two probes on one memory the first counts."""
    chosen: dict[tuple[str, bool], str] = {}
    parts: defaultdict[str, list[Traffic | Unavailable]] = defaultdict(list)
    for name, amount in amounts.items():
        domain = domains[name]
        memory = (domain.quantity, name.startswith("gpu."))
        if chosen.setdefault(memory, domain.probe) == domain.probe and not domain.duplicates:
            parts[domain.quantity].append(amount)
    sums = {}
    for kind, amounts_of_kind in parts.items():
        whole = [part for part in amounts_of_kind if isinstance(part, Traffic)]
        if len(whole) == len(amounts_of_kind) and len({part.provenance for part in whole}) == 1:
            sums[kind] = Traffic(
                bytes=sum(part.bytes for part in whole),
                standard_uncertainty=sqrt(sum(part.standard_uncertainty**2 for part in whole)),
                provenance=whole[0].provenance,
                domains=tuple(name for part in whole for name in part.domains),
            )
    return sums
