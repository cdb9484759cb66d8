"""Training from scratch to an accuracy: one meter window a pass, the accuracy found between the windows."""

import math
import numbers
from collections.abc import Callable
from typing import Any

from energybench import stepping
from energybench.extras import TaskError
from energybench.model import Domain, Learner, Task
from energybench.stepping import Bench

CRITERION = "first pass after which the held-out accuracy reaches the target"
ROUNDING = 1e-6
"""An accuracy is a count over a count, perhaps rounded to float32: 0.95 as 0.94999999 is 0.95."""

Told = Callable[[int, int, float | None], None]
"""Told before each pass: how many are done, how many there may be, and the accuracy after the last one."""


def check(name: str, task: Task) -> None:
    """Refuse a task that cannot be trained from its start."""
    if not callable(getattr(task, "learner", None)):
        raise TaskError(
            f"{name} cannot be trained to an accuracy: its task offers no learner(seed); "
            "run it without --energy-to-accuracy, or take a workload that trains, as bp-train or qnn-train"
        )


def train(name: str, task: Task, seed: int, bench: Bench, *, target: float, tell: Told) -> dict[str, Any]:
    """One training, to the target or to the end of its schedule, in plain values.

    Args:
        name: of the workload, for messages.
        task: what offers the learner, and steps of the same kind.
        seed: of the learner.
        bench: what measures.
        target: the held-out accuracy that ends it.
        tell: where the progress goes; never during a window.

    Returns:
        `seed`, `most_passes`, `elapsed_seconds`, and `windows`, each with its `training_pass` and `accuracy`.
    """
    begin = bench.clock()
    learner = make_learner(name, task, seed)
    windows: list[dict[str, Any]] = []
    accuracy: float | None = None
    while len(windows) < learner.passes and not reaches(accuracy, target):
        tell(len(windows), learner.passes, accuracy)
        values = stepping.measure_pass(task, learner, bench)
        values["samples"] = _counted(name, values["samples"])
        accuracy = _judged(name, learner)
        if windows:
            values["domains"] = _readable(values["domains"], bench)
        windows.append({**values, "training_pass": len(windows) + 1, "accuracy": accuracy})
    elapsed = (bench.clock() - begin) / 1e9
    return {"seed": seed, "most_passes": learner.passes, "elapsed_seconds": elapsed, "windows": windows}


def _readable(domains: dict[str, Any], bench: Bench) -> dict[str, Any]:
    """Without what nobody can read here: the first window says why, and a hundred more need not."""
    return {name: part for name, part in domains.items() if isinstance(bench.meter.domains.get(name), Domain)}


def make_learner(name: str, task: Task, seed: int) -> Learner:
    """The training from its start, checked."""
    learner: Learner = getattr(task, "learner")(seed)  # noqa: B009 -- optional: it is not in the protocol of a task
    passes = getattr(learner, "passes", None)
    if isinstance(passes, bool) or not isinstance(passes, int) or passes < 1:
        raise TaskError(f"{name}: its learner has passes={passes!r}; it is a whole number, 1 or more")
    return learner


def reaches(accuracy: float | None, target: float) -> bool:
    """Whether an accuracy is the target, or better; None is none."""
    return accuracy is not None and accuracy >= target - ROUNDING


def _counted(name: str, samples: object) -> int:
    if isinstance(samples, bool) or not isinstance(samples, numbers.Integral) or samples < 1:
        raise TaskError(f"{name}: learn() gave {samples!r}; it gives the number of samples of the pass, 1 or more")
    return int(samples)


def _judged(name: str, learner: Learner) -> float:
    given: Any = learner.accuracy()
    try:
        accuracy = math.nan if isinstance(given, str | bool) else float(given)
    except (TypeError, ValueError):
        accuracy = math.nan
    if not 0 <= accuracy <= 1:
        raise TaskError(f"{name}: accuracy() gave {given!r}; it gives a share from 0 to 1")
    return accuracy
