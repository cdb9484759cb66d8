"""Starting local ranks: all under one torchrun, or each by itself."""

import os
import shlex
import shutil
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from energybench.cpu_time import follow, reaping

MODULE = "energybench.distributed.rank"
PREFIX = "ENERGYBENCH_RANK_PREFIX"
"""A command that each local rank is started through, with {rank} for its number: `taskset -c {rank}`.

It may put ranks into network namespaces (`ip netns exec node{rank}`): then MASTER_ADDR is an address of rank 0's that
all reach, and GLOO_SOCKET_IFNAME (or NCCL_SOCKET_IFNAME) the interface that each has there. They find the leader by a
Unix socket, which namespaces of one host share.
"""
START_SECONDS = 30.0
"""What starting Python and torch on a busy machine may take."""
LEADER_ADDRESS = "ENERGYBENCH_LEADER_ADDRESS"
"""Where ranks that a prefix has put elsewhere reach this process, which holds their mailbox; else 127.0.0.1."""


class PrefixError(ValueError):
    """A command that ranks cannot be started through."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How many ranks, and what becomes of them when one is lost.

    Attributes:
        nodes: how many ranks.
        independent: each is launched by itself and may die while the others go on; else they are one gang, and one
            that dies has all started anew.
        restarts: how often a lost rank, or the gang, is started anew.
        timeout: seconds that a rank waits for its peers at most, and the leader for an answer to a sign of life.
        threads: of each rank.
        starting: seconds that ranks may take to come, where the timeout is shorter.
    """

    nodes: int
    independent: bool = False
    restarts: int = 3
    timeout: float = 60.0
    threads: int = 1
    starting: float = START_SECONDS


class Processes:
    """The started processes of a plan: torchrun's agents, or the ranks themselves.

    Args:
        plan: what is started.
        folder: for their output.
        told: what their environment must have.
        is_local: all ranks are started here, none on another host.
    """

    def __init__(self, plan: Plan, folder: Path, told: Mapping[str, str], *, is_local: bool = True) -> None:
        self._plan, self._folder, self._told, self._is_local = plan, folder, told, is_local
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self._starts: Counter[int] = Counter()
        self._meeting = os.environ.get("MASTER_ADDR", "localhost"), os.environ.get("MASTER_PORT") or str(_free_port())

    @property
    def log(self) -> Path:
        """What the ranks and torchrun wrote."""
        return self._folder / "ranks.log"

    def start(self) -> None:
        """Start all ranks."""
        prefix = os.environ.get(PREFIX, "")
        if self._plan.independent:
            for rank in range(self._plan.nodes):
                self.start_one(rank)
        elif prefix:
            for rank in range(self._plan.nodes):
                self._spawn(rank, [*_prefix(prefix, rank), *self._torchrun(rank)], {})
        else:
            self._spawn(0, self._torchrun(None), {})

    def start_one(self, rank: int) -> None:
        """Start one rank by itself, as a node that comes (back) to a mailbox."""
        place = {"RANK": rank, "WORLD_SIZE": self._plan.nodes, "LOCAL_RANK": rank}
        command = [*_prefix(os.environ.get(PREFIX, ""), rank), sys.executable, "-m", MODULE]
        self._spawn(rank, command, {name: str(value) for name, value in place.items()})

    def revive(self, rank: int) -> bool:
        """Start an independent rank anew where it has ended and may be; whether it is on its way."""
        with reaping():
            ended = self._running[rank].poll() is not None
        if not ended:
            return True
        if self._starts[rank] > self._plan.restarts:
            return False
        self.start_one(rank)
        return True

    def ended(self) -> bool:
        """Whether one that should be there has ended."""
        with reaping():
            return any(process.poll() is not None for process in self._running.values())

    def end(self, rank: int) -> None:
        """End an independent rank that is of no use any more."""
        process = self._running[rank]
        process.kill()
        with reaping():
            process.wait()

    def last_words(self) -> str:
        """The last line that a rank wrote, where it wrote one."""
        try:
            lines = self.log.read_text(encoding="utf-8", errors="replace").split("\n")
        except OSError:
            return ""
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def terminate(self) -> None:
        """Have all end at once; torchrun ends its ranks."""
        for process in self._running.values():
            process.terminate()

    def stop(self, patience: float = 10.0) -> None:
        """Wait for all to end; what does not is killed with its children."""
        with reaping():
            for process in self._running.values():
                try:
                    process.wait(timeout=patience)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, 9)
                    process.wait()
        self._running.clear()

    def _torchrun(self, node: int | None) -> list[str]:
        """One agent for all ranks (None), or the agent of one rank among several that meet at MASTER_ADDR."""
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--monitor-interval=0.1"]
        torchrun += [f"--max-restarts={self._plan.restarts}"]
        if node is None:
            rendezvous = ["--rdzv-backend=c10d", f"--rdzv-id={os.getpid()}", "--rdzv-endpoint=localhost:0"]
            return [*torchrun, *rendezvous, "--nnodes=1", f"--nproc-per-node={self._plan.nodes}", "-m", MODULE]
        # c10d would number agents as they come; this rendezvous leaves each rank where its prefix has put it.
        address, port = self._meeting
        rendezvous = ["--rdzv-backend=static", f"--master-addr={address}", f"--master-port={port}"]
        places = [f"--nnodes={self._plan.nodes}", f"--node-rank={node}", "--nproc-per-node=1"]
        return [*torchrun, *rendezvous, *places, "-m", MODULE]

    def _spawn(self, number: int, command: list[str], more: Mapping[str, str]) -> None:
        threads = str(self._plan.threads)
        environ = {**os.environ, "OMP_NUM_THREADS": threads, "PYTHONUNBUFFERED": "1", **self._told, **more}
        if self._is_local and PREFIX not in os.environ:
            environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
        with self.log.open("ab") as log:
            # A group of its own: Ctrl-C is the leader's, which ends the ranks in good order.
            process = subprocess.Popen(command, env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                       start_new_session=True)  # fmt: skip
        follow(process.pid)
        self._running[number] = process
        self._starts[number] += 1


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _prefix(text: str, rank: int) -> list[str]:
    """The command that a rank is started through.

    Raises:
        PrefixError: it is no command, or has something else in braces.
    """
    try:
        words = shlex.split(text.format(rank=rank))
    except (ValueError, LookupError) as error:
        raise PrefixError(f"{PREFIX}={text!r} cannot be read ({error}); write it as 'taskset -c {{rank}}'") from error
    if words and shutil.which(words[0]) is None:
        raise PrefixError(f"{PREFIX}={text!r}: there is no command {words[0]!r}; correct it, or unset it")
    return words
