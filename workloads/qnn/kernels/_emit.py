"""A small vocabulary of LLVM IR: vectors by address, loops with values in registers, and three-input functions.

Vectors never cross numba's type system: intrinsics take addresses and counts, as 64-bit integers.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from llvmlite import ir
from numba.core import cgutils

Builder: TypeAlias = ir.IRBuilder
Value: TypeAlias = ir.Value
Vectors: TypeAlias = list[Any]

I1, I8, I16, I32, I64, F32 = (*(ir.IntType(bits) for bits in (1, 8, 16, 32, 64)), ir.FloatType())
XOR3, MAJORITY, BORROWED = 0x96, 0xE8, 0x3A


def vector(element: Any, lanes: int) -> Any:
    """The type of a vector."""
    return ir.VectorType(element, lanes)


def call(b: Builder, name: str, result: Any, *arguments: Value) -> Value:
    """Call an LLVM intrinsic by its name."""
    kind = ir.FunctionType(result, [argument.type for argument in arguments])
    return b.call(cgutils.get_or_insert_function(b.module, kind, name), arguments)


def constant(element: Any, lanes: int, value: float) -> Value:
    """A vector of equal constants."""
    return ir.Constant(vector(element, lanes), [value] * lanes)


def splat(b: Builder, scalar: Value, lanes: int) -> Value:
    """A vector of equal elements."""
    one = b.insert_element(ir.Constant(vector(scalar.type, lanes), ir.Undefined), scalar, I32(0))
    return b.shuffle_vector(one, one, constant(I32, lanes, 0))


def load(b: Builder, address: Value, kind: Any, align: int = 4) -> Value:
    """Read a value; numpy promises no more than the alignment of one element."""
    return b.load(b.inttoptr(address, ir.PointerType(kind)), align=align)


def store(b: Builder, value: Value, address: Value, align: int = 4) -> None:
    """Write a value."""
    b.store(value, b.inttoptr(address, ir.PointerType(value.type)), align=align)


def stream(b: Builder, value: Value, address: Value) -> None:
    """Write whole cache lines, or parts that make up one, past the caches: they are not read for it first."""
    written = b.store(value, b.inttoptr(address, ir.PointerType(value.type)), align=value.type.count * 4)
    written.set_metadata("nontemporal", b.module.add_metadata([I32(1)]))


def at(b: Builder, base: Value, *terms: tuple[Value | int, int]) -> Value:
    """Base + sum(index * bytes)."""
    for index, size in terms:
        step = I64(index * size) if isinstance(index, int) else b.mul(index, I64(size))
        base = b.add(base, step)
    return base


def loop(b: Builder, count: Value, carried: Sequence[Value], body: Callable[[Value, Vectors], Vectors]) -> Vectors:
    """`for i in range(count): carried = body(i, carried)`, with the carried values in registers."""
    entry, head, inside, done = b.block, *(b.append_basic_block(name) for name in ("head", "body", "done"))
    b.branch(head)
    b.position_at_end(head)
    index, *state = phis = [b.phi(value.type) for value in (I64(0), *carried)]
    b.cbranch(b.icmp_signed("<", index, count), inside, done)
    b.position_at_end(inside)
    new = [*body(index, list(state))]
    for phi, first, last in zip(phis, (I64(0), *carried), (b.add(index, I64(1)), *new), strict=True):
        phi.add_incoming(first, entry)
        phi.add_incoming(last, b.block)
    b.branch(head)
    b.position_at_end(done)
    return state


def ternary(b: Builder, table: int, x: Value, y: Value, z: Value) -> Value:
    """A function of three vectors of 32-bit lanes by its truth table, in one instruction (AVX-512F)."""
    lanes = x.type.count
    return call(b, f"llvm.x86.avx512.pternlog.d.{32 * lanes}", x.type, x, y, z, I32(table))


def prefetch(b: Builder, address: Value, level: int = 1) -> None:
    """Ask for a cache line that will be read soon, into the first- or the second-level cache."""
    pointer = b.inttoptr(address, ir.PointerType(I8))
    kind = ir.FunctionType(ir.VoidType(), [pointer.type, I32, I32, I32])
    name = "llvm.prefetch.p0"
    b.call(cgutils.get_or_insert_function(b.module, kind, name), [pointer, I32(0), I32(4 - level), I32(1)])


def copy(b: Builder, out: Value, source: Value, count: Value) -> None:
    """Copy `count` bytes that do not overlap."""
    pointer = ir.PointerType(I8)
    places = [b.inttoptr(address, pointer) for address in (out, source)]
    kind = ir.FunctionType(ir.VoidType(), [pointer, pointer, I64, I1])
    name = "llvm.memcpy.p0.p0.i64"
    b.call(cgutils.get_or_insert_function(b.module, kind, name), [*places, count, I1(0)])


def fill(b: Builder, out: Value, value: Value, count: Value) -> None:
    """Set `count` bytes to the low 8 bits of a value."""
    pointer = ir.PointerType(I8)
    kind = ir.FunctionType(ir.VoidType(), [pointer, I8, I64, I1])
    name = "llvm.memset.p0.i64"
    call_ = cgutils.get_or_insert_function(b.module, kind, name)
    b.call(call_, [b.inttoptr(out, pointer), b.trunc(value, I8), count, I1(0)])


def opaque(b: Builder, value: Value) -> Value:
    """The same value, which LLVM cannot take apart: it would chain additions where an address can hold a register."""
    kind = ir.FunctionType(value.type, [value.type])
    return b.call(ir.InlineAsm(kind, "", "=r,0"), [value])


def row_offsets(b: Builder, stride: Value, rows: int) -> list[Value]:
    """Bytes from the first row to each: odd multiples of the stride in registers, others scaled by the address."""
    odd = {m: stride if m == 1 else opaque(b, b.mul(stride, I64(m))) for m in range(1, rows, 2)}
    offsets = [I64(0)]
    for m in range(1, rows):
        twos = (m & -m).bit_length() - 1
        offsets.append(b.shl(odd[m >> twos], I64(twos)))
    return offsets
