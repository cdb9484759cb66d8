"""How many bytes GPM's per cent of DRAM bandwidth are worth on one GPU, found with a copy of known size."""

import json
import os
import statistics
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from math import hypot
from pathlib import Path
from typing import Any

from energybench.model import Clock, UnknownNameError

# A copy of gigabytes also writes back what was in the L2 cache and reads its own code: 1 % covers both.
COPY_UNCERTAINTY = 0.01
BUFFER_BYTES = 4 << 30
COPIES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """`factor`: true bytes for each byte that GPM's per cent stand for; its uncertainty is relative."""

    factor: float
    standard_uncertainty: float


def default_path(environ: Mapping[str, str] = os.environ) -> Path:
    """Where factors are kept: one small file for the user, by the GPUs' UUIDs."""
    base = environ.get("XDG_CONFIG_HOME") or Path(environ.get("HOME", "~")).expanduser() / ".config"
    return Path(base) / "energybench/gpm.json"


def load(path: Path) -> dict[str, Calibration]:
    """The factors by UUID; none where the file is absent or damaged (the bytes say `uncalibrated`)."""
    try:
        kept = json.loads(path.read_text())
        return {uuid: Calibration(**values) for uuid, values in kept.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def save(path: Path, uuid: str, found: Calibration) -> None:
    """Add one GPU's factor to the file, in one step."""
    kept = {known: asdict(values) for known, values in load(path).items()} | {uuid: asdict(found)}
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(json.dumps(kept, indent=2, sort_keys=True) + "\n")
    draft.replace(path)


def measure_factor(
    count: Callable[[], int], copy: Callable[[], int], *, clock: Clock, seconds: float = 1.0, repeats: int = 5
) -> Calibration:
    """True bytes over counted bytes, of `repeats` runs of `copy` for `seconds` each.

    Args:
        count: the bytes counted so far, with a factor of 1.
        copy: moves memory, returns when that is done, and says how many bytes were read and written.
        clock: nanoseconds.
        seconds: how long a run is.
        repeats: how many runs; at least 2.

    Raises:
        RuntimeError: GPM counted nothing.
    """
    copy()  # the first one allocates and warms up
    ratios = []
    for _ in range(repeats):
        before, moved, end = count(), 0, clock() + int(seconds * 1e9)
        while clock() < end:
            moved += copy()
        counted = count() - before
        if counted <= 0:
            raise RuntimeError("GPM counted no bytes during a copy; see `energybench doctor` for its state")
        ratios.append(moved / counted)
    spread = statistics.stdev(ratios) / statistics.mean(ratios) / len(ratios) ** 0.5
    return Calibration(factor=statistics.median(ratios), standard_uncertainty=hypot(spread, COPY_UNCERTAINTY))


def torch_copy(uuid: str) -> Callable[[], int]:
    """Device-to-device copies by torch on the GPU of this UUID: each byte is read once and written once.

    Raises:
        UnknownNameError: torch sees no such GPU.
    """
    import torch

    for index in range(torch.cuda.device_count()):
        if str(torch.cuda.get_device_properties(index).uuid).removeprefix("GPU-") == uuid.removeprefix("GPU-"):
            return _copier(torch, index)
    raise UnknownNameError(f"torch sees no GPU {uuid}; unset CUDA_VISIBLE_DEVICES, or install torch for CUDA")


def _copier(torch: Any, index: int) -> Callable[[], int]:
    free, _ = torch.cuda.mem_get_info(index)
    size = int(min(BUFFER_BYTES, free // 3))
    source = torch.ones(size, dtype=torch.uint8, device=f"cuda:{index}")
    target = torch.empty_like(source)

    def copy() -> int:
        for _ in range(COPIES):
            target.copy_(source)
        torch.cuda.synchronize(index)
        return 2 * size * COPIES

    return copy
