"""What is said of points that are of several commits, or of a machine that was not quiet."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from energybench.reports import origins, site_builder, tables
from energybench.reports.frames import Stored
from energybench.reports.views import breakdown, communication, frontier, relaxing, roofline, tradeoff

OLD, NEW = "0123abcd" * 5, "fedc9876" * 5


@pytest.fixture(scope="module")
def at(fake: Callable[[str], Any]) -> Callable[..., dict[str, Any]]:
    """A record of a width at a commit."""

    def make(bits: int, commit: str, *, quiet: bool = True, **changes: Any) -> dict[str, Any]:
        machine = {"id": "box-1", "name": "the box", "git": {"commit": commit, "dirty": False}}
        told = {"parameters": {"bits": bits}, "machine": machine, "quiet": {"quiet": quiet}} | changes
        created = f"2026-11-2{2 if commit == OLD else 3}T10:00:00Z"
        return dict(fake("site_records").a_record(f"r{bits}", created=created, **told))

    return make


def stored(*records: Mapping[str, Any]) -> list[Stored]:
    return [Stored(path=Path(f"{one['id']}.json"), record=one) for one in records]


def mixed(at: Callable[..., dict[str, Any]]) -> list[dict[str, Any]]:
    return [at(2, OLD), at(4, OLD), at(1, NEW, quiet=False), at(8, NEW, quiet=False)]


TOLD = "qnn-infer is of 2 commits: 0123abcd bits 2, 4; fedc9876 bits 1, 8 (not quiet)."


def test_points_of_two_commits_are_named_with_what_was_not_quiet(at):
    assert origins.origins(mixed(at)) == (TOLD,)


def test_nothing_is_said_of_one_commit_on_a_quiet_machine(at):
    assert origins.origins([at(1, OLD), at(2, OLD)]) == ()


def test_points_of_one_commit_of_which_some_were_not_quiet_are_told_apart(at):
    told = origins.origins([at(1, OLD), at(2, OLD, quiet=False), at(4, OLD, quiet=False)])
    assert told == ("qnn-infer is of one commit: 0123abcd bits 1; 0123abcd bits 2, 4 (not quiet).",)


def test_a_busy_machine_alone_is_told(at):
    assert origins.origins([at(1, OLD, quiet=False)]) == ("qnn-infer is of 0123abcd (not quiet).",)


def test_workloads_of_one_commit_each_are_told_together(at):
    def of(name: str, commit: str) -> dict[str, Any]:
        return at(1, commit, id=name, workload={"name": name, "version": 1, "definition": {}})

    told = origins.origins([of("a", OLD), of("b", NEW), of("c", OLD)])
    assert told == ("a, c are of 0123abcd.", "b is of fedc9876.")


def test_of_many_points_eight_are_named(at):
    told = origins.origins([*(at(bits, OLD) for bits in range(1, 12)), at(32, NEW)])
    assert told == ("qnn-infer is of 2 commits: 0123abcd bits 1, 2, 3, 4, 5, 6, 7, 8 and 3 more; fedc9876 bits 32.",)


@pytest.mark.parametrize("git", [{"commit": OLD, "dirty": True}, {"commit": "no hash", "dirty": False}, None])
def test_a_commit_that_nobody_knows_is_not_made_up(at, git):
    bare = at(4, OLD, machine={"id": "box-1", "name": "the box"} | ({"git": git} if git else {}))
    assert origins.origins([at(2, OLD), bare]) == (
        "qnn-infer is of 2 commits: 0123abcd bits 2; no known commit bits 4.",
    )
    assert origins.columns(bare) == {"created": "2026-11-22T10:00:00Z"}


@pytest.mark.parametrize("view", [frontier.view, tradeoff.view, breakdown.view, roofline.view])
def test_every_view_that_joins_points_says_of_which_commits_they_are(at, view):
    shown = view(stored(*mixed(at)))
    assert TOLD in shown.notes
    table = shown.frame()
    assert set(zip(table["commit"], table["created"], strict=True)) == {
        (OLD, "2026-11-22T10:00:00Z"),
        (NEW, "2026-11-23T10:00:00Z"),
    }
    assert not [note for note in view(stored(at(1, OLD), at(2, OLD))).notes if "0123abcd" in str(note)]


def test_nodes_and_sweeps_of_several_commits_say_so(fake):
    site = fake("site_records")
    for view, records in ((communication.view, list(site.of_nodes())), (relaxing.view, list(site.of_sweeps()))):
        for one, commit in zip(records, (OLD, NEW), strict=False):
            one["machine"] = one["machine"] | {"git": {"commit": commit, "dirty": False}}
            one["quiet"] = {"quiet": False}
        shown = view(stored(*records))
        assert [note for note in shown.notes if "0123abcd" in str(note) and "(not quiet)" in str(note)]
        assert set(shown.frame()["commit"]) <= {OLD, NEW}


def test_the_table_of_a_workload_has_the_commit_of_each_point(at):
    table = tables.group_table(stored(*mixed(at)))
    assert table["has_origins"]
    assert [row["origin"] for row in table["rows"]] == [
        ("0123abcd", ""),
        ("0123abcd", ""),
        ("fedc9876", "not quiet"),
        ("fedc9876", "not quiet"),
    ]
    bare = at(1, OLD, machine={"id": "box-1", "name": "the box"})
    assert not tables.group_table(stored(bare))["has_origins"]


def test_the_page_of_a_workload_says_it_under_its_figure_and_in_its_table(at, fake, tmp_path):
    for one in mixed(at):
        fake("site_records").put(tmp_path / "records", one)
    page = (site_builder.build(tmp_path / "records", tmp_path / "site").parent / "workload-qnn-infer.html").read_text()
    assert TOLD in page
    assert page.count("<code>fedc9876</code> <em>not quiet</em>") == 2
    assert page.count("<code>0123abcd</code>") == 2
