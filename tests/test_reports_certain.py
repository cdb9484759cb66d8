"""What a report calls worse, better or perhaps so: one rule on every page, and plain sentences above all."""

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from energybench.gating.commits import Commit
from energybench.gating.library import Library
from energybench.gating.outputs import words as gate_words
from energybench.gating.series import Key
from energybench.gating.verdicts import Judgement, Verdict
from energybench.history import Change
from energybench.reports import commits, evidence, pages, site_builder, surroundings
from energybench.reports.views import changed, changes, headline, reasons, scorecard, trend, trend_figure
from energybench.reports.views.seen import Seen
from energybench.reports.views.view import MOST_ROWS, Said, key_names

ELSEWHERE = (
    "the sides were measured at different times and this machine has no history of unchanged repeats; "
    "measure base twice, or interleave both with gate --run"
)


def a_change(bounds: tuple[float, float] | None = None, *, size: float | None = 0.5, **rest: Any) -> Change:
    values: dict[str, Any] = {
        "key": Key(workload="w", parameters=(), metric="joules_per_sample"),
        "lane": {},
        "unit": "J",
        "provenance": "measured",
        "direction": "worse",
        "commit": Commit(hash="a" * 40),
        "after": Commit(hash="b" * 40),
        "unmeasured": 0,
        "old": 1.0,
        "new": 1.5,
        "absolute": False,
        "last": False,
    }
    return Change(**(values | {"change": size, "bounds": bounds} | rest))


def verdict(word: str, metric: str = "joules_per_sample", workload: str = "w", **rest: Any) -> Verdict:
    values: dict[str, Any] = {"family": "joules", "unit": "J", "provenance": "measured", "higher_is_better": False}
    values |= {"word": word, "base": 1.0, "head": 1.0, "margin": 0.05}
    return Verdict(key=Key(workload=workload, parameters=(), metric=metric), **(values | rest))


def judged(*verdicts: Verdict, **rest: Any) -> Judgement:
    sides = {"base": "1474f467", "head": "de525537", "base_commit": "1474f467" * 5, "head_commit": "de525537" * 5}
    return Judgement(**(sides | {"verdicts": verdicts, "alpha": 0.01, "family": 1, "exit": 4} | rest))


def told(judgement: Judgement) -> str:
    return " ".join(headline.told(judgement, key_names(one.key for one in judgement.verdicts)))


@pytest.mark.parametrize(
    ("one", "word"),
    [
        (a_change((0.1, 0.9)), "worse"),
        (a_change((-0.9, -0.1), size=-0.5, direction="better"), "better"),
        (a_change((-0.38, 12.17)), "perhaps worse"),
        (a_change((0.0, 0.9)), "perhaps worse"),
        (a_change(None), "perhaps worse"),
        (a_change(None, exact=True), "worse"),
        (a_change(None, size=None, direction="better"), "perhaps better"),
    ],
)
def test_a_change_is_certain_where_it_is_exact_or_its_interval_does_not_hold_0(one: Change, word: str):
    assert (one.word, one.certain) == (word, "perhaps" not in word)
    assert trend_figure.size(one).endswith(word)
    assert word in trend_figure.sized(one)
    assert changes.said(one).look == ("perhaps" if "perhaps" in word else word)


def test_certain_and_uncertain_changes_are_counted_apart():
    unsure, sure, good = a_change(), a_change((0.1, 0.9)), a_change((-0.9, -0.1), direction="better")
    assert changes.counted([unsure, sure, unsure, good]) == ("1 worse, 1 better for certain.", "2 perhaps worse.")
    assert changes.counted([unsure]) == ("1 perhaps worse.",)
    assert changes.counted([]) == ()


def test_a_regression_comes_first_with_its_series_and_its_size():
    lost = verdict("not measured", "seconds_per_sample", head=None)
    text = told(judged(lost, verdict("regression", change=0.088, low=0.06, high=0.11)))
    assert text.startswith("de525537 against 1474f467: 1 series is worse: joules of w, +8.8 %. ")
    assert text.endswith(" 1 was not measured at de525537.")


def test_one_missing_series_does_not_make_the_headline():
    passed = [verdict("pass", f"metric{number}") for number in range(34)]
    unsure = [verdict("inconclusive", f"open{number}") for number in range(22)]
    text = told(judged(*passed, *unsure, verdict("not measured", head=None)))
    assert text == (
        "de525537 against 1474f467: no regression found among 56 series that were compared. "
        "22 cannot be told apart from noise. 1 was not measured at de525537. "
        "34 did not move beyond their margins."
    )


def test_what_cannot_be_compared_says_why_in_a_clause_and_so_does_the_whole():
    apart = [verdict("not comparable", name, reason="kernel 6.1 in base, 6.2 in head; x") for name in ("a", "b")]
    assert told(judged(*apart, reason="nothing in common")) == (
        "de525537 against 1474f467: nothing could be compared, nothing in common. "
        "2 cannot be compared: kernel 6.1 in base, 6.2 in head."
    )


def test_advice_says_how_to_settle_what_is_open_and_what_to_run():
    unsure = verdict("inconclusive", needed=30, change=0.1, low=-0.1, high=0.3)
    lost = [verdict("not measured", workload=f"w{number}", head=None) for number in range(5)]
    found = judged(unsure, verdict("inconclusive", "a", suspect=True), *lost, verdict("regression", "b"))
    first, second, third = headline.advice(found, key_names(one.key for one in found.verdicts))
    assert first.startswith("Look first at what made b of w worse.")
    assert "`energybench gate --run 1474f467 de525537`" in second
    assert second.endswith("; 30 rounds a side would likely settle 1 of them.")
    assert third == "To measure what is missing: run w0, w1, w2 and 2 more at de525537."
    assert headline.advice(judged(verdict("pass")), {}) == ()


def test_a_reason_that_many_share_is_a_clause_in_the_row_and_stands_once_below():
    open_ones = [verdict("inconclusive", f"m{number}", reason=ELSEWHERE) for number in range(3)]
    view = scorecard.view(judged(*open_ones, verdict("inconclusive", "own", reason="a reason of its own")))
    assert {row[-1] for row in view.table.rows} == {
        "the sides were measured at different times",
        "a reason of its own",
    }
    assert [note for note in view.notes if "different times" in str(note)] == [f"3 series: {ELSEWHERE}."]
    assert list(view.frame()["reason"]).count(ELSEWHERE) == 3
    assert [row[2] for row in view.table.rows] == [scorecard.SIZELESS] * 4
    assert reasons.notes([open_ones[0]]) == ()


def test_of_what_weighs_the_same_joules_come_first_then_seconds_then_accuracy_then_bytes():
    kinds = {"B": "traffic", "1": "accuracy", "s": "seconds", "J": "joules"}
    found = changed.ordered(
        [verdict("inconclusive", f"m{unit}", unit=unit, family=family) for unit, family in kinds.items()]
        + [verdict("inconclusive", "heavy", unit="B", family="traffic", change=0.5, low=0.1, high=0.9)]
    )
    assert [one.unit for one in found] == ["B", "J", "s", "1", "B"]
    assert found[0].key.metric == "heavy"


def test_a_suspect_is_called_perhaps_worse_and_marked_as_such():
    one = verdict("inconclusive", suspect=True, change=0.2, low=-0.1, high=0.5)
    (row,) = scorecard.view(judged(one)).table.rows
    assert row[1] == Said(text="perhaps worse", certain=False)
    assert "1 is perhaps worse: joules of w, +20 %." in told(judged(one))


def test_a_front_page_shows_8_rows_at_once():
    view = scorecard.view(judged(*(verdict("inconclusive", f"m{number}", change=0.1) for number in range(30))))
    assert (len(view.table.rows), view.table.at_once) == (30, 8)


@pytest.mark.parametrize(
    ("rounds", "paired", "text"), [(1, False, "1 round"), (1, True, "1 pair"), (2, False, "2 rounds")]
)
def test_one_round_is_no_rounds(rounds: int, paired: bool, text: str):
    assert gate_words.reason(verdict("pass", rounds=rounds, paired=paired)) == text


@pytest.fixture
def at_commits(tmp_path: Path, fake: Callable[[str], ModuleType]) -> Callable[..., tuple[Path, list[str]]]:
    """Records of commits: a function from the number of a commit to what is recorded there, beside the commit."""

    def put(count: int, records: Callable[[int], list[dict[str, Any]]]) -> tuple[Path, list[str]]:
        made = fake("site_records")
        known = made.repository(tmp_path, count)
        for number, commit in enumerate(known):
            for place, told in enumerate(records(number)):
                machine = {"id": "box-1", "name": "the box", **told.pop("machine", {})}
                machine |= {"git": {"commit": commit, "dirty": False}}
                more = {"machine": machine, "created": f"2026-11-{1 + number:02}T{place:02}:00:00Z"}
                made.put(tmp_path / "records", made.a_record(f"r{number}-{place}", **(told | more)))
        return tmp_path / "records", known

    return put


def without_scatter(joules: float) -> dict[str, Any]:
    """One value whose scatter nobody knows, and an exact one."""
    kinds = (("joules_per_sample", "measured"), ("modelled_joules_per_sample", "modelled"))
    results = {
        name: {"value": joules, "unit": "J", "provenance": kind, "higher_is_better": False} for name, kind in kinds
    }
    return {"joules": joules, "results": results, "windows": []}


def text_of(path: Path) -> str:
    return " ".join(path.read_text(encoding="utf-8").split())


def test_what_is_not_certain_is_not_called_worse_on_any_page(
    at_commits: Callable[..., tuple[Path, list[str]]], tmp_path: Path
):
    records, known = at_commits(2, lambda number: [without_scatter(1e-4 * (1 + number))])
    found = Seen(Library(repository=records.parent, records=records)).found.changes
    assert {one.key.metric: one.word for one in found} == {
        "joules_per_sample": "perhaps worse",
        "modelled_joules_per_sample": "worse",
    }
    site = site_builder.build(records, tmp_path / "site").parent
    front = text_of(site / "index.html")
    section = front.partition("Worse, and not better since")[2].partition("</section>")[0]
    assert 'modelled joules of qnn-infer</a>: <strong><span class="worse">' in section
    assert "+100 % worse (exact)" in section
    assert ">joules of qnn-infer</a>" not in section
    assert '<a href="view-changes.html">1 more is perhaps worse</a>: not certain.' in section
    perhaps = '<span class="perhaps"><span aria-hidden="true">○ </span>'
    assert f"{perhaps}+100 % perhaps worse (interval not known)</span>" in front.partition('id="workloads"')[2]
    for page in (front, text_of(site / "commits.html")):
        assert '<strong class="worse">1 worse</strong>, <span class="perhaps">1 perhaps</span>' in page
    for name in ("view-changes.html", pages.commit_page(known[1])):
        assert f"{perhaps}perhaps worse, last commit only</span>" in text_of(site / name)
    assert "1 worse for certain.</strong> 1 perhaps worse." in text_of(site / "view-changes.html")
    assert "+100 % perhaps worse (interval not known)" in text_of(site / "view-trend.html")
    table = changes.view(Seen(Library(repository=records.parent, records=records))).frame().set_index("metric")
    assert dict(table["certain"]) == {"joules_per_sample": False, "modelled_joules_per_sample": True}


def test_what_got_better_is_not_on_the_list_of_what_is_worse(
    at_commits: Callable[..., tuple[Path, list[str]]], tmp_path: Path
):
    records, _ = at_commits(2, lambda number: [without_scatter(1e-4 * (2 - number))])
    front = text_of(site_builder.build(records, tmp_path / "site").parent / "index.html")
    assert "Worse, and not better since" not in front
    assert '<strong class="better">1 better</strong>, <span class="perhaps">1 perhaps</span>' in front


def listed_and_perhaps(*found: Change) -> tuple[list[str], int]:
    """The commits of the list of what is worse, and how many series are perhaps worse beside it."""
    track = SimpleNamespace(key=found[0].key, unit="J", provenance="measured")
    curve = SimpleNamespace(track=track, lane={}, values=(), steps=())
    known = [Commit(hash=letter * 40) for letter in "abc"]
    told: Any = SimpleNamespace(commits=known, curves=[curve], found=SimpleNamespace(changes=found), stored=[])
    made = commits.CommitPages(told)
    return [one["commit"].hash[0] for one in made.unresolved()], made.perhaps_worse()


def test_what_certainly_got_worse_is_mended_by_what_is_certain_alone():
    worse = a_change((0.1, 0.9), commit=Commit(hash="a" * 40))
    better = {"direction": "better", "commit": Commit(hash="b" * 40), "size": -0.5}
    assert listed_and_perhaps(worse) == (["a"], 0)
    assert listed_and_perhaps(worse, a_change(None, **better)) == (["a"], 0)
    assert listed_and_perhaps(worse, a_change((-0.9, -0.1), **better)) == ([], 0)
    assert listed_and_perhaps(a_change(None)) == ([], 1)
    assert listed_and_perhaps(a_change(None), a_change(None, **better)) == ([], 0)
    unsure = a_change((-0.1, 0.9), commit=Commit(hash="c" * 40))
    assert listed_and_perhaps(worse, unsure) == (["a"], 0)
    assert listed_and_perhaps(worse, a_change((-0.9, -0.1), **better), unsure) == ([], 1)


def protocol(**more: Any) -> dict[str, Any]:
    return {"version": 1, "windows": 3, "align": False, **more}


def differences(records: Path, known: list[str]) -> list[surroundings.Difference]:
    stored = evidence.Evidence(evidence.places(records)).stored
    (newest,) = surroundings.newest_by_commit(stored, {one: place for place, one in enumerate(known)}).values()
    old, new = (newest[one] for one in known)
    return surroundings.compared(old, new)


def test_the_protocol_of_a_point_that_was_not_repeated_is_no_difference(
    at_commits: Callable[..., tuple[Path, list[str]]], tmp_path: Path
):
    def both(number: int) -> list[dict[str, Any]]:
        once = {"parameters": {"bits": 1}, "protocol": protocol(trace_hz=20)}
        return [{"parameters": {"bits": 8}}, *([once] if not number else [])]

    records, known = at_commits(2, both)
    assert differences(records, known) == []
    site = site_builder.build(records, tmp_path / "site").parent
    assert "trace hz" not in text_of(site / pages.commit_page(known[1]))
    assert not {"measured differed", "software differed"} & set(
        re.findall(r"\w+ differed", text_of(site / "commits.html"))
    )


def test_another_protocol_of_the_same_point_is_told_and_of_how_many(
    at_commits: Callable[..., tuple[Path, list[str]]], tmp_path: Path
):
    def both(number: int) -> list[dict[str, Any]]:
        other = {"parameters": {"bits": 1}, "protocol": protocol(trace_hz=20 + number)}
        return [{"parameters": {"bits": 8}}, other]

    records, known = at_commits(2, both)
    (one,) = differences(records, known)
    assert one == ("trace hz (protocol)", "20", "21", 1, 2)
    assert one.of_run
    site = site_builder.build(records, tmp_path / "site").parent
    assert "trace hz (protocol), at 1 of 2 points" in text_of(site / pages.commit_page(known[1]))
    listed = text_of(site / "commits.html")
    assert "how it was measured differed" in listed
    assert "the machine or its software" not in listed


def test_another_kernel_is_a_difference_of_the_machine_and_both_machines_stand_under_one_heading(
    at_commits: Callable[..., tuple[Path, list[str]]], tmp_path: Path
):
    def both(number: int) -> list[dict[str, Any]]:
        return [{"machine": {"kernel": f"6.{number}"}}, {"machine": {"id": "box-2", "name": "the other"}}]

    records, known = at_commits(2, both)
    site = site_builder.build(records, tmp_path / "site").parent
    for name in ("index.html", pages.commit_page(known[1])):
        page = text_of(site / name)
        assert page.count('<h2 id="else">What else was different') == 1
        section = page.partition('<h2 id="else">')[2].partition("</section>")[0]
        assert ">kernel</th>" in section
        assert 'Nothing that the records of <a href="machine-box-2.html">the other</a>' in section
    assert "the machine or its software differed" in text_of(site / "commits.html")


def test_joules_are_drawn_before_seconds_that_changed_as_much(tmp_path: Path, fake: Callable[[str], ModuleType]):
    made = fake("site_records")
    for one in made.of_commits(made.repository(tmp_path, 12)):
        made.put(tmp_path / "records", one)
    view = trend.view(Seen(Library(repository=tmp_path, records=tmp_path / "records")))
    units = list(dict.fromkeys(zip(view.frame()["series"], view.frame()["unit"], strict=True)))
    changed_ones = [unit for (_, unit), row in zip(units, view.table.rows, strict=True) if row[-1] != "none"]
    assert changed_ones == sorted(changed_ones, key="Js".index)
    assert {"J", "s"} == set(changed_ones)
    assert all(word in view.caption for word in ("dashed", "dotted"))


def test_where_only_some_series_have_data_in_the_trend_no_note_says_that_all_have(tmp_path: Path, trees: ModuleType):
    names = [f"suite.Case{number}.energy_joules_per_sample" for number in range(MOST_ROWS + 1)]
    tree = trees.AsvTree(tmp_path, [trees.Benchmark(name) for name in names])
    for number in range(2):
        tree.result(tree.commit(f"commit {number}"), {name: [[1.0, 1.01, 0.99]] for name in names})
    view = trend.view(Seen(Library(repository=tree.path, records=tree.path / "records")))
    assert not any("has all of them" in str(note) for note in view.notes)
    assert any("the data of this view has those that are drawn" in str(note) for note in view.notes)
    assert view.frame()["series"].nunique() == len(view.alts) < MOST_ROWS
