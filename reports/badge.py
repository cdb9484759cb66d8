"""Badges as SVG: a number with its interval and provenance, or a verdict, and the line that embeds one elsewhere.

A badge is drawn of plain shapes, without a style, an id or a script, so that it shows under every policy.
"""

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape
from urllib.parse import quote

from energybench.gating.verdicts import COMPARED, Judgement, Verdict
from energybench.reports.numbers import bounds, quantity, short, span
from energybench.terminal import visible

SETTLED = ("pass", "inconclusive")
HEIGHT, SIZE, PAD, MARK = 20, 11.0, 6.0, 11.0
"""Of the badge, of its type, beside text, and what a mark takes, in pixels."""
LONGEST = 60
"""Characters of a side; the title has all of them, up to `TITLE`."""
TITLE = 300
FONT = "Verdana,DejaVu Sans,Geneva,sans-serif"
WIDTHS = {
    "'": 27,
    "ijl": 28,
    "IJ": 29,
    " ,.·": 32,
    "/:;\\|": 34,
    "f-": 36,
    "()[]t": 39,
    "!r": 41,
    '"*_`–°': 48,
    "sz?c": 54,
    "LFk": 57,
    "vxyPTYao": 60,
    "eESbdghnpqu": 62,
    "$0123456789{}µK": 64,
    "AVBRXZC": 69,
    "UHNDG": 75,
    "&OQ": 79,
    "w#+−<=>^~±×÷→": 84,
    "M": 86,
    "%mW@…": 97,
}
"""Advance widths in hundredths of the type's size, of DejaVu Sans, which Verdana's are close to."""
ADVANCE = {letter: width for letters, width in WIDTHS.items() for letter in letters}
LABEL, INK = "#3a4450", "#ffffff"
COLOURS = {
    "measured": "#0b6b3a",
    "estimated": "#8a4b00",
    "modelled": "#4a3fb0",
    "simulated": "#9c1c5e",
    "pass": "#0b6b3a",
    "regression": "#b3261e",
    "inconclusive": "#8a4b00",
    "plain": "#55616f",
}
"""Grounds of the right side: each has a contrast of at least 4.5 with white."""
MARKS = {
    "measured": '<circle cx="{x}" cy="10" r="3.2"/>',
    "estimated": '<path d="M{x} 10m-3-3h6v6h-6z"/>',
    "modelled": '<path d="M{x} 10m0-3.6 3.8 6.6h-7.6z"/>',
    "simulated": '<path d="M{x} 10m0-4 4 4-4 4-4-4z"/>',
}
"""The same as in the pages: a kind is told by its shape and its name, not by colour alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snippet:
    """What a README or a page needs to show a badge."""

    markdown: str
    html: str


def badge(label: str, message: str, *, colour: str = "plain", mark: str = "") -> str:
    """An SVG badge of two sides.

    Args:
        label: the left side.
        message: the right side.
        colour: a name in `COLOURS`.
        mark: a name in `MARKS`; empty for none.
    """
    left, right = _cut(label, LONGEST), _cut(message, LONGEST)
    first = round(width(left) + 2 * PAD)
    before = PAD + (MARK if mark else 0)
    total = first + round(before + width(right) + PAD)
    told = escape(f"{_cut(label, TITLE)}: {_cut(message, TITLE)}")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{total}" height="{HEIGHT}" viewBox="0 0 {total} {HEIGHT}" '
        f'role="img" aria-label="{told}"><title>{told}</title>'
        f'<path fill="{LABEL}" d="M4 0h{first - 4}v{HEIGHT}H4a4 4 0 0 1-4-4V4a4 4 0 0 1 4-4z"/>'
        f'<path fill="{COLOURS[colour]}" d="M{first} 0h{total - first - 4}a4 4 0 0 1 4 4v12a4 4 0 0 1-4 4H{first}z"/>'
        f'<g fill="{INK}" font-family="{FONT}" font-size="{SIZE:g}">'
        f"{_text(left, PAD)}{MARKS[mark].format(x=first + PAD + 4) if mark else ''}{_text(right, first + before)}"
        "</g></svg>\n"
    )


def series(result: Mapping[str, object], *, label: str) -> str:
    """The badge of a stored result: `joules/sample | 12.3 µJ ± 3 % measured`.

    Args:
        result: `{"value", "unit", "provenance"}` and perhaps an interval, as a record's `results` keep it.
        label: what it is of.
    """
    kind = str(result["provenance"])
    return badge(label, f"{_cut(amount(result), LONGEST - len(kind) - 1)} {kind}", colour=kind, mark=kind)


def verdict(judgement: Judgement, *, label: str = "energy") -> str:
    """The badge of what was judged, in a word and of which kinds: `energy | 2 regressions, measured`."""
    word = judgement.word
    # Where nothing was settled there is nothing to praise: then all kinds that are there are told.
    compared = judgement.of(*COMPARED) if word in SETTLED else judgement.verdicts
    kinds = _kinds(judgement.of("regression") if word == "regression" else compared)
    count = len(judgement.of("regression"))
    text = f"{count} regression{'s' if count != 1 else ''}" if word == "regression" else word
    return badge(label, ", ".join([text, *kinds]), colour=word if word in COLOURS else "plain")


def _kinds(verdicts: Iterable[Verdict]) -> list[str]:
    """The provenances of the joules among them, else of all, the best first."""
    every = list(verdicts)
    joules = [one for one in every if one.unit == "J"] or every
    return [kind for kind in MARKS if any(one.provenance == kind for one in joules)]


def amount(result: Mapping[str, object]) -> str:
    """A result in short: `12.3 µJ ± 3 %`, or `17.3 µJ (5.78 to 52.0 µJ)`.

    An interval is written out where it is wide or lopsided, and where it is the range of a model.
    """
    value, unit = result["value"], short(str(result.get("unit", "")))
    assert isinstance(value, int | float), "the store lets no result without a number pass"
    limits = bounds(result)
    if limits is None or limits[0] == limits[1]:
        return quantity(value, unit)
    low, high = limits
    half = (high - low) / 2
    coverage = result.get("provenance") in ("measured", "simulated")
    if not coverage or not value or half > abs(value) / 2 or abs((high + low) / 2 - value) > half / 4:
        return f"{quantity(value, unit)} ({span(low, high, unit, like=value)})"
    return f"{quantity(value, unit)} ± {100 * half / abs(value):.2g} %"


def snippet(picture: str, text: str, page: str) -> Snippet:
    """The Markdown and the HTML that show a badge and lead to a page.

    Args:
        picture: the address of the badge.
        text: what it says, for who does not see it.
        page: where it leads.
    """
    shown = _cut(text, TITLE)
    source, to = (quote(one, safe="/:?&=#%@+,;~!$'*[]") for one in (picture, page))
    words = "".join(f"\\{one}" if one in "\\`*_{}[]<>()#+-.!|&~" else one for one in shown)
    return Snippet(
        markdown=f"[![{words}]({source})]({to})",
        html=f'<a href="{escape(to)}"><img src="{escape(source)}" alt="{escape(shown)}" height="{HEIGHT}"></a>',
    )


def width(text: str) -> float:
    """About how wide a text is, in pixels."""
    return sum(_advance(one) for one in text) * SIZE / 100


def _advance(letter: str) -> int:
    if letter in ADVANCE:
        return ADVANCE[letter]
    if unicodedata.combining(letter):
        return 0
    return 105 if unicodedata.east_asian_width(letter) in "WF" else 66


def _text(text: str, x: float) -> str:
    """A text that is as wide as we reckoned, whatever the type is."""
    return (
        f'<text x="{x:g}" y="14" textLength="{width(text):.1f}" lengthAdjust="spacingAndGlyphs">{escape(text)}</text>'
    )


def _cut(text: str, longest: int) -> str:
    """One line, every character of it seen."""
    clean = visible(" ".join(text.split()))
    return clean if len(clean) <= longest else f"{clean[: longest - 1]}…"
