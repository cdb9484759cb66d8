"""A machine that is asked for by name, whose counters follow the process's CPU time.

It lets every measured path run from end to end where there is no counter. Its joules carry the provenance
`simulated`: good for tests and demonstrations, for nothing else. The environment variable ENERGYBENCH_SIMULATE
says which machine: `1`, `laptop` or `xeon`, then settings such as `xeon,idle_watts=40,tick=0.001`.
"""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from energybench.cpu_time import cpu_seconds
from energybench.model import Clock, Domain, Reading, Unavailable, UnknownNameError

ON_REQUEST = True
PRIORITY = 0
VARIABLE = "ENERGYBENCH_SIMULATE"
BOUNDS = {
    "packages": (1, 64),
    "dram_share": (0, 100),
    "idle_watts": (0, 1e5),
    "busy_watts": (0, 1e5),
    "bytes_per_cpu_second": (0, 1e15),
    "tick": (1e-6, 10),
    "range_joules": (1, 1e12),
}
SPELLED = {"", "1", "true", "yes", "on"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What is simulated; power is `idle_watts` + `busy_watts` for each busy CPU.

    Attributes:
        packages: sockets; the first one does the work, the others idle.
        dram_share: DRAM's joules for each joule of its package; 0 for a machine without a DRAM counter.
        idle_watts: each package at rest.
        busy_watts: added while one CPU computes.
        bytes_per_cpu_second: memory traffic of computing.
        tick: seconds between two updates of the energy counters.
        range_joules: where the energy counters start again at 0.
    """

    packages: int = 1
    dram_share: float = 0.15
    idle_watts: float = 20.0
    busy_watts: float = 25.0
    bytes_per_cpu_second: float = 4e9
    tick: float = 0.001
    range_joules: float = 262143.32885


MACHINES = {
    "laptop": Machine(dram_share=0.0, idle_watts=4.0, busy_watts=12.0),
    "xeon": Machine(packages=2, idle_watts=40.0),
}


def open_probe(
    *,
    root: Path = Path("/"),  # noqa: ARG001 -- every probe takes it; this one reads no file
    clock: Clock = time.perf_counter_ns,
    spec: str | None = None,
    cpu: Callable[[], float] = cpu_seconds,
) -> "Simulated | Unavailable":
    """Open the machine of `spec`, or of the environment variable."""
    return Simulated(parse(os.environ.get(VARIABLE, "") if spec is None else spec), clock=clock, cpu=cpu)


def parse(spec: str) -> Machine:
    """Read `NAME,key=value,…`, either part optional.

    Raises:
        UnknownNameError: neither a machine nor a setting, or a value outside its bounds.
    """
    machine = Machine()
    known = {field.name: float if "." in str(field.default) else int for field in fields(Machine)}
    for part in spec.split(","):
        key, equals, value = part.strip().partition("=")
        if not equals and key.lower() in SPELLED:
            continue
        if not equals and key in MACHINES:
            machine = MACHINES[key]
        elif equals and key in known:
            settings: dict[str, Any] = {key: _number(key, value, known[key])}
            machine = replace(machine, **settings)
        else:
            raise UnknownNameError(
                f"{VARIABLE}: {part!r} is neither a machine ({', '.join(MACHINES)}) nor a setting ({', '.join(known)})"
            )
    return machine


def _number(key: str, text: str, kind: type) -> float:
    try:
        value: float = kind(text)
    except ValueError as error:
        raise UnknownNameError(f"{VARIABLE}: {key}={text!r} is not a number") from error
    low, high = BOUNDS[key]
    if not low <= value <= high:  # NaN is in no bounds either
        raise UnknownNameError(f"{VARIABLE}: {key}={text} is out of range; give a number from {low:g} to {high:g}")
    return value


class Simulated:
    """Counters in microjoules and bytes that stand still within a tick, as the hardware's do."""

    name = "simulated"

    def __init__(
        self, machine: Machine, *, clock: Clock = time.perf_counter_ns, cpu: Callable[[], float] = cpu_seconds
    ) -> None:
        self._machine, self._clock, self._cpu = machine, clock, cpu
        self._start_ns, self._tick_ns = clock(), round(machine.tick * 1e9)
        self._last_tick, self._busy_seconds = -1, 0.0
        self._seen = (self._start_ns, cpu())
        self._modulus = round(machine.range_joules * 1e6)
        packages = range(machine.packages)
        declared = [self._energy(f"cpu.package-{n}", "package") for n in packages]
        if machine.dram_share:
            declared += [self._energy(f"cpu.dram-{n}", "dram") for n in packages]
        declared.append(replace(declared[0], name="imc.socket-0", quantity="dram_bytes", scale=1.0, resolution=64.0,
                                modulus=None, max_rate=None, additive=False, scope="package"))  # fmt: skip
        self.domains: Mapping[str, Domain | Unavailable] = {domain.name: domain for domain in declared}

    def read(self) -> list[Reading]:
        """The counters at the last tick before now."""
        now = self._clock()
        tick = (now - self._start_ns) // self._tick_ns
        if tick != self._last_tick:
            self._last_tick = tick
            self._busy_seconds = max(self._busy_seconds, self._cpu_at(self._start_ns + tick * self._tick_ns, now))
        machine = self._machine
        idle = machine.idle_watts * tick * machine.tick
        joules = [idle + (machine.busy_watts * self._busy_seconds if n == 0 else 0.0) for n in range(machine.packages)]
        if machine.dram_share:
            joules += [machine.dram_share * joule for joule in joules]
        traffic = int(self._busy_seconds * machine.bytes_per_cpu_second) // 64 * 64
        return [*((now, int(joule * 1e6) % self._modulus) for joule in joules), (now, traffic)]

    def close(self) -> None:
        """Nothing is held."""

    def _cpu_at(self, tick_ns: int, now: int) -> float:
        """CPU seconds at the tick, on the line between the last look and this one."""
        (seen_ns, seen_cpu), cpu = self._seen, self._cpu()
        self._seen = (now, cpu)
        share = (tick_ns - seen_ns) / (now - seen_ns) if now > seen_ns else 1.0
        return seen_cpu + (cpu - seen_cpu) * min(max(share, 0.0), 1.0)

    def _energy(self, name: str, scope: str) -> Domain:
        machine = self._machine
        return Domain(
            name=name,
            probe="simulated",
            scale=1e-6,
            resolution=1e-6,
            tick=machine.tick,
            modulus=self._modulus,
            max_rate=2 * (machine.idle_watts + machine.busy_watts * (os.cpu_count() or 1)),
            scope=scope,
            provenance="simulated",
            source=f"{VARIABLE}: {machine}",
        )
