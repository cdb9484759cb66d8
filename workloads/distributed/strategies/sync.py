"""`sync`: synchronized SGD; DistributedDataParallel averages the gradients of every step over all nodes."""

import warnings
from collections.abc import Iterable
from typing import Any

from torch import Size, Tensor
from torch.distributed.algorithms.ddp_comm_hooks import default_hooks, powerSGD_hook
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from energybench.workloads.distributed import wire
from energybench.workloads.distributed.strategies import Context
from energybench.workloads.distributed.strategies.isolated import Isolated

RANK = 2
"""Of PowerSGD's matrices."""
POWER_START = 2
"""Steps before PowerSGD begins: the fewest that the hook allows with warm starts and error feedback."""
EPSILON = 1e-8
"""Keeps a gradient of lower rank than that from dividing by 0, which the hook's default of 0 does."""
SETTLING = 3
"""Steps until the wrapper's buckets, and PowerSGD's own warm start, are as they stay."""


class Sync(Isolated):
    """An all-reduce of each gradient bucket while the backward pass goes on."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        net, recipe = context.net, context.recipe
        self._state: powerSGD_hook.PowerSGDState | None = None
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
            self._state = powerSGD_hook.PowerSGDState(
                process_group=group, matrix_approximation_rank=RANK, start_powerSGD_iter=POWER_START,
                orthogonalization_epsilon=EPSILON,
            )  # fmt: skip
            hooked.register_comm_hook(self._state, powerSGD_hook.powerSGD_hook)

    def _sizes(self) -> list[tuple[int, int]]:
        """Bytes and element size of each all-reduce of a step, from the third on."""
        # The backward pass reaches the last parameter first.
        weights = list(reversed(list(self.context.net.parameters())))
        compression = self.context.recipe.compression
        sizes = wire.buckets([weight.nbytes for weight in weights])
        if compression == "fp16":
            return [(size // 2, 2) for size in sizes]
        if compression == "powersgd":
            shapes = _by_bucket(weights, sizes)
            return [(size, 4) for bucket in shapes for size in wire.power_sgd(bucket, RANK)]
        return [(size, 4) for size in sizes]

    def _settle(self) -> None:
        """Let the wrapper rebuild its buckets, on gradients that are thrown away."""
        shard, batch = self.context.shard, self.context.recipe.batch
        for _ in range(SETTLING):
            loss = functional.cross_entropy(self.module(shard.inputs[:batch])[0], shard.labels[:batch])
            loss.backward()  # type: ignore[no-untyped-call]
            self.context.net.zero_grad(set_to_none=False)
        if self._state:  # what compression lost of those gradients must not come back
            for error in self._state.error_dict.values():
                error.zero_()


def _by_bucket(weights: Iterable[Tensor], sizes: Iterable[int]) -> list[list[Size]]:
    """The shapes of each bucket's gradients."""
    rest, found = iter(weights), []
    for size in sizes:
        bucket: list[Tensor] = []
        while sum(weight.nbytes for weight in bucket) < size:
            bucket.append(next(rest))
        found.append([weight.shape for weight in bucket])
    return found


def make(context: Context) -> Isolated:
    """The strategy of a node; one node alone has nobody to average with."""
    return Sync(context) if context.recipe.nodes > 1 else Isolated(context)
