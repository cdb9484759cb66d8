"""`local`: local SGD; nodes step by themselves and average their weights every few steps (Stich, arXiv 1805.09767)."""

import torch
import torch.distributed as dist
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from energybench.workloads.distributed import wire
from energybench.workloads.distributed.strategies import Context
from energybench.workloads.distributed.strategies.isolated import Isolated


class Local(Isolated):
    """An all-reduce of the weights every `every` steps; each node keeps its own momentum."""

    def after(self, step: int) -> None:
        """Average the weights where a stretch of local steps ends."""
        context, recipe = self.context, self.context.recipe
        if (step + 1) % recipe.every:
            return
        with torch.no_grad(), context.ledger.exchanging():
            flat = parameters_to_vector(context.net.parameters())
            dist.all_reduce(flat, group=context.group)
            vector_to_parameters(flat / recipe.nodes, context.net.parameters())
        context.ledger.sent += wire.all_reduce(flat.nbytes, recipe.nodes, context.seat.place.rank)


def make(context: Context) -> Local:
    """The strategy of a node."""
    return Local(context)
