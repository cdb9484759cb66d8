"""Training of the network that the precisions share: an MLP in fp32, the same for the same seed."""

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from energybench.workloads import data

BATCH = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What decides the trained network, all of it."""

    data: str
    hidden: int
    depth: int
    seed: int
    epochs: int
    learning_rate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A trained network, in fp32.

    Attributes:
        layers: weight (outputs, inputs) and bias of each linear layer; ReLU stands between them.
        reach: the largest value that each layer's input took over the training set.
        dataset: what it was trained on; pixels are divided by their levels.
    """

    layers: tuple[tuple[Tensor, Tensor], ...]
    reach: tuple[float, ...]
    dataset: data.DataSet

    @property
    def widths(self) -> tuple[int, ...]:
        """The number of features in front of, between and behind the layers."""
        return (self.layers[0][0].shape[1], *(weight.shape[0] for weight, _ in self.layers))


# Every precision of one comparison is exported from the same network; a matrix asks for it once a point.
@lru_cache(maxsize=4)
def train(recipe: Recipe) -> Trained:
    """The network of a recipe. Raises ValueError where the loss does not stay finite."""
    threads = torch.get_num_threads()
    # More threads would add up in another order: the network must not depend on the machine's cores.
    torch.set_num_threads(1)
    try:
        return _train(recipe)
    finally:
        torch.set_num_threads(threads)


def _train(recipe: Recipe) -> Trained:
    dataset = data.load(recipe.data, seed=recipe.seed)
    random = torch.Generator().manual_seed(recipe.seed)
    pixels = torch.from_numpy(dataset.train_pixels).float() / dataset.levels
    labels = torch.from_numpy(dataset.train_labels)
    widths = (dataset.features, *[recipe.hidden] * recipe.depth, dataset.classes)
    layers = [_initial(inputs, outputs, random) for inputs, outputs in pairwise(widths)]
    optimizer = torch.optim.Adam([t for layer in layers for t in layer], lr=recipe.learning_rate, fused=True)
    steps = recipe.epochs * -(-len(labels) // BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)
    for epoch in range(1, recipe.epochs + 1):
        _epoch(epoch, layers, pixels, labels, optimizer, schedule, random)
    final = tuple((weight.detach(), bias.detach()) for weight, bias in layers)
    return Trained(layers=final, reach=_reach(final, pixels), dataset=dataset)


def _initial(inputs: int, outputs: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """He's initialisation for layers behind a ReLU (arXiv 1502.01852)."""
    weight = torch.randn(outputs, inputs, generator=random) * (2 / inputs) ** 0.5
    return weight.requires_grad_(), torch.zeros(outputs, requires_grad=True)


def _epoch(
    epoch: int,
    layers: list[tuple[Tensor, Tensor]],
    pixels: Tensor,
    labels: Tensor,
    optimizer: torch.optim.Optimizer,
    schedule: Any,
    random: torch.Generator,
) -> None:
    for chosen in torch.randperm(len(labels), generator=random).split(BATCH):  # type: ignore[no-untyped-call]
        loss = functional.cross_entropy(_forward(layers, pixels[chosen]), labels[chosen])
        if not torch.isfinite(loss):
            raise ValueError(f"training stopped: the loss is {loss.item()} in epoch {epoch}; lower learning_rate")
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()


def _forward(layers: list[tuple[Tensor, Tensor]], inputs: Tensor) -> Tensor:
    *hidden, last = layers
    for weight, bias in hidden:
        inputs = functional.linear(inputs, weight, bias).relu()
    return functional.linear(inputs, *last)


@torch.inference_mode()
def _reach(layers: tuple[tuple[Tensor, Tensor], ...], pixels: Tensor) -> tuple[float, ...]:
    reach = []
    for weight, bias in layers:
        reach.append(float(pixels.max()))
        pixels = functional.linear(pixels, weight, bias).relu()
    return tuple(reach)
