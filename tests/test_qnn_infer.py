import os
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from energybench import workloads
from energybench.model import UnknownNameError
from energybench.probes import operators

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from energybench.workloads.qnn import _precision, _training  # noqa: E402 - needs torch

# A small network has to take larger steps to learn in five epochs.
SMALL = {"hidden": 64, "batch": 64, "learning_rate": 1e-2}


@pytest.fixture
def prepare():
    """Tasks of small networks, closed at the end."""
    opened = []

    def make(*, seed=0, **parameters):
        opened.append(workloads.load("qnn-infer").prepare({**SMALL, **parameters}, seed=seed, quick=True))
        return opened[-1]

    yield make
    for task in reversed(opened):
        task.close()


def small_network(hidden=64, depth=2, seed=0):
    return _training.train(
        _training.Recipe(data="digits", hidden=hidden, depth=depth, seed=seed, epochs=5, learning_rate=1e-2)
    )


def integer_scores(stored, pixels):
    """The 8-bit network in whole numbers of 64 bits: what every kernel must compute."""
    signal, top = pixels.long(), int(stored["top"])
    layers = sum(name.endswith(".weight") for name in stored)
    for index in range(layers):
        sums = (signal @ stored[f"{index}.weight"].long().t()).double()
        scores = sums * stored[f"{index}.input_scale"] * stored[f"{index}.scale"] + stored[f"{index}.bias"]
        if index < layers - 1:
            signal = (scores / stored[f"{index + 1}.input_scale"]).round().clamp(0, top).long()
    return scores


@pytest.mark.parametrize("bits", [8, 16, 32])
def test_the_network_learns_and_keeps_its_accuracy_at_every_width(prepare, bits):
    accuracy = prepare(bits=bits).evaluate()["accuracy"]
    assert accuracy >= 0.9
    assert abs(accuracy - prepare(bits=32).evaluate()["accuracy"]) <= 0.01


@pytest.mark.parametrize("rows", [1, 64], ids=["_int_mm", "onednn"])
@pytest.mark.parametrize("seed", [0, 1])
def test_int8_scores_follow_whole_number_arithmetic(rows, seed):
    trained = small_network(seed=seed)
    kernel = _precision.kernel(8, rows=rows, device="cpu")
    stored = _precision.export(trained, 8, top=_precision.largest_activation(kernel, "cpu"))
    run = _precision.network(stored, 8, rows=rows, levels=16, device="cpu")
    pixels = torch.from_numpy(trained.dataset.test_pixels[:320])
    found = torch.cat([run(part) for part in pixels.split(rows)]).double()
    wanted = integer_scores(stored, pixels)
    # A score on the edge between two levels may be rounded either way: one level of the last layer's input.
    level = float(stored["2.input_scale"] * stored["2.scale"].max() * 127)
    assert (found - wanted).abs().max() <= 4 * level
    assert ((found - wanted).abs().amax(1) < level / 100).float().mean() > 0.95
    assert (found.argmax(1) == wanted.argmax(1)).float().mean() > 0.99


def test_int8_stays_right_where_the_processor_has_no_instruction_for_it():
    code = (
        "from energybench import workloads\n"
        "task = workloads.load('qnn-infer').prepare(\n"
        "    {'bits': 8, 'hidden': 64, 'learning_rate': 1e-2}, seed=0, quick=True)\n"
        "assert task.definition['largest_activation'] == 127, task.definition\n"
        "assert task.evaluate()['accuracy'] >= 0.9, task.evaluate()\n"
    )
    if not torch.backends.mkldnn.is_available() or not torch.cpu._is_avx2_supported():
        pytest.skip("oneDNN's AVX2 path is an x86 one")
    environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_fewer_bits_are_fewer_bytes_in_the_file_and_in_the_step(prepare):
    tasks = {bits: prepare(bits=bits, hidden=256) for bits in (32, 16, 8)}
    files = {bits: task.file_bytes for bits, task in tasks.items()}
    counts = {bits: operators.count(task.step) for bits, task in tasks.items()}
    weights = 64 * 256 + 256 * 256 + 256 * 10
    for bits, size in files.items():
        assert weights * bits // 8 < size < weights * bits // 8 + 9000
    assert counts[8].operand_bytes < counts[16].operand_bytes < counts[32].operand_bytes
    joules = {bits: operators.energy(count, "horowitz-45nm").joules for bits, count in counts.items()}
    assert joules[8] < joules[16] < joules[32]


@pytest.mark.parametrize(("bits", "width"), [(8, "int8"), (16, "bf16"), (32, "fp32")])
@pytest.mark.parametrize("batch", [1, 64])
def test_the_products_are_made_at_the_width_that_is_claimed(prepare, bits, width, batch):
    counts = operators.count(prepare(bits=bits, batch=batch).step)
    products = batch * (64 * 64 + 64 * 64 + 64 * 10)
    assert products <= counts.operations[f"{width}.mul"] <= products + batch * 64
    assert counts.unmapped == {}
    if bits == 8:
        assert counts.operations["int32.add"] == products
        assert counts.flops < products / 10


def test_equal_seeds_give_equal_networks_and_others_do_not(prepare):
    first = small_network()
    _training.train.cache_clear()
    again, other = small_network(), small_network(seed=1)
    assert all(
        torch.equal(a, b)
        for one, two in zip(first.layers, again.layers, strict=True)
        for a, b in zip(one, two, strict=False)
    )
    assert not torch.equal(first.layers[0][0], other.layers[0][0])
    assert prepare(bits=8).definition == prepare(bits=8).definition
    assert prepare(bits=8).definition != prepare(bits=8, seed=1).definition


def test_the_deployed_network_is_what_its_file_holds():
    stored = _precision.export(small_network(), 8, top=255)
    loaded, size = _precision.deployed(stored)
    assert {name: tensor.dtype for name, tensor in loaded.items() if name.endswith("weight")} == {
        f"{index}.weight": torch.int8 for index in range(3)
    }
    assert all(torch.equal(stored[name], loaded[name]) for name in stored)
    assert size > sum(tensor.nbytes for tensor in stored.values())


@settings(deadline=None, max_examples=12)
@given(batch=st.integers(1, 400), hidden=st.integers(1, 40), depth=st.integers(1, 3))
def test_every_shape_runs_and_the_step_is_the_batch(batch, hidden, depth):
    values = {"batch": batch, "hidden": hidden, "depth": depth, "bits": 8}
    trained = small_network(hidden=hidden, depth=depth)
    for bits in (8, 16, 32):
        task = workloads.load("qnn-infer").prepare({**values, "bits": bits}, seed=0, quick=True)
        assert task.samples == batch
        assert task._scores(task._batch).shape == (batch, 10)
        assert task.definition["network"] == f"MLP {'-'.join(map(str, trained.widths))}, ReLU"
        task.close()


def test_a_task_runs_on_the_threads_it_was_given_and_gives_them_back():
    before = torch.get_num_threads()
    one = workloads.load("qnn-infer").prepare({**SMALL, "bits": 32, "threads": 1}, seed=0, quick=True)
    two = workloads.load("qnn-infer").prepare({**SMALL, "bits": 32, "threads": 2}, seed=0, quick=True)
    one.step()
    assert torch.get_num_threads() == 1
    two.step()
    assert torch.get_num_threads() == 2
    two.close()
    one.close()
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        ({"bits": 4}, "bits=4 is not offered: choose from 8, 16, 32"),
        ({"batch": 0}, "batch=0 does not fit: it is 1 or more"),
        ({"hidden": -5}, "hidden=-5 does not fit"),
        ({"threads": 0}, "threads=0 does not fit"),
        (
            {"device": "cuda", "bits": 8, "hidden": 100},
            "hidden=100 does not fit int8 on CUDA: use a multiple of 8",
        ),
        ({"learning_rate": 1e30}, "training stopped: the loss is .* in epoch 1; lower learning_rate"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(parameters, complaint):
    with pytest.raises(ValueError, match=complaint) as caught:
        workloads.load("qnn-infer").prepare({**SMALL, **parameters}, seed=0, quick=True)
    assert "\n" not in str(caught.value)


def test_an_unknown_parameter_is_answered_with_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean bits"):
        workloads.load("qnn-infer").prepare({"bit": 8}, seed=0, quick=True)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_refused_in_one_line():
    with pytest.raises(ValueError, match="device=cuda: torch finds no CUDA device here; use device=cpu"):
        workloads.load("qnn-infer").prepare({"device": "cuda"}, seed=0, quick=True)


@pytest.mark.hardware
@pytest.mark.parametrize("bits", [8, 16, 32])
@pytest.mark.parametrize("batch", [1, 256])
def test_the_same_network_runs_on_a_gpu(prepare, bits, batch):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    task = prepare(bits=bits, batch=batch, device="cuda")
    task.step()
    assert abs(task.evaluate()["accuracy"] - prepare(bits=32).evaluate()["accuracy"]) <= 0.01
