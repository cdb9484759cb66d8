"""Inputs made ready for a product: pixels looked up, floats quantized, planes of bits spread to bytes."""

from typing import Any

from numba import types
from numba.extending import intrinsic

from energybench.workloads.qnn.kernels import _emit as e
from energybench.workloads.qnn.kernels._compiled import SOURCE, kept
from energybench.workloads.qnn.kernels._intrinsics import copy, fill

_INT = types.int64
_WORD = 32


@intrinsic
def spread_words(_context, planes, pitch, words, source, out):  # type: ignore[no-untyped-def]
    """Planes of bits to the odd values that they stand for, as bytes: 32 of them from a word of each plane."""

    def generate(ctx: Any, b: Any, _signature: Any, values: Any) -> Any:
        planes, pitch, words, source, out = values
        zero = e.constant(e.I8, _WORD, 0)

        def word(index: Any, _: Any) -> Any:
            def plane(p: Any, sums: Any) -> Any:
                bits = e.load(b, e.at(b, b.add(source, b.mul(p, pitch)), (index, 4)), e.I32)
                worth = e.splat(b, b.trunc(b.shl(e.I64(2), p), e.I8), _WORD)
                return [b.add(sums[0], b.select(b.bitcast(bits, e.vector(e.I1, _WORD)), worth, zero))]

            lowest = b.trunc(b.sub(e.I64(1), b.shl(e.I64(1), planes)), e.I8)
            (total,) = e.loop(b, planes, [e.splat(b, lowest, _WORD)], plane)
            e.store(b, total, e.at(b, out, (index, _WORD)), align=1)
            return []

        e.loop(b, words, [], word)
        return ctx.get_dummy_value()

    return types.void(*[_INT] * 5), generate


@intrinsic
def quantize_words(_context, bits, words, source, planes, out):  # type: ignore[no-untyped-def]
    """Floats in -1 … 1 to planes of the codes of odd values, `planes` bytes apart: a word of each from 32 floats."""

    def generate(ctx: Any, b: Any, _signature: Any, values: Any) -> Any:
        bits, words, source, planes, out = values
        kind, whole = e.vector(e.F32, _WORD), e.vector(e.I32, _WORD)
        top = b.sub(b.shl(e.I32(1), b.trunc(bits, e.I32)), e.I32(1))
        half = e.splat(b, b.fmul(b.sitofp(top, e.F32), e.F32(0.5)), _WORD)
        one, low = e.constant(e.F32, _WORD, 1.0), e.constant(e.F32, _WORD, -1.0)

        def word(index: Any, _: Any) -> Any:
            x = e.load(b, e.at(b, source, (index, 4 * _WORD)), kind)
            x = b.select(b.fcmp_ordered(">", x, low), x, low)
            x = b.select(b.fcmp_ordered("<", x, one), x, one)
            scaled = b.fadd(b.fmul(b.fadd(x, one), half), e.constant(e.F32, _WORD, 0.5))
            codes = b.fptosi(scaled, whole)  # not negative: rounds down

            def plane(p: Any, _: Any) -> Any:
                shift = e.splat(b, b.trunc(p, e.I32), _WORD)
                mask = b.trunc(b.lshr(codes, shift), e.vector(e.I1, _WORD))
                e.store(b, b.bitcast(mask, e.I32), e.at(b, b.add(out, b.mul(p, planes)), (index, 4)))
                return []

            e.loop(b, bits, [], plane)
            return []

        e.loop(b, words, [], word)
        return ctx.get_dummy_value()

    return types.void(*[_INT] * 5), generate


@intrinsic
def quantize_bytes(_context, words, source, out):  # type: ignore[no-untyped-def]
    """Floats in -1 … 1 to bytes -127 … 127, half to even, 32 at a time."""

    def generate(ctx: Any, b: Any, _signature: Any, values: Any) -> Any:
        words, source, out = values
        kind = e.vector(e.F32, _WORD)
        high, low = e.constant(e.F32, _WORD, 127.0), e.constant(e.F32, _WORD, -127.0)

        def word(index: Any, _: Any) -> Any:
            x = b.fmul(e.load(b, e.at(b, source, (index, 4 * _WORD)), kind), high)
            x = b.select(b.fcmp_ordered(">", x, low), x, low)
            x = b.select(b.fcmp_ordered("<", x, high), x, high)
            whole = b.fptosi(e.call(b, f"llvm.rint.v{_WORD}f32", kind, x), e.vector(e.I32, _WORD))
            e.store(b, b.trunc(whole, e.vector(e.I8, _WORD)), e.at(b, out, (index, _WORD)), align=1)
            return []

        e.loop(b, words, [], word)
        return ctx.get_dummy_value()

    return types.void(*[_INT] * 3), generate


@intrinsic
def _minus_ones(_context, out):  # type: ignore[no-untyped-def]
    """Write 32 floats of -1."""

    def generate(ctx: Any, b: Any, _signature: Any, values: Any) -> Any:
        e.store(b, e.constant(e.F32, _WORD, -1.0), values[0])
        return ctx.get_dummy_value()

    return types.void(_INT), generate


def _make_spread(source_digest: int) -> Any:
    @kept
    def spread(source, stride, pitch, planes, columns, out, out_stride, first, last):  # type: ignore[no-untyped-def]
        """Rows `first` … `last` of planes to bytes; behind the last column stand zeros."""
        for row in range(first + 0 * source_digest, last):
            at = out + row * out_stride
            spread_words(planes, pitch, (columns + 31) // 32, source + row * stride, at)
            fill(at + columns, 0, out_stride - columns)

    return spread


def _make_quantize(source_digest: int) -> Any:
    @kept
    def quantize(source, columns, bits, tail, out, out_stride, pitch, first, last):  # type: ignore[no-untyped-def]
        """Rows of float32 to planes of bits (`pitch` bytes apart) or, at 8 bits, to bytes.

        `tail` is room for 32 floats. Behind the last column stand zero bits, or zero bytes.
        """
        words, rest = columns // 32, columns % 32
        for row in range(first + 0 * source_digest, last):
            x, at = source + 4 * columns * row, out + row * out_stride
            if bits == 8:
                quantize_bytes(words, x, at)
            else:
                quantize_words(bits, words, x, pitch, at)
            if rest:
                # -1 is a code of zero bits; 0 is a byte of zero.
                if bits == 8:
                    fill(tail, 0, 128)
                else:
                    _minus_ones(tail)
                copy(tail, x + 128 * words, 4 * rest)
                if bits == 8:
                    quantize_bytes(1, tail, at + 32 * words)
                else:
                    quantize_words(bits, 1, tail, pitch, at + 4 * words)

    return quantize


def _make_look_up(source_digest: int) -> Any:
    @kept
    def look_up(pixels, table, columns, out, out_stride, first, last):  # type: ignore[no-untyped-def]
        """Pixels, uint8 (rows, columns), to the bytes that `table` has for them."""
        for row in range(first + 0 * source_digest, last):
            for column in range(columns):
                out[row * out_stride + column] = table[pixels[row, column]]

    return look_up


spread, quantize, look_up = _make_spread(SOURCE), _make_quantize(SOURCE), _make_look_up(SOURCE)
