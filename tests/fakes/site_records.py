"""Records that fill every view of a report: a simulated machine with a trace, points, commits, nodes, sweeps."""

import json
import math
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from energybench import record as schema
from energybench.meter import Meter
from energybench.probes.simulated import Machine, Simulated

HOSTILE = '<script>alert("x")</script>&"\'$a^b$'
WINDOWS, STEP_SECONDS, STEPS = 3, 0.02, 60
SWEEPS = {
    "sweep": [1, 2, 3, 4],
    "active": [64, 64, 16, 4],
    "residual_median": [0.1, 0.01, 1e-3, 1e-4],
    "residual_max": [0.4, 0.05, 5e-3, 1e-3],
    "seconds": [1e-3, 2e-3, 2.5e-3, 4e-3],
}


def metric(value: float, unit: str, provenance: str, **rest: Any) -> dict[str, Any]:
    return {"value": value, "unit": unit, "provenance": provenance, "higher_is_better": False} | rest


def energy(joules: float, kind: str) -> dict[str, Any]:
    return {"joules": joules, "standard_uncertainty": joules / 100, "provenance": kind, "probe": "powercap"}


def a_trace(clock: Any) -> list[list[Any]]:
    """What a meter sees of the simulated machine whose one CPU is busy now more and now less; `clock` is virtual."""
    cpu = 0.0
    meter = Meter({"simulated": Simulated(Machine(), clock=clock, cpu=lambda: cpu)}, clock=clock, poll=False)
    rows: list[list[Any]] = []
    for window in range(WINDOWS):
        with meter.window(trace_hz=1 / STEP_SECONDS) as seen:
            for step in range(STEPS):
                cpu += STEP_SECONDS * (0.6 + 0.4 * math.sin(step / 6 + window))
                clock.advance(STEP_SECONDS)
                meter.poll()
        rows += [[window, *sample] for sample in seen.trace]
    meter.close()
    return rows


def a_window(joules: float, kind: str) -> dict[str, Any]:
    domains = {"cpu.package-0": energy(joules * 0.75, kind), "cpu.dram-0": energy(joules * 0.25, kind)}
    total = {"joules": joules, "standard_uncertainty": joules / 100, "provenance": kind, "domains": list(domains)}
    return {"seconds": STEP_SECONDS * STEPS, "steps": STEPS, "samples": 2000, "domains": domains, "total": total}


def a_record(name: str, joules: float = 2e-4, kind: str = "measured", **changes: Any) -> dict[str, Any]:
    """6400 samples: 75 % of the joules in the package, 25 % in DRAM, 2 W at rest, and modelled joules."""
    whole = joules * 6400
    domains = {"cpu.package-0": energy(whole * 0.75, kind), "cpu.dram-0": energy(whole * 0.25, kind)}
    idle = {name: energy(watts * 4.0, kind) for name, watts in (("cpu.package-0", 1.5), ("cpu.dram-0", 0.5))}
    total = {"joules": whole, "standard_uncertainty": whole / 100, "provenance": kind, "domains": list(domains)}
    values = {
        "schema": 1,
        "id": name,
        "created": "2026-11-22T10:00:00Z",
        "energybench": "0.1.0",
        "protocol": {"version": 1, "windows": WINDOWS, "align": False},
        "workload": {"name": "qnn-infer", "version": 1, "definition": {"task": "digits"}},
        "parameters": {"bits": 8},
        "seed": 0,
        "quick": True,
        "machine": {"id": "box-1", "name": "the box", "cpu": {"model": "a processor"}},
        "quiet": {"quiet": True},
        "seconds": WINDOWS * STEPS * STEP_SECONDS,
        "steps": WINDOWS * STEPS,
        "samples": 6400,
        "total": total,
        "domains": domains,
        "idle": [{"when": "before", "seconds": 4.0, "domains": idle, "watts": {}}],
        "modelled": {"table": "horowitz-45nm", "joules": 6.4, "arithmetic_joules": 1.6, "memory_joules": 4.8},
        "operators": {"counts": {"operations": {"fp32.add": 100, "fp32.mul": 100}}},
        "windows": [a_window(whole / WINDOWS * share, kind) for share in (0.995, 1.0, 1.005)],
        "results": {
            "joules_per_sample": metric(joules, "J", kind, low=joules * 0.9, high=joules * 1.1),
            "modelled_joules_per_sample": metric(joules / 10, "J", "modelled", low=joules / 20, high=joules / 5),
            "seconds_per_sample": metric(joules / 20, "s", "measured", standard_uncertainty=joules / 2000),
            "accuracy": metric(0.95, "1", "measured", higher_is_better=True),
            "operations_per_sample": metric(1e6, "op", "modelled"),
            "operand_bytes_per_sample": metric(5e5, "B", "modelled"),
        },
    }
    return values | changes


def points() -> Iterator[dict[str, Any]]:
    """Twelve points, from 1 to 32 bits in two batches."""
    for number, bits in enumerate((1, 2, 3, 4, 16, 32)):
        for batch in (1, 64):
            one = a_record(f"p{bits}-{batch}", 1e-4 * (1 + number) / (1 + batch / 100))
            one["parameters"] = {"bits": bits, "batch": batch}
            one["results"]["accuracy"] = metric(0.90 + number / 100, "1", "measured", higher_is_better=True)
            yield one


def traced(clock: Any) -> dict[str, Any]:
    """The simulated machine; its second window was throttled."""
    machine = {"id": "sim-1", "name": "a simulated machine"}
    one = a_record("traced", kind="simulated", machine=machine, trace=a_trace(clock))
    one["windows"][1]["flags"] = ["throttled"]
    return one


def of_commits(commits: list[str]) -> Iterator[dict[str, Any]]:
    """A record a commit, whose joules rise by 30 % in the middle; the kernel was another one in the first quarter."""
    for number, commit in enumerate(commits):
        rise = 1.3 if number >= len(commits) // 2 else 1.0
        kernel = "6.1" if number < len(commits) // 4 else "6.2"
        machine = {"id": "box-1", "name": "the box", "kernel": kernel, "git": {"commit": commit, "dirty": False}}
        one = a_record(f"c{number:03}", 2e-4 * rise * (1 + 0.002 * (number % 3)), machine=machine)
        one["results"]["modelled_joules_per_sample"]["value"] = 2e-5 * rise
        del one["results"]["joules_per_sample"]["low"], one["results"]["joules_per_sample"]["high"]
        one["results"]["joules_per_sample"]["standard_uncertainty"] = 1e-6
        yield one | {"created": f"2026-11-01T{number:02}:00:00Z"}


def of_nodes() -> Iterator[dict[str, Any]]:
    """Training on two and four nodes."""
    for nodes in (2, 4):
        one = a_record(f"n{nodes}", 4e-3 * nodes, "estimated")
        del one["total"], one["idle"]
        for window in one["windows"]:
            del window["total"], window["domains"]
        one["domains"] = {"cpu.package-0": {"unavailable": "no rights", "remedy": "chmod"}}
        one["results"] = {
            "seconds_per_step": metric(0.01 * nodes, "s", "measured"),
            "tcp_bytes_per_step": metric(400.0 * nodes, "B", "measured"),
            "estimated_joules_per_sample": metric(4e-3, "J", "estimated", low=2e-3, high=8e-3),
            "accuracy": metric(0.9 + 0.01 * nodes, "1", "measured", higher_is_better=True),
        }
        one["workload"] = {"name": "dist-train", "version": 1, "definition": {"data": {"name": "digits"}}}
        yield one | {"parameters": {"nodes": nodes, "strategy": "sync", "every": 10}}


def of_sweeps() -> Iterator[dict[str, Any]]:
    """A relaxation, in a workload whose name is markup."""
    one = a_record("e1", 8e-4, details={"relaxation": SWEEPS})
    one["results"]["free_sweeps"] = metric(6.0, "1", "measured")
    one["workload"] = {"name": f"eqprop-relax {HOSTILE}", "version": 1, "definition": {}}
    yield one | {"parameters": {"net": "64-128-10", "tolerance": 0.001}}


def repository(folder: Path, count: int) -> list[str]:
    """A git repository of empty commits; their hashes, the oldest first."""

    def git(*arguments: str) -> str:
        who = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
        done = subprocess.run(["git", "-C", str(folder), *who, *arguments], capture_output=True, check=True)
        return done.stdout.decode().strip()

    folder.mkdir(parents=True, exist_ok=True)
    git("init", "-q")
    for number in range(count):
        git("commit", "-q", "--allow-empty", "-m", f"Change number {number} <b>")
    return git("rev-list", "--reverse", "HEAD").splitlines()


def write(root: Path, clock: Any, commits: int = 12) -> Path:
    """A repository with records in it, and one file that is none; returns the folder of the records."""
    hashes = repository(root, commits)
    for one in (*points(), traced(clock), *of_commits(hashes), *of_nodes(), *of_sweeps()):
        put(root / "records", one)
    (root / "records" / "torn.json").write_text('{"schema": 1, "id": "to', encoding="utf-8")
    return root / "records"


def put(records: Path, values: Mapping[str, Any]) -> None:
    """As the store does."""
    file = records / values["machine"]["id"] / f"{values['id']}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(schema.dumps(schema.parse(json.loads(json.dumps(values)))), encoding="utf-8")
