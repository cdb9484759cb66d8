"""What git says of commits: their full hashes, their order, their authors' words."""

import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


class CommitError(ValueError):
    """A commit or a branch that git does not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """A commit as people know it.

    Attributes:
        hash: in full.
        subject: the first line of its message; empty where nobody knows.
        author: their name.
        date: the author's, ISO 8601.
    """

    hash: str
    subject: str = ""
    author: str = ""
    date: str = ""


def git(repository: Path, *arguments: str, given: bytes | None = None) -> bytes | None:
    """What a git command writes; None where it fails or there is no git."""
    command = ["git", "--no-optional-locks", "-C", str(repository), *arguments]
    try:
        done = subprocess.run(command, input=given, capture_output=True, check=False)
    except OSError:
        return None
    return done.stdout if done.returncode == 0 else None


def top_of(folder: Path) -> Path:
    """The top of the repository that a folder is in; the folder itself where it is in none."""
    said = git(folder, "rev-parse", "--show-toplevel")
    return Path(said.decode().strip()) if said and said.strip() else folder


def full_hash(repository: Path, text: str) -> str | None:
    """The commit that a name, a branch or the beginning of a hash stands for; None where git knows none."""
    if not text or text.startswith("-"):
        return None
    said = git(repository, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{text}^{{commit}}")
    return said.decode().strip() if said else None


def shallow(repository: Path) -> bool:
    """Whether a clone has only the newest commits."""
    return git(repository, "rev-parse", "--is-shallow-repository") == b"true\n"


def known(repository: Path, hashes: Iterable[str]) -> set[str]:
    """Those of some full hashes that are commits which git has, on whatever branch."""
    asked = "".join(f"{one}\n" for one in hashes).encode()
    said = git(repository, "cat-file", "--batch-check=%(objectname) %(objecttype)", given=asked) or b""
    pairs = (line.split() for line in said.decode().splitlines())
    return {one[0] for one in pairs if one[1:] == ["commit"]}


def order(repository: Path, branch: str) -> list[Commit]:
    """The commits of a branch along its first parents, the oldest first.

    What was merged lies beside this line: it was another branch's, and no step between two neighbours on the line.

    Raises:
        CommitError: there is no such branch or commit.
    """
    found = full_hash(repository, branch)
    if found is None:
        raise CommitError(f"{repository} has no branch or commit {branch}; choose one that git log knows")
    said = git(repository, "log", "--first-parent", "--reverse", "--format=%H%x00%aN%x00%aI%x00%s", found)
    lines = (said or b"").decode(errors="replace").splitlines()
    parts = (line.split("\0", 3) for line in lines if line.count("\0") >= 3)
    return [Commit(hash=name, author=author, date=date, subject=subject) for name, author, date, subject in parts]
