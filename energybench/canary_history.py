"""A canary's history: `canary.jsonl` beside a machine's records, and what it says of a new value."""

import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from energybench import stats
from energybench.store import StoreError, why
from energybench.terminal import quantity

FILE = "canary.jsonl"
SCHEMA = 1
LEAST, KEPT = 8, 40
CONFIDENCE = 0.99
# A median absolute deviation is worth as much as a standard deviation of 37 % of the values.
EFFICIENCY = 0.37
SMALLEST_SPREAD = 0.005
"""As a share: a machine that repeats itself better than this is not held to it."""
Verdict = Literal["within", "outside", "learning"]
Line = Mapping[str, Any]


def judge(line: Line, known: Sequence[Line]) -> tuple[Verdict, str]:
    """The verdict on a value by those before it, and why."""
    name, unit = ("joules", "J") if "joules" in line else ("seconds", "s")
    value, last = float(line[name]), [float(one[name]) for one in known]
    took = f"the canary took {quantity(value, unit)}"
    if len(last) < LEAST:
        return "learning", f"{took}; its history is learning, {len(last)} of {LEAST}"
    low, middle, high = limits(last)
    there = (
        f"the {quantity(middle, unit)} ({quantity(low, unit)} … {quantity(high, unit)}) of its last {len(last)} runs"
    )
    if low <= value <= high:
        return "within", f"{took}, within {there}"
    return "outside", f"{took}, {_apart(value / middle)} {there}"


def limits(values: Sequence[float]) -> tuple[float, float, float]:
    """Between what values the next one is expected, and the middle: robust, on the log scale."""
    logs = [math.log(value) for value in values]
    middle, count = stats.median(logs), len(logs)
    spread = max(stats.mad(logs), SMALLEST_SPREAD)
    # The next value scatters, and so does the median of those before it, whose variance is pi/2 of a mean's.
    reach = stats.t_factor(EFFICIENCY * count, CONFIDENCE) * spread * math.sqrt(1 + math.pi / 2 / count)
    return math.exp(middle - reach), math.exp(middle), math.exp(middle + reach)


def comparable(lines: Sequence[Line], line: Line) -> list[Line]:
    """The last values that a value may be judged by: same work, sources, driver, kernel and software; none outside."""
    same = [one for one in lines if _ground(one) == _ground(line)]
    starts = [number for number, one in enumerate(same) if one.get("reset")]
    since = same[starts[-1] :] if starts else same
    return [one for one in since if one["quiet"] and not one.get("outside")][-KEPT:]


def read(path: Path) -> tuple[list[Line], int]:
    """The lines of a history, and how many are damaged: a machine that lost power leaves half a line.

    Raises:
        StoreError: the file cannot be read.
    """
    try:
        texts = path.read_bytes().splitlines()
    except FileNotFoundError:
        return [], 0
    except OSError as error:
        raise StoreError(f"{path} cannot be read ({why(error)}); make it readable, or move it away") from error
    found = [one for text in texts if (one := _whole(text)) is not None]
    return found, sum(1 for text in texts if text.strip()) - len(found)


def append(path: Path, line: Line) -> None:
    """Add a line in one write; after a line that was cut short it begins a new one.

    Raises:
        StoreError: the file cannot be written.
    """
    data = json.dumps(line, allow_nan=False, separators=(",", ":")).encode() + b"\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        try:
            size = os.fstat(descriptor).st_size
            cut = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
            os.write(descriptor, b"\n" + data if cut else data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        remedy = "free some space, or set ENERGYBENCH_RECORDS to a folder that you can write to"
        raise StoreError(f"{path} cannot be written ({why(error)}); {remedy}") from error


def _ground(line: Line) -> list[object]:
    """What must be equal for two values to be comparable."""
    return [line.get(name) for name in ("version", "provenance", "sources", "driver", "kernel", "software")]


def _whole(text: bytes) -> Line | None:
    """A line of a history; None where it is damaged, or of another program."""
    try:
        line = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(line, dict) or line.get("schema") != SCHEMA or not isinstance(line.get("quiet"), bool):
        return None
    values = [line.get("seconds"), line.get("joules", 1.0)]
    return line if all(isinstance(v, int | float) and 0 < v < math.inf for v in values) else None


def _apart(ratio: float) -> str:
    """`21 % above`, `3 times`: how far a value is from the middle."""
    if round(ratio, 2) >= 2:
        return f"{ratio:.2g} times"
    percent = float(f"{100 * abs(ratio - 1):.2g}")
    return f"{percent:g} % {'above' if ratio > 1 else 'below'}"
