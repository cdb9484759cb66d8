"""Runs networks in the CUDA engine without a GPU and compares them with plain integers; prints JSON, a line a case.

Triton is told to interpret its kernels before it is imported, therefore this is a process of its own:
`TRITON_INTERPRET=1 python interpreted_engine.py FOLDER`. FOLDER keeps what the host compiler builds.
"""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import torch

from energybench import operations
from energybench.workloads.qnn.cuda.engine import CudaNetwork


def beside(name):
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Heard:
    def __init__(self):
        self.costs = []

    def announced(self, name, cost):
        self.costs.append(
            (name, None if cost is None else (cost.read_bytes, cost.written_bytes, dict(cost.operations)))
        )


def run(name, network, rows, arithmetic, samples=None):
    random = np.random.default_rng(7)
    pixels = make.pixels(random, network, samples or rows)
    engine = CudaNetwork(network, rows=rows, arithmetic=arithmetic, device="cpu", compiler=compiler)
    # Other pixels first: nothing of a former batch may stay in a buffer.
    engine(torch.from_numpy(make.pixels(random, network, rows)))
    heard = Heard()
    with operations.counting(heard):
        found = engine(torch.from_numpy(pixels)).numpy()
    wanted = oracle.scores(network, pixels)
    case = {
        "case": name,
        "kernels": engine.kernels,
        "different": int((found != wanted).sum()),
        "relative": float(abs(found - wanted).max() / abs(wanted).max()),
        "heard": heard.costs,
    }
    print(json.dumps(case), flush=True)


def main():
    random = np.random.default_rng(0)
    perceptron, image = (50, 70, 90, 10), (5, 7, 3)
    run("w1a1 single", make.mlp(random, 1, 1, perceptron), 1, "auto")
    run("w1a1 many", make.mlp(random, 1, 1, (50, 530, 40)), 70, "auto", samples=67)
    run("w1a1 int8", make.mlp(random, 1, 1, (50, 530, 10)), 5, "int8")
    run("w2a2 int8", make.mlp(random, 2, 2, perceptron), 18, "int8", samples=1)
    run("w3a4 int8", make.mlp(random, 3, 4, (50, 70, 10)), 66, "int8")
    run("w4a8 auto", make.mlp(random, 4, 8, (50, 70, 10)), 4, "auto")
    run("w8a8 few", make.mlp(random, 8, 8, perceptron), 3, "auto")
    run("w8a2 many", make.mlp(random, 8, 2, perceptron), 37, "auto")
    run("w8a8 fp8", make.mlp(random, 8, 8, perceptron), 20, "fp8")
    run("mixed", make.mixed(random), 6, "auto")
    run("w32a32", make.mlp(random, 32, 32, perceptron), 9, "auto")
    run("w16a16", make.mlp(random, 16, 16, perceptron), 9, "auto")
    run("w32a2", make.mlp(random, 32, 2, perceptron), 9, "auto")
    run("w1a1 map", make.convolutional(random, 1, 1, image, (20, 36), 10), 1, "bits")
    run("w2a3 map", make.convolutional(random, 2, 3, (4, 5, 2), (20, 36), 10), 2, "int8")
    run("w3a8 map", make.convolutional(random, 3, 8, (6, 4, 1), (16, 40), 10), 2, "int8")
    run("w8a8 map", make.convolutional(random, 8, 8, image, (20, 36), 10), 1, "auto")
    run("w32a32 map", make.convolutional(random, 32, 32, image, (20, 36), 10), 2, "auto")
    run("w4a16 map", make.convolutional(random, 4, 16, image, (20, 36), 10), 2, "auto")


if __name__ == "__main__":
    torch.set_num_threads(1)
    make, oracle = beside("random_network"), beside("integer_network")
    compiler = beside("cuda_on_host").compiler(Path(sys.argv[1]))
    main()
