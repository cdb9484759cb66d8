"""Frames of records and of asv results, their long forms, the files they are exported to, and raw power samples."""

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import energybench
from energybench import record as schema
from energybench.reports import exports, frames, raw

JOULES = "nets.Infer.energy_joules_per_sample"
ACCURACY = "nets.Infer.energy_accuracy"
COMMIT = "a" * 40
SAMPLES = [0.002, 0.003, 0.004]

with_pyarrow = pytest.mark.skipif(not importlib.util.find_spec("pyarrow"), reason="pyarrow is not installed")


@pytest.fixture
def asv(trees: ModuleType, tmp_path: Path) -> Any:
    """A project with two commits of asv, the second with samples kept."""
    made = [
        trees.Benchmark(JOULES, params=[["1", "8"]], param_names=["bits"]),
        trees.Benchmark(ACCURACY, unit="1", params=[["1", "8"]], param_names=["bits"], more={"higher_is_better": True}),
    ]
    tree = trees.AsvTree(tmp_path / "project", made)
    for keep in (False, True):
        values = {JOULES: [SAMPLES, None], ACCURACY: [0.97, float("nan")]}
        tree.result(tree.commit("a change"), values, keep_samples=keep)
    return tree


def metric(value: float, unit: str, provenance: str, **rest: Any) -> dict[str, Any]:
    return {"value": value, "unit": unit, "provenance": provenance, "higher_is_better": False} | rest


def window(**changes: Any) -> dict[str, Any]:
    energy = {"joules": 10.0, "standard_uncertainty": 0.1, "provenance": "measured"}
    return {
        "seconds": 1.0,
        "steps": 10,
        "samples": 100,
        "domains": {
            "cpu.package-0": energy | {"probe": "powercap"},
            "gpu.0": {"unavailable": "no driver", "remedy": "load it"},
        },
        "total": energy | {"domains": ["cpu.package-0"], "missing": ["gpu.0"]},
        "traffic": {"dram_bytes": 5.0},
        "trace": [[0.5, "cpu.package-0", 9.0], [1.0, "cpu.package-0", 11.0], ["torn"]],
    } | changes


def a_record(name: str = "a", **changes: Any) -> dict[str, Any]:
    results = {
        "joules_per_sample": metric(0.1, "J", "measured", standard_uncertainty=0.001, repeats=2),
        "accuracy": metric(0.9, "1", "measured", low=0.85, high=0.93, higher_is_better=True),
    }
    return {
        "schema": 1,
        "id": name,
        "created": "2026-11-22T10:00:00Z",
        "energybench": "0.1.0",
        "protocol": {"version": 1, "windows": 2, "align": False},
        "workload": {"name": "qnn-infer", "version": 2, "definition": {}},
        "parameters": {"bits": 8},
        "seed": 0,
        "quick": True,
        "machine": {"id": "box-1", "name": "the box", "git": {"commit": COMMIT, "dirty": False}},
        "quiet": {"quiet": True},
        "seconds": 2.0,
        "steps": 20,
        "samples": 200,
        "windows": [window(), window(traffic={}, estimated=None)],
        "results": results,
        "flags": ["noisy"],
    } | changes


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def put(*records: dict[str, Any], folder: Path = tmp_path / "records") -> Path:
        for values in records:
            file = folder / values["machine"]["id"] / f"{values['id']}.json"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(schema.dumps(schema.parse(values)), encoding="utf-8")
        return folder

    return put


def stored(*records: dict[str, Any]) -> list[frames.Stored]:
    return [frames.Stored(path=Path("a.json"), record=schema.parse(one).to_json()) for one in records]


def test_a_record_names_its_commit_unless_files_differed_from_it(write):
    git = {"commit": COMMIT, "dirty": True}
    dirty = a_record("b", machine={"id": "box-1", "name": "the box", "git": git})
    table = energybench.load(write(a_record(), dirty))
    assert table["commit"].iloc[0] == COMMIT
    assert pd.isna(table["commit"].iloc[1])


def test_a_results_dir_has_a_row_a_point_of_a_commit_and_none_for_what_failed(asv):
    table = energybench.load(asv.results)
    assert list(table["commit"]) == asv.commits
    assert list(table["workload"]) == ["nets.Infer"] * 2
    assert list(table["param.bits"]) == [1, 1]
    assert list(table["joules_per_sample"]) == [0.003, 0.003]
    assert list(table["accuracy"]) == [0.97, 0.97]
    assert list(table["environment"]) == ["virtualenv-py3.11"] * 2
    assert [when.hour for when in table["committed"]] == [22, 23]
    assert table["created"].isna().all()
    assert set(table["joules_per_sample.provenance"]) == {"measured"}


def test_kept_samples_give_two_standard_errors_to_either_side(asv):
    row = energybench.load(asv.results).iloc[1]
    assert row["joules_per_sample.low"] == pytest.approx(0.003 - 2 * 0.001 / 3**0.5)
    assert row["joules_per_sample.high"] == pytest.approx(0.003 + 2 * 0.001 / 3**0.5)
    assert "accuracy.low" not in row.dropna()


def test_one_result_file_can_be_loaded_alone(asv):
    file = next(asv.results.glob(f"lab/{asv.commits[1][:8]}-*.json"))
    assert list(energybench.load(file)["commit"]) == [asv.commits[1]]


def test_a_folder_that_holds_records_and_asv_results_gives_both(asv, write, tmp_path):
    write(a_record(), folder=tmp_path / "project" / "records")
    (tmp_path / "project" / "asv.conf.json").unlink()
    table = energybench.load(tmp_path / "project")
    assert sorted(table["workload"]) == ["nets.Infer", "nets.Infer", "qnn-infer"]
    assert list(table["seed"].dropna()) == [0]
    assert str(table["seed"].dtype) == "Int64"


def test_a_project_is_read_where_its_settings_say(asv, write, tmp_path):
    write(a_record(), folder=tmp_path / "project" / ".energybench" / "records")
    (tmp_path / "project" / "package.json").write_text("{}", encoding="utf-8")
    assert len(energybench.load(tmp_path / "project")) == 3


def test_a_damaged_result_file_is_named(asv):
    file = next(asv.results.glob("lab/*-*.json"))
    file.write_text('{"commit_hash": "abc", "results": {}, "version": 99}', encoding="utf-8")
    with pytest.raises(ValueError, match=rf"{file.name}: version 99"):
        energybench.load(asv.results)
    found = frames.contents(asv.results)
    assert len(found.asv) == 2
    assert [one.path for one in found.refused] == [file]


def test_the_long_form_has_a_row_a_metric(asv):
    found = frames.contents(asv.results)
    table = frames.tidy(stored(a_record()), found.asv)
    assert list(table["metric"]) == ["joules_per_sample", "accuracy"] * 3
    assert list(table.columns) == [
        *("id", "created", "machine", "commit", "committed", "environment", "workload", "version", "param.bits"),
        *("metric", "value", "low", "high", "unit", "provenance", "higher_is_better", "repeats"),
    ]
    joules = table.iloc[0]
    assert (joules["value"], joules["low"], joules["high"]) == (0.1, pytest.approx(0.098), pytest.approx(0.102))
    assert joules["repeats"] == 2
    assert pd.isna(table["repeats"].iloc[1])
    assert list(table["higher_is_better"]) == [False, True] * 3


def test_the_windows_of_a_record_are_a_row_each():
    table = frames.windows(stored(a_record()))
    assert list(table["window"]) == [0, 1]
    assert list(table["joules"]) == [10.0, 10.0]
    assert list(table["joules.cpu.package-0"]) == [10.0, 10.0]
    assert table["dram_bytes"].iloc[0] == 5.0
    assert pd.isna(table["dram_bytes"].iloc[1])
    assert "joules.gpu.0" not in table


def test_the_samples_of_a_trace_are_a_row_each_and_what_is_none_is_left_out():
    table = frames.traces(stored(a_record()))
    assert list(table["seconds"]) == [0.5, 1.0, 0.5, 1.0]
    assert list(table["watts"]) == [9.0, 11.0, 9.0, 11.0]
    assert list(table["window"]) == [0, 0, 1, 1]
    assert set(table["provenance"]) == {"measured"}


@pytest.mark.parametrize("form", [frames.tidy, frames.windows, frames.traces])
def test_no_records_give_a_long_form_with_its_columns(form):
    table = form([])
    assert table.empty
    assert list(table.columns)[:6] == ["id", "created", "machine", "commit", "workload", "version"]


def test_an_export_reads_back_as_it_was(write, tmp_path):
    table = energybench.load(write(a_record(), a_record("b", parameters={"bits": "auto"}, results={})))
    exports.export(table, tmp_path / "data", "records")
    rows = json.loads((tmp_path / "data" / "records.json").read_text(encoding="utf-8"))
    assert rows[0]["created"] == "2026-11-22T10:00:00Z"
    assert rows[0]["flags"] == "noisy"
    assert rows[0]["param.bits"] == 8
    assert "accuracy" not in rows[1]
    csv = pd.read_csv(tmp_path / "data" / "records.csv")
    assert list(csv["joules_per_sample"].dropna()) == [0.1]


@with_pyarrow
def test_parquet_keeps_numbers_and_writes_mixed_parameters_as_words(write, tmp_path):
    table = energybench.load(write(a_record(), a_record("b", parameters={"bits": "auto"})))
    exports.export(table, tmp_path, "records")
    back = pd.read_parquet(tmp_path / "records.parquet")
    assert list(back["param.bits"]) == ["8", "auto"]
    assert list(back["joules_per_sample"]) == [0.1, 0.1]


def test_a_second_export_has_the_same_bytes(write, tmp_path):
    table = frames.tidy(frames.read(write(a_record(), a_record("b")))[0])
    first, second = (exports.export(table, tmp_path / name, "tidy") for name in ("one", "two"))
    assert [one.read_bytes() for one in first.files] == [one.read_bytes() for one in second.files]


def test_without_pyarrow_the_parquet_file_is_left_out_and_that_is_said(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "tidy.parquet").write_bytes(b"of an earlier run")
    written = exports.export(frames.tidy([]), tmp_path, "tidy")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["tidy.csv", "tidy.json"]
    assert "energybench[store]" in written.left_out


def test_json_refuses_what_is_not_finite(tmp_path):
    with pytest.raises(ValueError, match="JSON compliant"):
        exports.export(pd.DataFrame({"joules": [float("inf")]}), tmp_path, "bad")


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_keeps_all_its_digits(value: float):
    table = pd.DataFrame({"joules": [value]})
    assert json.loads(exports.to_json(table))[0]["joules"] == value
    assert float(exports.to_csv(table).split()[1]) == value


def samples(path: Path, rows: list[tuple[Any, ...]], names: tuple[str, ...] = raw.COLUMNS) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {name: [row[place] for row in rows] for place, name in enumerate(names)}
    pq.write_table(pa.table(columns), path)
    return path


SECOND = 1_000_000_000
ROWS = [
    ("r1", 0, "cpu", 10.0, "idle"),
    ("r1", 0, "gpu", 100.0, "idle"),
    ("r1", 1 * SECOND, "cpu", 20.0, "work"),
    ("r1", 2 * SECOND, "cpu", 30.0, "work"),
    ("r1", 4 * SECOND, "gpu", 100.0, "work"),
    ("r1", 3 * SECOND, "cpu", None, "work"),
    ("r1", 4 * SECOND, "cpu", 30.0, "work"),
    ("r2", 0, "cpu", 5.0, "work"),
]


@with_pyarrow
@pytest.mark.parametrize("rows", [ROWS, ROWS[::-1]], ids=["in order", "backwards"])
def test_power_is_integrated_by_run_domain_and_phase_whatever_the_order_of_rows(tmp_path, rows):
    table = raw.aggregate(samples(tmp_path / "raw.parquet", rows))
    found = {(row.run_id, row.domain, row.phase): row for row in table.itertuples()}
    assert list(found) == sorted(found)
    idle, work = found["r1", "cpu", "idle"], found["r1", "cpu", "work"]
    assert (idle.joules, idle.seconds, idle.watts, idle.samples) == (15.0, 1.0, 15.0, 1)
    assert (work.joules, work.seconds, work.samples, work.missing) == (25.0 + 60.0, 3.0, 3, 1)
    assert work.longest_gap_seconds == 2.0
    assert found["r1", "gpu", "idle"].joules == 400.0
    alone = found["r2", "cpu", "work"]
    assert (alone.joules, alone.samples) == (0.0, 1)
    assert pd.isna(alone.watts)


@with_pyarrow
def test_a_file_of_something_else_says_which_columns_are_wanted(tmp_path):
    file = samples(tmp_path / "other.parquet", [("r1", 1.0)], ("run_id", "joules"))
    with pytest.raises(raw.RawError, match=r"other\.parquet is no file of power samples .*t_ns, domain, watts, phase"):
        raw.aggregate(file)
    (tmp_path / "torn.parquet").write_bytes(b"PAR1")
    with pytest.raises(raw.RawError, match="torn"):
        raw.aggregate(tmp_path / "torn.parquet")
    with pytest.raises(FileNotFoundError, match="no raw samples"):
        raw.aggregate(tmp_path / "nothing.parquet")


def test_without_pyarrow_raw_samples_say_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(raw.RawError, match=r"energybench\[store\]"):
        raw.aggregate(tmp_path / "raw.parquet")
