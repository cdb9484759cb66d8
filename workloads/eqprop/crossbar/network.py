"""Networks on crossbars: relaxation through what the devices are, and a plain pass forward.

One object holds one network on each of several devices, so that a sweep of all of them is one batched product. Units
are hard-sigmoid, outputs linear with the exact nudge (u + βy)/(1 + β); a sweep is asynchronous: layers 1, 3, … from
their neighbours, then layers 2, 4, … The slopes of the units are folded into the couplings when these are programmed.
"""

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor

from energybench.workloads.eqprop.activations import ACTIVATIONS
from energybench.workloads.eqprop.crossbar.device import Devices, limit

_HIDDEN, _OUTPUT = ACTIVATIONS["hard-sigmoid"], ACTIVATIONS["linear"]


class Crossbars:
    """Networks of one architecture, one on each device.

    Args:
        devices: what they run on.
        weights: couplings (devices, below, above) by layer, owned from here on.
        biases: (devices, 1, above) by layer, owned from here on.
    """

    def __init__(self, devices: Devices, weights: Sequence[Tensor], biases: Sequence[Tensor]) -> None:
        self.devices, self.weights, self.biases = devices, list(weights), list(biases)
        self.layers = len(self.weights)

    def program(self) -> None:
        """Let the physics see the present couplings and biases; needed after each change of them."""
        devices, weights = self.devices, self.weights
        felt = [devices.forward(layer, weight) for layer, weight in enumerate(weights)]
        slopes = [devices.slope(layer) for layer in range(self.layers)]
        self._up = [couplings * slope for couplings, slope in zip(felt, slopes, strict=True)]
        self._constant = [
            torch.addcmul(devices.shift(layer), bias, slopes[layer]) for layer, bias in enumerate(self.biases)
        ]
        self.transposed = [
            devices.backward(layer, weights[layer]).transpose(1, 2).contiguous() for layer in range(1, self.layers)
        ]
        """Raw transposed reads (devices, above, below) of layers 2, 3, …"""
        self._down = [reads * slope for reads, slope in zip(self.transposed, slopes[:-1], strict=True)]

    def clamp(self, inputs: Tensor) -> Tensor:
        """The drive (devices, samples, units) of inputs (devices, samples, features), the only such product."""
        return torch.baddbmm(self._constant[0], inputs, self._up[0])

    def rest(self, samples: int) -> list[Tensor]:
        """States (devices, samples, units) of layers 1, 2, … at 0."""
        return [torch.zeros(self.devices.count, samples, bias.shape[2]) for bias in self.biases]

    def settle(
        self,
        states: list[Tensor],
        drive: Tensor,
        sweeps: int,
        *,
        beta: Tensor | None = None,
        target: Tensor | None = None,
    ) -> None:
        """Relax states in place.

        Args:
            states: of layers 1, 2, … (devices, samples, units).
            drive: of the clamped inputs, from `clamp`.
            sweeps: how many.
            beta: of the nudge (devices, samples, 1), above -1; None in a free phase.
            target: y (devices, samples, classes).
        """
        order = [*range(0, self.layers, 2), *range(1, self.layers, 2)]
        for _ in range(sweeps):
            for layer in order:
                self._update(states, drive, layer)
                if layer < self.layers - 1:
                    _HIDDEN.apply_(states[layer])
                elif beta is not None and target is not None:
                    _OUTPUT.nudge_(states[layer], target, beta)

    def forward(self, inputs: Tensor) -> list[Tensor]:
        """Measured activations (devices, samples, units) of layers 1, 2, … of one pass without feedback."""
        found, below = [], inputs
        for layer in range(self.layers):
            drive = torch.baddbmm(self._constant[layer], below, self._up[layer])
            self._read_(drive, layer)
            below = _HIDDEN.apply_(drive) if layer < self.layers - 1 else drive
            found.append(below)
        return found

    def _update(self, states: list[Tensor], drive: Tensor, layer: int) -> None:
        """Write a layer's drive over its state, which no drive of its own depends on."""
        own = states[layer]
        below = drive
        if layer:
            below = torch.baddbmm(self._constant[layer], states[layer - 1], self._up[layer], out=own)
        if layer < self.layers - 1:
            torch.baddbmm(below, states[layer + 1], self._down[layer], out=own)
        elif layer == 0:
            own.copy_(drive)
        self._read_(own, layer)

    def _read_(self, drive: Tensor, layer: int) -> None:
        if self.devices.noisy:
            # Noise is on the drive, before the unit's slope.
            self.devices.noise_(drive, self.devices.slope(layer))


def fresh(devices: Devices, seeds: Sequence[int]) -> Crossbars:
    """Untrained networks, each drawn by its seed: Glorot's uniform couplings, scaled by `START`, and no biases.

    Where couplings move by pulses, they start at the nearest levels.
    """
    sizes = list(itertools.pairwise(devices.sizes))
    weights = [torch.empty(devices.count, below, above) for below, above in sizes]
    for place, seed in enumerate(seeds):
        random = torch.Generator().manual_seed(seed)
        for weight, (below, above) in zip(weights, sizes, strict=True):
            weight[place].uniform_(-limit(below, above), limit(below, above), generator=random)
    weights = [devices.placed(weight) for weight in weights]
    return Crossbars(devices, weights, [torch.zeros(devices.count, 1, above) for _, above in sizes])
