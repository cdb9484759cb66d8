"""Nodes of a network on this machine: a network namespace each, behind a bridge that has one of its own as well.

    with lab(4, rate=1e8) as net:
        subprocess.run([*net.at_leader, sys.executable, "train.py"], env=net.environment)

Node n has the address 10.77.0.(n + 1), and the leader, who starts ranks in the nodes, 10.77.0.254; all are on an
interface eth0 with one segment a frame, so that its counters show what a wire of this MTU carries, and use TCP reno:
BBR paces, and stalls with such frames. A rate shapes both ends of each node's cable, by `tc tbf`; the leader's is never
shaped. Nothing of the machine's own network is touched. Names are this process's own, and whatever ends it, a process
beside it removes them, with what still runs there.
"""

import contextlib
import functools
import itertools
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

INTERFACE, LEADER_ADDRESS = "eth0", "10.77.0.254"
BURST_BYTES, LATENCY = 16384, "200ms"
REMOVER = """
cat >/dev/null
for name; do ip netns pids "$name" 2>/dev/null; done | xargs -r kill -9
for name; do ip netns del "$name" 2>/dev/null; done
"""

_labs = itertools.count(1)


class LabError(RuntimeError):
    """A command of which the network is made has failed; the message has its word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lab:
    """Namespaces that are there: `prefix` and a node's number, and those of the leader and the switch."""

    prefix: str
    nodes: int

    @property
    def leader(self) -> str:
        """The namespace of the leader."""
        return f"{self.prefix}leader"

    @property
    def switch(self) -> str:
        """The namespace of the bridge."""
        return f"{self.prefix}switch"

    def node(self, number: int) -> str:
        """The namespace of a node."""
        return f"{self.prefix}{number}"

    @property
    def at_leader(self) -> list[str]:
        """What a command is started through to run there."""
        return at(self.leader)

    @property
    def environment(self) -> Mapping[str, str]:
        """Of a leader whose ranks go into the nodes."""
        return {
            **os.environ,
            "ENERGYBENCH_RANK_PREFIX": " ".join(at(f"{self.prefix}{{rank}}")),
            "ENERGYBENCH_LEADER_ADDRESS": LEADER_ADDRESS,
            "GLOO_SOCKET_IFNAME": INTERFACE,
            "MASTER_ADDR": address(0),
        }


def address(number: int) -> str:
    """Of a node."""
    return f"10.77.0.{number + 1}"


def at(name: str) -> list[str]:
    """What a command is started through to run in a namespace."""
    return ["ip", "netns", "exec", name]


@contextlib.contextmanager
def lab(nodes: int, *, rate: float | None = None) -> Iterator[Lab]:
    """A network of so many nodes, as long as the context lasts.

    Args:
        nodes: how many.
        rate: bits per second of each node's cable, both ways; None for as fast as it goes.

    Raises:
        LabError: the machine does not let us make it.
    """
    made = Lab(prefix=f"eb{os.getpid()}x{next(_labs)}n", nodes=nodes)
    names = [made.switch, made.leader, *map(made.node, range(nodes))]
    # In a session of its own Ctrl-C does not reach it: it ends when the pipe does, and that is with us at the latest.
    remover = subprocess.Popen(["sh", "-c", REMOVER, "sh", *names], stdin=subprocess.PIPE, start_new_session=True)
    try:
        _run("ip", "netns", "add", made.switch)
        _run("ip", "-n", made.switch, "link", "add", "br0", "type", "bridge")
        _run("ip", "-n", made.switch, "link", "set", "br0", "up")
        _attach(made, made.leader, LEADER_ADDRESS, "p-leader", None)
        for number in range(nodes):
            _attach(made, made.node(number), address(number), f"p{number}", rate)
        yield made
    finally:
        remover.communicate()


def _attach(made: Lab, name: str, own: str, port: str, rate: float | None) -> None:
    """A namespace, and its cable to the switch."""
    _run("ip", "netns", "add", name)
    _run("ip", "-n", name, "link", "set", "lo", "up")
    pair = [INTERFACE, "netns", name, "type", "veth", "peer", "name", port, "netns", made.switch]
    _run("ip", "link", "add", *pair)
    _run("ip", "-n", name, "addr", "add", f"{own}/24", "dev", INTERFACE)
    _run("ip", "-n", name, "link", "set", INTERFACE, "gso_max_segs", "1", "up")
    _run("ip", "-n", made.switch, "link", "set", port, "gso_max_segs", "1", "master", "br0", "up")
    _run(*at(name), "sh", "-c", "echo reno > /proc/sys/net/ipv4/tcp_congestion_control")
    if rate is None:
        return
    shape = ["root", "tbf", "rate", f"{rate:.0f}bit", "burst", f"{BURST_BYTES}", "latency", LATENCY]
    _run(*at(name), "tc", "qdisc", "add", "dev", INTERFACE, *shape)
    _run(*at(made.switch), "tc", "qdisc", "add", "dev", port, *shape)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise LabError(f"`{' '.join(command)}` says: {' '.join(done.stderr.split()) or 'nothing'}")


@functools.cache
def why_not() -> str | None:
    """Why no such network can be made here; None where it can."""
    if missing := [program for program in ("ip", "tc") if shutil.which(program) is None]:
        return f"{' and '.join(missing)} not installed; Debian and Ubuntu have them in iproute2"
    if os.geteuid():
        return "network namespaces need root: run this as root"
    try:
        with lab(1, rate=1e9):
            return None
    except LabError as error:
        return f"no network of namespaces can be made here: {error}"
