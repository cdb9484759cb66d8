"""Training on many nodes: synchronized against cultural."""

from typing import Any

from energybench.workloads.benchmarks import _suite


class DistTrain(_suite.WorkloadSuite):
    """Nodes on this machine learn together, each on its own shard."""

    workload, definition = "dist-train", 1
    params = (_suite.points([2], [1, 2, 4, 8]), _suite.points(["sync", "cultural"], ["sync", "local", "cultural"]))
    param_names = ("nodes", "strategy")

    def energy_payload_bytes_per_step(self, _cache: str, *params: Any) -> list[float]:
        """Bytes that a node tells the others in a step."""
        return self.metric("payload_bytes_per_step", params)


_suite.describe(DistTrain, "payload_bytes_per_step", "bytes", "modelled")
