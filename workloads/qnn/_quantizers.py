"""Quantizers of training: integer values forward, straight-through gradients backward.

Values are handed on as the integers of `bits` in a float tensor, so that sums of products are exact; the real number is
value / top. Backward, a quantizer is a hard tanh (arXiv 1602.02830, section 1.3): the gradient passes where the real
number lies in -1 … 1, times the `top` integers that one real unit is.
"""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from energybench.workloads.qnn import bits
from energybench.workloads.qnn._plans import unit

if TYPE_CHECKING:
    _Function: Any = object
else:
    _Function = torch.autograd.Function


_ABOVE_ONE = 1 + 2**-23
"""The next float32 above 1."""


def levels(real: Tensor, width: int) -> Tensor:
    """Integer values of real numbers, of any shape, in -1 … 1; what lies outside is cut. No gradient.

    Up to 4 bits: the odd value of code = floor((x + 1) L / 2 + 1/2), so that 0 is +1 at 1 bit; at 8 bits: 127 x, half
    to even.
    """
    cut = real.clamp(-1, 1)
    if width == 8:
        return cut.mul_(127).round_()
    top = bits.top(width)
    return cut.add_(1).mul_(top / 2).add_(0.5).floor_().mul_(2).sub_(top)


def stochastic_sign(real: Tensor, random: torch.Generator) -> Tensor:
    """+1 with the probability clip((x + 1) / 2, 0, 1), else -1 (arXiv 1602.02830, equation 2). No gradient."""
    draws = torch.rand(real.shape, generator=random, device=real.device, dtype=real.dtype)
    # (x + 1) / 2 > draw; NaN stays NaN, so that a training that left the numbers is seen.
    return (real + 1).sub_(draws.mul_(2)).gt(0).to(real.dtype).mul_(2).sub_(1).add_(real.detach() * 0)


class _Straight(_Function):  # type: ignore[misc]
    @staticmethod
    def forward(ctx: Any, real: Tensor, width: int, random: torch.Generator | None) -> Tensor:
        ctx.save_for_backward(real)
        ctx.unit = unit(width)
        return levels(real, width) if random is None else stochastic_sign(real, random)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (real,) = ctx.saved_tensors
        # hardtanh's own gradient stops before its limits, where clipped weights would stay for ever.
        passed = torch.ops.aten.hardtanh_backward(gradient, real, -_ABOVE_ONE, _ABOVE_ONE)
        return passed if ctx.unit == 1 else passed.mul_(ctx.unit), None, None


class _Rounded(_Function):  # type: ignore[misc]
    @staticmethod
    def forward(ctx: Any, real: Tensor) -> Tensor:  # noqa: ARG004 - autograd passes it
        return real.to(torch.bfloat16).to(real.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # noqa: ARG004 - autograd passes it
        return gradient


class _Gradient(_Function):  # type: ignore[misc]
    @staticmethod
    def forward(ctx: Any, sums: Tensor, width: int, random: torch.Generator) -> Tensor:
        ctx.width, ctx.random = width, random
        return sums.view_as(sums)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return quantize_gradient(gradient, ctx.width, ctx.random), None, None


def quantize(real: Tensor, width: int, random: torch.Generator | None = None) -> Tensor:
    """Values at a width, with the straight-through gradient.

    Args:
        real: weights or normalised sums, any shape, float32.
        width: 8 bits and less give integers, 16 bfloat16 numbers, 32 the tensor itself; the last two are not cut.
        random: at 1 bit, draw the signs from it.
    """
    if width == 32:
        return real
    if width == 16:
        return _Rounded.apply(real)  # type: ignore[no-any-return]
    return _Straight.apply(real, width, random if width == 1 else None)  # type: ignore[no-any-return]


def activate(real: Tensor, width: int, random: torch.Generator | None = None) -> Tensor:
    """`quantize` behind a hard tanh, which integers have within them."""
    if not bits.is_integer(width):
        real = torch.nn.functional.hardtanh(real)
    return quantize(real, width, random)


def quantize_backward(sums: Tensor, width: int, random: torch.Generator) -> Tensor:
    """`sums` unchanged; the gradient that comes back through here is quantized. 32 bits: not at all."""
    return sums if width == 32 else _Gradient.apply(sums, width, random)


def drop(values: Tensor, share: float, random: torch.Generator) -> Tensor:
    """Dropout: a share of the values, in steps of 1/256, becomes 0, and the others grow by as much."""
    # A byte decides, and 8 of them are drawn at once: bernoulli_ took longer than the products behind it.
    draws = torch.empty(-(-values.numel() // 8), dtype=torch.int64, device=values.device).random_(
        -(2**63), None, generator=random
    )
    dropped = round(256 * share)
    kept = draws.view(torch.uint8)[: values.numel()].view(values.shape).ge(dropped)
    return values * kept.to(values.dtype).mul_(256 / (256 - dropped))


def quantize_gradient(gradient: Tensor, width: int, random: torch.Generator) -> Tensor:
    """A gradient at a width, right on average: DoReFa's, arXiv 1606.06160, equation 12. 16 bits: bfloat16.

    Each sample (the first dimension) is scaled by its largest magnitude m to 0 … 1, given noise of one step's size,
    rounded to one of 2^width levels, and scaled back: with n = 2^width - 1 and u drawn from -1/2 … 1/2,
    2 m (round(n (g / 2m + 1/2) + u) / n - 1/2).
    """
    if width == 16:
        return gradient.to(torch.bfloat16).to(gradient.dtype)
    steps = 2**width - 1
    largest = gradient.abs().amax(tuple(range(1, gradient.dim())), keepdim=True)
    # A sample without a gradient keeps none.
    span = (2 * largest).clamp_min(torch.finfo(gradient.dtype).tiny)
    noise = torch.rand(gradient.shape, generator=random, device=gradient.device, dtype=gradient.dtype).sub_(0.5)
    codes = noise.add_((gradient / span).add_(0.5).mul_(steps)).round_().clamp_(0, steps)
    return codes.div_(steps).sub_(0.5).mul_(2 * largest)
