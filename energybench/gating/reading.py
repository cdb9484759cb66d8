"""One side from a path or a commit: which files it means, and everything that they hold."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from energybench.gating.asv_files import MACHINE_NAME, Result, is_results_folder, read_tree
from energybench.gating.from_asv import FromAsv, from_asv
from energybench.gating.from_records import SeveralMachinesError, commit_of, from_records
from energybench.gating.library import Library, SideError, holds_results, index_near, read_records
from energybench.gating.series import Side, Trouble
from energybench.record import RecordError
from energybench.store import Stored, read

SHOWN = 5
COLLECTED = ("records", "results")
"""The two folders of what `energybench collect` wrote."""


def of_path(text: str, path: Path, library: Library) -> Side:
    """What a file or a folder holds, of one commit where it is asv's."""
    if path.is_file():
        return _of_file(text, path, library)
    if is_results_folder(path):
        return of_results(text, path, library, None)
    if holds_results(path):
        return _of_one_folder(text, path, library)
    stored, troubles = read_records(path)
    if not stored and library.hash_of(text):  # a branch may have the name of a folder
        return of_commit(text, library)
    if not stored:
        raise SideError(f"{path} holds neither records nor asv results{_first(troubles)}; name a folder that does")
    library.add(*stored)
    return _side(text, stored, [], {}, library, troubles)


def _of_file(text: str, path: Path, library: Library) -> Side:
    """A record, or a result file of asv."""
    one = library.result(path)
    if isinstance(one, Result):
        index, troubles = index_near(path.parent)
        return _side(text, [], [one], index, library, troubles)
    try:
        return _side(text, [Stored(path=path, record=read(path))], [], {}, library)
    except (RecordError, OSError) as error:
        raise SideError(f"{path} is neither a record nor an asv result: {one.reason}; {error}") from error


def _of_one_folder(text: str, folder: Path, library: Library) -> Side:
    """The result files of one commit in one folder."""
    index, troubles = index_near(folder)
    files = [one for one in sorted(folder.glob("*.json")) if one.name not in (MACHINE_NAME, "benchmarks.json")]
    return _of_files(text, folder, files, library, None, (index, troubles))


def of_folder(text: str, path: Path, library: Library, commit: str) -> Side:
    """What a folder has of a commit: of records, of asv's results, or of both where they were collected."""
    if is_results_folder(path):
        return of_results(text, path, library, commit)
    full = library.hash_of(commit) or commit
    records, results = (path / name for name in COLLECTED)
    stored, troubles = read_records(records if records.is_dir() else path)
    library.add(*stored)
    chosen = [one for one in stored if _begins_alike(commit_of(one.record) or "-", full)]
    if results.is_dir() and is_results_folder(results):
        tree = read_tree(results)
        library.add(tree=tree)
        found = [library.result(one) for one in tree.every() if _begins_alike(one.name.split("-", 1)[0], full)]
        measured = [one for one in found if isinstance(one, Result) and library.wanted(one)]
        troubles = (*troubles, *tree.troubles, *(one for one in found if isinstance(one, Trouble)))
        if chosen or measured:
            return _side(text, chosen, measured, tree.index, library, troubles)
    if not chosen:
        known = _listed([name for one in stored if (name := commit_of(one.record))])
        raise SideError(f"{path} has no results of {commit}{known}")
    return _side(text, chosen, [], {}, library, troubles)


def of_results(text: str, path: Path, library: Library, commit: str | None) -> Side:
    """The result files of a commit in a results_dir, or of the only one that it has."""
    tree = read_tree(path)
    library.add(tree=tree)
    full = (library.hash_of(commit) or commit) if commit else None
    # A hash may be given in part where this repository does not know it.
    files = [one for one in tree.every() if full is None or _begins_alike(one.name.split("-", 1)[0], full)]
    if not files:
        known = _listed([one.name.split("-", 1)[0] for one in tree.every()])
        raise SideError(f"{path} has no results of {commit}{known}")
    return _of_files(text, path, files, library, full, (tree.index, tree.troubles))


def _of_files(
    text: str,
    path: Path,
    files: Iterable[Path],
    library: Library,
    commit: str | None,
    described: tuple[Mapping[str, Mapping[str, object]], tuple[Trouble, ...]],
) -> Side:
    index, troubles = described
    read_files = [library.result(one) for one in files]
    bad = tuple(one for one in read_files if isinstance(one, Trouble))
    results = [one for one in read_files if isinstance(one, Result) and library.wanted(one)]
    results = [one for one in results if commit is None or _begins_alike(one.commit, commit)]
    commits = {one.commit for one in results}
    if not results:
        raise SideError(f"{path} has no asv results that can be used{_first(bad)}; run asv, or name another folder")
    if len(commits) > 1:
        raise SideError(f"{path} has results of {len(commits)} commits; name one as {path}@COMMIT{_listed(commits)}")
    return _side(text, [], results, index, library, (*troubles, *bad))


def of_commit(text: str, library: Library) -> Side:
    """What a library has of a commit of its repository."""
    commit = library.hash_of(text) or library.known_as(text)
    if commit is None:
        hint = library.shallow() or "name one of them"
        raise SideError(f"{text} is neither a path nor a commit of {library.repository}; {hint}")
    stored = library.records_of(commit)
    results, troubles = library.results_of(commit)
    if not stored and not results:
        known = _listed(library.commits()) or "; nothing has been measured here yet"
        raise SideError(f"nothing was measured at {text} ({commit[:8]}){_first(troubles)}{known}")
    tree = library.tree
    index = tree.index if tree else {}
    troubles = (*library.record_troubles, *(tree.troubles if tree else ()), *troubles)
    return replace(_side(text, stored, results, index, library, troubles), commit=commit)


def _side(
    text: str,
    stored: Sequence[Stored],
    results: Sequence[Result],
    index: Mapping[str, Mapping[str, object]],
    library: Library,
    troubles: tuple[Trouble, ...] = (),
) -> Side:
    """Records and asv results as one side; of one machine."""
    recorded = from_records(stored, machine=library.machine)
    measured = from_asv(_of_one_machine(results), index) if results else FromAsv(series={})
    if not recorded.series and not measured.series and not recorded.gaps and not measured.gaps:
        where = f" of machine {library.machine}" if library.machine else ""
        raise SideError(f"{text} has nothing{where} that could be judged{_first((*troubles, *measured.troubles))}")
    commits = {one.commit for one in results} | {commit_of(one.record) or "" for one in stored}
    known = {*recorded.series, *(gap.key for gap in recorded.gaps)}
    return Side(
        name=text,
        commit=(commits.pop() or None) if len(commits) == 1 else None,
        series={**measured.series, **recorded.series},
        beside={key: one for key, one in measured.series.items() if key in known},
        gaps=(*recorded.gaps, *measured.gaps),
        troubles=(*troubles, *recorded.troubles, *measured.troubles),
    )


def _of_one_machine(results: Sequence[Result]) -> Sequence[Result]:
    machines = sorted({one.machine for one in results})
    if len(machines) > 1:
        names = ", ".join(machines)
        raise SeveralMachinesError(f"these asv results are of several machines: {names}; choose one with --machine")
    return results


def _begins_alike(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)


def _listed(commits: Iterable[str]) -> str:
    names = list(dict.fromkeys(one[:8] for one in commits))
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"; there are results of {', '.join(names[:SHOWN])}{more}" if names else ""


def _first(troubles: Sequence[Trouble]) -> str:
    return f" ({troubles[0].path}: {troubles[0].reason})" if troubles else ""
