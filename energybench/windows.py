"""`energybench.measure`: a window over this machine's probes, opened once and shared by the whole process."""

import atexit
import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import ParamSpec, TypeVar, overload

from energybench.measurement import Measurement
from energybench.meter import SIMULATE, Meter, open_meter
from energybench.model import Clock

P = ParamSpec("P")
R = TypeVar("R")

_meters: dict[tuple[object, ...], Meter] = {}
_opening = threading.Lock()


@overload
def measure(
    probes: Sequence[str] | None = None,
    *,
    align: bool = False,
    trace_hz: float | None = None,
    root: Path = Path("/"),
    clock: Clock = time.perf_counter_ns,
) -> Measurement: ...
@overload
def measure(probes: Callable[P, R]) -> Callable[P, R]: ...
def measure(
    probes: Sequence[str] | Callable[P, R] | None = None,
    *,
    align: bool = False,
    trace_hz: float | None = None,
    root: Path = Path("/"),
    clock: Clock = time.perf_counter_ns,
) -> Measurement | Callable[P, R]:
    """Measure a `with` block, or each call of a decorated function.

    Args:
        probes: their names; all that measure by themselves where None. The simulated machine, and nothing else,
            where ENERGYBENCH_SIMULATE asks for it.
        align: wait for the counters' ticks at both edges (up to twice the slowest tick) for a smaller uncertainty.
        trace_hz: keep the power of every domain this often.
        root: where /sys and /proc are.
        clock: nanoseconds on a monotonic clock.

    Raises:
        UnknownNameError: no probe has one of the names.
    """
    if callable(probes):
        return measure()(probes)
    if trace_hz is not None and not trace_hz > 0:
        raise ValueError(f"trace_hz is {trace_hz}: give how often a second power is to be kept, 10 for example")
    names = tuple(probes) if isinstance(probes, list | tuple) else probes
    machine = os.environ.get(SIMULATE)
    meter = _meters.get((names, root, clock, machine)) or _shared_meter(names, root, clock, machine)
    return meter.window(align=align, trace_hz=trace_hz)


def _shared_meter(names: object, root: Path, clock: Clock, machine: str | None) -> Meter:
    """Opening probes takes a moment (ticks are measured): once for each set of them."""
    if isinstance(names, str):
        raise TypeError(f'probes takes a list of names: probes=["{names}"]')
    listed = list(names) if isinstance(names, Iterable) else [names]
    if names is not None and not all(isinstance(name, str) for name in listed):
        raise TypeError(
            f"probes takes a list of names, not {names!r}; as a decorator, measure stands below @classmethod"
        )
    with _opening:
        key = (names, root, clock, machine)
        meter = _meters.get(key)
        if meter is None:
            wanted = None if names is None else [str(name) for name in listed]
            meter = _meters[key] = open_meter(wanted, root=root, clock=clock)
        return meter


# A child that is forked while a thread opens a meter would wait for that thread for ever.
os.register_at_fork(before=_opening.acquire, after_in_parent=_opening.release, after_in_child=_opening.release)


@atexit.register
def _close_all() -> None:
    for meter in _meters.values():
        meter.close()
    _meters.clear()
