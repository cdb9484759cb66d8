"""`distilled`: the older idea: many nodes learn alone, and afterwards one network is taught by all of them.

Hinton, Vinyals and Dean, "Distilling the knowledge in a neural network" (arXiv 1503.02531). The nodes train by the
whole schedule; then they tell their outputs on all shared inputs once, and node 0 trains a student by the schedule
once more.
"""

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional

from energybench.workloads.distributed import codecs, wire
from energybench.workloads.distributed.strategies import Context
from energybench.workloads.distributed.strategies.isolated import Isolated

STUDENT = 0
"""The node that has the student; it begins at its teacher's first weights."""


class Distilled(Isolated):
    """Teachers that learn alone, then a student that learns what they say; the other nodes' work is done by then."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._first = {name: value.clone() for name, value in context.net.state_dict().items()}
        self._codec = codecs.CODECS["fp32"]
        self._targets: Tensor | None = None
        self._order = torch.Generator().manual_seed(context.seed)

    @property
    def is_student(self) -> bool:
        """Whether the student is on this node."""
        return self.context.seat.place.rank == STUDENT

    def works(self, step: int) -> bool:
        """All nodes teach themselves; the student is one."""
        return step < self.context.recipe.steps or self.is_student

    def anew(self, step: int) -> bool:
        """Whether another network's training begins with this step."""
        return step == self.context.recipe.steps

    def before(self, step: int) -> None:
        """When the teachers are ready: all tell all, once, and the student takes its first weights."""
        if not self.anew(step):
            return
        context, recipe = self.context, self.context.recipe
        with torch.no_grad(), context.ledger.exchanging():
            logits = context.net(context.shard.shared)[0]
            message = self._codec.encode(logits.cpu()).to(logits.device)
            told = [torch.empty_like(message) for _ in range(recipe.nodes)]
            dist.all_gather(told, message, group=context.group)
            rows, classes = len(context.shard.shared), context.shard.classes
            targets = torch.stack([self._codec.decode(one.cpu(), rows, classes) for one in told]).mean(0)
            self._targets = targets.to(logits.device)
        context.ledger.sent += wire.all_gather(message.nbytes, recipe.nodes, context.seat.place.rank)
        context.net.load_state_dict(self._first)

    def loss(self, step: int) -> Tensor | None:  # noqa: ARG002 -- every strategy takes it
        """Of the student: how far it is from the teachers' mean, on a batch of the shared inputs."""
        if self._targets is None:
            return None
        shared, recipe = self.context.shard.shared, self.context.recipe
        rows = torch.randint(0, len(shared), (recipe.batch,), generator=self._order).to(shared.device)
        return recipe.weight * functional.cross_entropy(self.context.net(shared[rows])[0], self._targets[rows])

    def result(self) -> nn.Module | None:
        """The student; the teachers' work is done."""
        return self.context.net if self.is_student else None


def make(context: Context) -> Distilled:
    """The strategy of a node."""
    return Distilled(context)
