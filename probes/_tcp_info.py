"""The TCP connections that this process holds open, as the kernel counts them: bytes sent, sent again, received.

What the machine's own queue refuses (a full token bucket, say) has been counted as sent, is sent once more, and is no
retransmission to the kernel. It shows as bytes that were sent and neither arrived nor are on their way.

Source: `struct tcp_info` in Linux include/uapi/linux/tcp.h, which only ever grows at its end, and net/ipv4/tcp.c. No
privilege is needed. The kernel is asked through the file descriptor itself: a `socket.socket` made of it would set
O_NONBLOCK where a default timeout is set, on the connection and so for everyone who uses it.
"""

import ctypes
import fcntl
import functools
import os
import socket
import stat
import struct
import sys
import termios
from collections.abc import Mapping
from typing import Final, NamedTuple

from energybench.model import Unavailable

LENGTH: Final = 216  # up to and with bytes_retrans: Linux 4.19
# tcpi_state, tcpi_bytes_acked at 120, tcpi_bytes_received, tcpi_notsent_bytes at 144, tcpi_bytes_sent at 200 and
# tcpi_bytes_retrans.
_FIELDS: Final = struct.Struct("=B119xQQ8xI52xQQ")
_LISTEN, _CLOSE = 10, 7
_ADDRESS_LENGTH = 128  # sizeof(struct sockaddr_storage)

_libc = ctypes.CDLL(None)
_Info = ctypes.c_char * LENGTH


class TcpSocket(NamedTuple):
    """One connection.

    `sent` bytes hold the `again` ones, which had been sent before: they were lost, late or, `refused` of them, never
    left. `received` counts in order, and the peer's last word (FIN) as one byte. `ports` are the local one and the
    peer's, as far as they are known.
    """

    sent: int
    again: int
    received: int
    ports: tuple[int, ...]
    refused: int = 0


def own_sockets(known: Mapping[int, TcpSocket]) -> Mapping[int, TcpSocket] | Unavailable:
    """Every TCP connection of this process, IPv4 and IPv6, by its inode: once, however many descriptors it has.

    `known` is what the last call gave: a connection whose ports are in it is not asked for them again, and keeps them
    when it is over; what it has sent for the first time never falls. Costs some 20 µs, and 5 µs a connection.
    """
    lacking = too_short(info_length())
    if lacking:
        return lacking
    found: dict[int, TcpSocket] = {}
    try:
        names = os.listdir("/proc/self/fd")  # noqa: PTH208 -- read at every edge of a window: names, not paths
    except OSError as error:
        return Unavailable(
            reason=f"the open files of this process cannot be listed: {error.strerror}",
            remedy="raise the limit of open files: ulimit -n; mount /proc where it is missing",
        )
    for name in names:
        fd = int(name)
        inode = _inode(fd)
        if inode is None or inode in found:
            continue
        one = _connection(fd, known.get(inode))
        # Another thread may have closed it meanwhile, and the number may be another connection's by now.
        if one and _inode(fd) == inode:
            found[inode] = one
    return found


@functools.cache
def info_length() -> int:
    """How many bytes of `struct tcp_info` this kernel fills in; 0 where it has no TCP."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as fresh:
            return len(fresh.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, LENGTH))
    except OSError:
        return 0


def too_short(length: int) -> Unavailable | None:
    """Why bytes sent cannot be read, where a kernel's `struct tcp_info` ends before them."""
    if length >= LENGTH:
        return None
    return Unavailable(
        reason=f"this kernel tells {length} bytes of a TCP connection, and bytes sent only come after {LENGTH - 16}",
        remedy="use Linux 4.19 or later; in a sandbox with a network stack of its own, run outside it",
    )


def _inode(fd: int) -> int | None:
    """The inode of a socket; None for other files and for what is no longer open."""
    try:
        status = os.fstat(fd)
    except OSError:
        return None
    return status.st_ino if stat.S_ISSOCK(status.st_mode) else None


def _connection(fd: int, known: TcpSocket | None) -> TcpSocket | None:
    """What the kernel says of it; None for what is no TCP, listens, or has never been connected."""
    fields = _fields(fd)
    if fields is None:
        return None
    state, acknowledged, received, _, sent, again = fields
    if state == _LISTEN or (state == _CLOSE and not sent and not received):
        return None
    if known is None or sent < known.sent:  # a socket that connects anew counts from 0
        known = TcpSocket(0, 0, 0, ())
    refused = known.refused
    if sent - again - refused > acknowledged:
        refused = max(refused, _refused(fd, fields))
    again = min(again + refused, sent - (known.sent - known.again))
    ports = known.ports
    if len(ports) < 2:
        ports = (*_port(_libc.getsockname, fd), *_port(_libc.getpeername, fd))
    return TcpSocket(sent, again, received, ports, refused)


def _refused(fd: int, fields: tuple[int, ...]) -> int:
    """Bytes sent that were neither acknowledged nor are on their way; 0 while the connection moves under our eyes.

    Two too few at most: SYN and FIN are acknowledged like a byte each.
    """
    _, acknowledged, _, unsent, sent, again = fields
    waiting = bytearray(4)
    try:
        fcntl.ioctl(fd, termios.TIOCOUTQ, waiting)  # SIOCOUTQ: not acknowledged, sent or not
    except OSError:
        return 0
    if _fields(fd) != fields:
        return 0
    return max(sent - again - acknowledged - (int.from_bytes(waiting, sys.byteorder) - unsent), 0)


def _fields(fd: int) -> tuple[int, ...] | None:
    info, length = _Info(), ctypes.c_uint32(LENGTH)
    if _libc.getsockopt(fd, socket.IPPROTO_TCP, socket.TCP_INFO, info, ctypes.byref(length)):
        return None
    return _FIELDS.unpack_from(info)


def _port(ask: "ctypes._NamedFuncPointer", fd: int) -> tuple[int, ...]:
    """The port of one end; nothing once the connection is over. Both families have it in bytes 2 and 3."""
    address, length = ctypes.create_string_buffer(_ADDRESS_LENGTH), ctypes.c_uint32(_ADDRESS_LENGTH)
    if ask(fd, address, ctypes.byref(length)):
        return ()
    return struct.unpack_from("!H", address, 2)
