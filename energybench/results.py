"""From windows to results: each metric with its interval, and never two kinds of joule in one number."""

import math
import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from energybench import stats
from energybench.dephase import gap_uncertainty
from energybench.model import Modelled, Provenance
from energybench.record import DomainEnergy, Idle, Metric, Record, Window
from energybench.sums import common_total, energies_of, energy_of, gain_part, random_part, summed_estimate

IDLE_DRIFT = 0.02
SMALLER_IS_BETTER = (
    "loss",
    "error",
    "perplexity",
    "distance",
    "sweeps",
    "residual",
    "contraction",
    "bytes",
    "seconds",
    "joules",
)
UNITS = {"bytes": "B", "seconds": "s"}
"""What the last word of a name says of its unit, `_per_step` left out."""
COUNTED: Mapping[str, Provenance] = {
    "operand_bytes": "modelled",
    "payload_bytes": "modelled",
    "tcp_bytes": "measured",
    "wire_bytes": "measured",
}
"""Where bytes come from whatever the joules are: what operators and exchanges say that they move, and the kernel's own
counters. Bytes of other kinds come from where the joules do."""
COSTS = ("J", "W", "s", "B")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """Power at rest of the domains of a total, with what is uncertain about it beside the sensors' gain."""

    watts: float
    uncertainty: float
    drift: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Alias:
    """What sensors that look away may hide: a relative standard error, and the domains that it holds for."""

    residual: float
    domains: tuple[str, ...]


def at_rest(idles: Sequence[Idle], cut: Sequence[str]) -> Rest | None:
    """Power at rest of these domains, from all baselines; None where one of the domains was not read."""
    seen = [idle for idle in idles if all(isinstance(idle.domains.get(name), DomainEnergy) for name in cut)]
    if not seen or not cut:
        return None
    watts = [sum(energy_of(idle.domains, name).joules for name in cut) / idle.seconds for idle in seen]
    errors = [random_part(energies_of(idle.domains, cut)) / idle.seconds for idle in seen]
    drift = max(watts) - min(watts)
    noise = math.sqrt(math.fsum(e * e for e in errors)) / len(seen)
    mean = statistics.fmean(watts)
    beyond = drift > IDLE_DRIFT * abs(mean) and drift > 2 * math.hypot(*errors)
    return Rest(
        watts=mean,
        # Idle power between the baselines may be anything between them: rectangular.
        uncertainty=math.hypot(noise, drift / math.sqrt(12)),
        drift=drift / mean if beyond and mean else 0.0,
    )


def energy_metrics(
    windows: Sequence[Window], idles: Sequence[Idle], alias: Alias, successes: Collection[int] | None = None
) -> dict[str, Metric]:
    """Joules a sample, gross and net, where there is a total; the energy of gaps is taken out of both.

    Args:
        windows: what was measured; their scatter makes the interval.
        idles: the baselines.
        alias: what sensors that look away may hide.
        successes: the rounds that came to their end; joules are then those of all windows over these. None: all.
    """
    windows = common_total(windows)
    ended = [successes is None or w.round in successes for w in windows]
    if not any(ended):
        return {}
    share = sum(ended) / len(ended)
    first = windows[0].total
    assert first is not None
    rest = at_rest(idles, first.domains)
    samples = sum(w.samples for w in windows)
    gaps = sum(w.gap_seconds for w in windows)
    seconds = sum(w.seconds for w in windows)
    joules = sum(w.total.joules for w in windows if w.total)
    # Without a baseline the gaps stay in, and their power may be anything up to that of the load.
    idle_watts, doubt = (rest.watts, rest.uncertainty) if rest else (0.0, joules / seconds / math.sqrt(3))
    busy_watts = (joules - idle_watts * gaps) / (seconds - gaps)
    unseen = hidden(windows, alias)
    gap_doubt = gap_uncertainty(gaps, busy_watts=busy_watts, idle_watts=idle_watts, idle_uncertainty=doubt)
    noise = [random_part(energies_of(w.domains, first.domains)) / w.samples / share for w in windows]

    def metric(values: list[float], shared: Iterable[float], *, signed: bool = False) -> Metric:
        systematic, kind = math.hypot(*shared) / samples / share, first.provenance
        values = per_success(values, ended)
        return repeated(values, unit="J", provenance=kind, noise=noise, systematic=systematic, signed=signed)

    gross = _gross(windows, idle_watts)
    gain = gain_part(windows, first.domains)
    metrics = {"joules_per_sample": metric(gross, (gain, unseen, gap_doubt))}
    if rest:
        net = [(_joules(w) - idle_watts * w.seconds) / w.samples for w in windows]
        part = abs(sum(n * w.samples for n, w in zip(net, windows, strict=True)) / joules)
        metrics["net_joules_per_sample"] = metric(
            net, (gain * part, unseen, gap_doubt, doubt * (seconds - gaps)), signed=True
        )
    return metrics


def per_success(values: Sequence[float], succeeded: Sequence[bool]) -> list[float]:
    """Values whose mean is the sum of all over the number of successes, and whose scatter is that of this ratio.

    What a failure took is a price of the next success: Hansen et al. call the ratio the expected running time
    (INRIA RR-7215, 2010). The scatter is linearised about it. Where all succeeded, the values are themselves.
    """
    share = sum(succeeded) / len(succeeded)
    ratio = statistics.fmean(values) / share
    return [ratio + (value - ratio * ended) / share for value, ended in zip(values, succeeded, strict=True)]


def estimate_metrics(windows: Sequence[Window]) -> dict[str, Metric]:
    """Joules a sample by the power model, with its own interval, at least times and divided by two."""
    estimate = summed_estimate(windows)
    samples = sum(w.samples for w in windows)
    if estimate is None or not samples:
        return {}
    value = estimate.joules / samples
    low, high = min(estimate.low / samples, value / 2), max(estimate.high / samples, value * 2)
    return {
        "estimated_joules_per_sample": Metric(
            value=value, low=low, high=high, unit="J", provenance="estimated", higher_is_better=False
        )
    }


def time_metrics(windows: Sequence[Window]) -> dict[str, Metric]:
    """Seconds a sample and samples a second, rests between steps left out."""
    seconds = [(w.seconds - w.gap_seconds) / w.samples for w in windows]
    each = repeated(seconds, unit="s", provenance="measured")
    rate = repeated([1 / s for s in seconds], unit="1/s", provenance="measured", higher_is_better=True)
    return {"seconds_per_sample": each, "samples_per_second": rate}


def traffic_metrics(windows: Sequence[Window], provenance: Provenance) -> dict[str, Metric]:
    """Bytes a sample of each kind that every window counted."""
    kinds = set.intersection(*(set(w.traffic) for w in windows)) if windows else set()
    return {
        f"{kind}_per_sample": repeated(
            [w.traffic[kind] / w.samples for w in windows],
            unit="B",
            provenance=bytes_from(kind, provenance),
        )
        for kind in sorted(kinds)
    }


def bytes_from(kind: str, provenance: Provenance) -> Provenance:
    """Where bytes of a kind come from, beside joules of that provenance."""
    return COUNTED.get(kind, provenance)


def _what(name: str) -> str:
    return name.removesuffix("_per_step")


def quality_metrics(quality: Mapping[str, float], judged: int | None = None) -> dict[str, Metric]:
    """What `evaluate` said: accuracy and the like; losses, sweeps and bytes are better when they are smaller.

    An accuracy over `judged` samples has Wilson's interval: what another draw of as many samples might give.
    """
    metrics = {
        name: exact(
            float(value),
            unit=UNITS.get(_what(name).rpartition("_")[2], "1"),
            provenance="modelled" if _what(name) == "payload_bytes" else "measured",
            higher_is_better=not _what(name).endswith(SMALLER_IS_BETTER),
        )
        for name, value in quality.items()
    }
    if judged and "accuracy" in metrics:
        low, high = stats.wilson_interval(metrics["accuracy"].value, judged)
        metrics["accuracy"] = metrics["accuracy"].model_copy(update={"low": low, "high": high})
    return metrics


def modelled_metrics(modelled: Mapping[str, Modelled]) -> dict[str, Metric]:
    """What a task computed by a model, with the model's own range."""
    return {
        name: Metric(
            value=float(one.value),
            low=None if one.low is None else float(one.low),
            high=None if one.high is None else float(one.high),
            unit=one.unit,
            provenance="modelled",
            higher_is_better=one.unit not in COSTS and not name.endswith(SMALLER_IS_BETTER),
        )
        for name, one in modelled.items()
    }


def repeated(
    values: Sequence[float],
    *,
    unit: str,
    provenance: Provenance,
    noise: Sequence[float] = (),
    systematic: float = 0.0,
    higher_is_better: bool = False,
    signed: bool = False,
) -> Metric:
    """The mean of repeats with a t interval, widened by what repeats cannot show.

    Args:
        values: one a window; all windows weigh the same.
        unit: of the values.
        provenance: of the values.
        noise: each window's own random uncertainty, as the meter states it. Few windows may scatter less by
            chance (or because they are locked to the sensor): the larger of the two is believed.
        systematic: standard uncertainty that all windows share.
        higher_is_better: which way is up.
        signed: the quantity may be below 0, as net joules are; else its interval ends at 0.
    """
    n, value = len(values), statistics.fmean(values)
    scatter = stats.standard_error(values) if n > 1 else 0.0
    stated = math.sqrt(math.fsum(u * u for u in noise)) / n
    degrees = float(n - 1) if scatter >= stated and n > 1 else math.inf
    repeatability = max(scatter, stated)
    interval = stats.combined_interval(value, repeatability, degrees, systematic)
    known = n > 1 or repeatability > 0
    low = interval.low if signed else max(interval.low, min(value, 0.0))
    return Metric(
        value=value,
        low=low if known else None,
        high=interval.high if known else None,
        standard_uncertainty=interval.standard_uncertainty if known else None,
        repeatability=repeatability if known else None,
        systematic=systematic or None,
        median=statistics.median(values),
        repeats=n,
        unit=unit,
        provenance=provenance,
        higher_is_better=higher_is_better,
    )


def exact(value: float, *, unit: str, provenance: Provenance, higher_is_better: bool = False) -> Metric:
    """A result that is one number: a file's size, an accuracy."""
    return Metric(value=value, unit=unit, provenance=provenance, higher_is_better=higher_is_better)


def by_window(record: Record) -> dict[str, list[float]]:
    """What each window says of the results that have one value a window: joules, seconds and bytes a sample.

    The mean of the values is the result, where no joules were shared out over successes only.
    """
    windows = record.windows
    values = {"seconds_per_sample": [(w.seconds - w.gap_seconds) / w.samples for w in windows]}
    kinds = set.intersection(*(set(w.traffic) for w in windows))
    values |= {f"{kind}_per_sample": [w.traffic[kind] / w.samples for w in windows] for kind in sorted(kinds)}
    if (covered := common_total(windows)) and covered[0].total:
        rest = at_rest(record.idle, covered[0].total.domains)
        values["joules_per_sample"] = _gross(covered, rest.watts if rest else 0.0)
    return {name: each for name, each in values.items() if name in record.results}


def _gross(windows: Sequence[Window], idle_watts: float) -> list[float]:
    """Joules a sample of each window, what its rests took left out."""
    return [(_joules(w) - idle_watts * w.gap_seconds) / w.samples for w in windows]


def _joules(window: Window) -> float:
    assert window.total is not None
    return window.total.joules


def hidden(windows: Sequence[Window], alias: Alias) -> float:
    """Joules that sensors which look away may have missed; windows begin at different phases."""
    joules = [
        math.fsum(energy_of(w.domains, n).joules for n in alias.domains if isinstance(w.domains.get(n), DomainEnergy))
        for w in windows
    ]
    return alias.residual * math.hypot(*joules)
