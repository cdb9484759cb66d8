"""How often counters really move: measured, because no vendor's figure holds on every board."""

import statistics
from collections.abc import Callable, Sequence
from itertools import pairwise

from energybench.model import Clock, Reading

FEWEST_CHANGES = 3


def measure_ticks(
    read: Callable[[], Sequence[Reading]], clock: Clock, *, limit_seconds: float = 0.05, changes: int = 20
) -> list[float | None]:
    """Spin on all counters at once and return the median gap between changes, in seconds, for each.

    It ends when each has changed `changes` times, or after `limit_seconds`. None stands where fewer than three
    changes were seen: a frozen counter, or one slower than the limit. A tick is never less than the time of a read.
    """
    deadline = clock() + int(limit_seconds * 1e9)
    last = [raw for _, raw in read()]
    edges: list[list[int]] = [[] for _ in last]
    while clock() < deadline and any(len(seen) <= changes for seen in edges):
        for index, (ns, raw) in enumerate(read()):
            if isinstance(raw, int) and raw != last[index]:
                edges[index].append(ns)
                last[index] = raw
    return [_median_gap_seconds(seen) for seen in edges]


def _median_gap_seconds(edges_ns: Sequence[int]) -> float | None:
    if len(edges_ns) < FEWEST_CHANGES:
        return None
    return statistics.median(b - a for a, b in pairwise(edges_ns)) / 1e9
