"""Joules of different sources, and work of different files, are never taken for one another."""

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from energybench import keys, matrix, results, sums, workloads
from energybench._commands import run
from energybench.campaign import SamePointError
from energybench.protocol import Progress
from energybench.record import DomainUnavailable, Window
from energybench.settings import Settings

FILE = """
from types import SimpleNamespace
workload = SimpleNamespace(name="w", version=1, summary="", parameters={}, prepare=lambda *a, **k: None)
"""


def window(probe: str = "powercap", provenance: str = "measured") -> Window:
    energy = {"joules": 1.0, "standard_uncertainty": 0.1, "provenance": provenance}
    domains = {"cpu": {**energy, "probe": probe}}
    total = {**energy, "domains": ["cpu"]}
    return Window.model_validate({"seconds": 1.0, "steps": 1, "samples": 1, "domains": domains, "total": total})


@pytest.mark.parametrize("other", [{"probe": "perf_event"}, {"provenance": "simulated"}])
def test_windows_of_another_probe_or_provenance_are_not_summed(other: dict[str, str]) -> None:
    windows = [window(), window(), window(**other)]
    assert sums.common_total(windows) == windows[:2]
    assert isinstance(sums.summed_domains(windows)["cpu"], DomainUnavailable)


def test_resume_with_another_probe_is_a_new_run(world: Any) -> None:
    def stop(told: Progress) -> None:
        if told.stage == "windows" and told.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        world.run(world.points(1), progress=stop)
    domains = world.probes["simulated"].domains
    for name, domain in list(domains.items()):
        domains[name] = replace(domain, probe="other")
    record = world.measure(*world.points(1), resume=True)
    assert "resumed" not in record.flags
    assert ["cpu.package-0", "other", "simulated"] in record.sources


def test_two_workloads_of_one_name_are_refused_and_one_file_named_twice_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in ("aa", "bb"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "m.py").write_text(FILE)
    first, second = (str(tmp_path / name / "m.py") for name in ("aa", "bb"))
    assert len(matrix.points([first, str(tmp_path / "bb" / ".." / "aa" / "m.py")], {})) == 1
    with pytest.raises(matrix.SameNameError, match="are both named 'w'; give one of them another name"):
        matrix.points([first, second], {})


def test_an_edited_file_is_another_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, world: Any) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    path = tmp_path / "m.py"
    path.write_text(FILE)
    (before,) = matrix.points([str(path)], {})
    path.write_text(FILE + "# edited\n")
    (after,) = matrix.points([str(path)], {})
    settings = Settings()
    assert keys.key_of(before, settings) != keys.key_of(after, settings)
    assert workloads.source(after.workload) == after.source != before.source


@dataclass(frozen=True)
class Sourced:
    workload: Any
    parameters: Any
    source: str


def test_the_source_is_in_the_record_and_gives_the_same_key(world: Any) -> None:
    (point,) = world.points(1)
    sourced = Sourced(point.workload, point.parameters, "abc")
    record = world.measure(sourced)
    assert record.workload.source == "abc"
    assert keys.record_key(record) == keys.key_of(sourced, Settings())


def test_two_points_that_records_could_not_tell_apart_are_refused(world: Any) -> None:
    with pytest.raises(SamePointError, match="give each its own name"):
        world.run(world.points(1, 1))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"samples": 0}, "work: its task has samples=0"),
        ({"definition": {"x": float("nan")}}, "work: the definition of its task cannot be written as JSON"),
        ({"definition": {"x": object()}}, "work: the definition of its task cannot be written as JSON"),
    ],
)
def test_a_task_that_no_record_can_hold_fails_before_it_is_measured(world: Any, options: Any, said: str) -> None:
    (failure,) = world.run(world.points(1, **options)).failures
    assert str(failure.error).startswith(said)
    assert world.calls == ["b1:close"]


def test_a_metric_that_is_no_finite_number_is_named(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    points = world.points(1)
    prepare = points[0].workload.prepare

    def prepared(*args: Any, **kwargs: Any) -> Any:
        task = prepare(*args, **kwargs)
        task.evaluate = lambda: {"accuracy": float("nan")}
        return task

    points[0].workload.prepare = prepared
    (failure,) = world.run(points).failures
    assert str(failure.error) == "work: evaluate() gave accuracy=nan; each of its values is a finite number"


def test_a_workload_that_exits_is_a_failed_point_and_the_others_go_on(world: Any) -> None:
    points = world.points(1, 2)

    def leave(*_: Any, **__: Any) -> Any:
        raise SystemExit(3)

    points[0].workload.prepare = leave
    outcome = world.run(points)
    assert len(outcome.records) == 1
    assert str(outcome.failures[0].error) == "the workload called sys.exit(3)"


def test_a_file_that_exits_when_it_is_imported_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "m.py").write_text("import sys\nsys.exit(4)\n")
    with pytest.raises(ImportError, match="line 2 cannot be loaded: SystemExit: 4"):
        workloads.load(str(tmp_path / "m.py"))


def test_seconds_have_no_interval_below_zero_and_net_joules_may() -> None:
    values = [0.001, 1.0]
    assert results.repeated(values, unit="s", provenance="measured").low == 0
    signed = results.repeated(values, unit="J", provenance="measured", signed=True).low
    assert signed is not None
    assert signed < 0


def test_an_error_of_a_users_file_has_its_place_and_its_traceback_where_that_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "w.py"
    path.write_text("def step():\n    raise RuntimeError('gave up')\n")
    space: dict[str, Any] = {}
    exec(compile(path.read_text(), str(path), "exec"), space)
    with pytest.raises(RuntimeError) as caught:
        space["step"]()
    assert run.told(caught.value) == f"{path}, line 2: RuntimeError: gave up"
    assert "Traceback" not in capsys.readouterr().err
    monkeypatch.setenv("ENERGYBENCH_TRACEBACK", "1")
    run.told(caught.value)
    assert "Traceback" in capsys.readouterr().err
