"""Training by equilibrium propagation, and by its two baselines on the same network, data, schedule and optimizer.

Momentum SGD with a learning rate of its own for each coupling, falling by half a cosine from step to step. A `Method`
finds the gradient; all else is shared.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from energybench.workloads.eqprop import _starts as starts
from energybench.workloads.eqprop._recipe import Recipe, check
from energybench.workloads.eqprop._samples import Samples
from energybench.workloads.eqprop.backprop import Backprop, Pass
from energybench.workloads.eqprop.estimators import Estimate, estimate
from energybench.workloads.eqprop.network import Network
from energybench.workloads.eqprop.relaxation import Relaxation
from energybench.workloads.eqprop.through_time import ThroughTime

if TYPE_CHECKING:
    from energybench.workloads.data import DataSet, Pixels

__all__ = ["EquilibriumPropagation", "Method", "Recipe", "Trainer", "build", "make_method"]

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
_EVALUATED = 512
"""Samples at once in an evaluation."""


class Method(Protocol):
    """How the gradient of the mean of C over a minibatch is found, and what the network says of samples."""

    def gradients(self, x: Tensor, target: Tensor, into: Sequence[Tensor]) -> Pass:
        """Fill `into`, one for each parameter; the mean of C before the step, and how many samples were right."""
        ...

    def scores(self, x: Tensor) -> Tensor:
        """(samples, classes); any number of samples."""
        ...


class EquilibriumPropagation:
    """Free and nudged phases, as a recipe has them.

    Attributes:
        last: the estimate of the last `gradients`; None before.
        watched: whether `last` is to say how its phases ended. Sweeps that lower the energy cannot run away: training
            looks at the others alone.
    """

    def __init__(self, network: Network, recipe: Recipe) -> None:
        self._network, self._recipe = network, recipe
        self._tolerance = recipe.tolerance or None
        # In deviations, short numbers are the business of the nudged phases alone.
        self._dtype = network.dtype if recipe.deviation else _DTYPES[recipe.dtype]
        self._relaxation = self._room(recipe.batch)
        self._large: Relaxation | None = None
        self._signs = self._first_signs()
        self.last: Estimate | None = None
        self.watched = not self._relaxation.descends

    def gradients(self, x: Tensor, target: Tensor, into: Sequence[Tensor]) -> Pass:
        """Fill `into` with the estimate."""
        self.last = self._estimate(x, target, into, self._signs)
        return torch.as_tensor(self.last.loss), torch.as_tensor(self.last.correct)

    def traced(self, x: Tensor, target: Tensor, into: Sequence[Tensor]) -> Estimate:
        """The estimate of the first step, whose phases tell each of their sweeps; the same one every time."""
        return self._estimate(x, target, into, self._first_signs(), trace=True)

    def _estimate(
        self, x: Tensor, target: Tensor, into: Sequence[Tensor], signs: torch.Generator, *, trace: bool = False
    ) -> Estimate:
        recipe = self._recipe
        return estimate(
            self._relaxation, x, target, beta=recipe.beta, free=recipe.free, nudged=recipe.nudged,
            estimator=recipe.estimator, tolerance=self._tolerance, deviation=recipe.deviation,
            dtype=recipe.dtype if recipe.deviation else "float32", into=list(into), generator=signs,
            watch=self.watched, trace=trace,
        )  # fmt: skip

    def _first_signs(self) -> torch.Generator:
        return torch.Generator().manual_seed(self._recipe.seed + 1)

    def scores(self, x: Tensor) -> Tensor:
        """The output after a free phase like those of training."""
        if self._large is None:
            self._large = self._room(_EVALUATED)
        return self._large.forward_scores(x, self._recipe.free, self._tolerance)

    def _room(self, batch: int) -> Relaxation:
        recipe = self._recipe
        return Relaxation(self._network, batch, mode=recipe.mode, step_size=recipe.step_size, dtype=self._dtype)


def build(recipe: Recipe, dataset: "DataSet") -> Network:
    """The untrained network, on the recipe's device: the same first weights on every device.

    Raises:
        ValueError: the recipe does not fit the data, or itself.
        UnknownNameError: there is no such activation.
    """
    check(recipe)
    # A rectifier without an upper end is backpropagation's alone: it brings it itself.
    hidden = "linear" if recipe.hidden == "relu" else recipe.hidden
    return starts.build(
        recipe.net, dataset.shape, dataset.classes, hidden=hidden, output=recipe.output, gain=recipe.gain,
        seed=recipe.seed, device=recipe.device,
    )  # fmt: skip


def make_method(recipe: Recipe, network: Network) -> Method:
    """How this recipe finds gradients for this network."""
    if recipe.method == "eqprop":
        return EquilibriumPropagation(network, recipe)
    dtype = _DTYPES[recipe.dtype]
    if recipe.method == "bp":
        hidden = recipe.hidden if recipe.hidden == "relu" else None
        return Backprop(network, recipe.batch, hidden=hidden, dtype=dtype)
    return ThroughTime(network, sweeps=recipe.free, through=recipe.through, mode=recipe.mode, dtype=dtype)


class Trainer:
    """A network in training: `step` after `step`; after the recipe's epochs the learning rate stays 0.

    Args:
        recipe: how.
        dataset: what it is trained on.
        network: to go on with; None: a new one, by the recipe.
        samples: the training set, where it is on the device already.

    Attributes:
        samples: the training set on the device.
        network: what learns, in place.
        method: what finds its gradients.
        rates: the learning rate of each coupling, at the start.
        done: steps taken.

    Raises:
        ValueError: the recipe does not fit the data, or itself.
        UnknownNameError: there is no such activation.
    """

    def __init__(
        self, recipe: Recipe, dataset: "DataSet", *, network: Network | None = None, samples: Samples | None = None
    ) -> None:
        count = len(dataset.train_labels)
        if not 1 <= recipe.batch <= count:
            raise ValueError(f"batch={recipe.batch} does not fit {count} training samples: use 1 to {count}")
        self.recipe, self.dataset = recipe, dataset
        self.samples = samples or Samples(dataset.train_pixels, dataset.train_labels, dataset, recipe.device)
        self.steps_per_epoch = count // recipe.batch
        self.done = 0
        self.network = network or build(recipe, dataset)
        self.method = make_method(recipe, self.network)
        self.rates = _rates(recipe, self.network)
        self._parameters = self.network.parameters()
        self._gradients = [torch.empty_like(tensor) for tensor in self._parameters]
        self._velocities = [torch.zeros_like(tensor) for tensor in self._parameters]
        # Of its own: interleaved trainers leave each other's numbers alone.
        self._order = torch.Generator().manual_seed(recipe.seed)
        self._batches: Sequence[Tensor] = ()

    def step(self) -> Tensor:
        """One step of the optimizer on the next minibatch; the mean of C before it, 0-dimensional.

        Raises:
            DivergenceError: a relaxation does not settle.
            ValueError: the loss is not finite.
        """
        place = self.done % self.steps_per_epoch
        if place == 0:
            self._shuffle()
        with torch.no_grad():
            x, target = self.samples.take(self._batches[place])
            loss, _ = self.method.gradients(x, target, self._gradients)
            # Looking at a number on another device would wait for it: an epoch looks once.
            if loss.device.type == "cpu":
                self._check(float(loss))
            self._descend()
        self.done += 1
        return loss

    def epoch(self) -> float:
        """One pass over the training set, but for what is left of the last minibatch; the mean loss.

        Raises:
            DivergenceError: a relaxation does not settle.
            ValueError: the loss is not finite.
        """
        losses = torch.stack([self.step() for _ in range(self.steps_per_epoch)])
        mean = float(losses.mean())
        self._check(mean)
        return mean

    def accuracy(self) -> float:
        """The share of held-out samples that get their own class."""
        found = self.scores(self.dataset.test_pixels).argmax(1).cpu()
        return float((found == torch.from_numpy(self.dataset.test_labels)).double().mean())

    def held_out(self, count: int) -> tuple[Tensor, Tensor]:
        """The first held-out samples, at most so many: x (samples, features), y (samples, classes)."""
        pixels, labels = self.dataset.test_pixels[:count], self.dataset.test_labels[:count]
        chosen = torch.arange(len(labels), device=self.recipe.device)
        return Samples(pixels, labels, self.dataset, self.recipe.device).take(chosen)

    def scores(self, pixels: "Pixels") -> Tensor:
        """(samples, classes) for pixels (samples, height · width · channels)."""
        with torch.no_grad():
            parts = torch.split(torch.from_numpy(pixels), _EVALUATED)
            return torch.cat([self.method.scores(self.samples.scaled(part)) for part in parts])

    def _shuffle(self) -> None:
        order = torch.randperm(len(self.dataset.train_labels), generator=self._order)
        self._batches = torch.split(order.to(self.recipe.device), self.recipe.batch)

    def _descend(self) -> None:
        """One step of momentum SGD: v ← μv + g, θ ← θ − ηv."""
        falling = 0.5 * (1 + math.cos(math.pi * min(self.done / (self.recipe.epochs * self.steps_per_epoch), 1.0)))
        for number, parameter in enumerate(self._parameters):
            velocity = self._velocities[number]
            torch.add(self._gradients[number], velocity, alpha=self.recipe.momentum, out=velocity)
            parameter.add_(velocity, alpha=-falling * self.rates[number // 2])

    def _check(self, loss: float) -> None:
        if not math.isfinite(loss):
            epoch, place = divmod(self.done, self.steps_per_epoch)
            told = f"the loss is {loss} in epoch {epoch + 1}, step {place + 1}"
            raise ValueError(f"training stopped: {told}; lower learning_rate")


def _rates(recipe: Recipe, network: Network) -> tuple[float, ...]:
    if not recipe.learning_rates:
        return starts.rates(network, recipe.learning_rate)
    missing = network.layers - len(recipe.learning_rates)
    return recipe.learning_rates + recipe.learning_rates[-1:] * missing
