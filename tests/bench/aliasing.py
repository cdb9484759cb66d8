"""How wrong a sensor that looks at 25 of every 100 ms reads a period-locked load: naively, by the protocol.

A virtual clock and a virtual GPU: the load alternates between high and low power with a period of 100 or
50 ms, the counter adds at each tick what the last 25 ms showed. Steps jitter by 0.01 %, sleep oversleeps by
80 us, the tick is known to 0.3 %, and power falls to idle only by and by.

Run it: `python tests/bench/aliasing.py [RUNS]`.
"""

import json
import math
import random
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from energybench.meter import Meter
from energybench.model import Domain, Parameter, Reading, Unavailable
from energybench.protocol import Settings, run
from energybench.quiet import Quiet
from energybench.store import Store

TICK, SEEN = 0.1, 0.25
AFTERGLOW_SECONDS = 0.1
RUN_SECONDS = 60.0
# Every window is synced to disk; these runs are virtual and need not wait for one.
MEMORY = Path("/dev/shm")


class VirtualClock:
    """Nanoseconds that pass when somebody sleeps."""

    def __init__(self, start: float, rng: random.Random) -> None:
        self.ns, self._rng = round(start * 1e9), rng

    def __call__(self) -> int:
        return self.ns

    def sleep(self, seconds: float) -> None:
        """Let time pass, exactly."""
        self.ns += max(round(seconds * 1e9), 0)

    def oversleep(self, seconds: float) -> None:
        """Let time pass as the kernel does."""
        self.sleep(seconds + self._rng.expovariate(1 / 80e-6))


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """A step: `seconds` long, high for `duty` of each `period` in it, from `phase` of a period on."""

    high: float
    low: float
    seconds: float
    period: float
    phase: float
    duty: float = 0.5
    jitter: float = 0.0

    @property
    def joules(self) -> float:
        """What a step of nominal length really uses."""
        return (self.low + self.duty * (self.high - self.low)) * self.seconds


class VirtualGpu:
    """A GPU and its energy counter: power is piecewise constant, seen for the last quarter of each tick."""

    name = "virtual"

    def __init__(self, clock: VirtualClock, idle_watts: float, *, tick: float, afterglow: float) -> None:
        self.clock, self.idle_watts, self._afterglow = clock, idle_watts, afterglow
        self.domains: Mapping[str, Domain | Unavailable] = {"gpu.0": _domain(tick)}
        self._times = [clock.ns / 1e9]
        self._joules = [0.0]
        self._counted_tick = math.floor(self._times[0] / TICK)
        self._seen_joules = 0.0

    @property
    def true_joules(self) -> float:
        """What was used so far."""
        rested = self.clock.ns / 1e9 - self._times[-1]
        self.draw(self.idle_watts + self._afterglow, min(rested, AFTERGLOW_SECONDS))
        self.draw(self.idle_watts, rested - AFTERGLOW_SECONDS)
        return self._joules[-1]

    def draw(self, watts: float, seconds: float) -> None:
        """Power since the last time that anybody told; the clock is moved by others."""
        if seconds > 0:
            self._times.append(self._times[-1] + seconds)
            self._joules.append(self._joules[-1] + watts * seconds)

    def read(self) -> Sequence[Reading]:
        """The counter at its last tick."""
        now = self.clock.ns / 1e9
        assert self.true_joules >= 0
        newest = math.floor(now / TICK)
        if newest > self._counted_tick:
            ticks = np.arange(self._counted_tick + 1, newest + 1) * TICK
            ends = np.interp(ticks, self._times, self._joules)
            begins = np.interp(ticks - SEEN * TICK, self._times, self._joules)
            self._seen_joules += float(np.sum(ends - begins)) / SEEN
            self._counted_tick = newest
            recent = max(0, len(self._times) - 50)
            self._times, self._joules = self._times[recent:], self._joules[recent:]
        return [(self.clock.ns, round(self._seen_joules * 1e3))]

    def close(self) -> None:
        """Nothing is held."""


class PeriodicTask:
    """Steps of a load; what is between steps is idle."""

    samples = 1
    file_bytes = None

    def __init__(self, load: Load, gpu: VirtualGpu, rng: random.Random, *, gaps: bool = True) -> None:
        self.load, self.gpu, self.rng, self.gaps = load, gpu, rng, gaps
        self.definition: Mapping[str, object] = {"period": load.period}

    def step(self) -> None:
        """One step: high and low by turns."""
        load = self.load
        assert self.gpu.true_joules >= 0
        stretch = 1 + self.rng.gauss(0, load.jitter) if load.jitter else 1.0
        at, end = load.phase * load.period, load.seconds + load.phase * load.period
        while at < end - 1e-12:
            turn = math.floor(at / load.period + 1e-9)
            edge = (turn + load.duty) * load.period
            high = at < edge - 1e-12
            until = min(edge if high else (turn + 1) * load.period, end)
            self.gpu.draw(load.high if high else load.low, (until - at) * stretch)
            at = until
        self.gpu.clock.sleep(load.seconds * stretch)

    def evaluate(self) -> Mapping[str, float]:
        """No quality."""
        return {}

    def close(self) -> None:
        """Nothing is held."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodicWorkload:
    """A workload around one task."""

    task: PeriodicTask
    name: str = "periodic"
    version: int = 1
    summary: str = "a periodic load"

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """None."""
        return {}

    def prepare(self, parameters: Mapping[str, Any], *, seed: int, quick: bool) -> PeriodicTask:
        """The task."""
        return self.task


@dataclass(frozen=True, slots=True, kw_only=True)
class OnePoint:
    """What the protocol runs."""

    workload: PeriodicWorkload
    parameters: Mapping[str, Any]


def world(
    seed: int, *, period: float, step_seconds: float | None = None, jitter: float = 1e-4, gaps: bool = True
) -> tuple[VirtualClock, VirtualGpu, PeriodicTask]:
    """A GPU and a load whose powers and phase are drawn by lot."""
    rng = random.Random(seed)
    clock = VirtualClock(100 + rng.random(), rng)
    gpu = VirtualGpu(
        clock, idle_watts=rng.uniform(50, 75), tick=TICK * rng.gauss(1, 0.003), afterglow=rng.uniform(0, 20)
    )
    load = Load(
        high=rng.uniform(250, 400),
        low=rng.uniform(70, 110),
        seconds=step_seconds or period,
        period=period,
        phase=rng.random(),
        jitter=jitter,
    )
    return clock, gpu, PeriodicTask(load, gpu, rng, gaps=gaps)


def naive_error(seed: int, *, period: float) -> float:
    """The relative error of one long window around steps that follow each other."""
    clock, gpu, task = world(seed, period=period)
    meter = Meter({"virtual": gpu}, clock=clock, poll=False)
    steps = int(RUN_SECONDS / task.load.seconds)
    task.step()
    with meter.window() as window:
        for _ in range(steps):
            task.step()
    assert window.total is not None
    return window.total.joules / (steps * task.load.joules) - 1


def protocol_run(folder: Path, seed: int, **kind: Any) -> tuple[float, dict[str, Any], float]:
    """The relative error of the protocol's joules a sample, the record, and the virtual seconds it took."""
    clock, gpu, task = world(seed, **kind)
    begin = clock.ns
    outcome = run(
        [OnePoint(workload=PeriodicWorkload(task=task), parameters={})],
        meter=Meter({"virtual": gpu}, clock=clock, poll=False),
        store=Store("virtual", root=folder),
        settings=Settings(windows=4, window_seconds=11.0, idle_seconds=3.0, warmup_seconds=2.0, seed=seed),
        clock=clock,
        sleep=clock.oversleep,
        machine={"id": "virtual", "name": "virtual"},
        quietness=Quiet(quiet=True, reasons=()),
    )
    if outcome.failures:
        raise outcome.failures[0].error
    record = outcome.records[0].to_json()
    error = record["results"]["joules_per_sample"]["value"] / task.load.joules - 1
    return error, record, (clock.ns - begin) / 1e9


def percentile(values: Sequence[float], share: float) -> float:
    """The value that this share of the absolute values stays below."""
    return float(np.quantile(np.abs(values), share))


def survey(runs: int, *, say: Callable[[str], object] = print) -> dict[str, dict[str, float]]:
    """Errors of both ways over so many runs, for a load of 100 and of 50 ms."""
    table = {}
    for period in (0.1, 0.05):
        naive = [naive_error(seed, period=period) for seed in range(runs)]
        with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
            found = [protocol_run(Path(folder), seed, period=period) for seed in range(runs)]
        errors = [error for error, _, _ in found]
        inside = [abs(e) * r["results"]["joules_per_sample"]["value"] <= _half(r) for e, r, _ in found]
        row = {
            "naive_median": percentile(naive, 0.5),
            "naive_p95": percentile(naive, 0.95),
            "protocol_median": percentile(errors, 0.5),
            "protocol_p95": percentile(errors, 0.95),
            "interval_contains_truth": sum(inside) / runs,
            "longest_run_seconds": max(seconds for _, _, seconds in found),
        }
        table[f"{period * 1e3:.0f} ms"] = row
        say(f"{period * 1e3:.0f} ms: " + ", ".join(f"{name} {value:.4g}" for name, value in row.items()))
    return table


def _half(record: Mapping[str, Any]) -> float:
    metric = record["results"]["joules_per_sample"]
    return float(metric["high"] - metric["low"]) / 2


def _domain(tick: float) -> Domain:
    return Domain(
        name="gpu.0",
        probe="virtual",
        scale=1e-3,
        resolution=1e-3,
        tick=tick,
        seen=SEEN,
        max_rate=1000.0,
        scope="gpu-board",
    )


if __name__ == "__main__":
    print(json.dumps(survey(int(sys.argv[1]) if len(sys.argv) > 1 else 200, say=lambda _: None), indent=1))
