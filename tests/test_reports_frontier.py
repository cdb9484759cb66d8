"""The energy–accuracy frontier by bit-width: who is on it, how sure that is, and what is drawn of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energybench.reports import figures
from energybench.reports.frames import Stored
from energybench.reports.views import frontier, frontier_figure
from energybench.reports.views.drawing import MOST_DRAWN
from energybench.reports.views.frontier_points import points, standing_words
from energybench.reports.views.pareto import Place, Spread, standings
from energybench.reports.views.pareto import frontier as best_of
from energybench.reports.views.view import MOST_ROWS, View

HOSTILE = '<script>alert("x")</script>&"\'$a^b$'


def metric(value: float, unit: str, provenance: str, **rest: Any) -> dict[str, Any]:
    return {"value": value, "unit": unit, "provenance": provenance, "higher_is_better": False} | rest


def a_record(bits: Any, joules: float, accuracy: float, **changes: Any) -> dict[str, Any]:
    """A point of `bits` with joules ±10 % and accuracy ±1 %, and a thousandth of the joules modelled exactly."""
    kind, wide = changes.pop("kind", "measured"), changes.pop("wide", 0.1)
    right = changes.pop("right", 0.01)
    values = {
        "id": f"r{bits}",
        "created": "2026-11-22T10:00:00Z",
        "workload": {"name": "qnn-infer", "version": 1, "definition": {"data": {"name": "digits"}}},
        "parameters": {"bits": bits},
        "seed": 0,
        "machine": {"id": "box-1", "name": "the box"},
        "results": {
            "joules_per_sample": metric(joules, "J", kind, low=joules * (1 - wide), high=joules * (1 + wide)),
            "modelled_joules_per_sample": metric(joules / 1000, "J", "modelled"),
            "accuracy": metric(accuracy, "1", "measured", low=accuracy - right, high=accuracy + right),
        },
    }
    return values | changes


def stored(*records: Mapping[str, Any]) -> list[Stored]:
    return [Stored(path=Path("x"), record=one) for one in records]


def words(*records: Mapping[str, Any], kind: str = "measured") -> dict[str, str]:
    return {one.level: standing_words(one) for one in points(stored(*records)) if one.kind == kind}


def titles(view: View) -> list[str]:
    return [str(row[0]) for row in view.table.rows]


def test_what_another_width_beats_in_both_is_not_on_the_frontier():
    table = frontier.view(stored(a_record(1, 1e-4, 0.90), a_record(4, 3e-4, 0.89), a_record(8, 2e-4, 0.95))).frame()
    measured = table[table["provenance"] == "measured"]
    told = dict(zip(measured["weight_bits"], measured["on_frontier"], strict=True))
    assert told == {1: True, 4: False, 8: True}


def test_the_columns_are_those_of_the_figure():
    row = frontier.view(stored(a_record(8, 2e-4, 0.95))).frame().iloc[0]
    assert (row["record"], row["machine"], row["workload"], row["data"]) == ("r8", "box-1", "qnn-infer", "digits")
    assert (row["weight_bits"], row["activation_bits"], row["provenance"]) == (8, 8, "measured")
    assert (row["joules"], row["joules.low"], row["joules.high"]) == pytest.approx((2e-4, 1.8e-4, 2.2e-4))
    assert (row["accuracy"], row["accuracy.low"], row["accuracy.high"]) == pytest.approx((0.95, 0.94, 0.96))
    assert (row["on_frontier"], row["certain"]) == (True, True)


def test_an_interval_that_nobody_stated_is_absent():
    table = frontier.view(stored(a_record(8, 2e-4, 0.95))).frame()
    modelled = table[table["provenance"] == "modelled"].iloc[0]
    assert modelled[["joules.low", "joules.high"]].isna().all()
    assert modelled["accuracy.low"] == pytest.approx(0.94)


def test_widths_of_weights_and_activations_are_told_apart():
    definition = {"wbits": 1, "abits": 8}
    workload = {"name": "qnn-infer", "version": 1, "definition": definition}
    row = frontier.view(stored(a_record(8, 2e-4, 0.95, workload=workload))).frame().iloc[0]
    assert (row["weight_bits"], row["activation_bits"]) == (1, 8)


def test_a_point_far_below_the_frontier_is_surely_beaten_and_by_whom_is_said():
    told = words(a_record(1, 1e-4, 0.95), a_record(8, 9e-4, 0.90))
    assert told == {"1": "yes", "8": "no, beaten by 1"}


def test_where_intervals_overlap_it_is_said_that_values_alone_decide():
    told = words(a_record(1, 1.00e-4, 0.950), a_record(8, 1.05e-4, 0.948))
    assert told == {
        "1": "yes, by its value; within the interval of 8",
        "8": "no, by its value; within the interval of 1",
    }


def test_two_equal_points_are_both_on_the_frontier():
    equal = words(a_record(1, 1e-4, 0.9, wide=0.0, right=0.0), a_record(8, 1e-4, 0.9, wide=0.0, right=0.0))
    assert equal == {"1": "yes", "8": "yes"}


spreads = st.builds(
    lambda value, down, up: Spread(value=value, low=value - down, high=value + up),
    st.integers(0, 8).map(float),
    st.sampled_from((0.0, 0.5, 1.0, 3.0)),
    st.sampled_from((0.0, 0.5, 1.0, 3.0)),
)
places = st.builds(lambda cost, worth: Place(cost=cost, worth=worth), spreads, spreads)


def beats(cost: float, worth: float, of_cost: float, of_worth: float) -> bool:
    return cost <= of_cost and worth >= of_worth and (cost < of_cost or worth > of_worth)


@given(st.lists(places, min_size=1, max_size=25))
def test_a_standing_is_what_comparing_each_with_each_gives(found: list[Place]):
    on = set(best_of(found))
    for number, (one, standing) in enumerate(zip(found, standings(found), strict=True)):
        others = [other for place, other in enumerate(found) if place != number]
        beaten = any(beats(o.cost.value, o.worth.value, one.cost.value, one.worth.value) for o in others)
        assert standing.on_frontier == (number in on) == (not beaten)
        if standing.on_frontier:
            open_ = any(beats(o.cost.low, o.worth.high, one.cost.high, one.worth.low) for o in others)
            assert standing.certain == (not open_)
        else:
            sure = any(beats(o.cost.high, o.worth.low, one.cost.low, one.worth.high) for o in others)
            assert standing.certain == sure
        assert standing.rival != number
        assert (standing.rival is None) == (standing.on_frontier and standing.certain)


def test_workloads_data_and_machines_have_frontiers_of_their_own():
    def on(**other: Any) -> set[bool]:
        records = stored(a_record(1, 1e-4, 0.95), a_record(8, 9e-4, 0.50, **other))
        return set(frontier.view(records).frame()["on_frontier"])

    assert on() == {True, False}
    assert on(machine={"id": "box-2", "name": "another"}) == {True}
    for name, data in (("qnn-train", "digits"), ("qnn-infer", "mnist")):
        assert on(workload={"name": name, "version": 1, "definition": {"data": data}}) == {True}


@pytest.mark.parametrize("dark", [False, True])
def test_each_kind_of_joule_on_each_machine_has_a_panel_with_its_own_mark(dark: bool):
    other = a_record(8, 2e-4, 0.9, kind="simulated", machine={"id": "sim", "name": "sim"})
    view = frontier.view(stored(a_record(1, 1e-4, 0.9), other))
    assert view.figures is not None
    drawn = view.figures(dark)
    assert (
        list(drawn)
        == list(view.alts)
        == [
            "measured-qnn-infer",
            "modelled-qnn-infer-the-box",
            "simulated-qnn-infer",
            "modelled-qnn-infer-sim-simulated-counters",
        ]
    )
    for name, figure in drawn.items():
        (axis,) = figure.axes
        assert axis.get_xlabel() == f"{name.partition('-')[0]} joules per sample"
        assert axis.get_xscale() == "log"
        marker = figures.KINDS[name.partition("-")[0]][1]
        assert {line.get_marker() for line in axis.lines if len(line.get_xdata()) == 1} >= {marker}
        assert {line.get_marker() for line in figure.legends[0].get_lines()} == {marker}


def test_one_point_alone_is_not_called_unbeaten_and_has_no_frontier():
    view = frontier.view(stored(a_record(8, 2e-4, 0.95)))
    assert {row[-1] for row in view.table.rows} == {"only one point"}
    assert view.alts["measured-qnn-infer"].endswith("There is only one point, so no frontier.")
    assert view.figures is not None
    figure = view.figures(False)["measured-qnn-infer"]
    assert [line for line in figure.axes[0].lines if line.get_drawstyle() == "steps-post"] == []
    assert [text.get_text() for text in figure.legends[0].texts] == ["8"]


def test_points_on_the_frontier_are_filled_joined_by_steps_and_beaten_ones_open():
    view = frontier.view(stored(a_record(1, 1e-4, 0.90), a_record(4, 3e-4, 0.89), a_record(8, 2e-4, 0.95)))
    assert view.figures is not None
    (axis,) = view.figures(False)["measured-qnn-infer"].axes
    marks = [line for line in axis.lines if line.get_marker() == "o"]
    faces = {float(line.get_xdata()[0]): line.get_markerfacecolor() == figures.INK[False]["face"] for line in marks}
    assert faces == {1e-4: False, 3e-4: True, 2e-4: False}
    (steps,) = [line for line in axis.lines if line.get_drawstyle() == "steps-post"]
    assert list(steps.get_xdata()) == [1e-4, 2e-4, 3e-4]
    assert list(steps.get_ydata()) == [0.90, 0.95, 0.95]
    assert sorted(text.get_text() for text in axis.texts) == ["1", "4", "8"]


def test_colours_follow_the_order_of_bits_and_each_workload_has_a_panel():
    train = {"name": "qnn-train", "version": 1, "definition": {"data": {"name": "digits"}}}
    view = frontier.view(
        stored(*(a_record(bits, 1e-4 * bits, 0.9 + bits / 1000) for bits in (32, 2, 8)))
        + stored(a_record(8, 1e-2, 0.9, workload=train, id="t"))
    )
    assert view.figures is not None
    drawn = view.figures(False)
    assert list(drawn) == ["measured-qnn-infer", "modelled-qnn-infer", "measured-qnn-train", "modelled-qnn-train"]
    infer, trained = (drawn[f"measured-{name}"] for name in ("qnn-infer", "qnn-train"))
    assert [one.axes[0].get_title() for one in (infer, trained)] == ["Measured, qnn-infer", "Measured, qnn-train"]
    assert [text.get_text() for text in infer.legends[0].texts] == ["2", "8", "32", "frontier"]
    colours = {
        text.get_text(): line.get_color()
        for one in (infer, trained)
        for text, line in zip(one.legends[0].texts, one.legends[0].get_lines(), strict=True)
    }
    assert len({colours[bits] for bits in ("2", "8", "32")}) == 3
    assert trained.legends[0].get_lines()[0].get_color() == colours["8"]


def test_the_table_begins_with_the_frontier_and_says_how_sure_it_is():
    view = frontier.view(stored(a_record(1, 1e-4, 0.90), a_record(4, 9e-4, 0.89), a_record(8, 2e-4, 0.95)))
    assert titles(view)[:2] == ["qnn-infer, bits 1", "qnn-infer, bits 8"]
    assert titles(view)[-1] == "qnn-infer, bits 4"
    assert view.table.rows[0][-1] == "yes"


def test_points_without_a_width_are_counted_and_left_out():
    bare = a_record(0, 1e-4, 0.9, parameters={"batch": 8})
    view = frontier.view(stored(bare, a_record(8, 1e-4, 0.9, workload={"name": "w", "version": 1, "definition": {}})))
    assert "1 point with joules and accuracy have no bit-width, so no place here." in view.notes
    assert set(view.frame()["record"]) == {"r8"}
    assert frontier.view(stored(bare)).empty == frontier.EMPTY


def test_a_record_without_accuracy_has_no_place():
    bare = a_record(8, 1e-4, 0.9)
    bare["results"].pop("accuracy")
    view = frontier.view(stored(bare))
    assert view.empty == frontier.EMPTY
    assert view.notes == ()


def test_ten_thousand_points_are_thinned_but_for_the_frontier_and_the_rest_is_told(tmp_path: Path):
    records = [
        a_record(1 + n % 32, 1e-6 * (1 + n % 997), 0.5 + (n % 89) / 200, id=f"r{n}", parameters={"bits": 8, "n": n})
        for n in range(10_000)
    ]
    view = frontier.view(stored(*records))
    table = view.frame()
    assert len(table) == 20_000
    assert f"The table lists {MOST_ROWS} of 20,000 points; the data has all of them." in view.notes
    assert any("of 10,000 points are drawn in measured-qnn-infer, without intervals" in note for note in view.notes)
    best = [one for one in points(stored(*records)) if one.kind == "measured"]
    shown = {one.record["id"] for one in frontier_figure.drawn(best)}
    assert {one.record["id"] for one in best if one.on_frontier} <= shown
    assert len(shown) < 1200
    assert view.figures is not None
    path = figures.save(view.figures(False)["measured-qnn-infer"], tmp_path / "a.svg")
    assert path.stat().st_size < 400_000


def test_a_frontier_of_ten_thousand_points_is_drawn_as_its_outline():
    records = [a_record(8, 1e-6 * (1 + n), n / 10_000, id=f"r{n}", parameters={"bits": 8, "n": n}) for n in range(3000)]
    view = frontier.view(stored(*records))
    assert view.frame()["on_frontier"].all()
    assert view.figures is not None
    (axis,) = view.figures(False)["measured-qnn-infer"].axes
    assert sum(len(line.get_xdata()) for line in axis.lines) < 2000


@pytest.mark.parametrize("joules", [1e12, 1e-15])
def test_absurd_joules_are_drawn_beside_ordinary_ones(joules: float):
    view = frontier.view(stored(a_record(1, joules, 0.0), a_record(8, 1e-4, 1.0, right=0.0)))
    assert view.figures is not None
    for figure in view.figures(False).values():
        figure.draw_without_rendering()
        low, high = figure.axes[0].get_xlim()
        assert low < high


def test_names_with_markup_are_plain_text_in_the_figure():
    workloads = [{"name": f"{HOSTILE}{n}", "version": 1, "definition": {}} for n in range(10)]
    records = [
        a_record(8, 1e-4, 0.9, id=f"r{n}", workload=one, machine={"id": HOSTILE, "name": HOSTILE})
        for n, one in enumerate(workloads)
    ]
    view = frontier.view(stored(*records))
    assert view.figures is not None
    drawn = view.figures(False)
    assert len(drawn) == MOST_DRAWN
    assert "12 of 20 panels are drawn; the data has all points." in view.notes
    for figure in drawn.values():
        figure.draw_without_rendering()
    assert HOSTILE in next(iter(drawn.values())).axes[0].get_title().replace("\n", " ")


def test_the_alternative_text_names_the_frontier():
    view = frontier.view(stored(a_record(1, 1e-4, 0.90), a_record(8, 2e-4, 0.95)))
    assert view.alts["measured-qnn-infer"] == (
        "Measured: accuracy against measured joules per sample, 2 points, 100 µJ to 200 µJ, 90.00 % to 95.00 %. "
        "On the frontier by their values: 1 of qnn-infer (100 µJ, 90.00 %), 8 of qnn-infer (200 µJ, 95.00 %)."
    )
