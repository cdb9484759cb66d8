"""Where in a folder results may lie: of a project in its records and its results_dir, and nowhere in an environment."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from energybench.asv_configuration import NAMES, ConfigurationError, loaded
from energybench.store import DEFAULT_RECORDS, OF_AN_ENVIRONMENT, records_folder

OURS = DEFAULT_RECORDS.parts[0]
NEVER = (".git", "node_modules", "__pycache__")
WRITTEN_ELSEWHERE = {"env_dir": "env", "html_dir": "html"}
"""asv's folders that hold no results, and their names where a configuration does not tell."""


def files_below(folder: Path, environ: Mapping[str, str] = os.environ) -> Iterator[Path]:
    """Every file that may be a result, by name; of a project those of its records and its results_dir alone."""
    for place in _places_of(folder, environ):
        yield from _walked(place)


def _places_of(folder: Path, environ: Mapping[str, str]) -> list[Path]:
    """The folders of a project that hold results; a folder that is no project, or has none of them, itself."""
    if not (folder / OURS).is_dir() and not any((folder / name).is_file() for name in NAMES):
        return [folder]
    configurations = [one for pattern in ("", "*/") for name in NAMES for one in sorted(folder.glob(pattern + name))]
    told = [one.parent / str(_loaded(one).get("results_dir", "results")) for one in configurations]
    wanted = [folder / OURS, folder / records_folder(environ), *told]
    found = sorted({one.resolve() for one in wanted if one.is_dir()})
    inside = [one for one in found if one.is_relative_to(folder)]
    return [one for one in inside if not any(other in one.parents for other in inside)] or [folder]


def _walked(top: Path) -> Iterator[Path]:
    left_out: set[Path] = set()
    for name, below, files in os.walk(top):
        folder = Path(name)
        left_out |= _written_elsewhere(folder, files)
        below[:] = sorted(one for one in below if not _is_left_out(folder / one, left_out))
        yield from (folder / one for one in sorted(files) if one not in NAMES)


def _is_left_out(folder: Path, left_out: set[Path]) -> bool:
    return folder.name in NEVER or folder in left_out or any((folder / one).exists() for one in OF_AN_ENVIRONMENT)


def _written_elsewhere(folder: Path, files: list[str]) -> set[Path]:
    """What a configuration of asv in this folder says of its environments and pages."""
    told = [_loaded(folder / name) for name in NAMES if name in files]
    names = (str(one.get(name, usual)) for one in told for name, usual in WRITTEN_ELSEWHERE.items())
    return {Path(os.path.normpath(folder / name)) for name in names}


def _loaded(file: Path) -> Mapping[str, Any]:
    """A configuration of asv; nothing where it cannot be read, as results may be found without it."""
    try:
        return loaded(file)
    except ConfigurationError:
        return {}
