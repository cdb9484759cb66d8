"""A rank: a process that joins the leader, makes its node of the work, and reads its own sockets.

Run as `python -m energybench.distributed.rank`, under torchrun or by itself; `energybench run` under torchrun or Slurm
becomes one.
"""

import os
import queue
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

from energybench import workloads
from energybench.distributed import gang
from energybench.distributed.channel import Channel, ChannelError, connect
from energybench.distributed.given import Given, given
from energybench.distributed.readers import Reads
from energybench.distributed.reading import Reader
from energybench.distributed.seat import Node, Seat, Spread, identify

PATIENCE = 60.0


class RefusedError(RuntimeError):
    """The leader does not let this rank in; the message has its reason."""


class Rank:
    """A rank that has joined: it answers the leader until it is let go.

    Args:
        channel: to the leader.
        seat: its place.
        reader: what reads its sockets and counters.
        orphaned: its exit code where the leader ends without a word; torchrun starts nothing anew after 0.
    """

    def __init__(self, channel: Channel, seat: Seat, reader: Reader, *, orphaned: int = 0) -> None:
        self._channel, self._seat, self._reader, self._orphaned = channel, seat, reader, orphaned
        self._nodes: dict[str, Node] = {}
        self._questions: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._sending = threading.Lock()

    def serve(self) -> int:
        """Answer until the leader lets go; the exit code."""
        threading.Thread(target=self._listen, name="leader", daemon=True).start()
        while (question := self._questions.get()) is not None:
            try:
                value = self._answer(question)
            except Exception as error:  # whatever it is, the leader is told
                self._complain(question, error)
                return 1
            self._send({"id": question["id"], "value": value})
        for node in self._nodes.values():
            node.close()
        return 0

    def _listen(self) -> None:
        """In a thread of its own: a sign of life is given while the rank computes, and the leader's end ends it."""
        let_go = False
        while True:
            try:
                message = self._channel.receive()
            except ChannelError:
                if let_go:
                    os._exit(0)
                self._give_up("the leader is gone; look there for the cause", self._orphaned)
            assert message is not None
            if message["do"] == "ping":
                self._send({"alive": True})
            elif message["do"] == "clock":
                self._send({"id": message["id"], "value": time.perf_counter_ns()})
            elif message["do"] == "fail":
                # Torchrun starts all anew, and takes an exit of 0 for work that is done.
                self._give_up("the leader has given up what was under way; it says why", 1)
            elif message["do"] == "leave":
                let_go = True
                self._questions.put(None)
            else:
                self._questions.put(message)

    def _give_up(self, reason: str, code: int) -> NoReturn:
        """End at once: nobody waits for what is under way."""
        _say(f"rank {self._seat.place.rank}: {reason}")
        os._exit(code)

    def _send(self, message: Mapping[str, Any]) -> None:
        with self._sending, suppress(ChannelError):
            self._channel.send(message)

    def _complain(self, question: Mapping[str, Any], error: Exception) -> None:
        if os.environ.get("ENERGYBENCH_TRACEBACK", "0") not in ("", "0"):
            traceback.print_exception(error)
        line = " ".join(str(error).split()) or type(error).__name__
        if not isinstance(error, ValueError | OSError | RuntimeError):
            line = f"{type(error).__name__}: {line}"
        _say(f"rank {self._seat.place.rank}: {line}")
        self._send({"id": question["id"], "error": {"line": line, "peers": is_peers(error)}})

    def _answer(self, question: Mapping[str, Any]) -> Any:
        answers: dict[str, Callable[[Mapping[str, Any]], Any]] = {
            "create": self._create,
            "drop": self._drop,
            "call": self._call,
            "count": self._count,
            "open": self._open,
            "close": self._close,
        }
        return answers[question["do"]](question)

    def _create(self, question: Mapping[str, Any]) -> None:
        workload = workloads.load(question["workload"])
        assert isinstance(workload, Spread)
        self._nodes[question["node"]] = workload.node(question["config"], self._seat)

    def _drop(self, question: Mapping[str, Any]) -> None:
        self._nodes.pop(question["node"]).close()

    def _call(self, question: Mapping[str, Any]) -> Any:
        with self._reader.working():
            return self._method(question)()

    def _count(self, question: Mapping[str, Any]) -> dict[str, Any]:
        from energybench.probes import operators

        return asdict(operators.count(self._method(question)))

    def _method(self, question: Mapping[str, Any]) -> Callable[[], Any]:
        method = getattr(self._nodes[question["node"]], question["name"])
        return lambda: method(**question["arguments"])

    def _open(self, question: Mapping[str, Any]) -> None:
        reads = question["reads"].get(str(self._seat.place.rank), {})
        self._reader.open(self._nodes[question["node"]], Reads(**reads))

    def _close(self, _: Mapping[str, Any]) -> dict[str, Any] | None:
        return self._reader.close()


def is_peers(error: Exception) -> bool:
    """Whether an error says that other ranks are gone or late, and not that this one is at fault."""
    words = str(error)
    lost = ("Connection closed by peer", "Connection reset by peer", "Timed out waiting", "NCCL", "Broken pipe")
    named = any(type(error).__name__ == name for name in ("DistNetworkError", "DistBackendError", "DistStoreError"))
    return named or ("gloo" in words and any(word in words for word in lost)) or "Socket Timeout" in words


def join(
    place: Given, leader: tuple[str, str], environ: Mapping[str, str], *, asked: Mapping[str, Any] | None = None
) -> tuple[Channel, Seat]:
    """Be let in.

    Args:
        place: this rank's.
        leader: its address and token.
        environ: of this process.
        asked: what this process was asked to run, where it is not told by the leader alone.

    Raises:
        RefusedError: the leader says why not.
        ChannelError: it does not answer.
    """
    address, token = leader
    channel = connect(address, timeout=PATIENCE)
    who = asdict(identify(place.rank, environ=environ))
    hello = {"token": token, "who": who, "nodes": place.nodes}
    channel.send(hello | ({"asked": dict(asked)} if asked is not None else {}))
    answer = channel.receive(PATIENCE) or {"refused": "the leader said nothing"}
    if "refused" in answer:
        raise RefusedError(f"rank {place.rank} may not join: {answer['refused']}")
    seat = Seat(
        place=place,
        epoch=answer["epoch"],
        folder=Path(answer["folder"]),
        timeout=answer["timeout"],
        mailbox=tuple(answer["mailbox"]) if answer["mailbox"] else None,
    )
    return channel, seat


def follow(place: Given, *, asked: Mapping[str, Any], timeout: float) -> int:
    """Be a rank of the run that rank 0 leads, until it is over; the exit code.

    Args:
        place: this rank's.
        asked: what this process was asked to run.
        timeout: seconds that rank 0 is waited for.

    Raises:
        MeetingError: it does not come.
        RefusedError: it says why this rank may not join.
    """
    from energybench.distributed.meeting import find_leader

    leader = find_leader(place, timeout=timeout)
    if leader is None:
        return 0
    channel, seat = join(place, leader, os.environ, asked=asked)
    return Rank(channel, seat, Reader(channel), orphaned=1).serve()


def main() -> int:
    """The module's own entry: a rank that the leader, or torchrun for it, has started."""
    place = given()
    assert place is not None
    try:
        channel, seat = join(place, (os.environ[gang.LEADER], os.environ[gang.TOKEN]), os.environ)
    except (RefusedError, ChannelError) as error:
        _say(str(error))
        return 1
    return Rank(channel, seat, Reader(channel)).serve()


def _say(line: str) -> None:
    print(f"energybench: {line}", file=sys.stderr, flush=True)  # noqa: T201 -- a rank has no terminal of its own


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # A process group whose peers are gone may wait for them at exit.
    os._exit(code)
