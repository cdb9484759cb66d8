"""Accuracy against bits: the test accuracy of trained networks, and whether their deployed form predicts the same.

    python tests/bench/digits.py --bits 1/1,2/2,4/4,32/32 --seeds 10 --epochs 60 --output docs/results/digits.json
    python tests/bench/digits.py --data glyphs --net vgg --hidden 16 --depth 3 --learning-rate 1e-2 --seeds 3 \
        --epochs 6 --bits 1/1,2/2,32/32 --output docs/results/glyphs.json

A seed draws the split and the network alike. `--bits` are weights / activations. The deployed network is run by the
integers of tests/fakes/integer_network.py on held-out samples; where there are floats, predictions are compared, else
every score. Rows of other bits that the output file has from the same recipe stay in it.
"""

import argparse
import dataclasses
import json
import statistics
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from energybench.workloads.qnn import bits, export, file, training
from energybench.workloads.qnn.training import Recipe, Trained

sys.path.insert(0, str(Path(__file__).parents[1] / "fakes"))
import integer_network


def main() -> None:
    arguments = _parsed()
    torch.set_num_threads(1)
    print(f"{'W/A':<8}{'test accuracy, %':<30}{'deployed the same':<20}{'seconds a run':<16}bytes")
    for pair in arguments.bits.split(","):
        wbits, abits = map(int, pair.split("/"))
        recipes = [_recipe(arguments, wbits=wbits, abits=abits, seed=seed) for seed in range(arguments.seeds)]
        runs = [_run(recipe, checked=arguments.checked) for recipe in recipes]
        row = {"wbits": wbits, "abits": abits, **_summed(runs), "runs": runs}
        print(_line(row), flush=True)
        if arguments.output:
            _write(arguments.output, arguments, row)


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bits", default="1/1,2/2,4/4,32/32", help="pairs of weights/activations")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--checked", type=int, default=1000, help="samples that the deployed network is compared on")
    parser.add_argument("--output", type=Path, help="write the numbers here as JSON")
    for field in dataclasses.fields(Recipe):
        if field.name not in ("wbits", "abits", "seed", "master"):
            parser.add_argument(f"--{field.name.replace('_', '-')}", type=type(field.default), default=field.default)
    parser.add_argument("--no-master", action="store_true", help="train without full-precision copies of the weights")
    return parser.parse_args()


def _recipe(arguments: argparse.Namespace, **changes: int) -> Recipe:
    own = {f.name for f in dataclasses.fields(Recipe)}
    given = {name: value for name, value in vars(arguments).items() if name in own}
    return Recipe(**given, **changes, master=not arguments.no_master)


def _run(recipe: Recipe, *, checked: int) -> Mapping[str, object]:
    started = time.perf_counter(), time.process_time()
    trained = training.train(recipe)
    seconds, cpu_seconds = time.perf_counter() - started[0], time.process_time() - started[1]
    training.forget()
    network = export.export(trained)
    pixels, labels = trained.dataset.test_pixels, trained.dataset.test_labels
    wanted = trained.predict(pixels)
    return {
        "seed": recipe.seed,
        "accuracy": float((wanted.argmax(1) == labels).mean()),
        "same": _same(trained, integer_network.scores(network, pixels[:checked]), wanted[:checked]),
        "seconds": round(seconds, 2),
        "cpu_seconds": round(cpu_seconds, 2),
        "file_bytes": file.size_bytes(network),
    }


def _same(trained: Trained, found: np.ndarray, wanted: np.ndarray) -> float:
    """The share of samples whose scores (where all is integers) or predictions (elsewhere) are identical."""
    if bits.is_integer(trained.recipe.wbits) and bits.is_integer(trained.recipe.abits):
        return float((found == wanted).all(1).mean())
    return float((found.argmax(1) == wanted.argmax(1)).mean())


def _summed(runs: list[Mapping[str, object]]) -> Mapping[str, float]:
    accuracies = [100 * run["accuracy"] for run in runs]
    return {
        "accuracy_mean_percent": round(statistics.mean(accuracies), 3),
        "accuracy_sd_percent": round(statistics.stdev(accuracies), 3) if len(runs) > 1 else 0.0,
        "accuracy_min_percent": round(min(accuracies), 3),
        "same": min(run["same"] for run in runs),
        "seconds_median": statistics.median(run["seconds"] for run in runs),
        "cpu_seconds_median": statistics.median(run["cpu_seconds"] for run in runs),
        "file_bytes": runs[0]["file_bytes"],
    }


def _line(row: Mapping[str, object]) -> str:
    name = f"W{row['wbits']}A{row['abits']}"
    mean, sd, least = (row[f"accuracy_{part}_percent"] for part in ("mean", "sd", "min"))
    accuracy = f"{mean:.2f} ± {sd:.2f}, least {least:.2f}"
    return f"{name:<8}{accuracy:<30}{row['same']:<20.4%}{row['seconds_median']:<16.1f}{row['file_bytes']}"


def _write(path: Path, arguments: argparse.Namespace, row: Mapping[str, object]) -> None:
    recipe = dataclasses.asdict(_recipe(arguments, wbits=0, abits=0, seed=0))
    for drawn in ("wbits", "abits", "seed"):
        del recipe[drawn]
    content = {
        "recipe": recipe,
        "seeds": arguments.seeds,
        "checked_samples": arguments.checked,
        "torch": torch.__version__,
        "threads": 1,
    }
    before = json.loads(path.read_text()) if path.exists() else {}
    same = all(before.get(name) == value for name, value in content.items())
    rows = {(one["wbits"], one["abits"]): one for one in (before["rows"] if same else [])}
    rows[row["wbits"], row["abits"]] = row
    content["rows"] = [rows[pair] for pair in sorted(rows)]
    path.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
