"""`energybench gate --run` on a small project with real commits, measured by real processes on a simulated machine."""

import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from energybench.cli import main

SUITE = """
from energybench.asv import EnergySuite
import counting

class Count(EnergySuite):
    params, param_names = [["few", "many"]], ["numbers"]
    settings = {"windows": 2, "window_seconds": 0.03}

    def step(self, numbers):
        counting.count(2000 if numbers == "few" else 4000)

    def evaluate(self, numbers):
        return {"accuracy": counting.ACCURACY}
"""
CONFIGURATION = '{"version": 1, "project": "counting", "repo": ".", "benchmark_dir": "suite"} // asv allows comments\n'


REST = "import time; time.sleep(0.01)"
"""A step that costs nothing, and is warm at once: where it is not the joules that are judged."""


def make_project(folder: Path, patch: pytest.MonkeyPatch) -> Path:
    """A repository whose suite counts, as the current folder, on a machine that is simulated."""
    place = folder / "project"
    (place / "suite").mkdir(parents=True)
    (place / "suite" / "__init__.py").touch()
    (place / "suite" / "work.py").write_text(SUITE)
    (place / "asv.conf.json").write_text(CONFIGURATION)
    git(place, "init", "-q", "-b", "main")
    patch.chdir(place)
    patch.setenv("ENERGYBENCH_SIMULATE", "1,idle_watts=0")
    patch.setenv("ENERGYBENCH_LOCK", str(folder / "lock"))
    for name in ("ENERGYBENCH_RECORDS", "ENERGYBENCH_HELD_BY"):
        patch.setenv(name, "")
    patch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    return place


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: a repository whose suite counts."""
    return make_project(tmp_path, monkeypatch)


def git(place: Path, *words: str) -> str:
    who = {f"GIT_{role}_{what}": "nobody@example.org" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    done = subprocess.run(
        ["git", *words], cwd=place, env={**os.environ, **who}, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def commit(place: Path, body: str, accuracy: float = 0.9) -> str:
    (place / "counting.py").write_text(f"ACCURACY = {accuracy}\n\ndef count(n):\n    {body}\n")
    git(place, "add", "-A")
    git(place, "commit", "-q", "--allow-empty", "-m", body)
    return git(place, "rev-parse", "HEAD")


def gate(*words: str) -> tuple[int, dict[str, Any], str]:
    """The exit code, what `--json` gave, and what people saw."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as stop:
        main(["gate", *words, "--json", "--allow", "simulated"])
    return int(stop.value.code or 0), json.loads(out.getvalue() or "{}"), err.getvalue()


def verdicts(told: dict[str, Any]) -> dict[str, str]:
    return {f"{one['parameters']['numbers']} {one['metric']}": one["verdict"] for one in told["series"]}


def test_work_that_is_done_three_times_is_a_regression_confirmed_by_fresh_rounds(project: Path):
    commit(project, "sum(range(n))")
    commit(project, "sum(range(n)), sum(range(n)), sum(range(n))")
    code, told, err = gate("--run", "HEAD~1", "HEAD", "--bench", "few", "--rounds", "4", "--max-rounds", "8")
    assert code == 1, err
    assert verdicts(told)["few joules_per_sample"] == "regression"
    assert verdicts(told)["few accuracy"] == "pass"
    (joules,) = (one for one in told["series"] if one["metric"] == "joules_per_sample")
    assert joules["rounds"] == 8
    assert 1 < joules["change"] < 3.5
    assert "round 1 of 4, of 1 points" in err
    assert "still open after 4 rounds" in err


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """Two commits, of which the second is less accurate, measured once; with every output, of which one fails."""

    project: Path
    commits: tuple[str, str]
    code: int
    told: dict[str, Any]
    err: str

    @property
    def folder(self) -> Path:
        return self.project.parent


@pytest.fixture(scope="module")
def loss(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loss]:
    folder = tmp_path_factory.mktemp("loss")
    with pytest.MonkeyPatch.context() as patch:
        project = make_project(folder, patch)
        patch.setenv("GITHUB_STEP_SUMMARY", str(folder / "summary.md"))
        commits = commit(project, REST), commit(project, REST, accuracy=0.8)
        words = ["--run", "HEAD~1", "HEAD", "--bench", "few", "--rounds", "2", "--max-rounds", "4"]
        words += ["--only", "accuracy", "--markdown", str(folder), "--junit", str(folder / "out" / "junit.xml")]
        code, told, err = gate(*words, "--smaller", str(folder / "out" / "smaller.json"))
        yield Loss(project=project, commits=commits, code=code, told=told, err=err)


def test_a_loss_of_accuracy_is_found_and_the_summary_of_the_job_tells_it(loss: Loss):
    assert loss.code == 1
    assert verdicts(loss.told) == {"few accuracy": "regression"}
    assert "-10.00 points" in (loss.folder / "summary.md").read_text()
    assert "<failure" in (loss.folder / "out" / "junit.xml").read_text()
    assert json.loads((loss.folder / "out" / "smaller.json").read_text())[0]["value"] == pytest.approx(0.2)


def test_an_output_that_cannot_be_written_hides_no_verdict(loss: Loss):
    assert loss.code == 1
    assert f"{loss.folder} cannot be written" in loss.err
    assert (loss.folder / "out" / "junit.xml").exists()


def test_what_is_stored_of_a_commit_is_judged_and_what_was_not_measured_is_told(loss: Loss):
    first, second = loss.commits
    code, told, _ = gate(first[:10], second[:10], "--only", "accuracy")
    assert code == 1
    assert verdicts(told) == {"few accuracy": "regression"}
    assert gate(first, first, "--only", "accuracy")[0] == 0
    third = commit(loss.project, "pass")
    code, told, err = gate(second, third)
    assert code == 2
    assert f"nothing was measured at {third}" in err


def test_a_point_that_crashes_in_head_is_not_measured_unless_that_is_allowed(project: Path):
    commit(project, REST)
    commit(project, f"if n > 3000: raise OSError('too many')\n    {REST}")
    words = ["--run", "HEAD~1", "HEAD", "--rounds", "2", "--max-rounds", "4", "--only", "accuracy"]
    code, told, err = gate(*words)
    assert code == 4
    assert verdicts(told) == {"few accuracy": "pass", "many accuracy": "not measured"}
    assert "head work.Count numbers=many: " in err
    assert "too many" in err
    code, told, _ = gate(*words, "--allow-missing", "*numbers=many*")
    assert code == 0


def test_a_head_that_does_not_build_is_not_measured(project: Path):
    commit(project, REST)
    (project / "broken").touch()
    commit(project, f"{REST} ")
    build = "sh -c 'if [ -e broken ]; then echo no such header; exit 1; fi'"
    words = ["--run", "HEAD~1", "HEAD", "--build", build, "--rounds", "2", "--max-rounds", "4"]
    code, told, err = gate(*words)
    assert code == 4
    assert told["compared"] == 0
    assert "does not build" in err
    assert "no such header" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["HEAD", "nowhere"], "nowhere is no commit of"),
        (["HEAD", "HEAD", "--bench", "nothing-like-it"], "no point of .* matches; there are work.Count numbers=few"),
        (["HEAD", "HEAD", "--bench", "("], "is no regular expression"),
        (["HEAD", "HEAD", "--suite", "nowhere"], "there is no folder nowhere"),
        (["HEAD", "HEAD", "--margin", "joules"], "'joules' is no margin; give it as --margin joules=0.05"),
        (["HEAD", "HEAD", "--margin", "joules=-1"], "give a number of 0 or more"),
        (["HEAD", "HEAD", "--allow", "everything"], "nothing that can be allowed"),
        (["HEAD", "HEAD", "--accepted", "nowhere.toml"], "nowhere.toml"),
        (["HEAD", "HEAD", "--rounds", "8", "--max-rounds", "8"], "at least twice the rounds"),
    ],
)
def test_a_wrong_command_line_is_told_in_one_line_and_ends_with_2(project: Path, words: list[str], said: str):
    commit(project, "sum(range(n))")
    code, told, err = gate("--run", *words)
    assert code == 2
    assert (told["verdict"], told["exit"], told["series"]) == ("not comparable", 2, [])
    assert re.search(said, told["reason"])
    lines = [line for line in err.splitlines() if "canary" not in line and "quiet" not in line]
    assert len(lines) == 1
    assert re.search(said, lines[0]), lines[0]


def test_a_machine_that_another_run_holds_is_not_measured_on(project: Path):
    from energybench import lock

    commit(project, "sum(range(n))")
    with lock.measuring():
        code, told, err = gate("--run", "HEAD", "HEAD")
    assert code == 4
    assert told["verdict"] == "not measured"
    assert "Another run is measuring on this machine" in err


def test_a_point_that_the_budget_does_not_reach_is_not_measured(project: Path):
    commit(project, REST)
    words = ["--run", "HEAD", "HEAD", "--rounds", "2", "--max-rounds", "4", "--only", "accuracy", "--budget", "1"]
    code, told, _ = gate(*words)
    assert code == 4
    (lost,) = (one for one in told["series"] if one["verdict"] == "not measured")
    assert "the budget ended" in lost["reason"]


def test_a_head_whose_project_cannot_be_imported_says_why(project: Path):
    commit(project, REST)
    commit(project, "sum(range(n)")
    code, _, err = gate("--run", "HEAD~1", "HEAD", "--bench", "few", "--rounds", "2", "--max-rounds", "4")
    assert code == 4
    assert "left out of the suite: suite.work: SyntaxError" in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_stopped_leaves_no_process_behind(project: Path, tmp_path: Path, number: int):
    commit(project, "import time; time.sleep(30)")
    command = [sys.executable, "-c", INTERRUPTIBLE, "gate", "--run", "HEAD", "HEAD", "--allow", "simulated"]
    run = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 60
    while not (ours := started(tmp_path)) and time.monotonic() < until:
        time.sleep(0.1)
    assert ours
    run.send_signal(number)
    assert "stopped; the rounds so far are in" in run.communicate(timeout=30)[1]
    assert run.returncode == 128 + number
    while started(tmp_path) and time.monotonic() < until:
        time.sleep(0.05)
    assert not started(tmp_path)


INTERRUPTIBLE = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from energybench.cli import main; main()"
)


def started(tmp_path: Path) -> list[str]:
    """Processes that measure, and know this test's lock."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            ours = str(tmp_path / "lock") in (place / "environ").read_bytes().decode(errors="replace")
            words = (place / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if ours and any("suite_child" in word or "instrument" in word for word in words):
            found.append(place.name)
    return found
