"""Which events add up to a socket's memory traffic, by the maker of the memory controller.

Sources: Linux arch/x86/events/intel/uncore_snb.c and uncore_snbep.c, arch/x86/events/amd/uncore.c, perf's
pmu-events/arch/x86/amdzen{2,3,4}, drivers/perf/arm_cspmu. Refresh is never counted.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from energybench.model import Domain, Unavailable
from energybench.probes._perf_pmu import BYTES, Pmu, package_of
from energybench.probes._perf_source import Event, Wanted
from energybench.probes._perf_syscall import EventConfig

CACHE_LINE = 64
# Granite Rapids splits each channel in two: only sch0 + sch1 is all of it. `data_total` would count twice.
INTEL_EVENT = re.compile(r"(?:cas_count|data)_(read|write)s?(?:_sch\d)?")
UMC_COMMANDS = ("event=0x0a,rdwrmask=1", "event=0x0a,rdwrmask=2")  # umc_cas_cmd.rd and .wr
# dram_channel_data_controller_0 to 7 of Zen 2 and 3: reads and writes, "approximate" says AMD, NPS1 only.
ZEN2_CHANNELS = tuple(f"event={code:#x},umask=0x38" for code in (0x07, 0x47, 0x87, 0xC7, 0x107, 0x147, 0x187, 0x1C7))
# NVIDIA's guide gives 32-byte beats for data events; nobody has checked it against a known copy.
SCF_EVENTS = {"cmem_rd_data": 32, "cmem_wr_total_bytes": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Controller:
    """How one kind of memory controller is read.

    Attributes:
        name: the domain's first part.
        pmu: the names of its boxes.
        gain: relative standard uncertainty of the count.
        longest_gap_seconds: counts are lost when nobody reads for longer.
    """

    name: str
    pmu: re.Pattern[str]
    gain: float = 0.0
    flags: tuple[str, ...] = ()
    longest_gap_seconds: float | None = None


# Of each line the first that is there counts: what follows it would count the same bytes once more.
CONTROLLERS = (
    (Controller(name="imc", pmu=re.compile(r"uncore_imc(_\d+)?")),
     Controller(name="imc", pmu=re.compile(r"uncore_imc_free_running(_\d+)?"))),
    # A UMC counter sticks at 2^48; only a read rearms it. At 800 million lines/s it is half full in 49 h.
    (Controller(name="umc", pmu=re.compile(r"amd_umc_\d+"), longest_gap_seconds=24 * 3600.0),
     Controller(name="df", pmu=re.compile(r"amd_df"), gain=0.10, flags=("approximate",))),
    (Controller(name="scf", pmu=re.compile(r"nvidia_scf_pmu_\d+"), gain=0.05, flags=("beats-unverified",)),),
)  # fmt: skip


def memory_traffic(pmus: Sequence[Pmu], root: Path) -> Iterator[tuple[str, Wanted | Unavailable]]:
    """One domain for each socket, from whichever controllers this machine has."""
    for descent in CONTROLLERS:
        for controller in descent:
            boxes = [pmu for pmu in pmus if controller.pmu.fullmatch(pmu.name) and _counts_bytes(pmu)]
            if boxes:
                yield from _by_socket(controller, boxes, root)
                break


def _counts_bytes(pmu: Pmu) -> bool:
    """Some of Intel's boxes name no event that counts bytes, as the free-running ones of Ice Lake servers."""
    return not pmu.name.startswith("uncore_imc") or any(INTEL_EVENT.fullmatch(name) for name in pmu.events())


def _by_socket(controller: Controller, boxes: Iterable[Pmu], root: Path) -> Iterator[tuple[str, Wanted | Unavailable]]:
    events: defaultdict[int, list[Event]] = defaultdict(list)
    sources: defaultdict[int, list[str]] = defaultdict(list)
    problems: dict[int, Unavailable] = {}
    for pmu in boxes:
        for cpu in pmu.cpus:
            socket = package_of(root, cpu)
            sources[socket].append(pmu.name)
            try:
                events[socket] += [Event(config=c, cpu=cpu, weight=w) for c, w in _events(pmu)]
            except (OSError, ValueError) as error:
                problems[socket] = _not_understood(pmu, error)
    for socket in sorted(sources):
        name = f"{controller.name}.socket-{socket}"
        domain = Domain(
            name=name,
            probe="perf_event",
            quantity="dram_bytes",
            resolution=min((event.weight for event in events[socket]), default=0.0),
            gain=controller.gain,
            scope="socket",
            flags=controller.flags,
            source=f"perf {'+'.join(dict.fromkeys(sources[socket]))} of socket {socket}",
        )
        wanted = Wanted(domain=domain, events=tuple(events[socket]), longest_gap_seconds=controller.longest_gap_seconds)
        yield name, problems.get(socket, wanted)


def _events(pmu: Pmu) -> list[tuple[EventConfig, float]]:
    if pmu.name.startswith("uncore_imc"):
        return _intel_events(pmu)
    if pmu.name == "amd_df":
        return [(pmu.encode(terms), CACHE_LINE) for terms in _zen2_channels(pmu)]
    if pmu.name.startswith("amd_umc"):
        return [(pmu.encode(terms), CACHE_LINE) for terms in UMC_COMMANDS]
    return [(pmu.event(name)[0], size) for name, size in SCF_EVENTS.items()]


def _intel_events(pmu: Pmu) -> list[tuple[EventConfig, float]]:
    found = {name: match[1] for name in pmu.events() if (match := INTEL_EVENT.fullmatch(name))}
    if set(found.values()) != {"read", "write"}:
        raise ValueError(f"names {', '.join(found)} alone, and traffic is reads and writes")
    events = []
    for name in found:
        config, scale, unit = pmu.event(name)
        if unit not in BYTES:
            raise ValueError(f"{name} counts {unit!r}, not bytes")
        events.append((config, scale * BYTES[unit]))
    return events


def _zen2_channels(pmu: Pmu) -> Sequence[str]:
    """From Zen 4 on the umask has twelve bits and the old event codes mean something else."""
    try:
        pmu.encode("umask=0x100")
    except ValueError:
        return ZEN2_CHANNELS
    raise ValueError("is that of Zen 4 or newer, where amd_umc counts memory")


def _not_understood(pmu: Pmu, error: Exception) -> Unavailable:
    return Unavailable(
        reason=f"memory traffic of {pmu.name} cannot be counted: {error}",
        remedy="use a kernel that describes this memory controller (Linux 6.8 or newer on AMD Zen 4)",
    )
