"""What a killed node costs `dist-train`: seconds until it is seen and made good, steps lost, and a mailbox's slowdown.

python tests/bench/distributed_faults.py [--runs 5] [--output FILE.json]

`gang`: a node of a training under torchrun is killed with SIGKILL at a step that differs from run to run. Counted are
the seconds until the leader tells of it, until its peers have ended, and until all train again from their last common
checkpoint; and the most steps that a node has to do again.
`mailbox`: the same of nodes by themselves. A survivor's seconds of the whole training beside those where nobody is
killed, once with the killed node staying away and once with it coming back.
`reborn`: a node that is killed at half of the training, comes back with new weights 100 steps later and has what is
left of the schedule; beside it the same node's training alone, by the whole schedule.
"""

import argparse
import json
import os
import platform
import signal
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from energybench.distributed.gang import Gang
from energybench.workloads.distributed._task import Training, held_out_labels
from energybench.workloads.distributed.train import workload

STEPS, CHECKPOINT = 2000, 50
PATIENCE = 120.0


@dataclass
class Kill:
    """When a node was killed, and when its peers had ended."""

    at: float = 0.0
    told: float = 0.0
    peers_ended: float = 0.0
    killed_pid: int = 0
    peers: list[int] = field(default_factory=list)


def until(condition: Callable[[], Any]) -> Any:
    """What the condition gives, once it gives something."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.001)
    raise TimeoutError(condition)


def lives(pid: int) -> bool:
    """Whether a process runs; one that nobody has waited for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def done(gang: Gang, rank: int) -> int:
    """How many steps of the whole training a node has noted."""
    found = list(gang.folder.glob(f"**/rank-{rank}/step"))
    return int.from_bytes(found[0].read_bytes(), "little") if found else 0


@contextmanager
def killing(gang: Gang, rank: int, *, after: int) -> Iterator[Kill]:
    """Kill a node from without when it has done so many steps, and watch its peers."""
    kill = Kill()

    def run() -> None:
        until(lambda: done(gang, rank) >= after)
        kill.killed_pid = next(one.pid for one in gang.ranks if one.rank == rank)
        kill.peers = [one.pid for one in gang.ranks if one.rank != rank]
        kill.at = time.monotonic()
        os.kill(kill.killed_pid, signal.SIGKILL)
        if not gang.plan.independent:
            until(lambda: not any(map(lives, kill.peers)))
            kill.peers_ended = time.monotonic()

    thread = threading.Thread(target=run)
    before = gang._tell

    def tell(line: str) -> None:
        kill.told = kill.told or time.monotonic()
        before(line)

    gang._tell = tell
    thread.start()
    yield kill
    thread.join()


@contextmanager
def prepared(seed: int, **parameters: Any) -> Iterator[Training]:
    """A training of `dist-train`."""
    task = workload.prepare(parameters, seed=seed, quick=False)
    assert isinstance(task, Training)
    with closing(task):
        yield task


def distributed(task: Training) -> Mapping[str, Any]:
    """What the record of a training says of its nodes, when it is done."""
    task.evaluate()
    found = task.details()["distributed"]
    assert isinstance(found, Mapping)
    return found


def gang(strategy: str, runs: int) -> list[dict[str, float]]:
    """Kills of a node under torchrun."""
    rows = []
    for run in range(runs):
        with prepared(run, nodes=2, strategy=strategy, steps=STEPS, checkpoint=CHECKPOINT) as task:
            with killing(task._gang(), run % 2, after=STEPS // 4 + 37 * run) as kill:
                found = distributed(task)
            rows.append(
                {
                    "told_seconds": kill.told - kill.at,
                    "peers_ended_seconds": kill.peers_ended - kill.at,
                    "resumed_seconds": found["losses"][0]["resumed_seconds"],
                    "steps_lost": max(one["lost"] for one in found["nodes"]),
                }
            )
    return rows


def mailbox(runs: int, nodes: int = 3) -> list[dict[str, float]]:
    """Kills of a node by itself, beside trainings in which nobody is killed."""
    rows = []
    for run in range(runs):
        same: dict[str, Any] = {
            "nodes": nodes, "strategy": "cultural", "carrier": "mailbox", "steps": 2 * STEPS, "checkpoint": CHECKPOINT,
        }  # fmt: skip
        seconds = {}
        for name, restarts, kills in (("undisturbed", 0, False), ("away", 0, True), ("back", 3, True)):
            with prepared(run, **same, restarts=restarts) as task:
                if kills:
                    with killing(task._gang(), nodes - 1, after=STEPS // 2):
                        found = distributed(task)
                else:
                    found = distributed(task)
            seconds[name] = statistics.fmean(one["seconds"] for one in found["nodes"][: nodes - 1])
        rows.append(
            {
                "undisturbed_seconds": seconds["undisturbed"],
                "slowdown_away": seconds["away"] / seconds["undisturbed"] - 1,
                "slowdown_back": seconds["back"] / seconds["undisturbed"] - 1,
            }
        )
    return rows


def reborn(runs: int, nodes: int = 4, steps: int = 1000, every: int = 10) -> list[dict[str, float]]:
    """A node that is born again at half, and its isolated twin."""
    rows = []
    for seed in range(runs):
        same: dict[str, Any] = {"nodes": nodes, "steps": steps, "every": every, "checkpoint": 0}
        with prepared(seed, **same, strategy="cultural", carrier="mailbox") as task:
            learner, group = task.learner(seed), task._gang()
            rounds = [learner.learn() for _ in range(steps // every // 2)]
            os.kill(next(one.pid for one in group.ranks if one.rank == 1), signal.SIGKILL)
            rounds += [learner.learn() for _ in range(10)]
            while len(group.ranks) < nodes:  # the others wait, for their training is a matter of seconds
                step = len(rounds) * every
                task.call("train", run=learner._run, seed=seed, until=step)
                time.sleep(0.1)
            while len(rounds) < steps // every:
                rounds.append(learner.learn())
            accuracies = judged(task, learner._run, seed, steps)
        with prepared(seed, **same, strategy="isolated") as task:
            learner = task.learner(seed)
            for _ in range(steps // every):
                learner.learn()
            alone = judged(task, learner._run, seed, steps)
        others = [one for rank, one in enumerate(accuracies) if rank != 1]
        rows.append({"reborn": accuracies[1], "others": statistics.fmean(others), "isolated_twin": alone[1]})
    return rows


def judged(task: Training, run: str, seed: int, steps: int) -> list[float]:
    """The accuracy of each node."""
    labels = held_out_labels(task.recipe, seed)
    found = task.call("judge", run=run, seed=seed, until=steps)
    return [float((torch.tensor(one).argmax(1) == labels).double().mean()) for one in found]


def show(name: str, rows: list[dict[str, float]]) -> None:
    """Mean, least and most of each column."""
    print(name)
    for key in rows[0]:
        values = [row[key] for row in rows]
        print(f"  {key:22} {statistics.fmean(values):8.3f}   {min(values):8.3f} … {max(values):8.3f}", flush=True)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--output", type=Path)
    asked = parser.parse_args()
    found: dict[str, list[dict[str, float]]] = {}
    for name, measured in (
        ("gang, sync", lambda: gang("sync", asked.runs)),
        ("gang, cultural", lambda: gang("cultural", asked.runs)),
        ("mailbox", lambda: mailbox(asked.runs)),
        ("reborn", lambda: reborn(asked.runs)),
    ):
        found[name] = measured()
        show(name, found[name])
    if asked.output:
        machine = {"cpus": os.cpu_count(), "load": os.getloadavg()[0], "torch": torch.__version__}
        told = {"checkpoint": CHECKPOINT, "machine": {**machine, "kernel": platform.release()}, "runs": found}
        asked.output.write_text(json.dumps(told, indent=2) + "\n")


if __name__ == "__main__":
    main()
