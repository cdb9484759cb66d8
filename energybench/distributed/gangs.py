"""Gangs in use: tasks that want the same ranks share them, and the last one lets them go."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from energybench.distributed.gang import Gang
from energybench.distributed.given import Given, given
from energybench.distributed.meeting import announce, make_store, reach_store
from energybench.distributed.starting import Plan
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
        store = make_store("127.0.0.1", 0, timeout=plan.timeout) if plan.independent else None
        mailbox = ("127.0.0.1", store.port) if store else None
        return _Used(Gang(plan, mailbox=mailbox, tell=say), store, users)
    if place.nodes != plan.nodes:
        raise NodesError(
            f"nodes={plan.nodes} and {place.nodes} ranks were started: leave nodes out, or start as many as it says"
        )
    store = (reach_store if place.has_store else _made)(place, timeout=plan.timeout)
    mailbox = (place.address, place.port) if plan.independent else None
    gang = Gang(plan, given=place, asked=_asked, mailbox=mailbox, tell=say, found=lambda at: announce(store, *at))
    return _Used(gang, store, users)


def _made(place: Given, *, timeout: float) -> "TCPStore":
    return make_store(place.address, place.port, timeout=timeout)
