"""Sensors that look away: how wrong a periodic load is read by them, and the gap between steps that cures it.

A sensor that updates every T seconds and looks at only a fraction `seen` of them (25 of every 100 ms on an
A100 or H100) reads a load of period p well as long as its looks fall on ever new phases of the load. They do
not where p and T are in a ratio of small whole numbers: then harmonic n of the load falls on harmonic m of
the sensor (n/p = m/T) and shows as a constant. Over a window of M steps what is left of such a harmonic is
1/(pi c), where c is the number of turns of n/p - m/T in that time. A short rest after each step changes p:
the ratio is best at a golden mean, and a much smaller rest is enough where the window is long.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import hypot, isfinite, pi, sin, sqrt

HARMONICS = 20
# A square wave between 60 and 300 W swings by 2/3 of its mean: the load that a GPU shows at worst.
DEPTH = 2 / 3
# Power in a gap lies between idle and load, nobody saw where: up to a fifth of the way, rectangular.
GAP_DOUBT = 0.2 / sqrt(3)
# How well step and tick are known beforehand.
TOLERANCE = (0.99, 0.995, 1.0, 1.005, 1.01)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensor:
    """A sensor that looks at the last `seen` of each `tick` seconds."""

    tick: float
    seen: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """The rest after each step in seconds, and the relative error (standard) that aliasing leaves."""

    seconds: float
    residual: float


def residual(period: float, sensors: Iterable[Sensor], *, steps: int) -> float:
    """The relative standard error of the energy of `steps` periods under the worst of the sensors."""
    return max((_residual(period, sensor, steps) for sensor in sensors), default=0.0)


def choose_gap(
    step_seconds: float, sensors: Sequence[Sensor], *, window_seconds: float, limit: float, gaps: bool = True
) -> Gap:
    """The smallest gap with which aliasing stays below `limit`, or the best there is.

    Args:
        step_seconds: the duration of one step, as the warm-up saw it.
        sensors: those that do not look all the time.
        window_seconds: the length of a window; a gap is included in it.
        limit: the relative standard error that is good enough.
        gaps: False where the workload forbids them.
    """

    def with_gap(gap: float) -> Gap:
        period = step_seconds + gap
        steps = max(1, int(window_seconds / period))
        return Gap(seconds=gap, residual=max(residual(period * f, sensors, steps=steps) for f in TOLERANCE))

    best = with_gap(0.0)
    if not gaps or best.residual <= limit:
        return best
    for gap in _candidates(step_seconds, max(sensor.tick for sensor in sensors)):
        tried = with_gap(gap)
        if tried.residual <= limit:
            return tried
        best = min(best, tried, key=lambda g: _cost(g, step_seconds))
    return best


def gap_uncertainty(gap_seconds: float, *, busy_watts: float, idle_watts: float, idle_uncertainty: float) -> float:
    """Standard uncertainty in joules of the energy of the gaps, which is taken as idle power."""
    return gap_seconds * hypot(idle_uncertainty, GAP_DOUBT * max(busy_watts - idle_watts, 0.0))


def _residual(period: float, sensor: Sensor, steps: int) -> float:
    """Harmonics in squares; the worst load has its energy where the sensor's harmonics are."""
    assert period > 0
    assert isfinite(period)
    ratio = period / sensor.tick
    squares = 0.0
    for order in range(1, HARMONICS + 1):
        near, far = (order, order * ratio) if ratio >= 1 else (round(order / ratio), order / ratio)
        # Turns of this harmonic against the nearest one of the other side, over all the steps.
        turns = abs(far - round(far)) * steps * (1.0 if ratio >= 1 else ratio)
        looked = pi * sensor.seen * near
        amplitude = DEPTH * 4 / (pi * order) * abs(sin(looked)) / looked
        left = min(1.0, 1 / (pi * turns)) if turns > 0 else 1.0
        squares += (amplitude * left) ** 2 / 2
    return sqrt(squares)


def _candidates(step_seconds: float, tick: float) -> list[float]:
    """Gaps to try, the smallest first: fine ones for a short step, up to 4/5 of a tick for a long one."""
    fine = [step_seconds * k / 200 for k in range(1, 200)] if step_seconds < tick else []
    coarse = [tick * k / 200 for k in range(1, 161)]
    return sorted(gap for gap in (*fine, *coarse) if gap <= max(0.8 * tick, step_seconds))


def _cost(gap: Gap, step_seconds: float) -> float:
    """What aliasing leaves and what the gap itself adds, as relative standard errors."""
    return hypot(gap.residual, GAP_DOUBT * gap.seconds / step_seconds)
