"""The leader's side: ranks that run together, told what to do and asked what they read."""

import hmac
import os
import select
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from energybench.cpu_time import follow
from energybench.distributed import readers
from energybench.distributed.channel import Channel, ChannelError, Listener, token
from energybench.distributed.door import Door
from energybench.distributed.given import Given
from energybench.distributed.seat import Identity, identify, is_identity
from energybench.distributed.starting import Plan, Processes

LEADER, TOKEN = "ENERGYBENCH_LEADER", "ENERGYBENCH_LEADER_TOKEN"
PINGS = 200
STRANGER = "it does not know the token of this run"


class RankError(ValueError):
    """What a rank could not do, in one line with its number."""


class RankLostError(RankError):
    """A rank that ended without a word, or says nothing any more.

    Args:
        message: which one, and why.
        rank: its number, where one is to blame.
    """

    def __init__(self, message: str, rank: int = 0) -> None:
        super().__init__(message)
        self.rank = rank


@dataclass(slots=True, kw_only=True)
class Member:
    """A rank that has joined."""

    channel: Channel
    who: Identity
    heard: float = field(default_factory=time.monotonic)
    due: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """A rank that was lost: which, what was said, and when the gang (or the rank) was there again."""

    rank: int
    reason: str
    resumed_seconds: float | None


class Gang:
    """Ranks that have joined, and the questions that they are asked together.

    Args:
        plan: how many, and how they are started.
        given: this process's place among ranks that were started outside; None to start local ones.
        asked: what this process was asked to run; ranks that were started outside must have been asked the same.
        mailbox: host and port of the store that holds it, for nodes that are launched by themselves.
        found: told the leader's address and token before ranks are waited for.
        tell: told, in one line, of ranks that are lost and come back.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        given: Given | None = None,
        asked: Mapping[str, Any] | None = None,
        mailbox: tuple[str, int] | None = None,
        found: Callable[[tuple[str, str]], None] = lambda _: None,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.plan, self._given, self._mailbox, self._asked, self._tell = plan, given, mailbox, dict(asked or {}), tell
        self.folder = Path(tempfile.mkdtemp(prefix="energybench-"))
        self.host = identify(-1).host
        self.losses: list[Loss] = []
        self.closed = False
        self._token, self._number, self._epoch = token(), 0, 0
        self._members: dict[int, Member] = {}
        self._made: dict[str, dict[str, Any]] = {}
        self._reads: dict[int, readers.Reads] = {}
        self._listener = Listener(path=self.folder / "leader") if given is None else Listener(host=_our_address(given))
        told = {LEADER: self._listener.address, TOKEN: self._token}
        if meeting := (given.address, given.port) if given else mailbox:
            told |= {"MASTER_ADDR": meeting[0], "MASTER_PORT": str(meeting[1])}
        self._processes = Processes(plan, self.folder, told, is_local=given is None)
        self._door = Door(self._listener, self._refusal)
        self._broken_since: float | None = None
        self._poked = 0.0
        self._refused = ""
        try:
            found((self._listener.address, self._token))
            self._start(given)
            self._assemble()
        except BaseException:
            self.close()
            raise

    def create(self, key: str, workload: str, config: Mapping[str, Any]) -> None:
        """Make each rank's node of some work, and make it again wherever a rank is started anew."""
        self._made[key] = {"do": "create", "node": key, "workload": workload, "config": dict(config)}
        self._ask(self._made[key])

    def drop(self, key: str) -> None:
        """Have the nodes of some work closed. Ranks that are in the middle of something have been given up: all end."""
        if not self._made.pop(key, None) or self.closed:
            return
        if any(member.due is not None for member in self._members.values()):
            self.close()
        else:
            self._ask({"do": "drop", "node": key})

    def call(self, key: str, name: str, **arguments: Any) -> list[Any]:
        """Call a method of each rank's node, all at once; their values by rank, None for a rank that is lost.

        Raises:
            RankError: a rank says that it cannot; the first one's word.
            RankLostError: a rank of a gang is lost, and the gang has used its restarts.
        """
        return self._ask({"do": "call", "node": key, "name": name, "arguments": arguments})

    def open_windows(self, key: str) -> None:
        """Have each rank open a window: over its own sockets, and over what it alone can read."""
        if not self._reads:
            self._reads = readers.assign([one.who for one in self._members.values()], leader=self.host)
        self._ask({"do": "open", "node": key, "reads": {str(rank): _plain(one) for rank, one in self._reads.items()}})

    def close_windows(self) -> list[readers.Part]:
        """Have each rank close its window; what each has read. A rank that joined meanwhile has no part."""
        answers = self._ask({"do": "close"})
        return [
            readers.Part(who=self._members[rank].who, seconds=one["seconds"], values=one, devices=one["devices"])
            for rank, one in enumerate(answers)
            if one is not None and rank in self._members
        ]

    def counts(self, key: str, name: str, **arguments: Any) -> list[Mapping[str, Any]]:
        """What a method of each rank's node computes and moves, counted while it runs once."""
        answers = self._ask({"do": "count", "node": key, "name": name, "arguments": arguments})
        return [one for one in answers if one is not None]

    def clocks(self) -> list[dict[str, float]]:
        """By rank, how far its clock is ahead of ours and the round trip of the best of 200 pings, in seconds.

        A rank that is lost meanwhile has none.
        """
        found = []
        for rank in sorted(self._members):
            try:
                pings = [self._ping(self._members[rank]) for _ in range(PINGS)]
            except ChannelError:  # the next question finds that it is lost
                continue
            offset, round_trip = readers.clock_offset(pings)
            found.append({"rank": rank, "offset_seconds": offset, "round_trip_seconds": round_trip})
        return found

    @property
    def ranks(self) -> list[Identity]:
        """Who is there."""
        return [self._members[rank].who for rank in sorted(self._members)]

    def close(self) -> None:
        """Let the ranks go and wait for them."""
        if self.closed:
            return
        self.closed = True
        if len(self._members) < self.plan.nodes or any(member.due is not None for member in self._members.values()):
            self._break_off()
        for member in self._members.values():
            with suppress(ChannelError):
                member.channel.send({"do": "leave"})
        self._door.close()
        self._processes.stop()
        for member in self._members.values():
            member.channel.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _break_off(self) -> None:
        """End what is under way: nobody waits for it any more."""
        self._processes.terminate()
        for member in self._members.values():
            with suppress(ChannelError):
                member.channel.send({"do": "fail"})
            self._kill(member)

    def _start(self, given: Given | None) -> None:
        """Start the ranks; where they are given, only ours, beside this process."""
        if given is None:
            self._processes.start()
        elif given.rank == 0:
            self._processes.start_one(0)

    def _assemble(self) -> None:
        """Wait until every rank is there."""
        patience = max(self.plan.timeout, self.plan.starting)
        deadline = time.monotonic() + patience
        while missing := [rank for rank in range(self.plan.nodes) if rank not in self._members]:
            channels = {member.channel: rank for rank, member in self._members.items()}
            ready = select.select([*self._door.watched, *channels], [], [], 0.1)[0]
            for rank in (channels[one] for one in ready if one in channels):
                self._forget_if_gone(rank)
            if self._let_in(ready):
                continue
            if self._given is None and self._have_ended():
                raise RankLostError(
                    f"the ranks ended before all had joined: {self._processes.last_words() or 'no word'}", missing[0]
                )
            if time.monotonic() > deadline:
                raise RankLostError(
                    f"rank {', '.join(map(str, missing))} of {self.plan.nodes} did not join within {patience:.0f} s: "
                    f"start it with the same command, or check its host{self._refused}",
                    missing[0],
                )

    def _have_ended(self) -> bool:
        """Whether ranks that have not joined never will: their processes are gone, and are not started anew."""
        return not self._revive() if self.plan.independent else self._processes.ended()

    def _forget_if_gone(self, rank: int) -> None:
        """A rank that ends while others are waited for: torchrun starts it again."""
        member = self._members[rank]
        try:
            member.channel.receive(0.0)
        except ChannelError:
            member.channel.close()
            del self._members[rank]

    def _let_in(self, ready: Sequence[object]) -> list[Member]:
        """The ranks that come in by the door."""
        found = []
        for channel, hello in self._door.look(ready):
            member = Member(channel=channel, who=Identity(**hello["who"]))
            with suppress(ChannelError):  # one that has gone again is lost as any other
                channel.send(self._welcome())
            if member.who.host == self.host:
                follow(member.who.pid)
            self._members[member.who.rank] = member
            found.append(member)
        return found

    def _welcome(self) -> dict[str, Any]:
        told = {"epoch": self._epoch, "folder": str(self.folder), "timeout": self.plan.timeout}
        return {**told, "mailbox": self._mailbox}

    def _refusal(self, hello: Mapping[str, Any]) -> str | None:
        """Why a rank may not join; None where it may."""
        reason = self._unfit(hello)
        if reason and reason != STRANGER:
            self._refused = f"; one was refused: {reason}"
        return reason

    def _unfit(self, hello: Mapping[str, Any]) -> str | None:
        if not hmac.compare_digest(repr(hello.get("token")).encode(), repr(self._token).encode()):
            return STRANGER
        if not is_identity(hello.get("who"), self.plan.nodes):
            return "it does not say who it is, or is none of the ranks"
        rank, nodes = hello["who"]["rank"], hello.get("nodes")
        if nodes != self.plan.nodes:
            return f"it is one of {nodes} ranks, here are {self.plan.nodes}; start all with the same number"
        if rank in self._members:
            there = self._members[rank].who
            return f"rank {rank} is here already (process {there.pid} on {there.name}); give each its own number"
        asked = hello.get("asked")
        if asked is not None and asked != self._asked:
            return f"{differences(asked, self._asked)}; start all ranks with the same command"
        return None

    def _ask(self, question: Mapping[str, Any]) -> list[Any]:
        """Ask all; where a rank of a gang is lost, start the gang anew and ask again.

        After an error the gang is closed: ranks that were in the middle of something are of no use any more.
        """
        try:
            while True:
                try:
                    self._resume()
                    return self._round(question)
                except RankLostError as lost:
                    self._note(lost)
        except RankError:
            self.close()
            raise

    def _round(self, question: Mapping[str, Any]) -> list[Any]:
        """Ask all, and wait for all that are there."""
        answers: list[Any] = [None] * self.plan.nodes
        refusals: dict[int, Mapping[str, Any]] = {}
        for rank in list(self._members):
            self._put(rank, question)
        while self._awaited():
            ready = self._wait()
            for rank in [rank for rank, member in self._members.items() if member.channel in ready]:
                self._take(rank, answers, refusals)
            for member in self._let_in(ready):
                self._catch_up(member, question)
            self._judge(refusals)
        if not self._members:
            last = self.losses[-1]
            raise RankLostError(f"all ranks are lost, the last one is rank {last.rank}: {last.reason}", last.rank)
        return answers

    def _awaited(self) -> bool:
        """Whether an answer is to come: from a rank that is there or, where none is, from one that is on its way."""
        if self._members:
            return any(member.due is not None for member in self._members.values())
        return self._revive()

    def _judge(self, refusals: Mapping[int, Mapping[str, Any]]) -> None:
        """Raise the first cause, once it is known: a rank's own error is one, its peers' broken connections are not."""
        if not refusals:
            return
        rank, error = min(refusals.items(), key=lambda item: (item[1]["peers"], item[0]))
        if not error["peers"]:
            raise RankError(f"rank {rank}: {error['line']}")
        if all(one in refusals for one in self._members):
            raise RankLostError(f"rank {rank} lost its peers: {error['line']}", rank)

    def _put(self, rank: int, question: Mapping[str, Any]) -> None:
        member = self._members[rank]
        self._number += 1
        member.due, member.heard = self._number, time.monotonic()
        try:
            member.channel.send({**question, "id": self._number})
        except ChannelError as error:
            self._lose(rank, str(error))

    def _wait(self) -> list[object]:
        """Whose channel has something to say, or has somebody at it; the silent ones are poked."""
        watched: list[Any] = [*self._door.watched, *(member.channel for member in self._members.values())]
        ready: list[object] = select.select(watched, [], [], min(self.plan.timeout / 4, 5.0))[0]
        if time.monotonic() > self._poked + min(self.plan.timeout / 4, 5.0):
            self._poke()
        return ready

    def _catch_up(self, member: Member, question: Mapping[str, Any]) -> None:
        """A rank that has come back makes its nodes again and takes part in what is under way."""
        rank = member.who.rank
        try:
            for made in self._made.values():
                if made is not question:
                    member.channel.send({**made, "id": 0})
        except ChannelError as error:
            self._lose(rank, str(error))
            return
        self._tell(f"rank {rank} is back")
        if question["do"] in ("create", "call"):
            self._put(rank, question)

    def _poke(self) -> None:
        """Ask the silent for a sign of life; a rank that gives none within the timeout is lost."""
        self._poked = time.monotonic()
        if self.plan.independent:
            self._revive()
        for rank, member in list(self._members.items()):
            if member.due is None:
                continue
            if time.monotonic() - member.heard > self.plan.timeout:
                self._kill(member)
                self._lose(rank, f"it gave no sign of life for {self.plan.timeout:g} s")
                continue
            try:
                member.channel.send({"do": "ping"})
            except ChannelError as error:
                self._lose(rank, str(error))

    def _take(self, rank: int, answers: list[Any], refusals: dict[int, Mapping[str, Any]]) -> None:
        """All that a rank has said: `select` does not tell of what is in the channel's buffer already."""
        while (member := self._members.get(rank)) is not None:
            try:
                message = member.channel.receive(0.0)
            except ChannelError as error:
                self._lose(rank, str(error), refusals)
                return
            if message is None:
                return
            member.heard = time.monotonic()
            if "error" in message or message.get("id", 0) == member.due:
                self._heed(rank, message, answers, refusals)

    def _heed(
        self, rank: int, message: Mapping[str, Any], answers: list[Any], refusals: dict[int, Mapping[str, Any]]
    ) -> None:
        self._members[rank].due = None
        if "error" not in message:
            answers[rank] = message.get("value")
            return
        if self.plan.independent:
            self._lose(rank, str(message["error"]["line"]))
        else:
            refusals[rank] = message["error"]

    def _lose(self, rank: int, reason: str, refusals: Mapping[int, Mapping[str, Any]] | None = None) -> None:
        """Note that a rank is gone. A gang cannot go on without it; independent ones can, and it is started anew."""
        said = (refusals or {}).get(rank)
        member = self._members.pop(rank)
        member.channel.close()
        if said is not None and len(self._members):
            return  # it has told why and ended: torchrun ends the others now
        who = f"rank {rank} (process {member.who.pid} on {member.who.name})"
        if not self.plan.independent:
            raise RankLostError(f"{who} was lost: {reason}", rank)
        self.losses.append(Loss(rank=rank, reason=reason, resumed_seconds=None))
        self._tell(f"{who} was lost: {reason}; the others go on")
        if self._given is None:
            self._processes.end(rank)
        self._revive()

    def _revive(self) -> bool:
        """Start independent ranks anew whose processes have ended; whether one is on its way."""
        if self._given is not None:
            return False
        coming = [self._processes.revive(rank) for rank in range(self.plan.nodes) if rank not in self._members]
        return any(coming)

    def _kill(self, member: Member) -> None:
        """End a rank that hangs: torchrun starts a gang anew only where a process has ended."""
        if self._given is None:
            with suppress(OSError):
                os.kill(member.who.pid, signal.SIGKILL)

    def _note(self, lost: RankLostError) -> None:
        """Have torchrun start the gang anew, or raise where it cannot."""
        if self.plan.independent:
            raise lost
        if self._given is not None:
            raise RankLostError(f"{lost}; start all ranks again, with --resume") from lost
        if len(self.losses) >= self.plan.restarts:
            used = f"after {self.plan.restarts} restarts" if self.plan.restarts else "and restarts=0"
            raise RankLostError(f"{lost}; {used} it is not started anew: look for the cause") from lost
        self._broken_since = self._broken_since or time.monotonic()
        self.losses.append(Loss(rank=lost.rank, reason=str(lost), resumed_seconds=None))
        self._tell(f"{lost}; the gang is started anew from its checkpoints")
        for member in self._members.values():
            with suppress(ChannelError):
                member.channel.send({"do": "fail"})
            member.channel.close()
        self._members.clear()
        self._epoch += 1

    def _resume(self) -> None:
        """Wait until a gang that was lost is there again, and have it make its nodes."""
        if self._broken_since is None:
            return
        try:
            self._assemble()
        except RankLostError as again:
            raise RankError(f"{self.losses[-1].reason}; and then {again}") from again
        for made in self._made.values():
            self._round(made)
        self.losses[-1] = replace(self.losses[-1], resumed_seconds=time.monotonic() - self._broken_since)
        self._broken_since = None

    def _ping(self, member: Member) -> tuple[int, int, int]:
        self._number += 1
        before = time.perf_counter_ns()
        member.channel.send({"do": "clock", "id": self._number})
        while (message := member.channel.receive(self.plan.timeout)) is not None:
            after = time.perf_counter_ns()
            if message.get("id") == self._number:
                return before, message["value"], after
        raise ChannelError(f"it gave no sign of life for {self.plan.timeout:g} s")


def differences(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> str:
    """`strategy is local there and sync at rank 0`: what two ranks were asked differently."""
    keys = [key for key in {**ours, **theirs} if theirs.get(key) != ours.get(key)]
    said = [(key, theirs.get(key, "not given"), ours.get(key, "not given")) for key in keys]
    return ", ".join(f"{key} is {there} there and {here} at the leader" for key, there, here in said)


def _plain(reads: readers.Reads) -> dict[str, Any]:
    return asdict(reads)


def _our_address(given: Given) -> str:
    """Where ranks on other hosts reach this one; the store's own address, where that is here."""
    import socket

    try:
        with socket.create_server((given.address, 0)):
            return given.address
    except OSError:
        return socket.gethostbyname(socket.gethostname())
