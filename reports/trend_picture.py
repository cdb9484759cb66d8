"""A series over commits as a small SVG inside a page: readable without a script, and cheap where there are hundreds.

It takes its colours from the page's style sheet, so that it is right on a light and on a dark page.
"""

from collections.abc import Iterable, Sequence
from html import escape

from energybench.reports.views import trend_figure
from energybench.reports.views.curves import Curve, Value
from energybench.reports.views.drawing import tick_of
from energybench.terminal import visible

WIDTH, HEIGHT = 480, 225
LEFT, RIGHT, TOP, BOTTOM = 84, 12, 26, 44
TICKS, COMMITS = 5, 5
"""Of either axis at most."""
COLUMNS = 260
"""Of points at most: of more, each column keeps its lowest and its highest."""
FEW = 60
"""Values up to which each has a mark and a bar."""
LETTER = 7.6
"""How wide a letter is at most."""
CIRCLE = "m-2.9 0a2.9 2.9 0 1 0 5.8 0a2.9 2.9 0 1 0-5.8 0z"
MARKS = {
    "measured": CIRCLE,
    "estimated": "m-2.6-2.6h5.2v5.2h-5.2z",
    "modelled": "m0-3.6l3.4 6h-6.8z",
    "simulated": "m0-3.8l3.8 3.8-3.8 3.8-3.8-3.8z",
}
"""The marks of the figures, around a point."""


def picture(one: Curve, commits: Sequence[str], alt: str) -> str:
    """The picture as markup; `commits` are short names by place, `alt` what it shows, in a sentence."""
    scale = _Scale(one)
    parts = [
        *_frame(scale, one, commits),
        *(_upright(scale, place - 0.5, "step") for place, _ in one.steps),
        *(_level(scale, level.first, level.last, level.value) for level in one.levels),
        *(_values_few(scale, one) if len(one.values) <= FEW else _values_many(scale, one.values)),
        *_changes(scale, one),
    ]
    head = f'<svg class="trend {escape(one.track.provenance)}" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
    return f'{head} aria-label="{escape(visible(alt), quote=True)}">{"".join(parts)}</svg>'


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
    """Axes with their ticks, and what each of them is."""
    from matplotlib.ticker import MaxNLocator

    unit, bottom = trend_figure.unit_of(one), HEIGHT - BOTTOM
    reach = {"most": max(abs(scale.low), abs(scale.high)), "wide": scale.high - scale.low}
    for value in MaxNLocator(nbins=TICKS).tick_values(scale.low, scale.high):
        if scale.low <= value <= scale.high:
            text = f"{'−' if value < 0 else ''}{tick_of(abs(float(value)), unit, **reach)}"
            yield f'<path class="grid" d="M{LEFT} {scale.y(value)}H{WIDTH - RIGHT}"/>'
            yield _text(LEFT - 6, scale.y(value) + 4, text, "end")
    yield f'<path class="axis" d="M{LEFT} {TOP}V{bottom}H{WIDTH - RIGHT}"/>'
    places = [value.place for value in one.values]
    kept = {places[round(number * (len(places) - 1) / (COMMITS - 1))] for number in range(COMMITS)}
    for place in sorted(kept):
        yield _text(scale.x(place), bottom + 16, commits[place][:8], "middle")
    yield _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, "commits", "middle")
    per = " per sample" if one.track.key.metric.endswith("_per_sample") else ""
    middle = (TOP + bottom) / 2
    label = f"{one.track.provenance}{f' {unit}' if unit else ''}{per}"
    yield f'<text x="12" y="{middle}" text-anchor="middle" transform="rotate(-90 12 {middle})">{escape(label)}</text>'


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x}" y="{round(y, 1)}" text-anchor="{anchor}">{escape(text)}</text>'


def _upright(scale: _Scale, place: float, what: str) -> str:
    return f'<path class="{what}" d="M{scale.x(place)} {TOP}V{HEIGHT - BOTTOM}"/>'


def _level(scale: _Scale, first: int, last: int, value: float) -> str:
    return f'<path class="level" d="M{scale.x(first - 0.4)} {scale.y(value)}H{scale.x(last + 0.4)}"/>'


def _values_few(scale: _Scale, one: Curve) -> Iterable[str]:
    spans = [(v.place, trend_figure.ends(v.value, v.error)) for v in one.values]
    bars = "".join(f"M{scale.x(place)} {scale.y(ends[0])}V{scale.y(ends[1])}" for place, ends in spans if ends)
    if bars:
        yield f'<path class="bar" d="{bars}"/>'
    mark = MARKS.get(one.track.provenance, CIRCLE)
    yield f'<path class="mark" d="{"".join(f"M{scale.x(v.place)} {scale.y(v.value)}{mark}" for v in one.values)}"/>'


def _values_many(scale: _Scale, values: Sequence[Value]) -> Iterable[str]:
    """The lowest and the highest of each column."""
    width = max(1, -(-len(values) // COLUMNS))
    points: list[tuple[int, float]] = []
    for start in range(0, len(values), width):
        own = [(one.value, one.place) for one in values[start : start + width]]
        points += sorted({(place, value) for value, place in (min(own), max(own))})
    drawn = " ".join(f"{scale.x(place)},{scale.y(value)}" for place, value in points)
    yield f'<polyline class="values" points="{drawn}"/>'


def _changes(scale: _Scale, one: Curve) -> Iterable[str]:
    """A line at each change; the last ones are named, where their words do not cover one another."""
    places = {value.commit: value.place for value in one.values}
    taken: list[tuple[float, float]] = []
    for change in reversed(one.changes):
        place = places.get(change.commit.hash)
        if place is None:
            continue
        yield _upright(scale, place - 0.5, f"change {change.direction if change.certain else 'perhaps'}")
        text = trend_figure.size(change)
        x, wide = scale.x(place - 0.5), LETTER * len(text)
        begin = x - wide if x > WIDTH * 0.6 else x
        if all(begin + wide < start or end < begin for start, end in taken):
            taken.append((begin, begin + wide))
            yield _text(x, TOP - 9, text, "end" if x > WIDTH * 0.6 else "start")
