"""`energybench init-asv`: what it writes, what it leaves alone, and what it says."""

import ast
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from asv.util import load_json

from energybench import asv_project
from energybench._commands.init_asv import init_asv
from energybench.asv_project import Plan, ProjectError, plan
from energybench.asv_requirement import checked_requirement, own_requirement, requirement_of

PIN = "energybench==0.1.0"
PIP = "in-dir={env_dir} python -m pip install "


def git(place: Path, *words: str) -> str:
    who = {f"GIT_{role}_{what}": "nobody@example.org" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    done = subprocess.run(
        ["git", *words], cwd=place, env={**os.environ, **who}, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of one package, in git, on the branch `trunk`."""
    place = tmp_path / "project"
    (place / "src" / "tiny").mkdir(parents=True)
    (place / "src" / "tiny" / "__init__.py").touch()
    (place / "pyproject.toml").write_text('[project]\nname = "tiny"\nversion = "1"\n')
    (place / ".gitignore").write_text(".asv/env/\n.energybench/\n")
    git(place, "init", "-q", "-b", "trunk")
    git(place, "add", "-A")
    git(place, "commit", "-q", "-m", "begin")
    return place


def with_asv(place: Path, text: str, *, suite: str = "suite") -> None:
    (place / "asv.conf.json").write_text(text)
    (place / suite).mkdir()
    (place / suite / "__init__.py").touch()
    (place / suite / "speed.py").write_text("def time_nothing():\n    pass\n")


def files(place: Path) -> dict[str, str]:
    found = (path for path in place.rglob("*") if path.is_file() and ".git" not in path.parts)
    return {path.relative_to(place).as_posix(): path.read_text() for path in found}


def planned(place: Path) -> Plan:
    return plan(place, requirement=PIN)


def test_a_project_without_asv_gets_a_configuration_and_a_suite(project: Path):
    before = files(project)
    assert init_asv(project, requirement=PIN) == 0
    after = files(project)
    assert after.keys() - before.keys() == {"asv.conf.json", "benchmarks/__init__.py", "benchmarks/energy.py"}
    assert {name: after[name] for name in before} == before
    values = load_json(str(project / "asv.conf.json"), js_comments=True)
    assert values == {
        "version": 1,
        "project": "tiny",
        "repo": ".",
        "branches": ["trunk"],
        "environment_type": "virtualenv",
        "benchmark_dir": "benchmarks",
        "env_dir": ".asv/env",
        "results_dir": ".asv/results",
        "html_dir": ".asv/html",
        "build_command": ["python -m pip wheel --no-deps -w {build_cache_dir} {build_dir}"],
        "install_command": [f"{PIP}{PIN}", f"{PIP}{{wheel_file}}"],
        "default_benchmark_timeout": 3600,
    }


def test_asv_finds_the_example_and_nothing_wrong_with_it(project: Path, tmp_path: Path):
    init_asv(project, requirement=PIN)
    environ = {**os.environ, "HOME": str(tmp_path)}
    words = [sys.executable, "-m", "asv"]
    subprocess.run([*words, "machine", "--yes"], cwd=project, env=environ, capture_output=True, check=True)
    there = ["-E", f"existing:{sys.executable}"]
    for command in (["check", *there], ["run", "--bench", "just-discover", *there]):
        done = subprocess.run([*words, *command], cwd=project, env=environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    index = json.loads((project / ".asv" / "results" / "benchmarks.json").read_text())
    assert set(index) - {"version"} == {
        f"energy.Sort.energy_{metric}"
        for metric in (
            "accuracy",
            "dram_bytes_per_sample",
            "joules_per_sample",
            "modelled_joules_per_sample",
            "operand_bytes_per_sample",
            "seconds_per_sample",
        )
    }


def test_the_example_sorts_and_says_how_well(project: Path):
    init_asv(project, requirement=PIN)
    space: dict = {}
    exec((project / "benchmarks" / "energy.py").read_text(), space)  # the file as asv would import it
    suite = space["Sort"]()
    suite.prepare(100)
    suite.step(100)
    assert suite.sorted == sorted(suite.numbers)
    assert suite.evaluate(100) == {"accuracy": 1.0}
    assert suite.judged(100) == 99


def test_a_second_call_changes_nothing_and_says_so(project: Path, capsys: pytest.CaptureFixture[str]):
    init_asv(project, requirement=PIN)
    before = files(project)
    capsys.readouterr()
    assert init_asv(project, requirement=PIN) == 0
    assert files(project) == before
    assert "energy.py is an energy suite already: nothing written" in capsys.readouterr().out


def test_a_dry_run_tells_and_writes_nothing(project: Path, capsys: pytest.CaptureFixture[str]):
    before = files(project)
    assert init_asv(project, requirement=PIN, dry_run=True) == 0
    assert files(project) == before
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("would write ")]
    assert [line.rpartition("/")[2] for line in told] == ["asv.conf.json", "__init__.py", "energy.py"]


def test_an_existing_suite_gets_one_file_and_the_line_for_its_configuration(project: Path):
    conf = '{"version": 1, // a comment\n "benchmark_dir": "suite", "install_command": ["pip install {wheel_file}"]}'
    with_asv(project, conf)
    found = planned(project)
    assert [path for path, _ in found.files] == [project / "suite" / "energy.py"]
    assert found.advice == (f'add to install_command in {project / "asv.conf.json"}, as its first line: "{PIP}{PIN}",',)
    before = files(project)
    init_asv(project, requirement=PIN)
    assert files(project) == before | {"suite/energy.py": found.files[0][1]}


def test_a_configuration_without_install_command_is_told_both_lines(project: Path):
    with_asv(project, '{"version": 1, "benchmark_dir": "suite", "matrix": {"req": {"numpy": []}}}')
    (line,) = planned(project).advice
    command = json.loads("{" + line.partition(": ")[2].removesuffix(",") + "}")
    assert command == {"install_command": [f"{PIP}{PIN}", f"{PIP}{{wheel_file}}"]}


@pytest.mark.parametrize(
    "values", [{"install_command": ["pip install energybench x"]}, {"matrix": {"req": {"energybench": ["0.1.0"]}}}]
)
def test_a_configuration_that_brings_energybench_is_told_nothing(project: Path, values: dict):
    with_asv(project, json.dumps({"version": 1, "benchmark_dir": "suite", **values}))
    assert planned(project).advice == ()


def test_the_only_configuration_below_a_folder_is_found(project: Path):
    home = project / "bench"
    home.mkdir()
    with_asv(home, '{"version": 1, "benchmark_dir": "suite"}')
    assert [path for path, _ in planned(project).files] == [home / "suite" / "energy.py"]
    other = project / "other"
    other.mkdir()
    with_asv(other, "{}")
    with pytest.raises(ProjectError, match=r"several asv\.conf\.json; name the folder of one: bench, other"):
        planned(project)


def test_a_file_named_energy_is_not_overwritten(project: Path):
    with_asv(project, '{"version": 1, "benchmark_dir": "suite"}')
    (project / "suite" / "energy.py").write_text("# mine\n")
    init_asv(project, requirement=PIN)
    assert (project / "suite" / "energy.py").read_text() == "# mine\n"
    assert "EnergySuite" in (project / "suite" / "energy_suite.py").read_text()


def test_a_suite_is_never_named_like_a_package(project: Path):
    (project / "benchmarks").mkdir()
    (project / "src" / "asv_benchmarks").mkdir()
    assert planned(project).files[1][0] == project / "energy_benchmarks" / "__init__.py"
    assert asv_project._taken(project, "json")
    (project / "energy_benchmarks.py").touch()
    with pytest.raises(ProjectError, match=r"write asv\.conf\.json with one of them as its benchmark_dir"):
        planned(project)


def test_a_suite_named_like_the_projects_package_is_told(project: Path):
    home = project / "bench"
    home.mkdir()
    with_asv(home, '{"version": 1, "benchmark_dir": "tiny"}', suite="tiny")
    assert planned(home).advice[-1] == (
        f"benchmark_dir is named like the package tiny, which asv then cannot import; rename {home / 'tiny'}"
    )


def test_a_project_in_a_folder_of_its_repository_is_named_to_asv(project: Path):
    below = project / "python"
    below.mkdir()
    (below / "setup.py").touch()
    init_asv(below, requirement=PIN)
    values = load_json(str(below / "asv.conf.json"), js_comments=True)
    assert (values["repo"], values["repo_subdir"], values["project"]) == ("..", "python", "python")


def test_the_branch_that_others_start_from_is_measured(project: Path, tmp_path: Path):
    git(tmp_path, "clone", "-q", str(project), "clone")
    git(tmp_path / "clone", "checkout", "-q", "-b", "mine")
    init_asv(tmp_path / "clone", requirement=PIN)
    assert load_json(str(tmp_path / "clone" / "asv.conf.json"), js_comments=True)["branches"] == ["trunk"]


def test_what_is_left_to_do_is_said(tmp_path: Path):
    git(tmp_path, "init", "-q", "-b", "main")
    assert plan(tmp_path, requirement="energybench@file:///here").advice == (
        f"{tmp_path} has no pyproject.toml: add one, since asv builds a wheel of each commit",
        "energybench is installed from a folder of this machine: name an address with --energybench for others",
        "add to .gitignore: .asv/env/ .energybench/",
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", r"asv\.conf\.json cannot be read: "),
        ("[]", "asv.conf.json holds no object"),
        ('{"benchmark_dir": "gone"}', r"gone, the benchmark_dir of .*asv\.conf\.json, is not there"),
    ],
)
def test_a_configuration_that_cannot_be_followed_is_named(
    project: Path, text: str, said: str, capsys: pytest.CaptureFixture[str]
):
    (project / "asv.conf.json").write_text(text)
    before = files(project)
    with pytest.raises(ProjectError, match=said):
        planned(project)
    assert init_asv(project) == 2
    assert files(project) == before
    assert capsys.readouterr().err.startswith("energybench: ")


def test_a_folder_that_is_not_there_or_in_no_repository_is_named(tmp_path: Path):
    with pytest.raises(ProjectError, match=r"there is no folder .*gone; name the one of a project"):
        planned(tmp_path / "gone")
    with pytest.raises(ProjectError, match="is in no git repository, and asv measures commits; make one with git init"):
        planned(tmp_path)


@pytest.mark.parametrize(
    ("origin", "requirement"),
    [
        (None, "energybench==1.2"),
        (
            {"url": "https://example.org/e.git", "vcs_info": {"vcs": "git", "commit_id": "ab12"}},
            "energybench@git+https://example.org/e.git@ab12",
        ),
        ({"url": "https://example.org/e-1.2.whl", "archive_info": {}}, "energybench@https://example.org/e-1.2.whl"),
        ({"url": "file:///no/such", "dir_info": {}}, "energybench@file:///no/such"),
    ],
)
def test_energybench_is_pinned_as_it_was_installed(origin: dict | None, requirement: str):
    assert requirement_of("1.2", origin) == requirement


def test_a_checkout_is_pinned_by_its_remote_and_commit_without_a_token(project: Path):
    commit = git(project, "rev-parse", "HEAD")
    origin = {"url": project.as_uri(), "dir_info": {"editable": True}}
    git(project, "remote", "add", "origin", "https://user:secret@example.org/e.git")
    assert requirement_of("1.2", origin) == f"energybench@git+https://example.org/e.git@{commit}"
    git(project, "remote", "set-url", "origin", str(project))
    assert requirement_of("1.2", origin) == f"energybench@{project.as_uri()}"


def test_the_requirement_of_the_energybench_that_runs_has_no_space_in_it():
    assert own_requirement().startswith("energybench")
    assert " " not in own_requirement()


@pytest.mark.parametrize(
    ("given", "requirement"),
    [
        ("energybench>=0.1, <1", "energybench<1,>=0.1"),
        ("energybench [store]==0.1.0", "energybench[store]==0.1.0"),
        ("energybench @ git+https://example.org/e.git@ab12", "energybench@git+https://example.org/e.git@ab12"),
        ("git+ssh://git@example.org/e.git@ab12", "energybench@git+ssh://git@example.org/e.git@ab12"),
    ],
)
def test_a_requirement_is_given_to_pip_as_one_word(given: str, requirement: str, project: Path):
    assert checked_requirement(given) == requirement
    init_asv(project, requirement=given)
    values = load_json(str(project / "asv.conf.json"), js_comments=True)
    assert shlex.split(values["install_command"][0])[-1] == requirement


def test_a_folder_is_given_to_pip_by_an_address_in_which_asv_fills_in_nothing(tmp_path: Path):
    folder = tmp_path / "my {x} energybench"
    folder.mkdir()
    assert checked_requirement(str(folder)) == f"energybench@file://{tmp_path}/my%20%7Bx%7D%20energybench"


@pytest.mark.parametrize(
    "given",
    ["energybench==", "x; rm -rf x", "../nowhere{x}", "numpy", "energybench; python_version<'4'", "git+https://a/{b}"],
)
def test_what_is_no_requirement_of_energybench_is_refused_and_nothing_written(
    given: str, project: Path, capsys: pytest.CaptureFixture[str]
):
    before = files(project)
    assert init_asv(project, requirement=given) == 2
    assert files(project) == before
    said = capsys.readouterr().err
    assert "is no requirement of energybench that asv can hand to pip; give a version" in " ".join(said.split())


def test_a_checkout_that_was_never_installed_is_pinned_by_its_commit_or_its_folder(project: Path):
    assert own_requirement(project) == f"energybench@{project.as_uri()}"


def test_a_configuration_called_jsonc_is_the_projects(project: Path, capsys: pytest.CaptureFixture[str]):
    with_asv(project, '{"benchmark_dir": "suite"}')
    (project / "asv.conf.json").rename(project / "asv.conf.jsonc")
    assert init_asv(project, requirement=PIN) == 0
    assert not (project / "asv.conf.json").exists()
    assert (project / "suite" / "energy.py").exists()
    assert f"add to {project / 'asv.conf.jsonc'}: " in capsys.readouterr().out


def test_only_an_import_makes_a_file_an_energy_suite(project: Path):
    with_asv(project, '{"benchmark_dir": "suite"}')
    words = project / "suite" / "words.py"
    words.write_text("# energybench.asv may come later\n'import energybench.asv'\n")
    assert planned(project).found is None
    for text in (
        "from energybench.asv import EnergySuite\n",
        "from energybench import asv\n",
        "import energybench.asv\n",
    ):
        words.write_text(text)
        assert planned(project).found == words


@pytest.mark.parametrize("command", ["pip install energybench-plugin", "pip install my-energybench", "pip install x"])
def test_a_distribution_that_is_named_after_energybench_does_not_bring_it(project: Path, command: str):
    with_asv(project, json.dumps({"benchmark_dir": "suite", "install_command": [command]}))
    (line,) = planned(project).advice
    assert line.startswith("add to install_command")


def test_where_nothing_can_be_written_the_file_is_named(project: Path, capsys: pytest.CaptureFixture[str]):
    with_asv(project, '{"benchmark_dir": "suite"}')
    (project / "suite" / "energy.py").symlink_to(project / "nowhere" / "energy.py")
    assert init_asv(project, requirement=PIN) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "suite/energy.py cannot be written (File exists); make that possible, and run this again" in said


def test_the_first_run_is_of_one_commit_and_new_comes_after(project: Path, capsys: pytest.CaptureFixture[str]):
    init_asv(project, requirement=PIN)
    *_, first, later = capsys.readouterr().out.splitlines()
    assert first.endswith("asv machine --yes && asv run HEAD^!")
    assert later == "from then on: asv run NEW"


def test_every_template_is_there_and_python_where_it_says_so():
    assert {path.name for path in asv_project.TEMPLATES.iterdir()} == {"asv.conf.json.txt", "energy.py.txt"}
    ast.parse((asv_project.TEMPLATES / "energy.py.txt").read_text())
