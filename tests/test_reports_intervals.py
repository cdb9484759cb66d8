"""Numbers in the tables of views have a badge, and an interval or words on why there is none."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from energybench.reports import frames, site_builder
from energybench.reports.frames import Stored
from energybench.reports.numbers import Shown
from energybench.reports.views import breakdown, communication, machines, node_rows, noise, power, relaxing
from energybench.reports.views.view import View

MODULE = "site_records"


@pytest.fixture(scope="module")
def fakes(fake: Callable[[str], Any]) -> Any:
    return fake(MODULE)


def stored(*records: Mapping[str, Any]) -> list[Stored]:
    return [Stored(path=Path(f"{one['id']}.json"), record=one) for one in records]


def numbers(view: View) -> list[Shown]:
    return [cell for row in view.table.rows for cell in row if isinstance(cell, Shown)]


def traced(fakes: Any, name: str, created: str, **changes: Any) -> dict[str, Any]:
    trace = [[0, 0.1, "cpu.package-0", 5.0], [0, 0.2, "cpu.package-0", 6.0], [1, 0.1, "cpu.package-0", 7.0]]
    return dict(fakes.a_record(name, created=created, trace=trace, **changes))


def test_parts_by_domain_have_the_interval_of_their_counter(fakes):
    view = breakdown.view(stored(fakes.a_record("a", 1e-3)))
    cell = view.table.rows[0][3]
    assert (cell.text, cell.interval, cell.provenance) == (
        "cpu.package-0 750 µJ (735 to 765 µJ), cpu.dram-0 250 µJ (245 to 255 µJ)",
        "",
        "measured",
    )
    assert view.table.rows[1][3].interval == "intervals of the parts not known"
    table = view.frame()
    row = table[(table["part"] == "cpu.package-0") & (table["phase"] == "windows")].iloc[0]
    assert row[["joules", "joules.low", "joules.high"]].tolist() == pytest.approx([7.5e-4, 7.35e-4, 7.65e-4])
    assert table[table["part"] == "active"]["joules.low"].isna().all()


@pytest.mark.parametrize("module", [breakdown, communication, relaxing, power])
def test_every_number_has_a_kind_and_an_interval_or_says_why_not(fakes, module):
    records = [*fakes.points(), *fakes.of_nodes(), *fakes.of_sweeps(), traced(fakes, "t", "2026-11-22T10:00:00Z")]
    found = numbers(module.view(stored(*records)))
    assert found
    assert {one.provenance for one in found} <= {"measured", "estimated", "modelled", "simulated"}
    assert [one.text for one in found if not one.interval and "(" not in one.text] == []


def test_bytes_and_seconds_of_a_step_have_the_interval_of_a_sample(fakes):
    one = next(fakes.of_nodes())
    one["results"] |= {"tcp_bytes_per_sample": fakes.metric(8.0, "B", "measured", low=7.0, high=9.0)}
    assert node_rows.step_limits(one["results"], "tcp_bytes") == pytest.approx((700.0, 900.0))
    assert node_rows.step_limits(one["results"], "seconds") is None
    view = communication.view(stored(one))
    sent, seconds = view.table.rows[0][3:5]
    assert (sent.interval, seconds.interval) == ("700 to 900 B", "interval not known")
    assert view.frame().iloc[0][["tcp_bytes.low", "tcp_bytes.high"]].tolist() == pytest.approx([700.0, 900.0])


def test_bytes_of_another_provenance_lend_no_interval(fakes):
    one = next(fakes.of_nodes())
    one["results"] |= {"tcp_bytes_per_sample": fakes.metric(8.0, "B", "modelled", low=7.0, high=9.0)}
    assert node_rows.step_limits(one["results"], "tcp_bytes") is None


def test_sweeps_are_exact_where_no_tolerance_ends_them(fakes):
    (one,) = fakes.of_sweeps()
    fixed = one | {"id": "f", "parameters": {"net": "64-128-10", "tolerance": 0}}
    said = {row[1]: row[2].interval for row in relaxing.view(stored(one, fixed)).table.rows}
    assert said == {"0.001": "mean, interval not known", "none": "exact"}


def test_the_variation_of_two_repeats_has_the_interval_of_two(fakes):
    view = machines.view(stored(fakes.a_record("a", 1e-4), fakes.a_record("b", 1.1e-4)))
    one = noise.noises(stored(fakes.a_record("a", 1e-4), fakes.a_record("b", 1.1e-4)))[0]
    spread = math.sqrt(0.5) * 0.1 / 1.05
    assert one.variation == pytest.approx(spread)
    # Square roots of the reciprocal of the 2.5 and 97.5 % points of chi-square with one degree: 5.0239 and 0.00098207.
    assert one.limits == pytest.approx((spread * 0.44614, spread * 31.910), rel=1e-4)
    assert all(isinstance(row[4], Shown) and row[4].interval for row in view.table.rows)


def test_an_older_trace_is_shown_with_its_day_where_the_newest_record_has_none(fakes):
    old, new = traced(fakes, "a", "2026-11-20T10:00:00Z"), fakes.a_record("b", created="2026-11-21T10:00:00Z")
    view = power.view(stored(old, new))
    assert view.table.rows[0][0] == "qnn-infer, of 2026-11-20 10:00"
    assert view.frame()["created"].unique().tolist() == ["2026-11-20T10:00:00Z"]
    later = traced(fakes, "c", "2026-11-22T10:00:00Z")
    assert power.view(stored(old, new, later)).table.rows[0][0] == "qnn-infer"
    assert set(power.view(stored(old, new, later)).frame()["record"]) == {"c"}


def test_the_page_of_traces_keeps_an_older_one(fakes, tmp_path):
    for one in (traced(fakes, "a", "2026-11-20T10:00:00Z"), fakes.a_record("b", created="2026-11-21T10:00:00Z")):
        fakes.put(tmp_path / "records", one)
    for _ in range(2):  # read from files, then from what was kept of them
        site = site_builder.build(tmp_path / "records", tmp_path / "site").parent
        assert "qnn-infer, of 2026-11-20 10:00" in (site / "view-power.html").read_text(encoding="utf-8")


def test_shaded_windows_are_in_the_legend(fakes):
    view = power.view(stored(traced(fakes, "a", "2026-11-20T10:00:00Z")))
    assert view.figures is not None
    (figure,) = view.figures(False).values()
    assert [text.get_text() for text in figure.legends[0].texts] == ["cpu.package-0", "every other window"]


def test_the_trace_of_an_estimate_is_estimated(fakes):
    one = fakes.a_record("a", sources=[["node.estimate", "estimate", "estimated"]])
    one["windows"][0]["trace"] = [[0.1, "node.estimate", 3.0], [0.1, "cpu.package-0", 5.0], [0.1, "unheard", 1.0]]
    table = frames.traces(stored(one)).set_index("domain")["provenance"]
    assert table[["node.estimate", "cpu.package-0"]].tolist() == ["estimated", "measured"]
    assert pd.isna(table["unheard"])
