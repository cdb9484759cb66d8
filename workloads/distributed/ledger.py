"""What a node has sent and what that took, counted where it is sent."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from energybench.workloads.distributed.wire import Asked, Sent


@dataclass(slots=True, kw_only=True)
class Ledger:
    """A node's account of its exchanges.

    Attributes:
        sent: messages of the process group, by the exact model of gloo.
        store_bytes: what it asked the mailbox's store for, by the model of its protocol.
        store_payload: of these, the messages themselves.
        store_received: what the store sent it, by the same model: its peers' messages.
        cpu_seconds: of the main thread, in exchanges.
        late: messages of peers that had not come when they were looked for.
        refused: messages that could not be read, each with its reason.
    """

    sent: Sent = field(default_factory=Sent)
    store_bytes: int = 0
    store_payload: int = 0
    store_received: int = 0
    cpu_seconds: float = 0.0
    late: int = 0
    refused: list[str] = field(default_factory=list)

    @contextmanager
    def exchanging(self) -> Iterator[None]:
        """Around what is done for the sake of an exchange."""
        begin = time.thread_time()
        try:
            yield
        finally:
            self.cpu_seconds += time.thread_time() - begin

    def asked(self, question: Asked) -> None:
        """Count one question to the store."""
        self.store_bytes += question.sent
        self.store_received += question.received

    @property
    def payload_bytes(self) -> int:
        """Bytes of tensors and messages."""
        return self.sent.payload + self.store_payload

    @property
    def model_bytes(self) -> int:
        """What all of it is on TCP."""
        return self.sent.tcp_bytes + self.store_bytes
