"""The CPU's kernels against integers of 64 bits, under the processor's own instructions and under fewer."""

import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("numba")

from energybench.workloads.qnn import bits
from energybench.workloads.qnn.kernels import _popcount, _stage, isa, linear
from energybench.workloads.qnn.kernels.linear import DOT, POPCOUNT

FAKE = Path(__file__).parent / "fakes/compared_product.py"
INTEGERS = (1, 2, 3, 4, 8)
FORMATS = [(POPCOUNT, w, a) for w in (1, 2) for a in (1, 2)]
FORMATS += [(DOT, w, a) for w in INTEGERS for a in INTEGERS]
X86 = platform.machine().lower() in ("x86_64", "amd64")
only_x86 = pytest.mark.skipif(not X86, reason="needs an x86 processor")


def load_fake(name):
    """tests/fakes/NAME.py, once: conftest cannot be imported, and fixtures come too late for parameters."""
    full = f"energybench_fakes_{name}"
    if full not in sys.modules:
        spec = importlib.util.spec_from_file_location(full, FAKE.with_name(f"{name}.py"))
        sys.modules[full] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[full])
    return sys.modules[full]


make, compared = load_fake("random_network"), load_fake("compared_product")
HANDED_ON = st.sampled_from((compared.SUMS, 0, 1, 2, 3, 4, 8))


def differences(engine, wbits, abits, *, seed, cut, out_bits, **given):
    random = np.random.default_rng(seed)
    layer, values = compared.drawn(random, wbits, abits, out_bits=out_bits, **given)
    return compared.differences(layer, values, engine=engine, out_bits=out_bits, cut=cut % (len(values) + 1))


@pytest.mark.parametrize(("engine", "wbits", "abits"), FORMATS)
@settings(deadline=None, max_examples=10)
@given(
    samples=st.integers(1, 200), outputs=st.integers(1, 130), channels=st.integers(1, 600), out_bits=HANDED_ON,
    fill=st.sampled_from(compared.FILLS), cut=st.integers(0, 200), seed=st.integers(0, 2**16),
)  # fmt: skip
def test_products_of_vectors_are_exact(engine, wbits, abits, samples, outputs, channels, out_bits, fill, cut, seed):
    given = {"samples": samples, "outputs": outputs, "channels": channels, "fill": fill, "shape": compared.VECTOR}
    assert differences(engine, wbits, abits, seed=seed, cut=cut, out_bits=out_bits, **given) == 0


@pytest.mark.parametrize("shape", [compared.WINDOW, compared.POOLED, compared.MAP])
@settings(deadline=None, max_examples=60)
@given(
    chosen=st.sampled_from(FORMATS), samples=st.integers(1, 5), outputs=st.integers(1, 70),
    channels=st.integers(1, 70), out_bits=HANDED_ON, fill=st.sampled_from(compared.FILLS), cut=st.integers(0, 5),
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)), seed=st.integers(0, 2**16),
)  # fmt: skip
def test_products_of_maps_are_exact(shape, chosen, samples, outputs, channels, out_bits, fill, cut, size, seed):
    size = tuple(max(2, edge) for edge in size) if shape == compared.POOLED else size
    given = {"samples": samples, "outputs": outputs, "channels": channels, "fill": fill, "shape": shape, "size": size}
    assert differences(*chosen, seed=seed, cut=cut, out_bits=out_bits, **given) == 0


@pytest.mark.parametrize(
    ("chosen", "given"),
    [
        ((DOT, 8, 8), {"samples": 101, "channels": 7001, "shape": compared.VECTOR}),
        ((DOT, 3, 4), {"samples": 3, "channels": 300, "shape": compared.POOLED, "size": (13, 11)}),
        ((POPCOUNT, 2, 2), {"samples": 70, "channels": 40001, "shape": compared.VECTOR}),
        ((POPCOUNT, 2, 1), {"samples": 2, "channels": 2000, "shape": compared.WINDOW, "size": (13, 11)}),
    ],
)
@pytest.mark.parametrize("out_bits", [compared.SUMS, 2])
def test_rows_that_leave_the_cache_are_worked_on_in_blocks(chosen, given, out_bits):
    assert differences(*chosen, seed=0, cut=1, outputs=35, out_bits=out_bits, **given) == 0


@pytest.mark.parametrize("chosen", [(DOT, 4, 8), (POPCOUNT, 1, 1)])
def test_scores_that_leave_the_cache_are_written_past_it(chosen):
    given = {"samples": 1055, "outputs": 1000, "channels": 35, "shape": compared.VECTOR}
    assert 4 * given["samples"] * given["outputs"] > linear._STREAMED_BYTES
    assert differences(*chosen, seed=0, cut=501, out_bits=0, **given) == 0
    pooled = {"samples": 40, "outputs": 300, "channels": 3, "shape": compared.POOLED, "size": (19, 21)}
    assert linear._STREAMED_BYTES < 4 * 40 * 9 * 10 * 300
    assert differences(*chosen, seed=0, cut=7, out_bits=0, **pooled) == 0


def test_the_longest_sum_is_exact_and_one_product_more_is_refused():
    most = (2**31 - 1) // 127**2
    given = {"samples": 2, "outputs": 2, "out_bits": compared.SUMS, "shape": compared.VECTOR, "seed": 0, "cut": 0}
    for fill in (compared.LARGEST, compared.OPPOSITE):
        assert differences(DOT, 8, 8, channels=most, fill=fill, **given) == 0
    with pytest.raises(ValueError, match=f"{most + 1} inputs of a sum could leave 32 bits: split the layer"):
        differences(DOT, 8, 8, channels=most + 1, **given)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_row_alone_is_what_it_is_among_others(threads):
    """Few rows are multiplied by another loop than many."""
    random = np.random.default_rng(threads)
    for engine, wbits, abits in ((DOT, 4, 8), (DOT, 8, 8), (POPCOUNT, 1, 1)):
        given = {"samples": 21, "outputs": 50, "channels": 333, "shape": compared.VECTOR, "out_bits": 0}
        layer, values = compared.drawn(random, wbits, abits, **given)
        source = compared.held(values, abits)
        product = linear.Product(layer, source, rows=21, engine=engine, threads=threads)
        product.run(0, 21)
        whole = compared.contents(product.out).copy()
        product.out.data[:] = 0
        for row in range(21):
            product.run(row, row + 1, row % threads)
        assert np.array_equal(compared.contents(product.out), whole)


@pytest.mark.parametrize("chosen", [(DOT, 2, 8), (POPCOUNT, 1, 1)])
def test_threads_at_the_same_time_have_room_of_their_own(chosen):
    engine, wbits, abits = chosen
    given = {"samples": 80, "outputs": 90, "channels": 50, "shape": compared.WINDOW, "size": (13, 11), "out_bits": 0}
    layer, values = compared.drawn(np.random.default_rng(0), wbits, abits, **given)
    rows = 80 * 13 * 11
    product = linear.Product(layer, compared.held(values, abits), rows=rows, engine=engine, threads=2)
    product.run(0, rows)
    alone = compared.contents(product.out).copy()
    together = threading.Barrier(2)

    def half(thread):
        together.wait()
        product.run(rows // 2 * thread, rows // 2 * (thread + 1), thread)

    with ThreadPoolExecutor(2) as pool:
        for _ in range(5):
            product.out.data[:] = 0
            list(pool.map(half, (0, 1)))
            assert np.array_equal(compared.contents(product.out), alone)


# Layouts


@settings(deadline=None, max_examples=40)
@given(
    wbits=st.sampled_from(bits.PLANES), outputs=st.integers(1, 70), taps=st.sampled_from((1, 4, 9)),
    channels=st.integers(1, 70), seed=st.integers(0, 99),
)  # fmt: skip
def test_planes_of_weights_lie_by_panel_plane_word_and_column(wbits, outputs, taps, channels, seed):
    random = np.random.default_rng(seed)
    values = make.odd_values(random, (outputs, taps, channels), wbits)
    words = -(-channels // 32)
    row_bytes = -(-taps * words // 4) * 16
    panels = linear.pack_planes(values, wbits, row_bytes)
    assert panels.ctypes.data % 64 == 0
    read = panels.view(np.uint32).reshape(-1, wbits, row_bytes // 4, 32)
    for output, tap, channel in zip(*(random.integers(0, n, 50) for n in values.shape), strict=True):
        word = read[output // 32, :, tap * words + channel // 32, output % 32]
        code = sum(int(word[plane] >> np.uint32(channel % 32) & 1) << plane for plane in range(wbits))
        assert 2 * code - bits.top(wbits) == values[output, tap, channel]
    set_bits = int(np.unpackbits(panels).sum())
    assert set_bits == int(np.unpackbits(((values.astype(np.int16) + bits.top(wbits)) >> 1).astype(np.uint8)).sum())


@settings(deadline=None, max_examples=40)
@given(
    wbits=st.sampled_from(INTEGERS), outputs=st.integers(1, 70), channels=st.integers(1, 150), seed=st.integers(0, 99)
)
def test_bytes_of_weights_lie_by_groups_of_four_inputs(wbits, outputs, channels, seed):
    random = np.random.default_rng(seed)
    codes = random.integers(0, 2**wbits, (outputs, 1, channels)).astype(np.uint8)
    steps = -(-channels // 32)
    panels = linear.pack_bytes(codes, wbits, 32 * steps)
    assert panels.shape == (-(-outputs // 32), steps * wbits * 128)
    read = panels.reshape(len(panels), steps, wbits, 32, 4)
    for output, k in zip(random.integers(0, outputs, 50), random.integers(0, channels, 50), strict=True):
        group, place = k // 4 % 8, (output // 32, k // 32, slice(None), output % 32, k % 4)
        assert code_of(read[place].tolist(), wbits, group) == codes[output, 0, k]
    assert int(np.unpackbits(panels).sum()) == int(np.unpackbits(codes).sum())


def code_of(blocks, wbits, group):
    """The code of the `group`-th of 8 groups, from the bytes of a step's blocks."""
    if wbits == 3:
        low = blocks[group // 4] >> 2 * (group % 4) & 3
        return low | (blocks[2] >> group & 1) << 2
    per = 8 // wbits
    return blocks[group // per] >> wbits * (group % per) & (2**wbits - 1)


@pytest.mark.parametrize("width", [1, 2, 3, 4, 8, 32])
@pytest.mark.parametrize("size", [None, (3, 5)])
def test_signals_begin_with_a_cache_line_and_keep_out_of_one_set_of_the_cache(width, size):
    for channels in (1, 31, 129, 1024, 4096, 32768):
        signal = linear.signal(30, channels, width, size)
        needed = width * channels if width < 8 else width * channels // 8 * 8
        assert signal.data.shape == (30, signal.stride)
        assert signal.address % 64 == 0
        assert 8 * signal.stride >= needed
        assert not signal.data.any()
        assert signal.places == (15 if size else 1)
        if width <= 4:
            assert (signal.pitch % 4, signal.stride >= width * signal.pitch) == (0, True)
        if size is None and width <= 8:
            assert signal.stride % 4096


@pytest.mark.parametrize("width", INTEGERS)
@settings(deadline=None, max_examples=30)
@given(rows=st.integers(1, 6), columns=st.integers(1, 200), first=st.integers(0, 6), seed=st.integers(0, 99))
def test_floats_become_the_codes_that_numpy_finds(width, rows, columns, first, seed):
    random = np.random.default_rng(seed)
    numbers = random.normal(0, 0.7, (rows, columns)).astype(np.float32)
    edges = np.arange(-300, 301, dtype=np.float32) / np.float32(bits.top(width))
    chosen = random.random(numbers.shape) < 0.5
    numbers[chosen] = random.choice(edges, chosen.sum())
    first = min(first, rows)
    out = linear.signal(rows, columns, width)
    tail = linear.aligned(1, 128)
    given = (numbers.ctypes.data, columns, width, tail.ctypes.data, out.address, out.stride, out.pitch)
    _stage.quantize(*given, first, rows)
    assert np.array_equal(compared.contents(out)[first:], quantized(numbers, width)[first:])
    assert not out.data[:first].any()


def quantized(numbers, width):
    cut = np.clip(numbers, np.float32(-1), np.float32(1))
    if width == 8:
        return np.rint(cut * np.float32(127)).astype(np.int8)
    top = bits.top(width)
    codes = np.floor((cut + np.float32(1)) * np.float32(top / 2) + np.float32(0.5))
    return (2 * codes - top).astype(np.int8)


@settings(deadline=None, max_examples=40)
@given(
    width=st.sampled_from(bits.PLANES), rows=st.integers(1, 6), columns=st.integers(1, 200), seed=st.integers(0, 99),
    size=st.sampled_from((None, (1, 1))),
)  # fmt: skip
def test_planes_are_spread_to_bytes(width, rows, columns, seed, size):
    values = make.odd_values(np.random.default_rng(seed), (rows, columns), width)
    shape = (rows, columns) if size is None else (rows, *size, columns)
    source, out = compared.held(values.reshape(shape), width), linear.signal(rows, columns, 8, size)
    out.data[:] = 77
    given = (source.address, source.stride, source.pitch, width, columns, out.address, out.stride)
    _stage.spread(*given, 0, rows)
    assert np.array_equal(compared.contents(out), values)


def test_pixels_are_looked_up():
    random = np.random.default_rng(0)
    table, pixels = random.permutation(256).astype(np.uint8), random.integers(0, 256, (5, 33)).astype(np.uint8)
    out = np.zeros((5, 40), np.uint8)
    _stage.look_up(pixels, table, 33, out.reshape(-1), 40, 1, 4)
    assert np.array_equal(out[1:4, :33], table[pixels[1:4]])
    assert not out[[0, 4]].any()
    assert not out[:, 33:].any()


# Instructions

AVX2 = "64bit cx8 cx16 cmov fxsr mmx sse sse2 sse3 ssse3 sse4.1 sse4.2 popcnt avx avx2 bmi bmi2 f16c fma lzcnt movbe"
AVX512 = AVX2 + " avx512f avx512bw avx512vl avx512dq avx512cd"
SSE2 = "64bit cx8 cmov fxsr mmx sse sse2"
FEW = {
    "avx512": ("skylake-avx512", AVX512, [(POPCOUNT, 1, 1), (DOT, 3, 8), (DOT, 8, 8)]),
    "avx2": ("haswell", AVX2, [(POPCOUNT, 1, 1), (DOT, 4, 8), (DOT, 8, 8)]),
    "portable": ("x86-64", SSE2, [(POPCOUNT, 1, 1), (POPCOUNT, 2, 2), (DOT, 4, 8)]),
}
COUNTING = isa.Target(name="counting", lanes=16, dot="vnni", vpopcnt=True, ternary=True)
NARROW = isa.Target(name="narrow", lanes=8, dot="vnni")
FORCED = {"counting": (COUNTING, [(POPCOUNT, 1, 1), (POPCOUNT, 2, 2)]), "narrow": (NARROW, [(DOT, 2, 2)])}


@pytest.mark.parametrize(
    ("features", "name", "kinds"),
    [
        ("", "portable", (4, "shifts", False, False)),
        (SSE2, "portable", (4, "shifts", False, False)),
        ("neon fullfp16", "portable", (4, "shifts", False, False)),
        (AVX2, "avx2", (8, "madd", False, False)),
        (AVX2 + " avxvnni", "avx2-vnni", (8, "vnni", False, False)),
        # Without AVX-512's bytes and words (Knights Landing) there is nothing in it for bytes.
        (AVX2 + " avx512f avx512cd avx512vpopcntdq", "avx2", (8, "madd", False, False)),
        (AVX512, "avx512", (16, "madd", False, True)),
        (AVX512 + " avx512vnni", "avx512-vnni", (16, "vnni", False, True)),
        (AVX512 + " avx512vpopcntdq", "avx512-vpopcntdq", (16, "madd", True, True)),
        (AVX512 + " avx512vnni avxvnni avx512vpopcntdq", "avx512-vnni-vpopcntdq", (16, "vnni", True, True)),
    ],
)
def test_the_best_families_are_chosen_by_the_features(features, name, kinds):
    found = isa.choose(set(features.split()))
    assert (found.name, found.lanes, found.dot, found.vpopcnt, found.ternary) == (name, *kinds)


def own_features():
    """LLVM's features of this processor."""
    import llvmlite.binding as llvm

    return {name for name, there in llvm.get_host_cpu_features().items() if there}


@pytest.fixture(scope="module", autouse=True)
def _begin_with_others(request):
    """What takes longest begins first, and runs beside the other tests."""
    if X86 and any("others" in item.fixturenames for item in request.session.items):
        request.getfixturevalue("others")


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    """Processes that compute under other instructions than this processor's best."""
    started = {}
    for name, (processor, features, formats) in FEW.items():
        if set(features.split()) <= own_features():
            flags = ",".join(f"+{feature}" for feature in features.split())
            chosen = {"NUMBA_CPU_NAME": processor, "NUMBA_CPU_FEATURES": flags}
            started[name] = start(tmp_path_factory.mktemp(name), chosen, [], formats)
    if {"avx512vnni", "avx512bw", "avx512vl", "avx512dq"} <= own_features():
        for name, (target, formats) in FORCED.items():
            started[name] = start(tmp_path_factory.mktemp(name), {}, [json.dumps(asdict(target))], formats)
    yield started
    for process in started.values():
        process.kill()
        process.communicate()


def start(folder, variables, arguments, formats):
    environment = os.environ | {"NUMBA_CACHE_DIR": str(folder / "cache"), **variables}
    (folder / "formats.json").write_text(json.dumps(formats))
    with (folder / "formats.json").open() as formats_file:
        return subprocess.Popen(
            [sys.executable, str(FAKE), *arguments],
            env=environment, stdin=formats_file, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip


@pytest.mark.parametrize("name", [*FEW, *FORCED])
@only_x86
def test_products_are_exact_under_other_instructions(others, name):
    if name not in others:
        pytest.skip("this processor lacks them")
    out, errors = others[name].communicate(timeout=300)
    assert others[name].returncode == 0, errors
    formats = {**FEW, **FORCED}[name][-1]
    assert json.loads(out) == {"isa": name, "different": [0] * len(formats)}


def test_a_kernel_whose_source_was_edited_is_not_served_from_the_cache(tmp_path):
    """Helpers of a kernel are compiled into it: numba itself would only look at the file that the kernel stands in."""
    package = Path(linear.__file__).parents[3]
    shutil.copytree(package, tmp_path / "energybench", symlinks=False, ignore=shutil.ignore_patterns("__pycache__"))
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "NUMBA_CACHE_DIR": str(tmp_path / "cache")}

    script = tmp_path / "summed.py"
    script.write_text(SUMMED.format(root=str(tmp_path)))

    def summed():
        done = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, check=True)
        return json.loads(done.stdout)

    first = summed()
    assert summed() == {"sum": first["sum"], "compiled": 0}
    emitted = tmp_path / "energybench" / "workloads" / "qnn" / "kernels" / "_dot.py"
    text = emitted.read_text()
    changed = text.replace(
        "ones, size = e.constant(e.I32, narrow.lanes, 0x01010101)", "ones, size = e.constant(e.I32, narrow.lanes, 0)"
    )
    assert changed != text
    emitted.write_text(changed)
    assert summed() == {"sum": 0, "compiled": 1}


@only_x86
def test_where_bits_are_counted_by_an_instruction_nothing_of_the_loop_leaves_the_registers():
    """VPOPCNTDQ is in few processors: what LLVM makes for one that has it is read, not run."""
    text = assembly(lambda b, a: _popcount.tile(b, COUNTING, (1, 1), _popcount.rows(COUNTING), (a[0], a[1:3], *a[3:])))
    loops = re.findall(r"^(\.LBB\w+):\n((?:(?!\.LBB).*\n)*?)\tj\w+\t\1$", text, re.MULTILINE)
    longest = max((body for _, body in loops), key=len)
    cells = 2 * _popcount.rows(COUNTING)
    pairs = longest.count("vpopcntd") // cells * _popcount.depth(COUNTING) // 2
    assert longest.count("vpopcntd") % cells == 0
    # Two XORs and a full adder are three instructions for a pair of words.
    assert longest.count("vpternlogd") >= 3 * cells * pairs > 0
    assert not re.search(r"call|%rsp|%rbp", longest)


SUMMED = """
import json, numpy
import energybench.workloads.qnn.kernels as kernels
assert kernels.__file__.startswith({root!r})
from energybench.workloads.qnn.kernels._compiled import SOURCE, kept
from energybench.workloads.qnn.kernels._intrinsics import row_sum
def make(source):
    @kept
    def summed(address):
        return row_sum(2 + 0 * source, address)
    return summed
found, row = make(SOURCE), numpy.ones(64, numpy.int8)
total = int(found(row.ctypes.data))
print(json.dumps(dict(sum=total, compiled=sum(found.stats.cache_misses.values()))))
"""


def assembly(emit):
    """What LLVM makes for a processor with VPOPCNTDQ of a function of five 64-bit integers."""
    from llvmlite import binding, ir

    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    module = ir.Module()
    module.triple = "x86_64-unknown-linux-gnu"
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [ir.IntType(64)] * 5), "tile")
    builder = ir.IRBuilder(function.append_basic_block())
    emit(builder, function.args)
    builder.ret_void()
    parsed = binding.parse_assembly(str(module))
    parsed.verify()
    machine = binding.Target.from_triple(module.triple).create_target_machine(cpu="znver4", opt=3)
    return machine.emit_assembly(parsed)
