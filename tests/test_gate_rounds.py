"""Two commits of a small project measured side by side, by real processes on a simulated machine."""

import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from energybench.gating.rounds import Session
from energybench.gating.trees import SuitePoint, Tree, TreeError, check_out, list_points, measure_point

SUITE = """
from energybench.asv import EnergySuite
from counting import count

class Count(EnergySuite):
    params, param_names, definition = [[2000, 4000]], ["n"], 3
    settings = {"windows": 2, "window_seconds": 0.03}

    def step(self, n):
        count(n)

    def evaluate(self, n):
        return {"accuracy": 0.5}
"""
QUICK = {"idle_seconds": 0.0, "warmup_seconds": 0.1}


@pytest.fixture(autouse=True)
def _machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ENERGYBENCH_SIMULATE", "1,idle_watts=0")
    monkeypatch.setenv("ENERGYBENCH_LOCK", str(tmp_path / "lock"))
    monkeypatch.setenv("ENERGYBENCH_RECORDS", str(tmp_path / "records"))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A git repository with a module and an asv suite, and nothing committed."""
    place = tmp_path / "project"
    (place / "suite").mkdir(parents=True)
    (place / "suite" / "__init__.py").touch()
    (place / "suite" / "work.py").write_text(SUITE)
    git(place, "init", "-q", "-b", "main")
    return place


def git(place: Path, *words: str) -> str:
    who = {f"GIT_{role}_{what}": "nobody@example.org" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    done = subprocess.run(
        ["git", *words], cwd=place, env={**os.environ, **who}, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def committed(place: Path, body: str) -> str:
    (place / "counting.py").write_text(f"def count(n):\n    {body}\n")
    git(place, "add", "-A")
    git(place, "commit", "-q", "-m", body)
    return git(place, "rev-parse", "HEAD")


def test_a_commit_is_checked_out_as_it_was_and_its_points_are_listed(project: Path, tmp_path: Path):
    first = committed(project, "sum(range(n))")
    committed(project, "sum(range(2 * n))")
    tree = check_out(project, first, tmp_path / "tree")
    assert (tree.folder / "counting.py").read_text() == "def count(n):\n    sum(range(n))\n"
    points, broken = list_points(tree, project / "suite")
    assert broken == []
    assert [one.label for one in points] == ["work.Count n=2000", "work.Count n=4000"]
    assert points[1] == SuitePoint(suite="work.Count", index=1, workload="work.Count", parameters=(("n", 4000),))


def test_rounds_go_there_and_back_and_their_records_say_which_they_are(project: Path, tmp_path: Path):
    commits = committed(project, "sum(range(n))"), committed(project, "sum(range(3 * n))")
    trees = {
        side: check_out(project, commit, tmp_path / side)
        for side, commit in zip(("base", "head"), commits, strict=True)
    }
    points, _ = list_points(trees["base"], project / "suite")
    session = Session(trees=trees, suite=project / "suite", settings=QUICK)
    taken = list(session.take(points[:1], 2))
    assert [(one.number, one.side) for one in taken] == [(1, "base"), (1, "head"), (2, "head"), (2, "base")]
    for one in taken:
        record = json.loads(one.record.read_text())
        assert record["interleaved"] == {"session": session.name, "round": one.number, "side": one.side}
        assert record["machine"]["git"] == {"commit": trees[one.side].commit, "dirty": False}
        assert record["parameters"] == {"n": 2000}
        assert len(record["windows"]) == 2
    joules = {
        side: [json.loads(path.read_text())["results"]["joules_per_sample"]["value"] for path in session.records(side)]
        for side in trees
    }
    assert min(joules["head"]) > 1.5 * max(joules["base"])
    assert list(session.take(points[:1], 2)) == []


def test_a_point_that_fails_is_told_once_and_the_others_go_on(project: Path, tmp_path: Path):
    first, second = committed(project, "sum(range(n))"), committed(project, "if n > 3000: raise ValueError('too many')")
    trees = {
        "base": check_out(project, first, tmp_path / "base"),
        "head": check_out(project, second, tmp_path / "head"),
    }
    points, _ = list_points(trees["base"], project / "suite")
    session = Session(trees=trees, suite=project / "suite", settings=QUICK)
    taken = list(session.take(points, 2))
    (lost,) = session.failures("head")
    assert lost.point == points[1]
    assert "too many" in lost.reason
    assert not session.failures("base")
    assert session.rounds_of(points[0]) == 2
    assert sum(one.point == points[1] for one in taken) == 2


def test_no_pair_is_begun_when_the_time_is_up(project: Path, tmp_path: Path):
    tree = check_out(project, committed(project, "sum(range(n))"), tmp_path / "tree")
    points, _ = list_points(tree, project / "suite")
    clock = iter([0.0, 5.0, 20.0])
    told = {"record": "x.json"}
    session = Session(
        trees={"base": tree, "head": tree},
        suite=project / "suite",
        measure=lambda *_, **__: told,
        clock=lambda: next(clock),
    )
    assert [one.number for one in session.take(points[:1], 9, until=10.0)] == [1, 1, 2, 2]


def test_what_cannot_be_had_is_told_with_its_commit(project: Path, tmp_path: Path):
    commit = committed(project, "sum(range(n))")
    with pytest.raises(TreeError, match="git cannot give the files of abababababab"):
        check_out(project, "ab" * 20, tmp_path / "tree")
    with pytest.raises(TreeError, match=f"commit {commit[:12]} does not build .* no compiler"):
        check_out(project, commit, tmp_path / "tree", build="sh -c 'echo no compiler >&2; exit 3'")
    built = check_out(project, commit, tmp_path / "tree", build="sh -c 'echo built > built'")
    assert (built.folder / "built").exists()


def test_a_suite_with_a_broken_module_lists_the_rest_and_names_it(project: Path, tmp_path: Path):
    (project / "suite" / "odd.py").write_text("import nowhere_to_be_found\n")
    tree = check_out(project, committed(project, "sum(range(n))"), tmp_path / "tree")
    points, broken = list_points(tree, project / "suite")
    assert len(points) == 2
    assert broken == ["suite.odd: ModuleNotFoundError: No module named 'nowhere_to_be_found'"]


def test_a_point_that_takes_too_long_is_ended_with_all_it_started(project: Path, tmp_path: Path):
    tree = check_out(project, committed(project, "import time; time.sleep(60)"), tmp_path / "tree")
    points, _ = list_points(tree, project / "suite")
    told = measure_point(tree, project / "suite", points[0], settings=QUICK, tags={}, timeout=3.0)
    assert told == {"error": "it took more than 3 s"}
    until = time.monotonic() + 20  # who was killed is gone when the kernel has come to it
    while (left := ours(tmp_path)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not left


def ours(tmp_path: Path) -> list[Path]:
    return [place for place in Path("/proc").glob("[0-9]*/environ") if str(tmp_path / "lock") in environment(place)]


def environment(place: Path) -> str:
    try:
        return place.read_bytes().decode(errors="replace") if place.parent.name != str(os.getpid()) else ""
    except OSError:
        return ""


def test_a_project_that_keeps_its_packages_in_src_is_found_there(project: Path, tmp_path: Path):
    committed(project, "sum(range(n))")
    (project / "src").mkdir()
    (project / "counting.py").rename(project / "src" / "counting.py")
    git(project, "add", "-A")
    git(project, "commit", "-q", "-m", "src")
    tree = check_out(project, git(project, "rev-parse", "HEAD"), tmp_path / "tree")
    points, broken = list_points(tree, project / "suite")
    assert broken == []
    assert len(points) == 2


def test_an_installed_copy_is_not_measured_in_place_of_the_commit(project: Path, tmp_path: Path):
    tree = check_out(project, committed(project, "sum(range(n))"), tmp_path / "tree")
    installed = tmp_path / "installed"
    installed.mkdir()
    (installed / "counting.py").write_text("def count(n): ...\n")
    shadowed = Tree(commit=tree.commit, folder=tree.folder, environ={"PYTHONPATH": str(installed)})
    with pytest.raises(TreeError, match=r"not the commit's files .* counting from .*installed"):
        list_points(shadowed, project / "suite")


def test_a_commit_is_checked_out_whole_and_the_repository_is_left_alone(project: Path, tmp_path: Path):
    (project / ".gitattributes").write_text("counting.py export-ignore\n")
    commit = committed(project, "sum(range(n))")
    (project / "counting.py").write_text("# not committed\n")
    git(project, "add", "-A")
    before = git(project, "status", "--porcelain")
    tree = check_out(project, commit, tmp_path / "tree")
    assert "sum(range(n))" in (tree.folder / "counting.py").read_text()
    assert git(project, "status", "--porcelain") == before


def test_two_suites_of_one_name_in_two_modules_are_two(project: Path, tmp_path: Path):
    (project / "suite" / "other.py").write_text(SUITE)
    tree = check_out(project, committed(project, "sum(range(n))"), tmp_path / "tree")
    points, _ = list_points(tree, project / "suite")
    assert sorted({one.workload for one in points}) == ["other.Count", "work.Count"]
