"""How right the meter is on a machine whose energy is known exactly, beside pyRAPL, pyJoules and zeus.

    python tests/bench/accuracy.py [--windows 1000] [--output docs/results/accuracy.json]

It puts a powercap tree behind FUSE in a mount namespace of its own at /sys/class/powercap (so it needs root, fuse3
and libfuse2) and measures windows of sleep. The peers are measured where they are installed
(`pip install .[peers]`). Errors are relative to the exact energy between the two moments that bound the body.
"""

import argparse
import json
import math
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[1] / "fakes"))
from powercap_fuse import SquareWave, mounted

POWERCAP = Path("/sys/class/powercap")

if TYPE_CHECKING:
    from energybench.measurement import Measurement
    from energybench.meter import Meter

CALM = SquareWave()
WRAPPING = SquareWave(range_joules=65.532610)
FAULTS = ("EACCES", "EIO", "ENODEV", "SHORT", "FREEZE", "BACKWARD")
Body = Callable[[], None]
Library = Callable[[Body], tuple[float, float, float]]
"""Runs a body in a window; returns joules and the two moments that bound the body."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, default=1000, help="windows of the coverage run")
    parser.add_argument("--faults", type=int, default=10_000, help="windows of the fault run")
    parser.add_argument("--repeats", type=int, default=200, help="windows for each error quantile (a tenth at 1 s)")
    parser.add_argument("--only", default="", help="errors, coverage or faults; the other parts of the file stay")
    parser.add_argument("--output", type=Path, help="write the numbers here as JSON")
    arguments = parser.parse_args()
    if "ENERGYBENCH_NAMESPACE" not in os.environ:
        os.environ["ENERGYBENCH_NAMESPACE"] = "1"
        os.execvp("unshare", ["unshare", "-m", sys.executable, *sys.argv])
    subprocess.run(["mount", "-t", "tmpfs", "none", "/sys/class"], check=True)
    parts: dict[str, Callable[[], object]] = {
        "errors, calm": lambda: errors(CALM, arguments.repeats),
        "errors, wrapping": lambda: errors(WRAPPING, arguments.repeats),
        "coverage": lambda: coverage(WRAPPING, arguments.windows),
        "faults": lambda: faults(CALM, arguments.faults),
    }
    output: Path | None = arguments.output
    results = json.loads(output.read_text()) if output and output.exists() else {}
    for name, part in parts.items():
        if arguments.only in name:
            results[name] = part()
            if output:
                output.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")


def errors(wave: SquareWave, repeats: int) -> dict[str, dict[str, list[float | None]]]:
    """Median and 95th percentile of the relative error in percent, by library and length of the window."""
    with mounted(POWERCAP, wave):
        return _errors(wave, repeats, dict(_open_libraries()))


def _errors(
    wave: SquareWave, repeats: int, libraries: Mapping[str, Library]
) -> dict[str, dict[str, list[float | None]]]:
    table: dict[str, dict[str, list[float | None]]] = {}
    for seconds, count in ((0.02, repeats), (0.1, repeats), (1.0, max(repeats // 5, 5))):
        found: dict[str, list[float]] = {}
        for _ in range(count):
            for name, library in libraries.items():  # interleaved: the machine's mood is the same for all
                time.sleep(random.uniform(0, 0.003))
                found.setdefault(name, []).append(relative_error(wave, library, seconds))
        for name, values in found.items():
            ordered = sorted(values)
            pair = [statistics.median(ordered) * 100, ordered[math.ceil(0.95 * len(ordered)) - 1] * 100]
            table.setdefault(name, {})[f"{seconds:g} s"] = [x if math.isfinite(x) else None for x in pair]
            print(
                f"range {wave.range_joules:9.1f} J {seconds:5g} s {name:22} {pair[0]:9.3f} / {pair[1]:9.3f} %",
                flush=True,
            )
    return table


def relative_error(wave: SquareWave, library: Library, seconds: float) -> float:
    try:
        joules, begin, end = library(lambda: time.sleep(seconds))
    except (TypeError, ValueError):  # what a peer raises when its counter wraps
        return math.inf
    return abs(joules / (wave.joules(end) - wave.joules(begin)) - 1)


def coverage(wave: SquareWave, count: int) -> dict[str, object]:
    """How often the stated k=2 interval holds the truth, and the median stated u over the rms error, by octave."""
    import energybench as eb

    octaves: dict[int, list[tuple[float, float]]] = {}
    inside = refused = 0
    for window in _random_windows(wave, count):
        energy = window.domains["cpu.package-0"]
        if isinstance(energy, eb.Unavailable):
            refused += 1
            continue
        error = energy.joules - (wave.joules(window.end_ns / 1e9) - wave.joules(window.begin_ns / 1e9))
        inside += abs(error) <= 2 * energy.standard_uncertainty
        octaves.setdefault(int(math.log2(window.seconds / 0.005)), []).append((error, energy.standard_uncertainty))
    ratios = {
        f"{0.005 * 2**octave:g} s": statistics.median(u for _, u in pairs)
        / math.sqrt(statistics.fmean(e * e for e, _ in pairs))
        for octave, pairs in sorted(octaves.items())
    }
    result = {
        "windows": count,
        "inside": inside / count,
        "refused": refused,
        "median u / rms error by octave": ratios,
    }
    print(json.dumps(result, indent=1), flush=True)
    return result


def _random_windows(wave: SquareWave, count: int) -> "Iterator[Measurement]":
    import energybench as eb

    with mounted(POWERCAP, wave):
        meter = eb.open_meter(["powercap"])
        for _ in range(count):
            with meter.window() as window:
                time.sleep(math.exp(random.uniform(math.log(0.005), math.log(2.0))))
            yield window
        meter.close()


def faults(wave: SquareWave, count: int) -> dict[str, int]:
    """Windows over two packages with faults at random moments in one of them: what was wrong, and what was lost."""
    import energybench as eb

    names = (
        "windows",
        "with a fault",
        "wrong sign",
        "silent zero",
        "number from a failed read",
        "frozen, believed",
        "sound domain missing",
        "sound domain outside k=2",
    )
    tally = dict.fromkeys(names, 0)
    with mounted(POWERCAP, wave, packages=2):
        meter = eb.open_meter(["powercap"])
        for _ in range(count):
            _one_fault(wave, meter, tally)
        meter.close()
    print(json.dumps(tally, indent=1), flush=True)
    return tally


def _one_fault(wave: SquareWave, meter: "Meter", tally: dict[str, int]) -> None:
    """A window in which package 1 fails at a random moment, also before it, and is healed at another one.

    A sick domain may give joules, where its readings were good; they are believed wrongly outside k=4. A counter that
    froze shortly before a window and goes on within it cannot be told from a sound one by single readings.
    """
    import energybench as eb

    fault_file = POWERCAP / "fault"
    fault = random.choice(FAULTS) if random.random() < 0.5 else ""
    sick_from, sick_to = sorted(random.uniform(-0.01, 0.03) for _ in range(2))
    events = sorted([(0.0, "begin"), (random.uniform(0.01, 0.02), "end"), (sick_from, f"1 {fault}"), (sick_to, "")])
    window, start = meter.window(), time.perf_counter() + max(0.0, -sick_from)
    for moment, event in events:
        time.sleep(max(0.0, start + moment - time.perf_counter()))
        if event == "begin":
            start = time.perf_counter()  # a pause of the machine must not cut the window short
            window.begin()
        elif event == "end":
            window.end()
        elif fault:
            fault_file.write_text(f"{event}\n")
    truth = wave.joules(window.end_ns / 1e9) - wave.joules(window.begin_ns / 1e9)
    tally["windows"] += 1
    tally["with a fault"] += bool(fault)
    for number in (0, 1):
        energy = window.domains[f"cpu.package-{number}"]
        sound = number == 0 or not fault
        tally["sound domain missing"] += sound and not isinstance(energy, eb.Energy)
        if isinstance(energy, eb.Energy):
            wrong = abs(energy.joules - truth) / energy.standard_uncertainty
            tally["wrong sign"] += energy.joules < 0
            tally["silent zero"] += energy.joules == 0
            tally["sound domain outside k=2"] += sound and wrong > 2
            kind = "frozen, believed" if fault == "FREEZE" else "number from a failed read"
            tally[kind] += not sound and wrong > 4


def _open_libraries() -> Iterator[tuple[str, Library]]:
    yield "energybench", _energybench(align=False)
    yield "energybench, aligned", _energybench(align=True)
    for name, opener in (("pyRAPL", _pyrapl), ("pyJoules", _pyjoules), ("zeus", _zeus)):
        with _absent_is_fine(name):
            yield name, opener()


@contextmanager
def _absent_is_fine(name: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        print(f"{name} is not installed: {error}", file=sys.stderr)


def _energybench(*, align: bool) -> Library:
    import energybench as eb

    meter = eb.open_meter(["powercap"])

    def run(body: Body) -> tuple[float, float, float]:
        with meter.window(align=align) as window:
            body()
        energy = window.domains["cpu.package-0"]
        assert isinstance(energy, eb.Energy), energy
        return energy.joules, window.begin_ns / 1e9, window.end_ns / 1e9

    return run


def _pyrapl() -> Library:
    import pyRAPL

    pyRAPL.setup(devices=[pyRAPL.Device.PKG])

    def run(body: Body) -> tuple[float, float, float]:
        window = pyRAPL.Measurement("window")
        window.begin()
        begin = time.perf_counter()
        body()
        end = time.perf_counter()
        window.end()
        return window.result.pkg[0] / 1e6, begin, end

    return run


def _pyjoules() -> Library:
    from pyJoules.device import DeviceFactory
    from pyJoules.device.rapl_device import RaplPackageDomain
    from pyJoules.energy_meter import EnergyMeter

    meter = EnergyMeter(DeviceFactory.create_devices([RaplPackageDomain(0)]))

    def run(body: Body) -> tuple[float, float, float]:
        meter.start()
        begin = time.perf_counter()
        body()
        end = time.perf_counter()
        meter.stop()
        return sum(meter.get_trace()[0].energy.values()) / 1e6, begin, end

    return run


def _zeus() -> Library:
    from zeus.monitor import ZeusMonitor

    monitor = ZeusMonitor(gpu_indices=[], cpu_indices=[0])

    def run(body: Body) -> tuple[float, float, float]:
        monitor.begin_window("window")
        begin = time.perf_counter()
        body()
        end = time.perf_counter()
        window = monitor.end_window("window")
        return window.cpu_energy[0], begin, end

    return run


if __name__ == "__main__":
    main()
