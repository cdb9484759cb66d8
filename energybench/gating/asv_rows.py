"""A row of an asv result file: one value for each combination of a benchmark's parameters, with how sure it is."""

import ast
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from energybench.gating.asv_files import AsvFileError
from energybench.gating.series import Scalar

Parameters = tuple[tuple[str, Scalar], ...]
MOST_COMBINATIONS = 100_000
STANDARD_NORMAL_99 = 2.5758
STUDENT_99 = (63.657, 9.925, 5.841, 4.604, 4.032, 3.707)
"""Two-sided, of 1 to 6 degrees of freedom."""
ORDER_STATISTICS = 8
"""Samples from which asv's interval is one of order statistics; a Laplace posterior for fewer."""
QUARTILES = 1.349
"""The distance of a normal distribution's quartiles in standard deviations."""
MEDIAN = math.sqrt(math.pi / 2)
"""Standard errors of a median in those of a mean, at normal noise."""


class Value(NamedTuple):
    """One combination of one benchmark.

    `samples` are those that asv kept; without them `value` is their median, `error` its standard error and `repeats`
    how many there were. `missing` says why there is no value.
    """

    parameters: Parameters
    value: float
    samples: tuple[float, ...] = ()
    error: float | None = None
    repeats: int | None = None
    missing: str = ""


def scaled(value: Value, factor: float) -> Value:
    """The same in another unit."""
    return value._replace(
        value=value.value * factor,
        samples=tuple(one * factor for one in value.samples),
        error=None if value.error is None else value.error * factor,
    )


def points_of(params: object, names: Sequence[object]) -> tuple[Parameters, ...]:
    """Every combination of an index's or a row's parameters; none where they are damaged."""
    try:
        return _points(params, names)
    except AsvFileError:
        return ()


def values_of(row: object, columns: Mapping[str, int], names: Sequence[object]) -> Iterator[Value]:
    """The values of a row, in the order of its parameters.

    Raises:
        AsvFileError: lists of the wrong length, or anything that is no value.
    """
    if not isinstance(row, list):
        raise AsvFileError("its row is no list")
    cells = {name: row[place] for name, place in columns.items() if place < len(row)}
    points = _points(cells.get("params") or [], names)
    results = cells.get("result")
    if results is None:
        yield from (Value(point, math.nan, missing="failed") for point in points)
        return
    if not isinstance(results, list) or len(results) != len(points):
        found = len(results) if isinstance(results, list) else "no"
        raise AsvFileError(f"it has {found} results for {len(points)} combinations of parameters")
    low, high = _flat(cells, "stats_ci_99_a", points), _flat(cells, "stats_ci_99_b", points)
    first, third = _flat(cells, "stats_q_25", points), _flat(cells, "stats_q_75", points)
    repeats, samples = _flat(cells, "stats_repeat", points), _flat(cells, "samples", points)
    for number, point in enumerate(points):
        count = repeats[number] if isinstance(repeats[number], int) else None
        error = standard_error(low[number], high[number], first[number], third[number], count)
        yield _value(point, results[number], samples[number], error, count)


def standard_error(low: Any, high: Any, first: Any, third: Any, count: int | None) -> float | None:
    """Standard error of a median from asv's quartiles and its 99 % interval; None where they tell nothing.

    Few samples have narrow quartiles by chance, and asv's interval of them has a long tail: the larger counts, with
    the interval taken as one of Student's t.
    """
    if count is None or count < 2:
        return None
    found = []
    if _is_number(low) and _is_number(high):
        reach = STANDARD_NORMAL_99 if count >= ORDER_STATISTICS else STUDENT_99[count - 2]
        found.append((high - low) / 2 / reach)
    if _is_number(first) and _is_number(third):
        found.append((third - first) / QUARTILES * MEDIAN / math.sqrt(count))
    return max(found) if found and math.isfinite(max(found)) else None


def _value(point: Parameters, result: Any, samples: object, error: float | None, count: int | None) -> Value:
    if result is None:
        return Value(point, math.nan, missing="failed")
    if not _is_number(result):
        raise AsvFileError(f"its result {str(result)[:40]!r} is no number")
    value = float(result)
    if math.isnan(value):
        return Value(point, value, missing="skipped")
    if math.isinf(value):
        raise AsvFileError("its result is infinite")
    kept = tuple(float(one) for one in samples if _is_number(one)) if isinstance(samples, list) else ()
    if kept and not all(map(math.isfinite, kept)):
        raise AsvFileError("a sample of it is not finite")
    return Value(point, value, samples=kept, error=error, repeats=count)


def _points(params: object, names: Sequence[object]) -> tuple[Parameters, ...]:
    if not isinstance(params, list) or not all(isinstance(one, list) for one in params):
        raise AsvFileError("its params are no lists")
    return _combinations(tuple(tuple(map(str, one)) for one in params), tuple(map(str, names)))


@lru_cache(maxsize=4096)
def _combinations(params: tuple[tuple[str, ...], ...], names: tuple[str, ...]) -> tuple[Parameters, ...]:
    """Every combination in the order of `itertools.product`, each sorted by name."""
    if math.prod(map(len, params)) > MOST_COMBINATIONS:
        raise AsvFileError(f"its parameters have more than {MOST_COMBINATIONS} combinations")
    told = [names[place] if place < len(names) else f"param{place + 1}" for place in range(len(params))]
    values = [[plain(text) for text in one] for one in params]
    return tuple(tuple(sorted(zip(told, one, strict=True))) for one in itertools.product(*values))


def plain(text: str) -> Scalar:
    """A parameter's value from its repr: a number, some text or a truth value; the repr of anything else."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return text
    return value if isinstance(value, bool | int | float | str) else text


def _flat(cells: Mapping[str, Any], name: str, points: Sequence[object]) -> Sequence[Any]:
    """A column's entries, one for each combination; None for each where asv left it out."""
    column = cells.get(name)
    if column is None:
        return [None] * len(points)
    if not isinstance(column, list) or len(column) != len(points):
        raise AsvFileError(f"its {name} has another length than its {len(points)} combinations of parameters")
    return column


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, float) or abs(value) < 1e300
