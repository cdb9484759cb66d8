"""One training on one node: its network, optimizer and order of samples, and the strategy that ties it to others."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from energybench.distributed.seat import Seat
from energybench.workloads.distributed import nets, shards, strategies
from energybench.workloads.distributed._recipe import TOGETHER, Recipe
from energybench.workloads.distributed.ledger import Ledger

SEEDS = 1000
"""Seeds of nodes: `SEEDS` apart for trainings, one apart for nodes."""


class DivergedError(ValueError):
    """A training whose loss is not finite any more."""


class Learning:
    """A node in training from its first weights on.

    Args:
        recipe: of the training.
        seat: the node's place.
        run: the training's name on its node.
        seed: of the split, the first weights and the order of the samples.
        group: the process group of all nodes; None where each is launched by itself.
        ledger: where exchanges are counted.
        warn: told, in one line, of what a user should know.
    """

    def __init__(
        self, recipe: Recipe, seat: Seat, run: str, seed: int, *, group: Any, ledger: Ledger,
        warn: Callable[[str], None],
    ) -> None:  # fmt: skip
        self.recipe, self.step_number = recipe, 0
        rank = seat.place.rank
        self.shard = shards.load(recipe, rank, seed=seed)
        torch.manual_seed(SEEDS * seed + (0 if recipe.strategy in TOGETHER else rank + 1))
        name = recipe.nets[rank % len(recipe.nets)]
        self.net = nets.make(name, self.shard.shape, recipe.hidden, self.shard.classes).to(recipe.device)
        first = {key: value.clone() for key, value in self.net.state_dict().items()}
        self.strategy = strategies.make(
            strategies.Context(
                recipe=recipe, seat=seat, run=run, seed=seed, net=self.net, shard=self.shard, group=group,
                ledger=ledger, warn=warn,
            )
        )  # fmt: skip
        self.net.load_state_dict(first)  # settling a strategy's buffers has not moved them
        self._optimizer = self._make_optimizer()
        self._order = torch.Generator().manual_seed(7919 * seed + rank)

    def step(self) -> None:
        """One step of the optimizer, on a batch of the node's own samples and what the strategy adds."""
        number, recipe = self.step_number, self.recipe
        self.step_number = number + 1
        self.strategy.before(number)
        if self.strategy.anew(number):
            self._optimizer = self._make_optimizer()
        if not self.strategy.works(number):
            return
        chosen = torch.randint(0, recipe.labels, (recipe.batch,), generator=self._order).to(self.shard.inputs.device)
        loss = functional.cross_entropy(self.strategy.module(self.shard.inputs[chosen])[0], self.shard.labels[chosen])
        extra = self.strategy.loss(number)
        if extra is not None:
            loss = loss + extra
        self._optimizer.zero_grad(set_to_none=False)
        loss.backward()  # type: ignore[no-untyped-call]
        self.strategy.gradients()
        rate = _cosine(number, recipe.steps)
        for group in self._optimizer.param_groups:
            group["lr"] = recipe.learning_rate * rate
        self._optimizer.step()
        self.strategy.after(number)
        if self.step_number % recipe.every == 0 and not math.isfinite(loss.item()):
            raise DivergedError(f"the loss is not finite after {self.step_number} steps; lower learning_rate or weight")

    def run(self, steps: int, *, done: Callable[[int], None] = lambda _: None) -> None:
        """So many steps, with all exchanges finished; after each `done` is told which it was."""
        for _ in range(steps):
            self.step()
            done(self.step_number)
        self.strategy.finish()
        if self.recipe.device == "cuda":
            torch.cuda.synchronize()

    def join(self) -> None:
        """Begin where the others are, where nobody waits for this node; else where its own step is."""
        present = getattr(self.strategy, "present_round", None)
        if present is not None:
            self.step_number = max(self.step_number, present() * self.recipe.every)

    def judge(self) -> Tensor | None:
        """Class probabilities of held-out samples, (samples, classes); None where this node's network is not judged."""
        net = self.strategy.result()
        if net is None:
            return None
        net.eval()
        with torch.no_grad():
            found: Tensor = net(self.shard.test_inputs)[0].softmax(1)
        net.train()
        return found

    def _make_optimizer(self) -> torch.optim.Optimizer:
        recipe = self.recipe
        return torch.optim.SGD(
            self.net.parameters(), recipe.learning_rate, momentum=recipe.momentum, weight_decay=recipe.decay
        )

    def state(self) -> dict[str, Any]:
        """All that a resumed training needs."""
        return {
            "net": self.net.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "order": self._order.get_state(),
            "step": self.step_number,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self.net.load_state_dict(state["net"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._order.set_state(state["order"])
        self.step_number = state["step"]


def _cosine(step: int, steps: int) -> float:
    """The share of the learning rate at a step; it begins again where a schedule is over, as in measured windows."""
    return 0.5 * (1 + math.cos(math.pi * (step % steps) / steps))
