"""Quantized networks: inference and training by bit-width."""

from energybench.workloads.benchmarks import _suite

BITS = _suite.points([1, 8, 32], [1, 2, 3, 4, 8, 16, 32])


class QnnInfer(_suite.WorkloadSuite):
    """A deployed network classifies a batch."""

    workload, definition = "qnn-infer", 2
    params, param_names = [BITS], ["bits"]


class QnnTrain(_suite.WorkloadSuite):
    """A network learns with quantized passes."""

    workload, definition = "qnn-train", 1
    params, param_names = [BITS], ["bits"]
