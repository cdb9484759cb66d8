"""One data set, split and shuffled by each of several seeds."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from energybench.workloads import data


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """One data set, split and shuffled by each of several seeds.

    Attributes:
        levels: the largest pixel value.
        classes: how many labels there are.
        train_pixels: (seeds, samples, features), uint8.
        train_labels: (seeds, samples).
        test_pixels: held out.
        test_labels: held out.
    """

    levels: int
    classes: int
    train_pixels: Tensor
    train_labels: Tensor
    test_pixels: Tensor
    test_labels: Tensor


def load(name: str, seeds: Sequence[int]) -> tuple[Samples, data.DataSet]:
    """The samples of each seed, and the first seed's set, which says what they are."""
    sets = [data.load(name, seed=seed) for seed in seeds]
    first = sets[0]
    stacked = {
        part: torch.stack([torch.from_numpy(getattr(one, part)) for one in sets])
        for part in ("train_pixels", "train_labels", "test_pixels", "test_labels")
    }
    return Samples(levels=first.levels, classes=first.classes, **stacked), first
