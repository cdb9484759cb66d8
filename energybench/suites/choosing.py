"""Which benchmarks and combinations of a suite are measured, and in which order."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from energybench.gating.asv_rows import plain
from energybench.settings import Value
from energybench.suites.place import SuiteError
from energybench.suites.served import Benchmark


@dataclass(frozen=True, slots=True, kw_only=True)
class Combination:
    """A benchmark at one combination of its parameters, by its place in `itertools.product`."""

    benchmark: Benchmark
    index: int

    @property
    def values(self) -> list[str]:
        """The parameters as asv writes them."""
        left, found = self.index, []
        for one in reversed(self.benchmark.params):
            left, place = divmod(left, len(one))
            found.append(one[place])
        return found[::-1]

    @property
    def parameters(self) -> dict[str, Value]:
        """The parameters by name; what is no number, text or truth value as asv writes it."""
        return {name: _kept(text) for name, text in zip(_apart(self.benchmark.param_names), self.values, strict=True)}

    @property
    def label(self) -> str:
        """`Sort.time_sort(10, 'heap')`, as asv says it."""
        return f"{self.benchmark.name}({', '.join(self.values)})" if self.benchmark.params else self.benchmark.name


def count(benchmark: Benchmark) -> int:
    """How many combinations of its parameters a benchmark has."""
    return math.prod(len(one) for one in benchmark.params)


def choose(
    benchmarks: Sequence[Benchmark], *, bench: str | None = None, max_params: int | None = None
) -> list[Combination]:
    """What is measured: the first combination of every benchmark, then the second of every one.

    So a budget that ends early has seen as many benchmarks as it can.

    Args:
        benchmarks: all that there are.
        bench: a regular expression that is looked for in the label of a combination, as asv does it.
        max_params: how many combinations of a benchmark at most, spread over all of them.

    Raises:
        SuiteError: `bench` is no regular expression.
    """
    try:
        wanted = re.compile(bench or "")
    except re.error as error:
        raise SuiteError(
            f"--bench {bench!r} is no regular expression ({error}); quote what is meant as it is"
        ) from error
    ranked = []
    for benchmark in benchmarks:
        every = [Combination(benchmark=benchmark, index=index) for index in range(count(benchmark))]
        matching = [one for one in every if wanted.search(one.label)]
        ranked += list(enumerate(spread(matching, max_params)))
    ranked.sort(key=lambda one: (one[0], one[1].benchmark.name))
    return [one for _, one in ranked]


def spread(every: Sequence[Combination], most: int | None) -> list[Combination]:
    """At most so many, at even distances from the first to the last."""
    if most is None or len(every) <= most:
        return list(every)
    if most == 1:
        return [every[0]]
    return [every[round(place * (len(every) - 1) / (most - 1))] for place in range(most)]


def _apart(names: Sequence[str]) -> list[str]:
    """Names of parameters, each once: `a` and `a_2` where a suite calls two of them `a`."""
    found: list[str] = []
    for name in names:
        number, told = 1, name
        while told in found or (told != name and told in names):
            number, told = number + 1, f"{name}_{number + 1}"
        found.append(told)
    return found


def _kept(text: str) -> Value:
    """A parameter as a record can have it: nothing that JSON has no number for."""
    value = plain(text)
    if isinstance(value, str | bool) or abs(value) < 1e300:
        return value
    return text
