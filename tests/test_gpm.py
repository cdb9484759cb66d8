"""GPM under the real nvidia-ml-py: bytes that are known exactly, told as averages between samples."""

import json
import os

import pynvml
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from energybench.model import Domain, Unavailable, UnknownNameError
from energybench.probes import gpm
from energybench.probes.gpm import Gpm, calibrate

DRAM, PCIE_TX, PCIE_RX, NVLINK_RX, NVLINK_TX = 10, 20, 21, 60, 61
PEAK = 2619e6 * 2 * 5120 / 8  # an H100 SXM: 3.352e12 bytes a second


@pytest.fixture
def machine(nvml, tmp_path):
    """Describe a machine by FAKE_NVML settings and its traffic, and open the probe there."""
    opened = []

    def make(traffic=(), calibration=None, **given: object) -> Gpm:
        environ = given.pop("environ", {})
        nvml.settings |= {f"FAKE_NVML_{name}": str(value) for name, value in given.items()}
        nvml.restart()
        for gpu, metric, value in traffic:
            nvml.traffic(gpu, metric, value)
        path = calibration or tmp_path / "none.json"
        probe = gpm.open_probe(clock=nvml.clock, environ=environ, calibration=path)
        assert isinstance(probe, Gpm), probe
        opened.append(probe)
        return probe

    yield make
    for probe in opened:
        probe.close()


def values(probe: Gpm) -> dict[str, object]:
    names = [name for name, domain in probe.domains.items() if isinstance(domain, Domain)]
    return dict(zip(names, (raw for _, raw in probe.read()), strict=True))


def gained(probe: Gpm, nvml, seconds: float) -> dict[str, float]:
    """Bytes a second over a wait of so long, between two reads."""
    names = [name for name, domain in probe.domains.items() if isinstance(domain, Domain)]
    before = probe.read()
    nvml.advance(seconds)
    edges = zip(names, before, probe.read(), strict=True)
    return {name: (b - a) / ((end - begin) / 1e9) for name, (begin, a), (end, b) in edges}


def test_half_of_the_peak_for_a_second_is_half_of_its_bytes(machine, nvml):
    rates = gained(machine([(0, DRAM, 50.0)]), nvml, 1.0)
    assert rates["gpu.0.dram"] == pytest.approx(PEAK / 2, rel=1e-6)
    assert rates["gpu.1.dram"] == 0


def test_links_are_told_in_mebibytes_a_second_each_way(machine, nvml):
    traffic = [(0, PCIE_TX, 1000.0), (0, PCIE_RX, 2000.0), (0, NVLINK_TX, 3000.0), (1, NVLINK_RX, 4000.0)]
    rates = gained(machine(traffic), nvml, 1.0)
    told = {name: round(rate / 2**20, -1) for name, rate in rates.items() if rate}
    assert told == {
        "gpu.0.pcie-tx": 1000.0,
        "gpu.0.pcie-rx": 2000.0,
        "gpu.0.nvlink-tx": 3000.0,
        "gpu.1.nvlink-rx": 4000.0,
    }


def test_domains_say_that_they_are_derived_and_not_calibrated(machine):
    probe = machine()
    dram, link = probe.domains["gpu.0.dram"], probe.domains["gpu.0.pcie-tx"]
    assert (dram.quantity, dram.kind, dram.flags, dram.gain) == (
        "dram_bytes", "counter", ("derived", "uncalibrated"), 0.05,
    )  # fmt: skip
    assert (link.quantity, link.flags, link.additive) == ("pcie_bytes", ("derived",), False)
    assert dram.max_rate == pytest.approx(2 * PEAK)
    assert 0 < dram.resolution < PEAK * 1e-3


@pytest.mark.parametrize("seconds", [0.01, 0.03, 0.09, 0.099, 0.101, 0.25])
def test_a_window_shorter_than_gpm_allows_is_still_counted_to_its_end(machine, nvml, seconds):
    probe = machine([(0, DRAM, 40.0)])
    nvml.advance(0.3)
    values(probe)
    assert gained(probe, nvml, seconds)["gpu.0.dram"] == pytest.approx(0.4 * PEAK, rel=1e-6)


def test_samples_that_are_too_close_are_never_averaged(machine, nvml, monkeypatch):
    monkeypatch.setenv("FAKE_NVML_GPM_HASTY", "1")
    probe = machine([(0, DRAM, 40.0)])
    nvml.advance(0.3)
    values(probe)
    assert gained(probe, nvml, 0.05)["gpu.0.dram"] == pytest.approx(0.4 * PEAK, rel=1e-6)


def test_a_stamp_that_is_a_little_early_takes_no_bytes_back(machine, nvml):
    probe = machine([(0, DRAM, 100.0)])
    nvml.advance(0.3)
    nvml.traffic(0, DRAM, 0.0)
    nvml.advance(0.01)
    last = values(probe)["gpu.0.dram"]
    nvml.step = 1e-7
    nvml.advance(0.03)
    assert values(probe)["gpu.0.dram"] >= last


def test_traffic_just_before_a_window_is_not_in_it(machine, nvml):
    probe = machine()
    nvml.advance(0.15)
    values(probe)
    nvml.traffic(0, DRAM, 100.0)
    nvml.advance(0.05)
    nvml.traffic(0, DRAM, 0.0)
    begin = values(probe)["gpu.0.dram"]
    nvml.advance(0.5)
    assert values(probe)["gpu.0.dram"] - begin < 0.01 * PEAK * 0.05


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.floats(0.001, 0.6), st.floats(0.0, 100.0)), min_size=1, max_size=12))
def test_however_it_is_polled_the_bytes_add_up_and_never_go_back(probe_at_work, nvml, steps):
    probe = probe_at_work
    nvml.traffic(0, DRAM, 0.0)
    nvml.advance(0.2)
    last = begin = values(probe)["gpu.0.dram"]
    truth = 0.0
    for seconds, percent in steps:
        start = nvml.seconds
        nvml.traffic(0, DRAM, percent)
        nvml.advance(seconds)
        now = values(probe)["gpu.0.dram"]
        truth += percent / 100 * PEAK * (nvml.seconds - start)
        assert now >= last
        last = now
    unseen = PEAK * 6 * nvml.step  # the rest of the clock's looks within the last two reads
    assert abs(last - begin - truth) <= unseen + 0.003 * truth


@pytest.fixture
def probe_at_work(machine):
    return machine()


def test_a_failed_sample_is_unavailable_and_its_bytes_come_with_the_next(machine, nvml):
    probe = machine([(0, DRAM, 50.0)])
    begin = values(probe)["gpu.0.dram"]
    nvml.fail("nvmlGpmSampleGet", 15, gpu=0)
    nvml.advance(1.0)
    during = values(probe)
    assert "fallen off the bus" in during["gpu.0.dram"].reason
    assert isinstance(during["gpu.1.dram"], int)
    nvml.heal()
    nvml.advance(1.0)
    assert values(probe)["gpu.0.dram"] - begin == pytest.approx(PEAK, rel=0.01)


@pytest.mark.parametrize("code", [4, 10, 13, 27, 999])
def test_a_failed_average_is_unavailable_and_nothing_is_lost(machine, nvml, code):
    probe = machine([(0, DRAM, 50.0)])
    begin = values(probe)["gpu.0.dram"]
    nvml.fail("nvmlGpmMetricsGet", code, gpu=0)
    nvml.advance(1.0)
    assert isinstance(values(probe)["gpu.0.dram"], Unavailable)
    nvml.heal()
    assert values(probe)["gpu.0.dram"] - begin == pytest.approx(PEAK / 2, rel=0.01)


def test_one_failing_metric_leaves_the_others(machine, nvml):
    probe = machine([(0, DRAM, 50.0), (0, PCIE_TX, 100.0)])
    begin = values(probe)
    nvml.fail("gpm10", 3, gpu=0)
    nvml.advance(1.0)
    during = values(probe)
    assert isinstance(during["gpu.0.dram"], Unavailable)
    assert (during["gpu.0.pcie-tx"] - begin["gpu.0.pcie-tx"]) / 2**20 == pytest.approx(100, rel=0.01)
    nvml.heal()
    nvml.advance(1.0)
    assert values(probe)["gpu.0.dram"] - begin["gpu.0.dram"] == pytest.approx(PEAK, rel=0.01)


@pytest.mark.parametrize("percent", [400.0, -3.0, float("nan")])
def test_nonsense_makes_the_window_a_reset_and_counting_goes_on(machine, nvml, percent):
    probe = machine([(0, DRAM, 50.0)])
    begin = values(probe)["gpu.0.dram"]
    nvml.traffic(0, DRAM, percent)
    nvml.advance(1.0)
    assert "reset" in values(probe)["gpu.0.dram"].reason
    nvml.restart()
    nvml.traffic(0, DRAM, 50.0)
    pynvml.nvmlInit()
    nvml.advance(30.0)
    values(probe)
    nvml.advance(0.2)
    after = values(probe)["gpu.0.dram"]
    assert isinstance(after, int)
    assert after < begin


def test_a_metric_that_the_gpu_lacks_is_unavailable_and_the_rest_are_read(machine):
    probe = machine(FAIL="gpm60=3,gpm61=3")
    kept = [name for name, domain in probe.domains.items() if isinstance(domain, Domain)]
    assert kept == [f"gpu.{i}.{part}" for i in (0, 1) for part in ("dram", "pcie-tx", "pcie-rx")]
    assert isinstance(probe.domains["gpu.0.nvlink-tx"], Unavailable)
    assert len(probe.read()) == 6


def test_without_permission_the_remedy_is_the_command_that_grants_it(machine):
    probe = machine(FAIL="nvmlGpmSampleGet@1=4")
    problem = probe.domains["gpu.1.dram"]
    assert "permission denied" in problem.reason
    assert "NVreg_RestrictProfilingToAdminUsers=0" in problem.remedy
    assert isinstance(values(probe)["gpu.0.dram"], int)


def test_before_hopper_there_is_no_gpm(nvml):
    nvml.settings["FAKE_NVML_ARCH"] = "8"
    nvml.restart()
    assert "Hopper" in gpm.open_probe(clock=nvml.clock, environ={}).reason
    assert nvml.clients == 0


def test_an_old_driver_is_told_apart_from_an_old_gpu(nvml, tmp_path):
    old = nvml.without(tmp_path, "GPM")
    assert "too old" in gpm.open_probe(clock=old.clock, environ={}).reason
    old.close()


def test_a_driver_that_refuses_is_a_reason(nvml):
    nvml.fail("nvmlInitWithFlags", 9)
    assert "not loaded" in gpm.open_probe(clock=nvml.clock, environ={}).reason


def test_a_driver_that_cannot_count_its_gpus_is_a_reason(nvml):
    nvml.fail("nvmlDeviceGetCount_v2", 999)
    assert gpm.open_probe(clock=nvml.clock, environ={}).reason.startswith("nvmlDeviceGetCount: an unknown error")
    with pytest.raises(RuntimeError, match="nvmlDeviceGetCount"):
        calibrate(UUID, copy=lambda: 1, clock=nvml.clock)
    assert nvml.clients == 0


def test_an_unknown_memory_clock_makes_per_cents_meaningless(machine):
    probe = machine(FAIL="nvmlDeviceGetMemoryBusWidth@0=3")
    assert "per cent mean nothing" in probe.domains["gpu.0.dram"].reason
    assert isinstance(probe.domains["gpu.1.dram"], Domain)


def test_only_visible_gpus_are_read(machine):
    probe = machine(environ={"CUDA_VISIBLE_DEVICES": "GPU-a1111111"})
    assert {name.split(".")[1] for name in probe.domains} == {"1"}


def test_samples_are_freed(machine, nvml):
    probe = machine()
    for _ in range(20):
        nvml.advance(0.15)
        probe.read()
    assert nvml.samples_alive == 6
    probe.close()
    assert (nvml.samples_alive, nvml.clients) == (0, 0)


def test_a_refused_start_frees_what_it_had(machine, nvml):
    machine(FAIL="nvmlGpmSampleGet=4")
    assert nvml.samples_alive == 0


def test_a_forked_child_counts_anew_and_its_window_over_the_fork_is_a_reset(machine, nvml):
    probe = machine([(0, DRAM, 50.0)])
    nvml.advance(1.0)
    begin = values(probe)["gpu.0.dram"]
    child = os.fork()
    if child == 0:
        code = 1
        try:
            first = values(probe)["gpu.0.dram"]
            rate = gained(probe, nvml, 0.4)["gpu.0.dram"]
            held = first < begin and abs(rate / PEAK - 0.5) < 0.01
            code = 0 if held else 1
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert values(probe)["gpu.0.dram"] > begin


def test_it_recovers_after_someone_else_shut_nvml_down(machine, nvml):
    probe = machine([(0, DRAM, 50.0)])
    pynvml.nvmlShutdown()
    assert isinstance(values(probe)["gpu.0.dram"], Unavailable)
    values(probe)
    assert gained_after_a_pause(probe, nvml) == pytest.approx(PEAK / 2, rel=0.01)


def gained_after_a_pause(probe: Gpm, nvml) -> float:
    nvml.advance(0.2)
    return gained(probe, nvml, 1.0)["gpu.0.dram"]


UUID = "GPU-a0000000-1111-4222-8333-0123456789ab"


def copying(nvml, percent: float, true_bytes_per_second: float):
    """A copy that takes 0.25 s on the virtual clock and moves what it says."""

    def copy() -> int:
        nvml.traffic(0, DRAM, percent)
        start = nvml.seconds
        nvml.advance(0.25)
        nvml.traffic(0, DRAM, 0.0)
        return round((nvml.seconds - start) * true_bytes_per_second)

    return copy


def test_calibration_finds_a_peak_that_gpm_counts_otherwise(machine, nvml, tmp_path):
    path = tmp_path / "energybench/gpm.json"
    found = calibrate(UUID, copy=copying(nvml, 80.0, 0.8 * 4.8e12), path=path, clock=nvml.clock)
    assert found.factor == pytest.approx(4.8e12 / PEAK, rel=0.005)
    assert 0.01 <= found.standard_uncertainty < 0.02
    assert json.loads(path.read_text())[UUID]["factor"] == found.factor
    assert (nvml.samples_alive, nvml.clients) == (0, 0)

    probe = machine([(0, DRAM, 50.0), (1, DRAM, 50.0)], calibration=path)
    rates = gained(probe, nvml, 1.0)
    assert rates["gpu.0.dram"] == pytest.approx(2.4e12, rel=0.01)
    assert rates["gpu.1.dram"] == pytest.approx(PEAK / 2, rel=0.01)
    assert probe.domains["gpu.0.dram"].flags == ("derived",)
    assert probe.domains["gpu.0.dram"].gain == found.standard_uncertainty
    assert probe.state()[UUID] == {"dram_factor": found.factor}


def test_calibration_keeps_the_other_gpus(nvml, tmp_path):
    path = tmp_path / "gpm.json"
    path.write_text(json.dumps({"GPU-other": {"factor": 1.1, "standard_uncertainty": 0.02}}))
    calibrate(UUID, copy=copying(nvml, 50.0, PEAK / 2), path=path, clock=nvml.clock)
    assert json.loads(path.read_text())["GPU-other"]["factor"] == 1.1


@pytest.mark.parametrize("text", ["", "{", "[]", '{"GPU-x": {"factor": 1}}', '{"GPU-x": 3}'])
def test_a_damaged_calibration_file_leaves_the_bytes_uncalibrated(machine, tmp_path, text):
    path = tmp_path / "gpm.json"
    path.write_text(text)
    assert "uncalibrated" in machine(calibration=path).domains["gpu.0.dram"].flags


def test_calibration_without_traffic_is_an_error_and_nothing_is_kept(nvml, tmp_path):
    with pytest.raises(RuntimeError, match="counted no bytes"):
        calibrate(UUID, copy=copying(nvml, 0.0, 1e12), path=tmp_path / "gpm.json", clock=nvml.clock)
    assert not list(tmp_path.iterdir())
    assert nvml.samples_alive == 0


def test_calibrating_a_gpu_that_is_not_there_says_how_to_list_them(nvml, tmp_path):
    with pytest.raises(UnknownNameError, match="nvidia-smi -L"):
        calibrate("GPU-nowhere", copy=lambda: 1, path=tmp_path / "gpm.json", clock=nvml.clock)


def test_calibrating_without_permission_ends_in_the_remedy(nvml, tmp_path):
    nvml.fail("nvmlGpmSampleGet", 4)
    with pytest.raises(RuntimeError, match="NVreg_RestrictProfilingToAdminUsers=0"):
        calibrate(UUID, copy=lambda: 1, path=tmp_path / "gpm.json", clock=nvml.clock)
    assert nvml.clients == 0
