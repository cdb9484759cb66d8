"""`bptt-train`: the network of `eqprop-train`, by backpropagation through its free phase, tape and all."""

from collections.abc import Mapping
from typing import Any

from energybench.model import Parameter, Task
from energybench.workloads import resolve
from energybench.workloads._devices import check_device, check_positive
from energybench.workloads.eqprop import _points as points


class BpttTrain:
    """A free phase on autograd's tape, its gradient, one step of momentum SGD."""

    name = "bptt-train"
    version = 1
    summary = "Trains the network of eqprop-train by backpropagation through its relaxation, one minibatch a step"
    parameters: Mapping[str, Parameter] = {
        **points.NETWORK,
        "mode": Parameter(
            default="async", help="even and odd layers in turn, or all at once", choices=("async", "sync")
        ),
        "free": Parameter(default=0, help="sweeps of the free phase; 0: by the depth"),
        "through": Parameter(default=0, help="sweeps that are differentiated, the last ones; 0: all"),
        "dtype": points.DTYPE,
    }

    def prepare(self, parameters: Mapping[str, int | float | str | bool], *, seed: int, quick: bool) -> Task:
        """Train by the whole recipe; the measured steps go on from the start."""
        # A dict of Any: `resolve` has checked each value's type.
        values: dict[str, Any] = dict(resolve(self.parameters, parameters))
        check_positive(values, "batch", "threads")
        check_device(values["device"])
        recipe = points.recipe(values, method="bptt", seed=seed, quick=quick)
        from energybench.workloads.eqprop._training import Training

        return Training(recipe, values)


workload = BpttTrain()
