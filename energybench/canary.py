"""The canary: one fixed piece of work of the instrument's own, which a machine measures before each run.

What it takes is kept in `canary.jsonl` beside the machine's records. A value outside the history of the same sources,
driver, kernel and software says that the machine is not what it was, before anything else is measured on it.
"""

import math
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from energybench import stats, stepping
from energybench.canary_history import FILE, SCHEMA, Verdict, append, comparable, judge, read
from energybench.measurement import Measurement
from energybench.meter import Meter
from energybench.model import Clock, Domain, Provenance

VERSION = 1
"""Of the work below: raised with any change to it, and every history then starts anew."""
WORDS, ROUNDS, CHECKSUM = 16384, 1000, 0xA8527EA083CEF3EC
WINDOWS = 3
WINDOW_SECONDS, LONGEST_SECONDS, TARGET_ERROR = 0.2, 2.0, 0.02


class CanaryError(RuntimeError):
    """The work gave another result than it does everywhere else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What one unit of the work took.

    Attributes:
        joules: of all measured domains; None where nothing can be read.
        standard_uncertainty: of the joules; None without them.
        seconds: of it.
        provenance: of the joules; None without them.
        sources: domain, probe and provenance of each summand.
    """

    joules: float | None = None
    standard_uncertainty: float | None = None
    seconds: float
    provenance: Provenance | None = None
    sources: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary:
    """What the canary says.

    Attributes:
        verdict: within its own history, outside of it, or the history is still too short to tell.
        text: the same in words, with numbers; no remedy in it.
        line: as it stands in the history.
        known: how many earlier values it was judged by.
        damaged: how many lines of the file could not be read.
    """

    verdict: Verdict
    text: str
    line: Mapping[str, Any]
    known: int
    damaged: int = 0


def work(count: int = WORDS) -> int:
    """One unit: xorshift64 over 128 kB of words, in one thread; the xor of them all (Marsaglia, JSS 8(14), 2003)."""
    import numpy as np

    words = np.arange(1, count + 1, dtype=np.uint64)
    for _ in range(ROUNDS):
        words ^= words << np.uint64(13)
        words ^= words >> np.uint64(7)
        words ^= words << np.uint64(17)
    return int(np.bitwise_xor.reduce(words))


def measure(meter: Meter, *, unit: Callable[[], int] = work, clock: Clock = time.perf_counter_ns) -> Taken:
    """Measure the work in a few short windows.

    Raises:
        CanaryError: the work went wrong.
    """
    unit()  # the first one loads numpy and fills caches
    begin = clock()
    if unit() != CHECKSUM:
        raise CanaryError("the canary computed something else than it should; test this machine's memory and processor")
    step = max((clock() - begin) / 1e9, 1e-6)
    length = stepping.window_seconds(
        meter, target_error=TARGET_ERROR, least=WINDOW_SECONDS, most=LONGEST_SECONDS, align=False
    )
    units = max(1, math.ceil(length / step))
    windows = [_window(meter, unit, units) for _ in range(WINDOWS)]
    seconds = statistics.median(window.seconds for window in windows) / units
    totals = [window.total for window in windows if window.total is not None]
    if len(totals) < WINDOWS or len({(total.provenance, total.domains) for total in totals}) > 1:
        return Taken(seconds=seconds)
    joules = [total.joules / units for total in totals]
    known = statistics.median(total.standard_uncertainty for total in totals) / units
    return Taken(
        joules=statistics.median(joules),
        standard_uncertainty=math.hypot(stats.standard_error(joules), known),
        seconds=seconds,
        provenance=totals[0].provenance,
        sources=tuple(_source(meter, name) for name in sorted(totals[0].domains)),
    )


def check(
    meter: Meter,
    folder: Path,
    *,
    quiet: bool = True,
    reset: bool = False,
    take: Callable[[Meter], Taken] = measure,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    software: Mapping[str, str] | None = None,
) -> Canary:
    """Measure the canary, judge it by its history, and add it to that.

    A value that is outside is measured once more; the second one counts.

    Args:
        meter: an open one.
        folder: of the machine's records.
        quiet: whether the machine was; a value of a busy one is kept and never judged by.
        reset: this value is the new normal: what was before it is forgotten.
        take: measures the work.
        now: when it is.
        software: what the work runs on, by name; this machine's where None.

    Raises:
        CanaryError: the work went wrong.
        StoreError: the history cannot be read or written.
    """
    path = folder / FILE
    lines, damaged = read(path)
    said = {"quiet": quiet, **(software or _software()), **({"reset": True} if reset else {})}
    verdict: Verdict = "outside"
    for _ in range(2):
        line = _line(take(meter), meter.state(), now()) | said
        known = [] if reset else comparable(lines, line)
        verdict, text = judge(line, known)
        if verdict != "outside":
            break
    append(path, line | {"outside": True} if verdict == "outside" else line)
    return Canary(verdict=verdict, text=text, line=line, known=len(known), damaged=damaged)


def _window(meter: Meter, unit: Callable[[], int], units: int) -> Measurement:
    with meter.window() as window:
        for _ in range(units):
            unit()
    return window


def _source(meter: Meter, name: str) -> tuple[str, str, str]:
    domain = meter.domains[name]
    assert isinstance(domain, Domain)
    return name, domain.probe, domain.provenance


def _line(taken: Taken, state: Mapping[str, Mapping[str, object]], when: datetime) -> dict[str, Any]:
    """A value as it stands in the history; what was not measured is not in it."""
    told = {name: one["driver"] for name, one in state.items() if isinstance(one, Mapping) and one.get("driver")}
    line = {
        "schema": SCHEMA,
        "version": VERSION,
        "when": when.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "joules": taken.joules,
        "standard_uncertainty": taken.standard_uncertainty,
        "seconds": taken.seconds,
        "provenance": taken.provenance,
        "sources": [list(source) for source in taken.sources] or None,
        "driver": ", ".join(f"{name} {version}" for name, version in sorted(told.items())) or None,
    }
    return {name: value for name, value in line.items() if value is not None}


def _software() -> dict[str, str]:
    versions = f"python {platform.python_version()}, numpy {metadata.version('numpy')}"
    return {"kernel": platform.release(), "software": versions}
