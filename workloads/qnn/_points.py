"""Parameters that training and inference share, and what they say of a network."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from energybench.model import Parameter

if TYPE_CHECKING:
    from energybench.workloads.qnn.network import Network
    from energybench.workloads.qnn.training import Recipe

WIDTHS = (1, 2, 3, 4, 8, 16, 32)
_EPOCHS = {"mlp": 60, "vgg": 20}
_QUICK_EPOCHS = {"mlp": 12, "vgg": 4}
TRAINING_BATCH = 64

SHARED: Mapping[str, Parameter] = {
    "bits": Parameter(default=8, help="bits of weights and activations", choices=WIDTHS),
    "wbits": Parameter(default=0, help="bits of weights, 0: as bits says", choices=(0, *WIDTHS)),
    "abits": Parameter(default=0, help="bits of activations, 0: as bits says", choices=(0, *WIDTHS)),
}
NETWORK: Mapping[str, Parameter] = {
    "net": Parameter(default="mlp", help="mlp, or vgg: 3x3 convolutions in pairs, then two linear layers",
                     choices=("mlp", "vgg")),
    "hidden": Parameter(default=1024, help="features of a hidden layer; vgg: channels of the first block"),
    "depth": Parameter(default=2, help="hidden layers; vgg: blocks of two convolutions"),
    "data": Parameter(default="digits", help="digits, glyphs, or a folder with MNIST's or CIFAR's files"),
    "epochs": Parameter(default=0, help="passes over the training set, 0: by the network, fewer with --quick"),
    "learning_rate": Parameter(default=3e-3, help="Adam's, in the first epoch"),
}  # fmt: skip


def recipe(values: Mapping[str, Any], *, seed: int, quick: bool, batch: int = TRAINING_BATCH) -> "Recipe":
    """How the network of these parameters is trained."""
    from energybench.workloads.qnn.training import Recipe

    wbits, abits = widths(values)
    if values.get("sign") == "stochastic" and 1 not in (wbits, abits):
        raise ValueError(f"sign=stochastic does not fit W{wbits}A{abits}: only 1 bit is drawn")
    if not values.get("master", True) and wbits > 8:
        raise ValueError(f"master=false does not fit weights of {wbits} bits: they are their own master copy")
    epochs = values["epochs"] or (_QUICK_EPOCHS if quick else _EPOCHS)[values["net"]]
    chosen = {name: values[name] for name in ("data", "net", "hidden", "depth", "learning_rate")}
    extra = {name: values[name] for name in ("gbits", "sign", "master", "device") if name in values}
    # The network to be deployed is trained where every machine trains the same one.
    extra = extra if "gbits" in values else {}
    return Recipe(**chosen, **extra, wbits=wbits, abits=abits, epochs=epochs, batch=batch, seed=seed)


def widths(values: Mapping[str, Any]) -> tuple[int, int]:
    """Bits of weights and of activations."""
    return values["wbits"] or values["bits"], values["abits"] or values["bits"]


def described(network: "Network") -> Mapping[str, object]:
    """What a definition says of a network and how it was trained."""
    told = dict(network.about["recipe"])
    said = ("epochs", "batch", "learning_rate", "gbits", "sign", "master", "seed", "device")
    trained = {name: told.pop(name) for name in said} | {"torch": network.about["torch"]}
    return {
        "data": network.about["data"],
        "network": architecture(network),
        "training": {"recipe": "BNN: squared hinge, Adam, straight-through estimator", **trained},
        "wbits": told["wbits"],
        "abits": told["abits"],
    }


def architecture(network: "Network") -> str:
    """`MLP 64-1024-1024-10`, or the layers of a convolutional network: `32C3-32C3-MP2-…`."""
    layers = network.layers
    if layers[0].size is None:
        return f"MLP {'-'.join(str(n) for n in (layers[0].inputs, *(layer.outputs for layer in layers)))}"
    parts = ["×".join(map(str, network.shape))]
    for layer in layers:
        parts.append(f"{layer.outputs}{'C3' if layer.size else ''}")
        if layer.pool > 1:
            parts.append(f"MP{layer.pool}")
    return f"VGG {'-'.join(parts)}"


def label(wbits: int, abits: int) -> str:
    """`W1A4`."""
    return f"W{wbits}A{abits}"
