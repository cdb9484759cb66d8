"""`energybench doctor --ready`: whether a run may begin now, said before asv takes a commit for measured."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from energybench import lock
from energybench.boundary import NO_ENERGY, describe
from energybench.canary import CanaryError
from energybench.instrument import is_forced
from energybench.lock import LockedError
from energybench.meter import open_meter
from energybench.preflight import NotQuietError, measures_joules, preflight
from energybench.store import StoreError
from energybench.terminal import emit, say


def ready(records: Path, *, as_json: bool = False, look: Callable[..., Any] = preflight) -> int:
    """0 where the machine is free, quiet and as it was; else 4, and why, where `records` has the canary's history."""
    try:
        with lock.measuring(wait=lock.patience(), tell=say), closing(open_meter()) as meter:
            look(meter, folder=records, force=is_forced() or not measures_joules(meter))
    except (LockedError, NotQuietError, CanaryError, StoreError) as error:
        reason = describe(error)
        say(reason)
    else:
        reason = ""
    if as_json:
        emit({"ready": not reason, **({"reason": reason} if reason else {})})
    return NO_ENERGY if reason else 0
