"""Relaxation sweep by sweep, error against mismatch, modelled crossbars and trainings to an accuracy, on the page."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energybench import record as schema
from energybench._commands import results as terminal
from energybench.reports import analog, crossbar, figures, frames, plotting, relaxation, site_builder, targets

SWEEPS = {"sweep": [1, 2, 3, 4], "active": [64, 64, 16, 4], "residual_median": [0.1, 0.01, 1e-3, 0.0],
          "residual_max": [0.4, 0.05, 5e-3, 1e-3], "seconds": [1e-3, 2e-3, 2.5e-3, 4e-3]}  # fmt: skip
ROWS = [
    {"arm": arm, "mismatch": mismatch, "seed": seed, "error": error * (1 + 0.1 * seed)}
    for arm, errors in {"EP mapped": (0.02, 0.1), "EP in situ": (0.02, 0.03)}.items()
    for mismatch, error in zip((0.0, 0.4), errors, strict=True)
    for seed in (0, 1, 2)
]
TERMS = [
    {"term": "converters", "joules": 3e-9, "low": 1e-9, "high": 9e-9, "source": "ISAAC, ISCA 2016"},
    {"term": "updates", "joules": 0.0, "low": 0.0, "high": 0.0, "source": "a phase-change cell"},
]


def metric(value: float, unit: str, provenance: str, **rest: Any) -> dict[str, Any]:
    return {"value": value, "unit": unit, "provenance": provenance, "higher_is_better": False} | rest


def a_record(name: str, workload: str = "eqprop-relax", **changes: Any) -> dict[str, Any]:
    values = {
        "schema": 1,
        "id": name,
        "created": "2026-11-22T10:00:00Z",
        "energybench": "0.1.0",
        "protocol": {"version": 1, "windows": 3, "align": False},
        "workload": {"name": workload, "version": 1, "definition": {"data": {"name": "digits"}}},
        "parameters": {"net": "64-128-10", "tolerance": 0.001},
        "seed": 0,
        "quick": False,
        "machine": {"id": "box-1", "name": "the box"},
        "quiet": {"quiet": True, "reasons": []},
        "seconds": 5.0,
        "steps": 100,
        "samples": 6400,
        "windows": [],
        "results": {
            "joules_per_sample": metric(8e-4, "J", "measured"),
            "modelled_joules_per_sample": metric(4e-6, "J", "modelled"),
            "accuracy": metric(0.97, "1", "measured"),
            "free_sweeps": metric(6.0, "1", "measured"),
            "peak_memory_bytes": metric(2e6, "B", "measured"),
        },
    }
    return values | changes


def trained(name: str, workload: str, accuracies: list[list[float]], **changes: Any) -> dict[str, Any]:
    """A record of trainings to 97 %: 2 J a pass, of the provenance that is asked for."""
    kind = changes.pop("kind", "measured")
    windows = [
        {
            "seconds": 0.5, "steps": 1, "samples": 100, "round": turn, "training_pass": number, "accuracy": share,
            "total": {"joules": 2.0, "standard_uncertainty": 0.1, "provenance": kind, "domains": ["wall"]},
            "domains": {
                "wall": {"joules": 2.0, "standard_uncertainty": 0.1, "provenance": kind, "probe": "hwmon"},
            },
        }
        for turn, shares in enumerate(accuracies)
        for number, share in enumerate(shares, start=1)
    ]  # fmt: skip
    repeats = [
        {"seed": seed, "reached": shares[-1] >= 0.97, "passes": len(shares), "samples": 100 * len(shares),
         "seconds": 0.5 * len(shares), "elapsed_seconds": 1.0, "accuracies": shares}
        for seed, shares in enumerate(accuracies)
    ]  # fmt: skip
    reached = sum(one["reached"] for one in repeats)
    found = {"accuracy": metric(0.97, "1", "measured")}
    if reached:
        passes = sum(map(len, accuracies)) / reached
        found |= {
            "joules_to_accuracy": metric(2 * passes, "J", kind, low=1.5 * passes, high=2.5 * passes),
            "passes_to_accuracy": metric(passes, "1", "measured"),
            "seconds_to_accuracy": metric(0.5 * passes, "s", "measured"),
        }
    target = {"accuracy": 0.97, "criterion": "the first pass", "most_passes": 9, "reached": reached,
              "best_accuracy": 0.97, "repeats": repeats}  # fmt: skip
    total = {"joules": 2.0 * len(windows), "standard_uncertainty": 0.1, "provenance": kind, "domains": ["wall"]}
    parameters = {"batch": 64, "energy_to_accuracy": 0.97} | changes.pop("parameters", {})
    told = {"windows": windows, "results": found, "target": target, "parameters": parameters, "total": total}
    return a_record(name, workload, **told, steps=len(windows), **changes)


def stored(*records: Mapping[str, Any]) -> list[frames.Stored]:
    return [frames.Stored(path=Path("x"), record=schema.parse(one).to_json()) for one in records]


@pytest.fixture
def build(tmp_path: Path) -> Callable[..., Path]:
    """The page of these records."""

    def built(*records: Mapping[str, Any]) -> Path:
        folder = tmp_path / "records"
        folder.mkdir(exist_ok=True)
        for file in folder.iterdir():
            file.unlink()
        for values in records:
            (folder / f"{values['id']}.json").write_text(schema.dumps(schema.parse(values)), encoding="utf-8")
        return site_builder.build(folder, tmp_path / "site")

    return built


def test_joules_up_to_a_sweep_are_those_of_the_step_times_the_share_of_its_time():
    found = relaxation.panels(stored(a_record("a", details={"relaxation": SWEEPS})))
    assert list(found) == ["residual", "active", "measured", "modelled"]
    (measured,), (modelled,) = found["measured"][1], found["modelled"][1]
    assert measured.values == pytest.approx([2e-4, 4e-4, 5e-4, 8e-4])
    assert modelled.values == pytest.approx([1e-6, 2e-6, 2.5e-6, 4e-6])
    for kind in ("measured", "modelled"):
        assert found[kind][0].label == f"{kind} J per sample,\nshared out by time"


def test_a_residual_of_0_has_no_place_on_a_logarithmic_axis():
    curves = relaxation.panels(stored(a_record("a", details={"relaxation": SWEEPS})))["residual"][1]
    assert {curve.term: curve.sweeps for curve in curves} == {"median": [1, 2, 3], "largest": [1, 2, 3, 4]}


def test_a_relaxation_is_drawn_where_its_numbers_are_on_logarithmic_axes():
    drawn = relaxation.figures(stored(a_record("a", details={"relaxation": SWEEPS})))
    (axis,) = drawn["measured"].axes
    assert axis.get_yscale() == "log"
    assert axis.lines[0].get_xdata().tolist() == [1, 2, 3, 4]
    assert axis.lines[0].get_ydata().tolist() == pytest.approx([2e-4, 4e-4, 5e-4, 8e-4])
    assert [line.get_linestyle() for line in drawn["residual"].axes[0].lines] == ["-", "--"]
    assert drawn["active"].axes[0].get_yscale() == "log"


@pytest.mark.parametrize(
    "told",
    [None, [], {"sweep": [1, 2]}, SWEEPS | {"active": [1]}, SWEEPS | {"seconds": ["a", "b", "c", "d"]},
     {name: [] for name in SWEEPS}],
)  # fmt: skip
def test_details_of_another_form_are_left_alone(told: Any):
    assert relaxation.panels(stored(a_record("a", details={"relaxation": told}))) == {}


def test_the_mean_over_seeds_is_drawn_with_the_lowest_and_the_highest():
    found = analog.points(a_record("a", details={"analog": {"rows": ROWS}}))
    assert [(point.arm, point.mismatch, point.seeds) for point in found] == [
        (arm, mismatch, 3) for arm in ("EP mapped", "EP in situ") for mismatch in (0.0, 0.4)
    ]
    mapped = found[1]
    assert (mapped.mean, mapped.low, mapped.high) == pytest.approx((0.11, 0.1, 0.12))
    drawn = analog.figures(stored(a_record("a", details={"analog": {"rows": ROWS}})))
    (axis,) = drawn["error-1"].axes
    lines = [line for line in axis.lines if line.get_linestyle() in ("-", "--")]
    assert [line.get_linestyle() for line in lines] == ["--", "-"]
    assert lines[0].get_ydata().tolist() == pytest.approx([0.022, 0.11])
    (bars, *_) = [container[2][0].get_segments()[0][:, 1] for container in axis.containers]
    assert bars.tolist() == pytest.approx([0.02, 0.024])


def test_rows_that_are_no_numbers_are_left_out():
    rows = [{"arm": "EP", "mismatch": "much", "error": 0.1}, {"arm": "EP", "mismatch": 0.1}, "row", *ROWS[:1]]
    assert len(analog.points(a_record("a", details={"analog": {"rows": rows}}))) == 1


def test_terms_of_a_crossbar_are_labelled_modelled_and_their_sources_are_told(build, site_text):
    page = site_text(build(a_record("a", details={"analog": {"rows": ROWS, "crossbar": TERMS}})))
    (table,) = re.findall(r'<table class="terms">.*?</table>', page, re.DOTALL)
    assert re.findall(r'class="badge (\w+)"', table) == ["modelled"] * 2
    assert "3.00 nJ" in table
    assert "1.00 to 9.00 nJ" in table
    assert "ISAAC, ISCA 2016" in page
    assert "nothing of it was" in page


def test_no_panel_shows_modelled_terms_beside_what_was_measured():
    some = stored(a_record("a", details={"analog": {"crossbar": TERMS}}))
    drawn = crossbar.figures(some)
    assert list(drawn) == ["terms-1"]
    (axis,) = drawn["terms-1"].axes
    assert axis.get_xlabel() == "modelled joules"
    assert [text.get_text() for text in axis.get_yticklabels()] == ["converters"]  # 0 J has no place there
    assert crossbar.alt(some, "terms-1").endswith("updates 0 J. All modelled.")


def test_equal_terms_of_several_records_are_shown_once():
    same = {"analog": {"crossbar": TERMS}}
    points = [a_record(name, details=same, parameters={"gain": gain}) for name, gain in (("a", 0.1), ("b", 0.2))]
    (shown,) = crossbar.table(stored(*points))
    assert shown["setting"] == "gain 0.1; gain 0.2"


THERE, SHORT = [[0.8, 0.96, 0.97], [0.9, 0.98]], [[0.8, 0.9], [0.9, 0.98]]


def test_trainings_stand_apart_from_steps_and_together_with_other_workloads_of_the_same_target():
    steps = a_record("s", "bp-train", parameters={"batch": 64})
    other = trained("c", "bp-train", THERE, parameters={"energy_to_accuracy": 0.9})
    other["target"] = other["target"] | {"accuracy": 0.9}
    simulated = trained("d", "bp-train", SHORT, kind="simulated")
    groups = frames.grouped(
        stored(steps, trained("a", "bp-train", THERE), trained("b", "eqprop-train", THERE), other, simulated)
    )
    assert [[one.record["id"] for one in group] for group in groups] == [["s"], ["c"], ["a", "b"], ["d"]]


def test_a_curve_adds_up_the_passes_of_its_training_up_to_the_target():
    found = targets.curves(stored(trained("a", "bp-train", SHORT, modelled={
        "table": "t", "joules": 4e-3, "arithmetic_joules": 1e-3, "memory_joules": 3e-3})))  # fmt: skip
    assert [curve.joules for curve in found["measured"]] == [[2.0, 4.0], [2.0, 4.0]]
    assert [curve.accuracies for curve in found["measured"]] == SHORT
    assert [curve.reached for curve in found["measured"]] == [False, True]
    assert found["modelled"][0].joules == pytest.approx([1e-3, 2e-3])
    drawn = targets.figures(stored(trained("a", "bp-train", SHORT)))
    (axis,) = drawn["measured"].axes
    assert axis.get_xlabel() == "measured joules so far"
    ends = [line for line in axis.lines if line.get_marker() == "o"]
    assert [line.get_markerfacecolor() == "none" for line in ends] == [True, False]


def test_trainings_that_are_not_whole_are_not_drawn():
    short, still = trained("a", "bp-train", SHORT), trained("b", "bp-train", SHORT, modelled={
        "table": "t", "joules": 4e-3, "arithmetic_joules": 1e-3, "memory_joules": 3e-3})  # fmt: skip
    short["target"]["repeats"][0] = short["target"]["repeats"][0] | {"accuracies": [0.8]}
    still["steps"] = 0
    found = targets.curves(stored(short, still))
    assert [curve.accuracies for curve in found["measured"]] == [SHORT[1], *SHORT]
    assert "modelled" not in found


def test_a_training_that_fell_short_says_so_in_the_place_of_its_joules(build):
    never = trained("c", "bptt-train", [[0.8], [0.9]])
    index = build(trained("a", "bp-train", THERE), trained("b", "eqprop-train", SHORT), never)
    page = next(index.parent.glob("workload-energy-to-97-*.html")).read_text(encoding="utf-8")
    text = re.sub(r"(<[^>]+>|\s)+", " ", page)
    assert "Energy to 97 % accuracy, digits" in text
    assert text.count("not reached") == 3  # joules, seconds, passes
    assert "bp-train reached by 2 of 2 Energy 5.00 J" in text
    assert "eqprop-train reached by 1 of 2 Energy 8.00 J" in text
    assert "Trained from scratch 2 times" in text


def test_the_terminal_says_so_too(capsys):
    from rich.console import Console

    tables = terminal.result_tables([trained("a", "bp-train", THERE), trained("b", "eqprop-train", SHORT)])
    console = Console(width=200)
    console.print(*tables)
    out = capsys.readouterr().out
    assert "to 97 % accuracy" in out
    assert "4, reached by 1 of 2" in out
    assert "5.0 ± 1.2 J (measured)" in out


def test_parameters_that_differ_within_a_workload_name_its_rows():
    wide, narrow = (trained(f"w{wbits}", "qnn-train", THERE, parameters={"wbits": wbits}) for wbits in (8, 1))
    some = stored(wide, narrow, trained("c", "bp-train", THERE))
    assert targets.names(some) == [("qnn-train", "wbits 8"), ("qnn-train", "wbits 1"), ("bp-train", "")]
    assert [row["settings"] for row in targets.table(some)["rows"]][2] == ["bp-train", ""]


def test_a_page_of_all_of_it_is_whole_and_stale_figures_go(build, site_text):
    details = {"relaxation": SWEEPS, "analog": {"rows": ROWS, "crossbar": TERMS}}
    index = build(a_record("a", details=details), trained("b", "bp-train", THERE))
    page, site = site_text(index), index.parent
    pictures = re.findall(r'<img src="figures/[^>]*', page)
    assert len(re.findall(r"<img src=\"figures/[^>]*alt=\"[^\"]{40,}\"", page)) == len(pictures) > 10
    named = {name.split("#")[0] for name in re.findall(r'(?:src|srcset)="(figures/[^"]+)"', page)}
    assert named == {f"figures/{file.name}" for file in (site / "figures").iterdir()}
    assert all(ET.parse(site / file).getroot().tag.endswith("svg") for file in named)
    build(a_record("a"))
    assert {file.name.split("-")[0] for file in (site / "figures").iterdir()} == {"energy"}


def test_results_of_a_workloads_own_stand_in_a_second_table(build):
    page = (build(a_record("a")).parent / "workload-eqprop-relax.html").read_text(encoding="utf-8")
    first, second = re.findall(r'<table class="points.*?</table>', page, re.DOTALL)
    assert "Accuracy" in first
    assert "Free sweeps" not in first
    assert "Free sweeps" in second
    assert "2.00 MB" in second


@given(st.floats(1e-12, 9.9e-4))
def test_a_small_number_without_a_unit_is_written_as_a_power_of_ten(value: float):
    plain = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
    digits, _, raised = plotting.tick(value, "").rpartition(" × ")
    assert float(f"{digits or 1}e{raised.removeprefix('10').translate(plain)}") == pytest.approx(value, rel=0.05)


@pytest.mark.parametrize("dark", [False, True])
def test_colours_without_an_order_stand_out_from_the_page(dark: bool):
    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    face = luminance(str(figures.INK[dark]["face"]))
    for colour in plotting.CATEGORIES[dark]:
        low, high = sorted((face, luminance(colour)))
        assert (high + 0.05) / (low + 0.05) >= 3
    assert len(set(plotting.CATEGORIES[dark])) == len(plotting.MARKERS)


def test_names_of_points_that_lie_close_do_not_overlap():
    records = [
        a_record(f"r{n}", parameters={"bits": bits}, results={
            "joules_per_sample": metric(1e-4 * (1 + 0.02 * n), "J", "measured"),
            "accuracy": metric(0.97 + 1e-5 * n, "1", "measured")})
        for n, bits in enumerate((8, 16, 32))
    ]  # fmt: skip
    (figure,) = figures.energy_accuracy(frames.frame(stored(*records))).values()
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert len(boxes) >= 2
    assert not any(one.overlaps(other) for n, one in enumerate(boxes) for other in boxes[:n])


def test_bits_are_whole_numbers_beside_records_that_have_none():
    some = [a_record("a", parameters={"bits": 8}), a_record("b", parameters={"bits": 16}), a_record("c")]
    table = frames.frame(stored(*some))
    assert set(figures.points(table[table["id"] != "c"], "param.bits")["level"]) == {"8", "16"}
