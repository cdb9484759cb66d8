"""Training against nodes on the page: measured points, modelled curves, and how the two are kept apart."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from energybench import record as schema
from energybench.reports import frames, scaling, site_builder

LATER = [
    {"nodes": nodes, "seconds": 0.01 * nodes, "payload_bytes": 100.0, "tcp_bytes": 400.0, "wire_bytes": 900.0,
     "joules": 0.2, "low": 0.1, "high": 0.4, "terms": {},
     "joules_per_sample": {"value": 2e-3 * nodes, "low": 1e-3 * nodes, "high": 5e-3 * nodes}}
    for nodes in (1, 2, 4, 8, 16, 10_000)
]  # fmt: skip


def metric(value: float, unit: str, provenance: str, **rest: Any) -> dict[str, Any]:
    return {"value": value, "unit": unit, "provenance": provenance, "higher_is_better": False} | rest


def a_record(strategy: str, nodes: int, curve: Any = None, **changes: Any) -> dict[str, Any]:
    results = {
        "seconds_per_step": metric(0.01 * nodes, "s", "measured"),
        "payload_bytes_per_step": metric(100.0 * nodes, "B", "modelled"),
        "tcp_bytes_per_step": metric(400.0 * nodes, "B", "measured"),
        "estimated_joules_per_sample": metric(4e-3, "J", "estimated", low=2e-3, high=8e-3),
        "accuracy": metric(0.9 + 0.01 * nodes / 4, "1", "measured"),
    }
    values = {
        "schema": 1,
        "id": f"{strategy}-{nodes}",
        "created": "2026-11-22T10:00:00Z",
        "energybench": "0.1.0",
        "protocol": {"version": 1, "windows": 3, "align": False},
        "workload": {"name": "dist-train", "version": 1, "definition": {"data": {"name": "digits"}}},
        "parameters": {"nodes": nodes, "strategy": strategy, "every": 10},
        "seed": 0,
        "quick": False,
        "machine": {"id": "box-1", "name": "the box"},
        "quiet": {"quiet": True, "reasons": []},
        "seconds": 5.0,
        "steps": 100,
        "samples": 6400,
        "windows": [],
        "results": results | changes.pop("results", {}),
    }
    if curve is not None:
        values["details"] = {"scaling": curve}
    return values | changes


def a_curve(strategy: str, points: Any = LATER, provenance: str = "modelled") -> dict[str, Any]:
    return {"strategy": strategy, "provenance": provenance, "points": points}


def stored(*records: Mapping[str, Any]) -> list[frames.Stored]:
    return [frames.Stored(path=Path("x"), record=schema.parse(one).to_json()) for one in records]


def curves(panel: str, *records: Mapping[str, Any]) -> list[scaling.Curve]:
    return scaling.panels(stored(*records))[panel][1]


SYNC = [a_record("sync", nodes, a_curve("sync")) for nodes in (4, 2, 8)]
CULTURAL = [a_record("cultural", nodes) for nodes in (2, 4)]


def test_measured_points_are_joined_by_strategy_in_the_order_of_nodes():
    sync, cultural, *_ = curves("seconds", *CULTURAL, *SYNC)
    assert (sync.name, cultural.name) == ("sync", "cultural")
    assert [(point.nodes, point.value) for point in sync.points] == [(2, 0.02), (4, 0.04), (8, 0.08)]
    assert (sync.ran, sync.kind) == (True, "measured")


def test_modelled_points_begin_beyond_the_most_nodes_that_ran():
    *_, modelled = curves("seconds", *SYNC, *CULTURAL)
    assert (modelled.ran, modelled.kind) == (False, "modelled")
    assert [point.nodes for point in modelled.points] == [16, 10_000]


def test_there_is_a_panel_for_each_kind_of_joule_and_one_for_the_modelled_cluster():
    found = scaling.panels(stored(*SYNC))
    assert list(found) == ["seconds", "payload", "tcp", "wire", "estimated", "simulation", "accuracy"]
    assert [curve.ran for curve in found["estimated"][1]] == [True]
    assert [curve.ran for curve in found["simulation"][1]] == [False]
    (cluster,) = found["simulation"][1]
    assert [point.nodes for point in cluster.points] == [1, 2, 4, 8, 16, 10_000]
    assert (cluster.points[0].low, cluster.points[0].high) == (1e-3, 5e-3)


def test_joules_of_a_kind_do_not_stand_with_those_of_another():
    simulated = a_record("sync", 2, results={"joules_per_sample": metric(1e-3, "J", "simulated")})
    measured = a_record("sync", 4, results={"joules_per_sample": metric(1e-3, "J", "measured")})
    found = scaling.panels(stored(simulated, measured))
    assert [point.nodes for point in found["simulated"][1][0].points] == [2]
    assert [point.nodes for point in found["measured"][1][0].points] == [4]


def test_of_several_seeds_the_median_is_drawn_with_the_whole_range():
    seeds = [
        a_record("sync", 4, id=f"s{seed}", seed=seed, results={"accuracy": metric(share, "1", "measured")})
        for seed, share in enumerate((0.94, 0.9, 0.95))
    ]
    (point,) = curves("accuracy", *seeds)[0].points
    assert (point.value, point.low, point.high) == (0.94, 0.9, 0.95)


def test_parameters_that_differ_tell_curves_of_one_strategy_apart():
    codecs = [
        a_record("cultural", 2, id=codec, parameters={"nodes": 2, "strategy": "cultural", "codec": codec})
        for codec in ("fp32", "top1")
    ]
    assert [curve.name for curve in curves("tcp", *codecs)] == ["cultural, codec fp32", "cultural, codec top1"]


def test_marks_tell_provenance_and_colours_with_dashes_strategies():
    drawn = scaling.figures(stored(*SYNC, *CULTURAL))
    (axis,) = drawn["seconds"].axes
    sync, cultural, modelled, divide = axis.lines
    assert [line.get_marker() for line in (sync, cultural, modelled)] == ["o", "o", "^"]
    assert [line.get_markerfacecolor() == "none" for line in (sync, cultural, modelled)] == [False, False, True]
    assert sync.get_color() == modelled.get_color() != cultural.get_color()
    assert sync.get_linestyle() == modelled.get_linestyle() != cultural.get_linestyle()
    assert divide.get_linestyle() == ":"
    assert words(drawn["seconds"]) == ["sync", "cultural", "measured", "modelled cluster"]


def words(figure: Any) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def looks(figure: Any) -> dict[str, tuple[str, bool]]:
    """Of each entry of a legend: its marker, and whether it is hollow."""
    (legend,) = figure.legends
    return {
        text.get_text(): (line.get_marker(), line.get_markerfacecolor() == "none")
        for text, line in zip(legend.get_texts(), legend.get_lines(), strict=True)
    }


def test_the_legend_names_every_provenance_that_a_panel_draws_with_the_mark_of_the_report():
    wire = {"wire_bytes_per_step": metric(500.0, "B", "measured")}
    records = [a_record("sync", nodes, a_curve("sync"), results=wire) for nodes in (2, 4)]
    drawn = {name: looks(figure) for name, figure in scaling.figures(stored(*records)).items()}
    assert drawn["payload"] == {"sync": ("", False), "modelled": ("^", False), "modelled cluster": ("^", True)}
    assert drawn["tcp"] == {"sync": ("", False), "measured": ("o", False), "modelled cluster": ("^", True)}
    assert drawn["wire"] == drawn["tcp"]
    assert drawn["estimated"] == {"sync": ("", False), "estimated": ("s", False)}
    assert drawn["simulation"] == {"sync": ("", False), "modelled cluster": ("^", True)}


def test_wire_bytes_of_a_loopback_say_that_they_are_and_are_hollow():
    wire = {"wire_bytes_per_step": metric(500.0, "B", "measured")}
    one = a_record("sync", 2, results=wire, flags=["loopback"])
    drawn = scaling.figures(stored(one, a_record("sync", 4, results=wire)))
    assert looks(drawn["wire"]) == {
        "sync": ("", False),
        "measured, loopback": ("o", True),
        "measured": ("o", False),
    }
    assert "loopback" not in words(drawn["tcp"])
    assert scaling.alt(stored(one), "wire") == (
        "Wire bytes per step against nodes: sync (measured, loopback) 500 B at 2."
    )


def test_points_of_one_strategy_and_several_provenances_are_curves_of_their_own():
    modelled = {"tcp_bytes_per_step": metric(100.0, "B", "modelled")}
    records = [a_record("sync", 2), a_record("sync", 4), a_record("sync", 8, results=modelled)]
    found = curves("tcp", *records)
    assert [(curve.kind, [point.nodes for point in curve.points]) for curve in found] == [
        ("measured", [2, 4]),
        ("modelled", [8]),
    ]
    assert set(looks(scaling.figures(stored(*records))["tcp"])) == {"sync", "measured", "modelled"}


def test_nodes_are_whole_numbers_on_a_logarithmic_axis():
    drawn = scaling.figures(stored(*SYNC))
    (few,), (many,) = drawn["accuracy"].axes, drawn["seconds"].axes
    assert few.get_xscale() == many.get_xscale() == "log"
    labels = [[text.get_text() for text in axis.get_xticklabels()] for axis in (few, many)]
    assert labels[0] == ["2", "4", "8"]
    assert labels[1] == ["2", "4", "8", "16", "10,000"]


@pytest.mark.parametrize(
    "told",
    [None, [], {"points": LATER}, a_curve("sync", "points"), a_curve("sync", ["row", {"nodes": 16}]),
     a_curve("sync", provenance="measured"), a_curve("sync", [{"nodes": "many", "seconds": 1.0}]),
     a_curve("sync", [{"nodes": 0, "seconds": 1.0}, {"nodes": 16, "seconds": -1.0}, {"nodes": 32, "seconds": True}])],
)  # fmt: skip
def test_details_of_another_form_are_left_alone(told: Any):
    assert all(curve.ran for curve in curves("seconds", a_record("sync", 2, told)))


def test_values_that_have_no_place_on_an_axis_are_left_out():
    nothing = {"tcp_bytes_per_step": metric(0.0, "B", "measured"), "accuracy": metric(1.5, "1", "measured")}
    found = scaling.panels(stored(a_record("isolated", 2, results=nothing)))
    assert "tcp" not in found
    assert "accuracy" not in found


@pytest.mark.parametrize(
    "parameters", [{}, {"nodes": 2}, {"strategy": "sync"}, {"nodes": "two", "strategy": "sync"},
                   {"nodes": 0, "strategy": "sync"}, {"nodes": True, "strategy": "sync"}],
)  # fmt: skip
def test_records_without_nodes_or_strategy_fill_no_panel(parameters: dict[str, Any]):
    assert scaling.panels(stored(a_record("sync", 2, parameters=parameters))) == {}
    assert scaling.figures([]) == {}


def test_a_sentence_tells_the_ends_of_each_curve_and_which_was_modelled():
    assert scaling.alt(stored(*SYNC), "seconds") == (
        "Seconds per step against nodes: sync (measured) 20.0 ms at 2, 80.0 ms at 8; "
        "sync (modelled cluster) 160 ms at 16, 100 s at 10,000."
    )
    assert scaling.alt(stored(SYNC[0]), "tcp").startswith(
        "TCP bytes per step against nodes: sync (measured) 1.60 kB at 4;"
    )


@pytest.mark.parametrize("dark", [False, True])
def test_nothing_that_is_written_leaves_a_panel(dark: bool):
    for figure in scaling.figures(stored(*SYNC, *CULTURAL), dark=dark).values():
        figure.draw_without_rendering()
        (axis,) = figure.axes
        frame = figure.bbox
        for text in (*axis.get_xticklabels(), axis.xaxis.label, axis.yaxis.label, axis.title):
            box = text.get_window_extent()
            assert frame.x0 - 1 <= box.x0
            assert box.x1 <= frame.x1 + 1
            assert box.y1 <= frame.y1 + 1


def test_the_page_shows_them_with_what_they_are_and_takes_stale_ones_away(tmp_path: Path):
    records, site = tmp_path / "records", tmp_path / "site"
    records.mkdir()
    for values in (*SYNC, *CULTURAL):
        (records / f"{values['id']}.json").write_text(schema.dumps(schema.parse(values)), encoding="utf-8")
    site_builder.build(records, site)
    page = (site / "workload-dist-train.html").read_text(encoding="utf-8")
    (figure,) = re.findall(r'<figure>\s*<h3 id="w1-scaling">.*?</figure>', page, re.DOTALL)
    assert "Hollow marks are of a modelled cluster" in " ".join(figure.split())
    assert len(re.findall(r"<img [^>]*alt=\"[^\"]{40,}\"", figure)) == 7
    files = sorted((site / "figures").glob("scaling-*.svg"))
    assert len(files) == 14
    assert all(ET.parse(file).getroot().tag.endswith("svg") for file in files)
    for file in records.iterdir():
        file.unlink()
    site_builder.build(records, site)
    assert not list((site / "figures").glob("scaling-*.svg"))
