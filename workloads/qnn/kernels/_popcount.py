"""Sums over single bits: XOR and population count, most of the counting done by carry-save adders.

A vector holds 32 bits of K for each of its columns. The words of a row are XORed with the weights' words, and added up
in bit-sliced form, `ones`, `twos`, `fours` …, so that the population count proper is taken once for many words (the
Harley-Seal scheme; Muła, Kurz, Lemire, arXiv 1611.07612, section 3). With AVX-512's three-input functions, two XORs and
the first full adder are three instructions instead of four: with p = o ^ a0 ^ w0 and s = p ^ a1 ^ w1, the carry of
(o, a0 ^ w0, a1 ^ w1) is ~s where p is set and o elsewhere.
"""

from typing import Any

from energybench.workloads.qnn.kernels import _emit as e
from energybench.workloads.qnn.kernels.isa import Target

PANEL = 32
"""Columns that are computed together, and contiguous in memory along K."""
WORDS = 4
"""K is padded to a multiple of this many words of 32 bits."""


def depth(target: Target) -> int:
    """Words that are added up before a population count. An instruction that counts is worth fewer adders."""
    if target.vpopcnt:
        return 2
    return 16 if target.lanes == 16 else 8


def rows(target: Target) -> int:
    """Rows of a tile: as many as leave the adders' states in registers."""
    return 4 if target.vpopcnt else 2


def tile(b: e.Builder, target: Target, widths: tuple[int, int], mr: int, operands: tuple[Any, Any, Any, Any]) -> None:
    """XOR counts of `mr` rows and 32 columns over all of K, to int32 (mr, 32) at the last operand.

    Args:
        b: where to write.
        target: the instruction families.
        widths: bits of a weight and of an input; planes are weighted 2^(i + j).
        mr: rows.
        operands: words of a plane; addresses of the first row (planes one behind the other) and its stride in bytes
            as one pair; of the panel [plane][word][32 columns]; of the sums.
    """
    words, (a, lda), w, out = operands
    vectors = PANEL // target.lanes
    together = 2 if target.lanes == 16 and (mr == 1 or target.vpopcnt) else 1
    for first in range(0, vectors, together):
        columns = range(first, first + together)
        sums = _planes(b, target, widths, (words, a, lda, w), [(m, v) for v in columns for m in range(mr)])
        for (m, v), total in sums.items():
            e.store(b, total, e.at(b, out, (m * vectors + v, 4 * target.lanes)))


def _planes(b: e.Builder, target: Target, widths: tuple[int, int], operands: Any, cells: Any) -> dict[Any, Any]:
    """Horner's scheme over the binary weights of the pairs of planes, the highest first."""
    wbits, abits = widths
    words, a, lda, w = operands
    zero = e.constant(e.I32, target.lanes, 0)
    totals = dict.fromkeys(cells, zero)
    for weight in range(wbits + abits - 2, -1, -1):
        if weight < wbits + abits - 2:
            totals = {cell: b.shl(total, e.constant(e.I32, target.lanes, 1)) for cell, total in totals.items()}
        for i in range(max(0, weight - wbits + 1), min(abits, weight + 1)):
            row = b.add(a, b.mul(words, e.I64(4 * i)))
            panel = b.add(w, b.mul(words, e.I64(4 * PANEL * (weight - i))))
            counts = _count(b, target, (words, row, lda, panel), cells)
            totals = {cell: b.add(total, counts[cell]) for cell, total in totals.items()}
    return totals


def _count(b: e.Builder, target: Target, operands: Any, cells: Any) -> dict[Any, Any]:
    """Set bits of (row XOR column) for every cell (row, vector of columns)."""
    words, a, lda, w = operands
    soon = b.mul(words, e.I64(4 * PANEL))
    deep, levels = depth(target), depth(target).bit_length() - 1
    zero = e.constant(e.I32, target.lanes, 0)
    stride = levels + 1
    state = [zero] * (stride * len(cells))  # of each cell: ones, twos, fours …, and the total

    def block(size: int) -> Any:
        """Add up `size` words from word `first` on; what comes out on top is counted."""

        def body(index: Any, values: Any) -> Any:
            at = lambda base, unit: e.at(b, base, (index, size * unit))  # noqa: E731
            return _block(b, target, size, (at(a, 4), lda, at(w, 4 * PANEL), soon), cells, values)

        return body

    full = b.udiv(words, e.I64(deep))
    state = e.loop(b, full, state, block(deep))
    # What is left over is added in steps of 4 words: their carries have the weight 4.
    for level in range(levels - 1, 1, -1):
        for c in range(len(cells)):
            total = b.shl(state[c * stride + levels], e.constant(e.I32, target.lanes, 1))
            state[c * stride + levels] = _add_popcount(b, target, total, state[c * stride + level])
    if deep > WORDS:
        done = b.mul(full, e.I64(deep))
        a, w = b.add(a, b.mul(done, e.I64(4))), b.add(w, b.mul(done, e.I64(4 * PANEL)))
        state = e.loop(b, b.udiv(b.sub(words, done), e.I64(WORDS)), state, block(WORDS))
    for level in reversed(range(min(levels, 2))):
        for c in range(len(cells)):
            total = b.shl(state[c * stride + levels], e.constant(e.I32, target.lanes, 1))
            state[c * stride + levels] = _add_popcount(b, target, total, state[c * stride + level])
    return {cell: state[c * stride + levels] for c, cell in enumerate(cells)}


def _block(b: e.Builder, target: Target, size: int, operands: Any, cells: Any, values: Any) -> Any:
    a, lda, w, soon = operands
    stride = len(values) // len(cells)
    kind, values = e.vector(e.I32, target.lanes), list(values)
    pending: dict[Any, list[Any]] = {cell: [] for cell in cells}
    single = len({m for m, _ in cells}) == 1  # one row waits for memory: the next panel is asked for
    for pair in range(size // 2):
        weights, inputs = {}, {}
        for k in (2 * pair, 2 * pair + 1):
            for v in dict.fromkeys(v for _, v in cells):
                place = ((k, 4 * PANEL), (v, 4 * target.lanes))
                if single and v * 4 * target.lanes % 64 == 0:
                    e.prefetch(b, e.at(b, b.add(w, soon), *place))
                weights[k & 1, v] = e.load(b, e.at(b, w, *place), kind)
            for m in dict.fromkeys(m for m, _ in cells):
                scalar = e.load(b, e.at(b, b.add(a, b.mul(lda, e.I64(m))), (k, 4)), e.I32)
                inputs[k & 1, m] = e.splat(b, scalar, target.lanes)
        for c, (m, v) in enumerate(cells):
            own = c * stride
            quad = (inputs[0, m], weights[0, v], inputs[1, m], weights[1, v])
            values[own], carry = _first_adder(b, target, values[own], quad)
            level, number = 1, pair + 1
            while number % 2 == 0 and 2**level < size:  # a pair of carries is there: on to the next adder
                partner = pending[m, v].pop()
                values[own + level], carry = _adder(b, target, values[own + level], partner, carry)
                level, number = level + 1, number // 2
            if 2**level < size:
                pending[m, v].append(carry)
            else:
                values[own + stride - 1] = _add_popcount(b, target, values[own + stride - 1], carry)
    return values


def _first_adder(b: e.Builder, target: Target, ones: Any, quad: Any) -> tuple[Any, Any]:
    """Full adder of `ones` and two XORs: the new `ones`, and the carry."""
    a0, w0, a1, w1 = quad
    if target.ternary:
        p = e.ternary(b, e.XOR3, ones, a0, w0)
        s = e.ternary(b, e.XOR3, p, a1, w1)
        return s, e.ternary(b, e.BORROWED, p, s, ones)
    x, y = b.xor(a0, w0), b.xor(a1, w1)
    return _adder(b, target, ones, x, y)


def _adder(b: e.Builder, target: Target, x: Any, y: Any, z: Any) -> tuple[Any, Any]:
    """Full adder of three bit vectors: sum and carry."""
    if target.ternary:
        return e.ternary(b, e.XOR3, x, y, z), e.ternary(b, e.MAJORITY, x, y, z)
    p = b.xor(x, y)
    return b.xor(p, z), b.or_(b.and_(x, y), b.and_(p, z))


def _add_popcount(b: e.Builder, target: Target, total: Any, bits: Any) -> Any:
    """total[lane] += the set bits of each 32-bit lane."""
    n = target.lanes
    if target.vpopcnt:
        return b.add(total, e.call(b, f"llvm.ctpop.v{n}i32", bits.type, bits))
    bytes_ = e.vector(e.I8, 4 * n)
    counts = e.call(b, f"llvm.ctpop.v{4 * n}i8", bytes_, b.bitcast(bits, bytes_))
    return add_bytes(b, target, total, counts)


def add_bytes(b: e.Builder, target: Target, total: Any, counts: Any) -> Any:
    """total[lane] += the sum of its four unsigned bytes, each 127 or less."""
    n, ones = target.lanes, e.constant(e.I8, 4 * target.lanes, 1)
    if target.dot == "vnni":
        lanes = b.bitcast(counts, total.type)
        return e.call(b, f"llvm.x86.avx512.vpdpbusd.{32 * n}", total.type, total, lanes, b.bitcast(ones, total.type))
    if target.dot == "madd":
        return b.add(total, madd(b, target, counts, ones))
    even = e.constant(e.I32, n, 0x00FF00FF)
    pairs = b.bitcast(counts, total.type)
    pairs = b.add(b.and_(pairs, even), b.and_(b.lshr(pairs, e.constant(e.I32, n, 8)), even))
    low = b.and_(pairs, e.constant(e.I32, n, 0xFFFF))
    return b.add(total, b.add(low, b.lshr(pairs, e.constant(e.I32, n, 16))))


def madd(b: e.Builder, target: Target, unsigned: Any, signed: Any) -> Any:
    """Products of bytes, summed by fours to 32 bits. A pair must fit 16 bits."""
    return madd_words(b, target, madd_bytes(b, target, unsigned, signed))


def madd_bytes(b: e.Builder, target: Target, unsigned: Any, signed: Any) -> Any:
    """Products of bytes, summed by pairs to 16 bits, saturating."""
    name = "llvm.x86.avx512.pmaddubs.w.512" if target.lanes == 16 else "llvm.x86.avx2.pmadd.ub.sw"
    return e.call(b, name, e.vector(e.I16, 2 * target.lanes), unsigned, signed)


def madd_words(b: e.Builder, target: Target, pairs: Any) -> Any:
    """Sums of pairs of 16-bit integers to 32 bits."""
    name = "llvm.x86.avx512.pmaddw.d.512" if target.lanes == 16 else "llvm.x86.avx2.pmadd.wd"
    ones = e.constant(e.I16, 2 * target.lanes, 1)
    return e.call(b, name, e.vector(e.I32, target.lanes), pairs, ones)
