"""Joules of one domain over one window, with the standard uncertainty by component (GUM).

With a counter that moves every T seconds, read at two unrelated moments D seconds apart, the reading is off by
P0·u0 − P1·u1, where u0 and u1 are uniform on [0, T] and P0, P1 the watts at the edges. For steady power that is
T·P/√6, the well-known 0.408·T/D; power that differs at the edges adds (2/3)·v²·P²·T² with v its relative spread.
An edge that lies on a tick has the gap between two readings in place of T.
"""

from collections.abc import Mapping
from math import hypot, sqrt

from energybench.model import Domain, Energy, Unavailable
from energybench.tracks import STALL_TICKS, Edge, Mark, Track, poll_seconds, stall_ns, standstill

# Relative standard deviation of the power at an edge about the window's mean: a load that idles half of the time at
# 55 W and works at 85 W has 0.21; from rest to full load it is more, and the protocol warms up for that reason.
EDGE_SPREAD = 0.22
TICKS_TO_DESCRIBE_THE_BODY = 5
SLOWEST_TICK = 1.0
COVERAGE = 2.0


def energy(
    track: Track, begin: Edge, end: Edge, *, seconds: float, gaps: tuple[float | None, float | None] = (None, None)
) -> Energy | Unavailable:
    """Joules between two marks for a body of `seconds`.

    Args:
        track: whose marks they are.
        begin: the mark at the begin of the window.
        end: the mark at its end.
        seconds: how long the body took.
        gaps: for each edge that lies on a tick, the seconds between the two readings around it.
    """
    if isinstance(begin, Unavailable) or isinstance(end, Unavailable) or end.breaks != begin.breaks:
        return why_not(track, begin, end)
    domain = track.domain
    if domain.kind == "gauge":
        return _from_gauge(domain, begin, end, seconds)
    joules = (end.total - begin.total) * domain.scale
    span = (end.ns - begin.ns) / 1e9
    if joules <= 0:
        return _nothing(domain, seconds)
    tick = domain.tick
    if tick is None or (None in gaps and seconds < TICKS_TO_DESCRIBE_THE_BODY * tick):
        return _combine(domain, joules, seconds, _tick_components(domain, joules / span if span else 0.0, span, gaps))
    # A counter that is read on no tick shows its last one, half a tick before on average.
    lag = tick / 2 * ((gaps[0] is None) - (gaps[1] is None))
    watts = joules / (span + lag)
    components = _tick_components(domain, watts, span, gaps)
    components["tail"] = EDGE_SPREAD * watts * abs(span - seconds)
    return _combine(domain, watts * seconds, seconds, components)


def why_not(track: Track, begin: Edge, end: Edge) -> Unavailable:
    """Why two edges make no window: the first that failed, or what happened to the counter in between."""
    return next((edge for edge in (begin, end) if isinstance(edge, Unavailable)), track.reason)


def _tick_components(
    domain: Domain, watts: float, span: float, gaps: tuple[float | None, float | None]
) -> dict[str, float]:
    """What is not known of when the counter was updated: a tick at an edge that does not lie on one, else a gap."""
    on_ticks = [gap for gap in gaps if gap is not None]
    components = {"resolution": domain.resolution / sqrt(6)}
    if domain.tick is None and domain.provenance == "measured" and domain.quantity == "joules":
        # Fewer than three changes were seen when the probe was opened: the tick may be as long as a second.
        components["tick"] = watts * min(span, SLOWEST_TICK) * sqrt(1 / 6 + 2 / 3 * EDGE_SPREAD**2)
    elif domain.tick and len(on_ticks) < 2:
        # Two unknown lags: 1/6; one, whose mean is taken out: 1/12. Each adds v² times its mean square of T²/3.
        variance = (1 / 6 + 2 / 3 * EDGE_SPREAD**2) / (1 + len(on_ticks))
        components["tick"] = watts * domain.tick * sqrt(variance)
    if on_ticks:
        components["poll"] = watts * hypot(*on_ticks) / sqrt(12)
    return components


def _from_gauge(domain: Domain, begin: Mark, end: Mark, seconds: float) -> Energy | Unavailable:
    samples = end.samples - begin.samples
    span = (end.ns - begin.ns) / 1e9
    if samples < 1 or span <= 0:
        return Unavailable(
            reason=f"below resolution: the sensor gave no new value in {seconds:.3g} s",
            remedy=f"measure for at least {10 * (domain.tick or 0.1):.3g} s, or repeat the body",
        )
    due = seconds / poll_seconds(domain)
    if samples + 1 < due / 2:
        return Unavailable(
            reason=f"its sensor was read {samples} times in {seconds:.3g} s, where {due:.0f} were due",
            remedy="let go of the interpreter's lock in long calls, or measure with a counter",
        )
    mean = (end.sum - begin.sum) / samples
    variance = max((end.squares - begin.squares) / samples - mean**2, 0.0)
    watts = (end.total - begin.total) / span
    period = max(domain.tick or 0.1, domain.averaging)
    components = {
        "integration": sqrt(variance / max(min(seconds / period, samples), 1.0)) * seconds,
        "edges": watts * period * sqrt(1 / 6 + 2 / 3 * EDGE_SPREAD**2),
        "resolution": domain.resolution * seconds / sqrt(12),
    }
    return _combine(domain, watts * seconds, seconds, components)


def _combine(domain: Domain, joules: float, seconds: float, components: dict[str, float]) -> Energy:
    if domain.gain:
        components["gain"] = domain.gain * joules
    if domain.seen < 1 and domain.tick:
        # Each tick shows a part of itself; what is unseen differs by the spread, independently from tick to tick.
        components["unseen"] = (1 - domain.seen) * EDGE_SPREAD * joules * min(1.0, sqrt(domain.tick / seconds))
    return Energy(
        joules=joules,
        standard_uncertainty=combined(components),
        provenance=domain.provenance,
        probe=domain.probe,
        flags=(*domain.flags, *_window_flags(domain, joules, seconds)),
        components=components,
    )


def _window_flags(domain: Domain, joules: float, seconds: float) -> list[str]:
    flags = []
    if (domain.tick and seconds < 2 * domain.tick) or joules < 2 * domain.resolution:
        flags.append("below-resolution")
    if domain.tick is None and domain.kind == "counter" and domain.provenance == "measured":
        flags.append("tick-unknown")
    return flags


def combined(components: Mapping[str, float]) -> float:
    """The root of the sum of squares."""
    return sqrt(sum(value * value for value in components.values()))


def _nothing(domain: Domain, seconds: float) -> Unavailable:
    """A counter that did not move: too short a window, or a frozen counter. Never 0 joules."""
    tick = domain.tick
    frozen = seconds * 1e9 >= (stall_ns(domain) if tick else 1e9)
    if frozen or (tick and seconds > STALL_TICKS * tick):
        return standstill(seconds)
    needed = f"{10 * tick:.3g} s" if tick else "1 s"
    return Unavailable(
        reason=f"below resolution: its counter did not move within {seconds:.3g} s",
        remedy=f"measure for at least {needed}, or repeat the body",
    )
