"""Quantized networks as torch modules: full-precision master weights, quantized in every forward pass.

A stage is weights, batch normalisation and quantizer. It takes integer values and hands integer values on, both kept in
float tensors. While it trains, sums are float32, normalised by the batch. In evaluation it computes what `network`
defines: exact sums in float64, then the folded normalisation, one operation at a time. The order is that of the papers
(arXiv 1602.02830): products, pooling, normalisation, quantizer.
"""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from energybench.workloads.qnn import _plans, _quantizers, bits
from energybench.workloads.qnn._plans import Plan, Widths
from energybench.workloads.qnn.network import SCORES

EPSILON = 1e-4
MOMENTUM = 0.1
DROPOUT = 0.1
"""The share of activations dropped behind a linear layer in training; maps are left whole."""


class Stage(nn.Module):
    """One stage of a network.

    Attributes:
        weight: the master copy, (outputs, channels, 3, 3) or (outputs, taps * channels), taps outermost.
        scale: the real number that an integer sum of 1 stands for; up to 8 bits the constant 1 / sqrt(inputs) is in it,
            so that sums of all layers are of one size beside the normalisation's epsilon.
        mean, variance: of the integer sums, as training has met them.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, plan: Plan, widths: Widths, random: torch.Generator) -> None:
        super().__init__()
        self.plan, self.widths = plan, widths
        self.random: torch.Generator | None = None
        shape = (plan.outputs, plan.channels, 3, 3) if plan.size else (plan.outputs, plan.inputs)
        integer = bits.is_integer(plan.wbits)
        reach = 1.0 if integer else plan.inputs**-0.5
        self.weight = nn.Parameter(torch.empty(shape).uniform_(-reach, reach, generator=random))
        if plan.size:
            self.weight.data = self.weight.data.to(memory_format=torch.channels_last)
        mean, spread = _targets(plan.outputs) if plan.out_bits == SCORES else (0.0, 1.0)
        self.gamma = nn.Parameter(torch.full((plan.outputs,), spread))
        self.beta = nn.Parameter(torch.full((plan.outputs,), mean))
        self.scale = (plan.inputs**-0.5 if integer else 1.0) / (plan.one * _plans.unit(plan.wbits))
        self.register_buffer("mean", torch.zeros(plan.outputs))
        self.register_buffer("variance", torch.full((plan.outputs,), self.scale**-2))

    @property
    def epsilon(self) -> float:
        """The normalisation's epsilon in the units of the integer sums."""
        return EPSILON / self.scale**2

    @property
    def is_integer(self) -> bool:
        """Whether it multiplies integers."""
        return bits.is_integer(self.plan.wbits) and bits.is_integer(self.plan.abits)

    def forward(self, values: Tensor) -> Tensor:
        """Integer values (samples, features) or (samples, channels, height, width) to the next stage's or to scores."""
        return self._trained(values) if self.training else self.quantized(self.sums(values.double()))

    def _trained(self, values: Tensor) -> Tensor:
        plan, widths = self.plan, self.widths
        assert self.random is not None, "`Net.seed` comes before training"
        drawn = self.random if widths.stochastic else None
        sums = self._sums(values, _quantizers.quantize(self.weight, plan.wbits, drawn))
        if plan.out_bits == SCORES:
            return self._normalised(sums, MOMENTUM)
        normal = self._normalised(_quantizers.quantize_backward(sums, widths.gradients, self.random), MOMENTUM)
        found = _quantizers.activate(normal, plan.out_bits, drawn)
        return found if plan.size else _quantizers.drop(found, DROPOUT, self.random)

    def _normalised(self, sums: Tensor, momentum: float) -> Tensor:
        return functional.batch_norm(
            sums, self.mean, self.variance, self.gamma, self.beta, training=True, momentum=momentum, eps=self.epsilon
        )

    @torch.no_grad()
    def measured(self, values: Tensor, share: float) -> Tensor:
        """What it hands on without noise, normalised by the batch, which enters mean and variance with this share."""
        normal = self._normalised(self._sums(values, self.weight_values()), share)
        return normal if self.plan.out_bits == SCORES else _quantizers.activate(normal, self.plan.out_bits)

    def sums(self, values: Tensor) -> Tensor:
        """Sums of products of integer values, float64 and so exact, pooled."""
        return self._sums(values, self.weight_values().double())

    def _sums(self, values: Tensor, weights: Tensor) -> Tensor:
        plan = self.plan
        if plan.size is None:
            flat = values.permute(0, 2, 3, 1).flatten(1) if values.dim() == 4 else values
            return functional.linear(flat, weights)
        sums = functional.conv2d(functional.pad(values, (1, 1, 1, 1), value=-plan.one), weights)
        return functional.max_pool2d(sums, 2) if plan.pool == 2 else sums

    @torch.no_grad()
    def weight_values(self) -> Tensor:
        """The quantized weights: integer values up to 8 bits, else floats; float32, in the shape of `weight`."""
        if bits.is_integer(self.plan.wbits):
            return _quantizers.levels(self.weight.detach(), self.plan.wbits)
        return _quantizers.quantize(self.weight.detach(), self.plan.wbits)

    @torch.no_grad()
    def settle(self) -> None:
        """Put the quantized weights, as real numbers, in the master copy's place."""
        self.weight.copy_(self.weight_values() / _plans.unit(self.plan.wbits))

    @torch.no_grad()
    def folded(self) -> tuple[Tensor, Tensor]:
        """Gain and offset (outputs,) of the sums, float64: y = sum * gain + offset is the normalised real number."""
        gain = self.gamma.double() / (self.variance.double() + self.epsilon).sqrt()
        return gain, self.beta.double() - self.mean.double() * gain

    @torch.no_grad()
    def quantized(self, sums: Tensor) -> Tensor:
        """What it hands on for float64 sums (samples, outputs, …): the definition that thresholds are found from."""
        gain, offset = self.folded()
        width = self.plan.out_bits
        if width in bits.PLANES and self.is_integer:
            return _quantizers.levels(_affine(sums, gain, offset), width)
        if width == 8:
            return _affine(sums.float(), (127 * gain).float(), (127 * offset).float()).round_().clamp_(-127, 127)
        normal = _affine(sums.float(), gain.float(), offset.float())
        return normal if width == SCORES else _deployed_activation(normal, width)


def _targets(classes: int) -> tuple[float, float]:
    """Mean and spread of a score's target, +1 for one class and -1 for the others, where scores start.

    From 0 and 1 the normalisation of many classes would take a thousand steps to get there.
    """
    share = 1 / classes
    return 2 * share - 1, 2 * (share * (1 - share)) ** 0.5


def _deployed_activation(normal: Tensor, width: int) -> Tensor:
    if width in bits.PLANES:
        return _quantizers.levels(normal, width)
    return _quantizers.quantize(normal.clamp(-1, 1), width)


def _affine(sums: Tensor, gain: Tensor, offset: Tensor) -> Tensor:
    shape = (1, -1, *[1] * (sums.dim() - 2))
    # Two operations: one fused multiply-add would round once, and differ.
    return (sums * gain.view(shape)).add_(offset.view(shape))


class Net(nn.Module):
    """The stages one behind the other.

    Attributes:
        shape: height, width and channels of an image.
        pixels: int8 (256,): the integer value of each pixel level.
    """

    pixels: Tensor

    def __init__(
        self,
        stages: tuple[Plan, ...],
        *,
        widths: Widths,
        shape: tuple[int, int, int],
        levels: int,
        random: torch.Generator,
    ) -> None:
        super().__init__()
        self.stages = nn.ModuleList(Stage(plan, widths, random) for plan in stages)
        self.shape = shape
        self.register_buffer("pixels", torch.from_numpy(_plans.pixel_values(levels)))

    def __iter__(self) -> Iterator[Stage]:
        for stage in self.stages:
            assert isinstance(stage, Stage)
            yield stage

    def seed(self, random: torch.Generator) -> None:
        """Draw dropout, stochastic signs and gradient noise from here; a generator of the weights' device."""
        for stage in self:
            stage.random = random

    def values(self, pixels: Tensor) -> Tensor:
        """Integer values, int8, as the first stage takes them.

        Args:
            pixels: uint8 (samples, height * width * channels), channels last.
        """
        values = self.pixels[pixels.int()]
        return values.view(-1, *self.shape).permute(0, 3, 1, 2) if next(iter(self)).plan.size else values

    def measure(self, batches: Iterable[Tensor]) -> None:
        """Take mean and variance of all sums anew over these values, with the final weights and without noise."""
        for index, values in enumerate(batches):
            for stage in self:
                values = stage.measured(values, 1 / (index + 1))

    def forward(self, values: Tensor) -> Tensor:
        """Integer values as `values` gives them, as floats, to scores (samples, classes)."""
        for stage in self:
            values = stage(values)
        return values
