"""Equilibrium propagation beside backpropagation, and its analog crossbars."""

from energybench.workloads.benchmarks import _suite


class EqpropRelax(_suite.WorkloadSuite):
    """The free phase, sweep by sweep to a tolerance: how many are counted depends on the minibatch."""

    exact = False
    workload, definition = "eqprop-relax", 1
    params, param_names = [_suite.points(["async"], ["async", "sync"])], ["mode"]


class EqpropTrain(_suite.WorkloadSuite):
    """Learning from two phases that differ by a nudge."""

    workload, definition = "eqprop-train", 1
    params = (_suite.points(["centered"], ["centered", "one-sided", "random-sign"]),)
    param_names = ("estimator",)


class EqpropAnalog(_suite.WorkloadSuite):
    """Learning with the mismatch of analog crossbars."""

    workload, definition = "eqprop-analog", 1
    params, param_names = [_suite.points([0.4], [0.0, 0.2, 0.4])], ["gain"]


class BpTrain(_suite.WorkloadSuite):
    """The same network by backpropagation."""

    workload, definition = "bp-train", 1
    params, param_names = [_suite.points([64], [16, 64, 256])], ["batch"]


class BpttTrain(_suite.WorkloadSuite):
    """The same dynamics by backpropagation through time."""

    workload, definition = "bptt-train", 1
    params, param_names = [_suite.points([64], [16, 64, 256])], ["batch"]
