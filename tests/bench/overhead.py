"""What a window costs, beside pyRAPL, pyJoules and zeus; what the background thread costs; what importing costs.

    python tests/bench/overhead.py [--output docs/results/overhead.json]

The peers read the same two domains (package and DRAM) of one powercap tree of plain files, in a mount namespace at
/sys/class/powercap, in turns. Needs root; the peers are measured where they are installed (`pip install .[peers]`).
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

FAKES = Path(__file__).parents[1] / "fakes"
sys.path.insert(0, str(FAKES))
POWERCAP = Path("/sys/class/powercap")
Window = Callable[[], object]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--output", type=Path, help="write the numbers here as JSON")
    arguments = parser.parse_args()
    if "ENERGYBENCH_NAMESPACE" not in os.environ:
        os.environ["ENERGYBENCH_NAMESPACE"] = "1"
        os.execvp("unshare", ["unshare", "-m", sys.executable, *sys.argv])
    subprocess.run(["mount", "-t", "tmpfs", "none", "/sys/class"], check=True)
    write_tree()
    results = {
        "begin + end": windows(arguments.rounds),
        "background thread": thread_share(),
        "start-up": start_up(arguments.rounds),
    }
    print(json.dumps(results, indent=1))
    if arguments.output:
        arguments.output.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")


def write_tree(packages: int = 1) -> None:
    """Packages with DRAM, as plain files in the nested and the flat place."""
    for number in range(packages):
        outer = POWERCAP / f"intel-rapl/intel-rapl:{number}"
        for folder, name in ((outer, f"package-{number}"), (outer / f"intel-rapl:{number}:0", "dram")):
            folder.mkdir(parents=True, exist_ok=True)
            for file, text in (("name", name), ("max_energy_range_uj", "262143328850"), ("energy_uj", "123456789")):
                (folder / file).write_text(f"{text}\n")
            flat = POWERCAP / folder.name
            if not flat.exists():
                flat.symlink_to(folder)


def windows(rounds: int) -> dict[str, object]:
    """Median microseconds of begin + end, and the ratio to each peer, from rounds that take turns."""
    found: dict[str, list[float]] = {}
    libraries = dict(open_libraries())
    for _ in range(rounds):
        for name, window in libraries.items():
            found.setdefault(name, []).append(seconds_each(window, 200))
    micro = {name: statistics.median(values) * 1e6 for name, values in found.items()}
    ours = found["energybench"]
    ratios = {
        f"energybench / {name}": statistics.median(a / b for a, b in zip(ours, values, strict=True))
        for name, values in found.items()
        if name != "energybench"
    }
    return {"microseconds": micro, "ratio": ratios}


def seconds_each(call: Window, times: int) -> float:
    begin = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - begin) / times


def open_libraries() -> Iterator[tuple[str, Window]]:
    import energybench as eb

    def ours() -> None:
        with eb.measure(["powercap"]):
            pass

    yield "energybench", ours
    yield "energybench, with its total", lambda: _with_total(eb)
    for name, opener in (("pyRAPL", _pyrapl), ("pyJoules", _pyjoules), ("zeus", _zeus)):
        try:
            yield name, opener()
        except ImportError as error:
            print(f"{name} is not installed: {error}", file=sys.stderr)


def _with_total(eb: object) -> None:
    with eb.measure(["powercap"]) as window:  # type: ignore[attr-defined]
        pass
    window.total  # noqa: B018 -- computed when asked for


def _pyrapl() -> Window:
    import pyRAPL

    pyRAPL.setup(devices=[pyRAPL.Device.PKG, pyRAPL.Device.DRAM])

    def window() -> None:
        measurement = pyRAPL.Measurement("window")
        measurement.begin()
        measurement.end()

    return window


def _pyjoules() -> Window:
    from pyJoules.device import DeviceFactory
    from pyJoules.device.rapl_device import RaplDramDomain, RaplPackageDomain
    from pyJoules.energy_meter import EnergyMeter

    meter = EnergyMeter(DeviceFactory.create_devices([RaplPackageDomain(0), RaplDramDomain(0)]))

    def window() -> None:
        meter.start()
        meter.stop()
        meter.get_trace()

    return window


def _zeus() -> Window:
    from zeus.monitor import ZeusMonitor

    monitor = ZeusMonitor(gpu_indices=[], cpu_indices=[0])

    def window() -> None:
        monitor.begin_window("window")
        monitor.end_window("window")

    return window


def thread_share(seconds: float = 20.0) -> dict[str, float]:
    """CPU share of one core that the background thread takes: 4 powercap domains and 8 mock GPUs at 10 Hz."""
    from nvml_library import build_nvml

    write_tree(packages=2)
    with tempfile.TemporaryDirectory() as folder:
        library = build_nvml(Path(folder))
        code = (
            "import time, energybench as eb\n"
            "meter = eb.open_meter(['powercap', 'nvml'])\n"
            "names = [n for n, d in meter.readable.items() if d.kind == 'counter' and d.quantity == 'joules']\n"
            "def idle(seconds):\n"
            "    cpu = time.process_time(); time.sleep(seconds); return time.process_time() - cpu\n"
            f"with meter.window(trace_hz=10): busy = idle({seconds})\n"
            f"print(len(names), (busy - idle({seconds})) / {seconds})\n"
        )
        environment = os.environ | {"LD_LIBRARY_PATH": str(library.parent), "FAKE_NVML_GPUS": "8"}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    domains, share = done.stdout.split()
    return {"counters": int(domains), "share of one core": float(share)}


def start_up(rounds: int) -> dict[str, float]:
    """Ratios of start-up times: importing us against bare Python, our help against an empty typer program."""
    empty = "import typer; app = typer.Typer(); app.command()(lambda: None); app()"
    programs = {
        "bare": ["-c", "pass"],
        "import": ["-c", "import energybench"],
        "typer": ["-c", empty, "--help"],
        "help": ["-m", "energybench", "--help"],
    }
    found: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(rounds):
        for name, arguments in programs.items():
            begin = time.perf_counter()
            subprocess.run([sys.executable, *arguments], capture_output=True, check=True)
            found[name].append(time.perf_counter() - begin)
    middle = {name: statistics.median(values) for name, values in found.items()}
    return {
        "import energybench / bare python": middle["import"] / middle["bare"],
        "energybench --help / empty typer program": middle["help"] / middle["typer"],
    }


if __name__ == "__main__":
    main()
