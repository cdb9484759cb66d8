"""Figures that are not drawn yet, with their words: of a view that has as many as records ask for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.figure import Figure

    Drawn: TypeAlias = Callable[[bool], Figure]

MOST_PICTURES = 24
"""Of one view."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One figure: what it shows in words, and how it is drawn for a light (False) or a dark page."""

    alt: str
    draw: "Drawn"


def first(pictures: Mapping[str, Picture], notes: list[str]) -> tuple[dict[str, Picture], list[str]]:
    """As many as a page shows, and the notes with how many there are."""
    if len(pictures) <= MOST_PICTURES:
        return dict(pictures), notes
    told = f"{MOST_PICTURES} of {len(pictures):,} panels are drawn; the data has all of them."
    return dict(list(pictures.items())[:MOST_PICTURES]), [*notes, told]
