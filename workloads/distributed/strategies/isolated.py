"""`isolated`: each node learns from its own samples alone; nothing is sent."""

from torch import Tensor, nn

from energybench.workloads.distributed.strategies import Context


class Isolated:
    """A strategy that does nothing at any place; others replace what they need."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.module: nn.Module = context.net

    def works(self, step: int) -> bool:  # noqa: ARG002 -- every strategy takes it
        """Every node, at every step."""
        return True

    def anew(self, step: int) -> bool:  # noqa: ARG002 -- every strategy takes it
        """Never."""
        return False

    def before(self, step: int) -> None:
        """Nothing."""

    def loss(self, step: int) -> Tensor | None:  # noqa: ARG002 -- every strategy takes it
        """Nothing."""
        return None

    def gradients(self) -> None:
        """Nothing."""

    def after(self, step: int) -> None:
        """Nothing."""

    def finish(self) -> None:
        """Nothing is under way."""

    def result(self) -> nn.Module | None:
        """The node's own network."""
        return self.context.net


def make(context: Context) -> Isolated:
    """The strategy of a node."""
    return Isolated(context)
