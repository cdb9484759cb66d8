"""`energybench run --asv-suite PATH`: the `time_*` of an existing asv suite, in joules a call."""

import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from energybench import host, lock, stepping
from energybench._commands.progress import SHORT_SECONDS, Display
from energybench._commands.run import TerminatedError, check_required, terminating
from energybench.boundary import FAILED, INTERRUPTED
from energybench.config import Settings
from energybench.meter import open_meter
from energybench.settings import Progress
from energybench.store import Store
from energybench.suites import running
from energybench.suites.asv_tree import TreeError, write_tree
from energybench.suites.choosing import Combination, choose
from energybench.suites.place import Suite, SuiteError, find_suite
from energybench.suites.records import point_of
from energybench.suites.running import Suites, Tried
from energybench.suites.served import Found, Served
from energybench.terminal import console, duration, emit, plus_minus, quantity, say, table

if TYPE_CHECKING:
    from rich.table import Table

TELL_SECONDS = 60.0
FAILURES = ("failed", "timeout", "crashed")
TERMINATED = 143


@dataclass(slots=True, kw_only=True)
class Told:
    """What a run over a suite has seen so far.

    Attributes:
        found: what the suite has; None until it was imported.
        chosen: what is to be measured.
        tried: what became of it.
        quiet: why the machine was not.
        tree: the asv results, where they were written.
        stopped: by Ctrl-C or SIGTERM, with which exit code.
    """

    suite: Suite
    store: Store
    found: Found | None = None
    chosen: Sequence[Combination] = ()
    tried: list[Tried] = field(default_factory=list)
    quiet: tuple[str, ...] = ()
    tree: Path | None = None
    stopped: int = 0

    @property
    def records(self) -> list[dict[str, Any]]:
        """The records in plain values."""
        return [one.record.to_json() for one in self.tried if one.record]

    @property
    def broken(self) -> Sequence[Mapping[str, str]]:
        """What could not be imported or made."""
        return self.found.broken if self.found else ()

    @property
    def not_reached(self) -> int:
        """Combinations that there was no time for."""
        return len(self.chosen) - len(self.tried)

    def of(self, *states: str) -> list[Tried]:
        """What ended in one of these states."""
        return [one for one in self.tried if one.status in states]


def measure_suite(
    path: Path,
    wanted: Settings,
    *,
    bench: str | None = None,
    max_params: int | None = None,
    budget: float | None = None,
    python: str | None = None,
    as_json: bool = False,
) -> int:
    """Measure a suite's `time_*`, show them, and give the exit code.

    Args:
        path: its asv.conf.json, the folder of that, or the folder of its modules.
        wanted: windows, their length, probes, the folder of records.
        bench: a regular expression that names of benchmarks, with their parameters, are searched for.
        max_params: how many combinations of a benchmark at most.
        budget: seconds after which no other combination is begun.
        python: what runs the suite; the one that runs energybench where None.
        as_json: data on stdout.

    Returns:
        0; 1 where something failed or nothing was measured; 130 after Ctrl-C.

    Raises:
        SuiteError: there is no suite, or none of its benchmarks was asked for.
    """
    until = None if budget is None else time.monotonic() + budget
    suite = find_suite(path)
    told = Told(suite=suite, store=Store(host.machine_id(), root=wanted.records))
    told.store.check()
    try:
        with terminating(), ExitStack() as held:
            suites = _opened(held, told, wanted, python)
            told.chosen = _chosen(told, bench, max_params)
            _measure(told, suites, until)
    except KeyboardInterrupt as stop:
        told.stopped = TERMINATED if isinstance(stop, TerminatedError) else INTERRUPTED
    folder = wanted.records.parent / "asv" / re.sub(r"[^A-Za-z0-9._-]", "_", suite.project)
    whole = _keep_for_asv(told, folder.absolute())
    _show(told, as_json=as_json)
    failed = told.broken or told.of(*FAILURES) or not told.of("ok") or not whole
    return told.stopped or (FAILED if failed else 0)


def _keep_for_asv(told: Told, folder: Path) -> bool:
    """Add what was measured to the asv results; whether that went well."""
    if told.found is None or not told.tried:
        return True
    try:
        told.tree = write_tree(folder, told.suite, told.tried, python=told.found.python)
    except TreeError as error:
        say(str(error))
        return False
    return True


def _opened(held: ExitStack, told: Told, wanted: Settings, python: str | None) -> Suites:
    """Hold the machine, open the meter, and have the suite imported."""
    held.enter_context(lock.measuring())
    scratch = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="energybench-", ignore_cleanup_errors=True)))
    served = held.enter_context(Served(told.suite, scratch, python=python or sys.executable, align=wanted.align))
    told.found = served.find()
    for lost in told.broken:
        say(f"{lost['name']} is left out: {lost['reason']}")
    meter = running.without_own(held.enter_context(closing(open_meter(list(wanted.probes) or None))))
    check_required(meter, wanted.require)
    how = running.how(wanted)
    if how.idle_seconds > SHORT_SECONDS and stepping.energy_domains(meter):
        say(f"looking at the machine at rest, {duration(how.idle_seconds)}")
    suites = Suites(told.suite, served, told.found, meter, how, told.store)
    told.quiet = suites.setting.quiet.reasons
    return suites


def _chosen(told: Told, bench: str | None, max_params: int | None) -> list[Combination]:
    assert told.found is not None
    chosen = choose(told.found.benchmarks, bench=bench, max_params=max_params)
    if chosen:
        return chosen
    if told.found.benchmarks:
        first = choose(told.found.benchmarks)[0].label
        count = len(told.found.benchmarks)
        raise SuiteError(
            f"none of the {count} time_* benchmarks matches --bench {bench!r}; they are named as {first!r}"
        )
    why = f"; {told.broken[0]['name']} was left out: {told.broken[0]['reason']}" if told.broken else ""
    raise SuiteError(f"{told.suite.root} has no time_* benchmark{why}; give the folder of an asv suite")


def _measure(told: Told, suites: Suites, until: float | None) -> None:
    """Measure what was chosen, and show where that stands between two combinations."""
    begin = last = time.monotonic()
    total = len(told.chosen)
    spoken = not console(stderr=True).is_terminal
    with Display(total * suites.seconds * suites.setting.protocol["windows"]) as display:
        display.show(Progress(stage="windows", done=0, total=total, point=point_of(told.chosen[0], told.suite.project)))
        for one in suites.measure(told.chosen, until=until):
            told.tried.append(one)
            now, done = time.monotonic(), len(told.tried)
            left = (now - begin) / done * (total - done)
            left = left if until is None else min(left, max(until - now, 0.0))
            point = point_of(told.chosen[min(done, total - 1)], told.suite.project)
            display.show(Progress(stage="windows", done=done, total=total, point=point, seconds_left=left))
            if spoken and now - last > TELL_SECONDS:
                last = now
                say(f"{done} of {total} combinations, {duration(left)} left")


def _show(told: Told, *, as_json: bool) -> None:
    """The table, what went wrong, and where the results are."""
    if told.records:
        console(stderr=as_json).print(_table(told))
    if as_json:
        emit(_data(told))
    for one in told.tried:
        if one.status != "ok":
            say(f"{one.combination.label} {_words(one)}: {one.reason}")
    if told.quiet:
        say(f"the machine was not quiet: {'; '.join(sorted(told.quiet))}")
    say(_summary(told))
    if told.records:
        say(f"records in {told.store.folder}; " + _where(told))


def _words(one: Tried) -> str:
    return "is below the resolution" if one.status == "below-resolution" else one.status


def _summary(told: Told) -> str:
    """`55 of 63 combinations measured, 8 failed; …`."""
    counts = Counter(one.status for one in told.tried)
    parts = [f"{counts.pop('ok', 0)} of {len(told.chosen)} combinations measured"]
    parts += [f"{number} {state}" for state, number in sorted(counts.items())]
    if told.not_reached:
        parts.append(f"{told.not_reached} not reached {'before it was stopped' if told.stopped else 'in the budget'}")
    if told.broken:
        parts.append(f"{len(told.broken)} modules or benchmarks could not be imported")
    return ", ".join(parts)


def _where(told: Told) -> str:
    if told.tree is None and told.suite.commit:
        return "nothing was added to the asv results"
    if told.tree is None:
        return f"no asv results, which are kept by commit: {told.suite.root} is in no git repository"
    return f"asv results in {told.tree}: asv --config {told.tree / 'asv.conf.json'} publish"


def _table(told: Told) -> "Table":
    drawn = table("benchmark", "energy, a call", "time, a call", "mode", "flags", title=f"asv:{told.suite.project}")
    for one in told.tried:
        if one.record is None:
            continue
        found = one.record.results
        joules = found.get("joules_per_sample") or found.get("estimated_joules_per_sample")
        energy = "–"
        if joules:
            half = (joules.high - joules.low) / 2 if joules.high is not None and joules.low is not None else 0.0
            energy = f"{plus_minus(joules.value, half, 'J')} ({joules.provenance})"
        seconds = quantity(found["seconds_per_sample"].value, "s")
        drawn.add_row(one.combination.label, energy, seconds, one.mode, ", ".join(one.record.flags))
    return drawn


def _data(told: Told) -> dict[str, Any]:
    """What `--json` puts on stdout."""
    rows = [
        {
            "benchmark": one.combination.benchmark.name,
            "parameters": one.combination.parameters,
            "status": one.status,
            "reason": one.reason,
        }
        for one in told.tried
        if one.status != "ok"
    ]
    return {
        "schema": 1,
        "project": told.suite.project,
        "combinations": len(told.chosen),
        "records": told.records,
        "skipped": [row for row in rows if row["status"] not in FAILURES],
        "failed": [row for row in rows if row["status"] in FAILURES],
        "broken": [dict(one) for one in told.broken],
        "not_reached": told.not_reached,
        **({"asv": str(told.tree)} if told.tree else {}),
    }
