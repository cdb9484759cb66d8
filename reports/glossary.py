"""The words of a report: what each means, its unit or symbol, and where there is more.

    glossary.anchor("noise floor")     # term-noise-floor, on the page of the glossary

The words are in templates/glossary.txt. There a part begins with `#`; a term with its name, then its unit, sign or
spelling in brackets; `more` are files of the documentation and papers, `see` are other terms.
"""

import re
from dataclasses import dataclass
from pathlib import Path

WORDS = Path(__file__).parent / "templates" / "glossary.txt"
KINDS = ("measured", "estimated", "modelled", "simulated")


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """A word and what it means.

    Attributes:
        name: as pages write it.
        meaning: in a sentence or two; what stands between backticks is code.
        symbol: its unit, its sign or how it is written; empty where it has none.
        more: files of the documentation and papers.
        see: names of other terms.
    """

    name: str
    meaning: str
    symbol: str = ""
    more: tuple[str, ...] = ()
    see: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """The anchor."""
        return anchor(self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Terms that belong together."""

    title: str
    terms: tuple[Term, ...]

    @property
    def id(self) -> str:
        """The anchor of its heading."""
        return f"part-{_plain(self.title)}"


def anchor(name: str) -> str:
    """The anchor of a term on the page of the glossary."""
    return f"term-{_plain(name)}"


def parts(words: Path = WORDS) -> tuple[Part, ...]:
    """The glossary, in the order of its page."""
    every = words.read_text(encoding="utf-8").strip().removeprefix("# ")
    texts = (one.partition("\n") for one in every.split("\n# "))
    return tuple(Part(title=title, terms=tuple(map(_term, blocks.strip().split("\n\n")))) for title, _, blocks in texts)


def terms() -> tuple[Term, ...]:
    """Every term, in the order of the page."""
    return tuple(term for part in parts() for term in part.terms)


def kinds() -> tuple[Term, ...]:
    """What each badge of a number means."""
    named = {term.name: term for term in terms()}
    return tuple(named[kind] for kind in KINDS)


def _term(block: str) -> Term:
    head, *lines = block.split("\n")
    name, _, symbol = head.removesuffix("]").partition(" [")
    told = {line.split(": ")[0]: tuple(line.split(": ", 1)[1].split("; ")) for line in lines if _is_list(line)}
    meaning = " ".join(line for line in lines if not _is_list(line))
    return Term(name=name, meaning=meaning, symbol=symbol, more=told.get("more", ()), see=told.get("see", ()))


def _is_list(line: str) -> bool:
    return line.startswith(("more: ", "see: "))


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
