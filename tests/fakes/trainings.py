"""Trainings one after another in one process; those that follow each other with as many nodes share a gang.

python trainings.py '[{"nodes": 2, "strategy": "sync"}, …]' prints a JSON line for each: what `evaluate` and `details`
say of it.
"""

import itertools
import json
import sys
from contextlib import ExitStack, closing

from energybench.workloads.distributed.train import workload


def main():
    for _, asked in itertools.groupby(json.loads(sys.argv[1]), key=lambda one: one["nodes"]):
        with ExitStack() as open_ones:
            for parameters in asked:
                task = open_ones.enter_context(closing(workload.prepare(parameters, seed=0, quick=True)))
                found = {"results": dict(task.evaluate()), "nodes": task.details()["distributed"]["nodes"]}
                print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
