"""Pieces of a suite's windows -> the windows of a record: put together, or one part taken off another."""

import math
from collections.abc import Sequence

from energybench import stats, stepping
from energybench.record import DomainEnergy, Domains, DomainUnavailable, EstimatedEnergy, TotalEnergy, Window
from energybench.suites.served import Piece
from energybench.sums import SHARED, common_total, summed_domains, summed_estimate, summed_total

TWICE = 2.0


def windows_of(pieces: Sequence[Piece]) -> list[Window]:
    """The windows, in their order; of those with a `setup` part, what is left without it.

    A window whose difference is nothing has no steps: `below_resolution` tells.
    """
    found = []
    for number in sorted({piece.window for piece in pieces}):
        own = [piece for piece in pieces if piece.window == number]
        calls = _together([piece for piece in own if piece.part == "call"])
        setups = [piece for piece in own if piece.part == "setup"]
        found.append(_without(calls, _together(setups)) if setups else calls)
    return found


def below_resolution(windows: Sequence[Window]) -> str:
    """Why differences of windows are no result: they are not above what they are uncertain by; empty where they are."""
    if any(window.steps == 0 for window in windows):
        return "its calls take no more than their setup: below the resolution of a difference"
    totals = [window.total for window in windows if window.total]
    if not totals:
        return ""
    calls = sum(window.samples for window in windows)
    joules = math.fsum(total.joules for total in totals)
    stated = math.hypot(*(total.standard_uncertainty for total in totals))
    each = [total.joules for total in totals]
    seen = stats.standard_error(each) * len(each) if len(each) > 1 else 0.0
    limit = TWICE * max(stated, seen)
    if joules > limit:
        return ""
    return (
        "its setup costs as much as its calls: below the resolution of a difference "
        f"(a call is {joules / calls:.2g} J, ± {limit / calls:.2g} J)"
    )


def unread(windows: Sequence[Window]) -> str:
    """Why there are no joules in any of the windows, in the words of a counter; empty where there are."""
    if common_total(windows):
        return ""
    lost = [part for window in windows for part in window.domains.values() if isinstance(part, DomainUnavailable)]
    return lost[0].unavailable if lost else "no total was read"


def _together(pieces: Sequence[Piece]) -> Window:
    """One window of several pieces."""
    parts = [
        Window.model_validate(
            {"steps": one.calls, "samples": one.calls, "round": one.window, **stepping.plain(one.measurement)}
        )
        for one in pieces
    ]
    if len(parts) == 1:
        return parts[0]
    kinds = set.intersection(*(set(part.traffic) for part in parts))
    return Window(
        seconds=math.fsum(part.seconds for part in parts),
        steps=sum(part.steps for part in parts),
        samples=sum(part.samples for part in parts),
        round=parts[0].round,
        domains=summed_domains(parts),
        total=summed_total(parts),
        traffic={kind: math.fsum(part.traffic[kind] for part in parts) for kind in sorted(kinds)},
        estimated=summed_estimate(parts),
        flags=list(dict.fromkeys(["pieces", *(flag for part in parts for flag in part.flags)])),
    )


def _without(calls: Window, setups: Window) -> Window:
    """What a window has more than one in which everything but the calls was done, at as many setups."""
    setups = _scaled(setups, calls.samples / setups.samples)
    seconds = calls.seconds - setups.seconds
    estimated = _estimate(calls.estimated, setups.estimated)
    seen = seconds > 0 and (calls.estimated is None or estimated is not None)
    return Window(
        seconds=seconds if seconds > 0 else calls.seconds,
        steps=calls.steps if seen else 0,
        samples=calls.samples,
        round=calls.round,
        domains=_domains(calls.domains, setups.domains),
        total=_total(calls, setups),
        traffic={
            kind: moved - setups.traffic[kind]
            for kind, moved in calls.traffic.items()
            if moved >= setups.traffic.get(kind, math.inf)
        },
        estimated=estimated,
        flags=list(dict.fromkeys(["difference", *calls.flags, *setups.flags])),
    )


def _scaled(window: Window, share: float) -> Window:
    """A window of another number of equal calls."""
    return window.model_copy(
        update={
            "seconds": window.seconds * share,
            "domains": {name: _part(part, share) for name, part in window.domains.items()},
            "total": window.total and window.total.model_copy(update=_times(window.total, share)),
            "traffic": {kind: moved * share for kind, moved in window.traffic.items()},
            "estimated": window.estimated
            and window.estimated.model_copy(
                update={name: getattr(window.estimated, name) * share for name in ("joules", "low", "high")}
            ),
        }
    )


def _part(part: DomainEnergy | DomainUnavailable, share: float) -> DomainEnergy | DomainUnavailable:
    if isinstance(part, DomainUnavailable):
        return part
    components = {name: value * share for name, value in (part.components or {}).items()}
    return part.model_copy(update={**_times(part, share), "components": components})


def _times(energy: DomainEnergy | TotalEnergy, share: float) -> dict[str, float]:
    return {"joules": energy.joules * share, "standard_uncertainty": energy.standard_uncertainty * share}


def _domains(calls: Domains, setups: Domains) -> Domains:
    found: Domains = {}
    for name, own in calls.items():
        other = setups.get(name)
        if isinstance(own, DomainEnergy) and isinstance(other, DomainEnergy):
            found[name] = _energy(own, other)
        else:
            found[name] = other if isinstance(own, DomainEnergy) and other is not None else own
    return found


def _energy(own: DomainEnergy, other: DomainEnergy) -> DomainEnergy:
    """A difference of joules: what one sensor is wrong by in both is taken off as well."""
    mine, theirs = own.components or {}, other.components or {}
    components = {
        name: abs(mine.get(name, 0.0) - theirs.get(name, 0.0))
        if name in SHARED
        else math.hypot(mine.get(name, 0.0), theirs.get(name, 0.0))
        for name in dict.fromkeys([*mine, *theirs])
    }
    return own.model_copy(
        update={
            "joules": own.joules - other.joules,
            "standard_uncertainty": math.hypot(*components.values()),
            "components": components,
            "flags": list(dict.fromkeys([*own.flags, *other.flags])),
        }
    )


def _total(calls: Window, setups: Window) -> TotalEnergy | None:
    """The difference of two totals over the same domains."""
    own, other = calls.total, setups.total
    if own is None or other is None or own.domains != other.domains:
        return None
    domains = _domains(calls.domains, setups.domains)
    parts = [part for name in own.domains if isinstance(part := domains[name], DomainEnergy)]
    return own.model_copy(
        update={
            "joules": own.joules - other.joules,
            "standard_uncertainty": math.hypot(*(part.standard_uncertainty for part in parts)),
        }
    )


def _estimate(own: EstimatedEnergy | None, other: EstimatedEnergy | None) -> EstimatedEnergy | None:
    if own is None or other is None or own.joules <= other.joules:
        return None
    joules = own.joules - other.joules
    share = joules / own.joules
    return own.model_copy(update={"joules": joules, "low": own.low * share, "high": own.high * share})
