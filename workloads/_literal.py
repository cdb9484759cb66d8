"""Plain values out of a pickle, without unpickling: a pickle is a program, and this one is only read.

A stack is kept as the opcodes tell, and holds numbers, strings, bytes, lists, dictionaries and arrays of bytes. Names
are compared with the few that a numpy array of bytes needs; nothing is imported and nothing is called.
"""

import io
import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_CODEC = frozenset({"_codecs encode"})
_ARRAY = frozenset({"numpy.core.multiarray _reconstruct", "numpy._core.multiarray _reconstruct"})
_DTYPE = frozenset({"numpy dtype"})
_KNOWN = _CODEC | _ARRAY | _DTYPE | {"numpy ndarray"}
# What `dtype` is made of for unsigned bytes, by Python 2 and 3.
_UNSIGNED_BYTES = (b"u1", "u1", b"|u1", "|u1")


class RefusedError(ValueError):
    """A pickle that holds more than plain values."""


@dataclass(frozen=True, slots=True)
class _Name:
    """A name that a pickle would import."""

    path: str


@dataclass(slots=True)
class Array:
    """A numpy array of unsigned bytes, by rows.

    Attributes:
        shape: the length of each axis.
        raw: its bytes.
    """

    shape: tuple[int, ...] = ()
    raw: bytes = b""


def read(content: bytes) -> object:
    """What a pickle of protocol 2 or later holds, strings of Python 2 as bytes.

    Raises:
        RefusedError: it names, calls or holds something other than plain values and arrays of bytes.
        ValueError: it is cut off or damaged.
    """
    if content[:1] != b"\x80":
        raise ValueError("it is no pickle of protocol 2 or later")
    machine = _Machine()
    try:
        for opcode, value, _ in pickletools.genops(io.BytesIO(content)):
            machine.do(opcode.name, value)
        return machine.stack[-1]
    except RefusedError:
        raise
    except (ValueError, IndexError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"it is cut off or damaged ({error})") from error


class _Machine:
    """The stack, the marks on it and the memo of a pickle being read."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def do(self, name: str, value: Any) -> None:
        if name in _PUSHES:
            self.stack.append(value.encode("latin-1") if name in _STRINGS else value)
        elif name in _MAKES:
            self.stack.append(_MAKES[name]())
        elif name in _STEPS:
            _STEPS[name](self, value)
        elif name not in _SKIPPED:
            raise RefusedError(f"it asks for {name}, which no batch of pictures needs")

    def marked(self) -> list[Any]:
        """What lies above the last mark, taken off with the mark."""
        start = self.marks.pop()
        taken = self.stack[start:]
        del self.stack[start:]
        return taken

    def taken(self, count: int) -> list[Any]:
        """The last so many."""
        if len(self.stack) < count:
            raise IndexError("its stack is empty")
        taken = self.stack[-count:]
        del self.stack[-count:]
        return taken

    def name(self, path: str) -> None:
        if path not in _KNOWN:
            raise RefusedError(f"it asks for {path.replace(' ', '.')}, which no batch of pictures needs")
        self.stack.append(_Name(path))

    def extend(self, values: list[Any]) -> None:
        if not isinstance(self.stack[-1], list):
            raise RefusedError("it appends to something other than a list")
        self.stack[-1].extend(values)

    def fill(self, values: list[Any]) -> None:
        keys = values[::2]
        if not isinstance(self.stack[-1], dict) or not all(isinstance(key, (str, bytes, int)) for key in keys):
            raise RefusedError("it fills something other than a dictionary with plain keys")
        self.stack[-1].update(zip(keys, values[1::2], strict=True))

    def call(self) -> None:
        called, arguments = self.taken(2)
        path = called.path if isinstance(called, _Name) else ""
        if path in _CODEC and isinstance(arguments[0], str) and arguments[1] in ("latin1", "latin-1"):
            # How Python 3 writes bytes in protocol 2.
            self.stack.append(arguments[0].encode("latin-1"))
        elif path in _ARRAY:
            self.stack.append(Array())
        elif path in _DTYPE and arguments[0] in _UNSIGNED_BYTES:
            self.stack.append(_Name("numpy dtype"))
        else:
            raise RefusedError(
                f"it calls {path.replace(' ', '.') or 'something'}, which no batch of pictures needs like this"
            )

    def build(self) -> None:
        made, state = self.taken(2)
        if isinstance(made, Array):
            _, shape, dtype, by_columns, raw = state
            if dtype != _Name("numpy dtype") or by_columns or not isinstance(raw, bytes):
                raise RefusedError("it holds an array of something other than unsigned bytes by rows")
            made.shape, made.raw = shape, raw
        elif made != _Name("numpy dtype"):
            raise RefusedError("it gives a state to something other than an array")
        self.stack.append(made)


_STRINGS = frozenset({"SHORT_BINSTRING", "BINSTRING"})
_PUSHES = _STRINGS | {
    *("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"),
    *("SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "SHORT_BINBYTES", "BINBYTES", "BINBYTES8"),
}
_MAKES: dict[str, Callable[[], object]] = {
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_TUPLE": tuple,
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
}
_SKIPPED = frozenset({"PROTO", "FRAME", "STOP"})
_STEPS: dict[str, Callable[[_Machine, Any], object]] = {
    "MARK": lambda m, _: m.marks.append(len(m.stack)),
    "TUPLE": lambda m, _: m.stack.append(tuple(m.marked())),
    "TUPLE1": lambda m, _: m.stack.append(tuple(m.taken(1))),
    "TUPLE2": lambda m, _: m.stack.append(tuple(m.taken(2))),
    "TUPLE3": lambda m, _: m.stack.append(tuple(m.taken(3))),
    "APPEND": lambda m, _: m.extend(m.taken(1)),
    "APPENDS": lambda m, _: m.extend(m.marked()),
    "SETITEM": lambda m, _: m.fill(m.taken(2)),
    "SETITEMS": lambda m, _: m.fill(m.marked()),
    "BINPUT": lambda m, place: m.memo.__setitem__(place, m.stack[-1]),
    "LONG_BINPUT": lambda m, place: m.memo.__setitem__(place, m.stack[-1]),
    "MEMOIZE": lambda m, _: m.memo.__setitem__(len(m.memo), m.stack[-1]),
    "BINGET": lambda m, place: m.stack.append(m.memo[place]),
    "LONG_BINGET": lambda m, place: m.stack.append(m.memo[place]),
    "GLOBAL": lambda m, path: m.name(path),
    "STACK_GLOBAL": lambda m, _: m.name(" ".join(m.taken(2))),
    "REDUCE": lambda m, _: m.call(),
    "BUILD": lambda m, _: m.build(),
}
