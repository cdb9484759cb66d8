"""`qnn-train`: a network is trained with quantized passes, exported, and the export checked sample for sample."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from energybench.model import Parameter, Task
from energybench.workloads import resolve
from energybench.workloads._devices import Threads, check_device, check_positive, isa, synchronise
from energybench.workloads.qnn import _points as points

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from energybench.workloads.qnn.network import Network
    from energybench.workloads.qnn.training import Recipe, Trained


class QnnTrain:
    """Training with quantized passes, one minibatch a step."""

    name = "qnn-train"
    version = 1
    summary = "Trains a network with quantized forward passes, one minibatch a step, and checks its export"
    parameters: Mapping[str, Parameter] = {
        **points.SHARED,
        "gbits": Parameter(default=32, help="bits of the gradients of hidden layers' sums", choices=points.WIDTHS),
        "batch": Parameter(default=points.TRAINING_BATCH, help="samples a step"),
        **points.NETWORK,
        "sign": Parameter(
            default="deterministic", help="how 1 bit is found in training", choices=("deterministic", "stochastic")
        ),
        "master": Parameter(
            default=True, help="false: no full-precision copy of the weights; it hardly learns at this learning rate"
        ),
        "device": Parameter(default="cpu", help="where it is trained", choices=("cpu", "cuda")),
        "threads": Parameter(default=1, help="torch's threads in a step"),
        "export": Parameter(default="", help="a folder to leave the deployed network in"),
    }

    def prepare(self, parameters: Mapping[str, int | float | str | bool], *, seed: int, quick: bool) -> Task:
        """Train by the whole recipe, export, read the export back; the measured steps go on from the start."""
        # A dict of Any: `resolve` has checked each value's type.
        values: dict[str, Any] = dict(resolve(self.parameters, parameters))
        check_positive(values, "hidden", "depth", "threads")
        check_device(values["device"])
        if values["export"]:
            _make_folder(Path(values["export"]).expanduser())
        from energybench.workloads.qnn.training import train

        trained = train(points.recipe(values, seed=seed, quick=quick, batch=values["batch"]))
        return _Training(trained, values)


class _Training:
    """A network in training, beside the finished one of the same recipe."""

    def __init__(self, trained: "Trained", values: Mapping[str, Any]) -> None:
        import torch

        from energybench.workloads.qnn.training import Trainer, build

        self._trained, self._threads, self._device = trained, Threads(values["threads"]), values["device"]
        dataset, recipe = trained.dataset, trained.recipe
        self.samples: int = recipe.batch
        self.judged = len(dataset.test_labels)
        self._network, size = _exported(trained, values["export"])
        self.file_bytes: int | None = size
        self._trainer = Trainer(build(recipe, dataset), dataset, recipe)
        self.definition: Mapping[str, object] = {
            "task": f"one step of training on {dataset.name}",
            **points.described(self._network),
            "batch": self.samples,
            "isa": isa(self._device),
            "torch": torch.__version__,
            "device": self._device,
            "threads": values["threads"],
        }

    def step(self) -> None:
        """One step of the optimiser on the next minibatch."""
        self._threads.take()
        self._trainer.step()
        synchronise(self._device)

    def evaluate(self) -> Mapping[str, float]:
        """Accuracy of the deployed network, and the share of samples that it classifies as the trained one does."""
        from energybench.workloads.qnn.runtime import CpuNetwork

        pixels, labels = self._trained.dataset.test_pixels, self._trained.dataset.test_labels
        found = CpuNetwork(self._network, rows=len(pixels))(pixels).argmax(1)
        wanted = self._trained.predict(pixels).argmax(1)
        return {"accuracy": float((found == labels).mean()), "export_agreement": float((found == wanted).mean())}

    def learner(self, seed: int) -> "_Learner":
        """The same recipe from its first weights on, with the split and the order of another seed."""
        return _Learner(replace(self._trained.recipe, seed=seed), self._threads)

    def close(self) -> None:
        """Give torch its threads back."""
        self._threads.give_back()


class _Learner:
    """A training from its first weights on, judged as the fake-quantized network that it is."""

    def __init__(self, recipe: "Recipe", threads: Threads) -> None:
        import torch

        from energybench.workloads import data
        from energybench.workloads.qnn.training import Trainer, build

        self.passes = recipe.epochs
        self._torch, self._threads, self._device = torch, threads, recipe.device
        self._dataset = data.load(recipe.data, seed=recipe.seed)
        self._model = build(recipe, self._dataset)
        self._trainer = Trainer(self._model, self._dataset, recipe)

    def learn(self) -> int:
        """One pass over the training set; its samples, without those of the last, smaller batch."""
        self._threads.take()
        for _ in range(self._trainer.steps_per_epoch):
            self._trainer.step()
        synchronise(self._device)
        return self._trainer.steps_per_epoch * self._trainer.recipe.batch

    def accuracy(self) -> float:
        """The share of held-out samples that the network as it stands gives their own class, its bits exact."""
        torch, model, device = self._torch, self._model, self._trainer.device
        model.eval()
        with torch.no_grad():
            if self._trainer.recipe.sign == "stochastic":
                # Deployed signs are not drawn: their sums are others than those that training has met.
                model.measure(model.values(part).float() for part in self._parts(self._dataset.train_pixels))
            found = [model(model.values(part).double()).argmax(1) for part in self._parts(self._dataset.test_pixels)]
        model.train()
        labels = torch.from_numpy(self._dataset.test_labels).to(device)
        return float((torch.cat(found) == labels).double().mean())

    def _parts(self, pixels: "NDArray[np.uint8]") -> Iterator["Tensor"]:
        """Few at once: the float64 maps of an evaluation stay small."""
        for part in self._torch.split(self._torch.from_numpy(pixels), 512):
            yield part.to(self._trainer.device)


def _exported(trained: "Trained", folder: str) -> tuple["Network", int]:
    """The network as its file holds it, and the file's bytes."""
    import tempfile

    from energybench.workloads.qnn import file
    from energybench.workloads.qnn.export import export

    network = export(trained)
    with tempfile.TemporaryDirectory() as room:
        path = Path(folder).expanduser() / _name(network) if folder else Path(room) / "network.safetensors"
        file.write(network, path)
        return file.read(path), path.stat().st_size


def _make_folder(path: Path) -> None:
    """Before the training, not after it.

    Raises:
        ValueError: there is no such folder, and none can be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"export={path}: no folder can be made there ({error.strerror}); give another") from error


def _name(network: "Network") -> str:
    """`qnn-digits-mlp-64-1024-1024-10-W1A1-seed0.safetensors`; what differs from the recipe is said too."""
    told = network.about["recipe"]
    shape = points.architecture(network).lower().replace(" ", "-").replace("×", "x")
    data = Path(str(network.about["data"]["name"])).name.replace(":", "-")
    usual = {
        "gbits": 32,
        "sign": "deterministic",
        "master": True,
        "batch": points.TRAINING_BATCH,
        "learning_rate": 3e-3,
    }
    unusual = "".join(f"-{name}{told[name]}" for name in usual if told[name] != usual[name])
    label = points.label(told["wbits"], told["abits"])
    return f"qnn-{data}-{shape}-{label}-epochs{told['epochs']}{unusual}-seed{told['seed']}.safetensors"


workload = QnnTrain()
