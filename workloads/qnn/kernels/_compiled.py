"""Compiling with numba, kept on disk for as long as these sources stay as they are.

numba looks at the time of the one file that a function stands in. So what is kept is a closure over `SOURCE`, which is
part of its key; what it calls is compiled into it and not kept by itself.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import njit


def _digest(folder: Path) -> int:
    text = b"".join(path.read_bytes() for path in sorted(folder.glob("*.py")))
    return int.from_bytes(hashlib.sha256(text).digest()[:6], "big")


SOURCE = _digest(Path(__file__).parent)
"""A digest of all sources of the kernels. A closure over it uses it, or it would not be in the key."""


def kept(function: Callable[..., Any]) -> Any:
    """Compile at the first call; from numba's cache where it is there, in memory alone where none can be written."""
    try:
        return njit(cache=True, nogil=True)(function)
    except RuntimeError:  # no folder to keep it in
        return njit(nogil=True)(function)
