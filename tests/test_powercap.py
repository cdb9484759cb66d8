"""The powercap reader on trees that carry the kernel's own names, links, units and traps."""

import time
from pathlib import Path

import pytest

from energybench.model import Domain, Energy, Unavailable
from energybench.probes import powercap


@pytest.fixture
def quick(fake_clock):
    """A clock that makes the spin for ticks short."""
    return type(fake_clock)(look_seconds=1e-3)


def opened(sysfs, clock) -> powercap.Powercap:
    probe = powercap.open_probe(root=sysfs.root, clock=clock)
    assert isinstance(probe, powercap.Powercap)
    return probe


def additive(probe) -> list[str]:
    return sorted(name for name, d in probe.domains.items() if isinstance(d, Domain) and d.additive)


def test_a_machine_without_the_tree_says_what_to_load(tmp_path: Path, quick) -> None:
    absent = powercap.open_probe(root=tmp_path, clock=quick)
    assert isinstance(absent, Unavailable)
    assert "modprobe intel_rapl_msr" in absent.remedy


def test_zones_are_told_apart_by_name_and_not_by_their_number(sysfs, quick) -> None:
    zones = sysfs.powercap.xeon_2s()  # zone 0 is socket 1
    probe = opened(sysfs, quick)
    zones["package-1"].add_joules(5)
    raw = dict(
        zip(
            (n for n, d in probe.domains.items() if isinstance(d, Domain)),
            (r for _, r in probe.read()),
            strict=True,
        )
    )
    assert raw["cpu.package-1"] == zones["package-1"].energy_uj
    assert raw["cpu.package-0"] == 0
    assert additive(probe) == ["cpu.dram-0", "cpu.dram-1", "cpu.package-0", "cpu.package-1"]


def test_psys_core_uncore_and_the_memory_mapped_twin_are_shown_and_never_added(sysfs, quick) -> None:
    sysfs.powercap.laptop()
    probe = opened(sysfs, quick)
    assert additive(probe) == ["cpu.package-0"]
    assert {"platform.psys", "cpu.core-0", "cpu.uncore-0", "cpu.package-0.mmio"} <= set(probe.domains)
    assert probe.domains["cpu.package-0"].contains == ("cpu.core-0", "cpu.uncore-0")
    assert probe.domains["cpu.package-0.mmio"].duplicates == "cpu.package-0"


def test_dram_that_has_no_counter_is_named_as_missing(sysfs, quick) -> None:
    sysfs.powercap.epyc()
    dram = opened(sysfs, quick).domains["cpu.dram-0"]
    assert isinstance(dram, Unavailable)
    assert "memory is not included" in dram.reason


def test_amd_is_a_firmware_model_and_its_core_zone_one_core_only(sysfs, quick) -> None:
    sysfs.powercap.epyc()
    sysfs.write(sysfs.root / "proc/cpuinfo", "vendor_id\t: AuthenticAMD\ncpu family\t: 25\nmodel\t\t: 1\n")
    probe = opened(sysfs, quick)
    assert "firmware-model" in probe.domains["cpu.package-0"].flags
    assert "one-core-only" in probe.domains["cpu.core-0"].flags
    assert additive(probe) == ["cpu.package-0"]


def test_dies_that_mirror_one_counter_count_once(sysfs, quick) -> None:
    for zone in sysfs.powercap.mirrored_dies(4):
        zone.set_ticks(10_000_000)
    assert additive(opened(sysfs, quick)) == ["cpu.package-0-die-0"]


def test_dies_with_counters_of_their_own_all_count(sysfs, quick) -> None:
    for number, zone in enumerate(sysfs.powercap.mirrored_dies(2)):
        zone.set_ticks(10_000_000 * (number + 1))
    assert additive(opened(sysfs, quick)) == ["cpu.package-0-die-0", "cpu.package-0-die-1"]


def test_zone_numbers_are_hexadecimal(sysfs, quick) -> None:
    sysfs.powercap.many_packages(12)
    assert len(additive(opened(sysfs, quick))) == 12


def test_zones_without_energy_are_left_alone(sysfs, quick) -> None:
    sysfs.powercap.scmi()
    assert isinstance(powercap.open_probe(root=sysfs.root, clock=quick), Unavailable)


def test_the_counter_wraps_one_unit_after_its_range(sysfs, quick) -> None:
    sysfs.powercap.laptop()
    domain = opened(sysfs, quick).domains["cpu.package-0"]
    assert domain.modulus == 262143328850 + 61
    assert domain.resolution == pytest.approx(61.035e-6, rel=1e-4)


def test_the_most_watts_are_twice_the_highest_declared_limit(sysfs, quick) -> None:
    sysfs.powercap.xeon_2s()
    domains = opened(sysfs, quick).domains
    assert domains["cpu.package-0"].max_rate == 826
    assert domains["cpu.dram-0"].max_rate == 1000


def test_a_forbidden_zone_gives_the_command_that_opens_it_and_the_others_go_on(sysfs, quick) -> None:
    zones = sysfs.powercap.xeon_2s(mode=0o444)
    zones["package-0"].set_mode(0o400)
    with sysfs.unprivileged():
        probe = opened(sysfs, quick)
    forbidden = probe.domains["cpu.package-0"]
    assert isinstance(forbidden, Unavailable)
    assert forbidden.remedy.startswith("sudo chmod a+r ")
    assert additive(probe) == ["cpu.dram-0", "cpu.dram-1", "cpu.package-1"]


@pytest.mark.parametrize("text", ["", "12345", "Unavailable\n", "-1x\n"])
def test_half_a_number_is_no_number(sysfs, quick, text: str) -> None:
    zones = sysfs.powercap.laptop()
    probe = opened(sysfs, quick)
    zones["package"].set_text(text)
    readings = dict(zip((n for n, d in probe.domains.items() if isinstance(d, Domain)), probe.read(), strict=True))
    assert isinstance(readings["cpu.package-0"][1], Unavailable)
    assert isinstance(readings["platform.psys"][1], int)


def test_a_zone_that_vanishes_says_so_and_is_read_again_when_it_comes_back(sysfs, quick) -> None:
    zones = sysfs.powercap.epyc()
    probe = opened(sysfs, quick)
    zones["package"].vanish()
    vanished = probe.read()[0][1]
    assert isinstance(vanished, Unavailable)
    assert "vanished" in vanished.reason
    zones["package"].come_back()
    probe.read()
    assert probe.read()[0][1] == zones["package"].energy_uj


def test_the_tick_is_measured(powercap_fuse, tmp_path: Path) -> None:
    wave = powercap_fuse.SquareWave(tick=0.002)
    with fuse_tree(powercap_fuse, tmp_path, wave):
        ticks = [powercap.open_probe(root=tmp_path).domains["cpu.package-0"].tick for _ in range(8)]
    assert min(tick for tick in ticks if tick) == pytest.approx(0.002, rel=0.1)  # a busy machine only misses ticks


def test_a_window_on_the_fuse_machine_holds_the_truth(powercap_fuse, tmp_path: Path) -> None:
    from energybench.meter import open_meter

    wave = powercap_fuse.SquareWave(range_joules=65.53261)  # wraps about once a second
    with fuse_tree(powercap_fuse, tmp_path, wave):
        meter = open_meter(["powercap"], root=tmp_path)
        with meter.window() as window:
            time.sleep(1.7)
        meter.close()
    energy = window.domains["cpu.package-0"]
    assert isinstance(energy, Energy), energy
    truth = wave.joules(window.end_ns / 1e9) - wave.joules(window.begin_ns / 1e9)
    assert abs(energy.joules - truth) < 4 * energy.standard_uncertainty


def fuse_tree(powercap_fuse, tmp_path: Path, wave):
    if not Path("/dev/fuse").exists():
        pytest.skip("no /dev/fuse on this machine")
    pytest.importorskip("fuse", reason="fusepy or libfuse2 is missing", exc_type=(ImportError, OSError))
    return powercap_fuse.mounted(tmp_path / "sys/class/powercap", wave)
