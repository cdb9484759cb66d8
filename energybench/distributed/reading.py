"""What a rank reads in a window: bytes of its sockets, seconds of its threads, its host's counters if it is told to."""

import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from energybench import stepping
from energybench.distributed import readers
from energybench.distributed.channel import Channel
from energybench.distributed.readers import Reads
from energybench.distributed.seat import Node
from energybench.meter import Meter, open_meter
from energybench.model import Unavailable
from energybench.probes import network
from energybench.probes._threads import span, thread_times

if TYPE_CHECKING:
    from energybench.measurement import Measurement

KINDS = ("tcp_bytes", "tcp_received_bytes", "wire_bytes")
"""What is kept of the socket probe's traffic."""
MOVING = ("gloo", "pt_gloo", "pt_tcpstore", "pt_nccl")
"""How the names of threads begin that move bytes."""


class Reader:
    """The meters of one rank, and one window over them at a time.

    Args:
        channel: to the leader: its bytes are none of the work's.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._sockets: Meter | None = None
        self._host: Meter | None = None
        self._windows: list[Measurement] = []
        self._node: Node | None = None
        self._reads = Reads()
        self._before: dict[str, float] = {}
        self._waiting = self._moving = self._running = 0.0
        self._kept = True

    @contextmanager
    def working(self) -> Iterator[None]:
        """Around whatever the leader asks to be done: where the time of the threads goes."""
        begin, before = time.perf_counter(), thread_times()
        yield
        passed = span(before, thread_times(), seconds=time.perf_counter() - begin, main=threading.get_native_id())
        if isinstance(passed, Unavailable):
            self._kept = False
            return
        others = passed.other_cpu_seconds
        self._waiting += max(passed.blocked_seconds, 0.0)
        self._running += passed.cpu_seconds + sum(others.values())
        self._moving += sum(seconds for name, seconds in others.items() if name.startswith(MOVING))

    def open(self, node: Node, reads: Reads) -> None:
        """Open a window over one node's work, and over what this rank is to read beside it."""
        if self._sockets is None or reads != self._reads:
            self._sockets, self._reads = self._socket_meter(reads), reads
        if reads.host and self._host is None:
            self._host = open_meter()
        self._node = node
        meters = [meter for meter in (self._host if reads.host else None, self._sockets) if meter]
        self._before = self._counters()
        self._windows = [meter.window() for meter in meters]
        for window in self._windows:
            window.begin()

    def close(self) -> dict[str, Any] | None:
        """Close the window; what was read in it, in the names of a record. None where none is open."""
        if not self._windows:
            return None
        for window in reversed(self._windows):
            window.end()
        *host, sockets = self._windows
        self._windows = []
        counted = {name: value - self._before.get(name, 0.0) for name, value in self._counters().items()}
        values = stepping.plain(sockets)
        traffic = {kind: value for kind, value in values["traffic"].items() if kind in KINDS}
        told: dict[str, Any] = {
            "seconds": (host or [sockets])[0].seconds,
            "devices": {},
            "traffic": {**traffic, "payload_bytes": counted.pop("payload_bytes")},
            **counted,
        }
        if host:
            assert self._host is not None
            told |= {"host": stepping.plain(host[0]), "devices": readers.uuids(self._host.state())}
        return told

    def _counters(self) -> dict[str, float]:
        node = self._node
        assert node is not None
        counted = {"payload_bytes": float(node.payload_bytes), "model_bytes": float(node.model_bytes)}
        counted["store_bytes"] = float(node.store_bytes)
        if not self._kept:
            return counted
        return counted | {
            "cpu_seconds": self._running,
            "communication_cpu_seconds": self._moving + node.communication_cpu_seconds,
            "waiting_seconds": self._waiting,
        }

    def _socket_meter(self, reads: Reads) -> Meter:
        ports = [port for port in (self._channel.port,) if port]
        watched = (["lo"] if reads.loopback else carriers()) if reads.interfaces else ()
        return Meter({"network": network.open_probe(interfaces=watched, apart_ports=ports)})


def carriers(environ: Mapping[str, str] = os.environ) -> Sequence[str]:
    """The interfaces that carry the work: those that gloo or NCCL was told, else all but the loopback."""
    for name in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"):
        if environ.get(name):
            return environ[name].split(",")
    import psutil

    return [name for name, state in psutil.net_if_stats().items() if state.isup and name != "lo"]
