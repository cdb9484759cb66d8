"""One run over a suite: each combination in its turn, its record written as soon as it is measured."""

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from energybench import config, host, stepping
from energybench.assembly import Setting
from energybench.campaign import length_of_window
from energybench.meter import Meter
from energybench.model import Domain
from energybench.quiet import Quiet, quiet
from energybench.record import Idle, Record
from energybench.settings import VERSION, Settings
from energybench.stepping import Bench
from energybench.store import Store
from energybench.suites.choosing import Combination
from energybench.suites.place import Suite
from energybench.suites.records import Run, record_of
from energybench.suites.served import Found, Ran, Served
from energybench.suites.windows import below_resolution, unread, windows_of

LEAD = 0.05
READABLE_TICKS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What became of a combination: `ok`, `skipped`, `failed`, `timeout`, `crashed` or `below-resolution`, and why."""

    combination: Combination
    status: str
    reason: str = ""
    mode: str = ""
    record: Record | None = None


def how(wanted: config.Settings) -> Settings:
    """What the protocol makes of flags, environment and file."""
    given = {"windows": wanted.windows, "window_seconds": wanted.seconds, "idle_seconds": wanted.idle}
    changes = {key: value for key, value in given.items() if value is not None}
    changes |= {"seed": wanted.seed, "align": wanted.align}
    return Settings.quickly(**changes) if wanted.quick else Settings(**changes)  # type: ignore[arg-type]


def without_own(meter: Meter) -> Meter:
    """A meter without what counts this process alone: that would be 0 whatever a benchmark does."""
    for index, track in enumerate(meter.tracks):
        meter.chosen[index] &= track.domain.scope != "process"
    return meter


class Suites:
    """A suite that is served, and everything that its combinations are measured with.

    Args:
        suite: where it is.
        served: its child.
        found: what it has.
        meter: what reads.
        settings: of the windows.
        store: where records go.
        clock: seconds.
        quietness: whether the machine is quiet; looked at here where None.
    """

    def __init__(
        self,
        suite: Suite,
        served: Served,
        found: Found,
        meter: Meter,
        settings: Settings,
        store: Store,
        *,
        clock: Callable[[], float] = time.monotonic,
        quietness: Quiet | None = None,
    ) -> None:
        self._served, self._meter, self._store, self._clock = served, meter, store, clock
        self.seconds = length_of_window(meter, settings)
        self.setting = _look(suite, found, meter, settings, self.seconds, quietness)
        lead = max(2 * stepping.slowest_tick(meter), LEAD * self.seconds)
        piece = READABLE_TICKS * stepping.slowest_tick(meter)
        self._asked = {"windows": settings.windows, "seconds": self.seconds, "lead": lead, "piece": piece}
        self._run = Run(
            id=f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{os.urandom(3).hex()}",
            project=suite.project,
            setting=self.setting,
            idles=_idles(meter, settings),
            meter=meter,
        )

    def measure(self, chosen: Sequence[Combination], *, until: float | None = None) -> Iterator[Tried]:
        """Each combination in turn, as long as there is time.

        Args:
            chosen: which.
            until: what the clock says when no other one is begun.
        """
        for one in chosen:
            if until is not None and self._clock() >= until:
                return
            yield self._one(one)

    def _one(self, one: Combination) -> Tried:
        begin = self._clock()
        ran = self._served.measure(one.benchmark, one.index, meter=self._meter, asked=self._asked)
        if ran.status != "ok":
            return Tried(combination=one, status=ran.status, reason=ran.reason)
        windows = windows_of(ran.pieces)
        reads = bool(stepping.energy_domains(self._meter))
        if reason := (below_resolution(windows) if ran.mode == "difference" else "") or (
            unread(windows) if reads else ""
        ):
            return Tried(combination=one, status="below-resolution", reason=_also(reason, ran), mode=ran.mode)
        preparing = max(0.0, self._clock() - begin - sum(window.seconds for window in windows))
        record = record_of(one, ran, windows, self._run, preparing=preparing)
        self._store.write(record)
        return Tried(combination=one, status="ok", mode=ran.mode, record=record)


def _also(reason: str, ran: Ran) -> str:
    return f"{reason}; {ran.note}" if ran.note else reason


def _idles(meter: Meter, settings: Settings) -> list[Idle]:
    """The machine at rest, with the suite imported; without a sensor there is nothing to learn."""
    if not (settings.idle_seconds and stepping.energy_domains(meter)):
        return []
    bench = Bench(meter=meter, align=settings.align)
    return [Idle.model_validate(stepping.rest(bench, settings.idle_seconds, "before"))]


def _look(
    suite: Suite, found: Found, meter: Meter, settings: Settings, seconds: float, quietness: Quiet | None
) -> Setting:
    """What all records have: the machine, the software of the suite's Python, the commit that is checked out."""
    state = meter.state()
    kinds = {domain.provenance for domain in meter.domains.values() if isinstance(domain, Domain)}
    told = asdict(settings)
    kept = {key: told[key] for key in ("windows", "align", "idle_seconds", "seed", "quick")}
    return Setting(
        machine={
            **host.fingerprint(state=state, folder=suite.root),
            "python": found.python,
            "packages": dict(found.packages),
        },
        quiet=quietness or quiet(state=state),
        protocol={"version": VERSION, **kept, "window_seconds": seconds},
        probes=json.loads(json.dumps(state, default=str)),
        sources=stepping.sources(meter),
        throttled_before=host.throttle_count(),
        provenance="simulated" if "simulated" in kinds else "measured",
    )
