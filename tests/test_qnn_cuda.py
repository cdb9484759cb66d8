"""The CUDA engine without a GPU: its kernels' own source on the host, Triton's interpreter, compilers, and formulas."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from energybench import operations
from energybench.workloads.qnn import bits

torch = pytest.importorskip("torch")
from energybench.workloads.qnn.cuda import _pack, binary_mma  # noqa: E402 - they import torch
from energybench.workloads.qnn.cuda._binary_source import KERNELS, PRIMITIVES  # noqa: E402
from energybench.workloads.qnn.cuda.engine import CudaNetwork, kernel  # noqa: E402


def load_fake(name):
    """tests/fakes/NAME.py, once: conftest cannot be imported, and fixtures come too late for parameters."""
    full = f"energybench_fakes_{name}"
    if full not in sys.modules:
        spec = importlib.util.spec_from_file_location(full, Path(__file__).parent / f"fakes/{name}.py")
        sys.modules[full] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[full])
    return sys.modules[full]


make = load_fake("random_network")
oracle = load_fake("integer_network")
EXACT = (
    *("w1a1 single", "w1a1 many", "w1a1 int8", "w2a2 int8", "w3a4 int8", "w4a8 auto", "w8a8 few", "w8a2 many"),
    *("mixed", "w1a1 map", "w2a3 map", "w3a8 map", "w8a8 map"),
)
NEAR = {"w32a32": 1e-5, "w32a2": 1e-5, "w32a32 map": 1e-5, "w4a16 map": 1e-5, "w16a16": 0.02, "w8a8 fp8": 0.2}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Where the host compiler's builds of the CUDA source lie."""
    if shutil.which("g++") is None:
        pytest.skip("needs g++")
    return tmp_path_factory.mktemp("built")


@pytest.fixture(scope="module")
def compiler(built):
    return load_fake("cuda_on_host").compiler(built)


def planes(values, width, words):
    """Values (rows, columns) as int32 (rows, width, words), as the kernels read and write them."""
    code = values.view(np.uint8) if width == 8 else (values.astype(np.int16) + bits.top(width)) >> 1
    single = np.zeros((len(values), width, words * 32), np.uint8)
    for plane in range(width):
        single[:, plane, : values.shape[1]] = code >> plane & 1
    return np.packbits(single, axis=2, bitorder="little").view(np.int32)


def compare_binary(compiler, *, wbits, abits, outputs, inputs, samples, out_bits, packed, pool=1):
    random = np.random.default_rng(outputs * inputs)
    layer = make.layer(random, wbits, abits, outputs, 1, inputs, out_bits, pool=pool)
    values = make.odd_values(random, (samples, inputs), abits)
    sums = values.astype(np.int64) @ layer.values().astype(np.int64).T
    wanted = oracle.handed_on(layer, sums.reshape(-1, pool**2, outputs).max(1))
    if out_bits:
        wanted = wanted.astype(np.int8)
        wanted = planes(wanted, out_bits, _pack.plane_words(1, outputs)) if packed else wanted
    product = binary_mma.BinaryLinear(layer, samples=samples, packed=packed, device="cpu", compiler=compiler)
    out = torch.zeros(wanted.shape, dtype=torch.from_numpy(wanted).dtype)
    product(torch.from_numpy(planes(values, abits, _pack.plane_words(1, inputs))), out)
    assert (out.numpy() == wanted).all()
    return product


@pytest.mark.parametrize(
    ("wbits", "abits", "outputs", "inputs", "samples", "out_bits", "packed", "pool"),
    [
        (1, 1, 40, 300, 5, 1, True, 1),
        (4, 8, 37, 2600, 1, 0, False, 1),
        (3, 3, 50, 290, 12, 3, True, 2),
    ],
)
def test_the_kernel_for_few_columns_gives_the_integers(
    compiler, wbits, abits, outputs, inputs, samples, out_bits, packed, pool
):
    product = compare_binary(
        compiler, wbits=wbits, abits=abits, outputs=outputs, inputs=inputs, samples=samples, out_bits=out_bits,
        packed=packed, pool=pool,
    )  # fmt: skip
    assert product.few


@pytest.mark.parametrize(("out_bits", "packed", "pool"), [(1, True, 1), (2, False, 2)])
def test_the_kernel_for_many_columns_gives_the_integers(compiler, out_bits, packed, pool):
    for outputs, inputs, samples in ((70, 515, 80), (33, 31, 132), (16, 2048, 36)):
        product = compare_binary(
            compiler, wbits=1, abits=1, outputs=outputs, inputs=inputs, samples=samples, out_bits=out_bits,
            packed=packed, pool=pool,
        )  # fmt: skip
        assert not product.few


def test_the_host_sees_a_missing_barrier(built, monkeypatch):
    fake = load_fake("cuda_on_host")
    careless = KERNELS.replace(
        "wait_for_all_but<STAGES - 2>();\n    __syncthreads();", "wait_for_all_but<STAGES - 2>();"
    )
    assert careless != KERNELS
    monkeypatch.setattr(fake, "KERNELS", careless)
    with pytest.raises(AssertionError):
        compare_binary(
            fake.compiler(built), wbits=1, abits=1, outputs=70, inputs=5150, samples=80, out_bits=0, packed=False
        )


@pytest.fixture(scope="module")
def interpreted(built):
    """What the engine did with each network, its Triton kernels interpreted."""
    pytest.importorskip("triton", reason="needs Triton: pip install triton")
    script = Path(__file__).parent / "fakes/interpreted_engine.py"
    environment = os.environ | {"TRITON_INTERPRET": "1"}
    command = [sys.executable, str(script), str(built)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {case["case"]: case for case in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize("case", EXACT)
def test_integer_layers_give_the_integers_to_the_last_bit(interpreted, case):
    assert interpreted[case]["different"] == 0, interpreted[case]["kernels"]


@pytest.mark.parametrize("case", NEAR)
def test_floats_come_near(interpreted, case):
    assert interpreted[case]["relative"] < NEAR[case]


def test_the_cases_reach_every_kernel(interpreted):
    assert set(interpreted) == {*EXACT, *NEAR}
    reached = {name.split(" w")[0] for case in interpreted.values() for name in case["kernels"]}
    kinds = {"b1.and.popc", "triton", "torch._int_mm int8", "torch._scaled_mm fp8"}
    assert reached >= kinds | {f"aten.{layer} {kind}" for layer in ("linear",) for kind in ("float32", "bfloat16")}


def test_each_kernel_says_what_it_does(interpreted):
    heard = dict(map(tuple, interpreted["w1a1 single"]["heard"][-1:]))
    # 90 inputs, 10 outputs, one sample: scores are affine.
    read, written, counted = heard["qnn.cuda.xnor_linear"]
    assert (read, written) == (113 + 12 + 80, 40)
    assert counted == {"b1.and": 900, "b1.popcount": 900, "fp32.mul": 10, "fp32.add": 10}
    for case in interpreted.values():
        assert all(cost is not None for _, cost in case["heard"]), case["case"]


def test_packed_bytes_fall_with_the_bits():
    shape = {"rows": 1, "inputs": 4096, "outputs": 4096, "abits": 8, "out_bits": 8, "pool": 1}
    formula = operations.formula("qnn.cuda.packed_linear")
    assert formula is not None
    read = {width: formula(wbits=width, **shape).read_bytes for width in (1, 2, 3, 4, 8)}
    assert {width: read[width] - read[1] for width in read} == {w: (w - 1) * 4096 * 512 for w in read}


@given(word=st.integers(0, 2**32 - 1), third=st.integers(0, 2**32 - 1), width=st.sampled_from((1, 2, 3, 4)))
@settings(max_examples=200, deadline=None)
def test_the_assembly_unpacks_four_bytes_at_once(word, third, width):
    pytest.importorskip("triton")
    from energybench.workloads.qnn.cuda.triton_kernels import ASSEMBLY

    for position in range(8):
        got = run_ptx(ASSEMBLY[width][position], {"$1": word, "$2": third})
        wanted = [unpacked(word >> 8 * i & 255, third >> 8 * i & 255, width, position) for i in range(4)]
        assert list(got.to_bytes(4, "little")) == [value & 255 for value in wanted]


def unpacked(byte, third, width, position):
    low = 2 if width == 3 else width
    code = byte >> position % (8 // low) * low & (2**low - 1)
    if width == 3:
        code |= (third >> position & 1) << 2
    return 2 * code - (2**width - 1)


def run_ptx(text, registers):
    """The few instructions of PTX that unpacking needs, on 32-bit words."""
    kinds = {
        "shl.b32": lambda a, b: a << b,
        "shr.u32": lambda a, b: a >> b,
        "and.b32": lambda a, b: a & b,
        "or.b32": lambda a, b: a | b,
        "xor.b32": lambda a, b: a ^ b,
        "sub.u32": lambda a, b: a - b,
    }
    registers = dict(registers)
    for line in text.strip("{ }").split(";"):
        if line.strip() and ".reg" not in line:
            name, to, *operands = line.replace(",", " ").split()
            a, b = (registers[o] if o in registers else int(o, 0) for o in operands)
            registers[to] = kinds[name](a, b) & 0xFFFFFFFF
    return registers["$0"]


@pytest.mark.parametrize("architecture", [80, 90])
def test_the_cuda_source_compiles_to_the_binary_instruction(tmp_path, architecture):
    if shutil.which("nvcc") is None or (dumper := sass_dumper()) is None:
        pytest.skip("needs nvcc, and cuobjdump (Triton brings one)")
    constants = {**binary_mma._CONSTANTS, "W_BITS": 1, "A_BITS": 8, "OUT_BITS": 4, "ROW_TILES": 4, "COLUMN_GROUPS": 4}
    source = tmp_path / "kernels.cu"
    source.write_text(binary_mma._defines(constants) + PRIMITIVES + KERNELS)
    cubin = tmp_path / "kernels.cubin"
    command = ["nvcc", "-cubin", f"-arch=sm_{architecture}", "-Xptxas", "-v", "-o", str(cubin), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.findall(r"(\d+) bytes spill", done.stderr) == ["0"] * 4
    listing = subprocess.run([dumper, "-sass", cubin], capture_output=True, text=True, check=True).stdout
    functions = listing.split("Function :")[1:]
    assert len(functions) == 2
    for kernel_text in functions:
        assert "BMMA.168256.AND.POPC" in kernel_text
        assert re.search(r"LDG\.E\.\S*128|LDGSTS\.E\.BYPASS\.128", kernel_text)


def sass_dumper():
    try:
        import triton
    except ImportError:
        return shutil.which("cuobjdump")
    beside = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
    return str(beside) if beside.exists() else shutil.which("cuobjdump")


_COMPILE = """
import sys, triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from energybench.workloads.qnn.cuda import triton_kernels as kernels
function, bits = kernels.packed_product, int(sys.argv[1])
kinds = {"signal": "*i8", "weights": "*u8", "out": "*i32", "thresholds": "*i32", "flipped": "*u8", "gain": "*fp32",
         "offset": "*fp32"}
constants = dict(w_bits=bits, unit=32, out_bits=2, packed=True, pool=4, tile_n=64, tile_m=128, split=1,
                 assembly=kernels.ASSEMBLY[bits])
signature = {n: kinds.get(n, "constexpr" if n in constants else "i32") for n in function.arg_names}
aligned = {(i,): [["tt.divisibility", 16]] for i, n in enumerate(function.arg_names)
           if n in kinds or n in ("signal_stride", "padded_outputs")}
built = triton.compile(
    ASTSource(fn=function, signature=signature, attrs=aligned,
              constexprs={(function.arg_names.index(n),): v for n, v in constants.items()}),
    target=GPUTarget("cuda", 90, 32), options={"num_warps": 4, "num_stages": 3, "enable_fp_fusion": False})
open(sys.argv[2], "wb").write(built.asm["cubin"])
"""


def test_unpacked_weights_go_from_registers_into_hoppers_int8_product(tmp_path):
    if (dumper := sass_dumper()) is None or "triton" not in dumper:
        pytest.skip("needs Triton with its assembler: pip install triton")
    environment = {n: v for n, v in os.environ.items() if n != "TRITON_INTERPRET"} | {"TRITON_CACHE_DIR": str(tmp_path)}
    cubin = tmp_path / "packed.cubin"
    subprocess.run([sys.executable, "-c", _COMPILE, "3", str(cubin)], env=environment, check=True)
    text = subprocess.run([dumper, "-sass", cubin], capture_output=True, text=True, check=True).stdout
    assert "IGMMA.64x128x32" in text
    # Bytes stored one by one would be unpacked weights on their way through shared memory.
    assert "STS.U8" not in text
    # A product and a sum that must round one after the other.
    assert "FFMA" not in text


def test_the_kernel_follows_the_widths_and_the_rows():
    random = np.random.default_rng(0)
    binary, four, eight = (make.layer(random, w, a, 16, 1, 64, 0) for w, a in ((1, 1), (4, 8), (8, 8)))
    assert kernel(binary, 4096, "auto") == "b1.and.popc w1a1"
    assert kernel(binary, 4096, "int8") == kernel(binary, 4096, "auto", binary=False) == "triton w1 int8"
    assert kernel(four, 4, "auto") == "b1.and.popc w4a8"
    assert kernel(four, 5, "auto") == "triton w4 int8"
    assert kernel(four, 5, "bits") == "b1.and.popc w4a8"
    assert [kernel(eight, rows, "auto") for rows in (16, 17)] == ["triton w8 int8", "torch._int_mm int8"]
    assert kernel(eight, 17, "fp8") == "torch._scaled_mm fp8"


def test_what_does_not_fit_is_said_in_a_line():
    network = make.mlp(np.random.default_rng(0), 32, 32, (5, 6, 3))
    for wrong, message in (
        ({"arithmetic": "int4"}, "arithmetic=int4 is not offered: choose from auto, int8, fp8, bits"),
        ({"rows": 0}, "rows=0 does not fit: it is 1 or more"),
        ({"device": "tpu"}, "device=tpu is not offered: choose from cuda, cpu"),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            CudaNetwork(network, **{"rows": 4, "device": "cpu"} | wrong)
    engine = CudaNetwork(network, rows=4, device="cpu")
    for pixels, message in (
        (torch.zeros(4, 5), "pixels are torch.float32 (4, 5): give uint8 (samples, 5)"),
        (torch.zeros(5, 5, dtype=torch.uint8), "5 samples on cpu: this network was built for up to 4 on cpu"),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            engine(pixels)


def test_integer_layers_on_a_cpu_name_the_interpreter(monkeypatch):
    pytest.importorskip("triton")
    monkeypatch.setattr("energybench.workloads.qnn.cuda.triton_kernels.INTERPRETED", False)
    network = make.mlp(np.random.default_rng(0), 8, 8, (5, 6, 3))
    with pytest.raises(ValueError, match="set TRITON_INTERPRET=1, or use device=cuda"):
        CudaNetwork(network, rows=4, device="cpu")


def test_without_triton_the_remedy_is_named(monkeypatch):
    package = sys.modules["energybench.workloads.qnn.cuda"]
    for name in ("_chain", "_products", "_signal", "triton_kernels"):
        monkeypatch.delitem(sys.modules, f"{package.__name__}.{name}", raising=False)
        monkeypatch.delattr(package, name, raising=False)
    monkeypatch.setitem(sys.modules, "triton", None)
    network = make.mlp(np.random.default_rng(0), 8, 8, (5, 6, 3))
    with pytest.raises(ValueError, match="need Triton, which is not installed here: pip install triton"):
        CudaNetwork(network, rows=4, device="cpu")


def test_without_a_gpu_single_bits_name_the_way_out():
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(ValueError, match="use arithmetic=int8"):
        binary_mma.compile_for_gpu("", "few_columns")
