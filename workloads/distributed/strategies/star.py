"""`star`: synchronized SGD through a central server; every node sends it its gradient and gets the mean back."""

import torch
import torch.distributed as dist
from torch import Tensor

from energybench.workloads.distributed import wire
from energybench.workloads.distributed.strategies import Context
from energybench.workloads.distributed.strategies.isolated import Isolated

SERVER = 0
"""The node that is the server as well."""


class Star(Isolated):
    """Gradients go to the server in one message a node, and their mean comes back in one.

    torch.distributed.rpc, the usual way to a parameter server, is deprecated: these are plain sends and receives.
    """

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        weights = list(context.net.parameters())
        self._flat = torch.zeros(sum(weight.numel() for weight in weights), device=weights[0].device)
        offset = 0
        for weight in weights:  # gradients are views of one tensor: nothing is copied to send it
            weight.grad = self._flat[offset : offset + weight.numel()].view_as(weight)
            offset += weight.numel()
        rank, nodes = context.seat.place.rank, context.recipe.nodes
        self._peers = [peer for peer in range(nodes) if peer != SERVER] if rank == SERVER else [SERVER]
        self._theirs = [torch.empty_like(self._flat) for _ in self._peers]
        self._sent = wire.star(self._flat.nbytes, nodes, rank, SERVER)

    def gradients(self) -> None:
        """Send the gradient, get the mean."""
        with self.context.ledger.exchanging():
            if self.context.seat.place.rank == SERVER:
                self._serve()
            else:
                self._wait([self._send(self._flat, SERVER)])
                self._wait([self._receive(self._flat, SERVER)])
        self.context.ledger.sent += self._sent

    def _serve(self) -> None:
        self._wait([self._receive(part, peer) for part, peer in zip(self._theirs, self._peers, strict=True)])
        for part in self._theirs:
            self._flat += part
        self._flat /= self.context.recipe.nodes
        self._wait([self._send(self._flat, peer) for peer in self._peers])

    def _send(self, tensor: Tensor, peer: int) -> dist.Work | None:
        return dist.isend(tensor, group=self.context.group, group_dst=peer)

    def _receive(self, tensor: Tensor, peer: int) -> dist.Work | None:
        return dist.irecv(tensor, group=self.context.group, group_src=peer)

    @staticmethod
    def _wait(works: list[dist.Work | None]) -> None:
        for work in works:
            assert work is not None
            work.wait()


def make(context: Context) -> Isolated:
    """The strategy of a node; one node alone is its own server."""
    return Star(context) if context.recipe.nodes > 1 else Isolated(context)
