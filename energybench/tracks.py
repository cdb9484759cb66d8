"""From raw readings to a running total that never wraps: one track for each domain.

A track is shared by all windows of a meter. It is moved on at every window edge and by the meter's background
thread, always under the meter's lock. A window is two marks on a track.
"""

from typing import Final, NamedTuple, TypeAlias

from energybench.model import Domain, Reading, Unavailable

FOREVER_NS: Final = 1 << 62
# A backward step is a wrap only where the joules that it implies fit in the time since the last reading, plus what
# two edges and a tick may hide: this many seconds at full power, but never more than 1 % of the range.
SLACK_SECONDS: Final = 0.1
STALL_TICKS: Final = 20
SHORTEST_STALL_SECONDS: Final = 0.02


JUMP: Final = Unavailable(
    reason="its counter jumped by more than the part can use: it was frozen or reset before",
    remedy="measure again; check the driver if it stays",
)
BACKWARDS: Final = Unavailable(
    reason="its counter went backwards: it was reset", remedy="measure again; keep the driver loaded"
)


class Mark(NamedTuple):
    """Where a track stood at the edge of a window.

    `total` is in raw counts for a counter, in SI units for a gauge; `breaks` counts what made totals before and
    after it incomparable; `samples`, `sum` and `squares` describe a gauge's values so far.
    """

    ns: int
    total: float
    breaks: int
    samples: int = 0
    sum: float = 0.0
    squares: float = 0.0


Edge: TypeAlias = Mark | Unavailable


class CounterTrack:
    """Adds up a cumulative counter's steps and notices wraps, resets and standstill."""

    __slots__ = (
        "_former",
        "_max_gap_ns",
        "_modulus",
        "_moved_ns",
        "_rate",
        "_slack",
        "_stall_ns",
        "_stood",
        "breaks",
        "domain",
        "ns",
        "raw",
        "reason",
        "total",
    )

    def __init__(self, domain: Domain) -> None:
        self.domain = domain
        self.raw, self.ns, self.total, self.breaks, self._moved_ns = 0, 0, 0, 0, 0
        self.reason = Unavailable(reason="no reading yet", remedy="measure again")
        self._modulus = domain.modulus
        self._rate = (domain.max_rate or float("inf")) / domain.scale / 1e9  # raw counts a nanosecond
        slack = self._rate * (SLACK_SECONDS + 2 * (domain.tick or 0.0)) * 1e9
        self._slack = min(slack, domain.modulus / 100) if domain.modulus else slack
        self._former, self._stood = FOREVER_NS, False  # the highest count before a reset; it stood still
        self._max_gap_ns = int(domain.modulus / self._rate) if domain.modulus and domain.max_rate else FOREVER_NS
        self._stall_ns = stall_ns(domain)

    def edge(self, reading: Reading) -> Edge:
        """Move on to a reading and mark it."""
        problem = self.move(reading)
        return problem or Mark(reading[0], self.total, self.breaks)

    def move(self, reading: Reading) -> Unavailable | None:
        """Add the step from the last good reading to this one."""
        ns, raw = reading
        if isinstance(raw, Unavailable):
            return raw
        gap = ns - self.ns
        if gap >= self._max_gap_ns and self.ns:
            self._break(
                Unavailable(
                    reason=f"its counter may have wrapped more than once: {gap / 1e9:.3g} s lay between two readings",
                    remedy="keep the process responsive, or measure shorter windows",
                )
            )
        step = raw - self.raw
        if not self.ns:
            step, self._moved_ns = 0, ns
        elif step < 0:
            step = self._step_back(step, gap)
        elif step > self._rate * gap + self._slack or raw >= self._former:
            self._former = FOREVER_NS
            self._break(JUMP)
        self.raw, self.ns = raw, ns
        if step:
            self._move_on(step, ns)
        elif ns - self._moved_ns >= self._stall_ns:
            self.freeze((ns - self._moved_ns) / 1e9)
            self._moved_ns = ns
        elif 4 * (ns - self._moved_ns) >= self._stall_ns:
            self._stood = True  # five ticks: not yet frozen, but the next step may hold more than its time
        return None

    def freeze(self, seconds: float) -> Unavailable:
        """Break here, and at the step that ends the standstill."""
        self._stood = True
        return self._break(standstill(seconds))

    def _move_on(self, step: int, ns: int) -> None:
        if self._stood:  # the first step of a counter that had frozen holds what it missed
            self._stood = False
            self._break(standstill((ns - self._moved_ns) / 1e9))
        self.total += step
        self._moved_ns = ns

    def _step_back(self, step: int, gap: int) -> int:
        wrapped = step + self._modulus if self._modulus else -1
        if 0 <= wrapped <= self._rate * gap + self._slack:
            return wrapped
        self._former = self.raw
        self._break(BACKWARDS)
        return 0

    def _break(self, problem: Unavailable) -> Unavailable:
        self.breaks += 1
        self.reason = problem
        return problem


class GaugeTrack:
    """Integrates a gauge over its sensor's own timestamps: trapezoids for instantaneous values, steps for means."""

    __slots__ = (
        "_lost",
        "_mean",
        "_scale",
        "breaks",
        "domain",
        "ns",
        "raw",
        "reason",
        "samples",
        "squares",
        "sum",
        "total",
        "value",
    )

    def __init__(self, domain: Domain) -> None:
        self.domain = domain
        self.ns, self.total, self.breaks, self.raw, self.value = 0, 0.0, 0, -1, 0.0
        self.samples, self.sum, self.squares = 0, 0.0, 0.0
        self.reason = Unavailable(reason="no reading yet", remedy="measure again")
        self._scale, self._mean = domain.scale, domain.averaging > 0
        self._lost: Unavailable | None = None

    def edge(self, reading: Reading) -> Edge:
        """Move on to a reading and mark it."""
        problem = self.move(reading)
        return problem or Mark(self.ns, self.total, self.breaks, self.samples, self.sum, self.squares)

    def move(self, reading: Reading) -> Unavailable | None:
        """Integrate from the last good reading to this one."""
        ns, raw = reading
        if isinstance(raw, Unavailable):
            self._lost = raw
            return raw
        if self._lost:
            self.breaks += 1  # between two values there is one that nobody saw
            self.reason, self._lost = self._lost, None
        value = raw * self._scale
        if self.ns and ns > self.ns:
            level = value if self._mean else (self.value + value) / 2
            self.total += level * (ns - self.ns) / 1e9
        if ns > self.ns:
            self.samples += 1
            self.sum += value
            self.squares += value * value
            self.ns, self.value, self.raw = ns, value, raw
        return None

    def freeze(self, seconds: float) -> Unavailable:
        """A gauge may stand as long as its load does; only counters are waited for."""
        return standstill(seconds)


Track: TypeAlias = CounterTrack | GaugeTrack


def make_track(domain: Domain) -> Track:
    """The track that fits a domain's kind."""
    return CounterTrack(domain) if domain.kind == "counter" else GaugeTrack(domain)


def standstill(seconds: float) -> Unavailable:
    """A counter that should have moved."""
    return Unavailable(reason=f"its counter stood still for {seconds:.3g} s", remedy="check the driver; measure again")


def stall_ns(domain: Domain) -> int:
    """How long a counter may stand still before it counts as frozen; for ever where nothing need move."""
    if domain.quantity != "joules" or not domain.additive or domain.tick is None:
        return FOREVER_NS
    return int(max(STALL_TICKS * domain.tick, SHORTEST_STALL_SECONDS) * 1e9)


def poll_seconds(domain: Domain) -> float:
    """How often the background thread must read a domain for its totals to be right.

    A quarter of the time in which the counter could wrap at most (twice as often as Nyquist asks), ten times a
    second for a gauge, every 30 s for a counter that never wraps.
    """
    if domain.kind == "gauge" and domain.quantity == "joules":
        return max(domain.tick or 0.1, 0.1) if domain.averaging else min(max(domain.tick or 0.1, 0.02), 0.1)
    if domain.modulus and domain.max_rate:
        return min(max(0.25 * domain.modulus * domain.scale / domain.max_rate, 0.005), 30.0)
    return 30.0
