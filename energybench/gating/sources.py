"""Where files come from: a folder, a branch of a git repository, or any address that fsspec knows."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from energybench.gating.commits import full_hash, git
from energybench.gating.places import files_below
from energybench.store import why

CANARY = "canary.jsonl"
GIT = "git:"
PLAIN_FILES = ("100644", "100755")


class SourceError(ValueError):
    """A source that cannot be opened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file of a source: its name for people, its content, or why it cannot be read.

    `path` is where it is in its source, for a name that has more than that.
    """

    name: str
    content: bytes = b""
    problem: str = ""
    path: str = ""

    @property
    def parts(self) -> list[str]:
        """The folders of its path and the last part."""
        return (self.path or self.name).replace("\\", "/").split("/")


def files_of(source: str, repository: Path) -> Iterator[File]:
    """The JSON files and canaries of a source.

    Args:
        source: a folder or file, `git:REPOSITORY@BRANCH[:PATH]`, an address with `://`, or a branch of `repository`.
        repository: whose branches are meant.

    Raises:
        SourceError: it is none of these, or cannot be opened.
    """
    if source.startswith(GIT):
        place, at, rest = source.removeprefix(GIT).rpartition("@")
        if not at:
            raise SourceError(f"{source} names no branch; write git:REPOSITORY@BRANCH or git:REPOSITORY@BRANCH:PATH")
        branch, _, path = rest.partition(":")
        return _of_git(Path(place or "."), branch, path)
    if "://" in source:
        return _of_address(source)
    if Path(source).exists():
        return _of_folder(Path(source))
    if full_hash(repository, source):
        return _of_git(repository, source, "")
    raise SourceError(f"{source} is no folder, no address and no branch of {repository}; name one of them")


def _wanted(name: str) -> bool:
    last = name.rpartition("/")[2]
    return (last.endswith(".json") or last == CANARY) and not last.startswith(".")


def _of_folder(given: Path) -> Iterator[File]:
    if not given.is_dir():
        yield _read(given.parent.resolve() / given.name)
        return
    yield from (_read(path) for path in files_below(given.resolve()) if _wanted(path.name))


def _read(path: Path) -> File:
    if not path.is_file():  # a named pipe would be waited for
        return File(name=str(path), problem="is not a regular file")
    try:
        return File(name=str(path), content=path.read_bytes())
    except OSError as error:
        return File(name=str(path), problem=f"cannot be read ({why(error)})")


def _of_git(repository: Path, branch: str, path: str) -> Iterator[File]:
    commit = full_hash(repository, branch)
    if commit is None:
        raise SourceError(f"{repository} has no branch {branch}; fetch it first, or name one that git branch -a lists")
    listed = git(repository, "ls-tree", "-r", "-z", "--full-tree", commit, *(["--", path] if path else []))
    entries = [line.split("\t", 1) for line in (listed or b"").decode(errors="surrogateescape").split("\0") if line]
    wanted = [
        (facts.split()[2], name)
        for facts, name in entries
        if _wanted(name) and facts.split()[0] in PLAIN_FILES  # links and submodules have no results in them
    ]
    return _blobs(repository, branch, wanted)


def _blobs(repository: Path, branch: str, wanted: list[tuple[str, str]]) -> Iterator[File]:
    """The contents of files by their hashes, all from one process."""
    command = ["git", "-C", str(repository), "cat-file", "--batch"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for blob, name in wanted:
            process.stdin.write(f"{blob}\n".encode())
            process.stdin.flush()
            header = process.stdout.readline().split()
            if len(header) < 3:
                yield File(name=f"{branch}:{name}", path=name, problem="git has lost it")
                continue
            content = process.stdout.read(int(header[2]))
            process.stdout.read(1)
            yield File(name=f"{branch}:{name}", path=name, content=content)


def _of_address(source: str) -> Iterator[File]:
    try:
        import fsspec  # type: ignore[import-untyped]  # it has no types
    except ImportError as error:
        raise SourceError(f"{source} needs fsspec; install it: pip install fsspec") from error
    try:
        system, path = fsspec.core.url_to_fs(source)
        names = sorted(system.find(path))
    except ImportError as error:
        raise SourceError(f"{source}: {error}") from error
    except Exception as error:  # each protocol has errors of its own
        raise SourceError(f"{source} cannot be listed: {type(error).__name__}: {error}; check the address") from error
    if not names:
        raise SourceError(f"{source} holds no files; check the address")
    return (_fetched(system, name, source) for name in names if _wanted(name))


def _fetched(system: object, name: str, source: str) -> File:
    shown = f"{source.split('://', 1)[0]}://{name}"
    try:
        return File(name=shown, content=system.cat_file(name))  # type: ignore[attr-defined]  # fsspec has no types
    except Exception as error:  # as above
        return File(name=shown, problem=f"cannot be read ({type(error).__name__}: {error})")
