"""`eqprop-train`: a network is trained by equilibrium propagation, one minibatch a step."""

from collections.abc import Mapping
from typing import Any

from energybench.model import Parameter, Task
from energybench.workloads import resolve
from energybench.workloads._devices import check_device, check_positive
from energybench.workloads.eqprop import _points as points


class EqpropTrain:
    """Free phase, nudged phases, one step of momentum SGD."""

    name = "eqprop-train"
    version = 1
    summary = "Trains a network by equilibrium propagation, one minibatch a step"
    parameters: Mapping[str, Parameter] = {
        **points.NETWORK,
        "estimator": Parameter(
            default="centered", help="how two phases make a gradient", choices=("centered", "one-sided", "random-sign")
        ),
        "beta": Parameter(default=0.1, help="strength of the nudge"),
        **points.PHASES,
        "nudged": Parameter(default=0, help="sweeps of a nudged phase, with a tolerance the most; 0: by the depth"),
        "tolerance": Parameter(default=0.0, help=points.TOLERANCE),
        "deviation": Parameter(default=False, help="true: nudged phases in deviations from the free states"),
        "dtype": Parameter(
            default="float32", help="of states and products; with deviation, of the nudged phases' products alone",
            choices=("float32", "bfloat16", "int8"),
        ),
    }  # fmt: skip

    def prepare(self, parameters: Mapping[str, int | float | str | bool], *, seed: int, quick: bool) -> Task:
        """Train by the whole recipe; the measured steps go on from the start."""
        # A dict of Any: `resolve` has checked each value's type.
        values: dict[str, Any] = dict(resolve(self.parameters, parameters))
        check_positive(values, "batch", "threads")
        check_device(values["device"])
        recipe = points.recipe(values, method="eqprop", seed=seed, quick=quick)
        from energybench.workloads.eqprop._training import Training

        return Training(recipe, values)


workload = EqpropTrain()
