"""One window: what was used between two moments, domain by domain, with its uncertainty and provenance."""

import dataclasses
import functools
import inspect
from collections import deque
from collections.abc import Callable, Mapping
from math import floor, log10
from types import TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar

from energybench.model import Domain, Energy, Estimate, Total, Traffic, Unavailable
from energybench.totals import cross_checked, moved, total, traffic
from energybench.tracks import Edge
from energybench.uncertainty import COVERAGE, energy

if TYPE_CHECKING:
    from energybench.meter import Meter

P = ParamSpec("P")
R = TypeVar("R")
SCHEMA = 1
KEPT_MEASUREMENTS = 1000


class Measurement:
    """A window over a meter; `with`, `begin()` and `end()`, or a decorator.

    After its end it has `seconds`, `domains`, `total`, `traffic` and `estimated`. As a decorator it opens a window
    of its own for each call; the decorated function keeps the last 1,000 in its attribute `measurements`.
    """

    def __init__(self, meter: "Meter", *, align: bool = False, trace_hz: float | None = None) -> None:
        self._meter, self._align, self._trace_hz = meter, align, trace_hz
        self._before: list[Edge] | None = None
        self._after: list[Edge] | None = None
        self._gaps: list[list[float | None]] = []
        self.begin_ns = self.end_ns = 0

    def __str__(self) -> str:
        """`1.04 s, 70.59 ± 0.03 J measured`: the seconds and the total at k=2, or the estimate with its interval."""
        if self._after is None:
            return "a window that is still open"
        if self.total:
            joules, half = self.total.joules, COVERAGE * self.total.standard_uncertainty
            return (
                f"{self.seconds:.3g} s, {joules:.{_digits(half)}f} ± {half:.{_digits(half)}f} J {self.total.provenance}"
            )
        if self.estimated:
            return f"{self.seconds:.3g} s, {self.estimated.low:.3g} to {self.estimated.high:.3g} J estimated"
        return f"{self.seconds:.3g} s, no energy: " + "; ".join(
            f"{name}: {part.reason}" for name, part in self.domains.items() if isinstance(part, Unavailable)
        )

    def begin(self) -> Self:
        """Open the window."""
        if self._before is not None:
            raise RuntimeError("this window was begun already; open another one with energybench.measure()")
        self._meter.enter(self._trace_hz)
        try:
            if self._align:
                self._before, gaps = self._meter.aligned_edges(last=True)
            else:
                self._before, gaps = self._meter.opening_edges()
            self._gaps.append(gaps)
        except BaseException:
            self._meter.leave(self._trace_hz)
            raise
        self.begin_ns = self._meter.clock()
        return self

    def end(self) -> Self:
        """Close the window."""
        if self._before is None or self._after is not None:
            raise RuntimeError("this window is not open: call begin() first, and end() once")
        self.end_ns = self._meter.clock()
        try:
            if self._align:
                self._after, gaps = self._meter.aligned_edges(last=False)
            else:
                self._after, gaps = self._meter.closing_edges((self.end_ns - self.begin_ns) / 1e9)
        except BaseException:  # Ctrl-C while waiting for a tick: what was measured is kept
            self._after = self._meter.edges()
            gaps = [None] * len(self._after)
            raise
        finally:
            self._gaps.append(gaps)
            self._meter.leave(self._trace_hz)
        return self

    def __enter__(self) -> Self:
        return self.begin()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Measure each call of a function, coroutine functions included."""
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(
                f"{function.__qualname__} is a generator: put `with energybench.measure():` around its loop"
            )
        kept: deque[Measurement] = deque(maxlen=KEPT_MEASUREMENTS)

        def fresh() -> Measurement:
            window = Measurement(self._meter, align=self._align, trace_hz=self._trace_hz)
            kept.append(window)
            return window

        @functools.wraps(function)
        async def measured_coroutine(*args: P.args, **kwargs: P.kwargs) -> Any:
            with fresh():
                return await function(*args, **kwargs)  # type: ignore[misc]

        @functools.wraps(function)
        def measured(*args: P.args, **kwargs: P.kwargs) -> R:
            with fresh():
                return function(*args, **kwargs)

        wrapper: Any = measured_coroutine if inspect.iscoroutinefunction(function) else measured
        wrapper.measurements = kept
        return wrapper  # type: ignore[no-any-return]

    @property
    def seconds(self) -> float:
        """How long the body took."""
        self._ended()
        return (self.end_ns - self.begin_ns) / 1e9

    @functools.cached_property
    def domains(self) -> Mapping[str, Energy | Unavailable]:
        """Joules of each domain, or why there are none; parts that could not be read are in it, never as 0."""
        energies = dict(self._energies)
        lost = {name: part for name, part in self._moved.items() if isinstance(part, Unavailable)}
        readable = self._meter.readable
        return {name: e for name, e in energies.items() if name not in readable or _shown(readable[name])} | lost

    @functools.cached_property
    def total(self) -> Total | None:
        """Joules over a disjoint cut of the domains; None where nothing of it was measured."""
        return total(self._meter.domains, self._energies)

    @property
    def traffic(self) -> Mapping[str, float]:
        """Bytes by kind, as far as they were counted: `dram_bytes`, `operand_bytes`, `wire_bytes` and the like."""
        return {kind: part.bytes for kind, part in self.traffic_detail.items()}

    @functools.cached_property
    def traffic_detail(self) -> Mapping[str, Traffic]:
        """The same with uncertainty, provenance and domains."""
        return traffic(self._meter.readable, self._moved)

    @functools.cached_property
    def estimated(self) -> Estimate | None:
        """Joules by a power model, only where there is no total."""
        estimator = self._meter.probes.get("estimate")
        guess = self._energies.get("node.estimate")
        if self.total or not isinstance(guess, Energy):
            return None
        interval: Callable[[float], Estimate] = estimator.interval  # type: ignore[union-attr]
        return interval(guess.joules)

    @property
    def trace(self) -> list[tuple[float, str, float]]:
        """Seconds into the window, domain and watts, where `trace_hz` asked for it."""
        self._ended()
        return self._meter.samples(self.begin_ns, self.end_ns) if self._trace_hz else []

    @property
    def flags(self) -> tuple[str, ...]:
        """Every flag that one of the domains carries."""
        return tuple(dict.fromkeys(flag for e in self.domains.values() if isinstance(e, Energy) for flag in e.flags))

    @property
    def exclusive(self) -> bool:
        """Whether nobody else's work is in the total."""
        covered = self.total.domains if self.total else ()
        return bool(covered) and all(self._meter.readable[name].exclusive for name in covered)

    def to_json(self) -> dict[str, Any]:
        """Plain values under the names that programs rely on; what was not measured is absent."""
        out: dict[str, Any] = {"schema": SCHEMA, "seconds": self.seconds, "exclusive": self.exclusive}
        if self.total:
            out["total"] = _plain(self.total)
        if self.estimated:
            out["estimated"] = _plain(self.estimated)
        out["traffic"] = dict(self.traffic)
        out["traffic_detail"] = {kind: _plain(part) for kind, part in self.traffic_detail.items()}
        out["domains"] = {name: _domain_json(part) for name, part in self.domains.items()}
        return out

    @functools.cached_property
    def _energies(self) -> dict[str, Energy | Unavailable]:
        """Every energy domain in the meter's order, cross-checked."""
        before, after = self._edges()
        found: dict[str, Energy | Unavailable] = {}
        for index, track in enumerate(self._meter.tracks):
            domain = track.domain
            if not self._meter.chosen[index] or domain.quantity != "joules":
                continue
            gaps = (self._gaps[0][index], self._gaps[1][index])
            found[domain.name] = energy(track, before[index], after[index], seconds=self.seconds, gaps=gaps)
        absent = {name: d for name, d in self._meter.domains.items() if isinstance(d, Unavailable)}
        ordered = {name: (found | absent)[name] for name in self._meter.domains if name in found or name in absent}
        return cross_checked(self._meter.domains, ordered, self.seconds)

    @functools.cached_property
    def _moved(self) -> dict[str, Traffic | Unavailable]:
        before, after = self._edges()
        return {
            track.domain.name: moved(track, before[index], after[index])
            for index, track in enumerate(self._meter.tracks)
            if self._meter.chosen[index] and track.domain.quantity.endswith("_bytes")
        }

    def _edges(self) -> tuple[list[Edge], list[Edge]]:
        self._ended()
        assert self._before is not None
        assert self._after is not None
        return self._before, self._after

    def _ended(self) -> None:
        if self._after is None:
            raise RuntimeError("this window is still open: read its numbers after the `with` block, or after end()")


def _digits(half: float) -> int:
    """Decimals that show two digits of an uncertainty."""
    return max(0, 1 - floor(log10(half))) if half > 0 else 6


def _shown(domain: Domain) -> bool:
    """An estimate stands under `estimated` alone."""
    return domain.provenance != "estimated"


def _plain(value: Total | Estimate | Traffic) -> dict[str, Any]:
    fields = dataclasses.asdict(value)
    return {name: list(part) if isinstance(part, tuple) else part for name, part in fields.items()}


def _domain_json(part: Energy | Unavailable) -> dict[str, Any]:
    if isinstance(part, Unavailable):
        return {"unavailable": part.reason, "remedy": part.remedy}
    plain = dataclasses.asdict(part)
    return {**plain, "flags": list(part.flags)}
