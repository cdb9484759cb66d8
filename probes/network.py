"""Bytes that this process sends over its own TCP connections, and bytes that leave over the network's interfaces.

The first are this process's alone, and exact: TCP_INFO's bytes sent without those sent again, to two bytes a connection
where the machine's own queue refused some. They begin behind TCP's header. The wire's bytes hold every header, and
whatever else uses the interface: /proc/self/net/dev, of the network namespace that this process is in.

Bytes count when they are sent, not when they are written: what waits in a send buffer is not in yet. A connection that
is closed between two readings keeps what was last seen of it; what it sent after that is lost, and `state()` says how
many have ended. Connections of child processes are theirs, unless they are shared.
"""

import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TypeAlias

from energybench.model import Clock, Domain, Quantity, Reading, Unavailable
from energybench.probes._interfaces import sent_by_interface, wires
from energybench.probes._tcp_info import TcpSocket, own_sockets

ON_REQUEST = True
SENT, RECEIVED, APART = "net.tcp-sent", "net.tcp-received", "net.tcp-apart"

_NOTHING = TcpSocket(sent=0, again=0, received=0, ports=())

Sockets: TypeAlias = Callable[[Mapping[int, TcpSocket]], Mapping[int, TcpSocket] | Unavailable]
"""The TCP connections of this process by inode, or why they cannot be read; is given what it said the last time."""


def open_probe(
    *,
    root: Path = Path("/"),
    clock: Clock = time.perf_counter_ns,
    sockets: Sockets = own_sockets,
    interfaces: Collection[str] | None = None,
    apart_ports: Collection[int] = (),
) -> "NetworkProbe | Unavailable":
    """Count from here on.

    Args:
        root: where /proc and /sys are.
        clock: nanoseconds.
        sockets: reads the connections.
        interfaces: exactly these; None for the wires of this machine or namespace, which loopback is not.
        apart_ports: connections with one of these ports at either end carry control traffic: what they send has a
            domain and a quantity of its own, and is not among the process's bytes.
    """
    try:
        there = sent_by_interface(root)
    except OSError:
        return Unavailable(
            reason=f"no network statistics: {root / 'proc/self/net/dev'} cannot be read",
            remedy="run on Linux, with /proc mounted",
        )
    names = wires(there, root) if interfaces is None else list(interfaces)
    return NetworkProbe(names, root=root, clock=clock, sockets=sockets, apart_ports=frozenset(apart_ports))


class Connections:
    """Running totals over connections that come and go: sent, received, and sent apart."""

    def __init__(self, apart_ports: Collection[int]) -> None:
        self._apart_ports = apart_ports
        self._totals = [0, 0, 0]
        self._missed: dict[int, TcpSocket] = {}
        self._forgotten = 0
        self.last: Mapping[int, TcpSocket] = {}

    @property
    def ended(self) -> int:
        """How many connections were seen once and are no longer there."""
        return self._forgotten + len(self._missed)

    def move(self, now: Mapping[int, TcpSocket]) -> list[int]:
        """Add what each connection has sent and received since it was last seen."""
        for inode, one in now.items():
            last = self.last.get(inode) or self._missed.pop(inode, None)
            if last and (one.sent < last.sent or one.received < last.received):
                self._forgotten += 1  # a socket may be disconnected, and connected to another peer
                last = None
            self._add(one, last or _NOTHING)
        # A descriptor that moves while the list of them is read can be missed once, and is not new when it is back.
        self._forgotten += len(self._missed)
        self._missed = {inode: one for inode, one in self.last.items() if inode not in now}
        self.last = now
        return list(self._totals)

    def _add(self, one: TcpSocket, last: TcpSocket) -> None:
        sent = (one.sent - one.again) - (last.sent - last.again)
        if any(port in self._apart_ports for port in one.ports):
            self._totals[2] += sent
        else:
            self._totals[0] += sent
            self._totals[1] += one.received - last.received


class NetworkProbe:
    """A counter for what this process sends, one for what it receives, and one for each interface."""

    name = "network"

    def __init__(
        self, interfaces: Collection[str], *, root: Path, clock: Clock, sockets: Sockets, apart_ports: Collection[int]
    ) -> None:
        self._root, self._clock, self._sockets = root, clock, sockets
        self._connections = Connections(apart_ports)
        first = sockets({})
        self._tcp = 0 if isinstance(first, Unavailable) else 2 + bool(apart_ports)
        self._interfaces: list[str] = []
        names = (SENT, RECEIVED, APART)[: 2 + bool(apart_ports)]
        domains: dict[str, Domain | Unavailable] = {
            name: first if isinstance(first, Unavailable) else _tcp_domain(name) for name in names
        }
        there = sent_by_interface(root)
        for name in interfaces:
            domains[f"net.{name}"] = _wire_domain(name) if name in there else _vanished(name)
            if name in there:
                self._interfaces.append(name)
        self.domains: Mapping[str, Domain | Unavailable] = domains

    def read(self) -> list[Reading]:
        """Bytes so far, the connections' stamped at the middle of their system calls and the interfaces' at theirs."""
        before = self._clock()
        tcp = self._read_tcp() if self._tcp else []
        between = self._clock()
        wire = self._read_interfaces() if self._interfaces else []
        after = self._clock()
        middle, later = (before + between) >> 1, (between + after) >> 1
        return [*((middle, raw) for raw in tcp), *((later, raw) for raw in wire)]

    def state(self) -> Mapping[str, object]:
        """Connections open at the last reading, and how many have ended since the probe was opened."""
        if not self._tcp:
            return {}
        return {"tcp_connections": len(self._connections.last), "tcp_connections_ended": self._connections.ended}

    def close(self) -> None:
        """Nothing is held open."""

    def _read_tcp(self) -> list[int | Unavailable]:
        now = self._sockets(self._connections.last)
        if isinstance(now, Unavailable):
            return [now] * self._tcp
        return [*self._connections.move(now)[: self._tcp]]

    def _read_interfaces(self) -> list[int | Unavailable]:
        try:
            sent = sent_by_interface(self._root)
        except OSError as error:
            lost = Unavailable(reason=f"network statistics: {error}", remedy="measure again, with /proc mounted")
            return [lost] * len(self._interfaces)
        return [sent[name] if name in sent else _vanished(name) for name in self._interfaces]


_QUANTITIES: dict[str, Quantity] = {SENT: "tcp_bytes", RECEIVED: "tcp_received_bytes", APART: "tcp_apart_bytes"}


def _tcp_domain(name: str) -> Domain:
    return Domain(
        name=name,
        probe="network",
        quantity=_QUANTITIES[name],
        tick=0.0,
        scope="process",
        additive=False,
        exclusive=True,
        source=f"getsockopt TCP_INFO: {'bytes_received' if name == RECEIVED else 'bytes_sent - bytes_retrans'}",
    )


def _wire_domain(interface: str) -> Domain:
    return Domain(
        name=f"net.{interface}",
        probe="network",
        quantity="wire_bytes",
        scope="network-namespace",
        additive=False,
        flags=("loopback",) if interface == "lo" else (),
        source=f"/proc/self/net/dev: {interface}, transmitted bytes",
    )


def _vanished(interface: str) -> Unavailable:
    return Unavailable(
        reason=f"there is no network interface {interface}",
        remedy="ip -br link lists those there are; measure again when it is back",
    )
