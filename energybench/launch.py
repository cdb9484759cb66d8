"""`energybench measure -- CMD`: joules of the machine while a command runs, in the manner of `perf stat`."""

import errno
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from energybench.meter import Meter

FAILED, CANNOT_RUN, NOT_FOUND = 125, 126, 127
FORWARDED = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2}
STOPPING = (signal.SIGINT, signal.SIGTERM)
# si_code of a signal that the kernel sent: typed at the terminal, so the command has had it already.
SI_KERNEL = 0x80


class CommandError(OSError):
    """The command is there and could not be started."""


class CommandNotFoundError(CommandError):
    """There is no such command."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of the command: its window, in the names of the JSON interface, and how the command ended."""

    reading: dict[str, Any]
    exit_code: int
    user_seconds: float
    system_seconds: float
    interrupted: bool


def measure_command(
    open_meter: Callable[[], "Meter"],
    command: Sequence[str],
    *,
    repeat: int = 1,
    align: bool = False,
    stdout: int | None = None,
) -> list[Run]:
    """Run the command up to `repeat` times, a window each; the first run that fails is the last.

    Args:
        open_meter: opens what reads the energy. Called with signals held, for its threads must hold them too.
        command: program and arguments.
        repeat: how often.
        align: let the window's edges wait for a tick.
        stdout: the file descriptor that becomes the command's stdout; None to pass ours on.

    Raises:
        CommandNotFoundError: it is not there.
        CommandError: it cannot be executed.
    """
    runs: list[Run] = []
    with held_signals() as mask, closing(open_meter()) as meter:
        for _ in range(repeat):
            run = _measure_once(meter, lambda: spawn(command, mask=mask, stdout=stdout), align=align)
            runs.append(run)
            if run.exit_code or run.interrupted:
                break
    return runs


def _measure_once(meter: "Meter", start: Callable[[], int], *, align: bool) -> Run:
    with meter.window(align=align) as window:
        status, usage, interrupted = wait(start())
    code = os.waitstatus_to_exitcode(status)
    return Run(
        reading=dict(window.to_json()),
        exit_code=128 - code if code < 0 else code,
        user_seconds=usage.ru_utime,
        system_seconds=usage.ru_stime,
        interrupted=interrupted,
    )


@contextmanager
def held_signals() -> Iterator[set[signal.Signals]]:
    """Keep signals for the command pending, to be fetched by `wait`; gives the mask from before."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, FORWARDED | {signal.SIGCHLD})
    # Where whoever started us ignores SIGCHLD, the kernel reaps the command and its exit code is lost.
    children = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        yield {signal.Signals(number) for number in before}
    finally:
        stop_asked()  # the Ctrl-C that ended the command must not end us before the reading is printed
        signal.signal(signal.SIGCHLD, children)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def spawn(command: Sequence[str], *, mask: set[signal.Signals], stdout: int | None) -> int:
    """Start the command with our stdin and stderr, found on PATH; gives its process id."""
    if not command[0]:
        raise CommandNotFoundError("the command is empty; name a program")
    actions = [] if stdout is None else [(os.POSIX_SPAWN_DUP2, stdout, 1)]
    for stream in filter(None, (sys.stdout, sys.stderr)):  # None where it was closed
        with suppress(OSError, ValueError):
            stream.flush()
    try:
        return os.posix_spawnp(
            command[0],
            list(command),
            os.environ,
            file_actions=actions,
            setsigmask=mask,
            setsigdef=[signal.SIGPIPE],
        )
    except OSError as error:
        raise _why_not(command[0], error) from error


def _why_not(name: str, error: OSError) -> CommandError:
    if error.errno == errno.ENOENT and not shutil.which(name):
        return CommandNotFoundError(f"no command {name!r}; check the spelling and PATH")
    if error.errno == errno.ENOENT:
        return CommandError(f"{name!r} cannot run: the interpreter on its first line is not there; mend that line")
    if Path(name).is_dir():
        return CommandError(f"{name!r} is a directory; name a program in it")
    if error.errno == errno.ENOEXEC:
        return CommandError(
            f"{name!r} is not a program; a script needs a first line such as #!/bin/sh, or run: sh {name}"
        )
    if error.errno == errno.EACCES and not _is_program(Path(name)):
        return CommandError(f"{name!r} is not a program; name one, or the interpreter that runs it")
    if error.errno == errno.EACCES:
        return CommandError(f"{name!r} may not be executed; run: chmod +x {name}")
    return CommandError(f"{name!r} cannot run: {error.strerror}")


def _is_program(path: Path) -> bool:
    """Whether a file begins as scripts and programs do; one that cannot be read may be one."""
    try:
        with path.open("rb") as file:
            start = file.read(4)
    except OSError:
        return True
    return start.startswith(b"#!") or start == b"\x7fELF"


def wait(pid: int) -> tuple[int, Any, bool]:
    """Wait, passing signals on: the wait status, the rusage, and whether we were asked to stop."""
    interrupted = False
    while True:
        ended, status, usage = os.wait4(pid, os.WNOHANG)
        if ended:
            return status, usage, stop_asked() or interrupted
        came = signal.sigtimedwait(FORWARDED | {signal.SIGCHLD}, 1.0)
        if came is None or came.si_signo == signal.SIGCHLD:
            continue
        interrupted = interrupted or came.si_signo in STOPPING
        if came.si_code != SI_KERNEL:
            os.kill(pid, came.si_signo)


def stop_asked() -> bool:
    """Fetch what signals are still pending; whether one of them asks us to stop."""
    asked = False
    while came := signal.sigtimedwait(FORWARDED, 0):
        asked = asked or came.si_signo in STOPPING
    return asked
