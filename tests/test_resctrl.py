"""resctrl on a tree that does on mkdir and rmdir what the kernel does; threads are real where it matters."""

import errno
import os
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from energybench.model import Domain, Probe, Unavailable
from energybench.probes import resctrl

PID = 4242
NAME = "mbm.process-group"


@pytest.fixture
def machine(sysfs):
    """A machine with two L3 domains and a process of three threads."""
    sysfs.process(PID, [PID, 4243, 4244])
    return sysfs.resctrl()


@pytest.fixture
def opened(machine, sysfs, fake_clock):
    """Open the probe for the process."""

    def open_it(**changes):
        given = {"make_group": machine.make_group, "remove_group": machine.remove_group, "pid": PID}
        return resctrl.open_probe(root=sysfs.root, clock=fake_clock, **(given | changes))

    return open_it


@pytest.fixture
def group(machine):
    return machine.path / f"mon_groups/energybench_{PID}"


def raw(probe):
    ((_, value),) = probe.read()
    return value


def begun(probe, machine, group):
    """The probe, after the first count that means nothing."""
    machine.set_bytes(group, {0: 0, 1: 0})
    raw(probe)
    return probe


def tasks(group):
    return set((group / "tasks").read_text().split())


def test_every_thread_of_the_process_is_moved_into_the_group(opened, group):
    probe = opened()
    assert isinstance(probe, Probe)
    assert tasks(group) == {"4242", "4243", "4244"}


def test_bytes_are_summed_over_the_l3_domains_and_belong_to_this_process_alone(opened, machine, group):
    probe = begun(opened(), machine, group)
    machine.set_bytes(group, {0: 1_000_000, 1: 234})
    assert raw(probe) == 1_000_234
    domain = probe.domains[NAME]
    assert isinstance(domain, Domain)
    assert (domain.quantity, domain.scope, domain.exclusive, domain.scale) == ("dram_bytes", "process-group", True, 1.0)


def test_sub_numa_clusters_repeat_their_domain_and_are_not_added(sysfs, fake_clock):
    sysfs.process(PID, [PID])
    machine = sysfs.resctrl(sub_domains=True)
    group = machine.path / f"mon_groups/energybench_{PID}"
    probe = resctrl.open_probe(root=sysfs.root, clock=fake_clock, make_group=machine.make_group, pid=PID)
    begun(probe, machine, group)
    machine.set_bytes(group, {0: 640, 1: 64})
    assert raw(probe) == 704


def test_the_first_count_of_a_new_group_is_dropped(opened, machine, group):
    probe = opened()
    assert isinstance(raw(probe), Unavailable)
    machine.set_bytes(group, {0: 77_777, 1: 0})
    first = raw(probe)
    assert isinstance(first, Unavailable)
    assert "only just begun" in first.reason
    machine.set_bytes(group, {0: 100_000, 1: 0})
    assert raw(probe) == 100_000


@pytest.mark.parametrize("word", ["Unavailable", "Error", "Unassigned", "12 bytes"])
def test_a_word_in_one_domain_is_no_number_and_what_follows_it_is_dropped_once(opened, machine, group, word):
    probe = begun(opened(), machine, group)
    machine.set_bytes(group, {1: word})
    problem = raw(probe)
    assert isinstance(problem, Unavailable)
    assert repr(word) in problem.reason
    machine.set_bytes(group, {0: 64, 1: 64})
    assert isinstance(raw(probe), Unavailable)
    assert raw(probe) == 128


def test_unassigned_counters_name_the_file_that_assigns_them(opened, machine, group):
    probe = begun(opened(), machine, group)
    machine.set_bytes(group, {0: "Unassigned"})
    assert str(group / "mbm_L3_assignments") in raw(probe).remedy


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(counts=st.lists(st.tuples(st.integers(0, 2**62), st.integers(0, 2**62)), min_size=1, max_size=5))
def test_any_counts_add_up_without_loss(opened, machine, group, counts):
    if group.exists():
        machine.remove_group(group)
    probe = begun(opened(), machine, group)
    for first, second in counts:
        machine.set_bytes(group, {0: first, 1: second})
        assert raw(probe) == first + second
    probe.close()


def test_closing_removes_the_group_and_frees_its_files(opened, group):
    before = len(list(Path("/proc/self/fd").iterdir()))
    probe = opened()
    assert group.is_dir()
    probe.close()
    assert not group.exists()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_group_that_root_made_beforehand_is_used_and_left_standing(opened, machine):
    premade = machine.path / "mon_groups/energybench"
    machine.make_group(premade)

    def refuse(path):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    probe = begun(opened(make_group=refuse), machine, premade)
    machine.set_bytes(premade, {0: 640, 1: 0})
    assert raw(probe) == 640
    assert tasks(premade) == {"4242", "4243", "4244"}
    probe.close()
    assert premade.is_dir()


def test_a_user_without_the_right_to_make_a_group_is_told_what_root_has_to_do(opened, sysfs, machine):
    (machine.path / "mon_groups").chmod(0o555)
    with sysfs.unprivileged():
        problem = opened()
    assert isinstance(problem, Unavailable)
    assert problem.remedy.startswith("sudo mkdir ")
    assert "chown $USER" in problem.remedy


def test_used_up_monitoring_ids_are_named(opened, machine):
    for number in range(machine.rmids - 1):
        machine.make_group(machine.path / f"mon_groups/other{number}")
    problem = opened()
    assert isinstance(problem, Unavailable)
    assert "sudo rmdir" in problem.remedy


def test_ids_in_limbo_ask_for_patience(opened):
    def busy(path):
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(path))

    problem = opened(make_group=busy)
    assert isinstance(problem, Unavailable)
    assert "wait a minute" in problem.remedy


def test_a_group_whose_threads_cannot_be_moved_is_removed_again(opened, sysfs, group):
    problem = opened(pid=99)
    assert isinstance(problem, Unavailable)
    assert not group.with_name("energybench_99").exists()


def lose(machine, group):
    """Somebody removes the group; a plain file can only be cut short where the kernel says ENODEV."""
    machine.set_bytes(group, {0: "", 1: ""})
    machine.remove_group(group)


def test_a_short_read_is_unavailable_and_the_reading_after_the_next_counts_again(opened, machine, group):
    probe = begun(opened(), machine, group)
    machine.set_bytes(group, {0: "", 1: 6})
    assert isinstance(raw(probe), Unavailable)
    machine.set_bytes(group, {0: 5, 1: 6})
    assert isinstance(raw(probe), Unavailable)
    assert raw(probe) == 11


def test_a_group_that_somebody_removed_and_made_again_does_not_count_zero(opened, machine, group):
    probe = begun(opened(), machine, group)
    lose(machine, group)
    assert isinstance(raw(probe), Unavailable)
    assert isinstance(raw(probe), Unavailable)
    machine.make_group(group)
    machine.set_bytes(group, {0: 0, 1: 0})
    seen = [raw(probe) for _ in range(3)]
    assert all(isinstance(value, Unavailable) for value in seen)
    assert "no longer in it" in seen[-1].reason


def test_a_process_in_a_control_group_gets_its_monitoring_group_there(opened, machine, sysfs):
    control = machine.path / "batch"
    (control / "mon_groups").mkdir(parents=True)
    sysfs.write(sysfs.root / f"proc/{PID}/cpu_resctrl_groups", "res:/batch\nmon:")
    probe = opened(make_group=lambda path: (path.mkdir(), machine._populate(path)))
    assert (control / f"mon_groups/energybench_{PID}").is_dir()
    probe.close()


def test_threads_born_while_others_are_moved_are_moved_too(machine, sysfs, fake_clock):
    (sysfs.root / "proc").mkdir(exist_ok=True)
    for path in (sysfs.root / "proc").iterdir():
        path.rename(sysfs.root / "old")
    (sysfs.root / "proc").rmdir()
    (sysfs.root / "proc").symlink_to("/proc")
    group = machine.path / f"mon_groups/energybench_{os.getpid()}"
    release = threading.Event()
    late = [threading.Thread(target=release.wait) for _ in range(3)]

    def make_group(path):
        machine.make_group(path)
        for thread in late:
            thread.start()

    try:
        probe = resctrl.open_probe(
            root=sysfs.root, clock=fake_clock, make_group=make_group, remove_group=machine.remove_group
        )
        assert {str(thread.native_id) for thread in late} | {str(os.getpid())} <= tasks(group)
        probe.close()
    finally:
        release.set()
        for thread in late:
            thread.join()


def test_a_processor_without_memory_monitoring_is_sent_to_the_controllers(opened, machine, sysfs):
    sysfs.write(machine.path / "info/L3_MON/mon_features", "llc_occupancy")
    problem = opened()
    assert isinstance(problem, Unavailable)
    assert "perf_event" in problem.remedy


def test_a_machine_without_resctrl_is_told_how_to_mount_it(tmp_path, fake_clock):
    problem = resctrl.open_probe(root=tmp_path, clock=fake_clock)
    assert isinstance(problem, Unavailable)
    assert "mount -t resctrl" in problem.remedy
