"""Badges: well-formed whatever they are called, readable, and never without the kind of joule."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energybench.gating.series import Key
from energybench.gating.verdicts import Judgement, Verdict, Word
from energybench.model import Provenance
from energybench.reports import badge, site_builder

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "<script>alert('x')</script>\"&\x00\u202e]]>"


def result(value: float, provenance: str = "measured", unit: str = "J", **rest: float) -> dict[str, Any]:
    return {"value": value, "unit": unit, "provenance": provenance} | rest


def words(svg: str) -> list[str]:
    return [one.text or "" for one in ET.fromstring(svg).iter(f"{SVG}text")]


def judged(*words: tuple[Word, Provenance, str], code: int) -> Judgement:
    verdicts = tuple(
        Verdict(
            key=Key(workload="w", parameters=(("n", number),), metric="m"),
            family="joules",
            unit=unit,
            provenance=provenance,
            higher_is_better=False,
            word=word,
        )
        for number, (word, provenance, unit) in enumerate(words)
    )
    return Judgement(base="a", head="b", verdicts=verdicts, alpha=0.01, family=len(verdicts), exit=code)


def test_a_measured_number_has_its_unit_its_interval_and_its_kind() -> None:
    drawn = badge.series(result(1.23e-5, low=1.19e-5, high=1.27e-5), label="joules/sample")
    assert words(drawn) == ["joules/sample", "12.3 µJ ± 3.3 % measured"]
    assert ET.fromstring(drawn).get("aria-label") == "joules/sample: 12.3 µJ ± 3.3 % measured"
    assert ET.fromstring(drawn).findtext(f"{SVG}title") == "joules/sample: 12.3 µJ ± 3.3 % measured"


def test_an_uncertainty_alone_is_shown_at_coverage_2() -> None:
    assert badge.amount(result(2.0, standard_uncertainty=0.02)) == "2.00 J ± 2 %"


def test_the_range_of_a_model_is_written_out_and_so_is_a_lopsided_or_wide_interval() -> None:
    assert badge.amount(result(1.73e-5, "estimated", low=5.78e-6, high=5.2e-5)) == "17.3 µJ (5.78 to 52.0 µJ)"
    assert badge.amount(result(2.0, "modelled", low=1.9, high=2.1)) == "2.00 J (1.90 to 2.10 J)"
    assert badge.amount(result(2.0, low=1.99, high=2.5)) == "2.00 J (1.99 to 2.50 J)"
    assert badge.amount(result(1.0, low=-1.0, high=3.0)) == "1.00 J (−1.00 to 3.00 J)"
    assert badge.amount(result(0.0, low=-1.0, high=1.0)) == "0 J (−1.00 to 1.00 J)"


def test_a_number_without_an_interval_states_none() -> None:
    drawn = badge.series(result(2.49e-6, "simulated"), label="joules/sample")
    assert words(drawn)[1] == "2.49 µJ simulated"


@pytest.mark.parametrize("kind", ["measured", "estimated", "modelled", "simulated"])
def test_every_kind_has_its_word_its_colour_and_its_mark(kind: str) -> None:
    drawn = badge.series(result(1e12, kind, unit="x" * 80), label="j")
    assert words(drawn)[1].endswith(f" {kind}")
    marks = {badge.series(result(1.0, one), label="j").split("<text")[1].split("/text>")[1] for one in badge.MARKS}
    assert len(marks) == 4
    assert badge.COLOURS[kind] in drawn


def test_a_verdict_says_how_many_and_of_which_kind() -> None:
    two = judged(("regression", "modelled", "J"), ("regression", "measured", "J"), ("pass", "estimated", "J"), code=1)
    assert words(badge.verdict(two)) == ["energy", "2 regressions, measured, modelled"]
    one = judged(("regression", "measured", "1"), ("pass", "modelled", "J"), code=1)
    assert words(badge.verdict(one, label="e")) == ["e", "1 regression, measured"]


def test_a_pass_is_of_the_joules_that_were_compared() -> None:
    passed = judged(("pass", "modelled", "J"), ("pass", "measured", "s"), ("left out", "estimated", "J"), code=0)
    assert words(badge.verdict(passed))[1] == "pass, modelled"
    assert badge.COLOURS["pass"] in badge.verdict(passed)
    assert words(badge.verdict(judged(("inconclusive", "measured", "J"), code=3)))[1] == "inconclusive, measured"
    assert words(badge.verdict(judged(code=2)))[1] == "not comparable"
    assert words(badge.verdict(judged(code=4)))[1] == "not measured"


def luminance(colour: str) -> float:
    parts = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    red, green, blue = (one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("ground", [badge.LABEL, *badge.COLOURS.values()])
def test_text_has_a_contrast_of_4_5_at_least(ground: str) -> None:
    assert (luminance(badge.INK) + 0.05) / (luminance(ground) + 0.05) >= 4.5


def test_it_is_wide_enough_for_its_text_in_the_type_that_it_was_reckoned_for() -> None:
    from matplotlib import get_data_path
    from matplotlib.textpath import TextPath

    assert get_data_path()
    text = "qnn-infer bits=8 · joules/sample 12.3 µJ ± 3 % measured WMQ"
    drawn = TextPath((0, 0), text, size=badge.SIZE).get_extents().width
    assert drawn == pytest.approx(badge.width(text), rel=0.03)


def test_it_needs_nothing_that_a_policy_could_forbid() -> None:
    drawn = badge.series(result(1.0), label=HOSTILE)
    assert not re.search(r"style|<script|\bid=|href|url\(", drawn.replace("&lt;script", ""))


@given(label=st.text(), message=st.text(), colour=st.sampled_from(sorted(badge.COLOURS)))
def test_a_badge_is_xml_whatever_it_says(label: str, message: str, colour: str) -> None:
    root = ET.fromstring(badge.badge(label, message, colour=colour))
    left, right = (one.text or "" for one in root.iter(f"{SVG}text"))
    assert len(left) <= 60
    assert len(right) <= 60
    assert {one.tag.removeprefix(SVG) for one in root.iter()} <= {"svg", "title", "path", "g", "text"}
    assert float(root.get("width", "0")) >= badge.width(left) + badge.width(right)


@given(text=st.text(), picture=st.text(min_size=1), page=st.text(min_size=1))
def test_a_snippet_is_one_image_in_one_link(text: str, picture: str, page: str) -> None:
    made = badge.snippet(picture, text, page)
    root = ET.fromstring(re.sub(r'height="20">', 'height="20"/>', made.html))
    assert [one.tag for one in root.iter()] == ["a", "img"]
    assert re.fullmatch(r"\[!\[(?:[^\[\]\\\n]|\\.)*\]\([^\s()<>]*\)\]\([^\s()<>]*\)", made.markdown)


def test_a_snippet_leads_to_the_report() -> None:
    made = badge.snippet("https://lab.example/badge-qnn.svg", "joules/sample: 12 µJ", "https://lab.example/?a=1&b=(2)")
    assert made.markdown == (
        "[![joules/sample: 12 µJ](https://lab.example/badge-qnn.svg)](https://lab.example/?a=1&b=%282%29)"
    )
    assert made.html == (
        '<a href="https://lab.example/?a=1&amp;b=%282%29">'
        '<img src="https://lab.example/badge-qnn.svg" alt="joules/sample: 12 µJ" height="20"></a>'
    )


def test_hostile_names_are_text_and_nothing_else() -> None:
    drawn = badge.series(result(1.0), label=HOSTILE)
    assert words(drawn)[0] == "<script>alert('x')</script>\"&\\x00\\u202e]]>"
    assert "\\<script\\>" in badge.snippet("b.svg", HOSTILE, "index.html").markdown


def test_a_verdict_that_is_none_names_every_kind_that_is_there_the_best_first() -> None:
    verdicts: list[tuple[Word, Provenance, str]] = [
        ("pass", "simulated", "J"),
        ("pass", "modelled", "J"),
        ("left out", "estimated", "J"),
        ("not measured", "measured", "s"),
    ]
    told = words(badge.verdict(judged(*verdicts, code=4)))[1]
    assert told == "not measured, estimated, modelled, simulated"


def test_a_badge_of_a_workload_is_of_the_real_machine_where_it_has_joules(
    fake: Callable[[str], Any], tmp_path: Path
) -> None:
    site = fake("site_records")
    metric = site.metric(3e-4, "J", "estimated", low=1e-4, high=9e-4)
    real = site.a_record("a", created="2026-11-20T10:00:00Z")
    real["results"] = {"estimated_joules_per_sample": metric}
    for part in ("total", "idle", "modelled"):
        del real[part]
    real["domains"], real["windows"] = {}, []
    later = site.a_record("b", 2e-4, "simulated", created="2026-11-21T10:00:00Z")
    bare = site.a_record("c", created="2026-11-22T10:00:00Z")
    bare["results"] = {"accuracy": bare["results"]["accuracy"]}
    alone = site.a_record("d", 2e-4, "simulated", workload={"name": "other", "version": 1, "definition": {}})
    for one in (real, later, bare, alone):
        site.put(tmp_path / "records", one)
    index = site_builder.build(tmp_path / "records", tmp_path / "site")
    told = words((index.parent / "badge-qnn-infer.svg").read_text(encoding="utf-8"))
    assert told[1] == "300 µJ (100 to 900 µJ) estimated"
    assert words((index.parent / "badge-other.svg").read_text(encoding="utf-8"))[1].endswith(" simulated")
