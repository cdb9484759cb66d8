"""The steps of a network with integer layers: each product, and between two what brings one's output to the next."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from energybench.workloads.qnn.cuda import _floats, _products
from energybench.workloads.qnn.cuda._signal import Form, Signal, Step, encoded, gathered, handed_on
from energybench.workloads.qnn.cuda.binary_mma import BinaryLinear, Compile
from energybench.workloads.qnn.network import Layer, Network


def form(kernel: str) -> Form:
    """What a kernel reads."""
    if kernel.startswith("b1"):
        return "planes"
    return "floats" if kernel.startswith("aten") else "bytes"


class Chain:
    """Builds the steps of a network, layer by layer."""

    def __init__(self, network: Network, kernels: Sequence[str], *, rows: int, device: str, compiler: Compile) -> None:
        self._network, self._kernels, self._device, self._compiler = network, kernels, device, compiler
        self.steps: list[Step] = []
        height, width, channels = network.shape
        first = network.layers[0]
        size = None if first.size is None and first.taps == 1 else (height, width)
        values = channels if size else height * width * channels
        self._signal = Signal(form="bytes", width=8, samples=rows, size=size, channels=values, stride=values)
        self._binary: BinaryLinear | None = None
        self._read_pixels(form(kernels[0]))
        for index, layer in enumerate(network.layers):
            following = form(kernels[index + 1]) if index + 1 < len(network.layers) else "bytes"
            self._add(layer, kernels[index], "planes" if following == "planes" else "bytes")

    def _read_pixels(self, wanted: Form) -> None:
        table = torch.from_numpy(self._network.pixels).to(self._device)
        if wanted == "floats":
            numbers, shape = table.float(), self._network.shape
            self.steps.append(Step(run=lambda pixels: numbers[pixels.int()].reshape(len(pixels), *shape)))
            self._signal = replace(self._signal, form="floats")
            return
        step, self._signal = encoded(self._signal, table, wanted, self._device)
        self.steps.append(step)

    def _add(self, layer: Layer, kernel: str, following: Form) -> None:
        samples, wanted = self._signal.samples, form(kernel)
        after = handed_on(following, layer.out_bits, samples, layer.out_size, layer.outputs)
        self._adapt(wanted)
        if wanted == "floats":
            self.steps.append(Step(run=_floats.layer_function(layer, self._device)))
            self._signal, self._binary = replace(after, form="floats"), None
            return
        step, before = gathered(layer, self._signal, dense=kernel.startswith("torch"), device=self._device)
        self.steps += [] if step is None else [step]
        self.steps.append(self._product(layer, kernel, before, after))
        self._signal = after
        if layer.out_bits > 8:
            shape = (samples, *(layer.out_size or ()), layer.outputs)
            kind = torch.bfloat16 if layer.out_bits == 16 else torch.float32
            self.steps.append(Step(run=lambda values: values.reshape(shape).to(kind)))
            self._signal = replace(after, form="floats")

    def _product(self, layer: Layer, kernel: str, before: Signal, after: Signal) -> Step:
        last, self._binary = self._binary, None
        if kernel.startswith("b1"):
            step, self._binary = _products.binary(layer, before, after, self._device, self._compiler)
            if last is not None:
                last.followed_by(self._binary)
            return step
        kinds = {"torch._int_mm int8": _products.torch_int8, "torch._scaled_mm fp8": _products.torch_fp8}
        return kinds.get(kernel, _products.packed)(layer, before, after, self._device)

    def _adapt(self, wanted: Form) -> None:
        """Between layers that multiply integers and layers that multiply floats."""
        signal = self._signal
        if wanted == "floats" and signal.form == "bytes":
            shape = (signal.samples, *(signal.size or ()), signal.channels)
            self.steps.append(Step(run=lambda v: v[: signal.rows, : signal.channels].float().reshape(shape)))
            self._signal = replace(signal, form="floats")
        elif wanted != "floats" and signal.form == "floats":
            self._to_integers(wanted)

    def _to_integers(self, wanted: Form) -> None:
        signal = self._signal
        found = handed_on("bytes", signal.width, signal.samples, signal.size, signal.channels)
        out = found.empty(self._device)

        def run(values: Tensor) -> Tensor:
            out[: found.rows, : found.channels].copy_(values.reshape(found.rows, found.channels))
            return out

        self.steps.append(Step(run=run))
        self._signal = found
        if wanted == "planes":
            step, self._signal = encoded(found, None, wanted, self._device)
            self.steps.append(step)
