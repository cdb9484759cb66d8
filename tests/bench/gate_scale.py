"""What reading a long history costs: 1,000 commits × 200 series of asv results, gate-like and as a history.

    python tests/bench/gate_scale.py --output docs/results/gate-scale.json

The tree is 20 benchmarks × 10 parameters, 8 samples of each summarised as asv does, with one +20 % step planted. Each
measurement is a process of its own: `gate` resolves two commits and judges them with noise floors learnt from the whole
history, `history` finds the change points of all series. CPU seconds and peak memory are those of that process.
"""

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "fakes"))

BENCHMARKS, PARAMETERS, SAMPLES, NOISE = 20, 10, 8, 0.01
PLANTED, STEP = 7, 1.2


def build(folder: Path, commits: int) -> None:
    """A repository with its results_dir."""
    from asv_tree import AsvTree, Benchmark, steady

    numbers = [[str(one) for one in range(PARAMETERS)]]
    made = [
        Benchmark(f"suite.Case{one:02}.energy_joules_per_sample", params=numbers, param_names=["n"])
        for one in range(BENCHMARKS)
    ]
    tree, draw = AsvTree(folder, made), random.Random(6)
    for place, commit in enumerate(tree.many_commits(commits)):
        between = 1 + NOISE * draw.gauss(0, 1)
        values = {
            one.name: [
                steady(SAMPLES, NOISE, lambda: draw.gauss(0, 1), between * _level(which, place, commits))
                for _ in range(PARAMETERS)
            ]
            for which, one in enumerate(made)
        }
        tree.result(commit, values)


def _level(benchmark: int, place: int, commits: int) -> float:
    return STEP if benchmark == PLANTED and place >= commits // 2 else 1.0


def gate(folder: Path) -> dict[str, Any]:
    """Resolve the first and the last commit, learn the floors, judge."""
    from energybench.gate import judge
    from energybench.gating.floors import floors
    from energybench.gating.rules import Rules
    from energybench.gating.sides import Library, resolve_both

    library = Library(repository=folder, records=folder / "records")
    base, head = resolve_both("main~600" if _count(folder) > 600 else "main~1", "main", library)
    floor_of = floors(library)
    one = next(iter(head.series.values()))
    found = judge(base, head, Rules(), floors=floor_of)
    floor = floor_of(one)
    words = {word: len(found.of(word)) for word in ("pass", "regression", "inconclusive", "not measured")}
    return {"series": len(head.series), "floor": floor.relative if floor else None, "exit": found.exit, **words}


def changes(folder: Path) -> dict[str, Any]:
    """The change points of all series."""
    from energybench.gating.library import Library
    from energybench.history import history

    found = history(Library(repository=folder, records=folder / "records"))
    planted = [one for one in found.changes if f"Case{PLANTED:02}" in one.key.workload]
    return {"series": found.series, "changes": len(found.changes), "planted_found": len(planted)}


def _count(folder: Path) -> int:
    command = ["git", "-C", str(folder), "rev-list", "--count", "main"]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def _apart(what: str, folder: Path) -> dict[str, Any]:
    """One measurement in a process of its own."""
    command = [sys.executable, __file__, "--only", what, "--folder", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def main() -> None:
    """Build, measure, print; write where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--commits", type=int, default=1000)
    parser.add_argument("--folder", type=Path, help="a tree that was built before")
    parser.add_argument("--only", choices=["gate", "history"])
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    if given.only:
        began = time.perf_counter()
        result = {"gate": gate, "history": changes}[given.only](given.folder)
        used = resource.getrusage(resource.RUSAGE_SELF)
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = used.ru_utime + used.ru_stime + children.ru_utime + children.ru_stime
        cost = {"cpu_seconds": cpu, "wall_seconds": time.perf_counter() - began, "bytes": used.ru_maxrss * 1024}
        print(json.dumps({**cost, **result}))
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.folder or Path(scratch) / "tree"
        if not folder.exists():
            build(folder, given.commits)
        told = {"commits": given.commits, **{what: _apart(what, folder) for what in ("gate", "history")}}
    print(json.dumps(told, indent=2))
    if given.output:
        given.output.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
