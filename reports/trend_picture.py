"""A series over commits as a small SVG inside a page: readable without a script, and cheap where there are hundreds.

It takes its colours from the page's style sheet, so that it is right on a light and on a dark page.
"""

from collections.abc import Iterable, Sequence
from html import escape

from energybench.reports.numbers import quantity
from energybench.reports.views import trend_figure
from energybench.reports.views.curves import Curve, Value

WIDTH, HEIGHT = 640, 170
LEFT, RIGHT, TOP, BOTTOM = 78, 14, 22, 24
COLUMNS = 260
"""Of points at most: of more, each column keeps its lowest and its highest."""
FEW = 60
"""Values up to which each has a mark and a bar."""
NAMED = 3
"""Changes that are named in the picture, the last ones."""


def picture(one: Curve, commits: Sequence[str], alt: str) -> str:
    """The picture as markup; `commits` are short names by place, `alt` what it shows, in a sentence."""
    scale = _Scale(one)
    parts = [
        *_frame(scale, one, commits),
        *(_upright(scale, place - 0.5, "step") for place, _ in one.steps),
        *(_values_few(scale, one.values) if len(one.values) <= FEW else _values_many(scale, one.values)),
        *(_level(scale, level.first, level.last, level.value) for level in one.levels),
        *_changes(scale, one, commits),
    ]
    head = f'<svg class="trend {escape(one.track.provenance)}" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
    return f'{head} aria-label="{escape(alt, quote=True)}">{"".join(parts)}</svg>'


class _Scale:
    """From places and values to the picture."""

    def __init__(self, one: Curve) -> None:
        low = min(value.value - 2 * (value.error or 0.0) for value in one.values)
        high = max(value.value + 2 * (value.error or 0.0) for value in one.values)
        room = (high - low) * 0.08 or abs(high) * 0.05 or 1.0
        self.low, self.high = low - room, high + room
        first, last = one.values[0].place, one.values[-1].place
        self.first, self.span = first - 0.5, max(last - first, 1) + 1.0

    def x(self, place: float) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * (place - self.first) / self.span, 1)

    def y(self, value: float) -> float:
        return round(TOP + (HEIGHT - TOP - BOTTOM) * (self.high - value) / (self.high - self.low), 1)


def _frame(scale: _Scale, one: Curve, commits: Sequence[str]) -> Iterable[str]:
    unit, bottom = trend_figure.unit_of(one), HEIGHT - BOTTOM
    yield f'<path class="axis" d="M{LEFT} {TOP}V{bottom}H{WIDTH - RIGHT}"/>'
    lowest, highest = min(v.value for v in one.values), max(v.value for v in one.values)
    for value in dict.fromkeys((lowest, highest)):
        yield _text(LEFT - 6, scale.y(value) + 4, quantity(value, unit), "end")
    first, last = one.values[0].place, one.values[-1].place
    yield _text(LEFT, HEIGHT - 6, commits[first], "start")
    if last != first:
        yield _text(WIDTH - RIGHT, HEIGHT - 6, commits[last], "end")


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}">{escape(text)}</text>'


def _upright(scale: _Scale, place: float, what: str) -> str:
    return f'<path class="{what}" d="M{scale.x(place)} {TOP}V{HEIGHT - BOTTOM}"/>'


def _level(scale: _Scale, first: int, last: int, value: float) -> str:
    return f'<path class="level" d="M{scale.x(first - 0.4)} {scale.y(value)}H{scale.x(last + 0.4)}"/>'


def _values_few(scale: _Scale, values: Sequence[Value]) -> Iterable[str]:
    for one in values:
        if ends := trend_figure.ends(one.value, one.error):
            yield f'<path class="bar" d="M{scale.x(one.place)} {scale.y(ends[0])}V{scale.y(ends[1])}"/>'
        yield f'<circle cx="{scale.x(one.place)}" cy="{scale.y(one.value)}" r="3"/>'


def _values_many(scale: _Scale, values: Sequence[Value]) -> Iterable[str]:
    """The lowest and the highest of each column."""
    width = max(1, -(-len(values) // COLUMNS))
    points: list[tuple[int, float]] = []
    for start in range(0, len(values), width):
        own = [(one.value, one.place) for one in values[start : start + width]]
        points += sorted({(place, value) for value, place in (min(own), max(own))})
    drawn = " ".join(f"{scale.x(place)},{scale.y(value)}" for place, value in points)
    yield f'<polyline class="values" points="{drawn}"/>'


def _changes(scale: _Scale, one: Curve, commits: Sequence[str]) -> Iterable[str]:
    places = {value.commit: value.place for value in one.values}
    for number, change in enumerate(reversed(one.changes)):
        place = places.get(change.commit.hash)
        if place is None:
            continue
        yield _upright(scale, place - 0.5, f"change {change.direction}")
        if number < NAMED:
            x = scale.x(place - 0.5)
            anchor = "end" if x > WIDTH * 0.6 else "start"
            yield _text(x, TOP - 8, f"{trend_figure.size(change)} at {commits[place]}", anchor)
