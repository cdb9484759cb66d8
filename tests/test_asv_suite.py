"""Another project's asv suite, unchanged, on the simulated machine: tests/fakes/asv_project is as bad as they get."""

import contextlib
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from energybench._commands.asv_suite import measure_suite
from energybench.config import Settings
from energybench.gating.from_records import from_records
from energybench.record import DomainEnergy, TotalEnergy, Window, parse
from energybench.store import Stored, read_all
from energybench.suites.choosing import choose, spread
from energybench.suites.place import SuiteError, find_suite
from energybench.suites.served import Benchmark
from energybench.suites.windows import below_resolution

PROJECT = Path(__file__).parent / "fakes" / "asv_project"
# Without power at rest joules follow the CPU time alone, however busy the machine is.
SIMULATED = "1,idle_watts=0"
WATTS = 25 * 1.15
"""Of one busy CPU of the simulated machine, its DRAM included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A run over a suite: exit code, what `--json` gave, what people saw, and where it left things."""

    code: int
    data: Mapping[str, Any]
    seen: str
    folder: Path

    def record(self, benchmark: str, **parameters: Any) -> dict[str, Any]:
        found = [
            one
            for one in self.data["records"]
            if one["workload"]["name"].endswith(f":{benchmark}") and one["parameters"] == parameters
        ]
        assert len(found) == 1, benchmark
        return dict(found[0])

    def joules(self, benchmark: str, **parameters: Any) -> float:
        return float(self.record(benchmark, **parameters)["results"]["joules_per_sample"]["value"])

    def reason(self, benchmark: str, **parameters: Any) -> tuple[str, str]:
        rows = [*self.data["skipped"], *self.data["failed"]]
        found = [one for one in rows if one["benchmark"] == benchmark and one["parameters"] == parameters]
        assert len(found) == 1, benchmark
        return found[0]["status"], found[0]["reason"]


def measured(project: Path, folder: Path, *, settings: Mapping[str, Any] | None = None, **options: Any) -> Done:
    """Measure in short windows, the results in `folder`."""
    given = {"windows": 2, "seconds": 0.05, "idle": 0.05, "records": folder / "records", **(settings or {})}
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        patch.setenv("ENERGYBENCH_LOCK", str(folder / "lock"))
        patch.setenv("LEFT", str(folder / "left"))
        if "probes" not in given:
            patch.setenv("ENERGYBENCH_SIMULATE", SIMULATED)
        code = measure_suite(project, Settings(**given), as_json=True, **options)
    return Done(code=code, data=json.loads(out.getvalue()), seen=err.getvalue(), folder=folder)


def commit(project: Path, message: str) -> None:
    for words in (["add", "-A"], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", message]):
        subprocess.run(["git", "-C", str(project), *words], check=True)


def make_project(folder: Path) -> Path:
    """The project in a repository of its own, with results of asv that are its own."""
    project = folder / "project"
    shutil.copytree(PROJECT, project, ignore=shutil.ignore_patterns("__pycache__"))
    (project / ".asv" / "results" / "its-machine").mkdir(parents=True)
    (project / ".asv" / "results" / "benchmarks.json").write_text('{"version": 2}')
    (project / ".asv" / "results" / "its-machine" / "machine.json").write_text('{"version": 1}')
    subprocess.run(["git", "init", "-q", "-b", "main", str(project)], check=True)
    commit(project, "a suite")
    return project


def checksums(folder: Path) -> dict[str, str]:
    """Every file of a tree but compiled modules."""
    files = [one for one in folder.rglob("*") if one.is_file() and "__pycache__" not in one.parts]
    return {str(one.relative_to(folder)): hashlib.sha256(one.read_bytes()).hexdigest() for one in files}


def asv(folder: Path, *words: str) -> str:
    command = [sys.executable, "-m", "asv", "--config", str(folder / "asv.conf.json"), *words]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("suite")


@pytest.fixture(scope="module")
def project(folder: Path) -> Path:
    return make_project(folder)


@pytest.fixture(scope="module")
def before(project: Path) -> dict[str, str]:
    return checksums(project)


@pytest.fixture(scope="module")
def done(project: Path, folder: Path, before: Mapping[str, str]) -> Done:
    """The whole suite, once."""
    return measured(project, folder)


def test_everything_that_can_be_measured_is_and_the_rest_is_counted(done: Done) -> None:
    assert done.code == 1
    assert done.data["combinations"] == 28
    assert done.data["not_reached"] == 0
    assert len(done.data["records"]) + len(done.data["skipped"]) + len(done.data["failed"]) == 28
    assert sorted(one["benchmark"] for one in done.data["failed"]) == [
        "caches.Failing.time_lost",
        "nasty.Aborts.time_abort",
        "nasty.Exits.time_exit",
        "nasty.Exits.time_leave",
        "nasty.Fails.time_fail",
        "nasty.Sleeps.time_sleep",
        "nasty.timeraw_broken",
    ]


def test_twice_the_processor_time_is_twice_the_joules(done: Done) -> None:
    one = done.joules("inner.deep.Work.time_burn", times=1, kind="warm")
    two = done.joules("inner.deep.Work.time_burn", times=2, kind="warm")
    assert one == pytest.approx(0.004 * WATTS, rel=0.3)
    assert 1.6 < two / one < 2.5


def test_the_process_that_measures_never_imports_the_suite(done: Done) -> None:
    assert done.record("states.Long.time_long")["results"]["seconds_per_sample"]["value"] >= 0.15
    assert not {"benchmarks", "benchmarks.states"} & set(sys.modules)


def test_a_parameter_that_is_no_number_is_kept_as_asv_writes_it(done: Done) -> None:
    assert done.record("inner.deep.Work.time_burn", times=1, kind="None")
    assert done.record("inner.deep.time_of_a_function", param1=0.002)


def test_a_record_says_what_was_called_and_how(done: Done) -> None:
    record = done.record("states.OnceOnly.time_take")
    definition = record["workload"]["definition"]
    assert record["workload"]["name"] == "asv:nasty:states.OnceOnly.time_take"
    assert (definition["number"], definition["mode"]) == (1, "pool")
    assert len(definition["benchmark_version"]) == 64
    assert record["protocol"]["windows"] == len(record["windows"]) == 2
    assert record["machine"]["git"]["dirty"] is False
    assert record["results"]["joules_per_sample"]["provenance"] == "simulated"


def test_records_are_valid_and_join_with_those_of_another_run(done: Done) -> None:
    stored, problems = read_all(done.folder / "records")
    assert not problems
    assert len(stored) == len(done.data["records"])
    twice = [Stored(path=Path("a"), record=parse(one)) for one in done.data["records"][:1] * 2]
    series = from_records(twice).series
    assert {len(one.rounds) for one in series.values()} == {2}


@pytest.mark.parametrize(
    ("benchmark", "mode", "seconds"),
    [
        ("states.OnceOnly.time_take", "pool", 0.003),
        ("states.SecondRaises.time_take", "pool", 0.003),
        ("states.Sorted.time_sort", "pool", 0.005),
        ("states.Long.time_long", "one-call", 0.15),
        ("functions.time_take", "difference", 0.01),
    ],
)
def test_a_call_that_needs_a_setup_gets_one_that_is_not_in_its_joules(
    done: Done, benchmark: str, mode: str, seconds: float
) -> None:
    assert done.record(benchmark)["workload"]["definition"]["mode"] == mode
    assert done.joules(benchmark) == pytest.approx(seconds * WATTS, rel=0.4)


def test_why_a_benchmark_is_called_in_another_way_than_asv_chose_is_told(done: Done) -> None:
    assert "a second call raised IndexError" in done.record("states.SecondRaises.time_take")["details"]["note"]
    assert "it changes its own state" in done.record("states.Sorted.time_sort")["details"]["note"]


def test_a_call_that_costs_less_than_nothing_is_below_the_resolution_and_no_negative_joules(done: Done) -> None:
    status, reason = done.reason("nothing.time_nothing")
    assert status == "below-resolution"
    assert "below the resolution" in reason


def test_a_cache_is_made_once_and_a_cache_that_fails_fails_its_benchmarks(done: Done) -> None:
    assert done.record("caches.Shared.time_first")
    assert done.record("caches.Shared.time_second")
    assert done.reason("caches.Failing.time_lost") == ("failed", "setup_cache: OSError: no data here")


def test_what_is_skipped_says_why(done: Done) -> None:
    assert done.reason("skips.Here.time_it") == ("skipped", "setup: NotImplementedError('not on this machine')")
    assert done.reason("skips.Params.time_it", param1=2) == ("skipped", "skip_params names this combination")
    assert done.reason("skips.Body.time_it") == ("skipped", "SkipNotImplemented: found out late")
    assert done.record("skips.Params.time_it", param1=1)


def test_a_crash_a_timeout_and_an_exit_are_named_and_the_rest_goes_on(done: Done) -> None:
    assert done.reason("nasty.Sleeps.time_sleep")[0] == "timeout"
    assert done.reason("nasty.Aborts.time_abort") == ("crashed", "its process ended by signal SIGABRT")
    assert done.reason("nasty.Exits.time_exit") == ("failed", "SystemExit: enough")
    assert done.reason("nasty.Exits.time_leave") == ("crashed", "its process ended by exit code 3")
    assert done.reason("nasty.Fails.time_fail") == ("failed", "RuntimeError: this one is broken")
    assert done.reason("nasty.timeraw_broken") == ("failed", "RuntimeError: ZeroDivisionError: division by zero")


def test_a_module_that_cannot_be_imported_and_a_class_that_cannot_be_made_are_named(done: Done) -> None:
    broken = {one["name"]: one["reason"] for one in done.data["broken"]}
    assert broken == {
        "benchmarks.unimportable": "ModuleNotFoundError: No module named 'a_package_that_nobody_has'",
        "nasty.Unmade.time_it": "TypeError: cannot be made",
    }
    assert "benchmarks.unimportable is left out" in done.seen


def test_what_a_suite_prints_reaches_nobody(done: Done) -> None:
    assert done.record("nasty.Floods.time_print")
    assert "xxx" not in done.seen
    assert "yyy" not in done.seen


def test_a_process_that_a_benchmark_leaves_is_ended_with_it(done: Done) -> None:
    assert done.record("nasty.Leaves.time_leave")
    left = int((done.folder / "left").read_text())
    assert not Path(f"/proc/{left}").exists()


def test_raw_code_is_measured_in_a_new_python_without_its_imports(done: Done) -> None:
    record = done.record("nasty.timeraw_code")
    assert record["workload"]["definition"]["mode"] == "process"
    assert "pieces" in record["windows"][0]["flags"]


def test_the_projects_own_tree_is_not_touched(done: Done, project: Path, before: Mapping[str, str]) -> None:
    assert checksums(project) == before
    assert done.data["asv"] == str(done.folder / "asv" / "nasty")


def test_asv_publishes_the_side_tree_with_joules_beside_seconds(done: Done) -> None:
    tree = Path(done.data["asv"])
    asv(tree, "publish")
    published = json.loads((tree / "html" / "index.json").read_text())["benchmarks"]
    energy = published["inner.deep.Work.energy_time_burn"]
    assert (energy["unit"], energy["type"]) == ("joules", "energy")
    assert published["inner.deep.Work.time_burn"]["unit"] == "seconds"
    index = json.loads((tree / "results" / "benchmarks.json").read_text())
    assert index["inner.deep.Work.energy_time_burn"]["version"].endswith("-simulated")
    assert index["inner.deep.Work.energy_time_burn"]["higher_is_better"] is False


def test_asv_compares_two_commits_and_sees_twice_the_joules(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    only = {"bench": r"time_of_a_function", "settings": {"windows": 3}}
    assert measured(project, tmp_path, **only).code == 1  # a module of it still cannot be imported
    deep = project / "benchmarks" / "inner" / "deep.py"
    deep.write_text(deep.read_text().replace("process_time() + seconds", "process_time() + 2 * seconds"))
    commit(project, "twice the work")
    told = measured(project, tmp_path, **only)
    text = asv(Path(told.data["asv"]), "compare", "main~1", "main")
    line = next(one for one in text.splitlines() if "energy_time_of_a_function" in one)
    ratio = float(line.split("|")[4])
    assert 1.6 < ratio < 2.5


def test_a_python_without_asv_runner_is_lent_ours_and_nothing_beside_it(tmp_path: Path, project: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "env")], check=True)
    python = str(tmp_path / "env" / "bin" / "python")
    suite = tmp_path / "suite"
    suite.mkdir()
    (suite / "alone.py").write_text(
        "import importlib.util, sys\n"
        "def time_it():\n"
        "    assert importlib.util.find_spec('numpy') is None\n"
        "    assert sys.executable.endswith('env/bin/python')\n"
        "    sum(range(1000))\n"
    )
    told = measured(suite, tmp_path, python=python)
    assert (told.code, len(told.data["records"])) == (0, 1)
    assert told.data["records"][0]["workload"]["name"].endswith(":alone.time_it")
    assert "numpy" not in told.data["records"][0]["machine"].get("packages", {})


def test_where_nothing_can_be_read_joules_are_estimated(tmp_path: Path, project: Path) -> None:
    told = measured(project, tmp_path, bench="time_burn", max_params=1, settings={"probes": ("estimate",)})
    results = told.record("inner.deep.Work.time_burn", times=1, kind="warm")["results"]
    assert "joules_per_sample" not in results
    assert results["estimated_joules_per_sample"]["provenance"] == "estimated"
    index = json.loads((Path(told.data["asv"]) / "results" / "benchmarks.json").read_text())
    assert index["inner.deep.Work.energy_time_burn"]["version"].endswith("-estimated")


def test_what_there_was_no_time_for_is_counted(tmp_path: Path, project: Path) -> None:
    told = measured(project, tmp_path, budget=0.0)
    assert (told.code, told.data["records"], told.data["not_reached"]) == (1, [], 28)
    assert "28 not reached in the budget" in told.seen


def test_a_suite_in_no_repository_has_records_and_no_asv_results(tmp_path: Path) -> None:
    suite = tmp_path / "mine"
    suite.mkdir()
    (suite / "small.py").write_text("def time_it():\n    sum(range(1000))\n")
    told = measured(suite, tmp_path)
    assert told.code == 0
    assert "asv" not in told.data
    assert "in no git repository" in told.seen


def test_damaged_asv_results_are_named_and_the_records_kept(tmp_path: Path, project: Path) -> None:
    only = {"bench": "Work.time_burn", "max_params": 1}
    tree = Path(measured(project, tmp_path, **only).data["asv"])
    (tree / "results" / "benchmarks.json").write_text("{")
    told = measured(project, tmp_path, **only)
    assert (told.code, len(told.data["records"])) == (1, 1)
    assert f"{tree / 'results'} has results of asv that cannot be read" in told.seen


def test_results_of_a_commit_are_added_to_those_that_it_has(tmp_path: Path, project: Path) -> None:
    measured(project, tmp_path, bench=r"time_burn\(1, 'warm'")
    tree = Path(measured(project, tmp_path, bench=r"time_burn\(2, None").data["asv"])
    (kept,) = tree.glob("results/*/*-energybench-py*.json")
    told = json.loads(kept.read_text())
    rows = told["results"]["inner.deep.Work.energy_time_burn"][told["result_columns"].index("result")]
    assert [isinstance(one, float) and one > 0 for one in rows] == [True, False, False, True]


def test_a_suite_of_which_all_is_skipped_is_no_success(tmp_path: Path) -> None:
    suite = tmp_path / "mine"
    suite.mkdir()
    (suite / "small.py").write_text("def setup():\n    raise NotImplementedError\n\ndef time_it():\n    pass\n")
    told = measured(suite, tmp_path)
    assert (told.code, len(told.data["skipped"])) == (1, 1)


def test_nothing_that_matches_is_an_error(tmp_path: Path, project: Path) -> None:
    with pytest.raises(SuiteError, match=r"none of the 24 time_\* benchmarks matches --bench 'nothing_like_it'"):
        measured(project, tmp_path, bench="nothing_like_it")
    with pytest.raises(SuiteError, match="no regular expression"):
        measured(project, tmp_path, bench="time_(")


def test_a_suite_that_ends_python_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    suite = tmp_path / "mine"
    suite.mkdir()
    (suite / "small.py").write_text(
        "import os, sys\nsys.stderr.write('no licence\\n')\nsys.stderr.flush()\nos._exit(1)\n"
    )
    with pytest.raises(SuiteError, match=r"has ended \(no licence\); import the suite's modules by hand"):
        measured(suite, tmp_path)
    with pytest.raises(SuiteError, match="cannot be run"):
        measured(suite, tmp_path, python=str(tmp_path / "no-python"))


def test_a_path_without_a_suite_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match="does not exist; give the folder of an asv suite"):
        find_suite(tmp_path / "nowhere")
    with pytest.raises(SuiteError, match="has no Python modules"):
        find_suite(tmp_path)
    (tmp_path / "asv.conf.json").write_text("{ not json")
    with pytest.raises(SuiteError, match="cannot be read"):
        find_suite(tmp_path)
    (tmp_path / "asv.conf.json").write_text('{"version": 1, "benchmark_dir": "gone"}')
    with pytest.raises(SuiteError, match="correct benchmark_dir"):
        find_suite(tmp_path)


def test_a_suite_is_found_by_its_configuration_its_project_or_its_modules(project: Path) -> None:
    every = [find_suite(path) for path in (project, project / "asv.conf.json", project / "benchmarks")]
    assert every[0] == every[1] == every[2]
    assert (every[0].root, every[0].project, every[0].timeout) == (project / "benchmarks", "nasty", 20.0)
    assert every[0].repository == project


@pytest.fixture
def long_run(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A run whose first benchmark ends in ten minutes, in a process that can be ended."""
    suite = tmp_path / "mine"
    suite.mkdir()
    (suite / "small.py").write_text(
        f"import os, time\ndef time_it():\n    open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()) + '\\n')\n"
        "    time.sleep(600)\ntime_it.timeout = 700\n"
    )
    code = (
        "import sys; from pathlib import Path; from energybench.config import Settings; "
        "from energybench._commands.asv_suite import measure_suite; "
        f"settings = Settings(records=Path({str(tmp_path / 'records')!r}), idle=0.0); "
        f"sys.exit(measure_suite(Path({str(suite)!r}), settings))"
    )
    environ = {**os.environ, "ENERGYBENCH_SIMULATE": "1", "ENERGYBENCH_LOCK": str(tmp_path / "lock")}
    with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, env=environ) as process:
        yield process
        process.kill()


def test_a_run_that_is_ended_ends_its_benchmark_and_says_what_it_did_not_reach(
    long_run: subprocess.Popen[str], tmp_path: Path
) -> None:
    kept = tmp_path / "pid"
    while not (kept.exists() and kept.read_text().endswith("\n")):
        assert long_run.poll() is None
    long_run.send_signal(signal.SIGTERM)
    _, said = long_run.communicate(timeout=60)
    assert long_run.returncode == 143
    assert "1 not reached before it was stopped" in said
    assert not Path(f"/proc/{kept.read_text().strip()}").exists()


def suite_of(folder: Path, **modules: str) -> Path:
    """A suite in no repository, with these modules."""
    suite = folder / "mine"
    suite.mkdir()
    for name, text in modules.items():
        (suite / f"{name}.py").write_text(text)
    return suite


def test_a_timeout_that_is_no_number_is_named_and_one_without_end_is_none(tmp_path: Path) -> None:
    text = (
        "def time_text(): pass\ntime_text.timeout = 'abc'\n"
        "def time_long(): sum(range(1000))\ntime_long.timeout = float('inf')\n"
        "class Cached:\n    def setup_cache(self): return 1\n    setup_cache.timeout = [1]\n"
        "    def time_cached(self, one): pass\n"
    )
    told = measured(suite_of(tmp_path, small=text), tmp_path)
    assert (told.code, len(told.data["records"])) == (1, 1)
    assert {one["name"]: one["reason"] for one in told.data["broken"]} == {
        "small.time_text": "its timeout 'abc' is no number of seconds",
        "small.Cached.time_cached": "its setup_cache_timeout [1] is no number of seconds",
    }


@pytest.mark.parametrize(("told", "seconds"), [("null", 60.0), ("7", 7.0)])
def test_a_configuration_may_leave_the_timeout_to_asv(tmp_path: Path, told: str, seconds: float) -> None:
    suite_of(tmp_path, small="")
    text = f'{{"version": 1, "benchmark_dir": "mine", "default_benchmark_timeout": {told}}}'
    (tmp_path / "asv.conf.json").write_text(text)
    assert find_suite(tmp_path).timeout == seconds


@pytest.mark.parametrize("told", ['"abc"', "true", "-1", "[]"])
def test_a_timeout_of_a_configuration_that_is_none_is_refused(tmp_path: Path, told: str) -> None:
    suite_of(tmp_path, small="")
    text = f'{{"version": 1, "benchmark_dir": "mine", "default_benchmark_timeout": {told}}}'
    (tmp_path / "asv.conf.json").write_text(text)
    with pytest.raises(SuiteError, match=r"default_benchmark_timeout .* is no number of seconds; correct it"):
        find_suite(tmp_path)


def test_a_benchmark_that_ends_the_python_of_the_suite_is_named_and_the_rest_go_on(tmp_path: Path) -> None:
    text = (
        "import os, signal\n"
        "def time_first(): sum(range(1000))\n"
        "def time_kills(): os.kill(os.getppid(), signal.SIGKILL)\n"
        "def time_last(): sum(range(1000))\n"
        "class Cached:\n"
        "    def setup_cache(self): return 5\n"
        "    def time_a(self, five): sum(range(1000 * five))\n"
        "    def time_z(self, five): sum(range(1000 * five))\n"
    )
    told = measured(suite_of(tmp_path, small=text), tmp_path)
    assert (told.code, told.data["not_reached"]) == (1, 0)
    assert [one["workload"]["name"].rpartition(".")[2] for one in told.data["records"]] == [
        "time_a",
        "time_z",
        "time_first",
        "time_last",
    ]
    status, reason = told.reason("small.time_kills")
    assert (status, reason.partition(" (")[0]) == ("crashed", "the Python that had imported the suite ended with it")


def test_a_suite_that_cannot_be_imported_again_keeps_what_was_measured(tmp_path: Path) -> None:
    gone = str(tmp_path / "gone")
    text = (
        "import os, signal\n"
        f"if os.path.exists({gone!r}): os._exit(1)\n"
        "def time_first(): sum(range(1000))\n"
        "def time_kills():\n"
        f"    open({gone!r}, 'w').close()\n"
        "    os.kill(os.getppid(), signal.SIGKILL)\n"
        "def time_last(): sum(range(1000))\n"
    )
    project = suite_of(tmp_path, small=text)
    subprocess.run(["git", "init", "-q", "-b", "main", str(project)], check=True)
    commit(project, "a suite")
    told = measured(project, tmp_path)
    assert (told.code, len(told.data["records"]), told.data["not_reached"]) == (1, 1, 2)
    assert told.data["lost"].startswith("small.time_kills ended the Python that had imported the suite; ")
    assert told.data["lost"] in told.seen
    assert "2 not reached before the suite was lost" in told.seen
    assert list(Path(told.data["asv"]).glob("results/*/*-energybench-py*.json"))


def test_parameters_of_one_name_are_kept_apart(tmp_path: Path) -> None:
    text = "def time_it(x, y, z): sum(range(x * y))\n"
    text += "time_it.params = [[10], [20, 30], [1]]\ntime_it.param_names = ['a', 'a', 'a_2']\n"
    told = measured(suite_of(tmp_path, small=text), tmp_path)
    found = [one["parameters"] for one in told.data["records"]]
    assert found == [{"a": 10, "a_3": 20, "a_2": 1}, {"a": 10, "a_3": 30, "a_2": 1}]


def test_a_parameter_without_values_is_skipped_and_said_to_be(tmp_path: Path) -> None:
    text = "def time_none(x): pass\ntime_none.params = [[]]\ndef time_it(): sum(range(1000))\n"
    suite = suite_of(tmp_path, small=text)
    told = measured(suite, tmp_path)
    assert (told.code, len(told.data["records"])) == (0, 1)
    assert told.reason("small.time_none") == ("skipped", "a parameter of it has no values")
    assert "small.time_none is skipped: a parameter of it has no values" in told.seen
    with pytest.raises(SuiteError, match=r"has nothing to measure; give the parameters of small\.time_none values"):
        measured(suite, tmp_path, bench="time_none")
    with pytest.raises(SuiteError, match="none of the 2 time_"):
        measured(suite, tmp_path, bench="nothing_like_it")


def test_raw_code_that_ends_python_by_itself_is_said_to(tmp_path: Path) -> None:
    text = (
        "def timeraw_leaves():\n    return 'import sys; sys.exit(0)'\n"
        "def timeraw_prints():\n    return 'print(7, end=str()); sum(range(300_000))'\n"
    )
    told = measured(suite_of(tmp_path, small=text), tmp_path)
    reason = "RuntimeError: its code ended Python before its calls were timed"
    assert told.reason("small.timeraw_leaves") == ("failed", reason)
    assert told.record("small.timeraw_prints")


def benchmark(name: str, *params: list[str]) -> Benchmark:
    names = [f"p{number}" for number in range(len(params))]
    return Benchmark(name=name, params=params, param_names=names, version="1", code="")


def test_combinations_are_in_the_order_of_asv() -> None:
    chosen = choose([benchmark("a.time_x", ["1", "2"], ["'u'", "'v'", "1e400"])])
    assert [one.parameters for one in chosen] == [
        {"p0": 1, "p1": "u"},
        {"p0": 1, "p1": "v"},
        {"p0": 1, "p1": "1e400"},
        {"p0": 2, "p1": "u"},
        {"p0": 2, "p1": "v"},
        {"p0": 2, "p1": "1e400"},
    ]
    assert chosen[4].label == "a.time_x(2, 'v')"


def test_every_benchmark_has_its_first_combination_before_any_has_its_second() -> None:
    chosen = choose([benchmark("b.time_y", ["1", "2"]), benchmark("a.time_x", ["1", "2", "3"]), benchmark("c.time_z")])
    names = ["a.time_x(1)", "b.time_y(1)", "c.time_z", "a.time_x(2)", "b.time_y(2)", "a.time_x(3)"]
    assert [one.label for one in chosen] == names


def test_some_of_many_combinations_are_spread_over_all_of_them() -> None:
    every = choose([benchmark("a.time_x", [str(number) for number in range(100)])])
    assert [one.index for one in spread(every, 4)] == [0, 33, 66, 99]
    assert [one.index for one in spread(every, 1)] == [0]
    assert spread(every, None) == spread(every, 200) == every


def test_a_regular_expression_chooses_benchmarks_and_parameters() -> None:
    every = [benchmark("a.time_x", ["1", "2"]), benchmark("a.time_y")]
    assert [one.label for one in choose(every, bench=r"\(2\)|y$")] == ["a.time_x(2)", "a.time_y"]


def window(joules: float, uncertainty: float) -> Window:
    energy = DomainEnergy(joules=joules, standard_uncertainty=uncertainty, provenance="simulated", probe="simulated")
    total = TotalEnergy(joules=joules, standard_uncertainty=uncertainty, provenance="simulated", domains=["cpu"])
    return Window(seconds=1.0, steps=10, samples=10, domains={"cpu": energy}, total=total)


def test_a_difference_counts_where_it_is_above_twice_its_uncertainty() -> None:
    assert below_resolution([window(1.0, 0.1), window(1.0, 0.1)]) == ""
    assert "a call is 0.01 J, ± 0.014 J" in below_resolution([window(0.1, 0.1), window(0.1, 0.1)])
    assert "below the resolution" in below_resolution([window(2.0, 0.1), window(-1.9, 0.1)])
