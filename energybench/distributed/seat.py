"""A rank's place: which of how many, on which host, and what is shared with the others."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from energybench.distributed.given import Given
from energybench.model import Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """What a rank knows of its place.

    Attributes:
        place: which rank of how many, and where all meet.
        epoch: how often the ranks have met before: the same number for all, which torchrun's own count is not.
        folder: where checkpoints go.
        timeout: seconds that a rank waits for its peers at most.
        mailbox: host and port of the store that holds the mailbox, where there is one.
    """

    place: Given
    epoch: int
    folder: Path
    timeout: float
    mailbox: tuple[str, int] | None = None


@runtime_checkable
class Node(Protocol):
    """One rank's part of the work. The leader calls its public methods by name; values in and out are plain JSON."""

    @property
    def payload_bytes(self) -> int:
        """Of all that it has sent so far, as its exchanges count them."""
        ...

    @property
    def model_bytes(self) -> int:
        """What those are on TCP, by an exact model of the transport."""
        ...

    @property
    def store_bytes(self) -> int:
        """What a store has sent it so far, by the model of its protocol; 0 where there is none."""
        ...

    @property
    def communication_cpu_seconds(self) -> float:
        """Of its main thread, spent in exchanges so far."""
        ...

    def close(self) -> None:
        """Give back what was held."""
        ...


@runtime_checkable
class Spread(Workload, Protocol):
    """A workload that runs in many processes."""

    def node(self, config: Mapping[str, Any], seat: Seat) -> Node:
        """A rank's part of the work that the leader describes in plain JSON values."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Where a rank runs: what two ranks that would read the same counter have in common.

    Attributes:
        rank: from 0.
        host: of the running kernel: containers of one host share its counters.
        network: the network namespace, which has interfaces of its own.
        name: for people.
        pid: of the process.
    """

    rank: int
    host: str
    network: str
    name: str
    pid: int


def is_identity(told: object, nodes: int) -> bool:
    """Whether what a rank says of itself, in plain values, is an identity among so many ranks."""
    kinds = {"rank": int, "host": str, "network": str, "name": str, "pid": int}
    if not isinstance(told, Mapping) or set(told) != set(kinds):
        return False
    fits = all(type(told[key]) is kind for key, kind in kinds.items())
    return fits and told["pid"] > 0 and told["rank"] >= 0 and nodes > 0


def identify(rank: int, *, root: Path = Path("/"), environ: Mapping[str, str] = os.environ) -> Identity:
    """This process's identity. `ENERGYBENCH_HOST` names a host whose kernel cannot tell it from another."""
    boot = root / "proc/sys/kernel/random/boot_id"
    raw = environ.get("ENERGYBENCH_HOST") or (boot.read_text().strip() if boot.is_file() else os.uname().nodename)
    host = hashlib.sha256(f"energybench:{raw}".encode()).hexdigest()[:12]
    namespace = root / "proc/self/ns/net"
    network = f"{host}:{namespace.stat().st_ino}" if namespace.exists() else host
    return Identity(rank=rank, host=host, network=network, name=os.uname().nodename, pid=os.getpid())
