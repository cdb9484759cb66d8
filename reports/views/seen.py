"""What a library shows over commits; each part is computed when it is asked for first, and once for all views."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

from energybench.gating.commits import Commit
from energybench.gating.floors import floors
from energybench.gating.library import Library
from energybench.gating.line import Laid, lay
from energybench.gating.observed import Observed, observe
from energybench.gating.remembered import Memory, cache_file
from energybench.gating.series import Floor, Series
from energybench.gating.verdicts import Judgement
from energybench.history import History, history
from energybench.reports.views.changed import newest_against_before
from energybench.reports.views.curves import Curve, curves, measured


class Seen:
    """Records and asv results over commits.

    Args:
        library: what there is.
        remember: keep what was read of asv's result files for the next time.
    """

    def __init__(self, library: Library, *, remember: bool = False) -> None:
        self.library, self._remember = library, remember

    @cached_property
    def observed(self) -> Observed:
        """Every value of each series."""
        tree = self.library.tree
        if tree is None or not self._remember:
            return observe(self.library)
        memory = Memory(cache_file(tree.path), tree.index)
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
    def judged(self) -> Mapping[str, Judgement]:
        """The newest commit of each machine against the one before it."""
        return newest_against_before(self.library, observed=self.observed, line=self.laid.line, floor_of=self.floor_of)
