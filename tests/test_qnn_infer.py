import json
import os
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from energybench import workloads
from energybench.model import UnknownNameError
from energybench.probes import operators

torch = pytest.importorskip("torch")
for needed in ("numba", "sklearn", "safetensors"):
    pytest.importorskip(needed)

from energybench.workloads.qnn import bits, training  # noqa: E402 - needs torch

# A small network has to take larger steps to learn in four epochs.
SMALL = {"hidden": 64, "epochs": 4, "batch": 64, "learning_rate": 1e-2}


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def prepare():
    """Tasks of small networks, closed at the end."""
    opened = []

    def make(name="qnn-infer", *, seed=0, **parameters):
        opened.append(workloads.load(name).prepare({**SMALL, **parameters}, seed=seed, quick=True))
        return opened[-1]

    yield make
    for task in reversed(opened):
        task.close()


@pytest.fixture
def exported(prepare, tmp_path):
    """The file of a network of one bit by four."""
    prepare("qnn-train", wbits=1, abits=4, export=str(tmp_path))
    (path,) = tmp_path.iterdir()
    return path


@pytest.mark.parametrize("width", bits.WIDTHS)
def test_the_deployed_network_knows_the_digits_at_every_width(prepare, width):
    task = prepare(bits=width)
    task.step()
    assert task.evaluate()["accuracy"] >= 0.88
    told = json.loads(json.dumps(task.definition))
    assert told == task.definition
    assert (told["wbits"], told["abits"], told["batch"], task.samples) == (width, width, 64, 64)
    assert told["network"] == "MLP 64-64-64-10"
    assert told["training"]["epochs"] == 4
    assert task.judged == 359


def test_its_accuracy_is_that_of_the_network_which_was_trained(prepare):
    for width in (1, 4, 8):
        recipe = training.Recipe(hidden=64, epochs=4, learning_rate=1e-2, wbits=width, abits=width)
        assert prepare(bits=width).evaluate() == {"accuracy": training.train(recipe).accuracy()}


def test_fewer_bits_are_fewer_bytes_in_the_file_and_fewer_joules_in_the_step(prepare):
    tasks = [prepare(bits=width, hidden=256, epochs=1, batch=8) for width in bits.WIDTHS]
    counts = [operators.count(task.step) for task in tasks]
    files, moved = [task.file_bytes for task in tasks], [count.operand_bytes for count in counts]
    joules = [operators.energy(count, "horowitz-45nm").joules for count in counts]
    for found in (files, moved, joules):
        assert found == sorted(set(found))
    assert files[-1] > 15 * files[0]
    assert all(count.unmapped == {} for count in counts)


def test_weights_and_activations_have_widths_of_their_own(prepare):
    task = prepare(wbits=1, abits=4, bits=8)
    assert (task.definition["wbits"], task.definition["abits"]) == (1, 4)
    assert task.definition["kernels"] == ["dot W1A8", "dot W1A4", "dot W1A4"]
    assert prepare(wbits=2, bits=8).definition["abits"] == 8


@pytest.mark.parametrize(
    ("arithmetic", "width", "kinds"), [("bits", 2, {"b1.xnor", "b1.popcount"}), ("int8", 1, {"int8.mul"})]
)
def test_the_arithmetic_may_be_chosen_and_the_scores_stay(prepare, arithmetic, width, kinds):
    task = prepare(bits=width, arithmetic=arithmetic)
    found = operators.count(task.step).operations
    assert kinds <= set(found)
    assert ("b1.xnor" in found) == (arithmetic == "bits")
    assert task.evaluate() == prepare(bits=width).evaluate()


def test_equal_seeds_give_equal_definitions_and_others_do_not(prepare):
    first = prepare(bits=2)
    training.forget()
    again, other = prepare(bits=2), prepare(bits=2, seed=1)
    assert first.definition == again.definition
    assert first.evaluate() == again.evaluate()
    assert first.definition != other.definition


def test_a_convolutional_network_runs_as_well(prepare):
    task = prepare(bits=2, net="vgg", hidden=8, depth=1, epochs=3, learning_rate=3e-3, batch=50)
    task.step()
    assert task.evaluate()["accuracy"] > 0.5
    assert task.definition["network"].startswith("VGG 8×8×1-8C3-8C3-MP2-")


@settings(deadline=None, max_examples=12)
@given(batch=st.integers(1, 400), width=st.sampled_from(bits.WIDTHS), threads=st.integers(1, 3))
def test_every_batch_runs_and_the_accuracy_does_not_depend_on_it(batch, width, threads):
    workload = workloads.load("qnn-infer")
    values = {**SMALL, "hidden": 30, "depth": 1, "epochs": 1, "bits": width}
    task = workload.prepare({**values, "batch": batch, "threads": threads}, seed=0, quick=True)
    assert task.samples == batch
    assert task._run(task._batch).shape == (batch, 10)
    wanted = workload.prepare(values, seed=0, quick=True).evaluate()["accuracy"]
    # Floats are added in another order in another batch: a sample between two classes may change sides.
    assert task.evaluate()["accuracy"] == pytest.approx(wanted, abs=0 if width <= 8 else 1 / 359 + 1e-9)
    task.close()


@pytest.mark.parametrize("width", [1, 32])
def test_torch_keeps_the_threads_it_had(prepare, width):
    before = torch.get_num_threads()
    task = prepare(bits=width, threads=2)
    task.step()
    task.evaluate()
    assert torch.get_num_threads() == before


# Networks of files


def test_a_file_is_run_with_the_accuracy_of_its_training(prepare, tmp_path):
    for width in (1, 8, 16):
        trained = prepare("qnn-train", bits=width, export=str(tmp_path))
        (path,) = tmp_path.glob(f"*W{width}A{width}*")
        # The seed of the run splits other data off: the file's own is asked for.
        task = prepare(bits=width, file=str(path), seed=9)
        assert task.file_bytes == trained.file_bytes == path.stat().st_size
        found, wanted = task.evaluate()["accuracy"], trained.evaluate()["accuracy"]
        assert found == pytest.approx(wanted, abs=0 if width <= 8 else 0.01)
        assert task.definition["training"]["seed"] == 0


def refused(prepare, complaint, **parameters):
    with pytest.raises(ValueError, match=complaint) as caught:
        prepare(**parameters)
    assert "\n" not in str(caught.value)


def test_a_file_of_other_widths_names_its_own(prepare, exported):
    complaint = f"file={exported} holds another network than was asked for: give --param wbits=1 --param abits=4"
    refused(prepare, re.escape(complaint), file=str(exported), bits=2)


def test_a_file_that_is_cut_off_or_missing_is_refused(prepare, exported):
    exported.write_bytes(exported.read_bytes()[:-100])
    refused(prepare, "is cut off: it has", file=str(exported), wbits=1, abits=4)
    exported.unlink()
    refused(prepare, "there is no such file; run qnn-train --param export=FOLDER", file=str(exported), wbits=1, abits=4)


def test_a_file_for_other_data_is_refused(prepare, exported):
    given = {"file": str(exported), "wbits": 1, "abits": 4}
    refused(prepare, "is another network: its data is digits, not glyphs", data="glyphs:600", **given)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read_is_an_error_of_the_system(prepare, exported):
    exported.chmod(0)
    with pytest.raises(PermissionError):
        prepare(file=str(exported), wbits=1, abits=4)


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        ({"bits": 5}, "bits=5 is not offered: choose from 1, 2, 3, 4, 8, 16, 32"),
        ({"wbits": 7}, "wbits=7 is not offered: choose from 0, 1, 2, 3, 4, 8, 16, 32"),
        ({"batch": 0}, "batch=0 does not fit: it is 1 or more"),
        ({"hidden": -5}, "hidden=-5 does not fit: it is 1 or more"),
        ({"depth": 0}, "depth=0 does not fit"),
        ({"threads": 0}, "threads=0 does not fit"),
        ({"net": "resnet"}, "net='?resnet'? is not offered: choose from mlp, vgg"),
        ({"arithmetic": "fp8"}, "arithmetic='?fp8'? is not offered on a CPU: choose from auto, bits, int8"),
        ({"arithmetic": "int4"}, "arithmetic='?int4'? is not offered: choose from auto, bits, int8, fp8"),
        ({"epochs": -1}, "epochs=-1 does not fit"),
        ({"learning_rate": 0.0}, "learning_rate=0.0 does not fit: it is above 0"),
        ({"learning_rate": 1e30, "bits": 32}, "training stopped: .*lower learning_rate"),
        ({"net": "vgg", "depth": 9}, "depth=9"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(prepare, parameters, complaint):
    refused(prepare, complaint, **parameters)


def test_an_unknown_parameter_or_data_set_is_answered_with_the_nearest(prepare):
    with pytest.raises(UnknownNameError, match="did you mean bits"):
        prepare(bit=8)
    with pytest.raises(UnknownNameError, match="did you mean digits"):
        prepare(data="digit")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
@pytest.mark.parametrize("name", ["qnn-infer", "qnn-train"])
def test_a_device_that_is_not_there_is_refused_in_one_line(prepare, name):
    refused(prepare, "device=cuda: torch finds no CUDA device here; use device=cpu", name=name, device="cuda")


@pytest.mark.hardware
@pytest.mark.parametrize("width", bits.WIDTHS)
@pytest.mark.parametrize("batch", [1, 256])
def test_the_same_network_runs_on_a_gpu(prepare, width, batch):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    task = prepare(bits=width, batch=batch, device="cuda")
    task.step()
    found, wanted = task.evaluate()["accuracy"], prepare(bits=width).evaluate()["accuracy"]
    assert found == pytest.approx(wanted, abs=0 if width <= 8 else 0.01)
    assert task.definition["isa"].startswith("sm_")
    scores = task._run(task._batch)
    assert np.array_equal(scores.argmax(1), task._run(task._rows(0)).argmax(1))
