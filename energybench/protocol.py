"""The measuring protocol: workload + meter -> records.

Preflight, idle baseline, warm-up, windows of all points in interleaved order, idle baseline again, quality
outside the windows, one pass that counts operators, a record a point. It never prints: it tells its progress.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from energybench import host, stepping, training
from energybench.assembly import Counting, Setting
from energybench.campaign import Campaign, length_of_window
from energybench.journal import Journal
from energybench.keys import digest, key_of, record_key
from energybench.meter import Meter
from energybench.model import Clock, Domain
from energybench.quiet import Quiet, quiet
from energybench.record import Record
from energybench.settings import VERSION, Failure, Outcome, Point, Progress, Settings
from energybench.stepping import Bench
from energybench.store import Store

__all__ = ["Failure", "Outcome", "Planned", "Point", "Progress", "Settings", "plan", "run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What a point will take; `measured_before` where an earlier record of the same point says it.

    A training has windows as long as its passes: `window_seconds` is then None, and the trainings are in `seconds`
    only where they were measured before.
    """

    point: Point
    seconds: float
    window_seconds: float | None
    measured_before: bool


def plan(points: Sequence[Point], *, meter: Meter, settings: Settings, history: Iterable[Record] = ()) -> list[Planned]:
    """Seconds that each point will take: windows, warm-up, baselines; preparing and training, where a record tells."""
    seconds = length_of_window(meter, settings)
    known = {record_key(r): getattr(r, "timing", {}) for r in history}
    idle = 2 * settings.idle_seconds / len(points) if points and stepping.energy_domains(meter) else 0.0
    planned = []
    for point in points:
        before = known.get(key_of(point, settings))
        timing = before or {}
        # A window is led in by a twentieth of itself; a warm-up takes a quarter of its limit, more or less.
        each = max(seconds, timing.get("step_seconds", 0.0)) * 1.05
        if settings.energy_to_accuracy is not None:
            each = timing.get("repeat_seconds", 0.0)
        measuring = settings.windows * each + idle
        making = timing.get("prepare_seconds", 0.0) + timing.get("warmup_seconds", settings.warmup_seconds / 4)
        planned.append(
            Planned(
                point=point,
                seconds=measuring + making,
                window_seconds=seconds if settings.energy_to_accuracy is None else None,
                measured_before=before is not None,
            )
        )
    return planned


def run(
    points: Sequence[Point],
    *,
    meter: Meter,
    store: Store,
    settings: Settings,
    counting: Counting | None = None,
    resume: bool = False,
    progress: Callable[[Progress], None] | None = None,
    clock: Clock = time.perf_counter_ns,
    sleep: Callable[[float], None] = time.sleep,
    machine: Mapping[str, Any] | None = None,
    quietness: Quiet | None = None,
) -> Outcome:
    """Measure all points and write a record for each.

    A window that is finished is in the journal; KeyboardInterrupt and whatever else ends the run leave it
    there, and `resume` takes it up. A point that raises is left out, with its error in the outcome.

    With `settings.energy_to_accuracy`, whole trainings take the place of windows of steps.

    Args:
        points: what to measure; each needs `workload` and `parameters`.
        meter: what measures.
        store: where records go.
        settings: how.
        counting: counts operators; `energybench.probes.operators` where None and torch is loaded.
        resume: go on with the newest unfinished run of the same points and settings.
        progress: told at every step.
        clock: nanoseconds, the same that the meter has.
        sleep: passes time.
        machine: the fingerprint; taken here where None.
        quietness: whether the machine is quiet; looked at here where None.

    Raises:
        StoreError: records cannot be written; the message says where they were kept.
    """
    tell = progress or (lambda _: None)
    tell(Progress(stage="preflight", done=0, total=1))
    store.check()
    setting = _look(meter, settings, machine, quietness, sleep)
    keys = [key_of(point, settings) for point in points]
    spec = digest([keys, asdict(settings), setting.machine["id"], setting.sources])
    journal = (Journal.resume(store, spec) if resume else None) or Journal.start(store, spec, {"run": _run_id()})
    bench = Bench(meter=meter, clock=clock, sleep=sleep, align=settings.align, trace_hz=settings.trace_hz)
    campaign = Campaign(bench, store, settings, journal, tell)
    try:
        campaign.prepare(points)
        campaign.rest("before")
        campaign.warm_up()
        campaign.measure()
        campaign.rest("after")
        outcome = campaign.finish(points, setting, counting or _operators())
    finally:
        campaign.close()
    if not outcome.failures:
        journal.remove()
    tell(Progress(stage="done", done=len(points), total=len(points)))
    return outcome


def _look(
    meter: Meter,
    settings: Settings,
    machine: Mapping[str, Any] | None,
    quietness: Quiet | None,
    sleep: Callable[[float], None],
) -> Setting:
    """What is known before anything runs: the machine, whether it is quiet, the state of its devices."""
    state = meter.state()
    kinds = {domain.provenance for domain in meter.domains.values() if isinstance(domain, Domain)}
    return Setting(
        machine=dict(machine or host.fingerprint(state=state)),
        quiet=quietness or quiet(state=state, sleep=sleep),
        protocol={"version": VERSION, **asdict(settings), **_criterion(settings)},
        probes=json.loads(json.dumps(state, default=str)),
        sources=stepping.sources(meter),
        throttled_before=host.throttle_count(),
        provenance="simulated" if "simulated" in kinds else "measured",
    )


def _criterion(settings: Settings) -> dict[str, str]:
    """When a training counts as finished, where there is one."""
    return {} if settings.energy_to_accuracy is None else {"criterion": training.CRITERION}


def _run_id() -> str:
    """When the run began, and a few digits that tell runs of the same second apart."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{os.urandom(3).hex()}"


def _operators() -> Counting | None:
    """The operator counter, where the workload has loaded torch; nothing is imported for its sake."""
    if "torch" not in sys.modules:
        return None
    from energybench.probes import operators

    return operators
