"""`own-outputs`: the control in which a node hears its own stale outputs, through the same codec, and nobody else."""

from energybench.workloads.distributed import carriers
from energybench.workloads.distributed.strategies import Context
from energybench.workloads.distributed.strategies.cultural import Cultural


def make(context: Context) -> Cultural:
    """The strategy of a node."""
    return Cultural(context, carriers.own(context))
