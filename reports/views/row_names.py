"""Names of rows: what all have in common stands in the heading once, and what is too long is broken, not cut."""

import re
from collections.abc import Iterator, Sequence

from energybench.reports.badge import SIZE, width
from energybench.reports.labels import shortened

INCHES, POINTS = 3.6, 9.5
"""That a row is wide, and the size of its type."""
MOST_PARTS = 140
"""Letters of one name: of a longer one the middle goes."""


def told_apart(names: Sequence[str]) -> tuple[list[str], str]:
    """Names without the parts between commas that all of them have, and these parts; one name stays as it is.

    Where a name would have nothing left, or be the same as another, all keep their beginning, or stay as they are.
    """
    split = [name.split(", ") for name in names]
    everywhere = set(split[0]).intersection(*split[1:]) if len(set(names)) > 1 else set()
    common = [part for part in split[0] if part in everywhere]
    for shared in (common, [part for part in common if part != split[0][0]]):
        taken = set(shared)
        own = [", ".join(part for part in one if part not in taken) for one in split]
        if all(own) and len(set(own)) == len(set(names)):
            return own, ", ".join(shared)
    return list(names), ""


def headed(heading: str, shared: str) -> str:
    """A heading with what all rows have in common, once: `Measured, domains: qnn-infer, on the box`."""
    said = set(heading.split(", "))
    more = [part for part in shared.split(", ") if part not in said]
    return f"{heading}: {', '.join(more)}" if any(more) else heading


def broken(name: str) -> list[str]:
    """A name and its number in lines that fit, broken between parts where it can be."""
    head, colon, number = name.rpartition(": ") if ": " in name else (name, "", "")
    parts = [*re.split(r"(?<=, )", shortened(head, MOST_PARTS) + colon), shortened(number, MOST_PARTS)]
    lines = [""]
    for piece in (piece for part in parts for piece in _pieces(part)):
        if lines[-1] and not _fits(lines[-1] + piece):
            lines.append("")
        lines[-1] += piece
    return [line.rstrip() for line in lines]


def _pieces(part: str) -> Iterator[str]:
    """A part in one piece where a line has room for it, else its words, else as many letters as fit."""
    for word in [part] if _fits(part) else re.split(r"(?<= )", part):
        while not _fits(word):
            most = next(count for count in range(len(word), 0, -1) if count == 1 or _fits(word[:count]))
            yield word[:most]
            word = word[most:]
        yield word


def _fits(text: str) -> bool:
    return width(text.rstrip()) / SIZE * POINTS / 72 <= INCHES
