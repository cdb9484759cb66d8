"""Communication against nodes: joules of a step in parts, what ran and what was modelled, and what is not told."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from energybench.reports.frames import Stored
from energybench.reports.views import communication, spending
from energybench.reports.views.drawing import MOST_DRAWN
from energybench.reports.views.view import View

HOSTILE = '<script>alert("x")</script>&"\'$a^b$'
TERMS = {"compute": 1e-3, "communication CPU": 2e-3, "waiting": 4e-3, "wire": 1e-3}


def metric(value: float, unit: str, provenance: str, **rest: Any) -> dict[str, Any]:
    return {"value": value, "unit": unit, "provenance": provenance, "higher_is_better": False} | rest


def a_point(nodes: int, joules: float = 8e-3) -> dict[str, Any]:
    return {
        "nodes": nodes, "seconds": 0.01, "payload_bytes": 1.0, "tcp_bytes": 400.0 * nodes, "wire_bytes": 3.0,
        "joules": joules, "low": joules / 2, "high": joules * 2,
        "terms": {name: {"joules": part, "low": part, "high": part} for name, part in TERMS.items()},
        "joules_per_sample": {"value": joules / 32, "low": joules / 64, "high": joules / 16},
    }  # fmt: skip


def a_record(strategy: str, nodes: int, kind: str = "measured", **changes: Any) -> dict[str, Any]:
    """100 µJ a sample, of which 20 are for communication and 30 for waiting; 32 samples a node and step."""
    prefix = "estimated_" if kind == "estimated" else ""
    results = {
        f"{prefix}joules_per_sample": metric(1e-4, "J", kind, low=5e-5, high=2e-4),
        f"{prefix}communication_cpu_joules_per_sample": metric(2e-5, "J", kind),
        f"{prefix}waiting_joules_per_sample": metric(3e-5, "J", kind),
        "wire_joules_per_sample": metric(7e-5, "J", "modelled"),
        "modelled_joules_per_sample": metric(9e-6, "J", "modelled"),
        "seconds_per_step": metric(0.002, "s", "measured"),
        "payload_bytes_per_step": metric(100.0, "B", "modelled"),
        "tcp_bytes_per_step": metric(400.0 * nodes, "B", "measured"),
        "wire_bytes_per_step": metric(500.0, "B", "measured"),
        "accuracy": metric(0.9, "1", "measured", low=0.88, high=0.92),
    }
    values = {
        "id": f"{strategy}-{nodes}-{kind}",
        "created": "2026-11-22T10:00:00Z",
        "workload": {"name": "dist-train", "version": 1, "definition": {"batch": 32}},
        "parameters": {"nodes": nodes, "strategy": strategy, "every": 10},
        "seed": 0,
        "machine": {"id": "box-1", "name": "the box"},
        "flags": [],
        "results": results | changes.pop("results", {}),
        "details": {"scaling": {"provenance": "modelled", "points": [a_point(n) for n in (1, 2, 8, 10_000)]}},
    }
    return values | changes


def stored(*records: Mapping[str, Any]) -> list[Stored]:
    return [Stored(path=Path("x"), record=one) for one in records]


BOTH = [a_record(strategy, nodes) for strategy in ("cultural", "sync") for nodes in (2, 4)]


def drawn(view: View, *, dark: bool = False) -> Mapping[str, Any]:
    assert view.figures is not None
    return view.figures(dark)


def cells(view: View) -> str:
    rows = [*view.table.rows, *view.table.folded]
    return " | ".join(str(getattr(cell, "text", cell)) for row in rows for cell in row)


def test_100_microjoules_a_sample_are_3200_a_step_of_32_of_which_a_half_is_computing():
    spent = spending.spent_by(a_record("sync", 2), "measured")
    assert spent is not None
    assert spent.joules == pytest.approx(3.2e-3)
    assert spent.limits == pytest.approx((1.6e-3, 6.4e-3))
    assert spent.parts == pytest.approx({"computing": 1.6e-3, "communication": 6.4e-4, "waiting": 9.6e-4})


def test_an_estimate_is_shared_out_by_its_own_terms():
    spent = spending.spent_by(a_record("sync", 2, "estimated"), "estimated")
    assert spent is not None
    assert spent.parts["waiting"] == pytest.approx(9.6e-4)
    assert spending.spent_by(a_record("sync", 2, "estimated"), "measured") is None


def test_terms_of_another_provenance_are_not_taken_from_joules():
    record = a_record("sync", 2, results={"waiting_joules_per_sample": metric(3e-5, "J", "modelled")})
    spent = spending.spent_by(record, "measured")
    assert spent is not None
    assert spent.parts == pytest.approx({spending.REST: 3.2e-3})
    view = communication.view(stored(record))
    assert "not told apart" in cells(view)
    assert view.frame()["computing"].isna().iloc[0]


def test_without_a_batch_there_are_no_joules_of_a_step_and_bytes_stay():
    record = a_record("sync", 2, workload={"name": "dist-train", "version": 1, "definition": {}}, details={})
    row = communication.view(stored(record)).frame().iloc[0]
    assert row[["joules", "provenance"]].isna().all()
    assert row["tcp_bytes"] == 800.0


def test_processes_the_wire_and_the_modelled_cluster_have_rows_of_their_own():
    table = communication.view(stored(a_record("sync", 2))).frame()
    assert list(zip(table["source"], table["provenance"], table["nodes"], strict=True)) == [
        ("processes", "measured", 2),
        ("processes", "modelled", 2),
        *(("model", "modelled", nodes) for nodes in (1, 2, 8, 10_000)),
    ]
    ran, wire, first = (table.iloc[place] for place in range(3))
    assert ran[["joules", "communication", "seconds", "payload_bytes", "tcp_bytes", "wire_bytes"]].tolist() == (
        pytest.approx([3.2e-3, 6.4e-4, 0.002, 100.0, 800.0, 500.0])
    )
    assert ran[["accuracy", "accuracy.low", "accuracy.high"]].tolist() == [0.9, 0.88, 0.92]
    assert wire["wire"] == pytest.approx(7e-5 * 32)
    assert wire[["joules", "tcp_bytes"]].isna().all()
    assert first[["joules", "computing", "communication", "waiting", "wire"]].tolist() == (
        pytest.approx([8e-3, 1e-3, 2e-3, 4e-3, 1e-3])
    )


def test_sync_stands_beside_cultural_on_one_axis_a_bar_for_each_number_of_nodes():
    figure = drawn(communication.view(stored(*BOTH)))["measured-parts"]
    (axis,) = figure.axes
    assert [text.get_text().partition(":")[0] for text in axis.texts] == [
        "sync, 2 nodes",
        "sync, 4 nodes",
        "cultural, 2 nodes",
        "cultural, 4 nodes",
    ]
    assert axis.get_xlabel() == "measured J per node and step, shared out by time"
    assert [patch.get_width() for patch in axis.patches[:3]] == pytest.approx([1.6e-3, 6.4e-4, 9.6e-4])
    assert [text.get_text() for text in figure.legends[0].texts] == ["computing", "communication", "waiting"]


def test_the_modelled_cluster_has_bars_of_its_own_in_shares_with_the_wire():
    figure = drawn(communication.view(stored(*BOTH)))["simulation-parts"]
    (axis,) = figure.axes
    assert axis.get_xlabel() == "share of modelled J per node and step"
    assert [text.get_text() for text in figure.legends[0].texts] == ["computing", "communication", "waiting", "wire"]
    assert [patch.get_width() for patch in axis.patches[:4]] == pytest.approx([1 / 8, 2 / 8, 4 / 8, 1 / 8])
    assert "sync, 10,000 nodes" in [text.get_text().partition(":")[0] for text in axis.texts]


def test_no_line_leads_from_what_ran_to_what_was_modelled():
    for name in ("tcp", "seconds"):
        (axis,) = drawn(communication.view(stored(*BOTH)))[name].axes
        lines = [line for line in axis.lines if line.get_marker() != "None"]
        assert {line.get_marker() for line in lines} == {"o", "^"}
        for line in lines:
            assert all((nodes > 4.5) == (line.get_marker() == "^") for nodes in line.get_xdata())


@pytest.mark.parametrize("dark", [False, True])
def test_every_panel_has_its_words_and_kinds_do_not_mix(dark: bool):
    view = communication.view(stored(*BOTH, a_record("sync", 8, "estimated")))
    figures = drawn(view, dark=dark)
    assert list(figures) == list(view.alts)
    assert list(figures) == [
        "measured-parts",
        "estimated-parts",
        "simulation-parts",
        "measured",
        "estimated",
        "simulation",
        "payload",
        "tcp",
        "wire",
        "seconds",
        "accuracy",
    ]
    assert all(len(words) > 40 for words in view.alts.values())


def test_counts_of_operations_are_no_joules_of_a_step_that_communicates():
    record = a_record("sync", 2)
    record["results"] = {"modelled_joules_per_sample": record["results"]["modelled_joules_per_sample"]}
    view = communication.view(stored(record | {"details": {}}))
    assert view.figures is None
    assert view.empty is None
    assert cells(view) == "sync, 2 nodes |  |  |  |  | "


def test_machines_have_panels_of_their_own_and_say_which_they_are():
    other = a_record("sync", 2, machine={"id": "box-2", "name": "another"})
    view = communication.view(stored(a_record("sync", 2), other))
    figures = drawn(view)
    assert {"measured-parts-1", "measured-parts-2"} <= set(figures)
    assert figures["tcp-2"].axes[0].get_title().replace("\n", " ").endswith(", another")
    assert "sync, 2 nodes, the box" in cells(view)


def test_the_table_says_shares_and_modelled_points_stand_behind_a_line():
    view = communication.view(stored(a_record("sync", 2)))
    (row,) = view.table.rows
    assert (row[2].text, row[2].interval, row[2].provenance) == (
        "50.0 %, 20.0 %, 30.0 %",
        "interval not known",
        "measured",
    )
    assert row[1].text == "3.20 mJ"
    assert row[1].provenance == "measured"
    assert view.table.summary == "4 points of a modelled cluster"
    assert [cell[0] for cell in view.table.folded][-1] == "sync, 10,000 nodes, modelled"
    assert {cell[1].provenance for cell in view.table.folded} == {"modelled"}


def test_several_seeds_are_one_bar_of_their_mean_with_the_whole_range():
    other = {"joules_per_sample": metric(3e-4, "J", "measured", low=2e-4, high=4e-4)}
    records = [a_record("sync", 2), a_record("sync", 2, id="b", seed=1, results=other)]
    (axis,) = drawn(communication.view(stored(*records)))["measured-parts"].axes
    (text,) = axis.texts
    assert text.get_text() == "sync, 2 nodes: 6.40 mJ (1.60 to 12.8 mJ)"
    assert sum(patch.get_width() for patch in axis.patches) == pytest.approx(6.4e-3)


def test_what_one_must_know_of_the_counters_is_said():
    view = communication.view(stored(a_record("sync", 2, flags=["machine-wide"]), a_record("sync", 4)))
    assert [note for note in view.notes if note.startswith("1 of 2 points are machine-wide. ")]


def test_of_ten_thousand_settings_eight_curves_and_twelve_bars_are_drawn():
    records = [
        a_record("sync", 2, id=f"r{n}", details={}, parameters={"nodes": 2, "strategy": "sync", "every": n})
        for n in range(10_000)
    ]
    view = communication.view(stored(*records))
    assert "8 of 10,000 curves are drawn; the data has all of them." in view.notes
    assert "The table lists 50 of 10,000 points; the data has all of them." in view.notes
    figures = drawn(view)
    assert len(figures["measured-parts"].axes[0].texts) == 8
    assert len([line for line in figures["tcp"].axes[0].lines if line.get_marker() != "None"]) == 8


def test_of_many_nodes_twelve_bars_are_drawn_and_the_others_counted():
    records = [a_record("sync", nodes) for nodes in range(1, 40)]
    view = communication.view(stored(*records))
    assert len(drawn(view)["measured-parts"].axes[0].texts) == MOST_DRAWN
    assert "12 of 39 points are drawn in parts, measured." in view.notes


def test_every_strategy_keeps_its_fewest_and_its_most_nodes_where_bars_are_many():
    strategies = ("isolated", "sync", "star", "local", "cultural")
    records = [a_record(strategy, nodes) for strategy in strategies for nodes in (1, 2, 3, 4)]
    for name, most in (("measured-parts", 4), ("simulation-parts", 10_000)):
        texts = [text.get_text() for text in drawn(communication.view(stored(*records)))[name].axes[0].texts]
        assert [text.partition(":")[0] for text in texts] == [
            f"{strategy}, {nodes}" for strategy in strategies for nodes in ("1 node", f"{most:,} nodes")
        ]


def test_each_strategy_keeps_a_curve_where_there_are_too_many():
    records = [
        a_record("sync", 2, id=f"r{n}", parameters={"nodes": 2, "strategy": "sync", "every": n}) for n in range(20)
    ] + [a_record("cultural", 2)]
    (axis,) = drawn(communication.view(stored(*records)))["measured-parts"].axes
    assert any(text.get_text().startswith("cultural") for text in axis.texts)


@pytest.mark.parametrize(
    "point",
    ["a", {"nodes": 2}, a_point(2) | {"terms": {}}, a_point(2) | {"terms": {"compute": 1.0}}, a_point(2, -1.0),
     a_point(2) | {"joules": "much"}],
)  # fmt: skip
def test_modelled_points_of_another_form_are_left_alone(point: Any):
    details = {"scaling": {"provenance": "modelled", "points": [point]}}
    view = communication.view(stored(a_record("sync", 2, details=details)))
    assert view.table.folded == ()
    assert "simulation-parts" not in drawn(view)


@pytest.mark.parametrize("joules", [1e12, 1e-15])
def test_absurd_joules_leave_room_for_the_others(joules: float):
    absurd = {"joules_per_sample": metric(joules, "J", "measured")}
    view = communication.view(stored(a_record("sync", 2, results=absurd), a_record("sync", 4), a_record("sync", 8)))
    for figure in drawn(view).values():
        figure.draw_without_rendering()


def test_a_value_over_a_million_times_the_median_is_named_in_its_panel():
    absurd = {"joules_per_sample": metric(1e12, "J", "measured"), "tcp_bytes_per_step": metric(1e15, "B", "measured")}
    view = communication.view(stored(a_record("sync", 2, results=absurd), a_record("sync", 4), a_record("sync", 8)))
    assert [note.partition(" is over")[0] for note in view.notes if note.startswith("Implausible")] == [
        "Implausible TCP bytes per step: sync, 2 nodes (1.00 PB)",
        "Implausible measured J per sample: sync, 2 nodes (1.00 TJ)",
    ]


def test_the_caption_says_what_wire_bytes_are_and_where_payload_comes_from():
    caption = communication.view(stored(*BOTH)).caption
    assert "wire bytes are measured by the counters of network interfaces, of one host by its loopback" in caption
    assert "Payload is counted by the program from the sizes of its messages, so it is modelled" in caption


def test_names_with_markup_are_plain_text():
    view = communication.view(stored(a_record(HOSTILE, 2), a_record("sync", 2)))
    for figure in drawn(view).values():
        figure.draw_without_rendering()
    assert f"{HOSTILE}, 2 nodes" in cells(view)


def test_records_that_tell_of_no_nodes_fill_nothing():
    assert communication.view(stored(a_record("", 2))).empty == communication.EMPTY
