"""Values so far above the others of an axis that nobody should believe them: they are drawn, and named in a note."""

from collections.abc import Sequence
from statistics import median_low

from energybench.reports.numbers import quantity

TIMES = 1e6
"""The median, from which on a value is named."""
MOST_NAMED = 3


def implausible(named: Sequence[tuple[str, float]], unit: str, what: str) -> tuple[str, ...]:
    """A note on the values that are more than a million times the median; none where there are none.

    Args:
        named: what people call each point, and its value.
        unit: of the values.
        what: stands on the axis, as `measured joules`.
    """
    above = [value for _, value in named if value > 0]
    if not above:
        return ()
    middle = median_low(above)
    far = sorted(((value, name) for name, value in named if value > TIMES * middle), reverse=True)
    if not far:
        return ()
    told = ", ".join(f"{name} ({quantity(value, unit)})" for value, name in far[:MOST_NAMED])
    more = f" and {len(far) - MOST_NAMED:,} more" if len(far) > MOST_NAMED else ""
    are = "is" if len(far) == 1 else "are"
    return (f"Implausible {what}: {told}{more} {are} over a million times the median, {quantity(middle, unit)}.",)
