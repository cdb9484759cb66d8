"""What decides a trained network."""

import math
from dataclasses import dataclass

import torch

from energybench.workloads.qnn import bits
from energybench.workloads.qnn._plans import Widths

SIGNS = ("deterministic", "stochastic")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What decides the trained network, all of it.

    Attributes:
        data: name or folder of the data set; it is split by `seed`.
        net: "mlp" or "vgg".
        hidden: features of each hidden layer, or channels of the first block.
        depth: hidden layers, or blocks of two convolutions.
        wbits: bits of weights.
        abits: bits of activations.
        gbits: bits of the gradients of hidden layers' sums; 32 leaves them.
        sign: how weights and activations of 1 bit are found in training: "deterministic" or "stochastic".
        master: whether the optimiser moves full-precision copies of the weights.
        epochs: passes over the training set.
        batch: samples a step; the last, smaller batch of an epoch is left out.
        learning_rate: Adam's in the first epoch.
        seed: of the split, the first weights, the order of the samples and all noise.
        device: "cpu" or "cuda".
    """

    data: str = "digits"
    net: str = "mlp"
    hidden: int = 256
    depth: int = 2
    wbits: int = 1
    abits: int = 1
    gbits: int = 32
    sign: str = "deterministic"
    master: bool = True
    epochs: int = 60
    batch: int = 64
    learning_rate: float = 3e-3
    seed: int = 0
    device: str = "cpu"

    @property
    def widths(self) -> Widths:
        """The bits, as the layers take them."""
        return Widths(
            weights=self.wbits, activations=self.abits, gradients=self.gbits, stochastic=self.sign == "stochastic"
        )


def check(recipe: Recipe) -> None:
    """See that a recipe can be followed here.

    Raises:
        ValueError: it cannot; the message has the field, and what fits.
    """
    for name in ("hidden", "depth", "epochs"):
        if getattr(recipe, name) < 1:
            raise ValueError(f"{name}={getattr(recipe, name)} does not fit: it is 1 or more")
    for name in ("wbits", "abits", "gbits"):
        if getattr(recipe, name) not in bits.WIDTHS:
            offered = ", ".join(map(str, bits.WIDTHS))
            raise ValueError(f"{name}={getattr(recipe, name)} is not offered: choose from {offered}")
    if recipe.sign not in SIGNS:
        raise ValueError(f"sign={recipe.sign} is not offered: choose from {', '.join(SIGNS)}")
    if not (math.isfinite(recipe.learning_rate) and recipe.learning_rate > 0):
        raise ValueError(f"learning_rate={recipe.learning_rate} does not fit: it is above 0")
    if recipe.device.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError("device=cuda: torch finds no CUDA device here; use device=cpu, or a torch built for CUDA")
