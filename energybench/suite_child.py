"""Run by path in a project's own Python: lists the `EnergySuite`s of an asv suite, or measures one of their points.

    python -P suite_child.py TREE list BENCHMARK_DIR
    python -P suite_child.py TREE measure BENCHMARK_DIR MODULE.CLASS INDEX ROUND

TREE has the files of the commit that is measured: packages of these names that come from elsewhere are an error, and so
is a suite that is not that of BENCHMARK_DIR. Of a suite with several seeds, a round has one of them in turn. On stdout
is one JSON object. It needs asv_runner, and what the suite itself imports.
"""

import importlib
import itertools
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any


def suites(folder: Path) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """Every suite by its name, and the modules that could not be imported, with the reason."""
    from asv_runner import discovery
    from asv_runner._aux import update_sys_path

    update_sys_path(str(folder))
    broken: list[dict[str, str]] = []

    def imported(name: str) -> Any:
        try:
            return importlib.import_module(name)
        except BaseException as error:
            traceback.print_exc()
            broken.append({"module": name, "reason": f"{type(error).__name__}: {error}"})
            raise

    # asv_runner goes on without a module that fails, and tells nobody which: this lets us know.
    discovery.importlib = type("Importing", (), {"import_module": staticmethod(imported)})
    found = {}
    for benchmark in discovery.disc_benchmarks(str(folder), ignore_import_errors=True):
        owner = getattr(benchmark.func, "__self__", None)
        if hasattr(owner, "measured"):
            found[benchmark.name.rpartition(".")[0]] = owner
    return found, broken


def points(suite: Any) -> list[tuple[Any, ...]]:
    """Its parameter points, in asv's order."""
    params = list(suite.params)
    if params and not isinstance(params[0], list | tuple):
        params = [params]
    return list(itertools.product(*params))


def strangers(tree: Path, suite: Path) -> list[str]:
    """Packages and modules of the tree that were imported from somewhere else, as an installed copy is."""
    own = {
        place.name if place.is_dir() else place.stem
        for base in (tree, tree / "src")
        for place in base.glob("*")
        if (place / "__init__.py").is_file() or place.suffix == ".py"
    }
    # The suite is that of the checkout, for every commit.
    files = {name: getattr(sys.modules.get(name), "__file__", None) for name in own - {suite.name}}
    return [f"{name} from {file}" for name, file in sorted(files.items()) if file and not _is_below(Path(file), tree)]


def foreign_suite(suite: Path) -> list[str]:
    """Modules of the suite that were imported from somewhere else, as the commit's own are."""
    own = [name for name in sys.modules if name.partition(".")[0] == suite.name]
    files = {name: getattr(sys.modules[name], "__file__", None) for name in own}
    return [f"{name} from {file}" for name, file in sorted(files.items()) if file and not _is_below(Path(file), suite)]


def measured(suite: Any, point: tuple[Any, ...], number: int) -> dict[str, Any]:
    """What a round of a point says, with one seed of those that the suite has."""
    if seeds := tuple(getattr(suite, "seeds", ())):
        suite.seeds = (seeds[number % len(seeds)],)
    told: dict[str, Any] = suite.measured(point)
    return told


def _is_below(file: Path, tree: Path) -> bool:
    return file.resolve().is_relative_to(tree.resolve())


def main(words: list[str]) -> int:
    """Do what the words say, and print the answer."""
    tree, words = Path(words[0]), words[1:]
    folder = Path(words[1]).resolve()
    # What suites print is not the answer.
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    found, broken = suites(folder)
    if words[0] == "list":
        listed = [
            {"suite": name, "index": index, "workload": suite.name, "parameters": suite.named(point)}
            for name, suite in found.items()
            for index, point in enumerate(points(suite))
        ]
        told: dict[str, Any] = {"points": listed, "broken": broken}
    else:
        suite = found.get(words[2])
        lost = "; ".join(f"{one['module']}: {one['reason']}" for one in broken)
        told = {"error": f"there is no suite {words[2]}" + (f" ({lost})" if lost else "")}
        if suite is not None:
            told = measured(suite, points(suite)[int(words[3])], int(words[4]))
    if others := foreign_suite(folder):
        told = {"error": f"the suite is not the one of {folder}, but {', '.join(others)}; name its folder in full"}
    elif foreign := strangers(tree, folder):
        told = {
            "error": f"not the commit's files were measured, but {', '.join(foreign)}; uninstall it from this Python"
        }
    json.dump(told, answer)
    answer.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
