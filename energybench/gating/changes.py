"""Where a row of values changes its level: change points by ruptures' kernel method, on values scaled by their noise.

KernelCPD with the linear kernel and a penalty is PELT on squared differences (Killick et al., JASA 107, 2012; Arlot et
al., JMLR 20, 2019): a change is kept when it lowers the squared, noise-scaled deviations by more than the penalty.
"""

import math
import statistics
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

FALSE_CHANGES = 0.05
"""How many changes are seen in vain in all series together, about, if the noise is normal and its size right."""
ENOUGH_DIFFERENCES = 8
NORMAL_MAD = 1.4826
TINY = 1e-9
SETTLED = 5
"""So many values of one level after a first one that differs make that an outlier."""
MOST_OUTLIERS = 0.1
"""The share of values that may be left out as outliers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """A row of values as pieces of equal level.

    Attributes:
        starts: where each piece but the first begins.
        levels: of each piece, on the scale of the values.
        outliers: values that belong to no piece.
        errors: the standard error of each level, from how values lie about theirs and from their own; None where
            neither is known.
        degrees: of freedom that the scatter about all levels is known with; `math.inf` where it is not used.
    """

    starts: tuple[int, ...]
    levels: tuple[float, ...]
    outliers: tuple[int, ...] = ()
    errors: tuple[float | None, ...] = ()
    degrees: float = math.inf

    def piece_of(self, place: int) -> int:
        """The number of the piece that a value which is no outlier belongs to."""
        return bisect_right(self.starts, place)


def penalty(values: int, series: int) -> float:
    """What a change must lower the squared deviations by: twice the log of all places it could be at, over chance."""
    return 2 * math.log(max(values, 2) * max(series, 1) / FALSE_CHANGES)


def noise_of(values: Sequence[float], own: float) -> float:
    """The noise of one value: what is known of it, and at least what most successive differences show."""
    differences = [abs(new - old) for old, new in pairwise(values)]
    if len(differences) < ENOUGH_DIFFERENCES:
        return own
    return max(own, NORMAL_MAD * statistics.median(differences) / math.sqrt(2))


def exact_levels(values: Sequence[float]) -> Levels:
    """The pieces of values that have no noise: any difference is a change."""
    starts = [number for number, (old, new) in enumerate(pairwise(values), 1) if _differ(old, new)]
    return Levels(starts=tuple(starts), levels=tuple(values[number] for number in (0, *starts)))


def levels_of(
    values: Sequence[float], noise: float, penalty: float, *, own: Callable[[], Sequence[float | None]] = tuple
) -> Levels:
    """The pieces of noisy values; a single value that stands out between two equal levels, or before one, is none.

    Args:
        values: in the order of commits.
        noise: standard deviation of one of them.
        penalty: what a change must lower the squared deviations by, in units of the noise.
        own: gives the standard error of each value, None where it is not known. Asked where there are changes.
    """
    kept = list(range(len(values)))
    outliers: list[int] = []
    while True:
        starts = _starts([values[number] for number in kept], noise, penalty)
        spike = _spike([values[number] for number in kept], starts)
        if spike is None or len(outliers) >= max(1, MOST_OUTLIERS * len(values)):
            break
        outliers.append(kept.pop(spike))
    bounds = [0, *starts, len(kept)]
    pieces = [kept[low:high] for low, high in pairwise(bounds)]
    levels = [statistics.fmean([values[number] for number in piece]) for piece in pieces]
    errors, degrees = _errors(values, pieces, levels, own()) if starts else ((), math.inf)
    return Levels(
        starts=tuple(kept[one] for one in starts),
        levels=tuple(levels),
        outliers=tuple(sorted(outliers)),
        errors=errors,
        degrees=degrees,
    )


def _errors(
    values: Sequence[float], pieces: Sequence[Sequence[int]], levels: Sequence[float], own: Sequence[float | None]
) -> tuple[tuple[float | None, ...], float]:
    """Standard errors of levels: of the scatter that all pieces share, and at least what values say themselves."""
    about = [(values[number] - level) ** 2 for piece, level in zip(pieces, levels, strict=True) for number in piece]
    degrees = len(about) - len(levels)
    scatter = math.sqrt(math.fsum(about) / degrees) if degrees else 0.0
    errors: list[float | None] = []
    shared = False
    for piece in pieces:
        told = [own[number] for number in piece] if own else [None]
        known = [error for error in told if error is not None]
        stated = math.hypot(*known) / len(piece) if len(known) == len(piece) else 0.0
        drawn = scatter / math.sqrt(len(piece))
        shared = shared or drawn > stated
        errors.append(max(drawn, stated) or None)
    return tuple(errors), float(degrees) if shared else math.inf


def _starts(values: Sequence[float], noise: float, penalty: float) -> list[int]:
    if len(values) < 2 or max(values) == min(values):
        return []
    import numpy as np
    import ruptures  # type: ignore[import-untyped]  # it has no types

    middle = statistics.median(values)
    signal = (np.asarray(values, dtype=float) - middle) / max(noise, TINY * (max(values) - min(values)))
    found = ruptures.KernelCPD(kernel="linear", min_size=1).fit(signal.reshape(-1, 1)).predict(pen=penalty)
    return [int(one) for one in found[:-1]]


def _spike(values: Sequence[float], starts: Sequence[int]) -> int | None:
    """The first piece of one value, not the last, between levels that are nearer to each other than to it.

    The very first value is one where a level of several values follows: nothing says that it was ever like that.
    """
    bounds = [0, *starts, len(values)]
    pieces = list(pairwise(bounds))
    if len(pieces) > 1 and pieces[0][1] == 1 and pieces[1][1] - pieces[1][0] >= SETTLED:
        return 0
    for number, (low, high) in enumerate(pieces[1:-1], 1):
        if high - low > 1:
            continue
        before, after = (statistics.fmean(values[slice(*pieces[place])]) for place in (number - 1, number + 1))
        step = min(abs(values[low] - before), abs(values[low] - after))
        if abs(after - before) < step / 2:
            return low
    return None


def _differ(old: float, new: float) -> bool:
    return abs(new - old) > TINY * max(abs(old), abs(new))


class Told(NamedTuple):
    """From which value to which one the level changed by more than the margin, and by how many steps within it."""

    after: int
    start: int
    old: float
    new: float
    creeping: int = 0


def told(pieces: Levels, levels: Sequence[float], limit: float, *, is_absolute: bool) -> list[Told]:
    """Steps beyond the margin; and where several within it add up, the one that takes their sum beyond."""
    found: list[Told] = []
    reference, end, small = levels[0], 0, 0
    for start, (old, new) in zip(pieces.starts, pairwise(levels), strict=True):
        before = next(place for place in range(start - 1, -1, -1) if place not in pieces.outliers)
        end, small = (before, 1) if not small else (end, small + 1)
        if _size(old, new, is_absolute=is_absolute) > limit:
            found.append(Told(before, start, old, new))
        elif _size(reference, new, is_absolute=is_absolute) > limit:
            found.append(Told(end, start, reference, new, small))
        else:
            continue
        reference, small = new, 0
    return found


def _size(old: float, new: float, *, is_absolute: bool) -> float:
    """How large a step is: a difference, or a share of the lower level."""
    if is_absolute or not old or not new:
        return abs(new - old)
    return abs(new - old) / min(abs(old), abs(new))
