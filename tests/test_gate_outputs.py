"""What a judgement is written as: every output says the same, and none breaks on what names hold."""

import datetime as dt
import io
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from energybench.gate import judge
from energybench.gating.accepted import Accepted
from energybench.gating.outputs import words
from energybench.gating.outputs.junit import junit
from energybench.gating.outputs.markdown import LIMIT, markdown
from energybench.gating.outputs.plain import plain
from energybench.gating.outputs.smaller import smaller
from energybench.gating.outputs.text import gate_tables
from energybench.gating.rules import Rules
from energybench.gating.series import Gap, Key, Round, Series, Side, Trouble
from energybench.gating.verdicts import Judgement


def series(
    values: Sequence[float], workload: str = "qnn-infer", metric: str = "joules_per_sample", **more: Any
) -> Series:
    given: dict[str, Any] = {
        "key": Key(workload=workload, parameters=(("bits", 8),), metric=metric),
        "family": "joules",
        "unit": "J",
        "provenance": "measured",
        "higher_is_better": False,
        "exact": False,
        "grounds": {"machine": "bench-1"},
        "rounds": tuple(Round(values=(v,), when=float(i), pair=f"round-{i}") for i, v in enumerate(values)),
    }
    return Series(**given | more)


def accuracy(values: Sequence[float], workload: str = "qnn-infer") -> Series:
    return series(values, workload, "accuracy", family="accuracy", unit="1", higher_is_better=True)


def side(name: str, *found: Series, **more: Any) -> Side:
    return Side(name=name, series={one.key: one for one in found}, **more)


def noisy(seed: int, factor: float = 1e-3, cv: float = 0.005) -> list[float]:
    rng = random.Random(seed)
    return [factor * rng.lognormvariate(0, cv) for _ in range(10)]


def everything() -> Judgement:
    """Each verdict once: `fine` passes, the others are what their workload is called."""
    accepted = Accepted(series="accepted *", reason="exact kernel", until=dt.date(2027, 1, 31), up_to=0.5)
    old, new = Accepted(series="gone *", reason="old", until=dt.date(2025, 1, 1)), [0.9] * 10
    names = ("accepted", "regression", "improvement", "inconclusive", "not measured", "not comparable", "fine")
    factors = {"accepted": 1.3e-3, "regression": 1.5e-3, "improvement": 0.5e-3}
    spread = {"inconclusive": 0.5}
    heads = [
        series(noisy(2, factors.get(name, 1e-3), spread.get(name, 0.005)), name)
        for name in names
        if name not in ("not measured", "not comparable")
    ]
    heads += [series(noisy(2), "not comparable", grounds={"machine": "bench-2"}), series(noisy(3), "new")]
    lost = Gap(key=series([], "not measured").key, reason="killed by signal 9")
    base = side(
        "main", *(series(noisy(1), name) for name in names), accuracy([0.93] * 10, "improvement"), commit="a" * 40
    )
    head = side(
        "HEAD",
        *heads,
        accuracy(new, "improvement"),
        gaps=(lost,),
        troubles=(Trouble(path=Path("results/broken.json"), reason="no JSON"),),
        commit="b" * 40,
    )
    return judge(base, head, Rules(), accepted=[accepted, old], today=dt.date(2026, 6, 1))


def test_the_json_holds_every_series_and_nothing_that_is_absent() -> None:
    data = json.loads(json.dumps(plain(everything()), allow_nan=False))
    assert (data["schema"], data["verdict"], data["exit"], data["compared"]) == (1, "not comparable", 2, 6)
    by_name = {(one["workload"], one["metric"]): one for one in data["series"]}
    worse = by_name["regression", "joules_per_sample"]
    assert (worse["verdict"], worse["unit"], worse["provenance"]) == ("regression", "J", "measured")
    assert (worse["rounds"], worse["margin"], worse["paired"]) == (10, 0.05, True)
    assert worse["low"] < worse["change"] < worse["high"]
    assert worse["head"] / worse["base"] == pytest.approx(1.5, abs=0.02)
    assert "head" not in by_name["not measured", "joules_per_sample"]
    assert by_name["not measured", "joules_per_sample"]["reason"] == "killed by signal 9"
    assert by_name["inconclusive", "joules_per_sample"]["rounds_needed"] > 10
    assert by_name["not comparable", "joules_per_sample"]["reason"] == "machine bench-1 in base, bench-2 in head"
    assert None not in [value for one in data["series"] for value in one.values()]


def test_the_json_has_the_sentence_of_a_point_accepted_entries_and_troubles() -> None:
    data = plain(everything())
    (point,) = data["points"]  # type: ignore[misc, attr-defined]
    assert point["sentence"].startswith("energy gain bought with accuracy")
    assert [one.get("covers", one.get("unused")) for one in data["accepted"]] == [  # type: ignore[attr-defined]
        "accepted bits=8 · joules_per_sample",
        "expired on 2025-01-01, it does not count any more",
    ]
    assert data["troubles"] == [{"path": "results/broken.json", "reason": "no JSON", "left_out": True}]


def test_junit_fails_errs_and_skips_as_the_verdicts_say() -> None:
    suite = ET.fromstring(junit(everything()).encode()).find("testsuite")
    assert suite is not None
    assert [suite.get(name) for name in ("tests", "failures", "errors", "skipped")] == ["9", "2", "2", "1"]
    tags = {case.get("classname"): case[0].tag for case in suite.findall("testcase") if case.get("name") != "accuracy"}
    assert tags == {
        "accepted bits=8": "system-out",
        "regression bits=8": "failure",
        "improvement bits=8": "system-out",
        "inconclusive bits=8": "skipped",
        "not measured bits=8": "error",
        "not comparable bits=8": "error",
        "fine bits=8": "system-out",
        "new bits=8": "system-out",
    }


def test_junit_of_nothing_has_a_case_that_says_so() -> None:
    suite = ET.fromstring(junit(judge(side("main"), side("HEAD"), Rules())).encode())[0]
    assert (suite.get("tests"), suite.get("errors")) == ("1", "1")
    error = suite.find("testcase/error")
    assert error is not None
    assert error.get("message") == "main has nothing to compare with; measure it first"


def test_markdown_has_the_regressions_in_sight_and_the_rest_folded() -> None:
    page = markdown(everything())
    first, _, rest = page.partition("<details>")
    assert page.startswith("### energybench gate: not comparable\n")
    assert "**2 regressions**" in first
    assert "regression bits=8 · joules\\_per\\_sample (measured)" in first
    assert "energy gain bought with accuracy" in first
    assert "<summary>1 inconclusive</summary>" in rest
    assert "accepted until 2027-01-31: exact kernel" in rest
    assert page.count("<details>") == page.count("</details>")


def test_markdown_never_exceeds_its_limit_and_counts_what_it_left_out() -> None:
    old = [series(noisy(1), f"workload-{i:04d}-" + "é" * 40) for i in range(800)]
    new = [series(noisy(2, 2e-3), one.key.workload) for one in old]
    page = markdown(judge(side("main", *old), side("x" * 100_000, *new), Rules()))
    assert len(page.encode()) <= LIMIT
    shown = page.count("| workload-")
    assert shown > 100
    assert f"{800 - shown} more rows did not fit" in page
    assert "**800 regressions**" in page


def test_the_terminal_gets_what_needs_somebody_first_and_counts_of_the_rest() -> None:
    def drawn(*, verbose: bool) -> str:
        console = Console(file=io.StringIO(), width=200)
        for part in gate_tables(everything(), verbose=verbose):
            console.print(part)
        return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]

    short, long = drawn(verbose=False), drawn(verbose=True)
    assert "fine bits=8" not in short
    assert "fine bits=8" in long
    assert short.index("regression bits=8") < short.index("inconclusive bits=8") < short.index("accepted bits=8")
    assert "HEAD (bbbbbbbb) against main (aaaaaaaa): not comparable" in short
    assert "2 regressions, 1 not comparable, 1 not measured, 1 inconclusive, 1 accepted" in short
    assert "left out results/broken.json: no JSON" in short


def test_a_file_that_is_used_in_spite_of_its_trouble_is_not_said_to_be_left_out() -> None:
    used = Trouble(path=Path("results/machine.json"), reason="no such file", left_out=False)
    judgement = judge(side("main", series(noisy(1)), troubles=(used,)), side("HEAD", series(noisy(2))), Rules())
    assert words.notes(judgement) == ["results/machine.json: no such file"]
    assert plain(judgement)["troubles"] == [
        {"path": "results/machine.json", "reason": "no such file", "left_out": False}
    ]


def test_a_series_that_base_lost_is_written_without_a_number_of_base() -> None:
    one = series(noisy(2))
    judgement = judge(side("main", gaps=(Gap(key=one.key, reason="it is damaged"),)), side("HEAD", one), Rules())
    (entry,) = plain(judgement)["series"]  # type: ignore[misc, attr-defined]
    assert (entry["verdict"], "base" in entry, judgement.exit) == ("inconclusive", False, 3)
    assert "| – |" in markdown(judgement)
    assert ET.fromstring(junit(judgement).encode())[0].get("skipped") == "1"


def test_accuracy_is_turned_to_its_error_where_smaller_must_be_better() -> None:
    old = side(
        "main",
        accuracy([0.93, 0.94]),
        series([2.0, 2.0], metric="samples_per_second", higher_is_better=True, unit="1/s"),
    )
    entries = {one["name"]: one for one in smaller(judge(old, old, Rules()))}
    error = entries["qnn-infer bits=8 · 1 - accuracy (measured)"]
    assert error["value"] == pytest.approx(0.065)
    assert str(error["range"]).startswith("± 0.0070")
    rate = entries["qnn-infer bits=8 · 1 / samples_per_second (measured)"]
    assert (rate["value"], rate["unit"]) == (0.5, "s")
    assert str(error["extra"]).startswith(("pass", "inconclusive"))


def test_what_head_did_not_measure_is_no_entry_of_its_values() -> None:
    names = [str(one["name"]) for one in smaller(everything())]
    assert len(names) == 8
    assert not any(name.startswith("not measured") for name in names)
    assert json.dumps(smaller(everything()), allow_nan=False)


def test_numbers_are_written_with_their_unit() -> None:
    verdicts = {one.key.workload: one for one in everything().verdicts if one.key.metric == "accuracy"}
    fallen = verdicts["improvement"]
    assert (words.value(fallen.head, fallen), words.margin(fallen)) == ("90.00 %", "1 point")
    assert words.change(fallen).startswith("-3.00 points")


@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=40))
@settings(max_examples=200, deadline=None)
def test_whatever_names_hold_xml_parses_and_tables_stay_tables(workload: str, metric: str, name: str) -> None:
    old, new = series(noisy(1), workload, metric), series(noisy(2, 2e-3), workload, metric)
    judgement = judge(side(name, old), side(name, new), Rules())
    assert ET.fromstring(junit(judgement).encode())[0].get("failures") == "1"
    rows = [line for line in markdown(judgement).splitlines() if line.startswith("| ")]
    assert [line.replace("\\|", "").count("|") for line in rows] == [7] * len(rows)
    assert json.dumps(plain(judgement))
    console = Console(file=io.StringIO(), width=200)
    for part in gate_tables(judgement):
        console.print(part)
