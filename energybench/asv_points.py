"""What asv keeps of a point: its parameters by name, its values, and where its record goes."""

import inspect
import math
import numbers
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from asv_runner.benchmarks._base import _repr_no_address, _unique_param_ids, _validate_params

from energybench import asv_configuration

SIZES = ("joules", "seconds", "bytes")
"""Units of which there is no less than nothing."""


def named(names: Sequence[str], values: Sequence[object], choices: Sequence[Any]) -> dict[str, Any]:
    """Parameters by their names: numbers, text and truth values, and anything else as asv writes it.

    asv leaves the address of an object out, and numbers those that then look alike: a point has one name for all runs.

    Args:
        names: of the parameters, as many as there are.
        values: of one point.
        choices: all values of each parameter, or of the only one.
    """
    every, whole = _validate_params(choices, names, "params")
    texts = _unique_param_ids(every)
    return {
        name: _plain(value, _text(value, known, written))
        for name, value, known, written in zip(whole, values, every, texts, strict=False)
    }


def _text(value: object, known: Sequence[object], texts: Sequence[str]) -> str:
    found = (text for one, text in zip(known, texts, strict=True) if one is value)
    return next(found, None) or str(_repr_no_address(value))


def _plain(value: object, text: str) -> object:
    is_plain = type(value) in (bool, int, str) or (type(value) is float and math.isfinite(value))
    return value if is_plain and text == repr(value) else text


def checked(name: str, value: object, unit: str) -> float:
    """A sample as asv can keep it.

    Raises:
        ValueError: it is no finite number, or one that cannot be.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(value):
        raise ValueError(f"{name} gave {value!r}; return a finite number, a list of them, or nothing to be measured")
    number = float(value)
    if unit in SIZES and number < 0:
        raise ValueError(f"{name} gave {number:g} {unit}; there is no less than nothing: correct what it returns")
    if name.rpartition(".")[2] == "energy_accuracy":
        share("accuracy", number)
    return number


def share(name: str, value: float) -> None:
    """Refuse an accuracy that is no share."""
    if not 0 <= value <= 1:
        raise ValueError(f"{name} is {value:g}; give it as a share, from 0 to 1")


def records_folder(where: object) -> Path:
    """Where records go: `ENERGYBENCH_RECORDS`, or `.energybench/records` beside asv's configuration.

    Args:
        where: a class or function of the suite.
    """
    if given := os.environ.get("ENERGYBENCH_RECORDS"):
        return Path(given).absolute()
    return _home(where) / ".energybench" / "records"


def _home(where: object) -> Path:
    """The folder of asv's configuration, which asv tells; not in an `existing` environment, where it is looked for."""
    if told := os.environ.get("ASV_CONF_DIR"):
        return Path(told)
    parents = _suite(where).parents
    configured = (folder for folder in parents if asv_configuration.beside(folder))
    repositories = (folder for folder in parents if (folder / ".git").exists())
    return next(configured, None) or next(repositories, None) or parents[0]


def _suite(where: object) -> Path:
    """The folder of the suite's modules."""
    top = sys.modules.get(str(getattr(where, "__module__", "")).partition(".")[0])
    file = getattr(top, "__file__", None) or inspect.getsourcefile(where) or "."  # type: ignore[arg-type]
    return Path(file).resolve().parent
