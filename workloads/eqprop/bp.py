"""`bp-train`: the same network, data, schedule and optimizer as `eqprop-train`, by backpropagation."""

from collections.abc import Mapping
from typing import Any

from energybench.model import Parameter, Task
from energybench.workloads import resolve
from energybench.workloads._devices import check_device, check_positive
from energybench.workloads.eqprop import _points as points


class BpTrain:
    """A forward and a backward pass in closed form, one step of momentum SGD."""

    name = "bp-train"
    version = 1
    summary = "Trains the network of eqprop-train by backpropagation, one minibatch a step"
    parameters: Mapping[str, Parameter] = {
        **points.NETWORK,
        "hidden": Parameter(
            default="hard-sigmoid", help="activation of hidden layers", choices=(*points.HIDDEN, "relu")
        ),
        "dtype": points.DTYPE,
    }

    def prepare(self, parameters: Mapping[str, int | float | str | bool], *, seed: int, quick: bool) -> Task:
        """Train by the whole recipe; the measured steps go on from the start."""
        # A dict of Any: `resolve` has checked each value's type.
        values: dict[str, Any] = dict(resolve(self.parameters, parameters))
        check_positive(values, "batch", "threads")
        check_device(values["device"])
        recipe = points.recipe(values, method="bp", seed=seed, quick=quick)
        from energybench.workloads.eqprop._training import Training

        return Training(recipe, values)


workload = BpTrain()
