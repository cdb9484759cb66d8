"""Energy and memory traffic from the kernel's system-wide performance counters.

Energy is the `power` PMU (arch/x86/events/rapl.c): the RAPL registers again, folded to 64 bits by the kernel,
so that nothing wraps. Its younger sister `power_core` shows single cores and is left alone. Traffic is what
the memory controllers moved, reads and writes of every box and channel of a socket together.
"""

import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from energybench.model import Clock, Domain, Reading, Unavailable
from energybench.probes._perf_memory import memory_traffic
from energybench.probes._perf_pmu import Pmu, die_of, find_pmus, package_of, read_text, vendor_of
from energybench.probes._perf_source import Event, OpenEvent, ReadEvent, Source, Wanted
from energybench.probes._perf_syscall import open_event as open_real_event
from energybench.ticks import measure_ticks

PRIORITY = 20
# Event of the `power` PMU -> first part of the domain's name, scope.
ENERGY = {
    "energy-pkg": ("cpu.package", "package"),
    "energy-ram": ("cpu.dram", "dram"),
    "energy-cores": ("cpu.core", "core"),
    "energy-gpu": ("cpu.uncore", "uncore"),
    "energy-psys": ("platform.psys", "platform"),
}
INSIDE_A_PACKAGE = ("energy-cores", "energy-gpu")
USUAL_STEP_JOULES = 2.0**-14  # where no step was seen; where one was, it is measured
AMD = ("AuthenticAMD", "HygonGenuine")
# Rectangular ±5 % (Intel) and ±10 % (AMD's firmware model): the same sensors as powercap's.
GAIN, GAIN_AMD = 0.05 / 3**0.5, 0.10 / 3**0.5


def open_probe(
    *,
    root: Path = Path("/"),
    clock: Clock = time.perf_counter_ns,
    open_event: OpenEvent = open_real_event,
    read_event: ReadEvent = os.read,
) -> "PerfEvent | Unavailable":
    """Open the energy and memory events of this machine; each domain says for itself what it lacks."""
    pmus = list(find_pmus(root))
    wanted: dict[str, Wanted | Unavailable] = {}
    for pmu in pmus:
        if pmu.name == "power":
            wanted |= _energy(pmu, root)
    wanted |= memory_traffic(pmus, root)
    if not wanted:
        return Unavailable(
            reason=f"no energy and no memory event under {root / 'sys/bus/event_source/devices'}",
            remedy="measure on bare metal: a virtual machine has what its host passes on",
        )
    return PerfEvent(wanted, root=root, clock=clock, open_event=open_event, read_event=read_event)


class PerfEvent:
    """Open events, each counting the whole machine since the probe was opened."""

    name = "perf_event"

    def __init__(
        self,
        wanted: Mapping[str, Wanted | Unavailable],
        *,
        root: Path,
        clock: Clock,
        open_event: OpenEvent,
        read_event: ReadEvent,
    ) -> None:
        self._clock, self._root = clock, root
        self._sources: list[Source] = []
        self._shared: list[str] = []  # domains for which the kernel shared counters
        domains: dict[str, Domain | Unavailable] = {}
        for name, item in wanted.items():
            domains[name] = self._open(item, open_event, read_event) if isinstance(item, Wanted) else item
        for quantity in ("joules", "dram_bytes"):
            domains |= self._measure([s for s in self._sources if s.wanted.domain.quantity == quantity])
        self.domains: Mapping[str, Domain | Unavailable] = domains
        self._flag_multiplexed()

    def read(self) -> Sequence[Reading]:
        """One reading a domain, stamped at the middle of its system calls."""
        readings = self._read(self._sources)
        self._flag_multiplexed()
        return readings

    def state(self) -> Mapping[str, object]:
        """What a record keeps: who may count, and which domains are scaled."""
        return {
            "perf_event_paranoid": read_text(self._root / "proc/sys/kernel/perf_event_paranoid"),
            "multiplexed": list(self._shared),
        }

    def close(self) -> None:
        """Stop counting."""
        for source in self._sources:
            source.close()
        self._sources.clear()

    def _open(self, wanted: Wanted, open_event: OpenEvent, read_event: ReadEvent) -> Domain | Unavailable:
        source = Source(wanted, self._root, open_event, read_event)
        problem = source.open()
        if problem:
            return problem
        self._sources.append(source)
        return wanted.domain

    def _read(self, sources: Sequence[Source]) -> list[Reading]:
        clock = self._clock
        readings: list[Reading] = []
        before = clock()
        for source in sources:
            raw = source.read(before)
            after = clock()
            readings.append(((before + after) >> 1, raw))
            before = after
        return readings

    def _measure(self, sources: Sequence[Source]) -> dict[str, Domain]:
        """See how often and by how much the counters move.

        A RAPL count is the register shifted left, so the lowest bit that is ever set is the register's own
        unit: 61 µJ, 15 µJ, or the 1 J of a Sapphire Rapids' psys.
        """
        bits = [0] * len(sources)

        def watch() -> list[Reading]:
            readings = self._read(sources)
            for index, (_, raw) in enumerate(readings):
                bits[index] |= raw if isinstance(raw, int) else 0
            return readings

        measured = {}
        for source, tick, seen in zip(sources, measure_ticks(watch, self._clock), bits, strict=True):
            domain = replace(source.wanted.domain, tick=tick)
            if domain.quantity == "joules" and seen:
                domain = replace(domain, resolution=(seen & -seen) * domain.scale)
            measured[domain.name] = domain
        return measured

    def _flag_multiplexed(self) -> None:
        for source in self._sources:
            name = source.wanted.domain.name
            if source.multiplexed and name not in self._shared:
                self._shared.append(name)
                domain = self.domains[name]
                assert isinstance(domain, Domain)
                self.domains = {**self.domains, name: replace(domain, flags=(*domain.flags, "multiplexed"))}


def _energy(pmu: Pmu, root: Path) -> dict[str, Wanted | Unavailable]:
    """Domains of the `power` PMU: one for each event it has and each package (or die) in its cpumask."""
    listed = pmu.events()
    if not any(event in ENERGY for event in listed):
        return {}  # a virtual machine's PMU: it is there, and names no event
    wanted = {
        _name(event, suffix): _one_event(event, cpu, suffix, listed=listed, pmu=pmu, root=root)
        for event in ENERGY
        if event in listed
        for cpu, suffix in _packages(pmu, root)
    }
    return _with_absent_dram(wanted, [suffix for _, suffix in _packages(pmu, root)])


def _one_event(
    event: str, cpu: int, suffix: str, *, listed: Sequence[str], pmu: Pmu, root: Path
) -> Wanted | Unavailable:
    try:
        config, scale, unit = pmu.event(event)
    except (OSError, ValueError) as error:
        return _senseless(pmu, event, str(error))
    if unit != "Joules":
        return _senseless(pmu, event, f"it counts {unit!r}, not joules")
    domain = _domain(event, suffix, scale, listed=listed, pmu=pmu, root=root)
    return Wanted(domain=domain, events=(Event(config=config, cpu=cpu),))


def _senseless(pmu: Pmu, event: str, why: str) -> Unavailable:
    return Unavailable(reason=f"{pmu.path}/events/{event} makes no sense: {why}", remedy="use the probe powercap")


def _domain(event: str, suffix: str, scale: float, *, listed: Sequence[str], pmu: Pmu, root: Path) -> Domain:
    by_amd = vendor_of(root) in AMD
    twin = _first_die(event, suffix) if by_amd else None
    flags = (("firmware-model",) if by_amd else ()) + (("mirror",) if twin else ())
    return Domain(
        name=_name(event, suffix),
        probe="perf_event",
        scale=scale,
        resolution=USUAL_STEP_JOULES,
        gain=GAIN_AMD if by_amd else GAIN,
        scope="die" if "-die-" in suffix and event == "energy-pkg" else ENERGY[event][1],
        additive=event in ("energy-pkg", "energy-ram") and twin is None,
        contains=tuple(_contents(event, suffix, listed, pmu, root)),
        duplicates=twin,
        flags=flags,
        source=f"perf power/{event}/",
    )


def _contents(event: str, suffix: str, listed: Sequence[str], pmu: Pmu, root: Path) -> Iterator[str]:
    """A package holds its cores and uncore, its memory stands outside; psys holds packages and memory."""
    if event == "energy-pkg":
        yield from (_name(part, suffix) for part in INSIDE_A_PACKAGE if part in listed)
    if event == "energy-psys":
        parts = [part for part in ("energy-pkg", "energy-ram") if part in listed]
        yield from (_name(part, each) for _, each in _packages(pmu, root) for part in parts)


def _packages(pmu: Pmu, root: Path) -> list[tuple[int, str]]:
    """Each processor of the cpumask with `0`, or `0-die-1` where a package has several in the mask."""
    dies = Counter(package_of(root, cpu) for cpu in pmu.cpus)
    packages = ((cpu, package_of(root, cpu)) for cpu in pmu.cpus)
    return [(cpu, f"{n}-die-{die_of(root, cpu)}" if dies[n] > 1 else f"{n}") for cpu, n in packages]


def _name(event: str, suffix: str) -> str:
    """As powercap names the same part: there the first package's psys has no number."""
    if event == "energy-psys" and suffix == "0":
        return ENERGY[event][0]
    return f"{ENERGY[event][0]}-{suffix}"


def _first_die(event: str, suffix: str) -> str | None:
    """AMD has one counter a socket: before Linux 6.12 each die shows it again."""
    package, _, die = suffix.partition("-die-")
    return _name(event, f"{package}-die-0") if die not in ("", "0") else None


def _with_absent_dram(
    wanted: Mapping[str, Wanted | Unavailable], suffixes: Sequence[str]
) -> dict[str, Wanted | Unavailable]:
    absent = Unavailable(
        reason="this processor has no DRAM counter: memory is not included",
        remedy="an external meter covers memory; compare only totals that leave it out alike",
    )
    names = dict.fromkeys(f"cpu.dram-{suffix.partition('-')[0]}" for suffix in suffixes)
    lacking = {name: absent for name in names if not any(known.startswith(name) for known in wanted)}
    return {**wanted, **lacking}
