"""Devices that are not what they were meant to be: mismatch drawn once by a seed, fixed from then on, never measured.

What a network's physics sees of a programmed coupling W is

    W_eff = Q(W)·(1 + σ_gain·ξ) + σ_offset·w₀·ξ',        a unit is ρ((1 + σ_neuron·ξ)·u + 0.1·σ_neuron·ξ'),

with ξ ~ N(0, 1) drawn for each device, w₀ the largest coupling that the layer starts with, and Q the levels that can be
programmed. A reciprocal device is one resistor that both directions share; another has a second array for the way back.
An update on the device comes out larger or smaller by the device's own factor, one for up and one for down, and smaller
downwards by the asymmetry; full-precision sums, which are digital, move exactly. No gain, slope or step falls below 0:
a conductance does not change its sign. Biases sit in the units' periphery: they are exact but for the units' own
mismatch.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from energybench.workloads.eqprop.crossbar.mismatch import Mismatch

REACH = 2.0
"""Couplings can be programmed from -REACH to REACH."""
START = 0.5
"""First couplings, as a share of Glorot's limit."""
_LEAST = 0.05
"""The smallest slope and step: a unit or coupling that does not answer at all is broken, not mismatched."""
_TINY = 1e-12
_DRAWN = ("gain", "offset", "back_gain", "back_offset", "slope", "shift", "up", "down", "noise", "rounding")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layer:
    """What was drawn for one layer of all devices, in units of σ."""

    gain: Tensor
    offset: Tensor
    back_gain: Tensor
    back_offset: Tensor
    slope: Tensor
    shift: Tensor
    up: Tensor
    down: Tensor


class Devices:
    """Several devices of one architecture, each with its mismatch and its seed; tensors begin with the device's axis.

    The draws of a seed are the same at every size of mismatch: levels are compared on the same device.

    Args:
        sizes: units of each layer, inputs first.
        mismatches: of each device.
        seeds: of each device.
    """

    def __init__(self, sizes: Sequence[int], mismatches: Sequence[Mismatch], seeds: Sequence[int]) -> None:
        for mismatch in mismatches:
            mismatch.check()
        self.sizes, self.mismatches, self.count = tuple(sizes), tuple(mismatches), len(mismatches)
        # A stream for each kind of draw: a size that is 0 is not drawn, and moves no other.
        self._streams = {
            name: [torch.Generator().manual_seed(1_000_003 * (kind + 1) + seed) for seed in seeds]
            for kind, name in enumerate(_DRAWN)
        }
        self.noisy = self._any("read_noise")
        self._ideal, self._uneven = not self._any("gain", "offset"), self._any("update_spread", "asymmetry")
        self._pulsed, self._levelled = self._column("pulses") > 0, self._column("bits") > 0
        self._summed = self._column("summed") > 0
        self._noise = self._column("read_noise")
        # One level, by device; 0 where couplings are continuous.
        self._step = torch.where(self._levelled, 2 * REACH / (2 ** self._column("bits") - 1).clamp_min(1), 0.0)
        self.redraw()

    def redraw(self) -> None:
        """Other devices of the same statistics, as noise-aware training meets them."""
        self._layers = [self._draw(below, above) for below, above in itertools.pairwise(self.sizes)]

    def forward(self, layer: int, weight: Tensor) -> Tensor:
        """Couplings (devices, below, above) as the layer above feels them."""
        drawn = self._layers[layer]
        return self._seen(weight, drawn.gain, drawn.offset)

    def backward(self, layer: int, weight: Tensor) -> Tensor:
        """Couplings (devices, below, above) as the layer below feels them, or a transposed read finds them."""
        drawn = self._layers[layer]
        return self._seen(weight, drawn.back_gain, drawn.back_offset)

    def slope(self, layer: int) -> Tensor:
        """Slopes (devices, 1, units) of a layer of units."""
        return self._layers[layer].slope

    def shift(self, layer: int) -> Tensor:
        """Offsets (devices, 1, units) behind the slope."""
        return self._layers[layer].shift

    def levels(self, weight: Tensor) -> Tensor:
        """Couplings at the nearest levels that can be programmed."""
        if not self._levelled.any():
            return weight
        step = self._step.clamp_min(_TINY)
        rounded = weight.clamp(-REACH, REACH).add_(REACH).div_(step).round_().mul_(step).sub_(REACH)
        return torch.where(self._levelled, rounded, weight)

    def placed(self, weight: Tensor) -> Tensor:
        """First couplings as devices without sums can have them: at levels, where they then move by whole ones."""
        return torch.where(self._pulsed, self.levels(weight), weight) if self._pulsed.any() else weight

    def move_(self, layer: int, weight: Tensor, change: Tensor) -> None:
        """Change couplings in place as the devices do: whole pulses, their own step sizes, asymmetry, limits.

        Full-precision sums are digital: they move by exactly that change.
        """
        drawn = self._layers[layer]
        if self._pulsed.any():
            change = self._whole(change)
        if self._uneven:
            uneven = torch.where(change > 0, change * drawn.up, change * drawn.down)
            change = torch.where(self._summed, change, uneven)
        weight.add_(change)
        if self._levelled.any():
            weight.copy_(torch.where(self._levelled, weight.clamp(-REACH, REACH), weight))

    def noise_(self, drive: Tensor, slope: Tensor) -> None:
        """Add read noise, scaled by slopes, to drives (devices, samples, units) in place.

        Each device has a stream of its own.
        """
        noise = torch.empty_like(drive)
        for part, stream in zip(noise, self._streams["noise"], strict=True):
            part.normal_(generator=stream)
        drive.addcmul_(noise, self._noise * slope)

    def _seen(self, weight: Tensor, gain: Tensor, offset: Tensor) -> Tensor:
        # Where couplings move by pulses, they are the devices' own states: nothing is left to round.
        programmed = torch.where(self._pulsed, weight, self.levels(weight)) if self._levelled.any() else weight
        return programmed if self._ideal else torch.addcmul(offset, programmed, gain)

    def _whole(self, change: Tensor) -> Tensor:
        """Changes rounded up or down to whole steps by chance, right on average (Gupta et al., ICML 2015)."""
        chance = torch.empty_like(change)
        for part, stream in zip(chance, self._streams["rounding"], strict=True):
            part.uniform_(generator=stream)
        whole = torch.floor(change / self._step.clamp_min(_TINY) + chance) * self._step
        return torch.where(self._pulsed, whole, change)

    def _draw(self, below: int, above: int) -> _Layer:
        couplings, units = (below, above), (1, above)
        unit = limit(below, above)
        gain = self._spread("gain", "gain", couplings)
        offset = unit * self._off("offset", "offset", couplings)
        shared = self._column("reciprocal") > 0
        apart = not bool(shared.all())
        back_gain = torch.where(shared, gain, self._spread("gain", "back_gain", couplings)) if apart else gain
        return _Layer(
            gain=gain,
            offset=offset,
            back_gain=back_gain,
            back_offset=torch.where(shared, offset, unit * self._off("offset", "back_offset", couplings))
            if apart
            else offset,
            slope=self._spread("neuron", "slope", units).clamp_min_(_LEAST),
            shift=0.1 * self._off("neuron", "shift", units),
            up=self._spread("update_spread", "up", couplings).clamp_min_(_LEAST),
            down=self._spread("update_spread", "down", couplings).clamp_min_(_LEAST) * (1 - self._column("asymmetry")),
        )

    def _spread(self, size: str, name: str, shape: tuple[int, int]) -> Tensor:
        """Factors (devices, *shape) around 1, never below 0."""
        return (1 + self._off(size, name, shape)).clamp_min_(0)

    def _off(self, size: str, name: str, shape: tuple[int, int]) -> Tensor:
        """What is off by σ·ξ (devices, *shape)."""
        if not self._any(size):
            return torch.zeros(self.count, 1, 1)
        draws = torch.stack([torch.randn(shape, generator=stream) for stream in self._streams[name]])
        return draws.mul_(self._column(size))

    def _column(self, name: str) -> Tensor:
        return torch.tensor([float(getattr(mismatch, name)) for mismatch in self.mismatches]).view(-1, 1, 1)

    def _any(self, *names: str) -> bool:
        return any(getattr(mismatch, name) for mismatch in self.mismatches for name in names)


def limit(below: int, above: int) -> float:
    """The largest coupling that a layer starts with."""
    return START * math.sqrt(6 / (below + above))
