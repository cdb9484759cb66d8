"""The modelled time of exchanges between nodes beside the time that they take on a shaped link. Needs root.

    python tests/bench/distributed_link.py --output docs/results/distributed_link.json
    python tests/bench/distributed_link.py --nodes 2,4 --rate 1e9

Each node is a network namespace with one rank (gloo, one thread) behind a bridge, its port shaped by `tc … tbf` both
ways, with one segment a frame and TCP reno. Nothing is computed, only exchanges run: of 76,810 numbers (all-reduce, and
a star that has rank 0 collect and hand back) and of 32 and 320 bytes (all-gather). They run back to back, large ones
after a rest as well, in which a shaped link collects its burst anew. (After a rest ranks come awake up to a millisecond
apart: that jitter, which the model leaves out, is most of a small exchange.)

Read first, between two nodes whose link is not shaped: what a byte costs a processor, and how long a rank takes to come
awake. What a message costs is the processor time of the small all-gather at each number of nodes, as all ranks share
this host's cores, less what other processes and the kernel's part of the network keep busy. All else is predicted by
workloads/distributed/scaling.py. Small exchanges are all processor and wake-ups: they need a quiet machine. The
namespaces are removed at the end, also after an error.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

SIZE, ROUNDS, PORT = 307_240, 5, 29511
REST = 0.01
CASES = [
    ("cultural", "back to back", ("all-gather", 32, 100, 0.0)),
    ("cultural", "back to back", ("all-gather", 320, 100, 0.0)),
    ("sync", "back to back", ("all-reduce", SIZE, 10, 0.0)),
    ("sync", "after a rest", ("all-reduce", SIZE, 10, REST)),
    ("star", "back to back", ("star", SIZE, 6, 0.0)),
    ("star", "after a rest", ("star", SIZE, 6, REST)),
]
LIMIT = 0.15


def main() -> None:
    """Parse, build the network for each number of nodes, run, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", default="2,4,8")
    parser.add_argument("--rate", type=float, default=1e8, help="bits per second of each port")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--output", type=Path, help="a JSON file to write the numbers to")
    parser.add_argument("--rank", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--cases", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.rank is not None:
        rank(given.rank, int(given.nodes), json.loads(given.cases), given.rounds)
        return
    if os.geteuid() != 0:
        sys.exit("network namespaces need root: run this as root, or in `unshare -Urnm`")
    costs = calibrated(given.rounds)
    found = [row for nodes in map(int, given.nodes.split(",")) for row in compared(nodes, given, costs)]
    worst = max(found, key=lambda row: abs(row["error"]))
    of = f"{worst['strategy']}, {worst['bytes']} bytes, {worst['nodes']} nodes, {worst['when']}"
    print(f"worst: {of}: {100 * worst['error']:+.1f} %; load {os.getloadavg()[0]:.1f}")
    if given.output:
        given.output.parent.mkdir(parents=True, exist_ok=True)
        told = {"rate": given.rate, "cores": os.cpu_count(), "processor": costs, "worst": worst["error"], "rows": found}
        given.output.write_text(json.dumps(told, indent=1) + "\n")


def calibrated(rounds: int) -> dict[str, float]:
    """Processor seconds of a byte, and seconds of a wake-up, between two nodes whose link is not shaped."""
    from energybench.workloads.distributed.links import SHAPED_LATENCY

    cases = [("all-gather", 32, 200, 0.0), ("ping-pong", SIZE, 60, 0.0)]
    small, large = measured(2, None, cases, rounds)
    costs = {
        "byte_seconds": max(0.0, large["cpu"] - small["cpu"] / 2) / SIZE,
        "wake_seconds": max(0.0, small["seconds"] - small["cpu"] - SHAPED_LATENCY),
    }
    print(
        f"a byte {1e9 * costs['byte_seconds']:.2f} ns of processor time, a wake-up {1e6 * costs['wake_seconds']:.0f} µs"
    )
    print(
        f"\n{'strategy':9s} {'bytes':>7s} nodes  {'':14s}measured    model   error  wire bytes measured / model, CPU ms"
    )
    return costs


def compared(nodes: int, given: argparse.Namespace, costs: dict[str, float]) -> Iterator[dict[str, Any]]:
    """Measured beside modelled, case by case."""
    from dataclasses import replace

    from energybench.workloads.distributed.links import links, shaped
    from energybench.workloads.distributed.scaling import Setting, exchange

    link = replace(shaped(links()["ethernet-100m"]), bits_per_second=given.rate)
    seen = measured(nodes, given.rate, [case for _, _, case in CASES], given.rounds)
    message = seen[0]["cpu"] / (2 * (nodes - 1))
    for (strategy, when, (_, size, _, _)), one in zip(CASES, seen, strict=True):
        setting = Setting(
            compute_seconds=0.0, batch=1, size=SIZE, outputs=size, cores=one["free_cores"], ranks=nodes,
            message_seconds=message, **costs,
        )  # fmt: skip
        model = exchange(strategy, nodes, link, setting)
        row = {"strategy": strategy, "bytes": size, "nodes": nodes, "when": when, "seconds": one["seconds"]}
        row |= {"model_seconds": model.seconds, "error": model.seconds / one["seconds"] - 1}
        row |= {"wire_bytes": one["wire"], "model_wire_bytes": model.mean[2]}
        row |= {"cpu_seconds": one["cpu"], "free_cores": one["free_cores"]}
        mark = " " if abs(row["error"]) <= LIMIT else "*"
        print(
            f"{strategy:9s} {size:7d} {nodes:5d}  {when:14s} {1e3 * one['seconds']:7.2f}  {1e3 * model.seconds:7.2f} "
            f"{100 * row['error']:+6.1f} %{mark} {one['wire']:8.0f} / {model.mean[2]:.0f}, "
            f"{1e3 * one['cpu']:.2f}, {one['free_cores']:.2f}",
            flush=True,
        )
        yield row


def measured(nodes: int, rate: float | None, cases: list[Any], rounds: int) -> list[dict[str, float]]:
    """Seconds, processor seconds of a rank and wire bytes of a node, of each case."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "eth0", "PYTHONWARNINGS": "ignore"}
    with network(nodes, rate) as names:
        command = [sys.executable, __file__, "--nodes", str(nodes), "--cases", json.dumps(cases)]
        ranks = [
            subprocess.Popen(
                ["ip", "netns", "exec", name, *command, "--rank", str(number), "--rounds", str(rounds)],
                env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )
            for number, name in enumerate(names)
        ]  # fmt: skip
        try:
            told = [one.communicate(timeout=300) for one in ranks]
        finally:
            for one in ranks:
                one.kill()
    failed = [error for one, (_, error) in zip(ranks, told, strict=True) if one.returncode]
    if failed:
        sys.exit(f"a rank failed: {failed[0][-2000:]}")
    found: list[dict[str, float]] = json.loads(told[0][0].splitlines()[-1])
    return found


@contextlib.contextmanager
def network(nodes: int, rate: float | None) -> Iterator[list[str]]:
    """A namespace a node, joined by a bridge in one of its own."""
    prefix = f"ebl{os.getpid()}"
    switch, names = f"{prefix}sw", [f"{prefix}n{number}" for number in range(1, nodes + 1)]
    try:
        _ip(f"netns add {switch}")
        _ip(f"-n {switch} link add br0 type bridge")
        _ip(f"-n {switch} link set br0 up")
        for number, name in enumerate(names, start=1):
            _attach(name, switch, number, rate)
        yield names
    finally:
        for name in (*names, switch):
            subprocess.run(["ip", "netns", "del", name], check=False, stderr=subprocess.DEVNULL)


def _attach(name: str, switch: str, number: int, rate: float | None) -> None:
    _ip(f"netns add {name}")
    _ip(f"-n {name} link set lo up")
    _ip(f"link add eth0 netns {name} type veth peer name p{number} netns {switch}")
    _ip(f"-n {name} addr add 10.77.0.{number}/24 dev eth0")
    # One segment a frame: counters then see what a wire of this MTU carries.
    _ip(f"-n {name} link set eth0 gso_max_segs 1 up")
    _ip(f"-n {switch} link set p{number} gso_max_segs 1 master br0 up")
    # BBR paces, and stalls with such frames.
    control = "/proc/sys/net/ipv4/tcp_congestion_control"
    subprocess.run(["ip", "netns", "exec", name, "sh", "-c", f"echo reno > {control}"], check=True)
    if rate:
        for space, device in ((name, "eth0"), (switch, f"p{number}")):
            shape = f"qdisc add dev {device} root tbf rate {rate:.0f}bit burst 16kb latency 200ms"
            subprocess.run(["ip", "netns", "exec", space, "tc", *shape.split()], check=True)


def _ip(arguments: str) -> None:
    subprocess.run(["ip", *arguments.split()], check=True)


def rank(number: int, nodes: int, cases: list[Any], rounds: int) -> None:
    """One node: run the cases with the others; rank 0 prints what all of them saw."""
    import torch
    import torch.distributed as dist

    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://10.77.0.1:{PORT}", rank=number, world_size=nodes)
    seen = []
    for kind, size, times, rest in cases:
        call = _call(kind, size, number, nodes)
        for _ in range(3):
            call()
        seen.append([_timed(call, times, rest) for _ in range(rounds)])
    gathered: list[Any] = [None] * nodes
    dist.all_gather_object(gathered, seen)
    if number == 0:
        print(json.dumps([_merged([one[place] for one in gathered]) for place in range(len(cases))]), flush=True)
    dist.barrier()
    dist.destroy_process_group()


def _merged(seen: list[list[list[float]]]) -> dict[str, float]:
    """The mean of the nodes in the quietest round, and the cores that others and the network itself left free in it."""
    rounds = []
    for nodes in zip(*seen, strict=True):
        seconds, cpu, sent, busy, ours = (statistics.fmean(values) for values in zip(*nodes, strict=True))
        free = max(0.1, (os.cpu_count() or 1) - max(0.0, busy - len(seen) * ours))
        rounds.append({"seconds": seconds, "cpu": cpu, "wire": sent, "free_cores": free})
    return max(rounds, key=lambda one: one["free_cores"])


def _timed(call: Callable[[], object], times: int, rest: float) -> list[float]:
    """Of one call: seconds beyond the rest, processor seconds, bytes of the interface; cores busy, and by this rank."""
    import torch.distributed as dist

    dist.barrier()
    time.sleep(0.2)
    sent, busy, cpu, start = _sent_bytes(), _busy_seconds(), time.process_time(), time.perf_counter()
    rested = 0.0
    for _ in range(times):
        if rest:
            begin = time.perf_counter()
            time.sleep(rest)
            rested += time.perf_counter() - begin
        call()
    passed, cpu = time.perf_counter() - start, time.process_time() - cpu
    busy = _busy_seconds() - busy
    time.sleep(0.2)  # the last acknowledgements
    return [(passed - rested) / times, cpu / times, (_sent_bytes() - sent) / times, busy / passed, cpu / passed]


def _busy_seconds() -> float:
    """Processor time of the whole machine: user, nice, system, interrupts of both kinds and what was stolen."""
    ticks = [int(value) for value in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")


def _sent_bytes() -> int:
    lines = Path("/proc/net/dev").read_text().splitlines()
    return next(int(line.split(":")[1].split()[8]) for line in lines if line.strip().startswith("eth0:"))


def _call(kind: str, size: int, number: int, nodes: int) -> Callable[[], object]:
    import torch
    import torch.distributed as dist

    numbers = torch.ones(size // 4)
    if kind == "all-reduce":
        return lambda: dist.all_reduce(numbers)
    if kind == "all-gather":
        told = torch.ones(size, dtype=torch.uint8)
        heard = [torch.empty_like(told) for _ in range(nodes)]
        return lambda: dist.all_gather(heard, told)
    if kind == "ping-pong":
        return lambda: _there_and_back(numbers, number)
    rooms = [torch.empty_like(numbers) for _ in range(nodes - 1)]
    return lambda: _star(numbers, rooms, number)


def _there_and_back(numbers: Any, number: int) -> None:
    import torch.distributed as dist

    for sends in (number == 0, number != 0):
        if sends:
            dist.send(numbers, 1 - number)
        else:
            dist.recv(numbers, 1 - number)


def _star(numbers: Any, rooms: list[Any], number: int) -> None:
    import torch.distributed as dist

    if number:
        dist.isend(numbers, 0).wait()
        dist.irecv(numbers, 0).wait()
        return
    for work in [dist.irecv(room, peer) for peer, room in enumerate(rooms, start=1)]:
        work.wait()
    for work in [dist.isend(numbers, peer) for peer in range(1, len(rooms) + 1)]:
        work.wait()


if __name__ == "__main__":
    main()
