"""The task of `eqprop-relax`: a trained network, and a batch of held-out samples that settles in it."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from energybench.workloads._devices import Threads, synchronise
from energybench.workloads.eqprop import _memory
from energybench.workloads.eqprop import _points as points
from energybench.workloads.eqprop._traces import REPEATS, told, typical
from energybench.workloads.eqprop._training import Trained, ended
from energybench.workloads.eqprop.relaxation import DivergenceError, Relaxation, Settled, Sweep

_TOLD = ("tolerance", "free", "mode", "step_size", "compact", "dtype")
_SHOWN = 4
"""Residuals that the message of a diverging relaxation ends with."""


class Relaxing:
    """A batch of held-out samples in a trained network."""

    file_bytes: int | None = None

    def __init__(self, trained: Trained, values: Mapping[str, Any]) -> None:
        self._trainer, self._values = trained.trainer, values
        self._threads, self._dtype = Threads(values["threads"]), getattr(torch, values["dtype"])
        self._tolerance = values["tolerance"] or None
        dataset = self._trainer.dataset
        self.judged, self.samples = len(dataset.test_labels), int(values["batch"])
        self._x, _ = self._trainer.held_out(self.samples)
        self._relaxation = self._made()
        self._trace: Sequence[Sweep] = ()
        self.definition: Mapping[str, object] = {
            "task": f"relaxation of held-out samples of {dataset.name}",
            **points.described(self._trainer),
            "relaxation": {name: values[name] for name in _TOLD},
            "batch": self.samples,
            "peak_memory": _memory.how(values["device"]),
            **points.machine(values),
        }

    def step(self) -> None:
        """One batch, from its input to the end of its last sample.

        Raises:
            DivergenceError: it does not settle; the message and `details` say how it went.
        """
        self._threads.take()
        try:
            self._settle(self._relaxation)
        except DivergenceError as error:
            raise self._watched(error) from error
        synchronise(self._values["device"])

    def evaluate(self) -> Mapping[str, float]:
        """Accuracy over all held-out samples; sweeps, residual and contraction of the batch; memory."""
        self._threads.take()
        settled = self._settle(self._relaxation)
        mean = float(settled.sweeps.double().mean())
        found = {"free_sweeps": mean, "sweeps": mean, "most_sweeps": float(settled.sweeps.max()), **ended(settled)}
        if settled.bound is not None and self._tolerance is not None:
            found["unsettled_error"] = float((settled.bound > self._tolerance).double().mean())
        peak = _memory.peak_bytes(self._from_scratch, self._values["device"])
        return {"accuracy": self._accuracy(), **found, "peak_memory_bytes": float(peak)}

    def details(self) -> Mapping[str, object]:
        """Residuals, samples at work and seconds since the start, by sweep; of a diverging one until it stopped."""
        self._threads.take()
        if not self._trace:
            self._trace = typical([self._settle(self._relaxation, trace=True).trace for _ in range(REPEATS)])
        return {"relaxation": told(self._trace)}

    def close(self) -> None:
        """Give torch its threads back."""
        self._threads.give_back()

    def _made(self) -> Relaxation:
        mode, step_size = self._values["mode"], self._values["step_size"]
        return Relaxation(self._trainer.network, self.samples, mode=mode, step_size=step_size, dtype=self._dtype)

    def _settle(self, relaxation: Relaxation, *, trace: bool = False) -> Settled:
        with torch.no_grad():
            relaxation.clamp(self._x)
            return relaxation.settle(
                self._values["free"], tolerance=self._tolerance, compact=self._values["compact"], trace=trace
            )

    def _watched(self, error: DivergenceError) -> DivergenceError:
        """The same again, sweep by sweep, so that it can be told how the residual grew."""
        try:
            self._settle(self._relaxation, trace=True)
        except DivergenceError as seen:
            error = seen
        self._trace = error.trace
        last = ", ".join(f"{sweep.residual_max:.3g}" for sweep in self._trace[-_SHOWN:])
        again = DivergenceError(f"{error}; its largest residuals ended with {last}")
        again.trace = error.trace
        return again

    def _from_scratch(self) -> tuple[Relaxation, Settled]:
        relaxation = self._made()
        return relaxation, self._settle(relaxation)

    def _accuracy(self) -> float:
        dataset = self._trainer.dataset
        parts: list[Tensor] = []
        with torch.no_grad():
            for part in torch.split(torch.from_numpy(dataset.test_pixels), self.samples):
                x = self._trainer.samples.scaled(part)
                parts.append(self._relaxation.forward_scores(x, self._values["free"], self._tolerance))
        found = torch.cat(parts).argmax(1).cpu()
        return float((found == torch.from_numpy(dataset.test_labels)).double().mean())
