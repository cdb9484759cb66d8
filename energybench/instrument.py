"""The measuring side of a measurement in two processes: probes, windows, protocol and record are this process's.

`energybench.marking` starts it as `python -m energybench.instrument DESCRIPTOR`, with one end of a socket pair. So the
instrument stays the same whatever version of energybench is measured, and sampling is not in what is measured.
"""

import os
import socket
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from energybench import cpu_time, host, lock, protocol, results
from energybench.boundary import describe
from energybench.distributed.channel import Channel, ChannelError
from energybench.meter import Meter, open_meter
from energybench.model import Modelled, Parameter
from energybench.preflight import measures_joules, preflight
from energybench.probes import operators
from energybench.record import Record, parse
from energybench.settings import Settings, Value
from energybench.store import Store
from energybench.terminal import say

HELLO_SECONDS = 60.0
TRACE_HZ = 20.0
HELD_BY = "ENERGYBENCH_HELD_BY"
"""The process that holds the machine's lock for all that it starts."""

FORCE = "ENERGYBENCH_FORCE"
"""Set to 1 to measure on a machine that is not quiet, or whose canary is outside its history."""


class WorkError(RuntimeError):
    """What was to be measured raised an error; the message is its own."""


class SkippedError(RuntimeError):
    """What was to be measured cannot run here, and says so."""


class Away:
    """A task in the process at the other end of a channel.

    Attributes:
        samples: of a step.
        definition: what it says that it does.
        file_bytes: the size of its deployed model, where there is one.
        judged: over how many samples its accuracy is.
        gaps: whether its steps may be held apart.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        told = self._ask("prepare")
        self.samples: int = told["samples"]
        self.definition: Mapping[str, object] = told["definition"]
        self.file_bytes: int | None = told["file_bytes"]
        self.judged: int | None = told["judged"]
        self.gaps: bool = told["gaps"]
        self._offers: list[str] = told["offers"]
        for pid in told["processes"]:
            cpu_time.follow(pid)

    def step(self) -> None:
        """One step."""
        self._ask("steps", 1, 0.0)

    def run_steps(self, count: int, gap: float) -> float:
        """So many steps with a rest after each; the seconds rested."""
        return float(self._ask("steps", count, gap))

    def block(self, seconds: float, *, least: int, longest: float) -> list[float]:
        """Seconds of each step of a block."""
        return [float(one) for one in self._ask("block", seconds, least, longest)]

    def evaluate(self) -> Mapping[str, float]:
        """Quality."""
        return dict(self._ask("evaluate"))

    def details(self) -> Mapping[str, object]:
        """What it tells beside."""
        return dict(self._ask("details")) if "details" in self._offers else {}

    def modelled(self) -> Mapping[str, Modelled]:
        """What it computes by a model."""
        return {name: Modelled(**one) for name, one in self._ask("modelled").items()} if self._models else {}

    @property
    def _models(self) -> bool:
        return "modelled" in self._offers

    def counts(self) -> list[Mapping[str, Any]]:
        """What a step computes and moves."""
        return list(self._ask("counts"))

    def close(self) -> None:
        """The other side lets go by itself when this one ends."""

    def _ask(self, call: str, *arguments: object) -> Any:
        self._channel.send({"call": call, "with": arguments})
        answer = self._channel.receive()
        assert answer is not None
        if "skipped" in answer:
            raise SkippedError(answer["skipped"])
        if "raised" in answer:
            raise WorkError(answer["raised"])
        return answer["given"]


class Remote:
    """The workload whose task is at the other end."""

    summary = "what another process runs"
    parameters: Mapping[str, Parameter] = {}

    def __init__(self, channel: Channel, *, name: str, version: int) -> None:
        self.channel, self.name, self.version = channel, name, version

    def prepare(self, parameters: Mapping[str, Value], *, seed: int, quick: bool) -> Away:  # noqa: ARG002
        """Have the other side prepare it, which knows its parameters, seed and size itself."""
        return Away(self.channel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """The one point that is measured."""

    workload: Remote
    parameters: Mapping[str, Value]


def main(arguments: list[str]) -> int:
    """Measure what the other end of the given socket asks for, and tell it."""
    with closing(Channel(socket.socket(fileno=int(arguments[0])))) as channel:
        try:
            channel.send(_answer(channel))
        except ChannelError as error:
            print(f"energybench: what was measured is gone: {error}", file=sys.stderr)  # noqa: T201
            return 1
    return 0


def _answer(channel: Channel) -> dict[str, Any]:
    """What the other side is told at the end."""
    try:
        asked = channel.receive(HELLO_SECONDS)
        return {"told": _measured(channel, asked)} if asked else {"failed": "nothing was asked for in time"}
    except ChannelError:
        raise
    except SkippedError as reason:
        return {"skipped": str(reason)}
    except WorkError as error:
        # Whose work it is has shown where it failed.
        return {"failed": str(error)}
    except Exception as error:
        traceback.print_exc()
        return {"failed": describe(error)}


def _measured(channel: Channel, asked: Mapping[str, Any]) -> dict[str, Any]:
    workload = Remote(channel, **asked["workload"])
    point = Point(workload=workload, parameters=asked["parameters"])
    settings = _settings(asked)
    store = Store(host.machine_id(), root=Path(asked["records"]))
    cpu_time.follow(asked["pid"])
    with _alone(_said(asked)) as held_by_us, closing(open_meter()) as meter:
        if held_by_us:
            _look(meter, store.folder.parent)
        outcome = protocol.run(
            [point],
            meter=meter,
            store=store,
            settings=settings,
            machine=_machine(meter, asked["machine"]),
            counting=operators,
        )
    if outcome.failures:
        raise outcome.failures[0].error
    record, path = outcome.records[0], outcome.paths[0]
    if asked["tags"]:
        record = parse({**record.to_json(), **asked["tags"]})
        path = store.write(record)
    return {"metrics": samples(record), "record": str(path)}


@contextmanager
def _alone(command: list[str]) -> Iterator[bool]:
    """Hold the machine, unless who started all this holds it already; whether it is we that do."""
    holder = lock.holder() or {}
    if str(holder.get("pid")) == os.environ.get(HELD_BY):
        yield False
        return
    with lock.measuring(command=command, wait=lock.patience(), tell=say):
        yield True


def _look(meter: Meter, records: Path) -> None:
    """Refuse a machine that is not fit to be measured on; where nothing is measured, it is only told."""
    preflight(meter, folder=records, force=is_forced() or not measures_joules(meter))


def is_forced(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether a machine is measured on as it is."""
    return environ.get(FORCE, "0") not in ("", "0")


def _settings(asked: Mapping[str, Any]) -> Settings:
    make: Callable[..., Settings] = Settings.quickly if asked["quick"] else Settings
    return make(**{"seed": asked["seed"], "trace_hz": TRACE_HZ, **asked["settings"]})


def _machine(meter: Meter, told: Mapping[str, Any]) -> dict[str, Any]:
    """This machine, with the software of the process that does the work."""
    return {**host.fingerprint(state=meter.state()), **told}


def _said(asked: Mapping[str, Any]) -> list[str]:
    """What a run that has to wait is told about this one."""
    return [asked["workload"]["name"], *(f"{name}={value}" for name, value in asked["parameters"].items())]


def samples(record: Record) -> dict[str, list[float]]:
    """The samples of each result: one a window where there are such, else the value."""
    plain: dict[str, list[float]] = {name: [one.value] for name, one in record.results.items()}
    return plain | results.by_window(record)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main(sys.argv[1:]))
