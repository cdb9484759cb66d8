"""How often counters really move: measured, because no vendor's figure holds on every board."""

import statistics
from collections.abc import Callable, Sequence
from itertools import pairwise

from energybench.model import Clock, Reading

FEWEST_CHANGES = 3
SLOW_LIMITS = 10


def measure_ticks(
    read: Callable[[], Sequence[Reading]], clock: Clock, *, limit_seconds: float = 0.05, changes: int = 20
) -> list[float | None]:
    """Spin on all counters at once and return the median gap between changes, in seconds, for each.

    It ends when each has changed `changes` times, or after `limit_seconds`; ten times as late where a counter has
    begun to move and is slow. None stands where fewer than three changes were seen. A tick is never less than the
    time of a read.
    """
    begin = clock()
    last = [raw for _, raw in read()]
    edges: list[list[int]] = [[] for _ in last]
    while (spent := (clock() - begin) / 1e9 / limit_seconds) < SLOW_LIMITS and any(len(e) <= changes for e in edges):
        if spent >= 1 and not any(0 < len(seen) < FEWEST_CHANGES for seen in edges):
            break
        for index, (ns, raw) in enumerate(read()):
            if isinstance(raw, int) and raw != last[index]:
                edges[index].append(ns)
                last[index] = raw
    return [_median_gap_seconds(seen) for seen in edges]


def _median_gap_seconds(edges_ns: Sequence[int]) -> float | None:
    if len(edges_ns) < FEWEST_CHANGES:
        return None
    return statistics.median(b - a for a, b in pairwise(edges_ns)) / 1e9
