"""Records on disk: one JSON file a parameter point, written whole or not at all, read back and validated."""

import contextlib
import itertools
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from energybench import record as schema
from energybench.record import Record, RecordError, VersionError
from energybench.site_files import SITE_LEDGER, WRITTEN_BY_SITE

DEFAULT_RECORDS = Path(".energybench/records")
SUFFIX = ".json"
OF_AN_ENVIRONMENT = ("pyvenv.cfg", "conda-meta")


class StoreError(OSError):
    """Records that cannot be read or written; the message says what to do and where things are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A record and the file it came from."""

    path: Path
    record: Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A file that is not used, why, and what to do about it."""

    path: Path
    reason: str
    remedy: str


def records_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Where records live: `ENERGYBENCH_RECORDS`, or `.energybench/records` below the current folder."""
    return Path(environ.get("ENERGYBENCH_RECORDS") or DEFAULT_RECORDS)


class Store:
    """The records of one machine, and the journals of its unfinished runs.

    Args:
        machine: the machine's id, which names its folder.
        root: the folder of all machines.
        fallback: where a record goes that its folder has no room for.
    """

    def __init__(self, machine: str, *, root: Path | None = None, fallback: Path | None = None) -> None:
        self.folder = (root or records_folder()) / re.sub(r"[^A-Za-z0-9._-]", "_", machine)
        self.journals = self.folder / "journal"
        self.fallback = fallback or Path(tempfile.gettempdir()) / "energybench-kept"

    def path(self, record_id: str) -> Path:
        """The file of a record."""
        return self.folder / f"{record_id}.json"

    def check(self) -> None:
        """Write and remove a file: a read-only or full folder is known before an hour of measuring."""
        probe = self.journals / f".writable-{os.getpid()}"
        try:
            write_atomically(probe, "x" * 4096)
            probe.unlink()
        except OSError as error:
            raise StoreError(f"{self.folder} cannot be written ({why(error)}). {_WRITE_REMEDY}") from error

    def write(self, record: Record) -> Path:
        """Write a record whole; where that fails, keep it in the fallback folder and say so."""
        text = schema.dumps(record)
        path = self.path(record.id)
        try:
            write_atomically(path, text)
        except OSError as error:
            kept = self._keep(path.name, text)
            raise StoreError(f"{path} could not be written ({why(error)}). {kept} {_WRITE_REMEDY}") from error
        return path

    def _keep(self, name: str, text: str) -> str:
        """Put a record that found no place into the fallback folder; the sentence that tells where it is."""
        try:
            write_atomically(self.fallback / name, text)
        except OSError as error:
            return f"Nor could {self.fallback} ({why(error)}): its windows are in {self.journals}."
        return f"The record is kept in {self.fallback / name}."


_WRITE_REMEDY = "Free some space or set ENERGYBENCH_RECORDS to a folder you can write to."


def read(path: Path) -> Record:
    """The record in a file; `RecordError` or `StoreError` name the file and what to do."""
    found = load(path)
    if isinstance(found, Stored):
        return found.record
    kind = RecordError if path.is_file() and os.access(path, os.R_OK) else StoreError
    raise kind(f"{path}: {found.reason}. {found.remedy}")


def iter_records(path: Path) -> Iterator[Stored | Problem]:
    """Every record in a file or below a folder, by name; what is unreadable comes as a `Problem`."""
    files, problems = record_files(path)
    return itertools.chain(problems, map(load, files))


def record_files(path: Path) -> tuple[list[Path], list[Problem]]:
    """The files in which records may be, by name, and the folders that cannot be looked into."""
    if not path.exists():
        raise StoreError(f"{path} does not exist. Run `energybench run` first, or give the folder of your records.")
    if not path.is_dir():
        return [path], []
    closed: list[OSError] = []
    files = []
    for name, below, names in os.walk(path, onerror=closed.append):
        folder = Path(name)
        below[:] = sorted(one for one in below if may_hold_records(folder / one))
        files += [folder / one for one in names if one.endswith(SUFFIX) and not one.startswith(".")]
    problems = [_unreadable(Path(error.filename), error) for error in closed]
    return sorted(files, key=lambda file: file.parts), problems


def may_hold_records(folder: Path) -> bool:
    """Whether a folder below that of records is worth a look: environments, git and built sites have JSON of others."""
    if folder.name in WRITTEN_BY_SITE and (folder.parent / SITE_LEDGER).is_file():
        return False
    return folder.name != ".git" and not any((folder / one).exists() for one in OF_AN_ENVIRONMENT)


def read_all(path: Path) -> tuple[list[Stored], list[Problem]]:
    """The records below a folder, and apart from them what could not be read."""
    found = list(iter_records(path))
    return [f for f in found if isinstance(f, Stored)], [f for f in found if isinstance(f, Problem)]


def _unreadable(path: Path, error: OSError) -> Problem:
    return Problem(path=path, reason=f"cannot be read ({why(error)})", remedy="Make it readable, or move it away.")


def load(path: Path) -> Stored | Problem:
    """The record in a file, or why it is none."""
    if path.exists() and not path.is_file():  # to open a named pipe would wait for ever
        return Problem(path=path, reason="is not a regular file", remedy="Move it away.")
    try:
        return Stored(path=path, record=schema.loads(path.read_bytes()))
    except OSError as error:
        return _unreadable(path, error)
    except VersionError as error:
        return Problem(
            path=path,
            reason=str(error),
            remedy="Read it with the energybench that wrote it, or move it away.",
        )
    except RecordError as error:
        return Problem(path=path, reason=str(error), remedy="Move it away, or measure it again.")


def write_atomically(path: Path, text: str) -> None:
    """Put text into a file so that a reader, or a crash, sees all of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the new name itself durable; some file systems cannot, which costs nothing but that."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def why(error: OSError) -> str:
    """What the system says of an error, without its number and path."""
    return error.strerror or str(error)
