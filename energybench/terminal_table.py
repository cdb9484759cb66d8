"""A table of rich whose cells are plain text: no name in it is markup, and none moves the cursor."""

from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from energybench.terminal import visible


class NamesTable(Table):
    """Each cell shows what it holds, to the letter."""

    def add_row(self, *cells: RenderableType | None, **rest: Any) -> None:
        """Add a row, as `Table` does."""
        super().add_row(*map(_cell, cells), **rest)


def plain(text: str) -> Text:
    """Text that is no markup, every character of it seen."""
    return Text(visible(text))


def _cell(content: RenderableType | None) -> RenderableType | None:
    if isinstance(content, str):
        return plain(content)
    if isinstance(content, Text):
        return Text(visible(content.plain), style=content.style)
    return content
