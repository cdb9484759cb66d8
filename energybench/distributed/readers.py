"""Who reads what, so that nothing is read twice, and the sum of what all have read."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from energybench.distributed.seat import Identity

MACHINE_WIDE = "machine-wide"
"""Several ranks share the counters of one host: its joules are not those of a node."""
RANK_LOST = "rank-lost"
"""A rank was lost in the window, which holds its restart, and of that rank nothing."""


LOOPBACK = "loopback"
"""Bytes on the wire are those of a loopback interface: everybody's, in segments of 64 KiB, and on no wire."""


class DuplicateReaderError(ValueError):
    """Two readings of one counter, which would be summed twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reads:
    """What a rank reads beside its own sockets.

    Attributes:
        host: the counters of its host.
        interfaces: the network interfaces of its namespace.
        loopback: of these the loopback, since all ranks are in one namespace, whatever their addresses.
    """

    host: bool = False
    interfaces: bool = False
    loopback: bool = False


@runtime_checkable
class Windowed(Protocol):
    """A task whose work is in many processes, which read in windows of their own."""

    @property
    def host(self) -> str:
        """Where the leader is, whose counters it reads by itself."""
        ...

    @property
    def nodes(self) -> int:
        """How many ranks there are when none is lost."""
        ...

    def open_windows(self) -> None:
        """Have every rank open one."""
        ...

    def close_windows(self) -> "list[Part]":
        """Have every rank close it; what each has read."""
        ...


def assign(ranks: Sequence[Identity], *, leader: str) -> dict[int, Reads]:
    """One reader a host, the lowest rank, and none on the leader's, which reads its own; one a network namespace.

    A GPU belongs to its host's reader: NVML sees all of a host's boards, and each has one name there.
    """
    hosts: dict[str, int] = {leader: -1}
    networks: dict[str, int] = {}
    for one in sorted(ranks, key=lambda one: one.rank):
        hosts.setdefault(one.host, one.rank)
        networks.setdefault(one.network, one.rank)
    return {
        one.rank: Reads(
            host=hosts[one.host] == one.rank,
            interfaces=networks[one.network] == one.rank,
            loopback=len(networks) == 1,
        )
        for one in ranks
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one rank read in one window.

    Attributes:
        who: the rank.
        seconds: how long its own window was.
        values: of that window, in the names of a record.
        devices: by domain, what tells a device from its like on every host: a GPU's UUID.
    """

    who: Identity
    seconds: float
    values: Mapping[str, Any]
    devices: Mapping[str, str]


def merged(
    values: Mapping[str, Any], parts: Sequence[Part], *, leader: str, nodes: int,
    devices: Mapping[str, str] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """The leader's window with what the ranks read in theirs: joules of other hosts, and bytes.

    Joules that another host read over a slightly longer window are scaled to the leader's; what the difference may hide
    enters their uncertainty. A host is in the total once. Where a rank was lost, the window is flagged, and bytes and
    seconds of communication are absent: those of the others are not the whole.

    Args:
        values: of the leader's window.
        parts: one of each rank.
        leader: the leader's host.
        nodes: how many parts there should be.
        devices: what tells the leader's devices apart, as in `Part`.

    Raises:
        DuplicateReaderError: two parts have the same counter.
    """
    _refuse_twins(parts, {name: (devices or {}).get(name, f"{leader}:{name}") for name in values["domains"]})
    told = dict(values)
    others = [part for part in parts if "host" in part.values]
    hosts = {part.who.host: number for number, part in enumerate(others, start=1)}
    told["domains"] = dict(values["domains"])
    for part in others:
        scaled = scaled_domains(part, values["seconds"])
        told["domains"] |= {f"host-{hosts[part.who.host]}/{name}": one for name, one in scaled.items()}
    total = _total(values, others, hosts)
    told.pop("total", None)
    told |= {"total": total} if total else {}
    if others and (estimated := told.pop("estimated", None)):
        told |= _estimated(estimated, values["seconds"], others)
    lost = len(parts) < nodes
    told["traffic"] = {**values["traffic"], **({} if lost else traffic(parts))}
    if not lost and (spent := communication(parts)):
        told["communication"] = spent
    held = {
        MACHINE_WIDE: len({part.who.host for part in parts}) < len(parts),
        LOOPBACK: len({part.who.network for part in parts}) == 1 and "wire_bytes" in told["traffic"],
        RANK_LOST: lost,
    }
    told["flags"] = [*values["flags"], *(flag for flag, holds in held.items() if holds)]
    return told


def scaled_domains(part: Part, seconds: float) -> dict[str, Any]:
    """A host's domains, at their mean power over `seconds`."""
    share = seconds / part.seconds
    found: dict[str, Any] = {}
    for name, one in part.values["host"]["domains"].items():
        if "joules" not in one:
            found[name] = one
            continue
        # The power of the part outside may have been anything from none to twice the mean: rectangular.
        skew = abs(part.seconds - seconds) / part.seconds * one["joules"] / math.sqrt(3)
        uncertainty = math.hypot(one["standard_uncertainty"] * share, skew)
        components = {key: value * share for key, value in (one.get("components") or {}).items()}
        found[name] = {
            **one,
            "joules": one["joules"] * share,
            "standard_uncertainty": uncertainty,
            "components": {**components, "skew": skew},
        }
    return found


def traffic(parts: Sequence[Part]) -> dict[str, float]:
    """Bytes by kind over all ranks; a kind is absent where one rank could not read it."""
    found: dict[str, float] = {}
    for kind in ("payload_bytes", "tcp_bytes"):
        amounts = [part.values["traffic"].get(kind) for part in parts]
        if all(amount is not None for amount in amounts):
            found[kind] = float(sum(amounts))
    networks = {part.who.network for part in parts}
    wires = {part.who.network: part.values["traffic"]["wire_bytes"] for part in parts if _reads_wire(part)}
    return found | ({"wire_bytes": float(sum(wires.values()))} if set(wires) == networks else {})


def communication(parts: Sequence[Part]) -> dict[str, float]:
    """Seconds of all ranks: on a processor, of those in communication, and blocked while others work.

    Empty where a kernel keeps no account of threads.
    """
    kinds = ("cpu_seconds", "communication_cpu_seconds", "waiting_seconds")
    if not parts or not all(kind in part.values for part in parts for kind in kinds):
        return {}
    return {"nodes": float(len(parts)), **{kind: math.fsum(part.values[kind] for part in parts) for kind in kinds}}


def clock_offset(pings: Sequence[tuple[int, int, int]]) -> tuple[float, float]:
    """Seconds by which the other clock is ahead, and the round trip of the best ping (Cristian 1989).

    Args:
        pings: our nanoseconds before, theirs, and ours after, of each.
    """
    before, theirs, after = min(pings, key=lambda one: one[2] - one[0])
    return (theirs - (before + after) / 2) / 1e9, (after - before) / 1e9


def uuids(state: Mapping[str, Mapping[str, object]]) -> dict[str, str]:
    """By domain, the UUID of each GPU that a meter's probes tell of (`Meter.state()`)."""
    return {
        name: str(part["uuid"])
        for probe in state.values()
        for name, part in probe.items()
        if isinstance(part, Mapping) and "uuid" in part
    }


def _reads_wire(part: Part) -> bool:
    return "wire_bytes" in part.values["traffic"]


def _refuse_twins(parts: Sequence[Part], own: Mapping[str, str]) -> None:
    """Each counter once: a host's by its name there, a GPU by its UUID wherever it is."""
    seen = dict.fromkeys(own.values(), "the leader")
    for part in parts:
        if "host" not in part.values:
            continue
        for name in part.values["host"]["domains"]:
            key = part.devices.get(name) or f"{part.who.host}:{name}"
            reader = f"rank {part.who.rank}"
            if seen.setdefault(key, reader) != reader:
                raise DuplicateReaderError(
                    f"{seen[key]} and {reader} both read {name} of host {part.who.name}: its joules would count twice; "
                    "set ENERGYBENCH_HOST to a name of its own on each host"
                )


def _total(values: Mapping[str, Any], others: Sequence[Part], hosts: Mapping[str, int]) -> dict[str, Any] | None:
    """The sum over hosts; a host that measured nothing is missing from it, and none is added to another kind."""
    own = values.get("total")
    if not others or own is None:
        return dict(own) if own else None
    total = {**own, "domains": list(own["domains"]), "missing": list(own["missing"])}
    squares = own["standard_uncertainty"] ** 2
    for part in others:
        name, one = f"host-{hosts[part.who.host]}", part.values["host"].get("total")
        if one is None or one["provenance"] != own["provenance"]:
            total["missing"].append(name)
            continue
        scaled = scaled_domains(part, values["seconds"])
        total["joules"] += math.fsum(scaled[domain]["joules"] for domain in one["domains"])
        skew = math.fsum(scaled[domain]["components"]["skew"] for domain in one["domains"])
        squares += (one["standard_uncertainty"] * values["seconds"] / part.seconds) ** 2 + skew**2
        total["domains"] += [f"{name}/{domain}" for domain in one["domains"]]
        total["missing"] += [f"{name}/{domain}" for domain in one["missing"]]
    return {**total, "standard_uncertainty": math.sqrt(squares)}


def _estimated(own: Mapping[str, Any], seconds: float, others: Sequence[Part]) -> dict[str, Any]:
    """The power model's joules of all hosts, where it has them for each."""
    found = [part.values["host"].get("estimated") for part in others]
    if not all(found):
        return {}
    shares = [seconds / part.seconds for part in others]
    sums = {
        key: own[key] + math.fsum(one[key] * share for one, share in zip(found, shares, strict=True))
        for key in ("joules", "low", "high")
    }
    watts = [one.get("idle_watts") for one in (own, *found)]
    if all(watts):
        sums["idle_watts"] = math.fsum(watts)
    return {"estimated": {**own, **sums}}
