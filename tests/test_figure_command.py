"""Figures for papers: widths, type, formats, what is chosen and what is said when there is nothing to draw."""

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from matplotlib.text import Text

from energybench import record as schema
from energybench._commands import figure
from energybench.cli import main
from energybench.config import Settings
from energybench.model import UnknownNameError
from energybench.reports import drawable, frames, paper
from energybench.reports.chosen import Choice, Chosen
from energybench.reports.drawable import FigureError
from energybench.reports.evidence import Evidence, places


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
    with pytest.raises(FigureError, match=told):
        figure.draw("energy-accuracy", settings(place, *TWO), output=Path("e.pdf"))
    assert list(place.glob("*.pdf")) == []
    assert figure.draw("energy-accuracy/modelled", settings(place, *TWO), output=Path("e.pdf")) == 0
    assert [one.name for one in place.glob("*.pdf")] == ["e.pdf"]


def test_a_panel_after_a_slash_is_the_panel_of_the_flag(place):
    assert figure.draw("time-energy/modelled", settings(place, *TWO), output=place / "a.svg") == 0
    assert figure.draw("time-energy", settings(place, *TWO), panel="modelled", output=place / "b.svg") == 0
    assert (place / "a.svg").read_bytes() == (place / "b.svg").read_bytes()
    with pytest.raises(FigureError, match="leave one of them out"):
        figure.draw("bits/accuracy", settings(place, *TWO), panel="speed")
    with pytest.raises(FigureError, match="time-energy has no panel 'measured' here"):
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
    with pytest.raises(FigureError, match=r"no data for scaling .* energybench run dist-train --nodes"):
        figure.draw("scaling", settings(place, *TWO))
    with pytest.raises(FigureError, match="no data for bits"):
        figure.draw("bits", Settings())


def test_of_several_workloads_one_must_be_chosen(place):
    several = settings(place, *TWO, a_record("c", 8, "qnn-train"), a_record("d", 16, "qnn-train"))
    with pytest.raises(FigureError, match=r"qnn-infer on the box .*; of qnn-train on the box .*--workload"):
        figure.draw("bits", several)
    assert figure.draw("bits", several, choice=Choice(workload="qnn-train"), panel="accuracy") == 0
    with pytest.raises(UnknownNameError, match="did you mean 'qnn-train'"):
        figure.draw("bits", several, choice=Choice(workload="qnn-trian"))


def test_of_several_machines_one_must_be_chosen_by_its_id_or_name(place):
    other = {"id": "box-2", "name": "another box"}
    several = settings(place, *TWO, *(a_record(name, bits, machine=other) for name, bits in (("c", 8), ("d", 16))))
    with pytest.raises(FigureError, match="--machine"):
        figure.draw("bits", several)
    assert figure.draw("bits", several, choice=Choice(machine="another box"), panel="accuracy") == 0
    with pytest.raises(UnknownNameError, match="no record is of the machine 'box-3'"):
        figure.draw("bits", several, choice=Choice(machine="box-3"))


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
    with pytest.raises(FigureError, match=message):
        figure.draw("bits", settings(place, *TWO), **flags)
    assert list(place.glob("*.*")) == []


def test_the_list_has_every_figure_with_its_panels_and_says_which_have_data(place, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "250")
    assert figure.list_figures(settings(place, *TWO)) == 0
    rows = [re.split(r"\s{2,}", line.strip()) for line in capsys.readouterr().out.splitlines() if line.strip()]
    told = {row[0]: row[2:] for row in rows if row[2:3] in (["yes"], ["no"])}
    assert len(told) > 15
    assert "changes" not in told  # it is a table by its nature
    expected = {"energy-accuracy": "estimated, modelled", "time-energy": "estimated, modelled"}
    for name, panels in (expected | {"frontier": "estimated-qnn-infer, modelled-qnn-infer"}).items():
        assert told[name] == ["yes", panels]
    for name in ("scaling", "to-accuracy", "trend"):
        assert told[name] == ["no"]


def test_every_panel_of_the_list_is_drawn_by_its_name(place, capsys):
    some = settings(place, *TWO)
    for name, _, panels in drawable.listed(Chosen(Evidence(places(some.records)), Choice())):
        for panel in panels:
            assert figure.draw(f"{name}/{panel}", some, kind="svg", output=place / "out" / f"{name}-{panel}.svg") == 0
    assert len(list((place / "out").iterdir())) == len(capsys.readouterr().out.splitlines()) > 8


def test_the_list_of_one_figure_is_its_panels_a_line_each(place, monkeypatch, capsys):
    settings(place, *TWO)
    for words in (["frontier", "records", "--list"], ["frontier", "--list"], ["records", "--list"]):
        monkeypatch.setenv("ENERGYBENCH_RECORDS", "records")
        with pytest.raises(SystemExit) as left:
            main(["figure", *words])
        assert left.value.code == 0
    out = capsys.readouterr().out
    assert out.startswith("frontier/estimated-qnn-infer\nfrontier/modelled-qnn-infer\n" * 2)
    assert "energy-accuracy" in out.split("frontier/modelled-qnn-infer\n")[2]


def test_a_simulated_machine_stands_in_nobodys_way_and_is_drawn_where_it_is_asked_for(place, capsys):
    simulated = [a_record(name, bits) for name, bits in (("c", 8), ("d", 16))]
    for one in simulated:
        one["results"]["joules_per_sample"] = metric(3e-5, "J", "simulated")
        del one["results"]["estimated_joules_per_sample"]
    both = settings(place, *TWO, *simulated)
    assert figure.draw("energy-accuracy", both, choice=Choice(workload="qnn-infer")) == 0
    told = capsys.readouterr()
    assert told.out.split() == ["energy-accuracy-estimated.pdf", "energy-accuracy-modelled.pdf"]
    assert "left out what has simulated counters; --machine box-1-simulated draws it" in told.err
    assert figure.draw("energy-accuracy", both, choice=Choice(machine="box-1-simulated")) == 0
    told = capsys.readouterr()
    assert "energy-accuracy-simulated.pdf" in told.out.split()
    assert told.err == ""


def test_where_only_the_simulated_machine_has_the_figure_it_is_drawn(place, capsys):
    simulated = [a_record(name, bits) for name, bits in (("c", 8), ("d", 16))]
    for one in simulated:
        one["results"]["joules_per_sample"] = metric(3e-5, "J", "simulated")
    (real,) = (a_record("a", 8),)
    real["results"] = {"seconds_per_sample": metric(1e-6, "s", "measured")}
    assert figure.draw("energy-accuracy/simulated", settings(place, real, *simulated)) == 0
    assert capsys.readouterr().err == ""


def test_the_folder_of_a_project_means_its_records_and_nothing_else_in_it(place, capsys):
    for values in TWO:
        file = place / "project" / ".energybench" / "records" / f"{values['id']}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(schema.dumps(schema.parse(values)), encoding="utf-8")
    (place / "project" / ".venv").mkdir()
    (place / "project" / ".venv" / "package.json").write_text("{}", encoding="utf-8")
    assert figure.draw("bits/accuracy", Settings(records=place / "project")) == 0
    assert capsys.readouterr().err == ""


def test_below_a_folder_of_records_an_environment_and_a_site_are_not_looked_into(place, capsys):
    records = settings(place, *TWO).records
    for folder, mark in ((".venv", ".venv/pyvenv.cfg"), ("site/data", "site/.energybench-site.json")):
        (records / folder).mkdir(parents=True)
        (records / folder / "of-others.json").write_text("{}", encoding="utf-8")
        (records / mark).write_text("{}", encoding="utf-8")
    assert figure.draw("bits/accuracy", Settings(records=records)) == 0
    assert capsys.readouterr().err == ""
    (records / "box-1" / "damaged.json").write_text("{}", encoding="utf-8")
    assert figure.draw("bits/accuracy", Settings(records=records)) == 0
    assert "damaged.json" in capsys.readouterr().err
    assert len(frames.load(records / "box-1" / "a.json")) == 1
    (records / "box-1" / "damaged.json").unlink()
    assert len(frames.load(records)) == 2


@pytest.fixture(scope="module")
def over_commits(tmp_path_factory: pytest.TempPathFactory, fake: Any) -> Path:
    """Two workloads over commits; the joules of one rise threefold at the last."""
    root, of = tmp_path_factory.mktemp("commits"), fake("site_records")
    commits = of.repository(root, 5)
    for one in of.of_commits(commits):
        rises = 3 if one["id"] == "c004" else 1
        for prefix, workload, factor in (("a", "qnn-infer", rises), ("b", "bp-train", 1)):
            copy = json.loads(json.dumps(one)) | {"id": f"{prefix}{one['id']}"}
            copy["workload"]["name"] = workload
            copy["results"]["joules_per_sample"]["value"] = 2e-4 * factor
            copy["results"]["modelled_joules_per_sample"]["value"] = 2e-5 * factor
            for window in copy["windows"]:
                for total in (window["total"], *window["domains"].values()):
                    total["joules"] *= factor
            of.put(root / "records", copy)
    bare = of.a_record("n", workload={"name": "dist-train", "version": 1, "definition": {}})
    of.put(root / "records", bare)
    return root / "records"


def chosen(records: Path, **choice: str) -> Chosen:
    return Chosen(Evidence(places(records)), Choice(**choice))


def test_of_what_was_judged_a_workload_has_its_own_verdicts(over_commits):
    every = {one.key.workload for told in chosen(over_commits).judged.values() for one in told.verdicts}
    own = {
        one.key.workload for told in chosen(over_commits, workload="bp-train").judged.values() for one in told.verdicts
    }
    assert every >= {"qnn-infer", "bp-train"}
    assert own == {"bp-train"}


def test_a_scorecard_is_of_the_chosen_workload_or_says_of_which_there_is_one(over_commits, place):
    some = Settings(records=over_commits)
    panels = drawable.panels("scorecard", chosen(over_commits, workload="qnn-infer"), dark=False)
    for drawn in panels.draw(panels.names).values():
        words = " ".join(text.get_text() for text in drawn.findobj(Text))
        assert "bp-train" not in words
    with pytest.raises(FigureError, match=r"scorecard has no figure of the workload dist-train; it has of .*qnn-infer"):
        figure.draw("scorecard", some, choice=Choice(workload="dist-train"))
    assert list(place.glob("*.pdf")) == []


def test_a_trend_is_of_the_chosen_workload_alone(over_commits, place, capsys):
    some = Settings(records=over_commits)
    every = drawable.panels("trend", chosen(over_commits), dark=False).names
    own = drawable.panels("trend", chosen(over_commits, workload="bp-train"), dark=False).names
    assert own
    assert set(own) == {one for one in every if "bp-train" in one} < set(every)
    for panel in own:
        with pytest.raises(FigureError, match="trend has no panel"):
            figure.draw("trend", some, panel=panel, choice=Choice(workload="qnn-infer"))
    with pytest.raises(
        FigureError, match=r"trend has no figure of the workload dist-train; it has of bp-train, qnn-inf"
    ):
        figure.draw("trend", some, choice=Choice(workload="dist-train"))
    assert figure.draw("trend", some, choice=Choice(workload="bp-train", metric="joules_per_sample")) == 0
    assert capsys.readouterr().out.split() == ["trend-joules-of-bp-train.pdf"]


def test_any_series_can_be_chosen_by_its_file_name_or_in_words(over_commits, place, capsys):
    some = Settings(records=over_commits)
    for panel in ("modelled-joules-of-qnn-infer", "modelled joules of qnn-infer"):
        assert figure.draw("trend", some, panel=panel, kind="svg") == 0
        assert capsys.readouterr().out.split() == ["trend-modelled-joules-of-qnn-infer.svg"]
    with pytest.raises(UnknownNameError, match="no record is of the metric 'joule_per_sample'; did you mean"):
        figure.draw("trend", some, choice=Choice(metric="joule_per_sample"))
    with pytest.raises(FigureError, match="bits is not drawn of one metric; leave --metric out"):
        figure.draw("bits", some, choice=Choice(metric="joules_per_sample"))


def test_a_view_of_the_report_is_drawn_by_its_name(place):
    assert figure.draw("time-energy", settings(place, *TWO), kind="svg", panel="modelled") == 0
    assert ET.parse(place / "time-energy-modelled.svg").getroot().tag.endswith("svg")
    with pytest.raises(FigureError, match="no data for power: No record has a power trace"):
        figure.draw("power", settings(place, *TWO))
