"""What follows the sums: correction for stored codes, pooling, and the step to thresholds, bytes or scores.

Sums lie as int32 (rows, 32 columns). The dot product is sum * mul + add[row]; of the `pool` rows of a window (4 or 1)
the largest goes on. Float operations are single ones, multiplied and added with a rounding each, as numpy and torch do.
"""

from collections.abc import Callable
from typing import Any

from llvmlite.ir import Constant

from energybench.workloads.qnn.kernels import _emit as e
from energybench.workloads.qnn.kernels._popcount import PANEL
from energybench.workloads.qnn.kernels.isa import Target

Operands = tuple[e.Value, ...]
Write = Callable[[e.Builder, e.Value, e.Value], None]
LOWEST = -(2**31)


def each_row(b: e.Builder, target: Target, operands: Operands, use: Callable[[e.Value, e.Vectors], None]) -> None:
    """Call `use(row, dot products of its 32 columns)` in a loop over the rows that leave the pooling.

    Operands: rows, pool, address of the sums, mul, address of `add`.
    """
    count, pool, sums, mul, add = operands
    n = target.lanes
    factor = e.splat(b, b.trunc(mul, e.I32), n)
    lowest = e.constant(e.I32, n, LOWEST)

    def pooled(row: e.Value, _: e.Vectors) -> e.Vectors:
        def member(j: e.Value, best: e.Vectors) -> e.Vectors:
            place = b.add(b.mul(row, pool), j)
            shift = e.splat(b, e.load(b, e.at(b, add, (place, 4)), e.I32), n)
            new = []
            for v, known in enumerate(best):
                total = e.load(b, e.at(b, sums, (place, 4 * PANEL), (v, 4 * n)), shift.type)
                total = b.add(b.mul(total, factor), shift)
                new.append(b.select(b.icmp_signed(">", total, known), total, known))
            return new

        use(row, e.loop(b, pool, [lowest] * (PANEL // n), member))
        return []

    e.loop(b, b.sdiv(count, pool), [], pooled)


def scores(b: e.Builder, target: Target, operands: Operands, write: Write = e.store) -> None:
    """float32 dot * gain + offset. Operands: those of `each_row`; addresses of gain, offset, the output; its stride."""
    gain, offset, out, stride = operands[5:]

    def use(row: e.Value, dots: e.Vectors) -> None:
        for v, y in enumerate(_affine(b, target, dots, gain, offset)):
            write(b, y, e.at(b, b.add(out, b.mul(row, stride)), (v, 4 * target.lanes)))

    each_row(b, target, operands[:5], use)


def streamed(b: e.Builder, target: Target, operands: Operands) -> None:
    """As `scores`, past the caches: for more than they hold."""
    scores(b, target, operands, e.stream)


def values(b: e.Builder, target: Target, operands: Operands) -> None:
    """int8 round(dot * gain + offset), half to even, cut to -127 … 127. Operands: as `scores`."""
    gain, offset, out, stride = operands[5:]
    n = target.lanes
    low, high = e.constant(e.F32, n, -127.0), e.constant(e.F32, n, 127.0)

    def use(row: e.Value, dots: e.Vectors) -> None:
        for v, y in enumerate(_affine(b, target, dots, gain, offset)):
            cut = b.select(b.fcmp_ordered(">", y, low), y, low)
            cut = b.select(b.fcmp_ordered("<", cut, high), cut, high)
            whole = b.fptosi(e.call(b, f"llvm.rint.v{n}f32", cut.type, cut), e.vector(e.I32, n))
            small = b.trunc(whole, e.vector(e.I8, n))
            e.store(b, small, e.at(b, b.add(out, b.mul(row, stride)), (v, n)), align=1)

    each_row(b, target, operands[:5], use)


def sums(b: e.Builder, target: Target, operands: Operands) -> None:
    """The int32 dot products themselves. Operands: those of `each_row`; address of the output; its stride."""
    out, stride = operands[5:]

    def use(row: e.Value, dots: e.Vectors) -> None:
        for v, dot in enumerate(dots):
            e.store(b, dot, e.at(b, b.add(out, b.mul(row, stride)), (v, 4 * target.lanes)))

    each_row(b, target, operands[:5], use)


def planes(b: e.Builder, target: Target, operands: Operands) -> None:
    """Codes, how many thresholds the dot product reaches, as planes of bits; flipped where asked.

    Operands: those of `each_row`; the number of thresholds, the address of the first one's row for these columns, bytes
    from one threshold's row to the next; the flips (uint32); planes; address of the output, its stride, and bytes from
    plane to plane.
    """
    count, table, pitch, flips, bits, out, stride, plane = operands[5:]
    n, one = target.lanes, e.constant(e.I32, target.lanes, 1)

    def use(row: e.Value, dots: e.Vectors) -> None:
        def reach(t: e.Value, codes: e.Vectors) -> e.Vectors:
            new = []
            for v, (dot, code) in enumerate(zip(dots, codes, strict=True)):
                edge = e.load(b, e.at(b, b.add(table, b.mul(t, pitch)), (v, 4 * n)), dot.type)
                new.append(b.add(code, b.zext(b.icmp_signed(">=", dot, edge), dot.type)))
            return new

        codes = e.loop(b, count, [e.constant(e.I32, n, 0)] * len(dots), reach)

        def write(p: e.Value, _: e.Vectors) -> e.Vectors:
            shift = e.splat(b, b.trunc(p, e.I32), n)
            masks = [b.trunc(b.and_(b.lshr(code, shift), one), e.vector(e.I1, n)) for code in codes]
            word = b.xor(_word(b, masks), b.trunc(flips, e.I32))
            e.store(b, word, b.add(b.add(out, b.mul(row, stride)), b.mul(p, plane)))
            return []

        e.loop(b, bits, [], write)

    each_row(b, target, operands[:5], use)


def _affine(b: e.Builder, target: Target, dots: e.Vectors, gain: e.Value, offset: e.Value) -> e.Vectors:
    kind, size = e.vector(e.F32, target.lanes), 4 * target.lanes
    scaled = []
    for v, dot in enumerate(dots):
        slope, shift = (e.load(b, e.at(b, place, (v, size)), kind) for place in (gain, offset))
        scaled.append(b.fadd(b.fmul(b.sitofp(dot, kind), slope), shift))
    return scaled


def _word(b: e.Builder, masks: list[Any]) -> e.Value:
    """Vectors of single bits, 32 together, as one integer."""
    while len(masks) > 1:
        count = 2 * masks[0].type.count
        order = Constant(e.vector(e.I32, count), list(range(count)))
        masks = [b.shuffle_vector(low, high, order) for low, high in zip(masks[::2], masks[1::2], strict=True)]
    return b.bitcast(masks[0], e.I32)
