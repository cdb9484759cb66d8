"""`energybench measure -- CMD`."""

import contextlib
import errno
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from energybench import launch
from energybench._commands import readings
from energybench.config import load_settings
from energybench.meter import Meter, open_meter
from energybench.store import why, write_atomically
from energybench.terminal import emit, say

NOT_FOUND, CANNOT_RUN = 127, 126
STDERR = 2


def measure(
    command: Sequence[str], flags: Mapping[str, object], *, as_json: bool, output: Path | None, repeat: int
) -> int:
    """Run the command in windows, print what they read, and give the command's exit code."""
    settings = load_settings(flags)
    if output:
        _check(output)
    try:
        runs = launch.measure_command(
            lambda: _open(settings.probes),
            command,
            repeat=repeat,
            align=settings.align,
            stdout=STDERR if as_json and output is None else None,
        )
    except launch.CommandNotFoundError as error:
        say(str(error))
        return NOT_FOUND
    except launch.CommandError as error:
        say(str(error))
        return CANNOT_RUN
    data = readings.to_json(command, runs)
    _show(command, runs, data, on_stdout=as_json and output is None)
    if output:
        _save(output, data)
    return runs[-1].exit_code


def _open(probes: Sequence[str]) -> Meter:
    """A meter for the command, without what counts this process alone: that would be 0 whatever the command does."""
    meter = open_meter(list(probes) or None)
    for index, track in enumerate(meter.tracks):
        meter.chosen[index] &= track.domain.scope != "process"
    return meter


def _check(output: Path) -> None:
    """Refuse a wrong path before the command runs: it must not cost a measurement."""
    if output.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(output))
    if not output.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(output))
    if output.is_file() or not output.exists():
        try:
            tempfile.TemporaryFile(dir=output.resolve().parent).close()
        except OSError as error:
            raise type(error)(error.errno, error.strerror, str(output)) from error


def _save(output: Path, data: Mapping[str, Any]) -> None:
    """Write the JSON; where there is no room for it, it goes to stderr, for the command will not run again."""
    text = json.dumps(data, indent=2, allow_nan=False) + "\n"
    try:
        if output.is_file() or not output.exists():
            write_atomically(output.resolve(), text)
        else:  # a pipe or a device stays what it is
            with output.open("w", encoding="utf-8") as file:
                file.write(text)
    except OSError as error:
        say(f"{output} could not be written ({why(error)}); what belongs there follows")
        with contextlib.suppress(OSError):
            os.write(STDERR, text.encode())


def _show(command: Sequence[str], runs: Sequence[launch.Run], data: Mapping[str, Any], *, on_stdout: bool) -> None:
    """Print the reading; where nobody reads it any more, the exit code still is the command's."""
    with contextlib.suppress(BrokenPipeError):
        for line in readings.lines(command, runs, data):
            os.write(STDERR, f"{line}\n".encode())
        if on_stdout:
            emit(data)
