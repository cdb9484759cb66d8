"""What a library shows over commits; each part is computed when it is asked for first, and once for all views."""

from collections.abc import Callable, Mapping, Sequence, Set
from functools import cached_property

from energybench.gating.commits import Commit
from energybench.gating.floors import floors
from energybench.gating.library import Library
from energybench.gating.line import Laid, lay
from energybench.gating.observed import Observed, observe
from energybench.gating.remembered import Memory, cache_file
from energybench.gating.series import Floor, Key, Series
from energybench.gating.twins import recorded_as
from energybench.gating.verdicts import Judgement
from energybench.history import History, history
from energybench.reports.pages import workload_page
from energybench.reports.views.changed import newest_against_before
from energybench.reports.views.curves import Curve, curves, measured
from energybench.reports.views.pair import Pair, asked


class Seen:
    """Records and asv results over commits.

    Args:
        library: what there is.
        remember: keep what was read of asv's result files for the next time.
        base: what scorecards compare with, a commit, a branch or a tag; None for the commit before head.
        head: what they compare; None for the newest commit of each machine.
    """

    def __init__(
        self, library: Library, *, remember: bool = False, base: str | None = None, head: str | None = None
    ) -> None:
        self.library, self._remember = library, remember
        self._base, self._head = base, head

    @cached_property
    def observed(self) -> Observed:
        """Every value of each series."""
        tree = self.library.tree
        if tree is None or not self._remember:
            return observe(self.library)
        memory = Memory(cache_file(tree.path), tree.path, tree.index)
        found = observe(self.library, memory=memory)
        memory.keep()
        return found

    @cached_property
    def floor_of(self) -> Callable[[Series], Floor | None]:
        """The noise that is known of a series."""
        return floors(self.library, self.observed)

    @cached_property
    def laid(self) -> Laid:
        """All series along their commits."""
        return lay(self.library.repository, self.observed)

    @cached_property
    def found(self) -> History:
        """Which commits changed what."""
        return history(self.library, observed=self.observed, laid=self.laid, floor_of=self.floor_of)

    @cached_property
    def curves(self) -> Sequence[Curve]:
        """All series over commits, those that changed first."""
        return curves(self.laid, self.found)

    @cached_property
    def commits(self) -> Sequence[Commit]:
        """The commits with results, the oldest first; places of the curves count along them."""
        return measured(self.laid)

    @cached_property
    def pair(self) -> Pair:
        """The commits that scorecards were asked to compare.

        Raises:
            PairError: git knows no such commit, or it has no results.
        """
        return asked(self.library, self._base, self._head)

    @cached_property
    def judged(self) -> Mapping[str, Judgement]:
        """Of each machine the newest commit against the one before it, or those that were asked for.

        Raises:
            PairError: no machine has results of both.
        """
        return newest_against_before(
            self.library, observed=self.observed, line=self.laid.line, floor_of=self.floor_of, pair=self.pair
        )

    def check(self) -> None:
        """Find out before anything is written whether the commits that were asked for can be compared.

        Raises:
            PairError: they cannot.
        """
        assert not self.pair.commits or self.judged

    def page(self, key: Key) -> str | None:
        """The page of the workload that a series is of; None where it has none."""
        told = recorded_as(key).workload
        name = told if told in self._workloads else key.workload
        return workload_page(name) if name in self._workloads else None

    @cached_property
    def _workloads(self) -> Set[str]:
        return {one.track.key.workload for one in self.curves}
