"""From what a user names, a path or a commit, to one side of a comparison; and what two sides have together."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from energybench.gating.library import Library, SideError
from energybench.gating.reading import of_commit, of_folder, of_path
from energybench.gating.series import Gap, Key, Round, Series, Side

__all__ = ["Library", "SideError", "interleaved", "resolve", "resolve_both", "together"]


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
    """Both sides without what they have twice, and with rounds that alternate in time paired.

    A run under asv leaves a record and a result in asv's own files. Where both sides have both, the record is taken,
    which tells more; where one of them has only asv's, that is.
    """
    ours, theirs = _twins(base), _twins(head)
    dropped: set[Key] = set()
    for asvs, recorded in {**ours, **theirs}.items():
        both = all(recorded in side.series or _has_gap(side, recorded) for side in (base, head))
        if both:
            dropped.add(asvs)
        elif asvs in base.series and asvs in head.series:
            dropped.add(recorded)
    return interleaved(_without(base, dropped), _without(head, dropped))


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
    """Each side's rounds with pairs, where of every two rounds in time one is of each side; None where not."""
    if len(old) != len(new) or len(old) < 2 or any(one.pair is not None for one in (*old, *new)):
        return None
    ordered = sorted([*((one, 0) for one in old), *((one, 1) for one in new)], key=lambda each: each[0].when)
    if len({one.when for one, _ in ordered}) < len(ordered):
        return None
    sides: tuple[list[Round], list[Round]] = ([], [])
    for number in range(0, len(ordered), 2):
        (first, of_first), (second, of_second) = ordered[number : number + 2]
        if of_first == of_second:
            return None
        sides[of_first].append(replace(first, pair=f"in turn:{number // 2}"))
        sides[of_second].append(replace(second, pair=f"in turn:{number // 2}"))
    return sides


def _twins(side: Side) -> dict[Key, Key]:
    """Of each asv series of a suite the key that a record of the same point has."""
    return {key: other for key in side.series if (other := _recorded(key, side.series[key])) is not None}


def _recorded(key: Key, series: Series) -> Key | None:
    return recorded_as(key) if "environment" in series.grounds and "." in key.workload else None


def recorded_as(key: Key) -> Key:
    """`quantized.QnnInfer` in asv is `qnn-infer` in records, as `EnergySuite.name` makes it."""
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", key.workload.rpartition(".")[2]).lower()
    return replace(key, workload=name)


def _has_gap(side: Side, key: Key) -> bool:
    return any(gap.key == key for gap in side.gaps)


def _without(side: Side, keys: set[Key]) -> Side:
    gaps: tuple[Gap, ...] = tuple(gap for gap in side.gaps if gap.key not in keys)
    return replace(side, series={key: one for key, one in side.series.items() if key not in keys}, gaps=gaps)
