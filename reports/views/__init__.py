"""The views of a report: each a question, with figures, a table and data; one without data says what would fill it."""

from collections.abc import Mapping, Sequence

from energybench.gating.library import Library
from energybench.gating.observed import Observed
from energybench.gating.verdicts import Judgement
from energybench.history import History
from energybench.reports.frames import Stored
from energybench.reports.views.curves import Curve
from energybench.reports.views.view import Table, View

__all__ = ["Table", "View", "views"]


def views(
    stored: Sequence[Stored],
    library: Library | None = None,
    *,
    observed: Observed | None = None,
    found: History | None = None,
    lines: Sequence[Curve] | None = None,
    judged: Mapping[str, Judgement] | None = None,
) -> list[View]:
    """Every view of these records, in the order of a page: what changed, then over commits, then what it costs.

    Args:
        stored: the records, the oldest first, as `frames.read` gives them.
        library: the same records with their repository and asv results, for what is seen over commits; without it those
            views are empty.
        observed: all of its values, where they were read already.
        found: its changes, where they were looked for already.
        lines: its curves, where they were laid already.
        judged: the newest commit of each machine against the one before it, where that has been done.
    """
    from energybench.gating.floors import floors
    from energybench.gating.line import lay
    from energybench.gating.observed import observe
    from energybench.history import history
    from energybench.reports.views import (
        breakdown,
        changes,
        communication,
        frontier,
        machines,
        power,
        relaxing,
        roofline,
        scorecard,
        tradeoff,
        trend,
    )
    from energybench.reports.views.curves import curves

    observed = observed or (observe(library) if library else None)
    floor_of = floors(library, observed) if library else None
    if library and observed and (found is None or lines is None):
        laid = lay(library.repository, observed)
        found = history(library, observed=observed, laid=laid)
        lines = curves(laid, found)
    return [
        *scorecard.views(library, observed=observed, judged=judged),
        changes.view(found, [one.track.key for one in lines or ()]),
        trend.view(library, observed=observed, found=found, lines=lines),
        frontier.view(stored),
        tradeoff.view(stored),
        breakdown.view(stored),
        power.view(stored),
        roofline.view(stored),
        communication.view(stored),
        relaxing.view(stored),
        machines.view(stored, floor_of=floor_of),
    ]
