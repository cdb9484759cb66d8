"""What was read of files before: a file is parsed once, for as long as it stays as it is.

    memory = Memory(cache_file(folder), folder)
    known = memory.get(file) or memory.put(file, values, shared)
    memory.keep()

What is kept is a line of JSON a file, in `$ENERGYBENCH_CACHE`, else in the user's cache (`$XDG_CACHE_HOME/energybench`,
else ~/.cache/energybench). It may be removed at any time, and where it cannot be written nothing is kept. A file is as
it was when its size and its times of change are. Files are named from their folder, whatever that was called when it
was read.

Values that many files share, as a machine's description, stand once in a line of their own, under a digest of
themselves: two processes that add to one cache at a time write the same names for the same values. Each line has its
checksum; a cache with a line that is torn, or that another code wrote, is none.
"""

import contextlib
import hashlib
import json
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
Entry = Mapping[str, Any]
"""What is kept of a file in plain JSON, as who reads the file makes it."""


class Known(NamedTuple):
    """What is known of a file: its own values, and those that it shares with others, each of these one object."""

    own: Entry
    shared: Sequence[Any] = ()


def cache_file(folder: Path, environ: Mapping[str, str] = os.environ, *, kind: str = "results") -> Path:
    """Where what was read of the files in a folder is kept."""
    home = environ.get("ENERGYBENCH_CACHE") or f"{environ.get('XDG_CACHE_HOME') or '~/.cache'}/energybench"
    return Path(home).expanduser() / f"{kind}-{_digest(str(folder.resolve()).encode())}.jsonl"


class Memory:
    """What was read of the files in a folder.

    Args:
        path: where it is kept; None keeps nothing beyond this process.
        folder: of the files.
        described: what the meaning of all files depends on beside themselves, as asv's description of the benchmarks.
    """

    def __init__(self, path: Path | None, folder: Path, described: Mapping[str, Any] | None = None) -> None:
        self._path, self._folder = path, f"{folder}{os.sep}"
        self._head = {"read_by": _code(), "described": _digest(_text(described or {}))}
        self._values: dict[str, Any] = {}
        self._entries: dict[str, Entry] = {}
        for one in _lines(path, self._head) if path else ():
            if "file" in one:
                self._entries[one["file"]] = one
            else:
                self._values[one["name"]] = one["value"]
        self._told = set(self._values)
        self._new: dict[str, Entry] = {}
        self._asked: dict[str, Sequence[int]] = {}

    def get(self, file: Path) -> Known | None:
        """What is known of a file; None where it is new or was changed."""
        name = self._name(file)
        # Before it is read: a file that changes meanwhile is read again the next time.
        was = self._asked[name] = _was(file)
        found = self._entries.get(name)
        if found is None or found["was"] != was:
            return None
        return Known(found["kept"], [self._values[one] for one in found["shared"]])

    def put(self, file: Path, own: Entry, shared: Iterable[Any] = ()) -> Known:
        """Remember what was read of a file that was asked for; the same, each shared value as the object that is kept.

        Args:
            file: which.
            own: its values.
            shared: values that other files may have as well.
        """
        names = [self._shared(one) for one in shared]
        name = self._name(file)
        if was := self._asked[name]:  # nothing of a file that is gone
            self._new[name] = {"file": name, "was": was, "kept": own, "shared": names}
        return Known(own, [self._values[one] for one in names])

    def keep(self) -> None:
        """Write what is new; everything anew where much of it is of no use any more."""
        stale = set(self._entries) - set(self._asked)
        known = [one for file, one in self._entries.items() if file not in stale and file not in self._new]
        anew = not known or bool(stale) or len(self._new) > len(known)
        if self._path is None or not (self._new or stale):
            return
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            if anew:
                self._write_anew(self._path, [*known, *self._new.values()])
            else:
                with self._path.open("ab", buffering=0) as file:
                    file.write(b"".join(self._told_of(list(self._new.values()), self._told)))

    def _write_anew(self, path: Path, entries: Sequence[Entry]) -> None:
        part = path.with_suffix(f".{os.getpid()}.part")
        try:
            with part.open("wb") as file:
                file.write(_line(self._head))
                file.writelines(self._told_of(entries, set()))
            part.replace(path)
        except OSError:
            part.unlink(missing_ok=True)
            raise

    def _told_of(self, entries: Iterable[Entry], told: set[str]) -> Iterator[bytes]:
        """The lines of entries, each after those of the values that it shares and that were not told yet."""
        for one in entries:
            for name in one["shared"]:
                if name not in told:
                    told.add(name)
                    yield _line({"name": name, "value": self._values[name]})
            yield _line(one)

    def _shared(self, value: Any) -> str:
        name = _digest(_text(value))
        self._values.setdefault(name, value)
        return name

    def _name(self, file: Path) -> str:
        return str(file).removeprefix(self._folder)


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=10).hexdigest()


@lru_cache(maxsize=1)
def _code() -> str:
    """A digest of the code that reads: what an older one understood of a file may be something else."""
    return _digest(b"\0".join(one.read_bytes() for place in (HERE, HERE.parent) for one in sorted(place.glob("*.py"))))


def _text(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()


def _line(value: object) -> bytes:
    text = json.dumps(value, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _was(file: Path) -> list[int]:
    try:
        found = file.stat()
    except OSError:
        return []
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns]


def _lines(path: Path, head: Entry) -> list[Entry]:
    """The lines after the head, a later one in the place of an earlier; none where they are another's, or damaged."""
    try:
        with path.open("rb") as file:
            if _read(file.readline()) != head:
                return []
            found = [_read(line) for line in file]
        values = {one["name"] for one in found if "name" in one}
        well = all("name" in one or (one["was"] and values.issuperset(one["shared"])) for one in found)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return []
    return found if well else []


def _read(line: bytes) -> Any:
    """The values of a line.

    Raises:
        ValueError: it is not as it was written.
    """
    told, _, text = line.rstrip(b"\n").partition(b" ")
    if int(told, 16) != zlib.crc32(text):
        raise ValueError("this line is torn")
    return json.loads(text)
