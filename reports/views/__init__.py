"""The views of a report: each a question, with figures, a table and data; one without data says what would fill it."""

from collections.abc import Sequence

from energybench.reports.frames import Stored
from energybench.reports.views.seen import Seen
from energybench.reports.views.view import Table, View, latest

__all__ = ["Seen", "Table", "View", "views"]


def views(stored: Sequence[Stored], seen: Seen | None = None) -> list[View]:
    """Every view of these records, in the order of a page: what changed, then over commits, then what it costs.

    Args:
        stored: the records, the oldest first, as `frames.read` gives them.
        seen: the same records with their repository and asv results, for what is seen over commits; without it those
            views are empty.
    """
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

    newest = latest(stored)
    return [
        *scorecard.views(seen),
        changes.view(seen),
        trend.view(seen),
        frontier.view(newest),
        tradeoff.view(newest),
        breakdown.view(newest),
        power.view(stored),
        roofline.view(newest),
        communication.view(newest),
        relaxing.view(newest),
        machines.view(stored, floor_of=seen.floor_of if seen else None),
    ]
