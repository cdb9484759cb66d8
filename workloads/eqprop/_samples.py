"""Pictures and labels on a device, as a network takes them."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from energybench.workloads.data import DataSet, Labels, Pixels


class Samples:
    """Pictures and labels on a device, given out as numbers in 0 … 1 and one-hot targets."""

    def __init__(self, pixels: "Pixels", labels: "Labels", dataset: "DataSet", device: str) -> None:
        self._pixels = torch.from_numpy(pixels).to(device)
        self._targets = torch.eye(dataset.classes, device=device)[torch.from_numpy(labels).to(device)]
        self._scale = 1 / dataset.levels

    def take(self, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """The samples at these places: x (samples, features), y (samples, classes)."""
        return self.scaled(self._pixels.index_select(0, chosen)), self._targets.index_select(0, chosen)

    def scaled(self, pixels: Tensor) -> Tensor:
        """Pixels in 0 … 1, (samples, features), on the device."""
        return pixels.to(self._targets.device, torch.float32).mul_(self._scale)
