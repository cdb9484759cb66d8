"""`energybench run --asv-suite PATH`: the `time_*` of an existing asv suite, in joules a call."""

import re
import sys
import tempfile
import time
from contextlib import ExitStack, closing
from pathlib import Path

from energybench import host, lock, stepping
from energybench._commands.progress import SHORT_SECONDS, Display
from energybench._commands.run import TerminatedError, check_required, terminating
from energybench._commands.suite_told import FAILURES, NO_VALUES, Told, show
from energybench.boundary import FAILED, INTERRUPTED
from energybench.config import Settings
from energybench.meter import open_meter
from energybench.settings import Progress
from energybench.store import Store
from energybench.suites import running
from energybench.suites.asv_tree import TreeError, write_tree
from energybench.suites.choosing import Combination, choose, count
from energybench.suites.place import SuiteError, find_suite
from energybench.suites.records import point_of
from energybench.suites.running import Suites
from energybench.suites.served import Served
from energybench.terminal import console, duration, say

TELL_SECONDS = 60.0
TERMINATED = 143


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
    except SuiteError as error:
        if not told.tried:
            raise
        told.lost = str(error)
    folder = wanted.records.parent / "asv" / re.sub(r"[^A-Za-z0-9._-]", "_", suite.project)
    whole = _keep_for_asv(told, folder.absolute())
    show(told, as_json=as_json)
    failed = told.broken or told.lost or told.of(*FAILURES) or not told.of("ok") or not whole
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
    told.empty = [one.name for one in told.found.benchmarks if not count(one) and re.search(bench or "", one.name)]
    for name in told.empty:
        say(f"{name} is skipped: {NO_VALUES}")
    if chosen:
        return chosen
    if told.empty:
        raise SuiteError(f"{told.suite.root} has nothing to measure; give the parameters of {told.empty[0]} values")
    if every := choose(told.found.benchmarks):
        first = every[0].label
        total = len(told.found.benchmarks)
        raise SuiteError(
            f"none of the {total} time_* benchmarks matches --bench {bench!r}; they are named as {first!r}"
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
