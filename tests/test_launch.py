"""`energybench measure -- CMD` as a shell user meets it: the real program in a process of its own."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from energybench._commands import readings
from energybench.launch import Run


@pytest.fixture
def start(tmp_path):
    """Start energybench in an empty folder on the simulated machine."""

    def popen(*arguments, **options):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("ENERGYBENCH_")}
        environment |= {"ENERGYBENCH_SIMULATE": "1", "COLUMNS": "200"} | options.pop("env", {})
        return subprocess.Popen(
            [sys.executable, "-m", "energybench", *map(str, arguments)],
            env=environment,
            cwd=options.pop("cwd", tmp_path),
            stdout=options.pop("stdout", subprocess.PIPE),
            stderr=options.pop("stderr", subprocess.PIPE),
            text=True,
            **options,
        )

    return popen


@pytest.fixture
def measure(start):
    """Run `energybench measure` to its end: exit code, stdout, stderr."""

    def finish(*arguments, **options):
        process = start("measure", *arguments, **options)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    return finish


def one_line(text):
    assert text.startswith("energybench: ")
    assert text.count("\n") == 1, text
    return text


def test_the_commands_stdout_is_its_own_and_the_reading_goes_to_stderr(measure):
    code, out, err = measure("--", "sh", "-c", "echo answer; echo aside >&2")
    assert (code, out) == (0, "answer\n")
    assert "aside" in err
    assert "total" in err
    assert "simulated" in err


@pytest.mark.parametrize("code", [0, 1, 2, 77, 255])
def test_the_exit_code_is_the_commands_own(measure, code):
    assert measure("--", "sh", "-c", f"exit {code}")[0] == code


@pytest.mark.parametrize("name", ["KILL", "TERM", "SEGV"])
def test_a_killed_command_gives_128_and_the_signal(measure, name):
    code, _, err = measure("--", "sh", "-c", f"ulimit -c 0; kill -{name} $$")
    assert code == 128 + signal.Signals[f"SIG{name}"]
    assert "total" in err  # what was read until then is still told


def test_a_command_that_is_not_there_gives_127(measure):
    code, out, err = measure("--", "no-such-command-anywhere")
    assert (code, out) == (127, "")
    assert "PATH" in one_line(err)


def test_what_cannot_be_executed_gives_126_and_says_how_to_mend_it(measure, tmp_path):
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    code, _, err = measure("--", script)
    assert code == 126
    assert f"chmod +x {script}" in one_line(err)
    script.write_text("echo hello\n")
    code, _, err = measure("--", script)
    assert code == 126
    assert "is not a program" in one_line(err)
    assert "chmod" not in err
    script.chmod(0o755)
    code, _, err = measure("--", script)
    assert code == 126
    assert "#!" in one_line(err)
    script.write_text("#!/no/such/interpreter\n")
    code, _, err = measure("--", script)
    assert code == 126
    assert "interpreter" in one_line(err)
    code, _, err = measure("--", tmp_path)
    assert code == 126
    assert "directory" in one_line(err)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--probe", "simulatd", "--", "true"], "did you mean 'simulated'"),
        (["--bogus", "--", "true"], "--bogus"),
        ([], "Missing argument"),
        (["--output", "/no/such/folder/file.json", "--", "true"], "/no/such/folder/file.json"),
    ],
)
def test_a_failure_of_our_own_gives_125_before_the_command_runs(measure, arguments, said):
    code, out, err = measure(*arguments)
    assert (code, out) == (125, "")
    assert said in one_line(err)


def test_json_is_alone_on_stdout_with_the_names_of_the_design(measure):
    code, out, err = measure("--json", "--", "sh", "-c", "echo answer; exit 3")
    data = json.loads(out)
    assert code == data["exit_code"] == 3
    assert "answer" in err
    assert data["schema"] == 1
    assert data["exclusive"] is False
    assert data["command"] == ["sh", "-c", "echo answer; exit 3"]
    assert data["domains"]["cpu.package-0"]["provenance"] == "simulated"
    assert set(data["total"]["domains"]) == {"cpu.package-0", "cpu.dram-0"}
    assert data["total"]["joules"] == pytest.approx(
        sum(data["domains"][name]["joules"] for name in data["total"]["domains"])
    )


def test_with_an_output_file_stdout_stays_the_commands(measure, tmp_path):
    code, out, _ = measure("--json", "--output", tmp_path / "reading.json", "--", "echo", "answer")
    assert (code, out) == (0, "answer\n")
    assert json.loads((tmp_path / "reading.json").read_text())["total"]["joules"] > 0


def test_stdin_reaches_the_command(start):
    process = start("measure", "--", "cat", stdin=subprocess.PIPE)
    assert process.communicate("through", timeout=60)[0] == "through"


def test_options_after_the_command_are_the_commands(measure):
    code, out, _ = measure("echo", "--json", "--help")
    assert (code, out) == (0, "--json --help\n")


def test_more_work_takes_more_simulated_joules(measure):
    def joules(loops):
        script = f"for _ in range({loops}): pass"
        return json.loads(measure("--json", "--", sys.executable, "-c", script)[1])["total"]["joules"]

    assert joules(10_000_000) > joules(1) > 0


def test_without_a_counter_the_estimate_is_labelled_and_there_is_no_total(measure, tmp_path):
    code, out, err = measure("--json", "--probe", "estimate", "--", "sleep", "0.05", env={"ENERGYBENCH_SIMULATE": ""})
    data = json.loads(out)
    assert code == 0
    assert "total" not in data
    assert data["estimated"]["provenance"] == "estimated"
    assert data["estimated"]["low"] < data["estimated"]["joules"] < data["estimated"]["high"]
    assert "estimated" in err


def test_repeats_give_the_median_and_the_spread_of_every_run(measure, tmp_path):
    code, out, err = measure("--json", "--repeat", "3", "--", "sh", "-c", f"echo run >> {tmp_path}/log; sleep 0.05")
    data = json.loads(out)
    assert code == 0
    assert (tmp_path / "log").read_text() == "run\n" * 3
    joules = sorted(run["total"]["joules"] for run in data["runs"])
    assert (data["total"]["low"], data["total"]["joules"], data["total"]["high"]) == tuple(joules)
    assert "median of 3 runs" in err


def test_the_first_run_that_fails_is_the_last(measure, tmp_path):
    code, out, _ = measure("--json", "--repeat", "3", "--", "sh", "-c", f"echo run >> {tmp_path}/log; exit 9")
    assert code == 9
    assert (tmp_path / "log").read_text() == "run\n"
    assert json.loads(out)["exit_code"] == 9


def wait_for(path, seconds=20):
    end = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < end, f"{path} never appeared"
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_forwarded_and_the_reading_is_still_printed(start, tmp_path, number):
    # Its own trap shows that the command itself had the signal, once.
    trap = f"trap 'echo got >> {tmp_path}/log; exit 7' {number.name[3:]}"
    script = f"{trap}; : > {tmp_path}/up; while :; do sleep 0.05; done"
    process = start("measure", "--json", "--", "sh", "-c", script)
    wait_for(tmp_path / "up")
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 7, err
    assert (tmp_path / "log").read_text() == "got\n"
    assert json.loads(out)["total"]["joules"] > 0


def test_a_command_that_dies_of_ctrl_c_gives_130_and_its_reading(start, tmp_path):
    process = start("measure", "--repeat", "5", "--", "sh", "-c", f": > {tmp_path}/up; exec sleep 30")
    wait_for(tmp_path / "up")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "total" in err
    assert "Traceback" not in err


def test_ctrl_c_at_a_terminal_reaches_the_command_once(tmp_path):
    """The terminal sends it to both of us, so forwarding it would make two."""
    script = (
        "import pathlib, signal, time\n"
        f"log = open(r'{tmp_path}/log', 'a', buffering=1)\n"
        "signal.signal(signal.SIGINT, lambda *_: log.write('got\\n'))\n"
        f"pathlib.Path(r'{tmp_path}/up').touch()\n"
        "end = time.monotonic() + 1.5\n"
        "while time.monotonic() < end: time.sleep(0.05)\n"
    )
    child, terminal = pty.fork()
    if child == 0:
        os.environ["ENERGYBENCH_SIMULATE"] = "1"
        os.execv(
            sys.executable,
            [sys.executable, "-m", "energybench", "measure", "--", sys.executable, "-c", script],
        )
    wait_for(tmp_path / "up")
    os.write(terminal, b"\x03")
    shown = drain(terminal)
    _, status = os.waitpid(child, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 0
    assert (tmp_path / "log").read_text() == "got\n"
    assert "total" in shown


def drain(terminal):
    shown = b""
    try:
        while part := os.read(terminal, 4096):
            shown += part
    except OSError:  # the other end has closed
        pass
    return shown.decode()


def test_the_command_gets_the_signal_mask_that_we_were_given(measure):
    script = "import signal; print(sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])))"
    assert measure("--", sys.executable, "-c", script)[1] == "[]\n"


def test_a_reader_that_has_gone_does_not_change_the_exit_code(start):
    read_end, write_end = os.pipe()
    os.close(read_end)
    process = start("measure", "--json", "--", "sh", "-c", "exit 5", stdout=write_end)
    os.close(write_end)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 5
    assert "Traceback" not in err
    assert "BrokenPipe" not in err


def reading(joules):
    domain = {
        "joules": joules,
        "standard_uncertainty": 0.3,
        "provenance": "measured",
        "probe": "powercap",
        "flags": [],
    }
    total = {
        "joules": joules,
        "standard_uncertainty": 0.3,
        "provenance": "measured",
        "domains": ["cpu.package-0"],
    }
    return {"schema": 1, "seconds": joules / 10, "domains": {"cpu.package-0": domain}, "total": total}


def test_the_uncertainty_of_a_median_has_the_scatter_of_the_repeats_and_the_sensors_own():
    summary = readings.summarise([reading(joules) for joules in (9.0, 10.0, 11.0, 10.0)])
    # The repeats scatter by 0.8165 J: 1.2533 · 0.8165 / √4 = 0.5117, with 0.3 in quadrature 0.5931.
    assert summary["total"]["joules"] == 10.0
    assert summary["total"]["standard_uncertainty"] == pytest.approx(0.5931, abs=1e-4)
    assert (summary["total"]["low"], summary["total"]["high"]) == (9.0, 11.0)
    assert summary["seconds"] == 1.0


def test_totals_over_different_domains_give_no_median_total():
    other = reading(12.0)
    other["total"]["domains"] = ["cpu.package-0", "gpu.0"]
    summary = readings.summarise([reading(10.0), other])
    assert "total" not in summary
    assert summary["domains"]["cpu.package-0"]["joules"] == 11.0


def test_a_domain_that_failed_in_one_run_has_no_median():
    failed = reading(12.0)
    failed["domains"]["cpu.package-0"] = {
        "unavailable": "the counter went away",
        "remedy": "load its module again",
    }
    summary = readings.summarise([reading(10.0), failed])
    assert summary["domains"]["cpu.package-0"] == failed["domains"]["cpu.package-0"]


def test_people_are_told_what_is_missing_and_what_to_do():
    data = reading(10.0)
    data["domains"]["gpu.0"] = {"unavailable": "no permission", "remedy": "run: sudo chmod a+r it"}
    data["total"]["missing"] = ["gpu.0"]
    run = Run(reading=data, exit_code=0, user_seconds=0.5, system_seconds=0.25, interrupted=False)
    text = "\n".join(readings.lines(["make", "all"], [run], readings.to_json(["make", "all"], [run])))
    assert "10.00 ± 0.60 J" in text
    assert "no permission; run: sudo chmod a+r it" in text
    assert "not in it: gpu.0" in text
    assert "0.500 s user, 0.250 s system" in text


def test_it_runs_without_a_home_and_in_a_folder_that_cannot_be_written(measure, tmp_path):
    folder = tmp_path / "sealed"
    folder.mkdir()
    folder.chmod(0o555)
    code, out, _ = measure("--", "echo", "fine", cwd=folder, env={"HOME": "", "PATH": os.environ["PATH"]})
    assert (code, out) == (0, "fine\n")


def test_files_are_found_on_path(measure, tmp_path):
    tool = tmp_path / "bin" / "our-tool"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\necho found $1\n")
    tool.chmod(0o755)
    path = f"{tool.parent}:{os.environ['PATH']}"
    assert measure("--", "our-tool", "it", env={"PATH": path})[1] == "found it\n"
    assert Path("/bin/sh").exists()


def test_a_full_disk_costs_neither_the_reading_nor_the_exit_code(measure):
    code, _, err = measure("--output", "/dev/full", "--", "sh", "-c", "exit 5")
    assert code == 5
    assert "total" in err
    assert "/dev/full could not be written (No space left on device)" in err
    assert json.loads(err[err.index("\n{\n") :])["exit_code"] == 5


def test_closed_streams_do_not_cost_the_exit_code(start):
    script = f"{sys.executable} -m energybench measure -- sh -c 'exit 3' <&- >&- 2>&-"
    environment = os.environ | {"ENERGYBENCH_SIMULATE": "1"}
    assert subprocess.run(["sh", "-c", script], env=environment, check=False, timeout=60).returncode == 3


def test_an_empty_command_gives_127_and_a_traceback_125(measure, start):
    code, _, err = measure("--", "")
    assert code == 127
    one_line(err)
    process = start("--traceback", "measure", "--probe", "xyz", "--", "true")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 125
    assert "Traceback" in err
