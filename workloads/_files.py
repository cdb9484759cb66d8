"""Sets of pictures read from a directory: found by the names of their files, checked, never downloaded."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from energybench.workloads import _checksums, _cifar, _idx, _published

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Part: TypeAlias = tuple[NDArray[np.uint8], NDArray[np.int64]]

_IDX = re.compile(
    r"(?P<prefix>.*?)(?P<part>train|t10k|test)-(?P<kind>images|labels)[-.]idx(?P<axes>[13])-ubyte(?:\.gz)?"
)
_ROLES = ("train-images", "train-labels", "test-images", "test-labels")
# Where archives and other programs put the files of a set.
_FOLDERS = ("raw", "gzip", *(layout.folder for layout in _cifar.LAYOUTS))


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A set as its files hold it, in their order.

    Attributes:
        name: of the published set, else of its files or directory.
        class_names: by label.
        train: pixels (n, height, width, channels), uint8, and labels (n,), int64.
        test: the same of the test set.
        sha256: of each file, by name.
    """

    name: str
    class_names: tuple[str, ...]
    train: "Part"
    test: "Part"
    sha256: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """The files of a set; `layout` is None for IDX."""

    prefix: str
    layout: _cifar.Layout | None
    paths: Mapping[str, Path]


def read(where: Path) -> Stored:
    """The set in a directory, or at a directory and the beginning of its files' names (`emnist/emnist-balanced`).

    Raises:
        FileNotFoundError: there is no set, or a file of it is missing; the line names the files wanted and their page.
        ValueError: there are several, or a file is damaged, swapped or of another set.
    """
    folder, prefix = (where, None) if where.is_dir() else (where.parent, where.name)
    found = _chosen(where, [one for one in _sets(folder) if prefix is None or one.prefix.rstrip("-_") == prefix])
    files = {role: _file(found.paths[role], role, found) for role in _roles(found)}
    return _idx_set(found, files) if found.layout is None else _cifar_set(found.layout, files)


def _sets(folder: Path) -> list[_Found]:
    """The sets of a directory; where it has none itself, those in the folders that archives unpack to."""
    if not folder.is_dir():
        return []
    here = [*_idx_files(folder), *_cifar_files(folder)]
    return here or [one for name in _FOLDERS if (folder / name).is_dir() for one in _sets(folder / name)]


def _idx_files(folder: Path) -> list[_Found]:
    sets: dict[str, dict[str, Path]] = {}
    for path in sorted(folder.iterdir()):
        match = _IDX.fullmatch(path.name)
        if match and path.is_file():
            role = f"{'train' if match['part'] == 'train' else 'test'}-{match['kind']}"
            # An unpacked file comes before the packed one of the same name: either will do.
            sets.setdefault(match["prefix"], {}).setdefault(role, path)
    return [_Found(prefix=prefix, layout=None, paths=paths) for prefix, paths in sets.items()]


def _cifar_files(folder: Path) -> list[_Found]:
    found = []
    for layout in _cifar.LAYOUTS:
        paths = {name: folder / name for name in (*layout.train, *layout.test) if (folder / name).is_file()}
        if paths:
            found.append(_Found(prefix=layout.folder, layout=layout, paths=paths))
    return found


def _chosen(where: Path, found: list[_Found]) -> _Found:
    if not found:
        raise FileNotFoundError(f"there is no set of pictures in {where}: {_wanted()}")
    if len(found) > 1:
        named = ", ".join(one.prefix.rstrip("-_") or "train-images-…" for one in found)
        remedy = "give one of them as DIRECTORY/NAME, or a directory that has just one"
        raise ValueError(f"{where} holds several sets of pictures ({named}): {remedy}")
    layout = found[0].layout
    lacking = [role for role in _roles(found[0]) if role not in found[0].paths]
    if lacking:
        named = ", ".join(lacking if layout else (_idx_name(role, found[0].prefix) for role in lacking))
        pages = _pages([layout.name]) if layout else _pages(_kin(found[0].prefix))
        raise FileNotFoundError(f"{where} lacks {named}: bring what is missing from {pages}")
    return found[0]


def _roles(found: _Found) -> tuple[str, ...]:
    """What each file of a set is for, in their order."""
    return (*found.layout.train, *found.layout.test) if found.layout else _ROLES


def _kin(prefix: str) -> list[str]:
    """The published sets that files of such names may be of."""
    return ["emnist-balanced"] if prefix.startswith("emnist-") else ["mnist", "fashion-mnist", "kmnist"]


def _pages(names: list[str]) -> str:
    sets = [_published.PUBLISHED[name] for name in names]
    return ", ".join(f"{one.title.removesuffix(' balanced')} ({one.page})" for one in sets)


def _wanted() -> str:
    return (
        f"wanted are {', '.join(_published.IDX_FILES)}, each with .gz or without, of {_pages(_kin(''))}; "
        f"or emnist-balanced-train-images-idx3-ubyte.gz and its kin of {_pages(_kin('emnist-'))}; "
        f"or data_batch_1 … 5 and test_batch, each with .bin or without, of {_pages(['cifar-10'])}; "
        f"or train and test, each with .bin or without, of {_pages(['cifar-100'])}; "
        "bring them there yourself, unpacked: nothing is downloaded"
    )


def _idx_name(role: str, prefix: str) -> str:
    """The published name of a file, by what it is for."""
    part, kind = role.split("-")
    emnist = prefix if prefix.startswith("emnist-") else ""
    part = part if part == "train" or emnist else "t10k"
    return f"{emnist}{part}-{kind}-idx{3 if kind == 'images' else 1}-ubyte"


def _file(path: Path, role: str, found: _Found) -> _checksums.File:
    wanted = role if found.layout else _idx_name(role, found.prefix)
    return _checksums.File(path=path, wanted=wanted, content=path.read_bytes())


def _idx_set(found: _Found, files: Mapping[str, _checksums.File]) -> Stored:
    division = found.prefix.removeprefix("emnist-").rstrip("-") if found.prefix.startswith("emnist-") else ""
    train, test = (_idx_part(files[f"{part}-images"], files[f"{part}-labels"]) for part in ("train", "test"))
    if train[0].shape[1:] != test[0].shape[1:]:
        sizes = " and ".join(f"{part[0].shape[1]} by {part[0].shape[2]}" for part in (train, test))
        raise ValueError(
            f"{files['test-images'].path} does not fit its training set: pictures are {sizes}; bring one set"
        )
    name = _checksums.verified(list(files.values()))
    if division in _published.EMNIST_CLASSES:
        train, test = (_upright(part, first=int(division == "letters")) for part in (train, test))
        names = _published.EMNIST_CLASSES[division]
    else:
        names = _published.PUBLISHED[name].class_names if name else tuple(map(str, range(int(train[1].max()) + 1)))
    for part, role in ((train, "train-labels"), (test, "test-labels")):
        _check_labels(part[1], len(names), files[role].path)
    own = found.prefix.rstrip("-_") or files["train-images"].path.parent.resolve().name
    return Stored(name=name or own, class_names=names, train=train, test=test, sha256=_sums(files))


def _idx_part(images: _checksums.File, labels: _checksums.File) -> "Part":
    pixels = _idx.array(images.content, axes=3, name=str(images.path))
    classes = _idx.array(labels.content, axes=1, name=str(labels.path))
    if len(pixels) != len(classes):
        problem = f"{images.path} has {len(pixels)} images and {labels.path.name} {len(classes)} labels"
        raise ValueError(f"{problem}: they are of different sets, or swapped; bring those that belong together")
    return pixels[..., None], classes.astype(np.int64)


def _upright(part: "Part", *, first: int) -> "Part":
    """EMNIST's pictures lie on their side, columns first; one of its divisions counts from 1."""
    return part[0].transpose(0, 2, 1, 3), part[1] - first


def _check_labels(labels: "NDArray[np.int64]", classes: int, path: Path) -> None:
    outside = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(outside):
        problem = f"{path} has a label outside its {classes} classes at place {outside[0]}"
        raise ValueError(f"{problem}: it is damaged or of another set; copy it again")


def _cifar_set(layout: _cifar.Layout, files: Mapping[str, _checksums.File]) -> Stored:
    names = _published.PUBLISHED[layout.name].class_names
    read = {
        role: _cifar.pictures(file.content, layout, classes=len(names), name=str(file.path))
        for role, file in files.items()
    }
    name = _checksums.verified(list(files.values()))
    train, test = (
        (np.concatenate([read[role][0] for role in roles]), np.concatenate([read[role][1] for role in roles]))
        for roles in (layout.train, layout.test)
    )
    own = files[layout.train[0]].path.parent.resolve().name
    numbers = tuple(map(str, range(len(names))))
    return Stored(name=name or own, class_names=names if name else numbers, train=train, test=test, sha256=_sums(files))


def _sums(files: Mapping[str, _checksums.File]) -> dict[str, str]:
    return {file.path.name: file.sha256 for file in files.values()}
