"""asv's own runner with our benchmark type, on a simulated machine; commits are copies of the package."""

import json
import math
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import asv.benchmark
import pytest
from asv_runner.benchmarks import benchmark_types

from energybench import asv as energy
from energybench import marking, settings, workloads
from energybench.record import Record
from energybench.store import read_all

REPOSITORY = Path(__file__).resolve().parents[1]
SUITE = REPOSITORY / "workloads" / "benchmarks"
DEFINITIONS = Path(__file__).parent / "data" / "definitions.json"
BRIEF = {"idle_seconds": 0.05, "warmup_seconds": 1.0}
"""No more of the protocol than it takes: nothing here depends on how long a machine was at rest."""

Run = Callable[..., Any]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run one benchmark as asv does, in the folder that a suite's metrics share; give its result."""
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "cache.pickle").write_bytes(b"\x80\x04\x8c\x0benergybench\x94.")

    def run(
        benchmark: str, *, suite: Path = SUITE, commit: Path | None = None, environ: Mapping[str, str] | None = None
    ) -> Any:
        result = tmp_path / "result.json"
        result.unlink(missing_ok=True)
        done = subprocess.run(
            [sys.executable, asv.benchmark.__file__, "run", str(suite), benchmark, "{}", "None", str(result)],
            cwd=shared,
            env={
                **os.environ,
                # Without power at rest joules follow the CPU time alone, however busy the machine is.
                "ENERGYBENCH_SIMULATE": "1,idle_watts=0",
                "ENERGYBENCH_LOCK": str(tmp_path / "lock"),
                "ENERGYBENCH_RECORDS": str(tmp_path / "records"),
                "ENERGYBENCH_PYTHON": sys.executable,
                marking.SETTINGS: json.dumps(BRIEF),
                **({"ASV_PYTHONPATH": str(commit)} if commit else {}),
                **(environ or {}),
            },
            capture_output=True,
            text=True,
            timeout=300,
        )
        if done.returncode:
            raise RuntimeError(done.stdout + done.stderr)
        return json.loads(result.read_text())

    return run


@pytest.fixture
def commit(tmp_path: Path) -> Callable[..., Path]:
    """A copy of the package with a file of it changed; what numba compiled of the others comes along."""

    def commit(file: str, old: str, new: str) -> Path:
        place = tmp_path / f"commit-{len(list(tmp_path.glob('commit-*')))}"
        shutil.copytree(REPOSITORY / "energybench", place / "energybench", ignore=shutil.ignore_patterns("benchmarks"))
        changed = place / "energybench" / file
        text = changed.read_text()
        assert old in text
        changed.write_text(text.replace(old, new))
        return place

    return commit


@pytest.fixture
def own_suite(tmp_path: Path) -> Callable[[str], Path]:
    """A suite of another project, of one module `work`."""

    def own_suite(text: str) -> Path:
        suite = tmp_path / "project" / "suite"
        suite.mkdir(parents=True)
        (suite / "__init__.py").touch()
        (suite / "work.py").write_text(text)
        return suite

    return own_suite


def median(result: Any) -> float:
    return sorted(result["samples"])[len(result["samples"]) // 2] if isinstance(result, dict) else result


def the_record(records: Path) -> Record:
    (stored,), problems = read_all(records)
    assert not problems
    return stored.record


def test_one_run_serves_every_metric_and_leaves_one_record_with_a_trace(run: Run, tmp_path: Path):
    suite = "equilibrium.BpTrain.energy_"
    results = {
        name: run(f"{suite}{name}-0")
        for name in ("joules_per_sample", "modelled_joules_per_sample", "seconds_per_sample", "accuracy")
    }
    record = the_record(tmp_path / "records")
    found = record.results
    assert len(results["joules_per_sample"]["samples"]) == len(record.windows) == 3
    assert math.isclose(sum(results["joules_per_sample"]["samples"]) / 3, found["joules_per_sample"].value)
    assert results["accuracy"] == found["accuracy"].value
    assert results["modelled_joules_per_sample"] == found["modelled_joules_per_sample"].value
    assert record.trace
    assert found["joules_per_sample"].provenance == "simulated"


def test_probes_that_double_every_reading_change_no_joule_and_a_kernel_that_works_twice_doubles_them(
    run: Run, commit: Callable[..., Path], tmp_path: Path
):
    doubled_probe = commit(
        "probes/simulated.py", "cpu: Callable[[], float] = cpu_seconds", "cpu=lambda: 2 * cpu_seconds()"
    )
    doubled_count = doubled_probe / "energybench" / "probes" / "operators.py"
    text = doubled_count.read_text()
    assert "flops=numbers" in text
    doubled_count.write_text(text.replace("return self.read_bytes + self.written_bytes", "return 2 * self.read_bytes"))
    same = commit("__init__.py", '"0.1.0"', '"0.1.1"')
    twice = commit(
        "workloads/qnn/infer.py",
        "        self._run(self._batch)",
        "        self._run(self._batch), self._run(self._batch)",
    )
    joules, modelled, moved = {}, {}, {}
    for name, place in (("same", same), ("probe", doubled_probe), ("twice", twice)):
        for left in (tmp_path / "shared").glob("energybench-*"):
            left.unlink()
        environ = {"ENERGYBENCH_RECORDS": str(tmp_path / name)}
        joules[name] = median(run("quantized.QnnInfer.energy_joules_per_sample-1", commit=place, environ=environ))
        found = the_record(tmp_path / name).results
        modelled[name] = found["modelled_joules_per_sample"].value
        moved[name] = found["operand_bytes_per_sample"].value
    assert modelled["probe"] == modelled["same"]
    assert moved["probe"] == moved["same"]
    assert joules["probe"] < 1.4 * joules["same"]
    assert modelled["twice"] == pytest.approx(2 * modelled["same"])
    assert 1.5 < joules["twice"] / joules["same"] < 2.7


def test_joules_are_skipped_where_no_counter_is_and_the_rest_is_measured(run: Run):
    none = {"ENERGYBENCH_SIMULATE": ""}
    assert math.isnan(run("equilibrium.BpTrain.energy_joules_per_sample-0", environ=none))
    assert run("equilibrium.BpTrain.energy_modelled_joules_per_sample-0", environ=none) > 0


def test_a_failure_is_every_metrics_and_the_work_is_not_tried_again(run: Run, own_suite: Callable[[str], Path]):
    suite = own_suite(
        "from pathlib import Path\n"
        "from energybench.asv import EnergySuite\n"
        "class Broken(EnergySuite):\n"
        "    def prepare(self):\n"
        "        with Path('tried').open('a') as file:\n"
        "            file.write('x')\n"
        "        raise ValueError('no such model')\n"
        "    def step(self): ...\n"
    )
    said = []
    for metric in ("joules_per_sample", "accuracy"):
        with pytest.raises(RuntimeError, match="no such model") as failed:
            run(f"work.Broken.energy_{metric}", suite=suite)
        said.append(str(failed.value))
    # Where in the work it was is shown once; every metric says what it was, in one line.
    assert [text.count("Traceback (most recent call last)") for text in said] == [1, 0]
    assert len(said[1].strip().splitlines()) == 1
    assert (suite.parents[1] / "shared" / "tried").read_text() == "x"


def test_another_projects_suite_has_its_parameters_and_quality_in_the_record(
    run: Run, own_suite: Callable[[str], Path], tmp_path: Path
):
    suite = own_suite(
        "from energybench.asv import EnergySuite\n"
        "class SortNumbers(EnergySuite):\n"
        "    params, param_names, samples, definition = [[1000, 2000]], ['n'], 10, 7\n"
        "    settings = {'windows': 2, 'window_seconds': 0.05, 'idle_seconds': 0.1}\n"
        "    def prepare(self, n):\n"
        "        self.numbers = list(range(n, 0, -1))\n"
        "    def step(self, n):\n"
        "        sorted(self.numbers, key=str)\n"
        "    def evaluate(self, n):\n"
        "        return {'accuracy': 0.75}\n"
    )
    assert run("work.SortNumbers.energy_accuracy-1", suite=suite) == 0.75
    record = the_record(tmp_path / "records")
    assert record.workload.name == "work.SortNumbers"
    assert record.workload.version == 7
    assert record.parameters == {"n": 2000}
    assert record.samples == 10 * record.steps


def test_a_function_that_returns_nothing_is_measured_in_joules_a_call(run: Run, own_suite: Callable[[str], Path]):
    suite = own_suite("def energy_sum():\n    sum(range(30_000))\n\ndef energy_told():\n    return [1.0, 2, 3]\n")
    measured = run("work.energy_sum", suite=registered(suite))
    assert len(measured["samples"]) == 3
    assert all(0 < joules < 1 for joules in measured["samples"])
    assert run("work.energy_told", suite=suite) == {"samples": [1.0, 2.0, 3.0], "number": 1}


def registered(suite: Path) -> Path:
    (suite / "__init__.py").write_text("import energybench.asv\n")
    return suite


@pytest.mark.parametrize("given", [{"joules": 1.0}, [], "much", float("inf"), [1.0, float("nan")], True])
def test_what_would_crash_publishing_is_no_result(given: Any):
    def energy_odd() -> Any:
        return given

    with pytest.raises(ValueError, match=r"energy_odd gave .*(return|finite)"):
        energy.EnergyBenchmark("work.energy_odd", energy_odd, [energy_odd]).run()


def test_what_would_crash_publishing_never_leaves_the_benchmark(run: Run, own_suite: Callable[[str], Path]):
    suite = registered(own_suite("def energy_odd():\n    return {'joules': 1.0}\n"))
    with pytest.raises(RuntimeError, match=r"energy_odd gave .*return"):
        run("work.energy_odd", suite=suite)
    assert not (suite.parents[1] / "result.json").exists()


def test_a_work_that_ends_its_process_leaves_no_instrument_behind(run: Run, own_suite: Callable[[str], Path]):
    suite = own_suite(
        "import os\n"
        "from energybench.asv import EnergySuite\n"
        "class Gone(EnergySuite):\n"
        "    def step(self):\n"
        "        os.abort()\n"
    )
    with pytest.raises(RuntimeError, match="what was measured is gone"):
        run("work.Gone.energy_accuracy", suite=suite)


def test_the_types_names_do_not_take_others():
    types = [one for one in benchmark_types if one.__name__ == "EnergyBenchmark"]
    assert types == [energy.EnergyBenchmark]
    names = ("energy_joules", "EnergyJoules", "energize", "time_energy", "track_energy", "Energy")
    assert [bool(types[0].name_regex.match(name)) for name in names] == [True, True, False, False, False, False]


def test_a_simulated_machine_has_a_version_of_its_own(monkeypatch: pytest.MonkeyPatch):
    class Nothing(energy.EnergySuite):
        def step(self) -> None: ...

    def version(metric: str) -> str:
        suite = Nothing()
        function = getattr(suite, f"energy_{metric}")
        return str(energy.EnergyBenchmark(f"suite.Nothing.energy_{metric}", function, [function, suite]).version)

    assert version("joules_per_sample") == "1.1"
    monkeypatch.setenv("ENERGYBENCH_SIMULATE", "xeon")
    assert version("joules_per_sample") == "1.1-simulated"
    assert version("modelled_joules_per_sample") == "1.1"


def test_the_protocols_version_is_that_of_the_instrument():
    assert energy.PROTOCOL == settings.VERSION


def suites() -> dict[str, Any]:
    from energybench.workloads.benchmarks import distributed, equilibrium, quantized

    found = [one for module in (quantized, equilibrium, distributed) for one in vars(module).values()]
    return {one.workload: one for one in found if isinstance(one, type) and hasattr(one, "workload")}


def test_every_workload_of_the_repository_is_in_the_suite_at_its_version():
    declared = {name: suite.definition for name, suite in suites().items()}
    assert declared == {name: workloads.load(name).version for name in workloads.names()}


@pytest.mark.parametrize("name", workloads.names())
def test_a_definition_that_changes_has_a_new_version(name: str):
    """Where this fails, raise the workload's `version` and its suite's `definition`, and write the new one here."""
    kept = json.loads(DEFINITIONS.read_text())
    found = {"version": workloads.load(name).version, "definition": definition(name)}
    assert found == kept[name], f"{name} does something else under the same version:\n{json.dumps(found, indent=1)}"


def definition(name: str) -> dict[str, Any]:
    """What a workload says that it does at its first quick point, without what depends on the machine."""
    suite = suites()[name]()
    work = suite.work([values[0] for values in suite.params])
    try:
        told = json.loads(json.dumps(dict(work.definition)))
    finally:
        work.close()
    return {key: value for key, value in told.items() if key not in ("isa", "torch", "device", "threads", "engine")}


def test_asvs_configuration_names_what_is_there():
    text = re.sub(r"^\s*//.*$", "", (REPOSITORY / "asv.conf.json").read_text(), flags=re.MULTILINE)
    values = json.loads(text)
    assert (REPOSITORY / values["benchmark_dir"]).is_dir()
    assert "{conf_dir}/constraints.txt" in values["install_command"][0]
    assert values["results_dir"].startswith(".asv/")
