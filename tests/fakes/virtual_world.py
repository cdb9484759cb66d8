"""A virtual machine of known energy under the protocol: clock, CPU time, meter, store, tasks that count steps."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from energybench.meter import Meter
from energybench.model import Parameter, Probe, Unavailable
from energybench.probes.simulated import Machine, Simulated
from energybench.protocol import Outcome, Progress, Settings, run
from energybench.quiet import Quiet
from energybench.record import Record
from energybench.store import Store

MACHINE = {"id": "virtual", "name": "virtual"}
SHORT = Settings(windows=4, window_seconds=2.0, idle_seconds=4.0, warmup_seconds=4.0)


@dataclass(frozen=True)
class Counted:
    read_bytes: int = 600
    written_bytes: int = 400
    operand_bytes: int = 1000
    flops: int = 500
    operations: Mapping[str, int] = field(default_factory=lambda: {"fp32.mul": 250, "fp32.add": 250})
    calls: Mapping[str, int] = field(default_factory=lambda: {"aten.mm": 1})
    unmapped: Mapping[str, int] = field(default_factory=lambda: {"aten.odd": 2})


@dataclass(frozen=True)
class Priced:
    table: str
    joules: float = 2e-6
    arithmetic_joules: float = 5e-7
    memory_joules: float = 1.5e-6
    low: float = 1e-6
    high: float = 3e-6
    unpriced: Mapping[str, int] = field(default_factory=dict)


class Counter:
    """An operator counter that always counts the same, and how often it was asked."""

    def __init__(self) -> None:
        self.calls = 0

    def typical(self, work: Callable[[], object]) -> Any:
        return self.count(work)

    def count(self, work: Callable[[], object]) -> Any:
        self.calls += 1
        work()
        return Counted()

    def energy(self, counts: Any, priced_by: Any) -> Any:
        return Priced(table=priced_by)


@dataclass
class World:
    """A clock, the CPU seconds that tasks used, a meter, a store, and what tasks were asked to do, in order."""

    clock: Any
    store: Store
    cpu_seconds: float = 0.0
    calls: list[str] = field(default_factory=list)
    told: list[Progress] = field(default_factory=list)
    counter: Counter = field(default_factory=Counter)
    probes: dict[str, Probe | Unavailable] = field(default_factory=dict)

    def meter(self) -> Meter:
        return Meter(self.probes, clock=self.clock, poll=False)

    def points(self, *bits: int, **options: Any) -> "list[OnePoint]":
        return [OnePoint(Work(self, options), {"bits": b}) for b in bits]

    def run(self, points: "list[OnePoint]", settings: Settings = SHORT, **changes: Any) -> Outcome:
        arguments: dict[str, Any] = {
            "meter": self.meter(),
            "store": self.store,
            "settings": settings,
            "clock": self.clock,
            "sleep": self.clock.sleep,
            "machine": MACHINE,
            "quietness": Quiet(quiet=True, reasons=()),
            "progress": self.told.append,
            "counting": self.counter,
        }
        return run(points, **{**arguments, **changes})

    def measure(self, point: "OnePoint", settings: Settings = SHORT, **changes: Any) -> Record:
        """The record of one point."""
        outcome = self.run([point], settings, **changes)
        assert outcome.failures == []
        (record,) = outcome.records
        return record


@dataclass
class Task:
    """A step takes `seconds`, of which `busy` are CPU time, and handles 10 samples."""

    world: World
    name: str
    seconds: float = 0.05
    busy: float = 1.0
    samples: int = 10
    file_bytes: int | None = 4096
    definition: Mapping[str, object] = field(default_factory=lambda: {"task": "digits"})
    fails_at: int | None = None
    steps: int = 0

    def step(self) -> None:
        self.steps += 1
        if self.steps == self.fails_at:
            raise RuntimeError("out of memory")
        self.world.calls.append(self.name)
        self.world.clock.advance(self.seconds)
        self.world.cpu_seconds += self.busy * self.seconds

    def evaluate(self) -> Mapping[str, float]:
        self.world.calls.append(f"{self.name}:evaluate")
        return {"accuracy": 0.9, "test_loss": 0.3}

    def close(self) -> None:
        self.world.calls.append(f"{self.name}:close")


@dataclass
class Learner:
    """A pass takes as long as ten steps; judging it takes a second of CPU time; accuracies are known beforehand."""

    task: "Trainable"
    accuracies: Sequence[float]
    passes: int
    done: int = 0

    def learn(self) -> int:
        self.done += 1
        self.task.world.calls.append(f"{self.task.name}:pass")
        self.task.world.clock.advance(10 * self.task.seconds)
        self.task.world.cpu_seconds += 10 * self.task.seconds
        return 10 * self.task.samples

    def accuracy(self) -> float:
        self.task.world.clock.advance(1.0)
        self.task.world.cpu_seconds += 1.0
        return self.accuracies[self.done - 1]


@dataclass
class Trainable(Task):
    """A task whose learner with seed s has the accuracies of `learns[s]`, pass by pass."""

    learns: Mapping[int, Sequence[float]] = field(default_factory=dict)

    def learner(self, seed: int) -> Learner:
        self.world.calls.append(f"{self.name}:learner {seed}")
        return Learner(self, self.learns[seed], max(map(len, self.learns.values())))


@dataclass
class Work:
    world: World
    options: Mapping[str, Any]
    name: str = "work"
    version: int = 1
    summary: str = "a step of known energy"
    parameters: Mapping[str, Parameter] = field(default_factory=lambda: {"bits": Parameter(default=8, help="width")})

    def prepare(self, parameters: Mapping[str, Any], *, seed: int, quick: bool) -> Task:
        if parameters["bits"] == 99:
            raise ValueError("bits=99 will not do")
        kind = Trainable if "learns" in self.options else Task
        return kind(self.world, f"b{parameters['bits']}", **self.options)


@dataclass(frozen=True)
class OnePoint:
    workload: Any
    parameters: Mapping[str, Any]


@pytest.fixture
def world(fake_clock: Any, tmp_path: Path) -> World:
    world = World(clock=fake_clock, store=Store("virtual", root=tmp_path / "r", fallback=tmp_path / "kept"))
    # Steps of whole milliseconds must not be locked to the counter: Intel's 0.976 ms is not either.
    machine = Machine(packages=1, dram_share=0.0, idle_watts=20.0, busy_watts=30.0, tick=0.000976)
    world.probes["simulated"] = Simulated(machine, clock=fake_clock, cpu=lambda: world.cpu_seconds)
    return world
