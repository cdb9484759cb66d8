"""The files of a commit in a folder of their own, and points of a suite measured with them."""

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from energybench import marking, suite_child
from energybench.gating.series import Scalar

CHILD = Path(suite_child.__file__)
POINT_SECONDS = 1800.0
"""How long one point may take."""
TOLD_LINES = 3


class TreeError(ValueError):
    """A commit that cannot be had, or a suite that cannot be found; the message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SuitePoint:
    """A parameter point of an `EnergySuite`.

    Attributes:
        suite: `module.Class` below the benchmark folder.
        index: of the point, in asv's order.
        workload: its name in records.
        parameters: in the order of their names.
    """

    suite: str
    index: int
    workload: str
    parameters: tuple[tuple[str, Scalar], ...]

    @property
    def label(self) -> str:
        """`qnn-infer bits=8`."""
        return " ".join([self.workload, *(f"{name}={value}" for name, value in self.parameters)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """A commit checked out, and how its processes are run.

    Attributes:
        commit: the full hash.
        folder: where its files are.
        python: the interpreter that runs it; the project's libraries are there.
        environ: beside this process's environment.
    """

    commit: str
    folder: Path
    python: str = sys.executable
    environ: Mapping[str, str] = field(default_factory=dict)


def check_out(repository: Path, commit: str, folder: Path, *, build: str | None = None) -> Tree:
    """Put the files of a commit into a folder, and build them where that is asked for.

    Args:
        repository: a git repository; nothing in it is changed.
        commit: a full hash.
        folder: made anew.
        build: a command that is run in it, as `python setup.py build_ext --inplace`.

    Raises:
        TreeError: git cannot give the files, or the command failed.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    # The index is this folder's own; `git archive` would leave out what is export-ignored.
    index = folder.with_name(f"{folder.name}.index")
    environ = {**os.environ, "GIT_INDEX_FILE": str(index)}
    for words in (["read-tree", commit], ["checkout-index", "--all", f"--prefix={folder}{os.sep}"]):
        git = ["git", "-C", str(repository), *words]
        done = subprocess.run(git, env=environ, capture_output=True, text=True, check=False)
        if done.returncode:
            raise TreeError(f"git cannot give the files of {commit[:12]}: {done.stderr.strip()}")
    index.unlink(missing_ok=True)
    tree = Tree(commit=commit, folder=folder)
    if build:
        built = subprocess.run(shlex.split(build), cwd=folder, capture_output=True, text=True, check=False)
        if built.returncode:
            raise TreeError(f"commit {commit[:12]} does not build ({build}): {_last(built.stdout + built.stderr)}")
    return tree


def list_points(tree: Tree, suite: Path) -> tuple[list[SuitePoint], list[str]]:
    """The points of every `EnergySuite` in an asv suite with this tree's project; and what could not be imported.

    Raises:
        TreeError: the suite cannot be looked at.
    """
    told = _child(tree, ["list", str(suite.resolve())], folder=tree.folder, timeout=POINT_SECONDS)
    if "error" in told:
        raise TreeError(f"{suite} cannot be read as an asv suite: {told['error']}")
    points = [
        SuitePoint(
            suite=one["suite"],
            index=one["index"],
            workload=one["workload"],
            parameters=tuple(sorted(one["parameters"].items())),
        )
        for one in told["points"]
    ]
    return points, [f"{one['module']}: {one['reason']}" for one in told["broken"]]


def measure_point(
    tree: Tree,
    suite: Path,
    point: SuitePoint,
    *,
    settings: Mapping[str, Any],
    tags: Mapping[str, Any],
    timeout: float = POINT_SECONDS,
) -> dict[str, Any]:
    """Measure one point of this tree once: `record` is the file; `error` or `skip` says why there is none.

    Args:
        tree: the commit.
        suite: the folder of the checkout's asv suite.
        point: of that suite.
        settings: of the protocol.
        tags: what the record is given; its round chooses among the seeds of the suite.
        timeout: seconds that it may take.
    """
    environ = {
        marking.SETTINGS: json.dumps(dict(settings)),
        marking.TAGS: json.dumps(dict(tags)),
        marking.PYTHON: sys.executable,
        "ASV_COMMIT": tree.commit,
    }
    with tempfile.TemporaryDirectory() as folder:
        words = ["measure", str(suite.resolve()), point.suite, str(point.index), str(_round(tags))]
        return _child(tree, words, folder=Path(folder), environ=environ, timeout=timeout)


def _round(tags: Mapping[str, Any]) -> int:
    """From 0."""
    return int(tags.get("interleaved", {}).get("round", 1)) - 1


def _child(
    tree: Tree, words: Sequence[str], *, folder: Path, timeout: float, environ: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """What the child answered; `error` where it did not."""
    # A project may keep its packages in src/.
    places = [str(one) for one in (tree.folder / "src", tree.folder) if one.is_dir()]
    where = {**os.environ, "PYTHONPATH": os.pathsep.join(places), **tree.environ, **(environ or {})}
    command = [tree.python, "-P", str(CHILD), str(tree.folder), *words]
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            command, cwd=folder, env=where, stdout=subprocess.PIPE, stderr=said, text=True, start_new_session=True
        )
        try:
            answer, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            return {"error": f"it took more than {timeout:g} s"}
        finally:
            _end(process)
        said.seek(0)
        try:
            told: dict[str, Any] = json.loads(answer)
        except ValueError:
            how = f"ended with {process.returncode}"
            return {"error": f"{how}: {_last(said.read())}"}
    return told


def _end(process: "subprocess.Popen[str]") -> None:
    """End the child and all that it has started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdout:
        process.stdout.close()


def _last(text: str) -> str:
    """The last lines of what a command said."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " / ".join(lines[-TOLD_LINES:]) or "it said nothing"
