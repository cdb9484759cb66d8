"""The energy of a layered network, and the total that a nudged phase minimises.

Scellier & Bengio 2017 (arXiv 1602.05179), eqs. 1 to 4, in the primitive-function form of Hopfield 1984: with the input
s₀ = x held fixed,

    E(s) = Σ_l Σ_i G(s_l,i) − Σ_l Φ_l(s_{l−1}, s_l),     C = ½‖s_L − y‖²,     F = E + β·C.

The drive of a layer, u_l = −∂(E − ΣG)/∂s_l = b_l + s_{l−1}W_l + W_{l+1}s_{l+1}, is what `relaxation` computes; these
functions are the definition that it is held against. All of them are differentiable.
"""

from collections.abc import Sequence

from torch import Tensor

from energybench.workloads.eqprop.activations import Beta
from energybench.workloads.eqprop.network import Network


def internal(network: Network, states: Sequence[Tensor], x: Tensor) -> Tensor:
    """E of each sample, (batch,); `x` is (batch, features) or (batch, channels, height, width)."""
    energy = x.new_zeros(len(x), dtype=states[0].dtype)
    below = network.arrange(x).to(states[0].dtype)
    for coupling, unit, state in zip(network.couplings, network.activations, states, strict=True):
        energy = energy + unit.potential(state).flatten(1).sum(1) - coupling.term(below, state)
        below = state
    return energy


def external(output: Tensor, target: Tensor) -> Tensor:
    """C = ½‖s_L − y‖² of each sample, (batch,)."""
    return 0.5 * (output - target).square().sum(1)


def total(
    network: Network, states: Sequence[Tensor], x: Tensor, *, beta: Beta = 0.0, target: Tensor | None = None
) -> Tensor:
    """F = E + β·C of each sample, (batch,); without a target, E."""
    energy = internal(network, states, x)
    if target is None:
        return energy
    strength = beta if isinstance(beta, float | int) else beta.flatten()
    return energy + strength * external(states[-1], target)
