"""A node: one process's part of `dist-train`; the leader calls its methods by name."""

import sys
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch._C._distributed_c10d import PrefixStore

from energybench.distributed.meeting import reach_store
from energybench.distributed.seat import Seat
from energybench.workloads.distributed._recipe import ALONE, Recipe
from energybench.workloads.distributed.checkpoints import KEPT, CheckpointError, Checkpoints
from energybench.workloads.distributed.learning import Learning
from energybench.workloads.distributed.ledger import Ledger

WHOLE = "whole"
"""The run that is trained by the whole schedule, with checkpoints; others are stretches to be measured."""


class Node:
    """Trainings of one recipe on one rank, by name: each goes on from where it was left.

    Args:
        recipe: the same on every rank.
        seat: this rank's place.
        folder: for checkpoints.
    """

    def __init__(self, recipe: Recipe, seat: Seat, folder: Path) -> None:
        torch.set_num_threads(recipe.threads)
        if recipe.device == "cuda":
            torch.cuda.set_device(seat.place.local_rank)
        self._recipe, self._seat, self._folder = recipe, seat, folder
        self._group = None if recipe.independent else process_group(recipe, seat)
        self._ledger = Ledger()
        self._runs: dict[str, Learning] = {}
        self._lost: dict[str, int] = {}
        self._kept: dict[str, Checkpoints] = {}

    @property
    def payload_bytes(self) -> int:
        """Of all messages sent so far."""
        return self._ledger.payload_bytes

    @property
    def model_bytes(self) -> int:
        """What they are on TCP, by the exact model."""
        return self._ledger.model_bytes

    @property
    def store_bytes(self) -> int:
        """What the mailbox's store has sent so far, by the model of its protocol."""
        return self._ledger.store_received

    @property
    def communication_cpu_seconds(self) -> float:
        """Of the main thread, in exchanges so far."""
        return self._ledger.cpu_seconds

    def begin(self, run: str, seed: int, *, joins: bool = False) -> Mapping[str, Any]:
        """Make a training ready at its first weights, or at the last checkpoint that all nodes have.

        Args:
            run: its name.
            seed: of the split, the first weights and the order of samples.
            joins: the others are at it already: a node by itself begins at their present round.
        """
        learning = Learning(
            self._recipe, self._seat, run, seed, group=self._group, ledger=self._ledger, warn=self._warn
        )
        self._runs[run] = learning
        if self._keeps(run):
            self._restore(run, seed)
        if joins:
            learning.join()
        weights = list(learning.net.parameters())
        return {
            "step": learning.step_number,
            "parameters": sum(weight.numel() for weight in weights),
            "weight_bytes": sum(weight.nbytes for weight in weights),
            "net": self._recipe.nets[self._seat.place.rank % len(self._recipe.nets)],
        }

    def train(self, run: str, seed: int, until: int) -> Mapping[str, Any]:
        """Train until that step, writing checkpoints; a training that is not there yet is begun."""
        if run not in self._runs:
            self.begin(run, seed, joins=True)
        learning = self._runs[run]
        begin, cpu, first = time.perf_counter(), time.process_time(), learning.step_number
        late, refused = self._ledger.late, len(self._ledger.refused)
        if self._keeps(run):
            self._train_safely(learning, self._checkpoints(run, seed), until)
        else:
            learning.run(until - first)
        return {
            "from": first,
            "lost": self._lost.get(run, 0),
            "step": learning.step_number,
            "seconds": time.perf_counter() - begin,
            "cpu_seconds": time.process_time() - cpu,
            "late": self._ledger.late - late,
            "refused": self._ledger.refused[refused:],
        }

    def advance(self, run: str, seed: int, steps: int) -> None:
        """So many steps more of a training that is measured; one that is not there yet is begun."""
        for name, first in self._phases(run):
            if name not in self._runs:
                self.begin(name, seed, joins=True)
            learning = self._runs[name]
            learning.step_number = max(learning.step_number, first)
            learning.run(steps)

    def _train_safely(self, learning: Learning, kept: Checkpoints, until: int) -> None:
        """Train with a checkpoint every few steps, and each step noted.

        A student's steps have none: what it learns from has been told once, and is told again.
        """
        every = self._recipe.checkpoint
        while learning.step_number < until:
            left = until - learning.step_number
            learning.run(min(every - learning.step_number % every, left), done=kept.mark)
            if learning.step_number < until and learning.step_number <= self._recipe.steps:
                kept.write(learning.step_number, learning.state())

    def _restore(self, run: str, seed: int) -> None:
        """Go on from the last checkpoint that all nodes have, and see how many steps of this one are lost."""
        kept, learning = self._checkpoints(run, seed), self._runs[run]
        step = self._common(kept.steps())
        kept.rewind(step or 0)
        if step is not None:
            state = kept.read(step)
            try:
                learning.restore(state)
            except (LookupError, RuntimeError, TypeError, ValueError) as error:
                raise CheckpointError(
                    f"checkpoint {kept.path(step)} is not of this training ({type(error).__name__}); remove it"
                ) from error
        self._lost[run] = max(kept.marked() - learning.step_number, 0)

    def judge(self, run: str, seed: int, until: int) -> list[list[float]] | None:
        """Class probabilities of each held-out sample, to four places; None where this node's net is not judged.

        A gang that was lost after the training does it again; a node by itself has nothing to be judged then.
        """
        if run not in self._runs:
            if self._group is None:
                return None
            self.train(run, seed, until)
        found = self._runs[run].judge()
        return None if found is None else [[round(share, 4) for share in row] for row in found.tolist()]

    def end(self, run: str, seed: int) -> None:
        """Forget a training and its checkpoints."""
        self._runs.pop(run, None)
        self._checkpoints(run, seed).forget()

    def close(self) -> None:
        """Forget all trainings."""
        self._runs.clear()
        for kept in self._kept.values():
            kept.close()

    def _phases(self, run: str) -> list[tuple[str, int]]:
        """What a measured stretch has steps of, with the step that each begins at: two networks where one follows."""
        follows = self._recipe.strategy == "distilled"
        return [(run, 0), *([(f"{run}-student", self._recipe.steps)] if follows else [])]

    def _keeps(self, run: str) -> bool:
        return bool(self._recipe.checkpoint) and run == WHOLE

    def _checkpoints(self, run: str, seed: int) -> Checkpoints:
        name = f"{self._recipe.key}-{run}-seed{seed}"
        if name not in self._kept:
            folder = self._folder / name / f"rank-{self._seat.place.rank}"
            self._kept[name] = Checkpoints(folder, kept=self._most_kept())
        return self._kept[name]

    def _common(self, steps: list[int]) -> int | None:
        """The last step that every node has a checkpoint of; a node that waits for nobody goes on from its own last."""
        if self._group is None or self._recipe.strategy in ALONE:
            return steps[-1] if steps else None
        kept = torch.full((self._most_kept(),), -1, dtype=torch.int64)
        kept[: len(steps)] = torch.tensor(steps, dtype=torch.int64)
        told = [torch.empty_like(kept.to(self._recipe.device)) for _ in range(self._recipe.nodes)]
        dist.all_gather(told, kept.to(self._recipe.device), group=self._group)
        return max(set.intersection(*(set(one.tolist()) for one in told)) - {-1}, default=None)

    def _most_kept(self) -> int:
        """Nodes that exchange are a round apart at most, which may be several checkpoints."""
        return KEPT + (self._recipe.every // self._recipe.checkpoint if self._recipe.checkpoint else 0)

    def _warn(self, message: str) -> None:
        print(f"energybench: rank {self._seat.place.rank}: {message}", file=sys.stderr, flush=True)  # noqa: T201


def process_group(recipe: Recipe, seat: Seat) -> Any:
    """A group of all ranks for one node's exchanges: gloo on CPUs, nccl on GPUs, with the timeout set."""
    timeout = timedelta(seconds=recipe.timeout)
    if not dist.is_initialized():
        place = seat.place
        store = PrefixStore(f"energybench/{seat.epoch}", reach_store(place, timeout=recipe.timeout))
        backend = "nccl" if recipe.device == "cuda" else "gloo"
        dist.init_process_group(backend, store=store, rank=place.rank, world_size=place.nodes, timeout=timeout)
    return dist.new_group(timeout=timeout)


def make(config: Mapping[str, Any], seat: Seat) -> Node:
    """The node of a recipe in plain values; checkpoints go into the named folder, else the gang's own."""
    folder = Path(config["checkpoints"]).expanduser() if config["checkpoints"] else seat.folder / "checkpoints"
    return Node(Recipe(**config["recipe"]), seat, folder)
