"""A step of training on 1 to 10,000 nodes, modelled: time, bytes and joules from what was measured on a few.

Measured and put in: processor seconds of a step on a core of its own, and what a message and a byte cost the host.
Computed: bytes (`wire`, exact for gloo) and time on the line (`links`). How the time of an exchange comes about:

- ring: a phase sends two segments, one on the line while the other is taken in, so a phase lasts as long as the line
  needs for both, or for one and a message's latency. Start, turn (from summing to handing round) and end leave the line
  idle for a latency each.
- processor: phases wait for one another, so that what the ranks of a host need for messages and bytes, shared out over
  its cores, and the latency of each phase (link and wake-up) add up. The exchange takes the longer of the two.
- star: the server's line carries all gradients in, then all out. Where there are several workers, they are not served
  at once: the first goes on about one gradient's time before the last (seen at 4 and 8 nodes).

Left out: stragglers and jitter, lost segments, what a fabric of switches shares, overlap with the backward pass (all
gradients in one bucket). All is provenance modelled.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from energybench.workloads.distributed import wire
from energybench.workloads.distributed.links import Link, wire_joules

STRATEGIES = ("isolated", "sync", "star", "local", "cultural")
NODES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 10_000)
LEFT_OUT = "stragglers, jitter, lost segments, sharing within a fabric of switches, overlap with the backward pass"
_SEGMENTS = 2
"""Of a chunk, in flight at a time (gloo/allreduce.cc, gloo/allgather.cc)."""
_IDLE_LATENCIES = {"all_reduce": 3, "all_gather": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """A value and what it may be: joules, or watts."""

    value: float
    low: float
    high: float

    def __mul__(self, times: float) -> "Range":
        return Range(value=self.value * times, low=self.low * times, high=self.high * times)

    def __add__(self, other: "Range") -> "Range":
        return Range(value=self.value + other.value, low=self.low + other.low, high=self.high + other.high)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a step takes, measured, and the hosts that it runs on.

    Attributes:
        compute_seconds: processor time of a step's own work, on a core of its own.
        extra_seconds: of the pass that cultural evolution adds; the other strategies have none.
        batch: samples a step of a node.
        size: bytes of all weights or gradients.
        element: bytes of one number in an exchange of gradients: 4, or 2 where they go as fp16.
        outputs: bytes that a node tells of its outputs in one round.
        every: steps between two exchanges of `local` and `cultural`.
        message_seconds: processor time of one message, sent and received, both ends and kernel.
        byte_seconds: processor time of one byte of TCP, likewise.
        wake_seconds: in which a waiting rank comes awake and no processor works for it, beside the link's latency.
        cores: of a host, those that other work leaves free.
        ranks: nodes that share one host; each host has as many, or all where there are fewer.
        static_watts: of a host at rest; None where nobody knows.
        joules_per_cpu_second: beyond that, of a busy core; None where nobody knows.
    """

    compute_seconds: float
    batch: int
    size: int
    message_seconds: float
    byte_seconds: float
    wake_seconds: float = 0.0
    extra_seconds: float = 0.0
    element: int = 4
    outputs: int = 0
    every: int = 10
    cores: float = 1
    ranks: int = 1
    static_watts: Range | None = None
    joules_per_cpu_second: Range | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One exchange among all nodes.

    Attributes:
        seconds: until it is done.
        cpu_seconds: processor time of a node for it, the mean.
        mean: bytes of a node: payload, TCP, wire.
        busiest: of the node with the most.
    """

    seconds: float
    cpu_seconds: float
    mean: tuple[float, float, float]
    busiest: tuple[float, float, float]


def curve(strategy: str, link: Link, setting: Setting, nodes: Sequence[int] = NODES) -> dict[str, Any]:
    """Steps at each number of nodes in plain values, for a record's `details["scaling"]`.

    A point has `seconds` and bytes of a step and a node (its mean; `busiest` beside it), and where watts are known
    `joules`, `low` and `high` of a step and a node with their `terms`, and `joules_per_sample` likewise. A term that
    does not exist, such as the wire of a loopback, is absent.

    Raises:
        ValueError: the strategy is none of `STRATEGIES`.
    """
    told = {"name": link.name, "bits_per_second": link.bits_per_second, "mtu": link.mtu, "goodput": link.goodput}
    told["latency_seconds"] = link.latency_seconds.value
    assumed = {name: value for name, value in asdict(setting).items() if value is not None}
    return {
        "strategy": strategy,
        "link": told,
        "provenance": "modelled",
        "assumed": assumed | {"left_out": LEFT_OUT},
        "points": [point(strategy, count, link, setting) for count in nodes],
    }


def point(strategy: str, nodes: int, link: Link, setting: Setting) -> dict[str, Any]:
    """One point of a curve."""
    if strategy not in STRATEGIES:
        raise ValueError(f"there is no model of {strategy!r}: take one of {', '.join(STRATEGIES)}")
    every = setting.every if strategy in ("local", "cultural") else 1
    made = exchange(strategy, nodes, link, setting)
    computing = setting.compute_seconds + (setting.extra_seconds if strategy == "cultural" and nodes > 1 else 0.0)
    work = computing * _share(nodes, setting)
    seconds = work + made.seconds / every
    if strategy == "cultural":
        together = (computing + made.cpu_seconds / every) * min(setting.ranks, nodes) / setting.cores
        seconds = max(work, together, made.seconds / every)
    found: dict[str, Any] = {"nodes": nodes, "seconds": seconds}
    found |= _bytes(made.mean, every) | {"busiest": _bytes(made.busiest, every)}
    return found | _joules(found, work, computing, made.cpu_seconds / every, link, setting)


def exchange(strategy: str, nodes: int, link: Link, setting: Setting) -> Exchange:
    """One exchange of a strategy: of each step, or of each round."""
    sent = list(_sent(strategy, nodes, setting))
    counted = [(one.payload, one.tcp_bytes, link.wire_bytes(one.tcp_bytes, _writes(one))) for one in sent]
    mean = tuple(sum(row[place] for row in counted) / nodes for place in range(3))
    busiest = max(range(nodes), key=lambda rank: counted[rank][2])
    most = sent[busiest]
    cpu = sum(_cpu_seconds(one, setting) for one in sent) / nodes
    if not most.messages:
        seconds = 0.0
    elif strategy == "star":
        seconds = _star_seconds(nodes, most, cpu, link, setting)
    else:
        seconds = _ring_seconds("all_gather" if strategy == "cultural" else "all_reduce", nodes, most, link, setting)
    return Exchange(seconds=seconds, cpu_seconds=cpu, mean=(mean[0], mean[1], mean[2]), busiest=counted[busiest])


def _sent(strategy: str, nodes: int, setting: Setting) -> Iterator[wire.Sent]:
    """What each rank sends in an exchange."""
    size = setting.size // 4 * setting.element
    for rank in range(nodes):
        if strategy == "isolated" or nodes == 1:
            yield wire.Sent()
        elif strategy == "sync":
            yield wire.all_reduce(size, nodes, rank, setting.element)
        elif strategy == "star":
            yield wire.star(size, nodes, rank)
        elif strategy == "local":
            yield wire.all_reduce(setting.size, nodes, rank)
        else:
            yield wire.all_gather(setting.outputs, nodes, rank)


def _ring_seconds(kind: str, nodes: int, sent: wire.Sent, link: Link, setting: Setting) -> float:
    """The longer of what the line and what the processors need, as the module says."""
    share = _share(nodes, setting)
    asleep = link.latency_seconds.value + setting.wake_seconds
    latency = asleep + setting.message_seconds * share
    phases = (nodes - 1) * (2 if kind == "all_reduce" else 1)
    line = link.line_seconds(sent.tcp_bytes, _writes(sent))
    network = max(line, line / _SEGMENTS + phases * latency) + _IDLE_LATENCIES[kind] * latency
    return max(network, _cpu_seconds(sent, setting) * share + phases * asleep)


def _star_seconds(nodes: int, server: wire.Sent, cpu: float, link: Link, setting: Setting) -> float:
    """All gradients in, then all out, on the server's line or by its processor."""
    share = _share(nodes, setting)
    latency = link.latency_seconds.value + setting.wake_seconds + setting.message_seconds * share
    way = link.line_seconds(server.tcp_bytes, _writes(server))
    ahead = way / (nodes - 1) if nodes > 2 else 0.0
    return max(2 * way - ahead + 2 * latency, _cpu_seconds(server, setting), cpu * share)


def _joules(
    found: dict[str, Any], work: float, computing: float, talking: float, link: Link, setting: Setting
) -> dict[str, Any]:
    """Joules of a step and a node by term, and of a sample; nothing where watts are not known.

    Args:
        found: the point, with its seconds and bytes.
        work: seconds of a step in which the node computes.
        computing: processor seconds of that.
        talking: processor seconds of the exchange.
        link: for the wire.
        setting: for the watts.
    """
    if setting.static_watts is None or setting.joules_per_cpu_second is None:
        return {}
    static = setting.static_watts * (1 / min(setting.ranks, found["nodes"]))
    terms = {"compute": setting.joules_per_cpu_second * computing + static * work}
    if found["wire_bytes"]:
        terms["communication CPU"] = setting.joules_per_cpu_second * talking
        terms["waiting"] = static * max(0.0, found["seconds"] - work)
        if (wired := wire_joules(link, found["wire_bytes"], found["seconds"])) is not None:
            terms["wire"] = Range(low=wired[0], value=wired[1], high=wired[2])
    total = sum(terms.values(), Range(value=0.0, low=0.0, high=0.0))
    plain = {"joules": total.value, "low": total.low, "high": total.high}
    split = {name: {"joules": one.value, "low": one.low, "high": one.high} for name, one in terms.items()}
    return plain | {"terms": split, "joules_per_sample": asdict(total * (1 / setting.batch))}


def _bytes(of: tuple[float, float, float], every: int) -> dict[str, float]:
    return {f"{name}_bytes": value / every for name, value in zip(("payload", "tcp", "wire"), of, strict=True)}


def _share(nodes: int, setting: Setting) -> float:
    """How many times as long computing takes where ranks share the cores of a host."""
    return max(1.0, min(setting.ranks, nodes) / setting.cores)


def _writes(sent: wire.Sent) -> int:
    """What gloo hands to TCP one by one: an announcement and the data, and an answer to what it receives."""
    return 2 * sent.messages + sent.received


def _cpu_seconds(sent: wire.Sent, setting: Setting) -> float:
    return sent.messages * setting.message_seconds + sent.tcp_bytes * setting.byte_seconds
