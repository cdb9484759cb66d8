"""The leader's side: ranks that run together, told what to do and asked what they read."""

import hmac
import select
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from energybench.cpu_time import follow
from energybench.distributed import readers
from energybench.distributed.channel import Channel, ChannelError, Listener, token
from energybench.distributed.given import Given
from energybench.distributed.seat import Identity, identify
from energybench.distributed.starting import Plan, Processes

LEADER, TOKEN = "ENERGYBENCH_LEADER", "ENERGYBENCH_LEADER_TOKEN"
START_SECONDS = 60.0
"""What starting Python and torch on a busy machine may take beyond the timeout."""
PINGS = 200


class RankError(RuntimeError):
    """What a rank could not do, in one line with its number."""


class RankLostError(RankError):
    """A rank that ended without a word, or says nothing any more."""


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
        self._processes = Processes(plan, self.folder, {LEADER: self._listener.address, TOKEN: self._token})
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
        """Have the nodes of some work closed."""
        if self._made.pop(key, None) and not self.closed:
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
        """By rank, how far its clock is ahead of ours and the round trip of the best of 200 pings, in seconds."""
        found = []
        for rank in sorted(self._members):
            pings = [self._ping(self._members[rank]) for _ in range(PINGS)]
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
        for member in self._members.values():
            try:
                member.channel.send({"do": "leave"})
            except ChannelError:
                continue
        self._listener.close()
        self._processes.stop()
        for member in self._members.values():
            member.channel.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self, given: Given | None) -> None:
        """Start the ranks; where they are given, only ours, beside this process."""
        if given is None:
            self._processes.start()
        elif given.rank == 0:
            self._processes.start_one(0)

    def _assemble(self) -> None:
        """Wait until every rank is there."""
        deadline = time.monotonic() + self.plan.timeout + START_SECONDS
        while len(self._members) < self.plan.nodes:
            if select.select([self._listener], [], [], 0.1)[0]:
                self._admit()
            elif self._processes.ended() and self._given is None:
                raise RankLostError(f"the ranks ended before they joined: {self._processes.last_words() or 'no word'}")
            elif time.monotonic() > deadline:
                missing = [str(rank) for rank in range(self.plan.nodes) if rank not in self._members]
                raise RankLostError(
                    f"rank {', '.join(missing)} of {self.plan.nodes} did not join within "
                    f"{self.plan.timeout + START_SECONDS:.0f} s: start it with the same command, or check its host"
                )

    def _admit(self) -> Member | None:
        """Let in the rank that is at the door, or tell it why not."""
        channel = self._listener.accept()
        try:
            hello = channel.receive(5.0)
            refusal = self._refusal(hello)
            if hello is None or refusal:
                channel.send({"refused": refusal or "it said nothing"})
                channel.close()
                return None
            channel.send(self._welcome())
        except ChannelError:
            channel.close()
            return None
        who = Identity(**hello["who"])
        member = Member(channel=channel, who=who)
        if who.host == self.host:
            follow(who.pid)
        self._members[who.rank] = member
        return member

    def _welcome(self) -> dict[str, Any]:
        told = {"epoch": self._epoch, "folder": str(self.folder), "timeout": self.plan.timeout}
        return {**told, "mailbox": self._mailbox}

    def _refusal(self, hello: Mapping[str, Any] | None) -> str | None:
        """Why a rank may not join; None where it may."""
        if hello is None or not hmac.compare_digest(str(hello.get("token")), self._token):
            return "it does not know the token of this run"
        rank, nodes = hello["who"]["rank"], hello["nodes"]
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
        while True:
            try:
                return self._round(question)
            except RankLostError as lost:
                self._recover(lost)

    def _round(self, question: Mapping[str, Any]) -> list[Any]:
        """Ask all, and wait for all that are there."""
        answers: list[Any] = [None] * self.plan.nodes
        refusals: dict[int, Mapping[str, Any]] = {}
        for rank in list(self._members):
            self._put(rank, question)
        while any(member.due is not None for member in self._members.values()):
            for rank in self._ready(question):
                self._take(rank, answers, refusals)
            if refusals and self._settled(refusals):
                raise RankError(_first_word(refusals))
        if not self._members:
            raise RankLostError(f"all ranks are lost: {self.losses[-1].reason if self.losses else 'none joined'}")
        if refusals:
            raise RankError(_first_word(refusals))
        return answers

    def _put(self, rank: int, question: Mapping[str, Any]) -> None:
        member = self._members[rank]
        self._number += 1
        member.due, member.heard = self._number, time.monotonic()
        try:
            member.channel.send({**question, "id": self._number})
        except ChannelError as error:
            self._lose(rank, str(error))

    def _ready(self, question: Mapping[str, Any]) -> list[int]:
        """The ranks that have said something; newcomers are let in and asked, the silent ones are poked."""
        door = [self._listener] if self._given is None or self.plan.independent else []
        waiting = {member.channel.fileno(): rank for rank, member in self._members.items()}
        watched: list[Any] = [*door, *waiting]
        ready, _, _ = select.select(watched, [], [], min(self.plan.timeout / 4, 5.0))
        if self._listener in ready and (member := self._admit()):
            self._catch_up(member, question)
        if not ready:
            self._poke()
        return [waiting[one] for one in ready if isinstance(one, int)]

    def _catch_up(self, member: Member, question: Mapping[str, Any]) -> None:
        """A rank that has come back makes its nodes again and takes part in what is under way."""
        rank = member.who.rank
        for made in self._made.values():
            if made is not question:
                member.channel.send({**made, "id": 0})
        if question["do"] in ("create", "call"):
            self._put(rank, question)
        self._tell(f"rank {rank} is back")

    def _poke(self) -> None:
        """Ask the silent for a sign of life; a rank that gives none within the timeout is lost."""
        for rank, member in list(self._members.items()):
            if member.due is None:
                continue
            if time.monotonic() - member.heard > self.plan.timeout:
                self._lose(rank, f"it gave no sign of life for {self.plan.timeout:g} s")
                continue
            try:
                member.channel.send({"do": "ping"})
            except ChannelError as error:
                self._lose(rank, str(error))

    def _take(self, rank: int, answers: list[Any], refusals: dict[int, Mapping[str, Any]]) -> None:
        member = self._members.get(rank)
        if member is None:
            return
        try:
            message = member.channel.receive(5.0)
        except ChannelError as error:
            self._lose(rank, str(error), refusals)
            return
        member.heard = time.monotonic()
        if message is None or (message.get("id") != member.due and "error" not in message):
            return
        member.due = None
        if "error" not in message:
            answers[rank] = message.get("value")
            return
        refusals[rank] = message["error"]
        if self.plan.independent:
            self._lose(rank, str(message["error"]["line"]))
            refusals.pop(rank)

    def _settled(self, refusals: Mapping[int, Mapping[str, Any]]) -> bool:
        """Whether the first cause is known: a rank's own error is one, its peers' broken connections are not."""
        if any(not one["peers"] for one in refusals.values()):
            return True
        return len(refusals) == len(self._members)

    def _lose(self, rank: int, reason: str, refusals: Mapping[int, Mapping[str, Any]] | None = None) -> None:
        """Note that a rank is gone. A gang cannot go on without it; independent ones can, and it is started anew."""
        said = (refusals or {}).get(rank)
        member = self._members.pop(rank)
        member.channel.close()
        if said is not None and len(self._members):
            return  # it has told why and ended: torchrun ends the others now
        who = f"rank {rank} (process {member.who.pid} on {member.who.name})"
        if not self.plan.independent:
            raise RankLostError(f"{who} was lost: {reason}")
        self.losses.append(Loss(rank=rank, reason=reason, resumed_seconds=None))
        self._tell(f"{who} was lost: {reason}; the others go on")
        if self._given is None and sum(loss.rank == rank for loss in self.losses) <= self.plan.restarts:
            self._processes.start_one(rank)

    def _recover(self, lost: RankLostError) -> None:
        """Wait until torchrun has started the gang anew, and make its nodes again."""
        used = len(self.losses)
        if self.plan.independent or used >= self.plan.restarts:
            raise lost
        begin = time.monotonic()
        self._tell(f"{lost}; the gang is started anew from its checkpoints")
        for member in self._members.values():
            member.channel.close()
        self._members.clear()
        self._epoch += 1
        try:
            self._assemble()
        except RankLostError as again:
            raise RankLostError(f"{lost}; and then: {again}") from lost
        self.losses.append(Loss(rank=_rank_in(lost), reason=str(lost), resumed_seconds=time.monotonic() - begin))
        for made in self._made.values():
            self._round(made)

    def _ping(self, member: Member) -> tuple[int, int, int]:
        self._number += 1
        before = time.perf_counter_ns()
        member.channel.send({"do": "clock", "id": self._number})
        while (message := member.channel.receive(self.plan.timeout)) is not None:
            after = time.perf_counter_ns()
            if message.get("id") == self._number:
                return before, message["value"], after
        raise RankLostError(f"rank {member.who.rank} gave no sign of life for {self.plan.timeout:g} s")


def differences(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> str:
    """`strategy is local there and sync at rank 0`: what two ranks were asked differently."""
    keys = [key for key in {**ours, **theirs} if theirs.get(key) != ours.get(key)]
    said = [(key, theirs.get(key, "not given"), ours.get(key, "not given")) for key in keys]
    return ", ".join(f"{key} is {there} there and {here} at the leader" for key, there, here in said)


def _first_word(refusals: Mapping[int, Mapping[str, Any]]) -> str:
    """The error of the rank that is the cause, as far as they tell: peers' broken connections come second."""
    rank, error = min(refusals.items(), key=lambda item: (item[1]["peers"], item[0]))
    return f"rank {rank}: {error['line']}"


def _rank_in(lost: RankLostError) -> int:
    return int(str(lost).split()[1])


def _plain(reads: readers.Reads) -> dict[str, bool]:
    return {"host": reads.host, "interfaces": reads.interfaces}


def _our_address(given: Given) -> str:
    """Where ranks on other hosts reach this one; the store's own address, where that is here."""
    import socket

    try:
        with socket.create_server((given.address, 0)):
            return given.address
    except OSError:
        return socket.gethostbyname(socket.gethostname())
