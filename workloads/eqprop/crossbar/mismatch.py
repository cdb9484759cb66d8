"""How far simulated devices are from ideal: what may be said of them, and what may not."""

import math
from dataclasses import dataclass, fields, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """How far devices are from ideal, as standard deviations; all 0 is the ideal device.

    Attributes:
        gain: of a coupling's factor, from device to device.
        offset: of what is added to a coupling, in units of the largest coupling that its layer starts with.
        neuron: of a unit's slope; its threshold is off by a tenth of it.
        read_noise: of what is added to every drive at every read, in units of the drive.
        update_spread: of the size of a coupling's steps, from device to device, up and down apart; of no effect
            where sums are kept: they are digital and exact, and the device is programmed until it is at its level.
        asymmetry: by how much, from 0 to below 1, a step down is smaller than one up; of no effect where sums are kept.
        bits: of a coupling's levels, 0: continuous, moved on the device itself. The 2^bits levels lie evenly between
            -2 and 2, both included: none of them is 0.
        pulses: whether couplings start on levels and move by whole ones, rounded at random, on the device itself; else
            full-precision sums are kept beside it, and the device is programmed to their nearest levels.
        reciprocal: whether both directions see the same device.
    """

    gain: float = 0.0
    offset: float = 0.0
    neuron: float = 0.0
    read_noise: float = 0.0
    update_spread: float = 0.0
    asymmetry: float = 0.0
    bits: int = 0
    pulses: bool = False
    reciprocal: bool = True

    @property
    def summed(self) -> bool:
        """Whether full-precision sums are kept beside the device."""
        return self.bits > 0 and not self.pulses

    def check(self) -> None:
        """See that such devices can be.

        Raises:
            ValueError: they cannot; the message has the field, and what fits.
        """
        for field in fields(self):
            value = getattr(self, field.name)
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{field.name}={value:g} does not fit: it is 0 or more")
        if self.asymmetry >= 1:
            raise ValueError(f"asymmetry={self.asymmetry:g} does not fit: below 1, or nothing could be unlearned")
        if self.bits == 1 or self.bits > 16:
            raise ValueError(f"bits={self.bits} does not fit: 0 for continuous couplings, or 2 to 16")
        if self.pulses and not self.bits:
            raise ValueError("pulses=true does not fit bits=0: a pulse is one level; give bits, like 8")

    def scaled(self, share: float) -> "Mismatch":
        """The same kind of device with that share of what differs from one device to the next."""
        return replace(
            self,
            gain=share * self.gain,
            offset=share * self.offset,
            neuron=share * self.neuron,
            update_spread=share * self.update_spread,
        )
