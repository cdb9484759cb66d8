"""What is drawn again: the ledger of a site, and the memory of asv's result files."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energybench.gating.remembered import Memory, cache_file
from energybench.reports import ledger as ledgers
from energybench.reports.ledger import NAME, Ledger, Made, digest


def drawing(site: Path, name: str, said: list[str], text: str = "drawn") -> Callable[[], Made]:
    def make() -> Made:
        said.append(name)
        (site / name).write_text(text, encoding="utf-8")
        return Made(files=[name], value={"of": name})

    return make


def built(site: Path, **inputs: str) -> list[str]:
    """One build of a file for each input; which were drawn."""
    said: list[str] = []
    ledger = Ledger(site)
    for name, told in inputs.items():
        assert ledger.made(name, told, drawing(site, name, said)) == {"of": name}
    ledger.close()
    return said


def test_only_what_has_other_inputs_is_drawn_again(tmp_path):
    assert built(tmp_path, a="1", b="1") == ["a", "b"]
    assert built(tmp_path, a="1", b="2") == ["b"]
    assert built(tmp_path, a="1", b="2") == []


@pytest.mark.parametrize("harm", [lambda file: file.unlink(), lambda file: file.write_text("mine")])
def test_a_file_that_is_missing_or_was_changed_is_drawn_again(tmp_path, harm):
    built(tmp_path, a="1", b="1")
    harm(tmp_path / "a")
    assert built(tmp_path, a="1", b="1") == ["a"]
    assert (tmp_path / "a").read_text() == "drawn"


def test_fresh_draws_everything(tmp_path):
    built(tmp_path, a="1")
    said: list[str] = []
    Ledger(tmp_path, fresh=True).made("a", "1", drawing(tmp_path, "a", said))
    assert said == ["a"]


def test_what_another_code_drew_is_drawn_again_and_its_files_go(tmp_path):
    built(tmp_path, a="1", old="1")
    told = json.loads((tmp_path / NAME).read_text())
    (tmp_path / NAME).write_text(json.dumps(told | {"by": "another"}))
    assert built(tmp_path, a="1") == ["a"]
    assert not (tmp_path / "old").exists()


def test_a_ledger_that_was_changed_by_hand_is_none(tmp_path):
    built(tmp_path, a="1")
    told = json.loads((tmp_path / NAME).read_text())
    told["entries"]["a"]["value"] = [1]
    (tmp_path / NAME).write_text(json.dumps(told))
    assert built(tmp_path, a="1") == ["a"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 1}', '{"version": 1, "entries": {"a": 1}}', "\0"])
def test_a_damaged_ledger_is_none(tmp_path, text):
    built(tmp_path, a="1")
    (tmp_path / NAME).write_text(text)
    assert built(tmp_path, a="1") == ["a"]


@pytest.mark.parametrize("name", ["../kept", "sub/../../kept", "/kept", "link/kept"])
def test_a_ledger_that_somebody_wrote_removes_nothing_outside_of_the_site(tmp_path, name):
    site, kept = tmp_path / "site", tmp_path / "kept"
    site.mkdir()
    kept.write_text("kept")
    (site / "link").symlink_to(tmp_path)
    built(site, a="1")
    told = json.loads((site / NAME).read_text())
    named = str(kept) if name == "/kept" else name
    told["entries"]["evil"] = {"inputs": "", "files": {named: "", "": "", "a\0b": ""}, "value": None}
    (site / NAME).write_text(json.dumps(told | {"sum": ledgers._sum(told["entries"])}))
    built(site, a="1")
    assert kept.read_text() == "kept"


def test_a_page_is_written_where_it_differs_and_other_files_stay(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    for text, drawn in (("one", 1), ("one", 0), ("two", 1)):
        ledger = Ledger(tmp_path)
        ledger.page("page.html", text)
        ledger.close()
        assert ledger.drawn == drawn
        assert (tmp_path / "page.html").read_text() == text
    Ledger(tmp_path).close()
    assert sorted(one.name for one in tmp_path.iterdir()) == [NAME, "mine.txt"]


@given(st.lists(st.text(), min_size=1), st.lists(st.text(), min_size=1))
def test_equal_parts_have_equal_digests_and_others_have_others(one, other):
    assert (digest(*one) == digest(*other)) == (one == other)


ENTRY = {"commit": "a" * 40, "when": 1.0, "machine": "lab", "contexts": [], "rows": [], "damaged": []}


def remember(cache: Path, files: list[Path], index: dict[str, object] | None = None) -> list[Path]:
    """Which of the files had to be read."""
    memory = Memory(cache, files[0].parent, index)
    new = [file for file in files if memory.get(file) is None]
    for file in new:
        memory.put(file, ENTRY)
    memory.keep()
    return new


def test_a_result_file_is_read_once_until_it_changes(tmp_path):
    files, cache = [tmp_path / f"{name}.json" for name in "abc"], tmp_path / "cache" / "x.jsonl"
    for file in files:
        file.write_text("{}")
    assert remember(cache, files) == files
    assert remember(cache, files) == []
    files[1].write_text('{"more": 1}')
    assert remember(cache, files) == [files[1]]
    os.utime(files[2], ns=(1, 1))
    assert remember(cache, files) == [files[2]]
    assert remember(cache, files) == []
    assert remember(cache, files, {"another": "index"}) == files


def test_what_is_gone_is_forgotten_and_a_damaged_cache_is_none(tmp_path):
    files, cache = [tmp_path / f"{name}.json" for name in "abc"], tmp_path / "x.jsonl"
    for file in files:
        file.write_text("{}")
    remember(cache, files)
    remember(cache, files[:1])
    assert len(cache.read_text().splitlines()) == 1 + 1
    for text in ("", "{", '{"read_by": 1}\n{}', cache.read_text() + "torn"):
        cache.write_text(text)
        assert remember(cache, files) == files


def test_where_nothing_can_be_kept_nothing_is(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "a.json").write_text("{}")
    assert remember(tmp_path / "file" / "x.jsonl", [tmp_path / "a.json"]) == [tmp_path / "a.json"]


def test_each_results_dir_has_a_cache_of_its_own_in_the_users(tmp_path):
    found = {cache_file(tmp_path / name, {"XDG_CACHE_HOME": str(tmp_path)}) for name in ("one", "two")}
    assert len(found) == 2
    assert {one.parent for one in found} == {tmp_path / "energybench"}
    assert cache_file(tmp_path, {}).is_relative_to(Path.home() / ".cache")
    assert cache_file(tmp_path, {"ENERGYBENCH_CACHE": str(tmp_path / "mine")}).parent == tmp_path / "mine"
