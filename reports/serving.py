"""A built site on loopback, rebuilt when records arrive; open pages reload where what they show has changed.

The site's files stay as they are: what reloads a page is added to it as it is sent, and served below `/-/`.
"""

import errno
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from energybench.reports.served_site import HOST, Board, Server
from energybench.terminal import say as say_on_terminal

PORT = 8731
EVERY = 1.0
BUSY = 0.1
"""The most that looking for new records takes of the time."""

Seen = dict[Path, tuple[int, int]]
"""Size and time of files."""


class PortError(ValueError):
    """An address that cannot be listened on; the message says what to do."""


def serve(
    site: Path,
    rebuild: Callable[[], bool],
    *,
    watch: Sequence[Path],
    port: int = PORT,
    say: Callable[[str], None] = say_on_terminal,
    every: float = EVERY,
) -> int:
    """Build the site, serve it on 127.0.0.1 and rebuild it when records arrive, until Ctrl-C; return 0.

    Args:
        site: the folder of the site.
        rebuild: builds it, in the thread that called us; whether it was built. What it raises the first time is raised
            here; later it is told on the terminal and in the open pages, and what is there of the site is served on.
        watch: folders, of which every `*.json` is watched that can be a record, and single files; none need be there
            yet.
        port: 0 for any that is free.
        say: tells people a line.
        every: seconds between two looks at `watch`.

    Raises:
        PortError: nothing can listen there.
    """
    with _listen(site, port) as server:
        seen = snapshot(watch, site)
        rebuild()
        threading.Thread(target=server.serve_forever, name="report", daemon=True).start()
        try:
            say(f"the report is at http://{HOST}:{server.server_port}/ and follows its records; Ctrl-C ends it")
            for _ in _changes(watch, site, seen, every):
                _again(rebuild, server.board, say)
        except KeyboardInterrupt:
            say("the report is no longer served")
        server.shutdown()
    return 0


def _listen(site: Path, port: int) -> Server:
    try:
        return Server(site, port)
    except OverflowError as error:
        raise PortError(f"{port} is no port; give one from 1024 to 65535, or 0 for any that is free") from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            why = f"port {port} of {HOST} is in use; give another, or 0 for any that is free, or end what uses it"
        else:
            why = f"nothing can listen on port {port} of {HOST} ({error.strerror}); give one from 1024 to 65535"
        raise PortError(why) from error


def _again(rebuild: Callable[[], bool], board: Board, say: Callable[[str], None]) -> None:
    """Rebuild; what goes wrong is told, and the server goes on."""
    try:
        error = "" if rebuild() else "the terminal says why"
    except Exception as raised:  # whatever a new record breaks, the next one may mend
        error = " ".join(str(raised).split()) or type(raised).__name__
    say(f"the report was not rebuilt: {error}" if error else "the report was rebuilt")
    board.post(f"The report was not rebuilt, so this is an older one: {error}" if error else "")


def _changes(watch: Sequence[Path], site: Path, seen: Seen, every: float) -> Iterator[None]:
    """One turn each time that something has changed."""
    while True:
        begin = time.monotonic()
        now = snapshot(watch, site)
        took = time.monotonic() - begin
        if now != seen:
            seen = now
            yield
        time.sleep(max(every, took / BUSY))


def snapshot(watch: Sequence[Path], site: Path) -> Seen:
    """The records below these folders, and these files; what lies in the site itself is none."""
    own, found = site.resolve(), {}
    for path in watch:
        for file in _files(path, own):
            try:
                state = file.stat()
            except OSError:  # not there yet, or not any more
                continue
            found[file] = (state.st_size, state.st_mtime_ns)
    return found


def _files(path: Path, site: Path) -> Iterator[Path]:
    """What the store would read below a folder, or the file."""
    if not path.is_dir():
        yield path
        return
    for folder, below, names in os.walk(path):
        below[:] = [name for name in below if Path(folder, name).resolve() != site]
        yield from (Path(folder, name) for name in names if name.endswith(".json") and not name.startswith("."))
