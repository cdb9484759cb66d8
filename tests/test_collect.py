"""Results of several machines become one folder: twice is once, contradictions are named, nothing is overwritten."""

import json
import shutil
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import fsspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from energybench import record as schema
from energybench._commands.collect import collect as command
from energybench.collect import Collected, collect
from energybench.gating.merging import merge_results, same
from energybench.gating.sides import SideError, resolve
from energybench.gating.sources import SourceError
from energybench.store import Store

MINIMAL: dict[str, Any] = {
    "schema": 1,
    "id": "one",
    "created": "2026-11-22T10:11:12Z",
    "energybench": "0.1.0",
    "protocol": {"version": 1, "windows": 1, "align": False},
    "workload": {"name": "w", "version": 1, "definition": {}},
    "parameters": {},
    "seed": 0,
    "quick": True,
    "machine": {"id": "m", "name": "lab"},
    "quiet": {"quiet": True, "reasons": []},
    "seconds": 1.0,
    "steps": 1,
    "samples": 1,
    "windows": [],
    "results": {},
}
TIME, SIZE = "sorting.time_sort", "sorting.mem_sort"


def write(folder: Path, identity: str = "one", machine: str | dict[str, Any] = "m", **changes: Any) -> Path:
    told = machine if isinstance(machine, dict) else {"id": machine, "name": "lab"}
    record = schema.parse({**MINIMAL, "id": identity, "machine": told, **changes})
    return Store(record.machine.id, root=folder).write(record)


def tree_at(path: Path, trees: ModuleType, machine: str = "lab") -> Any:
    made = [trees.Benchmark(TIME, "seconds", "time"), trees.Benchmark(SIZE, "bytes", "memory")]
    return trees.AsvTree(path, made, machine=machine)


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def gathered(tmp_path: Path, *sources: Path | str, **more: Any) -> Collected:
    return collect([str(one) for one in sources], tmp_path / "out", repository=tmp_path, **more)


def test_records_of_two_machines_come_together(tmp_path: Path) -> None:
    write(tmp_path / "a")
    write(tmp_path / "b", "two", "n")
    found = gathered(tmp_path, tmp_path / "a", tmp_path / "b")
    assert (found.records, found.results, found.conflicts, found.troubles) == (2, 0, (), ())
    assert set(content(tmp_path / "out")) == {"records/m/one.json", "records/n/two.json"}


def test_the_same_record_twice_counts_once_however_it_is_written(tmp_path: Path) -> None:
    first = write(tmp_path / "a")
    second = write(tmp_path / "b")
    second.write_text(json.dumps(json.loads(second.read_text()), indent=7))
    found = gathered(tmp_path, tmp_path / "a", tmp_path / "b")
    assert (found.records, found.conflicts) == (1, ())
    assert (tmp_path / "out/records/m/one.json").read_bytes() == first.read_bytes()


def test_one_id_with_two_contents_is_a_conflict_and_the_first_stays(tmp_path: Path) -> None:
    first = write(tmp_path / "a")
    second = write(tmp_path / "b", seconds=2.0)
    found = gathered(tmp_path, tmp_path / "a", tmp_path / "b")
    (conflict,) = found.conflicts
    assert (str(conflict.path), conflict.source) == ("records/m/one.json", str(second))
    assert (tmp_path / "out/records/m/one.json").read_bytes() == first.read_bytes()


@pytest.mark.parametrize(("prefer", "seconds"), [("first", 1.0), ("newest", 2.0)])
def test_what_is_preferred_is_taken(tmp_path: Path, prefer: Any, seconds: float) -> None:
    write(tmp_path / "a")
    write(tmp_path / "b", seconds=2.0, created="2026-11-23T10:11:12Z")
    write(tmp_path / "c", seconds=3.0, created="2026-11-21T10:11:12Z")
    found = gathered(tmp_path, tmp_path / "a", tmp_path / "b", tmp_path / "c", prefer=prefer)
    assert found.conflicts == ()
    assert json.loads((tmp_path / "out/records/m/one.json").read_text())["seconds"] == seconds


def test_to_collect_again_writes_nothing(tmp_path: Path, trees: ModuleType) -> None:
    write(tmp_path / "a")
    tree = tree_at(tmp_path / "b", trees)
    tree.result(tree.commit("first"), {TIME: [[1.0, 2.0]], SIZE: [float("nan")]})
    (tmp_path / "a" / "m" / "canary.jsonl").write_text('{"when": "2026", "joules": 1.0}\n')
    first = gathered(tmp_path, tmp_path / "a", tree.results)
    before = content(tmp_path / "out")
    again = gathered(tmp_path, tmp_path / "a", tree.results)
    assert len(first.written) == 5
    assert (again.written, again.conflicts, again.records, again.results) == ((), (), 1, 1)
    assert content(tmp_path / "out") == before


def test_asv_results_of_two_machines_are_one_tree_that_the_gate_reads(tmp_path: Path, trees: ModuleType) -> None:
    tree = tree_at(tmp_path / "a", trees)
    commit = tree.commit("first")
    tree.result(commit, {TIME: [1.0]})
    other = tree_at(tmp_path / "b", trees, machine="desk")
    other.result(commit, {TIME: [2.0]})
    found = gathered(tmp_path, tree.results, other.results)
    assert (found.results, found.conflicts) == (2, ())
    side = resolve(
        f"{tmp_path}/out/results@{commit[:8]}", repository=tree.path, records=tmp_path / "none", machine="desk"
    )
    assert [one.rounds[0].values for one in side.series.values()] == [(2.0,)]


def test_what_was_collected_is_named_with_a_commit(tmp_path: Path, trees: ModuleType) -> None:
    tree = tree_at(tmp_path / "a", trees)
    commits = [tree.commit("first"), tree.commit("second")]
    metric = {"value": 1.0, "unit": "J", "provenance": "measured", "higher_is_better": False}
    for number, commit in enumerate(commits):
        tree.result(commit, {TIME: [float(number)]})
        machine = {"id": "m", "name": "lab", "git": {"commit": commit, "dirty": False}}
        write(tmp_path / "b", f"r{number}", machine=machine, results={"joules_per_sample": metric})
    gathered(tmp_path, tree.results, tmp_path / "b")
    side = resolve(f"{tmp_path}/out@{commits[1][:10]}", repository=tmp_path, records=tmp_path / "none")
    assert {one.metric for one in side.series} == {"seconds", "joules_per_sample"}
    assert side.commit == commits[1]
    only = resolve(f"{tmp_path}/b@{commits[0]}", repository=tmp_path, records=tmp_path / "none")
    assert (len(only.series), only.commit) == (1, commits[0])
    with pytest.raises(SideError, match=f"has no results of fff; there are results of {commits[0][:8]}"):
        resolve(f"{tmp_path}/b@fff", repository=tmp_path, records=tmp_path / "none")


def test_rows_of_one_commit_are_merged_and_other_values_named(tmp_path: Path, trees: ModuleType) -> None:
    one, two = tree_at(tmp_path / "a", trees), tree_at(tmp_path / "b", trees)
    commit = one.commit("first")
    path = one.result(commit, {TIME: [1.0]})
    two.result(commit, {TIME: [2.0], SIZE: [8.0]})
    found = gathered(tmp_path, one.results, two.results)
    assert [conflict.reason for conflict in found.conflicts] == [f"{TIME} has other values"]
    rows = json.loads((tmp_path / "out/results/lab" / path.name).read_text())["results"]
    assert (rows[TIME][0], rows[SIZE][0]) == ([1.0], [8.0])


def test_another_requirement_in_one_result_file_is_a_conflict(tmp_path: Path, trees: ModuleType) -> None:
    one, two = tree_at(tmp_path / "a", trees), tree_at(tmp_path / "b", trees)
    commit = one.commit("first")
    one.result(commit, {TIME: [1.0]}, requirements={"torch": "1"})
    two.result(commit, {TIME: [1.0]}, requirements={"torch": "2"})
    (conflict,) = gathered(tmp_path, one.results, two.results).conflicts
    assert conflict.reason == "requirements differ"


def test_indexes_are_merged_by_benchmark_and_other_versions_named(tmp_path: Path, trees: ModuleType) -> None:
    one = trees.AsvTree(tmp_path / "a", [trees.Benchmark(TIME, "seconds", "time", version="1")])
    two = trees.AsvTree(
        tmp_path / "b",
        [trees.Benchmark(TIME, "seconds", "time", version="2"), trees.Benchmark(SIZE, "bytes", "memory")],
    )
    for tree in (one, two):
        tree.result("c" * 40, {TIME: [1.0]}, versions={TIME: "1"})
    (conflict,) = gathered(tmp_path, one.results, two.results).conflicts
    assert conflict.reason == f"{TIME}: version 1 in one, 2 in another"
    index = json.loads((tmp_path / "out/results/benchmarks.json").read_text())
    assert (index[TIME]["version"], SIZE in index) == ("1", True)


def test_what_is_damaged_or_foreign_is_named_and_left_out(tmp_path: Path) -> None:
    good = write(tmp_path / "a")
    (good.parent / "cut.json").write_text(good.read_text()[:40])
    (good.parent / "old.json").write_text(json.dumps({**MINIMAL, "schema": 99}))
    (good.parent / "package.json").write_text("{}")
    (good.parent / "list.json").write_text("[]")
    (good.parent / "notes.txt").write_text("not looked at")
    found = gathered(tmp_path, tmp_path / "a")
    told = {one.path.name: one.reason for one in found.troubles}
    assert found.records == 1
    assert set(told) == {"cut.json", "old.json", "package.json", "list.json"}
    assert "schema 99 is not known here" in told["old.json"]
    assert told["package.json"] == "is neither a record nor one of asv's files"
    assert set(content(tmp_path / "out")) == {"records/m/one.json"}


@pytest.mark.parametrize("machine", ["../../outside", "..", ".hidden", "a/b", "a\\b", "", "nul\0"])
def test_a_machine_whose_name_leads_elsewhere_is_refused(tmp_path: Path, trees: ModuleType, machine: str) -> None:
    tree = tree_at(tmp_path / "a", trees)
    path = tree.result("c" * 40, {TIME: [1.0]})
    values = json.loads(path.read_text())
    values["params"]["machine"] = machine
    (path.parent / "machine.json").write_text(json.dumps({"machine": machine}))
    path.write_text(json.dumps(values))
    found = gathered(tmp_path, tree.results)
    assert any("is no name for a file" in one.reason for one in found.troubles)
    assert {name for name in content(tmp_path / "out") if not name.startswith("results/lab/")} <= {
        "results/benchmarks.json"
    }


def test_names_that_climb_out_of_an_archive_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("../../evil.json", json.dumps(MINIMAL))
        archive.writestr("ok/good.json", json.dumps({**MINIMAL, "id": "good"}))
    found = gathered(tmp_path, f"zip://::{tmp_path}/x.zip")
    assert found.records == 1
    assert [one.reason for one in found.troubles] in ([], ["its name leads out of its folder"])
    assert set(content(tmp_path / "out")) == {"records/m/good.json"}


def test_a_record_whose_machine_has_slashes_stays_in_the_output(tmp_path: Path) -> None:
    path = write(tmp_path / "a")
    path.write_text(json.dumps({**MINIMAL, "machine": {"id": "../../up", "name": "x"}}))
    found = gathered(tmp_path, tmp_path / "a")
    assert set(content(tmp_path)) == {str(path.relative_to(tmp_path))}
    assert [one.reason for one in found.troubles] == ["'.._.._up' is no name for a file"]


def test_a_branch_of_this_repository_and_one_of_another_are_sources(tmp_path: Path, trees: ModuleType) -> None:
    tree = tree_at(tmp_path / "a", trees)
    write(tree.path / "kept")
    write(tree.path / "elsewhere", "two")
    tree.git("checkout", "-q", "-b", "results/lab")
    tree.git("add", "-A")
    tree.commit("results")
    for folder in ("kept", "elsewhere"):
        shutil.rmtree(tree.path / folder)
    found = collect(["results/lab"], tmp_path / "out", repository=tree.path)
    assert found.records == 2
    only = collect([f"git:{tree.path}@results/lab:kept"], tmp_path / "one", repository=tmp_path)
    assert only.records == 1
    assert set(content(tmp_path / "one")) == {"records/m/one.json"}


def test_an_address_of_fsspec_is_a_source(tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/lab/m/one.json", json.dumps(MINIMAL).encode())
    try:
        assert gathered(tmp_path, "memory://lab").records == 1
    finally:
        memory.rm("/lab", recursive=True)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("nowhere", "is no folder, no address and no branch"),
        ("memory://nothing-there", "holds no files|cannot be listed"),
        ("unheard-of://x", "cannot be listed: .*unheard-of"),
        ("git:there", "names no branch"),
        ("git:.@no-such-branch", "has no branch no-such-branch"),
    ],
)
def test_a_source_that_cannot_be_opened_is_named_and_nothing_written(tmp_path: Path, source: str, said: str) -> None:
    write(tmp_path / "a")
    with pytest.raises(SourceError, match=said):
        gathered(tmp_path, tmp_path / "a", source)
    assert not (tmp_path / "out").exists()


def test_canaries_are_merged_line_by_line(tmp_path: Path) -> None:
    lines = ['{"when": "2026-02", "joules": 2.0}', '{"when": "2026-01", "joules": 1.0}', '{"when": "2026-03"']
    for name, some in (("a", lines[:1]), ("b", lines)):
        write(tmp_path / name)
        (tmp_path / name / "m" / "canary.jsonl").write_text("\n".join(some))
    found = gathered(tmp_path, tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "out/records/m/canary.jsonl").read_text().splitlines() == [lines[1], lines[0]]
    assert [one.reason for one in found.troubles] == ["line 3 is not whole"]


def test_the_command_exits_with_2_after_a_conflict_and_where_nothing_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "a")
    write(tmp_path / "b", seconds=2.0)
    (tmp_path / "empty").mkdir()
    both = [str(tmp_path / "a"), str(tmp_path / "b")]
    assert command(both, tmp_path / "out") == 2
    assert "records/m/one.json: has another content" in capsys.readouterr().err
    assert command(both, tmp_path / "out", prefer="first", as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["records"] == 1
    assert command([str(tmp_path / "empty")], tmp_path / "none") == 2
    assert command(["nowhere"], tmp_path / "none") == 2


ROWS = st.dictionaries(st.sampled_from("abcd"), st.lists(st.floats() | st.none(), max_size=3), max_size=4)


def result(rows: dict[str, Any]) -> dict[str, Any]:
    return {"commit_hash": "c", "results": rows, "version": 2, "result_columns": ["result", "params"]}


@given(ROWS, ROWS)
def test_merging_loses_no_row_and_changes_none_of_the_first(first: dict[str, Any], second: dict[str, Any]) -> None:
    merged = merge_results(result(first), result(second), None)
    rows = merged.values["results"]
    assert rows.keys() == first.keys() | second.keys()
    assert all(same(rows[name], first[name]) for name in first)
    assert len(merged.contradictions) == sum(
        not same(first[name], second[name]) for name in first.keys() & second.keys()
    )
    again = merge_results(merged.values, result(second), "first")
    assert same(again.values, merged.values)


def test_a_source_that_is_named_by_a_way_up_is_taken(tmp_path: Path, trees: ModuleType) -> None:
    write(tmp_path / "a")
    tree = tree_at(tmp_path / "b", trees)
    tree.result(tree.commit("first"), {TIME: [1.0]})
    (tmp_path / "a" / "m" / "canary.jsonl").write_text('{"when": "2026", "joules": 1.0}\n')
    inside = tmp_path / "a" / "m"
    found = gathered(tmp_path, inside / "..", tmp_path / "a" / ".." / "b" / ".asv" / "results")
    assert (found.records, found.results, found.troubles) == (1, 1, ())
    assert (tmp_path / "out/records/m/canary.jsonl").is_file()
    one = collect([str(inside / ".." / "m" / "one.json")], tmp_path / "single", repository=tmp_path)
    assert one.records == 1


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "utf-32-le"])
def test_a_record_in_another_encoding_is_kept_as_utf_8(tmp_path: Path, encoding: str) -> None:
    path = write(tmp_path / "a")
    path.write_bytes(path.read_text().encode(encoding))
    write(tmp_path / "a", "two")
    found = gathered(tmp_path, tmp_path / "a")
    assert (found.records, found.troubles) == (2, ())
    assert schema.loads((tmp_path / "out/records/m/one.json").read_text(encoding="utf-8")).id == "one"
    assert gathered(tmp_path, tmp_path / "a").written == ()


def test_text_that_is_none_is_named_and_the_rest_collected(tmp_path: Path) -> None:
    path = write(tmp_path / "a")
    text = path.read_bytes()
    path.with_name("odd.json").write_bytes(text.replace(b'"lab"', b'"l\xed\xa0\x80b"'))
    path.with_name("latin.json").write_bytes(text.replace(b'"lab"', b'"l\xe4b"'))
    path.with_name("zero.json").write_bytes(b"\xff\xfe\x00")
    found = gathered(tmp_path, tmp_path / "a")
    assert found.records == 1
    assert {one.path.name for one in found.troubles} == {"odd.json", "latin.json", "zero.json"}


def test_halves_of_characters_in_asvs_files_are_no_hindrance(tmp_path: Path, trees: ModuleType) -> None:
    tree = tree_at(tmp_path / "a", trees)
    path = tree.result(tree.commit("first"), {TIME: [1.0]}, note="\ud800")
    found = gathered(tmp_path, tree.results)
    assert (found.results, found.troubles) == (1, ())
    values = json.loads(path.read_text())
    values["params"]["machine"] = "\ud800"
    path.write_text(json.dumps(values))
    found = gathered(tmp_path, path)
    assert [one.reason for one in found.troubles] == ["'\\ud800' is no name for a file"]


@pytest.mark.parametrize("content", [b"\xff\xfe\x00\xd8", b"\xe4", "{}".encode("utf-16")])
def test_a_file_in_the_output_that_is_no_text_is_replaced(tmp_path: Path, content: bytes) -> None:
    good = write(tmp_path / "a")
    (tmp_path / "a" / "m" / "canary.jsonl").write_text('{"when": "2026", "joules": 1.0}\n')
    for name in ("one.json", "canary.jsonl"):
        place = tmp_path / "out/records/m" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    gathered(tmp_path, tmp_path / "a", prefer="newest")
    assert (tmp_path / "out/records/m/one.json").read_bytes() == good.read_bytes()
    assert b'{"when": "2026", "joules": 1.0}\n' in (tmp_path / "out/records/m/canary.jsonl").read_bytes()


def test_asv_results_that_do_not_name_their_machine_have_their_folders(tmp_path: Path, trees: ModuleType) -> None:
    tree = tree_at(tmp_path / "a", trees)
    commit = tree.commit("first")
    path = tree.result(commit, {TIME: [1.0]})
    values = json.loads(path.read_text())
    del values["params"]["machine"]
    path.write_text(json.dumps(values))
    assert gathered(tmp_path, tree.results).results == 1
    assert (tmp_path / "out/results/lab" / path.name).is_file()
    assert gathered(tmp_path, tree.results).written == ()
    side = resolve(f"{tmp_path}/out@{commit}", repository=tmp_path, records=tmp_path / "none")
    assert {one.grounds["machine"] for one in side.series.values()} == {"lab"}


def test_the_folders_of_a_branch_begin_after_its_name(tmp_path: Path, trees: ModuleType) -> None:
    tree = tree_at(tmp_path / "a", trees)
    (tree.path / "m").mkdir()
    (tree.path / "m" / "canary.jsonl").write_text('{"when": "2026", "joules": 1.0}\n')
    write(tree.path)
    tree.git("add", "-A")
    tree.commit("results")
    found = collect(["main"], tmp_path / "out", repository=tree.path)
    assert (tmp_path / "out/records/m/canary.jsonl").is_file()
    assert found.records == 1


def test_an_output_that_is_a_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "a")
    (tmp_path / "out").write_text("mine")
    assert command([str(tmp_path / "a")], tmp_path / "out") == 2
    assert "is a file; give --output a folder" in capsys.readouterr().err
    assert (tmp_path / "out").read_text() == "mine"


def test_of_a_project_its_records_and_its_results_are_collected_and_nothing_else(
    tmp_path: Path, trees: ModuleType
) -> None:
    tree = tree_at(tmp_path / "a", trees)
    tree.result(tree.commit("first"), {TIME: [1.0]})
    write(tree.path / ".energybench" / "records")
    for place in ("package.json", ".asv/env/ab12/site-packages/x.json", ".asv/html/index.json", "docs/conf.json"):
        (tree.path / place).parent.mkdir(parents=True, exist_ok=True)
        (tree.path / place).write_text("{}")
    found = gathered(tmp_path, tree.path)
    assert (found.records, found.results, found.troubles) == (1, 1, ())


def test_the_asv_results_that_were_made_of_another_suite_are_of_the_project_too(
    tmp_path: Path, trees: ModuleType
) -> None:
    write(tmp_path / "a" / ".energybench" / "records")
    beside = tree_at(tmp_path / "a" / ".energybench" / "asv" / "numpy", trees)
    beside.result(beside.commit("first"), {TIME: [1.0]})
    found = gathered(tmp_path, tmp_path / "a")
    assert (found.records, found.results, found.troubles) == (1, 1, ())


def test_environments_and_pages_are_not_looked_into(tmp_path: Path, trees: ModuleType) -> None:
    tree = tree_at(tmp_path / "all" / "a", trees)
    tree.result(tree.commit("first"), {TIME: [1.0]})
    configuration = '{"version": 1, "env_dir": "../envs", "html_dir": "pages", "results_dir": ".asv/results"} // all'
    (tree.path / "asv.conf.json").write_text(configuration)
    write(tmp_path / "all" / "b")
    (tmp_path / "all" / "venv").mkdir()
    (tmp_path / "all" / "venv" / "pyvenv.cfg").write_text("")
    for place in ("a/pages/graph.json", "venv/x.json", "conda/conda-meta/y.json", ".git/z.json"):
        (tmp_path / "all" / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "all" / place).write_text("{}")
    found = gathered(tmp_path, tmp_path / "all")
    assert (found.records, found.results, found.troubles) == (1, 1, ())


def test_a_project_whose_results_are_elsewhere_is_looked_through(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "asv.conf.jsonc").write_text('{"version": 1}')
    write(tmp_path / "a" / "kept")
    assert gathered(tmp_path, tmp_path / "a").records == 1
