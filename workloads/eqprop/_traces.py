"""Relaxations sweep by sweep, as records keep them: timed many times over, phase after phase."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from energybench.workloads.eqprop.relaxation import Sweep

REPEATS = 16
"""Traces of the same sweeps; the first is not counted."""


def typical(traces: Sequence[Sequence[Sweep]]) -> list[Sweep]:
    """The same sweeps many times, the first time not counted: one trace whose sweeps took the median of their times."""
    seconds = np.array([[sweep.seconds for sweep in trace] for trace in traces[1:]])
    each = np.median(np.diff(seconds, axis=1, prepend=0.0), axis=0)
    return [replace(sweep, seconds=float(end)) for sweep, end in zip(traces[0], each.cumsum(), strict=True)]


def told(trace: Sequence[Sweep]) -> dict[str, list[float]]:
    """A trace in plain JSON values, a list for each column."""
    return {
        "sweep": [one.sweep for one in trace],
        "active": [one.active for one in trace],
        "residual_median": [one.residual_median for one in trace],
        "residual_max": [one.residual_max for one in trace],
        "seconds": [one.seconds for one in trace],
    }


def by_phase(phases: Mapping[str, Sequence[Sweep]]) -> dict[str, list[float] | list[str]]:
    """Phases that follow each other as one trace: sweeps and seconds go on, and `phase` names that of each sweep.

    The time between two phases is in neither.
    """
    every: list[Sweep] = []
    names: list[str] = []
    for name, trace in phases.items():
        done, passed = (every[-1].sweep, every[-1].seconds) if every else (0, 0.0)
        every += [replace(one, sweep=done + one.sweep, seconds=passed + one.seconds) for one in trace]
        names += [name] * len(trace)
    return {"phase": names, **told(every)}
