"""The ways to a network on a device that nobody has measured: trained elsewhere and mapped, or trained on it.

| arm | where it learns |
|---|---|
| BP mapped, EP mapped | on an ideal device; its couplings are then programmed into the real one |
| BP, EP noise-aware mapped | each step on another device that differs from ideal by half as much; then as above |
| BP, EP in situ | on the real device, from what is measured there |
| EP mapped then tuned in situ | mapped, then two passes on the real device |

All arms of a seed start from the same couplings, see the same samples in the same order, and end on the same device.
Half is the better choice: noise-aware training at the device's whole deviation did worse in three of four cases tried
(both rules, at a gain mismatch of 40 %, alone and with offsets and neurons) and a little better in one.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from energybench.workloads.eqprop.crossbar.device import Devices
from energybench.workloads.eqprop.crossbar.mismatch import Mismatch
from energybench.workloads.eqprop.crossbar.network import Crossbars, fresh
from energybench.workloads.eqprop.crossbar.samples import Samples
from energybench.workloads.eqprop.crossbar.training import Recipe, Trainer, errors, outcome

_LOOKED = 256
"""Held-out samples whose states tell how active a network is."""
_AWARE = 0.5
"""The share of the device's deviations that noise-aware training draws."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One way to a network on a device.

    Attributes:
        label: as tables and figures name it.
        rule: "ep" or "bp".
        start: where it learns first: "ideal", "aware" or "device".
        tuned: whether it learns on the device after that.
    """

    label: str
    rule: str
    start: str
    tuned: bool = False

    @property
    def in_situ(self) -> bool:
        """Whether any of its learning is on the device."""
        return self.start == "device" or self.tuned


ARMS: Mapping[str, Arm] = {
    "bp-mapped": Arm(label="BP mapped", rule="bp", start="ideal"),
    "bp-noise-aware": Arm(label="BP noise-aware mapped", rule="bp", start="aware"),
    "bp-in-situ": Arm(label="BP in situ", rule="bp", start="device"),
    "ep-mapped": Arm(label="EP mapped", rule="ep", start="ideal"),
    "ep-noise-aware": Arm(label="EP noise-aware mapped", rule="ep", start="aware"),
    "ep-in-situ": Arm(label="EP in situ", rule="ep", start="device"),
    "ep-tuned": Arm(label="EP mapped then tuned in situ", rule="ep", start="ideal", tuned=True),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What one arm reached on one device: `level` is the place of its mismatch, `error` a share of held-out samples."""

    arm: str
    level: int
    seed: int
    error: float


class Study:
    """Arms over kinds of devices and seeds; what arms share is trained once.

    Args:
        sizes: units of each layer, inputs first.
        samples: a place for each seed.
        seeds: of the split, the first couplings, the order of the samples, and the device.
        mismatches: the kinds of device.
        recipe: how; its rule is set by the arm.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        samples: Samples,
        seeds: Sequence[int],
        mismatches: Sequence[Mismatch],
        recipe: Recipe,
    ) -> None:
        self._sizes, self._samples, self._recipe = tuple(sizes), samples, recipe
        self._seeds, self._mismatches = list(seeds), list(mismatches)
        self._ideal: dict[str, Crossbars] = {}
        self.activity: dict[str, list[float]] = {}
        """The mean squared state of each layer, inputs first, by the label of each arm that was run."""

    def run(self, arms: Iterable[Arm]) -> list[Row]:
        """Every arm on every kind of device with every seed."""
        return [row for arm in arms for row in self._run(arm)]

    def measured(self, arm: Arm) -> Trainer:
        """The training of an arm on one device, of the last kind and the first seed, from its beginning."""
        kind, seeds, recipe = self._mismatches[-1], self._seeds[:1], replace(self._recipe, rule=arm.rule)
        elsewhere = {"ideal": Mismatch(), "aware": _elsewhere(kind), "device": kind}[arm.start]
        devices = Devices(self._sizes, [kind if arm.tuned else elsewhere], seeds)
        recipe = recipe.briefly() if arm.tuned else recipe
        redraw = arm.start == "aware"
        return Trainer(fresh(devices, seeds), self._samples, [0], recipe, seeds=seeds, redraw=redraw)

    def _run(self, arm: Arm) -> list[Row]:
        networks, recipe = self.deployed(arm), self._recipe
        found = errors(networks, self._samples, self._places, rule=arm.rule, sweeps=recipe.free)
        self.activity[arm.label] = self._squares(networks, arm.rule)
        wheres = [(level, seed) for level in range(len(self._mismatches)) for seed in self._seeds]
        return [
            Row(arm=arm.label, level=level, seed=seed, error=error)
            for (level, seed), error in zip(wheres, found, strict=True)
        ]

    def deployed(self, arm: Arm) -> Crossbars:
        """The networks of an arm on their devices: all seeds on the first kind, then on the next."""
        recipe = replace(self._recipe, rule=arm.rule)
        devices = self._devices(self._mismatches)
        if arm.start == "device":
            return self._train(fresh(devices, self._many), recipe)
        networks = self._aware(recipe) if arm.start == "aware" else self._repeated(self._trained(recipe))
        weights = [devices.levels(weight).clone() for weight in networks.weights]
        placed = Crossbars(devices, weights, [bias.clone() for bias in networks.biases])
        return self._train(placed, recipe.briefly()) if arm.tuned else placed

    def _squares(self, networks: Crossbars, rule: str) -> list[float]:
        """Mean squared states on held-out samples, over all devices; 1 where couplings ran away."""
        rows = torch.tensor(self._places)
        inputs = self._samples.test_pixels[rows, :_LOOKED].float().div_(self._samples.levels)
        states = [inputs, *outcome(networks, inputs, rule=rule, sweeps=self._recipe.free)]
        found = [float(state.square().mean()) for state in states]
        return [value if math.isfinite(value) else 1.0 for value in found]

    @property
    def _many(self) -> list[int]:
        return self._seeds * len(self._mismatches)

    @property
    def _places(self) -> list[int]:
        return list(range(len(self._seeds))) * len(self._mismatches)

    def _trained(self, recipe: Recipe) -> Crossbars:
        """Networks on ideal devices, one a seed."""
        if recipe.rule not in self._ideal:
            devices = Devices(self._sizes, [Mismatch()] * len(self._seeds), self._seeds)
            places = range(len(self._seeds))
            trainer = Trainer(fresh(devices, self._seeds), self._samples, places, recipe, seeds=self._seeds)
            self._ideal[recipe.rule] = trainer.run()
        return self._ideal[recipe.rule]

    def _aware(self, recipe: Recipe) -> Crossbars:
        kinds = [_elsewhere(kind) for kind in self._mismatches]
        return self._train(fresh(self._devices(kinds), self._many), recipe, redraw=True)

    def _devices(self, kinds: Sequence[Mismatch]) -> Devices:
        return Devices(self._sizes, [kind for kind in kinds for _ in self._seeds], self._many)

    def _repeated(self, networks: Crossbars) -> Crossbars:
        """One copy for each kind of device."""
        times = len(self._mismatches)
        weights = [weight.repeat(times, 1, 1) for weight in networks.weights]
        return Crossbars(networks.devices, weights, [bias.repeat(times, 1, 1) for bias in networks.biases])

    def _train(self, networks: Crossbars, recipe: Recipe, *, redraw: bool = False) -> Crossbars:
        trainer = Trainer(networks, self._samples, self._places, recipe, seeds=self._many, redraw=redraw)
        return trainer.run()


def _elsewhere(kind: Mismatch) -> Mismatch:
    """What noise-aware training draws. It is digital: no uneven steps, no pulses."""
    return replace(kind.scaled(_AWARE), update_spread=0.0, asymmetry=0.0, pulses=False)
