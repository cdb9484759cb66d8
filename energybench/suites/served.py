"""The measuring side of a suite: a child imports it, and says when its windows begin and end (`serving.py`)."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from energybench import cpu_time
from energybench.measurement import Measurement
from energybench.meter import Meter
from energybench.suites.place import Suite, SuiteError

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
    """A suite in a Python of its own.

    Args:
        suite: which.
        scratch: a folder for what it leaves; who gives it takes it away.
        python: what runs it.
        align: let windows begin and end at ticks of the counters.
    """

    def __init__(self, suite: Suite, scratch: Path, *, python: str = sys.executable, align: bool = False) -> None:
        self._suite, self._align = suite, align
        self._noise = scratch / "noise"
        # Not resolved: an environment's Python is a link, and knows by its own name where it is.
        program = str(Path(python).absolute()) if os.sep in python else python
        command = [program, str(Path(__file__).with_name("serving.py")), str(suite.root), str(scratch), _runner()]
        try:
            with self._noise.open("wb") as noise:
                self._child = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=noise,
                    cwd=scratch,
                    start_new_session=True,
                )
        except OSError as error:
            raise SuiteError(f"{python} cannot be run ({error.strerror}); give a Python with --python") from error
        self._heard, self._running = b"", 0
        self._caches: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def find(self) -> Found:
        """Import the suite, and say what it has."""
        message = self._hear(IMPORT_SECONDS)
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
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        with contextlib.suppress(OSError):
            self._child.stdin.close()
        with contextlib.suppress(ProcessLookupError):
            self._child.terminate()
        with cpu_time.reaping():
            try:
                self._child.wait(5)
            except subprocess.TimeoutExpired:
                _kill(self._child.pid)
                self._child.wait()
        self._child.stdout.close()

    def _converse(self, job: Mapping[str, Any], timeout: float, meter: Meter) -> Ran:
        """Have a job done, and measure its windows until its process has ended."""
        self._say(job)
        pieces: list[Piece] = []
        done: dict[str, Any] = {}
        window: Measurement | None = None
        while "ended" not in (message := self._next(timeout, done)):
            if window:
                # One that ends in anything but `close` is of a call that raised.
                window.end()
            if window and "close" in message:
                # One clock for both: the body is what its own process says that it was.
                window.begin_ns, window.end_ns = message.pop("close")
                pieces.append(Piece(measurement=window, **message))
                self._say({"heard": True})
            window = None
            if "started" in message:
                self._running = message["started"]
                cpu_time.follow(self._running)
            elif "open" in message:
                cpu_time.follow(message["pid"])
                window = meter.window(align=self._align).begin()
                self._say({"heard": True})
            elif "done" in message:
                done |= done or message["done"]
        if window:
            window.end()
        self._running = 0
        with cpu_time.reaping():
            pass  # the server has waited for it
        return _ran(done or _crashed(message), pieces)

    def _next(self, timeout: float, done: dict[str, Any]) -> dict[str, Any]:
        """The next message. Who says nothing in time is ended, and `done` tells so."""
        message = self._hear(GRACE_SECONDS if done else timeout)
        if message is None:
            _kill(self._running or self._child.pid)
            done |= {} if done else {"status": "timeout", "reason": f"it said nothing for {timeout:g} s, its timeout"}
            message = self._hear(GRACE_SECONDS)
        if message is None:
            _kill(self._child.pid)
            raise self._gone()
        return message

    def _say(self, message: Mapping[str, Any]) -> None:
        assert self._child.stdin is not None
        try:
            self._child.stdin.write(json.dumps(message).encode() + b"\n")
            self._child.stdin.flush()
        except OSError as error:
            raise self._gone() from error

    def _hear(self, timeout: float) -> dict[str, Any] | None:
        """The next message; None where there is none within the timeout."""
        assert self._child.stdout is not None
        descriptor, end = self._child.stdout.fileno(), time.monotonic() + timeout
        while b"\n" not in self._heard:
            if not select.select([descriptor], [], [], max(0.0, end - time.monotonic()))[0]:
                return None
            more = os.read(descriptor, 1 << 16)
            if not more:
                raise self._gone()
            self._heard += more
        text, _, self._heard = self._heard.partition(b"\n")
        message: dict[str, Any] = json.loads(text)
        return message

    def _gone(self) -> SuiteError:
        words = self._noise.read_text(errors="replace").strip().splitlines()
        said = words[-1] if words else "it said nothing"
        return SuiteError(
            f"{self._suite.root}: the Python that imported the suite has ended ({said}); "
            "import the suite's modules by hand to see why, or give another Python with --python"
        )


def _ran(done: Mapping[str, Any], pieces: Sequence[Piece]) -> Ran:
    return Ran(**done, pieces=tuple(pieces) if done["status"] == "ok" else ())


def _crashed(ended: Mapping[str, Any]) -> dict[str, Any]:
    """What the end of a process that said nothing tells."""
    code = os.waitstatus_to_exitcode(ended["ended"])
    how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    words = ended["noise"].strip().splitlines()
    return {"status": "crashed", "reason": f"its process ended by {how}" + (f": {words[-1]}" if words else "")}


def _kill(pid: int) -> None:
    """End a process and its group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)


def _runner() -> str:
    """The folder of our asv_runner, for a Python that has none."""
    import asv_runner

    return str(Path(asv_runner.__file__).parent)
