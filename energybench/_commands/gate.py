"""`energybench gate`: two sets of results, or two commits that are measured now, and the verdict on head."""

import json
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from energybench._commands.run import TerminatedError, terminating
from energybench.boundary import INTERRUPTED, describe
from energybench.canary import CanaryError
from energybench.gate import judge
from energybench.gating.accepted import Accepted, AcceptedError, read_accepted
from energybench.gating.commits import top_of
from energybench.gating.floors import floors
from energybench.gating.from_records import SeveralMachinesError
from energybench.gating.library import Library, SideError
from energybench.gating.live import Live, LiveError, measure
from energybench.gating.outputs.junit import junit
from energybench.gating.outputs.markdown import markdown
from energybench.gating.outputs.plain import plain
from energybench.gating.outputs.smaller import smaller
from energybench.gating.outputs.text import gate_tables
from energybench.gating.rules import Rules, RulesError
from energybench.gating.sides import resolve_both
from energybench.gating.spending import Schedule
from energybench.gating.trees import TreeError
from energybench.gating.verdicts import Judgement
from energybench.lock import LockedError
from energybench.preflight import NotQuietError
from energybench.store import StoreError, why
from energybench.terminal import console, emit, say

ACCEPTED = "accepted-regressions.toml"
"""Read where it lies at the top of the repository, and nobody names another."""
SUMMARY = "GITHUB_STEP_SUMMARY"
USAGE = 2
NOT_MEASURED = 4
USAGE_ERRORS = (AcceptedError, LiveError, RulesError, SeveralMachinesError, SideError, StoreError, TreeError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """Where a judgement goes beside the terminal.

    Attributes:
        as_json: one object on stdout.
        verbose: passes too.
        junit: a file of JUnit XML.
        markdown: a file of Markdown; the job's summary has it in any case, where there is one.
        smaller: a file of `customSmallerIsBetter` JSON.
    """

    as_json: bool = False
    verbose: bool = False
    junit: Path | None = None
    markdown: Path | None = None
    smaller: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the command line asks for.

    Attributes:
        base: a commit, or results.
        head: the same.
        records: the folder of records.
        results: asv's results_dir; None for the one of asv.conf.json.
        machine: whose results; None where there is one only.
        margins: `NAME=SHARE`, as they were typed.
        allow: provenances that are judged because they are asked for.
        allow_missing: globs of what head need not have.
        only: what is judged; all where empty.
        accepted: the file of accepted regressions.
        live: how both are measured now, in the words of `live_of`; None to judge what is stored.
    """

    base: str
    head: str
    records: Path
    results: Path | None = None
    machine: str | None = None
    margins: Sequence[str] = ()
    allow: Sequence[str] = ()
    allow_missing: Sequence[str] = ()
    only: Sequence[str] = ()
    accepted: Path | None = None
    live: Mapping[str, Any] | None = None
    outputs: Outputs = field(default_factory=Outputs)


def judged(asked: Asked) -> int:
    """Judge, tell, and give the exit code; 2 for what cannot be compared at all, with the reason."""
    repository = top_of(Path.cwd())
    try:
        rules = Rules(
            margins=_margins(asked.margins),
            allow=frozenset(_split(asked.allow)),
            allow_missing=tuple(asked.allow_missing),
            only=tuple(_split(asked.only)),
        )
        accepted = _accepted(asked, repository)
        if asked.live is not None:
            live = live_of(records=asked.records, **asked.live)
            with terminating():
                judgement = measure(asked.base, asked.head, live, rules, repository=repository, accepted=accepted)
        else:
            library = Library(
                repository=repository, records=asked.records, results=asked.results, machine=asked.machine
            )
            base, head = resolve_both(asked.base, asked.head, library)
            judgement = judge(base, head, rules, floors=floors(library), accepted=accepted)
    except KeyboardInterrupt as stop:
        say(f"stopped; the rounds so far are in {asked.records}, and judge nothing")
        return 128 + signal.SIGTERM if isinstance(stop, TerminatedError) else INTERRUPTED
    except (NotQuietError, LockedError, CanaryError) as error:
        return _refused(asked, error, NOT_MEASURED)
    except USAGE_ERRORS as error:
        return _refused(asked, error, USAGE)
    console(stderr=asked.outputs.as_json).print(
        *gate_tables(judgement, verbose=asked.outputs.verbose), sep="\n", soft_wrap=False
    )
    return tell(judgement, asked.outputs)


def _refused(asked: Asked, error: Exception, code: int) -> int:
    """Say why nothing was judged, to people and to programs."""
    reason = describe(error)
    say(reason)
    tell(
        Judgement(
            base=asked.base, head=asked.head, verdicts=(), alpha=Rules().alpha, family=0, exit=code, reason=reason
        ),
        asked.outputs,
    )
    return code


def tell(judgement: Judgement, outputs: Outputs, environ: Mapping[str, str] = os.environ) -> int:
    """Put a judgement wherever a program looks for it; its exit code, or 2 where a pass could not be told.

    What cannot be written is said, and neither hides the verdict nor keeps the others from being written.
    """
    if outputs.as_json:
        emit(plain(judgement))
    texts = (
        (outputs.junit, junit(judgement)),
        (outputs.markdown, markdown(judgement)),
        (outputs.smaller, json.dumps(smaller(judgement), indent=1) + "\n"),
    )
    written = [_write(path, text) for path, text in texts if path]
    if summary := environ.get(SUMMARY):
        _write(Path(summary), markdown(judgement), mode="a")
    return judgement.exit or (0 if all(written) else USAGE)


def _margins(given: Sequence[str]) -> dict[str, float]:
    margins = {}
    for text in given:
        name, equals, value = text.rpartition("=")
        try:
            margins[name.strip()] = float(value)
        except ValueError:
            equals = ""
        if not equals or not name.strip():
            raise RulesError(f"--margin {text!r} is no margin; give it as --margin joules=0.05, for 5 %")
    return margins


def _split(given: Sequence[str]) -> list[str]:
    """`a,b` and `a` `b` alike."""
    return [part.strip() for text in given for part in text.split(",") if part.strip()]


def _accepted(asked: Asked, repository: Path) -> Sequence[Accepted]:
    own = repository / ACCEPTED
    path = asked.accepted or (own if own.is_file() else None)
    return read_accepted(path) if path else ()


def _write(path: Path, text: str, mode: str = "w") -> bool:
    """Write a file, or say that it cannot be; whether it was."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open(mode, encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        say(f"{path} cannot be written ({why(error)}); choose another file")
        return False
    return True


def live_of(*, rounds: int, max_rounds: int, records: Path, **said: Any) -> Live:
    """How both commits are measured: looks after so many rounds, twice as many, and so on up to the most."""
    looks = [rounds]
    while looks[-1] < max_rounds:
        looks.append(min(2 * looks[-1], max_rounds))
    return Live(schedule=Schedule(rounds=tuple(looks)), records=records, **said)
