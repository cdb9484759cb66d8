"""A layer's tensors as the CUDA kernels want them: weights laid out for their kernel, and the epilogue."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from energybench.workloads.qnn import bits
from energybench.workloads.qnn.network import Layer

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHUNK_WORDS = 8
"""Words of 32 inputs that one binary matrix instruction takes."""
TILE = 16
"""Outputs that one binary matrix instruction gives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Epilogue:
    """What follows a layer's sums, on the device; what its `out_bits` does not need is empty.

    Attributes:
        thresholds: int32 (2^out_bits - 1, outputs).
        flipped: uint8 (outputs,).
        gain: float32 (outputs,).
        offset: float32 (outputs,).
    """

    thresholds: Tensor
    flipped: Tensor
    gain: Tensor
    offset: Tensor


def epilogue(layer: Layer, device: str) -> Epilogue:
    """The layer's thresholds, or its gain and offset, on the device."""

    def moved(array: "NDArray[Any] | None", kind: type) -> Tensor:
        return torch.from_numpy(np.zeros(1, kind) if array is None else array.astype(kind)).to(device)

    return Epilogue(
        thresholds=moved(layer.thresholds, np.int32),
        flipped=moved(layer.flipped, np.uint8),
        gain=moved(layer.gain, np.float32),
        offset=moved(layer.offset, np.float32),
    )


def up(count: int, multiple: int) -> int:
    """The next multiple."""
    return -(-count // multiple) * multiple


def words(channels: int) -> int:
    """32-bit words of a plane of so many channels."""
    return -(-channels // 32)


def plane_words(taps: int, channels: int) -> int:
    """Words of a plane of a whole row: each tap begins a word, the row fills whole chunks."""
    return up(taps * words(channels), CHUNK_WORDS)


def row_bytes(inputs: int) -> int:
    """Bytes of a row of int8 values: rows begin at multiples of 16."""
    return up(inputs, 16)


def codes(layer: Layer) -> "NDArray[np.uint8]":
    """Weights (outputs, inputs) of up to 4 bits as codes 0 … 2^wbits - 1; those of 8 bits as their bytes."""
    values = layer.values()
    if layer.wbits == 8:
        return values.view(np.uint8)
    return ((values.astype(np.int16) + bits.top(layer.wbits)) >> 1).astype(np.uint8)


def packed_groups(layer: Layer, unit: int) -> "NDArray[np.uint8]":
    """Weights for `triton_kernels.packed_product`: uint8 (groups, wbits, padded outputs, unit).

    A group is 8 slices of `unit` inputs. Byte u of a tile holds input u of several slices, the first in the lowest
    bits; 3 bits are two tiles of the low two bits, and one of the third. Padded inputs have some value, for there is no
    0: the activations there are 0.
    """
    outputs, wbits = up(layer.outputs, 128), layer.wbits
    groups = -(-row_bytes(layer.inputs) // (8 * unit))
    padded = np.zeros((outputs, groups * 8 * unit), np.uint8)
    padded[: layer.outputs, : layer.inputs] = codes(layer)
    slices = padded.reshape(outputs, groups, 8, unit).transpose(1, 2, 0, 3)
    if wbits != 3:
        return np.ascontiguousarray(_held(slices, wbits))
    low, third = slices & np.uint8(3), slices >> np.uint8(2)
    return np.ascontiguousarray(np.concatenate([_held(low, 2), _held(third, 1)], axis=1))


def _held(slices: "NDArray[np.uint8]", width: int) -> "NDArray[np.uint8]":
    """Slices (groups, 8, outputs, unit) of some bits to bytes (groups, width, outputs, unit)."""
    groups, _, outputs, unit = slices.shape
    parts = slices.reshape(groups, width, 8 // width, outputs, unit)
    shifts = (np.arange(8 // width, dtype=np.uint8) * width)[:, None, None]
    held: NDArray[np.uint8] = np.bitwise_or.reduce(parts << shifts, axis=2)
    return held


def binary_fragments(layer: Layer) -> "NDArray[np.int32]":
    """Weights as operands of m16n8k256: int32 (tiles, chunks, wbits, 32 lanes, 4 registers).

    Lane 4 * row + quarter holds words 2 * quarter and 2 * quarter + 1 of its chunk, for `row` and for `row` + 8:
    registers are (word, half). The instruction's own order of inputs differs, in both operands alike: a sum has none.
    """
    planes = _planes(layer)
    tiles, chunks = planes.shape[1] // TILE, planes.shape[2] // CHUNK_WORDS
    parts = planes.reshape(layer.wbits, tiles, 2, 8, chunks, 4, 2)
    lanes = parts.transpose(1, 4, 0, 3, 5, 6, 2)
    return np.ascontiguousarray(lanes).reshape(tiles, chunks, layer.wbits, 32, 4).view(np.int32)


def _planes(layer: Layer) -> "NDArray[np.uint32]":
    """Codes as words (wbits, outputs padded to tiles, words of a row): each tap begins a word."""
    shape = (up(layer.outputs, TILE), layer.taps, words(layer.channels) * 32)
    padded = np.zeros(shape, np.uint8)
    padded[: layer.outputs, :, : layer.channels] = codes(layer).reshape(layer.outputs, layer.taps, layer.channels)
    rows = np.zeros((shape[0], plane_words(layer.taps, layer.channels) * 32), np.uint8)
    rows[:, : shape[1] * shape[2]] = padded.reshape(shape[0], -1)
    single = np.stack([rows >> plane & 1 for plane in range(layer.wbits)])
    return np.packbits(single, axis=2, bitorder="little").view("<u4")


def binary_bias(layer: Layer) -> "NDArray[np.int32]":
    """What the binary sums leave out of a product, for each output padded to tiles.

    With odd values w = 2c - L and a = 2d - M, and K inputs: Σ wa = 4 Σ cd - 2L Σ d - 2M Σ c + LMK. The kernels have the
    first two terms; int8 activations, in two's complement, need no more.
    """
    bias = np.zeros(up(layer.outputs, TILE), np.int32)
    if layer.abits != 8:
        w_top, a_top = bits.top(layer.wbits), bits.top(layer.abits)
        counted = codes(layer).sum(axis=1, dtype=np.int64)
        bias[: layer.outputs] = a_top * (w_top * layer.inputs - 2 * counted)
    return bias
