"""The journal of a run that is not finished: every window, or training, is on disk as soon as it is measured.

One JSON line an event, synced; a line that a crash cut short is dropped when the run is taken up again.
Nothing of it is left when all records are written.
"""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError

from energybench.record import Count, Idle, NonNegative, Part, Window
from energybench.store import Store, StoreError, sync_folder, why

Line = dict[str, Any]


class _Run(Part):
    spec: str
    run: str


class _Rest(Idle):
    watts: dict[str, float]


class _Idle(Part):
    values: _Rest


class _Ready(Part):
    point: str
    steps: Annotated[int, Field(ge=1)]
    gap: NonNegative
    residual: NonNegative
    definition: dict[str, Any]


class _Window(Part):
    point: str
    round: Count
    values: Window


class _Pass(Window):
    training_pass: Count
    accuracy: float


class _Repeat(Part):
    point: str
    round: Count
    seed: int
    most_passes: Annotated[int, Field(ge=1)]
    elapsed_seconds: NonNegative
    windows: Annotated[list[_Pass], Field(min_length=1)]


class _Record(Part):
    point: str
    path: str


_EVENTS: dict[str, type[Part]] = {
    "run": _Run,
    "idle": _Idle,
    "ready": _Ready,
    "window": _Window,
    "repeat": _Repeat,
    "record": _Record,
}


class Journal:
    """Events of one run, in memory and in a file that follows them.

    Args:
        path: the file.
        fallback: the folder where it goes on when its own has no room any more.
        lines: what it holds already.
    """

    def __init__(self, path: Path, *, fallback: Path, lines: list[Line]) -> None:
        self.path, self._fallback, self.lines = path, fallback, lines
        self._descriptor = _rewritten(path, lines)

    @classmethod
    def start(cls, store: Store, spec: str, header: Mapping[str, Any]) -> Self:
        """A new journal; `spec` tells runs apart that ask for different things."""
        lines: list[Line] = [{"event": "run", "spec": spec, **header}]
        path = store.journals / f"{spec}-{header['run']}.jsonl"
        try:
            return cls(path, fallback=store.fallback, lines=lines)
        except OSError as error:
            raise StoreError(
                f"{path} cannot be written ({why(error)}). "
                "Free some space or set ENERGYBENCH_RECORDS to a folder you can write to."
            ) from error

    @classmethod
    def resume(cls, store: Store, spec: str) -> Self | None:
        """The newest journal of a run that asked for the same; None where all such runs were finished.

        Raises:
            StoreError: a line of it is damaged.
        """
        files = [*store.journals.glob(f"{spec}-*.jsonl"), *store.fallback.glob(f"{spec}-*.jsonl")]
        for path in sorted(files, key=lambda file: file.stat().st_mtime, reverse=True):
            lines = list(_whole_lines(path))
            if lines and lines[0].get("event") == "run" and lines[0].get("spec") == spec:
                return cls(path, fallback=store.fallback, lines=lines)
        return None

    @property
    def header(self) -> Line:
        """What the run was started with."""
        return self.lines[0]

    def of(self, event: str, **wanted: object) -> list[Line]:
        """The lines of one kind, in the order they came."""
        found = [line for line in self.lines if line["event"] == event]
        return [line for line in found if all(line.get(key) == value for key, value in wanted.items())]

    def append(self, event: str, **values: object) -> None:
        """Keep an event: it is on disk when this returns. A full disk makes the journal move, whole."""
        line = {"event": event, **values}
        self.lines.append(line)
        try:
            _write(self._descriptor, [line])
        except OSError as error:
            self._move(error)

    def drop_point(self, point: str) -> None:
        """Forget what was measured of a point: it is not the same any more."""
        self.lines = [line for line in self.lines if line.get("point") != point]
        self.close()
        self._descriptor = _rewritten(self.path, self.lines)

    def close(self) -> None:
        """Let go of the file; it stays."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def remove(self) -> None:
        """All records are written: nothing is left to resume."""
        self.close()
        self.path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.path.parent.rmdir()  # as long as no other run has its journal there

    def _move(self, error: OSError) -> None:
        target = self._fallback / self.path.name
        self.close()
        try:
            self._descriptor = _rewritten(target, self.lines)
        except OSError as again:
            raise StoreError(
                f"{self.path} cannot be written ({why(error)}), nor can {target} ({why(again)}). "
                "Free some space, then go on with `energybench run --resume`."
            ) from error
        with contextlib.suppress(OSError):
            self.path.unlink()
        self.path = target


def _rewritten(path: Path, lines: list[Line]) -> int:
    """Write all lines to a fresh file, put it in place, and hold it open for more."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o666)
    try:
        _write(descriptor, lines)
        part.replace(path)
    except BaseException:
        os.close(descriptor)
        part.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
    return descriptor


def _write(descriptor: int, lines: list[Line]) -> None:
    data = "".join(json.dumps(line, allow_nan=False) + "\n" for line in lines).encode()
    while data:
        data = data[os.write(descriptor, data) :]
    os.fsync(descriptor)


def _whole_lines(path: Path) -> Iterator[Line]:
    for number, text in enumerate(path.read_bytes().splitlines(keepends=True), start=1):
        if not text.endswith(b"\n"):
            return
        try:
            line = json.loads(text)
        except ValueError:
            return
        if not _is_event(line):
            raise StoreError(f"{path}, line {number} is damaged; move it away and run again")
        yield line


def _is_event(line: object) -> bool:
    """Whether a line is one that a run writes, with all that its event has."""
    kind = line.get("event") if isinstance(line, dict) else None
    if not isinstance(kind, str) or kind not in _EVENTS:
        return False
    try:
        _EVENTS[kind].model_validate(line)
    except ValidationError:
        return False
    return True
