"""Strategies by name: a file of this folder is one, and offers `make(context) -> Strategy`."""

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import Tensor, nn

    from energybench.distributed.seat import Seat
    from energybench.workloads.distributed._recipe import Recipe
    from energybench.workloads.distributed.ledger import Ledger
    from energybench.workloads.distributed.nets import Net
    from energybench.workloads.distributed.shards import Shard


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a strategy has to work with on one node.

    Attributes:
        recipe: of the training.
        seat: the node's place.
        run: the training's name on its node.
        seed: of the training.
        net: the node's network.
        shard: its data.
        group: the process group of all nodes; None where each is launched by itself.
        ledger: where it counts what it sends.
        warn: told, in one line, of what a user should know.
    """

    recipe: "Recipe"
    seat: "Seat"
    run: str
    seed: int
    net: "Net"
    shard: "Shard"
    group: Any
    ledger: "Ledger"
    warn: Callable[[str], None]


class Strategy(Protocol):
    """What makes many nodes' training one: called at fixed places of each step, on every node alike."""

    module: "nn.Module"
    """What the forward pass goes through: the network, or what wraps it."""

    def works(self, step: int) -> bool:
        """Whether this node takes a step."""
        ...

    def anew(self, step: int) -> bool:
        """Whether a step is the first of another network: the optimizer begins anew."""
        ...

    def before(self, step: int) -> None:
        """Before a step: what is told at the beginning of a round."""
        ...

    def loss(self, step: int) -> "Tensor | None":
        """What is added to the loss of a step; None for nothing."""
        ...

    def gradients(self) -> None:
        """After the backward pass: the gradients are as the optimizer shall have them."""
        ...

    def after(self, step: int) -> None:
        """After the optimizer's step."""
        ...

    def finish(self) -> None:
        """At the end of a stretch of steps: wait for what is under way."""
        ...

    def result(self) -> "nn.Module | None":
        """The network that the training is for; None on a node whose own is not."""
        ...


def names() -> list[str]:
    """Every strategy there is."""
    return sorted(module.name.replace("_", "-") for module in pkgutil.iter_modules(__path__))


def make(context: Context) -> Strategy:
    """The strategy that the recipe names."""
    module = importlib.import_module(f"{__name__}.{context.recipe.strategy.replace('-', '_')}")
    made: Strategy = module.make(context)
    return made
