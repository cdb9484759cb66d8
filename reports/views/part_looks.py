"""The colour and hatch of each part of a bar: by its name, the same in every panel of every view."""

from collections.abc import Iterable
from typing import Any

from energybench.reports.plotting import CATEGORIES

HATCHES = ("", "//", "..", "\\\\", "xx", "++", "oo", "--")
"""Parts are told apart without colour as well."""
MOST_DEVICES = 8
DOMAINS = tuple(
    name for device in range(MOST_DEVICES) for name in (f"cpu.package-{device}", f"cpu.dram-{device}", f"gpu.{device}")
)
TOGETHER = (
    DOMAINS,
    ("static", "active"),
    ("memory", "arithmetic"),
    ("computing", "communication", "waiting", "wire"),
    ("free", "nudged"),
)
"""Names that stand in one bar; each of these has its place by heart."""
PLACES = {name: place for names in TOGETHER for place, name in enumerate(names)}
REST = "not told apart"
OTHERS = "other parts"
LEFT = (OTHERS, REST)
"""What is left of a bar is grey."""
GREY = 5
INKS = tuple(number for number in range(len(CATEGORIES[False])) if number != GREY)


def looks_of(names: Iterable[str], *, dark: bool) -> dict[str, dict[str, Any]]:
    """The look of each part: well-known ones in their order, others by name, what is left at the end.

    Args:
        names: of all parts that a view draws, so that others look the same in all of its panels.
        dark: ink for a dark page.
    """
    every = set(names)
    known = sorted((name for name in every if name in PLACES), key=lambda name: (PLACES[name], name))
    left = [name for name in LEFT if name in every]
    others = sorted(every - {*known, *left})
    places = {name: PLACES[name] for name in known}
    places |= {name: len(DOMAINS) + number for number, name in enumerate(others)}
    looks = {name: _look(place, dark=dark) for name, place in places.items()}
    grey = {"facecolor": CATEGORIES[dark][GREY]}
    return looks | {name: grey | {"hatch": HATCHES[-1 - number]} for number, name in enumerate(left)}


def _look(place: int, *, dark: bool) -> dict[str, Any]:
    """Another colour each, and another hatch where colours begin anew."""
    count = len(INKS)
    hatch = HATCHES[(place + 2 * (place // count)) % len(HATCHES)]
    return {"facecolor": CATEGORIES[dark][INKS[place % count]], "hatch": hatch}
