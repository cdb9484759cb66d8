"""Parameters of the analog experiment, what they mean, and what records say of them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from energybench.model import Parameter

if TYPE_CHECKING:
    from energybench.workloads import data
    from energybench.workloads.eqprop.crossbar.energy import Term
    from energybench.workloads.eqprop.crossbar.mismatch import Mismatch
    from energybench.workloads.eqprop.crossbar.training import Recipe

ARMS = ("bp-mapped", "bp-noise-aware", "bp-in-situ", "ep-mapped", "ep-noise-aware", "ep-in-situ", "ep-tuned")
_SEEDS, _QUICK_SEEDS = 5, 3
_EPOCHS, _QUICK_EPOCHS = 20, 10
_SCALED = ("gain", "neuron", "offset", "update_spread")
"""What the levels scale; the first that is not 0 is the axis of error against mismatch."""

PARAMETERS: Mapping[str, Parameter] = {
    "arm": Parameter(default="all", help="how networks get onto devices", choices=("all", *ARMS)),
    "gain": Parameter(default=0.4, help="σ of a coupling's factor from device to device"),
    "offset": Parameter(
        default=0.0, help="σ of what is added to a coupling, in units of its layer's largest first one"
    ),
    "neuron": Parameter(default=0.0, help="σ of a unit's slope; its threshold is off by a tenth of it"),
    "update_spread": Parameter(default=0.0, help="σ of a coupling's step size from device to device, not of sums"),
    "levels": Parameter(default=3, help="sizes of these four, evenly from none to all; 1: all"),
    "read_noise": Parameter(default=0.0, help="σ of the noise on each drive at each read"),
    "asymmetry": Parameter(default=0.0, help="how much smaller steps down are than up, 0 to below 1, not of sums"),
    "bits": Parameter(default=0, help="of a coupling's levels from -2 to 2, none of them 0; 0: continuous"),
    "pulses": Parameter(default=False, help="true: couplings move by whole levels; false: by sums, if bits are not 0"),
    "reciprocal": Parameter(default=True, help="false: a second array for the way back, with its own mismatch"),
    "beta": Parameter(default=0.0, help="β of the nudged phases, below 1; 0: as the read noise asks for"),
    "free": Parameter(default=12, help="sweeps of a free phase"),
    "nudged": Parameter(default=6, help="sweeps of each nudged phase"),
    "backward": Parameter(
        default="transposed", help="what BP in situ sends errors through", choices=("transposed", "programmed")
    ),
    "net": Parameter(default="", help="units by layer, like 64-128-10; empty: one hidden layer of 128"),
    "data": Parameter(default="digits", help="digits, glyphs, or a folder with MNIST's files"),
    "batch": Parameter(default=32, help="samples a step"),
    "seeds": Parameter(default=0, help="devices, splits and first couplings, 0: 5, 3 with --quick"),
    "epochs": Parameter(default=0, help="passes over the training set, 0: 20, 10 with --quick"),
    "threads": Parameter(default=1, help="torch's threads"),
}


def filled(values: Mapping[str, Any], *, quick: bool) -> dict[str, Any]:
    """The values with seeds and epochs decided.

    Raises:
        ValueError: they do not fit; the message has the parameter, and what fits.
    """
    for name in ("levels", "free", "nudged", "batch", "threads"):
        if values[name] < 1:
            raise ValueError(f"{name}={values[name]} does not fit: it is 1 or more")
    for name in ("seeds", "epochs"):
        if values[name] < 0:
            raise ValueError(f"{name}={values[name]} does not fit: 1 or more, or 0 for the default")
    if not (math.isfinite(values["beta"]) and 0 <= values["beta"] < 1):
        raise ValueError(
            f"beta={values['beta']:g} does not fit: above 0, and below 1, where the phase at -β has no minimum; "
            "or 0 for what the read noise asks for"
        )
    mismatch(values).check()
    seeds = values["seeds"] or (_QUICK_SEEDS if quick else _SEEDS)
    return {**values, "seeds": seeds, "epochs": values["epochs"] or (_QUICK_EPOCHS if quick else _EPOCHS)}


def mismatch(values: Mapping[str, Any]) -> "Mismatch":
    """The devices at the whole mismatch."""
    from energybench.workloads.eqprop.crossbar.mismatch import Mismatch

    return Mismatch(**{name: values[name] for name in Mismatch.__dataclass_fields__})


def kinds(values: Mapping[str, Any]) -> "tuple[list[Mismatch], list[float]]":
    """The kinds of device, from none of the mismatch between devices to all of it, and each one's place on the axis."""
    whole, count = mismatch(values), values["levels"]
    axis = next((values[name] for name in _SCALED if values[name]), 0.0)
    if count == 1 or not axis:
        return [whole], [axis]
    shares = [place / (count - 1) for place in range(count)]
    return [whole.scaled(share) for share in shares], [axis * share for share in shares]


def recipe(values: Mapping[str, Any], rule: str) -> "Recipe":
    """How networks learn."""
    from energybench.workloads.eqprop.crossbar.training import Recipe

    names = ("epochs", "batch", "beta", "free", "nudged", "backward")
    return Recipe(rule=rule, **{name: values[name] for name in names})


def sizes(spec: str, dataset: "data.DataSet") -> list[int]:
    """Units of each layer, inputs first.

    Raises:
        ValueError: they do not fit the data, or are no dense layers.
    """
    from energybench.workloads.eqprop import coupling, network

    built = network.build(spec, shape=dataset.shape, classes=dataset.classes)
    if not all(isinstance(layer, coupling.Dense) for layer in built.couplings):
        fits = f"{dataset.features}-128-{dataset.classes}"
        raise ValueError(f"net={spec!r} does not fit: a crossbar is one dense layer here, as in {fits}")
    return [dataset.features, *(math.prod(shape) for shape in built.shapes)]


def defined(
    values: Mapping[str, Any], seeds: Sequence[int], dataset: "data.DataSet", units: Sequence[int]
) -> dict[str, object]:
    """What a definition says of the experiment, but for the step that is measured."""
    trained = recipe(values, "ep")
    told = {name: getattr(trained, name) for name in ("epochs", "batch", "free", "nudged", "momentum", "backward")}
    return {
        "data": dataset.described(),
        "network": "-".join(map(str, units)),
        "training": {**told, "rates": list(trained.rates), "warm_up": trained.warm_up},
        "mismatch": asdict(mismatch(values)),
        "levels": len(kinds(values)[0]),
        "arm": values["arm"],
        "seeds": list(seeds),
        "batch": values["batch"],
        "threads": values["threads"],
    }


def told(parts: "Sequence[Term]") -> list[dict[str, object]]:
    """Modelled terms in plain values, in joules a sample."""
    return [asdict(part) for part in parts]
