"""A judgement as tables for a terminal."""

from typing import TYPE_CHECKING

from energybench.gating.outputs import words
from energybench.gating.verdicts import Judgement, Word
from energybench.terminal import table, visible

if TYPE_CHECKING:
    from rich.console import RenderableType

FOLDED: tuple[Word, ...] = ("pass", "new", "left out")
STYLES: dict[Word, str] = {
    "regression": "bold red",
    "not comparable": "red",
    "not measured": "red",
    "inconclusive": "yellow",
    "accepted": "yellow",
    "improvement": "green",
}


def gate_tables(judgement: Judgement, *, verbose: bool = False) -> "list[RenderableType]":
    """A row for each series, what needs somebody first; passes are only counted unless `verbose`."""
    from rich.text import Text

    names = words.labels(judgement)
    drawn = table("series", "base", "head", "change", "margin", "verdict", "why")
    for word in words.ORDER:
        for one in judgement.of(word) if verbose or word not in FOLDED else ():
            cells = (
                f"{names[one.key]} ({one.provenance})",
                words.value(one.base, one),
                words.value(one.head, one),
                words.change(one),
                words.margin(one),
            )
            # Names are the user's: what looks like markup in them is none.
            drawn.add_row(*map(Text, cells), Text(word, style=STYLES.get(word, "")), Text(words.reason(one)))
    lines = [*words.sentences(judgement), *words.notes(judgement), words.counts(judgement), words.heading(judgement)]
    rows: list[RenderableType] = [drawn] if drawn.row_count else []
    return rows + [Text(visible(" ".join(line.split()))) for line in lines]
