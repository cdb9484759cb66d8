"""What an `EnergySuite` and the type `energy_*` make of a project's own suite: points, seeds, values, places."""

import json
import math
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from energybench import asv as energy
from energybench import instrument, lock, marking
from energybench.asv_points import named, records_folder
from energybench.gate import judge
from energybench.gating.from_records import from_records
from energybench.gating.rules import Rules
from energybench.gating.series import Key, Series, Side
from energybench.store import read_all

BRIEF = {"idle_seconds": 0.0, "warmup_seconds": 0.05, "windows": 1, "window_seconds": 0.02}


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A simulated machine that is held; the current folder is the one that a suite's metrics share."""
    shared = tmp_path / "shared"
    shared.mkdir()
    monkeypatch.chdir(shared)
    monkeypatch.setenv("ENERGYBENCH_SIMULATE", "1,idle_watts=0")
    monkeypatch.setenv("ENERGYBENCH_LOCK", str(tmp_path / "lock"))
    monkeypatch.setenv("ENERGYBENCH_RECORDS", str(tmp_path / "records"))
    monkeypatch.setenv("ENERGYBENCH_PYTHON", sys.executable)
    monkeypatch.setenv(marking.SETTINGS, json.dumps(BRIEF))
    with lock.measuring():
        monkeypatch.setenv(instrument.HELD_BY, str(os.getpid()))
        yield tmp_path


class Quality(energy.EnergySuite):
    """A suite of another project that says over how many samples it was judged, and is run with two seeds."""

    seeds = (3, 4)
    right = 0.9

    def prepare(self) -> None:
        self.drawn = self.seed / 100

    def step(self) -> None:
        sum(range(1000))

    def evaluate(self) -> dict[str, float]:
        return {"accuracy": self.right - self.drawn, "loss": np.float32(0.5)}  # type: ignore[dict-item]

    def judged(self) -> np.int64:
        return np.int64(400)


def side(name: str, records: Path) -> Side:
    stored, problems = read_all(records)
    assert not problems
    return Side(name=name, commit=name, series=from_records(stored).series)


def test_a_suite_of_another_project_loses_accuracy_for_certain(machine: Path, monkeypatch: pytest.MonkeyPatch):
    sides = {}
    for name, right in (("base", 0.9), ("head", 0.15)):
        monkeypatch.setenv("ENERGYBENCH_RECORDS", str(machine / name))
        monkeypatch.setattr(Quality, "right", right)
        told = Quality().measured(())
        assert told["metrics"]["accuracy"] == pytest.approx([right - 0.03, right - 0.04])
        sides[name] = side(name, machine / name)
        for kept in Path().glob("energybench-*.json"):
            kept.unlink()
    key = Key(workload=Quality().name, parameters=(), metric="accuracy")
    rounds = sides["base"].series[key].rounds
    assert [(one.seed, one.judged) for one in rounds] == [(3, 400), (4, 400)]
    judgement = judge(sides["base"], sides["head"], Rules(only=("accuracy",)))
    assert [one.word for one in judgement.verdicts] == ["regression"]
    # Of one seed each as well: over 400 samples 0.87 and 0.12 are no chance.
    lone = {name: Side(name=name, commit=name, series={key: first(one.series[key])}) for name, one in sides.items()}
    judgement = judge(lone["base"], lone["head"], Rules(only=("accuracy",)))
    assert [one.word for one in judgement.verdicts] == ["regression"]


def first(series: Series) -> Series:
    return replace(series, rounds=series.rounds[:1])


def test_setup_and_teardown_are_run_once_a_point_and_a_point_may_be_skipped(machine: Path):
    calls: list[str] = []

    class Ordered(energy.EnergySuite):
        params = ((1, 2),)
        param_names = ("n",)

        def setup(self, n: int) -> None:
            if n == 2:
                raise NotImplementedError("too many")
            calls.append(f"setup {n}")

        def prepare(self, n: int) -> None:
            calls.append(f"prepare {n}")

        def step(self, n: int) -> None: ...

        def teardown(self, n: int) -> None:
            calls.append(f"teardown {n}")

    assert "record" in Ordered().measured((1,))
    assert calls == ["setup 1", "prepare 1", "teardown 1"]
    assert Ordered().measured((2,)) == {"skip": "too many"}
    assert calls[3:] == []


def benchmark_of(owner: energy.EnergySuite) -> energy.EnergyBenchmark:
    function = owner.energy_accuracy
    return energy.EnergyBenchmark("work.Suite.energy_accuracy", function, [function, owner])


def test_asv_does_not_set_up_a_suite_before_each_metric():
    class Heavy(Quality):
        def setup(self) -> None:
            raise AssertionError

        teardown = setup

    benchmark = benchmark_of(Heavy())
    benchmark.set_cache("energybench")
    assert benchmark.do_setup() is False
    benchmark.do_teardown()


def test_a_suite_with_a_setup_cache_is_refused():
    with pytest.raises(
        TypeError, match=r"Cached has a setup_cache, which an EnergySuite needs for itself; load .* prepare"
    ):

        class Cached(Quality):
            def setup_cache(self) -> str:
                return "mine"


def test_an_accuracy_that_is_no_share_is_no_result_and_no_record(machine: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Quality, "right", 1.7)
    assert "accuracy is 1.67; give it as a share, from 0 to 1" in Quality().measured(())["error"]
    assert read_all(machine / "records") == ([], [])


@pytest.mark.parametrize("count", [0, -3])
def test_a_suite_cannot_have_judged_nothing(count: int):
    class Odd(Quality):
        judged = count  # type: ignore[assignment]

    with pytest.raises(ValueError, match=f"judged is {count}; give how many samples"):
        Odd().work(())


class Thing:
    """Something without a text of its own."""


def test_an_object_among_the_parameters_has_one_name_for_all_runs():
    things, more = [Thing(), Thing(), abs], [float("nan"), np.int64(3), 1.5, "heap", True]
    choices = [things, more]
    told = [named(["thing"], (one, two), choices) for one in things for two in more[:1]]
    thing = re.sub(" at 0x.*", "", repr(things[0]))
    assert [one["thing"] for one in told] == [f"{thing}> (0)", f"{thing}> (1)", "<built-in function abs>"]
    plain = [named(["thing"], (abs, two), choices)["param2"] for two in more]
    assert plain == ["nan", "np.int64(3)", 1.5, "heap", True]
    assert json.dumps(plain, allow_nan=False)


class OfThings(energy.EnergySuite):
    """A suite whose parameters have no text of their own."""

    params = ((Thing(), float("nan")),)
    param_names = ("thing",)

    def step(self, thing: object) -> None: ...

    def evaluate(self, thing: object) -> dict[str, float]:
        return {"accuracy": 1.0}


def test_a_point_with_an_object_is_measured_once_for_all_its_metrics(machine: Path, monkeypatch: pytest.MonkeyPatch):
    thing, nothing = OfThings.params[0]
    assert OfThings().metric("accuracy", (thing,)) == [1.0]
    # asv has a process for each metric, and the object then another address.
    another = Thing()
    monkeypatch.setattr(OfThings, "params", ((another, nothing),))
    assert OfThings().metric("seconds_per_sample", (another,))
    assert OfThings().metric("accuracy", (nothing,)) == [1.0]
    stored, _ = read_all(machine / "records")
    names = sorted(str(one.record.parameters["thing"]) for one in stored)
    assert names == [repr(thing).partition(" at 0x")[0] + ">", "nan"]


def function(**attributes: Any) -> energy.EnergyBenchmark:
    def energy_of() -> Any:
        return attributes["gives"]

    vars(energy_of).update(attributes)
    return energy.EnergyBenchmark("work.energy_of", energy_of, [energy_of])


def test_the_version_of_a_function_is_declared_and_no_hash_of_its_code(monkeypatch: pytest.MonkeyPatch):
    assert function().version == f"{energy.PROTOCOL}.1"
    assert function(version=3).version == f"{energy.PROTOCOL}.3"
    monkeypatch.setenv("ENERGYBENCH_SIMULATE", "1")
    assert function(version=3).version == f"{energy.PROTOCOL}.3-simulated"


@pytest.mark.parametrize("gives", [np.int64(3), np.float32(3), 3])
def test_a_number_of_numpy_is_a_number(gives: Any):
    assert function(gives=gives).run() == 3.0


@pytest.mark.parametrize(("gives", "unit"), [(-1.0, "joules"), ([1.0, -2], "seconds"), (np.float64(-1), "bytes")])
def test_less_than_nothing_is_no_result(gives: Any, unit: str):
    with pytest.raises(ValueError, match=f"energy_of gave -[12] {unit}; there is no less than nothing"):
        function(gives=gives, unit=unit).run()
    assert function(gives=-1.0, unit="points").run() == -1.0
    assert math.isclose(function(gives=0.0).run(), 0.0)


@pytest.mark.parametrize("name", ["asv.conf.json", "asv.conf.jsonc", "perf.json"])
def test_records_go_beside_the_configuration_whatever_it_is_called(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
):
    """As a benchmark's process has it: in a temporary folder, with the suite imported from the project."""
    monkeypatch.delenv("ENERGYBENCH_RECORDS", raising=False)
    monkeypatch.chdir(tmp_path)
    home = tmp_path / "project" / "perf"
    (home / "suite").mkdir(parents=True)
    (home / name).write_text("{}")
    (home.parent / ".git").mkdir()
    module = ModuleType("suite_of_records")
    module.__file__ = str(home / "suite" / "__init__.py")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    where = type("Work", (), {"__module__": f"{module.__name__}.work"})
    monkeypatch.setenv("ASV_CONF_DIR", str(home))
    assert records_folder(where) == home / ".energybench" / "records"
    monkeypatch.delenv("ASV_CONF_DIR")
    above = home.parent if name == "perf.json" else home
    assert records_folder(where) == above / ".energybench" / "records"
