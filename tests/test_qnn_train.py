import json

import pytest

from energybench import workloads
from energybench.probes import operators

torch = pytest.importorskip("torch")
for needed in ("numba", "sklearn", "safetensors"):
    pytest.importorskip(needed)

from energybench.workloads.qnn import bits, file, training  # noqa: E402 - needs torch

# A small network has to take larger steps to learn in four epochs.
SMALL = {"hidden": 64, "epochs": 4, "learning_rate": 1e-2}


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

    def make(*, seed=0, **parameters):
        opened.append(workloads.load("qnn-train").prepare({**SMALL, **parameters}, seed=seed, quick=True))
        return opened[-1]

    yield make
    for task in reversed(opened):
        task.close()


@pytest.mark.parametrize("width", bits.WIDTHS)
def test_every_width_learns_and_its_export_agrees(prepare, width):
    task = prepare(bits=width)
    task.step()
    found = task.evaluate()
    assert set(found) == {"accuracy", "export_agreement"}
    assert found["accuracy"] >= 0.88
    # Floats are added in another order by another kernel.
    assert found["export_agreement"] >= (1.0 if width <= 8 else 0.99)
    told = json.loads(json.dumps(task.definition))
    assert told == task.definition
    assert (told["wbits"], told["abits"], told["training"]["gbits"]) == (width, width, 32)
    assert (task.samples, task.judged) == (64, 359)


@pytest.mark.parametrize(
    "parameters",
    [
        {"wbits": 1, "abits": 8}, {"wbits": 8, "abits": 2}, {"wbits": 2, "abits": 16},
        {"bits": 1, "sign": "stochastic"}, {"bits": 2, "gbits": 4},
        {"bits": 1, "net": "vgg", "hidden": 6, "depth": 1, "epochs": 1, "batch": 32},
        {"wbits": 3, "abits": 4, "net": "vgg", "hidden": 6, "depth": 2, "epochs": 1, "batch": 32},
    ],
)  # fmt: skip
def test_mixed_widths_noise_and_convolutions_are_exported_sample_for_sample(prepare, parameters):
    task = prepare(**parameters)
    floats = 16 in parameters.values()
    assert task.evaluate()["export_agreement"] >= (0.99 if floats else 1.0)
    for name in {"wbits", "abits"} & set(parameters):
        assert task.definition[name] == parameters[name]
    for name in {"gbits", "sign"} & set(parameters):
        assert task.definition["training"][name] == parameters[name]


def test_fewer_bits_are_a_smaller_file(prepare):
    sizes = [prepare(bits=width, hidden=256, epochs=1).file_bytes for width in bits.WIDTHS]
    assert sizes == sorted(set(sizes))
    assert sizes[-1] > 15 * sizes[0]


def test_without_master_weights_one_bit_does_not_learn(prepare):
    without = prepare(bits=1, master=False)
    assert without.definition["training"]["master"] is False
    assert without.evaluate()["accuracy"] < prepare(bits=1).evaluate()["accuracy"] - 0.3


def test_a_step_trains_and_is_counted(prepare):
    task = prepare(bits=1)
    losses = []
    step = task._trainer.step
    task._trainer.step = lambda: losses.append(step())
    for _ in range(60):
        task.step()
    assert task._trainer.done == 60
    assert sum(losses[-10:]) < 0.5 * sum(losses[:10])
    counts = operators.count(task.step)
    # Forward, and backward by the inputs (not the first layer's) and by the weights.
    layers = [64 * 64, 64 * 64, 64 * 10]
    assert counts.operations["fp32.mul"] >= 64 * (3 * sum(layers) - layers[0])


def test_the_finished_network_is_not_touched_by_the_measured_steps(prepare):
    task = prepare(bits=2)
    before = task.evaluate()
    for _ in range(5):
        task.step()
    assert task.evaluate() == before
    assert prepare(bits=2).evaluate() == before


def test_equal_seeds_give_equal_definitions_and_others_do_not(prepare):
    first = prepare(bits=2)
    training.forget()
    again, other = prepare(bits=2), prepare(bits=2, seed=1)
    assert first.definition == again.definition
    assert first.evaluate() == again.evaluate()
    assert first.definition != other.definition
    assert first.file_bytes == again.file_bytes


def test_the_export_is_left_in_a_folder_under_a_name_that_tells_it(prepare, tmp_path):
    folder = tmp_path / "to be made"
    task = prepare(wbits=1, abits=4, export=str(folder))
    (path,) = folder.iterdir()
    assert path.name == "qnn-digits-mlp-64-64-64-10-W1A4-epochs4-learning_rate0.01-seed0.safetensors"
    assert path.stat().st_size == task.file_bytes
    network = file.read(path)
    assert (network.layers[1].wbits, network.layers[1].abits, network.classes) == (1, 4, tuple("0123456789"))
    content = path.read_bytes()
    # The same recipe writes the same file again, another one writes another.
    prepare(wbits=1, abits=4, export=str(folder))
    prepare(wbits=1, abits=4, export=str(folder), epochs=1, sign="stochastic", batch=32)
    assert path.read_bytes() == content
    (other,) = set(folder.iterdir()) - {path}
    wanted = "qnn-digits-mlp-64-64-64-10-W1A4-epochs1-signstochastic-batch32-learning_rate0.01-seed0.safetensors"
    assert other.name == wanted


def test_a_file_of_another_kind_is_not_written_over(prepare, tmp_path):
    prepare(bits=1, export=str(tmp_path))
    (path,) = tmp_path.iterdir()
    path.write_text("mine")
    with pytest.raises(FileExistsError, match="is there and is no network's file") as caught:
        prepare(bits=1, export=str(tmp_path))
    assert "\n" not in str(caught.value)
    assert path.read_text() == "mine"


def test_interleaved_tasks_train_on_their_own_threads_and_give_them_back():
    before = torch.get_num_threads()
    one, two = (
        workloads.load("qnn-train").prepare({**SMALL, "threads": threads}, seed=0, quick=True) for threads in (1, 2)
    )
    one.step()
    assert torch.get_num_threads() == 1
    two.step()
    assert torch.get_num_threads() == 2
    one.step()
    assert torch.get_num_threads() == 1
    two.step()
    two.close()
    one.close()
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        ({"bits": 6}, "bits=6 is not offered: choose from 1, 2, 3, 4, 8, 16, 32"),
        ({"gbits": 5}, "gbits=5 is not offered: choose from 1, 2, 3, 4, 8, 16, 32"),
        ({"hidden": 0}, "hidden=0 does not fit: it is 1 or more"),
        ({"threads": 0}, "threads=0 does not fit: it is 1 or more"),
        ({"batch": 1}, "batch=1 does not fit 1438 training samples: use 2 to 1438"),
        ({"batch": 5000}, "batch=5000 does not fit 1438 training samples"),
        ({"sign": "random"}, "sign='?random'? is not offered: choose from deterministic, stochastic"),
        ({"learning_rate": -1.0}, "learning_rate=-1.0 does not fit: it is above 0"),
        ({"learning_rate": 1e30, "bits": 32}, "training stopped: .*lower learning_rate"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(prepare, tmp_path, parameters, complaint):
    before = torch.get_num_threads()
    with pytest.raises(ValueError, match=complaint) as caught:
        prepare(export=str(tmp_path), **parameters)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    assert torch.get_num_threads() == before


def test_a_folder_that_cannot_be_made_is_refused_before_the_training(prepare, tmp_path):
    (tmp_path / "taken").write_text("")
    training.forget()
    with pytest.raises(ValueError, match=r"taken: no folder can be made there .*; give another") as caught:
        prepare(bits=1, export=str(tmp_path / "taken"))
    assert "\n" not in str(caught.value)
    assert training._kept == {}


@pytest.mark.hardware
@pytest.mark.parametrize("width", [1, 8, 32])
def test_a_gpu_trains_what_the_processor_runs(prepare, width):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    task = prepare(bits=width, device="cuda")
    task.step()
    found = task.evaluate()
    assert found["accuracy"] >= 0.88
    assert found["export_agreement"] >= (1.0 if width <= 8 else 0.99)
    assert task.definition["isa"].startswith("sm_")
