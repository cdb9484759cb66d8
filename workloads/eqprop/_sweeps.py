"""One sweep over all layers, in each of the three modes; what they are and where they come from says `relaxation`."""

from collections.abc import Callable
from functools import partial
from typing import Literal, TypeAlias

import torch

from energybench.workloads.eqprop._field import Field, Nudge

Mode = Literal["async", "sync", "euler"]
Sweeper: TypeAlias = Callable[[Field, Nudge | None], None]


def sweeper(mode: Mode, step_size: float) -> Sweeper:
    """The sweep of a mode; `step_size` is that of `euler`."""
    if mode == "euler":
        return partial(euler, step_size=step_size)
    return asynchronous if mode == "async" else synchronous


def asynchronous(field: Field, nudge: Nudge | None) -> None:
    """Even layers (s₁, s₃ …), then odd ones: each is the exact minimiser at the present states of the others."""
    for parity in (0, 1):
        field.half(parity, nudge)
        field.at_rest = False


def synchronous(field: Field, nudge: Nudge | None) -> None:
    """All layers at once, from the states before the sweep."""
    # From the output down: a pooling must have looked at its layer before the layer is driven through it.
    for layer in reversed(range(field.last + 1)):
        field.minimise(layer, nudge)
    for layer in range(field.last + 1):
        field.take(layer)


def euler(field: Field, nudge: Nudge | None, *, step_size: float) -> None:
    """A step along −∂F/∂s for all layers at once."""
    for layer in reversed(range(field.last + 1)):
        _flow(field, layer, nudge if layer == field.last else None, step_size)
    for layer in range(field.last + 1):
        field.take(layer)


def _flow(field: Field, layer: int, nudge: Nudge | None, step_size: float) -> None:
    """One layer's Euler step, left in the room."""
    unit, now, room = field.activations[layer], field.now[layer], field.room[layer]
    if not unit.quadratic:
        field.minimise(layer, nudge)
        torch.lerp(now, room, step_size, out=room)
        return
    force = field.drive(layer, room).sub_(now)
    if nudge is not None:
        force.add_(nudge.beta * (nudge.target - now))
    unit.apply_(force.mul_(step_size).add_(now))
