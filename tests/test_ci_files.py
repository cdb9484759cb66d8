"""The files of docs/ci: their syntax, what CI systems require of them, and that every command line in them exists."""

import configparser
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

import energybench
from energybench.cli import app

ROOT = Path(__file__).parents[1]
CI = ROOT / "docs" / "ci"
GITHUB = ("github-hosted.yml", "github-self-hosted.yml")
GITLAB = "gitlab-ci.yml"
UNITS = ("energybench-nightly.service", "energybench-nightly.timer")
GLOBAL = {"variables", "stages"}
# The major versions of actions that are known to exist.
ACTIONS = {
    "actions/cache@v4",
    "actions/checkout@v4",
    "actions/deploy-pages@v4",
    "actions/setup-python@v5",
    "actions/upload-artifact@v4",
    "actions/upload-pages-artifact@v3",
    "benchmark-action/github-action-benchmark@v1",
}
COMMAND = re.compile(r"(?<![\w/.-])(?:\.venv/bin/)?(energybench|asv|make) (?!\(|=)([^;|&)]*)")


def loaded(name: str) -> dict[str, Any]:
    values = yaml.safe_load((CI / name).read_text(encoding="utf-8"))
    # YAML 1.1 takes the word `on` for true.
    return {"on" if key is True else key: value for key, value in values.items()}


def github_steps() -> Iterator[tuple[str, dict[str, Any]]]:
    for name in GITHUB:
        for job in loaded(name)["jobs"].values():
            yield from ((name, step) for step in job["steps"])


def gitlab_jobs() -> dict[str, dict[str, Any]]:
    return {name: job for name, job in loaded(GITLAB).items() if name not in GLOBAL}


def unit(name: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None, delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string((CI / name).read_text(encoding="utf-8"))
    return parser


def unit_scripts() -> list[str]:
    """What the shell gets of each Exec line."""
    text = (CI / UNITS[0]).read_text(encoding="utf-8")
    lines = re.findall(r"^Exec\w+=(.*)$", text, re.MULTILINE)
    return [shlex.split(line)[-1].replace("$$", "$") for line in lines]


def scripts() -> list[tuple[str, str]]:
    """Every piece of shell in the files, by file."""
    found = [(name, step["run"]) for name, step in github_steps() if "run" in step]
    found += [(GITLAB, "\n".join(job["script"])) for job in gitlab_jobs().values()]
    return found + [(UNITS[0], text) for text in unit_scripts()]


def commands() -> list[tuple[str, str, list[str]]]:
    """Every command line of a program of ours: file, program, arguments."""
    found = []
    for name, script in scripts():
        text = re.sub(r"^\s*#.*$", "", script.replace("\\\n", " "), flags=re.MULTILINE)
        for line in text.splitlines():
            if line.strip().startswith("echo"):
                continue
            # What a shell puts in for $(…) is one word of some command line.
            plain = re.sub(r"\$\([^()]*\)", "WORD", line)
            found += [(name, program, shlex.split(rest)) for program, rest in COMMAND.findall(plain)]
    return found


@pytest.mark.parametrize("name", GITHUB)
def test_a_workflow_has_what_github_requires(name: str):
    values = loaded(name)
    assert set(values) <= {"name", "on", "permissions", "concurrency", "env", "jobs"}
    assert values["permissions"] == {"contents": "read"}
    for job in values["jobs"].values():
        assert job["runs-on"]
        assert job["steps"]
        assert set(job.get("needs", "").split()) <= set(values["jobs"])


def test_a_step_runs_a_script_or_uses_an_action_of_a_known_major_version():
    for _, step in github_steps():
        assert ("run" in step) != ("uses" in step), step
        assert step.get("uses", "actions/cache@v4") in ACTIONS


def test_what_others_wrote_is_never_pasted_into_a_script():
    assert [step["run"] for _, step in github_steps() if "${{" in step.get("run", "")] == []


def test_no_pull_request_starts_anything_on_a_machine_of_ones_own():
    values = loaded("github-self-hosted.yml")
    assert set(values["on"]) == {"push", "workflow_dispatch"}
    assert [job["runs-on"][0] for job in values["jobs"].values()] == ["self-hosted"]
    assert "WARNING" in (CI / "github-self-hosted.yml").read_text(encoding="utf-8")


def test_a_gitlab_job_has_what_gitlab_requires():
    values = loaded(GITLAB)
    for job in gitlab_jobs().values():
        assert job["script"]
        assert all(isinstance(line, str) for line in job["script"])
        assert job["stage"] in values["stages"]
        assert {need["job"] for need in job.get("needs", [])} <= set(gitlab_jobs())
        assert job["rules"]
    assert gitlab_jobs()["energy-gate"]["artifacts"]["reports"]["junit"] == "energy.xml"
    assert "public" in gitlab_jobs()["pages"]["artifacts"]["paths"]


@pytest.mark.parametrize("number", range(len(scripts())))
def test_every_script_is_one_that_bash_can_read(number: int):
    name, script = scripts()[number]
    done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), name


def test_every_file_with_scripts_runs_some_of_our_commands():
    assert {name for name, program, _ in commands() if program == "energybench"} == {*GITHUB, GITLAB, UNITS[0]}
    gates = [arguments for _, program, arguments in commands() if program == "energybench" and arguments[0] == "gate"]
    assert len(gates) == 4
    assert sum("--run" in arguments for arguments in gates) == 2


@pytest.mark.parametrize("number", range(len(commands())))
def test_every_command_line_exists_with_its_options(number: int):
    name, program, arguments = commands()[number]
    if program == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        assert arguments[0] in targets, name
    elif program == "asv":
        from asv.commands import make_argparser

        make_argparser()[0].parse_args(arguments)
    else:
        group = typer.main.get_command(app)
        assert arguments[0] in group.commands, f"{name}: there is no energybench {arguments[0]}"  # type: ignore[attr-defined]
        command = group.commands[arguments[0]]  # type: ignore[attr-defined]
        # Raises where an option is none, or an argument is missing or too many; it runs nothing.
        command.make_context(arguments[0], arguments[1:])


def test_the_files_pin_the_version_that_they_come_with():
    pins = [loaded(name)["env"]["ENERGYBENCH"] for name in GITHUB] + [loaded(GITLAB)["variables"]["ENERGYBENCH"]]
    assert set(pins) == {f"energybench=={energybench.__version__}"}


def test_the_units_have_the_sections_that_systemd_requires():
    service, timer = map(unit, UNITS)
    assert service["Service"]["Type"] == "oneshot"
    assert service["Service"]["ExecStart"]
    assert timer["Timer"]["OnCalendar"]
    assert timer["Install"]["WantedBy"] == "timers.target"


def git(place: Path, *words: str) -> str:
    who = {f"GIT_{role}_{what}": "nobody@example.org" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    done = subprocess.run(
        ["git", *words], cwd=place, env={**os.environ, **who}, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone of a project of one commit on main, as a machine or a job has it."""
    git(tmp_path, "init", "-q", "-b", "main", "origin")
    git(tmp_path / "origin", "commit", "-q", "--allow-empty", "-m", "one")
    git(tmp_path, "clone", "-q", "origin", "clone")
    return tmp_path / "clone"


def shell(script: str, place: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    words = ["sh", "-c", script]
    return subprocess.run(words, cwd=place, env={**os.environ, **environ}, capture_output=True, text=True, check=False)


def test_a_night_measures_what_has_no_results_whatever_is_checked_out(clone: Path):
    condition = next(text for text in unit_scripts() if "fetch" in text)
    assert shell(condition, clone).returncode == 0
    kept = clone / ".asv" / "results" / "box" / f"{git(clone, 'rev-parse', 'HEAD')[:8]}-env.json"
    kept.parent.mkdir(parents=True)
    kept.touch()
    assert 0 < shell(condition, clone).returncode < 255  # skipped, which is no failure
    git(clone.parent / "origin", "commit", "-q", "--allow-empty", "-m", "two")
    assert shell(condition, clone).returncode == 0
    git(clone, "remote", "set-url", "origin", str(clone / "nowhere"))
    assert shell(condition, clone).returncode == 255  # the unit fails


def test_the_first_night_is_of_one_commit(clone: Path, tmp_path: Path):
    script = next(text for text in unit_scripts() if "asv run" in text)
    fake = tmp_path / "bin" / "asv"
    fake.parent.mkdir()
    fake.write_text('#!/bin/sh\necho "$@"\nexit 2\n')
    fake.chmod(0o755)
    path = f"{fake.parent}:{os.environ['PATH']}"
    first = shell(script, clone, PATH=path)
    assert (first.returncode, first.stdout) == (0, "run --show-stderr HEAD^!\n")
    (clone / ".asv" / "results" / "box").mkdir(parents=True)
    (clone / ".asv" / "results" / "box" / "1a2b3c4d-env.json").touch()
    assert shell(script, clone, PATH=path).stdout == "run --show-stderr NEW\n"


def test_a_machine_that_is_not_ready_stops_the_night_before_anything_is_merged():
    text = (CI / UNITS[0]).read_text(encoding="utf-8")
    assert text.index("energybench doctor --ready") < text.index("git merge") < text.index("asv run --show-stderr")


def test_a_job_that_publishes_has_the_branch_and_earlier_results(clone: Path):
    git(clone, "checkout", "-q", "--detach")
    git(clone, "branch", "-q", "-D", "main")
    pages = gitlab_jobs()["pages"]
    assert ".asv/results" in pages["cache"]["paths"]
    hosted = next(step["run"] for _, step in github_steps() if "asv publish" in step.get("run", ""))
    for lines in (pages["script"], hosted.splitlines()):
        (line,) = (line for line in lines if line.startswith("git "))
        done = shell(line, clone, CI_DEFAULT_BRANCH="main")
        assert done.returncode == 0, done.stderr
        assert git(clone, "rev-parse", "main") == git(clone, "rev-parse", "HEAD")
        git(clone, "branch", "-q", "-D", "main")


def test_systemd_finds_nothing_wrong_with_the_units(tmp_path: Path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze here")
    for name in UNITS:
        shutil.copy(CI / name, tmp_path)
    tmp_path.chmod(0o700)
    environ = {**os.environ, "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
    command = ["systemd-analyze", "verify", "--user", *(str(tmp_path / name) for name in UNITS)]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_file_is_named_in_the_readme_which_links_to_nothing_that_is_not_there():
    text = (CI / "README.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#:]+)\)", text)
    assert {*GITHUB, GITLAB, *UNITS} <= set(links)
    assert [link for link in links if not (CI / link).exists()] == []


@pytest.mark.skipif(shutil.which("lscpu") is None, reason="needs lscpu")
def test_every_machine_that_is_named_for_asv_tells_its_processor() -> None:
    named = [(name, script) for name, script in scripts() if "asv machine" in script]
    assert [name for name, _ in named] == ["github-hosted.yml", GITLAB, GITLAB]
    for _, script in named:
        lines = [line.strip() for line in script.splitlines()]
        (line,) = (one for one in lines if one.startswith("asv machine"))
        told = [one for one in lines if one.startswith(("arch=", "cpu="))]
        command = "\n".join(["set -eu", *told, line.replace("asv machine", "printf '%s\\n'", 1)])
        said = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True).stdout.splitlines()
        assert said[said.index("--arch") + 1] == os.uname().machine
        assert said[said.index("--cpu") + 1]
