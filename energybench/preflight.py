"""Before a run: a quiet machine, and a canary within its own history; else the run says why it does not start."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from energybench import canary, host
from energybench.canary import Canary
from energybench.canary_history import FILE
from energybench.meter import Meter
from energybench.quiet import Quiet, quiet
from energybench.store import Store
from energybench.terminal import say


class NotQuietError(RuntimeError):
    """The machine is not fit to be measured on now; the message says why, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preflight:
    """What was seen before a run."""

    quiet: Quiet
    canary: Canary

    def to_json(self) -> dict[str, Any]:
        """Plain values, for a journal or a record."""
        return {
            "quiet": {"quiet": self.quiet.quiet, "reasons": list(self.quiet.reasons)},
            "canary": {"verdict": self.canary.verdict, "text": self.canary.text, **self.canary.line},
        }


def preflight(
    meter: Meter,
    *,
    folder: Path,
    require_quiet: bool = True,
    force: bool = False,
    reset: bool = False,
    machine: str | None = None,
    look: Callable[..., Quiet] = quiet,
    check: Callable[..., Canary] = canary.check,
    tell: Callable[[str], None] = say,
) -> Preflight:
    """Look at the machine, and measure the canary; the caller holds `energybench.lock.measuring()`.

    Args:
        meter: an open one.
        folder: of the records of all machines.
        require_quiet: refuse a machine that others use; without it that is only told.
        force: refuse nothing; what would have been refused is told.
        reset: what the canary says now is the new normal.
        machine: the machine's id; this one's where None.
        look: says whether the machine is quiet.
        check: measures the canary and judges it.
        tell: says a line to people.

    Raises:
        NotQuietError: the run should not start.
        CanaryError: the canary computed something wrong.
        StoreError: the canary's history cannot be read or written.
    """
    seen = look(state=meter.state())
    if not seen.quiet:
        _object(f"the machine is not quiet: {'; '.join(seen.reasons)}", _BUSY, force or not require_quiet, tell)
    home = Store(machine or host.machine_id(), root=folder).folder
    found = check(meter, home, quiet=seen.quiet, reset=reset)
    if found.damaged:
        tell(f"{home / FILE}: damaged lines are left out, {found.damaged} of them")
    if found.verdict == "outside":
        _object(found.text, _OUTSIDE, force, tell)
    elif found.verdict == "learning":
        tell(found.text)
    return Preflight(quiet=seen, canary=found)


def measures_joules(meter: Meter) -> bool:
    """Whether a counter is read here: seconds, counts and simulated joules do not ask for a quiet machine."""
    return any(one.quantity == "joules" and one.provenance == "measured" for one in meter.readable.values())


def _object(reason: str, remedy: str, forced: bool, tell: Callable[[str], None]) -> None:
    """Refuse, or, where the run goes on all the same, say why it should not."""
    if not forced:
        raise NotQuietError(f"{reason}; {remedy}")
    tell(f"{reason}; measured all the same")


_BUSY = "wait, or stop what runs beside, or go on with --force"
_OUTSIDE = (
    "the machine is hotter, slower or busier than it was, or the other way round: wait, look at `energybench doctor`, "
    "or go on with --force; a new normal is accepted with --canary-reset"
)
