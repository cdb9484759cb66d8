"""Pictures in fewer bytes: the same picture to the eye, in an address that needs no quoting."""

from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree as ET

import pytest
from matplotlib.figure import Figure

from energybench.reports import compact, figures

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def drawn(tmp_path: Path) -> str:
    figure = Figure(figsize=(4, 3))
    axis = figure.subplots()
    axis.plot([1.23456, 2.34567, 3.5], [0.001234, 0.002345, 0.0049])
    axis.set_title("100 % of \"a\" & 'b' #1", weight="bold")
    return figures.save(figure, tmp_path / "a.svg").read_text(encoding="utf-8")


def test_every_path_and_glyph_is_still_there_and_every_reference_leads_to_one(drawn: str) -> None:
    before, after = (ET.fromstring(text) for text in (drawn, compact.svg(drawn)))
    for tag in ("path", "use", "g", "clipPath", "rect"):
        assert len(list(before.iter(f"{SVG}{tag}"))) == len(list(after.iter(f"{SVG}{tag}"))), tag
    ids = {one.get("id") for one in after.iter() if one.get("id")}
    links = {one.get("{http://www.w3.org/1999/xlink}href") for one in after.iter(f"{SVG}use")}
    assert {f"#{one}" for one in ids} >= links
    assert len(links) > 10
    assert len(compact.svg(drawn)) < 0.8 * len(drawn)


def test_coordinates_are_those_of_the_picture_to_a_hundredth(drawn: str) -> None:
    def numbers(text: str) -> list[float]:
        paths = [one.get("d", "") for one in ET.fromstring(text).iter(f"{SVG}path")]
        spaced = [path.translate({ord(letter): f" {letter} " for letter in "MLQzC"}) for path in paths]
        return [float(part) for path in spaced for part in path.replace(",", " ").split() if part not in "MLQzC"]

    assert numbers(compact.svg(drawn)) == pytest.approx(numbers(drawn), abs=0.0051)


def test_the_address_has_no_space_quote_or_sign_that_ends_it_and_holds_the_picture(drawn: str) -> None:
    address = compact.svg_url(drawn)
    assert not set(address) & set(" \n\t\"'<>#&")
    assert unquote(address.removeprefix("data:image/svg+xml,")) == compact.svg(drawn)


def test_words_within_a_picture_keep_their_numbers_and_signs() -> None:
    text = '<svg x="1.23456"><title>a: 1.23456; b</title><text aria-label="c: 2.34567">d:  e</text></svg>'
    assert compact.svg(text) == text.replace('x="1.23456"', 'x="1.23"')
