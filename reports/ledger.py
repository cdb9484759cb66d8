"""What a site was drawn from, so that only what changed is drawn again.

    ledger = Ledger(site)
    told = ledger.made("figures of qnn-infer", inputs, draw)     # draws, or tells what was drawn from the same inputs
    ledger.close()                                               # writes the ledger; what is no longer shown is removed

The ledger lies in the site as `.energybench-site.json`. It holds digests of contents and no times, so that two builds
of the same evidence are the same to the byte. A file that was changed, or is missing, is made again.
"""

import hashlib
import json
import os
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from energybench.site_files import SITE_LEDGER

NAME = SITE_LEDGER
VERSION = 1
DRAWN_BY = ("energybench", "matplotlib", "seaborn", "pandas", "jinja2")
HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What was made: files below the site, and what a page must know of them, as JSON can say it."""

    files: Sequence[str]
    value: Any = None


class Ledger:
    """The ledger of one site, for one build.

    Args:
        site: its folder.
        fresh: draw everything again.
        say: told what is being made, for the progress of long work.
    """

    def __init__(self, site: Path, *, fresh: bool = False, say: Callable[[str], None] = lambda _: None) -> None:
        self.site, self.say = site, say
        known = _read(site / NAME)
        self._before: dict[str, dict[str, Any]] = known.get("entries", {})
        self._usable = not fresh and known.get("by") == drawn_by()
        self._now: dict[str, dict[str, Any]] = {}
        self.drawn, self.kept = 0, 0

    def made(self, name: str, inputs: str, make: Callable[[], Made]) -> Any:
        """The value of what is made from these inputs: kept where they and the files are as they were, else made now.

        Args:
            name: of the entry; the same for the same part of the site in every build.
            inputs: a digest of everything that it depends on beside the code.
            make: writes the files.
        """
        before = self._before.get(name)
        if self._usable and before and before["inputs"] == inputs and self._intact(before["files"]):
            self._now[name] = before
            self.kept += 1
            return before["value"]
        self.say(name)
        found = make()
        files = {file: _digest_of(self.site / file) for file in found.files}
        # As JSON gives it back: the same value whether it was made now or kept.
        entry = json.loads(json.dumps({"inputs": inputs, "files": files, "value": found.value}))
        self._now[name] = entry
        self.drawn += 1
        return entry["value"]

    def last(self, name: str) -> Any:
        """The value of an entry of the last build, where its files are as they were; None else."""
        before = self._before.get(name)
        return before["value"] if self._usable and before and self._intact(before["files"]) else None

    def page(self, name: str, text: str) -> Path:
        """Write a page, or any other text, that is cheap to make."""
        path = self.site / name
        content = text.encode()
        if not path.is_file() or path.read_bytes() != content:
            self.say(name)
            self.text(name, text)
            self.drawn += 1
        else:
            self.kept += 1
        self._now[name] = {"inputs": "", "files": {name: ""}, "value": None}
        return path

    def text(self, name: str, text: str) -> str:
        """Write a page, or any other text, that is made for an entry; its name."""
        path = self.site / name
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, text)
        return name

    def files(self, name: str) -> Mapping[str, str]:
        """The files of an entry of this build, and a digest of each."""
        found: Mapping[str, str] = self._now[name]["files"]
        return found

    def close(self) -> None:
        """Write the ledger, and remove files of earlier builds that are no longer part of the site."""
        shown = {file for entry in self._now.values() for file in entry["files"]}
        for entry in self._before.values():
            for file in set(entry["files"]) - shown:
                if is_below(file, self.site):
                    (self.site / file).unlink(missing_ok=True)
        entries = dict(sorted(self._now.items()))
        told = {"version": VERSION, "by": drawn_by(), "sum": _sum(entries), "entries": entries}
        _write(self.site / NAME, json.dumps(told, separators=(",", ":")) + "\n")

    def _intact(self, files: dict[str, str]) -> bool:
        return all(_digest_of(self.site / file) == digest for file, digest in files.items())


def is_below(file: str, site: Path) -> bool:
    """Whether a name is that of a file in the site: a ledger is a file that anyone may have written."""
    try:
        path = site / file
        return path.is_file() and path.resolve().is_relative_to(site.resolve())
    except (OSError, ValueError):
        return False


def files_of(site: Path) -> frozenset[str]:
    """The files of the site that was built into a folder; none where none was."""
    entries = _read(site / NAME).get("entries", {})
    return frozenset(file for entry in entries.values() for file in entry["files"])


def _sum(entries: Mapping[str, Any]) -> str:
    return digest(json.dumps(entries, sort_keys=True).encode())


def _write(path: Path, text: str) -> None:
    """Put text into a file so that who reads it meanwhile sees all of the old or all of the new."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def digest(*parts: object) -> str:
    """A short digest of plain values."""
    told = hashlib.blake2b(digest_size=12)
    for one in parts:
        told.update(one if isinstance(one, bytes) else repr(one).encode())
        told.update(b"\0")
    return told.hexdigest()


def digest_of_json(values: Iterable[object]) -> str:
    """A short digest of JSON values."""
    return digest(*(json.dumps(one, sort_keys=True, default=str).encode() for one in values))


@lru_cache(maxsize=1)
def drawn_by() -> str:
    """A digest of the code and the libraries that draw."""
    files = sorted(one for one in HERE.rglob("*") if one.is_file() and "__pycache__" not in one.parts)
    return digest(
        *((name, _version(name)) for name in DRAWN_BY),
        *(part for one in files for part in (str(one.relative_to(HERE)), one.read_bytes())),
    )


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "none"


def _digest_of(path: Path) -> str:
    try:
        # It tells whether a file was changed by accident: the files of a long history are hundreds of megabytes.
        return f"{zlib.crc32(path.read_bytes()):08x}"
    except OSError:
        return ""


def _read(path: Path) -> dict[str, Any]:
    """An earlier ledger; empty where there is none, or a damaged or foreign one."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    well = isinstance(told, dict) and told.get("version") == VERSION and isinstance(told.get("entries"), dict)
    return told if well and told.get("sum") == _sum(told["entries"]) else {}
