"""Evidence of one workload, machine or metric alone: what a figure for a paper is asked for."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from energybench.config import suggest
from energybench.gating.commits import Commit
from energybench.gating.series import Key
from energybench.gating.twins import recorded_as
from energybench.gating.verdicts import Judgement
from energybench.history import History
from energybench.model import UnknownNameError
from energybench.reports.evidence import Evidence
from energybench.reports.frames import Stored
from energybench.reports.views.curves import Curve
from energybench.reports.views.seen import Seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What is chosen of the evidence; None is everything.

    Attributes:
        workload: its name.
        machine: the id or name of a machine; with `-simulated` behind the id its records of simulated counters alone.
        metric: of series over commits, as `estimated_joules_per_sample`.
    """

    workload: str | None = None
    machine: str | None = None
    metric: str | None = None

    def __str__(self) -> str:
        told = (("workload", self.workload), ("machine", self.machine), ("metric", self.metric))
        return " and ".join(f"the {what} {name}" for what, name in told if name is not None)

    def takes(self, key: Key) -> bool:
        """Whether a series is of the workload and the metric."""
        workloads = (None, key.workload, recorded_as(key).workload)
        return self.workload in workloads and self.metric in (None, key.metric)


class Chosen(Seen):
    """The part of the evidence that a choice names; what is judged and found is what the whole says of it.

    Args:
        evidence: all of it.
        choice: of it.

    Raises:
        UnknownNameError: nothing has the name of a workload, machine or metric.
    """

    def __init__(self, evidence: Evidence, choice: Choice) -> None:
        self.evidence, self.choice, self._all = evidence, choice, _of_machine(evidence, choice.machine)
        super().__init__(self._all.library)
        if choice.workload is not None and choice.workload not in {workload_of(one) for one in evidence.stored}:
            self._look_up("workload", choice.workload, self._series_workloads)
        if choice.metric is not None:
            self._look_up("metric", choice.metric, {one.track.key.metric for one in self.every_curve})

    @cached_property
    def stored(self) -> Sequence[Stored]:
        """The records, the oldest first."""
        kept = [one for one in self.evidence.stored if self.choice.workload in (None, workload_of(one))]
        return [one for one in kept if self.choice.machine is None or self.choice.machine in names_of(one)]

    @cached_property
    def found(self) -> History:
        """Which commits changed which of the series."""
        found = self._all.found
        return replace(found, changes=tuple(one for one in found.changes if self.choice.takes(one.key)))

    @property
    def every_curve(self) -> Sequence[Curve]:
        """All series of the machine over commits: what one of them is called does not depend on what was chosen."""
        return self._all.curves

    @cached_property
    def curves(self) -> Sequence[Curve]:
        """The series over commits, those that changed first."""
        return [one for one in self.every_curve if self.choice.takes(one.track.key)]

    @cached_property
    def commits(self) -> Sequence[Commit]:
        """All commits with results, the oldest first."""
        return self._all.commits

    @cached_property
    def judged(self) -> Mapping[str, Judgement]:
        """The verdicts on the series, by machine."""
        return {
            machine: replace(one, verdicts=tuple(each for each in one.verdicts if self.choice.takes(each.key)))
            for machine, one in self._all.judged.items()
        }

    @property
    def _series_workloads(self) -> set[str]:
        keys = [one.track.key for one in self.every_curve]
        return {name for key in keys for name in (key.workload, recorded_as(key).workload)}

    def _look_up(self, what: str, name: str, known: Iterable[str]) -> None:
        every = sorted({*known, *(workload_of(one) for one in self.evidence.stored if what == "workload")})
        if name not in every:
            raise UnknownNameError(f"no record is of the {what} {name!r}; {_near(name, every)}")


def workload_of(one: Stored) -> str:
    """The name of its workload."""
    return str(one.record["workload"]["name"])


def names_of(one: Stored) -> tuple[str, str, str]:
    """What its machine may be called: its key in the report, its id, its name."""
    told = one.record["machine"]
    return one.machine, str(told["id"]), str(told["name"])


def _of_machine(evidence: Evidence, machine: str | None) -> Evidence:
    """The same with the results over commits of one machine; asv may know a machine that no record is of."""
    if machine is None:
        return evidence
    own = next((one for one in evidence.stored if machine in names_of(one)), None)
    if own is None and evidence.library.tree is None:
        known = sorted({name for one in evidence.stored for name in names_of(one)})
        raise UnknownNameError(f"no record is of the machine {machine!r}; {_near(machine, known)}")
    name = machine if own is None else names_of(own)[1]
    return Evidence(evidence.where, (evidence.stored, []), machine=name)


def _near(name: str, known: Sequence[str]) -> str:
    return suggest(name, tuple(known)) if known else "there are no records; make some with `energybench run qnn-infer`"
