"""A deployed network on the CPU: integer layers by our own kernels, layers with floats by torch's.

Between integer layers, values stay as they are stored: planes of bits up to 4 bits, bytes at 8. A thread takes a share
of the samples through all layers, so that no layer waits for another thread; where samples are few, threads share the
columns of each layer instead. Networks with 16 or 32 bits on either side are run by `floats`.
"""

import math
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from energybench import operations
from energybench.workloads.qnn import formulas
from energybench.workloads.qnn.kernels import _stage, linear
from energybench.workloads.qnn.kernels.isa import target
from energybench.workloads.qnn.kernels.linear import DOT, POPCOUNT, Product, Signal
from energybench.workloads.qnn.network import Layer, Network

if TYPE_CHECKING:
    from numpy.typing import NDArray

AUTO, BITS, INT8 = "auto", "bits", "int8"
ARITHMETIC = (AUTO, BITS, INT8)


class CpuNetwork:
    """A network made ready for batches of `rows` samples.

    Args:
        network: what was deployed.
        rows: samples of a batch.
        threads: how many share a batch.
        arithmetic: `bits` counts bits wherever both sides have 2 or less, `int8` multiplies bytes, `auto` takes the
            faster of the two for this processor (`kernels.linear.engine`).

    Attributes:
        kernels: what runs each layer, in words.
        isa: the instructions that our kernels use.
    """

    def __init__(self, network: Network, *, rows: int, threads: int = 1, arithmetic: str = AUTO) -> None:
        if rows < 1 or threads < 1:
            raise ValueError(f"rows={rows}, threads={threads} do not fit: both are 1 or more")
        if arithmetic not in ARITHMETIC:
            raise ValueError(f"arithmetic={arithmetic!r} is not offered on a CPU: choose from {', '.join(ARITHMETIC)}")
        self.network, self.rows = network, rows
        self.threads = min(threads, rows)
        self.isa = target().name
        self._shares = [(i, rows * i // self.threads, rows * (i + 1) // self.threads) for i in range(self.threads)]
        self._shape = (rows, math.prod(network.shape))
        self._by_columns = all(linear.by_columns(layer, rows, threads) for layer in network.layers)
        self._lock = threading.Lock()
        self._steps: list[Any] = []
        self._whole: Any = None
        if network.layers[0].is_integer:
            self._build(arithmetic)
        else:
            from energybench.workloads.qnn.floats import FloatNetwork

            self._whole = FloatNetwork(network, rows=rows, threads=threads)
            self.isa = self._whole.isa
        names = [step.kernel for step in self._steps if step.kernel]
        self.kernels: tuple[str, ...] = self._whole.kernels if self._whole else tuple(names)

    def __call__(self, pixels: "NDArray[np.uint8]") -> "NDArray[np.float32]":
        """Scores, float32 (samples, classes), of uint8 pixels (samples, height * width * channels).

        Threads that call the same network wait for each other.

        Raises:
            ValueError: pixels of another shape or type.
        """
        if pixels.shape != self._shape or pixels.dtype != np.uint8:
            raise ValueError(
                f"pixels are {pixels.dtype} {pixels.shape}: this network was built for uint8 {self._shape}"
            )
        if self._whole:
            found: NDArray[np.float32] = self._whole(pixels)
            return found
        for step in self._steps:
            step.announce()
        with self._lock:
            self._steps[0].show(pixels)
            out = self._steps[-1].renew()
            if self.threads == 1:
                self._share(0, 0, self.rows)
            elif self._by_columns:
                self._layer_by_layer()
            else:
                list(_pool(self.threads).map(lambda share: self._share(*share), self._shares))
        scores: NDArray[np.float32] = out.data.view(np.float32)[:, : self.network.layers[-1].outputs]
        return scores

    def _share(self, thread: int, first: int, last: int) -> None:
        for step in self._steps:
            step.run(thread, first, last)

    def _layer_by_layer(self) -> None:
        for step in self._steps:
            work = step.run_columns if isinstance(step, _Step) else step.run
            shares = [(t, self.threads) for t in range(self.threads)] if isinstance(step, _Step) else self._shares
            list(_pool(self.threads).map(lambda share: work(*share), shares))  # noqa: B023 -- done before the next

    def _build(self, arithmetic: str) -> None:
        source = _LookUp(self._shape, self.network.pixels, self.network.layers[0].size)
        self._steps.append(source)
        signal = source.out
        for layer in self.network.layers:
            if (which := _engine(layer, signal, arithmetic)) == DOT and signal.bits != 8:
                self._steps.append(_Spread(signal, self.rows))
                signal = self._steps[-1].out
            self._steps.append(_Step(layer, signal, self.rows, which, self.threads))
            signal = self._steps[-1].out


def _engine(layer: Layer, signal: Signal, arithmetic: str) -> str:
    if signal.bits == 8 or layer.wbits == 8 or arithmetic == INT8:
        return DOT
    few = layer.wbits <= 2 and signal.bits <= 2
    return POPCOUNT if arithmetic == BITS and few else linear.engine(layer.wbits, signal.bits)


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="energybench-qnn")


# A child of fork has the pool's object, but not its threads.
os.register_at_fork(after_in_child=_pool.cache_clear)


class _LookUp:
    """Pixels to the integer values that stand for them."""

    kernel = ""

    def __init__(self, shape: tuple[int, int], table: "NDArray[np.int8]", size: tuple[int, int] | None) -> None:
        self._places = math.prod(size) if size else 1
        channels, rows = shape[1] // self._places, shape[0] * self._places
        self._table, self._pixels = table.view(np.uint8), np.zeros((rows, channels), np.uint8)
        if size:  # the pixels of a map are gathered, not multiplied where they lie: nothing needs to be padded
            self.out = Signal(data=linear.aligned(rows, channels), bits=8, channels=channels, size=size)
        else:
            self.out = linear.signal(rows, channels, 8)

    def show(self, pixels: "NDArray[np.uint8]") -> None:
        """Look these up from now on."""
        self._pixels = np.ascontiguousarray(pixels).reshape(self._pixels.shape)

    def announce(self) -> None:
        operations.record(formulas.LOOK_UP, rows=len(self._pixels), columns=self._pixels.shape[1])

    def run(self, _thread: int, first: int, last: int) -> None:
        n = self._places
        out = self.out.data.reshape(-1)
        _stage.look_up(self._pixels, self._table, self._pixels.shape[1], out, self.out.stride, first * n, last * n)


class _Spread:
    """Planes to bytes, for a product of bytes: room of the kernel's own, not counted, as widened weights are not."""

    kernel = ""

    def __init__(self, source: Signal, rows: int) -> None:
        self._source, self._places = source, source.places
        self.out = linear.signal(rows * source.places, source.channels, 8, source.size)

    def announce(self) -> None:
        pass

    def run(self, _thread: int, first: int, last: int) -> None:
        source, out, n = self._source, self.out, self._places
        planes = (source.address, source.stride, source.pitch, source.bits, source.channels)
        _stage.spread(*planes, out.address, out.stride, first * n, last * n)


class _Step:
    """An integer layer."""

    def __init__(self, layer: Layer, source: Signal, samples: int, engine: str, threads: int) -> None:
        self._layer = layer
        self._places, self._samples = formulas.places(layer), samples
        self._product = Product(layer, source, rows=samples * self._places, engine=engine, threads=threads)
        self.out = self._product.out
        self._name = formulas.POPCOUNT if engine == POPCOUNT else formulas.DOT
        self.kernel = f"{engine} W{layer.wbits}A{layer.abits}"

    def renew(self) -> Signal:
        """Room for new results: those of the last call belong to the caller."""
        return self._product.renew()

    def announce(self) -> None:
        operations.record(self._name, layer=self._layer, samples=self._samples)

    def run(self, thread: int, first: int, last: int) -> None:
        self._product.run(first * self._places, last * self._places, thread)

    def run_columns(self, thread: int, threads: int) -> None:
        self._product.run_columns(thread, threads)
