"""Gradients of the loss from free and nudged phases.

With θ the weights and biases, and s(β) the minimum of F = E + β·C (Scellier & Bengio 2017, theorem 1; Laborieux et al.
2021, §3; for any potential Scellier et al. 2023):

    one-sided      [∂F/∂θ(s(β)) − ∂F/∂θ(s(0))] / β,  β > 0          off by O(β)
    random-sign    the same, β or −β by lot for each minibatch         off by O(β), of mean O(β²)
    centered       [∂F/∂θ(s(β)) − ∂F/∂θ(s(−β))] / 2β                  off by O(β²)

and ∂F/∂W_l = −s_{l−1} ⊗ s_l, ∂F/∂b_l = −s_l. The gradient is that of the mean of C = ½‖s_L − y‖² over the batch.
Repositories differ in C or ½C, that is in β.
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from energybench.workloads.eqprop._deviation import Kind
from energybench.workloads.eqprop.activations import Beta
from energybench.workloads.eqprop.coupling import Dense
from energybench.workloads.eqprop.network import Network
from energybench.workloads.eqprop.relaxation import Relaxation, Settled

__all__ = ["ESTIMATORS", "Estimate", "Estimator", "check", "estimate"]

Estimator = Literal["centered", "one-sided", "random-sign"]
ESTIMATORS: tuple[Estimator, ...] = ("centered", "one-sided", "random-sign")


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A gradient and how it was found.

    Attributes:
        gradients: of the mean loss, in the order of `Network.parameters`.
        free: the free phase.
        nudged: the nudged phase; of a centered estimate, the rows of +β and below them those of −β.
        loss: mean of ½‖s_L − y‖² at the end of the free phase.
        correct: how many samples have their largest output at the target, there.
    """

    gradients: list[Tensor]
    free: Settled
    nudged: Settled
    loss: float
    correct: int


def check(estimator: str, beta: float) -> None:
    """Refuse what has no gradient.

    Raises:
        ValueError: there is no such estimator; β is 0, negative, or too large to be taken negative.
    """
    if estimator not in ESTIMATORS:
        raise ValueError(f"there is no estimator {estimator!r}: there are {', '.join(ESTIMATORS)}")
    if not math.isfinite(beta):
        raise ValueError(f"beta={beta} is no number: give one above 0, such as 0.2")
    if beta == 0:
        raise ValueError("beta=0 does not nudge: give one above 0, such as 0.2")
    if not beta > 0:
        raise ValueError(f"beta={beta:g} has the wrong sign: give {abs(beta):g}, random-sign and centered negate it")
    if estimator != "one-sided" and beta >= 1:
        raise ValueError(f"beta={beta:g} leaves the output nudged by -beta without a minimum: give one below 1")


def estimate(
    relaxation: Relaxation,
    x: Tensor,
    target: Tensor,
    *,
    beta: float,
    free: int,
    nudged: int,
    estimator: Estimator = "centered",
    tolerance: float | None = None,
    deviation: bool = False,
    dtype: Kind = "float32",
    into: list[Tensor] | None = None,
    generator: torch.Generator | None = None,
    watch: bool = True,
    trace: bool = False,
) -> Estimate:
    """Run the phases on a batch and estimate the gradient.

    Args:
        relaxation: the network with room for the batch. Its own dtype is that of phases without `deviation`.
        x: (samples, features), pixels in 0 … 1.
        target: (samples, classes), one-hot.
        beta: strength of the nudge, above 0; below 1 where it is negated too.
        free: sweeps of the free phase, with a tolerance the most.
        nudged: sweeps of each nudged phase, likewise.
        estimator: `centered`, `one-sided` or `random-sign`.
        tolerance: of each phase, as in `Relaxation.settle`.
        deviation: nudged phases in deviations from the free states, whose products may then be short numbers.
        dtype: of those products: float32, bfloat16 or int8; only with `deviation`.
        into: overwritten with the gradients, instead of new tensors.
        generator: of the sign of `random-sign`; None: torch's own.
        watch: look at residuals of phases of fixed length, as in `Relaxation.settle`.
        trace: note each sweep of both phases.

    Raises:
        ValueError: β does not fit; deviations are asked of a network with pooling, or a dtype without them.
        DivergenceError: a phase does not settle.
    """
    check(estimator, beta)
    if not deviation and dtype != "float32":
        raise ValueError(f"dtype={dtype} is of deviations: ask for deviation=True, or give the relaxation a dtype")
    with torch.no_grad():
        relaxation.clamp(x)
        target = target.to(relaxation.dtype)
        ended = relaxation.settle(free, tolerance=tolerance, watch=watch, trace=trace)
        loss, correct = _told(relaxation.states[-1], target)
        betas = tuple(sign * beta for sign in _signs(estimator, generator))
        before = None if len(betas) > 1 else [state.clone() for state in relaxation.states]
        pulled = relaxation.follow(len(betas), dtype if deviation else None)
        strength, targets = _strengths(betas, target)
        settled = pulled.settle(nudged, tolerance=tolerance, beta=strength, target=targets, watch=watch, trace=trace)
        phases = _phases(pulled, before, betas, relaxation.network.dtype)
        gradients = _contrast(relaxation.network, x, phases, into)
    return Estimate(gradients=gradients, free=ended, nudged=settled, loss=loss, correct=correct)


def _signs(estimator: Estimator, generator: torch.Generator | None) -> list[float]:
    if estimator == "centered":
        return [1.0, -1.0]
    if estimator == "one-sided":
        return [1.0]
    return [1.0 if int(torch.randint(2, (), generator=generator)) else -1.0]


def _told(output: Tensor, target: Tensor) -> tuple[float, int]:
    """Mean of ½‖s_L − y‖², and how many samples have their largest output at the target."""
    loss = float(functional.mse_loss(output, target, reduction="sum")) / (2 * len(output))
    return loss, int(target.gather(1, output.argmax(1, keepdim=True)).sum())


def _strengths(betas: tuple[float, ...], target: Tensor) -> tuple[Beta, Tensor]:
    """β and y of all phases, phase below phase."""
    if len(betas) == 1:
        return betas[0], target
    column = _column(betas, len(target), target.dtype, target.device)
    return column, target.expand(len(betas), *target.shape).reshape(len(column), -1)


@functools.lru_cache(maxsize=32)
def _column(betas: tuple[float, ...], rows: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Each beta `rows` times, (phases * rows, 1): the same in every step of a training."""
    with torch.inference_mode(mode=False):
        return torch.tensor(betas, dtype=dtype, device=device).repeat_interleave(rows)[:, None]


def _contrast(network: Network, x: Tensor, phases: "_Phases", into: list[Tensor] | None) -> list[Tensor]:
    """−Σ over the batch of (s⊗s of the upper half of the rows − s⊗s of the lower), by width and batch."""
    gradients = into if into is not None else [torch.empty_like(tensor) for tensor in network.parameters()]
    scale = -1 / (phases.width * len(x))
    below = network.arrange(x).to(network.dtype)
    for layer, (coupling, states, room) in enumerate(zip(network.couplings, phases.states, phases.rooms, strict=True)):
        upper, lower, half = states[: len(x)], states[len(x) :], room[: len(x)]
        # Signs and scale go with the smaller factor of each product.
        torch.mul(upper, scale, out=half)
        if layer:
            torch.mul(lower, -scale, out=room[len(x) :])
        else:
            # The input is the same in both: one product with the difference.
            half.sub_(lower, alpha=scale)
        above, weight, bias = room if layer else half, *gradients[2 * layer : 2 * layer + 2]
        if isinstance(coupling, Dense):
            coupling.fill(below, above, weight=weight, bias=bias)
        else:
            coupling.gradient(below, above, scale=1.0, weight=weight.zero_(), bias=bias.zero_())
        below = states
    return gradients


@dataclass(frozen=True, slots=True, kw_only=True)
class _Phases:
    """States of two phases, one below the other; tensors as large to work in; and how far apart their betas are."""

    states: Sequence[Tensor]
    rooms: Sequence[Tensor]
    width: float


def _phases(pulled: Relaxation, before: list[Tensor] | None, betas: tuple[float, ...], dtype: torch.dtype) -> _Phases:
    """The nudged phases as they ended, with the free one below where there is but one of them."""
    ends = pulled.states if before is None else [torch.cat(both) for both in zip(pulled.states, before, strict=True)]
    states = [end.to(dtype) for end in ends]
    alike = before is None and pulled.dtype == dtype
    rooms = pulled.field.room if alike else [torch.empty_like(state) for state in states]
    width = betas[0] if before is not None else betas[0] - betas[1]
    return _Phases(states=states, rooms=rooms, width=width)
