"""Deployed networks on disk: one safetensors file, read without torch and without pickle.

Its metadata holds one entry, `energybench.network`: JSON with the format's version, the description (layers, image,
classes, how it was trained) and a SHA-256 of description and tensors. One entry, since safetensors keeps no order among
several.
"""

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from energybench.workloads.qnn import _layout
from energybench.workloads.qnn.network import Network

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from energybench.workloads.data import DataSet

    Tensors = Mapping[str, NDArray[Any]]

VERSION = 1
_KEY = "energybench.network"
_LENGTH_BYTES = 8


def write(network: Network, path: Path) -> None:
    """Put a network into a file: all of it or, where that fails, nothing.

    Raises:
        FileExistsError: the file exists and does not hold a network that was trained by the same recipe.
        OSError: the system does not let it be written.
    """
    content = _serialised(network)
    if path.exists():
        _check_replaceable(network, path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def read(path: Path, *, expect: "DataSet | None" = None) -> Network:
    """The network of a file.

    Args:
        path: the file.
        expect: the data set that the caller will show it.

    Raises:
        ValueError: it is cut off, damaged, of another version, not a network's file, or its network is for other data.
        OSError: it cannot be read.
    """
    header, tensors = _opened(path.read_bytes(), path)
    try:
        network = _layout.restored(header["description"], tensors)
    except (KeyError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
        raise ValueError(f"{path} does not fit together ({error}): export the network again") from error
    if expect is not None:
        check_expected(network, expect, path)
    return network


def size_bytes(network: Network) -> int:
    """The bytes of the file that `write` makes."""
    return len(_serialised(network))


def _serialised(network: Network) -> bytes:
    from safetensors.numpy import save

    description, tensors = _layout.described(network)
    header = {"version": VERSION, "description": description, "sha256": _layout.digest(description, tensors)}
    return save(dict(tensors), metadata={_KEY: json.dumps(header, sort_keys=True)})


def _opened(content: bytes, path: Path) -> tuple[Mapping[str, Any], "Tensors"]:
    """The checked header and the tensors."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    header = _header(content, path)
    try:
        tensors = load(content)
    except SafetensorError as error:
        raise ValueError(
            f"{path} is damaged or cut off ({error}): export the network again, or copy it again"
        ) from error
    if _layout.digest(header.get("description"), tensors) != header.get("sha256"):
        raise ValueError(
            f"{path} is damaged: its SHA-256 is not the one written in it; copy it again, or export it again"
        )
    return header, tensors


def _header(content: bytes, path: Path) -> Mapping[str, Any]:
    """Our entry in the metadata; its version and the file's length are checked."""
    foreign = f"{path} is not a network's file of energybench, or its head is damaged: give one that it exported"
    if len(content) < _LENGTH_BYTES + 2:
        raise ValueError(_cut_off(path, len(content), _LENGTH_BYTES + 2))
    length = int.from_bytes(content[:_LENGTH_BYTES], "little")
    start = _LENGTH_BYTES + length
    if not content.startswith(b'{"', _LENGTH_BYTES):
        raise ValueError(foreign)
    if len(content) < start:
        raise ValueError(_cut_off(path, len(content), start))
    try:
        table = json.loads(content[_LENGTH_BYTES:start])
        header: dict[str, Any] = json.loads(table.pop("__metadata__")[_KEY])
        version = header["version"]
        end = start + max(entry["data_offsets"][1] for entry in table.values())
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(foreign) from error
    if type(version) is not int or version < 1:
        raise ValueError(foreign)
    if version > VERSION:
        raise ValueError(f"{path} is of format version {version}, this energybench reads {VERSION}: update energybench")
    if len(content) < end:
        raise ValueError(_cut_off(path, len(content), end))
    return header


def _cut_off(path: Path, found: int, wanted: int) -> str:
    return f"{path} is cut off: it has {found} bytes of at least {wanted}; copy it again, or export it again"


def _check_replaceable(network: Network, path: Path) -> None:
    """Only what can be made again is written over: a network of the same recipe on the same data."""
    try:
        before = read(path).about
    except (ValueError, OSError) as error:
        raise FileExistsError(f"{path} is there and is no network's file that can be read: move it away") from error
    same = all(before.get(part) == network.about.get(part) for part in ("recipe", "data"))
    if not same or "recipe" not in before:
        raise FileExistsError(f"{path} holds a network of another recipe: move it away, or write to another file")


def check_expected(network: Network, expected: "DataSet", path: Path) -> None:
    """Refuse a network that was made for other data.

    Raises:
        ValueError: its data, the shape of its images or its classes are others.
    """
    data = network.about.get("data", {}).get("name", "unnamed data")
    stored = str(network.about.get("data", {}).get("sha256", "unknown"))
    for what, found, wanted in (
        ("data", data, expected.name),
        ("images of", "×".join(map(str, network.shape)), "×".join(map(str, expected.shape))),
        ("classes", ", ".join(network.classes), ", ".join(expected.class_names)),
        ("data's SHA-256", stored, expected.sha256),
    ):
        if found != wanted:
            raise ValueError(
                f"{path} is another network: its {what} is {found}, not {wanted}; give the file for {wanted}"
            )
