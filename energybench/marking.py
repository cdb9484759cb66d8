"""The measured side of a measurement in two processes: it does the work, and marks nothing but its own steps.

The other side, `energybench.instrument`, reads the counters, chooses the windows and writes the record. What is
measured may be another version of energybench than what measures, or have none of its own beside this file: it needs
nothing but Python.
"""

import contextlib
import json
import os
import platform
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

PYTHON = "ENERGYBENCH_PYTHON"
"""The Python that runs the instrument; by default that of the checkout's .venv, else the one that runs the work."""
PACKAGES = ("torch", "numpy", "numba", "scikit-learn")
SETTINGS = "ENERGYBENCH_MARKED_SETTINGS"
"""JSON of settings of the protocol that go before those of the work."""
TAGS = "ENERGYBENCH_MARKED_TAGS"
"""JSON of keys that the record is given: which round of which session it is of."""
LONGEST_ERROR = 2000


class MeasuringError(RuntimeError):
    """What was to be measured failed, or could not be; the message says why."""


class Work(Protocol):
    """A `energybench.model.Task`: made ready, with a step that is measured; `details`, `modelled` … may be there."""

    samples: int
    definition: Mapping[str, object]
    file_bytes: int | None

    def step(self) -> None:
        """One unit of work."""
        ...

    def evaluate(self) -> Mapping[str, float]:
        """Quality, after the windows."""
        ...

    def close(self) -> None:
        """Give back what was held."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the instrument is asked to measure, and how.

    Attributes:
        workload: its `name` and `version`.
        parameters: the point.
        seed: of the work's random numbers.
        quick: short windows, as `energybench run --quick` has them.
        settings: of the protocol (`energybench.settings.Settings`), over those.
        records: the folder of all machines' records.
    """

    workload: Mapping[str, Any]
    parameters: Mapping[str, Any]
    seed: int = 0
    quick: bool = True
    settings: Mapping[str, Any] = field(default_factory=dict)
    records: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the instrument measured: samples by metric, and the file of the record."""

    metrics: Mapping[str, list[float]]
    record: str


class Calls:
    """A function as work: a call is a step and a sample."""

    samples = 1
    file_bytes: int | None = None

    def __init__(self, call: Callable[[], object], version: str) -> None:
        self._call = call
        self.definition: Mapping[str, object] = {"task": "calls of a function", "version": version}

    def __call__(self) -> "Calls":
        """It is ready as it is."""
        return self

    def step(self) -> None:
        """One call."""
        self._call()

    def evaluate(self) -> Mapping[str, float]:
        """A call has no quality."""
        return {}

    def close(self) -> None:
        """Nothing is held."""


def measure(prepare: Callable[[], Work], asked: Asked) -> Told:
    """Start the instrument, do what it asks for, and give what it measured.

    Args:
        prepare: makes the work ready; called when the instrument is.
        asked: what is measured.

    Raises:
        MeasuringError: the work or the instrument failed.
        NotImplementedError: the work is skipped here; the message is its own.
    """
    ours, theirs = socket.socketpair()
    with ours, theirs:
        instrument = subprocess.Popen(
            [_python(), "-P", "-m", "energybench.instrument", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
        )
        theirs.close()
        served = _Served(prepare, instrument.pid)
        try:
            return _converse(ours, served, asked)
        finally:
            served.close()
            ours.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                instrument.wait(10)
            instrument.kill()
            instrument.wait()


def _converse(connection: socket.socket, served: "_Served", asked: Asked) -> Told:
    lines = connection.makefile("r", encoding="utf-8")

    def send(message: Mapping[str, Any]) -> None:
        connection.sendall(json.dumps(message).encode() + b"\n")

    try:
        given = {"settings": {**asked.settings, **_json(SETTINGS)}, "tags": _json(TAGS)}
        told = {"records": str(asked.records), "machine": _machine(), "pid": os.getpid()}
        send({**asdict(asked), **given, **told})
        for line in lines:
            message = json.loads(line)
            if "call" in message:
                send(served.answer(message))
            elif "told" in message:
                return Told(**message["told"])
            elif "skipped" in message:
                raise NotImplementedError(message["skipped"])
            else:
                raise MeasuringError(message["failed"])
    except OSError as error:
        raise MeasuringError(f"the instrument is gone ({error}); what it said last is above") from error
    raise MeasuringError("the instrument ended without a word; what it said last is above")


class _Served:
    """What the instrument may call."""

    def __init__(self, prepare: Callable[[], Work], instrument: int) -> None:
        self._prepare, self._instrument = prepare, instrument
        self._work: Any = None

    def answer(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Do what is asked; an error is an answer."""
        calls: dict[str, Callable[..., Any]] = {
            "prepare": self._ready,
            "steps": self._steps,
            "block": self._block,
            "evaluate": lambda: dict(self._work.evaluate()),
            "details": lambda: dict(self._work.details()),
            "modelled": lambda: {name: asdict(one) for name, one in self._work.modelled().items()},
            "counts": self._counts,
        }
        try:
            return {"given": calls[message["call"]](*message.get("with", ()))}
        except NotImplementedError as error:
            return {"skipped": str(error) or "not implemented"}
        except (Exception, SystemExit) as error:
            traceback.print_exc()
            return {"raised": f"{_place(error)}{type(error).__name__}: {error}"[:LONGEST_ERROR]}

    def close(self) -> None:
        """Let the work go."""
        if self._work is not None:
            with contextlib.suppress(Exception, SystemExit):
                self._work.close()

    def _ready(self) -> dict[str, Any]:
        work = self._work = self._prepare()
        return {
            "samples": work.samples,
            "definition": json.loads(json.dumps(dict(work.definition))),
            "file_bytes": work.file_bytes,
            "judged": getattr(work, "judged", None),
            "gaps": getattr(work, "gaps", True),
            "offers": [name for name in ("details", "modelled") if hasattr(work, name)],
            "processes": _descendants(os.getpid(), but=self._instrument),
        }

    def _steps(self, count: int, gap: float) -> float:
        """Run steps with a rest after each; the seconds rested."""
        step, rested = self._work.step, 0
        if not gap:
            for _ in range(count):
                step()
            return 0.0
        for _ in range(count):
            step()
            done = time.perf_counter_ns()
            time.sleep(gap)
            rested += time.perf_counter_ns() - done
        return rested / 1e9

    def _block(self, seconds: float, least: int, longest: float) -> list[float]:
        """Seconds of each step: of at least so many, for as long as this lasts, but not for `longest`."""
        durations: list[float] = []
        begin = last = time.perf_counter_ns()
        while (last - begin) / 1e9 < seconds or len(durations) < least:
            self._work.step()
            now = time.perf_counter_ns()
            durations.append((now - last) / 1e9)
            last = now
            if (last - begin) / 1e9 > longest:
                break
        return durations

    def _counts(self) -> list[dict[str, Any]]:
        """What a step computes and moves; nothing where torch, whose operators are counted, is not there."""
        if hasattr(self._work, "counts"):
            return [dict(one) for one in self._work.counts()]
        if "torch" not in sys.modules:
            return []
        from energybench.probes import operators

        return [asdict(operators.typical(self._work.step))]


def _python() -> str:
    """Who runs the instrument: the checkout that this file is in, where it has an environment of its own."""
    own = Path(__file__).resolve().parents[1] / ".venv" / "bin" / "python"
    return os.environ.get(PYTHON) or (str(own) if own.exists() else sys.executable)


def _environment() -> dict[str, str]:
    """The instrument is the energybench that this file belongs to, whatever else is installed."""
    return {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}


def _machine() -> dict[str, Any]:
    """What the record tells of the software that does the work."""
    commit = os.environ.get("ASV_COMMIT")
    return {
        "python": platform.python_version(),
        "packages": dict(_versions(PACKAGES)),
        **({"git": {"commit": commit, "dirty": False}} if commit else {}),
    }


def _json(variable: str) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(os.environ.get(variable) or "{}")
    return values


def _versions(names: Sequence[str]) -> list[tuple[str, str]]:
    found = []
    for name in names:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found.append((name, metadata.version(name)))
    return found


def _descendants(pid: int, *, but: int) -> list[int]:
    """The processes that this one and its children have started, the instrument and its own left out."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError):
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    found, more = [], [pid]
    while more:
        more = [child for child, parent in parents.items() if parent in more and child != but]
        found += more
    return found


def _place(error: BaseException) -> str:
    """File and line that the error came from."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].filename}, line {frames[-1].lineno}: " if frames else ""
