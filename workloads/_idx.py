"""The IDX format of MNIST and its kin: a magic number, the sizes of the axes as big-endian 32 bits, then the bytes.

Source: Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits", section "File formats".
"""

import gzip
import io
import math
import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BYTES = 0x08
_CHUNK = 1 << 20
_HOLDS = {1: "labels", 3: "images"}


def array(content: bytes, *, axes: int, name: str) -> "NDArray[np.uint8]":
    """The array of an IDX file of unsigned bytes, gzipped or not.

    Args:
        content: the whole file.
        axes: 1 for labels, 3 for images.
        name: what to call the file where it does not fit.

    Raises:
        ValueError: it is no IDX file, holds something else, or is not as long as it says.
    """
    content = unzipped(content, name)
    shape = _shape(content, axes, name)
    start, wanted = 4 + 4 * axes, math.prod(shape)
    if len(content) - start < wanted:
        problem = f"its header announces {wanted} bytes of {_HOLDS[axes]}, {max(0, len(content) - start)} are there"
        raise ValueError(f"{name} is cut off: {problem}; copy it again")
    if len(content) - start > wanted:
        raise ValueError(f"{name} goes on behind the {wanted} bytes that its header announces; copy it again")
    if not wanted:
        raise ValueError(f"{name} holds no {_HOLDS[axes]}: copy it again")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _shape(content: bytes, axes: int, name: str) -> tuple[int, ...]:
    if len(content) < 4 or content[:2] != b"\0\0" or content[3] == 0:
        raise ValueError(f"{name} is no IDX file: it begins with {content[:4].hex() or 'nothing'}; copy it again")
    if content[2] != _BYTES:
        raise ValueError(
            f"{name} holds numbers of type 0x{content[2]:02x}, not unsigned bytes (0x08): bring another file"
        )
    if content[3] != axes:
        held = _HOLDS.get(content[3], f"an array of {content[3]} axes")
        raise ValueError(f"{name} holds {held} where {_HOLDS[axes]} are wanted: the files are swapped; rename them")
    if len(content) < 4 + 4 * axes:
        raise ValueError(f"{name} is cut off: its header ends after {len(content)} bytes; copy it again")
    return struct.unpack_from(f">{axes}I", content, 4)


def unzipped(content: bytes, name: str) -> bytes:
    """The bytes inside a gzip file, at most one more than their own header announces; others as they are."""
    if content[:2] != b"\x1f\x8b":
        return content
    found = bytearray()
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as stream:
            found += stream.read(16)
            # A small file may unfold into any number of zeros: no more of it is read than an array can need.
            end = 1 + _announced(found)
            while len(found) < end and (more := stream.read(min(_CHUNK, end - len(found)))):
                found += more
    except (EOFError, OSError, zlib.error) as error:
        raise ValueError(f"{name} is cut off or damaged: {error}; copy it again") from error
    return bytes(found)


def _announced(head: bytearray) -> int:
    """The length of the file that begins like this, as far as its own header tells."""
    axes = head[3] if len(head) == 16 and head[3] in _HOLDS else 0
    return 4 + 4 * axes + math.prod(struct.unpack_from(f">{axes}I", head, 4)) if axes else len(head)
