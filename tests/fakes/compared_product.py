"""One product of the CPU's kernels beside the same in int64. As a program: under the instructions that it is told of.

`python compared_product.py [FORCED]` runs under what NUMBA_CPU_NAME and NUMBA_CPU_FEATURES say; FORCED is an
`isa.Target` in JSON, whose kernels are then compiled whatever this processor prefers. The formats come on standard
input, the differences go to standard output, in JSON both.
"""

import importlib.util
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

from energybench.workloads.qnn import bits
from energybench.workloads.qnn.kernels import isa

SUMS = -1
VECTOR, WINDOW, POOLED, MAP = "vector", "window", "pooled", "map"
SHAPES = (VECTOR, WINDOW, POOLED, MAP)
RANDOM, LARGEST, OPPOSITE = "random", "largest", "opposite"
FILLS = (RANDOM, LARGEST, OPPOSITE)


def beside(name):
    full = f"energybench_fakes_{name}"
    if full not in sys.modules:
        spec = importlib.util.spec_from_file_location(full, Path(__file__).with_name(f"{name}.py"))
        sys.modules[full] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[full])
    return sys.modules[full]


make, oracle = beside("random_network"), beside("integer_network")


def drawn(random, wbits, abits, *, shape, samples, outputs, channels, out_bits, fill=RANDOM, size=(5, 7)):
    """A layer, and its input: (samples, channels), or (samples, height, width, channels) where it is a map."""
    low = int(random.integers(-127, 128)) if abits == 8 else -bits.top(abits)
    taps = {VECTOR: 1, MAP: size[0] * size[1]}.get(shape, 9)
    window = {"size": size, "low": low, "pool": 2 if shape == POOLED else 1} if shape in (WINDOW, POOLED) else {}
    layer = make.layer(random, wbits, abits, outputs, taps, channels, max(out_bits, 0), **window)
    values = make.odd_values(random, (samples, *([] if shape == VECTOR else size), channels), abits)
    if fill == RANDOM:
        return layer, values
    sign = 1 if fill == LARGEST else -1
    whole = np.full((outputs, taps * channels), sign * bits.top(wbits), np.int8)
    packed = whole if wbits == 8 else bits.pack_planes(whole, wbits)
    return replace(layer, weights=packed), np.full_like(values, bits.top(abits))


def held(values, width):
    """Values as a layer reads them."""
    from energybench.workloads.qnn.kernels import linear

    rows = values.reshape(-1, values.shape[-1])
    signal = linear.signal(*rows.shape, width, values.shape[1:3] if values.ndim == 4 else None)
    if width == 8:
        signal.data[:, : rows.shape[1]] = rows.view(np.uint8)
        return signal
    for plane, packed in enumerate(bits.pack_planes(rows, width)):
        first = plane * signal.pitch
        signal.data[:, first : first + packed.shape[1]] = packed
    return signal


def contents(signal, *, whole=False):
    """What a layer handed on, (rows, channels); float32 as int32 where they are whole. Behind it must be zeros."""
    count = signal.channels
    if signal.bits == 8:
        found, behind = signal.data.view(np.int8)[:, :count], signal.data[:, count:]
    elif signal.bits == 32:
        numbers = signal.data.view(np.int32 if whole else np.float32)
        # Sums of the columns that fill up a panel are nobody's: they stay as they come.
        found, behind = numbers[:, :count], numbers[:, count:] if not whole else numbers[:, :0]
    else:
        planes = signal.data[:, : signal.bits * signal.pitch].reshape(-1, signal.bits, signal.pitch).transpose(1, 0, 2)
        found = bits.unpack_planes(np.ascontiguousarray(planes), count)
        behind = np.unpackbits(planes, axis=2, bitorder="little")[:, :, count:]
    assert not behind.any(), "behind the last column must be zeros"
    return found


def differences(layer, values, *, engine, out_bits, cut=0):
    """How many numbers differ from int64's; samples below `cut` are computed by one thread, the others by another."""
    from energybench.workloads.qnn import formulas
    from energybench.workloads.qnn.kernels import linear

    places = formulas.places(layer)
    rows, cut = len(values) * places, cut * places
    source = held(values, layer.abits if engine == linear.POPCOUNT else 8)
    product = linear.Product(layer, source, rows=rows, engine=engine, threads=2, sums=out_bits == SUMS)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(product.run, (0, cut), (cut, rows), (0, 1)))
    wanted = oracle.pooled(layer, oracle.sums(layer, values))
    if out_bits != SUMS:
        wanted = oracle.handed_on(layer, wanted)
    found = contents(product.out, whole=out_bits == SUMS)
    return int((found != wanted.reshape(found.shape)).sum())


def survey(engine, wbits, abits):
    """Differences of a format over shapes, fillings and all that a layer may hand on."""
    random, total = np.random.default_rng(wbits * 10 + abits), 0
    sizes = ((1, 33, 40), (9, 70, 1031), (30, 31, 7), (14, 130, 515))
    for turn, out_bits in enumerate((SUMS, 0, 1, 2, 3, 4, 8)):
        for shape in SHAPES:
            for fill in FILLS:
                samples, outputs, channels = sizes[turn % len(sizes)]
                channels = channels if shape == VECTOR else channels % 40 + 1
                given = {"samples": samples, "outputs": outputs, "channels": channels, "fill": fill, "shape": shape}
                layer, values = drawn(random, wbits, abits, **given, out_bits=out_bits)
                total += differences(layer, values, engine=engine, out_bits=out_bits, cut=samples // 3)
    return total


def main():
    if len(sys.argv) > 1:
        forced = isa.Target(**json.loads(sys.argv[1]))
        # Before the kernels are imported: this process stands for a machine that has those instructions.
        isa.target = lambda: forced
    found = [survey(*format_) for format_ in json.load(sys.stdin)]
    print(json.dumps({"isa": isa.target().name, "different": found}))


if __name__ == "__main__":
    main()
