"""One measuring run at a time on a machine: a lock that says who holds it and dies with its holder."""

import contextlib
import fcntl
import json
import os
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

WAIT = "ENERGYBENCH_LOCK_WAIT"
"""Seconds that a point of asv waits for another run before it fails."""
WAIT_SECONDS = 600.0
POLL_SECONDS = 1.0
_held: set[int] = set()


class LockedError(RuntimeError):
    """Another run is measuring on this machine; the message says which."""


def lock_path(environ: Mapping[str, str] = os.environ) -> Path:
    """The machine's lock file: `ENERGYBENCH_LOCK`, or one in the folder for temporary files."""
    return Path(environ.get("ENERGYBENCH_LOCK") or Path(tempfile.gettempdir()) / "energybench.lock")


def patience(environ: Mapping[str, str] = os.environ) -> float:
    """How long another run is waited for under asv, which never comes back to a commit that was refused.

    Raises:
        ValueError: `ENERGYBENCH_LOCK_WAIT` is no number.
    """
    given = environ.get(WAIT) or WAIT_SECONDS
    try:
        return max(0.0, float(given))
    except ValueError:
        raise ValueError(f"{WAIT}={given} is no number; give seconds, as 600") from None


@contextlib.contextmanager
def measuring(
    path: Path | None = None,
    *,
    command: Sequence[str] | None = None,
    wait: float = 0.0,
    tell: Callable[[str], None] | None = None,
) -> Iterator[None]:
    """Hold the machine while measuring; raises `LockedError` where another process does.

    Args:
        path: the lock file.
        command: what a run that has to wait is told about us.
        wait: seconds that the other is waited for.
        tell: says a line to people, where there is something to wait for.
    """
    path = path or lock_path()
    descriptor = _open(path)
    try:
        if not _taken(descriptor) and not _waited(descriptor, path, wait, tell):
            raise LockedError(_told(path))
        _held.add(descriptor)
        _tell(descriptor, command or sys.argv)
        yield
    finally:
        _held.discard(descriptor)
        os.close(descriptor)


def holder(path: Path | None = None) -> dict[str, object] | None:
    """Who holds the machine (pid, command, since), or None where nobody does."""
    path = path or lock_path()
    if not path.exists():
        return None
    descriptor = _open(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(path) or {}
    else:
        return None
    finally:
        os.close(descriptor)


def _taken(descriptor: int) -> bool:
    """Whether the lock is ours now."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _waited(descriptor: int, path: Path, seconds: float, tell: Callable[[str], None] | None) -> bool:
    """Wait until the lock is ours, and say so; whether it is."""
    until = time.monotonic() + seconds
    if seconds and tell:
        tell(f"waiting up to {seconds:g} s: {_told(path)}")
    while time.monotonic() < until:
        time.sleep(min(POLL_SECONDS, seconds))
        if _taken(descriptor):
            return True
    return False


def _open(path: Path) -> int:
    """Open another user's lock file as well as our own.

    O_CREAT on a file that exists is refused in a sticky folder when somebody else owns it
    (fs.protected_regular), and a lock needs no more than a descriptor that can read.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        os.fchmod(descriptor, 0o666)
    except FileExistsError:
        try:
            return os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except PermissionError:
            return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        return _open(path)
    return descriptor


def _tell(descriptor: int, command: Sequence[str]) -> None:
    since = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    text = json.dumps({"pid": os.getpid(), "command": shlex.join(command), "since": since})
    # A read-only descriptor locks as well; the file then still tells of its owner, not of us.
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, text.encode(), 0)


def _told(path: Path) -> str:
    who = _read(path)
    if who is None:
        return f"Another run is measuring on this machine (lock {path}). Wait until it has finished."
    pid, command, since = who.get("pid"), who.get("command"), who.get("since")
    return (
        f"Another run is measuring on this machine: process {pid} (`{command}`) since {since}. "
        f"Wait until it has finished, or stop it with `kill {pid}`."
    )


def _read(path: Path) -> dict[str, object] | None:
    try:
        who = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return who if isinstance(who, dict) else None


def _let_go_in_child() -> None:
    """A forked child shares its parent's lock, and would hold the machine when its parent is dead."""
    for descriptor in _held:
        with contextlib.suppress(OSError):
            os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_let_go_in_child)
