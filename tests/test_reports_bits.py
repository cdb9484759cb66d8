"""Figures against bits and what is published beside them, from records on disk as the store writes them."""

import html as html_lib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energybench import record as schema
from energybench.reports import bits, bits_figures, frames, published, site_builder, tables

ALL = (1, 2, 3, 4, 8, 16, 32)


def metric(value: float, unit: str, provenance: str, **rest: Any) -> dict[str, Any]:
    return {"value": value, "unit": unit, "provenance": provenance, "higher_is_better": False} | rest


def a_record(name: str, wbits: int, abits: int, data: str = "digits", **parameters: Any) -> dict[str, Any]:
    """A network of these widths: 1 nJ of memory a weight's bit, 1 nJ of arithmetic a product's bit."""
    accuracy = 0.97 + wbits / 2000
    return {
        "schema": 1,
        "id": name,
        "created": "2026-11-22T10:00:00Z",
        "energybench": "0.1.0",
        "protocol": {"version": 1, "windows": 5, "align": False},
        "workload": {
            "name": "qnn-infer",
            "version": 2,
            "definition": {"data": {"name": data}, "wbits": wbits, "abits": abits},
        },
        "parameters": {"bits": 8, "wbits": wbits, "abits": abits, "batch": 64, "data": data} | parameters,
        "seed": 0,
        "quick": True,
        "machine": {"id": "box-1", "name": "the box"},
        "quiet": {"quiet": True, "reasons": []},
        "seconds": 5.0,
        "steps": 100,
        "samples": 6400,
        "domains": {},
        "windows": [],
        "modelled": {
            "table": "horowitz-45nm",
            "joules": 6400e-9 * (wbits + wbits * abits),
            "memory_joules": 6400e-9 * wbits,
            "arithmetic_joules": 6400e-9 * wbits * abits,
            "low": 6400e-9 * wbits,
            "high": 64e-4,
        },
        "results": {
            "joules_per_sample": metric(wbits * 1e-5, "J", "measured", low=wbits * 0.9e-5, high=wbits * 1.1e-5),
            "estimated_joules_per_sample": metric(wbits * 1e-5, "J", "estimated", low=wbits * 5e-6, high=wbits * 2e-5),
            "modelled_joules_per_sample": metric(1e-9 * (wbits + wbits * abits), "J", "modelled"),
            "operand_bytes_per_sample": metric(wbits * 100.0, "B", "modelled"),
            "samples_per_second": metric(1e6 / wbits, "1/s", "measured"),
            "accuracy": metric(accuracy, "1", "measured", low=accuracy - 0.01, high=accuracy + 0.005),
            "file_bytes": metric(wbits * 1000.0, "B", "measured"),
        },
    }


def stored(*records: dict[str, Any]) -> list[frames.Stored]:
    return [frames.Stored(path=Path("x.json"), record=schema.parse(one).to_json()) for one in records]


def put(folder: Path, *records: dict[str, Any]) -> Path:
    folder.mkdir(parents=True)
    for one in records:
        (folder / f"{one['id']}.json").write_text(schema.dumps(schema.parse(one)), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site of two widths on MNIST, whose parameter is the path of a folder."""
    root = tmp_path_factory.mktemp("bits")
    records = [a_record(f"r{k}", k, k, data="mnist") for k in (1, 8)]
    for one in records:
        one["parameters"]["data"] = "/home/somebody/mnist"
    return site_builder.build(put(root / "records", *records), root / "site").parent


@given(
    common=st.sampled_from((0, *ALL)),
    asked=st.tuples(st.sampled_from((0, *ALL)), st.sampled_from((0, *ALL))),
    ran=st.none() | st.tuples(st.sampled_from(ALL), st.sampled_from(ALL)),
)
def test_the_widths_are_those_that_ran_then_those_asked_for_then_bits(common, asked, ran):
    one = a_record("a", 1, 1)
    one["parameters"] = {"bits": common, "wbits": asked[0], "abits": asked[1]}
    one["workload"]["definition"] = dict(zip(("wbits", "abits"), ran, strict=True)) if ran else {}
    expected = ran or tuple(width or common for width in asked)
    assert bits.widths(one) == (expected if all(expected) else None)


def test_a_record_that_knows_bits_alone_has_one_width_and_one_without_has_none():
    one = a_record("a", 1, 1)
    one["workload"]["definition"], one["parameters"] = {}, {"bits": 16}
    assert (bits.widths(one), bits.level(bits.widths(one))) == ((16,), "16")
    for value in ("8", 0, True, 2.5):
        assert bits.widths({**one, "parameters": {"bits": value}}) is None


def test_every_metric_has_a_panel_and_every_kind_of_joule_its_own():
    found = bits.points(stored(*(a_record(f"r{k}", k, k) for k in (1, 2, 32))))
    assert list(found) == ["accuracy", "measured", "estimated", "modelled", "file-bytes", "operand-bytes", "rate"]
    assert [(p.level, p.value, p.low, p.high) for p in found["measured"]][1] == ("W2A2", 2e-5, 1.8e-5, 2.2e-5)
    assert [p.value for p in found["rate"]] == [1e6, 5e5, 1e6 / 32]


def test_memory_and_arithmetic_of_modelled_joules_are_drawn_apart():
    found = bits.points(stored(a_record("a", 1, 4), a_record("b", 2, 2)))["modelled"]
    assert [(p.level, p.term, p.value) for p in found] == [
        ("W1A4", "memory", pytest.approx(1e-9)),
        ("W1A4", "arithmetic", pytest.approx(4e-9)),
        ("W2A2", "memory", pytest.approx(2e-9)),
        ("W2A2", "arithmetic", pytest.approx(4e-9)),
    ]


def test_records_of_one_width_draw_nothing_against_bits():
    assert bits.points(stored(a_record("a", 4, 4), a_record("b", 4, 4, batch=1))) == {}


@pytest.mark.parametrize("dark", [False, True])
def test_a_panel_shows_its_points_in_the_order_of_bits_with_a_line_through_equal_widths(dark: bool):
    found = stored(*(a_record(f"r{w}-{a}", w, a) for w, a in ((16, 16), (2, 2), (1, 8), (1, 1))))
    figures = bits_figures.against_bits(found, dark=dark)
    (axis,) = figures["file-bytes"].axes
    assert [label.get_text().replace("\n", "") for label in axis.get_xticklabels()] == [
        "W1A1",
        "W1A8",
        "W2A2",
        "W16A16",
    ]
    assert axis.get_yscale() == "log"
    lines = {tuple(map(tuple, line.get_xydata().tolist())) for line in axis.lines}
    assert ((0.0, 1000.0), (2.0, 2000.0), (3.0, 16000.0)) in lines
    assert ((1.0, 1000.0),) in lines
    (accuracy,) = figures["accuracy"].axes
    bars = [bar.get_segments()[0][:, 1].tolist() for container in accuracy.containers for bar in container[2]]
    assert [pytest.approx([0.968, 0.983]), pytest.approx([0.961, 0.976])] == [bars[0], bars[1]]


def test_other_parameters_that_vary_have_a_colour_each_and_a_legend():
    found = stored(*(a_record(f"r{k}-{b}", k, k, batch=b) for k in (1, 8) for b in (4, 64)))
    figure = bits_figures.against_bits(found)["rate"]
    assert [text.get_text() for text in figure.legends[0].texts] == ["batch 4", "batch 64"]
    colours = {line.get_color() for line in figure.axes[0].lines}
    assert len(colours) == 2
    shifts = {round(point[0] % 1, 6) for line in figure.axes[0].lines for point in line.get_xydata().tolist()}
    assert len(shifts) == 2


def test_kinds_of_joule_do_not_share_a_panel_and_one_that_is_missing_has_none():
    one, other = a_record("a", 1, 1), a_record("b", 8, 8)
    for record in (one, other):
        record["results"]["joules_per_sample"]["provenance"] = "simulated"
        del record["results"]["estimated_joules_per_sample"]
    figures = bits_figures.against_bits(stored(one, other))
    assert "simulated" in figures
    assert not {"measured", "estimated"} & set(figures)
    assert all(len(figure.axes) == 1 for figure in figures.values())


def test_published_rows_of_the_same_data_are_hollow_in_the_panel_of_accuracy_alone():
    rows, _ = published.split(published.rows("qnn-infer"), {"mnist"})
    figures = bits_figures.against_bits(stored(*(a_record(f"r{k}", k, k) for k in (1, 2))), rows)
    hollow = {
        name: [line.get_ydata()[0] for line in figure.axes[0].lines if line.get_markerfacecolor() == "none"]
        for name, figure in figures.items()
    }
    assert sorted(hollow.pop("accuracy")) == pytest.approx(sorted(row.accuracy for row in rows))
    assert not any(hollow.values())
    assert "published" in [text.get_text() for text in figures["accuracy"].legends[0].texts]
    labels = [label.get_text().replace("\n", "") for label in figures["accuracy"].axes[0].get_xticklabels()]
    assert "W1A32" in labels


def test_every_published_row_is_complete_and_says_where_it_was_read():
    rows = published.rows("qnn-train")
    assert len(rows) > 40
    for row in rows:
        assert re.fullmatch(r"\d{4}\.\d{5}", row.arxiv), row
        assert row.origin in {"paper", "repository"}
        assert row.read in {"primary", "secondary"}
        assert all((row.paper, row.network, row.source))
        assert 0.3 < row.accuracy < 1
        assert {row.wbits, row.abits} <= set(ALL)
    keys = [(r.arxiv, r.origin, r.data, r.network, r.level, r.gbits, r.note) for r in rows]
    assert len(keys) == len(set(keys))
    assert {row.data_title for row in rows} == {"MNIST", "SVHN", "CIFAR-10", "ImageNet"}


def test_error_and_accuracy_are_one_scale():
    row = published.rows("qnn-infer")[0]
    assert (row.metric, row.value, row.accuracy) == ("test error %", 0.96, pytest.approx(0.9904))
    top = next(row for row in published.rows("qnn-infer") if row.metric.startswith("top-1 accuracy"))
    assert top.accuracy == pytest.approx(top.value / 100)


def test_data_is_the_same_however_it_is_written_and_other_workloads_have_no_published_rows():
    rows = published.rows("qnn-infer")
    same, other = published.split(rows, {"CIFAR10"})
    assert {row.data for row in same} == {"cifar-10"}
    assert len(same) + len(other) == len(rows)
    assert published.rows("my-product") == ()


def test_the_page_marks_what_is_published_and_exports_none_of_it(site: Path):
    html = (site / "workload-qnn-infer.html").read_text(encoding="utf-8")
    assert html.count('<section id="published"') == 1
    assert 'href="#published"' in html
    text = html_lib.unescape(html)
    assert [row.source for row in published.rows("qnn-infer") if row.source not in text] == []
    data = (site / "data" / "records.csv").read_text() + (site / "data" / "records.json").read_text()
    assert "1602.02830" not in data
    assert len(json.loads((site / "data" / "records.json").read_text())) == 2


def test_each_panel_is_there_for_light_and_dark_with_words_for_it(site: Path):
    names = sorted(file.name for file in (site / "figures").glob("against-bits-*.svg"))
    assert len(names) == 2 * (7 + 1)
    assert sum(name.endswith("-dark.svg") for name in names) == 8
    html = (site / "workload-qnn-infer.html").read_text(encoding="utf-8")
    assert "Bytes against bits, 2 widths: 1.00 kB at W1A1, 8.00 kB at W8A8." in html
    assert "Modelled J per sample against bits, 2 widths: memory term 1.00 nJ at W1A1, 8.00 nJ at W8A8" in html
    assert "Beside it 4 published results, marked as such." in html
    assert all(name in html for name in names)


def test_a_page_does_not_tell_where_somebodys_data_is(site: Path):
    for file in (site / "workload-qnn-infer.html", site / "data" / "records.csv", site / "data" / "records.json"):
        text = file.read_text(encoding="utf-8")
        assert "/home/somebody" not in text
        assert "mnist" in text


def test_the_table_has_the_widths_that_ran_in_one_column():
    found = tables.group_table(stored(a_record("a", 1, 4), a_record("b", 2, 2, batch=8)))
    assert found["settings"] == ["batch", "bits"]
    assert [row["settings"] for row in found["rows"]] == [["64", "W1A4"], ["8", "W2A2"]]
