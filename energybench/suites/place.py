"""Where a suite is: its folder, its project, its repository, and what its asv.conf.json says."""

import math
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from energybench.asv_configuration import NAMES

DEFAULT_TIMEOUT = 60.0
"""asv's own, in seconds."""


class SuiteError(ValueError):
    """A suite that cannot be measured; the message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """An asv suite on disk.

    Attributes:
        root: the folder of its modules, asv's `benchmark_dir`.
        project: the project's name; the folder's where no asv.conf.json tells it.
        timeout: seconds that a benchmark may be silent that says nothing of its own.
        repository: the top folder of the git repository that it is in.
        commit: what is checked out there.
        configuration: the asv.conf.json, where there is one.
    """

    root: Path
    project: str
    timeout: float = DEFAULT_TIMEOUT
    repository: Path | None = None
    commit: str | None = None
    configuration: Mapping[str, Any] = field(default_factory=dict)


def find_suite(path: Path) -> Suite:
    """The suite at a path: its asv.conf.json, the folder of that, or the folder of its modules.

    Raises:
        SuiteError: there is none.
    """
    path = path.absolute()
    if not path.exists():
        raise SuiteError(f"{path} does not exist; give the folder of an asv suite, or its asv.conf.json")
    file = path if path.is_file() else _beside(path) or _above(path)
    told = _loaded(file) if file else {}
    root = path
    if file and file.parent in (path, path.parent) and not _is_suite(file, told, path):
        root = (file.parent / str(told.get("benchmark_dir", "benchmarks"))).resolve()
    if not root.is_dir():
        raise SuiteError(f"{root} is no folder; correct benchmark_dir in {file}, or give the folder of the suite")
    _check_readable(root)
    top = _git(root, "rev-parse", "--show-toplevel")
    return Suite(
        root=root,
        project=str(told.get("project") or (Path(top).name if top else root.parent.name) or root.name),
        timeout=_timeout(told, file),
        repository=Path(top) if top else None,
        commit=_git(root, "rev-parse", "HEAD") or None,
        configuration=told,
    )


def branches(suite: Suite) -> list[str]:
    """The branches that asv.conf.json names and the repository has; else the one that is checked out."""
    assert suite.repository is not None
    named = [one for one in suite.configuration.get("branches") or [] if isinstance(one, str)]
    there = [one for one in named if _git(suite.repository, "rev-parse", "--verify", "--quiet", f"{one}^{{commit}}")]
    contains = [one for one in there if _git(suite.repository, "merge-base", str(suite.commit), one) == suite.commit]
    return there if contains else [*there, _git(suite.repository, "rev-parse", "--abbrev-ref", "HEAD") or "HEAD"]


def _timeout(told: Mapping[str, Any], file: Path | None) -> float:
    """The configuration's default_benchmark_timeout; asv's own where it says none, or null."""
    seconds = told.get("default_benchmark_timeout")
    if seconds is None:
        return DEFAULT_TIMEOUT
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < math.inf:
        raise SuiteError(f"default_benchmark_timeout {seconds!r} of {file} is no number of seconds; correct it")
    return float(seconds)


def _beside(folder: Path) -> Path | None:
    return next((folder / name for name in NAMES if (folder / name).is_file()), None)


def _above(folder: Path) -> Path | None:
    """The asv.conf.json above whose benchmark_dir this folder is."""
    files = [file for parent in folder.parents if (file := _beside(parent))]
    return next((file for file in files if _is_suite(file, _loaded(file), folder)), None)


def _is_suite(file: Path, told: Mapping[str, Any], folder: Path) -> bool:
    return (file.parent / str(told.get("benchmark_dir", "benchmarks"))).resolve() == folder.resolve()


def _loaded(file: Path) -> dict[str, Any]:
    """The configuration, comments and all."""
    from asv.util import UserError, load_json

    try:
        told = load_json(str(file), js_comments=True)
    except (UserError, OSError, ValueError) as error:
        text = " ".join(str(error).split())
        raise SuiteError(f"{file} cannot be read ({text}); correct it, or give the folder of the suite") from error
    if not isinstance(told, dict):
        raise SuiteError(f"{file} is no asv configuration; give the folder of the suite")
    return told


def _check_readable(root: Path) -> None:
    try:
        names = [one.name for one in root.iterdir()]
    except OSError as error:
        raise SuiteError(f"{root} cannot be read ({error.strerror}); make it readable, or give another path") from error
    if not any(name.endswith(".py") for name in names):
        raise SuiteError(f"{root} has no Python modules; give the folder of an asv suite, or its asv.conf.json")
    if not root.name.isidentifier():
        raise SuiteError(
            f"{root.name} is no name that Python can import; asv needs that of a suite's folder: rename it"
        )


def _git(folder: Path, *words: str) -> str:
    """What git says; nothing where there is no repository, or no git."""
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", "-C", str(folder), *words],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
