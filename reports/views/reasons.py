"""Reasons that many verdicts share: a clause in each row, and the whole once."""

from collections import Counter
from collections.abc import Sequence

from energybench.gating.verdicts import Verdict

LONG = 60
"""Letters of a reason that a row has room for."""


def clause(reason: str) -> str:
    """The first clause of a reason."""
    first = reason.partition("; ")[0]
    return first if len(first) <= LONG else first.partition(" and ")[0]


def shortened(verdicts: Sequence[Verdict]) -> dict[str, str]:
    """What stands for each long reason that several verdicts give."""
    return {reason: clause(reason) for reason in _shared(verdicts)}


def notes(verdicts: Sequence[Verdict]) -> tuple[str, ...]:
    """Each of these reasons in full, and of how many series it is, the commonest first."""
    return tuple(f"{count:,} series: {reason}." for reason, count in _shared(verdicts).items())


def _shared(verdicts: Sequence[Verdict]) -> dict[str, int]:
    counted = Counter(one.reason for one in verdicts).most_common()
    return {reason: count for reason, count in counted if count > 1 and len(reason) > LONG}
