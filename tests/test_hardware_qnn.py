"""The quantized kernels on a real NVIDIA GPU: exactness, and the share of memory bandwidth; run with `make hardware`.

ENERGYBENCH_HARDWARE_OUT names the folder for the JSON (docs/results/ if not set). Speed is reported, not asserted.
"""

import importlib.util
import json
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.hardware
torch = pytest.importorskip("torch", reason="needs torch for CUDA: pip install '.[workloads]'")
from energybench.workloads.qnn.cuda.binary_mma import compile_for_gpu, works  # noqa: E402 - they import torch
from energybench.workloads.qnn.cuda.engine import CudaNetwork  # noqa: E402

HERE = Path(__file__).parent
SHAPES = ((1, 50, 70), (3, 4096, 1024), (17, 777, 333), (64, 1000, 130), (257, 515, 200), (1024, 2048, 512))
WIDTHS = [(w, a) for w in (1, 2, 3, 4) for a in (1, 2, 3, 4, 8)] + [(8, a) for a in (1, 2, 3, 4, 8)]


def beside(name, folder="fakes"):
    full = f"energybench_{folder}_{name}"
    if full not in sys.modules:
        spec = importlib.util.spec_from_file_location(full, HERE / folder / f"{name}.py")
        sys.modules[full] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[full])
    return sys.modules[full]


make, oracle = beside("random_network"), beside("integer_network")


@pytest.fixture(scope="module", autouse=True)
def _gpu():
    if not torch.cuda.is_available():
        pytest.skip("torch sees no CUDA device; install torch for CUDA")
    pytest.importorskip("triton", reason="needs Triton: pip install triton")


@pytest.fixture(scope="module")
def kept():
    """What was read, written down at the end whatever was found."""
    found = {"gpu": torch.cuda.get_device_name(), "torch": torch.__version__}
    yield found
    folder = Path(os.environ.get("ENERGYBENCH_HARDWARE_OUT") or HERE.parent / "docs/results")
    folder.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^a-z0-9]+", "-", found["gpu"].lower()).strip("-")
    (folder / f"hardware-qnn-{name}.json").write_text(json.dumps(found, indent=2, sort_keys=True) + "\n")


@pytest.fixture(scope="module")
def binary():
    """Skips where the GPU's own 1-bit product cannot be compiled."""
    if torch.cuda.get_device_capability()[0] not in (8, 9) or not works(compile_for_gpu):
        pytest.skip("no 1-bit product here: it needs Ampere or Hopper, torch from 2.9 on and a CUDA toolkit")


def one_layer(random, wbits, abits, outputs, inputs, out_bits):
    """A layer under test behind one that turns pixels into its inputs, and one that sums what it hands on."""
    front = make.layer(random, 1, 8, inputs, 1, 9, abits)
    tested = make.layer(random, wbits, abits, outputs, 1, inputs, out_bits)
    layers = (front, tested) if out_bits == 0 else (front, tested, make.layer(random, 2, out_bits, 5, 1, outputs, 0))
    return make._network(layers, (1, 1, 9), layers[-1].outputs)


def sums(layer, values):
    """int64 sums on the CPU: CUDA has no int64 product."""
    return torch.from_numpy(values.astype(np.int64)) @ torch.from_numpy(layer.values().astype(np.int64)).T


def expected(network, pixels):
    values = network.pixels[pixels].astype(np.int64)
    for layer in network.layers:
        values = oracle.handed_on(layer, sums(layer, values).numpy())
    return values


def compare(network, rows, arithmetic):
    pixels = make.pixels(np.random.default_rng(rows), network, rows)
    engine = CudaNetwork(network, rows=rows, arithmetic=arithmetic)
    got = engine(torch.from_numpy(pixels).cuda()).cpu().numpy()
    assert (got == expected(network, pixels)).all(), (engine.kernels, rows)
    return engine.kernels


@pytest.mark.parametrize(("wbits", "abits"), WIDTHS)
def test_products_unpacked_in_registers_are_exact(wbits, abits):
    random = np.random.default_rng(wbits * 10 + abits)
    for (rows, inputs, outputs), out_bits in zip(SHAPES, (0, 1, 8, 2, 4, 3), strict=True):
        compare(one_layer(random, wbits, abits, outputs, inputs, out_bits), rows, "int8")


@pytest.mark.parametrize(("wbits", "abits"), [pair for pair in WIDTHS if pair[0] < 8])
def test_products_of_single_bits_are_exact(binary, wbits, abits):
    random = np.random.default_rng(wbits * 10 + abits)
    for (rows, inputs, outputs), out_bits in zip(SHAPES, (0, 1, 8, 2, 4, 1), strict=True):
        kernels = compare(one_layer(random, wbits, abits, outputs, inputs, out_bits), rows, "bits")
        assert kernels[1] == f"b1.and.popc w{wbits}a{abits}"


@pytest.mark.parametrize("width", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("arithmetic", ["auto", "int8"])
def test_convolutions_are_exact(width, arithmetic):
    random = np.random.default_rng(width)
    for rows, shape, channels in ((1, (5, 7, 3), (20, 36)), (33, (16, 16, 1), (64, 128))):
        network = make.convolutional(random, width, width, shape, channels, 10)
        pixels = make.pixels(random, network, rows)
        engine = CudaNetwork(network, rows=rows, arithmetic=arithmetic)
        got = engine(torch.from_numpy(pixels).cuda()).cpu().numpy()
        assert (got == oracle.scores(network, pixels)).all(), engine.kernels


def test_a_replayed_graph_gives_what_its_kernels_give():
    random = np.random.default_rng(3)
    network = make.mlp(random, 1, 1, (64, 512, 512, 10))
    engine = CudaNetwork(network, rows=8)
    assert engine._graph is not None
    for samples in (8, 3):
        pixels = make.pixels(random, network, samples)
        got = engine(torch.from_numpy(pixels).cuda()).cpu().numpy()
        assert (got == oracle.scores(network, pixels)).all()


@pytest.mark.parametrize("width", [16, 32])
def test_floats_come_near_the_doubles(width):
    random = np.random.default_rng(width)
    image = make.convolutional(random, width, width, (8, 8, 3), (16, 32), 10)
    for network in (make.mlp(random, width, width, (64, 512, 10)), image):
        pixels = make.pixels(random, network, 33)
        got = CudaNetwork(network, rows=33)(torch.from_numpy(pixels).cuda()).cpu().numpy()
        wanted = oracle.scores(network, pixels)
        assert abs(got - wanted).max() < (0.03 if width == 16 else 1e-4) * abs(wanted).max()


def test_fp8_rounds_to_four_significant_bits(kept):
    random = np.random.default_rng(8)
    network = make.mlp(random, 8, 8, (64, 1024, 1024, 10))
    pixels = make.pixels(random, network, 256)
    scores = CudaNetwork(network, rows=256, arithmetic="fp8")(torch.from_numpy(pixels).cuda()).cpu().numpy()
    wanted = oracle.scores(network, pixels)
    kept["fp8"] = {
        "relative_rms_error": float(np.sqrt(((scores - wanted) ** 2).mean() / (wanted**2).mean())),
        "same_class": float((scores.argmax(1) == wanted.argmax(1)).mean()),
    }
    assert 0 < kept["fp8"]["relative_rms_error"] < 0.2


@pytest.mark.parametrize("wbits", [1, 2, 3, 4, 8])
def test_the_share_of_memory_bandwidth_at_batch_1(kept, wbits):
    found = beside("gpu", "bench").stack(wbits, 16384 if wbits < 4 else 8192, repeats=15)
    kept.setdefault("batch 1 share of copy bandwidth", {})[f"W{wbits}A8"] = found
    assert found["bytes"] > torch.cuda.get_device_properties(0).L2_cache_size


def test_one_launch_a_layer_when_bits_follow_bits(binary):
    random = np.random.default_rng(0)
    engine = CudaNetwork(make.mlp(random, 1, 1, (64, 512, 512, 10)), rows=1)
    assert engine.kernels == ("b1.and.popc w1a8", "b1.and.popc w1a1", "b1.and.popc w1a1")
    # Pixels to planes, and one for each layer.
    assert len(engine._steps) == 4
