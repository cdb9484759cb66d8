"""`energybench run`: a matrix of points to records, a table, and one line for everything that went wrong."""

import os
import shlex
import signal
import sys
import sysconfig
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import energybench
from energybench import lock, protocol
from energybench._commands.plan import Job, make_job
from energybench._commands.points import in_order, key_of, lacking, names, not_reached
from energybench._commands.progress import Display
from energybench._commands.results import result_tables
from energybench.boundary import FAILED, INTERRUPTED, TRACEBACK, describe
from energybench.campaign import ExitedError
from energybench.config import Settings
from energybench.matrix import Point
from energybench.meter import Meter, open_meter
from energybench.model import Domain
from energybench.settings import Outcome
from energybench.terminal import console, emit, say


class NothingMeasuredError(RuntimeError):
    """`--require` asks for a provenance that this machine does not have."""


class TerminatedError(KeyboardInterrupt):
    """SIGTERM: ends a run as Ctrl-C does, with what is finished kept."""


def measure_points(points: Sequence[Point], wanted: Settings, *, resume: bool, as_json: bool) -> int:
    """Measure, show, and give the exit code: 0, 1 where a point failed, 130 after Ctrl-C."""
    job = make_job(points, wanted, resume=resume)
    try:
        with terminating():
            outcome = measured(job, resume=resume) if job.left else Outcome(records=[], paths=[], failures=[])
    except KeyboardInterrupt as stop:
        say(f"stopped; what was measured is kept in {job.store.folder}; go on with: {_again()}")
        return 128 + signal.SIGTERM if isinstance(stop, TerminatedError) else INTERRUPTED
    records = in_order(job, outcome)
    named = names(job.points)
    failed = [(named[key_of(one.point)], told(one.error)) for one in outcome.failures]
    failed += lacking(records, wanted.require, named)
    show(records, job, as_json=as_json)
    if as_json:
        failures = [{"point": name, "error": error} for name, error in failed]
        emit({"schema": 1, "records": records, "failed": failures})
    for name, error in failed:
        say(f"{name} failed: {error}")
    for name, missed in not_reached(records, named):
        say(f"{name}: {missed}")
    if outcome.failures:
        say(f"the windows of what failed are kept in {job.store.journals}; to try again: {_again()}")
    return FAILED if failed else 0


def told(error: Exception) -> str:
    """What went wrong in a workload, in one line with its place; before it the traceback, where that was asked for."""
    if os.environ.get(TRACEBACK, "0") not in ("", "0"):
        traceback.print_exception(error)
    if isinstance(error, OSError | ImportError | ValueError) or not (place := _place(error)):
        return describe(error)
    kind = "" if isinstance(error, ExitedError) else f"{type(error).__name__}: "
    return f"{place}: {kind}{' '.join(str(error).split())}"


def _place(error: Exception) -> str:
    """File and line, outside of energybench itself, that the error came through last; a library's own line is none."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if not _is_installed(Path(frame.filename))]
    return f"{ours[-1].filename}, line {ours[-1].lineno}" if ours else ""


def _is_installed(path: Path) -> bool:
    """Whether a file is energybench's own machinery, a library's, or none at all; a workload of ours is neither."""
    core = Path(energybench.__file__).parent
    if path.is_relative_to(core / "workloads"):
        return False
    libraries = [Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib", "platlib")]
    return not path.is_file() or any(path.is_relative_to(folder) for folder in (core, *libraries))


def measured(job: Job, *, resume: bool) -> Outcome:
    """Hold the machine, open the meter, and let the protocol run."""
    wanted = job.said
    with lock.measuring(), closing(open_meter(list(wanted.probes) or None)) as meter:
        check_required(meter, wanted.require)
        left = job.left
        planned = protocol.plan(left, meter=meter, settings=job.how)
        with Display(sum(one.seconds for one in planned)) as display:
            return protocol.run(
                left,
                meter=meter,
                store=job.store,
                settings=job.how,
                resume=resume,
                progress=display.show,
            )


def check_required(meter: Meter, require: str | None) -> None:
    """Refuse at once what could only fail at the end."""
    domains = [domain for domain in meter.domains.values() if isinstance(domain, Domain)]
    kinds = {domain.provenance for domain in domains if domain.quantity == "joules"}
    if require and require not in kinds:
        raise NothingMeasuredError(
            f"no joules here are {require}, as --require asks; energybench doctor tells what is missing"
        )


@contextmanager
def terminating() -> Iterator[None]:
    """Let SIGTERM unwind as Ctrl-C does."""

    def stop(_number: int, _frame: object) -> None:
        raise TerminatedError

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _again() -> str:
    """The command line that goes on with this run."""
    words = ["energybench", *sys.argv[1:]]
    return shlex.join(words if "--resume" in words else [*words, "--resume"])


def show(records: Sequence[Mapping[str, Any]], job: Job, *, as_json: bool) -> None:
    """The table, and what a reader of it must know."""
    if not records:
        return
    console(stderr=as_json).print(*result_tables(records))
    reasons = {reason for record in records for reason in record["quiet"]["reasons"]}
    if reasons:
        say(f"the machine was not quiet: {'; '.join(sorted(reasons))}")
    found = f", {len(job.found)} of them from an earlier run" if job.found else ""
    say(f"{len(records)} record{'s' if len(records) > 1 else ''} in {job.store.folder}{found}")
