"""Nudged phases in deviations from the free states.

A nudged phase moves the states by a small part of their size, and the gradient is made of what it moves. Written as

    u = u_free + (s_below − s_below,free)·W + (s_above − s_above,free)·Wᵀ

the large part, the drive u_free at the free states, is computed once in full precision, and only the small part is
multiplied again and again: in short numbers its rounding errors are relative to what the nudge moved, whatever β. Short
numbers in all phases err by 2 to 35 % of the gradient at β = 0.2, in deviations by less than 1 %. In exact numbers
both forms are the same. The products of a half-sweep before anything has moved are 0, and are not made.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from energybench.workloads.eqprop._field import Field, Nudge, empty
from energybench.workloads.eqprop._products import Exact, Product, Short, Whole, narrow
from energybench.workloads.eqprop.activations import Activation
from energybench.workloads.eqprop.coupling import Coupling, Dense

Kind = Literal["float32", "bfloat16", "int8"]


class DeviationField(Field):
    """States, their deviations from those it began at, and drives by deviations.

    Args:
        couplings: dense ones.
        activations: of each free layer.
        rows: the most samples.
        dtype: of states and drives.
        device: where they are.
        kind: of the numbers that deviations are multiplied in; float32 stands for the states' own dtype.

    Raises:
        ValueError: there is a coupling with pooling, which is not linear; or int8 is asked for on a GPU.
    """

    def __init__(
        self, couplings: Sequence[Coupling], activations: Sequence[Activation], rows: int, dtype: torch.dtype,
        device: torch.device, *, kind: Kind,
    ) -> None:  # fmt: skip
        super().__init__(couplings, activations, rows, dtype, device)
        if not all(isinstance(coupling, Dense) for coupling in couplings):
            raise ValueError("deviations need dense layers, pooling is not linear: leave deviation out, or the maps")
        if kind == "int8" and device.type != "cpu":
            raise ValueError(f"dtype=int8 is of CPUs: use bfloat16 on {device.type}")
        self._anchors, self._free_drives, self._moved = (
            [empty((rows, *coupling.outputs), dtype, device) for coupling in couplings] for _ in range(3)
        )
        self._products = [_product(coupling, kind, rows) for coupling in couplings if isinstance(coupling, Dense)]
        self._here = [self._anchors, self._free_drives, self._moved]

    def follow(self, other: Field, copies: int) -> None:
        """Begin at the present states of another field, `copies` times below each other, and at their drives."""
        rows = len(other.now[0])
        self.open(rows * copies)
        kept = (self._anchors, self._free_drives, self._moved)
        self._here = [[buffer[: rows * copies] for buffer in part] for part in kept]
        for layer, state in enumerate(other.now):
            anchor, drive = (part[layer].view(copies, *state.shape) for part in self._here[:2])
            anchor.copy_(state)
            other.drive(layer, drive[0])
            drive[1:].copy_(drive[:1])
            self.now[layer].copy_(self._here[0][layer])
        for product in self._products[1:]:
            product.begin(rows * copies)
        self.at_rest = True

    def drive(self, layer: int, out: Tensor) -> Tensor:
        """u_free and the products of the neighbours' deviations, into `out`."""
        _, drives, moved = self._here
        out.copy_(drives[layer])
        if layer > 0 and not self.at_rest:
            self._products[layer].up(moved[layer - 1], out)
        if layer < self.last and not self.at_rest:
            self._products[layer + 1].down(moved[layer + 1], out)
        return out

    def take(self, layer: int) -> None:
        """The state becomes what is in the room; its deviation follows."""
        super().take(layer)
        anchors, _, moved = self._here
        torch.sub(self.now[layer], anchors[layer], out=moved[layer])

    def energy(self, nudge: Nudge | None) -> Tensor | None:  # noqa: ARG002 -- the field's own signature
        """None: the input's drive is in the free drives, with all others."""
        return None

    def gather(self, rows: int, names: Tensor) -> None:
        """All samples are back, with their deviations."""
        if len(self.base) == rows:
            return
        super().gather(rows, names)
        self._here = [[buffer[:rows] for buffer in part] for part in (self._anchors, self._free_drives, self._moved)]
        for state, anchor, moved in zip(self.now, self._here[0], self._here[2], strict=True):
            torch.sub(state, anchor, out=moved)
        for product in self._products[1:]:
            product.begin(rows)

    def leave(self, gone: Tensor, left: Tensor, names: Tensor) -> None:
        """Samples leave, with all that is kept of them."""
        super().leave(gone, left, names)
        self._here = [[tensor[left] for tensor in part] for part in self._here]
        for product in self._products[1:]:
            product.keep(left)


def _product(coupling: Dense, kind: Kind, rows: int) -> Product:
    if kind == "float32" or narrow(coupling):
        return Exact(coupling)
    return Short(coupling, rows) if kind == "bfloat16" else Whole(coupling, rows)
