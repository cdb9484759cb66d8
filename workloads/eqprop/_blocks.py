"""Dense layers of equal parity in one tensor: a half-sweep is one product.

Layers are coupled to their neighbours only, so the states of even layers (s₁, s₃ …) side by side drive all odd ones by
one matrix, and the odd ones the even ones by its transpose. That spares the products with the few units of an output,
which cost several times their arithmetic, and a call for each layer; and the widths may be filled up with units that
are always 0 to what the processor's vectors hold: a row of 512 is 10 to 15 % faster than one of 500.
"""

import itertools
from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor

from energybench.workloads.eqprop._field import Field, Nudge
from energybench.workloads.eqprop.activations import Activation
from energybench.workloads.eqprop.coupling import Coupling, Dense

_MULTIPLE = 16
"""Widths are filled up to a multiple of this: an AVX-512 vector of float32 …"""
_ALIASED = 1024
"""… but not of this: rows that are 4096 bytes apart fall on the same cache lines, and take 1.4 times as long."""
_LEAST_FULL = 0.9
"""Below this share of weights that are not 0 by construction, layer by layer is less work."""


class Blocks:
    """The weights between even and odd layers as one matrix, both ways round.

    Attributes:
        up: (even width, odd width): even states to odd drives.
        down: its transpose, row-major.
        biases: of the even layers, without the first's, and of the odd ones; each as wide as its states.
        widths: of the even and the odd states.
        columns: where each layer stands in its block.
        version: counts renewals.
    """

    def __init__(self, couplings: Sequence[Dense]) -> None:
        self._couplings = list(couplings)
        units = [coupling.outputs[0] for coupling in couplings]
        self.columns = [slice(sum(units[layer % 2 : layer : 2]), sum(units[layer % 2 : layer + 1 : 2]))
                        for layer in range(len(units))]  # fmt: skip
        wanted = [sum(units[parity::2]) for parity in (0, 1)]
        self.widths = wanted if len(units) == 2 else [_filled_up(width) for width in wanted]
        self.version, self._seen = 0, [(0, -1)]
        self.up, self.down, self.biases = torch.empty(0), torch.empty(0), [torch.empty(0)] * 2

    @classmethod
    def of(cls, couplings: Sequence[Coupling]) -> Self | None:
        """The blocks of these couplings; None where not all are dense, or the matrix would be emptier than it pays."""
        dense = [coupling for coupling in couplings if isinstance(coupling, Dense)]
        if len(dense) < len(couplings) or len(couplings) < 2:
            return None
        units = [coupling.outputs[0] for coupling in dense]
        weights = sum(below * above for below, above in itertools.pairwise(units))
        if weights < _LEAST_FULL * sum(units[::2]) * sum(units[1::2]):
            return None
        return cls(dense)

    def renew(self) -> int:
        """Lay the weights out again where they have changed; the version."""
        weights = [tensor for coupling in self._couplings[1:] for tensor in (coupling.weight, coupling.bias)]
        # Tensors of inference mode do not tell of changes.
        told = not any(tensor.is_inference() for tensor in weights)
        seen = [(id(tensor), tensor._version) for tensor in weights] if told else []  # noqa: SLF001
        if not told or seen != self._seen:
            self._lay_out()
            self.version, self._seen = self.version + 1, seen
        return self.version

    def _lay_out(self) -> None:
        even, odd = self.widths
        if len(self._couplings) == 2:
            # One matrix: it is there already, and its transpose kept.
            only = self._couplings[1]
            self.up, self.down, self.biases = only.weight, only.turned(), [only.bias[:0], only.bias]
            return
        if not self.version:
            like = self._couplings[0].weight
            with torch.inference_mode(mode=False):
                self.up, self.down = like.new_zeros(even, odd), like.new_zeros(odd, even)
                self.biases = [like.new_zeros(even), like.new_zeros(odd)]
        for layer, coupling in enumerate(self._couplings):
            if not layer:
                continue
            self.biases[layer % 2][self.columns[layer]] = coupling.bias
            straight, across = (self.up, self.down) if layer % 2 else (self.down, self.up)
            below, above = self.columns[layer - 1], self.columns[layer]
            straight[below, above] = coupling.weight
            across[above, below] = coupling.weight.t()


class BlockField(Field):
    """A field whose even and odd layers are two tensors. Layers are columns of them.

    Args:
        couplings: from the input up.
        activations: of each free layer.
        rows: the most samples.
        dtype: of states and drives.
        device: where they are.
        blocks: the weights.
    """

    def __init__(
        self, couplings: Sequence[Coupling], activations: Sequence[Activation], rows: int, dtype: torch.dtype,
        device: torch.device, *, blocks: Blocks,
    ) -> None:  # fmt: skip
        self.blocks, self._laid_out = blocks, -1
        self._output = (len(couplings) - 1) % 2
        ends = [[columns.stop for columns in blocks.columns[parity:-1:2]] for parity in (0, 1)]
        self._hidden = [max(stops, default=0) for stops in ends]
        super().__init__(couplings, activations, rows, dtype, device)
        self._hidden_unit = self.activations[0]

    def half(self, parity: int, nudge: Nudge | None) -> None:
        """The even layers, or the odd ones, to their exact minimisers."""
        self._drive(parity, self._held[1][parity])
        if self._hidden[parity]:
            self._hidden_unit.apply_(self._inner[1][parity])
        if parity == self._output:
            self.nudged(self.room[self.last], nudge)
        self._swap(parity)

    def renew(self) -> None:
        """Lay the weights out again, and the biases beside the input's drive, where they have changed."""
        version = self.blocks.renew()
        if self._laid_out != version and self.last > 1:
            first = self.blocks.columns[0].stop
            self.base[:, first:] = self.blocks.biases[0][first:]
        self._laid_out = version

    def take(self, layer: int) -> None:
        """The last layer of a parity takes the others with it."""
        if layer + 2 > self.last:
            self._swap(layer % 2)

    def reset(self, rows: int) -> None:
        """Take up that many samples, every state 0."""
        super().reset(rows)
        self._laid_out = -1

    def follow(self, other: Field, copies: int) -> None:
        """Take up the states and the drives of another field, `copies` times below each other."""
        super().follow(other, copies)
        self._laid_out = -1

    def _drive(self, parity: int, out: Tensor) -> None:
        if parity == 0 and self.at_rest:
            out.copy_(self.base)
            return
        states = self._held[0][1 - parity]
        constant, weights = (self.blocks.biases[1], self.blocks.up) if parity else (self.base, self.blocks.down)
        torch.addmm(constant, states, weights, out=out)

    def _swap(self, parity: int) -> None:
        for states, room in (self._held, self._inner):
            states[parity], room[parity] = room[parity], states[parity]
        for layer in range(parity, self.last + 1, 2):
            self.now[layer], self.room[layer] = self.room[layer], self.now[layer]

    def _take(self, held: list[list[Tensor]], base: Tensor) -> None:
        super()._take(held, base)
        # What is a hidden unit's, made once: a slice costs as much as it does to clamp it.
        self._inner = [
            [_columns(part, width) for part, width in zip(parts, self._hidden, strict=True)] for parts in held
        ]

    def _parts(self, rows: int) -> list[Tensor]:
        return [torch.zeros(rows, width, dtype=self._dtype, device=self._device) for width in self.blocks.widths]

    def _base(self, rows: int) -> Tensor:
        return torch.zeros(rows, self.blocks.widths[0], dtype=self._dtype, device=self._device)

    def _layers(self, parts: list[Tensor]) -> list[Tensor]:
        return [parts[layer % 2][:, columns] for layer, columns in enumerate(self.blocks.columns)]


def _columns(part: Tensor, width: int) -> Tensor:
    """The first columns; all of them as they are."""
    return part if width == part.shape[1] else part[:, :width]


def _filled_up(units: int) -> int:
    width = -(-units // _MULTIPLE) * _MULTIPLE
    return width + _MULTIPLE * (width % _ALIASED == 0)
