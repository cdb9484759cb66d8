"""Bit-widths: which integers a width has, how they are packed, and what arithmetic two widths meet in.

Up to 4 bits, values are the odd numbers -L, -L+2 … L with L = 2^bits - 1 (mid-rise: 1 bit is -1 and 1, there is no 0),
and a value's code is (value + L) / 2. At 8 bits they are -127 … 127, and a value is its own code. The real number is
value / L. 16 bits are bfloat16, 32 are float32.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WIDTHS = (1, 2, 3, 4, 8, 16, 32)
PLANES = (1, 2, 3, 4)
"""The widths whose values are kept as planes of single bits."""


def top(bits: int) -> int:
    """The largest integer value at a width of 8 bits or less; it stands for 1."""
    return 127 if bits == 8 else 2**bits - 1


def is_integer(bits: int) -> bool:
    """Whether values of this width are integers, computed with as such."""
    return bits <= 8


def pack_planes(values: "NDArray[np.integer]", bits: int) -> "NDArray[np.uint8]":
    """Odd values (rows, columns) to planes (bits, rows, columns / 8 rounded up), the lowest plane and bit first."""
    import numpy as np

    codes = (values.astype(np.int16) + top(bits)) >> 1
    planes = np.stack([codes >> plane & 1 for plane in range(bits)]).astype(np.uint8)
    return np.packbits(planes, axis=2, bitorder="little")


def unpack_planes(planes: "NDArray[np.uint8]", columns: int) -> "NDArray[np.int8]":
    """The odd values (rows, columns) of `pack_planes`."""
    import numpy as np

    bits = np.unpackbits(planes, axis=2, count=columns, bitorder="little")
    codes = sum(bits[plane].astype(np.int8) << plane for plane in range(len(bits)))
    return (2 * np.asarray(codes) - top(len(planes))).astype(np.int8)
