"""One run of an `EnergySuite`'s point: its work, as the instrument asks for it, and what several runs say together."""

import numbers
import operator
import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from energybench.asv_points import share
from energybench.marking import Told

if TYPE_CHECKING:
    from energybench.asv import EnergySuite

COUNTED = ("modelled_joules_per_sample", "operand_bytes_per_sample")
"""Metrics that are one exact number, and no samples."""


class Prepared:
    """A suite's work at one parameter point."""

    file_bytes: int | None = None

    def __init__(self, suite: "EnergySuite", params: Sequence[Any]) -> None:
        self._suite, self._params, self.samples = suite, tuple(params), suite.samples
        self.judged = _judged(suite, params)
        kind = type(suite)
        self.definition: Mapping[str, object] = {
            "task": f"{kind.__module__}.{kind.__qualname__}",
            "definition": suite.definition,
            "parameters": suite.named(params),
            "samples": suite.samples,
        }

    def step(self) -> None:
        """The suite's."""
        self._suite.step(*self._params)

    def evaluate(self) -> Mapping[str, float]:
        """The suite's, numpy's numbers as plain ones; an accuracy that is no share is refused."""
        quality = {name: _plain(value) for name, value in self._suite.evaluate(*self._params).items()}
        if "accuracy" in quality:
            share("accuracy", quality["accuracy"])
        return quality

    def close(self) -> None:
        """Take down what was set up."""
        self._suite.teardown(*self._params)


def _plain(value: Any) -> Any:
    return float(value) if isinstance(value, numbers.Real) and not isinstance(value, bool) else value


def _judged(suite: "EnergySuite", params: Sequence[Any]) -> int | None:
    """Over how many samples the accuracy of a point is."""
    told = suite.judged(*params) if callable(suite.judged) else suite.judged
    if told is None:
        return None
    if (count := operator.index(told)) < 1:
        raise ValueError(f"judged is {count}; give how many samples accuracy is over, or leave it out")
    return count


def of_all_seeds(runs: Sequence[Told]) -> dict[str, list[float]]:
    """The samples of each metric that every run has, one seed after the other; of what is counted the mean."""
    shared = [name for name in runs[0].metrics if all(name in one.metrics for one in runs)]
    found = {name: [value for one in runs for value in one.metrics[name]] for name in shared}
    return {name: [statistics.fmean(values)] if name in COUNTED else values for name, values in found.items()}
