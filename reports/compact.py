"""Pictures in fewer bytes, for a file that holds all of them: what a reader sees stays as it is."""

import re
from urllib.parse import quote

UNSEEN = re.compile(r"<!--.*?-->|<metadata>.*?</metadata>|<\?xml.*?\?>|<!DOCTYPE[^>]*>", re.DOTALL)
GEOMETRY = re.compile(r'\s(d|transform|x|y|style)="([^"]*)"')
BETWEEN_TAGS = re.compile(r">\s+<")
IN_TAG = re.compile(r"<[^>]*>")
GROUP = re.compile(r'<g id="[^"]*"')
GLYPHS = (("DejaVuSans-Bold-", "B-"), ("DejaVuSans-", "D-"))
"""Names of glyphs, of which each letter of a picture has one, and shorter ones."""
LONG_NUMBER = re.compile(r"-?\d+\.\d{3,}")
KEPT = "!$()*+,-./:;=?@[]^_`{|}~"
"""Characters that stand for themselves in a data: URL, in an attribute and in a list of addresses."""


def svg(text: str) -> str:
    """An SVG without comments, metadata and spaces that draw nothing, its coordinates to a hundredth of a point."""
    bare = BETWEEN_TAGS.sub("><", UNSEEN.sub("", text).strip())
    return IN_TAG.sub(_tag, bare)


def svg_url(text: str) -> str:
    """An SVG as a data: URL of the text itself: base64 would be larger by a third."""
    return f"data:image/svg+xml,{quote(svg(text), safe=KEPT)}"


def _tag(found: re.Match[str]) -> str:
    """A tag; nothing refers to a group by its id, and a glyph's name is ours to choose."""
    tag = GROUP.sub("<g", GEOMETRY.sub(_geometry, re.sub(r"\s+", " ", found[0])))
    for name, shorter in GLYPHS:
        tag = tag.replace(f'id="{name}', f'id="{shorter}').replace(f'href="#{name}', f'href="#{shorter}')
    return tag


def _geometry(attribute: re.Match[str]) -> str:
    name, value = attribute[1], LONG_NUMBER.sub(_rounded, attribute[2].strip())
    if name == "d":
        value = re.sub(r" ?([A-Za-z]) ?", r"\1", value).replace(" ", ",")
    elif name == "style":
        value = re.sub(r"([:;]) ", r"\1", value)
    return f' {name}="{value}"'


def _rounded(number: re.Match[str]) -> str:
    """Of scales, which are below 1, four digits."""
    value = float(number[0])
    return f"{value:.2f}".rstrip("0").rstrip(".") if abs(value) >= 1 else f"{value:.4f}".rstrip("0").rstrip(".")
