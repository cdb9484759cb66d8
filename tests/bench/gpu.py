"""Speed and joules of the quantized kernels on an NVIDIA GPU, against the best of bfloat16 and float32.

    python tests/bench/gpu.py [--output docs/results/qnn-gpu.json] [--only linear|stack|joules]

Medians over rounds in which every contender takes one turn, timed with CUDA events on replayed graphs. A layer alone
stays in the L2 at batch 1; a stack of layers does not. Joules are measured (NVML), of the first GPU.
"""

import argparse
import json
import statistics
import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "fakes"))
import random_network as make

from energybench.workloads.qnn.cuda import _pack
from energybench.workloads.qnn.cuda.engine import CudaNetwork

FEATURES = 4096
ROWS = (1, 64, 1024)
PAIRS = ((1, 1), (1, 8), (2, 2), (2, 8), (3, 8), (4, 8), (8, 8))
COPIES = 20
"""Calls of a layer in a graph: what starting the graph costs is spread over them."""
STACK_BYTES = 256 << 20
"""Packed weights of a stack: several times the L2."""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="write the numbers here as JSON")
    parser.add_argument("--repeats", type=int, default=31, help="rounds")
    parser.add_argument("--seconds", type=float, default=4.0, help="length of a window of joules")
    parser.add_argument("--only", default="", help="linear, stack or joules")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("torch sees no CUDA device: run it on a machine with an NVIDIA GPU and torch for CUDA")
    parts = {
        "linear": lambda: {f"M={rows}": linear(rows, arguments.repeats) for rows in ROWS},
        "stack": lambda: stacks(arguments.repeats),
        "joules": lambda: {f"batch {rows}": joules(rows, arguments.seconds) for rows in (1, 1024)},
    }
    found = {"gpu": torch.cuda.get_device_name(), "torch": torch.__version__, "cuda": torch.version.cuda}
    for name, part in parts.items():
        if arguments.only in name:
            found[name] = part()
            print(name, json.dumps(found[name], indent=1), flush=True)
            if arguments.output:
                arguments.output.write_text(json.dumps(found, indent=1) + "\n")


def linear(rows, repeats):
    """Seconds of a 4096 by 4096 layer, input and output 8 bits or as narrow as the inputs, and ratios to the floats."""
    contenders = {f"W{w}A{a}": layer_call(w, a, rows) for w, a in PAIRS}
    if rows > 16:
        contenders["W8A8 fp8"] = layer_call(8, 8, rows, "fp8")
    contenders |= {name: float_call(kind, rows) for name, kind in (("bf16", torch.bfloat16), ("fp32", torch.float32))}
    seconds = {name: found / COPIES for name, found in medians(contenders, repeats).items()}
    best = min(seconds["bf16"], seconds["fp32"])
    return {"seconds": seconds, "ratio to the best float": {name: best / s for name, s in seconds.items()}}


def layer_call(wbits, abits, rows, arithmetic="auto"):
    """One layer alone, replayed: from values in the form that its kernel reads to what the next layer reads."""
    random = np.random.default_rng(0)
    tested = make.layer(random, wbits, abits, FEATURES, 1, FEATURES, abits)
    front = make.layer(random, wbits, 8, FEATURES, 1, 16, abits)
    last = make.layer(random, wbits, abits, 16, 1, FEATURES, 0)
    network = make._network((front, tested, last), (1, 1, 16), 16)
    engine = CudaNetwork(network, rows=rows, arithmetic=arithmetic)
    # Steps: pixels in, the front layer, the tested one, the last.
    assert len(engine._steps) == 4
    signal = engine._steps[1](engine._steps[0](engine._pixels))
    return replayed(lambda: engine._steps[2](signal))


def float_call(kind, rows):
    weight = torch.randn(FEATURES, FEATURES, device="cuda", dtype=kind)
    values = torch.randn(rows, FEATURES, device="cuda", dtype=kind)
    return replayed(lambda: torch.nn.functional.linear(values, weight))


def replayed(call):
    """A graph of COPIES calls: launches cost the CPU nothing."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            call()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(COPIES):
            call()
    return graph.replay


def medians(contenders, repeats):
    """Median seconds of each, one turn a round."""
    seconds = {name: [] for name in contenders}
    for _ in range(repeats + 2):
        for name, call in contenders.items():
            seconds[name].append(timed(call))
    return {name: statistics.median(found[2:]) for name, found in seconds.items()}


def timed(call, inner=1):
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    begin.record()
    for _ in range(inner):
        call()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end) / 1e3 / inner


def copy_bandwidth(repeats):
    """Bytes a second of a device-to-device copy of 1 GiB, read and written."""
    source = torch.empty(1 << 30, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    return 2 * source.nbytes / medians({"copy": lambda: target.copy_(source)}, repeats)["copy"]


def stacks(repeats):
    return {
        f"{features} features": {f"W{w}A8": stack(w, features, repeats) for w in (1, 2, 3, 4, 8)}
        for features in (8192, 16384)
    }


def packed_once(*names):
    """Let the engine pack a layer that it meets again only once: on the device each has memory of its own."""
    for name in names:
        pack, packed = getattr(_pack, name), {}

        def remembered(layer, *rest, pack=pack, packed=packed):
            if packed.get("layer") is not layer:
                packed.update(layer=layer, found=pack(layer, *rest))
            return packed["found"]

        setattr(_pack, name, remembered)


def stack(wbits, features, repeats=31):
    """Batch 1 through layers of `features` squared, 256 MiB of packed weights and more: the share of copy bandwidth."""
    per_layer = features * features * wbits // 8
    depth = max(2, -(-STACK_BYTES // per_layer))
    packed_once("binary_fragments", "binary_bias", "packed_groups")
    engine = CudaNetwork(stacked(wbits, features, depth), rows=1)
    pixels = torch.zeros(1, 16, dtype=torch.uint8, device="cuda")
    engine(pixels)
    call = engine._graph[0].replay
    seconds = medians({"stack": call}, repeats)["stack"]
    copy, weights = copy_bandwidth(repeats), depth * per_layer
    return {
        "kernel": engine.kernels[1],
        "layers": depth,
        "bytes": weights,
        "seconds": seconds,
        "bytes_per_second": weights / seconds,
        "copy_bytes_per_second": copy,
        "share": weights / seconds / copy,
    }


def stacked(wbits, features, depth):
    """All layers are equal but for their memory: random weights of this size take long to draw."""
    random = np.random.default_rng(0)
    layer = make.layer(random, wbits, 8, features, 1, features, 8)
    front = make.layer(random, wbits, 8, features, 1, 16, 8)
    return make._network((front, *[layer] * depth, make.layer(random, wbits, 8, 16, 1, features, 0)), (1, 1, 16), 16)


def joules(rows, seconds):
    """Measured joules a sample at each bit-width, 64-4096-4096-4096-10, weights and activations alike."""
    import energybench as eb

    found = {}
    for width in (1, 2, 3, 4, 8, 16, 32):
        random = np.random.default_rng(0)
        engine = CudaNetwork(make.mlp(random, width, width, (64, 4096, 4096, 4096, 10)), rows=rows)
        pixels = torch.from_numpy(make.pixels(random, engine._network, rows)).cuda()
        call = engine._graph[0].replay if engine._graph else lambda engine=engine, pixels=pixels: engine(pixels)
        calls = max(1, round(seconds / timed(call, 100)))
        with eb.measure(probes=["nvml"], align=True) as window:
            for _ in range(calls):
                call()
            torch.cuda.synchronize()
        energy = next(e for name, e in window.domains.items() if is_board(name))
        if isinstance(energy, eb.Unavailable):
            sys.exit(f"no joules: {energy.reason}; {energy.remedy}")
        samples = calls * rows
        found[f"W{width}A{width}"] = {
            "kernels": engine.kernels,
            "joules_per_sample": energy.joules / samples,
            "standard_uncertainty": energy.standard_uncertainty / samples,
            "samples_per_second": samples / window.seconds,
            "flags": list(energy.flags),
        }
    return found


def is_board(name):
    """Whether a domain is a whole GPU's counter (gpu.0), not its power or memory."""
    head, _, rest = name.partition(".")
    return head == "gpu" and rest.isdigit()


if __name__ == "__main__":
    main()
