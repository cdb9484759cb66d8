"""Seconds of a step without exchanges as nodes share a host's cores, beside the scaling model's computing term.

    python tests/bench/distributed_computing.py --output docs/results/distributed-computing.json

Isolated nodes send nothing: what is left of a step is computing, on cores that are shared. The model takes the
processor seconds of a step of one node alone, times the nodes over the cores. `shared` takes those of a step of a node
among as many as share the cores: what shared caches cost is in them, what taking turns costs is not. `cores` is what
this host gave meanwhile: as many busy loops as there are nodes, after each training, say how many cores' worth of
seconds they got.
"""

import argparse
import json
import multiprocessing
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from energybench.workloads.distributed.train import workload

BUSY_SECONDS = 2.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", default="2,4,8")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--hidden", type=int, default=1024, help="1024: 76,810 parameters")
    parser.add_argument("--output", type=Path, help="write the numbers here as JSON")
    arguments = parser.parse_args()
    counts = [1, *map(int, arguments.nodes.split(","))]
    shared = {"strategy": "isolated", "steps": arguments.steps, "hidden": arguments.hidden, "checkpoint": 0}
    tasks = {nodes: workload.prepare(shared | {"nodes": nodes}, seed=0, quick=False) for nodes in counts}
    found: dict[int, list[dict[str, float]]] = {nodes: [] for nodes in counts}
    try:
        for turn in range(arguments.rounds):
            for nodes in counts:
                found[nodes].append(_training(tasks[nodes], shared | {"nodes": nodes}, turn))
    finally:
        for task in tasks.values():
            task.close()
    alone = statistics.median(one["cpu_seconds"] for one in found[1])
    rows = [_row(nodes, found[nodes], alone) for nodes in counts]
    print(f"{'nodes':<8}{'cores':<8}{'ms a step':<14}{'model':<10}{'error':<10}{'shared':<10}error")
    for row in rows:
        print(
            f"{row['nodes']:<8}{row['cores']:<8.2f}{1e3 * row['seconds']:<14.3f}{1e3 * row['model_seconds']:<10.3f}"
            f"{row['error']:<+10.1%}{1e3 * row['shared_seconds']:<10.3f}{row['shared_error']:+.1%}"
        )
    if arguments.output:
        told = {"settings": {"steps": arguments.steps, "hidden": arguments.hidden}, "cpu_seconds_alone": alone}
        arguments.output.write_text(json.dumps(told | {"rows": rows}, indent=1) + "\n", encoding="utf-8")
    return 0


def _training(held: Any, chosen: dict[str, Any], seed: int) -> dict[str, float]:
    """A whole training in the processes that `held` keeps, and how many cores were to be had right after it."""
    task = workload.prepare(chosen, seed=seed, quick=False)
    try:
        task.evaluate()
        nodes = task.details()["distributed"]["nodes"]
    finally:
        task.close()
    steps = chosen["steps"]
    return {
        # The fastest of the nodes ends first and leaves its cores: the mean is nearer to a step in which all run.
        "seconds": statistics.fmean(one["seconds"] for one in nodes) / steps,
        "cpu_seconds": statistics.fmean(one["cpu_seconds"] for one in nodes) / steps,
        "cores": _cores(chosen["nodes"]),
    }


def _cores(loops: int) -> float:
    """Cores' worth of processor time that so many busy loops got."""
    with multiprocessing.Pool(loops) as pool:
        return sum(pool.map(_burn, [BUSY_SECONDS] * loops)) / BUSY_SECONDS


def _burn(seconds: float) -> float:
    begin, used = time.perf_counter(), time.process_time()
    while time.perf_counter() - begin < seconds:
        pass
    return time.process_time() - used


def _row(nodes: int, rounds: list[dict[str, float]], alone: float) -> dict[str, float]:
    cores = min(statistics.median(one["cores"] for one in rounds), float(os.cpu_count() or 1))
    seconds = statistics.median(one["seconds"] for one in rounds)
    turns = max(1.0, nodes / max(cores, 1.0)) if nodes > 1 else 1.0
    model, own = alone * turns, statistics.median(one["cpu_seconds"] for one in rounds)
    return {
        "nodes": nodes,
        "cores": cores,
        "seconds": seconds,
        "model_seconds": model,
        "error": model / seconds - 1,
        "cpu_seconds": own,
        "shared_seconds": own * turns,
        "shared_error": own * turns / seconds - 1,
    }


if __name__ == "__main__":
    sys.exit(main())
