"""How a report is cited: from its records, escaped for each format, and nothing that was not told."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energybench.reports import citation
from energybench.reports.frames import Stored

HASH = "6238c8d3eaa48e739efdabe09aaa303ae8e3deb1"
HOSTILE = 'A & B_{x} 100% #1 $y$ ~^\\end{document}: "q"\u2028\x00'


def a_record(name: str, **changes: Any) -> dict[str, Any]:
    return {
        "id": name,
        "created": "2026-11-22T10:00:00Z",
        "energybench": "0.1.0",
        "workload": {"name": "qnn-infer", "version": 1, "definition": {}},
        "machine": {"id": "box-1", "name": "the box", "git": {"commit": HASH, "dirty": False}},
        "results": {"joules_per_sample": {"value": 1e-5, "unit": "J", "provenance": "measured"}},
    } | changes


def stored(*records: dict[str, Any]) -> list[Stored]:
    return [Stored(path=Path(f"{one['id']}.json"), record=one) for one in records]


def cited(*records: dict[str, Any], **told: Any) -> citation.Citation:
    made = citation.cite(stored(*(records or (a_record("a"),))), **told)
    assert made is not None
    return made


def test_a_report_without_records_is_not_cited() -> None:
    assert citation.cite([]) is None


def test_it_tells_what_was_measured_where_and_when() -> None:
    later = a_record(
        "b",
        created="2026-12-01T00:00:00Z",
        machine={"id": "box-2", "name": "other"},
        results={"estimated_joules": {"value": 1.0, "unit": "J", "provenance": "estimated"}},
    )
    made = cited(a_record("a"), later)
    assert made.machines == ("other", "the box")
    assert (made.first, made.last, made.records) == ("2026-11-22", "2026-12-01", 2)
    assert (made.commits, made.kinds, made.versions) == ((HASH,), ("measured", "estimated"), ("0.1.0",))
    assert citation.plain(made) == (
        "Energy report of qnn-infer. 2 records on other and the box, 2026-11-22 to 2026-12-01, "
        "joules measured and estimated, commit 6238c8d3eaa4, energybench 0.1.0. "
        f"SHA-256 of the records: {made.digest}."
    )


def test_a_simulated_machine_is_told_as_one_and_a_changed_checkout_has_no_commit() -> None:
    made = cited(
        a_record(
            "a",
            machine={"id": "box-1", "name": "the box", "git": {"commit": HASH, "dirty": True}},
            results={"joules": {"value": 1.0, "unit": "J", "provenance": "simulated"}},
        )
    )
    assert made.machines == ("the box, simulated counters",)
    assert made.commits == ()
    assert "joules simulated, energybench" in citation.plain(made)


def test_many_names_are_counted() -> None:
    made = cited(*(a_record(name, workload={"name": name}) for name in "abcde"))
    assert made.title == "Energy report of a and 4 more workloads"


def test_the_digest_is_of_contents_and_not_of_order_or_copies() -> None:
    one, two = a_record("a"), a_record("b")
    assert citation.digest([one, two]) == citation.digest([two, one, dict(reversed(list(one.items())))])
    assert citation.digest([one]) != citation.digest([one, two])
    assert citation.digest([one]) != citation.digest([a_record("a", energybench="0.1.1")])
    assert citation.digest([{"id": "a", "value": 0.5}]) == (
        # printf '{"id":"a","value":0.5}\n' | sha256sum | cut -c-64 | sha256sum
        "21e1834dbc88d3447d431dfcf1246b49d9688c5561e863e2882d6ef0768b8bfe"
    )


def test_without_authors_none_are_named() -> None:
    made = cited()
    assert "author" not in citation.bibtex(made)
    assert citation.plain(made).startswith("Energy report of qnn-infer. ")
    assert citation.cff(made) is None


def test_bibtex_has_a_person_by_family_name_and_a_group_whole() -> None:
    made = cited(
        authors=["Lovelace, Ada", "The Lab for Heat and Light", " "], address="https://lab.example/a_b?c=%20{d}"
    )
    text = citation.bibtex(made)
    assert text.splitlines()[0] == f"@misc{{energybench2026{made.digest[:8]},"
    assert "  author       = {Lovelace, Ada and {The Lab for Heat and Light}},\n" in text
    assert "  title        = {{Energy report of qnn-infer}},\n" in text
    assert "  url          = {https://lab.example/a_b?c=%20%7Bd%7D},\n" in text
    assert "  howpublished = {Energy report by energybench 0.1.0},\n" in text
    assert made.digest in text


def test_hostile_names_are_escaped_for_bibtex() -> None:
    text = citation.bibtex(cited(a_record("a", workload={"name": HOSTILE})))
    assert (
        r"A \& B\_\{x\} 100\% \#1 \$y\$ \textasciitilde{}\textasciicircum{}\textbackslash{}end\{document\}: "
        '"q" \\textbackslash{}x00' in text
    )


@given(name=st.text(), author=st.text(), title=st.text())
def test_braces_of_bibtex_balance_and_no_field_is_added(name: str, author: str, title: str) -> None:
    text = citation.bibtex(cited(a_record("a", workload={"name": name}), authors=[author], title=title))
    plain = re.sub(r"\\[{}\\]", "", text)
    depth = 0
    for one in plain:
        depth += {"{": 1, "}": -1}.get(one, 0)
        assert depth >= 0
    assert depth == 0
    known = {"author", "title", "year", "howpublished", "url", "note"}
    assert {line.split("=")[0].strip() for line in text.splitlines()[1:-1]} <= known


def test_a_cff_has_what_its_schema_asks_for() -> None:
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    made = cited(authors=["Lovelace, Ada", "The Lab"], title="What a bit costs", address="https://lab.example/")
    told = yaml.safe_load(citation.cff(made))
    assert told == {
        "cff-version": "1.2.0",
        "message": "If you use these numbers, please cite the report as below.",
        "type": "dataset",
        "title": "What a bit costs",
        "authors": [{"family-names": "Lovelace", "given-names": "Ada"}, {"name": "The Lab"}],
        "abstract": "1 record of qnn-infer on the box, 2026-11-22, joules measured, "
        "commit 6238c8d3eaa4, energybench 0.1.0.",
        "commit": HASH,
        "identifiers": [{"type": "other", "value": f"sha256:{made.digest}", "description": "SHA-256 of the records"}],
        "url": "https://lab.example/",
    }


@given(name=st.text(min_size=1), author=st.text(min_size=1), address=st.text())
def test_a_cff_is_yaml_whatever_it_says(name: str, author: str, address: str) -> None:
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    made = cited(a_record("a", workload={"name": name}), authors=[author], address=address)
    text = citation.cff(made)
    assert (text is None) == (not made.authors)
    if text is not None:
        assert yaml.safe_load(text)["title"] == made.title


def test_a_record_is_hashed_as_it_is_read_back(tmp_path: Path) -> None:
    record = a_record("a", note="µJ", seconds=0.1 + 0.2)
    (tmp_path / "a.json").write_text(json.dumps(record, indent=3))
    assert citation.digest([json.loads((tmp_path / "a.json").read_text())]) == citation.digest([record])
