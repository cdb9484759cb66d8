"""Figures for papers: widths, type, formats, what is chosen and what is said when there is nothing to draw."""

from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from matplotlib.text import Text

from energybench import record as schema
from energybench._commands import figure
from energybench.config import Settings
from energybench.model import UnknownNameError
from energybench.reports import frames, paper


def metric(value: float, unit: str, provenance: str, **rest: Any) -> dict[str, Any]:
    return {"value": value, "unit": unit, "provenance": provenance, "higher_is_better": False} | rest


def a_record(name: str, bits: int, workload: str = "qnn-infer", **changes: Any) -> dict[str, Any]:
    joules = bits * 1e-5
    results = {
        "estimated_joules_per_sample": metric(joules, "J", "estimated", low=joules / 2, high=joules * 2),
        "modelled_joules_per_sample": metric(bits * 1e-8, "J", "modelled"),
        "seconds_per_sample": metric(bits * 1e-6, "s", "measured"),
        "accuracy": metric(0.9 + bits / 1000, "1", "measured", low=0.88, high=0.95),
    }
    return {
        "schema": 1,
        "id": name,
        "created": "2026-11-22T10:00:00Z",
        "energybench": "0.1.0",
        "protocol": {"version": 1, "windows": 5, "align": False},
        "workload": {"name": workload, "version": 1, "definition": {}},
        "parameters": {"bits": bits},
        "seed": 0,
        "quick": True,
        "machine": {"id": "box-1", "name": "the box"},
        "quiet": {"quiet": True},
        "seconds": 5.0,
        "steps": 100,
        "samples": 6400,
        "windows": [],
        "results": results,
    } | changes


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def settings(place: Path, *records: dict[str, Any]) -> Settings:
    for values in records:
        file = place / "records" / values["machine"]["id"] / f"{values['id']}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(schema.dumps(schema.parse(values)), encoding="utf-8")
    return Settings(records=place / "records")


TWO = (a_record("a", 8), a_record("b", 16))


def drawn(place: Path, name: str = "bits") -> Any:
    found = frames.read(settings(place, *TWO).records)[0]
    one = next(one for one in paper.drawings() if one.name == name)
    return one.draw(paper.groups(found, trained=False)[0], False)[
        "modelled" if name == "energy-accuracy" else "accuracy"
    ]


@pytest.mark.parametrize(("columns", "inches"), [(1, 3.5), (2, 7.16)])
@pytest.mark.parametrize("name", ["bits", "energy-accuracy"])
def test_a_figure_is_as_wide_as_its_columns_and_no_type_is_above_8_points(place, name, columns, inches):
    fitted = paper.fit(drawn(place, name), columns)
    assert fitted.get_size_inches()[0] == inches
    sizes = {text.get_fontsize() for text in fitted.findobj(Text) if text.get_text()}
    assert max(sizes) == 8.0
    assert min(sizes) >= 6.0


def test_both_columns_make_a_figure_wider_and_no_higher(place):
    one, both = paper.fit(drawn(place), 1), paper.fit(drawn(place), 2)
    assert one.get_size_inches()[1] == both.get_size_inches()[1]


def test_a_pdf_embeds_its_type_as_truetype_and_knows_no_date(place):
    figure.draw("bits", settings(place, *TWO), panel="accuracy", output=place / "out" / "a.pdf")
    content = (place / "out" / "a.pdf").read_bytes()
    assert b"/FontFile2" in content
    assert b"/CIDFontType2" in content
    assert b"/Type3" not in content
    assert b"CreationDate" not in content
    assert b"/MediaBox [ 0 0 252 " in content


@pytest.mark.parametrize("kind", ["pdf", "svg", "png"])
def test_equal_records_give_equal_bytes(place, kind):
    for name in ("one", "two"):
        figure.draw("bits", settings(place, *TWO), kind=kind, panel="accuracy", output=place / name)
    assert (place / "one").read_bytes() == (place / "two").read_bytes()


def test_the_suffix_tells_the_format_and_pdf_is_what_nobody_asks_for(place, capsys):
    figure.draw("bits", settings(place, *TWO), panel="accuracy", output=place / "a.svg")
    assert ET.parse(place / "a.svg").getroot().tag.endswith("svg")
    figure.draw("bits", settings(place, *TWO), panel="accuracy")
    assert (place / "bits-accuracy.pdf").read_bytes().startswith(b"%PDF")
    assert capsys.readouterr().out.split() == [str(place / "a.svg"), "bits-accuracy.pdf"]


def test_several_panels_are_a_file_each_where_no_file_is_named(place, capsys):
    assert figure.draw("energy-accuracy", settings(place, *TWO)) == 0
    files = ["energy-accuracy-estimated.pdf", "energy-accuracy-modelled.pdf"]
    assert sorted(one.name for one in place.glob("*.pdf")) == files
    assert capsys.readouterr().out.split() == files


def test_one_file_holds_one_panel_and_the_refusal_names_them(place):
    told = "has 2 panels here, and e.pdf is one file; name one of energy-accuracy/estimated, energy-accuracy/modelled"
    with pytest.raises(figure.FigureError, match=told):
        figure.draw("energy-accuracy", settings(place, *TWO), output=Path("e.pdf"))
    assert list(place.glob("*.pdf")) == []
    assert figure.draw("energy-accuracy/modelled", settings(place, *TWO), output=Path("e.pdf")) == 0
    assert [one.name for one in place.glob("*.pdf")] == ["e.pdf"]


def test_a_panel_after_a_slash_is_the_panel_of_the_flag(place):
    assert figure.draw("time-energy/modelled", settings(place, *TWO), output=place / "a.svg") == 0
    assert figure.draw("time-energy", settings(place, *TWO), panel="modelled", output=place / "b.svg") == 0
    assert (place / "a.svg").read_bytes() == (place / "b.svg").read_bytes()
    with pytest.raises(figure.FigureError, match="leave one of them out"):
        figure.draw("bits/accuracy", settings(place, *TWO), panel="speed")
    with pytest.raises(figure.FigureError, match="time-energy has no panel 'measured' here"):
        figure.draw("time-energy/measured", settings(place, *TWO))


def test_a_figure_of_one_panel_needs_no_name_of_it(place):
    one = a_record("a", 8)
    del one["results"]["modelled_joules_per_sample"]
    assert figure.draw("time-energy", settings(place, one)) == 0
    assert (place / "time-energy.pdf").exists()


def test_a_figure_for_a_dark_slide_is_another(place):
    for dark in (False, True):
        figure.draw("bits", settings(place, *TWO), panel="accuracy", output=place / f"{dark}.svg", dark=dark)
    assert "#171d26" in (place / "True.svg").read_text(encoding="utf-8")
    assert "#171d26" not in (place / "False.svg").read_text(encoding="utf-8")


def test_an_unknown_name_is_told_a_near_one(place):
    with pytest.raises(UnknownNameError, match=r"no figure 'bitz'; did you mean 'bits'\?"):
        figure.draw("bitz", settings(place, *TWO))


def test_a_figure_without_data_says_what_would_fill_it(place):
    with pytest.raises(figure.FigureError, match=r"no data for scaling .* energybench run dist-train --nodes"):
        figure.draw("scaling", settings(place, *TWO))
    with pytest.raises(figure.FigureError, match="no data for bits"):
        figure.draw("bits", Settings())


def test_of_several_workloads_one_must_be_chosen(place):
    several = settings(place, *TWO, a_record("c", 8, "qnn-train"), a_record("d", 16, "qnn-train"))
    with pytest.raises(figure.FigureError, match=r"qnn-infer on the box .*; of qnn-train on the box .*--workload"):
        figure.draw("bits", several)
    assert figure.draw("bits", several, workload="qnn-train", panel="accuracy") == 0
    with pytest.raises(UnknownNameError, match="did you mean 'qnn-train'"):
        figure.draw("bits", several, workload="qnn-trian")


def test_of_several_machines_one_must_be_chosen_by_its_id_or_name(place):
    other = {"id": "box-2", "name": "another box"}
    several = settings(place, *TWO, *(a_record(name, bits, machine=other) for name, bits in (("c", 8), ("d", 16))))
    with pytest.raises(figure.FigureError, match="--machine"):
        figure.draw("bits", several)
    assert figure.draw("bits", several, machine="another box", panel="accuracy") == 0
    with pytest.raises(UnknownNameError, match="no record is of the machine 'box-3'"):
        figure.draw("bits", several, machine="box-3")


def test_an_older_version_of_a_workload_is_not_asked_about(place):
    newer = [a_record("c", 8), a_record("d", 16)]
    for one in newer:
        one["workload"] = {**one["workload"], "version": 2}
    several = settings(place, *TWO, *newer)
    assert figure.draw("bits", several, panel="accuracy") == 0


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"panel": "acuracy"}, "bits has no panel 'acuracy' here; did you mean 'accuracy'"),
        ({"kind": "tiff"}, "choose --format pdf, svg or png"),
        ({"output": Path("a.gif")}, "choose --format pdf, svg or png"),
        ({"columns": 3}, "choose --columns 1 or 2"),
    ],
)
def test_what_cannot_be_drawn_is_refused_before_anything_is_written(place, flags, message):
    with pytest.raises(figure.FigureError, match=message):
        figure.draw("bits", settings(place, *TWO), **flags)
    assert list(place.glob("*.*")) == []


def test_the_list_has_every_figure_and_says_which_have_data(place, capsys):
    assert figure.list_figures(settings(place, *TWO)) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if line.strip()]
    names = [line[0] for line in lines if line[-1] in ("yes", "no")]
    assert len(names) == len(set(names)) > 15
    told = {line[0]: line[-1] for line in lines}
    assert {"energy-accuracy": "yes", "bits": "yes", "scaling": "no", "to-accuracy": "no"}.items() <= told.items()
    assert {"trend": "no", "time-energy": "yes"}.items() <= told.items()


def test_a_view_of_the_report_is_drawn_by_its_name(place):
    assert figure.draw("time-energy", settings(place, *TWO), kind="svg", panel="modelled") == 0
    assert ET.parse(place / "time-energy-modelled.svg").getroot().tag.endswith("svg")
    with pytest.raises(figure.FigureError, match="no data for power: No record has a power trace"):
        figure.draw("power", settings(place, *TWO))
