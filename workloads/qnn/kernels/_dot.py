"""Sums over products of bytes: unsigned weights of 1, 2, 3, 4 or 8 bits with signed 8-bit inputs.

Weights lie packed, in panels of 32 columns along K: [K / 4][32 columns][4 bytes] at 8 bits. At 1, 2 and 4 bits a byte
holds 8 / bits consecutive groups, the first in its lowest bits. At 3 bits, 8 groups are two blocks of their low 2 bits
and one of their high bits. Many rows: a block of a panel is widened to bytes in the first-level cache once, for all of
them (`widen`, `tile`). Few rows: it is widened in registers on the way (`stream`).

At 8 bits a weight w is w + 128 for vpdpbusd, which multiplies unsigned by signed. Without it, vpmaddubsw would
saturate: then a weight keeps its sign, and its magnitude meets the input with the weight's sign.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from energybench.workloads.qnn.kernels import _emit as e
from energybench.workloads.qnn.kernels._popcount import PANEL, madd_bytes, madd_words
from energybench.workloads.qnn.kernels.isa import Target

GROUP = 4
"""Inputs whose products are summed in one 32-bit lane at once."""
STEP = 32
"""K is padded to a multiple of this: 8 groups, which every packing divides."""
BLOCKS = {8: 8, 4: 4, 3: 3, 2: 2, 1: 1}
"""Packed blocks of 32 columns by 4 bytes in a step of K."""


def rows(target: Target) -> int:
    """Rows of a tile: as many as leave its sums in registers."""
    return 8 if target.lanes == 16 else 4


def lines_ahead(wbits: int) -> int:
    """Cache lines that a tile asks for in a step: four tiles ask for the next block of a panel."""
    return (BLOCKS[wbits] + 1) // 2


def signed_weights(target: Target, wbits: int) -> bool:
    """Whether the weights are stored with their sign."""
    return wbits == 8 and target.dot == "madd"


def widen(b: e.Builder, target: Target, wbits: int, steps: e.Value, w: e.Value, out: e.Value, ahead: int) -> None:
    """Packed weights at `w` to bytes at `out`, over `steps` steps of K; asked for `ahead` bytes early."""
    kind, size = e.vector(e.I32, target.lanes), 4 * target.lanes

    def body(step: e.Value, _: e.Vectors) -> e.Vectors:
        _ask(b, e.at(b, w, (step, BLOCKS[wbits] * 128)), wbits, ahead)
        for v in range(PANEL // target.lanes):
            packed = lambda i: e.load(b, e.at(b, w, (step, BLOCKS[wbits] * 128), (i, 128), (v, size)), kind)  # noqa: B023, E731
            for group, wide in enumerate(_groups(b, target, wbits, packed)):
                e.store(b, wide, e.at(b, out, (step, 8 * 128), (group, 128), (v, size)))
        return []

    e.loop(b, steps, [], body)


def tile(b: e.Builder, target: Target, wbits: int, mr: int, operands: tuple[Any, Any, Any, Any, Any]) -> None:
    """Add the products of `mr` rows and 32 columns of widened weights to int32 (mr, 32) sums in memory.

    Operands: steps of K; address of the first row and its stride in bytes; of the widened weights; of the sums; of
    packed weights that will be wanted soon.
    """
    steps, (a, lda), w, out, soon = operands
    # Registers for the sums: 8 rows of 2 vectors, 4 rows of 2 of the 4 vectors of a narrow target.
    together = 2
    for first in range(0, PANEL // target.lanes, together):
        columns = range(first, min(first + together, PANEL // target.lanes))
        cells = [(m, v) for v in columns for m in range(mr)]
        weights = _Widened(b, target, w, (soon, lines_ahead(wbits)) if first == 0 else None)
        _accumulate(b, target, wbits, (steps, a, lda, out), cells, weights)


def stream(b: e.Builder, target: Target, wbits: int, mr: int, operands: tuple[Any, Any, Any, Any], ahead: int) -> None:
    """As `tile`, with packed weights that are widened in registers, asked for `ahead` bytes before they are used."""
    steps, (a, lda), w, out = operands
    cells = [(m, v) for v in range(PANEL // target.lanes) for m in range(mr)]
    _accumulate(b, target, wbits, (steps, a, lda, out), cells, _Packed(b, target, w, wbits, ahead))


class _Widened:
    """Weights that lie as bytes."""

    def __init__(self, b: e.Builder, target: Target, w: e.Value, soon: tuple[e.Value, int] | None) -> None:
        self._b, self._target, self._w, self._soon = b, target, w, soon

    def step(self, step: e.Value, columns: list[int]) -> Iterator[dict[int, Any]]:
        """The vectors of each group of a step, by column vector."""
        b, size, kind = self._b, 4 * self._target.lanes, e.vector(e.I32, self._target.lanes)
        if self._soon:
            place, lines = self._soon
            for line in range(lines):
                e.prefetch(b, e.at(b, place, (step, 64 * lines), (line, 64)), level=2)
        for group in range(STEP // GROUP):
            yield {v: e.load(b, e.at(b, self._w, (step, 8 * 128), (group, 128), (v, size)), kind) for v in columns}


class _Packed:
    """Weights that lie packed."""

    def __init__(self, b: e.Builder, target: Target, w: e.Value, wbits: int, ahead: int) -> None:
        self._b, self._target, self._w, self._wbits, self._ahead = b, target, w, wbits, ahead

    def step(self, step: e.Value, columns: list[int]) -> Iterator[dict[int, Any]]:
        """The vectors of each group of a step, by column vector."""
        b, size, kind = self._b, 4 * self._target.lanes, e.vector(e.I32, self._target.lanes)
        base = e.at(b, self._w, (step, BLOCKS[self._wbits] * 128))
        _ask(b, base, self._wbits, self._ahead)

        def packed(v: int) -> Callable[[int], Any]:
            return lambda i: e.load(b, e.at(b, base, (i, 128), (v, size)), kind)

        streams = {v: _groups(b, self._target, self._wbits, packed(v)) for v in columns}
        for _ in range(STEP // GROUP):
            yield {v: next(streams[v]) for v in columns}


def row_sum(b: e.Builder, target: Target, steps: e.Value, a: e.Value) -> e.Value:
    """The sum of a row of signed bytes."""
    narrow = replace(target, lanes=min(8, target.lanes))
    ones, size = e.constant(e.I32, narrow.lanes, 0x01010101), 4 * narrow.lanes

    def body(step: e.Value, values: e.Vectors) -> e.Vectors:
        adder = _Adder(b, narrow, wbits=1)
        for part in range(STEP // size):
            a_part = e.load(b, e.at(b, a, (step, STEP), (part, size)), ones.type, align=1)
            values = [adder.add(0, values[0], ones, a_part)]
        return adder.finish(values)

    (total,) = e.loop(b, steps, [e.constant(e.I32, narrow.lanes, 0)], body)
    return e.call(b, f"llvm.vector.reduce.add.v{narrow.lanes}i32", e.I32, total)


def _ask(b: e.Builder, base: e.Value, wbits: int, ahead: int) -> None:
    for line in range(BLOCKS[wbits] * 2):
        e.prefetch(b, e.at(b, base, (1, ahead), (line, 64)))


def _groups(b: e.Builder, target: Target, wbits: int, packed: Callable[[int], Any]) -> Iterator[Any]:
    """The 8 byte vectors of a step; `packed(i)` is its i-th block."""
    n = target.lanes
    mask = lambda x, byte: b.and_(x, e.constant(e.I32, n, byte * 0x01010101))  # noqa: E731
    right = lambda x, by: b.lshr(x, e.constant(e.I32, n, by)) if by > 0 else x  # noqa: E731
    if wbits == 8:
        yield from (packed(group) for group in range(8))
    elif wbits == 3:
        low, high = [packed(0), packed(1)], packed(2)
        for group in range(8):
            top = right(high, group - 2) if group >= 2 else b.shl(high, e.constant(e.I32, n, 2 - group))
            yield b.or_(mask(right(low[group // 4], 2 * (group % 4)), 3), mask(top, 4))
    else:
        per = 8 // wbits
        blocks: dict[int, Any] = {}
        for group in range(8):
            block = blocks.setdefault(group // per, None) or packed(group // per)
            blocks[group // per] = block
            yield mask(right(block, wbits * (group % per)), (1 << wbits) - 1)


def _accumulate(b: e.Builder, target: Target, wbits: int, operands: Any, cells: Any, weights: Any) -> None:
    """The loop over K: sums are read at its begin and written at its end."""
    steps, a, lda, out = operands
    columns = list(dict.fromkeys(v for _, v in cells))
    rows_ = list(dict.fromkeys(m for m, _ in cells))
    places = [e.at(b, out, (m * (PANEL // target.lanes) + v, 4 * target.lanes)) for m, v in cells]
    offsets = e.row_offsets(b, lda, len(rows_))
    # Few sums would wait for each other: several sets hide an instruction's latency.
    sets = max(1, 8 // len(cells))
    zero = e.constant(e.I32, target.lanes, 0)
    sums = [e.load(b, place, zero.type) for place in places] + [zero] * (len(cells) * (sets - 1))

    def body(step: e.Value, values: e.Vectors) -> e.Vectors:
        values = list(values)
        adder = _Adder(b, target, wbits)
        for group, wide in enumerate(weights.step(step, columns)):
            own = (group % sets) * len(cells)
            place = e.at(b, a, (step, STEP), (group, GROUP))
            inputs = {m: e.splat(b, e.load(b, b.add(place, offsets[m]), e.I32), target.lanes) for m in rows_}
            for c, (m, v) in enumerate(cells):
                values[own + c] = adder.add(own + c, values[own + c], wide[v], inputs[m])
        return adder.finish(values)

    sums = e.loop(b, steps, sums, body)
    for c in range(len(cells), len(sums)):
        sums[c % len(cells)] = b.add(sums[c % len(cells)], sums[c])
    for place, total in zip(places, sums[: len(cells)], strict=True):
        e.store(b, total, place)


class _Adder:
    """total[lane] += the products of 4 unsigned (or signed) weights and 4 signed inputs.

    Where pairs of products are small (weights of 4 bits or less), a step's 8 of them are summed at 16 bits first.
    """

    def __init__(self, b: e.Builder, target: Target, wbits: int) -> None:
        self._b, self._target = b, target
        self._signed = signed_weights(target, wbits)
        self._narrow = wbits < 8 and target.dot == "madd"
        self._pairs: dict[int, Any] = {}

    def add(self, place: int, total: Any, w: Any, a: Any) -> Any:
        """The new total; unchanged where the products wait in 16 bits."""
        b, n = self._b, self._target.lanes
        if self._target.dot == "vnni":
            return e.call(b, f"llvm.x86.avx512.vpdpbusd.{32 * n}", total.type, total, w, a)
        if self._target.dot == "shifts":
            return self._shifts(total, w, a)
        bytes_ = e.vector(e.I8, 4 * n)
        w, a = b.bitcast(w, bytes_), b.bitcast(a, bytes_)
        if self._signed:
            w, a = self._magnitude(w, a)
        pairs = madd_bytes(b, self._target, w, a)
        if not self._narrow:
            return b.add(total, madd_words(b, self._target, pairs))
        known = self._pairs.get(place)
        self._pairs[place] = pairs if known is None else b.add(known, pairs)
        return total

    def finish(self, values: e.Vectors) -> e.Vectors:
        """The totals, with what waited."""
        for place, pairs in self._pairs.items():
            values[place] = self._b.add(values[place], madd_words(self._b, self._target, pairs))
        return values

    def _magnitude(self, w: Any, a: Any) -> tuple[Any, Any]:
        """|w|, and a with the sign of w: two products of 127 * 127 fit 16 bits."""
        b, zero = self._b, e.constant(e.I8, w.type.count, 0)
        negative = b.icmp_signed("<", w, zero)
        if w.type.count == 32:
            return b.select(negative, b.neg(w), w), e.call(b, "llvm.x86.avx2.psign.b", a.type, a, w)
        return b.select(negative, b.neg(w), w), b.select(negative, b.neg(a), a)

    def _shifts(self, total: Any, w: Any, a: Any) -> Any:
        b, n = self._b, self._target.lanes
        top = e.constant(e.I32, n, 24)
        for byte in range(4):
            left = e.constant(e.I32, n, 24 - 8 * byte)
            product = b.mul(b.lshr(b.shl(w, left), top), b.ashr(b.shl(a, left), top))
            total = b.add(total, product)
        return total
