"""The tiles, epilogues and single loads as functions that numba can call: they take integers, addresses among them."""

from collections.abc import Callable
from typing import Any

from numba import types
from numba.extending import intrinsic

from energybench.workloads.qnn.kernels import _dot, _emit, _epilogue, _popcount
from energybench.workloads.qnn.kernels.isa import target

AHEAD = 4
"""Steps of K between a stream's reading and its prefetching."""
_INT = types.int64


def _void(count: int, codegen: Callable[..., None], literals: int = 0) -> Any:
    """An intrinsic of `literals` constants and `count` integers that gives nothing back."""

    def typed(_context: Any, *arguments: Any) -> Any:
        constants = [argument.literal_value for argument in arguments[:literals]]

        def generate(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
            codegen(builder, target(), *constants, *values[literals:])
            return context.get_dummy_value()

        return types.void(*arguments[:literals], *[_INT] * count), generate

    return typed


@intrinsic(prefer_literal=True)
def bits_tile(context, wbits, abits, mr, words, a, lda, w, out):  # type: ignore[no-untyped-def]
    """`_popcount.tile`."""

    def emit(b: Any, t: Any, wb: int, ab: int, rows: int, words: Any, a: Any, lda: Any, w: Any, out: Any) -> None:
        _popcount.tile(b, t, (wb, ab), rows, (words, (a, lda), w, out))

    return _void(5, emit, 3)(context, wbits, abits, mr, words, a, lda, w, out)


@intrinsic(prefer_literal=True)
def dot_tile(context, wbits, mr, steps, a, lda, w, out, soon):  # type: ignore[no-untyped-def]
    """`_dot.tile`."""

    def emit(b: Any, t: Any, wb: int, rows: int, steps: Any, a: Any, lda: Any, w: Any, out: Any, soon: Any) -> None:
        _dot.tile(b, t, wb, rows, (steps, (a, lda), w, out, soon))

    return _void(6, emit, 2)(context, wbits, mr, steps, a, lda, w, out, soon)


@intrinsic(prefer_literal=True)
def dot_stream(context, wbits, steps, a, w, out):  # type: ignore[no-untyped-def]
    """`_dot.stream` for one row."""

    def emit(b: Any, t: Any, wb: int, steps: Any, a: Any, w: Any, out: Any) -> None:
        _dot.stream(b, t, wb, 1, (steps, (a, _emit.I64(0)), w, out), AHEAD * _dot.BLOCKS[wb] * 128)

    return _void(4, emit, 1)(context, wbits, steps, a, w, out)


@intrinsic(prefer_literal=True)
def dot_widen(context, wbits, steps, w, out):  # type: ignore[no-untyped-def]
    """`_dot.widen`."""

    def emit(b: Any, t: Any, wb: int, steps: Any, w: Any, out: Any) -> None:
        _dot.widen(b, t, wb, steps, w, out, AHEAD * _dot.BLOCKS[wb] * 128)

    return _void(3, emit, 1)(context, wbits, steps, w, out)


@intrinsic
def row_sum(_context, steps, a):  # type: ignore[no-untyped-def]
    """`_dot.row_sum`."""

    def generate(_ctx: Any, builder: Any, _signature: Any, values: Any) -> Any:
        return builder.sext(_dot.row_sum(builder, target(), *values), _emit.I64)

    return _INT(_INT, _INT), generate


def _epilogue_intrinsic(emit: Callable[..., None], count: int) -> Any:
    def named(context, *arguments):  # type: ignore[no-untyped-def]
        return _void(count, lambda b, t, *values: emit(b, t, values))(context, *arguments)

    return named


@intrinsic
def end_scores(context, rows, pool, sums, mul, add, gain, offset, out, stride):  # type: ignore[no-untyped-def]
    """`_epilogue.scores`."""
    given = (rows, pool, sums, mul, add, gain, offset, out, stride)
    return _epilogue_intrinsic(_epilogue.scores, 9)(context, *given)


@intrinsic
def end_streamed(context, rows, pool, sums, mul, add, gain, offset, out, stride):  # type: ignore[no-untyped-def]
    """`_epilogue.streamed`."""
    given = (rows, pool, sums, mul, add, gain, offset, out, stride)
    return _epilogue_intrinsic(_epilogue.streamed, 9)(context, *given)


@intrinsic
def end_values(context, rows, pool, sums, mul, add, gain, offset, out, stride):  # type: ignore[no-untyped-def]
    """`_epilogue.values`."""
    given = (rows, pool, sums, mul, add, gain, offset, out, stride)
    return _epilogue_intrinsic(_epilogue.values, 9)(context, *given)


@intrinsic
def end_sums(context, rows, pool, sums, mul, add, out, stride):  # type: ignore[no-untyped-def]
    """`_epilogue.sums`."""
    return _epilogue_intrinsic(_epilogue.sums, 7)(context, rows, pool, sums, mul, add, out, stride)


@intrinsic
def end_planes(  # type: ignore[no-untyped-def]
    context, rows, pool, sums, mul, add, count, table, pitch, flips, bits, out, stride, plane
):
    """`_epilogue.planes`."""
    given = (rows, pool, sums, mul, add, count, table, pitch, flips, bits, out, stride, plane)
    return _epilogue_intrinsic(_epilogue.planes, 13)(context, *given)


@intrinsic
def read32(_context, address):  # type: ignore[no-untyped-def]
    """The unsigned 32-bit integer at an address."""

    def generate(_ctx: Any, b: Any, _signature: Any, values: Any) -> Any:
        return b.zext(_emit.load(b, values[0], _emit.I32), _emit.I64)

    return _INT(_INT), generate


@intrinsic
def write32(context, address, value):  # type: ignore[no-untyped-def]
    """Write the low 32 bits of a value."""

    def emit(b: Any, _target: Any, address: Any, value: Any) -> None:
        _emit.store(b, b.trunc(value, _emit.I32), address)

    return _void(2, emit)(context, address, value)


@intrinsic
def copy(context, out, source, count):  # type: ignore[no-untyped-def]
    """Copy bytes that do not overlap."""

    def emit(b: Any, _target: Any, out: Any, source: Any, count: Any) -> None:
        _emit.copy(b, out, source, count)

    return _void(3, emit)(context, out, source, count)


@intrinsic
def fill(context, out, value, count):  # type: ignore[no-untyped-def]
    """Set bytes."""

    def emit(b: Any, _target: Any, out: Any, value: Any, count: Any) -> None:
        _emit.fill(b, out, value, count)

    return _void(3, emit)(context, out, value, count)
