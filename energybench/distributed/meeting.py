"""Where ranks on many hosts find each other: a key in the store that torch.distributed meets at."""

import os
import queue
import socket
import threading
import time
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

from energybench.distributed.given import Given

if TYPE_CHECKING:
    from torch._C._distributed_c10d import TCPStore

KEY, READ = "energybench/leader", "energybench/read"
OVER = "over"
"""What stands at the key where there is nothing to do."""
OVER_SECONDS = 10.0


class PortError(OSError):
    """The store cannot be made where it should be."""


class MeetingError(ConnectionError):
    """The other ranks are not where they should be."""


def make_store(address: str, port: int, *, timeout: float) -> "TCPStore":
    """A store for ranks to meet at; port 0 takes a free one.

    Raises:
        PortError: the port is in use, or the address is not this host's.
    """
    from torch._C._distributed_c10d import TCPStore
    from torch.distributed import DistNetworkError

    try:
        # Torch's own refusal comes with a page of its stack.
        socket.create_server((address, port), family=socket.AF_INET6 if ":" in address else socket.AF_INET).close()
        return TCPStore(address, port, is_master=True, wait_for_workers=False, timeout=timedelta(seconds=timeout))
    except (OSError, DistNetworkError) as error:
        number = getattr(error, "errno", None)
        reason = os.strerror(number) if number and number > 0 else " ".join(str(error).split())[:200]
        raise PortError(
            f"no store can be made at {address}:{port}: {reason}; set MASTER_PORT to a free port, and MASTER_ADDR to "
            "an address of this host, where rank 0 is"
        ) from error


def reach_store(place: Given, *, timeout: float) -> "TCPStore":
    """The store that torchrun's agent or rank 0 holds."""
    return client(place.address, place.port, timeout=timeout)


def client(address: str, port: int, *, timeout: float) -> "TCPStore":
    """A client of a store that is there.

    Raises:
        MeetingError: nobody answers within the timeout.
    """
    found = _connected(address, port, timeout) if _listens(address, port, timeout) else None
    if found is None:
        raise MeetingError(
            f"no rank 0 answers at {address}:{port} within {timeout:g} s: start it there, or correct MASTER_ADDR and "
            "MASTER_PORT"
        )
    return found


def _connected(address: str, port: int, timeout: float) -> "TCPStore | None":
    """A client in a thread of its own: where something else listens, it may wait for ever."""
    from torch._C._distributed_c10d import TCPStore

    made: queue.SimpleQueue[TCPStore | None] = queue.SimpleQueue()

    def connect() -> None:
        patience = timedelta(seconds=timeout)
        with suppress(Exception):
            made.put(TCPStore(address, port, is_master=False, wait_for_workers=False, timeout=patience))
        made.put(None)

    threading.Thread(target=connect, name="store", daemon=True).start()
    try:
        return made.get(timeout=timeout)
    except queue.Empty:
        return None


def _listens(address: str, port: int, timeout: float) -> bool:
    """Wait until somebody listens there: torch's own wait prints a page for each attempt."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        try:
            socket.create_connection((address, port), timeout=timeout).close()
        except OSError:
            time.sleep(0.1)
        else:
            return True
    return False


def announce(store: "TCPStore", address: str, token: str) -> None:
    """Tell the other ranks where the leader is."""
    store.set(KEY, f"{token} {address}")


def announce_over(store: "TCPStore", nodes: int) -> None:
    """Tell the other ranks that there is nothing to do, and hold the store until they have read it."""
    store.set(KEY, OVER)
    deadline = time.monotonic() + OVER_SECONDS
    while store.add(READ, 0) < nodes - 1 and time.monotonic() < deadline:
        time.sleep(0.05)


def find_leader(place: Given, *, timeout: float) -> tuple[str, str] | None:
    """The leader's address and its token, as it has announced them; None where it has nothing to do. Waits for it.

    Raises:
        MeetingError: it says nothing within the timeout.
    """
    from torch.distributed import DistError

    store = reach_store(place, timeout=timeout)
    try:
        said = store.get(KEY).decode()
    except DistError as error:
        raise MeetingError(
            f"rank 0 has not said within {timeout:g} s where it leads from: start all ranks with the same command"
        ) from error
    if said == OVER:
        store.add(READ, 1)
        return None
    token, _, address = said.partition(" ")
    return address, token
