"""The suite of one workload: which points, and that the commit's workload is the one that is declared here."""

import abc
from collections.abc import Sequence
from typing import Any, ClassVar

from energybench.asv import EnergySuite, SkipNotImplemented, describe, full
from energybench.marking import Work

__all__ = ["WorkloadSuite", "describe", "points"]


class WorkloadSuite(EnergySuite):
    """A workload of the repository at several parameter points.

    A subclass names its `workload` and declares its `definition`, which is the workload's version: a commit with
    another one is skipped, since its numbers mean something else. `fixed` parameters are the same at each point.
    """

    fixed: ClassVar[dict[str, Any]] = {}

    @property
    @abc.abstractmethod
    def workload(self) -> str:
        """The workload's name; abstract, so that asv leaves this class alone."""

    @property
    def name(self) -> str:
        """The workload's."""
        return self.workload

    def step(self, *params: Any) -> None:
        """The workload's own task has its steps."""
        raise NotImplementedError

    def work(self, params: Sequence[Any]) -> Work:
        """The commit's workload, prepared."""
        from energybench import workloads

        found = workloads.load(self.workload)
        if found.version != self.definition:
            raise SkipNotImplemented(
                f"{self.workload} is version {found.version} in this commit, and {self.definition} in this suite"
            )
        values = workloads.resolve(found.parameters, {**self.fixed, **dict(zip(self.param_names, params, strict=True))})
        return found.prepare(values, seed=self.seed, quick=not full())


def points(quick: list[Any], every: list[Any]) -> list[Any]:
    """Few values by default, all where full sizes are asked for."""
    return every if full() else quick
