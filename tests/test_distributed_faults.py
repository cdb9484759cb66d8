"""`dist-train` when nodes are killed, checkpoints are damaged, and a mailbox holds nonsense: real processes."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

import torch

from energybench.distributed import meeting
from energybench.distributed.gang import Gang, RankLostError
from energybench.distributed.starting import Plan
from energybench.workloads.distributed import messages
from energybench.workloads.distributed._recipe import recipe
from energybench.workloads.distributed._task import Training, held_out_labels
from energybench.workloads.distributed.checkpoints import CheckpointError, Checkpoints
from energybench.workloads.distributed.codecs import CODECS
from energybench.workloads.distributed.train import workload

SHORT: dict[str, Any] = {"nodes": 2, "steps": 200, "hidden": 32, "checkpoint": 20, "timeout": 30.0}
ROWS = 320
"""Samples of a message: 10 steps of 32."""
PATIENCE = 60.0


def until(condition: Callable[[], Any]) -> Any:
    """What the condition gives, once it gives something."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.002)
    raise TimeoutError(condition)


@contextmanager
def prepared(**parameters: Any) -> Iterator[Training]:
    task = workload.prepare(SHORT | parameters, seed=0, quick=True)
    assert isinstance(task, Training)
    with closing(task):
        yield task


def done(gang: Gang, rank: int, folder: Path | None = None) -> int:
    """How many steps of the whole training a node has noted."""
    found = list((folder or gang.folder).glob(f"**/rank-{rank}/step"))
    return int.from_bytes(found[0].read_bytes(), "little") if found else 0


def kill(gang: Gang, rank: int) -> None:
    os.kill(next(one.pid for one in gang.ranks if one.rank == rank), signal.SIGKILL)


@contextmanager
def killing(gang: Gang, rank: int, *, after: int, folder: Path | None = None) -> Iterator[None]:
    """Kill a node from without, in the middle of the training."""

    def wait_and_kill() -> None:
        until(lambda: done(gang, rank, folder) >= after)
        kill(gang, rank)

    thread = threading.Thread(target=wait_and_kill)
    thread.start()
    yield
    thread.join()


def trained(task: Training) -> tuple[list[dict[str, Any]], list[Any]]:
    """What each node says of the whole training, and the class probabilities that it gives."""
    steps = task.recipe.length
    task.call("begin", run="whole", seed=0)
    ended = task.call("train", run="whole", seed=0, until=steps)
    return ended, task.call("judge", run="whole", seed=0, until=steps)


def accuracy(probabilities: list[list[float]], task: Training) -> float:
    """The share of held-out samples that get their own class."""
    return float((torch.tensor(probabilities).argmax(1) == held_out_labels(task.recipe, 0)).double().mean())


@pytest.fixture(scope="module")
def held() -> Iterator[dict[str, Any]]:
    """A gang that is held open, with restarts for all tests that kill a node of it; what makes others share it."""
    shared = {"restarts": 10}
    with prepared(strategy="isolated", **shared):
        yield shared


def test_synchronized_nodes_that_are_killed_go_on_to_the_very_same_weights(held: dict[str, Any]):
    with prepared(strategy="sync", **held) as task:
        undisturbed = trained(task)[1]
        task.call("end", run="whole", seed=0)
        with killing(task._gang(), 1, after=50):
            ended, judged = trained(task)
        begun = ended[0]["from"]
        assert [one["from"] for one in ended] == [begun, begun]
        assert begun >= 40
        assert begun % 20 == 0
        # A gradient is waited for at every step: nobody is more than a step ahead.
        assert all(0 <= one["lost"] <= 20 + 1 for one in ended)
        assert judged == undisturbed
        task.call("end", run="whole", seed=0)


def test_a_gang_that_is_killed_before_its_first_exchange_begins_again(held: dict[str, Any]):
    with prepared(strategy="sync", **held) as task:
        gang = task._gang()
        losses = len(gang.losses)
        task.call("begin", run="whole", seed=0)
        kill(gang, 1)
        ended = task.call("train", run="whole", seed=0, until=20)
        assert [(one["from"], one["step"]) for one in ended] == [(0, 20), (0, 20)]
        assert [loss.rank for loss in gang.losses[losses:]] == [1]
        task.call("end", run="whole", seed=0)


def test_a_killed_node_of_a_cultural_gang_costs_an_interval_and_what_is_under_way_at_most(held: dict[str, Any]):
    with prepared(strategy="cultural", **held) as task:
        with killing(task._gang(), 0, after=50):
            found, distributed = task.evaluate(), task.details()["distributed"]
        assert isinstance(distributed, dict)
        assert distributed["losses"][-1]["rank"] == 0
        assert distributed["losses"][-1]["resumed_seconds"] > 0
        nodes = distributed["nodes"]
        assert [one["step"] for one in nodes] == [200, 200]
        assert nodes[0]["from"] == nodes[1]["from"] > 0
        # Nodes are up to 4 exchanges of 10 steps apart, and each keeps two checkpoints.
        assert all(one["lost"] <= 20 + 40 + 10 for one in nodes)
        assert found["accuracy"] > 0.7
        assert "payload_bytes_per_step" not in found


def test_a_training_that_is_lost_for_good_says_so_and_a_later_run_goes_on_from_its_checkpoints(tmp_path: Path):
    with prepared(strategy="sync", restarts=0, checkpoints=str(tmp_path)) as task:
        gang = task._gang()
        lost = pytest.raises(RankLostError, match=r"and restarts=0 it is not started anew: look for the cause")
        with killing(gang, 1, after=50, folder=tmp_path), lost:
            task.evaluate()
        assert gang.closed
        assert task.details() == {"distributed": {"losses": []}}
        ended, _ = trained(task)
        assert [one["from"] >= 40 for one in ended] == [True, True]
        task.call("end", run="whole", seed=0)
        assert not [path for path in tmp_path.glob("**/*") if path.is_file()]


def test_a_damaged_checkpoint_fails_its_point_in_one_line_and_other_records_stay(tmp_path: Path):
    parameters = SHORT | {"checkpoints": str(tmp_path / "kept")}
    key = recipe(parameters | {"strategy": "sync"}).key
    for rank in (0, 1):
        kept = Checkpoints(tmp_path / "kept" / f"{key}-whole-seed0" / f"rank-{rank}")
        kept.write(40, {"cut": "off"})
        path = kept.path(40)
        path.write_bytes(path.read_bytes()[:-100])
    command = [sys.executable, "-m", "energybench", "run", "dist-train", "--quick", "--windows=1", "--seconds=0.05"]
    command += ["--output=records", "--strategy=isolated,sync"]
    command += [f"--param={name}={value}" for name, value in parameters.items()]
    quick = {"ENERGYBENCH_IDLE": "0", "ENERGYBENCH_WARMUP": "0.1", "ENERGYBENCH_LOCK": str(tmp_path / "lock")}
    ended = subprocess.run(
        command, env={**os.environ, **quick}, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    records = [json.loads(path.read_text()) for path in tmp_path.glob("records/*/*.json")]
    assert [one["parameters"]["strategy"] for one in records] == ["isolated"]
    (failed,) = [line for line in ended.stderr.splitlines() if " failed: " in line]
    assert "strategy=sync" in failed
    assert re.search(r"rank [01]: checkpoint ", failed)  # whichever reads its own first
    assert "is damaged; remove it to go on from the one before, or from the start" in failed
    assert ended.returncode == 1


def test_a_checkpoint_of_another_form_is_refused_in_one_line(held: dict[str, Any], tmp_path: Path):
    parameters = SHORT | {"strategy": "sync", "checkpoints": str(tmp_path)}
    for rank in (0, 1):
        folder = tmp_path / f"{recipe(parameters).key}-whole-seed0" / f"rank-{rank}"
        Checkpoints(folder).write(40, {"cut": "off"})
    with (
        prepared(**parameters) as task,
        pytest.raises(ValueError, match=r"rank [01]: checkpoint .* is not of this training .*; remove it"),
    ):
        task.evaluate()


@pytest.mark.parametrize("content", [b"", b"x" * 10, b"x" * 1000])
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes):
    kept = Checkpoints(tmp_path)
    kept.write(20, {"step": 20})
    kept.write(40, {"step": 40})
    next(tmp_path.glob("*40.checkpoint")).write_bytes(content)
    with pytest.raises(CheckpointError, match="is damaged; remove it to go on from the one before"):
        kept.read(40)
    assert kept.read(20) == {"step": 20}
    with pytest.raises(CheckpointError, match="cannot be read"):
        kept.read(60)


def test_a_node_that_was_killed_between_a_checkpoint_and_its_tidying_has_no_more_than_others(tmp_path: Path):
    kept = Checkpoints(tmp_path, kept=2)
    for step in (20, 40):
        kept.write(step, {})
    kept.path(60).write_bytes(kept.path(40).read_bytes())
    assert kept.steps() == [40, 60]
    kept.write(80, {})
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "step-000000060.checkpoint",
        "step-000000080.checkpoint",
    ]


def test_checkpoints_that_others_do_not_have_are_removed_when_all_go_back(tmp_path: Path):
    kept = Checkpoints(tmp_path, kept=3)
    for step in (20, 40, 60):
        kept.write(step, {})
    kept.rewind(20)
    assert kept.steps() == [20]
    kept.write(40, {})
    assert kept.steps() == [20, 40]


def test_steps_in_passing_are_noted_and_forgotten(tmp_path: Path):
    kept = Checkpoints(tmp_path / "new")
    assert kept.marked() == 0
    kept.mark(1)
    kept.mark(300)
    assert Checkpoints(tmp_path / "new").marked() == 300
    kept.forget()
    assert kept.marked() == 0


def test_a_node_that_comes_back_to_a_mailbox_begins_where_the_others_are():
    with prepared(strategy="cultural", carrier="mailbox", nodes=3, steps=400) as task:
        learner, gang = task.learner(0), task._gang()
        rounds = [learner.learn() for _ in range(10)]
        kill(gang, 2)
        while not gang.losses:
            rounds.append(learner.learn())
        assert [one.rank for one in gang.ranks] == [0, 1]
        rounds += [learner.learn() for _ in range(5)]
        gone = 10 * len(rounds)
        until(lambda: gang._processes._running[2].poll() is None and gang._listener in _knocked(gang))
        while len(gang.ranks) < 3:
            rounds.append(learner.learn())
        run = learner._run
        back = task.call("train", run=run, seed=0, until=10 * len(rounds))[2]
        # It has taken part in the round it came back in: the one that the others had told of.
        assert gone <= back["step"] <= 10 * len(rounds)
        while len(rounds) < 40:
            rounds.append(learner.learn())
        judged = task.call("judge", run=run, seed=0, until=400)
        accuracies = [accuracy(one, task) for one in judged]
        assert min(accuracies) > max(accuracies) - 0.15
        assert len(gang.losses) == 1


def _knocked(gang: Gang) -> list[Any]:
    """The listener, where somebody has connected that is not let in yet."""
    import select

    return select.select([gang._listener], [], [], 0)[0]


@pytest.fixture(scope="module")
def alone() -> Iterator[tuple[Training, Gang]]:
    """A node of a mailbox whose only peer was killed before it had told anything, for good."""
    with prepared(strategy="cultural", carrier="mailbox", restarts=0) as task:
        gang = task._gang()
        kill(gang, 1)
        yield task, gang


def in_rounds(task: Training, run: str, rounds: int) -> Iterator[list[Any]]:
    """What each node says of each round of a training from its start."""
    task.call("begin", run=run, seed=0)
    for number in range(1, rounds + 1):
        yield task.call("train", run=run, seed=0, until=10 * number)


def test_a_node_that_is_lost_before_its_first_exchange_is_missed_and_no_more(alone: tuple[Training, Gang]):
    task, gang = alone
    told = list(in_rounds(task, "missed", 6))
    assert [(one["step"], one["late"]) for one, _ in told] == [(10 * number, 1) for number in range(1, 7)]
    assert [other for _, other in told] == [None] * 6
    assert [loss.rank for loss in gang.losses] == [1]


def told(number: int, codec: str = "confidence", **more: Any) -> messages.Message:
    made = CODECS[codec]
    rows, width = more.get("rows", ROWS), more.get("width", 10)
    body = torch.zeros(made.bytes(rows, width), dtype=torch.uint8)
    return messages.Message(sender=more.get("sender", 1), round=number, rows=rows, width=width, body=body)


def value(message: messages.Message, codec: str = "confidence") -> bytes:
    return messages.pack_value([messages.pack(message, CODECS[codec])])


def of_version(number: int) -> bytes:
    packed = bytearray(messages.pack(told(3), CODECS["confidence"]))
    packed[2] = number
    return messages.pack_value([bytes(packed)])


HOSTILE = {
    b"\x00\xffgarbage": "mailbox of 9 B is not 1 to 2 whole messages",
    b"": "mailbox is empty",
    b"\x04\x00\x00\x00EB\x01\x00": "message is 4 B, less than its header of 22",
    value(told(3))[:-5]: "is not 1 to 2 whole messages",
    value(told(3, rows=32)): "has rows 32, expected 320",
    value(told(3, width=4)): "has classes 4, expected 10",
    value(told(3, "fp32"), "fp32"): "has codec fp32, expected confidence",
    value(told(3, sender=0)): "has sender 0, expected 1",
    of_version(9): "has version 9, expected 1",
    value(told(3)): "a confidence of 0/15 is below 1 in 10",
}


def test_what_cannot_be_read_in_a_mailbox_is_left_out_said_once_and_counted(alone: tuple[Training, Gang]):
    task, gang = alone
    rounds = in_rounds(task, "hostile", 1 + 2 * len(HOSTILE))
    next(rounds)
    assert gang._mailbox is not None
    store = meeting.client(*gang._mailbox, timeout=PATIENCE)
    for content, words in HOSTILE.items():
        store.set(f"{task.recipe.key}/hostile/0/1", content)  # type: ignore[arg-type]
        (problem,) = next(rounds)[0]["refused"]
        assert problem.startswith("rank 1")
        assert words in problem
        assert next(rounds)[0]["refused"] == []
    assert [loss.rank for loss in gang.losses] == [1]


STORE = """
import sys, time
from energybench.distributed.meeting import make_store
store = make_store("127.0.0.1", 0, timeout=30.0)
print(store.port, flush=True)
time.sleep(600)
"""


def test_nodes_go_on_alone_where_the_store_of_their_mailbox_is_gone():
    made = recipe(SHORT | {"strategy": "cultural", "carrier": "mailbox", "checkpoint": 0})
    plan = Plan(nodes=2, independent=True, restarts=0, timeout=30.0)
    with subprocess.Popen([sys.executable, "-c", STORE], stdout=subprocess.PIPE, text=True) as store:
        assert store.stdout is not None
        mailbox = ("127.0.0.1", int(store.stdout.readline()))
        with closing(Gang(plan, mailbox=mailbox)) as gang:
            gang.create("work", "dist-train", {"recipe": asdict(made), "checkpoints": ""})
            gang.call("work", "begin", run="whole", seed=0)
            gang.call("work", "train", run="whole", seed=0, until=50)
            store.kill()
            store.wait()
            ended = gang.call("work", "train", run="whole", seed=0, until=200)
            assert [one["step"] for one in ended] == [200, 200]
            assert all("the mailbox does not answer" in one["refused"][0] for one in ended)
            assert not gang.losses


def test_networks_of_two_kinds_teach_each_other_through_a_mailbox(held: dict[str, Any]):
    kinds = {"net": "mlp+conv", "steps": 60}
    with prepared(strategy="cultural", carrier="mailbox", **kinds) as task:
        told = list(in_rounds(task, "taught", 6))
        assert [one["refused"] for answers in told for one in answers] == [[]] * 12
        # A round is over before the next begins: only the first message of either has not come.
        assert [[one["late"] for one in answers] for answers in told[1:]] == [[0, 0]] * 5
        taught = task.call("judge", run="taught", seed=0, until=60)
    with prepared(strategy="isolated", **kinds, **held) as task:
        list(in_rounds(task, "untaught", 6))
        untaught = task.call("judge", run="untaught", seed=0, until=60)
    assert [a != b for a, b in zip(taught, untaught, strict=True)] == [True, True]
