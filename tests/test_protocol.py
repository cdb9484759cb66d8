"""The protocol on a virtual machine of known energy: what it measures, keeps, and refuses to mix."""

from pathlib import Path
from typing import Any

import pytest

from energybench import store as records
from energybench.model import Domain, Reading, Unavailable
from energybench.probes.simulated import Machine, Simulated
from energybench.protocol import Progress, Settings, plan
from energybench.store import Store, StoreError


def test_50_watts_over_50_milliseconds_for_10_samples_are_a_quarter_joule_each_and_net_of_20_watts_0_15(
    world: Any,
) -> None:
    record = world.measure(*world.points(8))
    gross, net = record.results["joules_per_sample"], record.results["net_joules_per_sample"]
    assert gross.value == pytest.approx(0.25, rel=2e-3)
    assert net.value == pytest.approx(0.15, rel=3e-3)
    assert gross.provenance == net.provenance == "simulated"
    assert gross.low is not None
    assert gross.high is not None
    assert gross.low <= 0.25 <= gross.high
    assert gross.high - gross.low < 0.02
    assert record.results["seconds_per_sample"].value == pytest.approx(0.005, rel=1e-3)
    assert record.results["samples_per_second"].higher_is_better
    assert record.results["accuracy"].higher_is_better
    assert not record.results["test_loss"].higher_is_better
    assert record.results["file_bytes"].value == 4096


def test_raw_windows_baselines_and_sums_are_kept(world: Any) -> None:
    record = world.measure(*world.points(8))
    assert [w.round for w in record.windows] == [0, 1, 2, 3]
    assert [idle.when for idle in record.idle] == ["before", "after"]
    assert record.idle[0].watts["cpu.package-0"] == pytest.approx(20, rel=0.01)
    assert record.samples == sum(w.samples for w in record.windows) == 10 * record.steps
    assert record.total is not None
    assert record.total.joules == pytest.approx(sum(w.total.joules for w in record.windows if w.total))
    assert record.traffic["dram_bytes"] == sum(w.traffic["dram_bytes"] for w in record.windows)
    assert record.flags == []
    assert records.read(world.store.path(record.id)) == record


def test_all_points_are_prepared_then_visited_once_a_round_in_changing_order(world: Any) -> None:
    bits = (1, 2, 3, 4)
    outcome = world.run(world.points(*bits))
    assert [record.parameters["bits"] for record in outcome.records] == list(bits)
    stages = [told.stage for told in world.told]
    assert stages == sorted(
        stages, key=("preflight", "prepare", "idle", "warm-up", "windows", "results", "done").index
    ) or (stages.count("idle") == 2)
    visits = [told.point.parameters["bits"] for told in world.told if told.stage == "windows" and told.point]
    rounds = [visits[i : i + 4] for i in range(0, 16, 4)]
    assert all(sorted(one) == list(bits) for one in rounds)
    assert len({tuple(one) for one in rounds}) > 1


def test_quality_and_operators_come_after_every_window_and_once(world: Any) -> None:
    record = world.measure(*world.points(8))
    assert world.counter.calls == 1
    assert world.calls[-3:] == ["b8:evaluate", "b8", "b8:close"]
    assert record.operators is not None
    assert record.operators.unmapped == ["aten.odd"]
    modelled = record.results["modelled_joules_per_sample"]
    assert (modelled.value, modelled.low, modelled.high) == pytest.approx((2e-7, 1e-7, 3e-7))
    assert modelled.provenance == "modelled"
    assert record.modelled is not None
    assert record.modelled.joules == pytest.approx(2e-6 * record.steps)
    assert record.results["operand_bytes_per_sample"].value == 100
    assert record.results["flops_per_sample"].value == 50


def test_the_window_is_as_long_as_tick_and_target_error_ask(world: Any) -> None:
    world.probes["simulated"] = Simulated(
        Machine(dram_share=0.0, tick=0.1), clock=world.clock, cpu=lambda: world.cpu_seconds
    )
    settings = Settings(windows=2, target_error=0.02, min_seconds=0.5, idle_seconds=0, warmup_seconds=2)
    record = world.measure(*world.points(8), settings)
    assert record.windows[0].seconds == pytest.approx(0.816 * 0.1 / 0.02, abs=0.06)
    planned = plan(world.points(8), meter=world.meter(), settings=settings)
    assert planned[0].window_seconds == pytest.approx(4.08)
    assert not planned[0].measured_before
    again = plan(world.points(8), meter=world.meter(), settings=settings, history=[record])
    assert again[0].measured_before


def test_without_any_counter_the_estimate_stands_alone_and_idle_is_not_waited_for(world: Any) -> None:
    from energybench.probes import estimate

    world.probes = {"estimate": estimate.open_probe(clock=world.clock)}
    record = world.measure(*world.points(8))
    metric = record.results["estimated_joules_per_sample"]
    assert metric.provenance == "estimated"
    assert metric.low is not None
    assert metric.high is not None
    assert metric.low <= metric.value / 2
    assert metric.high >= metric.value * 2
    assert "joules_per_sample" not in record.results
    assert record.total is None
    assert record.idle == []


def test_idle_power_that_drifts_is_flagged_and_widens_net_alone(world: Any) -> None:
    began: list[int] = []

    def leak(told: Progress) -> None:
        if told.stage == "idle" and world.calls:  # the baseline after the windows
            began.append(world.clock.ns)

    def cpu() -> float:
        return world.cpu_seconds + (0.1 * (world.clock.ns - began[0]) / 1e9 if began else 0.0)

    machine = Machine(dram_share=0.0, idle_watts=20.0, busy_watts=30.0)
    world.probes["simulated"] = Simulated(machine, clock=world.clock, cpu=cpu)
    record = world.measure(*world.points(8), progress=leak)
    assert record.idle[1].watts["cpu.package-0"] == pytest.approx(23, rel=0.01)
    assert "idle-drift" in record.flags
    net, gross = record.results["net_joules_per_sample"], record.results["joules_per_sample"]
    assert net.systematic == pytest.approx(3 / 12**0.5 * 0.005, rel=0.05)
    assert (gross.systematic or 0) < 0.01 * net.systematic


def test_a_point_that_fails_is_told_and_the_others_have_their_records(world: Any) -> None:
    bad = world.points(4, fails_at=60)
    outcome = world.run([*world.points(8, 99), *bad])
    assert [record.parameters["bits"] for record in outcome.records] == [8]
    assert [(f.point.parameters["bits"], str(f.error)) for f in outcome.failures] == [
        (99, "bits=99 will not do"),
        (4, "out of memory"),
    ]
    assert "b4:close" in world.calls


def test_a_folder_that_cannot_be_written_stops_the_run_before_anything_is_measured(world: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(StoreError, match="ENERGYBENCH_RECORDS"):
        world.run(world.points(8), store=Store("virtual", root=tmp_path / "file"))
    assert world.calls == []


class Failing:
    """A package that answers, and a GPU that is lost for a while."""

    name = "failing"

    def __init__(self, world: Any) -> None:
        self.world, self.lost = world, False
        both = ("cpu.package-0", "gpu.0")
        self.domains: dict[str, Domain | Unavailable] = {
            name: Domain(name=name, probe="failing", scale=1e-6, tick=0.001, max_rate=1e4, gain=0.05) for name in both
        }

    def read(self) -> list[Reading]:
        now = self.world.clock.ns
        raw = now // 1_000_000 * 20_000
        gone = Unavailable(reason="GPU is lost", remedy="reboot")
        return [(now, raw), (now, gone if self.lost else raw)]

    def close(self) -> None:
        pass


def test_totals_over_other_domains_are_never_averaged_with_the_rest(world: Any) -> None:
    probe = Failing(world)
    world.probes = {"failing": probe}

    def lose(told: Progress) -> None:
        probe.lost = told.stage == "windows" and told.done == 1

    record = world.measure(*world.points(8), progress=lose)
    assert "domains-changed" in record.flags
    assert record.total is None
    assert record.results["joules_per_sample"].repeats == 3
    assert record.results["joules_per_sample"].value == pytest.approx(40 * 0.005, rel=2e-3)
    assert record.to_json()["domains"]["gpu.0"]["unavailable"] == "GPU is lost"


def test_a_gain_that_all_windows_share_is_not_averaged_away(world: Any) -> None:
    world.probes = {"failing": Failing(world)}
    metric = world.measure(*world.points(8)).results["joules_per_sample"]
    assert metric.systematic == pytest.approx(0.05 * metric.value, rel=1e-3)
    assert metric.repeatability is not None
    assert metric.repeatability < 0.01 * metric.value
    assert metric.high is not None
    assert metric.high - metric.value == pytest.approx(1.96 * 0.05 * metric.value, rel=0.02)


@pytest.mark.parametrize("bad", [{"windows": 0}, {"target_error": 0.0}, {"window_seconds": -1.0}])
def test_settings_that_measure_nothing_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="at least one window"):
        Settings(**bad)
