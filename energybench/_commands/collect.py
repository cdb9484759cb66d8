"""`energybench collect`: results of several machines in one folder, with conflicts named."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from energybench import collect as merging
from energybench.boundary import USAGE, describe
from energybench.collect import Collected, OutputError
from energybench.gating.sources import SourceError
from energybench.terminal import emit, say

SHOWN = 20


def collect(
    sources: Sequence[str],
    output: Path,
    *,
    repository: Path = Path(),
    prefer: Literal["first", "newest"] | None = None,
    as_json: bool = False,
) -> int:
    """Merge, and say what differs; the exit code: 0, 2 after a conflict that nobody decided, or where nothing is."""
    try:
        found = merging.collect(sources, output, repository=repository, prefer=prefer)
    except (SourceError, OutputError) as error:
        say(describe(error))
        return USAGE
    _tell(found, output)
    if as_json:
        emit(_values(found))
    if not found.records and not found.results:
        say("the sources hold neither records nor asv results; name folders, branches or addresses that do")
        return USAGE
    return USAGE if found.conflicts else 0


def _tell(found: Collected, output: Path) -> None:
    for trouble in found.troubles[:SHOWN]:
        say(f"{trouble.path}: {trouble.reason}" + ("; left out" if trouble.left_out else ""))
    if len(found.troubles) > SHOWN:
        say(f"{len(found.troubles) - SHOWN} more files were left out; --json lists them")
    for one in found.conflicts:
        say(f"{one.path}: {one.reason} in {one.source}; the first is kept, choose with --prefer first or newest")
    new = len(found.written)
    say(f"{found.records} records and {found.results} asv result files collected in {output}, {new} files written")


def _values(found: Collected) -> dict[str, object]:
    return {
        "schema": 1,
        "records": found.records,
        "results": found.results,
        "written": [str(path) for path in found.written],
        "conflicts": [{"path": str(one.path), "source": one.source, "reason": one.reason} for one in found.conflicts],
        "troubles": [{"path": str(one.path), "reason": one.reason} for one in found.troubles],
    }
