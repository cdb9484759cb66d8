"""Windows over probes: totals, edges, threads, fork, alignment, uncertainty."""

import math
import os
import random
import sys
import threading
import time
import types
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import energybench as eb
from energybench.meter import Meter, open_meter, simulating
from energybench.model import Domain, Energy, Reading, Unavailable
from energybench.probes import simulated
from energybench.totals import disjoint, total
from energybench.tracks import Mark, make_track
from energybench.uncertainty import energy

LOST = Unavailable(reason="EIO", remedy="measure again")


class Bench:
    """A probe that shows the power given to it: counters in microjoules that move at ticks of its clock."""

    name = "bench"

    def __init__(self, clock, *domains: Domain, watts: float = 60.0) -> None:
        self.clock, self.watts, self.start = clock, watts, clock()
        self.domains = {domain.name: domain for domain in domains}
        self.failing: set[str] = set()

    def read(self) -> list[Reading]:
        now = self.clock()
        return [(now, LOST if n in self.failing else self._raw(d, now)) for n, d in self.domains.items()]

    def _raw(self, domain: Domain, now: int) -> int:
        if domain.kind == "gauge":
            return round(self.watts / domain.scale)
        seconds = (now - self.start) / 1e9
        tick = domain.tick or 1e-9
        raw = round(self.watts * (seconds // tick) * tick / domain.scale)
        return raw % domain.modulus if domain.modulus else raw

    def close(self) -> None:
        pass


def package(name: str = "cpu.package-0", **settings_) -> Domain:
    plain = {"name": name, "probe": "bench", "scale": 1e-6, "resolution": 1e-6, "tick": 0.001}
    return Domain(**(plain | settings_))


def meter_of(clock, *domains: Domain, **settings_) -> tuple[Meter, Bench]:
    probe = Bench(clock, *domains, **settings_)
    return Meter({"bench": probe}, clock=clock, poll=False), probe


def test_thirty_joules_over_two_seconds_are_fifteen_watts(fake_clock) -> None:
    meter, _ = meter_of(fake_clock, package(), watts=15.0)
    with meter.window() as window:
        fake_clock.advance(2.0)
    energy = window.domains["cpu.package-0"]
    assert window.seconds == pytest.approx(2.0, abs=1e-5)
    assert energy.joules == pytest.approx(30.0, rel=1e-3)
    assert energy.components["tick"] == pytest.approx(0.446 / math.sqrt(2) * 15 * 0.001, rel=0.01)
    assert energy.provenance == "measured"


def test_a_failing_domain_is_unavailable_for_itself_alone(fake_clock) -> None:
    meter, probe = meter_of(fake_clock, package("cpu.package-0"), package("cpu.package-1"))
    with meter.window() as window:
        fake_clock.advance(1.0)
        probe.failing = {"cpu.package-1"}
    assert window.domains["cpu.package-1"] == LOST
    assert window.total.domains == ("cpu.package-0",)
    assert window.total.missing == ("cpu.package-1",)
    assert window.to_json()["domains"]["cpu.package-1"] == {"unavailable": "EIO", "remedy": "measure again"}


def test_a_counter_that_did_not_move_is_never_zero_joules(fake_clock) -> None:
    meter, probe = meter_of(fake_clock, package())
    probe.watts = 0.0
    with meter.window() as short:
        fake_clock.advance(1e-4)
    with meter.window() as long:
        fake_clock.advance(1.0)
    assert "below resolution" in short.domains["cpu.package-0"].reason
    assert "stood still" in long.domains["cpu.package-0"].reason
    assert short.total is None
    assert "total" not in long.to_json()


def test_a_window_of_about_a_tick_says_that_it_is_below_the_resolution(fake_clock) -> None:
    meter, _ = meter_of(fake_clock, package())
    with meter.window() as window:
        fake_clock.advance(0.0015)
    assert "below-resolution" in window.domains["cpu.package-0"].flags


def test_wraps_within_one_window_add_up_when_somebody_polls(fake_clock) -> None:
    meter, _ = meter_of(fake_clock, package(modulus=65_532_610, max_rate=1000.0), watts=70.0)
    with meter.window() as window:
        for _ in range(500):
            fake_clock.advance(0.02)
            meter.poll()
    assert window.domains["cpu.package-0"].joules == pytest.approx(700.0, rel=1e-3)


def test_without_a_poll_the_window_is_invalid_and_not_wrong(fake_clock) -> None:
    meter, _ = meter_of(fake_clock, package(modulus=65_532_610, max_rate=1000.0), watts=70.0)
    with meter.window() as window:
        fake_clock.advance(10.0)
    assert "wrapped more than once" in window.domains["cpu.package-0"].reason


def test_the_background_thread_keeps_a_fast_counter_right() -> None:
    clock = time.perf_counter_ns
    probe = Bench(clock, package(modulus=10_000_000, max_rate=100.0), watts=60.0)  # wraps every 167 ms
    meter = Meter({"bench": probe}, clock=clock)
    with meter.window() as window:
        time.sleep(0.7)
    meter.close()
    energy = window.domains["cpu.package-0"]
    if isinstance(energy, Unavailable):
        pytest.skip(f"this machine did not let the thread run in time: {energy.reason}")
    assert energy.joules == pytest.approx(60 * window.seconds, rel=0.01)


def test_nested_overlapping_and_concurrent_windows_each_have_their_own_joules(fake_clock) -> None:
    meter, _ = meter_of(fake_clock, package(), watts=10.0)
    first, second = meter.window().begin(), meter.window()
    fake_clock.advance(1.0)
    second.begin()
    fake_clock.advance(1.0)
    first.end()
    fake_clock.advance(1.0)
    second.end()
    assert first.domains["cpu.package-0"].joules == pytest.approx(20.0, rel=1e-3)
    assert second.domains["cpu.package-0"].joules == pytest.approx(20.0, rel=1e-3)


def test_windows_from_many_threads_do_not_disturb_each_other() -> None:
    meter, _ = meter_of(time.perf_counter_ns, package(), watts=40.0)
    windows: list[eb.Measurement] = []

    def work() -> None:
        for _ in range(20):
            with meter.window() as window:
                time.sleep(random.uniform(0.005, 0.01))
            windows.append(window)

    threads = [threading.Thread(target=work) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len(windows) == 80
    for window in windows:
        energy = window.domains["cpu.package-0"]
        assert abs(energy.joules - 40 * window.seconds) <= 0.041 + 0.04 * energy.joules


def test_a_window_lives_on_in_a_forked_child() -> None:
    meter, _ = meter_of(time.perf_counter_ns, package(), watts=40.0)
    window = meter.window().begin()
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        time.sleep(0.05)
        with meter.window() as inner:
            time.sleep(0.02)
        os.write(writable, f"{inner.domains['cpu.package-0'].joules / inner.seconds}".encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert float(os.read(readable, 100)) == pytest.approx(40.0, rel=0.1)
    assert window.end().domains["cpu.package-0"].joules == pytest.approx(40 * window.seconds, rel=0.05)


def test_a_window_prints_its_seconds_and_joules(fake_clock, tmp_path: Path) -> None:
    meter, _ = meter_of(fake_clock, package(tick=0.01), watts=15.0)
    window = meter.window()
    assert str(window) == "a window that is still open"
    with window:
        fake_clock.advance(2.0)
    assert str(window) == "2 s, 30.00 ± 0.13 J measured"
    with eb.measure(probes=["estimate"], root=tmp_path) as guess:
        pass
    assert str(guess).endswith("J estimated")
    with eb.measure(probes=["powercap"], root=tmp_path) as nothing:
        pass
    assert "no RAPL zone" in str(nothing)


def test_an_exception_in_the_body_ends_the_window_and_goes_on(fake_clock) -> None:
    meter, _ = meter_of(fake_clock, package())
    window = meter.window()

    def body() -> None:
        with window:
            fake_clock.advance(1.0)
            raise KeyError("mine")

    with pytest.raises(KeyError):
        body()
    assert isinstance(window.domains["cpu.package-0"], Energy)


def test_an_open_window_has_no_numbers_yet(fake_clock) -> None:
    meter, _ = meter_of(fake_clock, package())
    window = meter.window().begin()
    with pytest.raises(RuntimeError, match="still open"):
        window.domains  # noqa: B018 -- reading it is the test
    window.end()
    with pytest.raises(RuntimeError, match="not open"):
        window.end()


def test_an_aligned_window_describes_its_body_to_the_poll_gap(fake_clock) -> None:
    meter, _ = meter_of(fake_clock, package(tick=0.01), watts=50.0)
    with meter.window(align=True) as window:
        fake_clock.advance(0.1234)
    energy = window.domains["cpu.package-0"]
    assert energy.joules == pytest.approx(50 * window.seconds, rel=1e-3)
    assert set(energy.components) == {"poll", "tail", "resolution"}
    assert energy.components["tail"] <= 0.22 * 50 * 0.021


def test_a_short_window_is_followed_to_the_next_tick_and_a_nested_one_is_not(fake_clock) -> None:
    meter, _ = meter_of(fake_clock, package(tick=0.001), watts=50.0)
    with meter.window() as followed:
        fake_clock.advance(0.0305)
    fake_clock.advance(0.0034)  # the tick at which it ended is no longer shown
    with meter.window(), meter.window() as nested:
        fake_clock.advance(0.0305)
    first, second = (window.domains["cpu.package-0"] for window in (followed, nested))
    assert first.components["tick"] == pytest.approx(second.components["tick"] / math.sqrt(2), rel=0.05)
    assert abs(first.joules - 50 * followed.seconds) <= 2 * first.standard_uncertainty
    assert "poll" not in second.components


def test_windows_that_follow_each_other_closely_have_no_bias(fake_clock) -> None:
    meter, _ = meter_of(fake_clock, package(tick=0.001), watts=50.0)
    errors, uncertainties = [], []
    for turn in range(40):
        with meter.window() as window:
            fake_clock.advance(0.0200 + 0.000013 * turn)
        found = window.domains["cpu.package-0"]
        errors.append(found.joules - 50 * window.seconds)
        uncertainties.append(found.standard_uncertainty)
    assert max(abs(error) for error in errors[1:]) <= 2 * max(uncertainties[1:])
    assert abs(sum(errors[1:]) / 39) < 0.05 * 50 * 0.001  # a twentieth of a tick


def test_a_short_window_after_a_tick_counts_from_that_tick(fake_clock) -> None:
    meter, _ = meter_of(fake_clock, package(tick=0.001), watts=50.0)
    with meter.window():
        fake_clock.advance(0.0305)
    errors = []
    for turn in range(20):
        with meter.window():
            fake_clock.advance(0.0205)
        with meter.window() as short:
            fake_clock.advance(0.0055 + 0.00005 * turn)
        errors.append(short.domains["cpu.package-0"].joules - 50 * short.seconds)
    assert abs(sum(errors) / 20) < 0.15 * 50 * 0.001


def test_what_the_tail_may_have_differed_by_enters_the_uncertainty(fake_clock) -> None:
    meter, _ = meter_of(fake_clock, package(tick=0.01), watts=50.0)
    with meter.window(align=True) as window:
        fake_clock.advance(0.1051)  # half a tick is left
    energy = window.domains["cpu.package-0"]
    assert energy.components["tail"] == pytest.approx(0.22 * 50 * 0.0049, rel=0.1)


def test_a_counter_that_freezes_on_the_way_is_found_out_at_the_end(fake_clock) -> None:
    meter, probe = meter_of(fake_clock, package(tick=0.001), watts=50.0)
    with meter.window() as window:
        fake_clock.advance(0.05)
        frozen = probe._raw(probe.domains["cpu.package-0"], fake_clock())
        probe._raw = lambda domain, now: frozen
        fake_clock.advance(0.05)
    assert "stood still" in window.domains["cpu.package-0"].reason


def test_a_counter_that_never_ticks_does_not_hold_up_an_aligned_window(fake_clock) -> None:
    meter, probe = meter_of(fake_clock, package())
    probe.watts = 0.0
    with meter.window(align=True) as window:
        fake_clock.advance(1.0)
    assert isinstance(window.domains["cpu.package-0"], Unavailable)


def test_a_machine_that_pauses_during_the_first_reading_does_not_make_a_sound_counter_stand_still(fake_clock) -> None:
    meter, probe = meter_of(fake_clock, package(tick=0.001), watts=50.0)
    with meter.window() as window:
        fake_clock.advance(0.0509)
        read = probe.read

        def paused() -> list[Reading]:
            probe.read = read
            fake_clock.advance(0.05)
            return read()

        probe.read = paused
    assert window.domains["cpu.package-0"].joules == pytest.approx(50 * window.seconds, rel=0.02)


def test_a_gauge_becomes_joules_and_checks_its_counter(fake_clock) -> None:
    gauge = Domain(
        name="gpu.0.power", probe="bench", kind="gauge", scale=1e-3, tick=0.1, additive=False, checks="gpu.0"
    )
    meter, probe = meter_of(fake_clock, package("gpu.0", tick=0.1), gauge, watts=300.0)

    def run(window: eb.Measurement) -> eb.Measurement:
        with window:
            for _ in range(60):
                fake_clock.advance(0.1)
                meter.poll()
        return window

    sound = run(meter.window())
    assert sound.domains["gpu.0.power"].joules == pytest.approx(300 * sound.seconds, rel=0.02)
    assert "counter-power-mismatch" not in sound.flags
    assert sound.total.domains == ("gpu.0",)
    probe._raw, honest = (lambda d, now: honest(d, now) // (2 if d.kind == "gauge" else 1)), probe._raw
    assert "counter-power-mismatch" in run(meter.window()).domains["gpu.0"].flags


def test_traffic_is_measured_by_the_same_window_and_no_bytes_are_a_result(fake_clock) -> None:
    quiet = Domain(name="gpu.0.nvlink", probe="bench", quantity="nvlink_bytes", additive=False)
    busy = Domain(name="imc.socket-0", probe="bench", quantity="dram_bytes", additive=False)
    meter, probe = meter_of(fake_clock, quiet, busy, watts=1e9)
    probe._raw, honest = (lambda d, now: 0 if d is quiet else honest(d, now)), probe._raw
    with meter.window() as window:
        fake_clock.advance(2.0)
    assert window.traffic["nvlink_bytes"] == 0
    assert window.traffic["dram_bytes"] == pytest.approx(2e9, rel=1e-3)
    assert window.total is None


def test_a_kind_of_traffic_is_absent_where_one_of_its_parts_failed(fake_clock) -> None:
    parts = [Domain(name=f"imc.socket-{n}", probe="bench", quantity="dram_bytes", additive=False) for n in (0, 1)]
    meter, probe = meter_of(fake_clock, *parts)
    with meter.window() as window:
        fake_clock.advance(1.0)
        probe.failing = {"imc.socket-1"}
    assert dict(window.traffic) == {}
    assert window.domains["imc.socket-1"] == LOST


def test_the_second_probe_stands_in_where_the_first_may_not_read(fake_clock) -> None:
    closed = Bench(fake_clock)
    closed.domains = {"cpu.package-0": LOST}
    meter = Meter({"powercap": closed, "bench": Bench(fake_clock, package())}, clock=fake_clock, poll=False)
    with meter.window() as window:
        fake_clock.advance(1.0)
    assert window.domains["cpu.package-0"].probe == "bench"


def test_a_probe_may_be_known_by_another_name_than_its_domains_give(fake_clock) -> None:
    meter = Meter({"mine": Bench(fake_clock, package())}, clock=fake_clock, poll=False)
    with meter.window() as window:
        fake_clock.advance(1.0)
    assert window.total.domains == ("cpu.package-0",)


def test_an_unknown_tick_may_be_as_long_as_a_second(fake_clock) -> None:
    meter, _ = meter_of(fake_clock, package(tick=None), watts=50.0)
    with meter.window() as window:
        fake_clock.advance(0.2)
    found = window.domains["cpu.package-0"]
    assert found.components["tick"] == pytest.approx(0.446 * 50 * 0.2, rel=0.01)
    assert "tick-unknown" in found.flags


def test_a_gauge_that_was_hardly_read_claims_no_joules(fake_clock) -> None:
    gauge = Domain(name="gpu.0", probe="bench", kind="gauge", scale=1e-3, tick=0.1)
    meter, _ = meter_of(fake_clock, gauge, watts=300.0)
    with meter.window() as window:
        fake_clock.advance(10.0)  # nobody polled
    assert "were due" in window.domains["gpu.0"].reason


def test_counter_and_power_are_compared_over_many_ticks_only(fake_clock) -> None:
    gauge = Domain(
        name="gpu.0.power", probe="bench", kind="gauge", scale=1e-3, tick=0.1, additive=False, checks="gpu.0"
    )
    meter, probe = meter_of(fake_clock, package("gpu.0", tick=1e-4), gauge, watts=300.0)
    probe._raw, honest = (lambda d, now: honest(d, now) // (2 if d.kind == "gauge" else 1)), probe._raw
    with meter.window() as window:
        for _ in range(10):
            fake_clock.advance(0.1)
            meter.poll()
    assert "counter-power-mismatch" not in window.flags


def test_a_sensor_that_looks_away_adds_what_it_may_have_missed(fake_clock) -> None:
    meter, _ = meter_of(fake_clock, package("gpu.0", tick=0.1, seen=0.25), watts=300.0)
    with meter.window() as window:
        fake_clock.advance(10.0)
    found = window.domains["gpu.0"]
    assert found.components["unseen"] == pytest.approx(0.75 * 0.22 * found.joules * math.sqrt(0.1 / 10), rel=0.01)


def test_traffic_across_a_reset_is_absent(fake_clock) -> None:
    meter, probe = meter_of(
        fake_clock, Domain(name="imc.socket-0", probe="bench", quantity="dram_bytes", additive=False)
    )
    with meter.window() as window:
        fake_clock.advance(2.0)
        meter.poll()
        probe.start = fake_clock()  # the counter starts again at 0
        for source in meter._sources:
            source.due_ns = 0
        meter.poll()
        fake_clock.advance(5.0)
    assert dict(window.traffic) == {}


class Broken:
    """A third party's probe that keeps no promise."""

    name = "broken"

    def __init__(self, readings: object) -> None:
        self.domains = {"wall": Domain(name="wall", probe="broken")}
        self._readings = readings

    def read(self):
        if isinstance(self._readings, Exception):
            raise self._readings
        return self._readings

    def close(self) -> None:
        pass


@pytest.mark.parametrize("readings", [OSError(5, "Input/output error"), []])
def test_a_broken_probe_takes_no_other_along(fake_clock, readings: object) -> None:
    probes = {"broken": Broken(readings), "bench": Bench(fake_clock, package())}
    meter = Meter(probes, clock=fake_clock, poll=False)
    with meter.window() as window:
        fake_clock.advance(1.0)
    assert "'broken' is broken" in window.domains["wall"].reason
    assert window.total.domains == ("cpu.package-0",)


def test_ctrl_c_while_an_edge_waits_keeps_what_was_measured_and_closes_the_window(fake_clock) -> None:
    meter, probe = meter_of(fake_clock, package(tick=0.01), watts=50.0)
    window = meter.window(align=True).begin()
    fake_clock.advance(1.0)
    honest, calls = probe.read, []

    def interrupted() -> list[Reading]:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return honest()

    probe.read = interrupted
    with pytest.raises(KeyboardInterrupt):
        window.end()
    assert window.domains["cpu.package-0"].joules == pytest.approx(50.0, rel=0.05)
    with meter.window() as following:
        fake_clock.advance(1.0)
    assert following.domains["cpu.package-0"].joules == pytest.approx(50.0, rel=0.02)
    assert meter._open == 0


def test_a_gpus_queue_is_drained_at_both_edges(fake_clock, monkeypatch) -> None:
    drained: list[int] = []
    cuda = types.SimpleNamespace(is_initialized=lambda: True, device_count=lambda: 2, synchronize=drained.append)
    torch = types.SimpleNamespace(
        cuda=cuda, _C=types.SimpleNamespace(_cuda_hasPrimaryContext=lambda device: device == 1)
    )
    monkeypatch.setitem(sys.modules, "torch", torch)
    meter, _ = meter_of(fake_clock, package("gpu.0", tick=0.1))
    with meter.window():
        before = len(drained)
        fake_clock.advance(1.0)
    assert before >= 1
    assert len(drained) > before
    assert set(drained) == {1}  # a device without a context would get one by being asked


def test_generators_and_slips_of_the_pen_are_refused_with_the_remedy() -> None:
    def rows():
        yield 1

    with pytest.raises(TypeError, match="around its loop"):
        eb.measure(probes=["estimate"])(rows)
    with pytest.raises(TypeError, match="list of names"):
        eb.measure(probes=[1])
    with pytest.raises(ValueError, match="trace_hz"):
        eb.measure(probes=["estimate"], trace_hz=-5)


@pytest.mark.parametrize("spelling", ["0", "off", "False", ""])
def test_the_simulated_machine_can_be_switched_off_in_words(monkeypatch, spelling: str) -> None:
    monkeypatch.setenv("ENERGYBENCH_SIMULATE", spelling)
    assert not simulating()


def test_the_thread_of_a_window_is_alive_again_in_a_forked_child() -> None:
    clock = time.perf_counter_ns
    meter = Meter({"bench": Bench(clock, package(modulus=20_000_000, max_rate=100.0), watts=60.0)}, clock=clock)
    with meter.window():
        child = os.fork()
        if child == 0:
            alive = meter._thread is not None and meter._thread.is_alive()
            os._exit(0 if alive else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    meter.close()


ENERGY = Energy(joules=1.0, standard_uncertainty=0.1, provenance="measured", probe="p", components={})


def test_a_twin_counts_where_the_original_cannot_be_read() -> None:
    twin = Domain(name="cpu.socket-0", probe="p", duplicates="cpu.package-0")
    domains = {"cpu.package-0": Domain(name="cpu.package-0", probe="p"), "cpu.socket-0": twin}
    assert disjoint(domains, dict.fromkeys(domains, ENERGY)) == ["cpu.package-0"]
    assert disjoint(domains, {"cpu.package-0": LOST, "cpu.socket-0": ENERGY}) == ["cpu.socket-0"]


def test_a_twin_that_counts_or_an_original_that_does_is_not_missing() -> None:
    original = Domain(name="cpu.package-0", probe="p")
    twin = Domain(name="cpu.package-0.mmio", probe="p", duplicates="cpu.package-0")
    domains = {"cpu.package-0": original, "cpu.package-0.mmio": twin}
    assert total(domains, {"cpu.package-0": LOST, "cpu.package-0.mmio": ENERGY}).missing == ()
    assert total(domains, {"cpu.package-0": ENERGY, "cpu.package-0.mmio": LOST}).missing == ()


def test_the_boards_meter_stands_for_the_machine_only_where_no_processor_is_read() -> None:
    domains = {n: Domain(name=n, probe="p") for n in ("cpu.package-0", "node", "gpu.0")}
    assert disjoint(domains, dict.fromkeys(domains, ENERGY)) == ["cpu.package-0", "gpu.0"]
    assert disjoint(domains, {"node": ENERGY, "cpu.package-0": LOST, "gpu.0": ENERGY}) == ["node"]


def test_the_wall_stands_alone_and_a_module_replaces_what_it_holds() -> None:
    parts = {n: Domain(name=n, probe="p") for n in ("cpu.package-0", "gpu.0")}
    module = {"module-0": Domain(name="module-0", probe="p", contains=("cpu.package-0", "gpu.0"))}
    wall = {"wall": Domain(name="wall", probe="p")}
    everything = parts | module | wall
    energies = dict.fromkeys(everything, ENERGY)
    assert disjoint(parts, energies) == ["cpu.package-0", "gpu.0"]
    assert disjoint(parts | module, energies) == ["module-0"]
    assert disjoint(everything, energies) == ["wall"]
    lost = energies | {"module-0": LOST, "wall": LOST}
    assert total(everything, lost).domains == ("cpu.package-0", "gpu.0")


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=6))
def test_gains_of_one_probe_add_up_and_the_rest_in_squares(values: list[float]) -> None:
    domains = {f"d{n}": Domain(name=f"d{n}", probe="p") for n in range(len(values))}
    energies = {
        f"d{n}": Energy(joules=v, standard_uncertainty=math.hypot(0.05 * v, 0.01), provenance="measured", probe="p",
                        components={"gain": 0.05 * v, "tick": 0.01})
        for n, v in enumerate(values)
    }  # fmt: skip
    expected = math.hypot(0.05 * sum(values), 0.01 * math.sqrt(len(values)))
    assert total(domains, energies).standard_uncertainty == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "belongs"),
    [("cpu.package-1", True), ("cpu.dram-0", True), ("gpu.3", True), ("gpu", True), ("module-0", True)]
    + [(name, False) for name in ("gpu.0.power", "gpu.0.dram", "imc.socket-0", "nvml", "hwmon", "cpu.core-0")],
)
def test_only_parts_that_would_be_added_are_missing(name: str, belongs: bool) -> None:
    domains = {"cpu.package-0": Domain(name="cpu.package-0", probe="p"), name: LOST}
    assert total(domains, {"cpu.package-0": ENERGY, name: LOST}).missing == ((name,) if belongs else ())


def test_a_total_without_a_processor_says_so() -> None:
    domains = {"gpu.0": Domain(name="gpu.0", probe="p")}
    assert total(domains, {"gpu.0": ENERGY}).missing == ("cpu",)


def test_measured_and_simulated_joules_are_never_one_sum() -> None:
    domains = {n: Domain(name=n, probe="p") for n in ("a", "b")}
    other = Energy(joules=1.0, standard_uncertainty=0.1, provenance="simulated", probe="p", components={})
    assert total(domains, {"a": ENERGY, "b": other}) is None


def test_the_stated_interval_holds_the_truth_for_a_square_wave() -> None:
    """A counter with a tick of 1 ms over 55/85 W; 4,000 windows, log-uniform from 5 ms to 2 s."""
    rng, track, pairs = random.Random(7), make_track(package()), []

    def joules(seconds: float) -> float:
        periods, rest = divmod(seconds, 0.0137)
        return periods * 0.0137 * 70 + 85 * min(rest, 0.00685) + 55 * max(rest - 0.00685, 0)

    for _ in range(4000):
        begin, seconds = rng.uniform(0, 10), math.exp(rng.uniform(math.log(0.005), math.log(2)))
        edges = [Mark(round(t * 1e9), round(joules(t // 0.001 * 0.001) * 1e6), 0) for t in (begin, begin + seconds)]
        found = energy(track, *edges, seconds=seconds)
        pairs.append((found.joules - joules(begin + seconds) + joules(begin), found.standard_uncertainty))
    inside = sum(abs(error) <= 2 * u for error, u in pairs) / len(pairs)
    rms = math.sqrt(sum(error**2 for error, _ in pairs) / len(pairs))
    assert inside >= 0.95
    assert 0.9 <= sorted(u for _, u in pairs)[2000] / rms <= 1.3


def test_the_simulated_machine_follows_cpu_time_and_says_so(fake_clock) -> None:
    busy = [0.0]
    probe = simulated.open_probe(spec="idle_watts=10,busy_watts=30,dram_share=0", clock=fake_clock, cpu=lambda: busy[0])
    meter = Meter({"simulated": probe}, clock=fake_clock, poll=False)
    with meter.window() as idle:
        fake_clock.advance(2.0)
    with meter.window() as working:
        fake_clock.advance(2.0)
        busy[0] += 2.0
    assert idle.total.joules == pytest.approx(20, rel=1e-3)
    assert working.total.joules == pytest.approx(80, rel=1e-3)
    assert working.total.provenance == "simulated"


@pytest.mark.parametrize("spec", ["moon", "idle_wats=3", "idle_watts=many", "tick=0", "packages=-1"])
def test_a_machine_that_cannot_be_simulated_is_refused_in_one_line(spec: str) -> None:
    with pytest.raises(eb.UnknownNameError, match="ENERGYBENCH_SIMULATE"):
        simulated.parse(spec)


def test_an_estimate_stands_apart_with_an_interval_of_at_least_two(tmp_path: Path) -> None:
    with eb.measure(probes=["estimate"], root=tmp_path) as window:
        sum(range(200_000))
    assert window.total is None
    assert window.estimated.high / window.estimated.joules >= 2
    assert window.estimated.joules / window.estimated.low >= 2
    assert "node.estimate" not in window.to_json()["domains"]


def test_an_estimate_is_silent_beside_a_measured_total(fake_clock) -> None:
    from energybench.probes.estimate import open_probe

    probes = {"bench": Bench(fake_clock, package()), "estimate": open_probe(clock=fake_clock)}
    meter = Meter(probes, clock=fake_clock, poll=False)
    with meter.window() as window:
        fake_clock.advance(1.0)
    assert window.total
    assert window.estimated is None


def test_a_decorated_function_keeps_its_measurements_and_its_name(monkeypatch) -> None:
    monkeypatch.setenv("ENERGYBENCH_SIMULATE", "1")

    @eb.measure
    def twice(value: int) -> int:
        """Doc."""
        sum(range(200_000))
        return 2 * value

    assert [twice(2), twice(3)] == [4, 6]
    assert twice.__name__ == "twice"
    assert len(twice.measurements) == 2
    assert all(window.total.joules > 0 for window in twice.measurements)


def test_a_string_of_probes_is_a_slip_that_is_named() -> None:
    with pytest.raises(TypeError, match=r'probes=\["powercap"\]'):
        eb.measure(probes="powercap")


def test_an_unknown_probe_gets_a_suggestion() -> None:
    with pytest.raises(eb.UnknownNameError, match="did you mean 'powercap'"):
        open_meter(["powrcap"])


def test_a_trace_shows_power_over_time() -> None:
    meter, _ = meter_of(time.perf_counter_ns, package(), watts=40.0)
    meter = Meter(meter.probes)
    with meter.window(trace_hz=100) as window:
        time.sleep(0.3)
    meter.close()
    watts = [w for _, name, w in window.trace if name == "cpu.package-0"]
    assert len(watts) >= 5
    assert sorted(watts)[len(watts) // 2] == pytest.approx(40.0, rel=0.15)
