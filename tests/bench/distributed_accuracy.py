"""Accuracy on digits by strategy over random splits, with payload: every number from real processes over gloo.

    python tests/bench/distributed_accuracy.py --output docs/results/distributed-accuracy.json
    python tests/bench/distributed_accuracy.py --nodes 2,4,8 --rows "sync,local K=10,cultural confidence"

A split is drawn by a seed, which also draws first weights and the order of samples: rows are compared split by split.
Accuracy is the mean over nodes; the worst node and the ensemble stand beside it. The command fails where a limit of
N=4 is not kept. Rows that the output file has from the same command line stay in it.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from energybench.workloads.distributed.train import workload

ROWS: Mapping[str, Mapping[str, Any]] = {
    "isolated": {"strategy": "isolated"},
    "own outputs fp32": {"strategy": "own-outputs", "codec": "fp32"},
    "same shard fp32": {"strategy": "cultural", "codec": "fp32", "shards": "same"},
    "sync": {"strategy": "sync"},
    "sync fp16": {"strategy": "sync", "compression": "fp16"},
    "sync PowerSGD": {"strategy": "sync", "compression": "powersgd"},
    "star": {"strategy": "star"},
    "local K=10": {"strategy": "local"},
    "cultural fp32": {"strategy": "cultural", "codec": "fp32"},
    "cultural 4bit": {"strategy": "cultural", "codec": "4bit"},
    "cultural confidence": {"strategy": "cultural"},
    "cultural top1": {"strategy": "cultural", "codec": "top1"},
    "cultural representation": {"strategy": "cultural", "codec": "representation"},
    "cultural sign": {"strategy": "cultural", "codec": "sign"},
    "mailbox confidence": {"strategy": "cultural", "carrier": "mailbox"},
    "mailbox mlp+conv": {"strategy": "cultural", "carrier": "mailbox", "net": "mlp+conv"},
    "distilled": {"strategy": "distilled"},
}
KEPT = ("accuracy", "accuracy_worst", "accuracy_ensemble", "payload_bytes_per_step", "tcp_bytes_per_step")


def main() -> int:
    arguments = _parsed()
    done: dict[str, dict[str, Any]] = _written(arguments)
    print(f"{'':<30}{'accuracy, %':<16}{'worst':<8}{'ensemble':<10}{'− isolated':<16}payload B/step/node")
    for nodes in map(int, arguments.nodes.split(",")):
        rows: dict[str, list[dict[str, Any]]] = {}
        for name in arguments.rows.split(","):
            key = f"N={nodes} {name}"
            if key not in done:
                done[key] = {"seeds": _row(arguments, name, nodes)}
                _write(arguments, done)
            rows[name] = done[key]["seeds"]
            print(_line(key, rows[name], rows.get("isolated")), flush=True)
    broken = list(_broken(done)) if _is_complete(done) else []
    for line in broken:
        print(line, file=sys.stderr)
    return bool(broken)


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", default="4", help="such as 2,4,8")
    parser.add_argument("--rows", default=",".join(ROWS), help="which of: " + ", ".join(ROWS))
    parser.add_argument("--splits", type=int, default=10)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--skew", type=float, default=0.0, help="Dirichlet parameter of the labels over nodes")
    parser.add_argument("--every", type=int, default=10)
    parser.add_argument("--weight", type=float, default=0.0)
    parser.add_argument("--output", type=Path, help="write the numbers here as JSON")
    return parser.parse_args()


def _row(arguments: argparse.Namespace, name: str, nodes: int) -> list[dict[str, Any]]:
    """One training a split. A first task is held open, so that all of them share their processes."""
    shared = {"nodes": nodes, "steps": arguments.steps, "skew": arguments.skew, "every": arguments.every}
    chosen = {**shared, **({"weight": arguments.weight} if arguments.weight else {}), **ROWS[name]}
    held = workload.prepare(chosen, seed=0, quick=False)
    try:
        return [_training(chosen, seed) for seed in range(arguments.splits)]
    finally:
        held.close()


def _training(chosen: Mapping[str, Any], seed: int) -> dict[str, Any]:
    task = workload.prepare(chosen, seed=seed, quick=False)
    try:
        begin = time.perf_counter()
        found = task.evaluate()
        nodes = task.details()["distributed"]["nodes"]
        differences = [one["measured_minus_model_per_step"] for one in nodes if "measured_minus_model_per_step" in one]
        return {
            "seed": seed,
            **{key: found[key] for key in KEPT if key in found},
            "seconds": time.perf_counter() - begin,
            "late": sum(one.get("late", 0) for one in nodes),
            "largest_difference_from_the_model_per_step": max(map(abs, differences), default=None),
        }
    finally:
        task.close()


def _line(key: str, seeds: Sequence[Mapping[str, Any]], isolated: Sequence[Mapping[str, Any]] | None) -> str:
    found = [100 * one["accuracy"] for one in seeds]
    parts = [f"{key:<30}", f"{_spread(found):<16}"]
    for name, width in (("accuracy_worst", 8), ("accuracy_ensemble", 10)):
        values = [100 * one[name] for one in seeds if name in one]
        parts.append(f"{statistics.fmean(values) if values else float('nan'):<{width}.2f}")
    above = [a - 100 * b["accuracy"] for a, b in zip(found, isolated or [], strict=False)]
    parts.append(f"{_spread(above) if above else '':<16}")
    payload = [one["payload_bytes_per_step"] for one in seeds if "payload_bytes_per_step" in one]
    return "".join(parts) + (f"{statistics.fmean(payload):,.0f}" if payload else "")


def _spread(values: Sequence[float]) -> str:
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.fmean(values):.2f} ± {deviation:.2f}"


def _is_complete(done: Mapping[str, Any]) -> bool:
    return all(f"N=4 {name}" in done for name in ROWS)


def _broken(done: Mapping[str, Any]) -> list[str]:
    """What is asked of N=4, in points: what teaches must gain, what only looks like teaching must not."""
    mean = {name: 100 * statistics.fmean(one["accuracy"] for one in done[f"N=4 {name}"]["seeds"]) for name in ROWS}
    alone, best = mean["isolated"], mean["sync"]
    limits = {
        "cultural confidence ≥ 93.0": mean["cultural confidence"] >= 93.0,
        "cultural fp32 ≥ isolated + 4 and ≥ sync − 2.5": mean["cultural fp32"] >= max(alone + 4, best - 2.5),
        "cultural confidence ≥ isolated + 4 and ≥ sync − 2.5": mean["cultural confidence"]
        >= max(alone + 4, best - 2.5),
        "local within 1.0 of sync": abs(mean["local K=10"] - best) <= 1.0,
        "own outputs < isolated + 1": mean["own outputs fp32"] < alone + 1,
        "same shard < isolated + 1": mean["same shard fp32"] < alone + 1,
        "sign < isolated": mean["cultural sign"] < alone,
    }
    return [f"not kept at N=4: {name}" for name, kept in limits.items() if not kept]


def _settings(arguments: argparse.Namespace) -> dict[str, Any]:
    return {key: value for key, value in vars(arguments).items() if key not in ("output", "rows", "nodes")}


def _written(arguments: argparse.Namespace) -> dict[str, dict[str, Any]]:
    if not arguments.output or not arguments.output.exists():
        return {}
    kept = json.loads(arguments.output.read_text(encoding="utf-8"))
    return dict(kept["rows"]) if kept["settings"] == _settings(arguments) else {}


def _write(arguments: argparse.Namespace, rows: Mapping[str, Any]) -> None:
    if arguments.output:
        text = json.dumps({"settings": _settings(arguments), "rows": rows}, indent=1)
        arguments.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
