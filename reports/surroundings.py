"""What was different beside the code: the machine, its software and the protocol, from one record to another."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from energybench.reports.frames import Stored, commit_of
from energybench.reports.machines import facts

OF_THE_CODE = frozenset({"id", "name", "git"})
NONE = "not told"
PROTOCOL, QUIET = " (protocol)", "quiet while measuring"


class Difference(NamedTuple):
    """One fact that differs, and at how many points of those that were compared."""

    what: str
    before: str
    after: str
    points: int = 0
    compared: int = 0

    @property
    def of_run(self) -> bool:
        """Whether it is of how a number was measured, and not of the machine or its software."""
        return self.what.endswith(PROTOCOL) or self.what == QUIET


def differences(before: Mapping[str, str], after: Mapping[str, str]) -> list[Difference]:
    """The facts that two surroundings do not share, by name."""
    names = sorted({*before, *after})
    return [
        Difference(name, before.get(name, NONE), after.get(name, NONE))
        for name in names
        if before.get(name) != after.get(name)
    ]


def of_machine(record: Mapping[str, Any]) -> dict[str, str]:
    """What is known of the machine, its software and its probes; not commits, for they are what is compared."""
    machine = {name: value for name, value in record["machine"].items() if name not in OF_THE_CODE}
    found = dict(facts(machine)) | {"energybench": str(record["energybench"])}
    return found | {f"{name} (probe)": text for name, text in facts(_lasting(record.get("probes", {})))}


def of_run(record: Mapping[str, Any]) -> dict[str, str]:
    """The same, with how it was measured and whether the machine was quiet."""
    found = of_machine(record) | {f"{name}{PROTOCOL}": text for name, text in facts(record["protocol"])}
    # What disturbed it differs each time; that something did is what matters beside a number.
    return found | {QUIET: "yes" if _was_quiet(record) else "no"}


def _was_quiet(record: Mapping[str, Any]) -> bool:
    return bool(record.get("quiet", {}).get("quiet", True))


def _alike(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether two runs have the same surroundings: there may be very many, and it is slow to write all of them out."""
    before, after = old["machine"], new["machine"]
    return (
        all(before.get(name) == after.get(name) for name in {*before, *after} - OF_THE_CODE)
        and (old["energybench"], old["protocol"]) == (new["energybench"], new["protocol"])
        and _was_quiet(old) == _was_quiet(new)
        and _lasting(old.get("probes", {})) == _lasting(new.get("probes", {}))
    )


def _lasting(probes: Mapping[str, Any]) -> dict[str, Any]:
    """States of probes without what changes from one moment to the next: only words and settings stay."""
    found: dict[str, Any] = {}
    for name, state in probes.items():
        if isinstance(state, Mapping):
            found[name] = _lasting(state)
        elif isinstance(state, str | bool | int):
            found[name] = state
    return found


class Stage(NamedTuple):
    """A stretch of records of one machine with the same surroundings: its first and last, and what began with it."""

    first: Stored
    last: Stored
    records: int
    begun: tuple[Difference, ...]


def stages(stored: Sequence[Stored]) -> list[Stage]:
    """The stretches of one machine's records, the oldest first; the first began with nothing that is known."""
    found: list[Stage] = []
    before: dict[str, str] = {}
    # Parts that several records share may be one object.
    known: dict[tuple[int, int, str], dict[str, str]] = {}
    for one in stored:
        place = (id(one.record["machine"]), id(one.record.get("probes")), str(one.record["energybench"]))
        now = known[place] = known.get(place) or of_machine(one.record)
        begun = tuple(differences(before, now)) if found else ()
        if found and not begun:
            found[-1] = found[-1]._replace(last=one, records=found[-1].records + 1)
        else:
            found.append(Stage(first=one, last=one, records=1, begun=begun))
        before = now
    return found


def of_machines(stored: Sequence[Stored]) -> dict[str, list[Stored]]:
    """The records of each machine, in the order that they have."""
    found: dict[str, list[Stored]] = {}
    for one in stored:
        found.setdefault(one.machine, []).append(one)
    return found


Newest = dict[tuple[str, str], Mapping[str, Any]]
"""Of each point, a workload with its parameters, the newest record."""


def newest_by_commit(stored: Sequence[Stored], rank: Mapping[str, int]) -> dict[str, dict[str, Newest]]:
    """Of each machine the newest records of each commit, in the order of commits."""
    found: dict[str, dict[str, Newest]] = {}
    # Records of one point may share their parameters.
    texts: dict[int, str] = {}
    for machine, own in of_machines(stored).items():
        told: dict[str, Newest] = {}
        for one in own:
            if (commit := commit_of(one.record)) and commit in rank:
                parameters = one.record["parameters"]
                text = texts.get(id(parameters)) or json.dumps(parameters, sort_keys=True)
                texts[id(parameters)] = text
                told.setdefault(commit, {})[str(one.record["workload"]["name"]), text] = one.record
        found[machine] = dict(sorted(told.items(), key=lambda one: rank[one[0]]))
    return found


def compared(old: Newest, new: Newest) -> list[Difference]:
    """What else was different for the points that both have; without one, what the machine alone tells."""
    both = [point for point in new if point in old]
    if not both:
        before, after = next(iter(old.values())), next(iter(new.values()))
        return differences(of_machine(before), of_machine(after))
    pairs = [(old[point], new[point]) for point in both]
    found = Counter(each for a, b in pairs if not _alike(a, b) for each in differences(of_run(a), of_run(b)))
    return sorted(one._replace(points=count, compared=len(pairs)) for one, count in found.items())
