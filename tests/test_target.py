"""Energy to an accuracy: what a training takes, what is said where it does not get there, and what tasks may offer."""

import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energybench import extras, results, training
from energybench._commands.points import names
from energybench.config import SettingError, load_settings
from energybench.extras import TaskError
from energybench.model import Learner, Modelled, Parameter
from energybench.protocol import Progress, Settings, plan
from energybench.record import Record

FAKES = Path(__file__).parent / "fakes"
LEARNS = {0: [0.5, 0.9, 0.97], 1: [0.8, 0.98], 2: [0.6, 0.91, 0.975], 3: [0.7, 0.97]}
"""Passes to 97 %: 3, 2, 3 and 2."""


def to(accuracy: float, **changes: Any) -> Settings:
    short = {"windows": 4, "window_seconds": 2.0, "idle_seconds": 4.0, "warmup_seconds": 4.0}
    return Settings(energy_to_accuracy=accuracy, **(short | changes))


@pytest.fixture
def record(world: Any) -> Record:
    """Four trainings to 97 %, at 50 W, half a second a pass."""
    return world.measure(*world.points(8, learns=LEARNS), to(0.97))


def test_joules_are_those_of_the_passes_and_judging_is_not_among_them(record: Record) -> None:
    gross, net = record.results["joules_to_accuracy"], record.results["net_joules_to_accuracy"]
    assert gross.value == pytest.approx(2.5 * 25, rel=2e-3)
    assert net.value == pytest.approx(2.5 * 15, rel=4e-3)
    assert gross.provenance == "simulated"
    assert gross.repeats == 4
    assert record.total is not None
    assert record.total.joules == pytest.approx(10 * 25, rel=2e-3)
    assert record.seconds == pytest.approx(10 * 0.5, rel=1e-3)


def test_the_interval_is_over_the_repeats(record: Record) -> None:
    metric = record.results["joules_to_accuracy"]
    scatter = 25 * math.sqrt(1 / 3) / 2  # 2, 2, 3 and 3 passes: the standard error of their mean
    assert metric.repeatability == pytest.approx(scatter, rel=5e-3)
    assert metric.high is not None
    assert metric.high - metric.value == pytest.approx(3.182 * scatter, rel=5e-3)
    assert not metric.higher_is_better


def test_passes_samples_seconds_and_accuracy_are_told_too(record: Record) -> None:
    found = record.results
    assert found["passes_to_accuracy"].value == 2.5
    assert found["samples_to_accuracy"].value == 250
    assert found["seconds_to_accuracy"].value == pytest.approx(1.25, rel=1e-3)
    assert found["accuracy"].value == pytest.approx((0.97 + 0.98 + 0.975 + 0.97) / 4)
    assert found["accuracy"].higher_is_better
    assert found["dram_bytes_to_accuracy"].value == pytest.approx(1.25 * 4e9, rel=5e-3)
    assert not any(name.endswith("per_sample") for name in found)


def test_a_record_says_what_it_was_trained_to_and_when_that_counts(record: Record) -> None:
    assert record.parameters == {"bits": 8, "energy_to_accuracy": 0.97}
    goal = record.workload.definition["goal"]
    assert goal == {"accuracy": 0.97, "criterion": training.CRITERION, "most_passes": 3, "seeds": [0, 1, 2, 3]}
    told = record.to_json()
    assert told["protocol"]["energy_to_accuracy"] == 0.97
    assert told["protocol"]["criterion"] == training.CRITERION
    assert told["protocol"]["windows"] == 4
    target = told["target"]
    assert (target["reached"], target["best_accuracy"]) == (4, 0.98)
    assert [one["passes"] for one in target["repeats"]] == [3, 2, 3, 2]
    assert [one["accuracies"] for one in target["repeats"]] == list(LEARNS.values())


def test_every_pass_is_a_window_with_the_accuracy_that_followed(record: Record) -> None:
    assert [(w.round, w.training_pass) for w in record.windows] == [
        (turn, number + 1) for turn, passes in LEARNS.items() for number in range(len(passes))
    ]
    assert [w.accuracy for w in record.windows] == [share for shares in LEARNS.values() for share in shares]
    assert all(w.seconds == pytest.approx(0.5, rel=1e-3) for w in record.windows)


def test_modelled_joules_are_one_counted_pass_times_the_passes(record: Record, world: Any) -> None:
    metric = record.results["modelled_joules_to_accuracy"]
    low, high = (
        results.repeated([3, 2, 3, 2], unit="1", provenance="measured").model_dump()[k] for k in ("low", "high")
    )
    assert (metric.value, metric.low, metric.high) == pytest.approx((2.5 * 2e-6, low * 1e-6, high * 3e-6))
    assert metric.provenance == "modelled"
    assert record.results["operand_bytes_to_accuracy"].value == 2500
    assert record.modelled is not None
    assert record.modelled.joules == pytest.approx(10 * 2e-6)
    assert world.counter.calls == 1
    assert world.calls[-3:] == ["b8:learner 0", "b8:pass", "b8:close"]


def test_where_one_training_falls_short_what_it_used_is_paid_by_the_others(world: Any) -> None:
    learns = LEARNS | {2: [0.6, 0.95, 0.96]}
    record = world.measure(*world.points(8, learns=learns), to(0.97))
    found = record.results
    assert found["passes_to_accuracy"].value == pytest.approx(10 / 3)
    assert found["joules_to_accuracy"].value == pytest.approx(25 * 10 / 3, rel=2e-3)
    assert found["modelled_joules_to_accuracy"].value == pytest.approx(2e-6 * 10 / 3)
    assert found["passes_to_accuracy"].median is None
    # The ratio's scatter, linearised: passes less the ratio where it was reached, over the share of successes.
    left = [3 - 10 / 3, 2 - 10 / 3, 3, 2 - 10 / 3]
    error = math.sqrt(sum(one**2 for one in left) / 3 / 4) / 0.75
    assert found["passes_to_accuracy"].repeatability == pytest.approx(error)
    assert found["joules_to_accuracy"].repeatability == pytest.approx(25 * error, rel=5e-3)
    assert found["accuracy"].value == pytest.approx((0.97 + 0.98 + 0.96 + 0.97) / 4)
    assert "target-not-reached" in record.flags
    assert record.target is not None
    assert record.target.reached == 3
    assert [one.reached for one in record.target.repeats] == [True, True, False, True]


def test_where_no_training_gets_there_there_are_no_joules_to_the_accuracy(world: Any) -> None:
    learns = {seed: [*shares, 0.9][:3] for seed, shares in LEARNS.items()}
    record = world.measure(*world.points(8, learns=learns), to(0.99))
    assert record.results.keys() == {"accuracy"}
    assert "target-not-reached" in record.flags
    assert record.target is not None
    assert record.target.best_accuracy == 0.98
    assert record.total is not None  # what was used is kept, whatever it led to


@given(
    st.lists(st.tuples(st.floats(0.1, 1e3), st.booleans()), min_size=2, max_size=9).filter(
        lambda x: any(s for _, s in x)
    )
)
def test_joules_over_successes_are_the_sum_of_all_over_their_number(drawn: list[tuple[float, bool]]) -> None:
    values, succeeded = zip(*drawn, strict=True)
    found = results.per_success(values, succeeded)
    assert math.fsum(found) / len(found) == pytest.approx(math.fsum(values) / sum(succeeded))
    assert not all(succeeded) or found == pytest.approx(list(values))


def test_the_best_accuracy_counts_where_the_last_was_worse(world: Any) -> None:
    record = world.measure(*world.points(8, learns={0: [0.5, 0.9, 0.8]}), to(0.97, windows=1))
    assert record.results["accuracy"].value == 0.9
    assert record.target is not None
    assert record.target.best_accuracy == 0.9


def test_without_a_counter_the_estimate_has_at_least_a_factor_of_two_either_way(world: Any) -> None:
    from energybench.probes import estimate

    world.probes = {"estimate": estimate.open_probe(clock=world.clock)}
    found = world.measure(*world.points(8, learns=LEARNS), to(0.97)).results
    metric = found["estimated_joules_to_accuracy"]
    assert metric.provenance == "estimated"
    assert metric.low is not None
    assert metric.high is not None
    assert metric.low < metric.value / 2
    assert metric.high > metric.value * 2
    assert "joules_to_accuracy" not in found


def test_each_round_trains_every_point_once_with_the_rounds_own_seed(world: Any) -> None:
    world.run(world.points(1, 2, learns=LEARNS), to(0.97))
    made = [call for call in world.calls if "learner" in call]
    rounds = [made[start : start + 2] for start in range(0, 8, 2)]
    assert [sorted(one) for one in rounds] == [[f"b1:learner {seed}", f"b2:learner {seed}"] for seed in range(4)]


def test_ctrl_c_keeps_the_finished_trainings_and_resume_begins_the_other_anew(world: Any) -> None:
    def stop(told: Progress) -> None:
        if told.stage == "training" and told.done == 2 and told.note.startswith("pass 2"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        world.run(world.points(8, learns=LEARNS), to(0.97), progress=stop)
    (journal,) = world.store.journals.iterdir()
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    kept = [line["elapsed_seconds"] for line in lines if line["event"] == "repeat"]
    assert len(kept) == 2
    world.calls.clear()
    record = world.measure(*world.points(8, learns=LEARNS), to(0.97), resume=True)
    assert [call for call in world.calls if "learner" in call] == [f"b8:learner {seed}" for seed in (2, 3, 0)]
    assert record.target is not None
    assert [one.elapsed_seconds for one in record.target.repeats][:2] == kept
    assert "resumed" in record.flags
    assert not world.store.journals.exists()


def test_a_point_with_a_target_is_another_point(world: Any) -> None:
    points = world.points(8, learns=LEARNS)
    ids = {world.measure(*points, settings).id for settings in (to(0.97), to(0.95), Settings(**SHORT))}
    assert len({one.rpartition("-")[2] for one in ids}) == 3


SHORT: dict[str, Any] = {"windows": 2, "window_seconds": 1.0, "idle_seconds": 1.0, "warmup_seconds": 1.0}


def test_a_plan_knows_the_time_of_trainings_that_were_measured_before(world: Any, record: Record) -> None:
    points = world.points(8, learns=LEARNS)
    (first,) = plan(points, meter=world.meter(), settings=to(0.97))
    (again,) = plan(points, meter=world.meter(), settings=to(0.97), history=[record])
    assert first.window_seconds is None
    assert not first.measured_before
    assert again.measured_before
    assert again.seconds == pytest.approx(8 + 4 * (1.25 + 2.5), abs=4.5)  # baselines, four trainings, a warm-up


def learner(**changes: Any) -> Any:
    sound = {"passes": 1, "learn": lambda: 10, "accuracy": lambda: 0.5}
    return SimpleNamespace(**(sound | changes))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"passes": 0}, "its learner has passes=0; it is a whole number, 1 or more"),
        ({"passes": True}, "passes=True"),
        ({"learn": lambda: None}, "learn() gave None; it gives the number of samples of the pass, 1 or more"),
        ({"learn": lambda: 0}, "learn() gave 0"),
        ({"accuracy": lambda: 97.0}, "accuracy() gave 97.0; it gives a share from 0 to 1"),
        ({"accuracy": lambda: math.nan}, "accuracy() gave nan"),
        ({"accuracy": lambda: "good"}, "accuracy() gave 'good'; it gives a share from 0 to 1"),
        ({"accuracy": lambda: "0.95"}, "accuracy() gave '0.95'; it gives a share from 0 to 1"),
    ],
)
def test_a_learner_that_says_what_cannot_be_fails_its_point_in_one_line(world: Any, changes: Any, said: str) -> None:
    (point,) = world.points(8)
    prepare = point.workload.prepare

    def prepared(*arguments: Any, **options: Any) -> Any:
        task = prepare(*arguments, **options)
        task.learner = lambda seed: learner(**changes)
        return task

    point.workload.prepare = prepared
    (failure,) = world.run([point], to(0.97)).failures
    assert str(failure.error).startswith("work: ")
    assert said in str(failure.error)
    assert isinstance(failure.error, TaskError)


def test_a_task_without_a_learner_is_told_before_anything_runs(world: Any) -> None:
    outcome = world.run([*world.points(8), *world.points(4, learns=LEARNS)], to(0.97))
    (failure,) = outcome.failures
    assert "work cannot be trained to an accuracy: its task offers no learner(seed)" in str(failure.error)
    assert world.calls[0] == "b8:close"
    assert len(outcome.records) == 1


@given(st.integers(1, 10_000), st.data())
def test_an_accuracy_in_float32_reaches_the_share_that_it_is(samples: int, drawn: Any) -> None:
    import numpy as np

    right = drawn.draw(st.integers(1, samples))
    assert training.reaches(float(np.float32(right / samples)), right / samples)
    assert not training.reaches((right - 1) / samples, right / samples)


@pytest.mark.parametrize("value", ["0", "1.01", "97", "-0.5", "nan", "inf", "much"])
def test_a_target_outside_of_0_to_1_is_refused(value: str) -> None:
    with pytest.raises(SettingError, match=r"--energy-to-accuracy is .*; give a (share above 0|number)"):
        load_settings({"energy_to_accuracy": value}, environ={})


def test_the_protocol_refuses_such_a_target_too() -> None:
    with pytest.raises(ValueError, match=r"give a share above 0 and at most 1, as 0\.97"):
        to(1.5)


def test_environment_and_file_can_set_the_target(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.energybench]\nenergy_to_accuracy = 0.9\n")
    assert load_settings({}, environ={}, start=tmp_path).energy_to_accuracy == 0.9
    above = {"ENERGYBENCH_ENERGY_TO_ACCURACY": "0.95"}
    assert load_settings({}, environ=above, start=tmp_path).energy_to_accuracy == 0.95
    assert load_settings({"energy_to_accuracy": 1.0}, environ=above, start=tmp_path).energy_to_accuracy == 1


def test_what_costs_is_better_when_it_is_less_and_has_its_unit() -> None:
    names = ("accuracy", "free_sweeps", "sweeps", "residual", "contraction", "test_error", "loss", "peak_memory_bytes")
    found = results.quality_metrics(dict.fromkeys(names, 0.5))
    assert [name for name in names if found[name].higher_is_better] == ["accuracy"]
    assert {name: found[name].unit for name in ("peak_memory_bytes", "sweeps")} == {
        "peak_memory_bytes": "B",
        "sweeps": "1",
    }


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (7, "modelled() gave 7; it gives a dict of Modelled"),
        ({"x": 7.0}, "modelled() gave x=7.0; give a Modelled(value=…, low=…, high=…, unit=…)"),
        ({"x": Modelled(value=math.nan)}, "its numbers are finite"),
        ({"x": Modelled(value=1.0, high=math.inf)}, "its numbers are finite"),
        ({"x": Modelled(value=1.0, low=2.0)}, "low ≤ value ≤ high"),
        ({"x": Modelled(value=1.0, high=0.5)}, "low ≤ value ≤ high"),
        ({"x": Modelled(value=1.0, unit="")}, "give one, as 'J'"),
        ({"accuracy": Modelled(value=1.0)}, "which is another result's name"),
        ({"joules_per_sample": Modelled(value=1.0)}, "which is another result's name"),
        ({"joules_to_accuracy": Modelled(value=1.0)}, "which is another result's name"),
        ({"dram_bytes_per_sample": Modelled(value=1.0, unit="B")}, "which is another result's name"),
        ({"file_bytes": Modelled(value=1.0, unit="B")}, "which is another result's name"),
        ({"": Modelled(value=1.0)}, "gave the name ''"),
        ({1: Modelled(value=1.0)}, "gave the name 1"),
        ({"x": Modelled(value=True)}, "its numbers are finite"),
        ({"x": Modelled(value=-1.0)}, "joules are 0 or more"),
        ({"modelled_joules_per_sample": Modelled(value=1.0)}, "which is another result's name"),
    ],
)
def test_a_modelled_number_that_is_none_is_named_in_one_line(told: Any, said: str) -> None:
    with pytest.raises(TaskError) as caught:
        extras.modelled("work", SimpleNamespace(modelled=lambda: told), {"accuracy"})  # type: ignore[arg-type]
    assert said in str(caught.value)
    assert str(caught.value).startswith("work: modelled() gave ")


@pytest.mark.parametrize("told", [7, {"x": math.inf}, {"x": {1, 2}}, {"x": object()}])
def test_details_that_are_no_json_are_refused_in_one_line(told: Any) -> None:
    with pytest.raises(TaskError, match=r"^work: details\(\) ") as caught:
        extras.details("work", SimpleNamespace(details=lambda: told))  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_joules_that_a_workload_computes_are_no_quality() -> None:
    with pytest.raises(TaskError, match="belong in modelled"):
        extras.judged("work", {"analog_joules": 1e-9})


@pytest.fixture
def call(tmp_path: Path) -> Any:
    """Run energybench with the softmax regression beside it: exit code, stdout, stderr."""
    (tmp_path / "softmax.py").write_text((FAKES / "softmax_digits.py").read_text())

    def finish(*arguments: str) -> tuple[int, str, str]:
        own = {k: v for k, v in os.environ.items() if not k.startswith("ENERGYBENCH_")}
        own |= {"ENERGYBENCH_SIMULATE": "1", "ENERGYBENCH_IDLE": "0.1", "ENERGYBENCH_WARMUP": "0.1"}
        own |= {"ENERGYBENCH_LOCK": str(tmp_path / "lock"), "TMPDIR": str(tmp_path)}
        command = [sys.executable, "-m", "energybench", *arguments]
        done = subprocess.run(command, env=own, cwd=tmp_path, capture_output=True, text=True, timeout=120)
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, done.stdout, done.stderr

    return finish


RUN = ("run", "./softmax.py", "--quick", "--windows", "2")


def test_a_real_training_is_run_to_its_accuracy_reported_and_not_run_twice(call: Any, tmp_path: Path) -> None:
    wanted = (*RUN, "-p", "rate=0.5,0.001", "--energy-to-accuracy", "0.9")
    code, out, err = call(*wanted, "--json")
    assert code == 0, err
    there, short = json.loads(out)["records"]
    metric = there["results"]["joules_to_accuracy"]
    assert metric["provenance"] == "simulated"
    assert metric["value"] > 0
    assert all(one["accuracies"][-1] >= 0.9 for one in there["target"]["repeats"])
    assert all(share < 0.9 for one in there["target"]["repeats"] for share in one["accuracies"][:-1])
    assert short["results"].keys() == {"accuracy"}
    assert "softmax-digits rate=0.001: 90 % not reached in 12 passes, best accuracy " in err
    assert "to 90 % accuracy" in err

    code, out, _ = call(*wanted, "--resume", "--dry-run")
    assert "0 of 2 points to train 2 times from scratch to an accuracy of 90 %" in out

    assert call(*RUN, "--seconds", "0.1")[0] == 0
    code, out, err = call("report")
    assert (code, err) == (0, "")
    assert "to 90 % accuracy, digits" in out
    assert "softmax-digits, per sample" in out
    page = (tmp_path / "site" / "index.html").read_text()
    assert "Energy to 90 % accuracy, digits" in page
    kept = [json.loads(path.read_text()) for path in (tmp_path / ".energybench").rglob("*.json")]
    (steps,) = [one for one in kept if "target" not in one]
    assert steps["results"]["analog_joules_per_sample"]["provenance"] == "modelled"
    assert steps["details"]["weights"][0] < steps["details"]["weights"][1]


def test_a_failure_is_told_by_what_varies_or_is_not_at_its_default(world: Any) -> None:
    (point,) = world.points(8)
    known = {"bits": Parameter(default=8, help="width"), "net": Parameter(default="mlp", help="layers")}
    work = SimpleNamespace(name="work", parameters=known)
    some = [replace(point, workload=work, parameters={"bits": bits, "net": "mlp"}) for bits in (8, 16)]
    assert list(names(some).values()) == ["work bits=8", "work bits=16"]
    assert list(names(some[:1]).values()) == ["work"]
    assert list(names(some[1:]).values()) == ["work bits=16"]
    assert list(names([point]).values()) == ["work"]


def test_a_target_in_percent_is_refused_in_one_line(call: Any) -> None:
    code, out, err = call(*RUN, "--energy-to-accuracy", "97")
    assert (code, out) == (1, "")
    assert err == "energybench: --energy-to-accuracy is 97.0; give a share above 0 and at most 1, as 0.97\n"


def test_qnn_train_learns_from_its_first_weights_and_judging_changes_nothing() -> None:
    pytest.importorskip("torch")
    from energybench import workloads

    few = {"hidden": 32, "depth": 1, "bits": 1, "epochs": 4, "sign": "stochastic"}
    task = workloads.load("qnn-train").prepare(few, seed=0, quick=True)
    try:
        judged, unjudged = (task.learner(3) for _ in range(2))  # type: ignore[attr-defined]
        assert isinstance(judged, Learner)
        found = []
        for _ in range(judged.passes):
            assert judged.learn() == unjudged.learn() == 22 * 64
            found.append(judged.accuracy())
        assert judged.passes == 4
        assert found[-1] == unjudged.accuracy() == judged.accuracy()
        assert found[0] < found[-1]
        assert found[-1] > 0.4
        assert task.learner(4).learn() == 22 * 64  # type: ignore[attr-defined]
    finally:
        task.close()
