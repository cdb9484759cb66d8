"""Two readers of the same counters over the same interval: do they agree?"""

from collections.abc import Callable
from dataclasses import dataclass

from energybench.model import Domain, Probe, Reading, Unavailable

# What two reads microseconds apart may differ by, besides a tick at each end.
TOLERANCE = 0.02
USUAL_TICK_SECONDS = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One domain as both readers saw it over the same interval.

    Attributes:
        domain: its name.
        powercap_joules, pyrapl_joules: what each read.
        difference: of their powers, as a fraction of powercap's.
        agrees: whether ticks and resolution explain it.
    """

    domain: str
    powercap_joules: float
    pyrapl_joules: float
    difference: float
    agrees: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossCheck:
    """Our reader against pyRAPL: every domain that both can read."""

    seconds: float
    comparisons: tuple[Comparison, ...]


def compare(ours: Probe, theirs: Probe, seconds: float, sleep: Callable[[float], None]) -> CrossCheck | Unavailable:
    """Let the same interval pass under both readers and compare what they say."""
    before_ours, before_theirs = _by_name(ours), _by_name(theirs)
    sleep(seconds)
    after_ours, after_theirs = _by_name(ours), _by_name(theirs)
    comparisons = []
    for name, domain in theirs.domains.items():
        own = ours.domains.get(name)
        if not isinstance(domain, Domain) or not isinstance(own, Domain):
            continue
        mine = _joules(own, before_ours[name], after_ours[name])
        other = _joules(domain, before_theirs[name], after_theirs[name])
        if mine and other and (mine[0] or other[0]):  # counters that stood still confirm nothing
            comparisons.append(_comparison(domain, mine, other))
    if comparisons:
        return CrossCheck(seconds=seconds, comparisons=tuple(comparisons))
    return Unavailable(reason="no counter moved that both readers can read", remedy="see what powercap says")


def _by_name(probe: Probe) -> dict[str, Reading]:
    readable = [name for name, domain in probe.domains.items() if isinstance(domain, Domain)]
    return dict(zip(readable, probe.read(), strict=True))


def _joules(domain: Domain, begin: Reading, end: Reading) -> tuple[float, float] | None:
    """Joules and seconds between two readings at most one wrap apart; None where one of them failed."""
    (begin_ns, first), (end_ns, last) = begin, end
    if isinstance(first, Unavailable) or isinstance(last, Unavailable):
        return None
    counts = last - first if last >= first or not domain.modulus else last - first + domain.modulus
    return counts * domain.scale, (end_ns - begin_ns) / 1e9


def _comparison(domain: Domain, mine: tuple[float, float], other: tuple[float, float]) -> Comparison:
    """Powers are compared, not joules: the readers look one after the other."""
    watts, other_watts = mine[0] / mine[1], other[0] / other[1]
    difference = (other_watts - watts) / watts if watts else float(other_watts != watts)
    ticks = 2 * (domain.tick or USUAL_TICK_SECONDS) / mine[1]
    steps = 2 * domain.resolution / max(mine[0], domain.resolution)
    return Comparison(
        domain=domain.name,
        powercap_joules=mine[0],
        pyrapl_joules=other[0],
        difference=difference,
        agrees=abs(difference) <= TOLERANCE + ticks + steps,
    )
