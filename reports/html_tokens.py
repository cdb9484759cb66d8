"""HTML that we wrote ourselves, as tags and the text between them: to be read, changed and written again."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from html import escape
from html.parser import HTMLParser


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """A start tag; an attribute without a value has None."""

    name: str
    attributes: tuple[tuple[str, str | None], ...] = ()
    closed: bool = False

    def get(self, name: str) -> str:
        """An attribute's value; empty where it has none."""
        return next((value or "" for key, value in self.attributes if key == name), "")

    def has(self, name: str) -> bool:
        """Whether it has the attribute, with a value or without."""
        return any(key == name for key, _ in self.attributes)

    def put(self, name: str, value: str | None) -> "Tag":
        """The tag with this attribute; without it where there is no value."""
        rest = tuple(one for one in self.attributes if one[0] != name)
        return replace(self, attributes=rest if value is None else (*rest, (name, value)))

    def __str__(self) -> str:
        told = [name if value is None else f'{name}="{escape(value)}"' for name, value in self.attributes]
        return f"<{' '.join([self.name, *told])}{'/' if self.closed else ''}>"


Token = Tag | str
"""A start tag, or anything else as it stands in the page: text, an end tag."""


def tokens(text: str) -> list[Token]:
    """The page as tags and what is between them, without comments and declarations."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    return reader.found


def written(page: Iterable[Token]) -> str:
    """The HTML of tokens."""
    return "".join(map(str, page))


def between(page: Sequence[Token], name: str) -> list[Token]:
    """What is in the first element of this name; nothing where there is none."""
    start = next((at for at, one in enumerate(page) if isinstance(one, Tag) and one.name == name), len(page))
    end = next((at for at in range(start, len(page)) if page[at] == f"</{name}>"), len(page))
    return list(page[start + 1 : end])


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.found: list[Token] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append(Tag(name=tag, attributes=tuple(attrs)))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append(Tag(name=tag, attributes=tuple(attrs), closed=True))

    def handle_endtag(self, tag: str) -> None:
        self.found.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        self.found.append(data)

    def handle_entityref(self, name: str) -> None:
        self.found.append(f"&{name};")

    def handle_charref(self, name: str) -> None:
        self.found.append(f"&#{name};")
