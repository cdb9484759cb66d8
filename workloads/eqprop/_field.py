"""The states of one batch, each twice: as they are, and room for what they become; and one sweep over them.

An update writes into the room and changes places with it, so that a sweep allocates nothing and the room holds what a
layer was before: the change of a sweep is the difference of the two.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from energybench.workloads.eqprop.activations import Activation, Beta
from energybench.workloads.eqprop.coupling import Coupling, Dense, flat


@dataclass(frozen=True, slots=True, kw_only=True)
class Nudge:
    """What pulls at the output: β/2·‖s_L − y‖².

    Attributes:
        target: y, (rows, classes).
        beta: β of all samples, or (rows, 1).
        share: β/(1 + β), how far a quadratic unit goes from its drive to the target.
    """

    target: Tensor
    beta: Beta
    share: Beta

    @classmethod
    def towards(cls, target: Tensor, beta: Beta) -> "Nudge":
        """A nudge by β, with what each sweep needs of it."""
        return cls(target=target, beta=beta, share=beta / (1 + beta))

    def keep(self, rows: Tensor) -> "Nudge":
        """The nudge of these samples only."""
        beta = self.beta if isinstance(self.beta, float | int) else self.beta[rows]
        return Nudge.towards(self.target[rows], beta)


class Field:
    """States of a batch and the drive that its input gives.

    Args:
        couplings: from the input up.
        activations: of each free layer.
        rows: the most samples that there is room for.
        dtype: of states and drives.
        device: where they are.

    Attributes:
        now: the states of each free layer, (rows, *shape).
        room: as large; after a sweep, the states before it.
        base: what of the drives does not change during a phase, (rows, …).
        input_drive: b₁ + x·W₁ of each sample, in `base`: the only product with the input, made once.
        at_rest: whether every state is 0, so that products with states need not be made.
    """

    def __init__(
        self, couplings: Sequence[Coupling], activations: Sequence[Activation], rows: int, dtype: torch.dtype,
        device: torch.device,
    ) -> None:  # fmt: skip
        self.couplings, self.activations = list(couplings), list(activations)
        self.last = len(self.couplings) - 1
        self._rows, self._dtype, self._device = rows, dtype, device
        self._buffers = [self._parts(rows) for _ in range(2)]
        self._bases = [self._base(rows)]
        self._final: list[Tensor] = []
        self._scale = 1 / math.sqrt(sum(math.prod(coupling.outputs) for coupling in couplings))
        self._hold(rows)
        self.at_rest = False

    def _parts(self, rows: int) -> list[Tensor]:
        """Room for all states, in as many tensors as change places for themselves."""
        return [empty((rows, *coupling.outputs), self._dtype, self._device) for coupling in self.couplings]

    def _base(self, rows: int) -> Tensor:
        """Room for the input's drive."""
        return empty((rows, *self.couplings[0].outputs), self._dtype, self._device)

    def _layers(self, parts: list[Tensor]) -> list[Tensor]:
        """The states of each layer in those tensors."""
        return list(parts)

    def _hold(self, rows: int) -> None:
        """Use that many rows of the buffers."""
        self._take([[buffer[:rows] for buffer in part] for part in self._buffers], self._bases[0][:rows])

    def _take(self, held: list[list[Tensor]], base: Tensor) -> None:
        self._held, self.base = held, base
        self.now, self.room = (self._layers(parts) for parts in held)
        self.input_drive = base[:, : self.couplings[0].outputs[0]]

    def open(self, rows: int) -> None:
        """Take up that many samples, whose states are still to be set."""
        if len(self.base) != rows:
            self._hold(rows)

    def reset(self, rows: int) -> None:
        """Take up that many samples, every state 0."""
        self.open(rows)
        for part in self._held[0]:
            part.zero_()
        self.at_rest = True

    def described(self) -> tuple[list[Coupling], list[Activation], int, torch.dtype, torch.device]:
        """What it was made with."""
        return self.couplings, self.activations, self._rows, self._dtype, self._device

    def drive(self, layer: int, out: Tensor) -> Tensor:
        """U = −∂(E − ΣG)/∂s of a layer at the present states, into `out`."""
        if layer == 0:
            out.copy_(self.input_drive)
        else:
            self.couplings[layer].up(self.now[layer - 1], out)
        if layer < self.last and not self.at_rest:
            self.couplings[layer + 1].down(self.now[layer + 1], out)
        return out

    def minimise(self, layer: int, nudge: Nudge | None) -> None:
        """A layer's exact minimiser at the present states of the others, left in the room."""
        drive = self.drive(layer, self.room[layer])
        if layer == self.last:
            self.nudged(drive, nudge)
        else:
            self.activations[layer].apply_(drive)

    def nudged(self, drive: Tensor, nudge: Nudge | None) -> None:
        """The output's exact minimiser in place of its drive."""
        unit = self.activations[-1]
        if nudge is None:
            unit.apply_(drive)
        elif unit.quadratic:
            unit.apply_(drive.lerp_(nudge.target, nudge.share))
        else:
            unit.nudge_(drive, nudge.target, nudge.beta)

    def half(self, parity: int, nudge: Nudge | None) -> None:
        """Every second layer to its exact minimiser: they do not touch each other."""
        for layer in range(parity, self.last + 1, 2):
            self.minimise(layer, nudge)
            self.take(layer)

    def take(self, layer: int) -> None:
        """What is in the room becomes the state, and the state before it the room."""
        states, room = self._held
        states[layer], room[layer] = room[layer], states[layer]
        self.now[layer], self.room[layer] = states[layer], room[layer]

    def arrangement(self) -> tuple[int, ...]:
        """Which of its two places each state is in."""
        return tuple(part.data_ptr() for part in self._held[0])

    def arranged(self) -> list[list[Tensor]]:
        """The states as they lie, for `arrange`."""
        return [list(parts) for parts in self._held]

    def arrange(self, held: list[list[Tensor]]) -> None:
        """Let the states be where something else has put them."""
        self._take([list(parts) for parts in held], self.base)

    def renew(self) -> None:
        """Renew what is kept of the weights in another layout, where they have changed."""
        for coupling in self.couplings[1:]:
            if isinstance(coupling, Dense):
                coupling.turned()

    def change(self) -> Tensor:
        """RMS over all free units of what the last sweep changed, (rows,). The room is used up."""
        total: Tensor | None = None
        for state, before in zip(*self._held, strict=True):
            norm = _norm(before.sub_(state))
            total = norm if total is None else torch.hypot(total, norm, out=total)
        assert total is not None
        return total.mul_(self._scale)

    def energy(self, nudge: Nudge | None) -> Tensor | None:
        """F = E + β·C of each sample, (rows,), but for what the input alone gives; None where it is not known."""
        found = -(self.now[0] * self.input_drive).flatten(1).sum(1)
        for unit, state in zip(self.activations, self.now, strict=True):
            found += unit.potential(state).flatten(1).sum(1)
        for coupling, below, above in zip(self.couplings[1:], self.now, self.now[1:], strict=False):
            found -= coupling.term(below, above)
        if nudge is not None:
            found += 0.5 * (nudge.beta * (self.now[-1] - nudge.target).square()).sum(1)
        return found

    def most_changed(self, row: int) -> int:
        """The layer, 1 … L, that changed most, or is not finite, when `change` last looked at this sample."""
        changes = [float(change[row].square().mean()) for change in self.room]
        broken = [layer for layer, change in enumerate(changes, 1) if not math.isfinite(change)]
        return broken[0] if broken else changes.index(max(changes)) + 1

    def follow(self, other: "Field", copies: int) -> None:
        """Take up the states and the input's drive of another field, `copies` times below each other."""
        rows = len(other.now[0])
        self.open(rows * copies)
        for mine, theirs in zip([*self._held[0], self.base], [*other._held[0], other.base], strict=True):  # noqa: SLF001
            mine.view(copies, rows, *mine.shape[1:]).copy_(theirs)
        self.find()

    def find(self) -> None:
        """Make ready for states that were put in place: poolings look where their maxima are."""
        self.at_rest = False
        for coupling, below in zip(self.couplings[1:], self.now, strict=False):
            coupling.find(below)

    def leave(self, gone: Tensor, left: Tensor, names: Tensor) -> None:
        """Samples leave: the states of rows `gone` are final, rows `left` close up.

        Args:
            gone: (gone,) int64.
            left: (left,) int64.
            names: where each row of the field was in the batch, (rows,) int64.
        """
        if not self._final:
            with torch.inference_mode(mode=False):
                self._final = [torch.empty_like(buffer) for buffer in self._buffers[0]]
                self._bases += [torch.empty_like(self._bases[0]) for _ in range(2)]
        states, room = self._held
        for final, state in zip(self._final, states, strict=True):
            final.index_copy_(0, names[gone], state[gone])
        closed = [
            torch.index_select(state, 0, left, out=into[: len(left)]) for state, into in zip(states, room, strict=True)
        ]
        self._bases[1:] = self._bases[:0:-1]
        base = torch.index_select(self.base, 0, left, out=self._bases[1][: len(left)])
        self._take([closed, [state[: len(left)] for state in states]], base)
        for coupling in self.couplings[1:]:
            coupling.keep(left)

    def gather(self, rows: int, names: Tensor) -> None:
        """All samples of the batch are back in their places, those still in the field with their present states."""
        if len(self.base) == rows:
            return
        for final, state in zip(self._final, self._held[0], strict=True):
            final.index_copy_(0, names, state)
        self._final, self._buffers[0] = self._buffers[0], self._final
        self._hold(rows)
        self.find()


def empty(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Room for states; maps are kept channels last."""
    layout = torch.channels_last if len(shape) == 4 else torch.contiguous_format
    return torch.empty(shape, dtype=dtype, device=device, memory_format=layout)


def _norm(change: Tensor) -> Tensor:
    """The norm of each sample, (rows,), in float32 at least."""
    wide = torch.float64 if change.dtype == torch.float64 else torch.float32
    norm: Tensor = torch.linalg.vector_norm(flat(change), dim=1, dtype=wide)
    return norm
