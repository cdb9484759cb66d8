"""Of which commits the points of a figure or a table are, and which were measured on a machine that was not quiet."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from energybench.reports.bits import settings
from energybench.reports.frames import NO_NAME, machine, title
from energybench.reports.long_frames import commit_of

COLUMNS = ("commit", "created")
"""Of the data of a view whose points may be of several commits."""
NOT_QUIET = "not quiet"
UNKNOWN = "no known commit"
MOST_NAMED, MOST_NOTES = 8, 12


class Origin(NamedTuple):
    """What records of one build of one machine's state have in common."""

    commit: str
    quiet: bool

    @property
    def note(self) -> str:
        """`de525537`, and that the machine was not quiet."""
        return self.commit if self.quiet else f"{self.commit} ({NOT_QUIET})"


def columns(record: Mapping[str, Any]) -> dict[str, object]:
    """Cells of `COLUMNS`; the commit is absent where nobody knows it."""
    commit = commit_of(record)
    return {"created": record["created"]} | ({"commit": commit} if commit else {})


def is_quiet(record: Mapping[str, Any]) -> bool:
    """Whether nothing else used the machine while it was measured."""
    return bool(record.get("quiet", {}).get("quiet", True))


def short_commit(record: Mapping[str, Any]) -> str:
    """Eight digits of the hash; empty where files differed from the commit, or nobody knows it."""
    return (commit_of(record) or "")[:8]


def origin(record: Mapping[str, Any]) -> tuple[str, str]:
    """The commit in short, and that the machine was not quiet; each empty where there is nothing to say."""
    return short_commit(record), "" if is_quiet(record) else NOT_QUIET


def origins(records: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """A note for each workload on each machine, and one on those that are of the same one commit and state.

    There is none where all records are of one commit and of quiet machines. Where it is so:

    `qnn-infer is of 2 commits: f03d261e bits 2, 3, 4, 16; de525537 bits 1, 8, 32 (not quiet).`
    """
    drawn = list({(machine(one), str(one["id"])): one for one in records}.values())
    found = {_origin(one) for one in drawn}
    if len(found) < 2 and all(one.quiet for one in found):
        return ()
    several = len({machine(one) for one in drawn}) > 1
    sets: dict[str, list[Mapping[str, Any]]] = {}
    for one in drawn:
        name = str(one["workload"]["name"]) or NO_NAME
        sets.setdefault(f"{name} on {title(one)}" if several else name, []).append(one)
    alike: dict[Origin, list[str]] = {}
    notes = []
    for name, own in sets.items():
        of = {_origin(one) for one in own}
        if len(of) == 1:
            alike.setdefault(of.pop(), []).append(name)
        else:
            notes.append(_note(name, own))
    left = len(notes) - MOST_NOTES
    more = (f"The commits of {left:,} more workloads are in the data.",) if left > 0 else ()
    return (*notes[:MOST_NOTES], *more, *(_whole(told, of) for of, told in alike.items()))


def _origin(record: Mapping[str, Any]) -> Origin:
    return Origin(short_commit(record) or UNKNOWN, is_quiet(record))


def _whole(names: Sequence[str], of: Origin) -> str:
    """On workloads whose every point is of one commit."""
    told = ", ".join(names[:MOST_NAMED])
    more = f" and {len(names) - MOST_NAMED:,} more" if len(names) > MOST_NAMED else ""
    return f"{told}{more} {'is' if len(names) == 1 else 'are'} of {of.note}."


def _note(name: str, own: Sequence[Mapping[str, Any]]) -> str:
    """Of one workload on one machine, the commit that was measured first at the beginning."""
    points: dict[Origin, list[str]] = {}
    first: dict[str, str] = {}
    for record, setting in zip(own, settings([one["parameters"] for one in own], without=()), strict=True):
        of, created = _origin(record), str(record["created"])
        points.setdefault(of, []).append(setting)
        first[of.commit] = min(created, first.get(of.commit, created))
    commits = dict.fromkeys(one.commit for one in points)
    told = "; ".join(
        f"{one.commit} {_listed(settings_of)}{'' if one.quiet else f' ({NOT_QUIET})'}"
        for one, settings_of in sorted(points.items(), key=lambda each: first[each[0].commit])
    )
    count = f"of {len(commits)} commits" if len(commits) > 1 else "of one commit"
    return f"{name} is {count}: {told}."


def _listed(points: Sequence[str]) -> str:
    """`bits 2, 3, 4, 16`: the name of a setting stands once where it is the same."""
    every = list(dict.fromkeys(one.replace(", ", " ") for one in points if one))
    told = every[:MOST_NAMED]
    heads = {one.rpartition(" ")[0] for one in told}
    if len(told) > 1 and len(heads) == 1 and (head := heads.pop()):
        told = [told[0], *(one.removeprefix(f"{head} ") for one in told[1:])]
    more = f" and {len(every) - MOST_NAMED:,} more" if len(every) > MOST_NAMED else ""
    return f"{', '.join(told)}{more}" if told else f"{len(points):,} point{'s' * (len(points) > 1)}"
