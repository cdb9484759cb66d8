"""`eqprop-analog`: networks on simulated analog devices with mismatch, mapped or trained in situ, by EP and by BP.

The joules that are measured are those of *simulating* a device on this machine. What an analog machine would use is
computed beside it and always called modelled.
"""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

from energybench.model import Modelled, Parameter, Task
from energybench.workloads import resolve
from energybench.workloads._devices import Threads
from energybench.workloads.eqprop import _analog as points

if TYPE_CHECKING:
    from energybench.workloads import data
    from energybench.workloads.eqprop.crossbar.arms import Row
    from energybench.workloads.eqprop.crossbar.counts import Counts
    from energybench.workloads.eqprop.crossbar.energy import Term
    from energybench.workloads.eqprop.crossbar.samples import Samples

_MEASURED = "ep-in-situ"
"""The arm whose step is measured where all are asked for."""


class EqpropAnalog:
    """Arms of the analog experiment; a step trains one simulated device on one minibatch."""

    name = "eqprop-analog"
    version = 1
    summary = "Simulates analog devices with mismatch, mapped or learning in situ; models what a crossbar would use"
    parameters: Mapping[str, Parameter] = points.PARAMETERS

    def prepare(self, parameters: Mapping[str, int | float | str | bool], *, seed: int, quick: bool) -> Task:
        """Load the data of every seed and draw the devices; the arms are trained when they are judged."""
        values = points.filled(resolve(self.parameters, parameters), quick=quick)
        from energybench.workloads.eqprop.crossbar.samples import load

        seeds = list(range(seed, seed + values["seeds"]))
        samples, dataset = load(values["data"], seeds)
        return _Experiment(values, seeds, samples, dataset)


class _Experiment:
    """One network in training on one simulated device, and the study of all arms."""

    file_bytes: int | None = None

    def __init__(
        self, values: Mapping[str, Any], seeds: list[int], samples: "Samples", dataset: "data.DataSet"
    ) -> None:
        import torch

        from energybench.workloads.eqprop.crossbar.arms import ARMS, Study

        self._threads = Threads(values["threads"])
        self._arm = ARMS[_MEASURED if values["arm"] == "all" else values["arm"]]
        self._arms = {name: ARMS[name] for name in points.ARMS if values["arm"] in ("all", name)}
        self._sizes = points.sizes(values["net"], dataset)
        self._recipe = points.recipe(values, self._arm.rule)
        self._mismatch = points.mismatch(values)
        kinds, self._axis = points.kinds(values)
        self._study = Study(self._sizes, samples, seeds, kinds, self._recipe)
        self._trainer = self._study.measured(self._arm)
        self._rows: list[Row] = []
        self.samples: int = values["batch"]
        self.judged = len(dataset.test_labels) * len(seeds)
        self.definition: Mapping[str, object] = {
            "task": f"one step of {self._arm.label} on {dataset.name}, one device, simulated",
            **points.defined(values, seeds, dataset, self._sizes),
            "beta": self._trainer.betas[0],
            "isa": torch.backends.cpu.get_cpu_capability(),
            "torch": torch.__version__,
        }

    def step(self) -> None:
        """One minibatch of training, of one simulated device."""
        self._threads.take()
        self._trainer.step()

    def evaluate(self) -> Mapping[str, float]:
        """Mean held-out error of each arm at the whole mismatch, over the seeds; accuracy is the measured arm's."""
        last, rows = len(self._axis) - 1, self._judged()
        found = {
            name: fmean(row.error for row in rows if row.arm == arm.label and row.level == last)
            for name, arm in self._arms.items()
        }
        own = next(error for name, error in found.items() if self._arms[name] is self._arm)
        return {"accuracy": 1 - own} | {f"{name.replace('-', '_')}_error": error for name, error in found.items()}

    def details(self) -> Mapping[str, object]:
        """Every arm, level and seed; modelled joules: a crossbar's by term, a check by a chip, a digital machine's."""
        from energybench.workloads.eqprop.crossbar import energy

        rows = [
            {"arm": row.arm, "mismatch": self._axis[row.level], "seed": row.seed, "error": row.error}
            for row in self._judged()
        ]
        answer = self._inference()
        modelled: dict[str, Sequence[Term]] = {
            "crossbar": energy.terms(answer),
            "checks": [energy.by_chip(answer, "an answer")],
            "digital": list(self._digital().values()),
        }
        if self._arm.in_situ:
            training = self._training()
            modelled["crossbar_training"] = energy.terms(training)
            modelled["checks"] = [*modelled["checks"], energy.by_chip(training, "a training sample")]
        terms = {name: points.told(parts) for name, parts in modelled.items()}
        return {"analog": {"rule": self._recipe.rule, "rows": rows, **terms}}

    def modelled(self) -> Mapping[str, Modelled]:
        """Joules of an analog crossbar: an inference, a training sample in situ with its terms; a digital machine.

        All of them modelled: nobody measured such a machine. An arm that learns elsewhere has no training in situ.
        """
        from energybench.workloads.eqprop.crossbar import energy

        training = energy.terms(self._training()) if self._arm.in_situ else []
        found = {"analog_joules_per_sample": energy.total(training)} if training else {}
        found |= {
            **{f"analog_{part.term}_joules_per_sample": part for part in training},
            "analog_joules_per_inference": energy.total(energy.terms(self._inference())),
            **self._digital(),
        }
        return {name: Modelled(value=part.joules, low=part.low, high=part.high) for name, part in found.items()}

    def close(self) -> None:
        """Give torch its threads back."""
        self._threads.give_back()

    def _judged(self) -> "list[Row]":
        if not self._rows:
            self._threads.take()
            self._rows = self._study.run(self._arms.values())
        return self._rows

    def _digital(self) -> "dict[str, Term]":
        """A digital machine by the name of its result: an answer, of one sample at a time and of a batch; training."""
        from energybench.workloads.eqprop.crossbar import energy

        found = {"digital_joules_per_inference_one_at_a_time": energy.digital(self._sizes, training=False)}
        if self.samples > 1:
            name = f"digital_joules_per_inference_batch_{self.samples}"
            found[name] = energy.digital(self._sizes, training=False, batch=self.samples)
        found["digital_bp_joules_per_sample"] = energy.digital(self._sizes, training=True, batch=self.samples)
        return found

    def _inference(self) -> "Counts":
        from energybench.workloads.eqprop.crossbar import counts

        return counts.inference(self._sizes, self._squares(), rule=self._recipe.rule, sweeps=self._recipe.free)

    def _training(self) -> "Counts":
        from energybench.workloads.eqprop.crossbar import counts

        recipe, mismatch = self._recipe, self._mismatch
        return counts.training(
            self._sizes, self._squares(), rule=recipe.rule, free=recipe.free, nudged=recipe.nudged, batch=recipe.batch,
            backward=recipe.backward, reciprocal=mismatch.reciprocal, summed=mismatch.summed,
        )  # fmt: skip

    def _squares(self) -> list[float]:
        """The mean squared state of each layer on the measured arm's devices."""
        self._judged()
        return self._study.activity[self._arm.label]


workload = EqpropAnalog()
