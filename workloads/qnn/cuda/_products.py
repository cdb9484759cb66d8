"""The products of integer layers: packed weights by Triton, torch's int8 and fp8, and single bits."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import triton
from torch import Tensor
from torch.nn import functional

from energybench.workloads.qnn.cuda import _pack, triton_kernels
from energybench.workloads.qnn.cuda._signal import Signal, Step
from energybench.workloads.qnn.cuda.binary_mma import BinaryLinear, Compile
from energybench.workloads.qnn.network import SCORES, Layer

_MULTIPROCESSORS = 132
_TUNING_RUNS = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tiles:
    """A configuration of `packed_product`."""

    outputs: int
    samples: int
    warps: int
    stages: int
    split: int


def out_tensor(layer: Layer, after: Signal, device: str) -> Tensor:
    """What the layer writes into: the next signal's buffer, or float32."""
    if layer.out_bits == SCORES or layer.out_bits > 8:
        return torch.zeros((after.rows, layer.outputs), device=device)
    return after.empty(device)


def record(layer: Layer, rows: int) -> dict[str, int]:
    """What the formulas of products want to know; rows are sums of one output, before pooling."""
    return {
        "rows": rows,
        "inputs": layer.inputs,
        "outputs": layer.outputs,
        "wbits": layer.wbits,
        "abits": layer.abits,
        "out_bits": layer.out_bits,
        "pool": layer.pool,
    }


def binary(layer: Layer, before: Signal, after: Signal, device: str, compiler: Compile) -> tuple[Step, BinaryLinear]:
    """A product of planes, by and-popcount on tensor cores."""
    packed = after.form == "planes"
    product, out = (
        BinaryLinear(layer, samples=before.rows, packed=packed, device=device, compiler=compiler),
        out_tensor(layer, after, device),
    )

    def run(signal: Tensor) -> Tensor:
        product(signal, out)
        return out

    return Step(run=run, record=("qnn.cuda.xnor_linear", record(layer, before.rows))), product


def packed(layer: Layer, before: Signal, after: Signal, device: str) -> Step:
    """A product of packed weights and int8 values, weights unpacked in registers."""
    unit = 64 if before.rows <= 16 and layer.inputs > 512 else 32
    held = _pack.packed_groups(layer, unit)
    weights = torch.from_numpy(held).to(device)
    e, out = _pack.epilogue(layer, device), out_tensor(layer, after, device)
    how = {"out_bits": layer.out_bits, "packed": after.form == "planes", "pool": layer.pool**2}
    assembly = None if triton_kernels.INTERPRETED else triton_kernels.ASSEMBLY.get(layer.wbits)
    operands = (e.thresholds, e.flipped, e.gain, e.offset, before.rows, layer.outputs)
    finish = finished(layer, before.rows, after, device)

    def run_with(tiles: _Tiles) -> Callable[[Tensor], Tensor]:
        parts = out if tiles.split == 1 else _sums(tiles.split, before.rows, layer.outputs, device)
        grid = (-(-layer.outputs // tiles.outputs), -(-before.rows // tiles.samples), tiles.split)

        def run(signal: Tensor) -> Tensor:
            triton_kernels.packed_product[grid](
                signal, weights, parts, *operands, before.stride, held.shape[2], held.shape[0], out.stride(-2),
                w_bits=layer.wbits, unit=unit, **how, tile_n=tiles.outputs, tile_m=tiles.samples, split=tiles.split,
                assembly=assembly, num_warps=tiles.warps, num_stages=tiles.stages, enable_fp_fusion=False,
            )  # fmt: skip
            return out if tiles.split == 1 else finish(parts, out)

        return run

    tried = [run_with(tiles) for tiles in _configurations(layer, before.rows, held.shape[0])]
    chosen = tried[0] if device == "cpu" else _fastest(tried, before.empty(device))
    return Step(run=chosen, record=("qnn.cuda.packed_linear", record(layer, before.rows)))


def _sums(parts: int, rows: int, outputs: int, device: str) -> Tensor:
    return torch.zeros((parts, rows, outputs), dtype=torch.int32, device=device)


def _configurations(layer: Layer, rows: int, groups: int) -> list[_Tiles]:
    """Configurations worth a try, the likeliest first."""
    if rows <= 16:
        blocks = -(-layer.outputs // 64)
        splits = sorted({min(groups, max(1, wanted * _MULTIPROCESSORS // blocks)) for wanted in (1, 2, 4)})
        stages = 2 if layer.wbits == 8 else 3
        return [_Tiles(outputs=64, samples=16, warps=4, stages=stages, split=split) for split in splits]
    if rows <= 64:
        split = min(groups, max(1, _MULTIPROCESSORS // (-(-layer.outputs // 64) * -(-rows // 64))))
        return [_Tiles(outputs=64, samples=64, warps=4, stages=stages, split=split) for stages in (3, 4)]
    large = _Tiles(outputs=128, samples=128, warps=8, stages=3, split=1)
    small = _Tiles(outputs=64, samples=128, warps=4, stages=3, split=1)
    wide = _Tiles(outputs=128, samples=64, warps=4, stages=4, split=1)
    few = -(-layer.outputs // 128) * -(-rows // 128) < _MULTIPROCESSORS
    return [small, wide, large] if few else [large, small, wide]


def _fastest(tried: Sequence[Callable[[Tensor], Tensor]], signal: Tensor) -> Callable[[Tensor], Tensor]:
    """The configuration with the smallest median time on this device, of those that fit it."""
    seconds: dict[int, list[float]] = {index: [] for index, run in enumerate(tried) if _fits(run, signal)}
    if not seconds:
        raise ValueError("no configuration of the packed product fits this GPU's shared memory; use arithmetic=bits")
    for _ in range(_TUNING_RUNS):
        for index, found in seconds.items():
            begin, end = _event(), _event()
            begin.record()
            tried[index](signal)
            end.record()
            end.synchronize()
            found.append(begin.elapsed_time(end))
    return tried[min(seconds, key=lambda index: statistics.median(seconds[index]))]


def _event() -> torch.cuda.Event:
    return torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]


def _fits(run: Callable[[Tensor], Tensor], signal: Tensor) -> bool:
    try:
        run(signal)
    except triton.OutOfResources:
        return False
    return True


def finished(layer: Layer, rows: int, after: Signal, device: str) -> Callable[[Tensor, Tensor], Tensor]:
    """What makes a layer's output of its sums (parts, rows or more, outputs or more)."""
    e = _pack.epilogue(layer, device)
    tile_n, tile_m = (64, 32)
    grid = (-(-layer.outputs // tile_n), -(-rows // tile_m))

    def run(sums: Tensor, out: Tensor) -> Tensor:
        triton_kernels.finish_sums[grid](
            sums, out, e.thresholds, e.flipped, e.gain, e.offset, rows, layer.outputs, sums.shape[0], sums.stride(0),
            sums.stride(1), out.stride(-2), out_bits=layer.out_bits, packed=after.form == "planes",
            pool=layer.pool**2, tile_n=tile_n, tile_m=tile_m, enable_fp_fusion=False,
        )  # fmt: skip
        return out

    return run


def torch_int8(layer: Layer, before: Signal, after: Signal, device: str) -> Step:
    """`torch._int_mm`: int8 products, int32 sums."""
    weights = _padded(layer, before, torch.int8).to(device)
    finish, out = finished(layer, before.rows, after, device), out_tensor(layer, after, device)

    def run(signal: Tensor) -> Tensor:
        return finish(torch._int_mm(signal, weights.t())[None], out)  # noqa: SLF001

    return Step(run=run, record=("qnn.cuda.epilogue", record(layer, before.rows)))


def torch_fp8(layer: Layer, before: Signal, after: Signal, device: str) -> Step:
    """`torch._scaled_mm` on e4m3: 8-bit integers are rounded to 4 significant bits, so it is not exact."""
    weights = _padded(layer, before, torch.bfloat16).to(torch.float8_e4m3fn).to(device)
    finish, out = finished(layer, before.rows, after, device), out_tensor(layer, after, device)
    one = torch.ones((), device=device)

    def run(signal: Tensor) -> Tensor:
        rounded = signal.to(torch.bfloat16).to(torch.float8_e4m3fn)
        sums = torch._scaled_mm(rounded, weights.t(), scale_a=one, scale_b=one, out_dtype=torch.float32)  # noqa: SLF001
        return finish(sums[None], out)

    return Step(run=run, record=("qnn.cuda.epilogue", record(layer, before.rows)))


def _padded(layer: Layer, before: Signal, kind: torch.dtype) -> Tensor:
    """Weights (outputs padded to 16, bytes of a row), 0 where there is padding."""
    values = torch.from_numpy(np.ascontiguousarray(layer.values())).to(kind)
    missing = (0, before.stride - layer.inputs, 0, -layer.outputs % 16)
    return functional.pad(values, missing)
