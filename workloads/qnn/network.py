"""A deployed network: packed weights, thresholds and nothing else. What training exports and every engine runs.

A layer multiplies integer values (or floats, at 16 and 32 bits), takes the largest sum of each 2 by 2 window where it
pools, and hands on:

    up to 4 bits   code = how many of the channel's thresholds the sum reaches, all bits flipped where `flipped`
    8 bits         value = round(sum * gain + offset), cut to -127 … 127; each operation in float32, half to even
    16 and 32      sum * gain + offset in float32, cut to -1 … 1; rounded to bfloat16 at 16
    scores         sum * gain + offset in float32
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from energybench.workloads.qnn import bits

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SCORES = 0
"""`Layer.out_bits` of the last layer: it hands on class scores."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A linear or convolutional layer, its batch normalisation and the quantizer behind it.

    Inputs are seen as `taps` groups of `channels` values: one tap for a vector, 9 for a 3 by 3 filter (by rows), all
    places of the map (by rows) for a linear layer behind a convolution.

    Attributes:
        wbits: bits of a weight.
        abits: bits of an input; 8 for pixels, unless the weights or the network's activations are floats.
        outputs: features or channels that it hands on.
        taps: groups of inputs.
        channels: inputs of a group.
        size: height and width of the input map of a 3 by 3 convolution (stride 1, padded by 1 with `low`), else None.
        low: the integer value that stands for -1 at the edge of the map.
        pool: 2 where the largest of each 2 by 2 sums is taken (a last odd row or column is dropped), else 1.
        out_bits: bits of what it hands on, or `SCORES`.
        weights: uint8 (wbits, outputs, taps * channels / 8) planes up to 4 bits, int8 (outputs, taps * channels) at 8,
            uint16 bfloat16 patterns at 16, float32 at 32.
        gain: float32 (outputs,); absent where there are thresholds.
        offset: float32 (outputs,); absent where there are thresholds.
        thresholds: int32 (2^out_bits - 1, outputs), ascending; of integer layers, up to 4 output bits.
        flipped: bool (outputs,), with the thresholds: channels whose normalisation has a negative slope.
    """

    wbits: int
    abits: int
    outputs: int
    taps: int
    channels: int
    size: tuple[int, int] | None = None
    low: int = 0
    pool: int = 1
    out_bits: int
    weights: "NDArray[Any]"
    gain: "NDArray[np.float32] | None" = None
    offset: "NDArray[np.float32] | None" = None
    thresholds: "NDArray[np.int32] | None" = None
    flipped: "NDArray[np.bool_] | None" = None

    @property
    def inputs(self) -> int:
        """Products of one output."""
        return self.taps * self.channels

    @property
    def is_integer(self) -> bool:
        """Whether it multiplies integers."""
        return bits.is_integer(self.wbits) and bits.is_integer(self.abits)

    @property
    def out_size(self) -> tuple[int, int] | None:
        """Height and width of the map that it hands on, None for a vector."""
        return None if self.size is None else (self.size[0] // self.pool, self.size[1] // self.pool)

    def values(self) -> "NDArray[np.int8]":
        """The integer weights (outputs, taps * channels), unpacked."""
        return self.weights if self.wbits == 8 else bits.unpack_planes(self.weights, self.inputs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A deployed network.

    Attributes:
        layers: from pixels to scores.
        pixels: int8 (256,): the integer value of each pixel level.
        shape: height, width and channels of an image; pixels come as uint8 (samples, height * width * channels).
        classes: what the scores stand for, by name.
        about: how it was trained and on what, in plain JSON values.
    """

    layers: tuple[Layer, ...]
    pixels: "NDArray[np.int8]"
    shape: tuple[int, int, int]
    classes: tuple[str, ...]
    about: Mapping[str, Any] = field(default_factory=dict)
