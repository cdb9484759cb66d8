"""`--data`: the name of a data set as it is, a folder by its absolute path."""

from collections.abc import Iterator
from pathlib import Path

from energybench.matrix import ParameterError


def data_values(text: str | None) -> str | None:
    """Values for the parameter `data`, a comma between them.

    What has a slash, or begins with `.` or `~`, is a path: of a folder, or of the beginning of names in one
    (`./emnist/emnist-letters`). Anything else is a name, which the workload knows.

    Raises:
        FileNotFoundError: there is nothing of that path.
        ParameterError: its path has a comma.
    """
    return None if text is None else ",".join(_values(text))


def _values(text: str) -> Iterator[str]:
    for part in (part.strip() for part in text.split(",")):
        if not (part.startswith((".", "~")) or "/" in part):
            yield part
            continue
        path = Path(part).expanduser()
        found = path.resolve()
        if not (path.is_dir() or any(found.parent.glob(f"{found.name}?*"))):
            raise FileNotFoundError(f"--data {part}: no such folder; give the one that holds the data set's files")
        if "," in str(found):
            raise ParameterError(f"--data {part}: {found} has a comma, which separates values; rename that folder")
        yield str(found)
