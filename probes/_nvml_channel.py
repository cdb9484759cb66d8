"""Calls to NVML prepared once, so that a reading looks nothing up and allocates nothing."""

import ctypes
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from energybench.probes._nvml import NO_FUNCTION, Session


class Source(NamedTuple):
    """One value of one GPU: a function, and for fields which one, of what part."""

    uuid: str
    call: str
    field: int = 0
    scope: int = 0
    averaging: float = 0.0

    def describe(self) -> str:
        """The call as a person would look it up."""
        return f"{self.call}({self.field}, scope {self.scope})" if self.field else self.call


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One value that is read over and over: `fetch()` gives a return code and fills `cell` (and `status`)."""

    call: str
    fetch: Callable[[], int]
    status: Any
    cell: Any


def failing(call: str, code: int) -> Channel:
    """A channel that only tells why it cannot be read."""
    return Channel(call=call, fetch=lambda: code, status=ctypes.c_int(0), cell=ctypes.c_int(0))


def bind(session: Session, source: Source) -> Channel:
    """Prepare a call: its pointer, its handle, and the cells that it fills."""
    function, call = session.function(source.call), source.describe()
    if function is None:
        return failing(call, NO_FUNCTION)
    try:
        handle = session.handle(source.uuid)
    except session.NVMLError as error:
        return failing(call, error.value)  # type: ignore[attr-defined]
    if not source.field:
        cell = ctypes.c_ulonglong()
        fetch = functools.partial(function, handle, ctypes.byref(cell))
        return Channel(call=call, fetch=fetch, status=ctypes.c_int(0), cell=cell)
    layout = session.nvml.c_nvmlFieldValue_t
    value = layout(fieldId=source.field, scopeId=source.scope)
    return Channel(
        call=call,
        fetch=functools.partial(function, handle, 1, ctypes.byref(value)),
        status=ctypes.c_int.from_buffer(value, layout.nvmlReturn.offset),
        cell=ctypes.c_uint.from_buffer(value, layout.value.offset),
    )


def try_once(session: Session, source: Source) -> int:
    """The return code of one reading."""
    channel = bind(session, source)
    return channel.fetch() or int(channel.status.value)
