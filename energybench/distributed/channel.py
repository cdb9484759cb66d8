"""Messages between the leader and a rank: one JSON object a line, over a Unix or TCP socket."""

import json
import os
import select
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

LONGEST: Final = 64 << 20
"""Bytes of a line; a longer one is no message of ours."""


class ChannelError(ConnectionError):
    """The other side is gone, or what it sent is no message."""


class Channel:
    """One connection. A message is sent whole; `receive` gives the next one that has arrived.

    Args:
        connection: a connected stream socket, which the channel owns from now on.

    Attributes:
        longest: bytes of a line at most.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._socket, self._buffer, self._searched = connection, bytearray(), 0
        self.longest = LONGEST
        connection.settimeout(None)

    def fileno(self) -> int:
        """For `select`."""
        return self._socket.fileno()

    @property
    def port(self) -> int | None:
        """The TCP port of this end; None for a Unix socket."""
        name = self._socket.getsockname()
        return int(name[1]) if isinstance(name, tuple) else None

    def send(self, message: Mapping[str, Any]) -> None:
        """Send one message.

        Raises:
            ChannelError: the other side is gone.
        """
        data = json.dumps(message, allow_nan=False).encode() + b"\n"
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise ChannelError(f"the connection is lost ({error.strerror or error})") from error

    def receive(self, timeout: float | None = None) -> dict[str, Any] | None:
        """The next message; None where none is complete within the timeout.

        Raises:
            ChannelError: the other side is gone, or sent something else.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while (end := self._buffer.find(b"\n", self._searched)) < 0:
            self._searched = len(self._buffer)
            left = None if deadline is None else max(deadline - time.monotonic(), 0.0)
            if not select.select([self._socket], [], [], left)[0]:
                return None
            self._fill()
        line = self._buffer[:end]
        self._buffer, self._searched = self._buffer[end + 1 :], 0
        return _message(line)

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def _fill(self) -> None:
        try:
            data = self._socket.recv(1 << 16)
        except OSError as error:
            raise ChannelError(f"the connection is lost ({error.strerror or error})") from error
        if not data:
            raise ChannelError("the other side closed the connection")
        self._buffer += data
        if len(self._buffer) > self.longest:
            raise ChannelError(f"a message of more than {self.longest} bytes")


class Listener:
    """Where ranks connect to: a Unix socket of this user alone, or a TCP port.

    Args:
        path: of the Unix socket; None for TCP.
        host: the address to listen at with TCP.
    """

    def __init__(self, *, path: Path | None = None, host: str = "127.0.0.1") -> None:
        self._path = path
        if path:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._socket.bind(str(path))
            path.chmod(0o600)
        else:
            self._socket = socket.create_server((host, 0), family=_family(host))
        self._socket.listen(128)

    def fileno(self) -> int:
        """For `select`."""
        return self._socket.fileno()

    @property
    def address(self) -> str:
        """What `connect` takes: `unix:PATH` or `tcp:HOST:PORT`."""
        if self._path:
            return f"unix:{self._path}"
        host, port = self._socket.getsockname()[:2]
        return f"tcp:{host}:{port}"

    def accept(self) -> Channel:
        """A connection that is waiting."""
        return Channel(self._socket.accept()[0])

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()
        if self._path:
            self._path.unlink(missing_ok=True)


def connect(address: str, *, timeout: float) -> Channel:
    """Connect to a listener.

    Raises:
        ChannelError: nobody listens there.
    """
    kind, _, place = address.partition(":")
    try:
        return Channel(_unix(place, timeout) if kind == "unix" else _tcp(place, timeout))
    except OSError as error:
        raise ChannelError(f"the leader at {address} does not answer ({error.strerror or error})") from error


def _unix(path: str, timeout: float) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(timeout)
    try:
        connection.connect(path)
    except OSError:
        connection.close()
        raise
    return connection


def _tcp(place: str, timeout: float) -> socket.socket:
    host, _, port = place.rpartition(":")
    connection = socket.create_connection((host, int(port)), timeout=timeout)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def token() -> str:
    """What a rank must know to be let in."""
    return os.urandom(16).hex()


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _message(line: bytes | bytearray) -> dict[str, Any]:
    try:
        message = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ChannelError(f"what arrived is no message: {error}") from error
    if not isinstance(message, dict):
        raise ChannelError(f"what arrived is no message: {type(message).__name__}")
    return message
