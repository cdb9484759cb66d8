"""A sensor that looks away reads a locked load wrongly; rests between steps cure it, or the record says so."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from energybench.dephase import Sensor, choose_gap, residual

A100 = [Sensor(tick=0.1, seen=0.25)]


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    path = Path(__file__).parent / "bench" / "aliasing.py"
    spec = importlib.util.spec_from_file_location("energybench_bench_aliasing", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_protocol_reads_a_locked_load_within_3_percent_where_a_naive_window_errs_by_20(bench: ModuleType) -> None:
    for period, row in bench.survey(100, say=lambda _: None).items():
        assert row["naive_median"] > 0.20, period
        assert row["protocol_p95"] <= 0.03, period
        assert row["interval_contains_truth"] >= 0.95, period
        assert row["longest_run_seconds"] <= 60.0, period


@pytest.mark.parametrize("kind", [{"period": 0.1, "gaps": False}, {"period": 0.1, "step_seconds": 3.0}])
def test_where_rests_cannot_help_the_record_is_flagged_and_its_interval_is_wide(
    bench: ModuleType, tmp_path: Path, kind: dict[str, float]
) -> None:
    hits = 0
    for seed in range(12):
        error, record, _ = bench.protocol_run(tmp_path, seed, **kind)
        metric = record["results"]["joules_per_sample"]
        assert "aliased" in record["flags"]
        assert "aliased" in record["domains"]["gpu.0"]["flags"]
        assert metric["systematic"] > 0.05 * metric["value"]
        hits += metric["low"] <= metric["value"] / (1 + error) <= metric["high"]
    assert hits >= 11


def test_a_rest_appears_in_gross_windows_and_is_taken_out_of_the_result(bench: ModuleType, tmp_path: Path) -> None:
    error, record, _ = bench.protocol_run(tmp_path, 1, period=0.1)
    gross = record["total"]["joules"] / record["samples"]
    assert gross > 1.01 * record["results"]["joules_per_sample"]["value"]
    assert record["timing"]["gap_seconds"] > 0
    assert abs(error) < 0.03


@pytest.mark.parametrize("step", [0.05, 0.1, 0.2, 0.3])
def test_a_locked_step_is_hidden_without_a_rest_and_seen_with_one(step: float) -> None:
    assert residual(step, A100, steps=100) > 0.3
    chosen = choose_gap(step, A100, window_seconds=20.0, limit=0.02)
    assert 0 < chosen.seconds < 0.05
    assert chosen.residual <= 0.02


@pytest.mark.parametrize("step", [0.0002, 0.001, 0.123])
def test_a_step_that_needs_no_rest_gets_none(step: float) -> None:
    assert choose_gap(step, A100, window_seconds=10.0, limit=0.02).seconds == 0


def test_a_workload_that_forbids_rests_is_told_what_it_costs() -> None:
    chosen = choose_gap(0.1, A100, window_seconds=10.0, limit=0.02, gaps=False)
    assert chosen.seconds == 0
    assert chosen.residual > 0.3


def test_a_sensor_that_looks_all_the_time_misses_little() -> None:
    assert residual(0.1, [Sensor(tick=0.1, seen=1.0)], steps=100) < 1e-12


@settings(max_examples=40, deadline=None)
@given(st.floats(0.001, 3.0), st.floats(2.0, 30.0))
def test_a_rest_never_makes_it_worse_and_is_shorter_than_a_tick(step: float, window: float) -> None:
    bare = choose_gap(step, A100, window_seconds=window, limit=0.01, gaps=False)
    chosen = choose_gap(step, A100, window_seconds=window, limit=0.01)
    assert 0 <= chosen.seconds <= 0.1
    assert chosen.residual <= bare.residual
