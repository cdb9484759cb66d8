"""Joules, bytes and accuracy of what you run, with an honest error bar.

import energybench as eb

with eb.measure() as m:
    work()
print(m)  # and m.total, m.domains, m.traffic, m.seconds; m.estimated where nothing can be measured
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from energybench.measurement import Measurement
    from energybench.meter import Meter, open_meter
    from energybench.model import (
        Domain,
        Energy,
        Estimate,
        Learner,
        Modelled,
        Parameter,
        Probe,
        Task,
        Total,
        Unavailable,
        UnknownNameError,
        Workload,
    )
    from energybench.record import Record
    from energybench.reports.frames import load
    from energybench.windows import measure

__version__ = "0.1.0"

_HOMES = {
    "Domain": "model",
    "Energy": "model",
    "Estimate": "model",
    "Learner": "model",
    "Measurement": "measurement",
    "Meter": "meter",
    "Modelled": "model",
    "Parameter": "model",
    "Probe": "model",
    "Record": "record",
    "Task": "model",
    "Total": "model",
    "Unavailable": "model",
    "UnknownNameError": "model",
    "Workload": "model",
    "load": "reports.frames",
    "measure": "windows",
    "open_meter": "meter",
}
__all__ = [
    "Domain",
    "Energy",
    "Estimate",
    "Learner",
    "Measurement",
    "Meter",
    "Modelled",
    "Parameter",
    "Probe",
    "Record",
    "Task",
    "Total",
    "Unavailable",
    "UnknownNameError",
    "Workload",
    "__version__",
    "load",
    "measure",
    "open_meter",
]


def __getattr__(name: str) -> object:
    """Import a public name when it is first used: pandas and pydantic only load where they are needed."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
