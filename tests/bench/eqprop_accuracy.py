"""Test errors of equilibrium propagation and of backpropagation on the same splits, and CPU seconds of a training.

    python tests/bench/eqprop_accuracy.py --output docs/results/eqprop_accuracy.json
    python tests/bench/eqprop_accuracy.py --data path/to/mnist --net 784-500-10 --splits 1 --epochs 25 \
        --rows "centered 12/8,BP hard-sigmoid" --output docs/results/eqprop_mnist.json

A split is drawn by a seed, which also draws the first weights and the order of the samples. CPU seconds are those of
the process from the first weights to the last step, data loaded before, with one thread. The command fails where a
limit of `digits` is not kept: mean error of the centered row, CPU seconds of its median run, and its error over that
of backpropagation with the same units. Rows that the output file has from the same command line stay in it.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from energybench.workloads import data
from energybench.workloads.eqprop.learning import Recipe, Trainer

MAIN, SAME = "centered 12/8", "BP hard-sigmoid"
ROWS: Mapping[str, Mapping[str, object]] = {
    MAIN: {"free": 12, "nudged": 8},
    "centered 12/8 β=0.2": {"free": 12, "nudged": 8, "beta": 0.2},
    "centered 4/4": {"free": 4, "nudged": 4},
    "centered to 1e-3": {"free": 40, "nudged": 20, "tolerance": 1e-3},
    "one-sided 12/8": {"free": 12, "nudged": 8, "estimator": "one-sided"},
    "one-sided 4/4": {"free": 4, "nudged": 4, "estimator": "one-sided"},
    "random-sign 12/8": {"free": 12, "nudged": 8, "estimator": "random-sign"},
    SAME: {"method": "bp"},
    "BP ReLU": {"method": "bp", "hidden": "relu"},
    "BPTT 12": {"method": "bptt", "free": 12},
}
LIMITS = {"error_percent": 2.6, "cpu_seconds": 1.3, "above_backprop_points": 1.5}


def main() -> int:
    arguments = _parsed()
    torch.set_num_threads(1)
    # The first step of a process pays for what torch sets up.
    _run(_recipe(arguments, MAIN, seed=0), epochs=1)
    rows: dict[str, Mapping[str, object]] = {}
    print(f"{'':<22}{'test error, %':<18}{'train error, %':<18}CPU s a run")
    for name in arguments.rows.split(","):
        rows[name] = _row(arguments, name)
        print(_line(name, rows[name]), flush=True)
        if arguments.output:
            _write(arguments, name, rows[name])
    broken = _broken(rows) if arguments.data == "digits" and arguments.net in ("", "64-128-10") else []
    for line in broken:
        print(line, file=sys.stderr)
    return bool(broken)


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="digits", help="digits, glyphs, or a directory of MNIST's or CIFAR's files")
    parser.add_argument("--net", default="", help="as in eqprop-train; empty: one hidden layer of 128")
    parser.add_argument("--rows", default=",".join(ROWS), help="which of: " + ", ".join(ROWS))
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--output", type=Path, help="write the numbers here as JSON")
    for name in ("epochs", "batch", "learning_rate"):
        default = getattr(Recipe(), name)
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default)
    arguments = parser.parse_args()
    if unknown := set(arguments.rows.split(",")) - set(ROWS):
        parser.error(f"there are no rows {', '.join(sorted(unknown))}: choose from {', '.join(ROWS)}")
    return arguments


def _recipe(arguments: argparse.Namespace, name: str, *, seed: int) -> Recipe:
    given = {one: getattr(arguments, one) for one in ("data", "net", "epochs", "batch", "learning_rate")}
    return Recipe(**given, **ROWS[name], seed=seed)


def _row(arguments: argparse.Namespace, name: str) -> Mapping[str, object]:
    """The runs of a row, and what they come to; a training that stopped has no error, and is counted."""
    runs = [_run(_recipe(arguments, name, seed=seed)) for seed in range(arguments.splits)]
    ended = [run for run in runs if "stopped" not in run]
    errors = [run["error_percent"] for run in ended]
    row: dict[str, object] = {"stopped": len(runs) - len(ended), "runs": runs}
    if ended:
        row |= {
            "error_percent_mean": round(statistics.mean(errors), 3),
            "error_percent_sd": round(statistics.stdev(errors), 3) if len(errors) > 1 else 0.0,
            "train_error_percent_mean": round(statistics.mean(run["train_error_percent"] for run in ended), 3),
            "cpu_seconds_median": statistics.median(run["cpu_seconds"] for run in ended),
        }
    return row


def _run(recipe: Recipe, *, epochs: int | None = None) -> Mapping[str, object]:
    dataset = data.load(recipe.data, seed=recipe.seed)
    started = time.perf_counter(), time.process_time()
    trainer = Trainer(recipe, dataset)
    try:
        loss = [trainer.epoch() for _ in range(epochs or recipe.epochs)][-1]
    except ValueError as error:
        return {"seed": recipe.seed, "stopped": str(error)}
    seconds, cpu_seconds = time.perf_counter() - started[0], time.process_time() - started[1]
    trained = trainer.scores(dataset.train_pixels).argmax(1) == torch.from_numpy(dataset.train_labels)
    return {
        "seed": recipe.seed,
        "error_percent": 100 * (1 - trainer.accuracy()),
        "train_error_percent": 100 * (1 - float(trained.double().mean())),
        "loss": loss,
        "seconds": round(seconds, 3),
        "cpu_seconds": round(cpu_seconds, 3),
    }


def _broken(rows: Mapping[str, Mapping[str, object]]) -> Sequence[str]:
    """The limits of `digits` that these rows do not keep, a line each."""
    if MAIN not in rows:
        return []
    if rows[MAIN]["stopped"]:
        return [f"{MAIN}: {rows[MAIN]['stopped']} runs stopped"]
    found = {
        "error_percent": rows[MAIN]["error_percent_mean"],
        "cpu_seconds": rows[MAIN]["cpu_seconds_median"],
    }
    if SAME in rows:
        found["above_backprop_points"] = rows[MAIN]["error_percent_mean"] - rows[SAME]["error_percent_mean"]
    above = {name: value for name, value in found.items() if value > LIMITS[name]}
    return [f"{MAIN}: {name} is {value:.3g}, above {LIMITS[name]}" for name, value in above.items()]


def _line(name: str, row: Mapping[str, object]) -> str:
    stopped = f"   {row['stopped']} of {len(row['runs'])} runs stopped" if row["stopped"] else ""
    if "error_percent_mean" not in row:
        return f"{name:<22}{stopped}"
    error = f"{row['error_percent_mean']:.2f} ± {row['error_percent_sd']:.2f}"
    train, seconds = row["train_error_percent_mean"], row["cpu_seconds_median"]
    return f"{name:<22}{error:<18}{train:<18.2f}{seconds:.2f}{stopped}"


def _write(arguments: argparse.Namespace, name: str, row: Mapping[str, object]) -> None:
    content: dict[str, object] = {
        "data": Path(arguments.data).name,
        "net": arguments.net or "one hidden layer of 128",
        "splits": arguments.splits,
        "epochs": arguments.epochs,
        "batch": arguments.batch,
        "learning_rate": arguments.learning_rate,
        "torch": torch.__version__,
        "isa": torch.backends.cpu.get_cpu_capability(),
        "threads": 1,
        "limits": LIMITS,
    }
    path = arguments.output
    before = json.loads(path.read_text()) if path.exists() else {}
    same = all(before.get(key) == value for key, value in content.items())
    content["rows"] = (before["rows"] if same else {}) | {name: row}
    path.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
