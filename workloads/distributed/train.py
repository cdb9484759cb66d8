"""`dist-train`: one training on many nodes, by a strategy that says what they tell each other."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from energybench.model import Parameter, Task
from energybench.workloads import resolve
from energybench.workloads._devices import check_device, check_positive
from energybench.workloads.distributed import _recipe, links

if TYPE_CHECKING:
    from energybench.distributed.seat import Node, Seat

STRATEGIES = ("isolated", "own-outputs", "star", "sync", "local", "cultural", "distilled")
CODECS = ("confidence", "fp32", "4bit", "top1", "representation", "sign")
_STEPS, _QUICK_STEPS = 1000, 400
# Similarities between samples are smaller numbers than a cross-entropy.
_WEIGHTS = {"representation": 30.0}


class DistTrain:
    """Nodes that train together, as processes on this host or as ranks that torchrun or Slurm started."""

    name = "dist-train"
    version = 1
    summary = "Trains on many nodes: synchronized, through a server, by local steps, or by cultural exchange of outputs"
    parameters: Mapping[str, Parameter] = {
        "nodes": Parameter(default=2, help="processes that train; under torchrun or Slurm: as many as there are"),
        "strategy": Parameter(
            default="cultural",
            help="sync: gradients averaged every step; star: through node 0; local: weights averaged every few steps; "
                 "cultural: outputs told; distilled: alone, then one network taught by all; own-outputs: a control",
            choices=STRATEGIES,
        ),
        "codec": Parameter(default="confidence", help="what is told of an output", choices=CODECS),
        "carrier": Parameter(
            default="gather", help="mailbox: nodes launched one by one, which may die and come back",
            choices=("gather", "mailbox"),
        ),
        "compression": Parameter(
            default="none", help="of gradients under sync", choices=("none", "fp16", "powersgd")
        ),
        "net": Parameter(default="mlp", help="mlp or conv; mlp+conv: nodes take them in turn"),
        "hidden": Parameter(default=128, help="hidden units"),
        "data": Parameter(default="digits", help="digits, glyphs, or a folder with MNIST's or CIFAR's files"),
        "labels": Parameter(default=75, help="labelled samples of a node"),
        "shared": Parameter(default=600, help="inputs without labels that all nodes have"),
        "shards": Parameter(default="apart", help="same: every node has the same labels, a control",
                            choices=("apart", "same")),
        "skew": Parameter(default=0.0, help="Dirichlet parameter of the labels over nodes, as 0.3; 0: evenly"),
        "steps": Parameter(default=0, help="of the training, 0: 1000, with --quick 400"),
        "batch": Parameter(default=32, help="labelled samples a step and node"),
        "every": Parameter(default=10, help="steps between two exchanges of local and cultural"),
        "weight": Parameter(default=0.0, help="of the loss against what others told, 0: by the codec (1; of "
                                              "representation 30)"),
        "learning_rate": Parameter(default=0.05, help="of SGD with momentum 0.9, at the start; it falls on a cosine"),
        "checkpoint": Parameter(default=100, help="steps between two checkpoints of the training, 0: none"),
        "checkpoints": Parameter(default="", help="a folder for them, which a later run goes on from; empty: for this "
                                                  "run alone"),
        "restarts": Parameter(default=3, help="how often lost nodes are started anew"),
        "timeout": Parameter(default=60.0, help="seconds that a node waits for its peers at most"),
        "link": Parameter(default="ethernet-1g", help="between the hosts of the modelled scaling curve, as "
                                                      "ethernet-100m, ethernet-10g, ethernet-400g"),
        "device": Parameter(default="cpu", help="cpu: over gloo; cuda: over nccl, a GPU a node",
                            choices=("cpu", "cuda")),
        "threads": Parameter(default=1, help="torch's threads of a node"),
    }  # fmt: skip
    matrix: Mapping[str, tuple[int | str, ...]] = {
        "nodes": (2, 4),
        "strategy": ("isolated", "star", "sync", "local", "cultural"),
    }
    """What `run` compares where nothing else is asked for."""

    def prepare(self, parameters: Mapping[str, int | float | str | bool], *, seed: int, quick: bool) -> Task:
        """Start the nodes, or take those that are given, and have each make its part."""
        # A dict of Any: `resolve` has checked each value's type.
        values: dict[str, Any] = dict(resolve(self.parameters, parameters))
        check_positive(values, "nodes", "hidden", "labels", "shared", "batch", "every", "threads")
        check_device(values["device"])
        values["steps"] = values["steps"] or (_QUICK_STEPS if quick else _STEPS)
        values["same_shard"] = values["shards"] == "same"
        values["weight"] = values["weight"] or _WEIGHTS.get(values["codec"], 1.0)
        links.named(values["link"])
        if values["restarts"] < 0:
            raise _recipe.RecipeError(f"restarts={values['restarts']} does not fit: it is 0 or more")
        recipe = _recipe.recipe(values)
        from energybench.workloads.distributed._task import Training

        return Training(recipe, values, seed=seed)

    def node(self, config: Mapping[str, Any], seat: "Seat") -> "Node":
        """A rank's part: the leader's recipe in plain values, and a folder for checkpoints."""
        from energybench.workloads.distributed import node

        return node.make(config, seat)


workload = DistTrain()
