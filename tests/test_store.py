"""Records are on disk whole or not at all, and what cannot be read or written is said with a way out."""

import errno
import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from energybench import record, store
from energybench.journal import Journal
from energybench.lock import LockedError, holder, lock_path, measuring, patience

MINIMAL: dict[str, Any] = {
    "schema": 1,
    "id": "one",
    "created": "2026-11-22T10:11:12Z",
    "energybench": "0.1.0",
    "protocol": {"version": 1, "windows": 1, "align": False},
    "workload": {"name": "w", "version": 1, "definition": {}},
    "parameters": {},
    "seed": 0,
    "quick": True,
    "machine": {"id": "m", "name": "lab"},
    "quiet": {"quiet": True, "reasons": []},
    "seconds": 1.0,
    "steps": 1,
    "samples": 1,
    "windows": [],
    "results": {},
}


WINDOW = {"seconds": 1.0, "steps": 1, "samples": 1}


def minimal(**changes: Any) -> record.Record:
    return record.parse({**MINIMAL, **changes})


@pytest.fixture
def here(tmp_path: Path) -> store.Store:
    return store.Store("m", root=tmp_path / "records", fallback=tmp_path / "kept")


def test_a_record_lies_under_its_machine_and_comes_back(here: store.Store, tmp_path: Path) -> None:
    path = here.write(minimal())
    assert path == tmp_path / "records" / "m" / "one.json"
    assert store.read(path) == minimal()
    assert [file.name for file in here.folder.iterdir()] == ["one.json"]


def test_the_folder_of_records_is_named_by_the_environment() -> None:
    assert store.records_folder({}) == Path(".energybench/records")
    assert store.records_folder({"ENERGYBENCH_RECORDS": "/data/r"}) == Path("/data/r")


def test_a_machine_name_cannot_lead_out_of_the_folder(tmp_path: Path) -> None:
    assert store.Store("../../etc", root=tmp_path).folder.parent == tmp_path


def test_records_and_problems_come_apart_each_with_its_remedy(here: store.Store) -> None:
    here.write(minimal())
    (here.folder / "two.json").write_text('{"schema": 7}')
    (here.folder / "three.json").write_text('{"schema": 1, "id"')
    (here.folder / ".four.json.1.part").write_text("half")
    found, problems = store.read_all(here.folder.parent)
    assert [stored.record.id for stored in found] == ["one"]
    told = {problem.path.name: (problem.reason, problem.remedy) for problem in problems}
    assert "schema 7 is not known" in told["two.json"][0]
    assert "the energybench that wrote it" in told["two.json"][1]
    assert "measure it again" in told["three.json"][1]


@pytest.mark.parametrize("text", ['{"schema": 7}', "{", "", "[]", '{"schema": 1}'])
def test_reading_a_bad_record_names_the_file_and_what_to_do(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(record.RecordError, match=r"bad\.json: .+\. .*(move it away|Move it away)"):
        store.read(path)


def test_a_folder_that_is_not_there_is_said_with_what_makes_records(tmp_path: Path) -> None:
    with pytest.raises(store.StoreError, match="energybench run"):
        store.read_all(tmp_path / "nowhere")


def test_a_folder_that_cannot_be_written_is_known_beforehand(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    blocked = store.Store("m", root=tmp_path / "file")
    with pytest.raises(store.StoreError, match="ENERGYBENCH_RECORDS"):
        blocked.check()


def test_a_check_leaves_nothing_behind(here: store.Store) -> None:
    here.check()
    assert list(here.folder.rglob("*.*")) == []


def test_a_record_that_finds_no_room_is_kept_elsewhere_and_the_message_says_where(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    blocked = store.Store("m", root=tmp_path / "file", fallback=tmp_path / "kept")
    with pytest.raises(store.StoreError, match=str(tmp_path / "kept" / "one.json")):
        blocked.write(minimal())
    assert store.read(tmp_path / "kept" / "one.json") == minimal()


def test_a_full_disk_leaves_the_old_file_and_no_half_one(tmp_path: Path) -> None:
    # A limit on the size of files fails in write() as a full disk does; it holds for one process only.
    path = tmp_path / "record.json"
    path.write_text("old")
    code = f"""
import resource, signal
from pathlib import Path
from energybench.store import write_atomically
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_atomically(Path({str(path)!r}), "x" * 100_000)
except OSError as error:
    print(error.errno)
"""
    assert resource.getrlimit(resource.RLIMIT_FSIZE)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(errno.EFBIG)
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["record.json"]


def test_a_journal_gives_back_its_whole_lines_and_drops_the_torn_one(here: store.Store) -> None:
    journal = Journal.start(here, "spec", {"run": "r1"})
    journal.append("window", point="p", round=0, values=WINDOW)
    journal.close()
    with journal.path.open("ab") as file:
        file.write(b'{"event": "window", "point": "p", "ro')
    again = Journal.resume(here, "spec")
    assert again is not None
    assert again.of("window") == [{"event": "window", "point": "p", "round": 0, "values": WINDOW}]
    again.append("window", point="p", round=1, values=WINDOW)
    assert [json.loads(line)["event"] for line in again.path.read_text().splitlines()] == ["run", "window", "window"]
    assert Journal.resume(here, "other") is None
    again.remove()
    assert not here.journals.exists()


def test_a_journal_without_room_moves_whole(here: store.Store) -> None:
    journal = Journal.start(here, "spec", {"run": "r1"})
    journal.append("window", point="p", round=0, values=WINDOW)
    os.close(journal._descriptor)
    journal._descriptor = os.open("/dev/full", os.O_WRONLY)
    journal.append("window", point="p", round=1, values=WINDOW)
    assert journal.path.parent == here.fallback
    journal.close()
    again = Journal.resume(here, "spec")
    assert again is not None
    assert [line["round"] for line in again.of("window")] == [0, 1]
    again.remove()


HOLD = """
import sys, time
from pathlib import Path
from energybench.lock import measuring
with measuring(Path(sys.argv[1]), command=["energybench", "run", "qnn infer"]):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_run_is_told_who_measures_and_death_lets_go(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with (
            pytest.raises(LockedError, match=rf"process {other.pid} \(`energybench run 'qnn infer'`\) since 20"),
            measuring(path),
        ):
            pass
        assert (holder(path) or {})["pid"] == other.pid
        other.send_signal(signal.SIGKILL)
        other.wait()
    with measuring(path):
        assert (holder(path) or {})["pid"] == os.getpid()
    assert holder(path) is None


def test_a_run_that_waits_says_for_whom_and_begins_when_the_other_has_ended(tmp_path: Path) -> None:
    path, told = tmp_path / "lock", []
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"

        def hear(line: str) -> None:
            told.append(line)
            other.kill()

        with measuring(path, wait=60.0, tell=hear):
            assert (holder(path) or {})["pid"] == os.getpid()
    (line,) = told
    assert line.startswith(f"waiting up to 60 s: Another run is measuring on this machine: process {other.pid}")


def test_how_long_a_point_of_asv_waits_is_a_setting() -> None:
    assert patience({}) == 600.0
    assert patience({"ENERGYBENCH_LOCK_WAIT": "0"}) == 0.0
    with pytest.raises(ValueError, match="ENERGYBENCH_LOCK_WAIT=long is no number; give seconds, as 600"):
        patience({"ENERGYBENCH_LOCK_WAIT": "long"})


def test_a_forked_child_does_not_hold_the_machine_after_its_parent(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    # Each writes what fork gave it, in one piece: the child has let go when its line, 0, is there.
    code = HOLD.replace("time.sleep(60)", 'import os\n    child = os.fork()\n    os.write(1, f"{child}\\n".encode())')
    code += "    time.sleep(30 if child == 0 else 0)\n    os._exit(0)\n"
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "held\n"
        child = max(int(parent.stdout.readline()) for _ in range(2))
        parent.wait()
        try:
            os.kill(child, 0)  # it lives
            with measuring(path):
                pass
        finally:
            os.kill(child, signal.SIGKILL)


def test_one_machine_has_one_lock_file() -> None:
    assert lock_path({"ENERGYBENCH_LOCK": "/x/y"}) == Path("/x/y")
    assert lock_path({}).name == "energybench.lock"


@pytest.mark.parametrize(
    "line", ["[1,2]", '{"x":1}', '{"event":"window","point":"p","round":0,"values":{"seconds":"x"}}', '{"event":[]}']
)
def test_a_damaged_line_of_a_journal_is_told_with_its_file_and_the_way_out(here: store.Store, line: str) -> None:
    journal = Journal.start(here, "spec", {"run": "r1"})
    journal.close()
    with journal.path.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(store.StoreError, match=r"spec-r1\.jsonl, line 2 is damaged; move it away and run again"):
        Journal.resume(here, "spec")


def test_a_named_pipe_among_records_is_a_problem_and_not_a_wait(here: store.Store) -> None:
    here.write(minimal())
    os.mkfifo(here.folder / "pipe.json")
    found, problems = store.read_all(here.folder.parent)
    assert len(found) == 1
    assert [(one.path.name, one.reason) for one in problems] == [("pipe.json", "is not a regular file")]


def test_a_folder_that_cannot_be_read_is_a_problem(here: store.Store, monkeypatch: pytest.MonkeyPatch) -> None:
    here.write(minimal())
    (here.folder.parent / "shut").mkdir()
    scandir = os.scandir

    def refusing(path: Any) -> Any:  # root may read every folder
        if str(path).endswith("shut"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    found, problems = store.read_all(here.folder.parent)
    assert len(found) == 1
    assert [one.path.name for one in problems] == ["shut"]
