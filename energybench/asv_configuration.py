"""asv's configuration of a project: what its file is called, where it lies, and what it says."""

from pathlib import Path
from typing import Any

NAMES = ("asv.conf.json", "asv.conf.jsonc")
"""asv takes either, and refuses a folder with both."""


class ConfigurationError(ValueError):
    """A configuration that cannot be read; the message names the file."""


def beside(folder: Path) -> Path | None:
    """The configuration in a folder."""
    return next((folder / name for name in NAMES if (folder / name).is_file()), None)


def of_repository(top: Path) -> Path | None:
    """The configuration at the top of a repository, or in a folder there."""
    below = (path for name in NAMES for path in top.glob(f"*/{name}") if path.is_file())
    return beside(top) or min(below, default=None)


def results_dir(path: Path) -> Path:
    """The results_dir that a configuration names; asv's own default where it names none.

    Raises:
        ConfigurationError: the configuration cannot be read, or what it names is no text.
    """
    told = loaded(path).get("results_dir", "results")
    if not isinstance(told, str) or not told:
        raise ConfigurationError(f"{path} has the results_dir {told!r}, which is no name of a folder")
    return path.parent / told


def loaded(path: Path) -> dict[str, Any]:
    """What a configuration says, comments left out.

    Raises:
        ConfigurationError: it cannot be read, or holds no object.
    """
    from asv.util import UserError, load_json

    try:
        values = load_json(str(path), js_comments=True)
    except (UserError, ValueError, OSError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from error
    if not isinstance(values, dict):
        raise ConfigurationError(f"{path} holds no object")
    return values
