"""What couples two neighbouring layers of states: a bilinear term of the energy, and the drives it gives to both.

A coupling gives the term Φ(below, above) = ⟨below·W, above⟩ + b·above, which enters the energy with a minus sign
(Scellier & Bengio 2017, eq. 1, for layers without links inside). The drives are its derivatives.
"""

from typing import Protocol, Self

import torch
from torch import Tensor


class Coupling(Protocol):
    """Weights and biases between a layer and the one above it.

    Attributes:
        weight: changed in place by whoever learns; never through `.data`, which hides that it has changed.
        bias: of the layer above.
        inputs: the shape of one sample below.
        outputs: the shape of one sample above.
    """

    weight: Tensor
    bias: Tensor

    @property
    def inputs(self) -> tuple[int, ...]:
        """The shape of one sample below."""
        ...

    @property
    def outputs(self) -> tuple[int, ...]:
        """The shape of one sample above."""
        ...

    def up(self, below: Tensor, out: Tensor) -> Tensor:
        """∂Φ/∂above into `out`, (batch, *outputs): bias and product."""
        ...

    def down(self, above: Tensor, out: Tensor) -> Tensor:
        """Add ∂Φ/∂below onto `out`, (batch, *inputs); where there is pooling, at the places of the last `up`."""
        ...

    def term(self, below: Tensor, above: Tensor) -> Tensor:
        """Φ of each sample, (batch,), differentiable by the states, the weights and the biases."""
        ...

    def gradient(self, below: Tensor, above: Tensor, *, scale: float, weight: Tensor, bias: Tensor) -> None:
        """Add `scale` times the batch's sum of ∂Φ/∂W onto `weight`, of ∂Φ/∂b onto `bias`."""
        ...

    def find(self, below: Tensor) -> None:
        """Find what `down` needs of these states below, which have not been through `up`; nothing without pooling."""
        ...

    def keep(self, rows: Tensor) -> None:
        """Keep what `down` needs of these samples only, (left,) int64; nothing without pooling."""
        ...

    def to(self, dtype: torch.dtype, device: torch.device | str) -> Self:
        """The same coupling in another kind of number, or elsewhere."""
        ...


class Dense:
    """Every unit of one layer with every unit of the next: Φ = Σ_ij below_i W_ij above_j + Σ_j b_j above_j.

    The weights are kept a second time, transposed: on a CPU a product by a row-major matrix is 10 to 15 % faster than
    one by its transposed view, and a phase needs 5 to 40 of them. The copy is made again when the weights have changed.

    Args:
        weight: (units below, units above).
        bias: (units above,).
        inputs: channels, height and width of the layer below, where it is a stack of maps; its units are then taken
            in the order of channels-last memory: row, column, channel.
    """

    def __init__(self, weight: Tensor, bias: Tensor, *, inputs: tuple[int, ...] | None = None) -> None:
        self.weight, self.bias = weight, bias
        self.inputs: tuple[int, ...] = inputs or (weight.shape[0],)
        self.outputs: tuple[int, ...] = (weight.shape[1],)
        self._turned: Tensor | None = None
        self._version = (0, -1)

    def up(self, below: Tensor, out: Tensor) -> Tensor:
        """∂Φ/∂above into `out`: b + below·W."""
        return torch.addmm(self.bias, flat(below), self.weight, out=out)

    def down(self, above: Tensor, out: Tensor) -> Tensor:
        """Add ∂Φ/∂below = above·Wᵀ onto `out`."""
        flat(out).addmm_(above, self.turned())
        return out

    def turned(self) -> Tensor:
        """Wᵀ: (units above, units below), row-major where changes of the weights can be seen."""
        if self.weight.is_inference():
            return self.weight.t()
        # An in-place change raises the version of a tensor.
        version = id(self.weight), self.weight._version  # noqa: SLF001
        if self._turned is None:
            with torch.inference_mode(mode=False):
                self._turned = self.weight.detach().t().contiguous()
        elif version != self._version:
            self._turned.copy_(self.weight.detach().t())
        self._version = version
        return self._turned

    def term(self, below: Tensor, above: Tensor) -> Tensor:
        """Φ of each sample, (batch,)."""
        return ((flat(below) @ self.weight + self.bias) * above).sum(1)

    def gradient(self, below: Tensor, above: Tensor, *, scale: float, weight: Tensor, bias: Tensor) -> None:
        """Add scale · belowᵀ·above onto `weight`, scale · Σ above onto `bias`."""
        weight.addmm_(flat(below).t(), above, alpha=scale)
        bias.add_(above.sum(0), alpha=scale)

    def fill(self, below: Tensor, above: Tensor, *, weight: Tensor, bias: Tensor) -> None:
        """`gradient` with a scale of 1, over what was there: a third less traffic than adding to zeros."""
        torch.mm(flat(below).t(), above, out=weight)
        torch.sum(above, 0, out=bias)

    def find(self, below: Tensor) -> None:
        """Nothing: the product is linear in the states below."""

    def keep(self, rows: Tensor) -> None:
        """Nothing is kept of a sample."""

    def to(self, dtype: torch.dtype, device: torch.device | str) -> Self:
        """The same coupling in another kind of number, or elsewhere."""
        return type(self)(self.weight.to(device, dtype), self.bias.to(device, dtype), inputs=self.inputs)


def flat(states: Tensor) -> Tensor:
    """(batch, units): stacks of maps by row, column, channel, without a copy where they are kept channels last."""
    if states.dim() == 2:
        return states
    return states.permute(0, 2, 3, 1).reshape(len(states), -1)
