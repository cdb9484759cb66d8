"""A deployed network in plain numpy, by the definitions in `network` alone: integers of 64 bits, thresholds one by one.

It is slow, and it is what every engine is compared with. Layers with integer weights and inputs are exact. Those with
floats add up in float64 and round the sum to float32 once: engines that add in float32 come near it, not to it.
"""

import numpy as np

from energybench.workloads.qnn import bits
from energybench.workloads.qnn.network import SCORES

AT_ONCE = 64
"""Samples: what a convolution multiplies is nine times its map."""


def scores(network, pixels):
    """float32 (samples, classes) for uint8 (samples, height * width * channels)."""
    parts = [pixels[first : first + AT_ONCE] for first in range(0, len(pixels), AT_ONCE)]
    return np.concatenate([few_scores(network, part) for part in parts])


def few_scores(network, pixels):
    values = network.pixels[pixels].astype(np.int64).reshape(-1, *network.shape)
    for layer in network.layers:
        values = handed_on(layer, pooled(layer, sums(layer, values)))
    return values


def sums(layer, values):
    """Sums of products: int64, or float32 where there are floats, in the shape (samples, places…, outputs)."""
    kind = np.int64 if layer.is_integer else np.float64
    rows, weights = patches(layer, values).astype(kind), weight_values(layer).astype(kind)
    found = rows @ weights.T
    return found if layer.is_integer else found.astype(np.float32)


def patches(layer, values):
    """What each output multiplies: (samples, places…, taps * channels)."""
    if layer.size is None:
        return values.reshape(len(values), layer.inputs)
    height, width = layer.size
    assert values.shape[1:] == (height, width, layer.channels)
    padded = np.pad(values, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=layer.low)
    taps = [padded[:, y : y + height, x : x + width] for y in range(3) for x in range(3)]
    return np.concatenate(taps, axis=3)


def weight_values(layer):
    if layer.wbits == 32:
        return layer.weights
    if layer.wbits == 16:
        return (layer.weights.astype(np.uint32) << 16).view(np.float32)
    return layer.values()


def pooled(layer, found):
    if layer.pool == 1:
        return found
    height, width = layer.out_size
    quarters = [found[:, y : 2 * height : 2, x : 2 * width : 2] for y in range(2) for x in range(2)]
    return np.maximum.reduce(quarters)


def handed_on(layer, found):
    """The next layer's values, or scores."""
    if layer.thresholds is not None:
        top = bits.top(layer.out_bits)
        assert len(layer.thresholds) == top
        codes = np.sum([found >= thresholds for thresholds in layer.thresholds], axis=0, dtype=np.int64)
        return 2 * np.where(layer.flipped, top - codes, codes) - top
    normal = found.astype(np.float32) * layer.gain + layer.offset
    assert normal.dtype == np.float32
    if layer.out_bits == SCORES:
        return normal
    if layer.out_bits == 8:
        return np.clip(np.rint(normal), -127, 127).astype(np.int64)
    return activation(np.clip(normal, np.float32(-1), np.float32(1)), layer.out_bits)


def activation(cut, width):
    """A number in -1 … 1, float32, behind a layer that multiplies floats."""
    if width in bits.PLANES:
        top = bits.top(width)
        half = np.float32(0.5)
        return 2 * np.floor((cut + np.float32(1)) * np.float32(top / 2) + half).astype(np.int64) - top
    return bfloat16(cut) if width == 16 else cut


def bfloat16(numbers):
    """Rounded to bfloat16, half to even, in float32."""
    pattern = np.ascontiguousarray(numbers, np.float32).view(np.uint32)
    return ((pattern + 0x7FFF + (pattern >> 16 & 1)) & np.uint32(0xFFFF0000)).view(np.float32)
