"""Layers that multiply floats, by torch: float32, or bfloat16 where weights and inputs both have 16 bits."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from energybench.workloads.qnn import bits
from energybench.workloads.qnn.network import SCORES, Layer


def layer_function(layer: Layer, device: str) -> Callable[[Tensor], Tensor]:
    """From values (samples, …, channels) to the next layer's values, or float32 scores."""
    kind = torch.bfloat16 if layer.wbits == layer.abits == 16 else torch.float32
    weights = _weights(layer).to(kind).to(device)
    gain, offset = (torch.from_numpy(np.asarray(array)).to(device) for array in (layer.gain, layer.offset))
    product = _linear(weights) if layer.size is None else _convolution(layer, weights)

    def run(values: Tensor) -> Tensor:
        sums = _pooled(product(values.to(kind)), layer.pool).float()
        return _quantized(sums.mul_(gain).add_(offset), layer.out_bits)

    return run


def name(layer: Layer) -> str:
    """The kernel that runs the layer."""
    kind = "bfloat16" if layer.wbits == layer.abits == 16 else "float32"
    return f"aten.{'linear' if layer.size is None else 'convolution'} {kind}"


def _weights(layer: Layer) -> Tensor:
    if layer.wbits == 16:
        return torch.from_numpy(layer.weights.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(np.ascontiguousarray(layer.weights if layer.wbits == 32 else layer.values()))


def _linear(weights: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda values: functional.linear(values.flatten(1), weights)


def _convolution(layer: Layer, weights: Tensor) -> Callable[[Tensor], Tensor]:
    shape = (layer.outputs, 3, 3, layer.channels)
    filters = weights.reshape(shape).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)

    def run(values: Tensor) -> Tensor:
        padded = functional.pad(values.permute(0, 3, 1, 2), (1, 1, 1, 1), value=float(layer.low))
        # cuDNN would round float32 to 10 bits of mantissa.
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            return functional.conv2d(padded, filters).permute(0, 2, 3, 1)

    return run


def _pooled(sums: Tensor, pool: int) -> Tensor:
    if pool == 1:
        return sums
    return functional.max_pool2d(sums.permute(0, 3, 1, 2), pool).permute(0, 2, 3, 1)


def _quantized(y: Tensor, out_bits: int) -> Tensor:
    if out_bits == SCORES:
        return y
    if out_bits == 8:
        return y.round_().clamp_(-127, 127)
    cut = y.clamp_(-1, 1)
    if out_bits in bits.PLANES:
        top = bits.top(out_bits)
        return 2 * ((cut + 1) * (top / 2) + 0.5).floor() - top
    return cut.to(torch.bfloat16) if out_bits == 16 else cut
