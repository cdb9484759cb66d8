"""Sites over commits and machines: what their pages say, their data, and what a new commit draws again."""

import csv
import json
import random
import re
import shutil
import subprocess
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree as ET

import pandas as pd
import pytest

from energybench import record as schema
from energybench._commands import report
from energybench._commands.report import Wanted
from energybench.config import Settings
from energybench.reports import asv_frames, frames, groups, pages, site_builder, surroundings
from energybench.reports.evidence import places

JOULES, ACCURACY = "nets.Infer.energy_joules_per_sample", "nets.Infer.energy_accuracy"
COMMITS, WORSE = 12, 8
HOSTILE = '<script>alert("x")</script>&"\'../x'


def grow(trees: ModuleType, folder: Path) -> Any:
    """A repository with a suite of two benchmarks, of which the joules rise, and a driver that changed once."""
    bits: dict[str, Any] = {"params": [["1", "8"]], "param_names": ["bits"]}
    made = [trees.Benchmark(JOULES, **bits), trees.Benchmark(ACCURACY, unit="1", more={"higher_is_better": True})]
    tree, draw = trees.AsvTree(folder, made), random.Random(5)
    for place in range(COMMITS):
        level = 1.3 if place >= WORSE else 1.0
        joules = [trees.steady(8, 0.005, lambda: draw.gauss(0, 1), level * scale) for scale in (2e-6, 8e-6)]
        driver = "2" if place >= 3 else "1"
        tree.result(tree.commit(f"Change {HOSTILE} {place}"), {JOULES: joules, ACCURACY: [0.97]}, driver=driver)
    return tree


@pytest.fixture(scope="module")
def asv(trees: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """A tree and its site."""
    root = tmp_path_factory.mktemp("asv")
    tree = grow(trees, root / "project")
    return tree, site_builder.build(tree.results, root / "site").parent


def text_of(site: Path, name: str) -> str:
    return " ".join((site / name).read_text(encoding="utf-8").split())


def test_results_of_asv_alone_have_a_page_for_workload_commits_and_machine(asv):
    tree, site = asv
    names = {one.name for one in site.glob("*.html")}
    assert {pages.commit_page(one) for one in tree.commits} <= names
    assert {pages.workload_page("nets.Infer"), "machine-lab.html", "commits.html"} <= names
    front = text_of(site, "index.html")
    assert f"3 series over {COMMITS} commits" in front
    assert "3 series" in front
    assert "No records yet" not in front


def test_the_page_of_a_commit_tells_what_changed_and_every_number_with_the_one_before(asv):
    tree, site = asv
    worse = text_of(site, pages.commit_page(tree.commits[WORSE]))
    assert "What changed here" in worse
    assert worse.count("worse") >= 2
    assert "+30" in worse or "+29" in worse
    assert f'rel="prev">Before: {tree.commits[WORSE - 1][:8]}' in worse
    assert f'rel="next">After: {tree.commits[WORSE + 1][:8]}' in worse
    assert "2.6" in worse
    assert "the same" in worse  # the accuracy
    calm = text_of(site, pages.commit_page(tree.commits[WORSE + 1]))
    assert "No series changed its level" in calm
    assert "first commit with results" in text_of(site, pages.commit_page(tree.commits[0]))


def test_first_values_are_counted_and_folded(asv):
    tree, site = asv
    first = text_of(site, pages.commit_page(tree.commits[0]))
    assert "3 series begin here: there is no value before to compare with." in first
    before, folded, after = first.partition("<summary>First values</summary>")
    assert folded
    assert "<table" not in before
    assert after.count('rowheader"><a href="workload-') == 3
    assert "First values" not in text_of(site, pages.commit_page(tree.commits[1]))


def test_across_a_step_of_the_machine_nothing_is_compared(asv):
    tree, site = asv
    step = text_of(site, pages.commit_page(tree.commits[3]))
    assert step.count("not compared: something else was different") == 2
    assert "driver: 1 → 2 (2 series)" in step


def test_no_name_of_a_commit_is_obeyed(asv):
    _, site = asv
    for page in site.glob("*.html"):
        assert "<script>alert" not in page.read_text(encoding="utf-8")
    assert "&lt;script&gt;" in text_of(site, "commits.html")


def test_a_machine_that_only_asv_knows_says_what_asv_says_of_it(asv):
    _, site = asv
    machine = text_of(site, "machine-lab.html")
    assert "Known by asv's results only" in machine
    assert "A CPU" in machine


def test_the_scorecard_is_of_the_last_two_commits_where_there_are_no_records(asv):
    tree, site = asv
    assert f"{tree.commits[-1][:8]} against {tree.commits[-2][:8]}" in text_of(site, "index.html")


def test_the_data_of_asv_is_the_long_frame_in_three_forms(asv):
    tree, site = asv
    values, _ = asv_frames.read_folder(tree.results)
    table = frames.tidy([], values)
    read = pd.read_csv(site / "data" / "series.csv")
    assert list(read.columns) == list(table.columns)
    assert read["value"].tolist() == table["value"].tolist()
    rows = json.loads((site / "data" / "series.json").read_text())
    assert [row["value"] for row in rows] == table["value"].tolist()
    assert pd.read_parquet(site / "data" / "series.parquet")["low"].equals(read["low"])


def drawn(tree: Any, site: Path) -> list[str]:
    said: list[str] = []
    site_builder.build(tree.results, site, say=said.append)
    return said


def test_a_new_commit_draws_its_page_that_before_it_and_what_has_all_commits(trees, tmp_path):
    tree, site = grow(trees, tmp_path / "project"), tmp_path / "site"
    drawn(tree, site)
    assert drawn(tree, site) == []
    new = tree.commit("one more")
    tree.result(new, {JOULES: [2.6e-6, 10.4e-6], ACCURACY: [0.97]}, driver="2")
    found = drawn(tree, site)
    commits = {name for name in found if name.startswith("commit-")}
    # The level from the change on is a mean of one value more.
    last, changed = {pages.commit_page(one) for one in tree.commits[-2:]}, pages.commit_page(tree.commits[WORSE])
    assert last <= commits <= last | {changed}
    assert {"index.html", "commits.html", pages.workload_page("nets.Infer"), "view trend"} <= set(found)
    assert "glossary.html" not in found
    fresh = tmp_path / "fresh"
    drawn(tree, fresh)
    assert contents(fresh) == contents(site)


def test_rows_with_other_parameters_stand_under_all_columns(trees, tmp_path):
    tree = trees.AsvTree(tmp_path / "project", [trees.Benchmark(JOULES, params=[["1"]], param_names=["bits"])])
    tree.result(tree.commit("one"), {JOULES: [1.0]})
    site = tmp_path / "site"
    drawn(tree, site)
    named = [trees.Benchmark(JOULES, params=[["1"]], param_names=["bits"]), trees.Benchmark(ACCURACY, unit="1")]
    tree.benchmarks = {one.name: one for one in named}
    tree.write_index()
    tree.result(tree.commit("two, with a comma"), {ACCURACY: [0.5]})
    drawn(tree, site)
    with (site / "data" / "series.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert sorted((row["param.bits"], row["value"]) for row in rows) == [("", "0.5"), ("1", "1.0")]
    assert len(json.loads((site / "data" / "series.json").read_text())) == 2


def contents(site: Path) -> dict[str, bytes]:
    return {str(one.relative_to(site)): one.read_bytes() for one in sorted(site.rglob("*")) if one.is_file()}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "-q", "-b", "main", tmp_path], check=True)
    return tmp_path


def commit(folder: Path, subject: str) -> str:
    who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=false"]
    git = ["git", "-C", str(folder), *who]
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", subject], check=True)
    return subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def steps(repository: Path, fake: Callable[[str], ModuleType]) -> tuple[Path, list[str]]:
    """Records of three commits; the third with another kernel and 30 % more joules."""
    made, hashes = fake("site_records"), []
    folder = repository / "records"
    folder.mkdir()
    for number, (kernel, joules) in enumerate((("6.1", 2e-4), ("6.1", 2e-4), ("6.2", 2.6e-4))):
        hashes.append(commit(repository, f"commit {number}"))
        machine = {"id": "box-1", "name": "the box", "kernel": kernel, "git": {"commit": hashes[-1], "dirty": False}}
        one = made.a_record(f"r{number}", joules, machine=machine, created=f"2026-11-2{number}T10:00:00Z")
        (folder / f"r{number}.json").write_text(schema.dumps(schema.parse(one)), encoding="utf-8")
    return folder, hashes


def test_what_else_was_different_stands_beside_the_numbers(steps, tmp_path):
    folder, hashes = steps
    site = site_builder.build(folder, tmp_path / "site").parent
    front = text_of(site, "index.html")
    assert f"What else was different at {hashes[2][:8]}" in front
    row = re.compile(
        r'rowheader">kernel</th>.*?<span class="cell">6\.1</span></td>.*?<span class="cell">6\.2</span></td>'
    )
    assert row.search(front)
    assert row.search(text_of(site, pages.commit_page(hashes[2])))
    assert not row.search(text_of(site, pages.commit_page(hashes[1])))
    assert "Nothing that the records of" in text_of(site, pages.commit_page(hashes[1]))
    assert "r1" not in text_of(site, pages.commit_page(hashes[2])).partition("Every number")[0]


def test_a_machine_tells_how_its_surroundings_changed(steps, tmp_path):
    folder, _ = steps
    machine = text_of(site_builder.build(folder, tmp_path / "site").parent, "machine-box-1.html")
    assert "kernel: 6.1 → 6.2" in machine
    stored, _ = frames.read(folder)
    found = surroundings.stages(stored)
    assert [(one.records, [each.what for each in one.begun]) for one in found] == [(2, []), (1, ["kernel"])]


def test_a_record_that_arrives_draws_its_own_workload_again_and_no_other(steps, tmp_path, fake):
    folder, hashes = steps
    other = fake("site_records").a_record("x", created="2026-11-25T10:00:00Z")
    other["workload"] = {"name": "mine", "version": 1, "definition": {}}
    (folder / "x.json").write_text(schema.dumps(schema.parse(other)), encoding="utf-8")
    site_builder.build(folder, tmp_path / "site")
    newer = json.loads((folder / "r2.json").read_text()) | {"id": "r3", "created": "2026-11-26T10:00:00Z"}
    newer["results"]["accuracy"]["value"] = 0.9
    (folder / "r3.json").write_text(json.dumps(newer), encoding="utf-8")
    said: list[str] = []
    site_builder.build(folder, tmp_path / "site", say=said.append)
    assert "workload-qnn-infer.html" in said
    assert pages.commit_page(hashes[2]) in said
    assert not {"workload-mine.html", pages.commit_page(hashes[0]), "view power"} & set(said)
    assert not any(one.startswith("figures of mine") for one in said)


def test_what_is_odd_is_shown_as_it_is_or_left_out_with_its_reason(steps, tmp_path):
    folder, _ = steps
    whole = json.loads((folder / "r2.json").read_text())
    for bits, joules in enumerate((1e12, 1e-30, 0.0), 1):
        result = whole["results"]["joules_per_sample"] | {"value": joules, "low": joules * 0.9, "high": joules * 1.1}
        results = whole["results"] | {"joules_per_sample": result}
        told = whole | {"id": f"odd{bits}", "parameters": {"bits": bits}, "results": results}
        (folder / f"odd{bits}.json").write_text(json.dumps(told), encoding="utf-8")
    twin = whole | {"id": "twin", "machine": whole["machine"] | {"id": "box-2"}}
    (folder / "twin.json").write_text(json.dumps(twin), encoding="utf-8")
    torn = json.loads(json.dumps(whole)) | {"id": "torn"}
    torn["windows"][0]["total"]["domains"].append("gpu.7")
    (folder / "torn.json").write_text(json.dumps(torn), encoding="utf-8")
    (folder.parent / "asv.conf.json").write_text("{", encoding="utf-8")
    site = site_builder.build(folder, tmp_path / "site").parent
    front, workload = text_of(site, "index.html"), text_of(site, "workload-qnn-infer.html")
    assert "1.00 TJ" in workload
    assert 'data-value="1e-30"' in workload
    assert {1e12, 1e-30, 0.0} <= {
        row["joules_per_sample"] for row in json.loads((site / "data/records.json").read_text())
    }
    assert (site / "machine-box-1.html").is_file()
    assert (site / "machine-box-2.html").is_file()
    assert "Left out" in front
    assert "the total of a window is over gpu.7, of which it has no joules" in front
    assert "asv.conf.json" in front


def test_where_the_evidence_lies(trees, tmp_path):
    tree = grow(trees, tmp_path / "project")
    assert places(tree.results).results == tree.results
    assert places(tree.path).results == tree.results
    records = tree.path / ".energybench" / "records"
    records.mkdir(parents=True)
    assert places(tree.path).records == records
    assert places(records).results == tree.results
    collected = tmp_path / "collected"
    (collected / "records").mkdir(parents=True)
    shutil.copytree(tree.results, collected / "results")
    assert (places(collected).records, places(collected).results) == (collected / "records", collected / "results")
    alone = tmp_path / "alone"
    alone.mkdir()
    assert (places(alone).records, places(alone).results) == (alone, None)


def test_a_report_tells_how_it_is_cited_and_gives_badges(steps, tmp_path, capsys):
    folder, _ = steps
    told = Settings(
        records=folder,
        site=tmp_path / "site",
        title="Joules of a box",
        authors=("Lovelace, Ada",),
        address="https://example.org/energy",
    )
    assert report.build(told, Wanted(single_file=tmp_path / "one.html")) == 0
    data = text_of(tmp_path / "site", "data.html")
    assert "author = {Lovelace, Ada}" in data
    assert "https://example.org/energy/badge.svg" in data
    assert 'family-names: "Lovelace"' in (tmp_path / "site" / "CITATION.cff").read_text()
    assert "<title>Joules of a box" in text_of(tmp_path / "site", "index.html")
    assert "energy: 1 regression" in (tmp_path / "site" / "badge.svg").read_text()
    assert "measured" in (tmp_path / "site" / "badge-qnn-infer.svg").read_text()
    assert str(tmp_path / "one.html") in capsys.readouterr().out.replace("\n", "")
    assert "Content-Security-Policy" in (tmp_path / "one.html").read_text(encoding="utf-8")


def test_what_got_worse_and_was_not_mended_stays_on_the_front_page(asv):
    tree, site = asv
    front = text_of(site, "index.html")
    assert "Worse, and not better since" in front
    assert f'since <a href="{pages.commit_page(tree.commits[WORSE])}">' in front


def test_after_a_damaged_index_the_site_is_built_again(trees, tmp_path):
    tree, site = grow(trees, tmp_path / "project"), tmp_path / "site"
    drawn(tree, site)
    whole = contents(site)
    index = (tree.results / "benchmarks.json").read_text()
    (tree.results / "benchmarks.json").write_text("{")
    drawn(tree, site)
    assert "benchmarks.json" in text_of(site, "index.html")
    (tree.results / "benchmarks.json").write_text(index)
    drawn(tree, site)
    assert contents(site) == whole


def test_a_folder_with_another_page_or_a_link_in_it_is_refused(steps, tmp_path):
    folder, _ = steps
    site = tmp_path / "site"
    site.mkdir()
    (site / "index.html").write_text("mine")
    with pytest.raises(site_builder.SiteError, match="was not written by energybench"):
        site_builder.build(folder, site)
    assert (site / "index.html").read_text() == "mine"
    (site / "index.html").unlink()
    (tmp_path / "elsewhere").mkdir()
    (site / "data").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(site_builder.SiteError, match="is a link"):
        site_builder.build(folder, site)
    with pytest.raises(site_builder.SiteError, match="is a file"):
        site_builder.build(folder, folder / "r0.json")


def test_control_characters_and_joules_beyond_all_bounds_leave_the_site_whole(steps, tmp_path):
    folder, _ = steps
    whole = json.loads((folder / "r2.json").read_text())
    for bits, joules in ((1, 5e-324), (2, 1e300)):
        result = whole["results"]["joules_per_sample"] | {"value": joules, "low": joules, "high": joules}
        told = whole | {"id": f"odd{bits}", "parameters": {"bits": bits}}
        told["workload"] = whole["workload"] | {"name": "a\0b\x1f"}
        told["results"] = whole["results"] | {"joules_per_sample": result}
        (folder / f"odd{bits}.json").write_text(json.dumps(told), encoding="utf-8")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # matplotlib's, of what is too large for an axis
        site = site_builder.build(folder, tmp_path / "site").parent
    for file in (site / "figures").glob("*.svg"):
        ET.parse(file)


def test_what_nobody_sees_in_a_name_is_spelt_out_on_every_page_and_picture_and_on_the_terminal(steps, tmp_path, capsys):
    folder, _ = steps
    told = json.loads((folder / "r2.json").read_text()) | {
        "id": "hostile",
        "parameters": {"bits": 1, "net": "v\u202eg"},
    }
    told["workload"] = {"name": "a\u202eb\x1b[2J` | ]", "version": 1, "definition": {"t\u2066": "d\u200f"}}
    told["machine"] = told["machine"] | {"name": "box \x07\u202e"}
    (folder / "hostile.json").write_text(json.dumps(told), encoding="utf-8")
    site = tmp_path / "site"
    report.build(Settings(records=folder, site=site))
    unseen = re.compile("[\x00-\x08\x0b-\x1f\u200f\u202a-\u202e\u2066-\u2069]")
    shown = [one for one in site.rglob("*") if one.suffix in (".html", ".svg")]
    assert len(shown) > 15
    assert [one.name for one in shown if unseen.search(one.read_text(encoding="utf-8"))] == []
    assert "a\\u202eb\\x1b[2J` | ]" in (site / "index.html").read_text(encoding="utf-8")
    assert r"a\\u202eb\\x1b\[2J\` \| \]" in (site / "data.html").read_text(encoding="utf-8")
    said = "".join(capsys.readouterr())
    assert "a\\u202eb\\x1b[2J` | ], per sample" in said
    assert not unseen.search(said)


def test_of_very_many_points_some_are_drawn_from_the_first_to_the_last():
    points = [frames.Stored(path=Path(str(place)), record={}) for place in range(10_000)]
    drawn = [int(str(one.path)) for one in groups.few(points)]
    assert (len(drawn), drawn[0], drawn[-1]) == (groups.MOST_POINTS, 0, 9_999)
    assert drawn == sorted(set(drawn))
    assert groups.few(points[:300]) == points[:300]
