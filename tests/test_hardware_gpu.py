"""What only a real NVIDIA GPU can tell; run with `make hardware`, and kept as JSON for the next reader.

ENERGYBENCH_HARDWARE_OUT names the folder for the JSON (docs/results/ if not set).
"""

import json
import os
import re
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from energybench.model import Domain, Reading, Unavailable
from energybench.probes import gpm, nvml
from energybench.probes.nvml import Nvml
from energybench.ticks import measure_ticks

pytestmark = pytest.mark.hardware

SECONDS = 6.0
SETTLE_SECONDS = 2.0
AGREEMENT = 0.10
ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def probe() -> Iterator[Nvml]:
    opened = nvml.open_probe()
    if isinstance(opened, Unavailable):
        pytest.skip(f"{opened.reason}; {opened.remedy}")
    if not any(isinstance(domain, Domain) for domain in opened.domains.values()):
        pytest.skip("; ".join(d.reason for d in opened.domains.values() if isinstance(d, Unavailable)))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def gpu(probe: Nvml) -> str:
    """The first GPU that has a counter."""
    counters = [n for n, d in probe.domains.items() if isinstance(d, Domain) and d.kind == "counter"]
    if not counters:
        pytest.skip("no GPU here has an energy counter: it came with Volta")
    return counters[0]


@pytest.fixture(scope="module")
def kept(probe: Nvml, gpu: str) -> Iterator[dict[str, object]]:
    """What the tests read, written down at the end whatever they found."""
    condition = probe.state()
    board = condition[gpu]
    assert isinstance(board, dict)
    found: dict[str, object] = {"state": condition, "domains": {n: repr(d) for n, d in probe.domains.items()}}
    yield found
    folder = Path(os.environ.get("ENERGYBENCH_HARDWARE_OUT") or ROOT / "docs/results")
    folder.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^a-z0-9]+", "-", str(board["name"]).lower()).strip("-")
    text = json.dumps(found, indent=2, sort_keys=True, default=str)
    (folder / f"hardware-{name}.json").write_text(text + "\n")


@pytest.fixture(scope="module")
def work(probe: Nvml, gpu: str) -> Callable[[], None]:
    """Some tens of milliseconds of matrix products on that GPU."""
    torch = pytest.importorskip("torch", reason="a load needs torch: pip install '.[workloads]'")
    if not torch.cuda.is_available():
        pytest.skip("torch sees no CUDA device; install torch for CUDA")
    domain = probe.domains[gpu]
    assert isinstance(domain, Domain)
    uuids = [str(torch.cuda.get_device_properties(i).uuid) for i in range(torch.cuda.device_count())]
    index = next((i for i, uuid in enumerate(uuids) if uuid.removeprefix("GPU-") in domain.source), None)
    if index is None:
        pytest.skip(f"torch does not see the GPU of {domain.source}; it sees {uuids}")
    left = torch.randn(8192, 8192, device=f"cuda:{index}", dtype=torch.bfloat16)

    def products() -> None:
        for _ in range(20):
            left @ left  # the product is what is wanted, not its value
        torch.cuda.synchronize(index)

    return products


def test_the_counter_ticks_and_a_read_is_quick(probe: Nvml, gpu: str, kept: dict[str, object]):
    ticks = measure_ticks(probe.read, time.perf_counter_ns, limit_seconds=3.0, changes=100)
    names = [name for name, domain in probe.domains.items() if isinstance(domain, Domain)]
    kept["tick_seconds"] = dict(zip(names, ticks, strict=True))
    spent, begin = time.process_time(), time.perf_counter()
    for _ in range(50):
        probe.read()
    kept["read_seconds"] = (time.perf_counter() - begin) / 50
    kept["read_process_seconds"] = (time.process_time() - spent) / 50
    tick = dict(zip(names, ticks, strict=True))[gpu]
    assert tick is not None
    assert 0.0005 < tick < 1.0


def test_the_counter_agrees_with_the_power_at_rest(probe: Nvml, gpu: str, kept: dict[str, object]):
    compare(probe, gpu, kept, "idle")


def test_the_counter_agrees_with_the_power_under_load(
    probe: Nvml, gpu: str, kept: dict[str, object], work: Callable[[], None]
):
    stop = threading.Event()
    thread = threading.Thread(target=lambda: repeat(work, stop))
    thread.start()
    try:
        time.sleep(SETTLE_SECONDS)
        compare(probe, gpu, kept, "load")
    finally:
        stop.set()
        thread.join()


def test_gpm_counts_a_copy_of_known_size(gpu: str, kept: dict[str, object], work: Callable[[], None], tmp_path: Path):
    opened = gpm.open_probe()
    if isinstance(opened, Unavailable):
        pytest.skip(f"{opened.reason}; {opened.remedy}")
    domain = opened.domains[f"{gpu}.dram"]
    kept["gpm"] = {name: repr(value) for name, value in opened.domains.items()}
    opened.close()
    if isinstance(domain, Unavailable):
        pytest.skip(f"{domain.reason}; {domain.remedy}")
    uuid = re.search(r"GPU-\S+", domain.source)
    assert uuid
    found = gpm.calibrate(uuid[0], path=tmp_path / "gpm.json")
    kept["gpm_dram_factor"] = {"factor": found.factor, "standard_uncertainty": found.standard_uncertainty}
    assert 0.7 < found.factor < 1.4
    assert found.standard_uncertainty < 0.05


def repeat(work: Callable[[], None], stop: threading.Event) -> None:
    while not stop.is_set():
        work()


def compare(probe: Nvml, gpu: str, kept: dict[str, object], when: str) -> None:
    """The counter's joules and the integral of the power beside it, over some seconds."""
    names = [name for name, domain in probe.domains.items() if isinstance(domain, Domain)]
    assert f"{gpu}.power" in names, "no power beside the counter"
    counter, power = names.index(gpu), names.index(f"{gpu}.power")
    samples = watch(probe, SECONDS)
    counted = (number(samples[-1][counter]) - number(samples[0][counter])) * 1e-3
    integral = sum(
        (number(a[power]) + number(b[power])) / 2e3 * (b[power][0] - a[power][0]) / 1e9 for a, b in pairwise(samples)
    )
    watts = [number(sample[power]) / 1e3 for sample in samples]
    kept[when] = {
        "seconds": (samples[-1][counter][0] - samples[0][counter][0]) / 1e9,
        "counter_joules": counted,
        "power_joules": integral,
        "ratio": counted / integral,
        "watts": {"median": statistics.median(watts), "low": min(watts), "high": max(watts)},
    }
    assert counted == pytest.approx(integral, rel=AGREEMENT)


def watch(probe: Nvml, seconds: float) -> list[list[Reading]]:
    """Readings at 50 Hz."""
    samples = [probe.read()]
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.02)
        samples.append(probe.read())
    return samples


def number(reading: Reading) -> int:
    assert isinstance(reading[1], int), reading[1]
    return reading[1]
