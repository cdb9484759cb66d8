"""The measuring side of a suite: a child imports it, and says when its windows begin and end (`serving.py`)."""

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from energybench import cpu_time
from energybench.measurement import Measurement
from energybench.meter import Meter
from energybench.suites.place import Suite, SuiteError
from energybench.suites.talking import GoneError, Talk, kill

IMPORT_SECONDS = 600.0
GRACE_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """A `time_*` of a suite, as asv describes it.

    Attributes:
        cache: what tells a setup_cache from others; None where there is none.
    """

    name: str
    params: Sequence[Sequence[str]]
    param_names: Sequence[str]
    version: str
    code: str
    pretty_name: str | None = None
    timeout: float | None = None
    setup_cache_timeout: float | None = None
    cache: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a suite has, and what of it could not be imported or made (`name`, `reason`)."""

    benchmarks: Sequence[Benchmark]
    broken: Sequence[Mapping[str, str]]
    python: str
    packages: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A window, or a part of one: `part` is `call`, or `setup` for what is to be taken off."""

    window: int
    part: str
    calls: int
    measurement: Measurement


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What became of a benchmark: `ok`, `skipped`, `failed`, `timeout` or `crashed`, and why.

    Attributes:
        mode: how it was called.
        number: calls of a sample as the suite says; 0 where it leaves that to asv.
        note: why it is called in this way.
    """

    status: str
    reason: str = ""
    mode: str = ""
    number: int = 0
    note: str = ""
    pieces: Sequence[Piece] = ()


class Served:
    """A suite in a Python of its own; where a benchmark ends that, another one is begun.

    Args:
        suite: which.
        scratch: a folder for what it leaves; who gives it takes it away.
        python: what runs it.
        align: let windows begin and end at ticks of the counters.
    """

    def __init__(self, suite: Suite, scratch: Path, *, python: str = sys.executable, align: bool = False) -> None:
        self._suite, self._scratch, self._align = suite, scratch, align
        # Not resolved: an environment's Python is a link, and knows by its own name where it is.
        program = str(Path(python).absolute()) if os.sep in python else python
        self._command = [program, str(Path(__file__).with_name("serving.py")), str(suite.root), str(scratch), _runner()]
        self._talk = Talk(self._command, scratch)
        self._running = 0
        self._caches: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def find(self) -> Found:
        """Import the suite, and say what it has."""
        try:
            message = self._talk.hear(IMPORT_SECONDS)
        except GoneError as error:
            raise SuiteError(
                f"{self._suite.root}: the Python that imported the suite has ended ({error}); "
                "import the suite's modules by hand to see why, or give another Python with --python"
            ) from error
        if message is None:
            raise SuiteError(f"{self._suite.root}: its modules were not imported within {IMPORT_SECONDS:g} s")
        return Found(
            benchmarks=[Benchmark(**one) for one in message["found"]],
            broken=message["broken"],
            python=message["python"],
            packages=message["packages"],
        )

    def measure(self, benchmark: Benchmark, index: int, *, meter: Meter, asked: Mapping[str, float]) -> Ran:
        """Measure a benchmark at one combination of its parameters, its setup_cache before it where that is new.

        Args:
            benchmark: one that was found.
            index: of the combination, in the order of `itertools.product`.
            meter: what its windows are read with.
            asked: `windows`, `seconds`, `lead` and `piece`, as `serving.py` says.
        """
        timeout = benchmark.timeout or self._suite.timeout
        if benchmark.cache is not None and benchmark.cache not in self._caches:
            limit = benchmark.setup_cache_timeout or timeout
            made = self._converse({"job": "cache", "name": benchmark.name}, limit, meter)
            self._caches[benchmark.cache] = "" if made.status == "ok" else made.reason
        if benchmark.cache is not None and (reason := self._caches[benchmark.cache]):
            return Ran(status="failed", reason=f"setup_cache: {reason}")
        # A benchmark is silent for as long as a window lasts, whatever its suite allows a call.
        silence = timeout + 2 * asked["seconds"]
        return self._converse({"job": "measure", "name": benchmark.name, "index": index, **asked}, silence, meter)

    def close(self) -> None:
        """End the child, and with it the benchmark that it may be waiting for."""
        self._talk.close()

    def _converse(self, job: Mapping[str, Any], timeout: float, meter: Meter) -> Ran:
        """Have a job done; where that ends the Python that imported the suite, go on with another one."""
        try:
            return self._measured(job, timeout, meter)
        except GoneError as error:
            try:
                self._begin_again()
            except SuiteError as lost:
                raise SuiteError(f"{job['name']} ended the Python that had imported the suite; {lost}") from error
            return Ran(status="crashed", reason=f"the Python that had imported the suite ended with it ({error})")

    def _begin_again(self) -> None:
        """Import the suite anew; caches are made again."""
        if self._running:
            kill(self._running)
        self._talk.close()
        self._running = 0
        self._caches.clear()
        self._talk = Talk(self._command, self._scratch)
        self.find()

    def _measured(self, job: Mapping[str, Any], timeout: float, meter: Meter) -> Ran:
        """Have a job done, and measure its windows until its process has ended."""
        self._talk.say(job)
        pieces: list[Piece] = []
        done: dict[str, Any] = {}
        window: Measurement | None = None
        try:
            while "ended" not in (message := self._next(timeout, done)):
                last, window = window, None
                if last:
                    # One that ends in anything but `close` is of a call that raised.
                    last.end()
                if last and "close" in message:
                    # One clock for both: the body is what its own process says that it was.
                    last.begin_ns, last.end_ns = message.pop("close")
                    pieces.append(Piece(measurement=last, **message))
                    self._talk.say({"heard": True})
                elif "started" in message:
                    self._running = message["started"]
                    cpu_time.follow(self._running)
                elif "open" in message:
                    cpu_time.follow(message["pid"])
                    window = meter.window(align=self._align).begin()
                    self._talk.say({"heard": True})
                elif "done" in message:
                    done |= done or message["done"]
        finally:
            if window:
                window.end()
        self._running = 0
        with cpu_time.reaping():
            pass  # the server has waited for it
        return _ran(done or _crashed(message), pieces)

    def _next(self, timeout: float, done: dict[str, Any]) -> dict[str, Any]:
        """The next message. Who says nothing in time is ended, and `done` tells so."""
        message = self._talk.hear(GRACE_SECONDS if done else timeout)
        if message is None:
            if self._running:
                kill(self._running)
            else:
                self._talk.kill()
            done |= {} if done else {"status": "timeout", "reason": f"it said nothing for {timeout:g} s, its timeout"}
            message = self._talk.hear(GRACE_SECONDS)
        if message is None:
            raise self._talk.kill()
        return message


def _ran(done: Mapping[str, Any], pieces: Sequence[Piece]) -> Ran:
    return Ran(**done, pieces=tuple(pieces) if done["status"] == "ok" else ())


def _crashed(ended: Mapping[str, Any]) -> dict[str, Any]:
    """What the end of a process that said nothing tells."""
    code = os.waitstatus_to_exitcode(ended["ended"])
    how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    words = ended["noise"].strip().splitlines()
    return {"status": "crashed", "reason": f"its process ended by {how}" + (f": {words[-1]}" if words else "")}


def _runner() -> str:
    """The folder of our asv_runner, for a Python that has none."""
    import asv_runner

    return str(Path(asv_runner.__file__).parent)
