import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")
safetensors = pytest.importorskip("safetensors.numpy")

from energybench.workloads import data  # noqa: E402 - needs torch
from energybench.workloads.qnn import _plans, bits, export, file, network, training  # noqa: E402

INTEGERS = st.sampled_from((1, 2, 3, 4, 8))
DIGITS = data.load("digits", seed=0)


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def random_network(*, shape=(8, 8, 1), levels=16, classes=10, seed=0, **recipe):
    """A network that was never trained, its normalisation drawn at random: negative, zero, tiny and huge slopes too."""
    recipe = training.Recipe(**{"hidden": 16, "seed": seed, **recipe})
    draw = np.random.default_rng(seed)
    pixels = draw.integers(0, levels + 1, (40, shape[0] * shape[1] * shape[2]), np.uint8)
    dataset = dataclasses.replace(
        DIGITS, name="noise", shape=shape, levels=levels, classes=classes,
        class_names=tuple(map(str, range(classes))), test_pixels=pixels, test_labels=np.zeros(40, np.int64),
    )  # fmt: skip
    model = training.build(recipe, dataset).eval()
    random = torch.Generator().manual_seed(seed)
    for stage in model:
        stage.gamma.data.normal_(generator=random)
        stage.gamma.data[::5] = 0
        stage.gamma.data[1::7] *= 1e-9
        stage.gamma.data[2::7] *= 1e6
        stage.beta.data.normal_(generator=random).mul_(0.7)
        stage.mean.normal_(generator=random).mul_(0.5 / stage.scale)
        stage.variance.uniform_(0, 2, generator=random).mul_(stage.scale**-2)
        stage.variance[3::9] = 0
    return training.Trained(model=model, dataset=dataset, recipe=recipe, history=())


def differences(oracle, trained):
    pixels = trained.dataset.test_pixels
    found = oracle.scores(export.export(trained), pixels)
    wanted = trained.predict(pixels)
    assert found.dtype == wanted.dtype == np.float32
    assert found.shape == wanted.shape
    return int((found != wanted).sum())


@settings(deadline=None, max_examples=60)
@given(
    wbits=INTEGERS, abits=INTEGERS, hidden=st.integers(1, 45), depth=st.integers(1, 3), seed=st.integers(0, 999),
    shape=st.sampled_from([(8, 8, 1), (3, 5, 2), (1, 1, 1)]), levels=st.sampled_from([1, 16, 127, 128, 255]),
)  # fmt: skip
def test_integers_give_the_scores_of_the_fake_quantized_network_bit_for_bit(
    integer_network, wbits, abits, hidden, depth, seed, shape, levels
):
    trained = random_network(
        wbits=wbits,
        abits=abits,
        hidden=hidden,
        depth=depth,
        seed=seed,
        shape=shape,
        levels=levels,
        classes=1 + seed % 12,
    )
    assert differences(integer_network, trained) == 0


@settings(deadline=None, max_examples=40)
@given(
    wbits=INTEGERS, abits=INTEGERS, hidden=st.integers(1, 11), depth=st.integers(1, 2), seed=st.integers(0, 999),
    shape=st.sampled_from([(8, 8, 1), (5, 7, 3), (4, 9, 2)]), levels=st.sampled_from([16, 255]),
)  # fmt: skip
def test_so_they_do_in_a_convolutional_network(integer_network, wbits, abits, hidden, depth, seed, shape, levels):
    trained = random_network(
        net="vgg", wbits=wbits, abits=abits, hidden=hidden, depth=depth, seed=seed, shape=shape, levels=levels
    )
    assert differences(integer_network, trained) == 0


@pytest.mark.parametrize("net", _plans.NETS)
@pytest.mark.parametrize(("wbits", "abits"), [(1, 16), (4, 32), (16, 1), (32, 8), (16, 16), (32, 32), (16, 32)])
def test_a_network_with_floats_is_the_same_but_for_the_last_bits(integer_network, net, wbits, abits):
    trained = random_network(net=net, wbits=wbits, abits=abits, hidden=9)
    pixels = trained.dataset.test_pixels
    found, wanted = integer_network.scores(export.export(trained), pixels), trained.predict(pixels)
    # A float on the edge between two codes may fall on either side: few do.
    close = np.isclose(found, wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max())
    assert close.mean() > 0.95


@pytest.mark.parametrize(
    "changes",
    [
        {"wbits": 1, "abits": 1}, {"wbits": 2, "abits": 2, "sign": "stochastic"}, {"wbits": 4, "abits": 3},
        {"wbits": 8, "abits": 8}, {"wbits": 1, "abits": 8, "master": False}, {"wbits": 8, "abits": 1, "gbits": 4},
        {"wbits": 1, "abits": 2, "net": "vgg", "hidden": 5},
    ],
)  # fmt: skip
def test_a_trained_network_keeps_every_prediction(integer_network, changes):
    trained = training.train(training.Recipe(**{"hidden": 37, "epochs": 2, **changes}))
    pixels = trained.dataset.test_pixels
    found = integer_network.scores(export.export(trained), pixels)
    assert np.array_equal(found, trained.predict(pixels))
    assert np.unique(found.argmax(1)).size > 1


def test_thresholds_by_hand():
    """One feature of two pixels at 1 and 2 bits: y = sum * gain + offset crosses 0, or -2/3, 0 and 2/3."""

    def hidden_layer(abits, *, gamma, beta):
        trained = random_network(shape=(1, 2, 1), hidden=1, depth=1, wbits=1, abits=abits)
        stage = next(iter(trained.model))
        stage.gamma.data.fill_(gamma)
        stage.beta.data.fill_(beta)
        stage.mean.zero_()
        # The slope is gamma / 8: the variance is of integer sums, and the epsilon is small beside it.
        stage.variance.fill_(64 - stage.epsilon)
        return export.export(trained).layers[0]

    rising = hidden_layer(2, gamma=1.0, beta=0.0)
    assert (rising.thresholds[:, 0].tolist(), rising.flipped.tolist()) == ([-5, 0, 6], [False])
    falling = hidden_layer(2, gamma=-1.0, beta=0.0)
    # At sum 0 the code is 2 of 3, so its complement, 1, is reached: the middle threshold is 1.
    assert (falling.thresholds[:, 0].tolist(), falling.flipped.tolist()) == ([-5, 1, 6], [True])
    assert hidden_layer(1, gamma=1.0, beta=0.55).thresholds.tolist() == [[-4]]
    # A slope of nothing gives every sum one code: 3 / 4 is code 3 of 3, and -1 / 4 code 1.
    lowest, highest = -(2**31), 2**31 - 1
    assert hidden_layer(2, gamma=0.0, beta=0.75).thresholds[:, 0].tolist() == [lowest] * 3
    assert hidden_layer(2, gamma=0.0, beta=-0.25).thresholds[:, 0].tolist() == [lowest, highest, highest]
    # What no sum of these two pixels reaches, 32 at the most.
    assert hidden_layer(1, gamma=1.0, beta=-5.0).thresholds.tolist() == [[highest]]


def test_the_deployed_network_has_packed_weights_and_no_other():
    for wbits, abits in ((1, 1), (3, 4), (8, 8), (16, 16), (32, 2)):
        trained = random_network(wbits=wbits, abits=abits, hidden=19)
        for layer, stage in zip(export.export(trained).layers, trained.model, strict=True):
            arrays = (
                {"weights", "thresholds", "flipped"} if layer.thresholds is not None else {"weights", "gain", "offset"}
            )
            present = {f.name for f in dataclasses.fields(layer) if isinstance(getattr(layer, f.name), np.ndarray)}
            assert present == arrays
            assert (layer.thresholds is not None) == (layer.is_integer and layer.out_bits in bits.PLANES)
            if wbits in bits.PLANES:
                assert layer.weights.nbytes == wbits * layer.outputs * -(-layer.inputs // 8)
            else:
                assert layer.weights.nbytes == wbits // 8 * layer.outputs * layer.inputs
            found = layer.values() if wbits <= 8 else layer_floats(layer)
            assert np.array_equal(found, stage.weight_values().numpy())


def layer_floats(layer):
    if layer.wbits == 32:
        return layer.weights
    assert layer.weights.dtype == np.uint16
    return (layer.weights.astype(np.uint32) << 16).view(np.float32)


def test_sums_that_leave_32_bits_are_refused():
    wide = {"shape": (1, 140_000, 1), "levels": 255, "hidden": 1, "depth": 1}
    with pytest.raises(
        ValueError, match="layer 0 sums 140000 products up to 2258060000, above 32 bits: use fewer inputs"
    ):
        export.export(random_network(**wide, wbits=8, abits=8))
    assert export.export(random_network(**wide, wbits=4, abits=8)).layers[0].inputs == 140_000


def test_a_normalisation_that_is_not_finite_is_refused():
    trained = random_network()
    trained.model.stages[1].gamma.data[3] = float("inf")
    with pytest.raises(ValueError, match="layer 1 has a normalisation that is not finite: train it again"):
        export.export(trained)


# Files


@pytest.fixture
def written(tmp_path):
    found = export.export(random_network(hidden=19, wbits=2, abits=4))
    path = tmp_path / "folder" / "network.safetensors"
    file.write(found, path)
    return found, path


def same(one, other):
    """Whether two networks are equal to the last bit, types included."""
    arrays = [(one.pixels, other.pixels)]
    for first, second in zip(one.layers, other.layers, strict=True):
        for name in (f.name for f in dataclasses.fields(network.Layer)):
            pair = getattr(first, name), getattr(second, name)
            if isinstance(pair[0], np.ndarray):
                arrays.append(pair)
            elif pair[0] != pair[1] or type(pair[0]) is not type(pair[1]):
                return False
    plain = (one.shape, one.classes, one.about) == (other.shape, other.classes, other.about)
    return plain and all(a.dtype == b.dtype and a.shape == b.shape and np.array_equal(a, b) for a, b in arrays)


@settings(deadline=None, max_examples=25)
@given(
    wbits=st.sampled_from(bits.WIDTHS), abits=st.sampled_from(bits.WIDTHS), hidden=st.integers(1, 20),
    net=st.sampled_from(_plans.NETS), seed=st.integers(0, 99),
)  # fmt: skip
def test_what_is_read_is_what_was_written(tmp_path_factory, wbits, abits, hidden, net, seed):
    trained = random_network(net=net, wbits=wbits, abits=abits, hidden=hidden, seed=seed)
    found = export.export(trained)
    path = tmp_path_factory.mktemp("files") / "network.safetensors"
    file.write(found, path)
    assert same(file.read(path, expect=trained.dataset), found)
    assert path.stat().st_size == file.size_bytes(found)
    assert list(path.parent.iterdir()) == [path]


def test_the_same_network_is_the_same_file(written, tmp_path):
    _, path = written
    file.write(file.read(path), tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == path.read_bytes()


def test_a_file_is_read_without_torch(written):
    found, path = written
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from pathlib import Path; from energybench.workloads.qnn import file\n"
        "network = file.read(Path(sys.argv[1]))\n"
        "print(network.layers[1].values().sum(), network.about['recipe']['wbits'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    assert done.stdout == f"{found.layers[1].values().sum()} 2\n", done.stderr


def test_one_bit_is_a_thirtieth_of_the_bytes_of_fp32():
    sizes = {}
    for width in (1, 32):
        found = export.export(random_network(hidden=4096, wbits=width, abits=width))
        assert [(layer.inputs, layer.outputs) for layer in found.layers] == [(64, 4096), (4096, 4096), (4096, 10)]
        sizes[width] = file.size_bytes(found)
    assert sizes[32] / sizes[1] >= 30


def test_the_file_falls_with_the_bits():
    sizes = {
        width: file.size_bytes(export.export(random_network(hidden=512, wbits=width, abits=width)))
        for width in bits.WIDTHS
    }
    assert list(sizes.values()) == sorted(sizes.values())
    weights = 64 * 512 + 512 * 512 + 512 * 10
    for width, size in sizes.items():
        # On top come thresholds, 15 for each feature at 4 bits, or gain and offset, and the header.
        assert weights * width / 8 < size < weights * width / 8 + 4 * 1034 * max(2, min(2**width - 1, 15)) + 8000


@settings(deadline=None, max_examples=40)
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_file_that_is_cut_off_is_refused(tmp_path_factory, share):
    path = tmp_path_factory.mktemp("cut") / "network"
    file.write(export.export(random_network(hidden=8)), path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    refused(path, "is cut off: it has [0-9]+ bytes of at least [0-9]+; copy it again, or export it again")


@settings(deadline=None, max_examples=60)
@given(place=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_a_file_that_is_damaged_anywhere_is_refused(tmp_path_factory, place, flip):
    path = tmp_path_factory.mktemp("damaged") / "network"
    found = export.export(random_network(hidden=8))
    file.write(found, path)
    content = bytearray(path.read_bytes())
    content[int(len(content) * place)] ^= flip
    path.write_bytes(content)
    try:
        # Blanks behind the header say nothing: there alone a change may pass.
        assert same(file.read(path), found)
        assert content[int(len(content) * place)] in b" \t\r\n"
    except ValueError:
        refused(path, "damaged|cut off|update energybench|not a network's file")


def refused(path, complaint):
    with pytest.raises(ValueError, match=complaint) as caught:
        file.read(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_damaged_weight_is_found_by_the_digest(written):
    _, path = written
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    refused(path, "is damaged: its SHA-256 is not the one written in it; copy it again, or export it again")


def rewritten(path, change):
    """The file with its header changed and everything else as it was."""
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    table = json.loads(content[8 : 8 + length])
    header = json.loads(table["__metadata__"]["energybench.network"])
    change(header)
    path.write_bytes(safetensors.save(safetensors.load(content), metadata={"energybench.network": json.dumps(header)}))


def test_a_newer_file_is_refused(written):
    _, path = written
    rewritten(path, lambda header: header.update(version=2))
    refused(path, "is of format version 2, this energybench reads 1: update energybench")


def test_a_changed_description_is_found_by_the_digest(written):
    _, path = written
    rewritten(path, lambda header: header["description"]["layers"][0].update(pool=2))
    refused(path, "is damaged: its SHA-256")


@pytest.mark.parametrize("content", [b"PK\x03\x04 an archive of another kind", b"{}", b'{"a": "text file of json"}'])
def test_a_file_of_another_kind_is_refused(tmp_path, content):
    (tmp_path / "other").write_bytes(content)
    refused(tmp_path / "other", "is not a network's file of energybench|is cut off")


def test_safetensors_of_another_program_are_refused(tmp_path):
    safetensors.save_file({"weight": np.zeros(3)}, tmp_path / "other", metadata={"format": "pt"})
    refused(tmp_path / "other", "is not a network's file of energybench")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"name": "glyphs"}, "is another network: its data is noise, not glyphs"),
        ({"shape": (28, 28, 1)}, "is another network: its images of is 8×8×1, not 28×28×1"),
        ({"class_names": ("a", "b")}, "is another network: its classes is 0, 1, .*, not a, b"),
    ],
)
def test_a_network_for_other_data_is_refused(written, changes, complaint):
    _, path = written
    expected = dataclasses.replace(random_network().dataset, **changes)
    with pytest.raises(ValueError, match=complaint):
        file.read(path, expect=expected)


def test_a_file_that_is_not_there_is_the_systems_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        file.read(tmp_path / "none")


def test_a_network_of_the_same_recipe_is_written_over_and_nothing_else_is(written, tmp_path):
    found, path = written
    file.write(found, path)
    before = path.read_bytes()
    other = export.export(random_network(hidden=19, wbits=2, abits=4, seed=1))
    with pytest.raises(FileExistsError, match="holds a network of another recipe: move it away, or write to another"):
        file.write(other, path)
    assert path.read_bytes() == before
    for content in (b"a letter", before[:-1]):
        path.write_bytes(content)
        with pytest.raises(FileExistsError, match="is there and is no network's file that can be read: move it away"):
            file.write(found, path)
        assert path.read_bytes() == content
    nameless = dataclasses.replace(found, about={})
    file.write(nameless, tmp_path / "nameless")
    with pytest.raises(FileExistsError, match="another recipe"):
        file.write(nameless, tmp_path / "nameless")


def test_a_training_that_fails_leaves_the_file_before_it(written):
    _, path = written
    before = path.read_bytes()
    recipe = training.Recipe(hidden=8, epochs=1, learning_rate=1e38)
    with pytest.raises(ValueError, match=r"training stopped: the loss is .* in epoch 1"):
        file.write(export.export(training.train(recipe)), path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_write_that_fails_leaves_no_part_behind(written, monkeypatch):
    found, path = written
    before = path.read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        file.write(found, path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]
