"""What our kernels compute and move: true operations of the width, packed bytes, each operand once a call."""

import math

from energybench.operations import Cost, merged, register
from energybench.workloads.qnn import bits
from energybench.workloads.qnn.network import SCORES, Layer

POPCOUNT, DOT, LOOK_UP = "qnn.popcount", "qnn.dot", "qnn.look_up"
WIDEN = "qnn.widen"


@register(POPCOUNT)
def popcount(layer: Layer, samples: int) -> Cost:
    """XNOR and population count of every pair of planes of an input and a weight."""
    products = _products(layer, samples)
    pairs = products * layer.wbits * layer.abits
    return _cost(layer, samples, {"b1.xnor": pairs, "b1.popcount": pairs})


@register(DOT)
def dot(layer: Layer, samples: int) -> Cost:
    """Products of bytes, whatever weights and inputs are stored in: both are widened in room of the kernel's own."""
    products = _products(layer, samples)
    return _cost(layer, samples, {"int8.mul": products, "int32.add": products})


@register(LOOK_UP)
def look_up(rows: int, columns: int) -> Cost:
    """Pixels to the integers that stand for them."""
    return Cost(read_bytes=rows * columns, written_bytes=rows * columns)


@register(WIDEN)
def widen(layer: Layer) -> Cost:
    """Packed weights to bytes, in front of a product of floats."""
    return Cost(read_bytes=layer.weights.nbytes, written_bytes=layer.outputs * layer.inputs)


def places(layer: Layer) -> int:
    """Sums of an output channel, of one sample; an odd row or column that pooling drops is not computed."""
    return 1 if layer.out_size is None else math.prod(layer.out_size) * layer.pool**2


def _products(layer: Layer, samples: int) -> int:
    return samples * places(layer) * layer.outputs * layer.inputs


def _cost(layer: Layer, samples: int, products: dict[str, int]) -> Cost:
    sums = samples * places(layer) * layer.outputs
    results = sums // layer.pool**2
    inputs = samples * (layer.channels * math.prod(layer.size) if layer.size else layer.inputs)
    tables = sum(t.nbytes for t in (layer.gain, layer.offset, layer.thresholds) if t is not None)
    tables += 0 if layer.flipped is None else -(-layer.outputs // 8)
    return Cost(
        read_bytes=-(-inputs * layer.abits // 8) + layer.weights.nbytes + tables,
        written_bytes=results * 4 if layer.out_bits == SCORES else -(-results * layer.out_bits // 8),
        operations=merged(products, {"int32.compare": sums - results}, _after(layer, results)),
    )


def _after(layer: Layer, results: int) -> dict[str, int]:
    """Thresholds, or scaling."""
    if layer.out_bits in bits.PLANES:
        return {"int32.compare": results * bits.top(layer.out_bits)}
    scaling = {"fp32.mul": results, "fp32.add": results}
    return scaling if layer.out_bits == SCORES else scaling | {"fp32.compare": 2 * results, "fp32.round": results}
