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

    def __post_init__(self) -> None:
        """Refuse arrays that do not fit: kernels read them by address.

        Raises:
            ValueError: a size, a type or a width is not what the others say.
        """
        _check(self)

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

    def __post_init__(self) -> None:
        """Refuse layers that do not follow from each other.

        Raises:
            ValueError: what is wrong, in one line.
        """
        if self.pixels.shape != (256,) or self.pixels.dtype.name != "int8":
            raise ValueError(f"pixels are {self.pixels.dtype} {self.pixels.shape}, not int8 (256,)")
        height, width, channels = self.shape
        values = height * width * channels
        for number, layer in enumerate(self.layers):
            places = layer.size[0] * layer.size[1] if layer.size else layer.taps
            if places * layer.channels != values:
                raise ValueError(f"layer {number} reads {places * layer.channels} values of {values}")
            out_places = layer.out_size[0] * layer.out_size[1] if layer.out_size else 1
            values = out_places * layer.outputs
        if values != len(self.classes) or not self.layers or self.layers[-1].out_bits != SCORES:
            raise ValueError(f"the last layer does not hand on a score for each of {len(self.classes)} classes")


def _check(layer: Layer) -> None:
    if layer.wbits not in bits.WIDTHS or layer.abits not in bits.WIDTHS or layer.pool not in (1, 2):
        raise ValueError(f"there is no layer of W{layer.wbits}A{layer.abits} that pools {layer.pool}")
    if min(layer.outputs, layer.taps, layer.channels, *(layer.out_size or (1, 1))) < 1:
        raise ValueError(f"a layer of {layer.taps}×{layer.channels} inputs, {layer.outputs} outputs is empty")
    if layer.size is not None and layer.taps != 9:
        raise ValueError(f"a convolution has 9 taps, not {layer.taps}")
    top = 2**layer.out_bits - 1
    packed = (layer.wbits, layer.outputs, -(-layer.inputs // 8))
    kinds = {8: "int8", 16: "uint16", 32: "float32"}
    has_table = layer.is_integer and layer.out_bits in bits.PLANES
    wanted: dict[str, tuple[tuple[int, ...], str] | None] = {
        "weights": (packed, "uint8") if layer.wbits < 8 else ((layer.outputs, layer.inputs), kinds[layer.wbits]),
        "gain": None if has_table else ((layer.outputs,), "float32"),
        "offset": None if has_table else ((layer.outputs,), "float32"),
        "thresholds": ((top, layer.outputs), "int32") if has_table else None,
        "flipped": ((layer.outputs,), "bool") if has_table else None,
    }
    for name, want in wanted.items():
        array = getattr(layer, name)
        found = None if array is None else (array.shape, array.dtype.name)
        if found != want:
            raise ValueError(f"{name} of a layer are {found}, not {want}")
    for table in (layer.gain, layer.offset):
        if table is not None and not bool((abs(table) < float("inf")).all()):
            raise ValueError("gain or offset of a layer is not finite")
