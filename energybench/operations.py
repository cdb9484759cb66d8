"""What operators and kernels compute and move, by name, and how a kernel tells a counter that it ran.

A formula takes an operator's arguments by their names, and `result`, and returns a `Cost`. torch's operators
are named as torch prints them (`aten.mm`, `onednn.qlinear_pointwise`), kernels of our own as they like
(`qnn.xnor_linear`). A kernel that torch's dispatcher cannot see (numba, C, Triton) calls `record(name,
**arguments)` each time it runs; without an active counter that is one look at a context variable.

Operations are named `<width>.<kind>`: `fp32.mul`, `bf16.mul`, `int8.mul`, `int32.add`, `b1.xnor`,
`b1.popcount` (bits that are counted), `fp32.compare`, `fp32.exp` … A multiply-accumulate is one `mul` and one
`add` at the accumulator's width.

This module never imports torch: an operand is anything with a shape and a dtype.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, overload


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one call computes and moves.

    Attributes:
        read_bytes: bytes read; None where the operands say it: each is read once.
        written_bytes: bytes written; None where the results say it.
        operations: how many operations of each name (`fp32.mul`).
    """

    read_bytes: int | None = None
    written_bytes: int | None = None
    operations: Mapping[str, int] = field(default_factory=dict)


Formula: TypeAlias = Callable[..., Cost]


class Recorder(Protocol):
    """Whoever counts: told of every kernel that announces itself while the recorder is active."""

    def announced(self, name: str, cost: Cost | None) -> None:
        """A kernel ran; `cost` is None where no formula is registered under its name."""
        ...


class Operand(Protocol):
    """A torch tensor, a numpy array, or anything else that has a shape and a dtype."""

    @property
    def shape(self) -> Iterable[int]:
        """Its size along each axis."""
        ...

    @property
    def dtype(self) -> Any:
        """Its element type."""
        ...


_registered: dict[str, Formula] = {}
_active: ContextVar[tuple[Recorder, ...]] = ContextVar("energybench_recorders", default=())


@overload
def register(name: str, formula: Formula) -> Formula: ...
@overload
def register(name: str, formula: None = None) -> Callable[[Formula], Formula]: ...
def register(name: str, formula: Formula | None = None) -> Formula | Callable[[Formula], Formula]:
    """Give the operator or kernel `name` a formula: `register(name, formula)`, or `@register(name)` above it.

    A formula of one's own goes before the built-in one of the same name; the last registered holds.
    """
    if formula is None:
        return lambda decorated: register(name, decorated)
    _registered[_canonical(name)] = formula
    return formula


def formula(name: str) -> Formula | None:
    """The formula of that name, or None. An in-place operator (`aten.add_`) costs what its twin does."""
    # Here, not above: the built-in formulas need `Cost`.
    from energybench._aten import FORMULAS

    name = _canonical(name)
    twin = name.removesuffix("_")
    for known in (_registered, FORMULAS):
        found = known.get(name) or known.get(twin)
        if found is not None:
            return found
    return None


def record(name: str, **arguments: object) -> None:
    """Tell the active counters that the kernel `name` ran; the arguments are what its formula takes.

    It reaches the counters of the calling thread. A kernel that is also a torch custom operator with a
    formula is counted once, by the dispatcher.
    """
    recorders = _active.get()
    if not recorders:
        return
    known = formula(name)
    cost = None if known is None else known(**arguments)
    for recorder in recorders:
        recorder.announced(_canonical(name), cost)


def activate(recorder: Recorder) -> None:
    """From now on `recorder` hears of every kernel that runs in this thread."""
    _active.set((*_active.get(), recorder))


def deactivate(recorder: Recorder) -> None:
    """End the last `activate` of this recorder; others stay as they are, in any order."""
    recorders = list(_active.get())
    for position in reversed(range(len(recorders))):
        if recorders[position] is recorder:
            del recorders[position]
            break
    _active.set(tuple(recorders))


@contextmanager
def counting(recorder: Recorder) -> Iterator[None]:
    """`recorder` is active inside the block."""
    activate(recorder)
    try:
        yield
    finally:
        deactivate(recorder)


_WIDTHS = {"bool": "b1", "bfloat16": "bf16", "float16": "fp16", "float32": "fp32", "float64": "fp64"}
_ACCUMULATORS = {
    "int4": "int32",
    "int8": "int32",
    "int16": "int32",
    "fp8": "fp32",
    "fp16": "fp32",
    "bf16": "fp32",
}


def width(dtype: object) -> str:
    """The first half of an operation's name: `fp32` for float32, `int8` for int8, uint8 and qint8."""
    name = str(dtype).rpartition(".")[2]
    if name.startswith("float8"):
        return "fp8"
    return _WIDTHS.get(name, name.replace("quint", "int").replace("uint", "int").replace("qint", "int"))


def elements(operand: Operand) -> int:
    """How many elements an operand has."""
    return math.prod(operand.shape)


def multiply_accumulate(count: int, operand_width: str) -> dict[str, int]:
    """`count` products at a width (`int8`), and as many sums at the width of its usual accumulator."""
    accumulator = _ACCUMULATORS.get(operand_width, operand_width)
    return {f"{operand_width}.mul": count, f"{accumulator}.add": count}


def merged(*parts: Mapping[str, int]) -> dict[str, int]:
    """The sum of several counts of operations; what was counted 0 times is left out."""
    total: dict[str, int] = {}
    for part in parts:
        for name, count in part.items():
            if count:
                total[name] = total.get(name, 0) + count
    return total


def flops(operations: Mapping[str, int]) -> int:
    """The floating-point operations among them: every kind but comparisons."""
    return sum(
        count for name, count in operations.items() if name.startswith(("fp", "bf")) and not name.endswith(".compare")
    )


def _canonical(name: str) -> str:
    return name.replace("::", ".")
