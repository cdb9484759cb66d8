"""Whether files are what they are taken for: by a directory's own SHA256SUMS, else by the published checksums."""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from energybench.workloads import _idx, _published

_LINE = re.compile(r"([0-9a-fA-F]{64}) [ *](?:\./)?(.+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file that was read.

    Attributes:
        path: where it lies.
        wanted: the published name of what it stands for.
        content: all its bytes.
    """

    path: Path
    wanted: str
    content: bytes

    @property
    def sha256(self) -> str:
        """Of its bytes as they lie on the disk."""
        return hashlib.sha256(self.content).hexdigest()


def verified(files: Sequence[File]) -> str | None:
    """The name of the published set that these files are, None for a set that vouches for itself.

    Raises:
        ValueError: a checksum is not the one wanted, or of no known set; the line says of which file.
    """
    folder = files[0].path.parent
    own = _own(folder / _published.SUMS)
    owners = [_owner(file) for file in files]
    if own:
        for file in files:
            _check_own(file, own)
    else:
        for file, owner in zip(files, owners, strict=True):
            _check_published(file, owner)
    names = {owner[0] if owner else None for owner in owners}
    if len(names) > 1 and not own:
        mixed = ", ".join(
            f"{file.path.name} is {owner[0]}'s" for file, owner in zip(files, owners, strict=True) if owner
        )
        raise ValueError(f"{folder} mixes the files of several sets: {mixed}; keep each set in a directory of its own")
    return names.pop() if len(names) == 1 else None


def _own(path: Path) -> Mapping[str, str]:
    """What a directory says of its files: checksums by name."""
    if not path.is_file():
        return {}
    lines = [line for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    found = [_LINE.fullmatch(line) for line in lines]
    for line, match in zip(lines, found, strict=True):
        if not match:
            raise ValueError(f"{path} has a line that is none of sha256sum's: {line[:40]!r}; write it with sha256sum")
    if not found:
        raise ValueError(f"{path} is empty: write it with `sha256sum * > {_published.SUMS}`, or remove it")
    return {match[2]: match[1].lower() for match in found if match}


def _check_own(file: File, own: Mapping[str, str]) -> None:
    name, sums = file.path.name, file.path.with_name(_published.SUMS)
    if name not in own:
        raise ValueError(f"{sums} does not list {name}: add it with `sha256sum {name} >> {_published.SUMS}`")
    if file.sha256 == own[name]:
        return
    for other, checksum in own.items():
        if checksum == file.sha256:
            raise ValueError(f"{file.path} has the checksum of {other} in {sums}: the files are swapped; rename them")
    raise ValueError(f"{file.path} is damaged or another set's: its checksum is not the one in {sums}; copy it again")


def _check_published(file: File, owner: tuple[str, str] | None) -> None:
    if owner is None:
        problem = f"{file.path} is damaged or another set's: its checksum is none of the published ones"
        vouch = f"vouch for the set by a file {_published.SUMS} beside it (`sha256sum * > {_published.SUMS}`)"
        raise ValueError(f"{problem}; copy it again, or {vouch}")
    if owner[1] != file.wanted:
        title = _published.PUBLISHED[owner[0]].title
        raise ValueError(f"{file.path} is {title}'s {owner[1]}: the files are swapped; rename them")


def _owner(file: File) -> tuple[str, str] | None:
    for checksum in _checksums(file.content):
        if owner := _published.owner(checksum):
            return owner
    return None


def _checksums(content: bytes) -> Iterator[str]:
    # MD5 is what the sets are published with: it finds damage, and is no defence against forgery.
    yield hashlib.md5(content, usedforsecurity=False).hexdigest()
    yield hashlib.sha256(content).hexdigest()
    unzipped = _idx.unzipped(content, "")
    if unzipped is not content:
        # Packed anew: what is inside may still be the published file.
        yield hashlib.md5(unzipped, usedforsecurity=False).hexdigest()
