"""perf_event: the sysfs descriptions are files, the events are real descriptors of 24-byte records."""

import errno
import os
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energybench.model import Domain, Probe, Unavailable
from energybench.probes import perf_event
from energybench.probes._perf_pmu import Pmu, find_pmus, parse_ranges
from energybench.probes._perf_source import Counter, NeverCountedError
from energybench.probes._perf_syscall import RECORD, EventConfig, open_event

JOULE = 2**32
ICX = {"cas_count_read": "event=0x04,umask=0x0f", "cas_count_write": "event=0x04,umask=0x30"}
GNR = {
    "cas_count_read_sch0": "event=0x05,umask=0xcf",
    "cas_count_read_sch1": "event=0x06,umask=0xcf",
    "cas_count_write_sch0": "event=0x05,umask=0xf0",
    "cas_count_write_sch1": "event=0x06,umask=0xf0",
}
AMD_DF = {"event": "config:0-7,32-35,59-60", "umask": "config:8-15"}


class Events:
    """The kernel's side of perf_event_open: one file an event, holding value, enabled and running time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.opened: list[tuple[EventConfig, int]] = []
        self.refusals: dict[tuple[int, int], int] = {}
        folder.mkdir()

    def open(self, event: EventConfig, cpu: int) -> int:
        code = self.refusals.get((event.type, event.config)) or self.refusals.get((event.type, -1))
        if code:
            raise OSError(code, os.strerror(code))
        self.opened.append((event, cpu))
        path = self._path(event.type, event.config, cpu)
        if not path.exists():
            self.set(event.type, event.config, cpu, 0)
        return os.open(path, os.O_RDONLY)

    def set(
        self,
        kind: int,
        config: int,
        cpu: int,
        value: int,
        *,
        enabled: int = 10**9,
        running: int | None = None,
    ) -> None:
        record = RECORD.pack(value, enabled, enabled if running is None else running)
        self._path(kind, config, cpu).write_bytes(record)

    def set_all(self, value: int) -> None:
        for event, cpu in self.opened:
            self.set(event.type, event.config, cpu, value)

    def cut_short(self, kind: int, config: int, cpu: int) -> None:
        self._path(kind, config, cpu).write_bytes(b"")

    def _path(self, kind: int, config: int, cpu: int) -> Path:
        return self.folder / f"{kind}-{config:x}-{cpu}"


def read_from_start(fd: int, size: int) -> bytes:
    """A perf event gives its whole record at every read; a file does so from its start."""
    return os.pread(fd, size, 0)


@pytest.fixture
def events(tmp_path):
    return Events(tmp_path / "events")


@pytest.fixture
def opened(sysfs, events, fake_clock):
    """Open the probe on the machine; close it at the end."""
    fake_clock.look_ns = 20_000  # the search for ticks ends after fewer looks
    probes = []

    def open_it():
        probe = perf_event.open_probe(
            root=sysfs.root, clock=fake_clock, open_event=events.open, read_event=read_from_start
        )
        if not isinstance(probe, Unavailable):
            probes.append(probe)
        return probe

    yield open_it
    for probe in probes:
        probe.close()


def joules(probe: Probe) -> dict[str, float]:
    """What each readable domain stands at, in its own unit."""
    readable = [domain for domain in probe.domains.values() if isinstance(domain, Domain)]
    return {d.name: raw * d.scale for d, (_, raw) in zip(readable, probe.read(), strict=True) if isinstance(raw, int)}


def failure(probe: Probe, name: str) -> Unavailable:
    """Why a domain that was readable no longer is."""
    names = [name for name, domain in probe.domains.items() if isinstance(domain, Domain)]
    raw = probe.read()[names.index(name)][1]
    assert isinstance(raw, Unavailable)
    return raw


def test_a_socket_is_known_by_its_package_id_and_not_by_the_order_of_the_cpumask(sysfs, events, opened):
    sysfs.cpus({0: 1, 24: 0})
    kind = sysfs.power_pmu(cpumask="0,24")
    probe = opened()
    events.set(kind, 2, 0, 11 * JOULE)
    events.set(kind, 2, 24, 22 * JOULE)
    events.set(kind, 3, 0, 3 * JOULE)
    assert joules(probe) == {"cpu.package-1": 11, "cpu.package-0": 22, "cpu.dram-1": 3, "cpu.dram-0": 0}
    assert isinstance(probe, Probe)


def test_counts_stay_whole_numbers_of_2_to_the_minus_32_joules_beyond_32_bits(sysfs, events, opened):
    sysfs.cpus({0: 0})
    kind = sysfs.power_pmu(["pkg"])
    probe = opened()
    events.set(kind, 2, 0, (1 << 60) + 1)
    assert probe.read()[0][1] == (1 << 60) + 1
    domain = probe.domains["cpu.package-0"]
    assert domain.scale == 2.0**-32
    assert domain.modulus is None


def test_core_uncore_and_psys_are_shown_and_never_added(sysfs, opened):
    sysfs.cpus({0: 0})
    sysfs.power_pmu(["cores", "pkg", "ram", "gpu", "psys"])
    domains = opened().domains
    assert {name for name, d in domains.items() if d.additive} == {"cpu.package-0", "cpu.dram-0"}
    assert domains["cpu.package-0"].contains == ("cpu.core-0", "cpu.uncore-0")
    assert domains["platform.psys"].contains == ("cpu.package-0", "cpu.dram-0")


def test_the_power_core_pmu_is_left_alone(sysfs, events, opened):
    sysfs.cpus({0: 0, 1: 0}, vendor="AuthenticAMD")
    sysfs.power_pmu(["pkg"])
    files = {"energy-core": "event=0x01", "energy-core.unit": "Joules"}
    other = sysfs.pmu("power_core", {"event": "config:0-7"}, files, cpumask="0-1")
    assert [name for name, d in opened().domains.items() if isinstance(d, Domain)] == ["cpu.package-0"]
    assert other not in {event.type for event, _ in events.opened}


def test_amd_energy_is_a_firmware_model_and_its_missing_memory_is_named(sysfs, opened):
    sysfs.cpus({0: 0}, vendor="AuthenticAMD")
    sysfs.power_pmu(["pkg"])
    domains = opened().domains
    assert domains["cpu.package-0"].flags == ("firmware-model",)
    assert isinstance(domains["cpu.dram-0"], Unavailable)


def test_dies_of_an_amd_package_are_mirrors_of_one_counter(sysfs, opened):
    sysfs.cpus({0: 0, 8: 0}, dies={0: 0, 8: 1}, vendor="AuthenticAMD")
    sysfs.power_pmu(["pkg"], cpumask="0,8")
    domains = opened().domains
    assert domains["cpu.package-0-die-0"].additive
    assert domains["cpu.package-0-die-1"].duplicates == "cpu.package-0-die-0"
    assert not domains["cpu.package-0-die-1"].additive


def test_dies_of_an_intel_package_have_counters_of_their_own(sysfs, opened):
    sysfs.cpus({0: 0, 8: 0}, dies={0: 0, 8: 1})
    sysfs.power_pmu(["pkg"], cpumask="0,8")
    added = [name for name, d in opened().domains.items() if isinstance(d, Domain) and d.additive]
    assert added == ["cpu.package-0-die-0", "cpu.package-0-die-1"]


def test_a_virtual_machines_power_pmu_without_events_is_no_source_of_energy(sysfs, opened):
    sysfs.power_pmu([])
    problem = opened()
    assert isinstance(problem, Unavailable)
    assert "host" in problem.remedy


def test_an_energy_event_in_a_foreign_unit_is_refused(sysfs, opened):
    sysfs.cpus({0: 0})
    files = {"energy-pkg": "event=0x02", "energy-pkg.unit": "Watts", "energy-pkg.scale": "1"}
    sysfs.pmu("power", {"event": "config:0-7"}, files)
    assert "Watts" in opened().domains["cpu.package-0"].reason


def test_the_resolution_is_the_smallest_step_that_was_seen(sysfs, events, opened, fake_clock):
    sysfs.cpus({0: 0})
    kind = sysfs.power_pmu(["pkg", "psys"])
    events.set(kind, 2, 0, 5 << 18)  # a register of 2^-14 J, shifted left by 18
    events.set(kind, 5, 0, 7 << 32)  # Sapphire Rapids' psys counts whole joules
    domains = opened().domains
    assert domains["cpu.package-0"].resolution == 2.0**-14
    assert domains["platform.psys"].resolution == 1.0


@pytest.mark.parametrize(
    ("level", "said"),
    [
        (2, "sudo sysctl kernel.perf_event_paranoid=0"),
        (1, "setcap cap_perfmon=ep"),
        (3, "CAP_PERFMON is not enough"),
        (4, "CAP_SYS_ADMIN"),
        (0, "--cap-add PERFMON"),
    ],
)
def test_the_remedy_for_a_denied_event_fits_the_level_of_paranoia(sysfs, events, opened, level, said):
    sysfs.cpus({0: 0})
    sysfs.paranoid(level)
    events.refusals[sysfs.power_pmu(["pkg"]), -1] = errno.EACCES
    problem = opened().domains["cpu.package-0"]
    assert isinstance(problem, Unavailable)
    assert said in problem.remedy
    assert f"is {level}" in problem.reason


@pytest.mark.parametrize("code", [errno.ENODEV, errno.EIO, errno.EINVAL, errno.EMFILE, errno.ENOSYS])
def test_an_event_that_does_not_open_takes_no_other_down(sysfs, events, opened, code):
    sysfs.cpus({0: 0})
    kind = sysfs.power_pmu(["pkg", "ram"])
    events.refusals[kind, 3] = code
    probe = opened()
    events.set(kind, 2, 0, 5 * JOULE)
    problem = probe.domains["cpu.dram-0"]
    assert isinstance(problem, Unavailable)
    assert os.strerror(code) in problem.reason or code == errno.EMFILE
    assert problem.remedy
    assert joules(probe) == {"cpu.package-0": 5}


def test_a_short_read_is_no_number_and_the_next_read_recovers(sysfs, events, opened):
    sysfs.cpus({0: 0})
    kind = sysfs.power_pmu(["pkg", "ram"])
    probe = opened()
    events.cut_short(kind, 2, 0)
    assert "short read" in failure(probe, "cpu.package-0").reason
    assert joules(probe) == {"cpu.dram-0": 0}
    events.set(kind, 2, 0, 9 * JOULE)
    assert joules(probe)["cpu.package-0"] == 9


def test_a_real_eio_makes_only_its_own_domain_unavailable(sysfs, events, opened):
    sysfs.cpus({0: 0})
    kind = sysfs.power_pmu(["pkg", "ram"])
    (events.folder / f"{kind}-3-0").symlink_to("/proc/self/mem")  # its first page is not mapped: EIO
    probe = opened()
    events.set(kind, 2, 0, 4 * JOULE)
    assert os.strerror(errno.EIO) in failure(probe, "cpu.dram-0").reason
    assert joules(probe) == {"cpu.package-0": 4}


def test_a_shared_counter_is_scaled_by_the_time_it_counted_and_says_so(sysfs, events, opened):
    sysfs.cpus({0: 0})
    kind = sysfs.power_pmu(["pkg", "ram"])
    probe = opened()
    events.set(kind, 2, 0, 10 * JOULE, enabled=1000, running=250)
    assert joules(probe)["cpu.package-0"] == 40
    assert "multiplexed" in probe.domains["cpu.package-0"].flags
    assert probe.domains["cpu.dram-0"].flags == ()
    assert probe.state()["multiplexed"] == ["cpu.package-0"]


def test_a_counter_that_never_counted_is_not_zero(sysfs, events, opened):
    sysfs.cpus({0: 0})
    kind = sysfs.power_pmu(["pkg"])
    probe = opened()
    events.set(kind, 2, 0, 0, enabled=1000, running=0)
    assert "kept this event from counting" in failure(probe, "cpu.package-0").reason


@given(steps=st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**6), st.integers(0, 10**6)), max_size=30))
def test_a_scaled_count_never_runs_backwards_nor_below_what_was_counted(steps):
    counter, record, last = Counter(-1, 1), [0, 0, 0], 0
    for value, waiting, counting in steps:
        record = [
            record[0] + (value if counting else 0),
            record[1] + waiting + counting,
            record[2] + counting,
        ]
        try:
            count = counter.counts(RECORD.pack(*record))
        except NeverCountedError:
            continue
        assert count >= last
        assert count >= record[0]
        last = count


def test_a_record_of_the_wrong_length_is_an_error():
    with pytest.raises(struct.error):
        Counter(-1, 1).counts(b"\0" * 23)


def test_traffic_is_the_sum_of_reads_and_writes_of_every_box_of_a_socket(sysfs, events, opened):
    sysfs.cpus({0: 0, 24: 1})
    for number in range(8):
        sysfs.imc_pmu(number, ICX, cpumask="0,24")
    probe = opened()
    for event, cpu in events.opened:
        events.set(event.type, event.config, cpu, 1000 if cpu == 0 else 1)
    assert joules(probe) == {"imc.socket-0": 8 * 2 * 1000 * 64, "imc.socket-1": 8 * 2 * 64}
    domain = probe.domains["imc.socket-0"]
    assert (domain.quantity, domain.resolution, domain.exclusive) == ("dram_bytes", 64, False)


def test_granite_rapids_needs_both_halves_of_a_channel(sysfs, events, opened):
    sysfs.cpus({0: 0})
    kind = sysfs.imc_pmu(0, GNR | {"clockticks": "event=0x01"})
    probe = opened()
    for weight, config in ((1, 0xCF05), (10, 0xCF06), (100, 0xF005), (1000, 0xF006)):
        events.set(kind, config, 0, weight)
    assert joules(probe) == {"imc.socket-0": 1111 * 64}


def test_free_running_counters_are_not_added_to_those_of_the_controllers(sysfs, events, opened):
    sysfs.cpus({0: 0})
    sysfs.imc_pmu(0, ICX)
    sysfs.imc_pmu(
        0,
        {"data_read": "event=0xff,umask=0x20", "data_write": "event=0xff,umask=0x30"},
        prefix="uncore_imc_free_running",
    )
    probe = opened()
    events.set_all(1)
    assert joules(probe) == {"imc.socket-0": 2 * 64}


def test_a_client_has_free_running_counters_alone_and_their_total_counts_nothing_twice(sysfs, events, opened):
    sysfs.cpus({0: 0})
    sysfs.imc_pmu(0, {"clockticks": "event=0x01"})
    names = {
        "data_read": "event=0xff,umask=0x20",
        "data_write": "event=0xff,umask=0x30",
        "data_total": "event=0xff,umask=0x10",
    }
    sysfs.imc_pmu(0, names, prefix="uncore_imc_free_running")
    probe = opened()
    events.set_all(1)
    assert joules(probe) == {"imc.socket-0": 2 * 64}


def test_reads_alone_are_not_called_traffic(sysfs, opened):
    sysfs.cpus({0: 0})
    sysfs.imc_pmu(0, ICX)
    sysfs.imc_pmu(1, {"cas_count_read": "event=0x04,umask=0x0f"})
    problem = opened().domains["imc.socket-0"]
    assert isinstance(problem, Unavailable)
    assert "uncore_imc_1" in problem.reason


def test_a_sum_that_lacks_a_box_is_unavailable_and_leaves_nothing_open(sysfs, events, opened):
    sysfs.cpus({0: 0})
    sysfs.imc_pmu(0, ICX)
    events.refusals[sysfs.imc_pmu(1, ICX), -1] = errno.ENODEV
    descriptors = Path("/proc/self/fd")
    before = len(list(descriptors.iterdir()))
    assert isinstance(opened().domains["imc.socket-0"], Unavailable)
    assert len(list(descriptors.iterdir())) == before


def umc(sysfs, number):
    return sysfs.pmu(f"amd_umc_{number}", {"event": "config:0-7", "rdwrmask": "config:8-9"}, {})


def test_zen_4_counts_reads_and_writes_of_its_unified_memory_controllers(sysfs, events, opened):
    sysfs.cpus({0: 0}, vendor="AuthenticAMD")
    kinds = [umc(sysfs, number) for number in range(2)]
    sysfs.pmu("amd_df", AMD_DF, {})
    probe = opened()
    for kind in kinds:
        events.set(kind, 0x10A, 0, 5)
        events.set(kind, 0x20A, 0, 7)
    assert joules(probe) == {"umc.socket-0": 2 * 12 * 64}


def test_a_memory_controller_that_nobody_read_for_a_day_may_have_saturated(sysfs, opened, fake_clock):
    sysfs.cpus({0: 0}, vendor="AuthenticAMD")
    umc(sysfs, 0)
    probe = opened()
    fake_clock.advance(23 * 3600)
    assert joules(probe) == {"umc.socket-0": 0}
    fake_clock.advance(25 * 3600)
    assert "saturated" in failure(probe, "umc.socket-0").reason
    assert joules(probe) == {"umc.socket-0": 0}


def test_zen_2_data_fabric_events_go_where_the_split_format_puts_them(sysfs, events, opened):
    sysfs.cpus({0: 0}, vendor="AuthenticAMD")
    kind = sysfs.pmu("amd_df", AMD_DF, {})
    probe = opened()
    configs = sorted(event.config for event, _ in events.opened)
    low, high = [0x3807, 0x3847, 0x3887, 0x38C7], 1 << 32
    assert configs == [*low, *(config + high for config in low)]
    for config in configs:
        events.set(kind, config, 0, 3)
    assert joules(probe) == {"df.socket-0": 8 * 3 * 64}
    assert probe.domains["df.socket-0"].flags == ("approximate",)


def test_the_data_fabric_of_zen_4_is_not_read_with_the_codes_of_zen_2(sysfs, opened):
    sysfs.cpus({0: 0}, vendor="AuthenticAMD")
    sysfs.pmu("amd_df", {"event": "config:0-7,32-37", "umask": "config:8-15,24-27"}, {})
    problem = opened().domains["df.socket-0"]
    assert isinstance(problem, Unavailable)
    assert "amd_umc" in problem.reason


def test_grace_reads_are_beats_and_its_writes_bytes(sysfs, events, opened):
    sysfs.cpus({0: 0, 72: 1})
    names = {"cmem_rd_data": "event=0x1a5", "cmem_wr_total_bytes": "event=0x1a6"}
    kinds = [sysfs.pmu(f"nvidia_scf_pmu_{n}", {"event": "config:0-31"}, names, cpumask=str(72 * n)) for n in (0, 1)]
    probe = opened()
    events.set(kinds[1], 0x1A5, 72, 10)
    events.set(kinds[1], 0x1A6, 72, 5)
    assert joules(probe) == {"scf.socket-0": 0, "scf.socket-1": 10 * 32 + 5}
    assert "beats-unverified" in probe.domains["scf.socket-0"].flags


@given(
    value=st.integers(0, 2**14 - 1),
    bits=st.lists(st.integers(0, 63), min_size=14, max_size=14, unique=True),
)
def test_a_term_is_spread_over_the_bits_of_its_format(tmp_path_factory, value, bits):
    folder = tmp_path_factory.mktemp("pmu")
    (folder / "format").mkdir()
    (folder / "format/event").write_text("config1:" + ",".join(map(str, bits)) + "\n")
    config = Pmu(name="p", path=folder, type=7, cpus=(0,)).encode(f"event={value:#x}")
    gathered = sum((config.config1 >> bit & 1) << place for place, bit in enumerate(bits))
    assert gathered == value
    assert (config.type, config.config, config.config2) == (7, 0, 0)


def test_a_value_too_large_for_its_field_is_refused_and_so_is_an_unknown_term(sysfs):
    sysfs.pmu("x", {"event": "config:0-3"}, {})
    (pmu,) = find_pmus(sysfs.root)
    with pytest.raises(ValueError, match="does not fit in 4 bits"):
        pmu.encode("event=0x10")
    with pytest.raises(ValueError, match="no term 'umask'"):
        pmu.encode("umask=0x1")


def test_cpu_lists_are_ranges_and_numbers():
    assert parse_ranges("0-3,8\n") == [0, 1, 2, 3, 8]
    assert parse_ranges("") == []


def test_the_real_system_call_counts_this_threads_time_on_a_software_pmu():
    try:
        fd = open_event(EventConfig(type=1, config=0), -1, pid=0, exclude_kernel=True)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.ENOSYS):
            raise
        pytest.skip(f"this machine forbids even a thread's own events: {error}")
    first = RECORD.unpack(os.read(fd, RECORD.size))
    sum(range(200_000))
    second = RECORD.unpack(os.read(fd, RECORD.size))
    os.close(fd)
    assert all(b > a for a, b in zip(first, second, strict=True))
    assert second[1] == second[2]


def test_the_real_system_call_says_what_is_wrong():
    with pytest.raises(OSError, match=r".+") as caught:
        open_event(EventConfig(type=2**31 - 1), -1, pid=0, exclude_kernel=True)
    assert caught.value.errno in (errno.ENOENT, errno.EACCES, errno.EPERM, errno.ENOSYS, errno.EINVAL)
