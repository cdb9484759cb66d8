"""Which stages a network has, before there are weights: an MLP or a VGG-like convolutional net, at given widths."""

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from energybench.workloads.qnn import bits
from energybench.workloads.qnn.network import SCORES

if TYPE_CHECKING:
    from numpy.typing import NDArray

NETS = ("mlp", "vgg")


@dataclass(frozen=True, slots=True, kw_only=True)
class Widths:
    """Bits of weights, of activations and of the gradients of sums (32: as they are), and how signs are drawn."""

    weights: int
    activations: int
    gradients: int = 32
    stochastic: bool = False

    @property
    def pixels(self) -> int:
        """Bits that the first layer takes pixels as: 8, or a float's where integers meet no integers."""
        if self.activations > 8:
            return self.activations
        return 8 if bits.is_integer(self.weights) else 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a stage computes; the names are those of `network.Layer`.

    Attributes:
        one: the integer input that stands for the real 1, and its negative for -1, which is what maps are padded with.
    """

    outputs: int
    taps: int
    channels: int
    size: tuple[int, int] | None = None
    pool: int = 1
    wbits: int
    abits: int
    out_bits: int
    one: int

    @property
    def inputs(self) -> int:
        """Products of one output."""
        return self.taps * self.channels


def unit(width: int) -> int:
    """The integer value that stands for the real 1; floats stand for themselves."""
    return bits.top(width) if bits.is_integer(width) else 1


def pixel_values(levels: int) -> "NDArray[np.int8]":
    """The integer value (256,) of each pixel: -one … one for 0 … levels; brighter ones count as `levels`."""
    pixels = np.minimum(np.arange(256), levels)
    if levels <= 127:
        return (2 * pixels - levels).astype(np.int8)
    return np.rint((2 * pixels / levels - 1) * 127).astype(np.int8)


def plans(
    net: str, *, hidden: int, depth: int, widths: Widths, shape: tuple[int, int, int], classes: int, levels: int
) -> tuple[Plan, ...]:
    """The stages of a network.

    Args:
        net: "mlp", `depth` hidden layers of `hidden` features; or "vgg", `depth` blocks of two 3 by 3 convolutions and
            a 2 by 2 maximum pool, `hidden` channels in the first block and twice as many in each next one, then a
            hidden layer of twice the last block's channels.
        hidden: features or channels, see there.
        depth: hidden layers or blocks, see there.
        widths: the bits.
        shape: height, width and channels of an image.
        classes: how many scores it hands on.
        levels: the largest pixel value.

    Raises:
        ValueError: the images are too small for so many blocks, or there is no such net.
    """
    if net not in NETS:
        raise ValueError(f"net={net} is not offered: choose from {', '.join(NETS)}")
    layout = _mlp(hidden, depth, shape) if net == "mlp" else _vgg(hidden, depth, shape)
    found: list[Plan] = []
    classifier = (classes, 1, layout[-1][0], None, 1)
    for index, (outputs, taps, channels, size, pool) in enumerate([*layout, classifier]):
        first, last = index == 0, index == len(layout)
        abits = widths.pixels if first else widths.activations
        found.append(
            Plan(
                outputs=outputs, taps=taps, channels=channels, size=size, pool=pool,
                wbits=widths.weights, abits=abits, out_bits=SCORES if last else widths.activations,
                one=min(levels, 127) if first else unit(abits),
            )
        )  # fmt: skip
    return tuple(found)


_Layout = tuple[int, int, int, tuple[int, int] | None, int]
"""Outputs, taps, channels, size and pool of a stage."""


def _mlp(hidden: int, depth: int, shape: tuple[int, int, int]) -> list[_Layout]:
    features = [shape[0] * shape[1] * shape[2], *[hidden] * depth]
    return [(outputs, 1, inputs, None, 1) for inputs, outputs in pairwise(features)]


def _vgg(hidden: int, depth: int, shape: tuple[int, int, int]) -> list[_Layout]:
    height, width, channels = shape
    found: list[_Layout] = []
    for block in range(depth):
        if min(height, width) < 2:
            instead = f"depth={block}" if block else "net=mlp"
            raise ValueError(f"depth={depth} does not fit images of {shape[0]} by {shape[1]}: use {instead}")
        outputs = hidden * 2**block
        found += [(outputs, 9, channels, (height, width), 1), (outputs, 9, outputs, (height, width), 2)]
        height, width, channels = height // 2, width // 2, outputs
    return [*found, (2 * channels, height * width, channels, None, 1)]
