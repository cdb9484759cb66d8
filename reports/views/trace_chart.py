"""A power trace as a browser draws it: rows of seconds with the watts of each domain, and windows as bands."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from energybench.reports.figures import KINDS
from energybench.reports.labels import shortened
from energybench.reports.views.drawing import outline, spread_out
from energybench.reports.views.traces import Trace, starts_of

MOST_ROWS, MOST_DOMAINS = 2000, 8
DIGITS, MORE_DIGITS = 6, 9
"""Significant ones: more nobody sees, and the page would be twice as large. Moments that follow closely have more."""


def chart(one: Trace, kind: str) -> dict[str, Any]:
    """The domains of one kind of watts, those with the most first.

    `x` are seconds, windows end to end; a domain has None where it was not read at that moment, and between windows
    there is a row of None alone. Of many samples each stretch keeps the lowest and the highest of every domain.
    """
    own = [domain for domain, from_ in one.kinds.items() if from_ == kind][:MOST_DOMAINS]
    starts = starts_of(one)
    lines = _thinned(_lines(one, own, starts))
    rows: dict[float, dict[str, float]] = {}
    for domain, line in lines.items():
        for seconds, watts in line:
            rows.setdefault(seconds, {})[domain] = watts
    begins = [begin for begin, _, _ in starts.values()][1:]
    places = sorted({*rows, *begins})
    columns = [[brief(rows.get(place, {}).get(domain)) for place in places] for domain in own]
    return {
        "kind": "trace",
        "title": f"{KINDS[kind][2]}: {one.name}",
        "unit": "W",
        "provenance": kind,
        "log": spread_out([sample.watts for sample in one.samples if sample.domain in own]),
        "x": [brief(place, MORE_DIGITS) for place in places],
        "lines": [{"label": shortened(name), "y": column} for name, column in zip(own, columns, strict=True)],
        "bands": [
            {
                "from": brief(begin, MORE_DIGITS),
                "to": brief(begin + length, MORE_DIGITS),
                "label": f"window {number + 1}",
                "throttled": slow,
            }
            for number, (begin, length, slow) in starts.items()
        ],
    }


def brief(value: float | None, digits: int = DIGITS) -> float | None:
    """A number with the digits that a chart shows."""
    return None if value is None else float(f"{value:.{digits}g}")


def _lines(
    one: Trace, own: Sequence[str], starts: Mapping[int, tuple[float, float, bool]]
) -> dict[str, list[tuple[float, float]]]:
    lines: dict[str, list[tuple[float, float]]] = {domain: [] for domain in own}
    for sample in one.samples:
        if sample.domain in lines:
            lines[sample.domain].append((starts[sample.window][0] + sample.seconds, sample.watts))
    return {domain: sorted(line) for domain, line in lines.items()}


def _thinned(lines: Mapping[str, list[tuple[float, float]]]) -> dict[str, list[tuple[float, float]]]:
    """All where they are few; else the moments at which some domain is at its lowest or highest of a stretch."""
    if len(_moments(lines.values())) <= MOST_ROWS:
        return dict(lines)
    columns = MOST_ROWS // 2 // len(lines)
    kept = _moments(outline(line, columns) for line in lines.values())
    return {domain: [point for point in line if point[0] in kept] for domain, line in lines.items()}


def _moments(lines: Iterable[Sequence[tuple[float, float]]]) -> set[float]:
    return {seconds for line in lines for seconds, _ in line}
