"""Bytes on this process's own TCP sockets, by TCP_INFO: a minimal reader for the tests of the byte model."""

import os
import socket
import stat
import struct
import time
from pathlib import Path

# struct tcp_info of linux/tcp.h, which only ever grows at its end: type and offset.
BYTES_RECEIVED = ("Q", 128)
NOT_SENT = ("I", 144)
BYTES_SENT = ("Q", 200)
BYTES_RETRANS = ("Q", 208)


def infos(port=None):
    """TCP_INFO of each connected socket, or of those whose peer listens on `port`."""
    for fd in [int(link.name) for link in Path("/proc/self/fd").iterdir()]:
        try:
            if not stat.S_ISSOCK(os.fstat(fd).st_mode):
                continue
            own = socket.socket(fileno=os.dup(fd))
        except OSError:
            continue
        with own:
            if own.family not in (socket.AF_INET, socket.AF_INET6) or own.type != socket.SOCK_STREAM:
                continue
            try:
                peer = own.getpeername()
            except OSError:
                continue
            if port is None or peer[1] == port:
                yield own.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)


def word(info, field):
    return struct.unpack_from(field[0], info, field[1])[0]


def sent_and_received(port=None):
    """What went out, retransmissions taken off, and what came in, once nothing waits in a socket."""
    while True:
        seen = list(infos(port))
        if not any(word(info, NOT_SENT) for info in seen):
            sent = sum(word(info, BYTES_SENT) - word(info, BYTES_RETRANS) for info in seen)
            return sent, sum(word(info, BYTES_RECEIVED) for info in seen)
        time.sleep(0.002)
