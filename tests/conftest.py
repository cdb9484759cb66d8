"""Fixtures that several test files share: a clock that moves when told, and the fakes of tests/fakes by path."""

import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import hypothesis
import pytest
from xdist.scheduler import LoadFileScheduling

FAKES = Path(__file__).parent / "fakes"

# A machine that is busy is no failure: nothing here is timed. HYPOTHESIS_PROFILE=thorough takes its time.
hypothesis.settings.register_profile("untimed", deadline=None, max_examples=50)
hypothesis.settings.register_profile("thorough", deadline=None, max_examples=500)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "untimed"))

# Of several workers each has its share of the cores: OpenMP's threads wait by spinning, for a core that another has.
WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
if WORKERS > 1:
    os.environ.setdefault("OMP_NUM_THREADS", str(max((os.cpu_count() or 1) // WORKERS, 1)))


class Files(LoadFileScheduling):
    """The tests of one file stay in one worker, and so do all that start ranks: they wait for no more than seconds."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return "ranks" if "/test_distributed_" in file else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Files | None:
    if config.getoption("dist") != "loadfile":
        return None
    # Files with few tests are the long ones, that measure: by their numbers of tests they would come last of all, and
    # one worker would wait for the other.
    config.option.loadscopereorder = False
    return Files(config, log)


class FakeClock:
    """Nanoseconds that pass only when told to, and one microsecond at each look so that no wait is endless."""

    def __init__(self, start_seconds: float = 1000.0, look_seconds: float = 1e-6) -> None:
        self.ns = round(start_seconds * 1e9)
        self.look_ns = round(look_seconds * 1e9)

    def __call__(self) -> int:
        self.ns += self.look_ns
        return self.ns

    def advance(self, seconds: float) -> None:
        self.ns += round(seconds * 1e9)

    sleep = advance


@pytest.fixture
def fake_clock() -> FakeClock:
    return FakeClock()


def load_fake(name: str) -> ModuleType:
    """Import tests/fakes/NAME.py once; `tests` is no package (pyRAPL installs one of that name)."""
    module_name = f"energybench_fakes_{name}"
    if module_name not in sys.modules:
        spec = importlib.util.spec_from_file_location(module_name, FAKES / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[module_name] = module
        spec.loader.exec_module(module)
    return sys.modules[module_name]


@pytest.fixture
def sysfs(tmp_path: Path) -> object:
    """An empty machine of files: `sysfs.powercap.laptop()`, `sysfs.power_pmu()` …"""
    return load_fake("sysfs").Tree(tmp_path / "machine")


# The fake's own fixtures: a controllable libnvidia-ml.so.1, and two GPUs in it.
nvml_library = load_fake("nvml_library").nvml_library
nvml = load_fake("nvml_library").nvml
# A machine, a workload and a clock that are all virtual, for the protocol.
world = load_fake("virtual_world").world


@pytest.fixture(scope="session")
def powercap_fuse() -> ModuleType:
    """The powercap machine behind FUSE."""
    return load_fake("powercap_fuse")


@pytest.fixture(scope="session")
def fill_records() -> Callable[[Path], Path]:
    """Makes a folder a repository with records that fill every view of a report; returns the folder of the records."""
    return lambda root: load_fake("site_records").write(root, FakeClock())


@pytest.fixture(scope="session")
def integer_network() -> ModuleType:
    """The deployed network in plain numpy: `scores(network, pixels)`."""
    return load_fake("integer_network")


@pytest.fixture(autouse=True)
def _no_machine_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    for variable in ("ENERGYBENCH_SIMULATE", "ENERGYBENCH_RECORDS", "COLUMNS"):
        monkeypatch.delenv(variable, raising=False)
    # A worker's own: neither another's tests nor somebody who measures on this machine hold it.
    monkeypatch.setenv("ENERGYBENCH_LOCK", str(tmp_path_factory.getbasetemp() / "energybench.lock"))
    monkeypatch.setenv("ENERGYBENCH_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="session")
def fake() -> Callable[[str], ModuleType]:
    """The fake of a name."""
    return load_fake


@pytest.fixture(scope="session")
def trees() -> ModuleType:
    """Repositories with the results that asv would have written for them."""
    return load_fake("asv_tree")


@pytest.fixture(scope="session")
def site_text() -> Callable[[Path], str]:
    """What all pages of a site say, but for its glossary."""

    def text(index: Path) -> str:
        pages = (one for one in sorted(index.parent.glob("*.html")) if one.name != "glossary.html")
        return "".join(one.read_text(encoding="utf-8") for one in pages)

    return text
