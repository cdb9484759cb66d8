"""First weights from which a network settles, and learning rates by which it stays so, whatever its layers.

Glorot's range makes a pair of layers amplify each other: between 128 units and 10 the largest singular value of the
weights is about 1.7, the hidden units run into their ends, and the output is far off. Half of it settles. The first
coupling takes no part in that, for nothing flows back into the input: where it is a convolution, whose filters share
few inputs among many outputs, it has He's range (He et al. 2015, arXiv 1502.01852, eq. 10, uniform), a convolution
above it half of that, and so on; a dense coupling on maps has a quarter.

A dense coupling of N inputs learns stably at rates below about 3.8/(N·⟨s²⟩) with a momentum of 0.9. On maps, N is large
and few states are 0: there the rate is held below half of that.
"""

import math

from torch import Tensor

from energybench.workloads.eqprop import network as networks
from energybench.workloads.eqprop.network import Network

_DENSE, _ON_MAPS = 0.5, 0.25
# With ⟨s²⟩ of about 0.15.
_MOST = 12.8


def build(
    net: str, shape: tuple[int, int, int], classes: int, *, hidden: str, output: str, gain: float | None, seed: int,
    device: str,
) -> Network:  # fmt: skip
    """The network of this line, as `network.build` makes it, with such first weights where `gain` is None."""
    made = networks.build(
        net, shape=shape, classes=classes, hidden=hidden, output=output, gain=_DENSE if gain is None else gain,
        seed=seed, device=device,
    )  # fmt: skip
    if gain is None:
        for layer, coupling in enumerate(made.couplings):
            if len(coupling.inputs) == 3:
                wanted = _he(coupling.weight) * (2**-layer if coupling.weight.dim() == 4 else _ON_MAPS)
                coupling.weight.mul_(wanted / (_DENSE * _glorot(coupling.weight)))
    return made


def rates(network: Network, first: float) -> tuple[float, ...]:
    """A learning rate for each coupling: `first`, and half of it for each one above, on maps at most 12.8/inputs."""
    halved = [first / 2**layer for layer in range(network.layers)]
    for layer, coupling in enumerate(network.couplings):
        if coupling.weight.dim() == 2 and len(coupling.inputs) == 3:
            halved[layer] = min(halved[layer], _MOST / coupling.weight.shape[0])
    return tuple(halved)


def _fans(weight: Tensor) -> tuple[int, int]:
    """Fan-in and fan-out of (units below, units above) or of filters."""
    if weight.dim() == 2:
        return weight.shape[0], weight.shape[1]
    taps = math.prod(weight.shape[2:])
    return weight.shape[1] * taps, weight.shape[0] * taps


def _glorot(weight: Tensor) -> float:
    return math.sqrt(6 / sum(_fans(weight)))


def _he(weight: Tensor) -> float:
    return math.sqrt(6 / _fans(weight)[0])
