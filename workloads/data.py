"""Data sets as arrays of whole numbers, by name or from files on disk, with a hash that says which data it was.

`digits` is inside scikit-learn, `glyphs` is drawn from matplotlib's fonts, and a directory holds MNIST, CIFAR or one of
their kin. Nothing is downloaded. A new data set is a function that returns a `DataSet`, and a row in `_SOURCES`.
"""

import difflib
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from energybench.model import UnknownNameError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Pixels: TypeAlias = NDArray[np.uint8]
    Labels: TypeAlias = NDArray[np.int64]
    Part: TypeAlias = tuple[Pixels, Labels]


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSet:
    """A data set, split in two.

    Attributes:
        name: the name that it is known by.
        levels: the largest pixel value.
        classes: how many labels there are.
        class_names: what each label stands for.
        shape: height, width and channels of a picture.
        sha256: of all pictures and labels: of `digits` before the split, of a directory as its files have them.
        train_pixels: (samples, height * width * channels), uint8, channels last, shuffled.
        train_labels: (samples,), int64.
        test_pixels: held out of training.
        test_labels: held out of training.
        about: what else a record's definition says of the data, in plain JSON values.
    """

    name: str
    levels: int
    classes: int
    class_names: tuple[str, ...]
    shape: tuple[int, int, int]
    sha256: str
    train_pixels: "Pixels"
    train_labels: "Labels"
    test_pixels: "Pixels"
    test_labels: "Labels"
    about: Mapping[str, object] = field(default_factory=dict)

    @property
    def features(self) -> int:
        """How many pixels a sample has, each channel counted."""
        return int(self.train_pixels.shape[1])

    def described(self) -> Mapping[str, object]:
        """What a record's definition says of the data."""
        sizes = {"train": len(self.train_labels), "test": len(self.test_labels)}
        return {"name": self.name, "sha256": self.sha256, **sizes, **self.about}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    """What was asked for."""

    seed: int
    held_out: float
    samples: int | None


def load(name_or_dir: str, *, seed: int, held_out: float = 0.2, samples: int | None = None) -> DataSet:
    """The data set of that name or in that directory.

    Args:
        name_or_dir: `digits`, `glyphs`, or either with a number of samples behind a colon (`glyphs:60000`); a directory
            of IDX or CIFAR files; or the beginning of the files' names in one that holds several sets
            (`./emnist/emnist-letters`).
        seed: of the split of `digits`, of all that is random in `glyphs`, and of the order of every set.
        held_out: test samples as a share: of each class of `digits`, of the training samples of `glyphs`. A directory
            has a test set of its own.
        samples: training samples: that many of `glyphs`, drawn by the seed from any other. None is all there are, and
            20,000 of `glyphs`.

    Raises:
        UnknownNameError: there is no set of that name; the message has the nearest.
        FileNotFoundError: files are missing; the message names them and where they are published.
        ValueError: files are damaged, swapped or of another set; more samples are asked for than there are.
    """
    if not 0 <= held_out < 1:
        raise ValueError(f"held_out={held_out} does not fit: it is a share, from 0 to below 1")
    if not name_or_dir.strip():
        raise UnknownNameError(f"data is empty: there are {', '.join(_SOURCES)}. Files are given by their directory")
    name, colon, count = name_or_dir.partition(":")
    if name not in _SOURCES and ("/" in name_or_dir or Path(name_or_dir).is_dir()):
        return _stored(Path(name_or_dir).expanduser(), _Wish(seed=seed, held_out=held_out, samples=_checked(samples)))
    if name not in _SOURCES:
        raise UnknownNameError(f"there is no data set {name_or_dir!r}: {_hint(name)}")
    if colon:
        samples = int(count) if count.isdecimal() else 0
    return _SOURCES[name](_Wish(seed=seed, held_out=held_out, samples=_checked(samples)))


def _hint(name: str) -> str:
    from energybench.workloads import _published

    known = [
        published for key, published in _published.PUBLISHED.items() if name.lower() in (key, key.replace("-", ""))
    ]
    if known:
        return f"bring the files of {known[0].title} from {known[0].page} and give their directory, like ./{name}"
    near = difflib.get_close_matches(name, _SOURCES, n=1, cutoff=0.6)
    there = f"did you mean {near[0]}?" if near else f"there are {', '.join(_SOURCES)}."
    return f"{there} Files are given by their directory, like ./mnist"


def _checked(samples: int | None) -> int | None:
    if samples is not None and samples < 1:
        raise ValueError("the number of samples does not fit: it is 1 or more, as in glyphs:60000")
    return samples


def _digits(wish: _Wish) -> DataSet:
    """1797 handwritten digits of 8 by 8 pixels in 17 grey levels, inside scikit-learn's own package."""
    import numpy as np

    table = _digits_table()
    pixels, labels = table[:, :-1].astype(np.uint8), table[:, -1].astype(np.int64)
    train, test = _stratified(labels, seed=wish.seed, held_out=wish.held_out)
    train = train[: _some("digits", len(train), wish.samples)]
    return DataSet(
        name="digits",
        levels=16,
        classes=10,
        class_names=tuple("0123456789"),
        shape=(8, 8, 1),
        sha256=_digest(pixels, labels),
        train_pixels=pixels[train],
        train_labels=labels[train],
        test_pixels=pixels[test],
        test_labels=labels[test],
    )


def _digits_table() -> "Pixels":
    """Pixels and, last, the label of each digit, from scikit-learn's file: a second less than importing it takes."""
    import importlib.util

    import numpy as np

    found = importlib.util.find_spec("sklearn")
    folders = (found.submodule_search_locations or []) if found else []
    for path in (Path(folder) / "datasets" / "data" / "digits.csv.gz" for folder in folders):
        if path.is_file():
            return np.loadtxt(path, delimiter=",", dtype=np.uint8)
    from sklearn.datasets import load_digits

    digits = load_digits()
    return np.column_stack([digits.data, digits.target]).astype(np.uint8)


def _glyphs(wish: _Wish) -> DataSet:
    """Digits and letters of 28 by 28 pixels, drawn by the seed; the test set in fonts that training never saw."""
    import numpy as np

    from energybench.workloads import _fonts, _glyphs

    samples = wish.samples or _glyphs.SAMPLES
    sizes = (samples, round(samples * wish.held_out))
    fonts = (tuple(_fonts.TRAINING), tuple(_fonts.TEST))
    streams = np.random.SeedSequence(wish.seed).spawn(2)
    train, test = (
        _glyphs.draw(size, families=families, random=np.random.default_rng(stream))
        for size, families, stream in zip(sizes, fonts, streams, strict=True)
    )
    return DataSet(
        name="glyphs",
        levels=255,
        classes=len(_glyphs.CLASSES),
        class_names=_glyphs.CLASSES,
        shape=(_fonts.SIZE, _fonts.SIZE, 1),
        sha256=_digest(*train, *test),
        train_pixels=train[0],
        train_labels=train[1],
        test_pixels=test[0],
        test_labels=test[1],
        about={"fonts": {"train": list(fonts[0]), "test": list(fonts[1])}},
    )


def _stored(where: Path, wish: _Wish) -> DataSet:
    """The set that a directory holds, in its own division, shuffled."""
    import numpy as np

    from energybench.workloads import _files

    found = _files.read(where)
    if np.array_equal(found.train[0], found.test[0]):
        raise ValueError(f"{where} has the same images for training and for test: copy its test files again")
    shape = found.train[0].shape[1:]
    random = np.random.default_rng(wish.seed)
    train, test = (random.permutation(len(part[1])) for part in (found.train, found.test))
    train = train[: _some(found.name, len(train), wish.samples)]
    flat = [part[0].reshape(len(part[1]), -1) for part in (found.train, found.test)]
    return DataSet(
        name=found.name,
        levels=255,
        classes=len(found.class_names),
        class_names=found.class_names,
        shape=(shape[0], shape[1], shape[2]),
        sha256=_digest(flat[0], found.train[1], flat[1], found.test[1]),
        train_pixels=flat[0][train],
        train_labels=found.train[1][train],
        test_pixels=flat[1][test],
        test_labels=found.test[1][test],
        about={"files": dict(found.sha256)},
    )


_SOURCES: dict[str, Callable[[_Wish], DataSet]] = {"digits": _digits, "glyphs": _glyphs}


def _some(name: str, there: int, samples: int | None) -> int:
    if samples is not None and samples > there:
        raise ValueError(f"{name} has {there} training samples, not {samples}: ask for fewer, or for glyphs:{samples}")
    return there if samples is None else samples


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


def _digest(*arrays: "NDArray[np.uint8] | NDArray[np.int64]") -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
