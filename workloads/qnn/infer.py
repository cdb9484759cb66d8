"""`qnn-infer`: a trained network at 8, 16 or 32 bits classifies a batch with arithmetic of that width."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from energybench.model import Parameter, Task
from energybench.workloads import resolve

if TYPE_CHECKING:
    from energybench.workloads.qnn._training import Trained

_EPOCHS = 15
_QUICK_EPOCHS = 5


class QnnInfer:
    """Inference of a quantized network, one batch a step."""

    name = "qnn-infer"
    version = 1
    summary = "A trained MLP classifies digits at 8, 16 or 32 bits, with torch's kernels of that width"
    parameters: Mapping[str, Parameter] = {
        "bits": Parameter(default=8, help="bits of weights and activations", choices=(8, 16, 32)),
        "batch": Parameter(default=256, help="samples a step"),
        "hidden": Parameter(default=1024, help="features of each hidden layer"),
        "depth": Parameter(default=2, help="hidden layers"),
        "data": Parameter(default="digits", help="the data set"),
        "learning_rate": Parameter(default=1e-3, help="Adam's, at the start of training"),
        "device": Parameter(default="cpu", help="where it runs", choices=("cpu", "cuda")),
        "threads": Parameter(default=1, help="torch's threads in a step"),
    }

    def prepare(self, parameters: Mapping[str, int | float | str | bool], *, seed: int, quick: bool) -> Task:
        """Train in fp32, export at the asked width, and load what was exported."""
        # A dict of Any: `resolve` has checked each value's type.
        values: dict[str, Any] = dict(resolve(self.parameters, parameters))
        _check_shape(values)
        import torch

        if values["device"] == "cuda" and not torch.cuda.is_available():
            raise ValueError("device=cuda: torch finds no CUDA device here; use device=cpu, or a torch built for CUDA")
        from energybench.workloads.qnn._training import Recipe, train

        epochs = _QUICK_EPOCHS if quick else _EPOCHS
        recipe = {name: values[name] for name in ("data", "hidden", "depth", "learning_rate")}
        trained = train(Recipe(**recipe, seed=seed, epochs=epochs))
        return _Inference(trained, values, seed=seed, epochs=epochs)


def _check_shape(values: Mapping[str, Any]) -> None:
    for name in ("batch", "hidden", "depth", "threads"):
        if values[name] < 1:
            raise ValueError(f"{name}={values[name]} does not fit: it is 1 or more")
    if values["device"] == "cuda" and values["bits"] == 8 and values["hidden"] % 8:
        raise ValueError(f"hidden={values['hidden']} does not fit int8 on CUDA: use a multiple of 8")


class _Inference:
    """A network at one width, and a fixed batch of held-out samples."""

    def __init__(self, trained: "Trained", values: Mapping[str, Any], *, seed: int, epochs: int) -> None:
        import torch

        from energybench.workloads.qnn import _precision

        self._torch = torch
        self.samples: int = values["batch"]
        self._threads, self._threads_before = values["threads"], torch.get_num_threads()
        self._device, bits, dataset = values["device"], values["bits"], trained.dataset
        torch.set_num_threads(self._threads)
        kernel = _precision.kernel(bits, rows=self.samples, device=self._device)
        top = _precision.largest_activation(kernel, self._device) if bits == 8 else None
        self.file_bytes: int | None
        stored, self.file_bytes = _precision.deployed(_precision.export(trained, bits, top=top))
        self._run = _precision.network(stored, bits, rows=self.samples, levels=dataset.levels, device=self._device)
        self._pixels = torch.from_numpy(dataset.test_pixels).to(self._device)
        self._labels = torch.from_numpy(dataset.test_labels).to(self._device)
        self.judged = len(self._labels)
        self._batch = self._rows(0)
        self.definition: Mapping[str, object] = {
            "task": f"classify {dataset.name}, one batch of held-out samples a step",
            "data": dataset.described(),
            "network": f"MLP {'-'.join(map(str, trained.widths))}, ReLU",
            "training": f"fp32, Adam, cosine to 0, {epochs} epochs",
            "learning_rate": values["learning_rate"],
            "bits": bits,
            "batch": self.samples,
            "kernel": kernel,
            **({} if top is None else {"largest_activation": top}),
            "isa": torch.backends.cpu.get_cpu_capability() if self._device == "cpu" else _gpu(),
            "torch": torch.__version__,
            "device": self._device,
            "threads": self._threads,
            "seed": seed,
        }

    def step(self) -> None:
        """Classify the batch."""
        self._scores(self._batch)
        if self._device == "cuda":
            self._torch.cuda.synchronize()

    def evaluate(self) -> Mapping[str, float]:
        """Accuracy over all held-out samples, in batches of the measured size."""
        right, total = 0, len(self._labels)
        for first in range(0, total, self.samples):
            labels = self._labels[first : first + self.samples]
            found = self._scores(self._rows(first)).argmax(1)[: len(labels)]
            right += int((found == labels).sum())
        return {"accuracy": right / total}

    def close(self) -> None:
        """Give torch its threads back."""
        self._torch.set_num_threads(self._threads_before)

    def _scores(self, pixels: Any) -> Any:
        # Interleaved tasks share torch's one setting.
        if self._torch.get_num_threads() != self._threads:
            self._torch.set_num_threads(self._threads)
        with self._torch.inference_mode():
            return self._run(pixels)

    def _rows(self, first: int) -> Any:
        """A full batch from sample `first` on; behind the last sample comes the first again."""
        positions = (self._torch.arange(self.samples, device=self._device) + first) % len(self._labels)
        return self._pixels[positions].contiguous()


def _gpu() -> str:
    import torch

    return "sm_{}{}".format(*torch.cuda.get_device_capability())


workload = QnnInfer()
