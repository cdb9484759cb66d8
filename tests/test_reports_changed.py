"""The views that say what changed: every number with its interval, why it counts, and links to what it is of."""

import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from energybench.gating.library import Library
from energybench.gating.series import Key, Trouble
from energybench.gating.verdicts import Judgement, Verdict
from energybench.reports import evidence, pages, single_file, site_builder
from energybench.reports.numbers import EXACT, UNKNOWN, Shown
from energybench.reports.views import changes, scorecard, trend, trend_figure
from energybench.reports.views.pair import PairError
from energybench.reports.views.seen import Seen
from energybench.reports.views.view import Cell, Link, Text, joined, linked
from energybench.reports.views.why import why
from energybench.store import DEFAULT_RECORDS


def verdict(word: str = "regression", change: float | None = 0.1, **rest: Any) -> Verdict:
    key = Key(workload="w", parameters=(), metric="joules_per_sample")
    values: dict[str, Any] = {"family": "joules", "unit": "J", "provenance": "measured", "higher_is_better": False}
    values |= {"word": word, "change": change, "base": 1.0, "head": 1.0 + (change or 0.0), "margin": 0.02}
    return Verdict(key=key, **(values | rest))


def of_accuracy(word: str, change: float, **rest: Any) -> Verdict:
    of = {"family": "accuracy", "unit": "1", "higher_is_better": True, "absolute": True, "margin": 0.01}
    return verdict(word, change, **(of | rest))


def judged(*verdicts: Verdict) -> Judgement:
    return Judgement(base="old", head="new", verdicts=verdicts, alpha=0.01, family=1, exit=1)


def intervals(cells: tuple[Cell, ...]) -> list[str]:
    return [one.interval for one in cells if isinstance(one, Shown)]


def links(text: Any) -> list[Link]:
    return [] if isinstance(text, str | Shown) else [one for one in text if isinstance(one, Link)]


def words(text: Text) -> str:
    return text if isinstance(text, str) else "".join(one if isinstance(one, str) else one.text for one in text)


@pytest.mark.parametrize(
    ("one", "text"),
    [
        (verdict(low=0.031, high=0.2), "worse by at least 3.10 %, and 2 % is allowed"),
        (verdict(low=0.01, high=0.2), "certainly worse, by 1.00 % to 20.0 %, and 2 % is allowed"),
        (verdict(low=-0.01, high=0.2), "worse, by up to 20.0 %, and 2 % is allowed"),
        (verdict(low=-0.1, high=0.2), "worse, by up to 20.0 %, and 2 % is allowed"),
        (verdict(margin=0.0, reason="at seed 1"), "worse by 10.0 %, and no change is allowed; at seed 1"),
        (verdict(change=None, reason="base is 0"), "base is 0"),
        (verdict("accepted", reason="accepted until"), "worse by 10.0 %, and 2 % is allowed; accepted until"),
        (verdict("improvement", -0.1, low=-0.2, high=-0.05), "better by at least 5.00 %, beyond a margin of 2 %"),
        (
            verdict("improvement", -0.1, low=-0.2, high=-0.0199),
            "certainly better, by 1.99 % to 20.0 %, beyond a margin of 2 %",
        ),
        (verdict("improvement", -0.1, margin=0.0), "better by 10.0 %"),
        (
            of_accuracy("regression", -0.03, low=-0.05, high=-0.02, rounds=3, paired=True),
            "worse by at least 2.00 points, and 1 point is allowed; 3 pairs",
        ),
        (verdict("inconclusive", rounds=4, needed=9), "4 rounds; 9 rounds a side would likely settle it"),
        (verdict("inconclusive", needed=9, reason="9 rounds would"), "9 rounds would"),
        (verdict("pass", 0.001, low=-0.01, high=0.01), ""),
    ],
)
def test_a_verdict_says_why_it_counts_by_its_bounds_and_margin(one: Verdict, text: str):
    assert why(one) == text


def test_base_head_and_change_have_their_intervals_or_say_why_they_have_none():
    known = verdict(low=0.05, high=0.15, base_bounds=(0.9, 1.1), head_bounds=(1.0, 1.2))
    counted = verdict(exact=True, provenance="modelled")
    silent = verdict("inconclusive", None, head=None)
    rows = {words(row[0]): row for row in scorecard.view(judged(known)).table.rows}
    (row,) = rows.values()
    assert intervals(row) == ["+5.0 to +15.0 %", "0.90 to 1.10 J", "1.00 to 1.20 J"]
    (row,) = scorecard.view(judged(counted)).table.rows
    assert intervals(row) == [EXACT] * 3
    (row,) = scorecard.view(judged(silent)).table.rows
    assert (intervals(row), row[2], row[4]) == ([UNKNOWN], "", "")


def test_the_data_of_the_scorecard_has_the_intervals_of_both_sides():
    known = verdict(base_bounds=(0.9, 1.1), head_bounds=(1.0, 1.2))
    table = scorecard.view(judged(known, verdict("pass", exact=True))).frame()
    assert list(table.columns) == list(scorecard.COLUMNS)
    assert table.loc[0, ["base.low", "base.high", "head.low", "head.high"]].tolist() == [0.9, 1.1, 1.0, 1.2]
    assert table["exact"].tolist() == [False, True]
    assert table.loc[1, ["base.low", "base.high", "head.low", "head.high"]].isna().all()


def test_files_that_the_front_page_tells_of_are_not_told_again(tmp_path: Path):
    troubles = tuple(Trouble(path=tmp_path / name, reason="is damaged") for name in ("a.json", "b.json"))
    whole = Judgement(base="old", head="new", verdicts=(), troubles=troubles, alpha=0.01, family=1, exit=2)
    assert scorecard.view(whole, known={troubles[0].path}).notes == ("b.json: is damaged.",)


def test_words_are_plain_where_nothing_in_them_is_a_link():
    assert joined("a", linked("b", None), "") == "ab"
    assert joined("a", linked("b", "b.html"), "") == ("a", Link(text="b", page="b.html"))


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory, fill_records: Callable[[Path], Path]) -> Path:
    return fill_records(tmp_path_factory.mktemp("changed"))


@pytest.fixture
def seen(records: Path) -> Callable[..., Seen]:
    return lambda **asked: Seen(Library(repository=records.parent, records=records), **asked)


def commits(records: Path) -> list[str]:
    done = subprocess.run(
        ["git", "-C", records.parent, "rev-list", "--reverse", "HEAD"], capture_output=True, check=True
    )
    return done.stdout.decode().split()


def test_levels_and_changes_have_their_intervals(seen: Callable[..., Seen], records: Path):
    view = changes.view(seen())
    rows = {words(row[1]): row for row in view.table.rows}
    low, high = (
        float(one) for one in intervals(rows["joules of qnn-infer"])[2].replace("+", "").rstrip(" %").split(" to ")
    )
    assert low < 30.0 < high < low + 5
    assert intervals(rows["modelled joules of qnn-infer"])[2] == EXACT
    table = view.frame().set_index("metric")
    joules = table.loc["joules_per_sample"]
    assert joules["old.low"] < joules["old"] < joules["old.high"] < joules["new.low"] < joules["new.high"]
    assert joules["change.low"] < joules["change"] < joules["change.high"]
    assert table.loc["modelled_joules_per_sample", ["change.low", "change.high"]].isna().all()
    # The record states the range of its model; half of its joules to twice as many.
    assert table.loc["modelled_joules_per_sample", "old.low"] == pytest.approx(1e-5, rel=0.01)


def test_commits_lead_to_their_pages_and_series_to_their_workloads(seen: Callable[..., Seen], records: Path):
    middle = pages.commit_page(commits(records)[6])
    for row in changes.view(seen()).table.rows:
        assert [one.page for one in links(row[0])] == [middle]
        assert [one.page for one in links(row[1])] == ["workload-qnn-infer.html"]
    row = trend.view(seen()).table.rows[0]
    assert [one.page for one in links(row[0])] == ["workload-qnn-infer.html"]
    assert middle in [one.page for one in links(row[-1])]
    (card,) = scorecard.views(seen())
    assert {one.page for row in card.table.folded for one in links(row[0])} == {"workload-qnn-infer.html"}


def test_first_and_last_of_a_trend_have_intervals_as_the_data_has_them(seen: Callable[..., Seen]):
    view = trend.view(seen())
    rows = {words(row[0]): row for row in view.table.rows}
    assert intervals(rows["modelled joules of qnn-infer"]) == ["10.0 to 40.0 µJ", "13.1 to 52.2 µJ"]
    assert intervals(rows["operand bytes of qnn-infer"]) == [EXACT, EXACT]
    assert intervals(rows["accuracy of qnn-infer"]) == [UNKNOWN, UNKNOWN]
    table = view.frame()
    joules = table[table["metric"] == "joules_per_sample"]
    assert (joules["high"] - joules["low"]).to_numpy() == pytest.approx(4 * joules["standard_error"].to_numpy())


def test_the_size_of_a_change_has_its_interval_where_lists_tell_it(seen: Callable[..., Seen]):
    told = {one.key.metric: trend_figure.sized(one) for one in seen().found.changes}
    assert told["joules_per_sample"].startswith("+30.0 % worse (+2")
    assert told["modelled_joules_per_sample"] == "+30 % worse (exact)"


def test_damaged_files_are_named_once_on_the_front_page(seen: Callable[..., Seen]):
    (note,) = [one for one in trend.view(seen()).notes if links(one)]
    assert words(note) == "1 file could not be used: the front page says why, and what to do."
    assert not any("torn.json" in words(one) for one in trend.view(seen()).notes)


class Anchors(HTMLParser):
    """The links and headings of a page, each with its words."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.links: dict[str, str] = {}
        self.headings: list[tuple[str, str]] = []
        self.ids: list[str] = []
        self.labels: list[str] = []
        self._open: list[tuple[str, str]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        self.ids += [told["id"] or ""] if "id" in told else []
        self.labels += (told.get("aria-labelledby") or "").split()
        if tag in ("a", "h1", "h2"):
            self._open.append((tag, told.get("href") or ""))
            self.headings += [(tag, "")] if tag != "a" else []

    def handle_data(self, data: str) -> None:
        for tag, address in self._open:
            if tag == "a":
                self.links[address] = self.links.get(address, "") + data
            else:
                self.headings[-1] = (tag, self.headings[-1][1] + data)

    def handle_endtag(self, tag: str) -> None:
        if tag in ("a", "h1", "h2"):
            self._open.pop()


@pytest.fixture(scope="module")
def site(records: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return site_builder.build(records, tmp_path_factory.mktemp("site")).parent


def test_links_of_cells_are_links_of_the_page_and_lead_somewhere(site: Path, records: Path):
    page = Anchors((site / "view-changes.html").read_text(encoding="utf-8"))
    target = pages.commit_page(commits(records)[6])
    assert page.links[target].startswith(f"{commits(records)[6][:8]} Change number 6 <b>")
    assert page.links["workload-qnn-infer.html"]
    for name in ("view-changes.html", "view-trend.html", "view-scorecard.html"):
        found = Anchors((site / name).read_text(encoding="utf-8")).links
        assert all((site / one.partition("#")[0]).is_file() for one in found if one.endswith(".html"))


def test_in_a_single_file_the_links_of_cells_lead_to_its_sections(site: Path, records: Path, tmp_path: Path):
    page = Anchors(single_file.single(site, tmp_path / "one.html").read_text(encoding="utf-8"))
    target = f"#{pages.commit_page(commits(records)[6]).removesuffix('.html')}"
    assert "Change number 6 <b>" in page.links[target]
    assert target[1:] in page.ids
    assert "#workload-qnn-infer" in page.links


def test_a_page_of_a_view_names_it_once_and_the_front_page_as_a_section(site: Path):
    page = Anchors((site / "view-scorecard.html").read_text(encoding="utf-8"))
    assert page.headings == [("h1", "What changed")]
    assert set(page.labels) <= set(page.ids)
    assert page.ids.count("view-scorecard-title") == 1
    front = Anchors((site / "index.html").read_text(encoding="utf-8"))
    assert ("h2", "What changed") in front.headings
    assert set(front.labels) <= set(front.ids)


def test_a_baseline_may_be_a_tag_a_branch_or_the_beginning_of_a_hash(seen: Callable[..., Seen], records: Path):
    known = commits(records)
    subprocess.run(["git", "-C", records.parent, "tag", "-f", "v1", known[2]], check=True, capture_output=True)
    for text in ("v1", known[2][:10], known[2]):
        (one,) = seen(base=text).judged.values()
        assert (one.base_commit, one.head_commit) == (known[2], known[-1])
    (one,) = seen(base="v1", head=known[3]).judged.values()
    assert (one.base, one.head) == (f"v1 ({known[2][:8]})", known[3][:8])
    (one,) = seen(head="HEAD~3").judged.values()
    assert (one.base_commit, one.head_commit) == (known[-5], known[-4])
    (card,) = scorecard.views(seen(base="v1"))
    assert card.told[0].startswith(f"{known[-1][:8]} against v1 ({known[2][:8]}): 3 series are worse: ")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"base": "nowhere"}, "git knows no commit, branch or tag nowhere in "),
        ({"base": "--help"}, "git knows no commit, branch or tag --help in "),
        ({"base": "HEAD"}, " and of a newer one; these have results: "),
        ({"base": "HEAD", "head": "HEAD"}, "HEAD and HEAD are the same commit"),
        ({"head": "HEAD~11"}, " and of an older one; these have results: "),
    ],
)
def test_what_cannot_be_compared_is_refused_with_what_can(seen: Callable[..., Seen], asked: dict[str, str], said: str):
    with pytest.raises(PairError, match="choose"):
        seen(**asked).check()
    with pytest.raises(PairError) as error:
        seen(**asked).check()
    assert said in str(error.value)


def test_a_commit_without_results_is_refused_and_those_that_have_some_are_named(
    tmp_path: Path, fake: Callable[[str], ModuleType]
):
    made = fake("site_records")
    first, second, third = made.repository(tmp_path, 3)
    for one in made.of_commits([first, third]):
        made.put(tmp_path / DEFAULT_RECORDS, one)
    library = Library(repository=tmp_path, records=tmp_path / DEFAULT_RECORDS)
    with pytest.raises(PairError) as error:
        Seen(library, base="HEAD~1").check()
    assert str(error.value).startswith(f"HEAD~1 ({second[:8]}) has no results; these have results: ")
    assert f"these have results: {third[:8]}, {first[:8]}; choose one of them" in str(error.value)


def test_a_machine_without_the_baseline_is_left_out_and_named(tmp_path: Path, fake: Callable[[str], ModuleType]):
    made = fake("site_records")
    known = made.repository(tmp_path, 3)
    for number, one in enumerate(made.of_commits(known)):
        made.put(tmp_path / "records", one)
        if number:
            other = one["machine"] | {"id": "box-2", "name": "the other"}
            made.put(tmp_path / "records", one | {"machine": other})
    asked = Seen(Library(repository=tmp_path, records=tmp_path / "records"), base=known[0])
    assert list(asked.judged) == ["box-1"]
    (card,) = scorecard.views(asked)
    assert "Not compared, without results of both commits: the other (box-2)." in card.notes


def test_asv_results_can_be_compared_with_an_older_commit(tmp_path: Path, trees: ModuleType):
    name = "suite.Case.energy_joules_per_sample"
    tree = trees.AsvTree(tmp_path, [trees.Benchmark(name, more={"margin": 0.05})])
    known = []
    for number, level in enumerate((1.0, 2.0, 3.0, 4.0, 5.0, 6.0)):
        known.append(tree.commit(f"commit {number}"))
        tree.result(known[-1], {name: [[level * (1 + step / 100) for step in range(5)]]})
    library = Library(repository=tree.path, records=tree.path / "records")
    (one,) = Seen(library, base="HEAD~4").judged.values()
    assert (one.base_commit, one.head_commit) == (known[1], known[5])
    (one,) = Seen(library, head="HEAD~2").judged.values()
    assert (one.base_commit, one.head_commit) == (known[2], known[3])
    (one,) = one.verdicts
    assert (one.base, one.head) == pytest.approx((3.06, 4.08))
    assert one.base_bounds is not None
    assert one.base_bounds[0] < 3.06 < one.base_bounds[1]


@pytest.fixture
def few(tmp_path: Path, fake: Callable[[str], ModuleType]) -> Path:
    """Records of four commits: another kernel from the second on, and more joules from the third on."""
    made = fake("site_records")
    for one in made.of_commits(made.repository(tmp_path / "few", 4)):
        made.put(tmp_path / "few" / "records", one)
    return tmp_path / "few" / "records"


def test_another_baseline_redraws_what_it_is_in_and_the_first_one_again(few: Path, tmp_path: Path):
    site = tmp_path / "site"

    def card(base: str | None) -> tuple[str, str]:
        found = evidence.Evidence(evidence.places(few), base=base)
        site_builder.write(found, site)
        data = (site / "data" / "view-scorecard.csv").read_text(encoding="utf-8")
        return (site / "view-scorecard.html").read_text(encoding="utf-8"), data

    before = card(None)
    first = (site / "index.html").read_text(encoding="utf-8")
    assert "6.1" not in first.partition("What else was different")[2].partition("</section>")[0]
    after = card("HEAD~3")
    assert "regression" in after[1]
    assert "regression" not in before[1]
    front = (site / "index.html").read_text(encoding="utf-8")
    assert "6.1" in front.partition("What else was different")[2].partition("</section>")[0]
    assert card(None) == before


def test_the_command_takes_a_baseline_and_writes_nothing_where_it_is_none(
    few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    from energybench import boundary
    from energybench.cli import app

    monkeypatch.chdir(tmp_path)
    assert boundary.call(app, ["report", str(few), "--base", "HEAD~3", "--head", "HEAD~1"]) == 0
    old, _, new, _ = (one[:8] for one in commits(few))
    page = (tmp_path / "site" / "view-scorecard.html").read_text(encoding="utf-8")
    assert f"HEAD~1 ({new}) against HEAD~3 ({old}): 1 series is worse: " in page
    capsys.readouterr()
    assert boundary.call(app, ["report", str(few), "--base", "nowhere", "--output", "other"]) == 1
    assert "git knows no commit, branch or tag nowhere" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


def test_a_creeping_change_has_the_interval_from_its_first_level_to_its_last(tmp_path: Path, trees: ModuleType):
    name = "suite.Case.energy_joules_per_sample"
    tree = trees.AsvTree(tmp_path, [trees.Benchmark(name, more={"margin": 0.05})])
    for number in range(16):
        commit = tree.commit(f"commit {number}")
        level = (1.0, 1.04, 1.08, 1.12)[number // 4]
        tree.result(commit, {name: [[level * (1 + step / 1000) for step in (-2, -1, 0, 1, 2)]]})
    found = Seen(Library(repository=tree.path, records=tree.path / "records")).found
    one = next(one for one in found.changes if one.creeping)
    assert one.old_bounds is not None
    assert one.bounds is not None
    assert one.old_bounds[0] < 1.0 < one.old_bounds[1]
    assert one.bounds[0] < one.new / one.old - 1 < one.bounds[1]
