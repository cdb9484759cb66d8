"""Relaxation of a network to a minimum of its energy, sweep by sweep.

`async`: even layers, then odd ones, each set to its exact minimiser at the present states of the others. Layers of
equal parity do not touch, so that this is coordinate descent in two blocks and no sweep raises the energy. N sweeps
are 2N steps of `sync` (2N − 1 for the first parity), in which all layers move at once from the old states: exactly
half its work. `sync` may go in circles where couplings are strong; it is what published results use, and the oracle
here (Ernoult et al. 2019, arXiv 1905.13633, the prototypical setting; Laborieux et al. 2021, arXiv 2006.03824;
asynchronous: Scellier et al. 2023, arXiv 2312.15103).

`euler`: steps ε of the gradient flow ds/dt = −∂F/∂s (Scellier & Bengio 2017, arXiv 1602.05179, §2). For hard-sigmoid
and linear units that is s ← s + ε(u − s) − εβ(s − y), held in [0, 1] as in their code: there ρ'(s) is 1 inside the
box, and their ρ'(s)(…) − s is the same. For sigmoid and tanh, whose potential has an infinite slope at the ends, it
is the flow ds/dt = ρ(u) − s: each component has the sign of −∂F/∂s, so it lowers the same energy to the same fixed
points.
"""

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor

from energybench.workloads.eqprop._blocks import BlockField, Blocks
from energybench.workloads.eqprop._deviation import DeviationField, Kind
from energybench.workloads.eqprop._field import Field, Nudge
from energybench.workloads.eqprop._phase import Dynamics, Settled, Watched, settle_all
from energybench.workloads.eqprop._stopping import DivergenceError, Residuals, Sweep
from energybench.workloads.eqprop._sweeps import Mode, sweeper
from energybench.workloads.eqprop.activations import Beta
from energybench.workloads.eqprop.coupling import Dense
from energybench.workloads.eqprop.graphs import Graphs, Plain
from energybench.workloads.eqprop.network import Network

__all__ = ["MODES", "DivergenceError", "Mode", "Relaxation", "Settled", "Sweep"]

MODES: tuple[Mode, ...] = ("async", "sync", "euler")
_REMEDIES = {
    "async": "weaker weights (gain, learning rate) or a smaller β settle",
    "sync": "mode=async settles, as may weaker weights (gain, learning rate)",
    "euler": "a smaller step size or weaker weights (gain, learning rate) settle",
}


class Relaxation:
    """The states of a batch under a network.

    Args:
        network: its weights are used as they are at each sweep.
        batch: the most samples at a time.
        mode: `async`, `sync` or `euler`.
        step_size: ε of `euler`.
        dtype: of states and products; None: the network's. Another one works on a copy of the weights, made anew at
            each `clamp`.

    Attributes:
        descends: whether no sweep can raise the energy: a relaxation that cannot run away.

    Raises:
        ValueError: there is no such mode; the step size or the batch does not fit.
    """

    # What is made in inference mode could not be used outside of it.
    @torch.inference_mode(mode=False)
    def __init__(
        self, network: Network, batch: int, *, mode: Mode = "async", step_size: float = 0.5,
        dtype: torch.dtype | None = None,
    ) -> None:  # fmt: skip
        check(mode, step_size, batch)
        self.network, self.batch, self.mode, self.step_size = network, batch, mode, step_size
        self.dtype = dtype or network.dtype
        self._lowered = (network if self.dtype == network.dtype else network.to(self.dtype)).apart()
        described = (self._lowered.couplings, network.activations, batch, self.dtype, network.device)
        alike = len(set(network.activations[:-1])) <= 1
        blocks = Blocks.of(self._lowered.couplings) if mode == "async" and alike else None
        self.field = Field(*described) if blocks is None else BlockField(*described, blocks=blocks)
        self.field.reset(batch)
        self._plain, self._graphs = self._runners()
        self._bounded = all(unit.high < float("inf") for unit in network.activations[:-1])
        # Pooling takes the largest product, which is convex in the states where those above are not negative.
        convex = all(
            len(c.outputs) == 1 or u.low >= 0 for c, u in zip(network.couplings, network.activations, strict=True)
        )
        self.descends = mode == "async" and self._bounded and convex
        self._strength: tuple[Beta, int, Nudge] | None = None
        self._followers: dict[tuple[int, Kind | None], Relaxation] = {}

    @property
    def states(self) -> list[Tensor]:
        """s₁ … s_L, each (samples, *shape): the relaxation's own, which the next sweep changes."""
        return self.field.now

    def clamp(self, x: Tensor) -> None:
        """Hold the input: its drive is computed here and nowhere else. Every state is 0 afterwards.

        Args:
            x: (samples, features) pixels in 0 … 1, or (samples, channels, height, width); at most `batch` samples.

        Raises:
            ValueError: there are more samples than the relaxation has room for.
        """
        if not 1 <= len(x) <= self.batch:
            raise ValueError(f"{len(x)} samples do not fit a relaxation of 1 to {self.batch}: make one with more room")
        with torch.no_grad():
            if self.dtype != self.network.dtype:
                for low, full in zip(self._lowered.parameters(), self.network.parameters(), strict=True):
                    low.copy_(full)
            self.field.reset(len(x))
            self._lowered.couplings[0].up(self.network.arrange(x).to(self.dtype), self.field.input_drive)

    def load(self, states: Sequence[Tensor]) -> None:
        """Go on from these states, s₁ … s_L, which are copied; the input stays."""
        with torch.no_grad():
            for state, given in zip(self.field.now, states, strict=True):
                state.copy_(given)
            self.field.find()

    def settle(
        self,
        sweeps: int,
        *,
        tolerance: float | None = None,
        beta: Beta = 0.0,
        target: Tensor | None = None,
        compact: bool = True,
        trace: bool = False,
        watch: bool = True,
    ) -> Settled:
        """Relax, from where the states are.

        Args:
            sweeps: how many, or with a tolerance the most.
            tolerance: stop a sample where its error bound r·q/(1 − q) is at most this; None: all sweeps for all.
            beta: strength of the nudge, one or (samples, 1); above −1.
            target: y, (samples, classes), where beta is not 0.
            compact: settled samples leave the batch at once; else all stay until the last has settled.
            trace: note each sweep.
            watch: look at residuals where neither tolerance nor trace needs them; otherwise only at the output, for
                what is not a number. It costs about two sweeps of a small network.

        Raises:
            DivergenceError: the residual does not shrink, or something is not finite.
            ValueError: there are no sweeps; the nudge has no target or no minimum.
        """
        if sweeps < 1:
            raise ValueError(f"sweeps={sweeps} does not relax: ask for 1 or more")
        with torch.no_grad():
            nudge = self._nudge(beta, target)
            history = Residuals(self.dtype, tolerance=tolerance, descends=self.descends, bounded=self._bounded)
            whole = tolerance is None and not trace
            runner = self._graphs if whole else self._plain
            moved = Dynamics(field=self.field, run=runner.run, history=history, remedy=_REMEDIES[self.mode])
            if whole:
                return settle_all(moved, sweeps, nudge, watch=watch)
            return Watched(moved, tolerance, nudge, compact=compact, trace=trace).settle(sweeps)

    def forward_scores(self, x: Tensor, sweeps: int, tolerance: float | None = None) -> Tensor:
        """The output s_L after a free phase, (samples, classes), for any number of samples, `batch` at a time."""
        scores = []
        for part in torch.split(x, self.batch):
            self.clamp(part)
            self.settle(sweeps, tolerance=tolerance, watch=False)
            scores.append(self.states[-1].clone())
        return torch.cat(scores)

    def sweep(self, nudge: Nudge | None = None) -> None:
        """One sweep over all layers."""
        self._plain.run(1, nudge)

    def follow(self, copies: int, kind: Kind | None = None) -> "Relaxation":
        """A relaxation of its own that goes on from the present states, `copies` times below each other.

        It shares the couplings and the input's drive, is made once, and taken up again by the next call.

        Args:
            copies: how many phases are to be relaxed in one batch.
            kind: of the numbers that deviations from these states are multiplied in; None: no deviations.
        """
        if (copies, kind) not in self._followers:
            self._followers[copies, kind] = self._follower(copies, kind)
        follower = self._followers[copies, kind]
        with torch.no_grad():
            follower.field.follow(self.field, copies)
        return follower

    def _nudge(self, beta: Beta, target: Tensor | None) -> Nudge | None:
        if isinstance(beta, float | int) and beta == 0:
            return None
        if target is None:
            raise ValueError("beta without a target: a nudge pulls towards one, give target=")
        target = target.to(self.dtype)
        version = beta._version if isinstance(beta, Tensor) and not beta.is_inference() else 0  # noqa: SLF001
        if self._strength is None or self._strength[0] is not beta or self._strength[1] != version:
            least = float(beta if isinstance(beta, float | int) else beta.min())
            if not least > -1:
                raise ValueError(f"beta={least:g} leaves the nudged output without a minimum: give one above -1")
            fitting = beta if isinstance(beta, float | int) else beta.to(self.dtype)
            self._strength = beta, version, Nudge.towards(target, fitting)
        # The next phase by the same betas needs no more than its target.
        return dataclasses.replace(self._strength[2], target=target)

    @torch.inference_mode(mode=False)
    def _follower(self, copies: int, kind: Kind | None) -> "Relaxation":
        other = Relaxation(self._lowered, copies * self.batch, mode=self.mode, step_size=self.step_size)
        described = other.field.described()
        if kind is not None:
            other.field = DeviationField(*described, kind=kind)
        elif isinstance(self.field, BlockField):
            # The weights are laid out once for both.
            other.field = BlockField(*described, blocks=self.field.blocks)
        other._plain, other._graphs = other._runners()
        return other

    def _runners(self) -> tuple[Plain, Plain]:
        """What runs watched sweeps, and what runs whole phases."""
        sweep = sweeper(self.mode, self.step_size)
        plain = Plain(self.field, sweep)
        dense = all(isinstance(coupling, Dense) for coupling in self.network.couplings)
        return plain, Graphs(self.field, sweep) if dense and self.network.device.type == "cuda" else plain


def check(mode: str, step_size: float, batch: int) -> None:
    """Refuse what cannot be relaxed.

    Raises:
        ValueError: there is no such mode; the step size or the batch does not fit.
    """
    if mode not in MODES:
        raise ValueError(f"there is no mode {mode!r}: there are {', '.join(MODES)}")
    if not 0 < step_size <= 1:
        raise ValueError(f"step_size={step_size} does not fit: it is above 0 and at most 1")
    if batch < 1:
        raise ValueError(f"batch={batch} does not fit: it is 1 or more")
