"""Joules a call as asv results, in a tree of their own: `asv publish` and `asv compare` work on it.

asv writes its index of benchmarks anew at each run, and what it does not know there is gone: nothing is written into
the project's own tree.
"""

import datetime as dt
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from energybench import results
from energybench.record import Record
from energybench.store import write_atomically
from energybench.suites.choosing import count
from energybench.suites.place import Suite, branches
from energybench.suites.records import METHOD
from energybench.suites.running import Tried
from energybench.suites.served import Benchmark

DIGITS = 5
"""asv prints what is neither seconds nor bytes with all its digits; records have them."""
KEPT = ("project_url", "show_commit_url", "hash_length")


def write_tree(folder: Path, suite: Suite, found: Sequence[Tried], *, python: str) -> Path | None:
    """Add results to the tree in a folder; the folder, or None where the suite is in no git repository.

    Args:
        folder: of the tree; it is made where there is none.
        suite: what was measured; asv keeps results by its commit.
        found: one for each combination that was measured or tried.
        python: the version that ran the suite.

    Raises:
        TreeError: what is there already is damaged.
    """
    if suite.commit is None or suite.repository is None:
        return None
    from asv.repo import get_repo
    from asv.results import Results

    machine = _machine()
    kept = folder / "results"
    _write_configuration(folder, suite)
    version = ".".join(python.split(".")[:2])
    date = get_repo(_Configuration(str(suite.repository), suite.project)).get_date(suite.commit)
    stored = Results({**machine, "python": version}, {}, suite.commit, date, version, f"energybench-py{version}", {})
    index = _taken_up(stored, kept)
    for benchmark in {one.combination.benchmark.name: one.combination.benchmark for one in found}.values():
        own = [one for one in found if one.combination.benchmark.name == benchmark.name]
        for entry, samples in _entries(benchmark, own):
            index[entry["name"]] = entry
            _add(stored, entry, own, samples)
    _write(kept / "benchmarks.json", {**index, "version": 2})
    _write(kept / str(machine["machine"]) / "machine.json", {**machine, "version": 1})
    stored.save(str(kept))
    return folder


class TreeError(ValueError):
    """A tree of asv results that is damaged; nothing was added to it."""


@dataclass(frozen=True, slots=True)
class _Configuration:
    """What asv asks a configuration for when it opens a repository."""

    repo: str
    project: str
    dvcs: str = "git"


def energy_name(name: str) -> str:
    """`sorting.Sort.energy_time_sort` for `sorting.Sort.time_sort`."""
    head, _, tail = name.rpartition(".")
    return f"{head}.energy_{tail}" if head else f"energy_{tail}"


def _entries(benchmark: Benchmark, own: Sequence[Tried]) -> list[tuple[dict[str, Any], Mapping[int, list[float]]]]:
    """The benchmark's joules and its seconds: asv's description of each, and samples by combination."""
    measured = {one.combination.index: one.record for one in own if one.record}
    kind = next((kind for record in measured.values() if (kind := _kind(record))), "measured")
    joules = {index: samples for index, record in measured.items() if (samples := _joules(record))}
    seconds = {index: results.by_window(record)["seconds_per_sample"] for index, record in measured.items()}
    title = benchmark.pretty_name or benchmark.name.rpartition(".")[2]
    energy = _described(benchmark, energy_name(benchmark.name), "energy", "joules", f"{title} [J]", kind)
    time = _described(benchmark, benchmark.name, "time", "seconds", title, "measured")
    return [(energy, joules), (time, seconds)]


def _described(benchmark: Benchmark, name: str, kind: str, unit: str, title: str, provenance: str) -> dict[str, Any]:
    told = f"energybench {METHOD} {benchmark.version}"
    version = hashlib.sha256(told.encode()).hexdigest()
    return {
        "name": name,
        "pretty_name": title,
        "type": kind,
        "unit": unit,
        "params": [list(one) for one in benchmark.params],
        "param_names": list(benchmark.param_names),
        # What is simulated or estimated is never compared with what a counter said.
        "version": version if provenance == "measured" else f"{version}-{provenance}",
        "code": benchmark.code,
        "timeout": benchmark.timeout or 60.0,
        "provenance": provenance,
        "higher_is_better": False,
    }


def _add(stored: Any, entry: Mapping[str, Any], own: Sequence[Tried], samples: Mapping[int, list[float]]) -> None:
    """One benchmark's results; combinations that were not tried now keep what they have, or are left out."""
    from asv.runner import BenchmarkResult

    total = math.prod(len(one) for one in entry["params"])
    failed = {one.combination.index for one in own if one.status in ("failed", "timeout", "crashed")}
    # asv's own words: nothing for what failed, NaN for what was left out.
    values = [True if i in samples else None if i in failed else math.nan for i in range(total)]
    rounded = [[_rounded(one) for one in samples[i]] if i in samples else None for i in range(total)]
    result = BenchmarkResult(
        result=values,
        samples=rounded,
        number=[1 if i in samples else None for i in range(total)],
        errcode=0,
        stderr="",
        profile=None,
    )
    seconds = sum(one.record.seconds for one in own if one.record)
    stored.add_result(
        dict(entry),
        result,
        started_at=dt.datetime.now(dt.UTC),
        duration=seconds,
        record_samples=True,
        selected_idx={one.combination.index for one in own} if count(own[0].combination.benchmark) > 1 else None,
    )


def _joules(record: Record) -> list[float]:
    """Joules a call of each window, or the power model's."""
    by_window = results.by_window(record)
    if "joules_per_sample" in by_window:
        return by_window["joules_per_sample"]
    estimates = [window.estimated.joules / window.samples for window in record.windows if window.estimated]
    return estimates if len(estimates) == len(record.windows) else []


def _kind(record: Record) -> str:
    metrics = [record.results.get(name) for name in ("joules_per_sample", "estimated_joules_per_sample")]
    return next((metric.provenance for metric in metrics if metric), "")


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def _machine() -> dict[str, Any]:
    """What asv knows of this machine: the owner's ~/.asv-machine.json, where there is one."""
    from asv.machine import Machine, MachineCollection
    from asv.util import UserError

    try:
        return dict(MachineCollection.load(Machine.get_unique_machine_name()))
    except (UserError, OSError, ValueError):
        return dict(Machine.get_defaults())


def _taken_up(stored: Any, kept: Path) -> dict[str, Any]:
    """Load what this commit has already, and give the index of benchmarks."""
    from asv.util import UserError

    path = kept / "benchmarks.json"
    try:
        stored.load_data(str(kept))
        told = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        return {name: entry for name, entry in told.items() if name != "version"}
    except (UserError, ValueError, KeyError, TypeError, AttributeError) as error:
        text = " ".join(str(error).split())
        raise TreeError(
            f"{kept} has results of asv that cannot be read ({text}); move it away, and run again"
        ) from error


def _write_configuration(folder: Path, suite: Suite) -> None:
    told = {key: suite.configuration[key] for key in KEPT if key in suite.configuration}
    own = {
        "version": 1,
        "project": suite.project,
        **told,
        "repo": str(suite.repository),
        "branches": branches(suite),
        "dvcs": "git",
        "benchmark_dir": str(suite.root),
        "results_dir": "results",
        "html_dir": "html",
        "env_dir": "env",
    }
    _write(folder / "asv.conf.json", own)


def _write(path: Path, values: Mapping[str, Any]) -> None:
    write_atomically(path, json.dumps(values, indent=1) + "\n")
