"""A network as named tensors and a description in JSON values, and back."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from energybench.workloads.qnn.network import Layer, Network

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Tensors = Mapping[str, NDArray[Any]]

_ARRAYS = ("weights", "gain", "offset", "thresholds", "flipped")
_NUMBERS = tuple(field.name for field in fields(Layer) if field.name not in _ARRAYS)


def described(network: Network) -> tuple[Mapping[str, Any], "Tensors"]:
    """The description and the tensors, `pixels` and `layers.<index>.<field>`, in one piece each."""
    import numpy as np

    tensors = {"pixels": np.ascontiguousarray(network.pixels)}
    for index, layer in enumerate(network.layers):
        for name in _ARRAYS:
            array = getattr(layer, name)
            if array is not None:
                narrow = _narrow(array) if name == "thresholds" else array
                tensors[f"layers.{index}.{name}"] = np.ascontiguousarray(narrow)
    description = {
        "shape": network.shape,
        "classes": network.classes,
        "about": network.about,
        "layers": [{name: getattr(layer, name) for name in _NUMBERS} for layer in network.layers],
    }
    return description, tensors


def _narrow(thresholds: "NDArray[np.int32]") -> "NDArray[np.integer[Any]]":
    """In 16 bits, where they fit: a layer of 4 bits has 15 of them a channel. The ends stand for the ends."""
    import numpy as np

    wide, small = np.iinfo(np.int32), np.iinfo(np.int16)
    inner = thresholds[(thresholds != wide.min) & (thresholds != wide.max)]
    if inner.size and (inner.min() <= small.min or inner.max() >= small.max):
        return thresholds
    return np.clip(thresholds, small.min, small.max).astype(np.int16)


def _widened(thresholds: "NDArray[Any]") -> "NDArray[Any]":
    """The thresholds of `_narrow`."""
    import numpy as np

    if thresholds.dtype != np.int16:
        return thresholds
    wide, small = np.iinfo(np.int32), np.iinfo(np.int16)
    found = thresholds.astype(np.int32)
    found[thresholds == small.min], found[thresholds == small.max] = wide.min, wide.max
    return found


def restored(description: Mapping[str, Any], tensors: "Tensors") -> Network:
    """The network of `described`.

    Raises:
        KeyError, TypeError, ValueError: something is missing, or there is more than a layer has.
    """
    layers = tuple(_layer(numbers, tensors, f"layers.{index}.") for index, numbers in enumerate(description["layers"]))
    height, width, channels = description["shape"]
    return Network(
        layers=layers,
        pixels=tensors["pixels"],
        shape=(height, width, channels),
        classes=tuple(description["classes"]),
        about=description["about"],
    )


def _layer(numbers: Mapping[str, Any], tensors: "Tensors", prefix: str) -> Layer:
    size = numbers["size"]
    arrays: dict[str, Any] = {name: tensors.get(prefix + name) for name in _ARRAYS}
    if arrays["thresholds"] is not None:
        arrays["thresholds"] = _widened(arrays["thresholds"])
    return Layer(**{**numbers, "size": size and (size[0], size[1])}, **arrays)


def digest(description: Mapping[str, Any] | None, tensors: "Tensors") -> str:
    """SHA-256 of the description and of each tensor's name, type, shape and bytes."""
    found = hashlib.sha256(json.dumps(description, sort_keys=True).encode())
    for name in sorted(tensors):
        array = tensors[name]
        found.update(f"{name}{array.dtype.str}{array.shape}".encode())
        found.update(array.tobytes())
    return found.hexdigest()
