"""Energy in asv: the benchmark type `energy_*`, and `EnergySuite`, which measures once and serves every metric.

A suite's module imports from here; that registers the type, in any project, without a distribution of its own:

    from energybench.asv import EnergySuite

    class Sort(EnergySuite):
        params, param_names = [[10_000, 100_000]], ["n"]
        definition = 1

        def prepare(self, n): ...
        def step(self, n): ...

What is measured runs in asv's process. What measures is another one (`energybench.marking`, `energybench.instrument`).
"""

import abc
import hashlib
import json
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from asv_runner.benchmarks import benchmark_types
from asv_runner.benchmarks._base import Benchmark, _get_first_attr
from asv_runner.benchmarks.mark import SkipNotImplemented

from energybench import marking
from energybench.asv_points import checked, named, records_folder
from energybench.asv_runs import Prepared, of_all_seeds
from energybench.marking import Asked, Calls, MeasuringError, Work

__all__ = [
    "FULL",
    "PROTOCOL",
    "EnergyBenchmark",
    "EnergySuite",
    "MeasuringError",
    "SkipNotImplemented",
    "describe",
    "full",
]

PROTOCOL = 1
"""`energybench.settings.VERSION`, the measuring protocol's: raised when a measurement changes its meaning."""
FULL = "ENERGYBENCH_ASV_FULL"
"""Set to 1 for full sizes and windows; quick ones else."""
SIMULATE = "ENERGYBENCH_SIMULATE"
MARGIN = 0.05


def full() -> bool:
    """Whether full sizes are asked for."""
    return os.environ.get(FULL, "0") not in ("", "0")


class EnergyBenchmark(Benchmark):  # type: ignore[misc]  # asv_runner has no types
    """The type of `energy_*`: a function that returns samples, or returns nothing and is measured, in joules a call.

    Attributes of the function, its class or its module: `unit`, `higher_is_better`, `margin` (what a change must
    exceed to matter, as a share), `provenance`, `rounds`, and `version`, which is raised by hand when what is measured
    changes its meaning, 1 where there is none.
    """

    name_regex = re.compile("^(Energy[A-Z_].+)|(energy_.+)$")

    def __init__(self, name: str, func: Callable[..., object], attr_sources: list[object]) -> None:
        super().__init__(name, func, attr_sources)
        self.type = "energy"
        self.unit = str(_get_first_attr(attr_sources, "unit", "joules"))
        self.higher_is_better = bool(_get_first_attr([func], "higher_is_better", False))
        self.margin = float(_get_first_attr(attr_sources, "margin", MARGIN))
        self.exact = bool(_get_first_attr(attr_sources, "exact", self.margin == 0))
        if not self.exact and self.margin == 0:
            self.margin = MARGIN
        self.provenance = _provenance(str(_get_first_attr([func], "provenance", "counter")))
        self.version = self._version(attr_sources)
        self.version_alts = ()
        self._leave_suite_to_itself()
        self.rounds = int(_get_first_attr(attr_sources, "rounds", 1))
        if self.provenance == "simulated":
            # What a simulated machine said is never compared with what a counter said.
            self.version = f"{self.version}-simulated"

    def _version(self, attr_sources: list[object]) -> str:
        """That of a suite, or the protocol's and the function's own; asv's would be a hash of the code."""
        given = str(_get_first_attr(attr_sources, "version", 1))
        if isinstance(self._suite, EnergySuite):
            return given
        return f"{PROTOCOL}.{given}{'-full' if full() else ''}"

    @property
    def _suite(self) -> object:
        """The object whose method is measured; None for a function."""
        return getattr(self.func, "__self__", None)

    def _leave_suite_to_itself(self) -> None:
        """An `EnergySuite` is set up once a point, in its run; asv would do it before each metric."""
        if isinstance(self._suite, EnergySuite):
            own = [self._suite.setup, self._suite.teardown]
            for every in (self._setups, self._teardowns):
                every[:] = [one for one in every if one not in own]

    def run(self, *param: object) -> object:
        """Call the function; what asv stores: one number, or samples with their count.

        Raises:
            ValueError: it gave what would crash `asv publish`: a dict, words, nothing finite.
        """
        try:
            given = self.func(*param)
            given = self._joules_a_call(param) if given is None else given
        except MeasuringError:
            # Where in the work it failed has been shown; where asv stood says nothing, once for each metric.
            sys.tracebacklimit = 0
            raise
        every = given if isinstance(given, list | tuple) else [given]
        samples = [checked(self.name, one, self.unit) for one in every]
        if not samples:
            raise ValueError(f"{self.name} gave no sample; return a number, or a list of them")
        return samples[0] if len(samples) == 1 else {"samples": samples, "number": 1}

    def _joules_a_call(self, param: Sequence[object]) -> list[float]:
        """Measure the function, which has just been called once, by calling it again and again."""
        asked = Asked(
            workload={"name": self.name.replace("_", "-"), "version": 1},
            parameters=named(self.param_names, param[len(param) - len(self.param_names) :], self._params),
            quick=not full(),
            settings={},
            records=records_folder(self.func),
        )
        told = marking.measure(Calls(lambda: self.func(*param), self.version), asked)
        if "joules_per_sample" not in told.metrics:
            raise SkipNotImplemented("no energy counter can be read here; energybench doctor tells what is missing")
        return told.metrics["joules_per_sample"]


class EnergySuite(abc.ABC):
    """Joules, bytes, seconds and accuracy of one piece of work, from one measured run a parameter point.

    A subclass has `params`, `param_names`, `definition` and the methods below. `samples` is how many samples a step
    handles. `settings` go to the protocol (`windows`, `window_seconds`, `idle_seconds`, `align` …).

    Attributes:
        judged: over how many samples an accuracy is, a number or a method of the parameters: two accuracies of one seed
            each can only be told apart where it is known.
        seed: of the random numbers of a run; `prepare` reads it.
        seeds: where there are several, a point is run once with each as its `seed`.
        exact: False where what is counted depends on the data, as sweeps to a tolerance do.
        definition: raised by hand when what is measured changes its meaning; results of another one are then not
            comparable. Code is no part of it: a slower kernel is a regression, not another measurement.
    """

    params: Sequence[Any] = ()
    param_names: Sequence[str] = ()
    definition: int = 1
    samples: int = 1
    judged: Any = None
    seed: int = 0
    seeds: Sequence[int] = ()
    timeout: float = 3600
    settings: ClassVar[Mapping[str, Any]] = {}

    def __init_subclass__(cls, **words: Any) -> None:
        super().__init_subclass__(**words)
        if "setup_cache" in vars(cls):
            raise TypeError(
                f"{cls.__qualname__} has a setup_cache, which an EnergySuite needs for itself; "
                "load what is measured in prepare, which runs once a point"
            )

    def setup(self, *params: Any) -> None:  # noqa: B027 -- there may be nothing to set up
        """As asv's, before `prepare` and once a point; NotImplementedError skips the point."""

    def teardown(self, *params: Any) -> None:  # noqa: B027 -- there may be nothing to take down
        """As asv's, after everything."""

    def prepare(self, *params: Any) -> None:  # noqa: B027 -- there may be nothing to prepare
        """Load, compile, train: what is not measured."""

    @abc.abstractmethod
    def step(self, *params: Any) -> None:
        """One unit of work, finished when it returns; this is measured."""

    def evaluate(self, *params: Any) -> Mapping[str, float]:  # noqa: ARG002 -- for who overrides it
        """Quality, after the windows: `{"accuracy": 0.97}`. Override it where there is one."""
        return {}

    @property
    def name(self) -> str:
        """The workload's name in records: that of the class in asv, `module.Class`."""
        module = ".".join(type(self).__module__.split(".")[1:])
        return ".".join(filter(None, (module, type(self).__qualname__)))

    @property
    def version(self) -> str:
        """What asv compares: the protocol's version and the definition's; full sizes are another measurement."""
        return f"{PROTOCOL}.{self.definition}{'-full' if full() else ''}"

    def setup_cache(self) -> str:
        """Nothing but one folder for all metrics of a commit, which asv gives to who has a cache."""
        return "energybench"

    def work(self, params: Sequence[Any]) -> Work:
        """What the instrument may ask for, prepared; a subclass that has a task of its own gives that."""
        self.setup(*params)
        try:
            self.prepare(*params)
            return Prepared(self, params)
        except BaseException:
            self.teardown(*params)
            raise

    def metric(self, name: str, params: Sequence[Any]) -> list[float]:
        """The samples of one metric of a parameter point, measured when the first metric is asked for.

        Raises:
            MeasuringError: the run failed; every metric of the point says so.
            SkipNotImplemented: there is none of it here, as joules where no counter is.
        """
        told = self.measured(params)
        if "error" in told:
            raise MeasuringError(told["error"])
        if "skip" in told:
            raise SkipNotImplemented(told["skip"])
        if name not in told["metrics"]:
            raise SkipNotImplemented(f"{name} was not measured")
        return list(told["metrics"][name])

    def measured(self, params: Sequence[Any]) -> dict[str, Any]:
        """What the run of a point said, or one for each of its seeds: `metrics`, and the `record` of the last.

        Or why there is an `error` or a `skip`.

        It is kept in the current folder, which the metrics of a suite share: a failure is not tried again.
        """
        point = [type(self).__module__, type(self).__qualname__, repr(self.named(params)), self.version]
        kept = Path(f"energybench-{hashlib.sha256(repr(point).encode()).hexdigest()[:16]}.json")
        values: dict[str, Any]
        if kept.exists():
            values = json.loads(kept.read_text(encoding="utf-8"))
            return values
        try:
            told = [self._run(params, seed) for seed in self.seeds or (self.seed,)]
        except (SkipNotImplemented, NotImplementedError) as reason:
            values = {"skip": str(reason)}
        except MeasuringError as error:
            values = {"error": str(error)}
        except Exception as error:
            values = {"error": f"{type(error).__name__}: {error}"}
        else:
            values = {"metrics": of_all_seeds(told), "record": told[-1].record}
        part = kept.with_suffix(".part")
        part.write_text(json.dumps(values), encoding="utf-8")
        part.replace(kept)
        return values

    def _run(self, params: Sequence[Any], seed: int) -> marking.Told:
        self.seed = seed
        return marking.measure(lambda: self.work(params), self._asked(params))

    def _asked(self, params: Sequence[Any]) -> Asked:
        return Asked(
            workload={"name": self.name, "version": self.definition},
            parameters=self.named(params),
            seed=self.seed,
            quick=not full(),
            settings=dict(self.settings),
            records=records_folder(type(self)),
        )

    def named(self, params: Sequence[Any]) -> dict[str, Any]:
        """Parameters by their names, in plain values, as records have them."""
        return named(self.param_names, params, self.params)

    def energy_joules_per_sample(self, _cache: str, *params: Any) -> list[float]:
        """Joules of all measured domains; skipped where nothing can be read."""
        return self.metric("joules_per_sample", params)

    def energy_modelled_joules_per_sample(self, _cache: str, *params: Any) -> list[float]:
        """Joules by counted operations and bytes times an energy table; skipped where nothing was counted."""
        return self.metric("modelled_joules_per_sample", params)

    def energy_operand_bytes_per_sample(self, _cache: str, *params: Any) -> list[float]:
        """Bytes that operators say they move."""
        return self.metric("operand_bytes_per_sample", params)

    def energy_dram_bytes_per_sample(self, _cache: str, *params: Any) -> list[float]:
        """Bytes that a memory controller counted; skipped where none can be read."""
        return self.metric("dram_bytes_per_sample", params)

    def energy_seconds_per_sample(self, _cache: str, *params: Any) -> list[float]:
        """Seconds, rests between steps left out."""
        return self.metric("seconds_per_sample", params)

    def energy_accuracy(self, _cache: str, *params: Any) -> list[float]:
        """The share of held-out samples that are right; skipped where nothing is judged."""
        return self.metric("accuracy", params)


def _provenance(kind: str) -> str:
    """Where a metric's numbers come from; what a counter says is simulated where the machine is."""
    if kind != "counter":
        return kind
    return "simulated" if os.environ.get(SIMULATE) else "measured"


def describe(
    suite: type,
    metric: str,
    unit: str,
    provenance: str,
    *,
    margin: float = 0.0,
    higher_is_better: bool = False,
) -> None:
    """Give the function `energy_<metric>` of a suite what asv's index of benchmarks is to tell of it.

    Args:
        suite: the class that has the function.
        metric: its name without `energy_`.
        unit: of its samples: joules, and as asv knows them, seconds and bytes; it gives those prefixes.
        provenance: measured, modelled, or `counter` for what is measured or, on a simulated machine, simulated.
        margin: what a change must exceed to matter; 0 where the numbers are exact.
        higher_is_better: which way is up.
    """
    told = {"unit": unit, "provenance": provenance, "margin": margin, "higher_is_better": higher_is_better}
    vars(vars(suite)[f"energy_{metric}"]).update(told)


describe(EnergySuite, "joules_per_sample", "joules", "counter", margin=0.05)
describe(EnergySuite, "modelled_joules_per_sample", "joules", "modelled")
describe(EnergySuite, "operand_bytes_per_sample", "bytes", "modelled")
describe(EnergySuite, "dram_bytes_per_sample", "bytes", "counter", margin=0.05)
describe(EnergySuite, "seconds_per_sample", "seconds", "measured", margin=0.10)
describe(EnergySuite, "accuracy", "1", "measured", margin=0.01, higher_is_better=True)

if not any(one.__name__ == EnergyBenchmark.__name__ for one in benchmark_types):
    benchmark_types.append(EnergyBenchmark)
