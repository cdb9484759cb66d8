"""A git repository with commits, and the results_dir that asv would have written for them, file by file as asv does."""

import json
import math
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asv_runner.statistics import compute_stats

ENVIRONMENT = "virtualenv-py3.11"
COLUMNS = [
    *("result", "params", "version", "started_at", "duration", "stats_ci_99_a", "stats_ci_99_b"),
    *("stats_q_25", "stats_q_75", "stats_number", "stats_repeat", "samples", "profile"),
]
STATISTICS = ("ci_99_a", "ci_99_b", "q_25", "q_75", "number", "repeat")
GIT = {
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_SYSTEM": "/dev/null",
}
START = 1_700_000_000

Values = Sequence[Sequence[float] | float | None]
"""Of each combination of parameters its samples, a single number, NaN where it was skipped, None where it failed."""


@dataclass(frozen=True)
class Benchmark:
    """What asv's index tells of one."""

    name: str
    unit: str = "J"
    kind: str = "energy"
    params: Sequence[Sequence[str]] = ()
    param_names: Sequence[str] = ()
    version: str = "1.1"
    more: Mapping[str, Any] = field(default_factory=dict)

    def entry(self) -> dict[str, Any]:
        told = {"name": self.name, "type": self.kind, "unit": self.unit, "version": self.version, "code": ""}
        return {**told, "params": list(self.params), "param_names": list(self.param_names), **self.more}


class AsvTree:
    """A repository at `path`; `results` is its results_dir."""

    def __init__(self, path: Path, benchmarks: Sequence[Benchmark], *, machine: str = "lab") -> None:
        self.path, self.results, self.machine = path, path / ".asv" / "results", machine
        self.benchmarks = {one.name: one for one in benchmarks}
        path.mkdir(parents=True, exist_ok=True)
        self.git("init", "-q", "-b", "main")
        configuration = '{\n  // where things are\n  "version": 1,\n  "results_dir": ".asv/results",\n}\n'
        (path / "asv.conf.json").write_text(configuration, encoding="utf-8")
        self.commits: list[str] = []
        self.write_index()
        self.write_machine(machine)

    def git(self, *arguments: str, **environment: str) -> str:
        known = {**os.environ, **GIT, **environment}
        command = ["git", "-C", str(self.path), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, env=known).stdout.strip()

    def commit(self, subject: str, *, when: int | None = None) -> str:
        """An empty commit, an hour after the one before; its hash."""
        at = f"{when if when is not None else START + 3600 * len(self.commits)} +0000"
        dates = {"GIT_AUTHOR_DATE": at, "GIT_COMMITTER_DATE": at}
        self.git("commit", "-q", "--allow-empty", "-m", subject, **dates)
        self.commits.append(self.git("rev-parse", "HEAD"))
        return self.commits[-1]

    def many_commits(self, count: int) -> list[str]:
        """So many empty commits at once, by git fast-import."""
        stream = []
        for number in range(count):
            at = f"Ada <ada@example.org> {START + 3600 * number} +0000"
            subject = f"commit {number}"
            stream.append(f"commit refs/heads/main\nauthor {at}\ncommitter {at}\ndata {len(subject)}\n{subject}\n")
        command = ["git", "-C", str(self.path), "fast-import", "--quiet"]
        subprocess.run(command, input="\n".join(stream), text=True, check=True, env={**os.environ, **GIT})
        self.commits = self.git("rev-list", "--reverse", "main").split()
        return self.commits

    def write_index(self) -> None:
        self.results.mkdir(parents=True, exist_ok=True)
        index = {name: one.entry() for name, one in self.benchmarks.items()}
        (self.results / "benchmarks.json").write_text(json.dumps({**index, "version": 2}), encoding="utf-8")

    def write_machine(self, machine: str, **more: str) -> None:
        (self.results / machine).mkdir(parents=True, exist_ok=True)
        told = {**self.facts(machine), **more, "version": 1}
        (self.results / machine / "machine.json").write_text(json.dumps(told), encoding="utf-8")

    @staticmethod
    def facts(machine: str) -> dict[str, str]:
        known = {"arch": "x86_64", "cpu": "A CPU", "num_cpu": "8", "os": "Linux 6.1", "ram": "1024"}
        return {"machine": machine, **known}

    def result(
        self,
        commit: str,
        values: Mapping[str, Values],
        *,
        machine: str | None = None,
        environment: str = ENVIRONMENT,
        requirements: Mapping[str, str] | None = None,
        versions: Mapping[str, str] | None = None,
        keep_samples: bool = False,
        **params: str,
    ) -> Path:
        """The result file of a commit."""
        name = machine or self.machine
        rows = {
            benchmark: self._row(self.benchmarks[benchmark], given, (versions or {}).get(benchmark), keep_samples)
            for benchmark, given in values.items()
        }
        place = self.commits.index(commit) if commit in self.commits else 0
        told = {
            "commit_hash": commit,
            "env_name": environment,
            "date": (START + 3600 * place) * 1000,
            "params": {**self.facts(name), "python": "3.11", **params},
            "python": "3.11",
            "requirements": dict(requirements or {}),
            "env_vars": {},
            "result_columns": COLUMNS,
            "results": rows,
            "durations": {},
            "version": 2,
        }
        if not (self.results / name).is_dir():
            self.write_machine(name)
        path = self.results / name / f"{commit[:8]}-{environment}.json"
        path.write_text(json.dumps(told), encoding="utf-8")
        return path

    @staticmethod
    def _row(benchmark: Benchmark, values: Values, version: str | None, keep_samples: bool) -> list[Any]:
        summaries = [_summary(one) for one in values]
        row: list[Any] = [[one[0] for one in summaries], list(benchmark.params), version or benchmark.version, 0, 0.1]
        if any(one[1] for one in summaries):
            row += [[one[1].get(name) for one in summaries] for name in STATISTICS]
            if keep_samples:
                row.append([list(one) if isinstance(one, list | tuple) else None for one in values])
        return row


def _summary(values: Any) -> tuple[float | None, dict[str, Any]]:
    """A median and its statistics, cut to five digits as asv cuts them."""
    if values is None or isinstance(values, int | float):
        return values, {}
    median, statistics = compute_stats(list(values), 1)
    cut = {name: _short(statistics[name]) for name in STATISTICS}
    return median, cut


def _short(value: Any) -> Any:
    if not isinstance(value, float):
        return value
    return None if not math.isfinite(value) else float(f"{value:.5g}")


def steady(samples: int, spread: float, draw: Callable[[], float], level: float = 1.0) -> list[float]:
    """Samples about a level with a relative spread; `draw` gives standard normal numbers."""
    return [level * math.exp(spread * draw()) for _ in range(samples)]
