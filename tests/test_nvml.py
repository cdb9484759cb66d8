"""NVML under the real nvidia-ml-py: a compiled library whose GPUs use exactly known joules."""

import ctypes
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pynvml
import pytest
from hypothesis import given
from hypothesis import strategies as st

from energybench.model import Domain, Probe, Reading, Unavailable
from energybench.probes import nvml as probe_module
from energybench.probes._nvml import FAILURES, Board
from energybench.probes._nvml_order import cuda_uuids, is_order_assumed
from energybench.probes.nvml import Nvml

ENERGY, INSTANT = "nvmlDeviceGetTotalEnergyConsumption", "field186"
PASCAL, VOLTA, TURING, AMPERE, ADA, HOPPER, BLACKWELL = 4, 5, 6, 7, 8, 9, 10
ROOT = Path(__file__).parents[1]


@pytest.fixture
def machine(nvml, tmp_path):
    """Describe a machine by FAKE_NVML settings and open the probe there."""
    opened = []

    def make(**settings: object) -> Nvml:
        environ = settings.pop("environ", {})
        nvml.settings |= {f"FAKE_NVML_{name}": str(value) for name, value in settings.items()}
        nvml.restart()
        probe = probe_module.open_probe(root=tmp_path, clock=nvml.clock, environ=environ)
        assert isinstance(probe, Nvml)
        opened.append(probe)
        return probe

    yield make
    for probe in opened:
        probe.close()


def values(probe: Probe) -> dict[str, object]:
    """What each domain reads now."""
    return dict(zip(names(probe), (raw for _, raw in probe.read()), strict=True))


def names(probe: Probe) -> list[str]:
    return [name for name, domain in probe.domains.items() if isinstance(domain, Domain)]


def domain(probe: Probe, name: str) -> Domain:
    found = probe.domains[name]
    assert isinstance(found, Domain), found
    return found


def test_a_gpu_at_100_watts_counts_100_joules_in_a_second(machine, nvml):
    probe = machine()
    before = values(probe)
    nvml.advance(1.0)
    after = values(probe)
    gained = after["gpu.0"] - before["gpu.0"]
    assert gained * domain(probe, "gpu.0").scale == pytest.approx(100.0, abs=10.001)
    assert after["gpu.0.power"] == 100_000
    assert isinstance(probe, Probe)


def test_counters_are_additive_and_the_power_beside_them_only_checks(machine):
    probe = machine()
    assert list(probe.domains) == ["gpu.0", "gpu.0.power", "gpu.1", "gpu.1.power"]
    counter, power = domain(probe, "gpu.1"), domain(probe, "gpu.1.power")
    assert (counter.kind, counter.additive, counter.modulus, counter.max_rate) == ("counter", True, None, 1400.0)
    assert (power.kind, power.additive, power.checks) == ("gauge", False, "gpu.1")
    assert counter.gain == pytest.approx(0.0289, abs=1e-4)
    assert "GPU-a1111111-1111-4222-8333-0123456789ab at 00000000:29:00.0" in counter.source


@pytest.mark.parametrize("period_us", [10_000, 20_000, 100_000])
def test_the_tick_is_measured(machine, period_us):
    probe = machine(PERIOD_US=period_us, WAVE="100:200:130000:0.5")
    assert domain(probe, "gpu.0").tick == pytest.approx(period_us / 1e6, rel=0.15)


def test_a_reading_is_stamped_in_the_middle_of_its_call(machine, nvml):
    probe = machine()
    before = nvml.clock()
    stamps = [ns for ns, _ in probe.read()]
    after = nvml.clock()
    step = int(nvml.step * 1e9)
    assert stamps == [before + step + step // 2 + i * step for i in range(4)]
    assert after == stamps[-1] + step // 2 + step


@pytest.mark.parametrize(
    ("arch", "capability", "seen"),
    [(VOLTA, 70, 0.5), (TURING, 75, 1.0), (AMPERE, 80, 0.25), (AMPERE, 86, 1.0), (ADA, 89, 1.0), (HOPPER, 90, 0.25)],
)
def test_what_part_of_a_tick_the_sensor_sees_goes_by_architecture(machine, arch, capability, seen):
    probe = machine(ARCH=arch, CAPABILITY=capability)
    assert (domain(probe, "gpu.0").seen, domain(probe, "gpu.0.power").seen) == (seen, seen)
    assert domain(probe, "gpu.0").flags == ()


def test_an_architecture_that_nobody_studied_is_flagged(machine):
    assert domain(machine(ARCH=BLACKWELL), "gpu.0").flags == ("sensor-unstudied",)


def test_pascal_has_no_counter_and_its_power_stands_for_it(machine, nvml):
    probe = machine(ARCH=PASCAL, WATTS=250)
    gauge = domain(probe, "gpu.0")
    assert list(probe.domains) == ["gpu.0", "gpu.1"]
    assert (gauge.kind, gauge.additive, gauge.checks, gauge.averaging, gauge.seen) == ("gauge", True, None, 0.0, 0.5)
    assert values(probe) == {"gpu.0": 250_000, "gpu.1": 250_000}


@pytest.mark.parametrize(("capability", "averaging"), [(80, 0.0), (86, 1.0)])
def test_without_fields_the_power_is_a_mean_of_a_second_unless_it_is_an_a100(machine, capability, averaging):
    probe = machine(ARCH=AMPERE, CAPABILITY=capability, FAIL="nvmlDeviceGetFieldValues=13")
    power = domain(probe, "gpu.0.power")
    assert power.averaging == averaging
    assert power.source.startswith("nvmlDeviceGetPowerUsage of ")


def test_where_instant_power_is_missing_the_average_is_read_and_known_to_lag(machine, nvml):
    probe = machine(ARCH=ADA, FAIL="field186=3")
    nvml.advance(2.0)
    nvml.power(0, 300.0)
    nvml.advance(0.5)
    assert domain(probe, "gpu.0.power").averaging == 1.0
    assert values(probe)["gpu.0.power"] == pytest.approx(200_000, rel=0.11)


def test_a_partial_sensor_is_blind_to_a_load_in_step_with_it(machine, nvml):
    probe = machine(WINDOW_US=25_000)
    nvml.wave(0, 100.0, 700.0, period=0.1)
    begin, before = nvml.seconds, values(probe)["gpu.0"]
    nvml.advance(10.0)
    end, after = nvml.seconds, values(probe)["gpu.0"]
    shown, true = (after - before) / 1e3, nvml.joules(0, begin, end)
    assert true == pytest.approx(4000.0, rel=0.02)
    assert abs(shown / true - 1) > 0.2


def test_a_driver_without_the_counter_s_symbol_falls_back_to_power(nvml, tmp_path):
    library = nvml.without(tmp_path, "ENERGY")
    probe = probe_module.open_probe(root=tmp_path, clock=library.clock, environ={})
    assert domain(probe, "gpu.0").kind == "gauge"
    probe.close()
    library.close()


def test_a_driver_that_reads_neither_says_that_it_is_too_old(nvml, tmp_path):
    library = nvml.without(tmp_path, "ENERGY", "FIELDS")
    library.fail("nvmlDeviceGetPowerUsage", 13)
    probe = probe_module.open_probe(root=tmp_path, clock=library.clock, environ={})
    assert names(probe) == []
    assert "too old" in probe.domains["gpu.0"].reason
    probe.close()
    library.close()


FAULTS = [1, 2, 3, 4, 6, 10, 13, 15, 18, 999, 77]


@pytest.mark.parametrize("code", FAULTS)
def test_a_failing_gpu_is_unavailable_alone_and_comes_back(machine, nvml, code):
    probe = machine()
    nvml.fail(ENERGY, code, gpu=0)
    during = values(probe)
    problem = during.pop("gpu.0")
    assert isinstance(problem, Unavailable)
    assert problem.reason.startswith(ENERGY)
    assert problem.remedy
    assert all(isinstance(raw, int) and raw > 0 for raw in during.values())
    nvml.heal()
    assert isinstance(values(probe)["gpu.0"], int)


@pytest.mark.parametrize("code", FAULTS)
def test_a_failing_power_field_leaves_the_counters_alone(machine, nvml, code):
    probe = machine()
    nvml.fail(INSTANT, code, gpu=1)
    during = values(probe)
    assert isinstance(during.pop("gpu.1.power"), Unavailable)
    assert all(isinstance(raw, int) for raw in during.values())


@pytest.mark.parametrize("code", [4, 10, 15, 999])
def test_a_counter_that_fails_from_the_start_is_unavailable_and_its_power_still_shown(machine, code):
    probe = machine(FAIL=f"{ENERGY}@0={code}")
    assert isinstance(probe.domains["gpu.0"], Unavailable)
    assert names(probe) == ["gpu.0.power", "gpu.1", "gpu.1.power"]


def test_every_failure_has_a_reason_and_a_remedy_of_its_own():
    assert len({reason for reason, _ in FAILURES.values()}) == len(FAILURES)
    assert all(remedy for _, remedy in FAILURES.values())


def test_a_gpu_that_fell_off_the_bus_leaves_the_others(machine):
    probe = machine(FAIL="nvmlDeviceGetHandleByIndex_v2@0=15")
    assert "fallen off the bus" in probe.domains["gpu.0"].reason
    assert names(probe) == ["gpu.1", "gpu.1.power"]


def test_a_backward_counter_is_handed_on_as_it_is(machine, nvml):
    probe = machine()
    before = values(probe)["gpu.0"]
    nvml.restart_counter(0)
    assert values(probe)["gpu.0"] < before
    assert domain(probe, "gpu.0").modulus is None


def test_nvml_stays_open_until_the_probe_is_closed(machine, nvml, tmp_path):
    probe = machine()
    other = probe_module.open_probe(root=tmp_path, clock=nvml.clock, environ={})
    assert nvml.clients == 2
    other.close()
    assert nvml.clients == 1
    assert isinstance(values(probe)["gpu.0"], int)


def test_nvml_is_opened_again_where_someone_else_shut_it_down(machine, nvml):
    probe = machine()
    pynvml.nvmlShutdown()
    assert "shut down" in values(probe)["gpu.0"].reason
    assert isinstance(values(probe)["gpu.0"], int)
    assert nvml.clients == 1


def in_a_child(body: Callable[[], bool]) -> bool:
    """Run `body` in a forked process and tell whether it held."""
    child = os.fork()
    if child == 0:
        code = 2
        try:
            code = 0 if body() else 1
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_forked_child_opens_nvml_again_and_leaves_its_parents_alone(machine, nvml):
    probe = machine()

    def child_reads() -> bool:
        raw = ctypes.c_ulonglong()
        handle = pynvml.c_nvmlDevice_t()
        lost = pynvml.nvmlLib.nvmlDeviceGetHandleByIndex_v2(0, ctypes.byref(handle)) == 1
        reads = all(isinstance(value, int) for value in values(probe).values())
        probe.close()
        return lost and reads and raw.value == 0 and nvml.clients == 0

    assert in_a_child(child_reads)
    assert nvml.clients == 1
    assert isinstance(values(probe)["gpu.1"], int)


def test_a_child_that_never_read_leaves_its_parents_nvml_open(machine, nvml):
    probe = machine()

    def child_closes() -> bool:
        probe.close()
        return True

    assert in_a_child(child_closes)


def test_a_child_that_cannot_open_nvml_says_why_and_gets_it_when_it_can(machine, nvml):
    probe = machine()

    def child_reads() -> bool:
        nvml.fail("nvmlInitWithFlags", 999)
        refused = all(isinstance(raw, Unavailable) for raw in values(probe).values())
        nvml.heal()
        return refused and all(isinstance(raw, int) for raw in values(probe).values())

    assert in_a_child(child_reads)


def test_a_grace_hopper_module_contains_its_processor(nvml, tmp_path):
    write(tmp_path / "sys/bus/pci/devices/0000:18:00.0/local_cpulist", "72-143\n")
    write(tmp_path / "sys/devices/system/cpu/cpu72/topology/physical_package_id", "1\n")
    nvml.settings["FAKE_NVML_C2C"] = "1"
    nvml.restart()
    probe = probe_module.open_probe(root=tmp_path, clock=nvml.clock, environ={})
    counter, power = domain(probe, "gpu.0"), domain(probe, "gpu.0.power")
    assert counter.scope == "module"
    assert counter.contains == ("cpu.socket-1", "cpu.package-1", "cpu.sysio-1", "cpu.dram-1")
    assert "module-wide" in counter.flags
    assert "186, scope 1" in power.source
    assert power.contains == ()
    probe.close()


def test_a_mig_slice_is_the_whole_board(machine):
    probe = machine(MIG=1, environ={"CUDA_VISIBLE_DEVICES": "MIG-b0000001-5555-5666-8777-0123456789ab"})
    assert list(probe.domains) == ["gpu.1", "gpu.1.power"]
    assert "parent-wide" in domain(probe, "gpu.1").flags


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        ("0", [0]),
        ("1,0", [1, 0]),
        ("GPU-a1111111", [1]),
        ("GPU-a1111111-1111-4222-8333-0123456789ab,GPU-a0", [1, 0]),
        ("GPU-a", []),  # ambiguous
        ("0,7,1", [0]),
        ("0,-1,1", [0]),
        ("1ampere,0", [1, 0]),
        ("0,0", []),
        ("0,GPU-a1", [0]),
        ("GPU-a1,0", [1]),
        ("", []),
        ("none", []),
        ("MIG-GPU-a1111111-1111-4222-8333-0123456789ab/3/0", [1]),
        ("MIG-00000000-5555-5666-8777-0123456789ab", []),
    ],
)
def test_cuda_visible_devices_is_read_as_cuda_reads_it(nvml, tmp_path, visible, expected):
    opened = probe_module.open_probe(root=tmp_path, clock=nvml.clock, environ={"CUDA_VISIBLE_DEVICES": visible})
    if expected:
        assert sorted(opened.domains) == sorted(f"gpu.{i}{part}" for i in expected for part in ("", ".power"))
        opened.close()
    else:
        assert opened == Unavailable(reason="CUDA_VISIBLE_DEVICES hides every GPU", remedy="unset CUDA_VISIBLE_DEVICES")
    assert nvml.clients == 0


def board(index: int, speed: float, name: str = "A") -> Board:
    return Board(index=index, uuid=f"GPU-{index:08x}", pci="", name=name, architecture="hopper", speed=speed,
                 limit_watts=None, is_mig=False, is_module=False)  # fmt: skip


def test_the_fastest_gpu_is_cudas_first_and_the_guess_is_flagged():
    boards = [board(0, 1e12, "slow"), board(1, 5e12, "fast")]
    assert cuda_uuids(boards, {"CUDA_VISIBLE_DEVICES": "0"}, lambda _: None) == ["GPU-00000001"]
    by_address = {"CUDA_VISIBLE_DEVICES": "0", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    assert cuda_uuids(boards, by_address, lambda _: None) == ["GPU-00000000"]
    assert is_order_assumed(boards, {"CUDA_VISIBLE_DEVICES": "0"})
    assert not is_order_assumed(boards, by_address)
    assert not is_order_assumed(boards, {"CUDA_VISIBLE_DEVICES": "GPU-00000001"})


@given(
    speeds=st.lists(st.sampled_from([1.0, 2.0, 3.0]), max_size=6),
    text=st.text("0123456789,-+ GPUMIabcdef", max_size=24),
    order=st.sampled_from(["", "PCI_BUS_ID", "FASTEST_FIRST"]),
)
def test_any_text_gives_distinct_known_gpus(speeds, text, order):
    boards = [board(i, speed) for i, speed in enumerate(speeds)]
    chosen = cuda_uuids(boards, {"CUDA_VISIBLE_DEVICES": text, "CUDA_DEVICE_ORDER": order}, lambda _: None)
    assert len(set(chosen)) == len(chosen)
    assert set(chosen) <= {b.uuid for b in boards}


@given(st.permutations(range(4)), st.integers(1, 4))
def test_every_listing_of_ordinals_comes_back_in_its_order(order, count):
    boards = [board(i, 1.0) for i in range(4)]
    listed = order[:count]
    text = ",".join(map(str, listed))
    assert cuda_uuids(boards, {"CUDA_VISIBLE_DEVICES": text}, lambda _: None) == [boards[i].uuid for i in listed]


def test_state_says_what_a_record_keeps(machine, nvml):
    probe = machine(WATTS=700)
    state = probe.state()
    assert state["driver"] == "999.01"
    gpu = state["gpu.1"]
    assert gpu["uuid"].startswith("GPU-a1111111")
    assert (gpu["sm_hertz"], gpu["memory_hertz"]) == (1.755e9, 2.619e9)
    assert (gpu["celsius"], gpu["limit_watts"], gpu["average_watts"]) == (45, 700.0, 700.0)
    assert gpu["throttle_reasons"] == ["power-cap"]
    assert gpu["throttled_seconds"] == {"power_cap": 2.5}
    assert (gpu["mig"], gpu["persistence_mode"], gpu["processes"]) == (False, True, [os.getpid()])


def test_what_state_cannot_read_is_absent(machine, nvml):
    probe = machine()
    for function in ("nvmlDeviceGetTemperatureV", "nvmlDeviceGetTemperature", "nvmlDeviceGetClockInfo"):
        nvml.fail(function, 3)
    assert not {"celsius", "sm_hertz", "memory_celsius"} & set(probe.state()["gpu.0"])


def test_a_power_limit_that_cannot_be_read_leaves_the_rate_open(machine):
    assert domain(machine(FAIL="nvmlDeviceGetEnforcedPowerLimit=4"), "gpu.0").max_rate is None


@pytest.mark.parametrize(("code", "says"), [(18, "upgraded"), (4, "permission"), (999, "unknown")])
def test_a_driver_that_refuses_is_a_gpu_that_cannot_be_read(nvml, tmp_path, code, says):
    nvml.fail("nvmlInitWithFlags", code)
    probe = probe_module.open_probe(root=tmp_path, clock=nvml.clock, environ={})
    assert list(probe.domains) == ["gpu"]
    assert says in probe.domains["gpu"].reason
    assert (probe.read(), probe.state()) == ([], {})
    probe.close()


def test_a_driver_that_cannot_count_its_gpus_is_a_gpu_that_cannot_be_read(nvml, tmp_path):
    nvml.fail("nvmlDeviceGetCount_v2", 999)
    probe = probe_module.open_probe(root=tmp_path, clock=nvml.clock, environ={})
    assert list(probe.domains) == ["gpu"]
    assert probe.domains["gpu"].reason == "nvmlDeviceGetCount: an unknown error of the driver"
    assert (probe.read(), probe.state(), nvml.clients) == ([], {}, 0)
    probe.close()


def test_no_driver_and_no_card_is_nothing_of_this_kind(nvml, tmp_path):
    nvml.fail("nvmlInitWithFlags", 9)
    assert probe_module.open_probe(root=tmp_path, clock=nvml.clock, environ={}) == Unavailable(
        reason="nvmlInit: the NVIDIA driver is not loaded", remedy="sudo modprobe nvidia"
    )


@pytest.mark.parametrize(
    ("vendor", "kind", "is_there"),
    [("0x10de", "0x030200", True), ("0x10de", "0x040300", False), ("0x1002", "0x030000", False)],
)
def test_a_card_without_its_driver_is_missed(nvml, tmp_path, vendor, kind, is_there):
    write(tmp_path / "sys/bus/pci/devices/0000:01:00.0/vendor", vendor + "\n")
    write(tmp_path / "sys/bus/pci/devices/0000:01:00.0/class", kind + "\n")
    nvml.fail("nvmlInitWithFlags", 9)
    probe = probe_module.open_probe(root=tmp_path, clock=nvml.clock, environ={})
    assert isinstance(probe, Nvml) == is_there


def test_a_machine_without_the_library_says_so(tmp_path):
    told = fresh_process(
        "from pathlib import Path; from energybench.probes import nvml;"
        f"print(nvml.open_probe(root=Path({str(tmp_path)!r})).reason)",
        os.environ | {"LD_LIBRARY_PATH": ""},
    )
    if "libnvidia-ml.so.1 was not found" not in told:
        pytest.skip("this machine has an NVIDIA driver")


def test_a_fresh_process_finds_the_library_by_its_name_on_the_real_clock(nvml):
    script = (
        "import time; from energybench.probes import nvml; p = nvml.open_probe(environ={}); a = p.read();"
        "time.sleep(0.5); b = p.read(); print((b[0][1] - a[0][1]) / (b[0][0] - a[0][0]) * 1e6)"
    )
    assert float(fresh_process(script, nvml.environment())) == pytest.approx(100.0, rel=0.35)


TORCH = """
class cuda:
    is_initialized = staticmethod(lambda: True)
    device_count = staticmethod(lambda: 1)
    @staticmethod
    def get_device_properties(index):
        return type("properties", (), {"uuid": "UUID"})
"""


@pytest.mark.parametrize("uuid", ["a1111111-1111-4222-8333-0123456789ab", "b0000001-5555-5666-8777-0123456789ab"])
def test_a_program_that_has_brought_cuda_up_is_asked_which_gpu_it_has(nvml, tmp_path, uuid):
    write(tmp_path / "torch.py", TORCH.replace("UUID", uuid))
    script = "import torch; from energybench.probes import nvml; print(*nvml.open_probe().domains)"
    environment = nvml.environment() | {
        "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}",
        "CUDA_VISIBLE_DEVICES": "0",
        "FAKE_NVML_MIG": "1",
    }
    assert fresh_process(script, environment) == "gpu.1 gpu.1.power"


def test_neither_nvml_nor_torch_is_loaded_by_the_import():
    script = "import sys, energybench.probes.nvml; print({'pynvml', 'torch'} & set(sys.modules))"
    assert fresh_process(script, os.environ) == "set()"


def test_reading_eight_gpus_ten_times_a_second_takes_less_than_a_four_hundredth_of_a_core(nvml, tmp_path):
    nvml.settings["FAKE_NVML_GPUS"] = "8"
    nvml.restart(is_virtual=False)
    probe = probe_module.open_probe(root=tmp_path, environ={})
    best = min(process_seconds(probe.read, 300) for _ in range(5))
    assert len(probe.read()) == 16
    assert best * 10 < 0.0025
    probe.close()


def process_seconds(read: Callable[[], Sequence[Reading]], times: int) -> float:
    begin = time.process_time()
    for _ in range(times):
        read()
    return (time.process_time() - begin) / times


def fresh_process(script: str, environment) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": str(ROOT)} | dict(environment),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
