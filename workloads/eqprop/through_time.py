"""Backpropagation through the relaxation itself, by autograd: what equilibrium propagation is held against.

The free phase is unrolled from states of zero, and C at its end is differentiated through every sweep, as in Ernoult
et al. 2019 (arXiv 1905.13633, §2). The tape holds every state of every sweep that is differentiated, so memory grows
with their number, and stays that way here: it is a baseline.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from energybench.workloads.eqprop.activations import Activation
from energybench.workloads.eqprop.backprop import Pass
from energybench.workloads.eqprop.convolution import ConvPool
from energybench.workloads.eqprop.coupling import Coupling, flat
from energybench.workloads.eqprop.network import Network

MODES = ("async", "sync")


class ThroughTime:
    """Gradients of the mean of C after a free phase of so many sweeps, through the last of them.

    Args:
        network: its couplings and activations.
        sweeps: of the free phase.
        through: how many of its last sweeps are differentiated; 0 is all.
        mode: `async` (layers 1, 3, … then 2, 4, …) or `sync`.
        dtype: of states and of the weights that multiply them; None is the network's own.

    Raises:
        ValueError: these do not fit.
    """

    def __init__(
        self, network: Network, *, sweeps: int, through: int = 0, mode: str = "async", dtype: torch.dtype | None = None
    ) -> None:
        if sweeps < 1:
            raise ValueError(f"free={sweeps} does not fit: a free phase has 1 sweep or more")
        if not 0 <= through <= sweeps:
            raise ValueError(f"through={through} does not fit a free phase of {sweeps} sweeps: use 0 (all) to {sweeps}")
        if mode not in MODES:
            raise ValueError(f"mode={mode} is not differentiated: choose from {', '.join(MODES)}")
        self.network = network
        self._sweeps, self._through, self._mode = sweeps, through or sweeps, mode
        self._dtype = dtype or network.dtype

    def gradients(self, x: Tensor, target: Tensor, into: Sequence[Tensor]) -> Pass:
        """Fill `into`, one for each of `network.parameters()`, with the gradient of the mean of C.

        Args:
            x: (batch, features) or (batch, channels, height, width).
            target: (batch, classes), one-hot.
            into: overwritten.
        """
        leaves = [tensor.detach().requires_grad_() for tensor in self.network.parameters()]
        with torch.enable_grad():
            output = self._settled(x, leaves)[-1]
            loss = 0.5 * (output - target).square().sum() / len(x)
        for room, found in zip(into, torch.autograd.grad(loss, leaves, materialize_grads=True), strict=True):
            room.copy_(found)
        correct = (output.detach().argmax(1) == target.argmax(1)).sum()
        return loss.detach(), correct

    def scores(self, x: Tensor) -> Tensor:
        """States of the output after the free phase, (samples, classes)."""
        return self.settled(x)[-1]

    def settled(self, x: Tensor) -> list[Tensor]:
        """The states after the free phase, without a tape."""
        with torch.no_grad():
            return self._settled(x, self.network.parameters())

    def _settled(self, x: Tensor, parameters: Sequence[Tensor]) -> list[Tensor]:
        weights = [tensor.to(self._dtype) for tensor in parameters]
        unrolled = _Unrolled(self.network, weights, self.network.arrange(x).to(self._dtype))
        sweep = unrolled.one_by_one if self._mode == "async" else unrolled.all_at_once
        for left in range(self._sweeps, 0, -1):
            with torch.set_grad_enabled(torch.is_grad_enabled() and left <= self._through):
                sweep()
        return unrolled.states


class _Unrolled:
    """States that are replaced, never written over, so that a tape can hold them."""

    def __init__(self, network: Network, weights: Sequence[Tensor], x: Tensor) -> None:
        self._couplings, self._activations, self._weights = network.couplings, network.activations, weights
        # Where the maxima of each pooling were when its layer above was last updated.
        self._places: list[Tensor | None] = [None] * network.layers
        self.states = [x.new_zeros((len(x), *shape)) for shape in network.shapes]
        self._input_drive = self._up(0, x)

    def one_by_one(self) -> None:
        for first in (0, 1):
            for layer in range(first, len(self.states), 2):
                self.states[layer] = self._updated(layer)

    def all_at_once(self) -> None:
        # Upwards first: the places that `down` needs are those of the same old states.
        ups = [self._input_drive, *(self._up(layer, self.states[layer - 1]) for layer in range(1, len(self.states)))]
        self.states = [
            _rho(one, up + self._down(n)) for n, (one, up) in enumerate(zip(self._activations, ups, strict=True))
        ]

    def _updated(self, layer: int) -> Tensor:
        up = self._up(layer, self.states[layer - 1]) if layer else self._input_drive
        return _rho(self._activations[layer], up + self._down(layer))

    def _up(self, layer: int, below: Tensor) -> Tensor:
        coupling, (weight, bias) = self._couplings[layer], self._weights[2 * layer : 2 * layer + 2]
        if not isinstance(coupling, ConvPool):
            return torch.addmm(bias, flat(below), weight)
        found, self._places[layer] = coupling.lifted(below, weight, bias)
        return found

    def _down(self, layer: int) -> Tensor | float:
        """The drive of a layer from the one above it."""
        above = layer + 1
        if above == len(self.states):
            return 0.0
        coupling, weight, state = self._couplings[above], self._weights[2 * above], self.states[above]
        if isinstance(coupling, ConvPool):
            places = self._places[above]
            # Before the first update of the layer above, its states are all zero.
            return 0.0 if places is None else coupling.lowered(state, weight, places)
        return _stacked(state @ weight.t(), coupling)


def _stacked(drive: Tensor, coupling: Coupling) -> Tensor:
    """(batch, units) in the shape of the layer below, whose maps are flattened by row, column, channel."""
    if len(coupling.inputs) == 1:
        return drive
    channels, height, width = coupling.inputs
    return drive.view(len(drive), height, width, channels).permute(0, 3, 1, 2)


def _rho(unit: Activation, drive: Tensor) -> Tensor:
    """ρ, out of place."""
    match unit.name:
        case "hard-sigmoid":
            return drive.clamp(0.0, 1.0)
        case "sigmoid":
            return torch.sigmoid(4 * (drive - 0.5))
        case "tanh":
            return torch.tanh(drive)
        case _:
            return drive
