"""The views of a report: each a question, with figures, a table and data; one without data says what would fill it."""

from collections.abc import Sequence

from energybench.gating.library import Library
from energybench.reports.frames import Stored
from energybench.reports.views.view import Table, View

__all__ = ["Table", "View", "views"]


def views(stored: Sequence[Stored], library: Library | None = None) -> list[View]:
    """Every view of these records, in the order of a page: what changed, then over commits, then what it costs.

    Args:
        stored: the records, the oldest first, as `frames.read` gives them.
        library: the same records with their repository and asv results, for what is seen over commits; without it those
            views are empty.
    """
    from energybench.gating.floors import floors
    from energybench.gating.observed import observe
    from energybench.reports.views import breakdown, machines, power, roofline, scorecard, tradeoff, trend

    observed = observe(library) if library else None
    floor_of = floors(library, observed) if library else None
    return [
        *scorecard.views(library, observed=observed),
        trend.view(library, observed=observed),
        tradeoff.view(stored),
        breakdown.view(stored),
        power.view(stored),
        roofline.view(stored),
        machines.view(stored, floor_of=floor_of),
    ]
