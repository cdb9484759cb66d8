"""`energybench measure -- CMD`."""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from energybench import launch
from energybench._commands import readings
from energybench.config import load_settings
from energybench.meter import open_meter
from energybench.terminal import emit, say

NOT_FOUND, CANNOT_RUN = 127, 126
STDERR = 2


def measure(
    command: Sequence[str], flags: Mapping[str, object], *, as_json: bool, output: Path | None, repeat: int
) -> int:
    """Run the command in windows, print what they read, and give the command's exit code."""
    settings = load_settings(flags)
    with _opened(output) as file:
        try:
            runs = launch.measure_command(
                lambda: open_meter(list(settings.probes) or None),
                command,
                repeat=repeat,
                align=settings.align,
                stdout=STDERR if as_json and file is None else None,
            )
        except launch.CommandNotFoundError as error:
            say(str(error))
            return NOT_FOUND
        except launch.CommandError as error:
            say(str(error))
            return CANNOT_RUN
        data = readings.to_json(command, runs)
        if file:
            json.dump(data, file, indent=2, allow_nan=False)
    _show(command, runs, data, on_stdout=as_json and file is None)
    return runs[-1].exit_code


@contextlib.contextmanager
def _opened(output: Path | None) -> Iterator[IO[str] | None]:
    """The file for the JSON, opened before the command runs: a wrong path must not cost a measurement."""
    if output is None:
        yield None
        return
    with output.open("w", encoding="utf-8") as file:
        yield file


def _show(command: Sequence[str], runs: Sequence[launch.Run], data: Mapping[str, Any], *, on_stdout: bool) -> None:
    """Print the reading; where nobody reads it any more, the exit code still is the command's."""
    with contextlib.suppress(BrokenPipeError):
        for line in readings.lines(command, runs, data):
            os.write(STDERR, f"{line}\n".encode())
        if on_stdout:
            emit(data)
