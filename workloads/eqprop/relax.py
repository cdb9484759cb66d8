"""`eqprop-relax`: held-out samples settle in a trained network, each until its error bound is met."""

from collections.abc import Mapping
from typing import Any

from energybench.model import Parameter, Task
from energybench.workloads import resolve
from energybench.workloads._devices import check_device, check_positive
from energybench.workloads.eqprop import _points as points

_SWEEPS = 200


class EqpropRelax:
    """The free phase of one batch, from states of zero."""

    name = "eqprop-relax"
    version = 1
    summary = "Relaxes held-out samples in a network trained by equilibrium propagation, each to a tolerance"
    parameters: Mapping[str, Parameter] = {
        **points.NETWORK,
        "tolerance": Parameter(default=1e-3, help=points.TOLERANCE),
        **points.PHASES,
        "free": Parameter(default=_SWEEPS, help="sweeps, with a tolerance the most"),
        "compact": Parameter(default=True, help="false: settled samples stay until the last one has settled"),
        "dtype": points.DTYPE,
    }

    def prepare(self, parameters: Mapping[str, int | float | str | bool], *, seed: int, quick: bool) -> Task:
        """Train a network in float32, asynchronously, and hold a batch of held-out samples ready."""
        # A dict of Any: `resolve` has checked each value's type.
        values: dict[str, Any] = dict(resolve(self.parameters, parameters))
        check_positive(values, "batch", "threads", "free")
        check_device(values["device"])
        if not 0 <= values["tolerance"] < float("inf"):
            raise ValueError(f"tolerance={values['tolerance']:g} does not fit: it is above 0, or 0 for all sweeps")
        how = {name: values[name] for name in points.NETWORK}
        # The network is the same whatever the batch that settles in it.
        trained = how | {"batch": points.NETWORK["batch"].default}
        recipe = points.recipe(trained, method="eqprop", seed=seed, quick=quick)
        from energybench.workloads import data
        from energybench.workloads.eqprop import relaxation
        from energybench.workloads.eqprop._relaxing import Relaxing
        from energybench.workloads.eqprop._training import train

        # Before the training, not after it.
        relaxation.check(values["mode"], values["step_size"], values["batch"])
        there = len(data.load(recipe.data, seed=seed).test_labels)
        if values["batch"] > there:
            raise ValueError(f"batch={values['batch']} does not fit {there} held-out samples: use 1 to {there}")
        return Relaxing(train(recipe), values)


workload = EqpropRelax()
