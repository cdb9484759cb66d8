"""asv's result files that were read before: a file is parsed once, for as long as it stays as it is.

    memory = Memory(cache_file(results_dir), index)
    observe(library, memory=memory)
    memory.keep()

What is kept is a line of JSON a file, in `$ENERGYBENCH_CACHE`, else in the user's cache (`$XDG_CACHE_HOME/energybench`,
else ~/.cache/energybench). It may be removed at any time, and where it cannot be written nothing is kept. A file is as
it was when its size and its time of change are.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
Entry = Mapping[str, Any]
"""What is kept of a file, as `observed` makes and reads it."""


def cache_file(results: Path, environ: Mapping[str, str] = os.environ) -> Path:
    """Where what was read of a results_dir is kept."""
    home = environ.get("ENERGYBENCH_CACHE") or f"{environ.get('XDG_CACHE_HOME') or '~/.cache'}/energybench"
    return Path(home).expanduser() / f"results-{_digest(str(results.resolve()).encode())}.jsonl"


class Memory:
    """What was read of result files.

    Args:
        path: where it is kept.
        index: asv's description of the benchmarks, on which the meaning of a file depends.
    """

    def __init__(self, path: Path, index: Mapping[str, Any]) -> None:
        described = _digest(json.dumps(index, sort_keys=True).encode())
        self._path, self._head = path, {"read_by": _code(), "described": described}
        self._entries = dict(_lines(path, self._head))
        self._new: dict[str, Entry] = {}
        self._asked: set[str] = set()

    def get(self, file: Path) -> Entry | None:
        """What is known of a file; None where it is new or was changed."""
        found = self._entries.get(str(file))
        self._asked.add(str(file))
        return found["kept"] if found and found["was"] == _was(file) else None

    def put(self, file: Path, entry: Entry) -> None:
        """Remember what was read of a file."""
        self._new[str(file)] = {"file": str(file), "was": _was(file), "kept": entry}

    def keep(self) -> None:
        """Write what is new; everything anew where much of it is of no use any more."""
        stale = set(self._entries) - self._asked
        known = [one for file, one in self._entries.items() if file not in stale and file not in self._new]
        anew = not known or bool(stale) or len(self._new) > len(known)
        if not self._new and not stale:
            return
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            if anew:
                part = self._path.with_suffix(f".{os.getpid()}.part")
                part.write_text(_text([self._head, *known, *self._new.values()]), encoding="utf-8")
                part.replace(self._path)
            else:
                with self._path.open("a", encoding="utf-8") as file:
                    file.write(_text(self._new.values()))


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=10).hexdigest()


@lru_cache(maxsize=1)
def _code() -> str:
    """A digest of the code that reads: what an older one understood of a file may be something else."""
    return _digest(b"\0".join(one.read_bytes() for one in sorted(HERE.glob("*.py"))))


def _text(lines: Iterable[Entry]) -> str:
    return "".join(json.dumps(one, separators=(",", ":")) + "\n" for one in lines)


def _was(file: Path) -> list[int]:
    try:
        found = file.stat()
    except OSError:
        return []
    return [found.st_size, found.st_mtime_ns]


def _lines(path: Path, head: Entry) -> Iterable[tuple[str, Entry]]:
    """The entries by file, a later one in the place of an earlier; none where they are another's, or damaged."""
    try:
        first, *lines = path.read_text(encoding="utf-8").splitlines()
        if json.loads(first) != head:
            return []
        found = [json.loads(line) for line in lines]
        return [(one["file"], one) for one in found if one["was"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []
