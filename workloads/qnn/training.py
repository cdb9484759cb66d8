"""Training with quantized forward passes, the recipe of the papers (arXiv 1602.02830, 1609.07061).

Squared hinge loss, Adam, a learning rate that falls exponentially by the epoch, weights clipped to -1 … 1 and stepped
by the learning rate times Glorot's scale; little dropout, since the bits themselves regularise. The gradient goes
straight through the quantizers to full-precision master weights, unless the recipe has none: then the optimiser moves
the quantized weights themselves, which fall back to where they were unless a step takes them half of the way to the
next value.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import torch
from torch import Tensor

from energybench.workloads import data
from energybench.workloads.qnn import _plans, _recipe, layers
from energybench.workloads.qnn._recipe import Recipe
from energybench.workloads.qnn.layers import Net

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["FALL", "Recipe", "Trained", "Trainer", "build", "forget", "train"]

FALL = 1e-2
"""The last epoch's learning rate as a share of the first's."""
_KEPT = 8
_EVALUATED = 512
"""Samples at once in an evaluation: its float64 maps stay small."""

Progress: TypeAlias = Callable[[int, float], None]
"""Told the number of epochs done and the last one's mean loss."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A trained network with its master weights, on the CPU.

    Attributes:
        model: the modules, in evaluation mode.
        dataset: what it was trained on, and the held-out samples.
        recipe: how.
        history: the mean loss of each epoch.
    """

    model: Net
    dataset: data.DataSet
    recipe: Recipe
    history: tuple[float, ...]

    def predict(self, pixels: "NDArray[np.uint8]") -> "NDArray[np.float32]":
        """Scores (samples, classes) of the fake-quantized network for pixels (samples, height * width * channels)."""
        with torch.inference_mode():
            parts = torch.split(torch.from_numpy(pixels), _EVALUATED)
            found = [self.model(self.model.values(part).double()).float() for part in parts]
            return torch.cat(found).numpy()

    def accuracy(self) -> float:
        """The share of held-out samples that get their own class."""
        found = self.predict(self.dataset.test_pixels).argmax(1)
        return float((found == self.dataset.test_labels).mean())


_kept: dict[Recipe, Trained] = {}


def train(recipe: Recipe, progress: Progress | None = None) -> Trained:
    """The trained network of a recipe, remembered: a matrix asks for the same one at many of its points.

    On the CPU it is the same, bit for bit, for the same recipe and torch, on any number of cores.

    Raises:
        ValueError: the recipe does not fit, or the loss did not stay finite.
    """
    if recipe not in _kept:
        while len(_kept) >= _KEPT:
            del _kept[next(iter(_kept))]
        _kept[recipe] = _train(recipe, progress)
    return _kept[recipe]


def forget() -> None:
    """Drop the remembered networks."""
    _kept.clear()


def _train(recipe: Recipe, progress: Progress | None) -> Trained:
    dataset = data.load(recipe.data, seed=recipe.seed)
    threads = torch.get_num_threads()
    # More threads would add up in another order: the network must not depend on the machine's cores.
    torch.set_num_threads(1)
    try:
        trainer = Trainer(build(recipe, dataset), dataset, recipe)
        history = tuple(_epochs(trainer, progress))
        return Trained(model=trainer.finished(), dataset=dataset, recipe=recipe, history=history)
    finally:
        torch.set_num_threads(threads)


def _epochs(trainer: "Trainer", progress: Progress | None) -> Iterator[float]:
    for epoch in range(trainer.recipe.epochs):
        losses = [trainer.step() for _ in range(trainer.steps_per_epoch)]
        loss = math.fsum(losses) / len(losses)
        if progress is not None:
            progress(epoch + 1, loss)
        yield loss


def build(recipe: Recipe, dataset: data.DataSet) -> Net:
    """The untrained network, on the CPU: the same first weights on every device.

    Raises:
        ValueError: the recipe does not fit the data, or itself.
    """
    _recipe.check(recipe)
    stages = _plans.plans(
        recipe.net, hidden=recipe.hidden, depth=recipe.depth, widths=recipe.widths,
        shape=dataset.shape, classes=dataset.classes, levels=dataset.levels,
    )  # fmt: skip
    random = torch.Generator().manual_seed(recipe.seed)
    return Net(stages, widths=recipe.widths, shape=dataset.shape, levels=dataset.levels, random=random)


class Trainer:
    """A network in training: `step` after `step`, epochs without end; after the recipe's the learning rate stays.

    Args:
        model: the network of `build`; it is moved to the recipe's device.
        dataset: what it is trained on.
        recipe: how.

    Raises:
        ValueError: the batch does not fit the training set.
    """

    def __init__(self, model: Net, dataset: data.DataSet, recipe: Recipe) -> None:
        samples = len(dataset.train_labels)
        # Normalisation by the batch needs two samples.
        if not 2 <= recipe.batch <= samples:
            raise ValueError(f"batch={recipe.batch} does not fit {samples} training samples: use 2 to {samples}")
        self.recipe, self.device = recipe, torch.device(recipe.device)
        self.steps_per_epoch = samples // recipe.batch
        self.done = 0
        self._model = model.to(self.device).train()
        # Of their own: interleaved trainers leave each other's numbers alone.
        self._order = torch.Generator().manual_seed(recipe.seed)
        model.seed(torch.Generator(self.device).manual_seed(recipe.seed + 1))
        self._pixels = torch.from_numpy(dataset.train_pixels).to(self.device)
        self._labels = torch.from_numpy(dataset.train_labels).to(self.device)
        self._targets = 2 * torch.eye(dataset.classes, device=self.device) - 1
        self._optimizer = torch.optim.Adam(_groups(model), lr=recipe.learning_rate, fused=True)
        if not recipe.master:
            self._settle()

    def step(self) -> float:
        """One step of the optimiser, on the next minibatch; the loss before it.

        Raises:
            ValueError: the loss is not finite.
        """
        epoch, place = divmod(self.done, self.steps_per_epoch)
        if place == 0:
            self._begin(epoch)
        chosen = self._batches[place]
        scores = self._model(self._model.values(self._pixels[chosen]).float())
        loss = (1 - self._targets[self._labels[chosen]] * scores).clamp_min(0).square().mean()
        found = float(loss.detach())
        if not math.isfinite(found):
            raise ValueError(
                f"training stopped: the loss is {found} in epoch {epoch + 1}, step {place + 1}; lower learning_rate"
            )
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        self._settle()
        self.done += 1
        return found

    def finished(self) -> Net:
        """The network, on the CPU, in evaluation mode.

        Raises:
            ValueError: a number of it is not finite.
        """
        if self.recipe.sign == "stochastic":
            # Deployed signs are not drawn: their sums are others than those that training has met.
            self._model.measure(self._model.values(part).float() for part in torch.split(self._pixels, _EVALUATED))
        model = self._model.cpu().eval()
        if not all(bool(tensor.isfinite().all()) for tensor in model.state_dict().values()):
            raise ValueError("training stopped: the last step left numbers that are not finite; lower learning_rate")
        return model

    def _begin(self, epoch: int) -> None:
        """Shuffle, and set the learning rate of an epoch, counted from 0."""
        last = max(self.recipe.epochs - 1, 1)
        rate = self.recipe.learning_rate * FALL ** min(epoch / last, 1)
        for group in self._optimizer.param_groups:
            group["lr"] = rate * group["scale"]
        order = torch.randperm(len(self._labels), generator=self._order).to(self.device)
        self._batches = torch.split(order, self.recipe.batch)

    @torch.no_grad()
    def _settle(self) -> None:
        """Keep weights where quantizers have a gradient; without a master copy, at their quantized values."""
        if self.recipe.wbits <= 8:
            for stage in self._model:
                stage.weight.clamp_(-1, 1)
        if not self.recipe.master:
            for stage in self._model:
                stage.settle()


def _groups(model: Net) -> list[dict[str, object]]:
    """Parameters by what multiplies their learning rate: few groups, since each costs the optimiser a call."""
    groups: dict[float, list[Tensor]] = {1.0: [tensor for stage in model for tensor in (stage.gamma, stage.beta)]}
    for stage in model:
        groups.setdefault(_scale(stage), []).append(stage.weight)
    return [{"params": parameters, "scale": scale} for scale, parameters in groups.items()]


def _scale(stage: layers.Stage) -> float:
    """What multiplies the learning rate of a weight: 1 over Glorot's, for weights that are drawn from -1 … 1."""
    plan = stage.plan
    if plan.wbits > 8:
        return 1.0
    taps = 9 if plan.size else 1
    return math.sqrt((plan.inputs + taps * plan.outputs) / 1.5)
