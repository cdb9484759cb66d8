"""Deployed networks of any bit-widths and shapes, with random weights and quantizers that use all of their codes."""

from dataclasses import replace

import numpy as np

from energybench.workloads.qnn import bits
from energybench.workloads.qnn.network import Layer, Network

TABLE = np.clip(2 * np.arange(256) - 16, -127, 127).astype(np.int8)
"""Pixels of levels 0 … 16, as the digits."""


def odd_values(random, shape, width):
    """Integer values of a width: odd up to 4 bits."""
    if width == 8:
        return random.integers(-127, 128, shape).astype(np.int8)
    return (2 * random.integers(0, 2**width, shape) - bits.top(width)).astype(np.int8)


def layer(random, wbits, abits, outputs, taps, channels, out_bits, *, size=None, pool=1, low=0):
    inputs = taps * channels
    scale = 2 / (_top(wbits) * _top(abits) * inputs**0.5)
    shape = {"outputs": outputs, "taps": taps, "channels": channels, "size": size, "pool": pool, "low": low}
    common = {"wbits": wbits, "abits": abits, "out_bits": out_bits, "weights": _weights(random, wbits, outputs, inputs)}
    if 1 <= out_bits <= 4 and wbits <= 8 and abits <= 8:
        thresholds = np.sort(random.normal(0, 1 / scale, (bits.top(out_bits), outputs)), 0).astype(np.int32)
        # A channel of slope 0 has thresholds that every sum reaches, or none.
        thresholds[:, 0] = np.iinfo(np.int32).min
        thresholds[:, -1] = np.iinfo(np.int32).max
        flipped = random.integers(0, 2, outputs).astype(bool)
        return Layer(**shape, **common, thresholds=thresholds, flipped=flipped)
    reach = 127 if out_bits == 8 else 1
    gain = (random.standard_normal(outputs) * scale * reach).astype(np.float32)
    offset = (random.standard_normal(outputs) * reach / 3).astype(np.float32)
    return Layer(**shape, **common, gain=gain, offset=offset)


def _top(width):
    return bits.top(width) if width <= 8 else 1


def _weights(random, wbits, outputs, inputs):
    if wbits <= 4:
        return bits.pack_planes(odd_values(random, (outputs, inputs), wbits), wbits)
    if wbits == 8:
        return odd_values(random, (outputs, inputs), 8)
    numbers = random.standard_normal((outputs, inputs)).astype(np.float32)
    return numbers if wbits == 32 else (numbers.view(np.uint32) >> 16).astype(np.uint16)


def _first(wbits, abits):
    """Bits of the first layer's inputs."""
    return 8 if wbits <= 8 and abits <= 8 else max(abits, 16) if abits > 8 else 32


def mlp(random, wbits, abits, widths):
    ins = [_first(wbits, abits), *[abits] * (len(widths) - 2)]
    outs = [*[abits] * (len(widths) - 2), 0]
    layers = tuple(
        layer(random, wbits, each, outputs, 1, inputs, out)
        for each, out, inputs, outputs in zip(ins, outs, widths, widths[1:], strict=False)
    )
    return _network(layers, (1, 1, widths[0]), widths[-1])


def convolutional(random, wbits, abits, shape, channels, classes):
    """Two 3 by 3 convolutions, pooled behind the second, and a linear layer."""
    height, width, colours = shape
    low = -bits.top(abits) if abits <= 8 else -1
    first = layer(
        random, wbits, _first(wbits, abits), channels[0], 9, colours, abits, size=(height, width), low=int(TABLE[0])
    )
    second = layer(random, wbits, abits, channels[1], 9, channels[0], abits, size=(height, width), pool=2, low=low)
    last = layer(random, wbits, abits, classes, (height // 2) * (width // 2), channels[1], 0)
    return _network((first, second, last), shape, classes)


def mixed(random):
    """Integer and float layers in turn, which no recipe gives but the format allows; float weights are whole."""
    layers = (
        layer(random, 2, 8, 40, 1, 50, 8),
        _whole(layer(random, 32, 8, 36, 1, 40, 2)),
        layer(random, 1, 2, 33, 1, 36, 16),
        _whole(layer(random, 32, 16, 20, 1, 33, 8)),
        layer(random, 4, 8, 10, 1, 20, 0),
    )
    return _network(layers, (1, 1, 50), 10)


def _whole(floats):
    return replace(floats, weights=np.rint(3 * floats.weights))


def _network(layers, shape, classes):
    return Network(layers=layers, pixels=TABLE, shape=shape, classes=tuple(map(str, range(classes))))


def pixels(random, network, samples):
    return random.integers(0, 17, (samples, int(np.prod(network.shape)))).astype(np.uint8)
