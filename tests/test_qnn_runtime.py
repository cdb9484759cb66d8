"""Whole deployed networks on the CPU: bit for bit what plain integers give, and what they count."""

import importlib.util
import itertools
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
pytest.importorskip("numba")

from energybench.probes import operators  # noqa: E402 - needs torch
from energybench.workloads.qnn import bits  # noqa: E402
from energybench.workloads.qnn.kernels import linear  # noqa: E402
from energybench.workloads.qnn.runtime import ARITHMETIC, CpuNetwork  # noqa: E402

INTEGERS = (1, 2, 3, 4, 8)
PAIRS = list(itertools.product(INTEGERS, INTEGERS))
FLOATS = [pair for pair in itertools.product(bits.WIDTHS, bits.WIDTHS) if max(pair) > 8]


def load_fake(name):
    """tests/fakes/NAME.py, once: conftest cannot be imported, and fixtures come too late for parameters."""
    full = f"energybench_fakes_{name}"
    if full not in sys.modules:
        spec = importlib.util.spec_from_file_location(full, Path(__file__).parent / f"fakes/{name}.py")
        sys.modules[full] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[full])
    return sys.modules[full]


make, oracle = load_fake("random_network"), load_fake("integer_network")


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def check(random, network, rows, **how):
    """Two batches, one behind the other: nothing of the first may be left in a buffer."""
    run = CpuNetwork(network, rows=rows, **how)
    for _ in range(2):
        pixels = make.pixels(random, network, rows)
        found = run(pixels)
        assert (found.dtype, found.shape) == (np.float32, (rows, len(network.classes)))
        assert np.array_equal(found, oracle.scores(network, pixels)), run.kernels
    return run


@pytest.mark.parametrize(("wbits", "abits"), PAIRS)
@settings(deadline=None, max_examples=6)
@given(
    widths=st.lists(st.integers(1, 150), min_size=1, max_size=4), classes=st.integers(1, 12), rows=st.integers(1, 70),
    threads=st.integers(1, 3), arithmetic=st.sampled_from(ARITHMETIC), seed=st.integers(0, 2**16),
)  # fmt: skip
def test_perceptrons_give_the_integers_scores(wbits, abits, widths, classes, rows, threads, arithmetic, seed):
    random = np.random.default_rng(seed)
    network = make.mlp(random, wbits, abits, (*widths, classes))
    check(random, network, rows, threads=threads, arithmetic=arithmetic)


@pytest.mark.parametrize(("wbits", "abits"), PAIRS)
@settings(deadline=None, max_examples=3)
@given(
    shape=st.tuples(st.integers(2, 9), st.integers(2, 9), st.integers(1, 3)), rows=st.integers(1, 7),
    channels=st.tuples(st.integers(1, 40), st.integers(1, 40)), threads=st.integers(1, 3),
    arithmetic=st.sampled_from(ARITHMETIC), seed=st.integers(0, 2**16),
)  # fmt: skip
def test_convolutional_networks_do_too(wbits, abits, shape, rows, channels, threads, arithmetic, seed):
    random = np.random.default_rng(seed)
    network = make.convolutional(random, wbits, abits, shape, channels, 10)
    check(random, network, rows, threads=threads, arithmetic=arithmetic)


def test_a_layer_may_have_other_widths_than_the_one_before():
    random = np.random.default_rng(5)
    widths = [(2, 8, 40, 50, 8), (8, 8, 36, 40, 2), (1, 2, 33, 36, 1), (4, 1, 20, 33, 4), (3, 4, 10, 20, 0)]
    layers = tuple(make.layer(random, w, a, outputs, 1, inputs, out) for w, a, outputs, inputs, out in widths)
    for arithmetic in ARITHMETIC:
        check(random, make._network(layers, (1, 1, 50), 10), 9, arithmetic=arithmetic)


def test_the_kernels_are_named():
    random = np.random.default_rng(0)
    network = make.mlp(random, 1, 1, (20, 30, 40, 10))
    assert check(random, network, 3, arithmetic="bits").kernels == ("dot W1A8", "popcount W1A1", "popcount W1A1")
    assert check(random, network, 3, arithmetic="int8").kernels == ("dot W1A8", "dot W1A1", "dot W1A1")
    assert check(random, network, 3).kernels == ("dot W1A8", *[f"{linear.engine(1, 1)} W1A1"] * 2)
    # Four bits by four would be sixteen products of single bits: never faster than bytes.
    for arithmetic in ARITHMETIC:
        network = make.mlp(random, 4, 4, (20, 30, 10))
        assert check(random, network, 3, arithmetic=arithmetic).kernels == ("dot W4A8", "dot W4A4")
    assert CpuNetwork(make.mlp(random, 32, 32, (5, 6, 7)), rows=1).kernels == ("torch linear float32",) * 2
    assert CpuNetwork(make.mlp(random, 16, 16, (5, 6, 7)), rows=1).kernels[1] == "torch linear bfloat16"
    assert CpuNetwork(make.mlp(random, 2, 32, (5, 6, 7)), rows=1).kernels[1] == "torch linear float32, W2 widened"


@pytest.mark.parametrize(("wbits", "abits"), FLOATS)
@pytest.mark.parametrize("net", ["mlp", "map"])
def test_networks_with_floats_come_near_the_doubles(net, wbits, abits):
    random = np.random.default_rng(wbits * 100 + abits)
    if net == "mlp":
        network = make.mlp(random, wbits, abits, (50, 70, 90, 10))
    else:
        network = make.convolutional(random, wbits, abits, (5, 7, 3), (20, 36), 10)
    for rows, threads in ((1, 1), (17, 2)):
        run = CpuNetwork(network, rows=rows, threads=threads)
        for _ in range(2):
            pixels = make.pixels(random, network, rows)
            found, wanted = run(pixels), oracle.scores(network, pixels)
            assert (found.dtype, found.shape) == (np.float32, wanted.shape)
            # A float on the edge between two codes may fall on either side: few do.
            near = 0.03 if wbits == abits == 16 else 1e-2 if abits == 16 else 1e-4
            assert (np.abs(found - wanted) < near * np.abs(wanted).max()).mean() > 0.95


def test_torch_gets_its_threads_back():
    random = np.random.default_rng(0)
    network = make.mlp(random, 32, 32, (5, 6, 7))
    CpuNetwork(network, rows=2, threads=2)(make.pixels(random, network, 2))
    assert torch.get_num_threads() == 1


@pytest.mark.parametrize("width", [1, 8, 32])
def test_what_is_handed_in_and_out_is_the_callers_own(width):
    random = np.random.default_rng(width)
    network = make.mlp(random, width, width, (20, 30, 10))
    run = CpuNetwork(network, rows=5)
    first, second = (make.pixels(random, network, 5) for _ in range(2))
    kept, before = run(first), first.copy()
    wanted = kept.copy()
    run(second)
    assert np.array_equal(kept, wanted)
    assert np.array_equal(first, before)


@pytest.mark.parametrize("width", [1, 4, 32])
def test_threads_that_call_one_network_wait_for_each_other(width):
    random = np.random.default_rng(width)
    network = make.mlp(random, width, width, (64, 300, 10))
    run = CpuNetwork(network, rows=40, threads=2)
    batches = [make.pixels(random, network, 40) for _ in range(12)]
    alone = [run(batch) for batch in batches]
    with ThreadPoolExecutor(4) as pool:
        for found, wanted in zip(pool.map(run, batches), alone, strict=True):
            assert np.array_equal(found, wanted)


@pytest.mark.parametrize("width", [1, 8, 16, 32])
def test_pixels_of_another_kind_are_refused_in_one_line(width):
    network = make.mlp(np.random.default_rng(0), width, width, (20, 30, 10))
    run = CpuNetwork(network, rows=5)
    for wrong in (
        np.zeros((4, 20), np.uint8),
        np.zeros((6, 20), np.uint8),
        np.zeros((5, 21), np.uint8),
        np.zeros(100, np.uint8),
        np.zeros((5, 20), np.int8),
        np.zeros((5, 20), np.float32),
    ):
        found = f"pixels are {wrong.dtype} {wrong.shape}: this network was built for uint8 (5, 20)"
        with pytest.raises(ValueError, match=re.escape(found)):
            run(wrong)
    # Rows apart in memory are no other kind.
    spaced = np.random.default_rng(0).integers(0, 17, (5, 40), np.uint8)[:, ::2]
    assert np.array_equal(run(spaced), run(np.ascontiguousarray(spaced)))


@pytest.mark.parametrize("width", [1, 32])
def test_what_does_not_fit_is_refused_in_one_line(width):
    network = make.mlp(np.random.default_rng(0), width, width, (20, 30, 10))
    for wrong, message in (
        ({"rows": 0}, "rows=0, threads=1 do not fit: both are 1 or more"),
        ({"rows": 1, "threads": 0}, "rows=1, threads=0 do not fit"),
        ({"rows": 1, "arithmetic": "fp8"}, "arithmetic='fp8' is not offered on a CPU: choose from auto, bits, int8"),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            CpuNetwork(network, **wrong)


# What is counted


def counted(network, rows, **how):
    run = CpuNetwork(network, rows=rows, **how)
    pixels = make.pixels(np.random.default_rng(0), network, rows)
    return operators.count(lambda: run(pixels))


def tables(layer):
    found = sum(part.nbytes for part in (layer.gain, layer.offset, layer.thresholds) if part is not None)
    return found + (0 if layer.flipped is None else -(-layer.outputs // 8))


def test_one_bit_is_counted_in_single_bits():
    widths, rows = (64, 100, 130, 10), 7
    network = make.mlp(np.random.default_rng(0), 1, 1, widths)
    found = counted(network, rows, arithmetic="bits")
    first, hidden = rows * 64 * 100, rows * (100 * 130 + 130 * 10)
    assert found.operations == {
        "int8.mul": first, "int32.add": first, "b1.xnor": hidden, "b1.popcount": hidden,
        "int32.compare": rows * 230, "fp32.mul": rows * 10, "fp32.add": rows * 10,
    }  # fmt: skip
    assert found.unmapped == {}
    assert found.calls == {"qnn.look_up": 1, "qnn.dot": 1, "qnn.popcount": 2}
    packed = sum(layer.weights.nbytes for layer in network.layers)
    assert packed == 100 * 8 + 130 * 13 + 10 * 17
    signals = rows * 64 + rows * 64 - (-rows * 100 // 8) - (-rows * 130 // 8)
    assert found.read_bytes == packed + sum(map(tables, network.layers)) + signals
    assert found.written_bytes == rows * 64 - (-rows * 100 // 8) - (-rows * 130 // 8) + rows * 10 * 4


@pytest.mark.parametrize(("wbits", "abits"), [(2, 2), (2, 1), (3, 4), (4, 1), (8, 8)])
def test_bytes_are_counted_where_bytes_are_multiplied(wbits, abits):
    network = make.mlp(np.random.default_rng(0), wbits, abits, (64, 100, 10))
    products = 5 * (64 * 100 + 100 * 10)
    found = counted(network, 5, arithmetic="int8").operations
    assert (found["int8.mul"], found["int32.add"]) == (products, products)
    assert not any(name.startswith("b1.") for name in found)
    if wbits <= 2 and abits <= 2:
        found = counted(network, 5, arithmetic="bits").operations
        assert found["b1.xnor"] == found["b1.popcount"] == 5 * 100 * 10 * wbits * abits
        assert found["int8.mul"] == 5 * 64 * 100


def test_a_convolution_counts_each_place_and_each_input_once():
    network = make.convolutional(np.random.default_rng(0), 1, 1, (5, 7, 3), (20, 36), 10)
    found = counted(network, 2, arithmetic="bits")
    # The second layer pools: of 5 by 7 places, 4 by 6 are computed.
    single = 2 * (24 * 9 * 20 * 36 + 6 * 36 * 10)
    assert found.operations["b1.xnor"] == found.operations["b1.popcount"] == single
    assert found.operations["int8.mul"] == 2 * 35 * 27 * 20
    weights = sum(layer.weights.nbytes + tables(layer) for layer in network.layers)
    signals = 2 * 105 * 2 + 2 * 35 * 20 // 8 + 2 * 6 * 36 // 8
    assert found.read_bytes == weights + signals


def test_where_weights_are_most_of_what_moves_modelled_joules_fall_with_the_bits():
    random, joules, moved = np.random.default_rng(0), {}, {}
    for width in bits.WIDTHS:
        counts = counted(make.mlp(random, width, width, (64, 512, 512, 10)), 8)
        assert counts.unmapped == {}
        moved[width] = counts.operand_bytes
        for table in ("horowitz-45nm", "jouppi-7nm"):
            found = operators.energy(counts, table)
            assert found.unpriced == {}
            joules.setdefault(table, []).append(found.joules)
    assert list(moved.values()) == sorted(moved.values())
    assert moved[32] > 15 * moved[1]
    for each in joules.values():
        assert each == sorted(each)
        assert each[-1] > 15 * each[0]


def test_threads_share_the_count():
    network = make.mlp(np.random.default_rng(0), 1, 1, (64, 100, 10))
    assert counted(network, 5, threads=3) == counted(network, 5)
