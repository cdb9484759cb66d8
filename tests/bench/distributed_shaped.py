"""What a step costs under a slow link, by strategy, and the accuracy that equal time buys. Needs root and iproute2.

    python tests/bench/distributed_shaped.py --output docs/results/distributed_shaped.json
    python tests/bench/distributed_shaped.py --quick

Four nodes train 64-1024-10 (76,810 weights) on the digits, each a network namespace with one rank (gloo, one thread),
its cable shaped to 100 Mbit/s both ways; see tests/fakes/netlab.py.

steps  a whole schedule of each strategy: milliseconds of a step, processor milliseconds (of a node's process: what the
       kernel does for the network is not in it) and bytes that a node sends in it, accuracy (mean over nodes). Their
       order is drawn anew for each seed; ratios of times are medians of the ratios of a seed.
time   accuracy after 2 to 40 seconds of training. Each strategy takes the steps that fit into that time at the median
       pace of `steps`, and its learning rate falls to 0 over just these: it is told how long it may train.

Equal time stands for equal energy, of which a machine without counters has estimates alone. All nodes share this host's
cores, so computing is slower here than on hosts of their own, which flatters no strategy that sends much.
"""

import argparse
import importlib.util
import json
import os
import random
import signal
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

NODES, HIDDEN, EVERY = 4, 1024, 10
STRATEGIES: dict[str, dict[str, Any]] = {
    "isolated": {"strategy": "isolated"},
    "star": {"strategy": "star"},
    "sync": {"strategy": "sync"},
    "local": {"strategy": "local"},
    "cultural": {"strategy": "cultural"},
    "cultural fp32": {"strategy": "cultural", "codec": "fp32"},
}
RATIOS = {"sync / cultural": 5.0, "star / sync": 1.7}
"""Times of a step, and what is asked of their ratio at least."""
AT_EQUAL_TIME = ("sync", "local", "cultural")
BUDGETS, QUICK_BUDGETS = (2.0, 5.0, 10.0, 20.0, 40.0), (2.0, 5.0)


def main() -> None:
    """Parse, build the network, and run what follows in the leader's namespace."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", default="steps,time")
    parser.add_argument("--rate", type=float, default=1e8, help="bits per second of each cable")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--budgets", default=",".join(map(str, BUDGETS)), help="seconds of training")
    parser.add_argument("--quick", action="store_true", help="one seed, 50 steps, 2 and 5 seconds")
    parser.add_argument("--output", type=Path, help="a JSON file to write the numbers to")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.quick:
        given.seeds, given.steps, given.budgets = 1, 50, ",".join(map(str, QUICK_BUDGETS))
    if given.inside:
        measure(given)
        return
    netlab = _netlab()
    if reason := netlab.why_not():
        sys.exit(reason)
    with netlab.lab(NODES, rate=given.rate) as net:
        command = [*net.at_leader, sys.executable, __file__, *sys.argv[1:], "--inside"]
        # In a session of its own Ctrl-C does not reach it: it is told once, and lets its ranks go first.
        with subprocess.Popen(command, env=net.environment, start_new_session=True) as inside:
            try:
                code = inside.wait()
            except BaseException:
                inside.send_signal(signal.SIGINT)
                inside.wait(timeout=30)
                raise
    sys.exit(code)


def measure(given: argparse.Namespace) -> None:
    """All cases, on ranks that stay up throughout."""
    import torch

    torch.set_num_threads(1)
    found: dict[str, Any] = {"rate": given.rate, "nodes": NODES, "hidden": HIDDEN, "steps": given.steps}
    found |= {"seeds": given.seeds, "cores": os.cpu_count(), "torch": torch.__version__}
    found |= {"load before": os.getloadavg()[0]}
    with closing(_prepared("isolated", EVERY, seed=0)):
        runs = steps(given.steps, given.seeds)
        found["step"] = {name: _spreads(seen) for name, seen in runs.items()}
        found["ratios"] = ratios(runs)
        if "time" in given.cases:
            pace = {name: statistics.median(run["seconds"] for run in seen) for name, seen in runs.items()}
            found["equal time"] = equal_time(pace, [float(one) for one in given.budgets.split(",")], given.seeds)
    found["load after"] = os.getloadavg()[0]
    if given.output:
        given.output.parent.mkdir(parents=True, exist_ok=True)
        given.output.write_text(json.dumps(found, indent=1) + "\n")


def steps(count: int, seeds: int) -> dict[str, list[dict[str, float]]]:
    """A training of each strategy and seed."""
    print(f"{'strategy':14s} seed  ms/step  CPU ms  TCP B/step  wire B/step  accuracy", flush=True)
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in STRATEGIES}
    for seed, name in _interleaved(list(STRATEGIES), seeds):
        run = trained(name, count, seed)
        runs[name].append(run)
        print(
            f"{name:14s} {seed:4d} {1e3 * run['seconds']:8.2f} {1e3 * run['cpu_seconds']:7.2f} "
            f"{_bytes(run, 'tcp_bytes'):>11s} {_bytes(run, 'wire_bytes'):>12s} {100 * run['accuracy']:8.2f} %",
            flush=True,
        )
    return runs


def ratios(runs: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    """How many times as long a step is, seed by seed."""
    found = {}
    for pair, least in RATIOS.items():
        longer, shorter = (runs[name] for name in pair.split(" / "))
        seen = [one["seconds"] / other["seconds"] for one, other in zip(longer, shorter, strict=True)]
        found[pair] = {"median": statistics.median(seen), "low": min(seen), "high": max(seen), "least": least}
        mark = "" if statistics.median(seen) >= least else "  *"
        print(f"{pair}: {statistics.median(seen):.2f} [{min(seen):.2f} to {max(seen):.2f}], asked {least}{mark}")
    return found


def equal_time(pace: dict[str, float], budgets: Sequence[float], seeds: int) -> dict[str, Any]:
    """By seconds of training and strategy: steps, the seconds that they took, and accuracy."""
    cases = [(budget, name) for budget in budgets for name in AT_EQUAL_TIME]
    runs: dict[tuple[float, str], list[dict[str, float]]] = {case: [] for case in cases}
    for seed, (budget, name) in _interleaved(cases, seeds):
        count = max(1, round(budget / pace[name] / EVERY)) * EVERY
        run = trained(name, count, seed)
        runs[budget, name].append({"steps": count, "passed": run["seconds"] * count, "accuracy": run["accuracy"]})
        print(
            f"{budget:4.0f} s, {name:9s} seed {seed}: {count} steps in {run['seconds'] * count:.2f} s, "
            f"{100 * run['accuracy']:.2f} %",
            flush=True,
        )
    print(f"\nseconds  {'  '.join(f'{name:>16s}' for name in AT_EQUAL_TIME)}")
    found: dict[str, Any] = {}
    for budget in budgets:
        rows = {name: _spreads(runs[budget, name]) for name in AT_EQUAL_TIME}
        shares = [rows[name]["accuracy"] for name in AT_EQUAL_TIME]
        print(f"{budget:7.0f}  {'  '.join(f'{_percent(one):>16s}' for one in shares)}")
        found[f"{budget:g}"] = rows
    return found


def trained(name: str, count: int, seed: int) -> dict[str, float]:
    """A whole schedule: seconds of a step (the slowest node's), processor seconds and bytes of a node, accuracy."""
    with closing(_prepared(name, count, seed=seed)) as task:
        results, nodes = task.evaluate(), task.details()["distributed"]["nodes"]
    for n in nodes:
        if "measured_minus_model_per_step" not in n:
            print("MISSING", name, n)
    found = {
        "seconds": max(node["seconds"] for node in nodes) / count,
        "cpu_seconds": statistics.fmean(node["cpu_seconds"] for node in nodes) / count,
        "accuracy": results["accuracy"],
    }
    beyond = [abs(node["measured_minus_model_per_step"]) for node in nodes if "measured_minus_model_per_step" in node]
    found |= {"beyond_model_bytes": max(beyond)} if len(beyond) == NODES else {}
    kinds = ("payload_bytes", "tcp_bytes", "wire_bytes")
    return found | {kind: results[f"{kind}_per_step"] for kind in kinds if f"{kind}_per_step" in results}


def _prepared(name: str, count: int, *, seed: int) -> Any:
    from energybench.workloads.distributed.train import workload

    asked = {"nodes": NODES, "hidden": HIDDEN, "every": EVERY, "steps": count, "checkpoint": 0, "restarts": 0}
    return workload.prepare(asked | STRATEGIES[name], seed=seed, quick=False)


def _interleaved(cases: Sequence[Any], seeds: int) -> Iterator[tuple[int, Any]]:
    order = random.Random(0)
    for seed in range(seeds):
        for case in order.sample(cases, len(cases)):
            yield seed, case


def _spreads(runs: Sequence[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Mean and standard deviation of what every run says; one run has none of the latter."""
    keys = [key for key in runs[0] if all(key in run for run in runs)]
    columns = {key: [run[key] for run in runs] for key in keys}
    return {
        key: {"mean": statistics.fmean(values)} | ({"sd": statistics.stdev(values)} if len(values) > 1 else {})
        for key, values in columns.items()
    }


def _bytes(run: dict[str, float], kind: str) -> str:
    return f"{run[kind]:,.0f}" if kind in run else "not read"


def _percent(share: dict[str, float]) -> str:
    return f"{100 * share['mean']:.2f}" + (f" ± {100 * share['sd']:.2f}" if "sd" in share else "") + " %"


def _netlab() -> Any:
    """The module beside the tests' other fakes; `tests` is no package."""
    path = Path(__file__).resolve().parent.parent / "fakes/netlab.py"
    spec = importlib.util.spec_from_file_location("netlab", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["netlab"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()
