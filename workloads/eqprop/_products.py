"""Products of deviations with the weights of a dense coupling: exact, in bfloat16, or in int8.

Each takes the deviations of one neighbour, (rows, units) in the states' own dtype, and adds what they make of the
drive.
"""

from typing import Protocol

import torch
from torch import Tensor

from energybench.workloads.eqprop.coupling import Dense

# A matrix narrower than this is multiplied exactly: there is nothing to save.
_NARROW = 64
_TOP = 127


class Product(Protocol):
    """A coupling's two products, up and down."""

    def begin(self, rows: int) -> None:
        """Take the weights as they are now; nothing has moved in these rows."""
        ...

    def up(self, moved: Tensor, out: Tensor) -> None:
        """Add moved·W onto `out`."""
        ...

    def down(self, moved: Tensor, out: Tensor) -> None:
        """Add moved·Wᵀ onto `out`."""
        ...

    def keep(self, rows: Tensor) -> None:
        """Only these rows are left."""
        ...


class Exact:
    """In the weights' own dtype."""

    def __init__(self, coupling: Dense) -> None:
        self._coupling = coupling

    def begin(self, rows: int) -> None:
        """Nothing is kept."""

    def up(self, moved: Tensor, out: Tensor) -> None:
        """Add moved·W."""
        out.addmm_(moved, self._coupling.weight)

    def down(self, moved: Tensor, out: Tensor) -> None:
        """Add moved·Wᵀ."""
        out.addmm_(moved, self._coupling.turned())

    def keep(self, rows: Tensor) -> None:
        """Nothing is kept."""


class Short:
    """In bfloat16: 8 bits of mantissa, relative to what has moved."""

    def __init__(self, coupling: Dense, rows: int) -> None:
        self._coupling = coupling
        weight = coupling.weight
        self._up, self._down = (torch.empty(shape, dtype=torch.bfloat16, device=weight.device) for shape in
                                (weight.shape, weight.shape[::-1]))  # fmt: skip
        self._low, self._sum = (
            [weight.new_empty((rows, units), dtype=torch.bfloat16) for units in weight.shape] for _ in "ls"
        )

    def begin(self, rows: int) -> None:  # noqa: ARG002 - the protocol's
        """Round the weights."""
        self._up.copy_(self._coupling.weight)
        self._down.copy_(self._coupling.turned())

    def up(self, moved: Tensor, out: Tensor) -> None:
        """Add moved·W, summed in float32 inside the product."""
        rows = len(moved)
        low = self._low[0][:rows].copy_(moved)
        out.add_(torch.mm(low, self._up, out=self._sum[1][:rows]))

    def down(self, moved: Tensor, out: Tensor) -> None:
        """Add moved·Wᵀ."""
        rows = len(moved)
        low = self._low[1][:rows].copy_(moved)
        out.add_(torch.mm(low, self._down, out=self._sum[0][:rows]))

    def keep(self, rows: Tensor) -> None:
        """Nothing is kept from one product to the next."""


class Whole:
    """In int8, for processors that multiply these faster (AVX-512 VNNI) and have no bfloat16; from about 1000 units on.

    Eight bits of a deviation would be too few. But only what has changed since the last product is multiplied, and what
    rounding left out stays in the difference: as the sweeps converge, the errors of the states vanish, and that of the
    weights, rounded to 1/127 of the largest of their column, is all that is left: sigma-delta coding.
    """

    def __init__(self, coupling: Dense, rows: int) -> None:
        weight = coupling.weight
        self._coupling = coupling
        self._steps = weight.new_empty(weight.shape[1])
        self._real, self._whole = torch.empty_like(weight), torch.empty_like(weight, dtype=torch.int8)
        self._turned = torch.empty_like(weight.t(), dtype=torch.int8, memory_format=torch.contiguous_format)
        # Sent so far and summed so far, of each direction; the second three are rooms.
        self._sent, self._sums = ([weight.new_empty(rows, units) for units in weight.shape] for _ in "ss")
        self._open, self._rows = [weight.new_empty(rows, units) for units in weight.shape], rows

    def begin(self, rows: int) -> None:
        """Round the weights; nothing has been sent."""
        weight = self._coupling.weight
        torch.amax(weight.abs(), 0, out=self._steps)
        self._steps.div_(_TOP).clamp_min_(torch.finfo(weight.dtype).tiny)
        self._whole.copy_(torch.div(weight, self._steps, out=self._real).round_())
        turned = torch.div(self._coupling.turned(), self._steps[:, None], out=self._real.view(weight.shape[::-1]))
        self._turned.copy_(turned.round_())
        self._rows = rows
        for tensor in (*self._sent, *self._sums):
            tensor[:rows].zero_()

    def up(self, moved: Tensor, out: Tensor) -> None:
        """Add the sum so far, brought up to date."""
        sum_, step, change = self._send(0, moved)
        if change is not None:
            sum_.addcmul_(torch._int_mm(change, self._whole).to(out.dtype), self._steps, value=step)  # noqa: SLF001
        out.add_(sum_)

    def down(self, moved: Tensor, out: Tensor) -> None:
        """Add the sum so far, brought up to date; the weights' steps go with what is sent."""
        sum_, step, change = self._send(1, moved * self._steps)
        if change is not None:
            sum_.add_(torch._int_mm(change, self._turned).to(out.dtype), alpha=step)  # noqa: SLF001
        out.add_(sum_)

    def keep(self, rows: Tensor) -> None:
        """Gather what was sent and summed."""
        for tensor in (*self._sent, *self._sums):
            tensor[: len(rows)] = tensor[: self._rows][rows]
        self._rows = len(rows)

    def _send(self, side: int, moved: Tensor) -> tuple[Tensor, float, Tensor | None]:
        """The sum of a direction, and the change since the last product in whole steps; None where it is 0."""
        rows = len(moved)
        sent, sum_ = self._sent[side][:rows], self._sums[1 - side][:rows]
        change = torch.sub(moved, sent, out=self._open[side][:rows])
        low, high = torch.aminmax(change)
        step = float(torch.maximum(-low, high)) / _TOP
        if step == 0:
            return sum_, step, None
        change.mul_(1 / step).round_()
        sent.add_(change, alpha=step)
        return sum_, step, change.to(torch.int8)


def narrow(coupling: Dense) -> bool:
    """Whether short numbers would save nothing."""
    return min(coupling.weight.shape) < _NARROW
