"""Records over commits: what is kept of them is what their files say, and a site of it is the same to the byte."""

import fcntl
import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from energybench import record as schema
from energybench.gating import recorded
from energybench.gating.library import Library
from energybench.gating.observed import observe
from energybench.gating.remembered import Memory, cache_file
from energybench.reports import frames, site_builder
from energybench.reports.evidence import Evidence, places
from energybench.reports.numbers import quantity
from energybench.reports.site_builder import SiteError
from energybench.store import StoreError


@pytest.fixture(scope="module")
def put(fake: Callable[[str], Any]) -> Callable[..., Path]:
    """Writes a record of the fake machine to a file."""

    def write(file: Path, name: str, joules: float = 2e-4, **changes: Any) -> Path:
        file.parent.mkdir(parents=True, exist_ok=True)
        values = json.loads(json.dumps(fake("site_records").a_record(name, joules, **changes)))
        file.write_text(schema.dumps(schema.parse(values)), encoding="utf-8")
        return file

    return write


@pytest.fixture(scope="module")
def evidence(tmp_path_factory, fill_records) -> Path:
    return fill_records(tmp_path_factory.mktemp("evidence"))


def contents(site: Path) -> dict[str, bytes]:
    return {str(one.relative_to(site)): one.read_bytes() for one in sorted(site.rglob("*")) if one.is_file()}


def told(found: recorded.Found) -> list[Any]:
    records = [(one.path.name, one.digest, dict(one.brief), one.judged) for one in found.records]
    return [records, [one.reason for one in found.copies], [(one.path.name, one.reason) for one in found.problems]]


def read(folder: Path, cache: Path | None = None) -> tuple[list[Any], int]:
    """What is known of the records in a folder, and how many files had to be parsed."""
    memory = Memory(cache, folder)
    found = recorded.read(folder, memory)
    memory.keep()
    return told(found), len(memory._new)


def test_a_site_of_what_was_kept_is_that_of_whole_records_to_the_byte(evidence, tmp_path, monkeypatch):
    monkeypatch.setenv("ENERGYBENCH_CACHE", str(tmp_path / "cache"))
    some = tmp_path / "some"
    some.mkdir()
    for file in sorted(evidence.rglob("*.json"))[::4]:  # drawing takes its time
        (some / file.name).write_bytes(file.read_bytes())
    cold = contents(site_builder.build(some, tmp_path / "cold").parent)
    warm = contents(site_builder.build(some, tmp_path / "warm").parent)
    whole = contents(site_builder.build(some, tmp_path / "whole", frames.read(some)).parent)
    assert len(cold) > 50
    assert warm.keys() == cold.keys() == whole.keys()
    assert [name for name in cold if warm[name] != cold[name]] == []
    assert [name for name in cold if whole[name] != cold[name]] == []


def test_workers_parse_what_one_process_parses(put, tmp_path, monkeypatch):
    files = [
        put(tmp_path / "records" / f"{number:03}.json", f"r{number}", 1e-4 + number * 1e-6) for number in range(120)
    ]
    files[7].write_text("{", encoding="utf-8")
    files[60].write_bytes(files[61].read_bytes())
    alone = recorded.read(tmp_path / "records", Memory(None, tmp_path / "records"))
    monkeypatch.setattr(recorded, "MANY", 100)
    shared = recorded.read(tmp_path / "records", Memory(None, tmp_path / "records"), workers=2)
    assert told(shared) == told(alone)
    assert (len(shared.records), len(shared.copies), len(shared.problems)) == (118, 1, 1)
    assert [one.whole for one in shared.records] == [one.whole for one in alone.records]


def test_what_is_at_hand_of_a_record_is_what_the_whole_of_it_says(evidence):
    for one in recorded.read(evidence, Memory(None, evidence)).records:
        values = schema.loads(one.path.read_bytes()).to_json()
        assert one.whole == values
        assert one.digest == recorded.digest_of(values)
        for name in {*one.brief} - {"idle"}:
            assert one.brief[name] == values.get(name, {}), name
        for kept, idle in zip(one.brief.get("idle", ()), values["idle"], strict=True):
            assert kept == idle | {"domains": {n: d for n, d in idle["domains"].items() if "joules" in d}}


def test_equal_parts_of_records_are_one_object_read_now_or_kept(put, tmp_path):
    for name in "abc":
        put(tmp_path / "records" / f"{name}.json", name, 2e-4 if name == "a" else 3e-4)
    for _ in range(2):
        memory = Memory(tmp_path / "cache", tmp_path / "records")
        records = recorded.read(tmp_path / "records", memory).records
        memory.keep()
        for part in recorded.SHARED:
            assert len({id(one.brief[part]) for one in records}) == 1, part
        assert len({id(one.judged.contexts) for one in records}) == 1


@pytest.mark.parametrize("relative", [True, False])
def test_a_file_is_parsed_once_however_its_folder_is_named(put, tmp_path, monkeypatch, relative):
    folder = put(tmp_path / "records" / "a.json", "a").parent
    cache = cache_file(folder, {"ENERGYBENCH_CACHE": str(tmp_path / "cache")}, kind="records")
    assert read(folder, cache)[1] == 1
    monkeypatch.chdir(tmp_path)
    other = Path("records") if relative else folder
    assert cache_file(other, {"ENERGYBENCH_CACHE": str(tmp_path / "cache")}, kind="records") == cache
    assert read(other, cache)[1] == 0
    folder.rename(tmp_path / "renamed")
    assert read(tmp_path / "renamed", cache)[1] == 0


def test_a_record_that_was_replaced_is_read_again_though_its_time_is_the_same(put, tmp_path):
    file, cache = put(tmp_path / "records" / "a.json", "a"), tmp_path / "cache"
    before, was = read(file.parent, cache)[0], file.stat()
    other = put(tmp_path / "b.json", "a", 3e-4)
    same_size = other.stat().st_size == was.st_size
    os.utime(other, ns=(was.st_atime_ns, was.st_mtime_ns))
    other.replace(file)
    after, parsed = read(file.parent, cache)
    assert (parsed, same_size, file.stat().st_mtime_ns) == (1, same_size, was.st_mtime_ns)
    assert after != before
    assert after == read(file.parent)[0]


NAMES = st.sampled_from(["a", "b", "c", "d"])
STEPS = st.lists(
    st.tuples(st.sampled_from(["write", "remove", "copy", "rename", "tear", "forget", "spoil"]), NAMES, NAMES),
    min_size=1,
    max_size=12,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_whatever_happens_to_files_what_is_kept_is_what_they_say(put, tmp_path_factory, steps):
    folder, cache = tmp_path_factory.mktemp("records"), tmp_path_factory.mktemp("cache") / "x.jsonl"
    for number, (what, one, other) in enumerate(steps):
        file, target = folder / one / "r.json", folder / other / "r.json"
        if what == "write":
            put(file, f"{one}{number}", 1e-4 * (number + 1))
        elif what == "forget":
            cache.unlink(missing_ok=True)
        elif what == "spoil" and cache.exists():
            cache.write_bytes(cache.read_bytes()[:-7] + b"?\n")
        elif file.exists() and what in ("remove", "tear"):
            file.unlink() if what == "remove" else file.write_bytes(file.read_bytes()[:-30])
        elif file.exists() and what in ("copy", "rename") and file != target:
            target.parent.mkdir(exist_ok=True)
            text = file.read_bytes()
            if what == "rename":
                file.unlink()
            target.write_bytes(text)
        assert read(folder, cache)[0] == read(folder)[0]
        assert read(folder, cache)[1] == 0


@pytest.mark.parametrize("order", ["together", "in turn"])
def test_two_sites_may_add_to_what_is_kept_of_one_folder(put, tmp_path, order):
    folder, cache = tmp_path / "records", tmp_path / "cache.jsonl"
    for name in "abcd":
        put(folder / f"{name}.json", name)
    read(folder, cache)
    memories = [Memory(cache, folder), Memory(cache, folder)]
    for number, memory in enumerate(memories):
        machine = {"id": f"box-{number}", "name": "new"}
        put(folder / f"new-{number}.json", f"new-{number}", machine=machine)
        recorded.read(folder, memory)
        if order == "in turn":
            memory.keep()
    if order == "together":
        for memory in memories:
            memory.keep()
    assert read(folder, cache) == (read(folder)[0], 0)


def test_a_record_that_is_gone_when_it_is_asked_for_is_named(put, tmp_path):
    put(tmp_path / "a.json", "a")
    cache = tmp_path / "cache.jsonl"
    read(tmp_path, cache)
    (one,) = recorded.read(tmp_path, Memory(cache, tmp_path)).records
    one.path.unlink()
    with pytest.raises(StoreError, match=r"a\.json"):
        _ = one.whole


def test_observations_are_the_same_from_what_was_kept(evidence, tmp_path, monkeypatch):
    monkeypatch.setenv("ENERGYBENCH_CACHE", str(tmp_path))
    found = [
        observe(Library(repository=evidence.parent, records=evidence, results=tmp_path / "none", remember=remember))
        for remember in (False, True, True)
    ]
    assert sum(len(one.observations) for one in found[0].tracks) > 40
    assert found[1].tracks == found[0].tracks
    assert found[2].tracks == found[0].tracks


@pytest.fixture
def held(tmp_path: Path) -> Iterator[int]:
    """A site that another process is writing."""
    (tmp_path / "site").mkdir()
    descriptor = os.open(tmp_path / "site", os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    yield descriptor
    os.close(descriptor)


def test_a_site_is_written_by_one_build_at_a_time(put, tmp_path, held):
    put(tmp_path / "records" / "a.json", "a")
    with pytest.raises(SiteError, match=r"another energybench is writing .*site; wait until it has finished"):
        site_builder.build(tmp_path / "records", tmp_path / "site")
    assert not (tmp_path / "site" / "index.html").exists()
    fcntl.flock(held, fcntl.LOCK_UN)
    assert site_builder.build(tmp_path / "records", tmp_path / "site").exists()


def test_who_serves_a_site_waits_until_another_build_has_ended(put, tmp_path, held):
    put(tmp_path / "records" / "a.json", "a")
    found = Evidence(places(tmp_path / "records"))
    build = threading.Thread(target=site_builder.write, args=(found, tmp_path / "site"), kwargs={"wait": True})
    build.start()
    build.join(0.3)
    assert build.is_alive()
    assert not (tmp_path / "site" / "index.html").exists()
    fcntl.flock(held, fcntl.LOCK_UN)
    build.join(60)
    assert (tmp_path / "site" / "index.html").exists()


@pytest.mark.parametrize("place", ["file/site", "taken"])
def test_a_folder_that_cannot_be_written_is_named_with_what_to_do(put, tmp_path, place):
    put(tmp_path / "records" / "a.json", "a")
    (tmp_path / "file").touch()
    (tmp_path / "taken" / "report.css").mkdir(parents=True)
    with pytest.raises(SiteError, match=r"cannot be written \(.*\); free some space there .* with --output"):
        site_builder.build(tmp_path / "records", tmp_path / place)


@pytest.mark.parametrize("told", ["5", "[]", "null", '""', "{}"])
@pytest.mark.parametrize("name", ["asv.conf.json", "asv.conf.jsonc"])
def test_a_results_dir_that_is_no_name_is_told_on_the_page(put, tmp_path, told, name):
    put(tmp_path / ".energybench" / "records" / "a.json", "a")
    (tmp_path / name).write_text(f'{{"results_dir": {told}}}')
    (trouble,) = places(tmp_path).troubles
    assert trouble.path == tmp_path / name
    page = site_builder.build(tmp_path, tmp_path / "site").read_text()
    assert "which is no name of a folder; correct it, or name the results_dir itself." in page


def test_a_project_may_have_its_configuration_with_comments_in_its_name(trees, tmp_path):
    tree = trees.AsvTree(tmp_path / "tree", [trees.Benchmark("a.B.energy_joules_per_sample", "joules")])
    tree.result(tree.commit("first"), {"a.B.energy_joules_per_sample": [1.0]})
    (tree.path / "asv.conf.json").unlink(missing_ok=True)
    (tree.path / "asv.conf.jsonc").write_text('{"results_dir": ".asv/results"} // ours')
    assert places(tree.path).results == tree.path / ".asv" / "results"
    assert len(frames.load(tree.path)) == 1


@pytest.mark.parametrize("text", ['{"machine"', "[]", '{"version": 1}'])
def test_a_damaged_description_of_a_machine_is_told_on_the_page(trees, tmp_path, text):
    tree = trees.AsvTree(tmp_path / "tree", [trees.Benchmark("a.B.energy_joules_per_sample", "joules")])
    tree.result(tree.commit("first"), {"a.B.energy_joules_per_sample": [1.0]})
    (file,) = tree.results.glob("*/machine.json")
    file.write_text(text)
    page = site_builder.build(tree.results, tmp_path / "site").read_text()
    left_out = page.partition('id="left-out"')[2]
    assert "machine.json" in left_out
    assert "Its results are shown all the same; asv machine --yes writes it anew." in left_out


def test_a_record_whose_joules_cannot_be_is_shown_and_told_of(put, tmp_path):
    records = tmp_path / "records"
    put(records / "a.json", "a")
    put(records / "b.json", "b", 1e12 / 6400, parameters={"bits": 4})
    put(records / "c.json", "c", total=None, domains={}, idle=[], windows=[])
    values = json.loads((records / "c.json").read_text())
    values["results"]["accuracy"]["value"] = 95.0
    (records / "c.json").write_text(json.dumps(values))
    page = site_builder.build(records, tmp_path / "site").read_text()
    told = page.partition('id="odd"')[2].partition("</section>")[0]
    assert "The numbers of 2 records cannot be." in told
    assert "b.json" in told
    assert f"{quantity(1e12 / 3.6, 'W')}, more than 10 MW" in told
    assert "its accuracy is 95, and a share is 0 to 1" in told
    assert "a.json" not in told
    assert quantity(1e12 / 6400, "J") in (tmp_path / "site" / "workload-qnn-infer.html").read_text()
