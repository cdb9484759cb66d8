"""Several sweeps as one CUDA graph: a launch for all their kernels instead of one for each.

A sweep of a small network is a dozen kernels of a few microseconds, less than it takes to launch them. A graph repeats
kernels on fixed addresses; states change places between two buffers, so there is a graph for each arrangement that a
run of sweeps starts from. Weights are read where they are: training in place between two replays is seen.
Only dense networks are recorded: a pooling's indices may move when another batch goes through it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from energybench.workloads.eqprop._field import Field, Nudge

Work: TypeAlias = Callable[[], None]
Key: TypeAlias = tuple[object, ...]


class Plain:
    """Sweeps one by one.

    Args:
        field: the states.
        sweep: one sweep over them.
    """

    def __init__(self, field: Field, sweep: Callable[[Field, Nudge | None], None]) -> None:
        self._field, self._sweep = field, sweep

    def run(self, count: int, nudge: Nudge | None) -> None:
        """That many sweeps."""
        self._field.renew()
        for _ in range(count):
            self._sweep(self._field, nudge)
            self._field.at_rest = False


def captured(work: Work) -> Work:
    """What repeats the kernels that `work` launches, without running them now."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return graph.replay


class Graphs(Plain):
    """Sweeps as graphs. The first run of a kind is plain, so that libraries set themselves up outside of a graph.

    Args:
        field: the states, of a dense network.
        sweep: one sweep over them.
        capture: makes of work a repetition of it.
    """

    def __init__(
        self, field: Field, sweep: Callable[[Field, Nudge | None], None], *, capture: Callable[[Work], Work] = captured
    ) -> None:
        super().__init__(field, sweep)
        self._capture = capture
        self._graphs: dict[Key, _Graph | None] = {}

    def run(self, count: int, nudge: Nudge | None) -> None:
        """That many sweeps."""
        key = self._key(count, nudge)
        if key not in self._graphs:
            self._graphs[key] = None
            super().run(count, nudge)
            return
        self._field.renew()
        graph = self._graphs[key] or self._recorded(count, nudge)
        self._graphs[key] = graph
        if nudge is not None and graph.nudge is not None:
            _copy(nudge, graph.nudge)
        graph.replay()
        self._field.arrange(graph.held)
        self._field.at_rest = False

    def _recorded(self, count: int, nudge: Nudge | None) -> "_Graph":
        fixed = nudge and Nudge.towards(
            nudge.target.clone(), nudge.beta.clone() if isinstance(nudge.beta, Tensor) else nudge.beta
        )
        repeat = super().run
        replay = self._capture(lambda: repeat(count, fixed))
        return _Graph(replay=replay, nudge=fixed, held=self._field.arranged())

    def _key(self, count: int, nudge: Nudge | None) -> Key:
        beta = nudge and (tuple(nudge.beta.shape) if isinstance(nudge.beta, Tensor) else nudge.beta)
        return count, len(self._field.base), self._field.arrangement(), self._field.at_rest, beta


@dataclass(frozen=True, slots=True, kw_only=True)
class _Graph:
    """A recorded run: its repetition, the nudge that it reads, and where the states are after it."""

    replay: Work
    nudge: Nudge | None
    held: list[list[Tensor]]


def _copy(source: Nudge, into: Nudge) -> None:
    into.target.copy_(source.target)
    for new, old in ((source.beta, into.beta), (source.share, into.share)):
        if isinstance(new, Tensor) and isinstance(old, Tensor):
            old.copy_(new)
