"""Two commits of a small project measured side by side, by real processes on a simulated machine."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from energybench import instrument, lock, suite_child
from energybench.gating.rounds import Session, Taken
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


@contextmanager
def on_a_machine(folder: Path) -> Iterator[None]:
    """A simulated machine that is held for all rounds, as `gate --run` holds it, and so is not looked at in each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ENERGYBENCH_SIMULATE", "1,idle_watts=0")
        patch.setenv("ENERGYBENCH_LOCK", str(folder / "lock"))
        patch.setenv("ENERGYBENCH_RECORDS", str(folder / "records"))
        with lock.measuring():
            patch.setenv(instrument.HELD_BY, str(os.getpid()))
            yield


def make_project(folder: Path) -> Path:
    """A git repository with a module and an asv suite, and nothing committed."""
    place = folder / "project"
    (place / "suite").mkdir(parents=True)
    (place / "suite" / "__init__.py").touch()
    (place / "suite" / "work.py").write_text(SUITE)
    git(place, "init", "-q", "-b", "main")
    return place


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    with on_a_machine(tmp_path):
        yield make_project(tmp_path)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Two rounds of two points: head does three times the work at the first, and fails at the second."""

    session: Session
    points: list[SuitePoint]
    taken: list[Taken]

    def taken_of(self, point: SuitePoint) -> list[Taken]:
        return [one for one in self.taken if one.point == point]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    folder = tmp_path_factory.mktemp("measured")
    project = make_project(folder)
    fails = "if n > 3000: raise ValueError('too many')"
    commits = committed(project, "sum(range(n))"), committed(project, f"{fails}\n    sum(range(3 * n))")
    trees = {
        side: check_out(project, commit, folder / side) for side, commit in zip(("base", "head"), commits, strict=True)
    }
    with on_a_machine(folder):
        points, _ = list_points(trees["base"], project / "suite")
        session = Session(trees=trees, suite=project / "suite", settings=QUICK)
        return Measured(session=session, points=points, taken=list(session.take(points, 2)))


def test_rounds_go_there_and_back_and_their_records_say_which_they_are(measured: Measured):
    session, (first, _) = measured.session, measured.points
    taken = measured.taken_of(first)
    assert [(one.number, one.side) for one in taken] == [(1, "base"), (1, "head"), (2, "head"), (2, "base")]
    joules: dict[str, list[float]] = {"base": [], "head": []}
    for one in taken:
        assert one.record in session.records(one.side)
        record = json.loads(one.record.read_text())
        assert record["interleaved"] == {"session": session.name, "round": one.number, "side": one.side}
        assert record["machine"]["git"] == {"commit": session.trees[one.side].commit, "dirty": False}
        assert record["parameters"] == {"n": 2000}
        assert len(record["windows"]) == 2
        joules[one.side].append(record["results"]["joules_per_sample"]["value"])
    assert min(joules["head"]) > 1.5 * max(joules["base"])
    assert list(session.take([first], 2)) == []


def test_a_point_that_fails_is_told_once_and_the_others_go_on(measured: Measured):
    session, points = measured.session, measured.points
    (lost,) = session.failures("head")
    assert lost.point == points[1]
    assert "too many" in lost.reason
    assert not session.failures("base")
    assert session.rounds_of(points[0]) == 2
    assert len(measured.taken_of(points[1])) == 2


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


def test_a_suite_named_from_the_current_folder_is_the_checkouts_and_never_the_commits(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    tree = check_out(project, committed(project, "sum(range(n))"), tmp_path / "tree")
    mine = project / "suite" / "work.py"
    mine.write_text(SUITE.replace("Count", "Mine"))
    monkeypatch.chdir(project)
    points, _ = list_points(tree, Path("suite"))
    assert [one.label for one in points] == ["work.Mine n=2000", "work.Mine n=4000"]


def test_modules_of_the_suite_that_come_from_elsewhere_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name, place in (("checked", "own/checked"), ("checked.work", "commit/checked")):
        module = ModuleType(name)
        module.__file__ = str(tmp_path / place / "x.py")
        monkeypatch.setitem(sys.modules, name, module)
    found = suite_child.foreign_suite(tmp_path / "own" / "checked")
    assert found == [f"checked.work from {tmp_path / 'commit' / 'checked' / 'x.py'}"]


def test_rounds_have_the_seeds_of_a_suite_in_turn():
    def suite(*seeds: int) -> SimpleNamespace:
        one = SimpleNamespace(seeds=seeds)
        one.measured = lambda point: {"point": point, "seeds": one.seeds}
        return one

    taken = [suite_child.measured(suite(5, 6), (2000,), number)["seeds"] for number in range(3)]
    assert taken == [(5,), (6,), (5,)]
    assert suite_child.measured(suite(), (2000,), 1) == {"point": (2000,), "seeds": ()}
