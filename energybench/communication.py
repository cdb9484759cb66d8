"""Joules of communication beside those of computing: the host's processor time for it, and waiting at static power.

Nobody meters a message. What is known is where the time went, and the joules of the whole: these are shared out, and a
share keeps their provenance. The third term, the wire's, is modelled elsewhere.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from energybench import sums
from energybench.model import Provenance
from energybench.record import EstimatedEnergy, Idle, Metric, Window
from energybench.results import at_rest, repeated


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """Joules of one window for communication: on processors, and in waiting for others."""

    communication_cpu: float
    waiting: float


def metrics(windows: Sequence[Window], idles: Sequence[Idle]) -> dict[str, Metric]:
    """Joules a sample of each term; empty where nothing was communicated, or power at rest is not known.

    Of measured joules, power at rest is that of the idle baselines; of estimated ones, the power model's.
    """
    if not windows or not all(window.communication for window in windows):
        return {}
    return _measured(windows, idles) or _estimated(windows)


def shares(spent: Mapping[str, float], *, joules: float, idle_watts: float, seconds: float) -> Shares:
    """Share out a window's joules by where the processes' time went.

    What is above rest is the processors' and goes by their seconds. While a node waits, its part of the power at rest
    is spent for waiting: on one host each of its nodes has an equal part.

    Args:
        spent: `nodes`, and over all of them `cpu_seconds`, `communication_cpu_seconds`, `waiting_seconds`.
        joules: of the window.
        idle_watts: of all hosts at rest.
        seconds: of the window.
    """
    busy = max(joules - idle_watts * seconds, 0.0)
    share = spent["communication_cpu_seconds"] / spent["cpu_seconds"] if spent["cpu_seconds"] else 0.0
    waiting = min(spent["waiting_seconds"] / spent["nodes"], seconds)
    return Shares(communication_cpu=busy * min(share, 1.0), waiting=idle_watts * waiting)


def _measured(windows: Sequence[Window], idles: Sequence[Idle]) -> dict[str, Metric]:
    windows = sums.common_total(windows)
    first = windows[0].total if windows else None
    rest = at_rest(idles, first.domains) if first else None
    if first is None or rest is None:
        return {}
    each = [
        shares(w.communication, joules=w.total.joules, idle_watts=rest.watts, seconds=w.seconds)
        for w in windows
        if w.communication and w.total
    ]
    return _terms(each, windows, "", first.provenance)


def _estimated(windows: Sequence[Window]) -> dict[str, Metric]:
    models = [w.estimated for w in windows if w.estimated and w.estimated.idle_watts is not None]
    if len(models) < len(windows):
        return {}
    each = [
        shares(w.communication, joules=model.joules, idle_watts=model.idle_watts, seconds=w.seconds)
        for w, model in zip(windows, models, strict=True)
        if w.communication and model.idle_watts is not None
    ]
    return {name: _widened(metric, models) for name, metric in _terms(each, windows, "estimated_", "estimated").items()}


def _terms(each: Sequence[Shares], windows: Sequence[Window], prefix: str, provenance: Provenance) -> dict[str, Metric]:
    samples = [w.samples for w in windows]
    values = {
        "communication_cpu": [one.communication_cpu / n for one, n in zip(each, samples, strict=True)],
        "waiting": [one.waiting / n for one, n in zip(each, samples, strict=True)],
    }
    return {
        f"{prefix}{name}_joules_per_sample": repeated(found, unit="J", provenance=provenance)
        for name, found in values.items()
    }


def _widened(metric: Metric, models: Sequence[EstimatedEnergy]) -> Metric:
    """An estimate's interval is the power model's: a factor each way, not a scatter."""
    factor = max(2.0, statistics.fmean(model.high / model.joules for model in models if model.joules))
    value = metric.value
    return Metric(
        value=value, low=value / factor, high=value * factor, unit="J", provenance="estimated", higher_is_better=False
    )
