"""A layered network of couplings and units, and how one is built from a line such as `784-512-10`."""

import itertools
import math
import re
from collections.abc import Sequence

import torch
from torch import Tensor

from energybench.workloads.eqprop.activations import Activation, activation
from energybench.workloads.eqprop.coupling import Coupling, Dense

_DEFAULT_HIDDEN = 128
# Glorot's range lets three hidden layers and more settle slowly, in the synchronous mode not at all.
_DEEP, _DEEP_GAIN = 3, 0.5
_MOST_WEIGHTS = 1 << 28


class Network:
    """Couplings from the input to the output, and the units of each free layer.

    Attributes:
        couplings: the l-th is between layer l (0 is the input) and layer l + 1.
        activations: of layers 1 … L.
    """

    def __init__(self, couplings: Sequence[Coupling], activations: Sequence[Activation]) -> None:
        if len(couplings) != len(activations) or not couplings:
            counts = f"{len(couplings)} couplings and {len(activations)} activations"
            raise ValueError(f"a network has an activation for each coupling, 1 or more: not {counts}")
        for below, above in itertools.pairwise(couplings):
            if math.prod(below.outputs) != math.prod(above.inputs):
                raise ValueError(f"{below.outputs} does not fit {above.inputs}: layers that meet have equal shapes")
        self.couplings, self.activations = list(couplings), list(activations)

    @property
    def layers(self) -> int:
        """How many free layers there are, the output included."""
        return len(self.couplings)

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """The shape of one sample of each free layer."""
        return [coupling.outputs for coupling in self.couplings]

    @property
    def classes(self) -> int:
        """Units of the output."""
        return self.couplings[-1].outputs[0]

    @property
    def dtype(self) -> torch.dtype:
        """The kind of number of weights and biases."""
        return self.couplings[0].weight.dtype

    @property
    def device(self) -> torch.device:
        """Where weights and biases are."""
        return self.couplings[0].weight.device

    def parameters(self) -> list[Tensor]:
        """W₁, b₁, W₂, b₂ …: the tensors themselves."""
        return [tensor for coupling in self.couplings for tensor in (coupling.weight, coupling.bias)]

    def arrange(self, x: Tensor) -> Tensor:
        """Pixels (batch, height · width · channels) as the first layer takes them; others as they are."""
        shape = self.couplings[0].inputs
        if x.dim() != 2 or len(shape) == 1:
            return x
        channels, height, width = shape
        return x.view(len(x), height, width, channels).permute(0, 3, 1, 2)

    def apart(self) -> "Network":
        """The same weights and biases, with poolings that remember their maxima for themselves."""
        from energybench.workloads.eqprop.convolution import ConvPool

        couplings = [
            ConvPool(one.weight, one.bias, inputs=one.inputs, padding=one.padding) if isinstance(one, ConvPool) else one
            for one in self.couplings
        ]
        return Network(couplings, self.activations)

    @torch.inference_mode(mode=False)
    def copy(self) -> "Network":
        """The same network with weights and biases of its own."""
        return Network([_cloned(coupling) for coupling in self.couplings], self.activations)

    @torch.inference_mode(mode=False)
    def to(self, dtype: torch.dtype, device: torch.device | str | None = None) -> "Network":
        """The same network in another kind of number, or elsewhere."""
        where = self.device if device is None else device
        return Network([coupling.to(dtype, where) for coupling in self.couplings], self.activations)


def _cloned(coupling: Coupling) -> Coupling:
    other = coupling.to(coupling.weight.dtype, coupling.weight.device)
    other.weight, other.bias = coupling.weight.detach().clone(), coupling.bias.detach().clone()
    return other


# Tensors that are made in inference mode do not tell when they change.
@torch.inference_mode(mode=False)
def build(
    spec: str,
    *,
    shape: tuple[int, int, int],
    classes: int,
    hidden: str = "hard-sigmoid",
    output: str = "linear",
    gain: float | None = None,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Network:
    """A network with Glorot's uniform weights and biases of 0.

    Args:
        spec: `64-128-10`: units from the input to the output. `32c5-64c5-10`: 32 channels of 5×5 filters without
            padding, then 2×2 pooling, and so on; `32s3` is padded to the same size; units follow. Empty: one hidden
            layer of 128.
        shape: height, width and channels of a picture.
        classes: units of the output.
        hidden: activation of the hidden layers.
        output: activation of the output.
        gain: times Glorot's range; None: 1, and ½ from three hidden layers on.
        seed: of the weights.
        dtype: of the weights.
        device: where they are.

    Raises:
        ValueError: the layers do not fit the pictures or each other; the message says what would fit.
        UnknownNameError: there is no such activation.
    """
    height, width, channels = shape
    units = [activation(hidden), activation(output)]
    tokens = spec.split("-") if spec else [str(math.prod(shape)), str(_DEFAULT_HIDDEN), str(classes)]
    planned = _checked(spec, tokens, features=math.prod(shape), classes=classes)
    scale = gain if gain is not None else (_DEEP_GAIN if len(planned) > _DEEP else 1.0)
    random = torch.Generator().manual_seed(seed)
    couplings: list[Coupling] = []
    below: tuple[int, ...] = (channels, height, width) if "c" in planned[0] or "s" in planned[0] else ()
    below = below or (math.prod(shape),)
    for token in planned:
        couplings.append(_coupling(spec, token, below, scale, random).to(dtype, device))
        below = couplings[-1].outputs
    return Network(couplings, [units[0]] * (len(couplings) - 1) + [units[1]])


def _checked(spec: str, tokens: list[str], *, features: int, classes: int) -> list[str]:
    """The couplings of a spec, from below: `["512", "10"]` of `784-512-10`."""
    kinds = "".join("d" if re.fullmatch("[1-9][0-9]*", token) else _kind(token) for token in tokens)
    dense = kinds.startswith("d")
    if not re.fullmatch(r"dd+|c+d+", kinds):
        wanted = f"{features}-128-{classes} and 32c5-64c5-{classes}"
        raise ValueError(f"net={spec!r} does not fit: units or channels joined by -, units last, as in {wanted}")
    if dense and int(tokens[0]) != features:
        fits = "-".join([str(features), *tokens[1:]])
        raise ValueError(f"net={spec!r} does not fit pictures of {features} values: {fits} would")
    if int(tokens[-1]) != classes:
        fits = "-".join([*tokens[:-1], str(classes)])
        raise ValueError(f"net={spec!r} does not fit {classes} classes: {fits} would")
    return tokens[1:] if dense else tokens


def _kind(token: str) -> str:
    return "c" if re.fullmatch("[1-9][0-9]*[cs][1-9][0-9]*", token) else "?"


def _coupling(spec: str, token: str, below: tuple[int, ...], gain: float, random: torch.Generator) -> Coupling:
    channels, _, size = re.split("([cs])", token) if not token.isdecimal() else (token, "", "1")
    inputs = math.prod(below) if token.isdecimal() else below[0]
    if (count := inputs * int(channels) * int(size) ** 2) > _MOST_WEIGHTS:
        raise ValueError(
            f"net={spec!r} does not fit: {token} would have {count:,} weights, more than {_MOST_WEIGHTS:,}"
        )
    if token.isdecimal():
        outputs = int(token)
        weight = _glorot((math.prod(below), outputs), math.prod(below) + outputs, gain, random)
        return Dense(weight, weight.new_zeros(outputs), inputs=below)
    from energybench.workloads.eqprop.convolution import ConvPool

    channels, size = map(int, re.split("[cs]", token))
    padded = "s" in token
    if padded and size % 2 == 0:
        raise ValueError(f"net={spec!r}: {token} cannot keep the size, {channels}s{size + 1} would: an odd filter can")
    weight = _glorot((channels, below[0], size, size), (below[0] + channels) * size * size, gain, random)
    shape = (below[0], below[1], below[2])
    try:
        return ConvPool(weight, weight.new_zeros(channels), inputs=shape, padding=size // 2 if padded else 0)
    except ValueError as error:
        raise ValueError(f"net={spec!r} does not fit: {error}") from error


def _glorot(shape: tuple[int, ...], fans: int, gain: float, random: torch.Generator) -> Tensor:
    """Uniform in ±gain·√(6/(fan in + fan out)) (Glorot & Bengio 2010, eq. 16), drawn in float64 for every dtype."""
    limit = gain * math.sqrt(6 / fans)
    return (torch.rand(shape, generator=random, dtype=torch.float64) * 2 - 1) * limit
