"""The commit that made a series worse or better is named; noise, spikes and new machines are not blamed on one."""

import json
import random
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from energybench import record as schema
from energybench._commands.history import history as command
from energybench.gating.changes import exact_levels, levels_of, noise_of, penalty
from energybench.gating.commits import CommitError
from energybench.gating.level_intervals import intervals
from energybench.gating.library import Library
from energybench.gating.scales import scale_of
from energybench.history import Change, History, history
from energybench.store import Store

JOULES = "suite.Case.energy_joules_per_sample"
MODELLED = "suite.Case.energy_modelled_joules_per_sample"
ACCURACY = "suite.Case.energy_accuracy"


@pytest.fixture
def tree(tmp_path: Path, trees: ModuleType) -> Any:
    made = [
        trees.Benchmark(JOULES, more={"margin": 0.05}),
        trees.Benchmark(MODELLED, more={"margin": 0.0, "provenance": "modelled"}),
        trees.Benchmark(ACCURACY, "1", more={"margin": 0.01, "higher_is_better": True}),
    ]
    return trees.AsvTree(tmp_path, made)


def samples(level: float, spread: float = 0.01) -> list[float]:
    return [level * (1 + spread * step) for step in (-1, -0.5, 0, 0.5, 1)]


def measure(tree: Any, levels: list[float], benchmark: str = JOULES, **more: Any) -> list[str]:
    """A commit for each level, and its result."""
    commits = []
    for number, level in enumerate(levels):
        commits.append(tree.commit(f"commit {number}"))
        value = samples(level) if benchmark == JOULES else level
        tree.result(commits[-1], {benchmark: [value]}, **more)
    return commits


def seen(tree: Any, **more: Any) -> History:
    library = Library(repository=tree.path, records=tree.path / "records", machine=more.pop("machine", None))
    return history(library, **more)


def named(changes: tuple[Change, ...]) -> list[tuple[str, str]]:
    return [(one.commit.subject, one.direction) for one in changes]


@pytest.mark.parametrize("levels", [[1.0, 1.3, 1.3], [1.0, 1.3, 1.3, 1.3], [1.0, 1.0, 1.3, 1.3]])
def test_a_step_of_30_percent_among_few_commits_is_named(tree: Any, levels: list[float]) -> None:
    commits = measure(tree, levels)
    (one,) = seen(tree).changes
    assert one.commit.hash == commits[levels.index(1.3)]
    assert one.commit.author == "Ada"
    assert one.commit.date.startswith("2023-11-1")
    assert one.direction == "worse"
    assert one.change == pytest.approx(0.3)
    assert (one.old, one.new) == pytest.approx((1.0, 1.3))
    for bounds, value in ((one.old_bounds, 1.0), (one.new_bounds, 1.3), (one.bounds, 0.3)):
        assert bounds is not None
        assert bounds[0] < value < bounds[1]
    assert not one.last


def test_a_step_at_the_last_commit_is_named_and_said_to_be_the_last(tree: Any) -> None:
    measure(tree, [1.0, 1.0, 1.0, 1.3])
    (one,) = seen(tree).changes
    assert (one.commit.subject, one.last) == ("commit 3", True)


def test_noise_alone_names_no_commit(tree: Any) -> None:
    draw = random.Random(1)
    measure(tree, [1.0 + draw.gauss(0, 0.01) for _ in range(30)])
    assert seen(tree).changes == ()


def test_a_spike_in_the_middle_is_no_change(tree: Any) -> None:
    measure(tree, [1.0, 1.0, 1.0, 1.5, 1.0, 1.0])
    assert seen(tree).changes == ()


def test_an_accuracy_that_falls_is_worse_and_one_that_rises_is_better(tree: Any) -> None:
    measure(tree, [0.93, 0.93, 0.90, 0.90, 0.97, 0.97], ACCURACY)
    found = seen(tree).changes
    assert named(found) == [("commit 2", "worse"), ("commit 4", "better")]
    assert found[0].absolute
    assert found[0].change == pytest.approx(-0.03)


def test_any_difference_of_an_exact_series_is_a_change(tree: Any) -> None:
    measure(tree, [1e-6, 1.001e-6, 1.001e-6, 0.9e-6], MODELLED)
    assert named(seen(tree).changes) == [("commit 1", "worse"), ("commit 3", "better")]


def test_levels_of_an_exact_series_are_said_to_be_exact_and_have_no_interval(tree: Any) -> None:
    measure(tree, [1.0, 1.0, 1.000001], MODELLED)
    (one,) = seen(tree).changes
    assert one.exact
    assert one.old_bounds is one.new_bounds is one.bounds is None


def test_commits_that_were_not_measured_may_have_made_it(tree: Any) -> None:
    measure(tree, [1.0, 1.0])
    tree.commit("nobody measured this")
    measure(tree, [1.4, 1.4])
    (one,) = seen(tree).changes
    assert one.unmeasured == 1
    assert one.after.subject == "commit 1"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"driver": "2"}, "driver: none → 2"),
        ({"environment": "py3.12"}, "environment: virtualenv-py3.11 → py3.12"),
        ({"machine": "desk"}, "machine: lab → desk"),
        ({"requirements": {"torch": "2.13"}}, "torch: as the environment has it → 2.13"),
        ({"versions": {JOULES: "1.2"}}, "workload version: 1.1 → 1.2"),
    ],
)
def test_a_step_of_the_surroundings_is_blamed_on_no_commit(tree: Any, changed: dict[str, Any], said: str) -> None:
    measure(tree, [1.0, 1.0, 1.0])
    measure(tree, [2.0, 2.0, 2.0], **changed)
    found = seen(tree)
    assert found.changes == ()
    (step,) = found.steps
    assert said in step.what
    assert step.series == 1
    assert step.after.subject == "commit 2"


def test_two_machines_side_by_side_are_two_series(tree: Any) -> None:
    commits = [tree.commit(f"commit {number}") for number in range(4)]
    for number, commit in enumerate(commits):
        tree.result(commit, {JOULES: [samples(1.0)]}, machine="lab")
        tree.result(commit, {JOULES: [samples(1.5 if number > 1 else 3.0)]}, machine="desk")
    found = seen(tree)
    assert found.series == 2
    assert [(one.lane, one.direction) for one in found.changes] == [({"machine": "desk"}, "better")]
    assert seen(tree, machine="lab").changes == ()


def test_since_and_series_choose_what_is_told(tree: Any) -> None:
    commits = measure(tree, [1.0, 1.0, 1.5, 1.5, 2.5, 2.5])
    assert named(seen(tree).changes) == [("commit 2", "worse"), ("commit 4", "worse")]
    assert named(seen(tree, since=commits[2]).changes) == [("commit 4", "worse")]
    assert named(seen(tree, since="2023-11-15").changes) == [("commit 2", "worse"), ("commit 4", "worse")]
    assert seen(tree, since="2024-01-01").changes == ()
    assert seen(tree, pattern="*accuracy").series == 0
    assert seen(tree, pattern="suite.Case*joules*").series == 1
    with pytest.raises(CommitError, match="neither a commit of this branch nor a day"):
        seen(tree, since="yesterday")


def written(tree: Any, commit: str, joules: list[float], day: int, **changes: Any) -> None:
    """A record of a commit, with one window for each value."""
    part = {"joules": 1.0, "standard_uncertainty": 0.0, "provenance": "measured", "probe": "powercap"}
    values = {
        "schema": 1,
        "id": f"r{day}",
        "created": f"2026-11-{day:02}T10:00:00Z",
        "energybench": "0.1.0",
        "protocol": {"version": 1, "windows": 1, "align": False},
        "workload": {"name": "w", "version": 1, "definition": {}},
        "parameters": {"bits": 8},
        "seed": 0,
        "quick": True,
        "machine": {"id": "m", "name": "lab", "git": {"commit": commit, "dirty": False}},
        "quiet": {"quiet": True, "reasons": []},
        "seconds": 1.0,
        "steps": 1,
        "samples": 1,
        "total": {"joules": 1.0, "standard_uncertainty": 0.0, "provenance": "measured", "domains": ["cpu"]},
        "domains": {"cpu": part},
        "windows": [
            {
                "seconds": 1.0,
                "steps": 1,
                "samples": 1,
                "domains": {"cpu": {**part, "joules": one}},
                "total": {"joules": one, "standard_uncertainty": 0.0, "provenance": "measured", "domains": ["cpu"]},
            }
            for one in joules
        ],
        "results": {
            "joules_per_sample": {
                "value": sum(joules) / len(joules),
                "unit": "J",
                "provenance": "measured",
                "higher_is_better": False,
            }
        },
        **changes,
    }
    Store("m", root=tree.path / "records").write(schema.parse(values))


def test_records_have_a_history_too(tree: Any) -> None:
    for day, level in enumerate((1.0, 1.0, 1.3, 1.3), 1):
        written(tree, tree.commit(f"commit {day}"), samples(level), day)
    (one,) = seen(tree).changes
    assert (one.commit.subject, one.direction, one.key.workload) == ("commit 3", "worse", "w")


def test_another_driver_or_torch_of_a_record_is_a_step_and_no_change(tree: Any) -> None:
    machine = {"id": "m", "name": "lab"}
    for day, (level, driver, torch) in enumerate(((1.0, "1", "2.0"), (2.0, "2", "2.0"), (3.0, "2", "2.1")), 1):
        commit = tree.commit(f"commit {day}")
        told = {**machine, "git": {"commit": commit, "dirty": False}, "packages": {"torch": torch}}
        written(tree, commit, samples(level), day, machine=told, probes={"nvml": {"driver": driver}})
    found = seen(tree)
    assert found.changes == ()
    assert [one.what for one in found.steps] == [("driver: nvml 1 → nvml 2",), ("torch: 2.0 → 2.1",)]


def test_git_orders_commits_and_not_their_dates(tree: Any) -> None:
    commits = [tree.commit(str(number), when=1_700_000_000 - number * 86400) for number in range(4)]
    for commit, level in zip(commits, (1.0, 1.0, 2.0, 2.0), strict=True):
        tree.result(commit, {JOULES: [samples(level)]})
    assert named(seen(tree).changes) == [("2", "worse")]


def test_results_of_another_branch_are_counted_and_left_out(tree: Any) -> None:
    measure(tree, [1.0, 1.0])
    tree.git("checkout", "-q", "-b", "other")
    measure(tree, [5.0])
    tree.git("checkout", "-q", "main")
    found = seen(tree)
    assert (found.commits, found.strangers, found.changes) == (2, 1, ())
    assert len(seen(tree, branch="other").changes) == 1


def test_without_git_commits_are_in_the_order_of_dates(tree: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    commits = measure(tree, [1.0, 1.0, 2.0, 2.0])
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    library = Library(repository=elsewhere, records=elsewhere, results=tree.results)
    found = history(library)
    assert found.by_date
    assert [one.commit.hash for one in found.changes] == [commits[2]]


def test_the_command_prints_a_table_or_json(
    tree: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    measure(tree, [1.0, 1.0, 1.3, 1.3])
    assert command(repository=tree.path, records=tree.path / "records") == 0
    told = capsys.readouterr()
    assert "+30.00 %" in told.out
    assert "1 series over 4 commits: 1 changes for the worse, 0 for the better" in told.err
    assert command(repository=tree.path, records=tree.path / "records", as_json=True) == 0
    (change,) = json.loads(capsys.readouterr().out)["changes"]
    assert change["commit"]["subject"] == "commit 2"
    assert change["direction"] == "worse"


@pytest.mark.parametrize("more", [{"branch": "nowhere"}, {"since": "yesterday"}, {"series": "nothing*"}])
def test_the_command_exits_with_2_where_nothing_can_be_looked_at(tree: Any, more: dict[str, str]) -> None:
    measure(tree, [1.0, 1.0])
    assert command(repository=tree.path, records=tree.path / "records", **more) == 2


def steps(levels: list[float], length: int) -> list[float]:
    return [level for level in levels for _ in range(length)]


@given(st.lists(st.sampled_from([1.0, 2.0, 3.0]), min_size=1, max_size=6), st.integers(2, 8))
def test_clear_steps_are_found_exactly_where_they_are(levels: list[float], length: int) -> None:
    values = steps(levels, length)
    expected = [n for n in range(1, len(values)) if values[n] != values[n - 1]]
    assert list(levels_of(values, 0.01, penalty(len(values), 1)).starts) == expected
    assert list(exact_levels(values).starts) == expected


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(2, 100))
def test_normal_noise_of_known_size_rarely_changes_level(seed: int, length: int) -> None:
    draw = random.Random(seed)
    values = [draw.gauss(0, 1) for _ in range(length)]
    assert len(levels_of(values, 1.0, penalty(length, 1000)).starts) == 0


@given(st.floats(-1e6, 1e6), st.integers(1, 20))
def test_a_constant_has_no_change(value: float, length: int) -> None:
    assert levels_of([value] * length, 0.0, 10.0).starts == ()


def test_steps_upon_steps_are_not_taken_for_spikes() -> None:
    found = levels_of([1.0, 1.0, 1.0, 2.0, 3.0, 3.0, 3.0], 0.01, penalty(7, 1))
    assert (found.starts, found.outliers) == ((3, 4), ())


def test_a_spike_beside_a_step_leaves_the_step() -> None:
    found = levels_of([1.0, 1.0, 5.0, 1.0, 1.0, 2.0, 2.0, 2.0], 0.01, penalty(8, 1))
    assert (found.starts, found.outliers) == ((5,), (2,))


def test_noise_is_at_least_what_successive_differences_show() -> None:
    assert noise_of([0.0, 1.0] * 10, 0.01) == pytest.approx(1.4826 / 2**0.5)
    assert noise_of([0.0, 1.0], 0.01) == 0.01


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=10), st.booleans())
def test_scaled_values_come_back(values: list[float], absolute: bool) -> None:
    scale = scale_of(values, absolute=absolute)
    for value in values:
        assert scale.back(scale.of(value)) == pytest.approx(value, rel=1e-9, abs=1e-9)


def test_a_level_of_more_values_is_surer_and_all_levels_share_their_scatter() -> None:
    found = levels_of([1.0, 3.0, 1.0, 3.0, 12.0], noise=1.0, penalty=10.0)
    assert (found.starts, found.levels) == ((4,), (2.0, 12.0))
    # Four squared deviations of 1 over 5 values less 2 levels.
    scatter = (4 / 3) ** 0.5
    assert found.errors == pytest.approx((scatter / 2, scatter))
    assert found.degrees == 3


def test_a_level_is_no_surer_than_its_values_are_by_themselves() -> None:
    found = levels_of([1.0, 1.0, 5.0], noise=0.5, penalty=10.0, own=lambda: [0.3, 0.4, 0.2])
    assert found.errors == pytest.approx((0.25, 0.2))
    assert found.degrees == float("inf")


def test_a_level_is_no_surer_than_what_all_its_values_share() -> None:
    found = levels_of([1.0, 1.1, 5.0, 5.1], noise=0.1, penalty=10.0)
    stated = [(0.5, 2.0), (0.6, 2.2), (2.5, 10.0), None]
    told = intervals(found, scale_of([1.0, 5.1], absolute=True), stated, 1, 2)
    assert told["old_bounds"] == pytest.approx((0.55, 2.1))
    assert told["new_bounds"] == pytest.approx((5.05 - 4.3027 * 0.05, 5.05 + 4.3027 * 0.05), rel=1e-4)
    low, high = told["bounds"]
    # The error of each level is 0.05: the model that both share moves them alike.
    assert (low, high) == pytest.approx((4.0 - 4.3027 * 0.05 * 2**0.5, 4.0 + 4.3027 * 0.05 * 2**0.5), rel=1e-4)


def test_what_nothing_is_known_of_has_no_interval() -> None:
    found = levels_of([1.0, 5.0], noise=0.5, penalty=1.0, own=lambda: [0.3, None])
    assert found.errors == (0.3, None)
    told = intervals(found, scale_of([1.0, 5.0], absolute=True), [None, None], 0, 1)
    assert told == {"old_bounds": pytest.approx((1.0 - 1.96 * 0.3, 1.0 + 1.96 * 0.3), rel=1e-4)}


@pytest.mark.parametrize(
    ("values", "absolute", "change"),
    [([2.0, 8.0], True, 6.0), ([2.0, 8.0], False, 3.0), ([-2.0, 8.0], False, -5.0), ([-2.0, -1.0], False, -0.5)],
)
def test_the_interval_of_a_change_is_on_its_scale_and_around_it(
    values: list[float], absolute: bool, change: float
) -> None:
    scale = scale_of(values, absolute=absolute)
    own = [scale.error(value, 0.03 * abs(value)) for value in values]
    found = levels_of([scale.of(one) for one in values], noise=0.01, penalty=1.0, own=lambda: own)
    low, high = intervals(found, scale, [None, None], 0, 1)["bounds"]
    assert low < change < high
    if not absolute and min(values) > 0:
        assert (high + 1) / (change + 1) == pytest.approx((change + 1) / (low + 1))
        assert (high + 1) / (change + 1) == pytest.approx(2.71828 ** (1.96 * 0.03 * 2**0.5), rel=1e-3)


def test_intervals_of_changes_hold_the_truth_in_19_of_20_cases() -> None:
    draw, held, count = random.Random(7), 0, 400
    for _ in range(count):
        values = [draw.gauss(10.0 if place < 6 else 14.0, 0.5) for place in range(12)]
        found = levels_of(values, noise=0.5, penalty=12.0)
        if found.starts == (6,):
            low, high = intervals(found, scale_of(values, absolute=True), [None] * 12, 5, 6)["bounds"]
            held += low <= 4.0 <= high
        else:
            count -= 1
    assert count > 380
    assert held / count == pytest.approx(0.95, abs=0.03)


def merged(tree: Any, subject: str, branch: str) -> str:
    tree.git("merge", "-q", "--no-ff", "-m", subject, branch)
    tree.commits.append(tree.git("rev-parse", "HEAD"))
    return str(tree.commits[-1])


def test_what_a_merge_brought_is_the_merges_and_no_neighbours(tree: Any) -> None:
    for level in (1.0, 1.0):
        tree.result(tree.commit("main"), {JOULES: [samples(level)]})
    tree.git("checkout", "-q", "-b", "feature")
    tree.result(tree.commit("feature"), {JOULES: [samples(1.3)]})
    tree.git("checkout", "-q", "main")
    for _ in range(2):
        tree.result(tree.commit("harmless"), {JOULES: [samples(1.0)]})
    tree.result(merged(tree, "merge", "feature"), {JOULES: [samples(1.3)]})
    tree.result(tree.commit("after"), {JOULES: [samples(1.3)]})
    found = seen(tree)
    assert named(found.changes) == [("merge", "worse")]
    assert (found.commits, found.strangers, found.by_date) == (6, 1, False)


def test_results_beside_the_line_alone_are_strangers_to_it(tree: Any) -> None:
    tree.commit("main")
    tree.git("checkout", "-q", "-b", "other")
    measure(tree, [1.0, 2.0])
    tree.git("checkout", "-q", "main")
    found = seen(tree)
    assert (found.series, found.strangers, found.by_date) == (0, 2, False)


def test_a_creeping_loss_is_told_where_the_sum_exceeds_the_margin(tree: Any) -> None:
    levels = [1.04 ** (number // 8) for number in range(48)]
    commits = measure(tree, levels)
    found = seen(tree).changes
    assert named(found) == [("commit 16", "worse"), ("commit 32", "worse")]
    assert {one.creeping for one in found} == {2}
    assert (found[0].after.hash, found[0].commit.hash) == (commits[7], commits[16])
    assert found[0].change == pytest.approx(1.04**2 - 1)
    assert found[0].unmeasured == 0


def test_a_little_at_each_of_sixty_commits_is_told(tree: Any) -> None:
    measure(tree, [1.004**number for number in range(60)])
    found = seen(tree).changes
    assert {one.direction for one in found} == {"worse"}
    assert sum(one.change for one in found) > 0.15


def test_an_accuracy_that_creeps_down_is_told(tree: Any) -> None:
    measure(tree, [0.93 - 0.008 * (number // 3) for number in range(15)], ACCURACY)
    found = seen(tree).changes
    assert found
    assert {one.direction for one in found} == {"worse"}
    assert all(one.change < -0.01 for one in found)


def test_what_creeps_up_and_back_is_told_of_neither(tree: Any) -> None:
    measure(tree, [1.0] * 8 + [1.04] * 8 + [1.0] * 8 + [1.04] * 8)
    assert seen(tree).changes == ()


def test_a_first_commit_that_stands_out_alone_blames_nobody(tree: Any) -> None:
    measure(tree, [1.5, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    assert seen(tree).changes == ()


def test_a_first_value_alone_before_two_levels_leaves_the_step() -> None:
    found = levels_of([5.0] + [1.0] * 6 + [2.0] * 6, 0.01, penalty(13, 1))
    assert (found.starts, found.outliers) == ((7,), (0,))


def test_the_size_of_a_file_has_no_noise(tmp_path: Path, trees: ModuleType) -> None:
    size = "suite.Case.energy_file_bytes"
    tree = trees.AsvTree(tmp_path, [trees.Benchmark(size, "bytes", more={"margin": 0.0})])
    for number, level in enumerate((1000.0, 1000.0, 1010.0)):
        tree.result(tree.commit(f"commit {number}"), {size: [level]})
    assert named(seen(tree).changes) == [("commit 2", "worse")]


def test_a_tracked_accuracy_that_says_nothing_of_its_direction_is_worse_when_it_falls(
    tmp_path: Path, trees: ModuleType
) -> None:
    tree = trees.AsvTree(tmp_path, [trees.Benchmark("suite.track_accuracy", "accuracy", "track")])
    for number, level in enumerate((0.93, 0.93, 0.80, 0.80)):
        tree.result(tree.commit(f"commit {number}"), {"suite.track_accuracy": [level]})
    assert named(seen(tree).changes) == [("commit 2", "worse")]


@pytest.mark.parametrize("day", ["2023-99-99", "2023-02-30", "2023-11-15x"])
def test_a_day_that_is_none_is_refused(tree: Any, day: str) -> None:
    measure(tree, [1.0, 1.0])
    with pytest.raises(CommitError, match=f"{day} is no day"):
        seen(tree, since=day)


def test_a_shallow_clone_says_what_it_lacks(tree: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    measure(tree, [1.0, 1.0, 2.0, 2.0])
    clone = tmp_path / "clone"
    tree.git("clone", "-q", "--depth", "2", f"file://{tree.path}", str(clone))
    found = history(Library(repository=clone, records=clone, results=tree.results))
    assert (found.shallow, found.strangers, found.by_date) == (True, 2, False)
    assert command(repository=clone, records=clone, results=tree.results) == 0
    assert "git fetch --unshallow" in capsys.readouterr().err
    assert not seen(tree).shallow


def test_creeping_steps_are_said_to_be_such(tree: Any, capsys: pytest.CaptureFixture[str]) -> None:
    commits = measure(tree, [1.0] * 8 + [1.04] * 8 + [1.08] * 8)
    assert command(repository=tree.path, records=tree.path / "records", as_json=True) == 0
    told = capsys.readouterr()
    (change,) = json.loads(told.out)["changes"]
    assert (change["creeping"], change["after"]["hash"], change["commit"]["hash"]) == (2, commits[7], commits[16])


CASE = {"workload": {"name": "suite.Case", "version": 1, "definition": {}}, "parameters": {}}


def test_a_suite_of_another_project_is_told_once_by_its_records(tree: Any) -> None:
    for day, level in enumerate((1.0, 1.0, 1.3, 1.3), 1):
        commit = tree.commit(f"commit {day}")
        tree.result(commit, {JOULES: [samples(level)]})
        written(tree, commit, samples(level), day, **CASE)
    found = seen(tree)
    assert (found.series, named(found.changes)) == (1, [("commit 3", "worse")])


def test_where_records_lack_a_commit_both_are_shown_and_who_tells_it(tree: Any) -> None:
    for day, level in enumerate((1.0, 1.0, 1.3, 1.3), 1):
        commit = tree.commit(f"commit {day}")
        tree.result(commit, {JOULES: [samples(level)]})
        if day > 1:
            written(tree, commit, samples(level), day, **CASE)
    found = seen(tree)
    assert found.series == 2
    assert [one.lane for one in found.changes] == [{"told by": "asv"}, {"told by": "records"}]


def of_packages(commit: str, torch: str | None) -> dict[str, Any]:
    packages = {"packages": {"torch": torch}} if torch else {}
    return {"machine": {"id": "m", "name": "lab", "git": {"commit": commit, "dirty": False}, **packages}}


def test_rounds_of_a_gate_do_not_cut_the_series_of_ordinary_runs(tree: Any) -> None:
    for day, level in enumerate((1.0, 1.0, 1.3, 1.3), 1):
        commit = tree.commit(f"commit {day}")
        written(tree, commit, samples(level), day, **of_packages(commit, "2.13.0"))
        if day in (2, 3):
            rounds = {"id": f"g{day}", "interleaved": {"session": "s", "round": 0, "side": "head"}}
            written(tree, commit, samples(level), day, **of_packages(commit, None), **rounds)
    found = seen(tree)
    assert found.steps == ()
    assert {one.commit.subject for one in found.changes} == {"commit 3"}
    assert sorted(one.lane["measured by"] for one in found.changes) == ["gate --run", "run"]


def test_a_commit_that_was_measured_on_a_noisy_machine_is_said_to_be(
    tree: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    for day, level in enumerate((1.0, 1.0, 1.3, 1.3), 1):
        noisy = {"quiet": {"quiet": False, "reasons": ["load 3.1"]}} if day == 3 else {"flags": ["cpu-throttled"]}
        written(tree, tree.commit(f"commit {day}"), samples(level), day, **noisy)
    (one,) = seen(tree).changes
    assert (one.cautions, one.cautions_before) == (("not quiet",), ("throttled",))
    assert command(repository=tree.path, records=tree.path / "records", as_json=True) == 0
    (change,) = json.loads(capsys.readouterr().out)["changes"]
    assert (change["cautions"], change["cautions_before"]) == (["not quiet"], ["throttled"])
    assert command(repository=tree.path, records=tree.path / "records") == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "(not quiet; throttled before it)" in told


def test_brackets_of_a_subject_and_of_a_lane_are_shown(tree: Any, capsys: pytest.CaptureFixture[str]) -> None:
    for day, level in enumerate((1.0, 1.0, 1.3, 1.3), 1):
        commit = tree.commit(f"[fix] {day}")
        noisy = {"quiet": {"quiet": False, "reasons": ["load 3.1"]}}
        written(tree, commit, samples(level), day, **noisy)
        rounds = {"id": f"g{day}", "interleaved": {"session": "s", "round": 0, "side": "head"}}
        written(tree, commit, samples(level), day, **noisy, **rounds)
    assert command(repository=tree.path, records=tree.path / "records") == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "[fix] 3 (not quiet, as before it)" in told
    assert "[measured by gate --run]" in told
