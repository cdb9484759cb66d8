"""`energybench doctor`: on fake trees in this process, and as a program."""

import json
import os
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from energybench import doctor
from energybench._commands import tables
from energybench._commands.ready import ready
from energybench.lock import measuring
from energybench.model import Domain, Unavailable
from energybench.preflight import NotQuietError
from energybench.probes import simulated
from energybench.terminal import console, duration, quantity


@pytest.fixture
def run_doctor(tmp_path):
    """Run `energybench doctor`: exit code, stdout, stderr."""

    def finish(*arguments, **variables):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("ENERGYBENCH_")} | variables
        done = subprocess.run(
            [sys.executable, "-m", "energybench", "doctor", *arguments],
            env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr

    return finish


@pytest.fixture
def rapl(tmp_path):
    """A powercap tree of one Intel package with DRAM, its files named as the kernel names them."""
    base = tmp_path / "sys/class/powercap"
    for zone, name in (("intel-rapl:0", "package-0"), ("intel-rapl:0:0", "dram")):
        folder = base / zone
        folder.mkdir(parents=True)
        (folder / "name").write_text(f"{name}\n")
        (folder / "energy_uj").write_text("123456789\n")
        (folder / "max_energy_range_uj").write_text("262143328850\n")
        (folder / "constraint_0_power_limit_uw").write_text("100000000\n")
    return tmp_path


def test_a_simulated_machine_is_an_energy_source_and_exits_0(run_doctor):
    code, out, err = run_doctor("--json", ENERGYBENCH_SIMULATE="1")
    report = json.loads(out)
    assert (code, err) == (0, "")
    assert report["schema"] == 1
    package = report["domains"]["cpu.package-0"]
    assert (package["unit"], package["tick"], package["provenance"]) == ("J", 0.001, "simulated")
    assert report["probes"]["simulated"]["used"] is True
    assert report["probes"]["simulated"]["domains"]["cpu.package-0"] == package
    assert report["quiet"]["quiet"] is (not report["quiet"]["reasons"])


def test_the_estimate_alone_is_no_energy_source_and_the_simulated_machine_is_not_offered(tmp_path):
    report = doctor.examine(root=tmp_path)
    assert not any(entry.get("provenance") == "simulated" for entry in report["domains"].values())
    assert "simulated" not in report["probes"]
    without_gpu = {name: entry for name, entry in report["domains"].items() if not name.startswith(("gpu", "nvml"))}
    assert not doctor.has_energy({"domains": without_gpu})


def test_a_machine_without_a_counter_exits_4_and_says_what_to_do(run_doctor):
    code, out, _ = run_doctor()
    readable = doctor.examine()
    if doctor.has_energy(readable):
        pytest.skip("this machine has an energy counter")
    assert code == 4
    assert "No energy source" in out
    for _, _, remedy in doctor.remedies(readable):
        assert remedy.split()[0] in out


def test_a_rapl_package_is_described_with_its_wrap_time_at_full_power(rapl):
    report = doctor.examine(root=rapl)
    package = report["domains"]["cpu.package-0"]
    assert (package["probe"], package["unit"], package["in_total"]) == ("powercap", "J", True)
    # 2³² counts of 61.035 µJ are 262,143.39 J; at twice the limit of 100 W they last 1,310.7 s.
    assert package["wraps_after_seconds"] == pytest.approx(1310.7, abs=0.1)
    assert "tick" not in package  # the file does not move, so no tick was seen
    assert doctor.has_energy(report)
    assert doctor.remedies(report)


def test_a_zone_that_cannot_be_read_is_listed_with_its_remedy(rapl):
    (rapl / "sys/class/powercap/intel-rapl:0:0/energy_uj").unlink()
    report = doctor.examine(root=rapl)
    dram = report["probes"]["powercap"]["domains"]["cpu.dram-0"]
    assert dram["unavailable"]
    assert dram["remedy"]
    assert ("powercap: cpu.dram-0", dram["unavailable"], dram["remedy"]) in doctor.remedies(report)


def test_a_remedy_that_serves_several_domains_is_given_once():
    same = {"unavailable": "no permission", "remedy": "run: sudo chmod a+r it"}
    report = {"probes": {"powercap": {"domains": {"cpu.package-0": same, "cpu.package-1": same}}}}
    listed = doctor.remedies(report)
    assert listed == [("powercap: cpu.package-0, powercap: cpu.package-1", "no permission", "run: sudo chmod a+r it")]


def test_what_is_not_known_of_a_domain_is_absent():
    told = doctor.describe(Domain(name="gpu.0.power", probe="nvml", kind="gauge", tick=0.02))
    assert told["unit"] == "W"
    assert "wraps_after_seconds" not in told
    assert "duplicates" not in told
    assert doctor.describe(Unavailable(reason="gone", remedy="plug it in")) == {
        "unavailable": "gone",
        "remedy": "plug it in",
    }


@pytest.mark.parametrize(
    ("quantity_name", "kind", "unit"),
    [
        ("joules", "counter", "J"),
        ("dram_bytes", "counter", "B"),
        ("pcie_bytes", "gauge", "B/s"),
        ("celsius", "gauge", "°C"),
    ],
)
def test_units_follow_quantity_and_kind(quantity_name, kind, unit):
    assert doctor.describe(Domain(name="x", probe="p", quantity=quantity_name, kind=kind))["unit"] == unit


def test_the_tables_show_every_readable_domain_and_every_remedy(rapl):
    report = doctor.examine(root=rapl)
    report["checks"] = [
        {"domain": "cpu.package-0", "seconds": 0.3, "powercap": 10.0, "pyrapl": 20.0, "agree": False},
        {"domain": "cpu.dram-0", "unavailable": "pyrapl: it failed", "remedy": "install it again"},
    ]
    screen = console()
    with screen.capture() as captured:
        screen.print(*tables.doctor_tables(report), sep="\n")
    text = captured.get()
    assert "cpu.package-0" in text
    assert "21 min 51 s at full power" in text
    assert "DISAGREE" in text
    assert "install it again" in text


class Reader:
    """A simulated machine's counters under another probe's name."""

    def __init__(self, name, busy_watts):
        # Idle watts in proportion: two readers then differ alike on an idle machine and on a busy one.
        self._machine = simulated.open_probe(spec=f"idle_watts={0.8 * busy_watts},busy_watts={busy_watts}")
        self.name = name
        self.domains = {key: replace(domain, probe=name) for key, domain in self._machine.domains.items()}
        self.read, self.close = self._machine.read, self._machine.close


def cross_check(busy_watts):
    opened = {"powercap": Reader("powercap", 25), "pyrapl": Reader("pyrapl", busy_watts)}
    return {check["domain"]: check for check in doctor._cross_check(opened, time.perf_counter_ns)}


def test_two_readers_of_one_counter_agree():
    assert cross_check(25)["cpu.package-0"]["agree"] is True


def test_two_readers_that_differ_by_half_do_not_agree():
    check = cross_check(100)["cpu.package-0"]
    assert check["agree"] is False
    assert check["pyrapl"] > 1.5 * check["powercap"] > 0


def test_a_reader_that_is_not_there_leaves_no_cross_check():
    gone = Unavailable(reason="not installed", remedy="pip install pyRAPL")
    assert doctor._cross_check({"powercap": Reader("powercap", 25), "pyrapl": gone}, time.perf_counter_ns) == []


def test_numbers_get_the_digits_that_their_uncertainty_bears():
    assert quantity(12.3456, "J", 0.05) == "12.35 ± 0.10 J"
    assert quantity(0.0123456, "J", 0.0005) == "12.3 ± 1.0 mJ"
    assert quantity(1234.5678, "J") == "1.235 kJ"
    assert quantity(3725.4, "s") == "3725 s"
    assert quantity(0.0, "B") == "0 B"
    assert quantity(-2.5, "J", 0.5) == "-2.5 ± 1.0 J"
    assert duration(0.2) == "1 s"
    assert duration(200) == "3 min 20 s"
    assert duration(7500) == "2 h 5 min"


@pytest.fixture
def lone_machine(tmp_path, monkeypatch):
    monkeypatch.setenv("ENERGYBENCH_SIMULATE", "1")
    monkeypatch.setenv("ENERGYBENCH_LOCK", str(tmp_path / "lock"))
    monkeypatch.setenv("ENERGYBENCH_LOCK_WAIT", "0")
    return tmp_path


def test_a_machine_is_ready_when_nobody_measures_and_nothing_speaks_against_it(lone_machine, capsys):
    def never_quiet(*_, force, **__):
        assert force  # simulated joules do not ask for a quiet machine

    assert ready(lone_machine, as_json=True, look=never_quiet) == 0
    assert json.loads(capsys.readouterr().out) == {"ready": True}


def test_a_machine_that_is_not_ready_says_why_before_asv_takes_the_commit_for_measured(lone_machine, capsys):
    def refuse(*_, **__):
        raise NotQuietError("the machine is not quiet: load 3; wait")

    assert ready(lone_machine, as_json=True, look=refuse) == 4
    told = capsys.readouterr()
    assert json.loads(told.out) == {"ready": False, "reason": "the machine is not quiet: load 3; wait"}
    assert "the machine is not quiet" in told.err
    with measuring():
        assert ready(lone_machine, look=refuse) == 4
    assert "Another run is measuring on this machine" in capsys.readouterr().err
