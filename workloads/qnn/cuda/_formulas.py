"""What the CUDA engine's own kernels compute and move, for counted bytes and modelled joules."""

from energybench.operations import Cost, merged, register


def _epilogue(*, rows: int, outputs: int, out_bits: int, pool: int) -> dict[str, int]:
    """Pooling and quantization: comparisons of int32 sums with thresholds, or a product and a sum in float32."""
    handed = rows * outputs // pool**2
    pooled = {"int32.compare": rows * outputs - handed}
    if 1 <= out_bits <= 4:
        return merged(pooled, {"int32.compare": handed * (2**out_bits - 1)})
    return merged(pooled, {"fp32.mul": handed, "fp32.add": handed, "fp32.compare": 2 * handed if out_bits else 0})


def _moved(
    *, rows: int, inputs: int, outputs: int, wbits: int, abits: int, out_bits: int, pool: int
) -> tuple[int, int]:
    """Bytes read and written: packed weights, activations, what the quantizer needs; and the outputs."""
    weights, activations = -(-wbits * inputs * outputs // 8), -(-abits * inputs * rows // 8)
    quantizer = outputs * (4 * (2**out_bits - 1) + 1 if 1 <= out_bits <= 4 else 8)
    handed = rows * outputs // pool**2
    return weights + activations + quantizer, -(-(out_bits or 32) * handed // 8)


@register("qnn.cuda.xnor_linear")
def xnor_linear(*, rows: int, inputs: int, outputs: int, wbits: int, abits: int, out_bits: int, pool: int) -> Cost:
    """Products of single bits, one for each pair of planes."""
    products = rows * inputs * outputs * wbits * abits
    read, written = _moved(
        rows=rows, inputs=inputs, outputs=outputs, wbits=wbits, abits=abits, out_bits=out_bits, pool=pool
    )
    ending = _epilogue(rows=rows, outputs=outputs, out_bits=out_bits, pool=pool)
    counted = {"b1.and": products, "b1.popcount": products}
    return Cost(read_bytes=read, written_bytes=written, operations=merged(counted, ending))


@register("qnn.cuda.packed_linear")
def packed_linear(*, rows: int, inputs: int, outputs: int, wbits: int, abits: int, out_bits: int, pool: int) -> Cost:
    """int8 products of unpacked weights; activations of fewer bits are read as int8 values here."""
    del abits
    products = rows * inputs * outputs
    read, written = _moved(
        rows=rows, inputs=inputs, outputs=outputs, wbits=wbits, abits=8, out_bits=out_bits, pool=pool
    )
    ending = _epilogue(rows=rows, outputs=outputs, out_bits=out_bits, pool=pool)
    return Cost(
        read_bytes=read,
        written_bytes=written,
        operations=merged({"int8.mul": products, "int32.add": products}, ending),
    )


@register("qnn.cuda.epilogue")
def epilogue(*, rows: int, inputs: int, outputs: int, wbits: int, abits: int, out_bits: int, pool: int) -> Cost:
    """What follows torch's own products, which torch announces: sums of 32 bits are read."""
    del inputs, wbits, abits
    handed = rows * outputs // pool**2
    return Cost(
        read_bytes=4 * rows * outputs,
        written_bytes=-(-(out_bits or 32) * handed // 8),
        operations=_epilogue(rows=rows, outputs=outputs, out_bits=out_bits, pool=pool),
    )


@register("qnn.cuda.encode")
@register("qnn.cuda.windows")
def moved(*, read_bytes: int, written_bytes: int) -> Cost:
    """A change of layout: bytes alone."""
    return Cost(read_bytes=read_bytes, written_bytes=written_bytes)
