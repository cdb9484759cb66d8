import json

import pytest

from energybench import workloads
from energybench.model import Learner, Workload
from energybench.probes import operators

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from energybench.workloads.eqprop import _memory, _training  # noqa: E402 - needs torch
from energybench.workloads.eqprop.relaxation import DivergenceError  # noqa: E402

NAMES = ["eqprop-relax", "eqprop-train", "bp-train", "bptt-train"]
TRAINING = NAMES[1:]
PHASES = {"free_sweeps", "sweeps", "residual", "contraction"}
REPORTED = {
    "eqprop-relax": {"accuracy", "peak_memory_bytes", "most_sweeps", "unsettled_error", *PHASES},
    "eqprop-train": {"accuracy", "peak_memory_bytes", "loss", "nudged_sweeps", *PHASES},
    "bp-train": {"accuracy", "peak_memory_bytes", "loss"},
    "bptt-train": {"accuracy", "peak_memory_bytes", "loss", *PHASES},
}


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def prepare():
    """Tasks of networks that were trained for three epochs, closed at the end."""
    opened = []

    def make(name, *, seed=0, **parameters):
        opened.append(workloads.load(name).prepare({"epochs": 3, **parameters}, seed=seed, quick=True))
        return opened[-1]

    yield make
    for task in reversed(opened):
        task.close()


@pytest.mark.parametrize("name", NAMES)
def test_each_is_a_workload_whose_task_steps_judges_and_tells_what_it_did(prepare, name):
    workload = workloads.load(name)
    assert isinstance(workload, Workload)
    assert workload.name == name
    task = prepare(name)
    task.step()
    found = task.evaluate()
    assert set(found) == REPORTED[name]
    assert found["accuracy"] >= 0.85
    assert all(isinstance(value, float) for value in found.values())
    assert (task.samples, task.judged, task.file_bytes) == (64, 359, None)
    told = json.loads(json.dumps(task.definition))
    assert told == task.definition
    assert told["network"] == "64-128-10"
    assert told["training"]["epochs"] == 3
    assert told["data"]["name"] == "digits"


@pytest.mark.parametrize("name", NAMES)
def test_the_finished_network_is_not_touched_by_the_measured_steps(prepare, name):
    task = prepare(name)
    before = task.evaluate()
    for _ in range(5):
        task.step()
    assert task.evaluate() == before
    _training.forget()
    again = prepare(name)
    assert again.definition == task.definition
    assert again.evaluate() == before
    assert prepare(name, seed=1).definition != task.definition


@pytest.mark.parametrize("name", TRAINING)
def test_a_step_trains(prepare, name):
    task = prepare(name)
    losses = []
    step = task._trainer.step
    task._trainer.step = lambda: losses.append(float(step()))
    for _ in range(44):
        task.step()
    assert sum(losses[-5:]) < 0.5 * sum(losses[:5])


@pytest.mark.parametrize("name", TRAINING)
def test_a_learner_learns_pass_by_pass_from_the_start(prepare, name):
    task = prepare(name)
    learner = task.learner(seed=2)
    assert isinstance(learner, Learner)
    assert learner.passes == 3
    before = learner.accuracy()
    assert learner.learn() == 22 * 64
    first = learner.accuracy()
    assert learner.accuracy() == first
    learner.learn()
    assert before < 0.4 < first < 1
    again = task.learner(seed=2)
    again.learn()
    assert again.accuracy() == first


def test_relaxing_has_no_learner(prepare):
    assert not hasattr(prepare("eqprop-relax"), "learner")


def test_sweeps_of_a_centered_estimate_count_both_nudged_phases_and_those_of_others_one(prepare):
    centered = prepare("eqprop-train").evaluate()
    assert [centered[name] for name in ("free_sweeps", "nudged_sweeps", "sweeps")] == [12, 8, 28]
    one_sided = prepare("eqprop-train", estimator="one-sided", free=6, nudged=5).evaluate()
    assert [one_sided[name] for name in ("free_sweeps", "nudged_sweeps", "sweeps")] == [6, 5, 11]
    watched = prepare("eqprop-train", tolerance=1e-3, free=60, nudged=40).evaluate()
    assert 2 < watched["nudged_sweeps"] < watched["free_sweeps"] < 15
    assert watched["sweeps"] == pytest.approx(watched["free_sweeps"] + 2 * watched["nudged_sweeps"])


def test_deeper_networks_get_more_sweeps(prepare):
    found = prepare("eqprop-train", net="64-32-32-10", epochs=1).evaluate()
    assert (found["free_sweeps"], found["nudged_sweeps"]) == (20, 10)
    assert prepare("bptt-train", net="64-16-16-16-10", epochs=1).evaluate()["sweeps"] == 40


def test_each_sample_relaxes_to_the_tolerance_for_itself(prepare):
    task = prepare("eqprop-relax", batch=128, tolerance=1e-4)
    found = task.evaluate()
    assert found["unsettled_error"] == 0
    assert found["sweeps"] < found["most_sweeps"] - 0.5
    finer = prepare("eqprop-relax", batch=128, tolerance=1e-6).evaluate()
    assert finer["sweeps"] > found["sweeps"]
    # A batch that waits for its last sample takes part in all of its sweeps.
    together = prepare("eqprop-relax", batch=128, tolerance=1e-4, compact=False).evaluate()
    assert together["sweeps"] >= found["most_sweeps"] - 1
    assert together["accuracy"] == pytest.approx(found["accuracy"], abs=0.003)


def test_without_a_tolerance_all_sweeps_are_done(prepare):
    task = prepare("eqprop-relax", tolerance=0.0, free=7)
    found = task.evaluate()
    assert "unsettled_error" not in found
    assert found["sweeps"] == found["most_sweeps"] == 7
    assert task.details()["relaxation"]["active"] == [64] * 7


def test_details_tell_the_relaxation_sweep_by_sweep(prepare):
    task = prepare("eqprop-relax")
    told = task.details()["relaxation"]
    assert json.loads(json.dumps(told)) == told
    assert set(told) == {"sweep", "active", "residual_median", "residual_max", "seconds"}
    most = int(task.evaluate()["most_sweeps"])
    assert told["sweep"] == list(range(1, most + 1))
    assert told["active"][0] == 64
    assert told["active"] == sorted(told["active"], reverse=True)
    assert told["seconds"][0] > 0
    assert told["seconds"] == sorted(told["seconds"])
    assert all(0 < middle <= top for middle, top in zip(told["residual_median"], told["residual_max"], strict=True))
    assert told["residual_max"][-1] < 0.05 * told["residual_max"][0]


@pytest.mark.parametrize("estimator", ["centered", "one-sided", "random-sign"])
@pytest.mark.parametrize("tolerance", [0.0, 1e-3])
def test_training_tells_its_free_and_its_nudged_phase_sweep_by_sweep(prepare, estimator, tolerance):
    task = prepare("eqprop-train", estimator=estimator, tolerance=tolerance)
    told = task.details()["relaxation"]
    assert json.loads(json.dumps(told)) == told
    free = told["phase"].count("free")
    assert told["phase"] == ["free"] * free + ["nudged"] * (len(told["phase"]) - free)
    assert told["sweep"] == list(range(1, len(told["phase"]) + 1))
    assert told["seconds"] == sorted(told["seconds"])
    assert told["seconds"][0] > 0
    assert (told["active"][0], told["active"][free]) == (64, 128 if estimator == "centered" else 64)
    # The nudge pulls away what had come to rest, and it comes to rest again.
    residuals = told["residual_median"]
    assert residuals[free] > 2 * residuals[free - 1]
    assert told["residual_max"][-1] < told["residual_max"][free]
    if not tolerance:
        found = task.evaluate()
        assert (free, len(told["phase"]) - free) == (found["free_sweeps"], found["nudged_sweeps"])


def test_a_training_without_a_nudged_phase_tells_no_sweeps(prepare):
    assert prepare("bp-train").details() == prepare("bptt-train").details() == {}


def test_a_training_that_no_longer_settles_is_told_and_not_lost(prepare):
    _training.forget()
    task = prepare("eqprop-train", mode="sync")
    for coupling in task._finished.network.couplings[1:]:
        coupling.weight.mul_(30)
    assert "diverges in layer" in task.details()["diverged"]
    _training.forget()


def test_a_diverging_relaxation_stops_and_keeps_what_was_seen(prepare):
    _training.forget()
    task = prepare("eqprop-relax", mode="sync")
    task.step()
    for coupling in task._trainer.network.couplings[1:]:
        coupling.weight.mul_(30)
    with pytest.raises(
        DivergenceError, match=r"layer \d at sweep \d+: contraction .*largest residuals ended with"
    ) as caught:
        task.step()
    assert "\n" not in str(caught.value)
    told = task.details()["relaxation"]
    assert len(told["sweep"]) == len(caught.value.trace) > 1
    assert told["residual_max"][-1] > 0.1
    _training.forget()


def test_a_diverging_training_says_where(prepare):
    with pytest.raises(ValueError, match=r"diverges in layer|training stopped") as caught:
        prepare("eqprop-train", learning_rate=1e4)
    assert "\n" not in str(caught.value)


def test_memory_of_a_step_grows_with_the_tape_and_not_with_sweeps(prepare):
    short, long = (
        [prepare(name, net="64-64-10", epochs=1, free=free).evaluate()["peak_memory_bytes"] for free in (10, 40)]
        for name in ("eqprop-train", "bptt-train")
    )
    assert short[0] == short[1]
    assert long[1] > 2 * long[0] > 2 * short[0]


def test_the_peak_is_what_is_held_at_once():
    def work():
        first = torch.empty(1000, 1000)
        second = first + 1
        del first
        return second.double()

    # At the end: 4 MB of floats and 8 MB of doubles.
    assert _memory.peak_bytes(work, "cpu") == 12_000_000


@pytest.mark.parametrize("name", NAMES)
def test_operators_of_a_step_are_counted(prepare, name):
    task = prepare(name)
    task.step()
    counts = operators.count(task.step)
    couplings = 64 * (64 * 128 + 128 * 10)
    assert counts.operations["fp32.mul"] > (1 if name == "eqprop-relax" else 2) * couplings


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("eqprop-relax", {"dtype": "bfloat16"}), ("eqprop-relax", {"net": "8s3-10", "batch": 20}),
        ("eqprop-relax", {"hidden": "sigmoid", "mode": "euler"}),
        ("eqprop-train", {"dtype": "bfloat16", "deviation": True}),
        ("eqprop-train", {"net": "8s3-10"}), ("bp-train", {"hidden": "relu", "dtype": "bfloat16"}),
        ("bp-train", {"net": "8s3-10"}), ("bptt-train", {"through": 4, "mode": "sync"}),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(f"{k}={v}" for k, v in value.items()),
)  # fmt: skip
def test_parameters_reach_the_task_and_its_definition(prepare, name, parameters):
    task = prepare(name, **{"epochs": 2, **parameters})
    task.step()
    assert task.evaluate()["accuracy"] > 0.5
    told = task.definition
    everything = {**told["training"], **told.get("relaxation", {}), "hidden": told["hidden"], "batch": told["batch"]}
    for key in set(parameters) - {"net"}:
        assert everything[key] == parameters[key]
    assert told["network"] == ("1×8×8-8s3-10" if "net" in parameters else "64-128-10")


@pytest.mark.parametrize(
    ("name", "wrong", "told"),
    [
        ("eqprop-train", {"beta": 0.0}, "beta=0"), ("eqprop-train", {"beta": -0.5}, "wrong sign"),
        ("eqprop-train", {"net": "64-128-9"}, "64-128-10 would"),
        ("eqprop-relax", {"net": "63-128-10"}, "64-128-10 would"),
        ("eqprop-train", {"hidden": "relu"}, "hard-sigmoid, sigmoid, tanh"),
        ("eqprop-train", {"dtype": "int8"}, "deviation=true"),
        ("eqprop-train", {"tolerance": -1.0}, "tolerance=-1"), ("eqprop-train", {"nudged": -1}, "nudged=-1"),
        ("eqprop-train", {"epochs": -1}, "epochs=-1"), ("eqprop-train", {"learning_rate": -0.1}, "learning_rate=-0.1"),
        ("eqprop-train", {"batch": 5000}, "use 1 to 1438"), ("eqprop-train", {"threads": 0}, "threads=0"),
        ("eqprop-train", {"data": "digit"}, "did you mean digits"), ("eqprop-relax", {"batch": 360}, "use 1 to 359"),
        ("eqprop-relax", {"free": 0}, "free=0"), ("eqprop-relax", {"tolerance": -1e-3}, "tolerance=-0.001"),
        ("eqprop-relax", {"step_size": 2.0, "mode": "euler"}, "step_size=2"), ("bp-train", {"batch": 0}, "batch=0"),
        ("bptt-train", {"through": 50}, "through=50"), ("bptt-train", {"net": "32c5-64c5-10"}, "5×5"),
        ("bptt-train", {"mode": "euler"}, "async, sync"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_in_one_line(prepare, name, wrong, told):
    with pytest.raises((ValueError, LookupError), match=told) as caught:
        prepare(name, **{"epochs": 1, **wrong})
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("name", NAMES)
def test_a_gpu_that_is_not_there_is_refused(prepare, name):
    with pytest.raises(ValueError, match="use device=cpu"):
        prepare(name, device="cuda")


@pytest.mark.hardware
@pytest.mark.parametrize("name", NAMES)
def test_a_gpu_trains_and_relaxes_as_a_cpu_does(prepare, name):
    if not torch.cuda.is_available():
        pytest.skip("there is no GPU")
    task, reference = prepare(name, device="cuda"), prepare(name)
    for _ in range(3):
        task.step()
    found, wanted = task.evaluate(), reference.evaluate()
    assert set(found) == set(wanted)
    assert found["accuracy"] == pytest.approx(wanted["accuracy"], abs=0.03)
    assert found["peak_memory_bytes"] > 1e5
    if name in TRAINING:
        learner = task.learner(seed=1)
        learner.learn()
        assert learner.accuracy() > 0.5


def test_interleaved_tasks_run_on_their_own_threads_and_give_them_back():
    before = torch.get_num_threads()
    one, two = (
        workloads.load("bp-train").prepare({"epochs": 1, "threads": threads}, seed=0, quick=True) for threads in (1, 2)
    )
    for task, threads in ((one, 1), (two, 2), (one, 1)):
        task.step()
        assert torch.get_num_threads() == threads
    two.close()
    one.close()
    assert torch.get_num_threads() == before


def test_the_memory_of_training_is_that_of_its_weights_and_a_step_and_not_of_drawing_first_weights(prepare):
    wide = prepare("bp-train", net="64-2000-10", epochs=1).evaluate()["peak_memory_bytes"]
    weights = 4 * (64 * 2000 + 2000 + 2000 * 10 + 10)
    # Weights, gradients, momenta; drawing the weights takes 16 bytes of each, beside the weights.
    assert 3 * weights < wide < 3 * weights + 4 * (64 * 2000 * 6) + 200_000


@pytest.mark.parametrize(
    ("name", "parameters", "said"),
    [
        ("eqprop-relax", {"batch": 360}, "batch=360 does not fit 359 held-out samples: use 1 to 359"),
        ("eqprop-relax", {"step_size": 0.0}, "step_size=0.0 does not fit"),
        ("eqprop-relax", {"tolerance": float("inf")}, "tolerance=inf does not fit"),
        ("eqprop-train", {"tolerance": float("nan")}, "tolerance=nan does not fit"),
        ("eqprop-train", {"net": "64-99999999-10"}, "would have 6,399,999,936 weights, more than"),
        ("eqprop-train", {"net": "٦٤-8-10"}, "units or channels joined by -"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_trained(prepare, monkeypatch, name, parameters, said):
    monkeypatch.setattr(_training.Trainer, "epoch", None)
    with pytest.raises(ValueError, match=said):
        prepare(name, **parameters)
