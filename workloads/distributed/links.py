"""Links between nodes: rates, frames that bytes travel in, and what moving them costs; sources are in `links.json`.

Joules here are modelled. A port takes its power whether bytes pass or not, so that joules a bit hold at full line rate
only: they are the low end, and what the ports take in all the time that passed is the high one.
"""

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

_FILE = Path(__file__).with_name("links.json")
HEADER_BYTES = 66
"""Ethernet 14, IPv4 20, TCP 32 with its timestamps. What interface counters see ends there: preamble, frame check and
the gap between frames (8 + 4 + 12 bytes) are on the wire of real Ethernet and in no counter; they are `gap_bytes`."""
ACKNOWLEDGEMENTS = 1 / 3
"""Frames without data for each one with data: TCP acknowledges every second full segment, and less where small writes
go the other way and carry the word. Measured on gloo: from 1/2.2 (point to point) to 1/4.6 (rings of 8)."""
TBF_BURST_BYTES = 16 * 1024
"""What `tc … tbf burst 16kb` lets through at once after a rest."""
SHAPED_LATENCY = 6.5e-5
"""Half of the round trip of about 130 µs between two network namespaces (measured by clock exchanges)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant:
    """One number with its range.

    Attributes:
        value: the one that is used, in `unit`.
        low: the least that was found, or is plausible.
        high: the most.
        unit: SI.
        what: what it is of.
        source: where each of the three is from.
        read: how each was come by: primary, secondary, measured, recalled or assumed.
        level: of joules a bit, `device` or `path`; the two are never mixed.
    """

    value: float
    low: float
    high: float
    unit: str
    what: str
    source: str
    read: Mapping[str, str]
    level: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """What joins a node to the others: a cable to a switch, full duplex, or nothing outside the host.

    Attributes:
        name: of `links()`.
        bits_per_second: each way.
        latency_seconds: one way, of the smallest message, without the processor time of the hosts.
        mtu: bytes of a frame without its Ethernet header.
        gap_bytes: on the wire with each frame, and in no counter.
        header_bytes: of a frame, with those of IP and TCP.
        acknowledgements: frames without data for each one with data.
        burst_bytes: let through at once after a rest, by a shaped link.
        end_watts: of a port's PHY or module, used or not; None where there is no wire.
        switch_watts: of the switch, for one port; None where there is no wire.
    """

    name: str
    bits_per_second: float
    latency_seconds: Constant
    mtu: int
    gap_bytes: int
    header_bytes: int = HEADER_BYTES
    acknowledgements: float = ACKNOWLEDGEMENTS
    burst_bytes: int = 0
    end_watts: Constant | None = None
    switch_watts: Constant | None = None

    @property
    def goodput(self) -> float:
        """The share of the rate that a long stream of data gets, its acknowledgements going the other way."""
        data = _data_bytes(self.mtu, self.header_bytes)
        return data / (data + self.header_bytes + self.gap_bytes)

    def wire_bytes(self, tcp_bytes: float, messages: float) -> float:
        """`wire_bytes` in the frames of this link."""
        return wire_bytes(
            tcp_bytes, messages, self.mtu, header=self.header_bytes, acknowledgements=self.acknowledgements
        )

    def line_seconds(self, tcp_bytes: float, messages: float) -> float:
        """The time that the line is busy with these bytes one way, after a rest."""
        frames = _frames(tcp_bytes, messages, self.mtu, self.header_bytes) * (1 + self.acknowledgements)
        line_bytes = self.wire_bytes(tcp_bytes, messages) + self.gap_bytes * frames
        return max(0.0, line_bytes - self.burst_bytes) * 8 / self.bits_per_second


def wire_bytes(
    tcp_bytes: float,
    messages: float,
    mtu: int,
    *,
    header: int = HEADER_BYTES,
    acknowledgements: float = ACKNOWLEDGEMENTS,
) -> float:
    """Bytes that an interface counter sees leave, from those that a process wrote into its sockets.

    It supposes that about as many segments come in as go out, as in rings and at a server, whose acknowledgements leave
    by the same port. Preamble, frame check and gap are not in it, as they are in no counter.

    Args:
        tcp_bytes: written into sockets.
        messages: writes, each of which begins a segment; of gloo two for each message sent and one for each received.
        mtu: of the interface, 1500 as a rule.
        header: bytes before the data of each frame.
        acknowledgements: frames without data for each one with data.
    """
    return tcp_bytes + header * _frames(tcp_bytes, messages, mtu, header) * (1 + acknowledgements)


def wire_joules(link: Link, bytes_on_wire: float, seconds: float) -> tuple[float, float, float] | None:
    """Joules of moving bytes from a node into its link, modelled: low, value and high; None where there is no wire.

    Low is joules a bit of both ends at full line rate, times the bits. The value is the power of both ends for all the
    time that passed, and high adds the switch's for one port: ports draw the same whether bytes pass or not.

    Args:
        link: the node's.
        bytes_on_wire: as `wire_bytes` counts them.
        seconds: that passed; taken as what the line needs for the bytes where that is more.
    """
    if link.end_watts is None or link.switch_watts is None:
        return None
    busy = bytes_on_wire * 8 / link.bits_per_second
    passed = max(seconds, busy)
    low = 2 * link.end_watts.low * busy
    return low, 2 * link.end_watts.value * passed, (2 * link.end_watts.high + link.switch_watts.high) * passed


def joules_per_bit(link: Link) -> tuple[float, float, float] | None:
    """Low, value and high of both ends at full line rate, which is the least a bit can cost; None without a wire."""
    if link.end_watts is None:
        return None
    ends = (link.end_watts.low, link.end_watts.value, link.end_watts.high)
    low, value, high = (2 * watts / link.bits_per_second for watts in ends)
    return low, value, high


@functools.cache
def links() -> Mapping[str, Link]:
    """The links, by name."""
    return {name: _link(name, row) for name, row in _read()["links"].items()}


@functools.cache
def parts() -> Mapping[str, Constant]:
    """Joules a bit of single parts, by name; look at `level` before you compare two."""
    return {name: Constant(**row) for name, row in _read()["parts"].items()}


def host() -> tuple[Constant, Constant]:
    """Watts of a host at rest for each hardware thread, and joules per second of a busy one beyond that."""
    row = _read()["host"]
    return Constant(**row["static_watts"]), Constant(**row["joules_per_cpu_second"])


def named(name: str) -> Link:
    """The link of this name.

    Raises:
        ValueError: there is none; the message names those there are.
    """
    if name not in links():
        raise ValueError(f"there is no link {name!r}: take one of {', '.join(links())}")
    return links()[name]


def shaped(link: Link, burst_bytes: int = TBF_BURST_BYTES) -> Link:
    """The link as `tc … tbf` makes one of a pair of virtual interfaces: it counts frames as interface counters do.

    Its latency is that of two namespaces: no frame is stored whole before it goes on.
    """
    latency = replace(link.latency_seconds, value=SHAPED_LATENCY, low=SHAPED_LATENCY, high=SHAPED_LATENCY)
    return replace(link, name=f"{link.name}, shaped", gap_bytes=0, burst_bytes=burst_bytes, latency_seconds=latency)


def _link(name: str, row: Mapping[str, Any]) -> Link:
    constants = {key: Constant(**value) for key, value in row.items() if isinstance(value, dict)}
    return Link(name=name, **{**row, **constants})


@functools.cache
def _read() -> Mapping[str, Mapping[str, dict[str, Any]]]:
    found: Mapping[str, Mapping[str, dict[str, Any]]] = json.loads(_FILE.read_text(encoding="utf-8"))
    return found


def _data_bytes(mtu: int, header: int) -> int:
    """The most data of a segment: IP and TCP headers are within the MTU, Ethernet's 14 bytes are not."""
    return mtu - (header - 14 if header == HEADER_BYTES else header)


def _frames(tcp_bytes: float, messages: float, mtu: int, header: int) -> float:
    """Frames with data: one for each write, and one for each full segment beyond."""
    return messages + tcp_bytes // _data_bytes(mtu, header)
