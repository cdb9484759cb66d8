"""What is written is what is read, and nothing that is no record gets through."""

import copy
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energybench import record


def example() -> dict[str, Any]:
    domain = {
        "joules": 30.0,
        "standard_uncertainty": 0.5,
        "provenance": "measured",
        "probe": "powercap",
        "flags": [],
        "components": {"tick": 0.3, "gain": 0.4},
    }
    total = {
        "joules": 30.0,
        "standard_uncertainty": 0.5,
        "provenance": "measured",
        "domains": ["cpu.package-0"],
        "missing": ["cpu.dram-0"],
    }
    lost = {"unavailable": "permission denied", "remedy": "sudo chmod"}
    window = {"seconds": 2.0, "steps": 10, "samples": 20, "domains": {"cpu.package-0": domain, "cpu.dram-0": lost}}
    return {
        "schema": 1,
        "id": "20261122T101112Z-abcdef-qnn-infer-0123456789",
        "created": "2026-11-22T10:11:12Z",
        "energybench": "0.1.0",
        "protocol": {"version": 1, "windows": 1, "align": False, "target_error": 0.01},
        "workload": {"name": "qnn-infer", "version": 1, "definition": {"task": "digits", "layers": [64, None]}},
        "parameters": {"bits": 8, "kind": "int", "bias": True, "rate": 0.5},
        "seed": 0,
        "quick": True,
        "machine": {"id": "0123456789ab", "name": "lab", "cpu": "a CPU"},
        "quiet": {"quiet": False, "reasons": ["load of 3.00"]},
        "seconds": 2.0,
        "steps": 10,
        "samples": 20,
        "total": total,
        "traffic": {"operand_bytes": 1024.0},
        "domains": {"cpu.package-0": domain, "cpu.dram-0": lost},
        "idle": [{"when": "before", "seconds": 1.0, "domains": {}, "watts": {"cpu.package-0": 5.0}}],
        "windows": [{**window, "round": 0, "gap_seconds": 0.0, "total": total, "traffic": {}, "flags": []}],
        "results": {
            "joules_per_sample": {
                "value": 1.5,
                "low": 1.4,
                "high": 1.6,
                "standard_uncertainty": 0.05,
                "unit": "J",
                "provenance": "measured",
                "higher_is_better": False,
            }
        },
        "flags": [],
        "probes": {"nvml": {"driver": "580"}},
    }


def test_a_record_survives_the_way_to_text_and_back() -> None:
    values = example()
    parsed = record.loads(record.dumps(record.parse(values)))
    assert parsed == record.parse(values)
    assert parsed.to_json() == values


def test_keys_that_this_version_does_not_know_are_kept_at_every_depth() -> None:
    values = example()
    values["mood"] = {"of": ["the", None]}
    values["windows"][0]["celsius"] = 61.5
    values["results"]["joules_per_sample"]["colour"] = "green"
    assert record.loads(record.dumps(record.parse(values))).to_json() == values


def test_what_was_not_measured_is_absent_and_never_null() -> None:
    values = example()
    del values["total"], values["windows"][0]["total"]
    text = record.dumps(record.parse(values))
    assert "total" not in json.loads(text)
    assert text.count("null") == 1  # the one in the definition, which is the workload's own


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, 10**400])
@pytest.mark.parametrize("place", ["seconds", "definition", "unknown"])
def test_numbers_that_are_none_are_refused_on_write(number: float, place: str) -> None:
    values = example()
    if place == "seconds":
        values["seconds"] = number
    elif place == "definition":
        values["workload"]["definition"]["x"] = [number]
    else:
        values["new"] = {"x": number}
    with pytest.raises(record.RecordError):
        record.dumps(record.parse(values))


@pytest.mark.parametrize("spelled", ["NaN", "Infinity", "-Infinity", "1e999", "1" + "0" * 400])
def test_numbers_that_are_none_are_refused_on_read(spelled: str) -> None:
    text = record.dumps(record.parse(example())).replace('"driver": "580"', f'"driver": {spelled}')
    assert spelled in text
    with pytest.raises(record.RecordError):
        record.loads(text)


@pytest.mark.parametrize("version", [2, 0, "1", 1.0, True, None])
def test_a_record_of_another_version_is_named_as_such(version: object) -> None:
    with pytest.raises(record.VersionError, match="not known here"):
        record.parse({**example(), "schema": version})


@pytest.mark.parametrize("foreign", [[], {}, 3, "text", None, {"results": {}}])
def test_foreign_json_is_no_record(foreign: object) -> None:
    with pytest.raises(record.RecordError, match="no energybench record"):
        record.parse(foreign)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("seconds",), "2.0"),
        (("seconds",), -1.0),
        (("samples",), 1.5),
        (("id",), "../../etc/passwd"),
        (("created",), "yesterday"),
        (("total", "provenance"), "guessed"),
        (("estimated",), {"joules": 1.0, "low": 0.5, "high": 2.0, "model": "m", "provenance": "measured"}),
        (("domains", "cpu.package-0"), {"joules": 1.0}),
        (("results", "joules_per_sample", "value"), None),
        (("windows", 0, "seconds"), 0.0),
    ],
)
def test_a_wrong_value_is_refused_with_its_place(path: tuple[Any, ...], value: object) -> None:
    values = example()
    part: Any = values
    for step in path[:-1]:
        part = part[step]
    part[path[-1]] = value
    with pytest.raises(record.RecordError, match=str(path[0])):
        record.parse(values)


@given(st.sampled_from(sorted(set(example()) - {"schema", "total", "traffic", "domains", "idle", "flags", "probes"})))
def test_a_missing_part_is_named(key: str) -> None:
    values = copy.deepcopy(example())
    del values[key]
    with pytest.raises(record.RecordError, match=key):
        record.parse(values)


@given(st.binary(max_size=200))
def test_no_bytes_at_all_crash_the_reader(data: bytes) -> None:
    with pytest.raises(record.RecordError):
        record.loads(data)


def test_the_exported_schema_describes_what_is_written() -> None:
    schema = record.json_schema()
    values = record.parse(example()).to_json()
    assert set(schema["required"]) <= set(values)
    assert set(values) <= set(schema["properties"])
    assert schema["properties"]["schema"]["const"] == 1


@pytest.mark.parametrize(
    ("place", "value", "told"),
    [
        (
            ("created",),
            "yesterday",
            "created is not as the schema has it (expected a time in UTC, as 2026-01-31T12:00:00Z)",
        ),
        (
            ("id",),
            "../x",
            "id is not as the schema has it (expected letters, digits, dots, hyphens and underscores, 181 at",
        ),
        (("seconds",), "2.0", "seconds is not a number"),
        (("seconds",), -2.0, "seconds is -2.0, and must be at least 0"),
        (("windows", 0, "seconds"), 0.0, "windows.0.seconds is 0.0, and must be above 0"),
        (("steps",), 2.5, "steps is not a whole number"),
        (("quick",), 1, "quick is not true or false"),
        (("machine",), [], "machine is not an object"),
        (("flags",), "x", "flags is not a list"),
        (("workload", "name"), 3, "workload.name is not a text"),
        (("workload", "name"), None, "workload.name is not a text"),
        (
            ("results", "joules_per_sample", "provenance"),
            "guessed",
            "results.joules_per_sample.provenance is none of 'measured'",
        ),
        (
            ("windows", 0, "domains"),
            {},
            "windows.0 does not hold together: the total of a window is over cpu.package-0",
        ),
    ],
)
def test_what_is_wrong_is_said_in_the_words_of_the_schema(place: tuple[Any, ...], value: Any, told: str) -> None:
    values = copy.deepcopy(example())
    *above, last = place
    part: Any = values
    for step in above:
        part = part[step]
    part[last] = value
    with pytest.raises(record.RecordError) as caught:
        record.parse(values)
    said = str(caught.value)
    assert said.startswith(told)
    assert not any(word in said for word in ("^", "Input", "pattern", "valid"))


def test_what_is_missing_is_named_and_further_problems_are_counted() -> None:
    values = example()
    del values["machine"], values["seed"]
    with pytest.raises(record.RecordError, match=r"^seed is missing \(and 1 more\)$"):
        record.parse(values)
