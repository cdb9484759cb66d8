"""Settings: the flags of a command, then `ENERGYBENCH_*`, then `[tool.energybench]` in pyproject.toml.

The file is the first pyproject.toml upwards from the working directory. A path in it is relative to it.
"""

import difflib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from energybench.model import UnknownNameError

PREFIX = "ENERGYBENCH_"
FASTEST = 1000
"""Samples a second of a power trace: no counter is updated more often."""
YES = {
    "1": True,
    "true": True,
    "yes": True,
    "on": True,
    "0": False,
    "false": False,
    "no": False,
    "off": False,
}


class SettingError(ValueError):
    """A setting that cannot be read; the message says where it stands and what it may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What every command may be told; None where nobody said anything.

    Attributes:
        probes: the probes to use; empty for all that are not on request only.
        records: the folder that holds one folder of records for each machine.
        site: where `report` writes.
        windows: measured windows for each point.
        seconds: length of a window.
        idle: seconds of each idle baseline; 0 for none.
        warmup: the most seconds that a point is warmed up.
        seed: of the workload's random numbers.
        quick: fewer and shorter windows, smaller tasks.
        trace: samples a second of the power trace that records keep; None for no trace.
        align: let the edges of windows wait for a tick of the counter.
        require: the provenance that every record must have.
        table: the energy table of modelled joules.
        energy_to_accuracy: train from scratch to this held-out accuracy instead of measuring steps.
        title: of a report; what it is cited by.
        authors: of a report, `Family, Given` each, or the name of a group; in one text `;` stands between them.
        address: where a report is published.
    """

    probes: tuple[str, ...] = ()
    records: Path = Path(".energybench/records")
    site: Path = Path("site")
    windows: int | None = None
    seconds: float | None = None
    idle: float | None = None
    warmup: float | None = None
    seed: int = 0
    quick: bool = False
    align: bool = False
    trace: float | None = None
    require: str | None = None
    table: str | None = None
    energy_to_accuracy: float | None = None
    title: str = ""
    authors: tuple[str, ...] = ()
    address: str = ""


def load_settings(
    flags: Mapping[str, object], *, environ: Mapping[str, str] | None = None, start: Path | None = None
) -> Settings:
    """Merge the three sources; a flag that is None or empty was not given.

    Raises:
        SettingError: a value of the wrong kind.
        UnknownNameError: a key in pyproject.toml that is no setting.
    """
    found = _from_file(start) | _from_environment(os.environ if environ is None else environ)
    given = {key: value for key, value in flags.items() if value is not None and value not in ((), [])}
    found |= {key: (value, f"--{key.replace('_', '-')}") for key, value in given.items()}
    return Settings(**{key: READERS[key](value, where) for key, (value, where) in found.items()})


def _from_environment(environ: Mapping[str, str]) -> dict[str, tuple[object, str]]:
    named = {key: f"{PREFIX}{key.upper()}" for key in READERS}
    return {key: (environ[name], name) for key, name in named.items() if environ.get(name)}


def _from_file(start: Path | None) -> dict[str, tuple[object, str]]:
    path = _find_file(start)
    if path is None:
        return {}
    import tomllib

    try:
        table = tomllib.loads(path.read_text(encoding="utf-8")).get("tool", {}).get("energybench", {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingError(f"{path} is not valid TOML ({error}); mend it, or work in another folder") from error
    for key in table:
        if key not in READERS:
            raise UnknownNameError(f"{path}: [tool.energybench] has no setting {key!r}; {suggest(key, READERS)}")
    places = {key: path.parent / str(value) for key, value in table.items() if key in ("records", "site")}
    return {key: (places.get(key, value), f"{path}: {key} in [tool.energybench]") for key, value in table.items()}


def _find_file(start: Path | None) -> Path | None:
    try:
        folder = (start or Path.cwd()).resolve()
        candidates = [parent / "pyproject.toml" for parent in (folder, *folder.parents)]
        return next((path for path in candidates if path.is_file() and os.access(path, os.R_OK)), None)
    except OSError:  # the working directory was removed under us, or may not be looked into
        return None


def suggest(name: str, known: Mapping[str, object] | tuple[str, ...] | list[str]) -> str:
    """`did you mean 'bits'?`, or all there is where nothing is near."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"


def _whole(value: object, where: str) -> int:
    number = _real(value, where)
    if number != int(number):
        raise SettingError(f"{where} is {value!r}; give a whole number")
    return int(number)


def _positive(value: object, where: str) -> int:
    if (number := _whole(value, where)) < 1:
        raise SettingError(f"{where} is {value!r}; give 1 or more")
    return number


def _duration(value: object, where: str) -> float:
    if not 0 < (number := _real(value, where)) < float("inf"):
        raise SettingError(f"{where} is {value!r}; give seconds above 0")
    return number


def _span(value: object, where: str) -> float:
    if (number := _real(value, where)) < 0:
        raise SettingError(f"{where} is {value!r}; give seconds, 0 or more")
    return number


def _rate(value: object, where: str) -> float:
    if not 0 < (number := _real(value, where)) <= FASTEST:
        raise SettingError(f"{where} is {value!r}; give samples a second, above 0 and at most {FASTEST}")
    return number


def _share(value: object, where: str) -> float:
    if not 0 < (number := _real(value, where)) <= 1:
        raise SettingError(f"{where} is {value!r}; give a share above 0 and at most 1, as 0.97")
    return number


def _real(value: object, where: str) -> float:
    try:
        assert isinstance(value, str | int | float)
        number = float(value)
        int(number)  # not nan, not inf
    except (ValueError, AssertionError, OverflowError) as error:
        raise SettingError(f"{where} is {value!r}; give a number") from error
    return number


def _switch(value: object, where: str) -> bool:
    if str(value).lower() not in YES:
        raise SettingError(f"{where} is {value!r}; give true or false")
    return YES[str(value).lower()]


def _list(value: object, where: str) -> tuple[str, ...]:
    if not isinstance(value, str | list | tuple):
        raise SettingError(f"{where} is {value!r}; give a list of names")
    parts = [value] if isinstance(value, str) else [str(part) for part in value]
    return tuple(name.strip() for part in parts for name in part.split(",") if name.strip())


def _names(value: object, where: str) -> tuple[str, ...]:
    if not isinstance(value, str | list | tuple):
        raise SettingError(f"{where} is {value!r}; give a list of names, or one text with ; between them")
    parts = value.split(";") if isinstance(value, str) else [part for one in value for part in str(one).split(";")]
    return tuple(filter(None, map(str.strip, parts)))


def _provenance(value: object, where: str) -> str:
    if value not in ("measured", "simulated", "estimated"):
        raise SettingError(f"{where} is {value!r}; give measured, simulated or estimated")
    return str(value)


def _path(value: object, where: str) -> Path:  # noqa: ARG001 -- any text is a path
    return Path(str(value)).expanduser() if str(value).startswith("~/") and "HOME" in os.environ else Path(str(value))


def _address(value: object, where: str) -> str:
    from urllib.parse import urlsplit

    try:
        text = str(value)
        fine = text.isprintable() and " " not in text and urlsplit(text).scheme in ("", "http", "https")
    except ValueError:  # half of an IPv6 address
        fine = False
    if not fine:
        raise SettingError(f"{where} is {value!r}; give an http or https address, or a relative one, as ../energy")
    return text


def _text(value: object, where: str) -> str:  # noqa: ARG001 -- any text will do
    return str(value)


READERS: dict[str, Callable[[object, str], Any]] = {
    "probes": _list,
    "records": _path,
    "site": _path,
    "windows": _positive,
    "seconds": _duration,
    "idle": _span,
    "warmup": _span,
    "seed": _whole,
    "quick": _switch,
    "align": _switch,
    "trace": _rate,
    "require": _provenance,
    "table": _text,
    "energy_to_accuracy": _share,
    "title": _text,
    "authors": _names,
    "address": _address,
}
assert set(READERS) == {field.name for field in fields(Settings)}
