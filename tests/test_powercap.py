"""The powercap reader on trees that carry the kernel's own names, links, units and traps."""

import time
from pathlib import Path

import pytest

from energybench.model import Domain, Energy, Unavailable
from energybench.probes import powercap
from energybench.totals import disjoint


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


def in_total(probe, *failed: str) -> list[str]:
    joule = Energy(joules=1.0, standard_uncertainty=0.1, provenance="measured", probe="powercap", components={})
    read = [name for name, domain in probe.domains.items() if isinstance(domain, Domain) and name not in failed]
    return sorted(disjoint(probe.domains, dict.fromkeys(read, joule)))


def readings_of(probe) -> dict[str, object]:
    names = [name for name, domain in probe.domains.items() if isinstance(domain, Domain)]
    return dict(zip(names, (raw for _, raw in probe.read()), strict=True))


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
    assert in_total(probe) == ["cpu.package-0"]
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


@pytest.mark.parametrize("text", ["", "12x", "Unavailable\n", "-1x\n"])
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


def test_a_mapped_twin_counts_where_its_original_cannot_be_read(sysfs, quick) -> None:
    zones = sysfs.powercap.laptop(mode=0o444)
    assert in_total(opened(sysfs, quick), "cpu.package-0") == ["cpu.package-0.mmio"]
    zones["package"].set_mode(0o400)
    with sysfs.unprivileged():
        probe = opened(sysfs, quick)
    assert isinstance(probe.domains["cpu.package-0"], Unavailable)
    assert in_total(probe) == ["cpu.package-0.mmio"]


@pytest.mark.parametrize(
    ("file", "content"),
    [("max_energy_range_uj", b"abc\n"), ("max_energy_range_uj", b"-5\n"), ("name", b"package-\xff\n")],
)
def test_a_zone_with_a_damaged_file_is_unavailable_and_the_others_go_on(sysfs, quick, file, content) -> None:
    zones = sysfs.powercap.xeon_2s(mode=0o444)
    (zones["package-1"].path / file).write_bytes(content)
    probe = opened(sysfs, quick)
    problem = probe.domains["cpu.package-intel-rapl-0"]
    assert isinstance(problem, Unavailable)
    assert "damaged" in problem.reason
    assert "cpu.package-0" in additive(probe)


@pytest.mark.parametrize("file", ["name", "max_energy_range_uj", ""])
def test_a_hidden_zone_gives_the_command_that_opens_it_and_the_others_go_on(sysfs, quick, file: str) -> None:
    zones = sysfs.powercap.xeon_2s(mode=0o444)
    hidden = zones["package-1"].path / file
    hidden.chmod(0o700 if not file else 0o400)
    with sysfs.unprivileged():
        probe = opened(sysfs, quick)
    hidden.chmod(0o755)
    problem = probe.domains["cpu.package-intel-rapl-0"]
    assert isinstance(problem, Unavailable)
    link = sysfs.root / "sys/class/powercap/intel-rapl:0"
    assert problem.remedy == (f"sudo chmod a+r {link / file}" if file else f"sudo chmod a+rx {hidden}")
    assert {"cpu.package-0", "cpu.dram-0"} <= set(additive(probe))


def test_a_machine_whose_every_zone_is_hidden_says_how_to_open_the_first(sysfs, quick) -> None:
    zones = sysfs.powercap.epyc()
    zones["package"].path.chmod(0o700)
    with sysfs.unprivileged():
        problem = powercap.open_probe(root=sysfs.root, clock=quick)
    assert isinstance(problem, Unavailable)
    assert problem.remedy == f"sudo chmod a+rx {zones['package'].path}"


def test_a_tree_that_may_not_be_listed_gives_the_command_that_opens_it(sysfs, quick) -> None:
    sysfs.powercap.epyc(mode=0o444)
    tree = sysfs.root / "sys/class/powercap"
    tree.chmod(0o700)
    with sysfs.unprivileged():
        problem = powercap.open_probe(root=sysfs.root, clock=quick)
    assert isinstance(problem, Unavailable)
    assert problem.remedy == f"sudo chmod a+rx {tree}"


@pytest.mark.parametrize("count", ["-1\n", "262143328851\n"])
def test_a_count_outside_the_range_is_damaged(sysfs, quick, count: str) -> None:
    zones = sysfs.powercap.laptop()
    probe = opened(sysfs, quick)
    zones["package"].set_text(count)
    problem = readings_of(probe)["cpu.package-0"]
    assert isinstance(problem, Unavailable)
    assert "damaged" in problem.reason
    zones["package"].set_text("262143328850\n")
    assert readings_of(probe)["cpu.package-0"] == 262143328850


def test_a_plain_file_may_end_without_a_newline(sysfs, quick) -> None:
    zones = sysfs.powercap.laptop()
    probe = opened(sysfs, quick)
    zones["package"].set_text("12345")
    assert readings_of(probe)["cpu.package-0"] == 12345


def test_a_plain_file_that_is_just_being_written_is_waited_for(sysfs, quick) -> None:
    package = sysfs.powercap.epyc()["package"]
    writes: list[str | None] = []

    def clock() -> int:
        text = writes.pop(0) if writes else None
        if text is not None:
            package.set_text(text)
        return quick()

    probe = opened(sysfs, clock)
    quick.look_ns = 1000
    writes += ["", None, None, None, "7", None, "77\n"]
    assert readings_of(probe)["cpu.package-0"] == 77


def test_a_file_that_is_replaced_is_read_anew(sysfs, quick) -> None:
    zones = sysfs.powercap.laptop()
    probe = opened(sysfs, quick)
    fresh = zones["package"].path / "fresh"
    fresh.write_text("4242\n")
    fresh.replace(zones["package"].path / "energy_uj")
    assert readings_of(probe)["cpu.package-0"] == 4242


def test_dies_that_stand_alike_and_move_apart_are_no_mirrors(sysfs, quick) -> None:
    dies = sysfs.powercap.mirrored_dies(2)
    for die in dies:
        die.set_ticks(10_000_000)

    def clock() -> int:
        for die, ticks in zip(dies, (10, 30), strict=True):
            die.set_ticks(die.ticks + ticks)
        return quick()

    assert additive(opened(sysfs, clock)) == ["cpu.package-0-die-0", "cpu.package-0-die-1"]


def test_a_read_that_was_interrupted_is_read_again(sysfs, quick) -> None:
    package = sysfs.powercap.epyc()["package"]
    pauses: list[float] = []

    def clock() -> int:
        if pauses and (pause := pauses.pop(0)):
            package.add_joules(1)
            quick.advance(pause)
        return quick()

    probe = opened(sysfs, clock)
    quick.look_ns = 1000
    pauses += [0.0, 0.01]
    ns, raw = probe.read()[0]
    assert raw == package.energy_uj > 0
    assert quick.ns - ns < 10_000


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
