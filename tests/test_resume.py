"""A run that was stopped, killed or out of room: nothing that was finished is lost or measured twice."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from energybench import store as records
from energybench.protocol import Progress, Settings
from energybench.record import Record
from energybench.store import Store, StoreError


class Stop:
    """Ctrl-C when the n-th window is to begin."""

    def __init__(self, windows: int) -> None:
        self.left = windows

    def __call__(self, told: Progress) -> None:
        if told.stage == "windows":
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt


def test_ctrl_c_keeps_finished_windows_and_resume_goes_on_from_them(world: Any) -> None:
    with pytest.raises(KeyboardInterrupt):
        world.run(world.points(1, 2), progress=Stop(5))
    assert list(world.store.folder.glob("*.json")) == []
    (journal,) = world.store.journals.iterdir()
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    kept = [line["values"] for line in lines if line["event"] == "window"]
    assert len(kept) == 5
    world.told.clear()
    outcome = world.run(world.points(1, 2), resume=True)
    seconds = [w.seconds for record in outcome.records for w in record.windows]
    assert {values["seconds"] for values in kept} <= set(seconds)
    assert [len(record.windows) for record in outcome.records] == [4, 4]
    assert all(record.id.startswith(lines[0]["run"]) for record in outcome.records)
    assert all("resumed" in record.flags for record in outcome.records)
    assert not world.store.journals.exists()


def test_resume_starts_a_point_anew_whose_definition_has_changed(world: Any) -> None:
    with pytest.raises(KeyboardInterrupt):
        world.run(world.points(1), progress=Stop(2))
    (journal,) = world.store.journals.iterdir()
    old = {w["values"]["seconds"] for w in map(json.loads, journal.read_text().splitlines()) if w["event"] == "window"}
    record = world.measure(*world.points(1, definition={"task": "other"}, seconds=0.07), resume=True)
    assert len(record.windows) == 4
    assert not old & {w.seconds for w in record.windows}


def test_resume_of_other_points_or_settings_is_a_new_run(world: Any) -> None:
    with pytest.raises(KeyboardInterrupt):
        world.run(world.points(1), progress=Stop(2))
    record = world.measure(*world.points(1), Settings(windows=3, window_seconds=1.0, idle_seconds=2.0), resume=True)
    assert "resumed" not in record.flags
    assert len(list(world.store.journals.iterdir())) == 1


def test_a_finished_point_is_not_measured_twice(world: Any) -> None:
    with pytest.raises(StoreError):
        world.run(world.points(1, 2), store=HalfFull("virtual", root=world.store.folder.parent))
    first = {path.name for path in world.store.folder.glob("*.json")}
    assert len(first) == 1
    world.calls.clear()
    outcome = world.run(world.points(1, 2), resume=True)
    assert len(outcome.records) == 2
    assert first < {path.name for path in outcome.paths}
    assert Counter(call.split(":")[0] for call in world.calls)["b1"] == 0


class HalfFull(Store):
    """A store that has room for one record."""

    room = 1

    def write(self, record: Record) -> Path:
        self.room -= 1
        if self.room < 0:
            raise StoreError("no room")
        return super().write(record)


KILLED = """
import sys, time
from pathlib import Path
from types import SimpleNamespace
from energybench.meter import Meter
from energybench.model import Parameter
from energybench.probes.simulated import open_probe
from energybench.protocol import Settings, run
from energybench.quiet import Quiet
from energybench.store import Store

class Task:
    samples, file_bytes, definition = 1, None, {}
    def step(self): time.sleep(0.002)
    def evaluate(self): return {}
    def close(self): pass

work = SimpleNamespace(name="w", version=1, summary="", parameters={}, prepare=lambda p, seed, quick: Task())
point = SimpleNamespace(workload=work, parameters={"n": 1})
def tell(progress):
    print(progress.stage, progress.done, flush=True)
outcome = run([point], meter=Meter({"simulated": open_probe(spec="1")}), store=Store("m", root=Path(sys.argv[1])),
    settings=Settings(windows=4, window_seconds=0.15, idle_seconds=0.1, warmup_seconds=0.2), progress=tell,
    machine={"id": "m", "name": "m"}, quietness=Quiet(quiet=True, reasons=()), resume="--resume" in sys.argv)
print(outcome.records[0].flags)
"""


def test_a_run_that_is_killed_loses_no_finished_window_and_leaves_no_half_file(tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ)) as first:
        assert first.stdout is not None
        for line in first.stdout:
            if line.startswith("windows 2"):
                first.send_signal(signal.SIGKILL)
    (journal,) = (tmp_path / "m" / "journal").iterdir()
    kept = [json.loads(line) for line in journal.read_text().splitlines()]
    windows = [line["values"]["seconds"] for line in kept if line["event"] == "window"]
    assert len(windows) == 2
    assert list((tmp_path / "m").glob("*.json")) == []
    subprocess.run([*command, "--resume"], check=True, capture_output=True, text=True)
    found, problems = records.read_all(tmp_path)
    assert problems == []
    assert [w.seconds for w in found[0].record.windows][:2] == windows
    assert "resumed" in found[0].record.flags
    assert [path.name for path in (tmp_path / "m").rglob("*") if path.is_file()] == [found[0].path.name]
