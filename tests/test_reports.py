"""Frames, figures and the page, from records on disk as the store writes them."""

import json
import re
from collections.abc import Callable, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_hex

import energybench
from energybench import record as schema
from energybench._commands import report
from energybench.config import Settings
from energybench.reports import figures, flags, frames, numbers, pairs, site_builder, tables

HOSTILE = '<script>alert("x")</script>&"\'$a^b$'


def metric(value: float, unit: str, provenance: str, **rest: Any) -> dict[str, Any]:
    return {"value": value, "unit": unit, "provenance": provenance, "higher_is_better": False} | rest


def estimated_results(bits: int) -> dict[str, Any]:
    joules = bits * 1e-5
    return {
        "estimated_joules_per_sample": metric(joules, "J", "estimated", low=joules / 2, high=joules * 2),
        "modelled_joules_per_sample": metric(bits * 1e-8, "J", "modelled"),
        "operand_bytes_per_sample": metric(bits * 100.0, "B", "modelled"),
        "seconds_per_sample": metric(bits * 1e-6, "s", "measured", standard_uncertainty=bits * 1e-8),
        "accuracy": metric(0.9 + bits / 1000, "1", "measured", low=0.88 + bits / 1000, high=0.91 + bits / 1000),
        "file_bytes": metric(bits * 1000.0, "B", "measured"),
    }


def a_record(name: str, bits: int | str = 8, **changes: Any) -> dict[str, Any]:
    values = {
        "schema": 1,
        "id": name,
        "created": "2026-11-22T10:00:00Z",
        "energybench": "0.1.0",
        "protocol": {"version": 1, "windows": 5, "align": False},
        "workload": {"name": "qnn-infer", "version": 1, "definition": {"task": "digits", "layers": [64, 10]}},
        "parameters": {"bits": bits, "batch": 64},
        "seed": 0,
        "quick": True,
        "machine": {"id": "box-1", "name": "the box", "cpu": {"model": "a processor"}},
        "quiet": {"quiet": False, "reasons": ["load average 3.1"]},
        "seconds": 5.0,
        "steps": 100,
        "samples": 6400,
        "domains": {
            "cpu.package-0": {
                "unavailable": "energy_uj may not be read",
                "remedy": "sudo chmod a+r energy_uj",
            }
        },
        "windows": [],
        "results": estimated_results(int(re.sub(r"\D", "", str(bits)) or 8)),
        "flags": ["noisy"],
    }
    return values | changes


def metered(provenance: str, joules: float = 2e-4) -> dict[str, Any]:
    """The changes that make a record one with a counter."""
    energy = {"joules": joules * 6400, "standard_uncertainty": 0.01, "provenance": provenance}
    results = {
        "joules_per_sample": metric(joules, "J", provenance, low=joules * 0.9, high=joules * 1.1),
        "accuracy": metric(0.95, "1", "measured"),
    }
    total = energy | {"domains": ["cpu.package-0"], "missing": ["gpu.0"]}
    domains = {
        "cpu.package-0": energy | {"probe": "powercap", "flags": ["firmware-model"]},
        "gpu.0": {"unavailable": "the driver is not loaded", "remedy": "sudo modprobe nvidia"},
    }
    return {"results": results, "total": total, "domains": domains}


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Puts records into a folder as the store does, and returns the folder."""

    def put(*records: Mapping[str, Any]) -> Path:
        for values in records:
            file = tmp_path / "records" / values["machine"]["id"] / f"{values['id']}.json"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(schema.dumps(schema.parse(values)), encoding="utf-8")
        return tmp_path / "records"

    return put


class Page(HTMLParser):
    """What a test asks of a page: its tags with attributes, and its text."""

    def __init__(self, *paths: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        for path in paths:
            self.feed(path.read_text(encoding="utf-8"))
        self.text = re.sub(r"\s+", " ", self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def whole(index: Path) -> Page:
    """Everything that a site says, but for its glossary."""
    return Page(*(page for page in sorted(index.parent.glob("*.html")) if page.name != "glossary.html"))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site of three precisions on one machine, a metered and a simulated machine, and a broken file."""
    root = tmp_path_factory.mktemp("whole")
    machines = {"box-2": "measured", "sim-1": "simulated"}
    records = [a_record(f"a{bits}", bits) for bits in (32, 8, 16)]
    records += [a_record(name, machine={"id": name, "name": name}, **metered(kind)) for name, kind in machines.items()]
    for values in records:
        file = root / "records" / f"{values['id']}.json"
        file.parent.mkdir(exist_ok=True)
        file.write_text(schema.dumps(schema.parse(values)), encoding="utf-8")
    (root / "records" / "torn.json").write_text('{"schema": 1, "id": "to', encoding="utf-8")
    site_builder.build(root / "records", root / "site")
    return root / "site"


def test_a_frame_has_a_row_a_record_with_parameters_metrics_intervals_and_provenance(write):
    table = energybench.load(write(a_record("a", 8), a_record("b", 16)))
    assert list(table["id"]) == ["a", "b"]
    assert list(table["param.bits"]) == [8, 16]
    assert list(table["estimated_joules_per_sample"]) == [8e-5, 16e-5]
    assert list(table["estimated_joules_per_sample.high"]) == [16e-5, 32e-5]
    assert set(table["estimated_joules_per_sample.provenance"]) == {"estimated"}
    assert list(table["flags"]) == [("noisy",), ("noisy",)]
    assert str(table["created"].dtype).endswith("UTC]")
    assert Path(table["path"].iloc[0]).is_file()


def test_an_interval_that_is_only_a_standard_uncertainty_is_two_of_it_wide(write):
    row = energybench.load(write(a_record("a", 8))).iloc[0]
    assert row["seconds_per_sample.low"] == pytest.approx(8e-6 - 2 * 8e-8)
    assert row["seconds_per_sample.high"] == pytest.approx(8e-6 + 2 * 8e-8)


def test_what_was_not_measured_is_absent_and_never_zero(write):
    table = energybench.load(write(a_record("a", 8), a_record("b", 16, **metered("measured"))))
    assert pd.isna(table["joules_per_sample"].iloc[0])
    assert table["joules_per_sample"].iloc[1] == 2e-4
    assert "dram_bytes_per_sample" not in table


def test_records_come_oldest_first_whatever_their_files_are_called(write):
    late = a_record("a", 8, created="2026-11-22T12:00:00Z")
    assert list(energybench.load(write(late, a_record("b", 8)))["id"]) == ["b", "a"]


def test_a_single_file_can_be_loaded(write):
    folder = write(a_record("a"), a_record("b"))
    assert list(energybench.load(folder / "box-1" / "b.json")["id"]) == ["b"]


@pytest.mark.parametrize("text", ['{"schema": 1, "id"', '{"schema": 99}', "[]", '{"schema": 1}'])
def test_a_damaged_or_unknown_record_is_refused_with_its_path(write, text: str):
    folder = write(a_record("a"))
    (folder / "other.json").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"other\.json: "):
        energybench.load(folder)
    stored, refused = frames.read(folder)
    assert [one.record["id"] for one in stored] == ["a"]
    assert [one.path.name for one in refused] == ["other.json"]


def test_a_folder_that_is_not_there_says_how_to_fill_it(tmp_path):
    with pytest.raises(FileNotFoundError, match="energybench run"):
        energybench.load(tmp_path / "nothing")


def test_an_empty_folder_gives_an_empty_frame_with_its_columns(tmp_path):
    table = energybench.load(tmp_path)
    assert table.empty
    assert list(table.columns) == list(frames.COLUMNS)


@given(st.floats(min_value=1e-11, max_value=1e14))
def test_a_printed_quantity_is_the_number_to_three_digits(value: float):
    text, letter = numbers.quantity(value, "J").removesuffix("J").split(" ")
    sizes = {letter: size for size, letter in numbers.PREFIXES}
    assert float(text) * sizes[letter] == pytest.approx(value, rel=5.1e-3)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.0123, "J", "12.3 mJ"),
        (3.6e6, "J", "3.60 MJ"),
        (0.99996, "J", "1.00 J"),
        (4.2e-6, "s", "4.20 µs"),
        (22_800, "B", "22.8 kB"),
        (0.978, "%", "97.80 %"),
        (0, "J", "0 J"),
        (-0.002, "J", "−2.00 mJ"),
        (5.2e-4, "", "5.20 × 10⁻⁴"),
        (-2.5e7, "", "−2.50 × 10⁷"),
        (1e12, "J", "1.00 TJ"),
    ],
)
def test_quantities_have_si_prefixes(value: float, unit: str, text: str):
    assert numbers.quantity(value, unit) == text


def test_an_interval_has_the_prefix_of_its_number():
    shown = numbers.show(metric(0.002, "J/sample", "measured", low=0.0009, high=0.0031))
    assert (shown.text, shown.interval) == ("2.00 mJ", "0.900 to 3.10 mJ")


def test_levels_are_ordered_by_the_numbers_in_them():
    assert figures.ordered([16, 8, 32, 8]) == ["8", "16", "32"]
    assert figures.ordered(["W10A10", "W2A2", "W1A2", "W1A1"]) == ["W1A1", "W1A2", "W2A2", "W10A10"]


def test_kinds_of_joule_never_share_a_figure(write):
    table = energybench.load(
        write(
            a_record("a", 8),
            a_record("b", 16, **metered("measured")),
            a_record("c", 32, **metered("simulated")),
        )
    )
    drawn = figures.energy_accuracy(table)
    assert list(drawn) == ["measured", "simulated", "estimated", "modelled"]
    for kind, figure in drawn.items():
        (axis,) = figure.axes
        assert axis.get_xlabel() == f"{kind} joules per sample"
        assert axis.get_xscale() == "log"
        assert sum(len(points.get_offsets()) for points in axis.collections if len(points.get_offsets()) == 1) >= 1


def test_a_figure_shows_each_point_where_its_record_says_with_its_interval(write):
    table = energybench.load(write(a_record("a", 8), a_record("b", 32)))
    (axis,) = figures.energy_accuracy(table)["estimated"].axes
    points = next(one for one in axis.collections if len(one.get_offsets()) == 2)
    assert points.get_offsets().tolist() == [[8e-5, 0.908], [32e-5, 0.932]]
    bars = [line for container in axis.containers for bar in container[2] for line in bar.get_segments()]
    spans = [line[:, 0].tolist() for line in bars if line[0, 1] == line[1, 1]]
    assert spans == [pytest.approx([4e-5, 16e-5]), pytest.approx([16e-5, 64e-5])]
    assert axis.get_xlim()[0] < 4e-5
    assert axis.get_xlim()[1] > 64e-5


def test_records_without_accuracy_draw_nothing(write):
    values = a_record("a")
    values["results"] = {"modelled_joules_per_sample": metric(1e-6, "J", "modelled")}
    assert figures.energy_accuracy(energybench.load(write(values))) == {}


def test_a_second_build_gives_the_same_bytes(write, tmp_path):
    folder = write(a_record("a", 8), a_record("b", 32))
    first, second = (site_builder.build(folder, tmp_path / name).parent for name in ("one", "two"))
    files = sorted(file.relative_to(first) for file in first.rglob("*") if file.is_file())
    assert len(files) > 50
    assert [file for file in files if (first / file).read_bytes() != (second / file).read_bytes()] == []


def test_every_number_in_the_table_has_a_badge(site):
    html = "".join(page.read_text(encoding="utf-8") for page in site.glob("*.html"))
    cells = re.findall(r'<span class="cell">(.*?)</span></td>', html, re.DOTALL)
    filled = [cell for cell in cells if 'class="value"' in cell]
    assert len(filled) > 3 * 6 + 2 * 2 + 14
    assert all(re.search(r'class="badge (measured|estimated|modelled|simulated)"', cell) for cell in filled)
    assert all(re.search(r'class="value">[^<]*\d', cell) for cell in filled)


def test_energy_that_was_not_measured_is_said_to_be_missing_with_its_remedy(site):
    page = whole(site / "index.html")
    assert page.text.count("not measured") == 3
    assert "energy_uj may not be read" in page.text
    assert "sudo chmod a+r energy_uj" in page.text
    assert "without gpu.0 , which could not be read" in page.text.replace("gpu.0,", "gpu.0 ,")


def test_the_page_names_the_file_it_left_out(site):
    assert "torn.json" in whole(site / "index.html").text


def test_no_page_asks_another_host_or_has_a_script_of_its_own(site):
    page = whole(site / "index.html")
    links = [
        value for _, attributes in page.tags for name, value in attributes.items() if name in {"src", "href", "srcset"}
    ]
    assert len(links) > 20
    assert [link for link in links if "//" in str(link) or str(link).startswith("/")] == []
    assert {script.get("src") for script in page.all("script")} == {"theme.js", "report.js"}
    assert [name for name, attributes in page.tags if "style" in attributes] == []
    assert "url(" not in (site / "report.css").read_text(encoding="utf-8")
    assert "@import" not in (site / "report.css").read_text(encoding="utf-8")


def ids_of(page: Page) -> list[str | None]:
    return [attributes["id"] for _, attributes in page.tags if "id" in attributes]


def test_every_link_leads_somewhere_and_every_id_is_unique_on_its_page(site):
    pages = {file.name: Page(file) for file in site.glob("*.html")}
    assert len(pages) > 15
    for name, page in pages.items():
        ids = ids_of(page)
        assert len(ids) == len(set(ids)), name
        targets = {
            str(value)
            for _, attributes in page.tags
            for kind, value in attributes.items()
            if kind in {"src", "href", "srcset"}
        }
        for target in targets:
            file, _, anchor = target.partition("#")
            assert not file or (site / file).is_file(), (name, target)
            assert not anchor or anchor in ids_of(pages[file or name]), (name, target)
        named = {
            one
            for _, attributes in page.tags
            for one in str(attributes.get("aria-labelledby", "")).split()
            if "aria-labelledby" in attributes
        }
        assert named <= set(ids), name


def test_the_page_can_be_read_by_ear(site):
    page = whole(site / "index.html")
    assert {"header", "nav", "main", "footer", "h1"} <= {name for name, _ in page.tags}
    assert {one["lang"] for one in page.all("html")} == {"en"}
    assert all(attributes.get("scope") for attributes in page.all("th"))
    alts = [attributes["alt"] for attributes in page.all("img")]
    assert all(alts)
    energy = [
        re.search(r"(measured|estimated|modelled|simulated) joules per sample of qnn-infer: \d+ point", alt)
        for alt in alts
    ]
    assert sum(map(bool, energy)) == 4
    assert sum("against bits, 3 widths: " in alt for alt in alts) == 5
    assert sum(alt.startswith("Published error against bits on other data") for alt in alts) == 1


def test_figures_are_svg_that_parses_and_has_no_date(site):
    files = sorted((site / "figures").glob("*.svg"))
    assert len(files) == 2 * (4 + 6 + 6 + 4)
    for file in files:
        assert ET.parse(file).getroot().tag.endswith("svg")
        assert "date" not in file.read_text(encoding="utf-8").lower()


def test_the_data_beside_the_page_is_the_frame_without_the_way_to_it(site):
    csv = pd.read_csv(site / "data" / "records.csv")
    rows = json.loads((site / "data" / "records.json").read_text(encoding="utf-8"))
    table = energybench.load(site.parent / "records" / "a8.json")
    assert [row["id"] for row in rows] == list(csv["id"])
    row = next(row for row in rows if row["id"] == "a8")
    assert row["estimated_joules_per_sample"] == table["estimated_joules_per_sample"].iloc[0]
    assert "joules_per_sample" not in row
    assert row["path"] == "a8.json"


def test_a_name_with_markup_in_it_is_shown_and_not_obeyed(write, tmp_path):
    values = a_record("a", 8, machine={"id": HOSTILE, "name": HOSTILE}, flags=[HOSTILE])
    values["workload"] = {"name": HOSTILE, "version": 1, "definition": {HOSTILE: HOSTILE}}
    values["parameters"] = {"bits": HOSTILE, HOSTILE: 1}
    values["domains"] = {HOSTILE: {"unavailable": HOSTILE, "remedy": HOSTILE}}
    folder = tmp_path / "records"
    folder.mkdir()
    for name, bits in (("a", HOSTILE), ("b", "8")):
        values |= {"id": name, "parameters": values["parameters"] | {"bits": bits}}
        (folder / f"{name}.json").write_text(schema.dumps(schema.parse(values)), encoding="utf-8")
    page = whole(site_builder.build(folder, tmp_path / "site"))
    assert {script.get("src") for script in page.all("script")} == {"theme.js", "report.js"}
    assert HOSTILE in page.text
    assert any(HOSTILE in one["alt"] for one in page.all("img"))
    for file in (tmp_path / "site" / "figures").glob("*.svg"):
        assert not [one for one in ET.parse(file).iter() if one.tag.endswith("script")]


def test_an_empty_folder_gives_a_page_that_says_what_would_fill_it(tmp_path):
    (tmp_path / "empty").mkdir()
    for records in (tmp_path / "empty", tmp_path / "not-there"):
        page = whole(site_builder.build(records, tmp_path / "site"))
        assert "No records yet" in page.text
        assert "energybench run qnn-infer" in page.text
        assert page.all("img") == []


def test_a_point_measured_twice_is_shown_once_and_the_older_one_counted(write, tmp_path):
    newer = a_record("b", 8, created="2026-11-22T12:00:00Z")
    newer["results"] = newer["results"] | {"accuracy": metric(0.5, "1", "measured")}
    page = whole(site_builder.build(write(a_record("a", 8), newer), tmp_path / "site"))
    assert "1 earlier record of the same points" in page.text
    assert "50.00 %" in page.text
    assert "90.80 %" not in page.text


def test_a_simulated_run_does_not_stand_in_for_the_real_machine(write, tmp_path):
    simulated = a_record("b", 8, created="2026-11-22T12:00:00Z", **metered("simulated"))
    page = whole(site_builder.build(write(a_record("a", 8), simulated), tmp_path / "site"))
    assert "earlier record" not in page.text
    assert "the box, simulated counters" in page.text
    assert {"machine-box-1.html", "machine-box-1-simulated.html"} <= {one.name for one in tmp_path.glob("site/*.html")}


def test_the_terminals_tables_keep_simulated_joules_apart_too(write, tmp_path, capsys):
    older = a_record("0", 8, created="2026-11-21T12:00:00Z")
    simulated = a_record("b", 8, created="2026-11-22T12:00:00Z", **metered("simulated"))
    folder = write(older, a_record("a", 8), simulated)
    assert report.build(Settings(records=folder, site=tmp_path / "site")) == 0
    out = capsys.readouterr().out
    assert "qnn-infer on the box, per sample" in out
    assert "qnn-infer on the box, simulated counters, per sample" in out
    assert f"1 earlier record in {folder}" in out


def test_figures_that_are_no_longer_shown_go_and_other_files_stay(write, tmp_path):
    folder = write(a_record("a", 8))
    site_builder.build(folder, tmp_path / "site")
    (tmp_path / "site" / "mine.txt").write_text("kept")
    assert len(list((tmp_path / "site" / "figures").iterdir())) > 8
    next(folder.rglob("a.json")).unlink()
    site_builder.build(folder, tmp_path / "site")
    assert list((tmp_path / "site" / "figures").iterdir()) == []
    assert (tmp_path / "site" / "mine.txt").read_text() == "kept"


def test_more_points_than_a_table_can_show_are_counted(write):
    stored = [frames.Stored(path=Path("x"), record=a_record(f"r{i}", i)) for i in range(1, 702)]
    table = tables.group_table(stored)
    assert (len(table["rows"]), table["cut"]) == (200, 501)


def test_the_first_glance_compares_the_lowest_level_with_the_highest(write):
    stored, _ = frames.read(write(a_record("a", 8), a_record("b", 16), a_record("c", 32)))
    tiles = {tile["label"]: tile for tile in tables.glance(stored, "param.bits")}
    assert tiles["estimated energy per sample, bits 8 against 32"]["big"] == "0.250 ×"
    assert tiles["estimated energy per sample, bits 8 against 32"]["verdict"] == "not told apart"
    assert tiles["accuracy, bits 8 against 32"]["big"] == "−2.40 points"
    assert tiles["time per sample, bits 8 against 32"]["verdict"] == "told apart"
    assert tiles["modelled energy per sample, bits 8 against 32"]["verdict"] == "no interval stated"
    one = tiles["estimated energy per sample, bits 8 against 32"]
    assert one["interval"] == "0.0625 to 1.00 ×"
    assert [told["name"] for told in one["values"]] == ["bits 8", "bits 32"]
    assert all(told["shown"].interval for told in one["values"])


def test_a_glance_tells_the_other_parameters_of_its_points(write):
    records = [a_record(f"{bits}-{batch}", bits) for bits in (8, 32) for batch in (1, 64)]
    for place, one in enumerate(records):
        one["parameters"] |= {"batch": (1, 64)[place % 2], "net": "mlp"}
    stored, _ = frames.read(write(*records))
    labels = {tile["label"].partition(", ")[2] for tile in tables.glance(stored, "param.bits")}
    assert labels == {"bits 8 against 32, batch 1"}


def measured(value: float, low: float, high: float, kind: str = "measured") -> dict[str, Any]:
    return {"value": value, "low": low, "high": high, "provenance": kind, "unit": "J"}


def test_the_interval_of_a_ratio_of_measured_values_adds_their_doubts_in_quadrature():
    # Half-widths of ln 1.1 and ln 1.1 make one of √2 ln 1.1.
    limits = pairs.ratio_limits(measured(20, 20 / 1.1, 22), measured(10, 10 / 1.1, 11))
    by = 1.1 ** (2**0.5)
    assert limits == pytest.approx((2 / by, 2 * by))
    assert pairs.ratio_limits(measured(20, 20, 20), measured(10, 10, 10)) == pytest.approx((2, 2))


def test_the_interval_of_a_ratio_of_modelled_values_is_all_that_the_models_admit():
    limits = pairs.ratio_limits(measured(20, 10, 40, "modelled"), measured(10, 5, 20, "modelled"))
    assert limits == pytest.approx((0.5, 8))


def test_a_ratio_has_no_interval_where_one_of_both_has_none_or_reaches_0():
    alone = {"value": 3.0, "provenance": "measured", "unit": "J"}
    assert pairs.ratio_limits(alone, measured(10, 9, 11)) is None
    assert pairs.ratio_limits(measured(1, -1, 3), measured(10, 9, 11)) is None


def test_the_interval_of_a_ratio_beyond_all_bounds_ends_at_infinity():
    assert pairs.ratio_limits(measured(1e300, 1e300, 1e300), measured(5e-324, 5e-324, 5e-324))[1] == float("inf")


def test_the_interval_of_a_difference_adds_doubts_in_quadrature():
    limits = pairs.difference_limits(measured(0.9, 0.87, 0.93), measured(0.8, 0.76, 0.84))
    assert limits == pytest.approx((0.05, 0.15))


def test_totals_over_different_domains_are_not_compared(write):
    one, other = metered("measured"), metered("measured")
    other["total"] = other["total"] | {"domains": ["cpu.package-0", "cpu.dram-0"]}
    stored, _ = frames.read(write(a_record("a", 8, **one), a_record("b", 32, **other)))
    assert [tile for tile in tables.glance(stored, "param.bits") if "energy" in tile["label"]] == []


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours, as WCAG defines it."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("dark", [False, True])
def test_every_colour_of_a_figure_stands_out_from_its_page(dark: bool):
    face = figures.INK[dark]["face"]
    ratios = [contrast(to_hex(colour), face) for colour in figures.ramp(9, dark=dark)]
    assert min(ratios) >= 3


def test_a_number_and_its_uncertainty_share_a_prefix_and_their_last_digit(write, tmp_path):
    changes = metered("measured")
    energy = {"joules": 49.2, "standard_uncertainty": 0.0242, "provenance": "measured"}
    changes["domains"]["cpu.package-0"] |= energy
    changes["total"] |= energy
    page = whole(site_builder.build(write(a_record("a", **changes)), tmp_path / "site"))
    assert page.text.count("49.200 ± 0.048 J") == 2


def test_flags_are_explained_where_they_occur(site):
    page = whole(site / "index.html")
    assert flags.MEANINGS["firmware-model"] in page.text
    assert flags.UNKNOWN in page.text  # of `noisy`, which no part of energybench sets
    assert flags.MEANINGS["aliased"] not in page.text


def test_every_flag_that_a_record_can_carry_has_a_meaning():
    folder = Path(energybench.__file__).parent
    # The probes are behind a link, which rglob does not follow before Python 3.13.
    files = [*folder.rglob("*.py"), *(folder / "probes").glob("*.py")]
    text = "".join(file.read_text(encoding="utf-8") for file in files)
    places = r"flags(?:: [^=]+)? ?\+?= ?.*|flags\.append\(.*|(?:said|found) = \{[^}]*\}"
    kebab = r'"([a-z]+(?:-[a-z]+)+|aliased|dephased|derived|mirror|multiplexed|resumed|throttled|uncalibrated)"'
    found = {flag for line in re.findall(places, text) for flag in re.findall(kebab, line)}
    assert {"firmware-model", "parent-wide", "below-resolution", "idle-drift"} <= found
    assert found - set(flags.MEANINGS) == set()


def test_records_are_read_once(write, tmp_path, monkeypatch):
    folder = write(a_record("a"))
    found = frames.read(folder)
    monkeypatch.setattr(frames, "read", lambda path: pytest.fail(f"{path} was read again"))
    assert "qnn-infer" in site_builder.build(folder, tmp_path / "site", found).read_text(encoding="utf-8")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_background(site, scheme: str):
    css = (site / "report.css").read_text(encoding="utf-8")
    both = re.findall(r"--([\w-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)", css)
    colours = {name: light if scheme == "light" else dark for name, light, dark in both}
    colours |= dict(re.findall(r"--(top-ink|top-muted): (#[0-9a-f]{6})", css))
    pairs = [
        (text, back) for text in ("ink", "muted", "link", "worse", "measured") for back in ("page", "card", "zebra")
    ]
    pairs += [(kind, f"{kind}-soft") for kind in ("measured", "estimated", "modelled", "simulated")]
    pairs += [("note-ink", "note"), ("top-ink", "top"), ("top-muted", "top")]
    found = {(text, back): contrast(colours[text], colours[back]) for text, back in pairs}
    assert {pair: ratio for pair, ratio in found.items() if ratio < 4.5} == {}
