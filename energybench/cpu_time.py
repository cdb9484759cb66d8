"""Processor time of this process and of the children that it has waited for."""

import os
import resource
import time
from dataclasses import dataclass


@dataclass(slots=True)
class Carried:
    """CPU seconds that a forked child goes on from, where the kernel starts it at 0 again."""

    seconds: float = 0.0
    at_fork: float = 0.0

    def look(self) -> None:
        """In the parent, just before it forks."""
        self.at_fork = cpu_seconds()

    def take(self) -> None:
        """In the child."""
        self.seconds = self.at_fork


_carried = Carried()


def cpu_seconds() -> float:
    """User and system seconds, to the microsecond, all threads included; a forked child goes on from its parent's."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return _carried.seconds + time.process_time() + children.ru_utime + children.ru_stime


os.register_at_fork(before=_carried.look, after_in_child=_carried.take)
