"""The pages of a built site, read, and written again as sections of one file: ids and links hold in all of it."""

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from html import escape
from pathlib import Path
from urllib.parse import unquote, urlsplit

from energybench.reports.compact import svg_url
from energybench.reports.html_tokens import Tag, Token, between, tokens, written
from energybench.reports.served_site import TYPES

IDS = frozenset(
    {"id", "for", "headers", "list", "form", "popovertarget"}
    | {
        f"aria-{name}"
        for name in ("labelledby", "describedby", "controls", "owns", "details", "flowto", "errormessage")
    }
)
"""Attributes that hold ids."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page of the site; `name` is what its section is called, and what its ids begin with."""

    name: str
    title: str
    language: str
    head: tuple[Token, ...]
    body: tuple[Token, ...]


MOST_PAGES = 300


@dataclass(slots=True, kw_only=True)
class Site:
    """A built site, and what its pages turned out to point to.

    Attributes:
        folder: where it is.
        output: the file that is being written; links to it lead to its beginning.
        pages: by file, in the order in which links lead to them.
        left_out: files of the pages that are too many for one file.
        pictures: by file, the id of the first place that shows it.
        files: what is linked and neither page nor picture, with the id of its line in the list.
    """

    folder: Path
    output: Path
    pages: dict[str, Page]
    left_out: frozenset[str] = frozenset()
    pictures: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)

    def path(self, address: str) -> Path:
        """The file that a relative address names."""
        return self.folder / unquote(urlsplit(address).path)

    def read(self, address: str) -> bytes | None:
        """The file at an address; None where there is none in the site."""
        path = self.path(address)
        inside = path.is_file() and path.resolve().is_relative_to(self.folder.resolve())
        return path.read_bytes() if inside else None


def read(folder: Path, output: Path, *, most: int = MOST_PAGES) -> Site:
    """index.html and the pages that links lead to from it; the file that is being written is none of them.

    What is nearer to index.html goes before, and of a list what stands first: of a long history the newest commits.
    """
    pages: dict[str, Page] = {}
    left_out: set[str] = set()
    ahead = ["index.html"]
    while ahead:
        file = ahead.pop(0)
        if file in pages or (folder / file).resolve() == output.resolve():
            continue
        if len(pages) >= most:
            left_out.add(file)
            continue
        pages[file] = page = _page(file, (folder / file).read_text(encoding="utf-8"))
        ahead += [one for one in _linked(page) if (folder / one).is_file()]
    site = Site(folder=folder, output=output.resolve(), pages=pages, left_out=frozenset(left_out))
    for file, page in pages.items():
        pages[file] = replace(page, body=tuple(_named(page, site)))
    return site


def _page(file: str, text: str) -> Page:
    every = tokens(text)
    root = next((one for one in every if isinstance(one, Tag) and one.name == "html"), Tag(name="html"))
    return Page(
        name=file.removesuffix(".html"),
        title=written(between(every, "title")).strip(),
        language=root.get("lang") or "en",
        head=tuple(between(every, "head")),
        body=tuple(between(every, "body")),
    )


def _linked(page: Page) -> Iterator[str]:
    for one in page.body:
        address = urlsplit(one.get("href") if isinstance(one, Tag) and one.name == "a" else "")
        if not address.netloc and re.fullmatch(r"[^/]+\.html", address.path):
            yield unquote(address.path)


def _named(page: Page, site: Site) -> Iterator[Token]:
    """The body, with an id at the first place that shows a picture: links to its file lead there."""
    for one in page.body:
        if isinstance(one, Tag) and one.name == "img" and one.get("src") not in site.pictures:
            named = one if one.get("id") else one.put("id", f"picture-{len(site.pictures) + 1}")
            site.pictures[one.get("src")] = f"{page.name}--{named.get('id')}"
            yield named
        else:
            yield one


def own(site: Site, tag: str, attribute: str, *, deferred: bool = True) -> list[str]:
    """The files of styles or scripts of all pages, each once, in an order that keeps that of each page.

    Args:
        site: whose they are.
        tag: `link` or `script`.
        attribute: that names the file.
        deferred: scripts that wait until a page is read, or those that run before it is painted.
    """
    order: list[str] = []
    for page in site.pages.values():
        place = 0
        for one in (*page.head, *page.body):
            if not isinstance(one, Tag) or one.name != tag or not one.get(attribute):
                continue
            if tag == "link" and one.get("rel") != "stylesheet":
                continue
            if tag == "script" and one.has("defer") != deferred:
                continue
            if one.get(attribute) not in order:
                order.insert(place, one.get(attribute))
            place = order.index(one.get(attribute)) + 1
    return order


def section(page: Page, site: Site) -> str:
    """A page as a section: its body without the scripts that the file has once."""
    out: list[Token] = []
    script = False
    for one in page.body:
        if isinstance(one, Tag) and one.name == "script" and one.get("src"):
            script = True
        elif script:
            script = one != "</script>"
        elif isinstance(one, Tag):
            out.append(_changed(one, page, site))
        else:
            out.append("</div>" if one == "</main>" else one)
    inside = written(out).strip()
    return f'<div class="page" id="{escape(page.name)}" data-title="{page.title}" tabindex="-1">\n{inside}\n</div>\n'


def _changed(tag: Tag, page: Page, site: Site) -> Tag:
    """A start tag as it is in the file."""
    for name, value in tag.attributes:
        if value and name in IDS:
            tag = tag.put(name, " ".join(f"{page.name}--{one}" for one in value.split()))
    if tag.name == "main":  # a document has one
        return Tag(name="div", attributes=tag.put("class", f"{tag.get('class')} main".strip()).attributes)
    if tag.name == "a" and tag.get("href"):
        return tag.put("href", _target(tag.get("href"), page, site))
    for name in ("src", "srcset"):
        if tag.name in ("img", "source") and tag.get(name):
            tag = tag.put(name, data(tag.get(name), site))
    return tag


def _target(address: str, page: Page, site: Site) -> str | None:
    """Where a link leads to within the file; None where what it led to is not in it."""
    url = urlsplit(address)
    if url.scheme or url.netloc:
        return address
    to = site.pages.get(unquote(url.path)) if url.path else page
    if to is not None:
        return f"#{to.name}--{url.fragment}" if url.fragment else f"#{to.name}"
    if address in site.pictures:
        return f"#{site.pictures[address]}"
    if site.path(address).resolve() == site.output:
        return f"#{next(iter(site.pages.values())).name}"
    if url.path in site.left_out or site.read(address) is None:
        return None
    return f"#{site.files.setdefault(url.path, f'file-{len(site.files) + 1}')}"


def data(address: str, site: Site) -> str | None:
    """A file of the site as a data: URL; None where it has none."""
    found = site.read(address)
    if found is None:
        return None
    suffix = Path(urlsplit(address).path).suffix.lower()
    if suffix == ".svg":
        return svg_url(found.decode())
    kind = TYPES.get(suffix, "application/octet-stream").replace(" ", "")
    return f"data:{kind};base64,{base64.b64encode(found).decode()}"
