"""How networks on crossbars learn: equilibrium propagation and backpropagation, both from what is measured.

EP compares the states of two nudged phases, at +β and -β (centered), both started from the free phase: all of it is
measured on the device, and no property of the device enters. BP measures the activations of a pass forward, forms the
error digitally and sends it back through *transposed reads of the device itself*, as crossbars that train by
backpropagation do (Gokmen & Vlasov 2016, doi 10.3389/fnins.2016.00333): nothing but what is measured enters here
either, and the error meets the mismatch that the activations met. `backward="programmed"` multiplies digitally by the
couplings that were programmed, for machines without transposed reads; it does about as well at the mismatches of the
table in tests/bench/eqprop_analog.py. BP cannot measure the slopes of the units: it takes 1 within a unit's range and
0 outside.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from energybench.workloads.eqprop.crossbar.network import Crossbars
from energybench.workloads.eqprop.crossbar.samples import Samples

TUNING = 2
"""Passes of a tuning in situ after deployment."""
_JUDGED = 512
"""Samples at once in an evaluation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a network learns.

    Attributes:
        rule: "ep" or "bp".
        epochs: passes over the training set.
        batch: samples a step; the last, smaller batch of a pass is left out.
        beta: of the nudged phases; 0: as much as the read noise asks for.
        free: sweeps of a free phase, in training and for an answer.
        nudged: sweeps of each nudged phase.
        rates: learning rates of the first layer's couplings and of the others', falling along a cosine.
        warm_up: passes over which the rates rise from 0 first. A unit with twice the slope doubles what a step does to
            it, and a device cannot be asked for its slopes: the first steps, far from a solution, would run away.
        momentum: of the steps.
        backward: what BP sends the error back through: "transposed" reads or the "programmed" couplings.
    """

    rule: str = "ep"
    epochs: int = 20
    batch: int = 32
    beta: float = 0.0
    free: int = 12
    nudged: int = 6
    rates: tuple[float, float] = (0.1, 0.05)
    warm_up: int = 1
    momentum: float = 0.9
    backward: str = "transposed"

    def briefly(self) -> "Recipe":
        """The recipe of a tuning after deployment: few passes, smaller steps, which need no warming up."""
        first, others = self.rates
        return replace(self, epochs=TUNING, rates=(first / 2, others / 2), warm_up=0)


def nudge_for(read_noise: float) -> float:
    """The nudging β that a read noise asks for.

    The difference between the nudged phases grows with β, the noise on it does not: a larger β costs bias, a smaller
    one drowns.
    """
    return min(max(0.2, 5 * read_noise), 0.5)


class Trainer:
    """Networks in training, all by one recipe: `step` after `step`; after the recipe's passes the rate stays at 0.

    Args:
        networks: one on each device.
        samples: what they learn.
        places: for each device, which seed's samples it learns.
        recipe: how.
        seeds: of the order of the samples, for each device; devices of one place have one seed.
        redraw: another device of the same statistics at each step: training that knows there will be noise.
    """

    def __init__(
        self, networks: Crossbars, samples: Samples, places: Sequence[int], recipe: Recipe, *,
        seeds: Sequence[int], redraw: bool = False,
    ) -> None:  # fmt: skip
        count = samples.train_labels.shape[1]
        if not 1 <= recipe.batch <= count:
            raise ValueError(f"batch={recipe.batch} does not fit {count} training samples: use 1 to {count}")
        self.networks, self.recipe, self.done = networks, recipe, 0
        self.steps_per_epoch = count // recipe.batch
        self._samples, self._redraw = samples, redraw
        self._rows = torch.tensor(places).unsqueeze(1)
        self._orders = [torch.Generator().manual_seed(7 + seed) for seed in seeds]
        self._targets = torch.eye(samples.classes)
        self._speed = [torch.zeros_like(tensor) for tensor in (*networks.weights, *networks.biases)]
        self.betas = [recipe.beta or nudge_for(mismatch.read_noise) for mismatch in networks.devices.mismatches]
        self._beta = torch.tensor(self.betas).view(-1, 1, 1)
        self._sign = torch.ones(1, 2 * recipe.batch, 1)
        self._sign[:, recipe.batch :] = -1

    def run(self) -> Crossbars:
        """The whole recipe."""
        for _ in range(self.recipe.epochs * self.steps_per_epoch):
            self.step()
        return self.networks

    def step(self) -> None:
        """Learn from the next minibatch."""
        epoch, place = divmod(self.done, self.steps_per_epoch)
        if place == 0:
            self._shuffle()
        rising = min(1.0, (self.done + 1) / max(self.recipe.warm_up * self.steps_per_epoch, 1))
        falling = 0.5 + 0.5 * math.cos(math.pi * min(epoch / self.recipe.epochs, 1))
        chosen = self._order[:, place * self.recipe.batch : (place + 1) * self.recipe.batch]
        inputs = self._samples.train_pixels[self._rows, chosen].float().div_(self._samples.levels)
        targets = self._targets[self._samples.train_labels[self._rows, chosen]]
        if self._redraw:
            self.networks.devices.redraw()
        self.networks.program()
        self._move(self.descent(inputs, targets), rising * falling)
        self.done += 1

    def descent(self, inputs: Tensor, targets: Tensor) -> list[Tensor]:
        """The estimated negative gradients of the mean cost ½‖s_L - y‖²: of each layer's couplings, then biases."""
        return (self._ep if self.recipe.rule == "ep" else self._bp)(inputs, targets)

    def _ep(self, inputs: Tensor, targets: Tensor) -> list[Tensor]:
        networks, recipe = self.networks, self.recipe
        drive, states = networks.clamp(inputs), networks.rest(inputs.shape[1])
        networks.settle(states, drive, recipe.free)
        # Both nudged phases as one batch: first +β, then -β.
        twice = [torch.cat((state, state), 1) for state in states]
        beta = self._beta * self._sign
        both = torch.cat((targets, targets), 1)
        networks.settle(twice, torch.cat((drive, drive), 1), recipe.nudged, beta=beta, target=both)
        scale = 1 / (2 * self._beta * inputs.shape[1])
        signed = [state * self._sign for state in twice]
        # The inputs are the same in both phases: their product needs the difference alone.
        first = signed[0][:, : recipe.batch] + signed[0][:, recipe.batch :]
        above = [(inputs, first), *zip(twice[:-1], signed[1:], strict=True)]
        weights = [torch.bmm(below.transpose(1, 2), change).mul_(scale) for below, change in above]
        return weights + [change.sum(1, keepdim=True).mul_(scale) for change in signed]

    def _bp(self, inputs: Tensor, targets: Tensor) -> list[Tensor]:
        networks, batch = self.networks, inputs.shape[1]
        found = [inputs, *networks.forward(inputs)]
        error = (targets - found[-1]) / batch
        weights, biases = [], []
        for layer in reversed(range(networks.layers)):
            weights.append(torch.bmm(found[layer].transpose(1, 2), error))
            biases.append(error.sum(1, keepdim=True))
            if layer:
                state = found[layer]
                error = self._back(layer, error) * ((state > 0) & (state < 1))
        return weights[::-1] + biases[::-1]

    def _back(self, layer: int, error: Tensor) -> Tensor:
        networks = self.networks
        if self.recipe.backward == "programmed":
            return torch.bmm(error, networks.devices.levels(networks.weights[layer]).transpose(1, 2))
        # The error is scaled up to the read's full range and back: the noise is relative to its largest entry.
        full = error.abs().amax(2, keepdim=True).clamp_min_(1e-12)
        read = torch.bmm(error / full, networks.transposed[layer - 1])
        if networks.devices.noisy:
            networks.devices.noise_(read, torch.ones(1))
        return read * full

    def _move(self, gradients: list[Tensor], share: float) -> None:
        """Momentum in digital registers; couplings move as the devices do, biases exactly."""
        networks, recipe = self.networks, self.recipe
        for place, (speed, gradient) in enumerate(zip(self._speed, gradients, strict=True)):
            layer = place % networks.layers
            rate = share * recipe.rates[min(layer, 1)]
            speed.mul_(recipe.momentum).add_(gradient)
            if place < networks.layers:
                networks.devices.move_(layer, networks.weights[layer], rate * speed)
            else:
                networks.biases[layer].add_(speed, alpha=rate)

    def _shuffle(self) -> None:
        count = self._samples.train_labels.shape[1]
        self._order = torch.stack([torch.randperm(count, generator=random) for random in self._orders])


def errors(networks: Crossbars, samples: Samples, places: Sequence[int], *, rule: str, sweeps: int) -> list[float]:
    """The share of held-out samples that each network gets wrong: after relaxing for EP, a pass forward for BP."""
    networks.program()
    rows = torch.tensor(places)
    wrong = torch.zeros(len(rows))
    count = samples.test_labels.shape[1]
    for begin in range(0, count, _JUDGED):
        inputs = samples.test_pixels[rows, begin : begin + _JUDGED].float().div_(samples.levels)
        wanted = samples.test_labels[rows, begin : begin + _JUDGED]
        outputs = outcome(networks, inputs, rule=rule, sweeps=sweeps)[-1]
        # Couplings that ran away answer nothing, and nothing is not class 0.
        wrong += ((outputs.argmax(2) != wanted) | ~outputs.isfinite().all(2)).sum(1)
    return [float(value) / count for value in wrong]


def outcome(networks: Crossbars, inputs: Tensor, *, rule: str, sweeps: int) -> list[Tensor]:
    """What a programmed network answers: states (devices, samples, units) of each layer, from below."""
    if rule == "bp":
        return networks.forward(inputs)
    states = networks.rest(inputs.shape[1])
    networks.settle(states, networks.clamp(inputs), sweeps)
    return states
