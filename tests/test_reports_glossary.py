"""The glossary: every term once, with a place to link to, and pointers that lead somewhere."""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import get_args

from energybench.gating.verdicts import Word
from energybench.model import Provenance
from energybench.reports import glossary
from energybench.reports.pages import environment

ROOT = Path(__file__).parent.parent


class Anchors(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        self.ids += [told["id"] or ""] if "id" in told else []
        self.links += [told["href"] or ""] if "href" in told else []


def test_every_term_is_there_once() -> None:
    names = [term.name for term in glossary.terms()]
    assert len(names) == len(set(names)) >= 60
    assert len({term.id for term in glossary.terms()}) == len(names)


def test_every_verdict_and_every_provenance_is_explained() -> None:
    names = {term.name for term in glossary.terms()}
    assert set(get_args(Word)) <= names
    assert set(get_args(Provenance)) <= names


def test_a_term_has_an_anchor_that_pages_can_name() -> None:
    assert glossary.anchor("noise floor") == "term-noise-floor"
    assert glossary.anchor("W1A1") == "term-w1a1"
    assert glossary.anchor("energy-delay product") == "term-energy-delay-product"


def test_a_meaning_is_a_sentence_or_two() -> None:
    for term in glossary.terms():
        assert term.meaning.endswith(".")
        assert len(re.findall(r"[.!?](?=\s|$)", term.meaning)) <= 2, term.name
        assert len(term.meaning) < 240, term.name


def test_files_of_the_documentation_exist_and_other_terms_too() -> None:
    names = {term.name for term in glossary.terms()}
    for term in glossary.terms():
        assert set(term.see) <= names
        for one in term.more:
            assert not one.startswith("docs/") or (ROOT / one).is_file()


def test_the_page_has_every_term_as_a_target_and_no_dead_link() -> None:
    text = environment().get_template("glossary_terms.html").render(parts=glossary.parts())
    found = Anchors(text)
    assert {term.id for term in glossary.terms()} <= set(found.ids)
    assert len(found.ids) == len(set(found.ids))
    assert {link.removeprefix("#") for link in found.links} <= set(found.ids)
    assert "<code>powercap</code>" in text
