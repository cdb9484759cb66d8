"""`qnn-infer`: a deployed network of low bit-width classifies a batch with arithmetic of that width."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from energybench.model import Parameter, Task
from energybench.workloads import resolve
from energybench.workloads._devices import check_device, check_positive
from energybench.workloads.qnn import _points as points

if TYPE_CHECKING:
    from energybench.workloads.data import DataSet
    from energybench.workloads.qnn.network import Network


class QnnInfer:
    """Inference of a quantized network, one batch a step."""

    name = "qnn-infer"
    version = 2
    summary = "A deployed quantized network classifies images, with arithmetic of its own bit-width"
    parameters: Mapping[str, Parameter] = {
        **points.SHARED,
        "batch": Parameter(default=256, help="samples a step"),
        **points.NETWORK,
        "arithmetic": Parameter(
            default="auto",
            help="of low bits: auto is the fastest; bits counts bits to 2x2; fp8 is for CUDA, at 8 bits",
            choices=("auto", "bits", "int8", "fp8"),
        ),
        "device": Parameter(default="cpu", help="where it runs", choices=("cpu", "cuda")),
        "threads": Parameter(default=1, help="processor threads in a step"),
        "file": Parameter(default="", help="run the network of this file, as qnn-train exports it"),
    }

    def prepare(self, parameters: Mapping[str, int | float | str | bool], *, seed: int, quick: bool) -> Task:
        """Train with quantized passes, export, and keep nothing but what was exported; or read a file."""
        # A dict of Any: `resolve` has checked each value's type.
        values: dict[str, Any] = dict(resolve(self.parameters, parameters))
        check_positive(values, "batch", "hidden", "depth", "threads")
        check_device(values["device"])
        if values["file"]:
            return _Inference(*_from_file(values), values)
        return _Inference(*_trained(values, seed=seed, quick=quick), values)


def _trained(values: Mapping[str, Any], *, seed: int, quick: bool) -> tuple["Network", "DataSet", int]:
    """The network, its data and the bytes of its file. The master weights are left behind."""
    import tempfile

    from energybench.workloads.qnn import file
    from energybench.workloads.qnn.export import export
    from energybench.workloads.qnn.training import train

    trained = train(points.recipe(values, seed=seed, quick=quick))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.safetensors"
        file.write(export(trained), path)
        return file.read(path), trained.dataset, path.stat().st_size


def _from_file(values: Mapping[str, Any]) -> tuple["Network", "DataSet", int]:
    """The network of a file, with the samples that were held out when it was trained."""
    from energybench.workloads import data
    from energybench.workloads.qnn import file

    path = Path(values["file"]).expanduser()
    if not path.is_file():
        raise ValueError(f"file={path}: there is no such file; run qnn-train --param export=FOLDER to make one")
    network = file.read(path)
    told = network.about.get("recipe", {})
    wanted = dict(zip(("wbits", "abits"), points.widths(values), strict=True)) | {n: values[n] for n in _SAID}
    if other := [name for name in wanted if told.get(name) != wanted[name]]:
        found = " ".join(f"--param {name}={told.get(name)}" for name in other)
        raise ValueError(f"file={path} holds another network than was asked for: give {found}, or another file")
    dataset = data.load(values["data"], seed=told["seed"])
    file.check_expected(network, dataset, path)
    return network, dataset, path.stat().st_size


_SAID = ("net", "hidden", "depth")
"""Parameters that a record shows: a file must be what they say."""


class _Inference:
    """A network at one width, and a fixed batch of held-out samples."""

    def __init__(self, network: "Network", dataset: "DataSet", file_bytes: int, values: Mapping[str, Any]) -> None:
        self.samples: int = values["batch"]
        self.file_bytes: int | None = file_bytes
        self._dataset, self.judged = dataset, len(dataset.test_labels)
        self._run, self.kernels, isa = _engine(network, values)
        self._batch = self._rows(0)
        self._run(self._batch)  # compiles what is not in numba's cache yet
        self.definition: Mapping[str, object] = {
            "task": f"classify {dataset.name}, one batch of held-out samples a step",
            **points.described(network),
            "batch": self.samples,
            "source": "file" if values["file"] else "trained",
            "kernels": list(self.kernels),
            "isa": isa,
            "torch": _torch(self.kernels),
            "device": values["device"],
            "threads": values["threads"],
        }

    def step(self) -> None:
        """Classify the batch."""
        self._run(self._batch)

    def evaluate(self) -> Mapping[str, float]:
        """Accuracy over all held-out samples, in batches of the measured size."""
        labels, right = self._dataset.test_labels, 0
        for first in range(0, len(labels), self.samples):
            wanted = labels[first : first + self.samples]
            right += int((self._run(self._rows(first)).argmax(1)[: len(wanted)] == wanted).sum())
        return {"accuracy": right / len(labels)}

    def close(self) -> None:
        """Nothing is held."""

    def _rows(self, first: int) -> Any:
        """A full batch from sample `first` on; behind the last sample comes the first again."""
        import numpy as np

        positions = (np.arange(self.samples) + first) % self.judged
        return np.ascontiguousarray(self._dataset.test_pixels[positions])


def _engine(network: "Network", values: Mapping[str, Any]) -> tuple[Callable[[Any], Any], tuple[str, ...], str]:
    """What classifies a batch of pixels, its kernels, and the instructions that they use."""
    if values["device"] == "cuda":
        return _cuda_engine(network, values)
    from energybench.workloads.qnn.runtime import CpuNetwork

    given = {name: values[name] for name in ("threads", "arithmetic")}
    engine = CpuNetwork(network, rows=values["batch"], **given)
    return engine, engine.kernels, engine.isa


def _torch(kernels: tuple[str, ...]) -> str | None:
    """The version of torch, where it runs the network; without torch a network of integers runs as well."""
    import importlib.metadata

    return importlib.metadata.version("torch") if any("torch" in kernel for kernel in kernels) else None


def _cuda_engine(network: "Network", values: Mapping[str, Any]) -> tuple[Callable[[Any], Any], tuple[str, ...], str]:
    import numpy as np
    import torch

    from energybench.workloads.qnn.cuda.engine import CudaNetwork

    engine = CudaNetwork(network, rows=values["batch"], arithmetic=values["arithmetic"])
    held: dict[int, Any] = {}

    def run(pixels: Any) -> Any:
        # The measured batch is on the device already; those of the evaluation are copied there.
        place = held.get(id(pixels))
        if place is None:
            place = torch.from_numpy(pixels).cuda()
            if not held:
                held[id(pixels)] = place
        scores = engine(place)
        torch.cuda.synchronize()
        return _Scores(scores) if held else np.asarray(scores.cpu())

    return run, engine.kernels, "sm_{}{}".format(*torch.cuda.get_device_capability())


class _Scores:
    """Scores on a device, brought back where they are looked at."""

    def __init__(self, scores: Any) -> None:
        self._scores = scores

    def argmax(self, axis: int) -> Any:
        """The classes, on the host."""
        return self._scores.argmax(axis).cpu().numpy()


workload = QnnInfer()
