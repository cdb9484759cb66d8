"""A deployed network with 16 or 32 bits on one side at least, by torch's kernels.

bfloat16 where weights and inputs both have 16 bits, else float32. Weights of up to 8 bits lie packed and are widened in
each call; inputs of up to 8 bits are handed on as bytes. Float weights are laid out by oneDNN once.
"""

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from energybench import operations
from energybench.workloads.qnn import bits, formulas
from energybench.workloads.qnn.kernels import _stage
from energybench.workloads.qnn.network import SCORES, Layer, Network

if TYPE_CHECKING:
    from numpy.typing import NDArray


class FloatNetwork:
    """A network ready for batches of any size.

    Args:
        network: what was deployed.
        rows: samples of a batch, for which weights are laid out.
        threads: torch's threads while it runs.
    """

    def __init__(self, network: Network, *, rows: int, threads: int = 1) -> None:
        self._network, self._threads = network, threads
        self._table = torch.from_numpy(network.pixels.copy())
        self._layers = [_Floats(layer, rows) for layer in network.layers]
        self.kernels = tuple(layer.kernel for layer in self._layers)
        self.isa = torch.backends.cpu.get_cpu_capability()

    def __call__(self, pixels: "NDArray[np.uint8]") -> "NDArray[np.float32]":
        """Scores, float32 (samples, classes)."""
        before = torch.get_num_threads()
        if before != self._threads:
            torch.set_num_threads(self._threads)
        try:
            with torch.inference_mode():
                return self._run(torch.from_numpy(pixels)).numpy()
        finally:
            if before != self._threads:
                torch.set_num_threads(before)

    def _run(self, pixels: Tensor) -> Tensor:
        signal = torch.index_select(self._table, 0, pixels.reshape(-1).int())
        if self._network.layers[0].size:
            signal = signal.reshape(-1, *self._network.shape).permute(0, 3, 1, 2)
        else:
            signal = signal.reshape(len(pixels), -1)
        for layer in self._layers:
            signal = layer(signal)
        return signal


class _Floats:
    """One layer."""

    def __init__(self, layer: Layer, rows: int) -> None:
        self._layer = layer
        both = layer.wbits == layer.abits == 16
        self._dtype = torch.bfloat16 if both else torch.float32
        self.kernel = f"torch {'conv2d' if layer.size else 'linear'} {'bfloat16' if both else 'float32'}"
        gain, offset = layer.gain, layer.offset
        assert gain is not None
        assert offset is not None
        shape = (-1, 1, 1) if layer.size else (-1,)
        self._gain, self._offset = (torch.from_numpy(part.copy()).reshape(shape) for part in (gain, offset))
        self._packed = None if layer.wbits >= 16 else _Packed(layer)
        self._weight = self._laid_out(_floats(layer).to(self._dtype), rows) if self._packed is None else None
        if self._packed:
            self.kernel += f", W{layer.wbits} widened"

    def _laid_out(self, weight: Tensor, rows: int) -> Tensor:
        if self._layer.size:
            return _filters(weight, self._layer)
        if torch._C._has_mkldnn and (self._dtype == torch.float32 or _multiplies_bfloat16()):  # noqa: SLF001
            laid_out: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight, rows)  # noqa: SLF001
            return laid_out
        return weight

    def __call__(self, signal: Tensor) -> Tensor:
        layer = self._layer
        weight = self._weight
        if weight is None:
            assert self._packed is not None
            weight = self._packed.widened().to(self._dtype)
            weight = _filters(weight, layer) if layer.size else weight
        found = self._multiplied(signal.to(self._dtype), weight).to(torch.float32)
        if layer.pool > 1:
            found = functional.max_pool2d(found, layer.pool)
        return _handed_on(found.mul_(self._gain).add_(self._offset), layer.out_bits)

    def _multiplied(self, signal: Tensor, weight: Tensor) -> Tensor:
        if self._layer.size:
            padded = functional.pad(signal, (1, 1, 1, 1), value=float(self._layer.low))
            return functional.conv2d(padded.contiguous(memory_format=torch.channels_last), weight)
        if signal.dim() == 4:  # places by rows, channels last
            signal = signal.permute(0, 2, 3, 1).reshape(len(signal), -1)
        if weight.is_mkldnn:
            found: Tensor = torch.ops.mkldnn._linear_pointwise(signal, weight, None, "none", [], "")  # noqa: SLF001
            return found
        return functional.linear(signal, weight)


class _Packed:
    """Weights of up to 8 bits, widened to bytes when they are needed."""

    def __init__(self, layer: Layer) -> None:
        self._layer = layer
        self._rows = np.ascontiguousarray(layer.weights.transpose(1, 0, 2)) if layer.wbits < 8 else layer.weights
        words = -(-layer.inputs // 32)
        if layer.wbits < 8:
            room = np.zeros((layer.outputs, layer.wbits, 4 * words), np.uint8)
            room[:, :, : self._rows.shape[2]] = self._rows
            self._rows, self._wide = room, np.zeros((layer.outputs, 32 * words), np.int8)

    def widened(self) -> Tensor:
        """int8 (outputs, inputs)."""
        layer, rows = self._layer, self._rows
        if layer.wbits == 8:
            return torch.from_numpy(rows)
        operations.record(formulas.WIDEN, layer=layer)
        stride, pitch, out = rows[0].nbytes, rows[0, 0].nbytes, self._wide
        given = (rows.ctypes.data, stride, pitch, layer.wbits, layer.inputs, out.ctypes.data, out.shape[1])
        _stage.spread(*given, 0, layer.outputs)
        return torch.from_numpy(out)[:, : layer.inputs]


def _floats(layer: Layer) -> Tensor:
    if layer.wbits == 16:
        return torch.from_numpy(layer.weights.view(np.int16).copy()).view(torch.bfloat16)
    return torch.from_numpy(layer.weights.copy())


def _filters(weight: Tensor, layer: Layer) -> Tensor:
    filters = weight.reshape(layer.outputs, 3, 3, layer.channels).permute(0, 3, 1, 2)
    return filters.contiguous(memory_format=torch.channels_last)


def _handed_on(normal: Tensor, width: int) -> Tensor:
    """What the next layer reads: scores, floats in -1 … 1, or integer values as bytes."""
    if width == SCORES:
        return normal
    if width == 8:
        return normal.round_().clamp_(-127, 127).to(torch.int8)
    cut = normal.clamp_(-1, 1)
    if width in bits.PLANES:
        top = bits.top(width)
        return cut.add_(1).mul_(top / 2).add_(0.5).floor_().mul_(2).sub_(top).to(torch.int8)
    return cut.to(torch.bfloat16) if width == 16 else cut


def _multiplies_bfloat16() -> bool:
    """Whether oneDNN has kernels of bfloat16 for this processor."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())  # noqa: SLF001
