"""What stands between two layers on the device: how it is laid out, and the kernels that bring it into that layout."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from energybench.workloads.qnn import bits
from energybench.workloads.qnn.cuda import _pack, triton_kernels
from energybench.workloads.qnn.network import Layer

Form: TypeAlias = Literal["bytes", "planes", "floats"]

ROWS = 32
"""`torch._int_mm` wants more than 16 rows on CUDA: every buffer of int8 values has as many."""
_TILE_ROWS, _TILE_COLUMNS = 8, 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """Values on their way: int8 (rows, stride), planes int32 (rows, width, stride), or floats (samples, …, channels).

    Attributes:
        form: bytes (int8 values), planes (of `width` bits), or floats.
        width: bits of a value.
        samples: images.
        size: height and width of a map, whose places are rows; None where a sample is one row.
        channels: values of a row.
        stride: elements, of planes words, from one row to the next.
    """

    form: Form
    width: int
    samples: int
    size: tuple[int, int] | None
    channels: int
    stride: int

    @property
    def rows(self) -> int:
        """Samples, or places of all samples' maps."""
        return self.samples if self.size is None else self.samples * self.size[0] * self.size[1]

    def empty(self, device: str) -> Tensor:
        """A buffer for it, all zeros: what pads a row stays 0."""
        if self.form == "planes":
            return torch.zeros((self.rows, self.width, self.stride), dtype=torch.int32, device=device)
        return torch.zeros((max(self.rows, ROWS), self.stride), dtype=torch.int8, device=device)


def handed_on(form: Form, width: int, samples: int, size: tuple[int, int] | None, channels: int) -> Signal:
    """A layer's output: maps lie dense, the rows of vectors begin where the next product wants them."""
    if form == "planes":
        stride = _pack.words(channels) if size else _pack.plane_words(1, channels)
    else:
        stride = channels if size else _pack.row_bytes(channels)
    return Signal(form=form, width=width, samples=samples, size=size, channels=channels, stride=stride)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A kernel with its buffers, from one tensor to the next; under what name and arguments it announces itself."""

    run: Callable[[Tensor], Tensor]
    record: tuple[str, Mapping[str, Any]] | None = None


def encoded(source: Signal, table: Tensor | None, wanted: Form, device: str) -> tuple[Step, Signal]:
    """Pixels (with a table: uint8 (samples, all values)) or int8 values as int8 values or planes."""
    found = handed_on(wanted, source.width, source.samples, source.size, source.channels)
    out = found.empty(device)
    stride = source.channels if table is not None else source.stride
    values = torch.zeros(1, dtype=torch.int8, device=device) if table is None else table
    grid = (-(-found.rows // _TILE_ROWS), -(-found.channels // _TILE_COLUMNS))

    def run(signal: Tensor) -> Tensor:
        triton_kernels.encode[grid](
            signal, values, out, found.rows, found.channels, stride, found.stride, bits=found.width,
            packed=wanted == "planes", looked_up=table is not None, tile_m=_TILE_ROWS, tile_k=_TILE_COLUMNS,
            enable_fp_fusion=False,
        )  # fmt: skip
        return out

    count = found.rows * found.channels
    record = {"read_bytes": count, "written_bytes": count * found.width // 8}
    return Step(run=run, record=("qnn.cuda.encode", record)), found


def gathered(layer: Layer, source: Signal, *, dense: bool, device: str) -> tuple[Step | None, Signal]:
    """What the layer's product reads, from what stands in front of it: 3 by 3 windows, or all of a map in one row.

    Returns no step where the tensor in front can be read as it lies. `dense` wants a buffer of its own.
    """
    row = _row(layer, source)
    if layer.size is None:
        if source.size is None:
            return None, row
        lies_right = source.width == 1 or source.form == "bytes"
        if lies_right and not dense and layer.taps * source.stride == row.stride:
            shape = (row.rows, row.width, row.stride) if row.form == "planes" else (row.rows, row.stride)
            return Step(run=lambda signal: signal[: source.rows].reshape(shape)), row
    return _windows(layer, source, row, device), row


def _row(layer: Layer, source: Signal) -> Signal:
    planes = source.form == "planes"
    stride = _pack.plane_words(layer.taps, layer.channels) if planes else _pack.row_bytes(layer.inputs)
    size = layer.size
    if size is not None and layer.pool == 2:
        size = (size[0] // 2 * 2, size[1] // 2 * 2)
    return replace(source, size=size, channels=layer.inputs, stride=stride)


def _windows(layer: Layer, source: Signal, row: Signal, device: str) -> Step:
    out, edge = row.empty(device), _edge(layer, source).to(device)
    planes = source.width if source.form == "planes" else 1
    channels = _pack.words(layer.channels) if source.form == "planes" else layer.channels
    strides, as_words = (source.stride, row.stride), source.form == "bytes" and not (source.stride | channels) % 4
    if as_words:
        channels, strides, edge = channels // 4, (source.stride // 4, row.stride // 4), edge.view(torch.int32)
    height, width = source.size or (1, 1)
    grid = (-(-row.rows // _TILE_ROWS), -(-planes * layer.taps * channels // _TILE_COLUMNS))

    def run(signal: Tensor) -> Tensor:
        taken, given = (signal.view(torch.int32), out.view(torch.int32)) if as_words else (signal, out)
        triton_kernels.windows[grid](
            taken, edge, given, row.rows, height, width, planes, channels, *strides, layer.taps, pool=layer.pool**2,
            flat=layer.size is None, tile_m=_TILE_ROWS, tile_k=_TILE_COLUMNS,
            enable_fp_fusion=False,
        )  # fmt: skip
        return out

    each = layer.channels * (source.width if source.form == "planes" else 8) // 8
    record = {"read_bytes": source.rows * each, "written_bytes": row.rows * layer.taps * each}
    return Step(run=run, record=("qnn.cuda.windows", record))


def _edge(layer: Layer, source: Signal) -> Tensor:
    """What stands beyond the map's edge, in the map's own form."""
    low = np.full((1, layer.channels), layer.low, np.int8)
    if source.form == "bytes":
        return torch.from_numpy(low[0])
    code = low.view(np.uint8) if source.width == 8 else ((low.astype(np.int16) + bits.top(source.width)) >> 1)
    single = np.zeros((source.width, _pack.words(layer.channels) * 32), np.uint8)
    single[:, : layer.channels] = [code[0] >> plane & 1 for plane in range(source.width)]
    return torch.from_numpy(np.packbits(single, axis=1, bitorder="little").view(np.int32))
