"""Gangs in use: tasks that want the same ranks share them, and the last one lets them go."""

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from energybench.distributed.gang import Gang, RankLostError
from energybench.distributed.given import Given, given
from energybench.distributed.meeting import (
    OVER_SECONDS,
    MeetingError,
    PortError,
    announce,
    announce_over,
    make_store,
    reach_store,
)
from energybench.distributed.starting import LEADER_ADDRESS, Plan
from energybench.terminal import say

if TYPE_CHECKING:
    from torch._C._distributed_c10d import TCPStore


class NodesError(ValueError):
    """Another number of nodes than there are ranks."""


@dataclass(slots=True)
class _Used:
    """A gang, its users, and the store that must live as long as it."""

    gang: Gang
    store: "TCPStore | None"
    users: int = 0


_used: dict[Plan, _Used] = {}
_asked: dict[str, Any] = {}
_led: list[Plan] = []
"""Plans of ranks that were started outside: they come once."""


def expect(asked: Mapping[str, Any]) -> None:
    """What this process was asked to run: ranks that were started outside must have been asked the same."""
    _asked.update(asked)


def take(plan: Plan) -> Gang:
    """The gang of a plan, started where there is none that lives; give it back with `give_back`.

    Raises:
        NodesError: ranks are given, and they are not as many as the plan has nodes.
        RankLostError: the ranks do not come up.
        PortError: the store of given ranks cannot be made.
    """
    used = _used.get(plan)
    if used is None or used.gang.closed:
        used = _used[plan] = _start(plan, users=used.users if used else 0)
    return used.gang


def use(plan: Plan) -> None:
    """Count one user more."""
    take(plan)
    _used[plan].users += 1


def give_back(plan: Plan) -> None:
    """Count one user less; the last one's gang is closed."""
    used = _used.get(plan)
    if used is None:
        return
    used.users -= 1
    if used.users <= 0:
        used.gang.close()
        del _used[plan]


def _start(plan: Plan, *, users: int) -> _Used:
    place = given()
    if place is None:
        address = os.environ.get(LEADER_ADDRESS, "127.0.0.1")
        store = make_store(address, 0, timeout=plan.timeout) if plan.independent else None
        mailbox = (address, store.port) if store else None
        return _Used(Gang(plan, mailbox=mailbox, tell=say), store, users)
    if place.nodes != plan.nodes:
        raise NodesError(
            f"nodes={plan.nodes} and {place.nodes} ranks were started: leave nodes out, or start as many as it says"
        )
    if _led:
        raise _only_once(plan)
    store = (reach_store if place.has_store else _made)(place, timeout=plan.timeout)
    _led.append(plan)
    mailbox = (place.address, place.port) if plan.independent else None
    gang = Gang(plan, given=place, asked=_asked, mailbox=mailbox, tell=say, found=lambda at: announce(store, *at))
    return _Used(gang, store, users)


def release(place: Given) -> None:
    """Let the other ranks go, where this process leads and has found nothing to do with them."""
    if _led:
        return
    with suppress(PortError, MeetingError):
        store = (reach_store if place.has_store else _made)(place, timeout=OVER_SECONDS)
        announce_over(store, place.nodes)


def _only_once(plan: Plan) -> Exception:
    if _led == [plan]:
        return RankLostError("the ranks that were started outside have ended; start all of them again, with --resume")
    return NodesError(
        "ranks that were started outside come once, with one carrier, timeout, restarts and threads; give each of "
        "those one value, and run the others apart"
    )


def _made(place: Given, *, timeout: float) -> "TCPStore":
    return make_store(place.address, place.port, timeout=timeout)
