"""The relaxation of networks that settle: sweeps, phases, tolerances, and joules that are shared out among them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from energybench.reports import figures, relaxation
from energybench.reports.frames import Stored
from energybench.reports.views import relaxing, settling
from energybench.reports.views.view import View

HOSTILE = '<script>alert("x")</script>&"\'$a^b$'
SWEEPS = {"sweep": [1, 2, 3, 4], "active": [64, 64, 16, 4], "residual_median": [0.1, 0.01, 1e-3, 0.0],
          "residual_max": [0.4, 0.05, 5e-3, 1e-3], "seconds": [1e-3, 2e-3, 2.5e-3, 4e-3]}  # fmt: skip
NUDGED = SWEEPS | {"phase": ["free", "free", "free", "nudged"]}


def metric(value: float, unit: str, provenance: str, **rest: Any) -> dict[str, Any]:
    return {"value": value, "unit": unit, "provenance": provenance, "higher_is_better": False} | rest


def a_record(tolerance: float = 0.001, joules: float = 8e-4, told: Any = SWEEPS, **changes: Any) -> dict[str, Any]:
    values = {
        "id": f"r{tolerance}",
        "created": "2026-11-22T10:00:00Z",
        "workload": {"name": "eqprop-relax", "version": 1, "definition": {}},
        "parameters": {"tolerance": tolerance},
        "seed": 0,
        "machine": {"id": "box-1", "name": "the box"},
        "results": {
            "joules_per_sample": metric(joules, "J", "measured", low=joules / 2, high=joules * 2),
            "modelled_joules_per_sample": metric(4e-6, "J", "modelled"),
            "accuracy": metric(0.97, "1", "measured"),
            "free_sweeps": metric(3.5, "1", "measured"),
            "sweeps": metric(3.5, "1", "measured"),
            "residual": metric(3e-4, "1", "measured"),
        },
        "details": {"relaxation": told} if told else {},
    }
    return values | changes


def trained(**changes: Any) -> dict[str, Any]:
    """12 free sweeps and twice 8 nudged ones."""
    record = a_record(0.0, 28e-6, None, workload={"name": "eqprop-train", "version": 1, "definition": {}}, **changes)
    sweeps = {"free_sweeps": 12.0, "nudged_sweeps": 8.0, "sweeps": 28.0}
    record["results"] |= {name: metric(value, "1", "measured") for name, value in sweeps.items()}
    return record


def stored(*records: Mapping[str, Any]) -> list[Stored]:
    return [Stored(path=Path("x"), record=one) for one in records]


def drawn(view: View, *, dark: bool = False) -> Mapping[str, Any]:
    assert view.figures is not None
    return view.figures(dark)


def cells(view: View) -> str:
    return " | ".join(str(getattr(cell, "text", cell)) for row in view.table.rows for cell in row)


def test_residual_stands_beside_joules_so_far_of_each_kind():
    view = relaxing.view(stored(a_record()))
    panels = drawn(view)
    assert list(panels) == list(view.alts) == ["residual", "measured-so-far", "modelled-so-far"]
    (axis,) = panels["measured-so-far"].axes
    assert axis.get_ylabel() == "measured J per sample,\nshared out by time"
    assert axis.lines[0].get_ydata() == pytest.approx([2e-4, 4e-4, 5e-4, 8e-4])


def test_all_sweeps_are_free_where_a_record_names_no_phase():
    assert relaxation.spans(stored(a_record())) == [relaxation.Span(name="free", first=1, last=4)]
    (axis,) = drawn(relaxing.view(stored(a_record())))["residual"].axes
    assert [text.get_text() for text in axis.texts] == ["free"]
    assert len(axis.patches) == 1


def test_phases_that_a_record_names_are_shaded_apart():
    assert relaxation.spans(stored(a_record(told=NUDGED))) == [
        relaxation.Span(name="free", first=1, last=3),
        relaxation.Span(name="nudged", first=4, last=4),
    ]
    (axis,) = drawn(relaxing.view(stored(a_record(told=NUDGED))))["residual"].axes
    assert [text.get_text() for text in axis.texts] == ["free", "nudged"]
    assert len({patch.get_alpha() for patch in axis.patches}) == 2
    table = relaxing.view(stored(a_record(told=NUDGED))).frame()
    kept = table[(table["what"] == "sweep") & (table["provenance"] == "measured")]
    assert list(kept["phase"]) == ["free", "free", "free", "nudged"]


def test_one_phase_reaches_to_the_longest_and_different_ones_are_not_shaded():
    longer = {name: [*values, 2 * values[-1]] for name, values in SWEEPS.items()} | {"sweep": [1, 2, 3, 4, 5]}
    (one,) = relaxation.spans(stored(a_record(), a_record(0.01, told=longer)))
    assert one.last == 5
    mixed = stored(a_record(), a_record(0.01, told=NUDGED))
    assert relaxation.spans(mixed) == []
    assert any(note.startswith("Phases differ and are not shaded") for note in relaxing.view(mixed).notes)


def test_where_phases_differ_an_upright_in_the_colour_of_its_curve_is_where_the_next_one_begins():
    later = SWEEPS | {"phase": ["free", "free", "nudged", "nudged"]}
    view = relaxing.view(stored(a_record(told=NUDGED), a_record(0.01, told=later)))
    figure = drawn(view)["measured-so-far"]
    (axis,) = figure.axes
    curves = {line.get_color(): list(line.get_ydata()) for line in axis.lines if len(line.get_xdata()) == 4}
    uprights = [line for line in axis.lines if line.get_marker() == "|"]
    assert [list(one.get_xdata()) for one in uprights] == [[3.5], [2.5]]
    for one, (before, after) in zip(uprights, ((2, 3), (1, 2)), strict=True):
        (height,) = one.get_ydata()
        own = curves[one.get_color()]
        assert own[before] < height < own[after]
    assert [text.get_text() for text in figure.legends[0].texts][-1] == "free → nudged"
    assert len({one.get_color() for one in uprights}) == 2
    shaded = drawn(relaxing.view(stored(a_record(told=NUDGED), a_record(0.01, told=NUDGED))))["measured-so-far"]
    assert not [line for line in shaded.axes[0].lines if line.get_marker() == "|"]


def test_of_more_than_three_relaxations_the_median_residual_alone_is_drawn_and_it_is_said():
    def shown(count: int) -> tuple[int, View]:
        records = [a_record(0.1**n, id=f"r{n}", parameters={"tolerance": 0.1**n}) for n in range(1, 1 + count)]
        view = relaxing.view(stored(*records))
        return len(drawn(view)["residual"].axes[0].lines), view

    lines, view = shown(3)
    assert lines == 6
    assert not any("median residual" in note for note in view.notes)
    lines, view = shown(4)
    assert lines == 4
    assert "Of 4 relaxations the median residual is drawn; the data has the largest." in view.notes
    assert view.alts["residual"].startswith("Median residual (RMS change) against sweep, 4 curves")


def test_marks_of_a_long_curve_are_few_and_those_of_two_curves_stand_apart():
    sweeps = list(range(1, 61))
    long = {name: [1 / n for n in sweeps] for name in relaxation.NEEDED} | {"sweep": sweeps, "seconds": sweeps}
    records = [a_record(one, id=f"r{one}", told=long, parameters={"tolerance": one}) for one in (0.1, 0.01)]
    (axis,) = drawn(relaxing.view(stored(*records)))["residual"].axes
    marked = [set(sweeps[slice(line.get_markevery()[0], None, line.get_markevery()[1])]) for line in axis.lines
              if line.get_linestyle() == "-"]  # fmt: skip
    assert [len(one) for one in marked] == [5, 5]
    assert not marked[0] & marked[1]


def test_a_list_of_phases_of_another_length_is_left_alone():
    assert relaxation.phases_of(SWEEPS | {"phase": ["nudged"]}) == ["free"] * 4


def test_sections_of_a_workload_are_shaded_as_well():
    (axis,) = relaxation.figures(stored(a_record(told=NUDGED)))["active"].axes
    assert [text.get_text() for text in axis.texts] == ["free", "nudged"]


def test_joules_against_tolerance_are_drawn_where_several_were_run():
    records = [a_record(0.01, 2e-4), a_record(0.001, 8e-4), a_record(0.0001, 9e-4)]
    view = relaxing.view(stored(*records))
    (axis,) = drawn(view)["measured-tolerance"].axes
    (line,) = [line for line in axis.lines if len(line.get_xdata()) == 3]
    assert list(line.get_xdata()) == [0.0001, 0.001, 0.01]
    assert list(line.get_ydata()) == [9e-4, 8e-4, 2e-4]
    assert (axis.get_xscale(), axis.get_yscale()) == ("log", "log")
    assert view.alts["measured-tolerance"] == (
        "Measured joules per sample against tolerance, 3 tolerances: 900 µJ at a tolerance of 10⁻⁴, "
        "200 µJ at a tolerance of 0.01."
    )
    assert "measured-tolerance" not in relaxing.view(stored(records[0])).alts


def test_settings_beside_the_tolerance_have_lines_of_their_own():
    records = [
        a_record(tolerance, id=f"{mode}{tolerance}", parameters={"tolerance": tolerance, "mode": mode})
        for mode in ("async", "sync")
        for tolerance in (0.01, 0.001)
    ]
    figure = drawn(relaxing.view(stored(*records)))["measured-tolerance"]
    assert [text.get_text() for text in figure.legends[0].texts] == ["mode async", "mode sync"]


def test_28_microjoules_of_28_sweeps_are_12_free_and_16_nudged():
    assert settling.phases(trained()) == {"free": 12.0, "nudged": 16.0}
    assert settling.phase_joules(trained(), "measured") == pytest.approx({"free": 12e-6, "nudged": 16e-6})
    (axis,) = drawn(relaxing.view(stored(trained())))["measured-phases"].axes
    assert axis.get_xlabel() == "measured J per sample, shared out by sweeps"
    assert [patch.get_width() for patch in axis.patches] == pytest.approx([12e-6, 16e-6])


def test_the_data_has_sweeps_phases_and_the_step_as_a_whole():
    table = relaxing.view(stored(a_record(), trained())).frame()
    assert table.groupby(["workload", "what", "provenance"]).size().to_dict() == {
        ("eqprop-relax", "step", "measured"): 1,
        ("eqprop-relax", "step", "modelled"): 1,
        ("eqprop-relax", "sweep", "measured"): 4,
        ("eqprop-relax", "sweep", "modelled"): 4,
        ("eqprop-train", "phase", "measured"): 2,
        ("eqprop-train", "phase", "modelled"): 2,
        ("eqprop-train", "step", "measured"): 1,
        ("eqprop-train", "step", "modelled"): 1,
    }
    third = table[(table["sweep"] == 3) & (table["provenance"] == "measured")].iloc[0]
    assert third[["tolerance", "active", "residual_median", "residual_max", "seconds", "joules"]].tolist() == (
        pytest.approx([0.001, 16, 1e-3, 5e-3, 2.5e-3, 5e-4])
    )
    whole = table[(table["what"] == "step") & (table["workload"] == "eqprop-relax")].iloc[0]
    assert whole[["joules", "joules.low", "joules.high", "sweeps", "accuracy"]].tolist() == (
        pytest.approx([8e-4, 4e-4, 1.6e-3, 3.5, 0.97])
    )
    assert table[table["workload"] == "eqprop-train"]["tolerance"].isna().all()


def test_a_trace_without_joules_is_still_drawn():
    bare = a_record()
    bare["results"] = {}
    view = relaxing.view(stored(bare))
    assert list(drawn(view)) == ["residual"]
    assert view.frame()["joules"].isna().all()
    assert len(view.frame()) == 4


def test_the_table_has_tolerance_sweeps_and_the_residual_at_the_end():
    text = cells(relaxing.view(stored(a_record(), trained())))
    assert "eqprop-relax | 0.001 | 3.5 free | 3.00 × 10⁻⁴ | 800 µJ" in text
    assert "eqprop-train | none | 12 free, 16 nudged | 3.00 × 10⁻⁴ | 28.0 µJ" in text


@pytest.mark.parametrize("dark", [False, True])
def test_machines_and_kinds_have_panels_of_their_own(dark: bool):
    other = a_record(machine={"id": "box-2", "name": "another"})
    panels = drawn(relaxing.view(stored(a_record(), other)), dark=dark)
    assert list(panels) == [
        f"{name}-{n}" for n in (1, 2) for name in ("residual", "measured-so-far", "modelled-so-far")
    ]
    assert panels["residual-2"].axes[0].get_title() == "Residual, another"


def test_of_ten_thousand_relaxations_six_are_drawn_evenly_and_the_rest_is_told(tmp_path: Path):
    records = [a_record(1e-6 * (1 + n), id=f"r{n}", parameters={"tolerance": 1e-6 * (1 + n)}) for n in range(10_000)]
    view = relaxing.view(stored(*records))
    assert "6 of 10,000 relaxations are drawn, evenly from their order." in view.notes
    assert len(view.frame()) == 100_000
    panels = drawn(view)
    assert len([line for line in panels["residual"].axes[0].lines if line.get_linestyle() == "-"]) == 6
    (line,) = panels["measured-tolerance"].axes[0].lines
    assert len(line.get_xdata()) < 1000
    for name, figure in panels.items():
        assert figures.save(figure, tmp_path / f"{name}.svg").stat().st_size < 400_000


def test_ten_thousand_sweeps_are_drawn_as_their_outline():
    sweeps = list(range(1, 10_001))
    told = {"sweep": sweeps, "active": sweeps, "residual_median": [1 / n for n in sweeps],
            "residual_max": [2 / n for n in sweeps], "seconds": [float(n) for n in sweeps]}  # fmt: skip
    (axis,) = drawn(relaxing.view(stored(a_record(told=told))))["residual"].axes
    assert all(len(line.get_xdata()) <= 600 for line in axis.lines)
    assert min(min(line.get_ydata()) for line in axis.lines) == pytest.approx(1e-4)


@pytest.mark.parametrize("joules", [1e12, 1e-15])
def test_absurd_joules_are_drawn(joules: float):
    view = relaxing.view(stored(a_record(0.01, joules), a_record(), trained()))
    for figure in drawn(view).values():
        figure.draw_without_rendering()


def test_names_with_markup_are_plain_text():
    hostile = {"name": HOSTILE, "version": 1, "definition": {}}
    records = [
        a_record(
            tolerance, id=f"r{tolerance}{mode}", workload=hostile, parameters={"tolerance": tolerance, HOSTILE: mode}
        )
        for tolerance in (0.01, 0.001)
        for mode in (HOSTILE, "b")
    ]
    view = relaxing.view(stored(*records))
    for figure in drawn(view).values():
        figure.draw_without_rendering()
    assert HOSTILE in cells(view)


def test_records_of_other_workloads_fill_nothing():
    bare = a_record(told=None)
    bare["results"].pop("free_sweeps")
    assert relaxing.view(stored(bare)).empty == relaxing.EMPTY
