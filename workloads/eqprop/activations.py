"""The units of a layer: their potential G, what minimises it under a drive, and under a drive and a nudge.

A unit has the potential G with G' = ρ⁻¹ on the range of its activation ρ (Hopfield 1984), so that the energy of a layer
under the drive u, G(s) − u·s, is smallest at s = ρ(u): an update of a layer is its exact minimiser. At the output, the
nudge adds β/2·(s − y)² and moves the minimiser to where ρ⁻¹(s) + β(s − y) = u (Scellier & Bengio 2017, §2; the exact
minimiser in place of their gradient step). All four G'' are 1 or more, so that this stays a minimum for every β > −1.
"""

import difflib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from energybench.model import UnknownNameError

Beta: TypeAlias = float | Tensor
"""The strength of the nudge: one for all samples, or (batch, 1)."""
_NEWTON_STEPS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Activation:
    """An activation ρ and its potential.

    Attributes:
        name: what it is asked for by.
        low: the lowest state, −∞ where there is none.
        high: the highest.
        quadratic: whether G is s²/2, and the gradient flow of a unit ds/dt = u − s, held in the range.
        apply_: ρ, in place.
        potential: G, for each unit. The box of a hard-sigmoid is its range and not in G.
    """

    name: str
    low: float
    high: float
    quadratic: bool
    apply_: Callable[[Tensor], Tensor]
    potential: Callable[[Tensor], Tensor]

    def nudge_(self, drive: Tensor, target: Tensor, beta: Beta) -> Tensor:
        """The minimiser of G(s) − u·s + β/2·(s − y)², in place of the drive u; β is above −1."""
        if not self.quadratic:
            return _newton_(self, drive, target, beta)
        # (u + βy)/(1 + β), and for a hard-sigmoid the nearest point of its box, as the problem is convex.
        weight = beta / (1 + beta)
        return self.apply_(drive.lerp_(target, weight))


def activation(name: str) -> Activation:
    """The activation of that name.

    Raises:
        UnknownNameError: there is none; the message has the nearest name, or all.
    """
    if name in ACTIVATIONS:
        return ACTIVATIONS[name]
    near = difflib.get_close_matches(name, ACTIVATIONS, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(ACTIVATIONS)}"
    raise UnknownNameError(f"there is no activation {name!r}: {hint}")


def _newton_(unit: Activation, drive: Tensor, target: Tensor, beta: Beta) -> Tensor:
    """Solve v + βρ(v) = u + βy for v = ρ⁻¹(s): monotone in v, and v lies within |β| times ρ's range of u + βy."""
    wanted = drive + beta * target
    one, other = wanted - beta * unit.low, wanted - beta * unit.high
    below, above = torch.minimum(one, other), torch.maximum(one, other)
    at, lacking = (below + above) / 2, torch.full_like(wanted, math.inf)
    for _ in range(_NEWTON_STEPS):
        state = unit.apply_(at.clone())
        excess = at + beta * state - wanted
        # A step that leaves the bracket, or follows one that has not halved the excess (from end to end of a steep
        # unit, back and forth), halves the bracket instead; at the root no step does.
        below, above = torch.where(excess < 0, at, below), torch.where(excess > 0, at, above)
        step = at - excess / (1 + beta * _slope(unit, state))
        tiny = 2 * torch.finfo(at.dtype).eps * (1 + at.abs())
        shrinks = (excess.abs() <= lacking / 2) | ((step - at).abs() <= tiny)
        lacking = excess.abs()
        moved = torch.where((step >= below) & (step <= above) & shrinks, step, (below + above) / 2)
        near = (moved - at).abs() <= tiny
        at = moved
        # A GPU would have to be waited for; it takes all steps, which may then be recorded.
        if at.device.type == "cpu" and bool(near.all()):
            break
    return unit.apply_(drive.copy_(at))


def _slope(unit: Activation, state: Tensor) -> Tensor:
    """ρ' where ρ is `state`: 4s(1 − s) for the sigmoid of slope 1, 1 − s² for tanh."""
    return (state - unit.low) * (unit.high - state) * (4 / (unit.high - unit.low) ** 2)


def _clip_(drive: Tensor) -> Tensor:
    return drive.clamp_(0.0, 1.0)


def _sigmoid_(drive: Tensor) -> Tensor:
    return drive.sub_(0.5).mul_(4.0).sigmoid_()


def _same_(drive: Tensor) -> Tensor:
    return drive


def _half_square(state: Tensor) -> Tensor:
    return 0.5 * state * state


def _sigmoid_potential(state: Tensor) -> Tensor:
    """∫ (½ + ¼ log(s/(1 − s))) ds = s/2 + ¼(s log s + (1 − s) log(1 − s)), by 0 log 0 = 0."""
    logs: Tensor = torch.special.xlogy(state, state) + torch.special.xlog1py(1 - state, -state)
    return 0.5 * state + 0.25 * logs


def _tanh_potential(state: Tensor) -> Tensor:
    """∫ artanh(s) ds = ½((1 + s) log(1 + s) + (1 − s) log(1 − s))."""
    logs: Tensor = torch.special.xlog1py(1 + state, state) + torch.special.xlog1py(1 - state, -state)
    return 0.5 * logs


ACTIVATIONS: Mapping[str, Activation] = {
    unit.name: unit
    for unit in (
        Activation(name="hard-sigmoid", low=0.0, high=1.0, quadratic=True, apply_=_clip_, potential=_half_square),
        Activation(name="sigmoid", low=0.0, high=1.0, quadratic=False, apply_=_sigmoid_, potential=_sigmoid_potential),
        Activation(name="tanh", low=-1.0, high=1.0, quadratic=False, apply_=torch.tanh_, potential=_tanh_potential),
        Activation(
            name="linear",
            low=float("-inf"),
            high=float("inf"),
            quadratic=True,
            apply_=_same_,
            potential=_half_square,
        ),
    )
}
"""ρ(u): clip(u, 0, 1); 1/(1 + exp(−4(u − ½))), of slope 1 at u = ½; tanh(u); u."""
