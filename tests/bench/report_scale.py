"""What a report costs at scale: raw power samples in Parquet, and frames, change points and the site of many commits.

    .venv/bin/python tests/bench/report_scale.py
    .venv/bin/python tests/bench/report_scale.py --rows 1000000 --commits 100 --output docs/results/report-scale.json
    .venv/bin/python tests/bench/report_scale.py --records --output docs/results/report-scale-records.json

The samples are of 100 runs with 5 domains and 4 phases each, written by pyarrow; the tree is that of gate_scale.py,
20 benchmarks × 10 parameters a commit. Each measurement is a process of its own; its CPU seconds have its children's
in them, and bytes are the peak of its resident memory. `beyond_imports` leaves out what it takes to import the modules.
`site` builds all pages, `again` builds them once more with nothing new, `one_more` after one commit's results arrived.
With `--records` the site is of records alone: 20 of each commit, each with 10 series and as large as a real one (three
windows, two domains that were read and four that could not be), and `fresh` builds one more without what was kept of
them. `points` is a site of 10,000 records, each a point of its own in one workload.
"""

import argparse
import datetime as dt
import hashlib
import importlib
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path += [str(Path(__file__).parent), str(Path(__file__).parents[1] / "fakes")]

RUNS, DOMAINS, PHASES, GROUP = 100, 5, 4, 1_000_000
HERTZ, BASE, SPREAD = 1000, 40.0, 2.0
MODULES = (
    *("pandas", "pyarrow.csv", "pyarrow.parquet", "seaborn", "matplotlib.figure", "matplotlib.backends.backend_svg"),
    *("jinja2", "ruptures", "energybench.gate", "energybench.history", "energybench.reports.raw"),
    *("energybench.reports.site", "energybench._commands.report"),
    *(
        f"energybench.reports.views.{name}"
        for name in ("breakdown", "changes", "communication", "frontier", "machines")
    ),
    *(
        f"energybench.reports.views.{name}"
        for name in ("power", "relaxing", "roofline", "scorecard", "tradeoff", "trend")
    ),
)
HELD = "held.json"
"""The results of the last commit, until it arrives."""
POINTS, RECORDS_EACH = 10_000, 20
REASON, REMEDY = "no such counter is known to the kernel of this machine", "measure on bare metal, where it has one"


def make_samples(path: Path, rows: int) -> None:
    """A file of so many samples, in the order of time: domains alternate, phases follow each other in each run."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    draw, each = np.random.default_rng(7), rows // RUNS
    words = {"run_id": RUNS, "domain": DOMAINS, "phase": PHASES}
    names = {name: [f"{name}-{number:03}" for number in range(count)] for name, count in words.items()}
    kinds = {name: pa.dictionary(pa.int32(), pa.string()) for name in words}
    columns = [(name, kinds.get(name)) for name in ("run_id", "domain", "phase")]
    schema = pa.schema([*columns, ("t_ns", pa.int64()), ("watts", pa.float64())])
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for begin in range(0, rows, GROUP):
            place = np.arange(begin, min(begin + GROUP, rows))
            run, inside = np.minimum(place // each, RUNS - 1), place % each
            codes = {
                "run_id": run,
                "domain": inside % DOMAINS,
                "phase": np.minimum(inside * PHASES // each, PHASES - 1),
            }
            told = {
                name: pa.DictionaryArray.from_arrays(code.astype(np.int32), pa.array(names[name]))
                for name, code in codes.items()
            }
            told["t_ns"] = pa.array(inside // DOMAINS * (1_000_000_000 // HERTZ))
            told["watts"] = pa.array(BASE + SPREAD * draw.standard_normal(len(place)))
            writer.write_table(pa.table(told, schema=schema))


def make_records(folder: Path, commits: int) -> None:
    """A repository with 20 records of each commit; joules of one point rise by a fifth in the middle."""
    from asv_tree import AsvTree

    draw = random.Random(6)
    for place, commit in enumerate(AsvTree(folder, []).many_commits(commits)):
        for which in range(RECORDS_EACH):
            level = 1.2 if which == 7 and place >= commits // 2 else 1.0
            point = {"n": which % 10, "bits": 8, "batch": 64, "net": "mlp", "device": "cpu", "threads": 1}
            name = f"{place:05}-{which:02}-case-{which // 10}"
            moment = dt.datetime(2026, 1, 1, tzinfo=dt.UTC) + dt.timedelta(hours=place, minutes=which)
            values = a_record(name, moment, point, draw, level) | {
                "workload": {"name": f"case-{which // 10}", "version": 1, "definition": _definition(point)},
                "machine": _machine() | {"git": {"commit": commit, "dirty": False}},
            }
            _put(folder / "records" / "box-1" / f"{name}.json", values)


def make_points(folder: Path, count: int) -> None:
    """So many points of one workload, a record each."""
    draw = random.Random(7)
    for number in range(count):
        point = {"bits": (1, 2, 4, 8, 16, 32)[number % 6], "batch": 2 ** (number // 6 % 10), "n": number // 60}
        moment = dt.datetime(2026, 1, 1, tzinfo=dt.UTC) + dt.timedelta(minutes=number)
        values = a_record(f"{number:05}", moment, point, draw, 1 + number / count) | {
            "workload": {"name": "case", "version": 1, "definition": _definition(point)},
            "machine": _machine(),
        }
        _put(folder / "records" / "box-1" / f"{number:05}.json", values)


def a_record(
    name: str, moment: dt.datetime, point: dict[str, Any], draw: random.Random, level: float
) -> dict[str, Any]:
    """A record of three windows with 14 results, of which 10 are judged, and about 13 kB."""
    windows = [_window(level * 0.05 * (1 + draw.gauss(0, 0.01))) for _ in range(3)]
    joules, samples = sum(one["total"]["joules"] for one in windows), sum(one["samples"] for one in windows)

    def metric(value: float, unit: str, provenance: str, up: bool = False) -> dict[str, Any]:
        value *= 1 + draw.gauss(0, 0.01) if provenance == "measured" and unit != "1" else 1
        told = {"value": value, "low": value * 0.98, "high": value * 1.02, "unit": unit, "provenance": provenance}
        doubt = {"standard_uncertainty": value / 100, "repeatability": value / 125, "median": value, "repeats": 3}
        return told | (doubt if provenance == "measured" else {}) | {"higher_is_better": up}

    each = joules / samples
    costs = {"joules": ("J", each), "net_joules": ("J", each * 0.8), "seconds": ("s", 2e-4), "dram_bytes": ("B", 8e3)}
    results = {f"{what}_per_sample": metric(value, unit, "measured") for what, (unit, value) in costs.items()}
    modelled = {"modelled_joules": ("J", each / 10), "operand_bytes": ("B", 5e5), "operations": ("op", 1e6)}
    results |= {f"{what}_per_sample": metric(value, unit, "modelled") for what, (unit, value) in modelled.items()}
    results["estimated_joules_per_sample"] = metric(each * 1.5, "J", "estimated")
    results["samples_per_second"] = metric(5e3, "1/s", "measured", up=True)
    results["latency_seconds"] = metric(1e-3, "s", "measured")
    results["loss"] = metric(0.1, "1", "measured")
    results["file_bytes"] = metric(1e6, "B", "measured") | {"value": 1e6}
    results["accuracy"] = metric(0.9 + draw.random() / 100, "1", "measured", up=True)
    results["flops_per_sample"] = metric(6e3, "FLOP", "modelled")
    total = {"joules": joules, "standard_uncertainty": joules / 100, "provenance": "measured"}
    return {
        "schema": 1,
        "id": name,
        "created": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "energybench": "0.1.0",
        "protocol": {"version": 1, "windows": 3, "align": False, "target_error": 0.03, "dephase": True},
        "parameters": point,
        "seed": 0,
        "quick": False,
        "quiet": {"quiet": True, "reasons": []},
        "seconds": sum(one["seconds"] for one in windows),
        "steps": sum(one["steps"] for one in windows),
        "samples": samples,
        "total": total | {"domains": ["cpu.package-0", "cpu.dram-0"]},
        "domains": _domains(joules),
        "idle": [{"when": when, "seconds": 2.0, "domains": _domains(4.0)} for when in ("before", "after")],
        "modelled": {"table": "horowitz-45nm", "joules": joules / 10, "arithmetic_joules": 0.1, "memory_joules": 0.9},
        "windows": windows,
        "results": results,
        "operators": {"unmapped": [], "counts": {"operations": {f"fp32.{one}": 526_848 for one in ("add", "mul")}}},
        "sources": [["cpu.package-0", "powercap", "measured"], ["cpu.dram-0", "powercap", "measured"]],
    }


def _window(joules: float) -> dict[str, Any]:
    total = {"joules": joules, "standard_uncertainty": joules / 100, "provenance": "measured"}
    told = {"seconds": 0.4, "steps": 30, "samples": 1920, "domains": _domains(joules)}
    return told | {"total": total | {"domains": ["cpu.package-0", "cpu.dram-0"]}, "traffic": {"operand_bytes": 5e6}}


def _domains(joules: float) -> dict[str, Any]:
    """Two domains that were read, and four sources that could not be."""
    told = {"provenance": "measured", "probe": "powercap", "flags": []}
    shares = {"cpu.package-0": 0.75 * joules, "cpu.dram-0": 0.25 * joules}
    read = {name: told | {"joules": one, "standard_uncertainty": one / 100} for name, one in shares.items()}
    return read | {name: {"unavailable": REASON, "remedy": REMEDY} for name in ("nvml", "gpm", "hwmon", "resctrl")}


def _machine() -> dict[str, Any]:
    packages = {"torch": "2.13.0+cpu", "numpy": "2.4.6", "numba": "0.68.1"}
    told = {"cpu": "A processor", "microcode": "0x1000065", "cpus": 2, "kernel": "6.18.44", "python": "3.11.7"}
    return {"id": "box-1", "name": "the box", **told, "packages": packages}


def _definition(point: dict[str, Any]) -> dict[str, Any]:
    data = {"name": "digits", "sha256": "9412306fcce78e42a62b53b9d042f3208a5a9def042d75be348d43b1647f21f4"}
    return {
        "task": "inference on digits",
        "data": data,
        "network": "MLP 64-1024-1024-10",
        "torch": "2.13.0+cpu",
        **point,
    }


def _put(file: Path, values: dict[str, Any]) -> None:
    """As the store does, which waits for the disk after each file."""
    from energybench import record

    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(record.dumps(record.parse(values)), encoding="utf-8")


def raw(path: Path) -> dict[str, Any]:
    """Joules and watts of each run, domain and phase."""
    from energybench.reports.raw import aggregate

    table = aggregate(path)
    return {"groups": len(table), "samples": int(table["samples"].sum()), "joules": float(table["joules"].sum())}


def load(folder: Path) -> dict[str, Any]:
    """`energybench.load` of a results_dir."""
    import energybench

    table = energybench.load(folder / ".asv" / "results")
    return {"rows": len(table), "columns": len(table.columns)}


def tidy(folder: Path) -> dict[str, Any]:
    """The long form, and its CSV, JSON and Parquet files."""
    from energybench.reports import exports, frames

    found = frames.contents(folder / ".asv" / "results")
    with tempfile.TemporaryDirectory() as scratch:
        table = frames.tidy(found.stored, found.asv)
        written = exports.export(table, Path(scratch), "tidy").files
        return {"rows": len(table), "file_bytes": {one.suffix[1:]: one.stat().st_size for one in written}}


def history(folder: Path) -> dict[str, Any]:
    """The change points of all series."""
    from energybench.gating.library import Library
    from energybench.history import history as changes_of

    found = changes_of(Library(repository=folder, records=folder / "records"))
    return {"series": found.series, "commits": found.commits, "changes": len(found.changes)}


def site(folder: Path) -> dict[str, Any]:
    """The site, of what there is, as `energybench report` builds it."""
    from energybench._commands.report import Wanted, build_once
    from energybench.config import Settings
    from energybench.reports.evidence import places

    records = folder / "records"
    told = Settings(records=records if records.is_dir() else folder / ".asv" / "results", site=folder / "site")
    build_once(told, places(told.records), Wanted())
    files = [one for one in told.site.rglob("*") if one.is_file()]
    return {
        "pages": sum(one.suffix == ".html" for one in files),
        "site_bytes": sum(one.stat().st_size for one in files),
    }


PARTS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "raw": raw,
    "load": load,
    "tidy": tidy,
    "history": history,
    "site": site,
    "again": site,
    "one_more": site,
    "fresh": site,
    "points": site,
}


def measured(what: str, place: Path) -> dict[str, Any]:
    """One part in this process, with what it took."""
    for name in MODULES:
        importlib.import_module(name)
    imported, began = _cpu(), time.perf_counter()
    found = PARTS[what](place)
    wall, cpu = time.perf_counter() - began, _cpu()
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) * 1024
    told = {"cpu_seconds": cpu, "beyond_imports": cpu - imported, "wall_seconds": wall, "bytes": peak}
    return {**told, **found}


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _apart(what: str, place: Path) -> dict[str, Any]:
    command = [sys.executable, __file__, "--only", what, "--place", str(place)]
    cache = {"ENERGYBENCH_CACHE": str(place.parent / ("no-cache" if what == "fresh" else "cache"))}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env={**os.environ, **cache})
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _last(folder: Path) -> Path:
    """The result file of the newest commit."""
    command = ["git", "-C", str(folder), "rev-parse", "main"]
    commit = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    return next((folder / ".asv" / "results").glob(f"*/{commit[:8]}-*.json"))


def _build(folder: Path, commits: int) -> None:
    importlib.import_module("gate_scale").build(folder, commits)


def of_asv(scratch: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Raw samples, and what is made of asv's results."""
    samples, folder = scratch / "samples.parquet", given.folder or scratch / "tree"
    make_samples(samples, given.rows)
    told: dict[str, Any] = {"rows": given.rows, "commits": given.commits, "parquet_bytes": samples.stat().st_size}
    told["raw"] = _apart("raw", samples)
    if not folder.exists():
        _build(folder, given.commits)
    told |= {what: _apart(what, folder) for what in ("load", "tidy", "history")}
    last = _last(folder)
    last.replace(folder / HELD)
    told |= {what: _apart(what, folder) for what in ("site", "again")}
    (folder / HELD).replace(last)
    return told | {"one_more": _apart("one_more", folder)}


def of_records(scratch: Path, given: argparse.Namespace) -> dict[str, Any]:
    """The site of records alone, and that of very many points."""
    folder, points = given.folder or scratch / "tree", scratch / "points"
    if not folder.exists():
        make_records(folder, given.commits)
    files = sorted((folder / "records").rglob("*.json"))
    size = sum(one.stat().st_size for one in files)
    told: dict[str, Any] = {"commits": given.commits, "records": len(files), "record_bytes": size}
    for one in files[-RECORDS_EACH:]:
        one.replace(folder / one.name)
    told |= {what: _apart(what, folder) for what in ("site", "again")}
    for one in files[-RECORDS_EACH:]:
        (folder / one.name).replace(one)
    told["one_more"] = _apart("one_more", folder)
    cached = _contents(folder / "site")
    shutil.rmtree(folder / "site")
    told["fresh"] = _apart("fresh", folder)
    told["same_bytes"] = _contents(folder / "site") == cached
    make_points(points, given.points)
    return told | {"points": _apart("points", points)}


def _contents(site: Path) -> dict[str, str]:
    """A digest of each file of a site."""
    files = sorted(one for one in site.rglob("*") if one.is_file())
    return {str(one.relative_to(site)): hashlib.sha256(one.read_bytes()).hexdigest() for one in files}


def _print(told: dict[str, Any]) -> None:
    print(f"{'':10} {'wall s':>8} {'CPU s':>8} {'beyond imports':>15} {'peak MB':>8}  what")
    for name, one in told.items():
        if not isinstance(one, dict):
            continue
        cost = f"{one['wall_seconds']:8.1f} {one['cpu_seconds']:8.1f} {one['beyond_imports']:15.1f}"
        rest = {
            key: value
            for key, value in one.items()
            if key in ("groups", "samples", "rows", "series", "changes", "pages", "site_bytes")
        }
        print(f"{name:10} {cost} {one['bytes'] / 1e6:8.0f}  {', '.join(f'{v:,} {k}' for k, v in rest.items())}")


def main() -> None:
    """Make the files, measure, print; write where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--commits", type=int, default=1000)
    parser.add_argument("--folder", type=Path, help="a tree that was built before, of gate_scale.py or of records")
    parser.add_argument("--only", choices=PARTS)
    parser.add_argument("--place", type=Path)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--records", action="store_true", help="the site of records alone")
    parser.add_argument("--points", type=int, default=POINTS, help="of one workload, with --records")
    given = parser.parse_args()
    if given.only:
        print(json.dumps(measured(given.only, given.place)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        told = (of_records if given.records else of_asv)(Path(scratch), given)
    _print(told)
    if given.output:
        given.output.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
