"""Numbers that cannot be: they are named, stay in tables and data, and are left out of axes."""

import json
import warnings
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from energybench.reports import odd, site_builder
from energybench.reports.frames import Stored
from energybench.reports.numbers import quantity
from energybench.reports.views import frontier, roofline, tradeoff

NOW = datetime(2026, 11, 29, tzinfo=UTC)


@pytest.fixture(scope="module")
def fakes(fake: Callable[[str], Any]) -> Any:
    return fake("site_records")


def changed(fakes: Any, name: str = "a", joules: float = 2e-4, **results: Any) -> dict[str, Any]:
    """A record with other results."""
    one = json.loads(json.dumps(fakes.a_record(name, joules, parameters={"bits": ord(name[0]) - ord("a") + 1})))
    for metric, values in results.items():
        one["results"][metric] = one["results"].get(metric, fakes.metric(1.0, "1", "measured")) | values
    return dict(one)


def stored(*records: Mapping[str, Any]) -> list[Stored]:
    return [Stored(path=Path(f"{one['id']}.json"), record=one) for one in records]


@pytest.mark.parametrize(
    ("results", "said"),
    [
        ({"seconds_per_sample": {"value": 0.0}}, "its seconds_per_sample is 0 s, and must be more than 0"),
        ({"seconds_per_sample": {"value": -1.0}}, "its seconds_per_sample is −1.00 s, and must be more than 0"),
        ({"joules_per_sample": {"value": 1e-4, "unit": "kWh"}}, "its joules_per_sample is in kWh, and not in J"),
        ({"modelled_joules_per_sample": {"unit": "1"}}, "its modelled_joules_per_sample is in no unit, and not in J"),
        ({"accuracy": {"value": 1.5}}, "its accuracy is 1.5, and a share is 0 to 1"),
        ({"accuracy": {"value": -0.1}}, "its accuracy is -0.1, and a share is 0 to 1"),
        ({"joules_per_sample": {"value": -2.0}}, "its joules_per_sample is −2.00 J, and cannot be less than 0"),
        ({"bytes": {"value": 1e300}}, "its bytes is 1.00 × 10³⁰⁰, and nothing is so large"),
    ],
)
def test_what_cannot_be_is_named(fakes, results, said):
    assert odd.what_cannot_be(changed(fakes, **results)) == said


def test_ordinary_records_and_units_in_words_are_not_odd(fakes):
    assert odd.what_cannot_be(changed(fakes)) == ""
    assert odd.what_cannot_be(changed(fakes, joules_per_sample={"unit": "joules/sample"})) == ""
    assert odd.what_cannot_be(changed(fakes, net_joules_per_sample={"value": -1e-6, "unit": "J"})) == ""


@pytest.mark.parametrize("created", ["1970-01-01T00:00:00Z", "1999-12-31T23:59:59Z", "2026-12-01T00:00:00Z"])
def test_a_moment_that_cannot_be_is_not_the_newest(fakes, created):
    records = stored(changed(fakes) | {"created": "2026-11-20T10:00:00Z"}, changed(fakes, "b") | {"created": created})
    assert odd.newest_day(records, NOW) == "2026-11-20"
    assert odd.newest_day(records[1:], NOW) == ""


def test_a_day_ahead_is_another_time_zone(fakes):
    assert odd.newest_day(stored(changed(fakes) | {"created": "2026-11-30T10:00:00Z"}), NOW) == "2026-11-30"


def test_a_wrong_clock_is_told_on_the_page(fakes):
    (told,) = odd.odd(stored(changed(fakes), changed(fakes, "b") | {"created": "2999-01-01T00:00:00Z"}))
    assert told.path == Path("b.json")
    assert told.reason.startswith("it was created on 2999-01-01, so the clock was wrong. ")


@pytest.mark.parametrize("view", [frontier.view, tradeoff.view, roofline.view])
def test_an_odd_point_is_left_out_of_axes_and_stays_in_the_table_and_the_data(fakes, view):
    ordinary = [changed(fakes, "a", 2e-4), changed(fakes, "b", 3e-4)]
    before, after = view(stored(*ordinary)), view(stored(*ordinary, changed(fakes, "c", 1e12)))
    assert {name: figure.axes[0].get_xlim() for name, figure in after.figures(False).items()} == {
        name: figure.axes[0].get_xlim() for name, figure in before.figures(False).items()
    }
    (note,) = [one for one in after.notes if str(one).startswith("Not drawn")]
    assert note.startswith("Not drawn, for the numbers cannot be: qnn-infer, bits 3 (its joules_per_sample would take ")
    assert len(after.frame()) == len(before.frame()) * 3 // 2
    assert quantity(1e12, "J") in [getattr(cell, "text", cell) for row in after.table.rows for cell in row]


def test_an_impossible_accuracy_beats_nothing(fakes):
    table = frontier.view(
        stored(changed(fakes, "a", 2e-4), changed(fakes, "b", 1e-4, accuracy={"value": 95.0}))
    ).frame()
    measured = table[table["provenance"] == "measured"].set_index("weight_bits")["on_frontier"]
    assert measured.to_dict() == {1: True, 2: False}


def test_an_impossible_time_is_on_no_front(fakes):
    odd_one = changed(fakes, "b", 1e-4, accuracy={"value": 95.0}, seconds_per_sample={"value": 1e-12})
    table = tradeoff.view(stored(changed(fakes, "a", 2e-4), odd_one)).frame()
    measured = table[table["provenance"] == "measured"].set_index("record")["on_front"]
    assert measured.to_dict() == {"a": True, "b": False}


def test_only_odd_points_leave_a_table_without_a_figure(fakes):
    for view in (frontier.view, tradeoff.view, roofline.view):
        shown = view(stored(changed(fakes, "a", 1e12)))
        assert (shown.figures, shown.empty) == (None, None)
        assert shown.table.rows


def test_a_site_of_values_near_the_largest_float_is_built_without_a_warning(fakes, tmp_path):
    records = [changed(fakes, "a"), changed(fakes, "b", 1e300), changed(fakes, "c", 1e303)]
    records[2]["results"]["accuracy"]["value"] = 1e304
    records.append(changed(fakes, "d") | {"workload": {"name": "", "version": 1, "definition": {}}})
    for one, commit in zip(records, ("a" * 40, "b" * 40, "not a hash", "c" * 40), strict=True):
        one["machine"]["git"] = {"commit": commit, "dirty": False}
        fakes.put(tmp_path / "records", one)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        index = site_builder.build(tmp_path / "records", tmp_path / "site")
    assert "The numbers of 2 records cannot be." in index.read_text(encoding="utf-8")
    assert ">(no name)</a>" in index.read_text(encoding="utf-8")
    assert {one.name[:10] for one in index.parent.glob("commit-*.html")} == {"commit-aaa", "commit-bbb", "commit-ccc"}
