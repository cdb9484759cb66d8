"""Data sets as arrays of whole numbers: seeded stratified split, and a hash that says which data it was.

A new data set is a function that returns images and labels, and a row in `_SOURCES`.
"""

import difflib
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from energybench.model import UnknownNameError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Pixels: TypeAlias = NDArray[np.uint8]
    Labels: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSet:
    """A data set, split in two.

    Attributes:
        name: the name that it is asked for by.
        levels: the largest pixel value.
        classes: how many labels there are.
        sha256: of all images and labels, before the split.
        train_pixels: (samples, features), uint8, shuffled.
        train_labels: (samples,), int64.
        test_pixels: held out of training.
        test_labels: held out of training.
    """

    name: str
    levels: int
    classes: int
    sha256: str
    train_pixels: "Pixels"
    train_labels: "Labels"
    test_pixels: "Pixels"
    test_labels: "Labels"

    @property
    def features(self) -> int:
        """How many pixels a sample has."""
        return int(self.train_pixels.shape[1])

    def described(self) -> Mapping[str, object]:
        """What a record's definition says of the data."""
        sizes = {"train": len(self.train_labels), "test": len(self.test_labels)}
        return {"name": self.name, "sha256": self.sha256, **sizes}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    levels: int
    load: Callable[[], "tuple[Pixels, Labels]"]


def load(name: str, *, seed: int, held_out: float = 0.2) -> DataSet:
    """The data set of that name; `held_out` of each class is the test set, drawn by `seed`."""
    if name not in _SOURCES:
        near = difflib.get_close_matches(name, _SOURCES, n=1, cutoff=0.3)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(_SOURCES)}"
        raise UnknownNameError(f"there is no data set {name!r}: {hint}")
    source = _SOURCES[name]
    pixels, labels = source.load()
    train, test = _stratified(labels, seed=seed, held_out=held_out)
    return DataSet(
        name=name,
        levels=source.levels,
        classes=int(labels.max()) + 1,
        sha256=_digest(pixels, labels),
        train_pixels=pixels[train],
        train_labels=labels[train],
        test_pixels=pixels[test],
        test_labels=labels[test],
    )


def _digits() -> "tuple[Pixels, Labels]":
    """1797 handwritten digits of 8 by 8 pixels in 17 grey levels, inside scikit-learn's own package."""
    import numpy as np
    from sklearn.datasets import load_digits

    found = load_digits()
    return found.data.astype(np.uint8), found.target.astype(np.int64)


_SOURCES: dict[str, _Source] = {"digits": _Source(levels=16, load=_digits)}


def _stratified(labels: "Labels", *, seed: int, held_out: float) -> "tuple[NDArray[np.intp], NDArray[np.intp]]":
    """Shuffled positions of the training and the test samples, the same share of every class in both."""
    import numpy as np

    random = np.random.default_rng(seed)
    train, test = [], []
    for label in np.unique(labels):
        members = random.permutation(np.flatnonzero(labels == label))
        cut = round(len(members) * held_out)
        test.append(members[:cut])
        train.append(members[cut:])
    return random.permutation(np.concatenate(train)), random.permutation(np.concatenate(test))


def _digest(pixels: "Pixels", labels: "Labels") -> str:
    digest = hashlib.sha256()
    for array in (pixels, labels):
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
