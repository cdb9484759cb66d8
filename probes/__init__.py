"""Probes: one file a source of readings. The file's name is the probe's name; a new file needs no registration.

Third parties add one by an entry point in the group `energybench.probes` that names a module with `open_probe`.
"""

import difflib
import importlib
import pkgutil
import time
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from energybench.model import Clock, Probe, Unavailable, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Callable

GROUP = "energybench.probes"
DEFAULT_PRIORITY = 50


def names() -> list[str]:
    """Every probe there is, the preferred first among those that meter the same thing."""
    return sorted(_own() | {point.name for point in entry_points(group=GROUP)})


def open_probe(name: str, *, root: Path = Path("/"), clock: Clock = time.perf_counter_ns) -> Probe | Unavailable:
    """Open a probe by its name; `Unavailable` where this machine has nothing of its kind.

    Raises:
        UnknownNameError: no probe has this name.
    """
    opener: Callable[..., Probe | Unavailable] = _module(name).open_probe
    return opener(root=root, clock=clock)


def is_on_request(name: str) -> bool:
    """Whether the probe is used only when it is asked for by name."""
    return bool(_setting(name, "ON_REQUEST", False))


def priority(name: str) -> int:
    """Lower is preferred where two probes meter the same domain."""
    return int(_setting(name, "PRIORITY", DEFAULT_PRIORITY))


def _setting(name: str, constant: str, default: int) -> int:
    """A constant of the probe's file; the default where its file cannot be imported, which opening it tells."""
    try:
        return int(getattr(_module(name), constant, default))
    except UnknownNameError:
        raise
    except Exception:
        return default


def _module(name: str) -> ModuleType:
    if name in _own():
        return importlib.import_module(f"energybench.probes.{name}")
    for point in entry_points(group=GROUP, name=name):
        module: ModuleType = point.load()
        return module
    known = names()
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known probes: {', '.join(known)}"
    raise UnknownNameError(f"no probe is called {name!r}; {hint}")


def _own() -> set[str]:
    return {module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")}
