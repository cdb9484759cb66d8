"""The most memory that something takes at once, measured."""

import os
from collections.abc import Callable

import torch


def peak_bytes(work: Callable[[], object], device: str) -> int:
    """The most bytes held at once while `work` runs, beyond those held before it.

    On a GPU it is what torch's allocator says (`torch.cuda.max_memory_allocated`), on a CPU the running sum of the
    allocations and releases that torch's profiler sees: tensors, the work space of operators, and a tape.
    """
    return _cuda(work) if device == "cuda" else _cpu(work)


def how(device: str) -> str:
    """What `peak_bytes` reads, for a definition."""
    return "torch.cuda.max_memory_allocated" if device == "cuda" else "memory events of torch.profiler"


def _cuda(work: Callable[[], object]) -> int:
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    kept = work()
    torch.cuda.synchronize()
    peak = torch.cuda.max_memory_allocated() - before
    del kept
    return peak


def _cpu(work: Callable[[], object]) -> int:
    # libkineto announces each profile on stderr, at its level 5; it reads this once.
    os.environ.setdefault("KINETO_LOG_LEVEL", "6")
    with torch.autograd.profiler.profile(profile_memory=True) as profile:
        kept = work()
    del kept
    assert profile.kineto_results is not None
    events = [event for event in profile.kineto_results.events() if event.name() == "[memory]"]
    held = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    return peak
