"""How many times faster low-bit layers are than the best fp32 that torch or numpy offers, on this processor.

    python tests/bench/low_bit.py --output docs/results/low_bit.json
    python tests/bench/low_bit.py --isa avx2 --cases 1,64      # everybody told to leave AVX-512 alone
    python tests/bench/low_bit.py --threads 2 --cases threads  # ours by two threads against ours by one
    python tests/bench/low_bit.py --cases network,first-use

A linear layer of 4096 by 4096 with 1, 64 and 1024 rows (`cold`: 1 row, and weights that no cache holds), a 3 by 3
convolution 256 to 256 on 64 maps of 16 by 16, whole networks, and the first use of a format. Our layers start from
float32 activations and end with float32 (or with packed bits, where thresholds are fused): quantizing, packing and
scaling are in. Rounds are interleaved in random order; ratios are of medians. The clock is the thread's processor
time at one thread, the wall's at more.
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

SIDE = 4096
FORMATS = ((1, 1), (2, 2), (4, 8), (3, 8), (2, 8), (1, 8), (8, 8))
AVX2 = (
    "64bit adx avx avx2 bmi bmi2 cmov cx16 cx8 f16c fma fsgsbase fxsr lzcnt mmx movbe pclmul popcnt rdrnd sahf sse sse2"
    " sse3 sse4.1 sse4.2 ssse3 xsave xsaveopt"
)
TARGETS = {
    "avx2": ("haswell", AVX2),
    "avx512": ("skylake-avx512", f"{AVX2} avx512f avx512bw avx512vl avx512dq avx512cd"),
    "portable": ("x86-64", "64bit sse sse2 cx8 cmov fxsr mmx"),
}
FLOATS = {
    "avx2": {
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "OPENBLAS_CORETYPE": "Haswell",
        "ATEN_CPU_CAPABILITY": "avx2",
    }
}
"""What keeps torch and numpy to the same instructions."""
STACK_BYTES = 96 << 20
"""Weights that are read by turns in the cold case: more than a last-level cache holds."""
Call = Callable[[], object]


def main() -> None:
    """Parse, set the threads before torch is loaded, run the cases."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--cases", default="1,cold,64,1024,conv,network,first-use", help="rows, cold, conv, threads, network, first-use"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--isa", choices=tuple(TARGETS), help="what may be used, instead of all there is")
    parser.add_argument("--fp32-all", action="store_true", help="with --isa avx2: by our kernels alone, not by fp32")
    parser.add_argument("--output", type=Path, help="a JSON file to add the numbers to")
    parser.add_argument("--one", metavar="WxA", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.isa:
        name, features = TARGETS[given.isa]
        os.environ["NUMBA_CPU_NAME"] = name
        os.environ["NUMBA_CPU_FEATURES"] = ",".join(f"+{feature}" for feature in features.split())
        os.environ |= {} if given.fp32_all else FLOATS.get(given.isa, {})
    of_blas = 1 if given.cases == "threads" else given.threads
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(of_blas)
    if given.threads > 1:  # else torch's threads spin on for a while after their turn, on a core that is ours by then
        os.environ |= {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0", "KMP_BLOCKTIME": "0"}
    if given.one:
        print(json.dumps(first_use(*map(int, given.one.split("x")))))
        return
    found = {case: _case(case, given) for case in given.cases.split(",")}
    if given.output:
        _add(given.output, found, given)


def _case(case: str, given: argparse.Namespace) -> dict[str, Any]:
    if case == "network":
        return network(given.rounds, given.threads)
    if case == "first-use":
        return first_uses()
    if case == "threads":
        return by_threads(given.rounds, given.threads)
    made = {"conv": convolution, "cold": cold}.get(case) or (lambda threads: linear(int(case), threads))
    calls = dict(made(given.threads))
    return table(case, calls, given.rounds, given.threads)


def table(case: str, calls: dict[str, Call], rounds: int, threads: int) -> dict[str, Any]:
    """Run the calls by turns; medians in milliseconds, and ratios to the fastest of those named fp32."""
    times = interleaved(calls, rounds, time.thread_time if threads == 1 else time.perf_counter)
    medians = {name: statistics.median(values) for name, values in times.items()}
    best = min(seconds for name, seconds in medians.items() if name.startswith("fp32"))
    print(f"\n{case}, {threads} threads, {rounds} rounds, load {os.getloadavg()[0]:.1f}, {_isa()}", flush=True)
    rows = {}
    for name, seconds in medians.items():
        spread = sorted(best / value for value in times[name])
        rows[name] = {
            "milliseconds": seconds * 1e3,
            "ratio": best / seconds,
            "quartiles": [spread[len(spread) // 4], spread[-len(spread) // 4]],
        }
        print(f"  {name:34s} {seconds * 1e3:10.3f} ms {best / seconds:8.2f}×", flush=True)
    return rows


def interleaved(calls: dict[Any, Call], rounds: int, clock: Callable[[], float]) -> dict[Any, list[float]]:
    """Seconds a call, of each call in each round, in random order; short calls are repeated to 3 ms."""
    import random

    repeats = {}
    for name, call in calls.items():
        call()
        start = time.perf_counter()
        call()
        repeats[name] = max(1, min(50, round(3e-3 / (time.perf_counter() - start))))
    times: dict[Any, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name in random.sample(list(calls), len(calls)):
            call = calls[name]
            call()
            start = clock()
            for _ in range(repeats[name]):
                call()
            times[name].append((clock() - start) / repeats[name])
    return times


def linear(rows: int, threads: int) -> Iterator[tuple[str, Call]]:
    """The linear layer: fp32 three ways, torch's int8, ours."""
    import numpy as np
    import torch
    from torch.nn import functional

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    x, w = torch.rand(rows, SIDE) * 2 - 1, torch.randn(SIDE, SIDE)
    floats, weights = x.numpy(), w.numpy()
    laid_out = torch.ops.mkldnn._reorder_linear_weight(w, rows)
    yield "fp32 torch F.linear", _quiet(lambda: functional.linear(x, w))
    yield (
        "fp32 torch oneDNN, laid out",
        _quiet(lambda: torch.ops.mkldnn._linear_pointwise(x, laid_out, None, "none", [], "")),
    )
    yield "fp32 numpy", lambda: floats @ weights.T
    yield from torch_int8(x, w)
    random = np.random.default_rng(0)
    for wbits, abits in FORMATS:
        layer = make_layer(random, wbits, abits, outputs=SIDE, channels=SIDE)
        yield f"W{wbits}A{abits}", ours(layer, floats, threads)
    fused = make_layer(random, 1, 1, outputs=SIDE, channels=SIDE, out_bits=1)
    yield "W1A1, packed bits out", ours(fused, floats, threads)
    if rows > 1:
        yield (
            "W2A2, bit-serial",
            ours(make_layer(random, 2, 2, outputs=SIDE, channels=SIDE), floats, threads, "popcount"),
        )


def cold(threads: int) -> Iterator[tuple[str, Call]]:
    """One row, the weights of each call from memory: copies of a layer by turns, more of them than a cache holds."""
    import numpy as np
    import torch
    from torch.nn import functional

    torch.set_num_threads(threads)
    x = torch.rand(1, SIDE) * 2 - 1
    weights = [torch.randn(SIDE, SIDE) for _ in range(2)]
    yield "fp32 torch F.linear", by_turns([_quiet(lambda w=w: functional.linear(x, w)) for w in weights])
    arrays = [w.numpy() for w in weights]
    yield "fp32 numpy", by_turns([lambda w=w: x.numpy() @ w.T for w in arrays])
    random = np.random.default_rng(0)
    for wbits, abits in FORMATS:
        layer = make_layer(random, wbits, abits, outputs=SIDE, channels=SIDE)
        copies = -(-STACK_BYTES * 8 // (SIDE * SIDE * wbits))
        yield f"W{wbits}A{abits}", by_turns([ours(layer, x.numpy(), threads) for _ in range(copies)])


def by_turns(calls: list[Call]) -> Call:
    """One after the other, a call each."""
    turns = itertools.cycle(calls)
    return lambda: next(turns)()


def torch_int8(x: Any, w: Any) -> Iterator[tuple[str, Call]]:
    """torch's two ways to an int8 product, quantizing and scaling included."""
    import torch

    scale = w.abs().amax(1) / 127
    whole = (w / scale[:, None]).round().to(torch.int8)
    turned, gain = whole.t(), scale / 127

    def int_mm() -> Any:
        return torch._int_mm((x * 127).round_().to(torch.int8), turned).to(torch.float32).mul_(gain)

    packed = torch.ops.onednn.qlinear_prepack(whole, list(x.shape))
    zeros = torch.zeros(len(w), dtype=torch.int32)

    def onednn() -> Any:
        unsigned = (x * 127).round_().add_(128).to(torch.uint8)
        last = (scale, zeros, None, 1.0, 0, torch.float32, "none", [], "")
        return torch.ops.onednn.qlinear_pointwise(unsigned, 1 / 127, 128, packed, *last)

    yield "torch._int_mm int8", _quiet(int_mm)
    yield "torch onednn uint8 x int8", _quiet(onednn)


def convolution(threads: int) -> Iterator[tuple[str, Call]]:
    """3 by 3, 256 to 256 channels, 64 maps of 16 by 16, channels last."""
    import numpy as np
    import torch
    from torch.nn import functional

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    x = (torch.rand(64, 256, 16, 16) * 2 - 1).contiguous(memory_format=torch.channels_last)
    w = torch.randn(256, 256, 3, 3).contiguous(memory_format=torch.channels_last)
    floats = x.permute(0, 2, 3, 1).reshape(-1, 256).contiguous().numpy()
    yield "fp32 torch F.conv2d channels last", _quiet(lambda: functional.conv2d(x, w, padding=1))
    random = np.random.default_rng(0)
    shape: dict[str, Any] = {"outputs": 256, "channels": 256, "taps": 9, "size": (16, 16)}
    for wbits, abits in FORMATS:
        yield f"W{wbits}A{abits}", ours(make_layer(random, wbits, abits, **shape), floats, threads)
    yield "W1A1, packed bits out", ours(make_layer(random, 1, 1, **shape, out_bits=1), floats, threads)


def make_layer(random: Any, wbits: int, abits: int, *, outputs: int, channels: int, taps: int = 1, **more: Any) -> Any:
    """A layer with random weights that hands on float32 scores, or codes by random thresholds."""
    import numpy as np

    from energybench.workloads.qnn import bits
    from energybench.workloads.qnn.network import SCORES, Layer

    inputs, top = taps * channels, bits.top(wbits)
    if wbits == 8:
        weights: Any = random.integers(-127, 128, (outputs, inputs)).astype(np.int8)
    else:
        weights = bits.pack_planes(2 * random.integers(0, top + 1, (outputs, inputs)) - top, wbits)
    width = more.pop("out_bits", SCORES)
    after: dict[str, Any] = {name: random.random(outputs).astype(np.float32) for name in ("gain", "offset")}
    if width:
        after = {
            "thresholds": random.integers(-64, 64, (1, outputs)).astype(np.int32),
            "flipped": np.zeros(outputs, bool),
        }
    return Layer(
        wbits=wbits, abits=abits, outputs=outputs, taps=taps, channels=channels, low=-bits.top(abits), out_bits=width,
        weights=weights, **after, **more,
    )  # fmt: skip


def ours(layer: Any, floats: Any, threads: int, engine: str | None = None) -> Call:
    """Quantize and pack the floats, multiply, scale: rows shared among the threads."""
    from concurrent.futures import ThreadPoolExecutor

    import numpy as np

    from energybench.workloads.qnn.kernels import _stage
    from energybench.workloads.qnn.kernels import linear as kernels

    chosen = engine or kernels.engine(layer.wbits, layer.abits)
    places = layer.size[0] * layer.size[1] if layer.size else 1
    # What is counted bit by bit is packed; what is multiplied as bytes is quantized to bytes.
    width = layer.abits if chosen == "popcount" else 8
    source = kernels.signal(len(floats), layer.channels, width, layer.size)
    product = kernels.Product(layer, source, rows=len(floats), engine=chosen, threads=threads)
    tails = np.zeros((threads, 32), np.float32)
    begin, tail = floats.ctypes.data, tails.ctypes.data
    room = (source.address, source.stride, source.pitch)

    def share(thread: int, first: int, last: int) -> None:
        _stage.quantize(begin, layer.channels, width, tail + 128 * thread, *room, first, last)
        product.run(first, last, thread)

    images = len(floats) // places
    pool = ThreadPoolExecutor(threads)
    if kernels.by_columns(layer, len(floats), threads):

        def by_columns() -> None:
            _stage.quantize(begin, layer.channels, width, tail, *room, 0, len(floats))
            list(pool.map(lambda thread: product.run_columns(thread, threads), range(threads)))

        return by_columns
    shares = [(t, images * t // threads * places, images * (t + 1) // threads * places) for t in range(threads)]
    if threads == 1:
        return lambda: share(*shares[0])
    return lambda: list(pool.map(lambda one: share(*one), shares))


def by_threads(rounds: int, threads: int) -> dict[str, Any]:
    """Ours by some threads against ours by one, in the same rounds, by the wall's clock.

    Beside it, in the same rounds, what the cores themselves give: numpy's products that share nothing, at once against
    one after the other.
    """
    from concurrent.futures import ThreadPoolExecutor

    import numpy as np

    random = np.random.default_rng(0)
    found = {}
    squares, pool = [random.random((384, 384), np.float32) for _ in range(threads)], ThreadPoolExecutor(threads)
    alone = {
        ("cores", 1): lambda: [x @ x for x in squares],
        ("cores", threads): lambda: list(pool.map(lambda x: x @ x, squares)),
    }
    shape: dict[str, Any] = {"outputs": 256, "channels": 256, "taps": 9, "size": (16, 16)}
    wide = {"outputs": SIDE, "channels": SIDE}
    for case, rows, sizes in (("64", 64, wide), ("1024", 1024, wide), ("conv", 64 * 256, shape)):
        floats = (random.random((rows, sizes["channels"])) * 2 - 1).astype(np.float32)
        calls: dict[Any, Call] = dict(alone)
        for wbits, abits in ((1, 1), (4, 8), (8, 8)):
            layer = make_layer(random, wbits, abits, **sizes)
            for count in (1, threads):
                calls[f"W{wbits}A{abits}", count] = ours(layer, floats, count)
        times = interleaved(calls, rounds, time.perf_counter)
        for name in dict.fromkeys(name for name, _ in calls):
            one, many = times[name, 1], times[name, threads]
            ratio = statistics.median(one) / statistics.median(many)
            best = min(one) / min(many)
            found[f"{name}, {case}"] = {"ratio": ratio, "ratio of the fastest": best}
            print(f"  {name:8s} {case:6s} {threads} threads {ratio:5.2f}× one (fastest rounds {best:.2f}×)", flush=True)
    return found


def network(rounds: int, threads: int) -> dict[str, Any]:
    """Digits through 64-4096-4096-10 in batches of 256: W1A1 against fp32, samples a second and bytes of the files."""
    import numpy as np

    from energybench.workloads.qnn import file
    from energybench.workloads.qnn.runtime import CpuNetwork

    pixels = np.random.default_rng(0).integers(0, 17, (256, 64)).astype(np.uint8)
    calls, sizes = {}, {}
    for name, width in (("fp32 W32A32", 32), ("W8A8", 8), ("W4A4", 4), ("W2A2", 2), ("W1A1", 1)):
        deployed = _untrained(width)
        sizes[name] = file.size_bytes(deployed)
        engine = CpuNetwork(deployed, rows=256, threads=threads)
        calls[name] = lambda engine=engine: engine(pixels)
    rows = table("network 64-4096-4096-10, batch 256", calls, rounds, threads)
    for name, row in rows.items():
        row |= {"samples a second": 256e3 / row["milliseconds"], "file bytes": sizes[name]}
        row["file"] = f"1/{sizes['fp32 W32A32'] / sizes[name]:.1f}"
        print(f"  {name:12s} {row['samples a second']:10.0f} samples/s, {sizes[name]} bytes, {row['file']} of fp32")
    return rows


def _untrained(width: int) -> Any:
    """The network as it stands before training: its speed and size are the trained one's."""
    from energybench.workloads import data
    from energybench.workloads.qnn import export, training

    recipe = training.Recipe(hidden=4096, wbits=width, abits=width)
    dataset = data.load("digits", seed=0)
    model = training.build(recipe, dataset).eval()
    return export.export(training.Trained(model=model, dataset=dataset, recipe=recipe, history=()))


def first_uses() -> dict[str, Any]:
    """Seconds to the first result of each format, compiled and from numba's cache, each in its own process."""
    rows = {}
    print("\nfirst use of a format")
    for wbits, abits in FORMATS:
        with tempfile.TemporaryDirectory() as folder:
            told = [_child(f"{wbits}x{abits}", folder) for _ in range(2)]
        rows[f"W{wbits}A{abits}"] = {"compiled seconds": told[0], "cached seconds": told[1]}
        print(f"  W{wbits}A{abits}: {told[0]:.1f} s compiled, {told[1]:.2f} s from the cache", flush=True)
    return rows


def _child(format_: str, cache: str) -> float:
    command = [sys.executable, __file__, "--one", format_]
    done = subprocess.run(command, env=os.environ | {"NUMBA_CACHE_DIR": cache}, stdout=subprocess.PIPE, check=True)
    return float(json.loads(done.stdout.splitlines()[-1]))


def first_use(wbits: int, abits: int) -> float:
    """Seconds from nothing but imports to the first result of a small layer."""
    import numpy as np

    import energybench.workloads.qnn.kernels.linear  # noqa: F401 - its import is not what is timed

    random = np.random.default_rng(0)
    floats = random.random((9, 64)).astype(np.float32)
    start = time.perf_counter()
    ours(make_layer(random, wbits, abits, outputs=40, channels=64), floats, 1)()
    return time.perf_counter() - start


def _quiet(call: Call) -> Call:
    """Without what training needs."""
    import torch

    def run() -> object:
        with torch.inference_mode():
            return call()

    return run


def _isa() -> str:
    from energybench.workloads.qnn.kernels.isa import target

    return target().name


def _add(path: Path, found: dict[str, Any], given: argparse.Namespace) -> None:
    """Add the numbers under what they were read with."""
    import cpuinfo

    before = json.loads(path.read_text()) if path.exists() else {}
    key = f"{_isa()}, {given.threads} thread{'s' if given.threads > 1 else ''}"
    key += ", fp32 with all instructions" if given.fp32_all else ""
    one = before.setdefault(key, {"processor": cpuinfo.get_cpu_info()["brand_raw"]})
    one |= found
    path.write_text(json.dumps(before, indent=1) + "\n")


if __name__ == "__main__":
    main()
