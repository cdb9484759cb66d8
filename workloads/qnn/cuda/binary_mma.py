"""True 1-bit arithmetic on tensor cores: `b1 … and.popc`, which Ampere and Hopper have (Hopper has no xor).

With bits c, d of the values 2c - 1 and 2d - 1, and K of them: dot = K - 2 · (bits(c) + bits(d) - 2 · bits(c & d)). More
bits are planes of single bits, weighted by powers of two, so that the same instruction multiplies 1 to 4 bits by 1 to 4
or 8. At small batches that is also the kernel for memory bandwidth: packed weights are operands as they lie, and the
planes of an 8-bit activation fill the 8 columns that a single sample would leave empty.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor

from energybench.workloads.qnn.cuda import _pack
from energybench.workloads.qnn.cuda._binary_source import KERNELS, PRIMITIVES
from energybench.workloads.qnn.network import Layer

Launch: TypeAlias = Callable[[tuple[int, int, int], tuple[int, int, int], Sequence[Tensor | int]], None]
"""Starts a compiled kernel: grid, block, arguments."""
Compile: TypeAlias = Callable[[str, str], Launch]
"""Compiles a kernel: the lines that define its constants, and its name."""

FEW = 32
"""Up to so many columns (samples × planes) the kernel that reads weights straight from memory is used."""
_WARPS = 8
_PREFETCHED_BYTES = 8 << 20
_LINE_BYTES = 128
_CONSTANTS = {
    "PACKED": 1,
    "POOL": 1,
    "WARPS": _WARPS,
    "GROUPS": 1,
    "UNROLL": 4,
    "STAGES": 3,
    "DEPTH": 2,
    "ROW_TILES": 1,
    "COLUMN_GROUPS": 2,
}


@lru_cache(maxsize=256)
def compile_for_gpu(defines: str, name: str) -> Launch:
    """Compile with NVRTC through torch, for the current device.

    Raises:
        ValueError: this torch cannot; the message says what can be used instead.
    """
    compile_kernel = getattr(torch.cuda, "_compile_kernel", None)
    remedy = "use arithmetic=int8, or a torch for CUDA from 2.9 on"
    if compile_kernel is None or not torch.cuda.is_available():
        raise ValueError(f"1-bit kernels cannot be compiled: this torch has no NVRTC or sees no GPU; {remedy}")
    try:
        with _any_toolkit():
            kernel = compile_kernel(defines + PRIMITIVES + KERNELS, name)
    except (OSError, RuntimeError) as error:
        first = str(error).strip().splitlines()[0]
        raise ValueError(f"1-bit kernels cannot be compiled: {first}; {remedy}") from error

    def launch(grid: tuple[int, int, int], block: tuple[int, int, int], arguments: Sequence[Tensor | int]) -> None:
        kernel(grid=grid, block=block, args=list(arguments))

    return launch


@contextmanager
def _any_toolkit() -> Iterator[None]:
    """Torch asks for the toolkit's headers, which a machine with a driver alone lacks; these kernels include none."""
    from torch.utils import cpp_extension

    before = cpp_extension.CUDA_HOME
    cpp_extension.CUDA_HOME = before or str(Path(__file__).parent)
    try:
        yield
    finally:
        cpp_extension.CUDA_HOME = before


def works(compiler: Compile) -> bool:
    """Whether the kernels can be compiled here; a warning says why not."""
    try:
        compiler(_defines({**_CONSTANTS, "W_BITS": 1, "A_BITS": 1, "OUT_BITS": 1}), "few_columns")
    except ValueError as error:
        warnings.warn(f"bits are multiplied by Triton's kernels instead: {error}", RuntimeWarning, stacklevel=2)
        return False
    return True


def _defines(constants: Mapping[str, int]) -> str:
    return "".join(f"#define {name} {value}\n" for name, value in constants.items())


class BinaryLinear:
    """A layer of up to 4-bit weights on planes of up to 4-bit, or 8-bit, activations.

    Called with signal int32 (samples, abits, words) and out, it writes what the layer hands on: planes int32 (samples /
    pool², out_bits, stride), int8 values (samples / pool², stride) where not packed, or scores float32.
    """

    def __init__(self, layer: Layer, *, samples: int, packed: bool, device: str, compiler: Compile) -> None:
        self._layer, self._samples, self._packed = layer, samples, packed
        fragments = torch.from_numpy(_pack.binary_fragments(layer))
        self.weights = fragments.to(device)
        self._tiles, self._chunks = fragments.shape[:2]
        self._bias = torch.from_numpy(_pack.binary_bias(layer)).to(device)
        self._epilogue = _pack.epilogue(layer, device)
        self._next, self._next_lines = self.weights, 0
        self._slots = 4 if layer.abits == 3 else layer.abits
        self.few = samples * self._slots <= FEW or layer.wbits * layer.abits > 1
        constants = self._constants()
        self._grid, self._block = self._shape(constants)
        self._launch = compiler(_defines(constants), "few_columns" if self.few else "many_columns")

    def _constants(self) -> dict[str, int]:
        layer = self._layer
        wide = layer.pool == 2 or self._samples * self._slots > 8
        tiles, columns = _block(layer.outputs, self._samples)
        return {
            **_CONSTANTS,
            "W_BITS": layer.wbits,
            "A_BITS": layer.abits,
            "OUT_BITS": layer.out_bits,
            "PACKED": int(self._packed),
            "POOL": layer.pool**2,
            "GROUPS": 4 if wide else 1,
            "UNROLL": max(1, 4 // layer.wbits),
            "ROW_TILES": tiles,
            "COLUMN_GROUPS": columns,
        }

    def _shape(self, constants: dict[str, int]) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
        if self.few:
            columns = constants["GROUPS"] * 8 // self._slots
            return (self._tiles, -(-self._samples // columns), 1), (_WARPS * 32, 1, 1)
        tiles, columns = 2 * constants["ROW_TILES"], 32 * constants["COLUMN_GROUPS"]
        return (-(-self._tiles // tiles), -(-self._samples // columns), 1), (256, 1, 1)

    def followed_by(self, other: "BinaryLinear") -> None:
        """Let this layer's last blocks bring the first weights of the next layer into the L2."""
        if self.few:
            self._next = other.weights
            self._next_lines = min(other.weights.nbytes, _PREFETCHED_BYTES) // _LINE_BYTES

    def __call__(self, signal: Tensor, out: Tensor) -> None:
        """Write the layer's outputs for `signal` into `out`."""
        e, layer = self._epilogue, self._layer
        operands: tuple[Any, ...] = (self.weights, signal, self._bias, e.thresholds, e.flipped, e.gain, e.offset)
        sizes = (self._samples, layer.outputs, self._chunks, out.stride(-2), self._next_lines)
        self._launch(self._grid, self._block, (*operands, out, self._next, *sizes))


def _block(outputs: int, samples: int) -> tuple[int, int]:
    """Tiles of 16 outputs and groups of 8 samples a warp: large where that leaves a block for each multiprocessor."""
    for tiles, columns in ((4, 4), (2, 4), (2, 2)):
        if -(-outputs // (32 * tiles)) * -(-samples // (32 * columns)) >= 128 and samples > 16 * columns:
            return tiles, columns
    return 1, 2
