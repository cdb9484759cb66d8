"""Processor time of this process and of the children that it has waited for."""

import resource
import time


def cpu_seconds() -> float:
    """User and system seconds, to the microsecond, all threads included."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime
