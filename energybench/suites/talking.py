"""The Python that imports a suite, and what is said to it and heard of it: lines of JSON (`serving.py`)."""

import contextlib
import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from energybench import cpu_time
from energybench.suites.place import SuiteError


class GoneError(Exception):
    """The Python that imported the suite has ended; the message is what it said last."""


class Talk:
    """A child that speaks on its stdout and listens on its stdin.

    Args:
        command: what runs it.
        folder: where it runs, and what it writes to stderr is kept.

    Raises:
        SuiteError: it cannot be run.
    """

    def __init__(self, command: Sequence[str], folder: Path) -> None:
        self._noise, self._heard = folder / "noise", b""
        try:
            with self._noise.open("wb") as noise:
                self._child = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=noise,
                    cwd=folder,
                    start_new_session=True,
                )
        except OSError as error:
            python = command[0]
            raise SuiteError(f"{python} cannot be run ({error.strerror}); give a Python with --python") from error

    def say(self, message: Mapping[str, Any]) -> None:
        """Tell something."""
        assert self._child.stdin is not None
        try:
            self._child.stdin.write(json.dumps(message).encode() + b"\n")
            self._child.stdin.flush()
        except OSError as error:
            raise self._gone() from error

    def hear(self, timeout: float) -> dict[str, Any] | None:
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

    def kill(self) -> GoneError:
        """End it at once; what is to be raised then."""
        kill(self._child.pid)
        return self._gone()

    def close(self) -> None:
        """End it, and with it the benchmark that it may be waiting for."""
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
                kill(self._child.pid)
                self._child.wait()
        self._child.stdout.close()

    def _gone(self) -> GoneError:
        words = self._noise.read_text(errors="replace").strip().splitlines()
        return GoneError(words[-1] if words else "it said nothing")


def kill(pid: int) -> None:
    """End a process and its group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)
