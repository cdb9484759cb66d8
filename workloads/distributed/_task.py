"""The task of `dist-train`: the leader's view of many nodes in training."""

import itertools
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from energybench.distributed import gangs
from energybench.distributed.gang import Gang
from energybench.distributed.readers import Part
from energybench.distributed.starting import Plan
from energybench.model import Modelled
from energybench.workloads import data
from energybench.workloads._devices import isa
from energybench.workloads.distributed import modelled, shards
from energybench.workloads.distributed._recipe import Recipe
from energybench.workloads.distributed.node import WHOLE
from energybench.workloads.distributed.wire import PREAMBLE_BYTES

WINDOWS = "windows"
_TOLD_IN_DEFINITION = ("carrier", "compression", "net", "hidden", "labels", "shared", "same_shard", "skew", "steps",
                       "batch", "every", "weight", "warmup", "learning_rate", "momentum", "decay")  # fmt: skip


class Training:
    """Nodes in training, one round (`every` steps of each) a step, beside a whole training that is judged.

    Attributes:
        samples: labelled samples of a round, over all nodes.
        host: where the leader reads; see `energybench.distributed.readers`.
        nodes: how many train.
    """

    file_bytes: int | None = None
    gaps = False

    def __init__(self, recipe: Recipe, values: Mapping[str, Any], *, seed: int) -> None:
        self._recipe, self._values, self._seed = recipe, values, seed
        self._plan = Plan(
            nodes=recipe.nodes,
            independent=recipe.independent,
            restarts=values["restarts"],
            timeout=recipe.timeout,
            threads=recipe.threads,
        )
        dataset = data.load(recipe.data, seed=seed, held_out=shards.HELD_OUT)
        shards.load(recipe, 0, seed=seed)  # too few samples are told before anything is started
        self._labels = held_out_labels(recipe, seed)
        self.nodes: int = recipe.nodes
        self.samples: int = recipe.nodes * recipe.batch * recipe.every
        self.judged = len(self._labels)
        self._key = f"{recipe.key}-{next(_numbers)}"
        self._made: Gang | None = None
        self._passes, self._learning = itertools.count(1), ""
        self._whole: Whole | None = None
        gangs.use(self._plan)
        told = asdict(recipe)
        self.definition: Mapping[str, object] = {
            "task": f"a round of {recipe.every} steps of every node on {dataset.name}",
            "data": dict(dataset.described()),
            "strategy": recipe.strategy,
            "nodes": recipe.nodes,
            **({"codec": recipe.codec} if recipe.strategy in ("cultural", "own-outputs") else {}),
            **{name: told[name] for name in _TOLD_IN_DEFINITION},
            "seed": seed,
            "engine": "nccl" if recipe.device == "cuda" else "gloo",
            "isa": isa(recipe.device),
            "torch": torch.__version__,
            "device": recipe.device,
            "threads": recipe.threads,
        }
        try:
            self._begin(WINDOWS, seed)
        except BaseException:
            gangs.give_back(self._plan)
            raise

    @property
    def host(self) -> str:
        """Where the leader is."""
        return self._gang().host

    def step(self) -> None:
        """One round of every node."""
        self._gang().call(self._key, "advance", run=WINDOWS, seed=self._seed, steps=self._recipe.every)

    def counts(self) -> list[Mapping[str, Any]]:
        """What a round computes and moves, counted on each node; nothing where one of them is lost."""
        counted = self._gang().counts(self._key, "advance", run=WINDOWS, seed=self._seed, steps=self._recipe.every)
        return counted if len(counted) == self._recipe.nodes else []

    def open_windows(self) -> None:
        """Have the nodes open windows over what only they can read."""
        self._gang().open_windows(self._key)

    def close_windows(self) -> list[Part]:
        """What the nodes have read. A distillation's one exchange is in no window: its bytes are those of the whole."""
        parts = self._gang().close_windows()
        if self._recipe.strategy != "distilled":
            return parts
        return [replace(part, values={**part.values, "traffic": {}}) for part in parts]

    def evaluate(self) -> Mapping[str, float]:
        """Train by the whole schedule and judge every node; time and bytes of a step and node."""
        whole = self._trained()
        found = {"accuracy": statistics.fmean(whole.accuracies)}
        if len(whole.accuracies) > 1:
            found |= {"accuracy_worst": min(whole.accuracies), "accuracy_ensemble": whole.ensemble}
        return found | whole.seconds_per_step() | whole.bytes_per_step()

    def details(self) -> Mapping[str, object]:
        """Every node's part, bytes against the model, clocks, losses, and the modelled curve of scaling.

        Of a training that failed, the losses alone.
        """
        if self._whole is None and self._made is not None and self._made.closed:
            return {"distributed": {"losses": [asdict(loss) for loss in self._made.losses]}}
        whole, gang = self._trained(), self._gang()
        told: dict[str, object] = {
            "distributed": {
                "nodes": whole.nodes(),
                "disagreement": whole.disagreement,
                "losses": [asdict(loss) for loss in gang.losses],
                "clocks": gang.clocks(),
            }
        }
        curve = modelled.curve(self._recipe, self._values["link"], whole)
        return told | ({"scaling": curve} if curve else {})

    def modelled(self) -> Mapping[str, Modelled]:
        """Joules of moving a sample's bytes over the named link: nobody measured them."""
        return modelled.wire_joules(self._recipe, self._values["link"], self._trained())

    def learner(self, seed: int) -> "Learning":
        """The training from its start, with another seed; a pass is a round."""
        if self._learning:
            self.call("end", run=self._learning, seed=seed)
        self._learning = f"pass-{next(self._passes)}"
        self._begin(self._learning, seed)
        return Learning(self, self._learning, seed)

    def close(self) -> None:
        """Have the nodes forget this training, and let them go where nobody else wants them."""
        if self._made is not None and not self._made.closed:
            self._made.drop(self._key)
        gangs.give_back(self._plan)

    def call(self, name: str, **arguments: Any) -> list[Any]:
        """Call a method of every node."""
        return self._gang().call(self._key, name, **arguments)

    @property
    def recipe(self) -> Recipe:
        """How the nodes are trained."""
        return self._recipe

    def _gang(self) -> Gang:
        """The ranks, with this training's nodes made; started anew where they are gone."""
        gang = gangs.take(self._plan)
        if gang is not self._made:
            config = {"recipe": asdict(self._recipe), "checkpoints": self._values["checkpoints"]}
            gang.create(self._key, "dist-train", config)
            self._made = gang
        return gang

    def _begin(self, run: str, seed: int) -> None:
        self._gang().call(self._key, "begin", run=run, seed=seed)

    def _trained(self) -> "Whole":
        if self._whole is None:
            self._whole = self._train()
        return self._whole

    def _train(self) -> "Whole":
        """The whole schedule, with every byte counted from the first step to the last."""
        gang, recipe = self._gang(), self._recipe
        begun = gang.call(self._key, "begin", run=WHOLE, seed=self._seed)
        gang.open_windows(self._key)
        ended = gang.call(self._key, "train", run=WHOLE, seed=self._seed, until=recipe.length)
        parts = gang.close_windows()
        judged = gang.call(self._key, "judge", run=WHOLE, seed=self._seed, until=recipe.length)
        gang.call(self._key, "end", run=WHOLE, seed=self._seed)
        return Whole(recipe, self._labels, begun, ended, parts, judged)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What a step of a node took: processor seconds of its own work and of exchanges, bytes on TCP, and messages."""

    computing: float
    talking: float
    tcp_bytes: float
    messages: float


class Whole:
    """A whole training: what each node was, did, sent, and makes of held-out samples."""

    def __init__(
        self, recipe: Recipe, labels: torch.Tensor, begun: Sequence[Any], ended: Sequence[Any], parts: Sequence[Part],
        judged: Sequence[Any],
    ) -> None:  # fmt: skip
        self._recipe, self._begun, self._ended = recipe, begun, ended
        self.parts = {part.who.rank: part for part in parts}
        found = [torch.tensor(one) for one in judged if one is not None]
        self.accuracies = [_accuracy(one, labels) for one in found]
        self._classes = found[0].shape[1]
        self.ensemble = _accuracy(torch.stack(found).mean(0), labels)
        answers = [one.argmax(1) for one in found]
        pairs = list(itertools.combinations(answers, 2))
        self.disagreement = statistics.fmean(float((a != b).double().mean()) for a, b in pairs) if pairs else None
        self._of_rank = [None if one is None else _accuracy(torch.tensor(one), labels) for one in judged]

    @property
    def steps(self) -> int:
        """Steps of a node that did all of them."""
        return self._recipe.length

    @property
    def weight_bytes(self) -> int:
        """Of the first node's network."""
        return int(next(one for one in self._begun if one)["weight_bytes"])

    @property
    def classes(self) -> int:
        """How many labels there are."""
        return self._classes

    def spent_per_step(self) -> "Spent | None":
        """Where a step of a node spent its processor time, the mean; None where a kernel keeps no account of it."""
        parts = list(self.parts.values())
        kinds = ("cpu_seconds", "communication_cpu_seconds", "model_bytes")
        if len(parts) < self._recipe.nodes or any(self.resumed):
            return None
        if not all(kind in part.values for part in parts for kind in kinds):
            return None
        running, talking, carried = (
            sum(part.values[kind] for part in parts) / len(parts) / self.steps for kind in kinds
        )
        payload = sum(part.values["traffic"]["payload_bytes"] for part in parts) / len(parts) / self.steps
        return Spent(
            computing=max(running - talking, 0.0),
            talking=talking,
            tcp_bytes=carried,
            messages=(carried - payload) / (3 * PREAMBLE_BYTES),
        )

    def seconds_per_step(self) -> dict[str, float]:
        """Seconds of a step of the slowest node in a training that ran through; absent where one was resumed."""
        if any(self.resumed):
            return {}
        return {"seconds_per_step": max(one["seconds"] for one in self._ended) / self.steps}

    def bytes_per_step(self) -> dict[str, float]:
        """Bytes of a step, the mean over nodes; a kind that one of them could not read is absent.

        Of a mailbox, what its store sends a node stands by itself: a node sends its message once, the store to each.
        """
        kinds = ("payload_bytes", "tcp_bytes", "wire_bytes")
        whole = len(self.parts) == self._recipe.nodes and not any(self.resumed)
        amounts = {kind: [part.values["traffic"].get(kind) for part in self.parts.values()] for kind in kinds}
        complete = {kind: values for kind, values in amounts.items() if whole and None not in values}
        shared = {part.who.network for part in self.parts.values()}
        if whole and len(shared) == 1:  # one interface carries all
            complete["wire_bytes"] = [value for value in amounts["wire_bytes"] if value is not None]
        if whole and self._recipe.independent:
            received = [part.values.get("traffic", {}).get("tcp_received_bytes") for part in self.parts.values()]
            complete |= {} if None in received else {"store_tcp_bytes": received}
        return {
            f"{kind}_per_step": sum(values) / self._recipe.nodes / self.steps
            for kind, values in complete.items()
            if values
        }

    @property
    def resumed(self) -> list[int]:
        """At which step each node went on where it did not begin: its bytes are those of a part then."""
        return [one["from"] if one else -1 for one in self._ended]

    def nodes(self) -> list[dict[str, Any]]:
        """What each node was and did, in plain values."""
        return [self._node(rank) for rank in range(self._recipe.nodes)]

    def _node(self, rank: int) -> dict[str, Any]:
        told: dict[str, Any] = {"rank": rank}
        if self._begun[rank]:
            told |= {key: self._begun[rank][key] for key in ("net", "parameters")}
        if self._ended[rank]:
            told |= {
                key: self._ended[rank][key]
                for key in ("from", "lost", "step", "seconds", "cpu_seconds", "late", "refused")
            }
        if self._of_rank[rank] is not None:
            told["accuracy"] = self._of_rank[rank]
        if rank in self.parts:
            told |= self._read(self.parts[rank])
        return told

    def _read(self, part: Part) -> dict[str, Any]:
        values = part.values
        told = {"host": part.who.host, "host_name": part.who.name, **values["traffic"]}
        kinds = ("model_bytes", "communication_cpu_seconds", "waiting_seconds")
        told |= {key: values[key] for key in kinds if key in values}
        if "tcp_bytes" in told:
            told["measured_minus_model_per_step"] = (told["tcp_bytes"] - told["model_bytes"]) / self.steps
        if self._recipe.independent and "tcp_received_bytes" in told:
            difference = told["tcp_received_bytes"] - values["store_bytes"]
            told["received_minus_model_per_step"] = difference / self.steps
        return told


class Learning:
    """A training from its first weights on, round by round."""

    def __init__(self, task: Training, run: str, seed: int) -> None:
        self._task, self._run, self._seed, self._step = task, run, seed, 0
        self._labels = held_out_labels(task.recipe, seed)
        self.passes = task.recipe.length // task.recipe.every

    def learn(self) -> int:
        """One round of every node; how many labelled samples that was."""
        self._step += self._task.recipe.every
        self._task.call("train", run=self._run, seed=self._seed, until=self._step)
        return self._task.samples

    def counts(self) -> list[Mapping[str, Any]]:
        """What a round computes and moves, counted on each node."""
        return self._task.counts()

    def accuracy(self) -> float:
        """The mean over nodes of the share of held-out samples that get their own class."""
        judged = self._task.call("judge", run=self._run, seed=self._seed, until=self._step)
        return statistics.fmean(_accuracy(torch.tensor(one), self._labels) for one in judged if one is not None)


def held_out_labels(recipe: Recipe, seed: int) -> torch.Tensor:
    """Those of the split that a seed draws."""
    return torch.from_numpy(data.load(recipe.data, seed=seed, held_out=shards.HELD_OUT).test_labels)


def _accuracy(probabilities: torch.Tensor, labels: torch.Tensor) -> float:
    return float((probabilities.argmax(1) == labels).double().mean())


_numbers = itertools.count(1)
