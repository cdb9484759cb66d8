"""A machine is known by what it is, not by its secrets; and whether it is quiet is said with numbers."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from energybench import host
from energybench.quiet import Quiet, others_usage, quiet, slowed_seconds

CPUINFO = """processor\t: 0
model name\t: AMD EPYC 9654 96-Core Processor
microcode\t: 0xa101148
flags\t\t: fpu vme hypervisor rapl

processor\t: 1
model name\t: AMD EPYC 9654 96-Core Processor
"""


def put(root: Path, path: str, text: str) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    cpu = "sys/devices/system/cpu"
    put(tmp_path, "proc/cpuinfo", CPUINFO)
    put(tmp_path, "proc/meminfo", "MemTotal:       1024 kB\nMemFree: 1 kB\n")
    put(tmp_path, "proc/loadavg", "0.05 0.10 0.20 1/100 4321\n")
    put(tmp_path, "proc/stat", "cpu  100 0 100 800 0 0 0 0 0 0\ncpu0 1\n")
    put(tmp_path, "etc/machine-id", "0123456789abcdef0123456789abcdef\n")
    put(tmp_path, "sys/class/dmi/id/sys_vendor", "QEMU\n")
    put(tmp_path, f"{cpu}/cpu0/cpufreq/scaling_governor", "performance\n")
    put(tmp_path, f"{cpu}/intel_pstate/no_turbo", "1\n")
    put(tmp_path, f"{cpu}/smt/active", "1\n")
    put(tmp_path, f"{cpu}/cpu0/topology/thread_siblings_list", "0-1\n")
    put(tmp_path, f"{cpu}/cpu1/topology/thread_siblings_list", "0-1\n")
    put(tmp_path, f"{cpu}/cpu0/thermal_throttle/package_throttle_count", "7\n")
    zone = "sys/class/powercap/intel-rapl:0"
    put(tmp_path, f"{zone}/name", "package-0\n")
    put(tmp_path, f"{zone}/constraint_0_name", "long_term\n")
    put(tmp_path, f"{zone}/constraint_0_power_limit_uw", "125000000\n")
    return tmp_path


def look(root: Path, **changes: object) -> Quiet:
    nobody: dict[int, tuple[str, float]] = {}
    arguments = {"root": root, "sleep": lambda _: None, "usage": lambda: nobody, **changes}
    return quiet(**arguments)  # type: ignore[arg-type]


def test_the_fingerprint_has_what_the_files_say(machine: Path) -> None:
    found = host.fingerprint(root=machine, state={"nvml": {"driver": "580", "gpu.0": {"name": "H200", "celsius": 40}}})
    assert found["cpu"] == "AMD EPYC 9654 96-Core Processor"
    assert found["microcode"] == "0xa101148"
    assert found["cores"] == 1
    assert found["memory_bytes"] == 1024 * 1024
    assert found["governor"] == "performance"
    assert found["turbo"] is False
    assert found["smt"] is True
    assert found["hypervisor"] == "QEMU"
    assert found["cpu_power_limits_watts"] == {"package-0.long_term": 125.0}
    assert found["gpus"] == ["H200"]
    assert found["python"] == sys.version.split()[0]


def test_what_a_machine_does_not_tell_is_absent(tmp_path: Path) -> None:
    found = host.fingerprint(root=tmp_path, folder=tmp_path)
    assert not {"governor", "turbo", "microcode", "memory_bytes", "gpus", "git"} & set(found)
    assert None not in found.values()


def test_the_id_stays_and_leads_nowhere(machine: Path) -> None:
    first = host.machine_id(root=machine)
    assert first == host.machine_id(root=machine)
    assert len(first) == 12
    raw = "0123456789abcdef0123456789abcdef"
    assert first not in raw
    assert first != hashlib.sha256(raw.encode()).hexdigest()[:12]
    assert raw not in str(host.fingerprint(root=machine))
    put(machine, "etc/machine-id", "ffffffffffffffffffffffffffffffff\n")
    assert host.machine_id(root=machine) != first


def test_machines_with_one_image_but_other_cpus_have_ids_of_their_own(machine: Path) -> None:
    first = host.machine_id(root=machine)
    put(machine, "proc/cpuinfo", CPUINFO.replace("9654", "9754"))
    assert host.machine_id(root=machine) != first


def test_the_commit_is_kept_and_a_changed_file_is_told(tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        command = ["git", "-C", str(tmp_path), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q")
    put(tmp_path, "file", "one")
    git("add", "file")
    git("commit", "-qm", "first")
    commit = git("rev-parse", "HEAD")
    assert host.fingerprint(folder=tmp_path)["git"] == {"commit": commit, "dirty": False}
    put(tmp_path, "file", "two")
    assert host.fingerprint(folder=tmp_path)["git"] == {"commit": commit, "dirty": True}


def test_a_machine_on_which_nothing_happens_is_quiet(machine: Path) -> None:
    assert look(machine) == Quiet(quiet=True, reasons=())


def test_others_who_compute_are_named_with_their_cpus(machine: Path) -> None:
    looks = iter([{7: ("make", 10.0), 8: ("sshd", 1.0)}, {7: ("make", 10.9), 8: ("sshd", 1.0), 9: ("cc1", 0.6)}])
    told = look(machine, usage=lambda: next(looks), seconds=0.5)
    assert told.reasons == ("other processes keep 3.0 CPUs busy: make (pid 7) 1.8, cc1 (pid 9) 1.2",)


def test_load_steal_heat_and_battery_are_told_with_numbers(machine: Path) -> None:
    put(machine, "proc/loadavg", "900.00 1 1 1/1 1\n")
    put(machine, "sys/class/power_supply/BAT0/status", "Discharging\n")
    put(machine, "sys/class/power_supply/BAT0/capacity", "63\n")

    def later(_: float) -> None:
        put(machine, "proc/stat", "cpu  150 0 100 840 0 0 0 10 0 0\n")
        put(machine, "sys/devices/system/cpu/cpu0/thermal_throttle/package_throttle_count", "9\n")

    told = "\n".join(look(machine, sleep=later).reasons)
    assert "load of 900.00" in told
    assert "took 10% of the CPU time" in told
    assert "by heat 2 times" in told
    assert "BAT0 is discharging at 63 %" in told


@pytest.mark.parametrize(
    ("device", "told"),
    [
        ({"processes": [4000000, 4000001]}, "2 other processes on gpu.0 (pid 4000000, 4000001)"),
        ({"throttle_reasons": ["power-cap", "hardware-thermal"]}, "gpu.0 is slowed down: hardware-thermal"),
    ],
)
def test_a_gpu_that_others_use_or_heat_slows_is_told(machine: Path, device: dict[str, object], told: str) -> None:
    assert look(machine, state={"nvml": {"driver": "580", "gpu.0": device}}).reasons == (told,)


def test_a_gpu_at_its_power_cap_works_as_usual(machine: Path) -> None:
    device = {"throttle_reasons": ["power-cap"], "processes": [], "throttled_seconds": {"power_cap": 3.0}}
    assert look(machine, state={"nvml": {"gpu.0": device}}).quiet
    assert slowed_seconds({"nvml": {"gpu.0": device}}) == 0
    device["throttled_seconds"] = {"power_cap": 3.0, "hardware_thermal": 1.5}
    assert slowed_seconds({"nvml": {"gpu.0": device}}) == 1.5


def test_a_foreign_process_is_seen_by_psutil_and_our_child_is_not() -> None:
    usage = others_usage()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert child.pid not in others_usage()
        child.communicate(b"\n")
    assert all(seconds >= 0 for _, seconds in usage.values())
