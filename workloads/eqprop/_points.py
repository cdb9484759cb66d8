"""Parameters that the workloads of this folder share, and what they say of a network and its training."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from energybench.model import Parameter
from energybench.workloads._devices import isa

if TYPE_CHECKING:
    from energybench.workloads.eqprop._recipe import Recipe
    from energybench.workloads.eqprop.learning import Trainer
    from energybench.workloads.eqprop.network import Network

HIDDEN = ("hard-sigmoid", "sigmoid", "tanh")
_MODES = ("async", "sync", "euler")
# Free and nudged sweeps by hidden layers: about what trained networks need, with a margin.
_SWEEPS = {1: (12, 8), 2: (20, 10), 3: (40, 16)}
# States on both sides of 0 make larger gradients than those in 0 … 1.
_RATE, _RATES = 0.1, {"tanh": 0.02}
_SMALL, _SMALL_QUICK, _LARGE, _LARGE_QUICK = 25, 10, 10, 1
_TOLD = ("estimator", "beta", "free", "nudged", "mode", "step_size", "through", "tolerance", "deviation")
_OF_METHOD: Mapping[str, tuple[str, ...]] = {
    "eqprop": tuple(name for name in _TOLD if name != "through"), "bp": (), "bptt": ("free", "mode", "through"),
}  # fmt: skip
_NAMES = {
    "eqprop": "equilibrium propagation",
    "bp": "backpropagation",
    "bptt": "backpropagation through the free phase",
}

NETWORK: Mapping[str, Parameter] = {
    "net": Parameter(default="", help="64-128-10, or 32c5-64c5-10 with 2x2 pooling after each convolution (32s3: "
                                      "padded); empty: one hidden layer of 128"),
    "data": Parameter(default="digits", help="digits, glyphs, or a folder with MNIST's or CIFAR's files"),
    "hidden": Parameter(default="hard-sigmoid", help="activation of hidden layers", choices=HIDDEN),
    "batch": Parameter(default=64, help="samples a step"),
    "epochs": Parameter(default=0, help="passes over the training set, 0: by the data, fewer with --quick"),
    "learning_rate": Parameter(default=0.0, help="of the first coupling, at the start, half of it for each one above; "
                                                 "0: by the activation"),
    "device": Parameter(default="cpu", help="where it runs", choices=("cpu", "cuda")),
    "threads": Parameter(default=1, help="torch's threads in a step"),
}  # fmt: skip
DTYPE = Parameter(default="float32", help="of states and products", choices=("float32", "bfloat16"))
TOLERANCE = "error bound r·q/(1−q) at which a sample's phase ends, 0: all sweeps"
PHASES: Mapping[str, Parameter] = {
    "mode": Parameter(default="async", help="even and odd layers in turn, all at once, or Euler steps", choices=_MODES),
    "step_size": Parameter(default=0.5, help="of Euler steps"),
    "free": Parameter(default=0, help="sweeps of the free phase, with a tolerance the most; 0: by the depth"),
}


def recipe(values: Mapping[str, Any], *, method: str, seed: int, quick: bool) -> "Recipe":
    """How a network of these parameters is trained; parameters that a workload lacks stand at their defaults.

    Raises:
        ValueError: the message says what would do.
    """
    from energybench.workloads.eqprop._recipe import Recipe, check

    chosen = {name: values[name] for name in ("data", "net", "hidden", "batch", "device")}
    extra = {name: values[name] for name in ("dtype", *_TOLD) if name in values}
    free, nudged = _SWEEPS[min(max(hidden_layers(values["net"]), 1), max(_SWEEPS))]
    extra |= {"free": values.get("free") or free, "nudged": values.get("nudged") or nudged}
    made = Recipe(
        **chosen, **extra, method=method, seed=seed,
        learning_rate=values["learning_rate"] or _RATES.get(values["hidden"], _RATE),
        epochs=values["epochs"] or _epochs(values["data"], quick=quick),
    )  # fmt: skip
    check(made)
    return made


def _epochs(name: str, *, quick: bool) -> int:
    small = name.partition(":")[0] == "digits"
    return (_SMALL_QUICK if quick else _SMALL) if small else (_LARGE_QUICK if quick else _LARGE)


def hidden_layers(net: str) -> int:
    """How many layers there are between input and output in a line such as `64-128-10`."""
    tokens = net.split("-")
    return 1 if not net else len(tokens) - (2 if tokens[0].isdecimal() else 1)


def described(trainer: "Trainer") -> Mapping[str, object]:
    """What a definition says of a network and how it was trained."""
    recipe = trainer.recipe
    told = asdict(recipe)
    common = ("epochs", "batch", "momentum", "gain", "seed", "dtype", "device")
    training = {"method": _NAMES[recipe.method], **{name: told[name] for name in (*_OF_METHOD[recipe.method], *common)}}
    return {
        "data": dict(trainer.dataset.described()),
        "network": architecture(trainer.network),
        "hidden": recipe.hidden,
        "output": recipe.output,
        "training": training | {"learning_rates": list(trainer.rates)},
    }


def architecture(network: "Network") -> str:
    """`64-128-10`, or `1×28×28-32c5-64c5-10`."""
    couplings = network.couplings
    inputs = "×".join(map(str, couplings[0].inputs))
    sizes = []
    for coupling in couplings:
        channels = coupling.outputs[0]
        if len(coupling.outputs) == 1:
            sizes.append(str(channels))
            continue
        side = coupling.weight.shape[-1]
        sizes.append(f"{channels}{'s' if getattr(coupling, 'padding', 0) else 'c'}{side}")
    return "-".join([inputs, *sizes])


def machine(values: Mapping[str, Any]) -> Mapping[str, object]:
    """What a definition says of where and by what the steps are run."""
    import torch

    device = values["device"]
    return {"isa": isa(device), "torch": torch.__version__, "device": device, "threads": values["threads"]}
