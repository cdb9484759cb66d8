"""`sync`: synchronized SGD; DistributedDataParallel averages the gradients of every step over all nodes."""

import warnings
from typing import Any

import torch
from torch import nn
from torch.distributed.algorithms.ddp_comm_hooks import default_hooks, powerSGD_hook
from torch.nn.parallel import DistributedDataParallel

from energybench.workloads.distributed import wire
from energybench.workloads.distributed.strategies import Context
from energybench.workloads.distributed.strategies.isolated import Isolated

RANK = 2
"""Of PowerSGD's matrices."""
POWER_START = 2
"""Steps before PowerSGD begins: the fewest that the hook allows with warm starts and error feedback."""
SETTLING = 3
"""Steps until the wrapper's buckets, and PowerSGD's own warm start, are as they stay."""


class Sync(Isolated):
    """An all-reduce of each gradient bucket while the backward pass goes on."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        net, recipe = context.net, context.recipe
        devices = [context.seat.place.local_rank] if recipe.device == "cuda" else None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the hooks' own deprecated calls
            self.module = DistributedDataParallel(net, device_ids=devices, process_group=context.group)
            self._compress()
        self._sent = wire.total(
            wire.all_reduce(size, recipe.nodes, context.seat.place.rank, element) for size, element in self._sizes()
        )
        self._settle()

    def gradients(self) -> None:
        """They are averaged already; what that sent is counted."""
        self.context.ledger.sent += self._sent

    def _compress(self) -> None:
        recipe, group = self.context.recipe, self.context.group
        hooked: Any = self.module
        if recipe.compression == "fp16":
            hooked.register_comm_hook(group, default_hooks.fp16_compress_hook)
        elif recipe.compression == "powersgd":
            state = powerSGD_hook.PowerSGDState(
                process_group=group, matrix_approximation_rank=RANK, start_powerSGD_iter=POWER_START
            )
            hooked.register_comm_hook(state, powerSGD_hook.powerSGD_hook)

    def _sizes(self) -> list[tuple[int, int]]:
        """Bytes and element size of each all-reduce of a step, from the third on."""
        # The backward pass reaches the last parameter first.
        weights = list(reversed(list(self.context.net.parameters())))
        compression = self.context.recipe.compression
        sizes = wire.buckets([weight.nbytes for weight in weights])
        if compression == "fp16":
            return [(size // 2, 2) for size in sizes]
        if compression == "powersgd":
            assert len(sizes) == 1, "networks of this folder fit one bucket"
            return [(size, 4) for size in wire.power_sgd([weight.shape for weight in weights], RANK)]
        return [(size, 4) for size in sizes]

    def _settle(self) -> None:
        """Let the wrapper rebuild its buckets, on gradients that are thrown away."""
        inputs = self.context.shard.inputs[: self.context.recipe.batch]
        for _ in range(SETTLING):
            self.module(inputs)[0].sum().backward()
            self.context.net.zero_grad(set_to_none=False)


def make(context: Context) -> nn.Module | Sync:
    """The strategy of a node; one node alone has nobody to average with."""
    torch.manual_seed(context.seed)  # PowerSGD draws its first matrices
    return Sync(context)
