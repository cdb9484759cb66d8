"""The bytes that gloo and the TCPStore put on TCP, to the last one, computed from sizes alone.

gloo (its TCP transport, which torch uses) moves a message in three writes: the sender announces it (a preamble of 48
bytes), the receiver says that it is ready (a preamble), and the sender writes a preamble and the payload
(gloo/transport/tcp/pair.cc). All are counted here for one rank: what it writes into its own sockets. What the kernel
adds (headers of TCP and IP, acknowledgements, retransmissions) is not in it, nor what opening the connections costs.

This is what torch 2.13 does on any network and interface: it leaves gloo's `algorithm` unspecified, so an all-reduce of
any size goes round the ring (gloo/allreduce.cc), and `TORCH_GLOO_LAZY_INIT`, `GLOO_SOCKET_IFNAME` and `async_op` change
when and where bytes go, not how many (a pair that first connects inside a measurement adds 8). No formula here holds
for `GLOO_DEVICE_TRANSPORT` other than TCP, which PyPI's builds do not have, nor for `TORCH_DISTRIBUTED_DEBUG=DETAIL`,
which compares every call among the ranks.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Final

PREAMBLE_BYTES: Final = 48
"""Six 64-bit words before each message (gloo/transport/tcp/pair.h, `Op::preamble`)."""
SEGMENT_BYTES: Final = 1 << 20
"""The most that a ring all-reduce sends in one message (gloo/allreduce.h, `kMaxSegmentSize`)."""
FIRST_BUCKET_BYTES: Final = 1 << 20
"""Where DistributedDataParallel closes its first bucket (c10d/reducer.hpp, `kDefaultFirstBucketBytes`)."""
BUCKET_BYTES: Final = 25 << 20
"""Where it closes the others (c10d/reducer.hpp, `kDefaultBucketBytesCap`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What one rank sends.

    Attributes:
        payload: bytes of tensors.
        messages: messages that it sends, an empty one included.
        received: messages that it receives, each of which it answers with a preamble.
    """

    payload: int = 0
    messages: int = 0
    received: int = 0

    @property
    def tcp_bytes(self) -> int:
        """Bytes that the rank writes into its sockets."""
        return self.payload + PREAMBLE_BYTES * (2 * self.messages + self.received)

    def __add__(self, other: "Sent") -> "Sent":
        return Sent(
            payload=self.payload + other.payload,
            messages=self.messages + other.messages,
            received=self.received + other.received,
        )

    def __mul__(self, times: int) -> "Sent":
        return Sent(payload=self.payload * times, messages=self.messages * times, received=self.received * times)

    __rmul__ = __mul__


def total(parts: Iterable[Sent]) -> Sent:
    """The sum of what is sent one after another."""
    return sum(parts, Sent())


def all_reduce(size: int, nodes: int, rank: int, element: int = 4) -> Sent:
    """A ring all-reduce (gloo/allreduce.cc, `ring`).

    The tensor is cut into a chunk a node of at least two segments each. A rank passes on, to the rank below it, all
    chunks but its own while they are summed, and all but the one below while the sums go round; the last chunks are
    short or empty where the size does not divide, and empty segments are not sent.

    Args:
        size: bytes of the tensor.
        nodes: ranks in the ring.
        rank: the one that is asked for.
        element: bytes of one element, which segments do not split.
    """
    _check_rank(nodes, rank)
    if nodes == 1 or size == 0:
        return Sent()
    most = element * max(1, SEGMENT_BYTES // element)
    per_rank = -(-max(-(-size // most), 2 * nodes) // nodes)
    segment = element * -(-size // (per_rank * nodes * element))
    segments = -(-size // segment)

    def chunk_bytes(node: int) -> int:
        return min(max(size - node % nodes * per_rank * segment, 0), per_rank * segment)

    def messages(node: int) -> int:
        chunks = (node % nodes, (node - 1) % nodes)
        return 2 * segments - sum(min(max(segments - chunk * per_rank, 0), per_rank) for chunk in chunks)

    payload = 2 * size - chunk_bytes(rank) - chunk_bytes(rank - 1)
    return Sent(payload=payload, messages=messages(rank), received=messages(rank + 1))


def all_gather(size: int, nodes: int, rank: int) -> Sent:
    """An all-gather into one tensor or into a list of tensors of one size (gloo/allgather.cc).

    Each contribution goes round the ring in two halves; of a single byte the first half is an empty message.

    Args:
        size: bytes that each rank contributes.
        nodes: ranks in the ring.
        rank: the one that is asked for; all send the same.
    """
    _check_rank(nodes, rank)
    hops = 0 if size == 0 else nodes - 1
    return Sent(payload=size * hops, messages=2 * hops, received=2 * hops)


def send(size: int) -> Sent:
    """One `send` or `isend` (gloo/transport/tcp/pair.cc, `Pair::send`)."""
    return Sent(payload=size, messages=1)


def receive() -> Sent:
    """One `recv` or `irecv`: the word that the buffer is ready (gloo/transport/tcp/pair.cc, `Pair::recv`)."""
    return Sent(received=1)


def star(size: int, nodes: int, rank: int, root: int = 0) -> Sent:
    """Every rank sends a tensor to the root, which sends one back to each."""
    _check_rank(nodes, rank)
    peers = nodes - 1 if rank == root else min(nodes - 1, 1)
    return (send(size) + receive()) * peers


def gather(size: int, nodes: int, rank: int, root: int = 0) -> Sent:
    """A gather of one size from all ranks (gloo/gather.cc)."""
    _check_rank(nodes, rank)
    return receive() * (nodes - 1) if rank == root else send(size)


def broadcast(size: int, nodes: int, rank: int, root: int = 0) -> Sent:
    """A broadcast down a binomial tree (gloo/broadcast.cc).

    In round i the ranks below 2ⁱ, counted from the root, send to the rank 2ⁱ above them.
    """
    _check_rank(nodes, rank)
    place = (rank - root) % nodes
    rounds = range(place.bit_length(), (nodes - 1).bit_length())
    return send(size) * sum(place + (1 << i) < nodes for i in rounds) + receive() * (place > 0)


def barrier(nodes: int, rank: int) -> Sent:
    """A dissemination barrier: an empty message in each of ⌈log₂ nodes⌉ rounds (gloo/barrier.cc)."""
    _check_rank(nodes, rank)
    rounds = (nodes - 1).bit_length()
    return Sent(messages=rounds, received=rounds)


def buckets(sizes: Sequence[int], first: int = FIRST_BUCKET_BYTES, others: int = BUCKET_BYTES) -> list[int]:
    """Bytes of each all-reduce of a step of DistributedDataParallel, from its third step on.

    Gradients of one type are laid into buckets in the order in which they come; a bucket is closed when it holds its
    limit or more (c10d/reducer.cpp, `compute_bucket_assignment_by_size`). A module's buffers, such as those of batch
    normalisation, are broadcast besides.

    Args:
        sizes: bytes of each gradient in that order: of layers in a row, the last parameter first.
        first: limit of the first bucket.
        others: limit of every other, `bucket_cap_mb` in bytes.
    """
    filled: list[int] = []
    present = 0
    for size in sizes:
        present += size
        if present >= (others if filled else first):
            filled.append(present)
            present = 0
    return [*filled, present] if present else filled


def power_sgd(
    shapes: Iterable[Sequence[int]], rank: int, min_compression_rate: float = 2, element: int = 4
) -> list[int]:
    """Bytes of the three all-reduces that PowerSGD makes of one bucket, in their order.

    First the gradients that it leaves as they are, then all P, then all Q; one of 0 bytes sends nothing. A gradient of
    n × m (its first dimension by the rest) is compressed where (n + m)·rank·`min_compression_rate` < n·m, with `rank`
    at most n and m. Until `start_powerSGD_iter` the bucket goes whole.
    (torch/distributed/algorithms/ddp_comm_hooks/powerSGD_hook.py)

    Args:
        shapes: of the bucket's gradients, in any order.
        rank: `matrix_approximation_rank`.
        min_compression_rate: as in `PowerSGDState`.
        element: bytes of one element.
    """
    whole = left = right = 0
    for shape in shapes:
        n, m = shape[0], prod(shape[1:])
        columns = min(n, m, rank)
        if (n + m) * columns * min_compression_rate < n * m:
            left, right = left + n * columns, right + m * columns
        else:
            whole += n * m
    return [element * whole, element * left, element * right]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Bytes between one client and the TCPStore: what the client sends and what it gets, without TCP's headers."""

    sent: int
    received: int

    def __add__(self, other: "Asked") -> "Asked":
        return Asked(sent=self.sent + other.sent, received=self.received + other.received)

    def __mul__(self, times: int) -> "Asked":
        return Asked(sent=self.sent * times, received=self.received * times)

    __rmul__ = __mul__


def store_set(key: str, value_bytes: int) -> Asked:
    """`store.set`: the command, the key and the value; the server does not answer (c10d/TCPStore.cpp).

    Args:
        key: as the caller names it; a PrefixStore has put `prefix/` before it.
        value_bytes: length of the value.
    """
    return Asked(sent=_COMMAND + _named(key) + _LENGTH + value_bytes, received=0)


def store_get(key: str, value_bytes: int) -> Asked:
    """`store.get`: a wait for the key, then the question: two round trips (c10d/TCPStore.cpp, `doGet`)."""
    wait = _keys([key])
    return Asked(sent=wait + _COMMAND + _named(key), received=_STATE + _LENGTH + value_bytes)


def store_check(keys: Sequence[str]) -> Asked:
    """`store.check`: whether all keys are there, in one round trip."""
    return Asked(sent=_keys(keys), received=_STATE)


def store_multi_get(keys: Sequence[str], value_bytes: Sequence[int]) -> Asked:
    """`store.multi_get`: two round trips for any number of keys; it blocks until all are there."""
    return Asked(sent=2 * _keys(keys), received=_STATE + sum(_LENGTH + size for size in value_bytes))


_COMMAND: Final = 1
_STATE: Final = 1
_LENGTH: Final = 8
"""A length or a count is a 64-bit word (c10d/TCPStore.cpp, `SendBuffer`)."""


def _named(key: str) -> int:
    """A key behind its length; TCPStore puts `/` before it (c10d/TCPStore.hpp, `keyPrefix_`)."""
    return _LENGTH + 1 + len(key.encode())


def _keys(keys: Sequence[str]) -> int:
    """A command with a list of keys."""
    return _COMMAND + _LENGTH + sum(map(_named, keys))


def _check_rank(nodes: int, rank: int) -> None:
    if not 0 <= rank < nodes:
        raise ValueError(f"rank {rank} is not among {nodes} nodes: give one from 0 to {nodes - 1}")
