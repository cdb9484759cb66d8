"""The program as its users meet it, on the simulated machine: in processes of its own, but for help and mistakes."""

import contextlib
import io
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time

import pytest

from energybench import boundary
from energybench._commands import results
from energybench.cli import main
from energybench.config import SettingError, load_settings

SPIN = """
import pathlib
import time
from energybench.model import Parameter


class Task:
    samples = 10
    file_bytes = None

    def __init__(self, parameters, seed):
        self.parameters = parameters
        self.definition = {"task": "spin", "seed": seed, **parameters}

    def step(self):
        end = time.perf_counter() + 0.002
        while time.perf_counter() < end:
            pass
        if self.parameters["breaks"]:
            raise RuntimeError("the kernel gave up")

    def evaluate(self):
        return {"accuracy": 0.9}

    def close(self):
        pass


class Spin:
    name = "spin"
    version = 1
    summary = "keeps a processor busy"
    parameters = {
        "bits": Parameter(default=8, help="width", choices=(8, 16, 32)),
        "batch": Parameter(default=1, help="samples a step"),
        "breaks": Parameter(default=False, help="fail in a step"),
    }

    def prepare(self, parameters, *, seed, quick):
        if parameters["batch"] < 1:
            raise ValueError("batch=0 does not fit: it is 1 or more")
        return Task(parameters, seed)


workload = Spin()
"""
SHORT = ("--windows", "2", "--seconds", "0.1", "--quick")


def environment_of(folder):
    return {
        "ENERGYBENCH_SIMULATE": "1", "ENERGYBENCH_IDLE": "0.1", "ENERGYBENCH_WARMUP": "0.2",
        "ENERGYBENCH_LOCK": str(folder / "lock"), "TMPDIR": str(folder),
    }  # fmt: skip


def starting(folder):
    """What starts energybench in a folder with a lock of its own; `spin.py` there is a workload."""
    (folder / "spin.py").write_text(SPIN)

    def popen(*arguments, **options):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("ENERGYBENCH_")}
        environment |= environment_of(folder) | options.pop("env", {})
        return subprocess.Popen(
            [sys.executable, "-m", "energybench", *map(str, arguments)],
            env=environment,
            cwd=options.pop("cwd", folder),
            stdout=options.pop("stdout", subprocess.PIPE),
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )

    return popen


def finish(process):
    out, err = process.communicate(timeout=120)
    assert "Traceback" not in err, err
    return process.returncode, out, err


@pytest.fixture
def start(tmp_path):
    """Start energybench in an empty folder."""
    return starting(tmp_path)


@pytest.fixture
def call(start):
    """Run energybench to its end: exit code, stdout, stderr."""
    return lambda *arguments, **options: finish(start(*arguments, **options))


@pytest.fixture
def inside(tmp_path, monkeypatch):
    """The same as `call`, in this process."""
    (tmp_path / "spin.py").write_text(SPIN)
    monkeypatch.chdir(tmp_path)
    for name, value in environment_of(tmp_path).items():
        monkeypatch.setenv(name, value)

    def inside(*arguments):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as stop:
            main([*map(str, arguments)])
        return int(stop.value.code or 0), out.getvalue(), err.getvalue()

    return inside


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """The records of a run of two points, and of a second run of the first of them."""
    folder = tmp_path_factory.mktemp("kept")
    for bits in ("8,16", "8"):
        assert finish(starting(folder)("run", "./spin.py", "--bits", bits, *SHORT))[0] == 0
    return folder / ".energybench" / "records"


def records(folder):
    return [json.loads(path.read_text()) for path in sorted(folder.rglob("*.json"))]


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.02)


def windows_in(folder):
    lines = [line for path in folder.rglob("*.jsonl") for line in path.read_text().splitlines()]
    return sum('"event": "window"' in line for line in lines)


def test_help_starts_without_the_heavy_libraries():
    script = (
        "import sys, runpy\n"
        "sys.argv = ['energybench', '--help']\n"
        "try:\n    runpy.run_module('energybench', run_name='__main__')\n"
        "except SystemExit as stop:\n    assert not stop.code\n"
        "heavy = {'torch', 'pandas', 'seaborn', 'matplotlib', 'scipy', 'numpy', 'pydantic', 'numba', 'jinja2'}\n"
        "print('LOADED', sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert "LOADED []" in done.stdout
    assert "doctor" in done.stdout


def test_every_command_has_help(inside):
    for command in ("doctor", "measure", "list", "run", "report"):
        code, out, _ = inside(command, "--help")
        assert code == 0
        assert "Usage" in out


def test_the_version_is_that_of_the_package(call):
    import energybench

    assert call("--version") == (0, f"energybench {energybench.__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["runn"], 2, "Did you mean 'run'"),
        (["run", "spinn"], 1, "'spinn'"),
        (["run", "qnn-infr"], 1, "did you mean qnn-infer"),
        (["run", "no/such/file.py"], 1, "no/such/file.py"),
        (["run", "./spin.py", "--param", "bit=8"], 1, "did you mean 'bits'"),
        (["run", "./spin.py", "--bits", "7"], 1, "choose from 8, 16, 32"),
        (["run", "./spin.py", "--param", "bits"], 1, "--param NAME=VALUE"),
        (["run", "./spin.py", "--data", "digits"], 1, "no parameter 'data'"),
        (
            ["run", "qnn-infer", "--data", "./no-such-data"],
            1,
            "./no-such-data: no such folder; give the one that holds",
        ),
        (["list", "qnn-infr"], 1, "did you mean qnn-infer"),
        (["run", "./spin.py", "--probe", "powercapp"], 1, "did you mean 'powercap'"),
        (["run", "./spin.py", "--table", "horowitz"], 1, "did you mean horowitz-45nm"),
        (["run", "./spin.py", "--epochs", "3"], 2, "--param epochs=VALUE"),
        (["run", "./spin.py", "--windows", "0"], 1, "1 or more"),
        (["run", "./spin.py", "--require", "measured"], 1, "energybench doctor"),
        (["run", "./spin.py", "--require", "perfect"], 1, "measured, simulated or estimated"),
        (["run"], 2, "WORKLOAD"),
        (["report", "no-such-folder"], 1, "no-such-folder"),
    ],
)
def test_a_mistake_gets_one_line_that_says_what_to_do(inside, arguments, code, said):
    found, out, err = inside(*arguments)
    assert (found, out) == (code, "")
    assert err.startswith("energybench: ")
    assert err.count("\n") == 1, err
    assert said in err


def test_a_folder_of_data_is_made_absolute_and_a_name_stays_a_name(call, tmp_path):
    (tmp_path / "sets" / "emnist").mkdir(parents=True)
    (tmp_path / "sets" / "emnist" / "emnist-letters-train-images").touch()
    (tmp_path / "digits").mkdir()
    asked = "digits,./sets,sets/emnist/emnist-letters,glyphs:600"
    code, out, err = call("run", "qnn-infer", "--data", asked, "--dry-run", "--json")
    assert code == 0, err
    sets = tmp_path.resolve() / "sets"
    found = [point["parameters"]["data"] for point in json.loads(out)["points"]]
    assert found == ["digits", str(sets), str(sets / "emnist" / "emnist-letters"), "glyphs:600"]


def test_list_shows_the_named_workloads_alone_with_what_their_parameters_mean(call):
    code, out, err = call("list", "./spin.py")
    assert (code, err) == (0, "")
    for words in ("keeps a processor busy", "samples a step", "8, 16, 32"):
        assert words in out
    assert "qnn-infer" not in out


def test_a_workload_file_that_is_broken_is_named_with_its_line(call, tmp_path):
    (tmp_path / "broken.py").write_text("x = 1\ny = x / 0\n")
    code, _, err = call("run", tmp_path / "broken.py")
    assert code == 1
    assert "broken.py, line 2" in err


def test_a_traceback_is_shown_to_who_asks_for_it(start):
    for arguments, variables in ((["--traceback"], {}), ([], {"ENERGYBENCH_TRACEBACK": "1"})):
        process = start(*arguments, "run", "spinn", env=variables)
        assert "Traceback (most recent call last)" in process.communicate(timeout=60)[1]
        assert process.returncode == 1


def test_errors_of_others_get_a_remedy_too():
    assert boundary.describe(OSError(28, "No space left on device", "/full/x")).startswith("/full/x: No space left")
    assert "pip install torch numba scikit-learn" in boundary.describe(ModuleNotFoundError("No module named 'torch'"))
    theirs = boundary.describe(ModuleNotFoundError("No module named 'spamlib.eggs'"))
    assert "install spamlib" in theirs
    assert "torch" not in theirs
    assert "internal error, KeyError" in boundary.describe(KeyError("x"))
    assert "\n" not in boundary.describe(ValueError("two\nlines"))


def test_list_tells_parameters_with_their_defaults(call):
    code, out, err = call("list", "--json")
    data = json.loads(out)
    assert (code, err) == (0, "")
    assert data["workloads"]["qnn-infer"]["parameters"]["bits"]["choices"] == [1, 2, 3, 4, 8, 16, 32]
    code, out, _ = call("list")
    assert code == 0
    assert "qnn-infer" in out


def complete(call, *words):
    # Typer's protocol for bash: the words so far, the last one incomplete.
    variables = {
        "_ENERGYBENCH_COMPLETE": "complete_bash",
        "COMP_WORDS": " ".join(["energybench", *words]),
        "COMP_CWORD": str(len(words)),
    }
    return call(env=variables)[1].split()


def test_completion_knows_commands_workloads_probes_and_parameters(call):
    assert "measure" in complete(call, "me")
    assert "qnn-infer" in complete(call, "run", "qnn")
    assert "powercap" in complete(call, "measure", "--probe", "power")
    assert "nvml,powercap" in complete(call, "run", "--probe", "nvml,pow")
    assert "bits=" in complete(call, "run", "qnn-infer", "--param", "bi")


def test_a_run_writes_a_record_a_point_and_prints_a_table(call, tmp_path):
    code, out, err = call("run", "./spin.py", "--bits", "8,16", *SHORT)
    assert code == 0, err
    kept = records(tmp_path / ".energybench")
    assert sorted(record["parameters"]["bits"] for record in kept) == [8, 16]
    for record in kept:
        assert record["total"]["provenance"] == "simulated"
        assert len(record["windows"]) == 2
    assert "(simulated)" in out
    assert "90.00%" in out
    assert "2 records in" in err


def test_json_is_one_object_with_the_records_as_they_are_on_disk(call, tmp_path):
    code, out, err = call("run", "./spin.py", *SHORT, "--json", "--output", tmp_path / "kept", "--seed", "5")
    data = json.loads(out)
    assert code == 0
    assert data["schema"] == 1
    assert data["failed"] == []
    assert data["records"] == records(tmp_path / "kept")
    assert data["records"][0]["seed"] == 5
    assert "spin, per sample" in err


def test_one_point_that_fails_does_not_stop_the_others(call, tmp_path):
    code, out, err = call("run", "./spin.py", "--param", "breaks=true,false", *SHORT)
    assert code == 1
    assert [record["parameters"]["breaks"] for record in records(tmp_path / ".energybench")] == [False]
    assert "breaks=True failed: " in err
    assert "the kernel gave up" in err
    assert "spin" in out


def test_a_value_that_the_workload_refuses_is_told_at_the_end(call):
    code, _, err = call("run", "./spin.py", "--batch", "0", *SHORT)
    assert code == 1
    assert "batch=0 does not fit" in err


def test_a_dry_run_lists_the_points_and_measures_nothing(call, tmp_path):
    code, out, _ = call("run", "./spin.py", "--bits", "8,16", "--batch", "1,2", *SHORT, "--dry-run")
    assert code == 0
    assert out.count("bits=") == 4
    assert "4 of 4 points" in out
    assert not (tmp_path / ".energybench").exists()
    data = json.loads(call("run", "./spin.py", "--bits", "8,16", *SHORT, "--dry-run", "--json")[1])
    assert [point["parameters"]["bits"] for point in data["points"]] == [8, 16]
    assert data["seconds"] == pytest.approx(sum(point["seconds"] for point in data["points"]))
    assert data["seconds"] > 0


def test_resume_measures_only_what_has_no_record_yet(call, tmp_path):
    assert call("run", "./spin.py", "--bits", "8", *SHORT)[0] == 0
    first = records(tmp_path / ".energybench")[0]["id"]
    code, out, err = call("run", "./spin.py", "--bits", "8,16", *SHORT, "--resume", "--json")
    found = {record["parameters"]["bits"]: record["id"] for record in json.loads(out)["records"]}
    assert code == 0, err
    assert found[8] == first
    assert set(found) == {8, 16}
    assert len(records(tmp_path / ".energybench")) == 2
    # Other settings are another measurement.
    assert "2 of 2 points" in call("run", "./spin.py", "--bits", "8,16", "--windows", "3", "--dry-run", "--resume")[1]
    assert "0 of 2 points" in call("run", "./spin.py", "--bits", "8,16", *SHORT, "--dry-run", "--resume")[1]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_a_run_that_was_stopped_goes_on_from_its_windows(start, call, tmp_path, number, code):
    arguments = ("run", "./spin.py", "--bits", "8,16", "--windows", "6", "--seconds", "0.2", "--quick")
    process = start(*arguments)
    wait_for(lambda: windows_in(tmp_path) >= 3)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    if number != signal.SIGKILL:
        (line,) = [line for line in err.splitlines() if "kept" in line]
        assert "--resume" in line
        assert "Traceback" not in err
    assert records(tmp_path / ".energybench") == []
    before = windows_in(tmp_path)
    found, _, err = call(*arguments, "--resume")
    assert found == 0, err
    kept = records(tmp_path / ".energybench")
    assert [len(record["windows"]) for record in kept] == [6, 6]
    assert before >= 3
    assert windows_in(tmp_path) == 0  # the journal is gone once all records are written


def test_a_second_run_at_once_is_refused_and_told_who_measures(start, call, tmp_path):
    first = start("run", "./spin.py", "--windows", "30", "--seconds", "0.5", "--quick")
    wait_for(lambda: windows_in(tmp_path) >= 1)
    code, _, err = call("run", "./spin.py", *SHORT)
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=60)
    assert code == 1
    assert err.count("\n") == 1
    assert str(first.pid) in err


def test_a_results_folder_that_cannot_be_written_is_told_before_measuring(call):
    code, _, err = call("run", "./spin.py", *SHORT, "--output", "/dev/null/records")
    assert code == 1
    assert err.count("energybench: ") == len(err.splitlines())
    assert "/dev/null/records" in err.splitlines()[-1]


def test_a_disk_that_is_full_is_told_before_measuring(call):
    def no_room():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write then fails, as on a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))

    code, _, err = call("run", "./spin.py", *SHORT, preexec_fn=no_room)
    assert code == 1
    assert "Free some space" in err.splitlines()[-1]


def test_it_runs_without_a_home_from_a_folder_that_cannot_be_written(call, tmp_path):
    kept = tmp_path / "kept"
    arguments = ("run", tmp_path / "spin.py", *SHORT, "--output", kept)
    code, _, err = call(*arguments, cwd="/sys", env={"HOME": "", "PATH": os.environ["PATH"]})
    assert code == 0, err
    assert len(records(kept)) == 1


def test_a_folder_that_is_gone_is_told(call, tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    code, _, err = call("run", tmp_path / "spin.py", *SHORT, "--output", tmp_path, cwd=gone, preexec_fn=gone.rmdir)
    assert code == 1
    assert "does not exist any more" in err


def test_no_command_shows_the_help_and_is_a_usage_error(call):
    code, out, err = call()
    assert code == 2
    assert "Usage" in out + err


def test_settings_come_from_pyproject_below_the_environment(call, tmp_path):
    (tmp_path / "pyproject.toml").write_text(
        '[tool.energybench]\nwindows = 3\nseconds = 0.1\nquick = true\nseed = 7\nrecords = "kept"\n'
    )
    code, _, err = call("run", "./spin.py", env={"ENERGYBENCH_WINDOWS": "2"})
    assert code == 0, err
    (record,) = records(tmp_path / "kept")
    assert (len(record["windows"]), record["seed"]) == (2, 7)


def test_the_report_prints_its_path_and_a_table_of_the_newest_and_counts_the_others(call, kept, tmp_path):
    shutil.copytree(kept, tmp_path / ".energybench" / "records")
    code, out, err = call("report", env={"COLUMNS": "200"})
    assert (code, err) == (0, "")
    page = tmp_path / "site" / "index.html"
    assert "\nsite/index.html\n" in out
    assert "spin" in out
    assert "spin" in page.read_text()
    assert out.count("90.00%") == 2
    assert "1 earlier record in .energybench/records" in out
    assert "1 earlier record of the same points" in page.with_name("workload-spin.html").read_text()


def test_a_damaged_record_is_left_out_of_the_report_and_named(call, kept, tmp_path):
    shutil.copytree(kept, tmp_path / "kept")
    (tmp_path / "kept" / "half.json").write_text('{"schema": 1, "id"')
    code, out, err = call("report", tmp_path / "kept", "--output", tmp_path / "elsewhere", env={"COLUMNS": "200"})
    assert code == 0
    assert "half.json" in err
    assert "spin" in out
    assert str(tmp_path / "elsewhere" / "index.html") in out


def test_a_report_of_one_record_is_a_report(call, kept):
    code, out, err = call("report", next(kept.rglob("*.json")))
    assert (code, err) == (0, "")
    assert out.count("90.00%") == 1


def test_only_the_default_folder_of_records_may_be_missing(call, tmp_path):
    code, _, err = call("report")
    assert code == 0
    assert "no record in .energybench/records" in err
    assert "No records yet" in (tmp_path / "site" / "index.html").read_text()
    code, out, err = call("report", "nosuch", "--output", "other")
    assert (code, out) == (1, "")
    assert "no records at nosuch" in err
    assert not (tmp_path / "other").exists()


def test_the_terminal_gives_the_interval_that_the_page_gives():
    metric = {"value": 10.0, "standard_uncertainty": 0.1}
    assert results._value(metric, "J") == "10.00 ± 0.20 J"
    assert results._value(metric | {"low": 9.5, "high": 10.5}, "J") == "10.00 ± 0.50 J"
    assert results._value(metric | {"low": 5.0, "high": 20.0}, "J") == "10 J [5 J to 20 J]"
    assert results._value({"value": 10.0}, "J") == "10 J"


def test_bytes_in_the_terminal_say_where_they_come_from():
    dram = {"dram_bytes_per_sample": {"value": 2e3, "provenance": "simulated"}}
    operand = {"operand_bytes_per_sample": {"value": 3e3, "provenance": "modelled"}}
    assert results._bytes(operand | dram) == "2 kB (dram, simulated)"
    assert results._bytes(operand) == "3 kB (operand, modelled)"


def test_traffic_of_a_command_says_where_it_comes_from(call):
    _, _, err = call("measure", "--", "sleep", "0.2")
    (line,) = [line for line in err.splitlines() if "dram_bytes" in line]
    assert "simulated" in line


def test_a_folder_with_braces_in_its_name_is_named_in_an_error(tmp_path):
    folder = tmp_path / "{x}"
    folder.mkdir()
    (folder / "pyproject.toml").write_text("[tool.energybench]\nwindows = 0\n")
    with pytest.raises(SettingError, match=r"\{x\}/pyproject.toml: windows in \[tool.energybench\]"):
        load_settings({}, environ={}, start=folder)


def test_colours_are_left_out_of_pipes(call):
    assert "\x1b" not in call("list")[1]


def test_a_reader_that_has_gone_is_no_error(start):
    read_end, write_end = os.pipe()
    os.close(read_end)
    process = start("list", stdout=write_end)
    os.close(write_end)
    assert process.communicate(timeout=60)[1] == ""
