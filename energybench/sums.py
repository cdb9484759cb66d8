"""What windows add up to: joules by domain, over a disjoint cut, and how their uncertainties join."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from energybench.record import DomainEnergy, Domains, DomainUnavailable, EstimatedEnergy, TotalEnergy, Window

# These stay the same from window to window; what is not among them shows in the scatter of the windows.
SHARED = ("gain",)


def common_total(windows: Sequence[Window]) -> list[Window]:
    """The windows whose totals are of one kind: the largest such group. Others are never compared."""
    kinds = Counter(kind for w in windows if (kind := _kind(w)))
    if not kinds:
        return []
    kind = kinds.most_common(1)[0][0]
    return [w for w in windows if _kind(w) == kind]


def _kind(window: Window) -> tuple[str, ...] | None:
    """Provenance of a total, its domains and the probes that read them; None where there is no total."""
    if window.total is None:
        return None
    cut = window.total.domains
    return (window.total.provenance, *cut, *(energy.probe for energy in energies_of(window.domains, cut)))


def summed_domains(windows: Sequence[Window]) -> Domains:
    """Joules by domain over all windows; a domain that failed in one of them has no sum."""
    names = dict.fromkeys(name for w in windows for name in w.domains)
    return {name: _summed([w.domains[name] for w in windows if name in w.domains], len(windows)) for name in names}


def summed_total(windows: Sequence[Window]) -> TotalEnergy | None:
    """Joules over the same disjoint domains in every window; None where they differ, or there are none."""
    totals = [w.total for w in common_total(windows) if w.total]
    if not totals or len(totals) != len(windows):
        return None
    cut = totals[0].domains
    return TotalEnergy(
        joules=math.fsum(t.joules for t in totals),
        standard_uncertainty=math.hypot(
            gain_part(windows, cut), *(random_part(energies_of(w.domains, cut)) for w in windows)
        ),
        provenance=totals[0].provenance,
        domains=cut,
        missing=list(dict.fromkeys(name for t in totals for name in t.missing)),
    )


def summed_estimate(windows: Sequence[Window]) -> EstimatedEnergy | None:
    """The power model's joules over all windows, where none of them measured."""
    parts = [w.estimated for w in windows if w.estimated]
    if not parts or len(parts) != len(windows):
        return None
    return EstimatedEnergy(
        joules=math.fsum(p.joules for p in parts),
        low=math.fsum(p.low for p in parts),
        high=math.fsum(p.high for p in parts),
        model=parts[0].model,
        idle_watts=parts[0].idle_watts,
    )


def _summed(parts: Sequence[DomainEnergy | DomainUnavailable], windows: int) -> DomainEnergy | DomainUnavailable:
    lost = [part for part in parts if isinstance(part, DomainUnavailable)]
    if lost:
        return lost[0]
    energies = [part for part in parts if isinstance(part, DomainEnergy)]
    if len(energies) < windows:
        return DomainUnavailable(
            unavailable="not there in every window", remedy="look at the windows, or measure again"
        )
    if len({(e.provenance, e.probe) for e in energies}) > 1:
        return DomainUnavailable(
            unavailable="windows were read by different probes, or are of different provenance",
            remedy="look at the windows, or measure again",
        )
    names = dict.fromkeys(name for e in energies for name in e.components or {})
    components = {
        name: _joined([(e.components or {}).get(name, 0.0) for e in energies], shared=name in SHARED) for name in names
    }
    return DomainEnergy(
        joules=math.fsum(e.joules for e in energies),
        standard_uncertainty=math.hypot(*components.values()),
        provenance=energies[0].provenance,
        probe=energies[0].probe,
        flags=list(dict.fromkeys(flag for e in energies for flag in e.flags)),
        components=components,
    )


def _joined(parts: Sequence[float], *, shared: bool) -> float:
    return math.fsum(parts) if shared else math.hypot(*parts)


def energy_of(domains: Domains, name: str) -> DomainEnergy:
    """The joules of a domain that was measured."""
    part = domains[name]
    assert isinstance(part, DomainEnergy)
    return part


def energies_of(domains: Domains, cut: Iterable[str]) -> list[DomainEnergy]:
    """The joules of several domains that were measured."""
    return [energy_of(domains, name) for name in cut]


def random_part(energies: Iterable[DomainEnergy]) -> float:
    """What differs from window to window, of several domains together."""
    parts = (u for e in energies for name, u in (e.components or {}).items() if name not in SHARED)
    return math.sqrt(math.fsum(u * u for u in parts))


def gain_part(windows: Sequence[Window], cut: Iterable[str]) -> float:
    """Joules by which the gains may be off over all windows: one probe's sensors share their error."""
    probes: defaultdict[str, float] = defaultdict(float)
    for window in windows:
        for energy in energies_of(window.domains, cut):
            probes[energy.probe] += abs((energy.components or {}).get("gain", 0.0))
    return math.hypot(*probes.values())
