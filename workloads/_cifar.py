"""CIFAR-10 and CIFAR-100: the binary version and the Python version, which is read without unpickling it.

Source of both layouts: A. Krizhevsky, "The CIFAR-10 dataset", section "Dataset layout", on the page of the sets.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from energybench.workloads import _literal

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIDE = 32
_PIXELS = 3 * SIDE * SIDE


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The files of one version.

    Attributes:
        name: the set's name.
        folder: what its archive unpacks to.
        train: training files, in order.
        test: test files.
        labels: bytes of labels before each picture of the binary version, the last of them the class; 0 for Python's.
        key: where Python's version keeps the classes.
    """

    name: str
    folder: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    labels: int
    key: str


_BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))
LAYOUTS = (
    Layout(
        name="cifar-10",
        folder="cifar-10-batches-bin",
        train=tuple(f"{batch}.bin" for batch in _BATCHES),
        test=("test_batch.bin",),
        labels=1,
        key="",
    ),
    Layout(name="cifar-10", folder="cifar-10-batches-py", train=_BATCHES, test=("test_batch",), labels=0, key="labels"),
    Layout(name="cifar-100", folder="cifar-100-binary", train=("train.bin",), test=("test.bin",), labels=2, key=""),
    Layout(name="cifar-100", folder="cifar-100-python", train=("train",), test=("test",), labels=0, key="fine_labels"),
)


def pictures(
    content: bytes, layout: Layout, *, classes: int, name: str
) -> "tuple[NDArray[np.uint8], NDArray[np.int64]]":
    """Pixels (n, 32, 32, 3) and labels (n,) of one file.

    Args:
        content: the whole file.
        layout: which version it is of.
        classes: labels are below this.
        name: what to call the file where it does not fit.

    Raises:
        ValueError: it is not of this layout, cut off, or a label is out of range; in one line.
    """
    planes, labels = (_records if layout.labels else _batch)(content, layout, name)
    if not len(labels):
        raise ValueError(f"{name} holds no pictures: copy it again")
    if labels.min() < 0 or labels.max() >= classes:
        place = int(np.flatnonzero((labels < 0) | (labels >= classes))[0])
        problem = f"{name} has label {labels[place]} at picture {place}, outside 0 … {classes - 1}"
        raise ValueError(f"{problem}: it is damaged or of another set; copy it again")
    return planes.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1), labels


def _records(content: bytes, layout: Layout, name: str) -> "tuple[NDArray[np.uint8], NDArray[np.int64]]":
    """The binary version: labels, then the red, green and blue plane, and so on."""
    length = layout.labels + _PIXELS
    if len(content) % length:
        problem = f"its {len(content)} bytes are no multiple of a picture's {length}"
        raise ValueError(f"{name} is cut off or of another set: {problem}; copy it again")
    records = np.frombuffer(content, np.uint8).reshape(-1, length)
    return records[:, layout.labels :], records[:, layout.labels - 1].astype(np.int64)


def _batch(content: bytes, layout: Layout, name: str) -> "tuple[NDArray[np.uint8], NDArray[np.int64]]":
    """The Python version: a pickled dictionary of the planes and a list of classes."""
    try:
        held = _literal.read(content)
    except _literal.RefusedError as error:
        raise ValueError(f"{name} is refused, and nothing of it was run: {error}; bring the published file") from error
    except ValueError as error:
        raise ValueError(f"{name} is no batch of {layout.name}: {error}; copy it again") from error
    entries = {_text(key): value for key, value in held.items()} if isinstance(held, dict) else {}
    if not {"data", layout.key} <= set(entries):
        raise ValueError(f"{name} is no batch of {layout.name}: it lacks data or {layout.key}; copy it again")
    planes, labels = _planes(entries["data"], name), entries[layout.key]
    if not isinstance(labels, list) or not all(type(label) is int and -1 < label < 256 for label in labels):
        raise ValueError(f"{name} is no batch of {layout.name}: its {layout.key} are no list of classes; copy it again")
    if len(labels) != len(planes):
        raise ValueError(f"{name} has {len(planes)} pictures and {len(labels)} labels: it is damaged; copy it again")
    return planes, np.array(labels, np.int64)


def _planes(data: object, name: str) -> "NDArray[np.uint8]":
    """Pictures (n, 3072) out of an array, or out of nothing but its bytes."""
    raw = data.raw if isinstance(data, _literal.Array) else data
    if not isinstance(raw, bytes) or len(raw) % _PIXELS:
        raise ValueError(
            f"{name} is cut off or of another set: its data are no pictures of {_PIXELS} bytes; copy it again"
        )
    shape = data.shape if isinstance(data, _literal.Array) else (len(raw) // _PIXELS, _PIXELS)
    if not isinstance(shape, tuple) or not all(type(side) is int for side in shape) or math.prod(shape) != len(raw):
        raise ValueError(f"{name} is damaged: its data are not of the shape that it says; copy it again")
    return np.frombuffer(raw, np.uint8).reshape(-1, _PIXELS)


def _text(key: object) -> str:
    return key.decode("latin-1") if isinstance(key, bytes) else str(key)
