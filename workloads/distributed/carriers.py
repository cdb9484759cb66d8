"""How messages of cultural exchange travel: all-gathers that nobody waits for, or a mailbox that outlives any node."""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch
import torch.distributed as dist
from torch import Tensor

from energybench.distributed.meeting import client
from energybench.workloads.distributed import messages, wire
from energybench.workloads.distributed.codecs import CODECS, Codec, MessageError
from energybench.workloads.distributed.ledger import Ledger
from energybench.workloads.distributed.strategies import Context

if TYPE_CHECKING:
    from torch._C._distributed_c10d import TCPStore

MOST_UNDER_WAY = 4
"""Rounds that a node of a gang may be ahead of its slowest peer: then it waits, lest they drift apart for ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What peers have told of one round's inputs: their messages, decoded."""

    round: int
    targets: list[Tensor]


class Carrier(Protocol):
    """Takes a node's message of a round, and gives what peers have told that was not given before."""

    def put(self, number: int, message: Tensor) -> None:
        """Send the message of a round; returns at once."""
        ...

    def get(self) -> Told | None:
        """The newest round that peers have told of since the last call; None where nothing has come."""
        ...

    def finish(self) -> None:
        """Wait for what is under way."""
        ...


class Gather:
    """An all-gather a round, begun without waiting and looked for at the next exchange.

    Args:
        group: of the nodes.
        decode: a message to a target.
        ledger: where it is counted.
    """

    def __init__(self, group: Any, decode: Callable[[Tensor], Tensor], ledger: Ledger) -> None:
        self._group, self._decode, self._ledger = group, decode, ledger
        self._rank, self._nodes = dist.get_rank(group), dist.get_world_size(group)
        self._under_way: deque[tuple[int, Any, list[Tensor], Tensor]] = deque()

    def put(self, number: int, message: Tensor) -> None:
        """Begin the all-gather of a round."""
        gathered = [torch.empty_like(message) for _ in range(self._nodes)]
        work = dist.all_gather(gathered, message, group=self._group, async_op=True)
        self._under_way.append((number, work, gathered, message))
        self._ledger.sent += wire.all_gather(message.nbytes, self._nodes, self._rank)

    def get(self) -> Told | None:
        """The newest round that is complete; one that is not is late, and is looked for again."""
        found: Told | None = None
        while self._under_way:
            number, work, gathered, _ = self._under_way[0]
            if len(self._under_way) < MOST_UNDER_WAY and not work.is_completed():
                break
            work.wait()
            self._under_way.popleft()
            peers = [part for rank, part in enumerate(gathered) if rank != self._rank]
            found = Told(round=number, targets=[self._decode(part) for part in peers])
        self._ledger.late += len(self._under_way) * (self._nodes - 1)
        return found

    def finish(self) -> None:
        """Wait for the rounds that are under way: peers need this node's part of them."""
        for _, work, _, _ in self._under_way:
            work.wait()


class Own:
    """A node's own stale outputs come back to it: the control that shows what peers add."""

    def __init__(self, decode: Callable[[Tensor], Tensor]) -> None:
        self._decode = decode
        self._kept: tuple[int, Tensor] | None = None

    def put(self, number: int, message: Tensor) -> None:
        """Keep it."""
        self._kept = (number, message)

    def get(self) -> Told | None:
        """What was kept."""
        return Told(round=self._kept[0], targets=[self._decode(self._kept[1])]) if self._kept else None

    def finish(self) -> None:
        """Nothing is under way."""


class Mailbox:
    """A key a node in a TCPStore, holding its last two rounds. Nobody waits for anybody: who is dead or late is missed.

    Args:
        store: a client of it.
        prefix: of the keys of this training.
        context: of the node.
        codec: of the messages.
    """

    def __init__(self, store: "TCPStore", prefix: str, context: Context, codec: Codec) -> None:
        self._store, self._prefix, self._context, self._codec = store, prefix, context, codec
        self._rank, self._nodes = context.seat.place.rank, context.recipe.nodes
        self._rows = context.recipe.every * context.recipe.batch
        self._classes = context.shard.classes if codec.source == "logits" else None
        self._kept: list[bytes] = []
        self._seen: dict[int, int] = {}
        self._warned: set[str] = set()
        self._gone = False
        with suppress(RuntimeError):
            store.delete_key(self._key(self._rank))

    @property
    def newest(self) -> int:
        """The newest round that any peer has told of, where a node that comes late begins; -1 where none has."""
        return max((message.round for told in self._told().values() for message in told), default=-1)

    def put(self, number: int, message: Tensor) -> None:
        """Leave the message, beside the one before it."""
        body = message.cpu()
        width = self._context.recipe.hidden if self._classes is None else self._classes
        told = messages.Message(sender=self._rank, round=number, rows=self._rows, width=width, body=body)
        self._kept = [*self._kept[1 - messages.ROUNDS :], messages.pack(told, self._codec)]
        value, ledger = messages.pack_value(self._kept), self._context.ledger
        if self._gone:
            return
        with self._alone_without_store():
            self._store.set(self._key(self._rank), value)  # type: ignore[arg-type]
            ledger.asked(wire.store_set(self._key(self._rank), len(value)))
            ledger.store_payload += body.nbytes

    def get(self) -> Told | None:
        """The round that most peers have told of, the newest of such; what was given before is not given again."""
        told = self._told()
        rounds: dict[int, list[Tensor]] = {}
        for rank, kept in told.items():
            for message in kept:
                if message.round > self._seen.get(rank, -1) and (target := self._decoded(message)) is not None:
                    rounds.setdefault(message.round, []).append(target.to(self._context.recipe.device))
        self._context.ledger.late += self._nodes - 1 - len(told)
        if not rounds:
            return None
        number = max(rounds, key=lambda one: (len(rounds[one]), one))
        self._seen |= dict.fromkeys(told, number)
        return Told(round=number, targets=rounds[number])

    def finish(self) -> None:
        """Nobody waits."""

    def _told(self) -> dict[int, tuple[messages.Message, ...]]:
        """The last messages of each peer that has left some that can be read."""
        found: dict[int, tuple[messages.Message, ...]] = {}
        for rank in range(self._nodes):
            if rank == self._rank or (value := self._read(self._key(rank))) is None:
                continue
            try:
                found[rank] = messages.unpack_value(
                    value, sender=rank, codec=self._codec, rows=self._rows, width=self._classes
                )
            except MessageError as error:
                self._refuse(str(error))
        return found

    def _decoded(self, message: messages.Message) -> Tensor | None:
        try:
            return self._codec.decode(message.body, message.rows, message.width)
        except MessageError as error:
            self._refuse(f"rank {message.sender}: {error}")
            return None

    def _read(self, key: str) -> bytes | None:
        ledger = self._context.ledger
        if self._gone:
            return None
        with self._alone_without_store():
            ledger.asked(wire.store_check([key]))
            if self._store.check([key]):
                value: bytes = self._store.get(key)
                ledger.asked(wire.store_get(key, len(value)))
                return value
        return None

    def _refuse(self, problem: str) -> None:
        """A message that cannot be read is left out, and said once: the node goes on."""
        if problem not in self._warned:
            self._warned.add(problem)
            self._context.ledger.refused.append(problem)
            self._context.warn(f"{problem}; the node goes on without it")

    @contextmanager
    def _alone_without_store(self) -> Iterator[None]:
        """Where the store is gone, the node goes on alone."""
        try:
            yield
        except RuntimeError as error:
            # A client whose connection is broken never gets another, and torch prints a page for each attempt.
            self._gone = isinstance(error, dist.DistNetworkError)
            self._refuse(
                f"the mailbox does not answer ({' '.join(str(error).split())[:80]}): look at its host, rank 0's"
            )

    def _key(self, rank: int) -> str:
        return f"{self._prefix}/{rank}"


def make(context: Context) -> Carrier:
    """The carrier that the recipe names."""
    codec = CODECS[context.recipe.codec]
    if context.recipe.carrier == "mailbox":
        assert context.seat.mailbox is not None
        store = client(*context.seat.mailbox, timeout=context.recipe.timeout)
        return Mailbox(store, f"{context.recipe.key}/{context.run}/{context.seed}", context, codec)
    return Gather(context.group, _decoder(context, codec), context.ledger)


def own(context: Context) -> Own:
    """The carrier of the control."""
    return Own(_decoder(context, CODECS[context.recipe.codec]))


def _decoder(context: Context, codec: Codec) -> Callable[[Tensor], Tensor]:
    """Of messages that nodes of one architecture send."""
    rows = context.recipe.every * context.recipe.batch
    width = context.shard.classes if codec.source == "logits" else context.recipe.hidden
    return lambda message: codec.decode(message.cpu(), rows, width).to(message.device)
