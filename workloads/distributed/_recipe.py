"""How nodes are trained: every choice of a point, checked, in plain values that the leader sends to each rank."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

NETS = ("mlp", "conv")
TOGETHER = ("sync", "star", "local")
"""Strategies whose nodes have one set of weights: they begin with the same, and have one architecture."""
ALONE = ("isolated", "own-outputs", "distilled")
"""Strategies whose nodes wait for nobody, teachers of a student until they have learnt."""
TELLING = ("cultural", "own-outputs")
"""Strategies in which outputs are told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Every choice that makes a training.

    Attributes:
        nodes: how many.
        strategy: the name of a file in `strategies/`.
        codec: what is told of an output.
        carrier: `gather` or `mailbox`.
        compression: of gradients under `sync`: `none`, `fp16` or `powersgd`.
        net: `mlp` or `conv`, or several joined by `+` that the nodes take in turn.
        hidden: hidden units.
        data: of the data set.
        labels: labelled samples a node.
        shared: inputs without labels that all nodes have.
        same_shard: every node has the same labelled samples.
        skew: Dirichlet parameter of the labels' distribution over nodes; 0 for none.
        steps: of the optimizer; the learning rate falls to 0 over them on a cosine.
        batch: labelled samples a step and node.
        every: steps between two exchanges.
        weight: of the loss against what others told, after its warm-up.
        warmup: share of the steps over which that weight rises from 0.
        learning_rate: at the start.
        momentum: of SGD.
        decay: of the weights.
        checkpoint: steps between two checkpoints; 0 for none.
        timeout: seconds that a node waits for its peers at most.
        device: `cpu` or `cuda`.
        threads: torch's, in a node.
    """

    nodes: int
    strategy: str
    codec: str = "confidence"
    carrier: str = "gather"
    compression: str = "none"
    net: str = "mlp"
    hidden: int = 128
    data: str = "digits"
    labels: int = 75
    shared: int = 600
    same_shard: bool = False
    skew: float = 0.0
    steps: int = 1000
    batch: int = 32
    every: int = 10
    weight: float = 1.0
    warmup: float = 0.1
    learning_rate: float = 0.05
    momentum: float = 0.9
    decay: float = 1e-4
    checkpoint: int = 100
    timeout: float = 60.0
    device: str = "cpu"
    threads: int = 1

    @property
    def length(self) -> int:
        """Steps of a whole training: `distilled` trains twice, teachers and then a student."""
        return 2 * self.steps if self.strategy == "distilled" else self.steps

    @property
    def nets(self) -> tuple[str, ...]:
        """The architectures that nodes take in turn."""
        return tuple(self.net.split("+"))

    @property
    def key(self) -> str:
        """A few hexadecimal digits that stand for it."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:10]

    @property
    def independent(self) -> bool:
        """Whether each node is launched by itself and may die while the others go on."""
        return self.carrier == "mailbox"


def recipe(values: Mapping[str, Any]) -> Recipe:
    """The recipe of these parameters, others left out.

    Raises:
        RecipeError: they do not fit together; the message says what would do.
    """
    made = Recipe(**{field.name: values[field.name] for field in fields(Recipe) if field.name in values})
    _check(made)
    return made


class RecipeError(ValueError):
    """Parameters that do not fit together."""


def _check(made: Recipe) -> None:
    if unknown := [name for name in made.nets if name not in NETS]:
        raise RecipeError(f"net={made.net}: there is no {unknown[0]!r}; give mlp, conv, or both in turn as mlp+conv")
    if made.strategy in TOGETHER and len(set(made.nets)) > 1:
        raise RecipeError(
            f"net={made.net} does not fit strategy={made.strategy}: its nodes share weights; give one architecture, "
            "or strategy=cultural, in which nodes share outputs"
        )
    if made.compression != "none" and made.strategy != "sync":
        raise RecipeError(f"compression={made.compression} does not fit strategy={made.strategy}: it is of sync alone")
    if made.carrier == "mailbox" and made.strategy != "cultural":
        raise RecipeError(f"carrier=mailbox does not fit strategy={made.strategy}: only cultural has messages to leave")
    if made.steps % made.every:
        raise RecipeError(f"steps={made.steps} is no multiple of every={made.every}; give one that is")
    if made.skew < 0 or made.weight < 0 or not 0 <= made.warmup <= 1:
        raise RecipeError("skew and weight are 0 or more, warmup is a share from 0 to 1")
    if made.skew and made.same_shard:
        raise RecipeError("skew does not fit shards=same: every node then has the same labels")
    if made.checkpoint < 0:
        raise RecipeError(f"checkpoint={made.checkpoint} does not fit: give steps between two, or 0 for none")
    if made.learning_rate <= 0 or made.timeout <= 0:
        raise RecipeError("learning_rate and timeout are above 0")
