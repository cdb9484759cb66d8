"""What was different beside the code: the machine, its software and the protocol, from one record to another."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from energybench.reports import frames
from energybench.reports.frames import Stored, commit_of
from energybench.reports.machines import facts

OF_THE_CODE = frozenset({"id", "name", "git"})
NONE = "not told"


class Difference(NamedTuple):
    """One fact that differs."""

    what: str
    before: str
    after: str


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Difference]:
    """The facts that two records do not share, by name; commits are none, for they are what is compared."""
    old, new = surroundings(before), surroundings(after)
    names = sorted({*old, *new})
    return [
        Difference(name, old.get(name, NONE), new.get(name, NONE)) for name in names if old.get(name) != new.get(name)
    ]


def surroundings(record: Mapping[str, Any]) -> dict[str, str]:
    """What is known beside the code: of the machine, the states of probes, the protocol, the version of energybench."""
    machine = {name: value for name, value in record["machine"].items() if name not in OF_THE_CODE}
    found = dict(facts(machine))
    found |= {f"{name} (probe)": text for name, text in facts(_lasting(record.get("probes", {})))}
    found |= {f"{name} (protocol)": text for name, text in facts(record["protocol"])}
    quiet = record.get("quiet", {})
    if not quiet.get("quiet", True):
        found["not quiet"] = "; ".join(quiet.get("reasons", ())) or "no reason recorded"
    return found | {"energybench": str(record["energybench"])}


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
    for one in stored:
        begun = tuple(differences(found[-1].last.record, one.record)) if found else ()
        if found and not begun:
            found[-1] = found[-1]._replace(last=one, records=found[-1].records + 1)
        else:
            found.append(Stage(first=one, last=one, records=1, begun=begun))
    return found


def of_machines(stored: Sequence[Stored]) -> dict[str, list[Stored]]:
    """The records of each machine, in the order that they have."""
    found: dict[str, list[Stored]] = {}
    for one in stored:
        found.setdefault(frames.machine(one.record), []).append(one)
    return found


def newest_by_commit(stored: Sequence[Stored], rank: Mapping[str, int]) -> dict[str, dict[str, Stored]]:
    """Of each machine the newest record of each commit, in the order of commits."""
    found: dict[str, dict[str, Stored]] = {}
    for machine, own in of_machines(stored).items():
        told = {commit: one for one in own if (commit := commit_of(one.record)) in rank and commit}
        found[machine] = dict(sorted(told.items(), key=lambda one: rank[one[0]]))
    return found
