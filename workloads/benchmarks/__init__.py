"""energybench's own asv suite: every workload of the repository, one measured run a parameter point.

asv imports these files from the checkout that runs it, and the project from each commit's wheel. So that a commit does
not measure itself, the modules named here come from the checkout as well, whatever commit is installed: the benchmark
type, the measured side of the instrument, what counts operators, which has to run in the measured process, and the
suite itself.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

CHECKOUT = Path(__file__).resolve().parents[2]
INSTRUMENT = (
    "energybench.asv",
    "energybench.asv_configuration",
    "energybench.asv_points",
    "energybench.asv_runs",
    "energybench.marking",
    "energybench.operations",
    "energybench._aten",
    "energybench._aten_elementwise",
    "energybench.probes",
    "energybench.workloads.benchmarks",
)


class FromCheckout(importlib.abc.MetaPathFinder):
    """Finds the modules of the instrument in a checkout, before anybody finds them where they are installed."""

    def __init__(self, checkout: Path) -> None:
        self._checkout = checkout

    def find_spec(
        self, fullname: str, _path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The module's file in the checkout; None for what is not the instrument's."""
        if not any(fullname == name or fullname.startswith(f"{name}.") for name in INSTRUMENT):
            return None
        place = self._checkout.joinpath(*fullname.split("."))
        file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
        return importlib.util.spec_from_file_location(fullname, file) if file.is_file() else None


# asv knows this package as `benchmarks`, the modules in it as a part of energybench: it may be imported twice.
if not any(type(finder).__name__ == FromCheckout.__name__ for finder in sys.meta_path):
    sys.meta_path.insert(0, FromCheckout(CHECKOUT))
