"""What `energybench report` refuses before it writes anything: places of others, and addresses that are none."""

from pathlib import Path
from typing import Any

import pytest

from energybench import config
from energybench.cli import main
from energybench.reports import frames, site_builder


@pytest.fixture
def records(tmp_path: Path, fake: Any) -> Path:
    of = fake("site_records")
    of.put(tmp_path / "records", of.a_record("r1"))
    return tmp_path / "records"


def files(folder: Path) -> list[str]:
    return sorted(str(one.relative_to(folder)) for one in folder.rglob("*"))


def test_a_site_in_the_folder_of_its_records_is_refused_and_writes_nothing(records: Path) -> None:
    before = files(records)
    with pytest.raises(site_builder.SiteError, match="name a folder outside of it with --output"):
        site_builder.build(records, records)
    assert files(records) == before


@pytest.mark.parametrize("inside", ["site", "box-2/site"])
def test_a_site_below_its_records_is_none_of_them(records: Path, inside: str) -> None:
    front = site_builder.build(records, records / inside)
    first = front.read_bytes()
    assert site_builder.build(records, records / inside).read_bytes() == first
    assert len(frames.read(records)[0]) == 1
    assert frames.read(records)[1] == []


def test_a_site_beside_the_records_or_around_them_is_built(records: Path) -> None:
    assert site_builder.build(records, records.parent).is_file()
    assert site_builder.build(records, records.parent / "site").is_file()


def test_a_site_in_results_of_asv_is_refused(tmp_path: Path) -> None:
    results = tmp_path / "results"
    results.mkdir()
    (results / "benchmarks.json").write_text('{"version": 2}', encoding="utf-8")
    with pytest.raises(site_builder.SiteError, match="name a folder outside of"):
        site_builder.build(results, results / "site")
    assert files(results) == ["benchmarks.json"]


@pytest.mark.parametrize(
    "name", ["report.css", "glossary.html", "figures/x.svg", "data/records.csv", "figures", "icon.svg"]
)
def test_a_link_with_the_name_of_a_file_of_the_site_is_refused(records: Path, tmp_path: Path, name: str) -> None:
    site, mine = tmp_path / "site", tmp_path / "mine"
    mine.write_text("mine", encoding="utf-8")
    (site / name).parent.mkdir(parents=True)
    (site / name).symlink_to(mine)
    with pytest.raises(site_builder.SiteError, match="is a link where a file of the site may be; name another folder"):
        site_builder.build(records, site)
    assert mine.read_text(encoding="utf-8") == "mine"
    assert (site / name).is_symlink()


def test_a_link_of_other_names_stays(records: Path, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "older").symlink_to(tmp_path)
    assert site_builder.build(records, tmp_path / "site").is_file()
    assert (tmp_path / "site" / "older").is_symlink()


@pytest.mark.parametrize("flags", [["--output", "t"], ["--output", "other"]])
def test_a_single_file_in_the_place_of_another_is_refused_before_anything_is_built(
    records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], flags: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    site_builder.build(records, Path("other"))
    front = Path("other/index.html").read_bytes()
    with pytest.raises(SystemExit) as left:
        main(["report", str(records), *flags, "--single-file", "other/index.html"])
    assert left.value.code == 1
    assert "other/index.html is a file of the site itself; name another file" in capsys.readouterr().err
    assert Path("other/index.html").read_bytes() == front
    assert not Path("t").exists()


@pytest.mark.parametrize(
    "address", ["https://example.org/energy", "http://[::1]/e", "../energy", "energy", "//host/e", ""]
)
def test_an_address_of_the_web_or_a_relative_one_is_taken(address: str, tmp_path: Path) -> None:
    assert config.load_settings({"address": address}, environ={}, start=tmp_path).address == address


@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)",
        "JavaScript:alert(1)",
        " javascript:x",
        "java\nscript:x",
        "data:text/html,x",
        "http://[",
        "a b",
    ],
)
def test_any_other_address_is_refused_wherever_it_stands(address: str, tmp_path: Path) -> None:
    told = "give an http or https address, or a relative one"
    with pytest.raises(config.SettingError, match=f"--address is .*{told}"):
        config.load_settings({"address": address}, environ={}, start=tmp_path)
    with pytest.raises(config.SettingError, match=f"ENERGYBENCH_ADDRESS is .*{told}"):
        config.load_settings({}, environ={"ENERGYBENCH_ADDRESS": address}, start=tmp_path)
