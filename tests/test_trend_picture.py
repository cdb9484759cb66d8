"""The picture of a series over commits that a page has without a script."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from energybench.gating.commits import Commit
from energybench.gating.observed import Track
from energybench.gating.series import Key
from energybench.reports import trend_picture
from energybench.reports.views.curves import Curve, Level, Value

COMMITS = [f"{number:07x}a" for number in range(100)]


def a_curve(values: Sequence[float], kind: str = "measured", unit: str = "J", **changes: Any) -> Curve:
    key = Key(workload="w", parameters=(), metric="joules_per_sample")
    about: dict[str, Any] = {"family": "joules", "unit": unit, "provenance": kind, "margin": None}
    track = Track(key=key, higher_is_better=False, exact=False, **about)
    told = tuple(Value(n, COMMITS[n], value, 1e-6, 1) for n, value in enumerate(values))
    levels = (Level(first=0, last=len(told) - 1, value=values[0]),)
    return Curve(**{"track": track, "lane": {}, "values": told, "levels": levels, "changes": (), "steps": ()} | changes)


def read(one: Curve) -> tuple[ET.Element, list[str]]:
    tree = ET.fromstring(trend_picture.picture(one, COMMITS, "what it shows \u202e"))
    return tree, [text.text or "" for text in tree.iter("text")]


@pytest.mark.parametrize("kind", ["measured", "estimated", "modelled", "simulated"])
def test_each_kind_has_its_own_mark_and_its_name_at_the_axis(kind: str) -> None:
    tree, texts = read(a_curve([2e-4, 2.1e-4, 2.2e-4], kind))
    (marks,) = (one for one in tree.iter("path") if one.get("class") == "mark")
    assert (marks.get("d") or "").count(trend_picture.MARKS[kind]) == 3
    assert len(set(trend_picture.MARKS.values())) == 4
    assert f"{kind} J per sample" in texts
    assert tree.get("class") == f"trend {kind}"


def test_ticks_have_units_and_tell_values_apart_and_commits_are_named() -> None:
    _, texts = read(a_curve([2.000e-4, 2.004e-4, 2.008e-4]))
    ticks = [text for text in texts if text.endswith(" µJ")]
    assert len(ticks) == len(set(ticks)) >= 3
    assert {COMMITS[0][:8], COMMITS[2][:8], "commits"} <= set(texts)


def test_a_change_is_marked_and_named_and_names_do_not_cover_one_another() -> None:
    def change(place: int, direction: str, word: str = "") -> Any:
        told = {"direction": direction, "word": word or direction, "certain": not word}
        return SimpleNamespace(commit=Commit(hash=COMMITS[place]), change=0.3, absolute=False, unit="J", **told)

    changes = (change(1, "worse"), change(2, "worse"), change(8, "worse", "perhaps worse"), change(9, "better"))
    tree, texts = read(a_curve([1e-4 * (1 + n) for n in range(10)], changes=changes))
    drawn = [one.get("class") for one in tree.iter("path") if (one.get("class") or "").startswith("change")]
    assert sorted(map(str, drawn)) == ["change better", "change perhaps", "change worse", "change worse"]
    assert [text for text in texts if "+30 %" in text] == ["+30 % better", "+30 % worse"]


def test_of_very_many_values_the_lowest_and_highest_of_each_column_are_drawn() -> None:
    values = [1e-4] * 100
    values[50] = 9e-4
    tree, _ = read(a_curve(values))
    (line,) = tree.iter("polyline")
    heights = [float(point.split(",")[1]) for point in (line.get("points") or "").split()]
    assert heights.count(min(heights)) == 1
    assert not [one for one in tree.iter("path") if one.get("class") == "mark"]


def test_what_it_shows_is_told_without_characters_that_nobody_sees() -> None:
    tree, _ = read(a_curve([1e-4, 2e-4]))
    assert tree.get("aria-label") == "what it shows \\u202e"
