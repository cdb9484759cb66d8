"""What a report costs at scale: raw power samples in Parquet, and frames, change points and the site of many commits.

    .venv/bin/python tests/bench/report_scale.py
    .venv/bin/python tests/bench/report_scale.py --rows 1000000 --commits 100 --output docs/results/report-scale.json

The samples are of 100 runs with 5 domains and 4 phases each, written by pyarrow; the tree is that of gate_scale.py,
20 benchmarks × 10 parameters a commit. Each measurement is a process of its own; its CPU seconds have its children's
in them, and bytes are the peak of its resident memory. `beyond_imports` leaves out what it takes to import the modules.
`site` builds all pages, `again` builds them once more with nothing new, `one_more` after one commit's results arrived.
"""

import argparse
import importlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

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

    told = Settings(records=folder / ".asv" / "results", site=folder / "site")
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
}


def measured(what: str, place: Path) -> dict[str, Any]:
    """One part in this process, with what it took."""
    for name in MODULES:
        importlib.import_module(name)
    imported, began = _cpu(), time.perf_counter()
    found = PARTS[what](place)
    wall, cpu = time.perf_counter() - began, _cpu()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    told = {"cpu_seconds": cpu, "beyond_imports": cpu - imported, "wall_seconds": wall, "bytes": peak}
    return {**told, **found}


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _apart(what: str, place: Path) -> dict[str, Any]:
    command = [sys.executable, __file__, "--only", what, "--place", str(place)]
    cache = {"ENERGYBENCH_CACHE": str(place.parent / "cache")}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env={**os.environ, **cache})
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _last(folder: Path) -> Path:
    """The result file of the newest commit."""
    command = ["git", "-C", str(folder), "rev-parse", "main"]
    commit = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    return next((folder / ".asv" / "results").glob(f"*/{commit[:8]}-*.json"))


def _build(folder: Path, commits: int) -> None:
    sys.path.insert(0, str(Path(__file__).parent))
    importlib.import_module("gate_scale").build(folder, commits)


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
    parser.add_argument("--folder", type=Path, help="a tree of gate_scale.py that was built before")
    parser.add_argument("--only", choices=PARTS)
    parser.add_argument("--place", type=Path)
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    if given.only:
        print(json.dumps(measured(given.only, given.place)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        samples, folder = Path(scratch) / "samples.parquet", given.folder or Path(scratch) / "tree"
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
        told["one_more"] = _apart("one_more", folder)
    _print(told)
    if given.output:
        given.output.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
