"""The networks of nodes: each gives its logits and the hidden activity below them."""

from torch import Tensor, nn


class Net(nn.Module):
    """A trunk that makes hidden activity, and a linear layer that makes logits of it.

    Args:
        trunk: (rows, features) to (rows, hidden), 0 or more.
        hidden: its units.
        classes: of the logits.
    """

    def __init__(self, trunk: nn.Module, hidden: int, classes: int) -> None:
        super().__init__()
        self.trunk, self.head = trunk, nn.Linear(hidden, classes)

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (rows, classes) and hidden activity (rows, hidden)."""
        hidden = self.trunk(inputs)
        return self.head(hidden), hidden


def make(name: str, shape: tuple[int, int, int], hidden: int, classes: int) -> Net:
    """`mlp`: one hidden layer; `conv`: two 3x3 convolutions of 16 and 32 channels before it, the second of stride 2."""
    height, width, channels = shape
    if name == "mlp":
        return Net(nn.Sequential(nn.Linear(height * width * channels, hidden), nn.ReLU()), hidden, classes)
    features = 32 * -(-height // 2) * -(-width // 2)
    trunk = nn.Sequential(
        nn.Unflatten(1, (height, width, channels)),
        _ChannelsFirst(),
        nn.Conv2d(channels, 16, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(features, hidden),
        nn.ReLU(),
    )
    return Net(trunk, hidden, classes)


class _ChannelsFirst(nn.Module):
    def forward(self, inputs: Tensor) -> Tensor:
        return inputs.movedim(-1, 1)
