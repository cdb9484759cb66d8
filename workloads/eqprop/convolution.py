"""A convolution and a 2×2 max pooling between two layers of states: its energy term, and the drives it gives.

Φ(below, above) = Σ above · pool(below ∗ W) + Σ_c b_c Σ above_c, as in Ernoult et al. 2019 (arXiv 1905.13633). Its
derivative by `above` is the pooled convolution; by `below` it is the transposed convolution of `above`, unpooled to
the places where the maxima were. Those places are kept from one `up` to the next `down`: between an update of the
layer above and the next of the layer below the latter has not changed, so they are still exact, and one of three
convolutions of a sweep is saved. Where Φ is a sum of maxima with weights of 0 or more (states in 0 … 1) it is convex
in `below`, so an update of the layer below by those places still never raises the energy.
"""

from typing import Self

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from torch import Tensor

Shape = tuple[int, int, int]
_POOL = 2
_CHANNELS_LAST = torch.channels_last


class ConvPool:
    """Weights (channels, channels below, size, size) and a bias of each channel; all maps are kept channels last.

    Args:
        weight: the filters.
        bias: (channels,), added after the pooling, which is the same as before it.
        inputs: channels, height and width of one sample of the layer below.
        padding: rows and columns of zeros around a picture.

    Attributes:
        inputs: channels, height and width below.
        outputs: channels, height and width above.
        places: (batch, *outputs) int64, where in its map each maximum was when `up` last looked; None before.

    Raises:
        ValueError: the filters do not fit the layer below.
    """

    def __init__(self, weight: Tensor, bias: Tensor, *, inputs: Shape, padding: int = 0) -> None:
        self.weight = weight.contiguous(memory_format=_CHANNELS_LAST)
        self.bias = bias
        self.inputs, self.padding = inputs, padding
        self.outputs = pooled(inputs, channels=len(weight), size=weight.shape[-1], padding=padding)
        self._map = tuple(side + 2 * padding - weight.shape[-1] + 1 for side in inputs[1:])
        self.places: Tensor | None = None

    def up(self, below: Tensor, out: Tensor) -> Tensor:
        """The drive of the layer above, bias included, into `out` (batch, *outputs); the places are kept."""
        found = F.conv2d(below, self.weight, padding=self.padding)
        places = self._room(len(below), below.device)
        # Straight into the room of the sweep: the pooling allocates nothing.
        torch.ops.aten.max_pool2d_with_indices.out(found, [_POOL, _POOL], out=out, indices=places)
        return out.add_(self.bias[:, None, None])

    def down(self, above: Tensor, out: Tensor) -> Tensor:
        """Add the drive of the layer below by `above`, through the places of the last `up`, onto `out`.

        Raises:
            ValueError: `up` has not looked at as many samples.
        """
        return out.add_(self.lowered(above, self.weight, self._places_of(above)))

    def term(self, below: Tensor, above: Tensor) -> Tensor:
        """Φ of each sample, (batch,), with places of its own: differentiable by both states and the weights."""
        found = F.max_pool2d(F.conv2d(below, self.weight, padding=self.padding), _POOL)
        return (above * (found + self.bias[:, None, None])).flatten(1).sum(1)

    def gradient(self, below: Tensor, above: Tensor, *, scale: float, weight: Tensor, bias: Tensor) -> None:
        """Add `scale` times the batch's sum of ∂Φ/∂W and ∂Φ/∂b onto `weight` and `bias`.

        The places are found anew for `below`, and kept: those of the last sweep may be of an older state.
        """
        found = F.conv2d(below, self.weight, padding=self.padding)
        room = torch.empty_like(above, memory_format=_CHANNELS_LAST)
        places = self._room(len(below), below.device)
        torch.ops.aten.max_pool2d_with_indices.out(found, [_POOL, _POOL], out=room, indices=places)
        self.product(below, above, scale=scale, weight=weight, bias=bias)

    def product(self, below: Tensor, above: Tensor, *, scale: float, weight: Tensor, bias: Tensor) -> None:
        """`gradient` through the places of the last `up`: exact where `below` has not changed since."""
        spread = F.max_unpool2d(above, self._places_of(above), [_POOL, _POOL], output_size=self._map)
        found = torch.ops.aten.convolution_backward(
            spread, below, self.weight, None, [1, 1], [self.padding, self.padding], [1, 1], False, [0, 0], 1,
            [False, True, False],
        )[1]  # fmt: skip
        weight.add_(found, alpha=scale)
        bias.add_(above.sum((0, 2, 3)), alpha=scale)

    def lifted(self, below: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """The drive of the layer above by these weights, and its places: on a tape, in rooms of their own."""
        found, places = F.max_pool2d(F.conv2d(below, weight, padding=self.padding), _POOL, return_indices=True)
        return found + bias[:, None, None], places

    def lowered(self, above: Tensor, weight: Tensor, places: Tensor) -> Tensor:
        """The drive of the layer below by these weights and places: on a tape, in a room of its own."""
        spread = F.max_unpool2d(above, places, [_POOL, _POOL], output_size=self._map)
        return F.conv_transpose2d(spread, weight, padding=self.padding)

    def find(self, below: Tensor) -> None:
        """Look where the maxima of these states are: states that were loaded have not been through `up`."""
        room = torch.empty((len(below), *self.outputs), dtype=below.dtype, device=below.device)
        self.up(below, room.contiguous(memory_format=_CHANNELS_LAST))

    def keep(self, rows: Tensor) -> None:
        """Keep the places of these samples only, as the batch closes up behind those that have settled."""
        if self.places is not None:
            self.places = self.places[rows]

    def to(self, dtype: torch.dtype, device: torch.device | str) -> Self:
        """The same coupling with weights of another kind or elsewhere, and no places yet."""
        weight, bias = self.weight.to(device, dtype), self.bias.to(device, dtype)
        return type(self)(weight, bias, inputs=self.inputs, padding=self.padding)

    def _room(self, batch: int, device: torch.device) -> Tensor:
        if self.places is None or len(self.places) != batch or self.places.device != device:
            room = torch.empty((batch, *self.outputs), dtype=torch.int64, device=device)
            self.places = room.contiguous(memory_format=_CHANNELS_LAST)
        return self.places

    def _places_of(self, above: Tensor) -> Tensor:
        if self.places is None or len(self.places) != len(above):
            raise ValueError(
                f"no places of maxima are kept for {len(above)} samples: call up() or find() with them first"
            )
        return self.places


def pooled(inputs: Shape, *, channels: int, size: int, padding: int = 0) -> Shape:
    """Channels, height and width after a convolution of `size` × `size` and the pooling; an odd last row is left out.

    Raises:
        ValueError: nothing would be left.
    """
    sides = tuple((side + 2 * padding - size + 1) // _POOL for side in inputs[1:])
    if min(sides) < 1:
        height, width = inputs[1:]
        largest = min(height, width) + 2 * padding - 1
        fits = f"filters of at most {largest}×{largest} fit" if largest >= 1 else "no convolution fits"
        raise ValueError(f"a {size}×{size} convolution and 2×2 pooling leave nothing of {height}×{width}: {fits}")
    return (channels, sides[0], sides[1])
