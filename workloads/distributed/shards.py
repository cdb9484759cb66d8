"""What each node has: labelled samples of its own, inputs that all have, and the test set."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from energybench.workloads import data
from energybench.workloads.distributed._recipe import Recipe

if TYPE_CHECKING:
    from numpy.typing import NDArray

HELD_OUT = 0.33


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """One node's data; inputs are (samples, features) in 0 … 1.

    Attributes:
        inputs: of its labelled samples.
        labels: theirs.
        shared: inputs that every node has, without labels.
        test_inputs: held out, the same for all.
        test_labels: theirs.
        shape: height, width and channels of an input.
        classes: how many labels there are.
    """

    inputs: Tensor
    labels: Tensor
    shared: Tensor
    test_inputs: Tensor
    test_labels: Tensor
    shape: tuple[int, int, int]
    classes: int


def load(recipe: Recipe, rank: int, *, seed: int) -> Shard:
    """The shard of a node; the seed draws the split, the same on every node.

    Raises:
        ValueError: there are not enough samples for so many nodes.
    """
    dataset = data.load(recipe.data, seed=seed, held_out=HELD_OUT)
    shards = 1 if recipe.same_shard else recipe.nodes
    wanted, there = recipe.shared + shards * recipe.labels, len(dataset.train_labels)
    if wanted > there:
        raise ValueError(
            f"{shards} nodes of {recipe.labels} labels and {recipe.shared} shared inputs need {wanted} samples, "
            f"{recipe.data} has {there} to train with; give fewer nodes, labels or shared inputs"
        )
    order = np.random.default_rng(seed).permutation(there)
    rest = order[recipe.shared :]
    chosen = _skewed(recipe, dataset.train_labels, rest, seed) if recipe.skew else _even(recipe, rest)
    mine = chosen[0 if recipe.same_shard else rank]
    device = torch.device(recipe.device)

    def inputs(pixels: "NDArray[np.uint8]") -> Tensor:
        return torch.from_numpy(pixels).float().div(dataset.levels).to(device)

    return Shard(
        inputs=inputs(dataset.train_pixels[mine]),
        labels=torch.from_numpy(dataset.train_labels[mine]).to(device),
        shared=inputs(dataset.train_pixels[order[: recipe.shared]]),
        test_inputs=inputs(dataset.test_pixels),
        test_labels=torch.from_numpy(dataset.test_labels).to(device),
        shape=dataset.shape,
        classes=dataset.classes,
    )


def _even(recipe: Recipe, rest: "NDArray[np.int64]") -> "list[NDArray[np.int64]]":
    shards = 1 if recipe.same_shard else recipe.nodes
    return [rest[rank * recipe.labels : (rank + 1) * recipe.labels] for rank in range(shards)]


def _skewed(
    recipe: Recipe, labels: "NDArray[np.int64]", rest: "NDArray[np.int64]", seed: int
) -> "list[NDArray[np.int64]]":
    """Each node's labels follow a Dirichlet draw of its own (Hsu et al., arXiv 1909.06335, section 3)."""
    draw = np.random.default_rng([seed, 1])
    shards: list[NDArray[np.int64]] = []
    for _ in range(recipe.nodes):
        weights = draw.dirichlet([recipe.skew] * (int(labels.max()) + 1))[labels[rest]] + 1e-9
        mine = draw.choice(rest, recipe.labels, replace=False, p=weights / weights.sum())
        shards.append(mine)
        rest = np.setdiff1d(rest, mine)
    return shards
