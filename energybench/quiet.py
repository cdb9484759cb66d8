"""Whether the machine is free for a measurement: who else computes, what is throttled, what is on battery."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from energybench.host import throttle_count

OTHERS_CPUS = 0.2
STEAL_SHARE = 0.02
LOAD_PER_CPU = 0.7
LOOK_SECONDS = 0.5
# A GPU at its power cap is at work as usual; slowed down by anything of these it is not.
INVALIDATING = ("hardware-slowdown", "software-thermal", "hardware-thermal", "power-brake")


@dataclass(frozen=True, slots=True, kw_only=True)
class Quiet:
    """Whether nothing disturbs, and else what does, with numbers."""

    quiet: bool
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A process that is not ours, and how many CPUs it keeps busy."""

    pid: int
    name: str
    cpus: float


def quiet(
    *,
    root: Path = Path("/"),
    state: Mapping[str, object] | None = None,
    seconds: float = LOOK_SECONDS,
    sleep: Callable[[float], None] = time.sleep,
    usage: Callable[[], Mapping[int, tuple[str, float]]] | None = None,
) -> Quiet:
    """Look at the machine for a moment.

    Args:
        root: where /proc and /sys are.
        state: what the probes say of their devices (`Meter.state()`).
        seconds: how long the look at CPU users takes.
        sleep: passes that time.
        usage: CPU seconds so far of every process that is not ours; through psutil where None.
    """
    usage = usage or others_usage
    stat, used, throttled = _cpu_jiffies(root), usage(), throttle_count(root=root)
    sleep(seconds)
    users = _users(used, usage(), seconds)
    reasons = [
        *_busy(users),
        *_load(root),
        *_stolen(stat, _cpu_jiffies(root)),
        *_heat(throttled, throttle_count(root=root)),
        *_battery(root),
        *gpu_reasons(state or {}),
    ]
    return Quiet(quiet=not reasons, reasons=tuple(reasons))


def others_usage() -> dict[int, tuple[str, float]]:
    """Name and CPU seconds of all processes but this one, its parents and its children."""
    import psutil

    me = psutil.Process()
    ours = {me.pid, *(p.pid for p in me.parents()), *(p.pid for p in me.children(recursive=True))}
    usage = {}
    for process in psutil.process_iter(["name", "cpu_times"]):
        times = process.info["cpu_times"]
        if process.pid not in ours and times is not None:
            usage[process.pid] = (process.info["name"] or "?", times.user + times.system)
    return usage


def gpu_reasons(state: Mapping[str, object]) -> list[str]:
    """GPUs that other processes use, or that are slowed down by heat or power brake."""
    reasons = []
    for name, device in devices(state):
        others = [pid for pid in _sequence(device.get("processes")) if pid != os.getpid()]
        if others:
            pids = ", ".join(str(pid) for pid in others[:5])
            reasons.append(f"{len(others)} other processes on {name} (pid {pids})")
        if causes := slowdowns(device):
            reasons.append(f"{name} is slowed down: {', '.join(causes)}")
    return reasons


def devices(state: Mapping[str, object]) -> list[tuple[str, Mapping[str, object]]]:
    """The parts of each probe's state that describe a device of their own."""
    probes = [probe for probe in state.values() if isinstance(probe, Mapping)]
    return [(str(k), part) for probe in probes for k, part in probe.items() if isinstance(part, Mapping)]


def slowdowns(device: Mapping[str, object]) -> list[str]:
    """Why a device runs slower than it should, now."""
    return [str(cause) for cause in _sequence(device.get("throttle_reasons")) if cause in INVALIDATING]


def slowed_seconds(state: Mapping[str, object]) -> float:
    """How long devices were slowed down by heat or power brake since their driver was loaded."""
    counts = [device.get("throttled_seconds") for _, device in devices(state)]
    return sum(float(s) for c in counts if isinstance(c, Mapping) for cause, s in c.items() if cause != "power_cap")


def _sequence(value: object) -> Sequence[object]:
    return value if isinstance(value, list | tuple) else ()


def _users(
    before: Mapping[int, tuple[str, float]], after: Mapping[int, tuple[str, float]], seconds: float
) -> list[User]:
    """Who computed in between, the busiest first; a process that was born meanwhile counts from 0."""
    grown = [(pid, name, used - before.get(pid, (name, 0.0))[1]) for pid, (name, used) in after.items()]
    users = [User(pid=pid, name=name, cpus=more / seconds) for pid, name, more in grown if more > 0]
    return sorted(users, key=lambda user: -user.cpus)


def _busy(users: Sequence[User]) -> list[str]:
    cpus = sum(user.cpus for user in users)
    if cpus <= OTHERS_CPUS:
        return []
    named = ", ".join(f"{user.name} (pid {user.pid}) {user.cpus:.1f}" for user in users[:3])
    return [f"other processes keep {cpus:.1f} CPUs busy: {named}"]


def _load(root: Path) -> list[str]:
    try:
        load = float((root / "proc/loadavg").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return []
    cpus = os.cpu_count() or 1
    return [f"load of {load:.2f} in the last minute on {cpus} CPUs"] if load > LOAD_PER_CPU * cpus else []


def _cpu_jiffies(root: Path) -> list[int]:
    """Of all CPUs together: user, nice, system, idle, iowait, irq, softirq, steal and guests."""
    try:
        return [int(field) for field in (root / "proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    except (OSError, ValueError):
        return []


def _stolen(before: Sequence[int], after: Sequence[int]) -> list[str]:
    if len(before) < 8 or len(after) < 8:
        return []
    # guest time (fields 9 and 10) is in user time already
    total = sum(after[:8]) - sum(before[:8])
    share = (after[7] - before[7]) / total if total > 0 else 0.0
    return [f"the hypervisor took {share:.0%} of the CPU time"] if share > STEAL_SHARE else []


def _heat(before: int | None, after: int | None) -> list[str]:
    if before is None or after is None or after <= before:
        return []
    return [f"the CPUs were slowed down by heat {after - before} times while we looked"]


def _battery(root: Path) -> list[str]:
    reasons = []
    for supply in sorted((root / "sys/class/power_supply").glob("BAT*")):
        try:
            status = (supply / "status").read_text().strip()
            capacity = (supply / "capacity").read_text().strip()
        except OSError:
            continue
        if status == "Discharging":
            reasons.append(f"{supply.name} is discharging at {capacity} %: plug the machine in")
    return reasons
