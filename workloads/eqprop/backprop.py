"""Backpropagation through the feed-forward network of the same couplings, in closed form: the baseline.

s_l = ρ(b_l + s_{l−1}W_l), C = ½‖s_L − y‖², δ_L = (s_L − y)ρ', δ_l = (W_{l+1}δ_{l+1})ρ' (Rumelhart, Hinton & Williams
1986): the passes are written out, as those of equilibrium propagation are, so that neither pays for a tape.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from energybench.workloads.eqprop.activations import activation
from energybench.workloads.eqprop.convolution import ConvPool
from energybench.workloads.eqprop.coupling import Coupling, Dense, flat
from energybench.workloads.eqprop.network import Network

_aten = torch.ops.aten


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """An activation as backpropagation needs it, both in place.

    Attributes:
        apply_: ρ, of the drive.
        slope_: multiplies an error (batch, …) by ρ', given the states.
    """

    apply_: Callable[[Tensor], Tensor]
    slope_: Callable[[Tensor, Tensor], Tensor]


Pass: TypeAlias = tuple[Tensor, Tensor]
"""The mean of C over the batch, and how many samples got their own class; both 0-dimensional, on the device."""


class Backprop:
    """Gradients of the mean of C by backpropagation, into rooms that are kept from one batch to the next.

    Args:
        network: couplings and output activation are its own.
        batch: the most samples of one pass.
        hidden: activation of the hidden layers: `relu`, or None for the network's own.
        dtype: of states, errors and the weights that multiply them; master weights and gradients stay what they are.

    Raises:
        UnknownNameError: there is no such activation.
    """

    def __init__(
        self, network: Network, batch: int, *, hidden: str | None = None, dtype: torch.dtype | None = None
    ) -> None:
        self.network, self._batch = network, batch
        self._dtype = dtype or network.dtype
        names = [hidden or one.name for one in network.activations[:-1]] + [network.activations[-1].name]
        self._units = [unit(name) for name in names]
        self._states = [self._room(batch, shape) for shape in network.shapes]
        self._errors = [self._room(batch, shape) for shape in network.shapes]
        self._working: list[Coupling] = network.couplings

    def gradients(self, x: Tensor, target: Tensor, into: Sequence[Tensor]) -> Pass:
        """Fill `into`, one for each of `network.parameters()`, with the gradient of the mean of C.

        Args:
            x: (batch, features) or (batch, channels, height, width).
            target: (batch, classes), one-hot.
            into: overwritten.
        """
        states = self._forward(x)
        error = torch.sub(states[-1], target, out=self._rooms(self._errors, len(x))[-1])
        loss = error.float().square().sum() / (2 * len(x))
        correct = (states[-1].argmax(1) == target.argmax(1)).sum()
        # Errors are linear in this one: the mean is taken once, here.
        error.mul_(1 / len(x))
        self._backward(x, states, into)
        return loss, correct

    def scores(self, x: Tensor) -> Tensor:
        """States of the output, (samples, classes), for any number of samples."""
        return torch.cat([self._forward(part)[-1].clone() for part in torch.split(x, self._batch)])

    def _forward(self, x: Tensor) -> list[Tensor]:
        if self._dtype != self.network.dtype:
            self._working = [one.to(self._dtype, self.network.device) for one in self.network.couplings]
        states = self._rooms(self._states, len(x))
        below = self.network.arrange(x).to(self._dtype)
        for coupling, one, state in zip(self._working, self._units, states, strict=True):
            one.apply_(coupling.up(below, state))
            below = state
        return states

    def _backward(self, x: Tensor, states: list[Tensor], into: Sequence[Tensor]) -> None:
        errors = self._rooms(self._errors, len(x))
        for layer in reversed(range(len(states))):
            coupling, error = self._working[layer], self._units[layer].slope_(errors[layer], states[layer])
            below = states[layer - 1] if layer else self.network.arrange(x).to(self._dtype)
            _gradient(coupling, below, error, into[2 * layer], into[2 * layer + 1])
            if layer:
                _down(coupling, error, errors[layer - 1])

    def _room(self, batch: int, shape: tuple[int, ...]) -> Tensor:
        room = torch.empty((batch, *shape), dtype=self._dtype, device=self.network.device)
        return room.contiguous(memory_format=torch.channels_last) if len(shape) == 3 else room

    @staticmethod
    def _rooms(rooms: list[Tensor], batch: int) -> list[Tensor]:
        return [room[:batch] for room in rooms]


def unit(name: str) -> Unit:
    """The activation of that name: those of the energy, and `relu`.

    Raises:
        UnknownNameError: there is none; the message has the nearest name, or all.
    """
    if name == "relu":
        return Unit(apply_=torch.relu_, slope_=_relu_)
    return Unit(apply_=activation(name).apply_, slope_=_SLOPES[name])


def _relu_(error: Tensor, state: Tensor) -> Tensor:
    _aten.threshold_backward.grad_input(error, state, 0.0, grad_input=error)
    return error


def _box_(error: Tensor, state: Tensor) -> Tensor:
    """A hard-sigmoid passes an error where it is strictly inside its box."""
    _aten.hardtanh_backward.grad_input(error, state, 0.0, 1.0, grad_input=error)
    return error


def _sigmoid_(error: Tensor, state: Tensor) -> Tensor:
    """ρ' = 4s(1 − s)."""
    _aten.sigmoid_backward.grad_input(error, state, grad_input=error)
    return error.mul_(4.0)


def _tanh_(error: Tensor, state: Tensor) -> Tensor:
    _aten.tanh_backward.grad_input(error, state, grad_input=error)
    return error


def _same_(error: Tensor, state: Tensor) -> Tensor:  # noqa: ARG001 - ρ' is 1 whatever the state
    return error


_SLOPES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "hard-sigmoid": _box_, "sigmoid": _sigmoid_, "tanh": _tanh_, "linear": _same_,
}  # fmt: skip


def _gradient(coupling: Coupling, below: Tensor, error: Tensor, weight: Tensor, bias: Tensor) -> None:
    """∂C/∂W and ∂C/∂b into `weight` and `bias`."""
    if isinstance(coupling, Dense) and error.dtype == weight.dtype:
        # Written, not added: the rooms need no zeros.
        torch.mm(flat(below).t(), error, out=weight)
        torch.sum(error, 0, out=bias)
        return
    low = [torch.zeros_like(room, dtype=error.dtype) for room in (weight, bias)]
    # The forward pass has just found the places of the maxima.
    found = coupling.product if isinstance(coupling, ConvPool) else coupling.gradient
    found(below, error, scale=1.0, weight=low[0], bias=low[1])
    weight.copy_(low[0])
    bias.copy_(low[1])


def _down(coupling: Coupling, error: Tensor, out: Tensor) -> None:
    """Errors of the layer below, but for ρ', into `out`."""
    if isinstance(coupling, Dense):
        torch.mm(error, coupling.weight.t(), out=flat(out))
    else:
        coupling.down(error, out.zero_())
