"""The views of a report: what each shows of records, what it leaves out and says so, and what would fill it."""

import json
import math
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from energybench import record as schema
from energybench.gate import judge
from energybench.gating.from_records import from_records
from energybench.gating.library import Library
from energybench.gating.observed import Track
from energybench.gating.rules import Rules
from energybench.gating.series import Floor, Key, Side
from energybench.gating.verdicts import Judgement, Verdict
from energybench.record import parse
from energybench.reports import commits, frames, labels, pages
from energybench.reports.frames import Stored
from energybench.reports.ledger import Ledger
from energybench.reports.numbers import Shown
from energybench.reports.views import (
    breakdown,
    ceilings,
    changed,
    changes,
    communication,
    curves,
    drawing,
    frontier,
    machines,
    noise,
    part_looks,
    parts,
    power,
    relaxing,
    roofline,
    scorecard,
    tradeoff,
    trend,
    trend_figure,
    views,
)
from energybench.reports.views.scatter import Spot
from energybench.reports.views.seen import Seen
from energybench.reports.views.view import MOST_ROWS, Link, Said, View, key_names, names
from energybench.reports.views.writing import write
from energybench.store import Stored as Kept

HOSTILE = '<script>alert("x")</script>&"\'$a^b$'
MODULES = (
    scorecard,
    changes,
    trend,
    frontier,
    tradeoff,
    breakdown,
    power,
    roofline,
    communication,
    relaxing,
    machines,
)


def metric(value: float, unit: str, provenance: str, **rest: Any) -> dict[str, Any]:
    return {"value": value, "unit": unit, "provenance": provenance, "higher_is_better": False} | rest


def energy(joules: float, provenance: str = "measured") -> dict[str, Any]:
    return {"joules": joules, "standard_uncertainty": joules / 100, "provenance": provenance, "probe": "powercap"}


def a_record(name: str = "a", joules: float = 2e-4, seconds: float = 1e-5, **changes: Any) -> dict[str, Any]:
    """A metered record of 6400 samples: 75 % in the package, 25 % in DRAM, 2 W at rest, and modelled joules."""
    kind = changes.pop("kind", "measured")
    whole = joules * 6400
    domains = {"cpu.package-0": energy(whole * 0.75, kind), "cpu.dram-0": energy(whole * 0.25, kind)}
    idle = {name: energy(watts * 4.0, kind) for name, watts in (("cpu.package-0", 1.5), ("cpu.dram-0", 0.5))}
    values = {
        "schema": 1,
        "id": name,
        "created": "2026-11-22T10:00:00Z",
        "energybench": "0.1.0",
        "protocol": {"version": 1, "windows": 2, "align": False},
        "workload": {"name": "qnn-infer", "version": 1, "definition": {"task": "digits"}},
        "parameters": {"bits": 8},
        "seed": 0,
        "quick": True,
        "machine": {"id": "box-1", "name": "the box"},
        "quiet": {"quiet": True},
        "seconds": 0.32,
        "steps": 100,
        "samples": 6400,
        "total": {"joules": whole, "standard_uncertainty": whole / 100, "provenance": kind, "domains": list(domains)},
        "domains": domains,
        "idle": [{"when": "before", "seconds": 4.0, "domains": idle, "watts": {}}],
        "modelled": {"table": "tiny", "joules": 6.4, "arithmetic_joules": 1.6, "memory_joules": 4.8},
        "operators": {"counts": {"operations": {"fp32.add": 100, "fp32.mul": 100, "int8.add": 1}}},
        "windows": [{"seconds": 0.16, "steps": 50, "samples": 3200}, {"seconds": 0.16, "steps": 50, "samples": 3200}],
        "results": {
            "joules_per_sample": metric(joules, "J", kind, low=joules * 0.9, high=joules * 1.1),
            "modelled_joules_per_sample": metric(1e-3, "J", "modelled"),
            "seconds_per_sample": metric(seconds, "s", "measured", low=seconds * 0.9, high=seconds * 1.1),
            "accuracy": metric(0.95, "1", "measured", higher_is_better=True),
            "operations_per_sample": metric(1e6, "op", "modelled"),
            "operand_bytes_per_sample": metric(5e5, "B", "modelled"),
        },
    }
    return values | changes


def kept(*records: Mapping[str, Any], folder: Path = Path("records")) -> list[Stored]:
    return [Stored(path=folder / f"{one['id']}.json", record=one) for one in records]


def cells(view: View) -> str:
    rows = [*view.table.rows, *view.table.folded]
    return " | ".join(str(getattr(cell, "text", cell)) for row in rows for cell in row)


def traced(samples: Sequence[Any], **changes: Any) -> dict[str, Any]:
    return a_record(trace=list(samples), **changes)


@pytest.fixture
def library(tmp_path: Path) -> Callable[..., Library]:
    """Records on disk with their library; git knows nothing of their commits."""

    def put(*records: Mapping[str, Any]) -> Library:
        for values in records:
            file = tmp_path / "records" / values["machine"]["id"] / f"{values['id']}.json"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(schema.dumps(schema.parse(values)), encoding="utf-8")
        return Library(repository=tmp_path, records=tmp_path / "records")

    return put


def of_commit(number: int, commit: str, joules: float = 2e-4, **changes: Any) -> dict[str, Any]:
    machine = {"id": "box-1", "name": "the box", "git": {"commit": commit, "dirty": False}}
    machine |= changes.pop("machine", {})
    created = f"2026-11-{1 + number // 24:02}T{number % 24:02}:00:00Z"
    return a_record(f"r{number}", joules, machine=machine, created=created, **changes)


def test_every_view_without_data_says_what_would_fill_it():
    found = views([])
    assert [one.name for one in found] == [
        "scorecard",
        "changes",
        "trend",
        "frontier",
        "time-energy",
        "breakdown",
        "power",
        "roofline",
        "communication",
        "relaxation",
        "machines",
    ]
    for one, module in zip(found, MODULES, strict=True):
        assert one.empty == module.EMPTY
        assert "`energybench" in one.empty
        assert one.figures is None
        assert one.table.rows == ()
        table = one.frame()
        assert table.empty
        assert tuple(table.columns) == module.COLUMNS


def test_every_column_of_the_data_is_documented_where_the_view_is_made():
    for module in MODULES:
        words = str(module.view.__doc__)
        assert [name for name in module.COLUMNS if name.rpartition(".")[2] not in words] == []


def test_the_energy_delay_product_of_2_joules_in_10_microseconds_is_20_microjoule_seconds():
    row = tradeoff.view(kept(a_record(joules=2.0))).frame().iloc[0]
    assert (row["provenance"], row["joules"], row["seconds"]) == ("measured", 2.0, 1e-5)
    assert row["energy_delay_product"] == pytest.approx(2e-5)
    assert row["joules.high"] == pytest.approx(2.2)


def test_what_another_point_beats_in_time_and_in_energy_is_not_on_the_front():
    points = ((1e-5, 3e-4), (2e-5, 1e-4), (3e-5, 2e-4))
    records = [a_record(f"r{n}", joules, seconds, parameters={"bits": n}) for n, (seconds, joules) in enumerate(points)]
    table = tradeoff.view(kept(*records)).frame()
    measured = table[table["provenance"] == "measured"]
    assert dict(zip(measured["record"], measured["on_front"], strict=True)) == {"r0": True, "r1": True, "r2": False}


def test_workloads_are_not_measured_by_one_front():
    other = {"name": "qnn-train", "version": 1, "definition": {}}
    table = tradeoff.view(kept(a_record("a", 1e-4), a_record("b", 9e-4, 9e-5, workload=other))).frame()
    assert set(table["on_front"]) == {True}


@given(st.lists(st.tuples(st.floats(1e-9, 1e9), st.floats(1e-9, 1e9)), min_size=1, max_size=30))
def test_a_front_beats_everything_that_is_not_on_it(points: list[tuple[float, float]]):
    spots = [Spot(group="a", x=x, y=y) for x, y in points]
    best = [spots[place] for place in tradeoff.front(spots)]
    assert best
    for one in spots:
        assert any(other.x <= one.x and other.y <= one.y for other in best)
    for one in best:
        assert not any((o.x < one.x and o.y <= one.y) or (o.x <= one.x and o.y < one.y) for o in spots)


@pytest.mark.parametrize("dark", [False, True])
def test_kinds_of_joule_have_a_panel_each_in_every_view(dark: bool):
    stored = kept(a_record("a"), a_record("b", kind="simulated", machine={"id": "sim", "name": "sim"}))
    for view in (tradeoff.view(stored), roofline.view(stored), breakdown.view(stored)):
        assert view.figures is not None
        for name, figure in view.figures(dark).items():
            (axis,) = figure.axes
            kind = name.partition("-")[0]
            assert kind in {"measured", "simulated", "modelled"}
            assert kind in f"{axis.get_xlabel()} {axis.get_ylabel()}"
            assert kind in view.alts[name].lower()


def test_ten_thousand_points_are_thinned_and_what_is_not_drawn_is_counted(tmp_path):
    records = [
        a_record(f"r{n}", 1e-6 * (1 + n % 1000), 1e-7 * (1 + n % 997), parameters={"batch": n}) for n in range(10_000)
    ]
    view = tradeoff.view(kept(*records))
    assert len(view.frame()) == 20_000
    assert f"The table lists {MOST_ROWS} of 20,000 points; the data has all of them." in view.notes
    assert any("of 10,000 measured points are drawn" in note for note in view.notes)
    assert view.figures is not None
    (axis,) = view.figures(False)["measured"].axes
    assert 100 < sum(len(line.get_xdata()) for line in axis.lines) < 1200
    (tmp_path / "figures").mkdir()
    write(view, Ledger(tmp_path))
    assert max(file.stat().st_size for file in (tmp_path / "figures").iterdir()) < 400_000
    others = [roofline.view(kept(*records)), breakdown.view(kept(*records)), machines.view(kept(*records))]
    assert any("of 10,000 points are drawn by domains" in note for note in others[1].notes)
    for other in others:
        assert other.figures is not None
        assert len(other.figures(False)) <= 8


@given(st.lists(st.tuples(st.floats(1e-12, 1e12), st.floats(1e-12, 1e12)), min_size=1, max_size=900))
def test_thinning_leaves_a_point_in_every_cell_and_those_that_must_stay(points: list[tuple[float, float]]):
    left = drawing.thin(points, kept=[0])
    assert 0 in left
    assert left == sorted(set(left))
    assert len(left) == len(points) or len(left) <= (drawing.COLUMNS + 1) * (drawing.LINES + 1) + 1


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=2000), st.integers(1, 50))
def test_an_outline_keeps_the_lowest_and_the_highest_point(values: list[float], columns: int):
    line = [(float(x), y) for x, y in enumerate(values)]
    left = drawing.outline(line, columns)
    assert len(left) <= max(2 * columns, 1)
    assert left == sorted(left)
    assert {min(values), max(values)} <= {y for _, y in left}


@pytest.mark.parametrize("joules", [1e12, 1e-15])
def test_absurd_joules_are_drawn_beside_ordinary_ones_and_printed_as_they_are(joules: float):
    others = [a_record(f"r{n}", parameters={"bits": n}) for n in range(1, 4)]
    stored = kept(a_record("absurd", joules, parameters={"bits": 99}), *others)
    for view in views(stored):
        for figure in (view.figures(False) if view.figures else {}).values():
            figure.draw_without_rendering()
    assert ("1.00 TJ" if joules > 1 else "0.00100 pJ") in cells(tradeoff.view(stored))


def test_a_record_without_domains_has_no_bar_of_them():
    bare = {name: value for name, value in a_record().items() if name not in {"total", "idle"}}
    bare |= {"domains": {"cpu.package-0": {"unavailable": "no rights", "remedy": "chmod"}}}
    bare["results"] = {name: one for name, one in bare["results"].items() if name != "joules_per_sample"}
    for view in views(kept(bare)):
        for figure in (view.figures(False) if view.figures else {}).values():
            figure.draw_without_rendering()
    table = breakdown.view(kept(bare)).frame()
    assert set(table["of"]) == {"terms"}
    assert list(table["joules"]) == pytest.approx([7.5e-4, 2.5e-4])


def test_domains_add_up_to_the_total_and_static_to_what_rest_would_have_taken():
    domains, split, terms = parts.bars(a_record(joules=2e-4))
    assert domains.parts == pytest.approx({"cpu.package-0": 1.5e-4, "cpu.dram-0": 0.5e-4})
    # 2 W for 0.32 s are 0.64 J, over 6400 samples.
    assert split.parts == pytest.approx({"static": 1e-4, "active": 1e-4})
    assert terms.parts == pytest.approx({"memory": 7.5e-4, "arithmetic": 2.5e-4})
    assert domains.limits == pytest.approx((1.8e-4, 2.2e-4))


def test_active_joules_below_zero_are_shown_as_they_are():
    split = parts.bars(a_record(joules=0.5e-4))[1]
    assert split.parts["active"] == pytest.approx(-0.5e-4)
    view = breakdown.view(kept(a_record(joules=0.5e-4)))
    assert "active −50.0 µJ" in cells(view)
    assert view.figures is not None
    (axis,) = view.figures(False)["measured-static-and-active"].axes
    assert axis.get_xlim()[0] < 0


def test_what_a_total_has_and_no_domain_tells_is_a_part_of_its_own():
    record = a_record()
    record["domains"] = {"cpu.package-0": record["domains"]["cpu.package-0"]}
    assert parts.bars(record)[0].parts == pytest.approx({"cpu.package-0": 1.5e-4, parts.REST: 0.5e-4})


def test_the_phases_have_two_watts_at_rest_and_four_in_the_windows():
    idle, windows = parts.phases(a_record(joules=2e-4))
    assert (idle.name, windows.name) == ("idle before", "windows")
    assert sum(idle.watts.values()) == pytest.approx(2.0)
    assert sum(windows.watts.values()) == pytest.approx(4.0)


def test_a_point_without_a_baseline_is_counted():
    bare = a_record("b", parameters={"bits": 1}, idle=[])
    view = breakdown.view(kept(a_record(), bare))
    assert "1 of 2 points have no idle baseline, so no static part." in view.notes


def test_a_hundred_parts_are_seven_and_the_rest_together():
    many = {f"gpu.{n}": 1.0 + n for n in range(100)}
    named = parts.common([many])
    assert len(named) == parts.MOST_PARTS
    told = parts.gathered(many, named)
    assert math.fsum(told.values()) == pytest.approx(math.fsum(many.values()))
    assert part_looks.OTHERS in told


def test_windows_of_a_trace_lie_end_to_end_and_a_throttled_one_is_marked():
    windows = a_record()["windows"]
    windows[1] |= {"flags": ["throttled"]}
    record = traced([[0, 0.1, "gpu.0", 50.0], [1, 0.1, "gpu.0", 30.0]], windows=windows)
    view = power.view(kept(record))
    assert view.figures is not None
    (axis,) = view.figures(False)["1-measured"].axes
    places = [float(x) for line in axis.lines for x in line.get_xdata()]
    assert places == pytest.approx([0.1, 0.26])
    assert [text.get_text() for text in axis.texts] == ["T"]
    assert "1 windows throttled" in view.alts["1-measured"]
    assert list(view.frame()["throttled"]) == [False, True]


def test_samples_that_are_none_are_counted_and_left_out():
    view = power.view(kept(traced([[0, 0.1, "gpu.0", 50.0], ["?"], [0, "soon", "gpu.0", 1.0]])))
    assert len(view.frame()) == 1
    assert "2 samples are none and are left out." in view.notes


def test_ten_thousand_samples_are_drawn_as_their_outline():
    samples = [[0, n / 1e5, "gpu.0", 40.0 + n % 7] for n in range(10_000)]
    samples[4321][3] = 900.0
    view = power.view(kept(traced(samples)))
    assert len(view.frame()) == 10_000
    assert view.figures is not None
    (axis,) = view.figures(False)["1-measured"].axes
    (line,) = axis.lines
    assert len(line.get_xdata()) <= 2 * drawing.ACROSS
    assert max(line.get_ydata()) == 900.0


def test_watts_of_different_kinds_have_a_panel_each():
    record = traced([[0, 0.1, "cpu.package-0", 5.0], [0, 0.1, "gpu.0", 50.0]])
    record["domains"]["gpu.0"] = energy(1.0, "simulated")
    view = power.view(kept(record))
    assert view.figures is not None
    assert list(view.figures(False)) == ["1-measured", "2-simulated"]


def test_a_commit_lists_as_many_series_as_a_page_shows_and_tells_how_many_there_are():
    now = Shown(text="1.00 J", interval="", provenance="measured", value=1.0)
    rows = [
        commits.Row(name=f"s{n}", page="x", now=now, before=now if n < 2500 else None, difference="", size=0.0)
        for n in range(3000)
    ]
    told = commits._parted(rows)
    assert (len(told["rows"]), told["row_count"]) == (commits.MOST_SERIES, 2500)
    assert (len(told["begun"]), told["begun_count"]) == (commits.MOST_SERIES, 500)
    assert told["rows"] == rows[: commits.MOST_SERIES]


def test_only_the_newest_traces_are_drawn_and_the_others_counted():
    records = [traced([[0, 0.1, "gpu.0", 5.0]], name=f"r{n}", parameters={"bits": n}) for n in range(9)]
    view = power.view(kept(*records))
    assert "6 of 9 traces are drawn, the newest; the data has all of them." in view.notes


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    operations = [("fp32.add", 1.0), ("fp32.mul", 3.0), ("int8.add", 0.1)]
    memories = [{"memory": "dram", "bits": 64, "picojoules": [800, 1600]}]
    rows = [{"operation": name, "picojoules": cost} for name, cost in operations]
    (tmp_path / "tiny.json").write_text(json.dumps({"operations": rows, "memories": memories}), encoding="utf-8")
    return tmp_path


def test_a_ceiling_is_what_a_table_allows_for_operations_and_bytes(tables):
    (one,) = ceilings.ceilings("tiny", ["fp32"], tables)
    assert one.joules_per_operation == pytest.approx(2e-12)
    assert one.joules_per_byte == pytest.approx((1e-10, 2e-10))
    # 2 pJ for the operation, 100 pJ/B at 50 operations a byte: 4 pJ.
    assert one.at(50.0, 1e-10) == pytest.approx(2.5e11)


def test_ceilings_are_drawn_for_modelled_joules_and_formats_that_matter_alone(tables):
    view = roofline.view(kept(a_record()), tables=tables)
    assert view.figures is not None
    figures = view.figures(False)
    labels = {name: [text.get_text().strip() for text in figure.axes[0].texts] for name, figure in figures.items()}
    assert labels == {"measured": [], "modelled": ["fp32"]}
    assert view.frame()["operations_per_joule"].tolist() == pytest.approx([5e9, 1e9])
    assert view.frame()["operations_per_byte"].tolist() == pytest.approx([2.0, 2.0])


@pytest.mark.parametrize("name", ["elsewhere", "../tiny", HOSTILE])
def test_a_table_that_is_not_installed_gives_no_ceiling_and_says_so(tables, name: str):
    record = a_record(modelled={"table": name, "joules": 6.4, "arithmetic_joules": 1.6, "memory_joules": 4.8})
    view = roofline.view(kept(record), tables=tables / "deeper")
    assert f"No ceilings: the energy table {name} is not installed here." in view.notes


def test_the_tables_of_this_package_have_ceilings():
    for table in ("horowitz-45nm", "jouppi-7nm"):
        assert [one.name for one in ceilings.ceilings(table, ["fp32", "int8", "b1"])] == ["fp32", "int8", "b1"]


def verdict(number: int, word: str, change: float | None = None, **rest: Any) -> Verdict:
    key = Key(workload="w", parameters=(("n", number),), metric="joules_per_sample")
    values: dict[str, Any] = {"family": "joules", "unit": "J", "provenance": "measured", "higher_is_better": False}
    values |= {"word": word, "change": change, "base": 1.0, "head": 1.0 + (change or 0.0), "margin": 0.05}
    return Verdict(key=key, **(values | rest))


def judgement(*verdicts: Verdict) -> Judgement:
    return Judgement(base="old", head="new", verdicts=verdicts, alpha=0.01, family=1, exit=1)


def test_regressions_come_first_and_the_surest_first_among_them():
    told = changed.ordered(
        [
            verdict(1, "pass", 0.001),
            verdict(2, "improvement", -0.5, low=-0.6, high=-0.4),
            verdict(3, "regression", 0.9, low=0.1, high=1.7),
            verdict(4, "regression", 0.2, low=0.19, high=0.21),
            verdict(5, "inconclusive", 0.3, low=0.0, high=0.6, suspect=True),
        ]
    )
    assert [dict(one.key.parameters)["n"] for one in told] == [4, 3, 5, 2, 1]


def test_what_did_not_move_is_folded_away():
    view = scorecard.view(judgement(verdict(1, "pass", 0.001), verdict(2, "regression", 0.2, low=0.1, high=0.3)))
    assert [row[1] for row in view.table.rows] == [Said(text="worse", certain=True)]
    assert [row[1] for row in view.table.folded] == ["pass"]
    assert view.told == (
        "new against old: 1 series is worse: joules of w, n 2, +20 %.",
        "1 did not move beyond its margin.",
    )
    assert view.figures is not None
    (axis,) = view.figures(False)["measured-share"].axes
    assert [text.get_text() for text in axis.texts] == ["worse · joules of w, n 2"]


def test_a_point_that_head_did_not_measure_at_all_is_one_row_after_what_moved():
    def missing(number: int, metric: str) -> Verdict:
        key = Key(workload="w", parameters=(("n", number),), metric=metric)
        return replace(verdict(number, "not measured", reason="new has no such series"), key=key, head=None)

    partly = [missing(1, "seconds_per_sample"), verdict(1, "inconclusive", 0.2, low=-0.1, high=0.5)]
    lost = [missing(2, "joules_per_sample"), missing(2, "seconds_per_sample"), missing(2, "accuracy")]
    view = scorecard.view(judgement(*lost, *partly))
    assert [(str(row[0]), row[1], row[-1]) for row in view.table.rows] == [
        ("seconds of w, n 1", "not measured", "new has no such series"),
        ("joules of w, n 1", "inconclusive", ""),
        ("w, n 2", "not measured", "none of its 3 series: new has no such series"),
    ]
    assert len(view.frame()) == 5
    assert "4 were not measured at new." in view.told


def test_an_exact_change_weighs_what_it_is_of_its_margin_or_of_5_percent():
    assert changed.weight(verdict(1, "regression", 0.3, margin=0.1)) == pytest.approx(3.0)
    assert changed.weight(verdict(1, "regression", 0.3, margin=0.0)) == pytest.approx(6.0)
    assert changed.weight(verdict(1, "regression", 0.2, low=0.1, high=0.3)) == pytest.approx(2.0)
    assert changed.weight(verdict(1, "pass", 0.0)) == 0.0


def test_a_tiny_exact_change_stands_after_a_measured_regression_and_the_largest_exact_one_first():
    told = changed.ordered(
        [
            verdict(1, "regression", 1e-9, margin=0.0),
            verdict(2, "regression", 0.04, margin=0.0),
            verdict(3, "regression", 0.3, low=0.25, high=0.35),
            verdict(4, "regression", 2.0, margin=0.0),
            verdict(5, "pass", 1e-9, margin=0.0),
            verdict(6, "pass", 0.02, low=-0.01, high=0.05),
        ]
    )
    assert [dict(one.key.parameters)["n"] for one in told] == [4, 3, 2, 1, 6, 5]


@given(st.floats(1e-9, 0.0499), st.floats(0.001, 10.0), st.floats(0.0, 0.999))
def test_no_exact_change_below_5_percent_stands_before_a_certain_one(exact: float, change: float, part: float):
    sure = verdict(1, "regression", change, low=change * part, high=change * (2 - part))
    assert changed.ordered([verdict(2, "regression", exact, margin=0.0), sure])[0] is sure


def test_ten_thousand_series_are_twelve_rows_a_table_and_a_note():
    many = [verdict(n, "regression", 0.1 + n / 1e5, low=0.0, high=1.0) for n in range(10_000)]
    view = scorecard.view(judgement(*many))
    assert len(view.frame()) == 10_000
    assert len(view.table.rows) == MOST_ROWS
    assert "12 of 10,000 measured series are drawn: the first ones of the table." in view.notes
    assert view.figures is not None
    assert len(view.figures(False)["measured-share"].axes[0].texts) == drawing.MOST_DRAWN


@pytest.mark.parametrize("change", [1e12, 5.0, -0.999999, 1e-9])
def test_changes_of_any_size_can_be_drawn(change: float):
    view = scorecard.view(
        judgement(verdict(1, "regression", change), verdict(2, "regression", 0.1, low=0.05, high=0.2))
    )
    assert view.figures is not None
    figure = view.figures(False)["measured-share"]
    figure.draw_without_rendering()
    low, high = figure.axes[0].get_xlim()
    assert low <= change <= high


def test_kinds_and_differences_share_no_panel():
    view = scorecard.view(
        judgement(
            verdict(1, "regression", 0.1),
            verdict(2, "regression", 0.1, provenance="simulated"),
            verdict(3, "regression", -0.1, absolute=True, family="accuracy", higher_is_better=True),
        )
    )
    assert view.figures is not None
    assert list(view.figures(False)) == ["measured-share", "measured-difference", "simulated-share"]
    assert "−10.0 points" in cells(view)


def test_the_newest_commit_is_judged_against_the_one_before_it(library):
    records = [of_commit(n, commit * 40, joules) for n, (commit, joules) in enumerate((("a", 1e-4), ("b", 2e-4)))]
    found = changed.newest_against_before(library(*records))
    assert list(found) == ["box-1"]
    assert (found["box-1"].base_commit, found["box-1"].head_commit) == ("a" * 40, "b" * 40)


def test_a_machine_with_one_commit_has_nothing_to_compare(library):
    assert scorecard.views(Seen(library(of_commit(0, "a" * 40))))[0].empty == scorecard.EMPTY


def test_each_machine_has_a_scorecard_of_its_own(library):
    records = [
        of_commit(2 * n + m, commit * 40, machine={"id": f"box-{m}", "name": "the box"})
        for n, commit in enumerate("ab")
        for m in range(2)
    ]
    found = scorecard.views(Seen(library(*records)))
    assert [one.title for one in found] == ["What changed, the box (box-0)", "What changed, the box (box-1)"]


def test_a_judgement_of_two_sets_of_records_is_a_scorecard():
    sides = [
        Side(name=name, series=from_records([Kept(path=Path("x"), record=parse(a_record(name, joules)))]).series)
        for name, joules in (("old", 1e-4), ("new", 1e-4))
    ]
    view = scorecard.view(judge(*sides, Rules()))
    assert view.title == "What changed"
    assert "modelled joules" in cells(view)
    assert set(view.frame()["verdict"]) <= set(changed.ORDER)


def stepped(count: int = 12) -> list[dict[str, Any]]:
    """Records over commits whose modelled joules double at the seventh."""
    found = []
    for n in range(count):
        record = of_commit(n, f"{n:040x}")
        record["results"]["modelled_joules_per_sample"]["value"] = 1e-3 if n < 6 else 2e-3
        found.append(record)
    return found


def test_a_series_that_changed_is_drawn_first_with_its_levels(library):
    view = trend.view(Seen(library(*stepped())))
    first = view.table.rows[0]
    assert first[0] == (Link(text="modelled joules of qnn-infer", page="workload-qnn-infer.html"),)
    assert "+100 % worse (exact) at " in str(first[-1])
    assert "git knows none of these commits, so they stand in the order of dates." in view.notes
    assert view.figures is not None
    (axis,) = view.figures(False)["01-modelled-joules-per-sample"].axes
    assert [text.get_text() for text in axis.texts] == ["+100 % worse"]
    table = view.frame()
    levels = table[table["metric"] == "modelled_joules_per_sample"]["level"]
    assert list(levels) == pytest.approx([1e-3] * 6 + [2e-3] * 6)


def test_another_kernel_is_a_step_and_no_change(library):
    records = [of_commit(n, f"{n:040x}", machine={"kernel": "6.1" if n < 3 else "6.2"}) for n in range(6)]
    table = trend.view(Seen(library(*records))).frame()
    steps = table[table["metric"] == "joules_per_sample"]["step_before"].dropna()
    assert list(steps) == ["kernel: 6.1 → 6.2"]


def test_commits_stand_in_the_order_of_git(tmp_path, library):
    def git(*arguments: str) -> str:
        who = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
        done = subprocess.run(["git", "-C", str(tmp_path), *who, *arguments], capture_output=True, check=True)
        return done.stdout.decode().strip()

    git("init", "-q")
    commits = []
    for name in ("one", "two"):
        git("commit", "-q", "--allow-empty", "-m", name)
        commits.append(git("rev-parse", "HEAD"))
    found = library(of_commit(5, commits[0]), of_commit(1, commits[1]))
    table = trend.view(Seen(found)).frame()
    assert list(table[table["metric"] == "joules_per_sample"]["commit"]) == commits


def test_of_many_series_twelve_are_drawn_and_the_rest_counted(library):
    records = [
        record | {"id": f"{record['id']}-{bits}", "parameters": {"bits": bits}}
        for record in stepped(3)
        for bits in range(5)
    ]
    view = trend.view(Seen(library(*records)))
    assert view.figures is not None
    assert len(view.figures(False)) == drawing.MOST_DRAWN
    assert any(note.startswith("12 of ") and "the first ones of the table" in note for note in view.notes)


def test_ten_thousand_commits_are_drawn_as_their_outline():
    key = Key(workload="w", parameters=(), metric="joules_per_sample")
    about: dict[str, Any] = {"family": "joules", "unit": "J", "provenance": "measured", "margin": None}
    track = Track(key=key, higher_is_better=False, exact=False, **about)
    values = [curves.Value(place=n, commit=f"{n:040x}", value=1.0 + n % 5, error=0.01, values=1) for n in range(10_000)]
    values[4321] = curves.Value(place=4321, commit="f" * 40, value=99.0, error=None, values=1)
    one = curves.Curve(track=track, lane={}, values=tuple(values), levels=(), changes=(), steps=())
    (axis,) = trend_figure.figure(one, {key: "joules of w"}, dark=False).axes
    drawn = [value for line in axis.lines for value in line.get_ydata()]
    assert len(drawn) <= 2 * drawing.ACROSS
    assert max(drawn) == 99.0


@pytest.mark.parametrize(
    ("value", "most", "wide", "text"),
    [
        (0.001, 0.001, 0.001, "1 mJ"),
        (0.0010002, 0.001001, 0.000002, "1.0002 mJ"),
        (501_250.0, 502e3, 4e3, "501.25 kJ"),
        (0.0, 1.0, 1e-6, "0 J"),
    ],
)
def test_a_tick_has_the_digits_that_tell_it_from_the_next(value: float, most: float, wide: float, text: str):
    assert drawing.tick_of(value, "J", most=most, wide=wide) == text


def test_the_variation_of_1_2_and_3_joules_is_a_half():
    (one,) = [
        one
        for one in noise.noises(kept(*(a_record(f"r{n}", joules) for n, joules in enumerate((1.0, 2.0, 3.0)))))
        if one.metric == "joules_per_sample"
    ]
    assert (one.repeats, one.variation) == (3, pytest.approx(0.5))


def test_records_of_different_commits_are_no_repeats():
    found = noise.noises(kept(of_commit(0, "a" * 40, 1.0), of_commit(1, "b" * 40, 2.0)))
    assert found == []


def test_the_floor_that_the_gate_goes_by_stands_beside_the_variation():
    view = machines.view(
        kept(a_record("a", 1.0), a_record("b", 1.1)),
        floor_of=lambda series: Floor(relative=0.02, degrees=5.0, source="5 canaries") if series else None,
    )
    assert "2.00 %, from 5 canaries" in cells(view)
    table = view.frame()
    assert set(table.loc[table["what"] == "noise", "floor"]) == {0.02}


def test_a_canary_beside_the_records_is_read_and_what_was_outside_is_crossed(tmp_path):
    lines = [{"when": f"2026-11-0{n}T00:00:00Z", "seconds": 0.02, "outside": n == 3} for n in range(1, 5)]
    lines.append({"when": "2026-11-05T00:00:00Z", "seconds": "soon"})
    (tmp_path / "canary.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    view = machines.view(kept(a_record(), folder=tmp_path))
    assert "4 runs: 20.0 ms to 20.0 ms; 1 outside" in view.alts["canary-1-seconds-measured"]
    table = view.frame()
    assert list(table.loc[table["what"] == "canary", "value"]) == [0.02] * 4
    assert view.figures is not None
    view.figures(False)["canary-1-seconds-measured"].draw_without_rendering()


def test_machines_of_one_name_are_told_apart():
    stored = kept(a_record("a"), a_record("b", machine={"id": "box-2", "name": "the box"}))
    assert names(stored) == ["qnn-infer, on the box (box-1)", "qnn-infer, on the box (box-2)"]


def test_only_parameters_that_vary_are_in_a_name():
    keys = [Key(workload="w", parameters=(("a", 1), ("b", n)), metric="joules_per_sample") for n in (1, 2)]
    assert list(key_names(keys).values()) == ["joules of w, b 1", "joules of w, b 2"]


def test_a_long_name_keeps_its_beginning_and_its_end():
    text = labels.shortened("a" * 40 + "b" * 40, 21)
    assert text == "a" * 10 + "…" + "b" * 10


def everything(folder: Path) -> list[Stored]:
    """Records that fill every view but those over commits, with markup in every name."""
    found = []
    for n, bits in enumerate((HOSTILE, "8")):
        for repeat in range(2):
            record = traced(
                [[0, 0.1, HOSTILE, 5.0], [0, 0.2, HOSTILE, 6.0]],
                name=f"r{n}{repeat}",
                joules=1e-4 * (1 + n + repeat / 10),
                parameters={"bits": bits, HOSTILE: 1},
                machine={"id": HOSTILE, "name": HOSTILE},
            )
            record["workload"] = {"name": HOSTILE, "version": 1, "definition": {}}
            record["domains"] = {HOSTILE: energy(record["total"]["joules"])}
            record["total"]["domains"] = [HOSTILE]
            record["idle"][0]["domains"] = {HOSTILE: energy(1.0)}
            found.append(record)
    return kept(*found, folder=folder)


def page(found: Sequence[View], site: Path) -> str:
    (site / "figures").mkdir(parents=True, exist_ok=True)
    ledger = Ledger(site)
    told = [write(one, ledger) for one in found]
    text = "{% import 'view.html' as view %}{% for one in told %}{{ view.render(one) }}{% endfor %}"
    rendered: str = pages.environment().from_string(text).render(told=told)
    return rendered


def test_names_with_markup_are_shown_and_not_obeyed(tmp_path):
    verdicts = judgement(verdict(1, "regression", 0.2, low=0.1, high=0.3, reason=HOSTILE))
    found = [scorecard.view(verdicts, where=HOSTILE), *views(everything(tmp_path))[1:]]
    html = page(found, tmp_path)
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    files = list((tmp_path / "figures").iterdir())
    assert len(files) > 20
    for file in files:
        assert set(file.name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-.")
        assert not [one for one in ET.parse(file).iter() if one.tag.endswith("script")]


def test_a_second_time_gives_the_same_bytes(tmp_path):
    found = views(everything(tmp_path))
    first, second = (page(found, tmp_path / name) for name in ("one", "two"))
    assert first == second
    files = [file for file in (tmp_path / "one").rglob("*") if file.is_file()]
    assert len(files) > 20
    different = [
        file
        for file in files
        if file.read_bytes() != (tmp_path / "two" / file.relative_to(tmp_path / "one")).read_bytes()
    ]
    assert different == []


def test_a_page_of_views_has_dark_figures_alt_texts_and_links_to_data(tmp_path):
    found = views(everything(tmp_path))
    html = page(found, tmp_path)
    drawn = sum(len(one.figures(False)) for one in found if one.figures)
    assert html.count("prefers-color-scheme: dark") == drawn == html.count("<img ") > 10
    for one in found:
        assert (tmp_path / "data" / f"view-{one.name}.csv").is_file() == (one.empty is None)
        assert (f'href="data/view-{one.name}.csv"' in html) == (one.empty is None)
        assert (f'href="data/view-{one.name}.json"' in html) == (one.empty is None)
        if one.figures:
            assert set(one.figures(True)) == set(one.alts)
    assert html.count("Nothing to show yet.") == sum(one.empty is not None for one in found) == 6
    assert "<code>energybench gate --run</code>" in html


def test_the_data_of_a_view_is_its_frame(tmp_path):
    view = tradeoff.view(kept(a_record()))
    page([view], tmp_path)
    read = pd.read_csv(tmp_path / "data" / "view-time-energy.csv")
    assert list(read.columns) == list(tradeoff.COLUMNS)
    assert read["joules"].tolist() == [2e-4, 1e-3]


def test_views_of_a_library_fill_what_changed_and_what_came_over_commits(library):
    lib = library(*stepped(4))
    stored, _ = frames.read(lib.records)
    found = {one.name: one for one in views(stored, Seen(lib))}
    assert [name for name, one in found.items() if one.empty] == ["power", "communication", "relaxation"]
