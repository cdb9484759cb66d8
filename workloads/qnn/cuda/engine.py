"""The CUDA engine: runs a deployed network with arithmetic of its own bit-widths.

| weights | kernel | arithmetic |
|---|---|---|
| 1 to 4 bits, few samples; 1 bit on 1 bit always | `b1.and.popc` (binary_mma) | single bits |
| 1 to 4 bits otherwise | Triton, unpacked in registers | int8 |
| 8 bits | `torch._int_mm`, Triton up to 16 rows; `torch._scaled_mm` where asked | int8; fp8 e4m3, not exact |
| 16, 32 bits | torch | bfloat16, float32 |
"""

from types import ModuleType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from energybench import operations
from energybench.workloads.qnn.cuda import _floats, _formulas, binary_mma
from energybench.workloads.qnn.network import SCORES, Layer, Network

if TYPE_CHECKING:
    from collections.abc import Callable

ARITHMETIC = ("auto", "int8", "fp8", "bits")
_GRAPH_ROWS = 1024
_FEW_ROWS = 16

# Importing it registers the formulas.
assert _formulas


def kernel(layer: Layer, rows: int, arithmetic: str, *, binary: bool = True) -> str:
    """The kernel that runs a layer: a rule, so that equal parameters run equal code. Rows are sums of one output."""
    if not layer.is_integer:
        return _floats.name(layer)
    if layer.wbits == 8:
        if arithmetic == "fp8":
            return "torch._scaled_mm fp8"
        return "torch._int_mm int8" if rows > _FEW_ROWS else "triton w8 int8"
    columns = rows * (4 if layer.abits == 3 else layer.abits)
    fits = layer.out_bits <= 8
    suited = columns <= binary_mma.FEW or layer.wbits == layer.abits == 1
    if fits and (arithmetic == "bits" or (binary and suited and arithmetic != "int8")):
        return f"b1.and.popc w{layer.wbits}a{layer.abits}"
    return f"triton w{layer.wbits} int8"


class CudaNetwork:
    """A network on a GPU, for batches of up to `rows` samples.

    With device="cpu" the same kernels run in Triton's interpreter (TRITON_INTERPRET=1 before python starts) and in what
    `compiler` makes of the CUDA source: for tests.

    Attributes:
        kernels: the kernel of each layer.
    """

    def __init__(
        self,
        network: Network,
        *,
        rows: int,
        arithmetic: str = "auto",
        device: str = "cuda",
        compiler: binary_mma.Compile = binary_mma.compile_for_gpu,
    ) -> None:
        _check(network, rows, arithmetic, device)
        self._network, self._rows, self._device, self._compiler = network, rows, device, compiler
        binary = arithmetic != "int8" and _has_binary(device, compiler)
        self.kernels: tuple[str, ...] = tuple(
            kernel(layer, _sums(layer, rows), arithmetic, binary=binary) for layer in network.layers
        )
        features = network.shape[0] * network.shape[1] * network.shape[2]
        self._pixels = torch.zeros((rows, features), dtype=torch.uint8, device=device)
        self._steps: list[Callable[[Tensor], Tensor]] = []
        self._records: list[tuple[str, Any]] = []
        self._build()
        self._graph = self._captured() if device == "cuda" and rows <= _GRAPH_ROWS else None

    def __call__(self, pixels: Tensor) -> Tensor:
        """Scores float32 (samples, classes) of pixels uint8 (samples, height * width * channels), on the device.

        Raises:
            ValueError: pixels of another type, shape or device, or more than `rows`.
        """
        expected = self._pixels
        if pixels.dtype != torch.uint8 or pixels.dim() != 2 or pixels.shape[1] != expected.shape[1]:
            found = f"{pixels.dtype} {tuple(pixels.shape)}"
            raise ValueError(f"pixels are {found}: give uint8 (samples, {expected.shape[1]})")
        if len(pixels) > self._rows or pixels.device.type != expected.device.type:
            found = f"{len(pixels)} samples on {pixels.device}"
            raise ValueError(f"{found}: this network was built for up to {self._rows} on {expected.device}")
        expected[: len(pixels)].copy_(pixels)
        for name, arguments in self._records:
            operations.record(name, **arguments)
        # A replayed graph dispatches nothing: whoever counts torch's operators wants to see them.
        if self._graph is None or torch._C._len_torch_dispatch_stack() > 0:  # noqa: SLF001
            scores = self._run()
        else:
            graph, scores = self._graph
            graph.replay()
        return scores[: len(pixels)].clone()

    def _run(self) -> Tensor:
        signal = self._pixels
        for step in self._steps:
            signal = step(signal)
        return signal

    def _captured(self) -> "tuple[torch.cuda.CUDAGraph, Tensor]":
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                self._run()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            scores = self._run()
        return graph, scores

    def _build(self) -> None:
        if any(layer.is_integer for layer in self._network.layers):
            chain = _chain(self._device).Chain(
                self._network, self.kernels, rows=self._rows, device=self._device, compiler=self._compiler
            )
            self._steps = [step.run for step in chain.steps]
            self._records = [step.record for step in chain.steps if step.record]
            return
        numbers, shape = torch.from_numpy(self._network.pixels).float().to(self._device), self._network.shape
        self._steps = [lambda pixels: numbers[pixels.int()].reshape(len(pixels), *shape)]
        self._steps += [_floats.layer_function(layer, self._device) for layer in self._network.layers]


def _chain(device: str) -> ModuleType:
    """The part of the engine that needs Triton."""
    try:
        from energybench.workloads.qnn.cuda import _chain, triton_kernels
    except ImportError as error:
        problem = "integer layers on CUDA need Triton, which is not installed here: pip install triton"
        raise ValueError(problem) from error
    if device == "cpu" and not triton_kernels.INTERPRETED:
        raise ValueError("device=cpu runs these kernels in an interpreter: set TRITON_INTERPRET=1, or use device=cuda")
    return _chain


def _check(network: Network, rows: int, arithmetic: str, device: str) -> None:
    if arithmetic not in ARITHMETIC:
        raise ValueError(f"arithmetic={arithmetic} is not offered: choose from {', '.join(ARITHMETIC)}")
    if rows < 1:
        raise ValueError(f"rows={rows} does not fit: it is 1 or more")
    if device not in ("cuda", "cpu"):
        raise ValueError(f"device={device} is not offered: choose from cuda, cpu")
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device=cuda: torch finds no CUDA device here; use the CPU engine, or a torch built for CUDA")
    if network.layers[-1].out_bits != SCORES:
        raise ValueError("the network's last layer hands on no scores: export it again")


def _has_binary(device: str, compiler: binary_mma.Compile) -> bool:
    """Whether single bits are multiplied by an instruction of the GPU's own; later than Hopper they are emulated."""
    if device == "cpu":
        return compiler is not binary_mma.compile_for_gpu
    return torch.cuda.get_device_capability()[0] in (8, 9) and binary_mma.works(compiler)


def _sums(layer: Layer, rows: int) -> int:
    if layer.size is None:
        return rows
    height, width = layer.size
    return rows * (height // layer.pool * layer.pool) * (width // layer.pool * layer.pool)
