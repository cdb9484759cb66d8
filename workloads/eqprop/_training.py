"""What the training workloads share: the finished network of a recipe, and a task whose step is one minibatch."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from energybench.workloads import data
from energybench.workloads._devices import Threads, synchronise
from energybench.workloads.eqprop import _memory
from energybench.workloads.eqprop import _points as points
from energybench.workloads.eqprop._traces import REPEATS, by_phase, typical
from energybench.workloads.eqprop.learning import EquilibriumPropagation, Recipe, Trainer
from energybench.workloads.eqprop.relaxation import DivergenceError, Relaxation, Settled

_KEPT = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A finished training.

    Attributes:
        trainer: at its end; nobody steps it further.
        history: the mean loss of each epoch.
    """

    trainer: Trainer
    history: tuple[float, ...]


_kept: dict[Recipe, Trained] = {}


def train(recipe: Recipe) -> Trained:
    """The finished training of a recipe, remembered: a matrix asks for the same one at many of its points.

    Raises:
        ValueError: the recipe does not fit, or the training does not stay finite.
        DivergenceError: a relaxation does not settle.
    """
    if recipe not in _kept:
        while len(_kept) >= _KEPT:
            del _kept[next(iter(_kept))]
        _kept[recipe] = _train(recipe)
    return _kept[recipe]


def forget() -> None:
    """Drop the remembered networks."""
    _kept.clear()


def _train(recipe: Recipe) -> Trained:
    dataset = data.load(recipe.data, seed=recipe.seed)
    threads = torch.get_num_threads()
    # More threads would add up in another order: the network must not depend on the machine's cores.
    torch.set_num_threads(1)
    try:
        trainer = Trainer(recipe, dataset)
        return Trained(trainer=trainer, history=tuple(trainer.epoch() for _ in range(recipe.epochs)))
    finally:
        torch.set_num_threads(threads)


class Training:
    """A network in training, beside the finished one of the same recipe."""

    file_bytes: int | None = None

    def __init__(self, recipe: Recipe, values: Mapping[str, Any]) -> None:
        self._recipe, self._threads = recipe, Threads(values["threads"])
        self._finished = train(recipe).trainer
        dataset = self._finished.dataset
        self.samples: int = recipe.batch
        self.judged = len(dataset.test_labels)
        self._trainer = Trainer(recipe, dataset, samples=self._finished.samples)
        self._steps, self._free, self._nudged = 0, 0.0, 0.0
        self.definition: Mapping[str, object] = {
            "task": f"one step of training on {dataset.name}",
            **points.described(self._finished),
            "batch": recipe.batch,
            "peak_memory": _memory.how(recipe.device),
            **points.machine(values),
        }

    def step(self) -> None:
        """One step of the optimizer on the next minibatch."""
        self._threads.take()
        self._trainer.step()
        synchronise(self._recipe.device)
        method = self._trainer.method
        if self._recipe.tolerance and isinstance(method, EquilibriumPropagation) and method.last is not None:
            self._steps += 1
            self._free += _mean(method.last.free.sweeps)
            self._nudged += _mean(method.last.nudged.sweeps)

    def evaluate(self) -> Mapping[str, float]:
        """Accuracy of the finished network, how its phases end on held-out samples, and the memory of training.

        With a tolerance, the sweeps are those of the steps that were run.
        """
        self._threads.take()
        finished = self._finished
        loss, phases = judged(finished)
        if self._steps:
            phases = {**phases, **self._sweeps()}
        return {"accuracy": finished.accuracy(), "loss": loss, **phases, "peak_memory_bytes": float(_peak(finished))}

    def details(self) -> Mapping[str, object]:
        """Both phases of the finished network on held-out samples, sweep by sweep; or why one does not settle.

        A centered estimate relaxes each sample twice in its nudged phase, and so tells twice as many at work there. Of
        a baseline there is nothing to tell.
        """
        method = self._finished.method
        if not isinstance(method, EquilibriumPropagation):
            return {}
        self._threads.take()
        x, target = self._finished.held_out(self._recipe.batch)
        scratch = [torch.empty_like(tensor) for tensor in self._finished.network.parameters()]
        try:
            found = [method.traced(x, target, scratch) for _ in range(REPEATS)]
        except DivergenceError as error:  # some sample in some sweep: what was measured stands
            return {"diverged": str(error)}
        free, nudged = typical([one.free.trace for one in found]), typical([one.nudged.trace for one in found])
        return {"relaxation": by_phase({"free": free, "nudged": nudged})}

    def _sweeps(self) -> Mapping[str, float]:
        """Sweeps a sample over all steps that were run: with a tolerance they depend on how far training has come."""
        free, nudged = self._free / self._steps, self._nudged / self._steps
        phases = 2 if self._recipe.estimator == "centered" else 1
        return {"free_sweeps": free, "nudged_sweeps": nudged, "sweeps": free + phases * nudged}

    def learner(self, seed: int) -> "Learning":
        """The training from its start, with another seed."""
        return Learning(replace(self._recipe, seed=seed), self._threads)

    def close(self) -> None:
        """Give torch its threads back."""
        self._threads.give_back()


class Learning:
    """A network that learns pass by pass.

    Attributes:
        passes: of its schedule.
    """

    def __init__(self, recipe: Recipe, threads: Threads) -> None:
        self._trainer = Trainer(recipe, data.load(recipe.data, seed=recipe.seed))
        self._threads = threads
        self.passes = recipe.epochs

    def learn(self) -> int:
        """One pass over the training set; how many samples it handled."""
        self._threads.take()
        self._trainer.epoch()
        synchronise(self._trainer.recipe.device)
        return self._trainer.steps_per_epoch * self._trainer.recipe.batch

    def accuracy(self) -> float:
        """The share of held-out samples that get their own class."""
        self._threads.take()
        return self._trainer.accuracy()


def judged(trainer: Trainer) -> tuple[float, Mapping[str, float]]:
    """The loss on held-out samples, and how the phases end there, where there are phases."""
    x, target = trainer.held_out(trainer.recipe.batch)
    if isinstance(trainer.method, EquilibriumPropagation):
        trainer.method.watched = True
    scratch = [torch.empty_like(tensor) for tensor in trainer.network.parameters()]
    with torch.no_grad():
        loss = float(trainer.method.gradients(x, target, scratch)[0])
        return loss, _phases(trainer, x)


def _phases(trainer: Trainer, x: Tensor) -> Mapping[str, float]:
    recipe, method = trainer.recipe, trainer.method
    if recipe.method == "bp":
        return {}
    if isinstance(method, EquilibriumPropagation):
        assert method.last is not None
        free, nudged = method.last.free, method.last.nudged
        sweeps = {"free_sweeps": _mean(free.sweeps), "nudged_sweeps": _mean(nudged.sweeps)}
        phases = len(nudged.sweeps) / len(free.sweeps)
        total = sweeps["free_sweeps"] + phases * sweeps["nudged_sweeps"]
        return {**sweeps, "sweeps": total, **ended(free)}
    relaxation = Relaxation(trainer.network, len(x), mode=recipe.mode)
    relaxation.clamp(x)
    settled = relaxation.settle(recipe.free)
    return {"free_sweeps": float(recipe.free), "sweeps": float(recipe.free), **ended(settled)}


def ended(settled: Settled) -> Mapping[str, float]:
    """Residual and contraction of the middle sample."""
    return {"residual": float(settled.residual.median()), "contraction": float(settled.contraction.median())}


def _mean(counts: Tensor) -> float:
    return float(counts.double().mean())


def _peak(finished: Trainer) -> int:
    """Bytes of the weights, and the most that is held beside them from the making of a trainer to its first step's end.

    Gradients, momenta, states and what comes and goes are in it; what the drawing of first weights took is not.
    """
    network = finished.network.copy()

    def one_step() -> Trainer:
        trainer = Trainer(finished.recipe, finished.dataset, network=network, samples=finished.samples)
        trainer.step()
        return trainer

    return sum(tensor.nbytes for tensor in network.parameters()) + _memory.peak_bytes(one_step, finished.recipe.device)
