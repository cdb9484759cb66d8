"""Records and asv results of several machines in one folder: what is there twice counts once, what differs is named.

    OUTPUT/records/<machine>/<id>.json      and canary.jsonl
    OUTPUT/results/benchmarks.json          asv's results_dir
    OUTPUT/results/<machine>/<commit>-<environment>.json

What OUTPUT has already is a source before all others: to collect again adds nothing.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from energybench import record as schema
from energybench.gating.asv_files import INDEX, INDEX_NAME, MACHINE_NAME, AsvFileError, parse_object, result_of
from energybench.gating.merging import Merged, Prefer, merge_index, merge_results, same
from energybench.gating.series import Trouble
from energybench.gating.sources import CANARY, File, files_of
from energybench.record import RecordError
from energybench.store import write_atomically

SAFE = re.compile(r"[^\s/\\.\x00][^/\\\x00]{0,200}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """One file that two sources have with different content; what OUTPUT or the first source has is kept."""

    path: Path
    source: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What was collected.

    Attributes:
        records: in all sources, each counted once.
        results: asv's result files, each counted once.
        written: files that are new in the output, or changed.
        conflicts: what differs between sources.
        troubles: files that were left out, and why.
    """

    records: int
    results: int
    written: tuple[Path, ...]
    conflicts: tuple[Conflict, ...]
    troubles: tuple[Trouble, ...]


def collect(
    sources: Iterable[str], output: Path, *, repository: Path = Path(), prefer: Prefer | None = None
) -> Collected:
    """Merge sources into a folder.

    Args:
        sources: folders, `git:REPOSITORY@BRANCH[:PATH]`, branches of the repository, or addresses as `s3://…`.
        output: the folder; what is there stays unless `prefer` is newest.
        repository: whose branches are meant.
        prefer: which of two different files is taken; conflicts where None.

    Raises:
        SourceError: a source cannot be opened; nothing has been written then.
        OutputError: the output is no folder.
    """
    if output.exists() and not output.is_dir():
        raise OutputError(f"{output} is a file; give --output a folder")
    merger = _Merger(output=output, prefer=prefer)
    for source in sources:
        for file in files_of(source, repository):
            merger.add(file)
    return merger.finish()


class OutputError(ValueError):
    """Where nothing can be written to."""


class _LeftOutError(ValueError):
    """A file that is nothing to collect."""


@dataclass(slots=True)
class _Merger:
    output: Path
    prefer: Prefer | None
    values: dict[Path, Mapping[str, Any]] = field(default_factory=dict)
    texts: dict[Path, str] = field(default_factory=dict)
    canaries: dict[Path, dict[str, None]] = field(default_factory=dict)
    conflicts: list[Conflict] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)

    def add(self, file: File) -> None:
        """Sort a file in by what it is; one that is nothing of ours, or damaged, is named."""
        try:
            self._add(file)
        except (AsvFileError, RecordError, _LeftOutError) as error:
            self.troubles.append(Trouble(path=Path(file.name), reason=str(error)))

    def finish(self) -> Collected:
        """Write what is new, and tell."""
        for path, lines in self.canaries.items():
            self.texts[path] = "".join(f"{line}\n" for line in sorted(lines, key=_when))
        changed = [path for path, text in self.texts.items() if _bytes(self.output / path) != text.encode()]
        for path in changed:
            write_atomically(self.output / path, self.texts[path])
        names = [path for path in self.values if path.name not in (INDEX_NAME, MACHINE_NAME)]
        records = sum(path.parts[0] == "records" for path in names)
        return Collected(
            records=records,
            results=len(names) - records,
            written=tuple(self.output / path for path in changed),
            conflicts=tuple(dict.fromkeys(self.conflicts)),
            troubles=tuple(self.troubles),
        )

    def _add(self, file: File) -> None:
        if file.problem:
            raise _LeftOutError(file.problem)
        if ".." in file.parts:
            raise _LeftOutError("its name leads out of its folder")
        last = file.parts[-1]
        if last == CANARY:
            self._add_canary(file)
            return
        values = parse_object(file.content)
        if "schema" in values:
            self._add_record(file, schema.loads(file.content))
        elif last == INDEX_NAME and values.get("version") == INDEX:
            self._merge(Path("results", INDEX_NAME), values, file, merge_index)
        elif last == MACHINE_NAME and isinstance(values.get("machine"), str):
            self._merge(Path("results", _safe(values["machine"]), MACHINE_NAME), values, file, _merge_machine)
        elif "commit_hash" in values:
            result = result_of(values, Path(*file.parts[-2:]))
            if not result.commit.startswith(last.split("-", 1)[0]):
                raise _LeftOutError("its name is not of its commit")
            self._merge(Path("results", _safe(result.machine), _safe(last)), values, file, merge_results)
        else:
            raise _LeftOutError("is neither a record nor one of asv's files")

    def _add_record(self, file: File, record: schema.Record) -> None:
        machine = re.sub(r"[^A-Za-z0-9._-]", "_", record.machine.id)
        path = Path("records", _safe(machine), f"{record.id}.json")
        values, known = parse_object(file.content), self._known(path)
        if known is None or (self.prefer == "newest" and str(values["created"]) > str(known.get("created", ""))):
            self.values[path], self.texts[path] = values, _decoded(file.content)
        elif not same(known, values) and self.prefer is None:
            self.conflicts.append(Conflict(path=path, source=file.name, reason="has another content"))

    def _merge(
        self,
        path: Path,
        values: Mapping[str, Any],
        file: File,
        merge: Callable[[Mapping[str, Any], Mapping[str, Any], Prefer | None], Merged],
    ) -> None:
        known = self._known(path)
        if known is None:
            self.values[path], self.texts[path] = values, _dumped(values)
            return
        merged = merge(known, values, self.prefer)
        self.conflicts += [Conflict(path=path, source=file.name, reason=one) for one in merged.contradictions]
        if not same(merged.values, known):
            self.values[path], self.texts[path] = merged.values, _dumped(merged.values)

    def _known(self, path: Path) -> Mapping[str, Any] | None:
        """What a file holds so far, in the output or from a source before; a damaged one in the output is replaced."""
        if path not in self.values and (self.output / path).is_file():
            try:
                self.values[path] = parse_object((self.output / path).read_bytes())
            except AsvFileError as error:
                self.troubles.append(Trouble(path=self.output / path, reason=f"{error}; replaced"))
        return self.values.get(path)

    def _add_canary(self, file: File) -> None:
        machine = _safe(file.parts[-2] if len(file.parts) > 1 else "")
        path = Path("records", machine, CANARY)
        if path not in self.canaries:
            self.canaries[path] = {}
            self._add_lines(path, self.output / path, (_bytes(self.output / path) or b"").decode(errors="replace"))
        self._add_lines(path, Path(file.name), file.content.decode("utf-8", errors="replace"))

    def _add_lines(self, path: Path, source: Path, text: str) -> None:
        for number, line in enumerate(text.splitlines(), 1):
            try:
                parse_object(line.encode())
            except AsvFileError:
                self.troubles.append(Trouble(path=source, reason=f"line {number} is not whole"))
            else:
                self.canaries[path][line] = None


def _merge_machine(first: Mapping[str, Any], second: Mapping[str, Any], prefer: Prefer | None) -> Merged:
    if same(first, second) or prefer == "first":
        return Merged(values=first)
    if prefer == "newest":
        return Merged(values=second)
    different = sorted(name for name in {*first, *second} if first.get(name) != second.get(name))
    return Merged(values=first, contradictions=(f"{', '.join(different)} of this machine differ",))


def _safe(name: str) -> str:
    """The name of a file or folder in the output; one that could lead elsewhere is refused."""
    if not SAFE.fullmatch(name) or _encoded(name) is None:
        raise _LeftOutError(f"{name[:40]!r} is no name for a file")
    return name


def _when(line: str) -> tuple[str, str]:
    return str(json.loads(line).get("when", "")), line


def _dumped(values: Mapping[str, Any]) -> str:
    text = json.dumps(values, separators=(",", ":"), ensure_ascii=False)
    return text if _encoded(text) is not None else json.dumps(values, separators=(",", ":"))


def _decoded(content: bytes) -> str:
    """The text of a JSON file in whatever encoding JSON may have, without a mark of its byte order."""
    try:
        return content.decode(json.detect_encoding(content)).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise _LeftOutError(f"is no text in {error.encoding}") from error


def _encoded(text: str) -> bytes | None:
    """As UTF-8; None where there are halves of characters, which JSON can hold and files cannot."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return None


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None
