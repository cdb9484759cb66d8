"""Words in figures: none lies on another or leaves its figure, whatever the points; rows say what tells them apart."""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from matplotlib.path import Path as Path2D
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from energybench.reports import badge, frames, labels, paper
from energybench.reports.frames import Stored
from energybench.reports.plotting import legend, logarithmic, panel_axes
from energybench.reports.views import (
    breakdown,
    communication,
    frontier,
    part_looks,
    power,
    relaxing,
    roofline,
    row_names,
    scatter,
    tradeoff,
)
from energybench.reports.views.implausible import implausible
from energybench.reports.views.view import View

TOUCH = 1.0
"""Pixels by which the boxes of two words may overlap: they have room around their letters."""


def metric(value: float, unit: str, provenance: str, **rest: Any) -> dict[str, Any]:
    return {"value": value, "unit": unit, "provenance": provenance, "higher_is_better": False} | rest


def a_record(number: int, joules: float, seconds: float, accuracy: float, **changes: Any) -> dict[str, Any]:
    bits = 1 + number % 8
    values = {
        "id": f"r{number}",
        "created": "2026-11-22T10:00:00Z",
        "workload": {
            "name": changes.pop("name", "qnn-infer"),
            "version": 1,
            "definition": {"data": {"name": "digits"}},
        },
        "parameters": {"bits": bits, "batch": number},
        "seed": 0,
        "seconds": 5.0,
        "steps": 10,
        "samples": 100,
        "machine": {"id": "box-1", "name": "the box"},
        "domains": {},
        "modelled": {"table": "horowitz-45nm", "joules": 1.0, "memory_joules": 0.5, "arithmetic_joules": 0.5},
        "operators": {"counts": {"operations": {"fp32.add": 100, "int8.mul": 100, "b1.xnor": 50}}},
        "results": {
            "joules_per_sample": metric(joules, "J", "measured", low=joules * 0.8, high=joules * 1.3),
            "modelled_joules_per_sample": metric(joules / 30, "J", "modelled"),
            "seconds_per_sample": metric(seconds, "s", "measured", low=seconds * 0.9, high=seconds * 1.1),
            "accuracy": metric(accuracy, "1", "measured", low=accuracy * 0.99, high=min(1.0, accuracy * 1.01)),
            "operations_per_sample": metric(1e6 * (1 + number), "op", "modelled"),
            "operand_bytes_per_sample": metric(5e5, "B", "modelled"),
        },
    }
    return values | changes


def stored(records: Sequence[Mapping[str, Any]]) -> list[Stored]:
    return [Stored(path=Path("x"), record=one) for one in records]


def words(figure: Any) -> list[tuple[str, Any]]:
    """What a figure says, and the box of each."""
    figure.draw_without_rendering()
    (axis,) = figure.axes
    # Ticks beyond the ends of an axis are kept by matplotlib, and never drawn.
    hidden = set()
    for one, low, high in ((axis.xaxis, *sorted(axis.get_xlim())), (axis.yaxis, *sorted(axis.get_ylim()))):
        for tick in one.get_major_ticks():
            if not low * (1 - 1e-9) - 1e-300 <= tick.get_loc() <= high * (1 + 1e-9) + 1e-300:
                hidden |= {tick.label1, tick.label2}
    told = [text for text in figure.findobj(Text) if text.get_text().strip() and text.get_visible()]
    return [(text.get_text(), text.get_window_extent()) for text in told if text not in hidden]


def collisions(figure: Any) -> Iterator[tuple[str, str]]:
    for (one, box), (other, its) in combinations(words(figure), 2):
        across = min(box.x1, its.x1) - max(box.x0, its.x0)
        up = min(box.y1, its.y1) - max(box.y0, its.y0)
        if across > TOUCH and up > TOUCH:
            yield one, other


def outside(figure: Any) -> list[str]:
    frame = figure.bbox.padded(1)
    return [
        text
        for text, box in words(figure)
        if box.x0 < frame.x0 or box.x1 > frame.x1 or box.y0 < frame.y0 or box.y1 > frame.y1
    ]


def whole(view: View) -> None:
    assert view.figures is not None
    for name, figure in view.figures(False).items():
        assert list(collisions(figure)) == [], name
        assert outside(figure) == [], name


spots = st.lists(
    st.tuples(st.floats(-7, -2), st.floats(-6, -3), st.floats(0.05, 1.0)), min_size=1, max_size=30, unique=True
)


@settings(max_examples=15, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(spots, st.booleans())
def test_no_words_lie_on_one_another_or_leave_their_figure(found: list[tuple[float, float, float]], several: bool):
    records = [
        a_record(n, 10**joules, 10**seconds, accuracy, name=f"workload-{n % 3}" if several else "qnn-infer")
        for n, (joules, seconds, accuracy) in enumerate(found)
    ]
    for view in (frontier.view(stored(records)), tradeoff.view(stored(records)), roofline.view(stored(records))):
        whole(view)


@settings(max_examples=25, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(st.lists(st.tuples(st.floats(-5, -3), st.floats(0.2, 0.9)), min_size=2, max_size=8, unique=True))
def test_names_of_points_lie_on_no_interval_of_any_point_and_no_line_to_one_crosses_a_mark(found):
    with panel_axes("heading", "x", "y", dark=False) as (figure, axis):
        logarithmic(axis, "J", 1e-6, 1e-2, way="x")
        axis.set_ylim(0, 1)
        legend(figure, [], dark=False)
        rows = [{"level": f"W{n}A{n}", "joules": 10**x, "accuracy": y} for n, (x, y) in enumerate(found)]
        bars = [((0.5 * 10**x, y), (2 * 10**x, y)) for x, y in found] + [
            ((10**x, y - 0.1), (10**x, y + 0.1)) for x, y in found
        ]
        labels.name_points(axis, rows, "white", bars)
    figure.draw_without_rendering()
    names = [text for text in axis.texts if text.get_label() == labels.PLACED]
    for begin, end in bars:
        line = Path2D([axis.transData.transform(begin), axis.transData.transform(end)])
        assert not any(line.intersects_bbox(text.get_window_extent(), filled=False) for text in names)
    for text in (text for text in axis.texts if text.get_label() == labels.LEADER):
        begin, end = (text.arrow_patch.get_path().vertices[place] for place in (0, -1))
        line = Path2D(text.arrow_patch.get_transform().transform([begin, end]))
        others = [row for row in rows if (row["joules"], row["accuracy"]) != text.xy]
        marks = [Bbox.from_extents(*(at - 3), *(at + 3)) for at in
                 (axis.transData.transform((row["joules"], row["accuracy"])) for row in others)]  # fmt: skip
        own = axis.transData.transform(text.xy)
        assert not any(line.intersects_bbox(box, filled=False) for box in marks if not box.padded(5).contains(*own))


def test_a_name_goes_far_with_a_line_where_intervals_leave_no_room_beside_its_point():
    with panel_axes("heading", "x", "y", dark=False) as (figure, axis):
        logarithmic(axis, "J", 1e-6, 1e-2, way="x")
        axis.set_ylim(0, 1)
        legend(figure, [], dark=False)
        row = {"level": "W8A8", "joules": 1e-4, "accuracy": 0.5}
        hedge = [((2e-5, 0.5 + 0.02 * n), (5e-4, 0.5 + 0.02 * n)) for n in range(-8, 9)]
        labels.name_points(axis, [row], "white", [])
        assert [text.get_label() for text in axis.texts] == [labels.PLACED]
        labels.name_points(axis, [row], "white", hedge)
        assert [text.get_label() for text in axis.texts][1:] == [labels.LEADER, labels.PLACED]
        wall = [((1e-6, 0.02 * n), (1e-2, 0.02 * n)) for n in range(51)]
        before = len(axis.texts)
        labels.name_points(axis, [row], "white", wall)
        assert len(axis.texts) == before


def test_a_name_of_three_thousand_letters_is_drawn_in_no_time_and_keeps_both_its_ends():
    names = [f"{n}, " + "long, name " * 270 + f"end {n}" for n in range(2)]
    records = [a_record(n, 1e-4 * (1 + n), 1e-4, 0.9, name=names[n]) for n in range(2)]
    begun = time.perf_counter()
    for view in (breakdown.view(stored(records)), tradeoff.view(stored(records)), frontier.view(stored(records))):
        assert view.figures is not None
        for figure in view.figures(False).values():
            assert all(len(line) <= 150 for text, _ in words(figure) for line in text.splitlines())
            assert all(len(text) <= 300 for text, _ in words(figure))
    assert time.perf_counter() - begun < 20
    with panel_axes(names[0], "x", "y", dark=False) as (figure, axis):
        pass
    told = axis.get_title().replace("\n", " ")
    assert len(told) <= 120
    assert told.startswith("0, long, name")
    assert told.endswith("end 0")


def test_nine_workloads_are_told_apart_and_none_is_called_others():
    records = [a_record(n, 1e-4 * (1 + n), 1e-4 * (1 + n), 0.9, name=f"w{n}") for n in range(9)]
    figures = tradeoff.view(stored(records)).figures
    assert figures is not None
    (legend_of,) = figures(False)["measured"].legends
    names = [text.get_text() for text in legend_of.texts]
    assert {f"w{n}" for n in range(9)} <= set(names)
    assert "others" not in names
    looks = {
        (line.get_color(), line.get_markerfacecolor())
        for text, line in zip(legend_of.texts, legend_of.get_lines(), strict=True)
        if text.get_text().startswith("w")
    }
    assert len(looks) == 9


def test_others_are_two_groups_at_least():
    spots = [scatter.Spot(group=f"g{n}", x=1.0, y=1.0) for n in range(scatter.MOST_GROUPS + 1)]
    assert [one.group for one in scatter.few(spots)].count(scatter.OTHERS) == 2
    assert scatter.OTHERS not in [one.group for one in scatter.few(spots[:-1])]


def test_intervals_of_many_points_are_pale_and_lie_below_their_marks():
    def drawn(count: int) -> Any:
        records = [a_record(n, 1e-4 * (1 + n), 1e-4 * (1 + n), 0.9, name=f"w{n % 3}") for n in range(count)]
        figures = tradeoff.view(stored(records)).figures
        assert figures is not None
        return figures(False)["measured"].axes[0]

    few, many = drawn(4), drawn(30)
    assert {bar.get_alpha() for bar in few.collections} == {None}
    assert {bar.get_alpha() for bar in many.collections} == {0.4}
    marks = [line.get_zorder() for line in many.lines if line.get_marker() == "o"]
    assert max(bar.get_zorder() for bar in many.collections) < min(marks)


def test_words_that_lie_on_one_another_would_be_seen():
    view = tradeoff.view(stored([a_record(1, 1e-4, 1e-4, 0.9)]))
    assert view.figures is not None
    figure = view.figures(False)["measured"]
    axis = figure.axes[0]
    for _ in range(2):
        axis.text(1e-4, 1e-4, "twice")
    assert list(collisions(figure)) == [("twice", "twice")]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=80), min_size=1, max_size=5))
def test_a_broken_name_fits_in_every_line_and_loses_no_letter(parts: list[str]):
    name = f"{', '.join(parts)}: 12.3 µJ (11.9 to 12.8 µJ)"
    lines = row_names.broken(name)
    widest = row_names.INCHES * 72 / row_names.POINTS * badge.SIZE
    assert all(badge.width(line) <= widest for line in lines)
    if len(name) <= row_names.MOST_PARTS:
        assert "".join(lines).replace(" ", "") == name.replace(" ", "")
    assert lines[-1].endswith("12.8 µJ)")


def test_what_all_rows_have_in_common_is_told_once():
    names = ["qnn-infer, bits 1, on the box", "qnn-infer, bits 8, on the box"]
    assert row_names.told_apart(names) == (["bits 1", "bits 8"], "qnn-infer, on the box")
    assert row_names.told_apart(names[:1]) == (names[:1], "")
    assert row_names.told_apart(["a, on x", "a, b 1, on x"]) == (["a", "a, b 1"], "on x")


@given(st.lists(st.sampled_from(("a", "b 1", "b 2", "c", "on x")), min_size=1, max_size=4))
def test_names_that_differ_still_do_when_told_apart(parts: list[str]):
    names = [", ".join(parts), ", ".join([*parts, "d"]), "a, on x"]
    told, _ = row_names.told_apart(names)
    assert len(set(told)) == len(set(names))
    assert all(told)


def a_metered(name: str, domains: Mapping[str, float], **changes: Any) -> dict[str, Any]:
    """100 samples in 5 s."""
    told = {
        domain: {"joules": joules, "standard_uncertainty": 0.01, "provenance": "measured", "probe": "powercap"}
        for domain, joules in domains.items()
    }
    total = {
        "joules": sum(domains.values()),
        "standard_uncertainty": 0.01,
        "provenance": "measured",
        "domains": list(domains),
    }
    return a_record(0, 1e-2, 1e-3, 0.9, id=name, domains=told, total=total, parameters={"a": name}) | changes


def faces(figure: Any) -> dict[str, tuple[Any, str]]:
    (legend,) = figure.legends
    return {
        text.get_text(): (patch.get_facecolor(), patch.get_hatch())
        for text, patch in zip(legend.get_texts(), legend.get_patches(), strict=True)
    }


def test_a_domain_looks_the_same_in_every_panel_whatever_else_is_there():
    one = a_metered("a", {"cpu.package-0": 1.0, "cpu.dram-0": 8.0, "zz": 1.0})
    other = a_metered("b", {"cpu.dram-0": 1.0, "aa": 9.0, "zz": 1.0}, machine={"id": "box-2", "name": "two"})
    simulated = a_metered("c", {"zz": 1.0, "gpu.0": 5.0})
    for told in (simulated["total"], *simulated["domains"].values()):
        told["provenance"] = "simulated"
    view = breakdown.view(stored([one, other, simulated]))
    assert view.figures is not None
    drawn = view.figures(False)
    both, alone = faces(drawn["measured-domains"]), faces(drawn["simulated-domains"])
    assert both["zz"] == alone["zz"]
    assert len({*both.values(), *alone.values()}) == len(both.keys() | alone.keys()) == 5
    again = breakdown.view(stored([simulated, other, one])).figures
    assert again is not None
    assert faces(again(False)["measured-domains"]) == both


def test_well_known_parts_have_the_look_that_stands_by_heart():
    full = part_looks.looks_of(["cpu.package-0", "cpu.dram-0", "gpu.0", "x"], dark=False)
    assert part_looks.looks_of(["gpu.0"], dark=False)["gpu.0"] == full["gpu.0"]
    assert len({(one["facecolor"], one["hatch"]) for one in full.values()}) == 4


@given(st.sets(st.sampled_from([*part_looks.PLACES, "x", "y", "z", *part_looks.LEFT]), min_size=1))
def test_parts_of_one_bar_never_look_the_same(names: set[str]):
    for own in part_looks.TOGETHER:
        shown = part_looks.looks_of((names & set(own)) | (names - set(part_looks.PLACES)), dark=True)
        assert len({(one["facecolor"], one["hatch"]) for one in shown.values()}) == len(shown)


def test_active_joules_below_0_are_said_to_be_unbelievable_with_a_minus_that_is_one():
    rest = {
        "when": "before",
        "seconds": 1.0,
        "domains": {"cpu.package-0": {"joules": 9.0, "standard_uncertainty": 0.1}},
    }
    view = breakdown.view(stored([a_metered("a", {"cpu.package-0": 1.0}, idle=[rest])]))
    (note,) = [one for one in view.notes if "below 0" in one]
    assert note.startswith("1 of 1 points have active joules below 0: the machine took more power idle")
    assert view.figures is not None
    figure = view.figures(False)["measured-static-and-active"]
    said = [text for text, _ in words(figure)]
    assert any("−" in text for text in said)
    assert not any(re.search(r"(?<![a-z])-\d", text) for text in said)


@pytest.mark.parametrize("joules", [1e4, 1e3])
def test_a_value_over_a_million_times_the_median_is_named_and_drawn(joules: float):
    records = [a_record(n, 1e-4, 1e-4, 0.9) for n in range(3)] + [a_record(7, joules, 1e-4, 0.9)]
    for view in (tradeoff.view(stored(records)), frontier.view(stored(records))):
        (note,) = [one for one in view.notes if one.startswith("Implausible measured joules")]
        assert "qnn-infer, batch 7, bits 8 (" in note
        assert note.endswith("is over a million times the median, 100 µJ.")
        assert view.figures is not None
        for figure in view.figures(False).values():
            figure.draw_without_rendering()
        (axis,) = next(one for name, one in view.figures(False).items() if name.startswith("measured")).axes
        assert max(axis.get_xlim()[1], axis.get_ylim()[1]) > joules


def test_absurd_joules_in_a_breakdown_and_absurd_watts_of_a_trace_are_named():
    told = [a_metered(name, {"cpu.package-0": joules}) for name, joules in (("a", 1.0), ("b", 1.1), ("c", 1e12))]
    notes = breakdown.view(stored(told)).notes
    assert any(note.startswith("Implausible measured joules: qnn-infer, a c (10.0 GJ) is over") for note in notes)
    trace = [[0, 0.1 * n, "cpu.package-0", watts] for n, watts in enumerate((1.0, 1.0, 1e9))]
    notes = power.view(stored([a_metered("a", {"cpu.package-0": 1.0}, trace=trace, windows=[])])).notes
    assert any(note.startswith("Implausible measured watts of qnn-infer: cpu.package-0 (1.00 GW) is") for note in notes)


def test_ordinary_values_are_not_named():
    assert implausible([("a", 1.0), ("b", 9e5)], "J", "joules") == ()
    assert implausible([], "J", "joules") == ()
    many = implausible([("a", 1.0), *((f"n{n}", 1e9 + n) for n in range(1))], "J", "joules")
    assert many == ("Implausible joules: n0 (1.00 GJ) is over a million times the median, 1.00 J.",)


def test_energy_times_time_has_its_unit_its_interval_and_its_provenance():
    view = tradeoff.view(stored([a_record(1, 2e-3, 5e-3, 0.9), a_record(2, 4e-3, 6e-3, 0.9)]))
    cell = view.table.rows[0][3]
    assert not isinstance(cell, str)
    assert cell.text == "10.0 µJ·s"
    assert cell.provenance == "measured"
    frame = view.frame()
    row = frame[(frame["record"] == "r1") & (frame["provenance"] == "measured")].iloc[0]
    told = row[["energy_delay_product", "energy_delay_product.low", "energy_delay_product.high"]].tolist()
    assert told == pytest.approx([1e-5, 1.6e-3 * 4.5e-3, 2.6e-3 * 5.5e-3])
    modelled = frame[frame["provenance"] == "modelled"].iloc[0]
    joules = modelled["joules"]
    assert modelled["energy_delay_product.high"] == pytest.approx(joules * modelled["seconds.high"])


def test_a_workload_of_one_point_is_not_called_unbeaten():
    view = tradeoff.view(stored([a_record(1, 2e-3, 5e-3, 0.9)]))
    assert {row[-1] for row in view.table.rows} == {"only one point"}
    assert view.alts["measured"].endswith("; only one point of each workload.")
    both = tradeoff.view(stored([a_record(1, 2e-3, 5e-3, 0.9), a_record(2, 4e-3, 6e-3, 0.9)]))
    assert [row[-1] for row in both.table.rows[:2]] == ["yes", "no"]


def test_a_group_has_one_colour_in_all_panels_and_none_beside_it_has_the_same():
    records = [a_record(n, 1e-4 * (1 + n), 1e-4, 0.9, name=f"w{n}") for n in range(8)]
    for one in records[:5]:
        del one["results"]["modelled_joules_per_sample"]
    figures = tradeoff.view(stored(records)).figures
    assert figures is not None

    def inks(name: str) -> dict[str, Any]:
        (legend,) = figures(False)[name].legends
        return {text.get_text(): line.get_color() for text, line in zip(legend.texts, legend.get_lines(), strict=True)}

    measured = inks("measured")
    assert len(set(measured.values())) == len(measured) == 8
    assert inks("modelled") == {name: measured[name] for name in ("w5", "w6", "w7")}


def test_every_figure_of_a_report_keeps_its_words_apart_on_a_page_and_in_a_paper(
    tmp_path: Path, fill_records: Callable[[Path], Path]
):
    found, _ = frames.read(fill_records(tmp_path))
    for module in (breakdown, communication, frontier, power, relaxing, roofline, tradeoff):
        view = module.view(found)
        whole(view)
        assert view.figures is not None
        for columns in (1, 2):
            for name, figure in view.figures(True).items():
                assert list(collisions(paper.fit(figure, columns))) == [], (view.name, name, columns)


def test_words_that_a_paper_puts_upon_one_another_are_taken_away():
    records = [a_record(n, 1e-4 * (1 + n / 50), 1e-4, 0.9 + n / 500) for n in range(8)]
    figures = frontier.view(stored(records)).figures
    assert figures is not None
    before = [text.get_text() for text in figures(False)["measured-qnn-infer"].axes[0].texts]
    assert len(before) > 2
    for columns in (1, 2):
        figure = paper.fit(figures(False)["measured-qnn-infer"], columns)
        assert list(collisions(figure)) == []
        assert {text.get_text() for text in figure.axes[0].texts} <= set(before)
