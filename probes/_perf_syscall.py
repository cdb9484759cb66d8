"""perf_event_open(2) through ctypes: one counting event on one processor, and the record that a read gives.

Energy and memory counters are PMUs of a dynamic type, opened on a processor: no package on PyPI does that.
"""

import ctypes
import errno
import os
import platform
import struct
from dataclasses import dataclass
from typing import Final

RECORD: Final = struct.Struct("=QQQ")
"""What a read of an event gives: its value, nanoseconds enabled, nanoseconds really counting."""

_CALL_NUMBER: Final = {"x86_64": 298, "aarch64": 241}
_ATTR: Final = struct.Struct("=IIQQQQQIIQQ")
_ATTR_BYTES: Final = 112  # PERF_ATTR_SIZE_VER5, which Linux 4.1 and newer take
_FORMAT_TIMES: Final = 0b11  # PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING
_EXCLUDE_KERNEL: Final = 1 << 5
_CLOSE_ON_EXEC: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class EventConfig:
    """Which event: the PMU's type and the words of `perf_event_attr` that its format files describe."""

    type: int
    config: int = 0
    config1: int = 0
    config2: int = 0


def open_event(event: EventConfig, cpu: int, *, pid: int = -1, exclude_kernel: bool = False) -> int:
    """Start counting and return the descriptor; `pid=-1` counts every process on `cpu`.

    Raises:
        OSError: what the kernel said: EACCES, ENODEV, EINVAL …; ENOSYS where the call's number is unknown.
    """
    number = _CALL_NUMBER.get(platform.machine())
    if number is None:
        raise OSError(errno.ENOSYS, f"perf_event_open is not known on {platform.machine()}")
    flags = _EXCLUDE_KERNEL if exclude_kernel else 0
    head = _ATTR.pack(
        event.type, _ATTR_BYTES, event.config, 0, 0, _FORMAT_TIMES, flags, 0, 0, event.config1, event.config2
    )
    attr = ctypes.create_string_buffer(head.ljust(_ATTR_BYTES, b"\0"), _ATTR_BYTES)
    call = ctypes.CDLL(None, use_errno=True).syscall
    fd: int = call(
        ctypes.c_long(number),
        attr,
        ctypes.c_int(pid),
        ctypes.c_int(cpu),
        ctypes.c_int(-1),
        ctypes.c_ulong(_CLOSE_ON_EXEC),
    )
    if fd < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return fd
