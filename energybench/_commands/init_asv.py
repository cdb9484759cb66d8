"""`energybench init-asv`: an energy suite for a project, with asv's configuration where it has none."""

import os
from pathlib import Path

from energybench.asv_project import CONFIGURATION, Plan, ProjectError, plan
from energybench.boundary import USAGE
from energybench.store import why
from energybench.terminal import console, say


def init_asv(folder: Path, *, dry_run: bool = False, requirement: str | None = None) -> int:
    """Add what is missing and overwrite nothing; 0, or 2 where the project cannot have a suite as it is.

    Args:
        folder: of the project, or of its asv.conf.json.
        dry_run: only tell what would be written.
        requirement: how pip gets energybench; the one that runs here where None.
    """
    try:
        planned = plan(folder, requirement=requirement)
    except ProjectError as error:
        say(str(error))
        return USAGE
    out = console()
    for path, text in planned.files:
        try:
            if not dry_run:
                _write(path, text)
        except OSError as error:
            say(f"{path} cannot be written ({why(error)}); make that possible, and run this again")
            return USAGE
        out.print(f"{'would write' if dry_run else 'wrote'} {_short(path)}", soft_wrap=True, markup=False)
    for line in [*_found(planned), *_left(planned)]:
        out.print(line, soft_wrap=True, markup=False)
    return 0


def _write(path: Path, text: str) -> None:
    """Write a new file; one that came in between is not overwritten."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("x", encoding="utf-8") as file:
        file.write(text)


def _found(planned: Plan) -> list[str]:
    if planned.found is None:
        return []
    return [f"{_short(planned.found)} is an energy suite already: nothing written"]


def _left(planned: Plan) -> list[str]:
    """What to do now."""
    home = _short(planned.configuration.parent)
    begin = [] if home == "." else [f"cd {home}"]
    # Without results, NEW is the whole history.
    then = [*begin, "asv machine --yes", "asv run HEAD^!"]
    written = [f"edit {_short(path)}" for path, _ in planned.files if path.name not in (CONFIGURATION, "__init__.py")]
    lines = [*planned.advice, *(f"{line}, and commit" for line in written)]
    return [*(f"next: {line}" for line in lines), f"then: {' && '.join(then)}", "from then on: asv run NEW"]


def _short(path: Path) -> str:
    """A path from the current folder, where that is shorter."""
    return min(os.path.relpath(path), str(path), key=len)
