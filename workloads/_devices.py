"""What workloads on torch share: counts and devices refused in one line, and torch's one setting of threads.

Torch is imported inside: listing workloads loads none.
"""

from collections.abc import Mapping
from typing import Any


def check_positive(values: Mapping[str, Any], *names: str) -> None:
    """Refuse counts below 1.

    Raises:
        ValueError: the message has the first that does not fit.
    """
    for name in names:
        if values[name] < 1:
            raise ValueError(f"{name}={values[name]} does not fit: it is 1 or more")


def check_device(device: str) -> None:
    """Refuse a GPU that is not there.

    Raises:
        ValueError: torch finds none.
    """
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device=cuda: torch finds no CUDA device here; use device=cpu, or a torch built for CUDA")


def isa(device: str) -> str:
    """The instructions that torch's own operators use there: `AVX512`, `sm_90`."""
    import torch

    if device == "cuda":
        return "sm_{}{}".format(*torch.cuda.get_device_capability())
    return str(torch.backends.cpu.get_cpu_capability())


def synchronise(device: str) -> None:
    """Wait until a device has finished."""
    import torch

    if device == "cuda":
        torch.cuda.synchronize()


class Threads:
    """torch's threads of one task: interleaved tasks share torch's one setting."""

    def __init__(self, wanted: int) -> None:
        import torch

        self._torch, self._wanted, self._before = torch, wanted, torch.get_num_threads()

    def take(self) -> None:
        """Set this task's number."""
        if self._torch.get_num_threads() != self._wanted:
            self._torch.set_num_threads(self._wanted)

    def give_back(self) -> None:
        """Set what was there before."""
        self._torch.set_num_threads(self._before)
