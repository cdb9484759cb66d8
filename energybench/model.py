"""The frozen values that pass between probes, meter, protocol and reports, and what those parts promise.

Everything is in SI units: joules, watts, seconds, bytes, hertz, kelvin differences in celsius. A probe keeps the
counter's own whole number (the raw count) and says in its `Domain` how many SI units one count is.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, runtime_checkable

Clock: TypeAlias = Callable[[], int]
"""Nanoseconds on a monotonic clock; `time.perf_counter_ns` in production."""

Provenance: TypeAlias = Literal["measured", "estimated", "simulated", "modelled"]
"""Where a joule comes from. Kinds never mix in one sum."""

Quantity: TypeAlias = Literal[
    "joules",
    "dram_bytes",
    "operand_bytes",
    "wire_bytes",
    "tcp_bytes",
    "tcp_received_bytes",
    "tcp_apart_bytes",
    "payload_bytes",
    "pcie_bytes",
    "nvlink_bytes",
    "celsius",
    "hertz",
]

Kind: TypeAlias = Literal["counter", "gauge"]
"""A counter is cumulative; a gauge is a rate (watts, bytes per second) or a state (celsius, hertz) at one instant."""


class UnknownNameError(LookupError):
    """A workload, probe, parameter or table that does not exist; the message suggests the nearest that does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unavailable:
    """What could not be read, and what would make it readable. Never a number."""

    reason: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """A metered part of the machine, as its probe declares it.

    Attributes:
        name: `cpu.package-0`, `cpu.dram-0`, `gpu.0`, `wall` …; the same part has the same name under every probe.
        probe: the probe that reads it.
        quantity: what a count is worth; a gauge of `joules` reads watts, a gauge of bytes reads bytes per second.
        kind: counter or gauge.
        scale: SI units of one raw count (1e-6 for microjoules).
        resolution: the smallest step that the reading takes, in SI units.
        tick: seconds between two updates, as measured when the probe was opened; None where it could not be seen.
        modulus: raw counts after which a counter starts again at 0; None where it does not wrap.
        max_rate: the most SI units per second that the part can use; wraps and nonsense are told apart with it.
        gain: relative standard uncertainty of the sensor.
        seen: the fraction of each tick during which the sensor looks (0.25 for an A100's power sensor).
        averaging: seconds over which a gauge's value is a trailing mean; 0 for an instantaneous one.
        scope: package, dram, die, gpu-board, module, node, rail, process-group …
        provenance: measured or simulated; a firmware's model counts as measured with the flag `firmware-model`.
        additive: may be part of a total. psys, core, uncore, rails of a metered board and twins may not.
        contains: the names of domains whose energy is inside this one.
        duplicates: the name of the domain that shows the same energy, where this one is a twin.
        checks: the name of the counter whose energy this gauge can confirm.
        exclusive: False where other processes are in the number.
        flags: what a reader must know of every number from here.
        source: the path, call or field that is read.
    """

    name: str
    probe: str
    quantity: Quantity = "joules"
    kind: Kind = "counter"
    scale: float = 1.0
    resolution: float = 0.0
    tick: float | None = None
    modulus: int | None = None
    max_rate: float | None = None
    gain: float = 0.0
    seen: float = 1.0
    averaging: float = 0.0
    scope: str = "package"
    provenance: Provenance = "measured"
    additive: bool = True
    contains: tuple[str, ...] = ()
    duplicates: str | None = None
    checks: str | None = None
    exclusive: bool = False
    flags: tuple[str, ...] = ()
    source: str = ""


Reading: TypeAlias = tuple[int, int | Unavailable]
"""When the sensor was read (`Clock` nanoseconds; the sensor's own timestamp where it has one), and the raw count."""


@runtime_checkable
class Probe(Protocol):
    """A source of readings. A probe is a file in `probes/`, or an entry point in the group `energybench.probes`.

    The file offers `open_probe(*, root: Path = Path("/"), clock: Clock = time.perf_counter_ns) -> Probe | Unavailable`,
    and may set `PRIORITY` (lower is preferred where two probes meter the same domain; 50 if not given) and
    `ON_REQUEST = True` (used only when named).
    """

    name: str
    domains: Mapping[str, Domain | Unavailable]
    """Every part that is known to be there, readable or not."""

    def read(self) -> Sequence[Reading]:
        """One reading for each readable `Domain` of `domains`, in that order. Never raises for a failing sensor."""
        ...

    def close(self) -> None:
        """Let go of files and handles. A closed probe is not read again."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Energy:
    """Joules of one domain over one window.

    Attributes:
        joules: the best value.
        standard_uncertainty: in joules, all components combined (GUM); the k=2 interval is ±2 of it.
        provenance: measured, estimated, simulated or modelled.
        probe: who read it.
        flags: warnings that belong to the number (`below-resolution`, `aliased`, `counter-power-mismatch` …).
        components: the standard uncertainty by component, in joules: tick, resolution, tail, gain, integration …
    """

    joules: float
    standard_uncertainty: float
    provenance: Provenance
    probe: str
    flags: tuple[str, ...] = ()
    components: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """Joules over a disjoint cut of the measured domains.

    Attributes:
        joules: their sum.
        standard_uncertainty: in joules; gains of one probe's sensors are taken as fully correlated.
        provenance: that of every summand.
        domains: what the sum covers.
        missing: what belongs in it and could not be read.
    """

    joules: float
    standard_uncertainty: float
    provenance: Provenance
    domains: tuple[str, ...]
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Joules by a power model where nothing can be read: an interval, not a sigma. Never added to anything.

    `idle_watts`: what the model says of the machine at rest, which is in the joules; None where it says nothing.
    """

    joules: float
    low: float
    high: float
    model: str
    idle_watts: float | None = None
    provenance: Provenance = "estimated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Bytes of one kind over one window.

    Attributes:
        bytes: the count.
        standard_uncertainty: in bytes.
        provenance: measured, simulated, or modelled for what operators say they move.
        domains: what the count covers.
    """

    bytes: float
    standard_uncertainty: float
    provenance: Provenance
    domains: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter of a workload: its default, what it may be, and what it means."""

    default: int | float | str | bool
    help: str
    choices: tuple[int | float | str | bool, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Modelled:
    """A result by a model of hardware: nobody measured it, and it never stands beside what was, unlabelled.

    Attributes:
        value: the best value, in `unit`.
        low: what the model admits at least; None where it says nothing.
        high: what it admits at most.
        unit: in SI, without a prefix.
    """

    value: float
    low: float | None = None
    high: float | None = None
    unit: str = "J"


@runtime_checkable
class Learner(Protocol):
    """A network that learns from its first weights on, pass by pass; what is measured is `learn`.

    `passes`: the most passes that its schedule has. The seed that it was made with decides the split of the data, the
    first weights and the order of the samples.
    """

    passes: int

    def learn(self) -> int:
        """One pass over the training set, finished when it returns; how many samples it handled."""
        ...

    def accuracy(self) -> float:
        """The share of held-out samples that get their own class; outside the windows, and it changes nothing."""
        ...


class Task(Protocol):
    """A workload made ready for one parameter point; what is measured is `step`.

    `samples`: how many samples one step handles (the denominator of joules a sample).
    `definition`: what was done, in plain JSON values: task, data hash, network, parameters, seed. Two records with
    different definitions are not comparable.
    `file_bytes`: the size of the deployed model, where there is one.

    More may be there. `judged`: how many samples an accuracy is over. `gaps = False`: the steps may not be held apart
    to keep them out of step with a sensor that looks away for a part of the time. `details() -> Mapping[str, object]`:
    plain JSON values that the record keeps. `modelled() -> Mapping[str, Modelled]`: results that a model gives and
    nobody measured. Both are called once, after `evaluate`. `learner(seed: int) -> Learner`: the training from its
    start, for `run --energy-to-accuracy`.
    """

    samples: int
    definition: Mapping[str, object]
    file_bytes: int | None

    def step(self) -> None:
        """One unit of work, finished when it returns: a device is synchronised at its end."""
        ...

    def evaluate(self) -> Mapping[str, float]:
        """Quality outside the windows: `{"accuracy": 0.978}`. Called once, after the windows."""
        ...

    def close(self) -> None:
        """Give back what was held."""
        ...


@runtime_checkable
class Workload(Protocol):
    """What is run.

    A module in `workloads/` that exports `workload`, a file given by its path, or an entry point in the group
    `energybench.workloads`. `version` is bumped by hand when the meaning of its numbers changes.
    """

    name: str
    version: int
    summary: str
    parameters: Mapping[str, Parameter]

    def prepare(self, parameters: Mapping[str, int | float | str | bool], *, seed: int, quick: bool) -> Task:
        """Train, load, compile: everything that is not measured. Raises ValueError for parameters that do not fit."""
        ...
