"""`cultural`: nodes teach one another by what they say of shared inputs, while all learn (codistillation).

Anil et al., "Large scale distributed neural network training through online distillation" (arXiv 1804.03235): stale
teachers are fine. Inputs come from a common seed and are never sent; outputs go through a codec.
"""

import torch
from torch import Tensor

from energybench.workloads.distributed import carriers, codecs
from energybench.workloads.distributed.carriers import Carrier, Told
from energybench.workloads.distributed.strategies import Context
from energybench.workloads.distributed.strategies.isolated import Isolated

INPUTS_SEED = 1_000_003
"""Rounds of different trainings draw from streams of their own."""


class Cultural(Isolated):
    """Every `every` steps a node tells what it makes of that many batches of shared inputs, and hears the others.

    What it hears is at least one round old. Where nothing has come, it goes on with what it heard last.
    """

    def __init__(self, context: Context, carrier: Carrier) -> None:
        super().__init__(context)
        self._codec = codecs.CODECS[context.recipe.codec]
        self._carrier = carrier
        self._heard: Told | None = None
        self._inputs: Tensor | None = None
        self._begin: int | None = None

    def before(self, step: int) -> None:
        """At the beginning of a round: hear the others, and tell one's own."""
        recipe, ledger = self.context.recipe, self.context.ledger
        self._begin = step if self._begin is None else self._begin
        if step % recipe.every:
            return
        with ledger.exchanging():
            told = self._carrier.get()
        if told is not None:
            self._heard, self._inputs = told, self._shared(told.round)
        number = step // recipe.every
        with torch.no_grad():
            logits, hidden = self.context.net(self._shared(number))
            with ledger.exchanging():
                values = logits if self._codec.source == "logits" else hidden
                # Codecs work on the host; a group on GPUs sends from there.
                self._carrier.put(number, self._codec.encode(values.cpu()).to(values.device))

    def loss(self, step: int) -> Tensor | None:
        """How far the node is from what it has heard, on one batch of the shared inputs; weighed in slowly."""
        recipe = self.context.recipe
        assert self._begin is not None
        rise = recipe.warmup * recipe.steps
        weight = recipe.weight * (min(1.0, (step - self._begin) / rise) if rise else 1.0)
        if self._heard is None or self._inputs is None or not weight:
            return None
        place = step % recipe.every * recipe.batch
        rows = slice(place, place + recipe.batch)
        logits, hidden = self.context.net(self._inputs[rows])
        values = logits if self._codec.source == "logits" else hidden
        return weight * self._codec.loss(values, [target[rows] for target in self._heard.targets])

    def finish(self) -> None:
        """Wait for the rounds under way."""
        self._carrier.finish()

    def present_round(self) -> int:
        """The round that the others are at, as far as the carrier knows; 0 where it does not."""
        return max(int(getattr(self._carrier, "newest", 0)), 0)

    def _shared(self, number: int) -> Tensor:
        """The inputs of a round: the same on every node, and never sent."""
        recipe, shared = self.context.recipe, self.context.shard.shared
        drawn = torch.Generator().manual_seed(INPUTS_SEED * (self.context.seed + 1) + number)
        return shared[torch.randint(0, len(shared), (recipe.every * recipe.batch,), generator=drawn).to(shared.device)]


def make(context: Context) -> Isolated:
    """The strategy of a node; one node alone has nobody to hear."""
    if context.recipe.nodes == 1:
        return Isolated(context)
    return Cultural(context, carriers.make(context))
