"""The adapter on pyRAPL: the real library, pointed at a tree of files."""

import logging
import subprocess
import sys

import pytest

from energybench.model import Domain, Probe, Unavailable
from energybench.probes import is_on_request, pyrapl
from energybench.probes._cross_check import CrossCheck, compare

RANGE_UJ = 262143328850


@pytest.fixture
def opened(sysfs, fake_clock):
    """Open the probe on the machine; close it at the end."""
    fake_clock.look_ns = 20_000  # the search for ticks ends after fewer looks
    probes = []

    def open_it():
        probe = pyrapl.open_probe(root=sysfs.root, clock=fake_clock)
        if not isinstance(probe, Unavailable):
            probes.append(probe)
        return probe

    yield open_it
    for probe in probes:
        probe.close()


def joules(probe):
    readable = [d for d in probe.domains.values() if isinstance(d, Domain)]
    return {
        d.name: raw * d.scale if isinstance(raw, int) else raw
        for d, (_, raw) in zip(readable, probe.read(), strict=True)
    }


def test_packages_and_memory_are_named_by_socket_and_read_in_joules(sysfs, opened):
    zones = sysfs.powercap.xeon_2s()
    probe = opened()
    assert isinstance(probe, Probe)
    assert set(joules(probe)) == {"cpu.package-0", "cpu.dram-0", "cpu.package-1", "cpu.dram-1"}
    zones["package-1"].add_joules(250.0)
    zones["dram-0"].add_joules(10.0)
    now = joules(probe)
    assert now["cpu.package-1"] == pytest.approx(250.0, abs=1e-4)
    assert now["cpu.dram-0"] == pytest.approx(10.0, abs=1e-4)
    assert now["cpu.package-0"] == 0


def test_the_wrap_that_pyrapl_ignores_is_declared(sysfs, opened):
    sysfs.powercap.laptop()
    domain = opened().domains["cpu.package-0"]
    assert domain.modulus == RANGE_UJ + 61
    assert domain.scale == 1e-6


def test_an_eleventh_zone_has_a_hexadecimal_number(sysfs, opened):
    zones = sysfs.powercap.many_packages(12)
    sysfs.powercap.zone([11, 0], "dram")
    zones[10].add_joules(7.0)
    now = joules(opened())
    assert len(now) == 13
    assert now["cpu.package-10"] == pytest.approx(7.0, abs=1e-4)
    assert now["cpu.dram-11"] == 0


def test_mirrored_dies_which_pyrapl_takes_for_one_package_are_left_out(sysfs, opened):
    sysfs.powercap.mirrored_dies()
    assert isinstance(opened(), Unavailable)


def test_a_machine_without_rapl_has_no_pyrapl(opened):
    assert "no RAPL package" in opened().reason


def test_a_file_that_may_not_be_read_is_unavailable_and_the_others_are_read(sysfs, opened):
    zones = sysfs.powercap.xeon_2s(mode=0o444)
    zones["dram-1"].set_mode(0o000)
    opened().close()  # the library is imported as an ordinary process would
    with sysfs.unprivileged():
        probe = opened()
        problem = probe.domains["cpu.dram-1"]
        assert isinstance(problem, Unavailable)
        assert problem.remedy.startswith("sudo chmod a+r ")
        assert set(joules(probe)) == {"cpu.package-0", "cpu.dram-0", "cpu.package-1"}


def test_a_zone_that_vanishes_is_unavailable_until_it_is_back(sysfs, opened):
    zones = sysfs.powercap.xeon_2s()
    probe = opened()
    zones["dram-0"].vanish()
    for _ in range(2):
        now = joules(probe)
        assert isinstance(now["cpu.dram-0"], Unavailable)
        assert now["cpu.package-0"] == 0
    zones["dram-0"].come_back()
    zones["dram-0"].add_joules(2.0)
    assert joules(probe)["cpu.dram-0"] == pytest.approx(2.0, abs=1e-4)


@pytest.mark.parametrize("text", ["", "-1\n", "garbage\n"])
def test_what_is_no_count_is_unavailable_and_the_next_read_recovers(sysfs, opened, text):
    zones = sysfs.powercap.xeon_2s()
    probe = opened()
    zones["package-0"].set_text(text)
    now = joules(probe)
    assert isinstance(now["cpu.package-0"], Unavailable)
    assert now["cpu.dram-0"] == 0
    zones["package-0"].set_ticks(0)
    zones["package-0"].add_joules(5.0)
    assert joules(probe)["cpu.package-0"] == pytest.approx(5.0, abs=1e-4)


def test_importing_it_says_nothing_and_leaves_logging_as_it_was():
    code = (
        "import logging\n"
        "from pathlib import Path\n"
        "from energybench.probes import pyrapl\n"
        "pyrapl.open_probe(root=Path('/nonexistent'))\n"
        "import sys\n"
        "assert 'pyRAPL' in sys.modules\n"
        "assert not logging.getLogger().handlers, logging.getLogger().handlers\n"
        "assert not logging.getLogger().filters\n"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_other_warnings_pass_while_it_is_imported(sysfs, opened, caplog):
    opened()
    logging.getLogger().warning("heard")
    assert "heard" in caplog.text


def test_both_readers_agree_over_the_same_interval_also_across_a_wrap(sysfs, fake_clock):
    zones = sysfs.powercap.xeon_2s()
    zones["package-0"].set_ticks(2**32 - 1000)

    def sleep(seconds):
        fake_clock.advance(seconds)
        for zone in zones.values():
            zone.add_joules(50.0 * seconds)

    check = pyrapl.cross_check(0.2, root=sysfs.root, clock=fake_clock, sleep=sleep)
    assert isinstance(check, CrossCheck)
    assert len(check.comparisons) == 4
    for comparison in check.comparisons:
        assert comparison.powercap_joules == pytest.approx(10.0, abs=1e-3)
        assert comparison.pyrapl_joules == pytest.approx(10.0, abs=1e-3)
        assert comparison.agrees


def test_a_reader_that_sees_twice_the_joules_does_not_agree(fake_clock):
    class Reader:
        """A counter that stands at the next of its counts at each read."""

        def __init__(self, *counts):
            self.domains = {"cpu.package-0": Domain(name="cpu.package-0", probe="r", scale=1.0, resolution=1e-6)}
            self.name, self._counts = "r", list(counts)

        def read(self):
            return [(fake_clock(), self._counts.pop(0))]

        def close(self):
            pass

    check = compare(Reader(0, 10), Reader(0, 20), 0.2, fake_clock.sleep)
    (comparison,) = check.comparisons
    assert not comparison.agrees
    assert comparison.difference == pytest.approx(1.0, abs=0.01)


def test_counters_that_stand_still_confirm_nothing(sysfs, fake_clock):
    sysfs.powercap.laptop()
    check = pyrapl.cross_check(root=sysfs.root, clock=fake_clock, sleep=fake_clock.sleep)
    assert isinstance(check, Unavailable)


def test_a_cross_check_without_counters_is_unavailable(tmp_path, fake_clock):
    assert isinstance(pyrapl.cross_check(root=tmp_path, clock=fake_clock, sleep=fake_clock.sleep), Unavailable)


def test_it_is_used_only_when_it_is_named():
    assert is_on_request("pyrapl")
