"""From what a user names, a path or a commit, to one side of a comparison; and what two sides have together."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from energybench.gating.library import Library, SideError
from energybench.gating.reading import of_commit, of_folder, of_path
from energybench.gating.series import Round, Side
from energybench.gating.twins import recorded_as, without_twins

__all__ = ["Library", "SideError", "interleaved", "recorded_as", "resolve", "resolve_both", "together"]

LEAST_PAIRS = 3
PAIR_SECONDS, PAUSE_SECONDS = 3600.0, 86400.0
"""The most between the two rounds of a pair, and between pairs."""


def resolve(
    text: str, *, repository: Path, records: Path, results: Path | None = None, machine: str | None = None
) -> Side:
    """One side of a comparison.

    Args:
        text: a record, a folder of records, an asv result file, a folder of those of one commit, `FOLDER@COMMIT` for
            one that has several (records, a results_dir, or what was collected), or a commit of the repository.
        repository: whose commits are meant.
        records: where its records are.
        results: its results_dir; by default the one of its asv.conf.json.
        machine: the id or name of the machine whose results are taken; there may be one only where it is None.

    Raises:
        SideError: it is none of these, or nothing is there.
        SeveralMachinesError: it has results of several machines, and none was chosen.
    """
    return side_of(text, Library(repository=repository, records=records, results=results, machine=machine))


def resolve_both(base: str, head: str, library: Library) -> tuple[Side, Side]:
    """Both sides, each file read once, and rounds that alternate paired."""
    return together(side_of(base, library), side_of(head, library))


def side_of(text: str, library: Library) -> Side:
    """As `resolve`, from results that may have been read already."""
    path, at, commit = text.rpartition("@")
    if Path(text).exists():
        return of_path(text, Path(text), library)
    if at and path and not commit.startswith("{") and Path(path).is_dir():
        return of_folder(text, Path(path), library, commit)
    return of_commit(text, library)


def together(base: Side, head: Side) -> tuple[Side, Side]:
    """Both sides without what they have twice, named alike, and with rounds that alternate in time paired."""
    base, head = interleaved(*without_twins(base, head))
    known = set(base.troubles)
    return base, replace(head, troubles=tuple(one for one in head.troubles if one not in known))


def interleaved(base: Side, head: Side) -> tuple[Side, Side]:
    """Rounds of both sides that were measured in turn, as pairs, where nothing else tells."""
    old, new = dict(base.series), dict(head.series)
    for key in base.series.keys() & head.series.keys():
        pairs = _in_turn(old[key].rounds, new[key].rounds)
        if pairs:
            old[key] = replace(old[key], rounds=tuple(pairs[0]))
            new[key] = replace(new[key], rounds=tuple(pairs[1]))
    return replace(base, series=old), replace(head, series=new)


def _in_turn(old: Sequence[Round], new: Sequence[Round]) -> tuple[list[Round], list[Round]] | None:
    """Each side's rounds with pairs, where of every two rounds in time one is of each side; None where not.

    Rounds that merely alternate over days saw other conditions: the two of a pair are near to each other in time.
    """
    if len(old) != len(new) or len(old) < LEAST_PAIRS or any(one.pair is not None for one in (*old, *new)):
        return None
    ordered = sorted([*((one, 0) for one in old), *((one, 1) for one in new)], key=lambda each: each[0].when)
    if len({one.when for one, _ in ordered}) < len(ordered):
        return None
    sides: tuple[list[Round], list[Round]] = ([], [])
    for number in range(0, len(ordered), 2):
        (first, of_first), (second, of_second) = ordered[number : number + 2]
        if of_first == of_second or second.when - first.when > PAIR_SECONDS:
            return None
        if number and first.when - ordered[number - 1][0].when > PAUSE_SECONDS:
            return None
        sides[of_first].append(replace(first, pair=f"in turn:{number // 2}"))
        sides[of_second].append(replace(second, pair=f"in turn:{number // 2}"))
    return sides
