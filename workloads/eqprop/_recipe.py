"""How a network is trained, as a value; what cannot be is refused before anything runs."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from energybench.workloads.eqprop._deviation import Kind
    from energybench.workloads.eqprop.estimators import Estimator
    from energybench.workloads.eqprop.relaxation import Mode

METHODS = ("eqprop", "bp", "bptt")
DTYPES = ("float32", "bfloat16", "int8")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A training. The defaults are eqprop's on `digits`.

    Attributes:
        data: name or directory of the data set.
        net: `64-128-10`, `32c5-64c5-10`; empty: one hidden layer of 128.
        hidden: activation of the hidden layers; `relu` with backpropagation only.
        output: activation of the output.
        method: `eqprop`, `bp` (feed-forward) or `bptt` (through the free phase).
        estimator: `centered`, `one-sided` or `random-sign`.
        beta: strength of the nudge.
        free: sweeps of the free phase, with a tolerance the most.
        nudged: sweeps of a nudged phase, likewise.
        mode: of the relaxation.
        step_size: of Euler steps.
        through: sweeps that `bptt` differentiates, the last ones; 0 is all.
        tolerance: at which a sample's phase ends, by its error bound; 0: all sweeps.
        deviation: nudged phases in deviations from the free states.
        dtype: of states and products; with `deviation`, of the nudged phases' alone.
        gain: times Glorot's range of the first weights; None: ½, and on maps as `_starts` has it.
        epochs: passes over the training set.
        batch: samples of a minibatch.
        learning_rate: of the first coupling, at the start; those above follow by `_starts.rates`.
        learning_rates: of each coupling instead, from the input up; the last one holds for all above it.
        momentum: of SGD.
        seed: of the data's split, the first weights, the order of the samples and random signs.
        device: `cpu` or `cuda`.
    """

    data: str = "digits"
    net: str = ""
    hidden: str = "hard-sigmoid"
    output: str = "linear"
    method: str = "eqprop"
    estimator: "Estimator" = "centered"
    beta: float = 0.1
    free: int = 12
    nudged: int = 8
    mode: "Mode" = "async"
    step_size: float = 0.5
    through: int = 0
    tolerance: float = 0.0
    deviation: bool = False
    dtype: "Kind" = "float32"
    gain: float | None = None
    epochs: int = 25
    batch: int = 64
    learning_rate: float = 0.1
    learning_rates: tuple[float, ...] = ()
    momentum: float = 0.9
    seed: int = 0
    device: str = "cpu"


def check(recipe: Recipe) -> None:
    """Refuse a recipe that fits no network.

    Raises:
        ValueError: the message says what would do.
    """
    _check_counts(recipe)
    _check_method(recipe)
    _check_numbers(recipe)


def _check_counts(recipe: Recipe) -> None:
    for name in ("free", "nudged", "epochs", "batch"):
        if getattr(recipe, name) < 1:
            raise ValueError(f"{name}={getattr(recipe, name)} does not fit: it is 1 or more")
    for rate in (recipe.learning_rate, *recipe.learning_rates):
        if not 0 < rate < math.inf:
            raise ValueError(f"learning_rate={rate:g} does not fit: it is above 0")
    if not 0 <= recipe.momentum < 1:
        raise ValueError(f"momentum={recipe.momentum} does not fit: it is 0 or more and below 1")
    if not 0 <= recipe.tolerance < float("inf"):
        raise ValueError(f"tolerance={recipe.tolerance:g} does not fit: it is above 0, or 0 for all sweeps")


def _check_method(recipe: Recipe) -> None:
    from energybench.workloads.eqprop import estimators

    if recipe.method not in METHODS:
        raise ValueError(f"there is no method {recipe.method!r}: there are {', '.join(METHODS)}")
    if recipe.hidden == "relu" and recipe.method != "bp":
        raise ValueError("hidden=relu settles nowhere: its states have no upper end; take hard-sigmoid, or bp-train")
    if recipe.method == "eqprop":
        estimators.check(recipe.estimator, recipe.beta)


def _check_numbers(recipe: Recipe) -> None:
    if recipe.dtype not in DTYPES:
        raise ValueError(f"dtype={recipe.dtype} is not offered: choose from {', '.join(DTYPES)}")
    if recipe.deviation and recipe.method != "eqprop":
        raise ValueError(f"deviation=true does not fit {recipe.method}: only eqprop has nudged phases")
    if recipe.dtype == "int8" and not recipe.deviation:
        raise ValueError("dtype=int8 is too coarse for states: ask for their deviations too, deviation=true")
