"""Where ranks on many hosts find each other: a key in the store that torch.distributed meets at."""

from datetime import timedelta
from typing import TYPE_CHECKING

from energybench.distributed.given import Given

if TYPE_CHECKING:
    from torch._C._distributed_c10d import TCPStore

KEY = "energybench/leader"


class PortError(OSError):
    """The store cannot be made where it should be."""


def make_store(address: str, port: int, *, timeout: float) -> "TCPStore":
    """A store for ranks to meet at; port 0 takes a free one.

    Raises:
        PortError: the port is in use, or the address is not this host's.
    """
    from torch._C._distributed_c10d import TCPStore
    from torch.distributed import DistNetworkError

    try:
        return TCPStore(address, port, is_master=True, wait_for_workers=False, timeout=timedelta(seconds=timeout))
    except DistNetworkError as error:
        reason = "the port is in use" if "EADDRINUSE" in str(error) else " ".join(str(error).split())[:200]
        raise PortError(
            f"no store can be made at {address}:{port}: {reason}; set MASTER_PORT to a free one, and MASTER_ADDR to "
            "the host of rank 0"
        ) from error


def reach_store(place: Given, *, timeout: float) -> "TCPStore":
    """The store that torchrun's agent or rank 0 holds."""
    return client(place.address, place.port, timeout=timeout)


def client(address: str, port: int, *, timeout: float) -> "TCPStore":
    """A client of a store that is there."""
    from torch._C._distributed_c10d import TCPStore

    return TCPStore(address, port, is_master=False, wait_for_workers=False, timeout=timedelta(seconds=timeout))


def announce(store: "TCPStore", address: str, token: str) -> None:
    """Tell the other ranks where the leader is."""
    store.set(KEY, f"{token} {address}")


def find_leader(place: Given, *, timeout: float) -> tuple[str, str]:
    """The leader's address and its token, as it has announced them; waits for it."""
    token, _, address = reach_store(place, timeout=timeout).get(KEY).decode().partition(" ")
    return address, token
