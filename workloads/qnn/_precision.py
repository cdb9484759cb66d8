"""A trained network at 32, 16 and 8 bits: what is stored, and how it runs with torch's own kernels.

The deployed network is what its file holds: it is written, read back and run from there, with no copy in
another precision beside it. Pixels come as whole numbers (uint8) at every precision; the conversion is part
of the step.
"""

import tempfile
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from energybench.workloads.qnn._training import Trained

Stored: TypeAlias = Mapping[str, Tensor]
Network: TypeAlias = Callable[[Tensor], Tensor]
"""Pixels, uint8 (samples, features), to class scores."""

_FLOAT = {32: torch.float32, 16: torch.bfloat16}
# _int_mm on CUDA wants more than 16 rows and multiples of 8.
_CUDA_ROWS = 32
_CUDA_MULTIPLE = 8
# Under this many rows _int_mm's call costs less than oneDNN's (measured with 64…1024 features, VNNI); above,
# oneDNN's fused scaling wins.
_FEW_ROWS = 8


def kernel(bits: int, *, rows: int, device: str) -> str:
    """The kernel that runs `rows` samples at this width: a rule, so that equal parameters run equal code."""
    if bits != 8:
        return f"aten.linear {'bfloat16' if bits == 16 else 'float32'}"
    if device == "cuda" or rows < _FEW_ROWS:
        return "aten._int_mm int8"
    return "onednn.qlinear_pointwise uint8 x int8"


@lru_cache
def largest_activation(kernel: str, device: str) -> int:
    """255, or 127 where the kernel's sums overflow above it.

    oneDNN adds pairs of products in 16 bits on processors without VNNI, and saturates. The kernel itself is asked,
    not the processor's flags, since oneDNN can be told to leave instructions alone.
    """
    shape, reach = (64, 256), 255 * 127 * 256
    high = torch.full(shape, 255, dtype=torch.uint8, device=device)
    weight = torch.full((64, 256), 127, dtype=torch.int8, device=device)
    if kernel.startswith("onednn"):
        ones, zeros = torch.ones(64), torch.zeros(64, dtype=torch.int32)
        packed = torch.ops.onednn.qlinear_prepack(weight, list(shape))
        sums = torch.ops.onednn.qlinear_pointwise(
            high, 1.0, 0, packed, ones, zeros, None, 1.0, 0, torch.float32, "none", [], ""
        )
    else:
        shifted = high.bitwise_xor(128).view(torch.int8)
        sums = torch._int_mm(shifted, weight.t()) + 128 * weight.sum(1, dtype=torch.int32)  # noqa: SLF001
    return 255 if bool((sums == reach).all()) else 127


def export(trained: Trained, bits: int, *, top: int | None = None) -> Stored:
    """The tensors of the deployed network: weights at `bits`, and the scales of 8-bit operands.

    8 bits: weights in -127…127, one scale an output; activations in 0…`top`, scaled by what training reached.
    """
    stored: dict[str, Tensor] = {}
    for index, (weight, bias) in enumerate(trained.layers):
        if bits in _FLOAT:
            stored |= {f"{index}.weight": weight.to(_FLOAT[bits]), f"{index}.bias": bias.to(_FLOAT[bits])}
            continue
        scale = weight.abs().amax(1).clamp_min(1e-12) / 127
        stored |= {
            f"{index}.weight": (weight / scale[:, None]).round().to(torch.int8),
            f"{index}.scale": scale,
            f"{index}.bias": bias.clone(),
            "top": torch.tensor(top or 255),
            f"{index}.input_scale": torch.tensor(_input_scale(trained, index, top or 255)),
        }
    return stored


def _input_scale(trained: Trained, index: int, top: int) -> float:
    # Pixels are whole numbers already: one level is one unit, exactly.
    return 1 / trained.dataset.levels if index == 0 else max(trained.reach[index], 1e-12) / top


def deployed(stored: Stored) -> tuple[Stored, int]:
    """The network as its file holds it, and the file's bytes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.pt"
        torch.save(dict(stored), path)
        return torch.load(path, weights_only=True), path.stat().st_size


def network(stored: Stored, bits: int, *, rows: int, levels: int, device: str) -> Network:
    """The deployed network, ready to run batches of `rows` samples; weights are packed for their kernel."""
    moved = {name: tensor.to(device) for name, tensor in stored.items()}
    if bits in _FLOAT:
        return _float_network(moved, _FLOAT[bits], levels)
    if kernel(bits, rows=rows, device=device).startswith("onednn"):
        return _onednn_network(moved, rows)
    return _int_mm_network(moved, device)


def _depth(stored: Stored) -> int:
    return sum(name.endswith(".weight") for name in stored)


def _float_network(stored: Stored, dtype: torch.dtype, levels: int) -> Network:
    *hidden, last = [(stored[f"{i}.weight"], stored[f"{i}.bias"]) for i in range(_depth(stored))]

    def run(pixels: Tensor) -> Tensor:
        signal = pixels.to(dtype).mul_(1 / levels)
        for weight, bias in hidden:
            signal = functional.linear(signal, weight, bias).relu_()
        return functional.linear(signal, *last)

    return run


def _onednn_network(stored: Stored, rows: int) -> Network:
    """Each layer one call: int8 products, scaling, bias, ReLU and rounding to the next layer's 8 bits."""
    qlinear, depth = torch.ops.onednn.qlinear_pointwise, _depth(stored)
    layers = [_onednn_layer(stored, index, depth, rows) for index in range(depth)]

    def run(signal: Tensor) -> Tensor:
        for scale, weight, rest in layers:
            signal = qlinear(signal, scale, 0, weight, *rest)
        return signal

    return run


def _onednn_layer(stored: Stored, index: int, depth: int, rows: int) -> tuple[float, Tensor, tuple[Any, ...]]:
    """The scale of a layer's input, its packed weight, and the further arguments of `qlinear_pointwise`."""
    weight = stored[f"{index}.weight"]
    packed = torch.ops.onednn.qlinear_prepack(weight, [rows, weight.shape[1]])
    zeros = torch.zeros(weight.shape[0], dtype=torch.int32)
    operands = (stored[f"{index}.scale"], zeros, stored[f"{index}.bias"])
    scale_in = float(stored[f"{index}.input_scale"])
    if index == depth - 1:
        return scale_in, packed, (*operands, 1.0, 0, torch.float32, "none", [], "")
    scale_out, top = float(stored[f"{index + 1}.input_scale"]), int(stored["top"])
    # uint8 ends at 255 by itself; a lower top has to be cut.
    then = ("relu", []) if top == 255 else ("hardtanh", [0.0, top * scale_out])
    return scale_in, packed, (*operands, scale_out, 0, torch.uint8, *then, "")


def _int_mm_network(stored: Stored, device: str) -> Network:
    """`_int_mm` takes int8 alone: activations 0…255 are shifted by 128, and the bias takes the shift back."""
    depth, classes = _depth(stored), stored[f"{_depth(stored) - 1}.weight"].shape[0]
    # Shifted by 128, as the activations.
    padded, top = device == "cuda", int(stored["top"]) - 128
    layers = [_shifted_layer(stored, index, depth, padded) for index in range(depth)]

    def run(pixels: Tensor) -> Tensor:
        rows = len(pixels)
        if padded and rows < _CUDA_ROWS:
            pixels = functional.pad(pixels, (0, 0, 0, _CUDA_ROWS - rows))
        signal = pixels.bitwise_xor(128).view(torch.int8)
        for weight, gain, offset in layers[:-1]:
            scores = torch._int_mm(signal, weight).to(torch.float32).mul_(gain).add_(offset)  # noqa: SLF001
            signal = scores.round_().clamp_(-128, top).to(torch.int8)
        weight, gain, offset = layers[-1]
        scores = torch._int_mm(signal, weight).to(torch.float32).mul_(gain).add_(offset)  # noqa: SLF001
        return scores[:rows, :classes]

    return run


def _shifted_layer(stored: Stored, index: int, depth: int, padded: bool) -> tuple[Tensor, Tensor, Tensor]:
    """A layer's transposed weight, and the gain and offset from its int32 sums to the next layer's int8."""
    weight = stored[f"{index}.weight"]
    gain = stored[f"{index}.scale"] * stored[f"{index}.input_scale"]
    offset = stored[f"{index}.bias"] + gain * 128 * weight.sum(1, dtype=torch.int32)
    if index < depth - 1:
        # ReLU is the clamp at -128, the shifted 0.
        scale_out = stored[f"{index + 1}.input_scale"]
        gain, offset = gain / scale_out, offset / scale_out - 128
    if padded and (missing := -len(weight) % _CUDA_MULTIPLE):
        weight = functional.pad(weight, (0, 0, 0, missing))
        gain, offset = functional.pad(gain, (0, missing)), functional.pad(offset, (0, missing))
    return weight.t(), gain, offset
