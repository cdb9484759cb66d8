"""Running a task's steps: warm-up to a steady state, one measured window, the machine at rest."""

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

from energybench.dephase import Sensor
from energybench.distributed import readers
from energybench.distributed.readers import Windowed
from energybench.measurement import Measurement
from energybench.meter import Meter
from energybench.model import Clock, Domain, Energy, Learner, Task, Unavailable
from energybench.quiet import devices, slowdowns, slowed_seconds

T = TypeVar("T")

STEADY = 0.02
STEADY_BLOCKS = 3
COOL_SECONDS = 10.0
COOL_KELVIN = 0.5
GOLDEN = (math.sqrt(5) - 1) / 2
# Between two looks of a meter that waits for a tick: what is left of an aligned window's edge.
POLL_GAP = 0.001


@runtime_checkable
class Elsewhere(Protocol):
    """A task whose steps run in another process: it takes many at a request, lest each one waits for an answer."""

    def run_steps(self, count: int, gap: float) -> float:
        """So many steps with a rest after each; the seconds rested."""
        ...

    def block(self, seconds: float, *, least: int, longest: float) -> list[float]:
        """Seconds of each step, of at least so many, for as long as this lasts but not for `longest`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What steps are measured with."""

    meter: Meter
    clock: Clock = time.perf_counter_ns
    sleep: Callable[[float], None] = time.sleep
    align: bool = False
    trace_hz: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Warm:
    """How a task runs when it has run for a while."""

    step_seconds: float
    seconds: float
    steady: bool


def warm_up(task: Task, bench: Bench, *, limit: float) -> Warm:
    """Run until the median step of successive blocks and the temperature stay, at most `limit` seconds."""
    begin = bench.clock()
    block_seconds = min(max(limit / 20, 0.02), 1.0)
    task.step()  # the first one allocates, compiles, fills caches
    medians: list[float] = []
    heat: list[tuple[float, float]] = []
    while True:
        medians.append(statistics.median(_block(task, bench.clock, block_seconds)))
        passed = (bench.clock() - begin) / 1e9
        celsius = hottest(bench.meter.state())
        heat += [(passed, celsius)] if celsius is not None else []
        steady = _level(medians) and _cool(heat)
        if steady or passed >= limit:
            return Warm(step_seconds=medians[-1], seconds=passed, steady=steady)


def measure(task: Task, bench: Bench, *, steps: int, lead: int, gap: float, offset: float) -> dict[str, Any]:
    """One window of so many steps, in the values of `energybench.record.Window`.

    Args:
        task: what runs.
        bench: what measures.
        steps: how many steps are in the window.
        lead: how many run before it: a window that begins with the machine at rest reads too little.
        gap: rest after each step, in seconds, against sensors that look away.
        offset: rest before everything, so that windows begin at different phases of a sensor.
    """
    bench.sleep(offset)
    _run(task, bench, lead, gap)
    gap_seconds, values = _watched(task, bench, lambda: _run(task, bench, steps, gap))
    return {"steps": steps, "samples": steps * task.samples, "gap_seconds": gap_seconds, **values}


def measure_pass(task: Task, learner: Learner, bench: Bench) -> dict[str, Any]:
    """One window around one pass over the training set, in the values of `energybench.record.Window`.

    Steps of the task lead it in where a sensor is slow to notice: they are like the pass, and leave the learner alone.
    """
    end = bench.clock() + int(2e9 * slowest_tick(bench.meter))
    while bench.clock() < end:
        task.step()
    samples, values = _watched(task, bench, learner.learn)
    return {"steps": 1, "samples": samples, **values}


def _watched(task: Task, bench: Bench, body: Callable[[], T]) -> tuple[T, dict[str, Any]]:
    """What the body gave, and what the window around it measured; throttling meanwhile is flagged.

    A task that runs in many processes has each read what it alone can; the windows there are open a little longer.
    """
    before = bench.meter.state()
    spread = task if isinstance(task, Windowed) else None
    if spread:
        spread.open_windows()
    window = bench.meter.window(align=bench.align, trace_hz=bench.trace_hz)
    with window:
        given = body()
    values = plain(window)
    if spread:
        parts = spread.close_windows()
        own = readers.uuids(before)
        values = readers.merged(values, parts, leader=spread.host, nodes=spread.nodes, devices=own)
    if bench.trace_hz:
        values["trace"] = [list(sample) for sample in window.trace]
    after = bench.meter.state()
    if slowed_seconds(after) > slowed_seconds(before) or any(slowdowns(part) for _, part in devices(after)):
        values["flags"] = [*values["flags"], "throttled"]
    return given, values


def rest(bench: Bench, seconds: float, when: str) -> dict[str, Any]:
    """The machine at rest, in the values of `energybench.record.Idle`."""
    with bench.meter.window(align=bench.align) as window:
        bench.sleep(seconds)
    measured = {name: e.joules / window.seconds for name, e in window.domains.items() if isinstance(e, Energy)}
    domains = plain(window)["domains"]
    return {"when": when, "seconds": window.seconds, "domains": domains, "watts": measured}


def window_seconds(meter: Meter, *, target_error: float, least: float, most: float, align: bool) -> float:
    """How long a window must be for the target error at k=2: 0.816 T over it, of the slowest sensor."""
    ticks = [domain.tick for domain in energy_domains(meter) if domain.tick and domain.additive]
    slowest = max(ticks, default=0.0)
    wanted = 0.816 * (POLL_GAP if align else slowest) / target_error
    # An aligned window describes its body only where that is a good many ticks long.
    return min(max(least, wanted, 5 * slowest if align else 0.0), max(most, least))


def blinking(meter: Meter) -> list[Sensor]:
    """The sensors that look away for a part of each tick."""
    domains = [d for d in energy_domains(meter) if d.tick and d.seen < 1 and d.additive]
    return sorted({Sensor(tick=d.tick or 0.0, seen=d.seen) for d in domains}, key=lambda s: (s.tick, s.seen))


def energy_domains(meter: Meter) -> list[Domain]:
    """The domains that this meter reads joules from; a power model is none of them."""
    readable = [domain for domain in meter.domains.values() if isinstance(domain, Domain)]
    return [d for d in readable if d.quantity == "joules" and d.provenance != "estimated"]


def slowest_tick(meter: Meter) -> float:
    """Seconds between two updates of the slowest sensor; 0 where nothing is read."""
    return max((domain.tick or 0.0 for domain in energy_domains(meter)), default=0.0)


def sources(meter: Meter) -> list[list[str]]:
    """What this meter reads: domain, probe and provenance of each. Windows of other sources are never mixed in."""
    return sorted([domain.name, domain.probe, domain.provenance] for domain in meter.readable.values())


def plain(window: Measurement) -> dict[str, Any]:
    """What a window measured, in plain values with the names of a record."""
    values: dict[str, Any] = {
        "seconds": window.seconds,
        "domains": {name: _domain(part) for name, part in window.domains.items()},
        "traffic": dict(window.traffic),
        "flags": list(window.flags),
    }
    if window.total is not None:
        total = asdict(window.total)
        values["total"] = {**total, "domains": list(total["domains"]), "missing": list(total["missing"])}
    if window.estimated is not None:
        values["estimated"] = asdict(window.estimated)
    return values


def hottest(state: Mapping[str, object]) -> float | None:
    """The highest temperature that a probe's state tells of."""
    heat = [part.get("celsius") for _, part in devices(state)]
    return max((float(t) for t in heat if isinstance(t, int | float)), default=None)


def _domain(part: Energy | Unavailable) -> dict[str, Any]:
    if isinstance(part, Unavailable):
        return {"unavailable": part.reason, "remedy": part.remedy}
    return {**asdict(part), "flags": list(part.flags), "components": dict(part.components)}


def _run(task: Task, bench: Bench, steps: int, gap: float) -> float:
    """Run the steps, resting after each where there is a gap; the seconds rested, as the clock saw them."""
    if isinstance(task, Elsewhere):
        return task.run_steps(steps, gap)
    step = task.step
    if not gap:
        for _ in range(steps):
            step()
        return 0.0
    clock, sleep, rested = bench.clock, bench.sleep, 0
    for _ in range(steps):
        step()
        done = clock()
        sleep(gap)
        rested += clock() - done
    return rested / 1e9


def _block(task: Task, clock: Clock, seconds: float) -> list[float]:
    """Seconds of each step, for as long as a block lasts and at least three steps."""
    if isinstance(task, Elsewhere):
        return task.block(seconds, least=3, longest=10 * seconds)
    durations: list[float] = []
    begin = last = clock()
    while (last - begin) / 1e9 < seconds or len(durations) < 3:
        task.step()
        now = clock()
        durations.append((now - last) / 1e9)
        last = now
        if (last - begin) / 1e9 > 10 * seconds and durations:
            break  # steps of seconds: three of them in each block would take minutes
    return durations


def _level(medians: Sequence[float]) -> bool:
    last = medians[-STEADY_BLOCKS:]
    return len(last) == STEADY_BLOCKS and max(last) - min(last) <= STEADY * min(last)


def _cool(heat: Sequence[tuple[float, float]]) -> bool:
    """Whether the temperature moved by less than half a kelvin in ten seconds; true where nobody tells it."""
    if not heat:
        return True
    now, celsius = heat[-1]
    earlier = [t for passed, t in heat if now - passed >= COOL_SECONDS]
    return bool(earlier) and abs(celsius - earlier[-1]) < COOL_KELVIN
