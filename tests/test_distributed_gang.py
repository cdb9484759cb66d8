"""Ranks that join, answer, fail, hang and die, as real processes; who reads what; and the places that others gave."""

import json
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given as examples
from hypothesis import strategies as st

pytest.importorskip("torch")

from energybench.distributed import gangs, meeting, readers
from energybench.distributed.channel import Channel, ChannelError, Listener, connect
from energybench.distributed.gang import Gang, RankError, RankLostError, differences
from energybench.distributed.given import Given, GivenError, first_host, given
from energybench.distributed.readers import DuplicateReaderError, Part
from energybench.distributed.seat import Identity, is_identity
from energybench.distributed.starting import PREFIX, Plan

SPREAD = str(Path(__file__).parent / "fakes" / "spread.py")
PATIENCE = 60.0
NOWHERE = ("127.0.0.1", 1)
"""Nodes by themselves are told where their mailbox is; these have none."""


def until(condition: Callable[[], Any]) -> Any:
    """What the condition gives, once it gives something."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.01)
    raise TimeoutError(condition)


def started(told: list[str] | None = None, **plan: Any) -> Gang:
    gang = Gang(
        Plan(**{"nodes": 2, "timeout": 5.0, **plan}),
        mailbox=NOWHERE if plan.get("independent") else None,
        tell=(told if told is not None else []).append,
    )
    gang.create("work", SPREAD, {})
    return gang


def pids(gang: Gang) -> list[int]:
    return [one["pid"] for one in gang.call("work", "place")]


def lives(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def gone(gang: Gang, processes: list[int]) -> bool:
    return gang.closed and not gang.folder.exists() and not any(map(lives, processes))


@pytest.fixture(scope="module")
def together() -> Iterator[Gang]:
    """Two ranks under torchrun, for tests that leave them as they are."""
    gang = started()
    yield gang
    gang.close()


@pytest.fixture(scope="module")
def apart() -> Iterator[Gang]:
    """Two ranks that are started by themselves."""
    gang = started(independent=True)
    yield gang
    gang.close()


def test_each_rank_is_a_process_and_answers_come_in_the_order_of_ranks(together: Gang):
    found = together.call("work", "place")
    assert [one["rank"] for one in found] == [0, 1]
    assert len({os.getpid(), *(one["pid"] for one in found)}) == 3
    assert [one.pid for one in together.ranks] == [one["pid"] for one in found]


def test_clocks_of_one_machine_differ_by_less_than_a_millisecond(together: Gang):
    clocks = together.clocks()
    assert [one["rank"] for one in clocks] == [0, 1]
    assert all(abs(one["offset_seconds"]) < 1e-3 for one in clocks)


def test_a_window_of_ranks_on_one_host_has_their_bytes_and_no_counter_twice(together: Gang):
    together.open_windows("work")
    together.call("work", "place")
    parts = together.close_windows()
    assert [part.who.rank for part in parts] == [0, 1]
    assert not any("host" in part.values for part in parts)
    assert [part.values["traffic"]["payload_bytes"] for part in parts] == [0.0, 0.0]


def knock(gang: Gang, hello: bytes | Mapping[str, Any]) -> Channel:
    channel = connect(f"unix:{gang.folder / 'leader'}", timeout=PATIENCE)
    if isinstance(hello, bytes):
        channel._socket.sendall(hello)
    else:
        channel.send(hello)
    return channel


def answered(gang: Gang, channel: Channel) -> dict[str, Any]:
    """What somebody at the door is told while the ranks work."""
    told: dict[str, Any] = until(lambda: gang.call("work", "place") and channel.receive(0.0))
    channel.close()
    return told


def hello(gang: Gang, rank: int, nodes: int = 2, **more: Any) -> dict[str, Any]:
    who = {"rank": rank, "host": "h", "network": "n", "name": "other", "pid": 1}
    return {"token": gang._token, "who": who, "nodes": nodes, **more}


def test_a_rank_without_the_token_is_refused(together: Gang):
    channel = knock(together, hello(together, 1) | {"token": "guessed"})
    assert answered(together, channel) == {"refused": "it does not know the token of this run"}


def test_a_rank_of_another_number_of_nodes_is_refused(together: Gang):
    channel = knock(together, hello(together, 1, nodes=3))
    assert answered(together, channel)["refused"].startswith("it is one of 3 ranks, here are 2")


def test_a_rank_that_was_asked_something_else_hears_what_differs(apart: Gang):
    apart._asked |= {"strategy": "sync", "seed": 0}
    until(lambda: len(apart.ranks) == 2)
    member = apart._members.pop(1)
    channel = knock(apart, hello(apart, 1, asked={"strategy": "local", "seed": 0}))
    refused = answered(apart, channel)["refused"]
    apart._members[1] = member
    assert refused == "strategy is local there and sync at the leader; start all ranks with the same command"


def test_a_second_rank_of_a_number_is_refused_and_hears_where_the_first_is(together: Gang):
    first = together.ranks[1]
    refused = answered(together, knock(together, hello(together, 1)))["refused"]
    assert refused == f"rank 1 is here already (process {first.pid} on {first.name}); give each its own number"


def test_differences_name_what_one_side_alone_was_given():
    assert differences({"steps": 4}, {}) == "steps is 4 there and not given at the leader"


HOSTILE = {
    "nothing": b"",
    "garbage": b"\x00\xff\xfe\n",
    "half a line": b'{"token": "',
    "no fields": b"{}\n",
    "a list": b"[]\n",
    "deeper than Python reads": b"[" * 60_000 + b"\n",
    "text that is no text": b'{"token": "\\ud800\xc3\xa9"}\n',
    "another kind of token": b'{"token": [1]}\n',
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_whoever_says_nonsense_at_the_door_disturbs_nobody(apart: Gang, data: bytes):
    before = pids(apart)
    channel = knock(apart, data)
    assert pids(apart) == before
    assert not apart.losses
    channel.close()


def test_a_line_without_end_is_cut_off(apart: Gang):
    before = pids(apart)
    channel = connect(f"unix:{apart.folder / 'leader'}", timeout=PATIENCE)
    channel._socket.settimeout(0.05)

    def cut_off() -> bool:
        try:
            channel._socket.send(b"x" * (1 << 20))
        except BrokenPipeError:
            return True
        except OSError:  # it is not read while the ranks have nothing to do
            assert pids(apart) == before
        return False

    until(cut_off)
    channel.close()


def test_more_at_the_door_than_it_has_room_for_disturb_nobody(apart: Gang):
    before = pids(apart)
    crowd = [knock(apart, b"") for _ in range(100)]
    for _ in range(150):
        assert pids(apart) == before
    assert len(apart._door.watched) <= 65
    for one in crowd:
        one.close()


def test_a_rank_that_never_comes_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(PREFIX, """sh -c 'if [ {rank} = 1 ]; then exec sleep 600; fi; exec "$@"' sh""")
    with pytest.raises(RankLostError, match=r"rank 1 of 2 did not join within 3 s: start it .* or check its host"):
        started(independent=True, timeout=1.0, starting=3.0)


def test_ranks_that_end_before_they_join_are_started_again_and_then_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    once = tmp_path / "once"
    script = f"if [ {{rank}} = 1 ] && ! [ -e {once} ]; then touch {once}; exit 1; fi; "
    monkeypatch.setenv(PREFIX, f"""sh -c '{script}exec "$@"' sh""")
    gang = started(independent=True, restarts=1)
    assert len(pids(gang)) == 2
    gang.close()
    monkeypatch.setenv(PREFIX, "sh -c 'echo no such interpreter; exit 1' sh")
    with pytest.raises(RankLostError, match="the ranks ended before all had joined: no such interpreter"):
        started(independent=True, restarts=1)


def test_an_error_of_one_rank_is_told_in_its_own_words_and_ends_the_gang():
    gang = started()
    processes = pids(gang)
    with pytest.raises(RankError, match=r"^rank 1: no such thing$"):
        gang.call("work", "fail", rank=1, line="no such thing")
    assert gone(gang, processes)


def test_a_node_that_cannot_be_made_is_told_of(monkeypatch: pytest.MonkeyPatch):
    gang = Gang(Plan(nodes=1, independent=True, restarts=0), mailbox=NOWHERE)
    with pytest.raises(RankLostError, match=r"all ranks are lost, .* rank 0: 0 is no number for a node"):
        gang.create("work", SPREAD, {"refuses": 0})
    assert gang.closed


def test_a_gang_is_started_anew_until_its_restarts_are_used_up(tmp_path: Path):
    told: list[str] = []
    gang = started(told, restarts=2, timeout=3.0)
    found = gang.call("work", "end", rank=1, signal_number=signal.SIGKILL, once=str(tmp_path / "killed"))
    assert [(one["epoch"], one["calls"]) for one in found] == [(1, 1), (1, 1)]
    found = gang.call("work", "end", rank=0, signal_number=signal.SIGSTOP, once=str(tmp_path / "stopped"))
    assert [one["epoch"] for one in found] == [2, 2]
    assert [loss.rank for loss in gang.losses] == [1, 0]
    assert all(loss.resumed_seconds for loss in gang.losses)
    assert "it gave no sign of life for 3 s" in gang.losses[1].reason
    assert [line.endswith("the gang is started anew from its checkpoints") for line in told] == [True, True]
    processes = pids(gang)
    with pytest.raises(RankLostError, match=r"^rank 1 .* was lost: .*; after 2 restarts it is not started anew"):
        gang.call("work", "end", rank=1, signal_number=signal.SIGKILL, once=str(tmp_path / "again"))
    assert gone(gang, processes)


def test_a_window_in_which_a_gang_was_lost_has_no_parts(tmp_path: Path):
    gang = started()
    gang.open_windows("work")
    gang.call("work", "end", rank=0, signal_number=signal.SIGKILL, once=str(tmp_path / "killed"))
    assert gang.close_windows() == []
    gang.close()


def test_ranks_by_themselves_outlive_one_another_and_one_that_is_lost_comes_back(tmp_path: Path):
    told: list[str] = []
    gang = started(told, independent=True)
    found = gang.call("work", "end", rank=1, signal_number=signal.SIGKILL, once=str(tmp_path / "killed"))
    assert (found[0]["calls"], found[1]) == (1, None)
    again = until(lambda: gang.call("work", "place")[1])
    assert again["rank"] == 1
    assert [(loss.rank, loss.resumed_seconds) for loss in gang.losses] == [(1, None)]
    assert told[1:] == ["rank 1 is back"]
    gang.close()


def test_a_rank_by_itself_that_hangs_is_lost_after_the_timeout_and_started_anew(tmp_path: Path):
    gang = started(independent=True, timeout=2.0)
    stopped = pids(gang)[1]
    found = gang.call("work", "end", rank=1, signal_number=signal.SIGSTOP, once=str(tmp_path / "stopped"))
    assert found[0]["rank"] == 0
    assert not lives(stopped)
    assert until(lambda: gang.call("work", "place")[1])["pid"] != stopped
    gang.close()


LEADER = f"""
import sys
from energybench.distributed.gang import Gang
from energybench.distributed.starting import Plan
gang = Gang(Plan(nodes=2, independent=sys.argv[1] == "apart"), mailbox={NOWHERE})
gang.create("work", {SPREAD!r}, {{}})
print(gang.folder, *(one["pid"] for one in gang.call("work", "place")), flush=True)
try:
    gang.call("work", "wait_for", path=sys.argv[2])
finally:
    gang.close()
"""


@pytest.mark.parametrize("way", ["together", "apart"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_ranks_end_by_themselves_when_their_leader_does(tmp_path: Path, way: str, number: signal.Signals):
    command = [sys.executable, "-c", LEADER, way, str(tmp_path / "never")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as leader:
        assert leader.stdout is not None
        folder, *ranks = leader.stdout.readline().split()
        agents = {int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) for pid in ranks}
        until(lambda: len(list(tmp_path.glob("never.*"))) == 2)
        leader.send_signal(number)
        leader.wait(PATIENCE)
    processes = {*map(int, ranks), *agents} - {leader.pid}
    until(lambda: not any(map(lives, processes)))
    assert Path(folder).exists() == (number == signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)


def test_two_hosts_are_read_by_one_rank_each(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ENERGYBENCH_SIMULATE", "1")
    monkeypatch.setenv(PREFIX, "env ENERGYBENCH_HOST=host{rank}")
    gang = started(independent=True, timeout=20.0)
    gang.open_windows("work")
    gang.call("work", "place")
    parts = gang.close_windows()
    gang.close()
    assert len({part.who.host for part in parts} | {gang.host}) == 3
    own = dict(parts[0].values["host"])
    found = readers.merged({**own, "flags": []}, parts, leader=gang.host, nodes=2)
    assert {f"host-{number}/cpu.package-0" for number in (1, 2)} <= set(found["domains"])
    there = [readers.scaled_domains(part, own["seconds"]) for part in parts]
    summed = own["total"]["joules"] + sum(
        there[number][domain]["joules"]
        for number, part in enumerate(parts)
        for domain in part.values["host"]["total"]["domains"]
    )
    assert found["total"]["joules"] == pytest.approx(summed, rel=1e-12)
    assert "machine-wide" not in found["flags"]


def joules(amount: float, uncertainty: float = 0.0, provenance: str = "measured") -> dict[str, Any]:
    return {"joules": amount, "standard_uncertainty": uncertainty, "provenance": provenance, "components": {}}


def window(*amounts: tuple[float, float], provenance: str = "measured", seconds: float = 1.0) -> dict[str, Any]:
    """A host's window with a domain of so many joules and standard uncertainty for each pair."""
    domains = {f"cpu.package-{n}": joules(*one, provenance) for n, one in enumerate(amounts)}
    squares = math.fsum(uncertainty**2 for _, uncertainty in amounts)
    total = joules(math.fsum(one for one, _ in amounts), math.sqrt(squares), provenance)
    return {
        "seconds": seconds,
        "domains": domains,
        "traffic": {},
        "flags": [],
        "total": {**total, "domains": list(domains), "missing": []},
    }


def identity(rank: int, host: str = "", network: str = "") -> Identity:
    host = host or f"host{rank}"
    return Identity(rank=rank, host=host, network=network or host, name=f"node{rank}", pid=100 + rank)


def part(
    rank: int,
    host: Mapping[str, Any] | None = None,
    *,
    who: Identity | None = None,
    devices: Mapping[str, str] | None = None,
    seconds: float = 1.0,
    **traffic: float,
) -> Part:
    values = {"traffic": traffic} | ({"host": host} if host else {})
    return Part(who=who or identity(rank), seconds=seconds, values=values, devices=devices or {})


def amounts(most: int = 3) -> st.SearchStrategy[list[tuple[float, float]]]:
    return st.lists(st.tuples(st.floats(0.001, 1e6), st.floats(0, 100)), min_size=1, max_size=most)


@examples(here=amounts(), there=amounts())
def test_two_hosts_sum_exactly(here: list[tuple[float, float]], there: list[tuple[float, float]]):
    found = readers.merged(window(*here), [part(0, window(*there))], leader="leader", nodes=1)
    assert found["total"]["joules"] == pytest.approx(math.fsum(one for one, _ in [*here, *there]), rel=1e-12)
    squares = math.fsum(uncertainty**2 for _, uncertainty in [*here, *there])
    assert found["total"]["standard_uncertainty"] == pytest.approx(math.sqrt(squares), rel=1e-9)
    assert len(found["domains"]) == len(here) + len(there)
    assert found["total"]["domains"] == list(found["domains"])


@examples(seconds=st.floats(1.0, 2.0), amount=st.floats(1.0, 1e6))
def test_a_longer_window_of_another_host_is_scaled_and_its_skew_is_uncertain(seconds: float, amount: float):
    there = window((amount, 0.0), seconds=seconds)
    found = readers.merged(window((1.0, 0.0)), [part(0, there, seconds=seconds)], leader="leader", nodes=1)
    one = found["domains"]["host-1/cpu.package-0"]
    assert one["joules"] == pytest.approx(amount / seconds)
    assert one["standard_uncertainty"] == pytest.approx((seconds - 1) / seconds * amount / math.sqrt(3))
    assert found["total"]["joules"] == pytest.approx(1.0 + amount / seconds)


def test_a_host_that_measured_nothing_is_missing_from_the_sum():
    silent = {"seconds": 1.0, "domains": {}, "traffic": {}, "flags": []}
    found = readers.merged(window((2.0, 0.0)), [part(0, silent)], leader="leader", nodes=1)
    assert (found["total"]["joules"], found["total"]["missing"]) == (2.0, ["host-1"])


def test_simulated_joules_are_never_added_to_measured_ones():
    there = window((5.0, 0.0), provenance="simulated")
    found = readers.merged(window((2.0, 0.0)), [part(0, there)], leader="leader", nodes=1)
    assert (found["total"]["joules"], found["total"]["missing"]) == (2.0, ["host-1"])


def test_an_estimate_of_some_hosts_alone_is_none_of_all():
    own = window((1.0, 0.0)) | {"estimated": {"joules": 1.0, "low": 0.5, "high": 2.0}}
    there = window((1.0, 0.0))
    assert "estimated" not in readers.merged(own, [part(0, there)], leader="leader", nodes=1)
    there["estimated"] = own["estimated"]
    found = readers.merged(own, [part(0, there)], leader="leader", nodes=1)
    assert found["estimated"] == {"joules": 2.0, "low": 1.0, "high": 4.0}


def test_one_gpu_that_two_hosts_claim_to_read_is_refused():
    parts = [part(rank, window((1.0, 0.0)), devices={"cpu.package-0": "GPU-1"}) for rank in (0, 1)]
    with pytest.raises(DuplicateReaderError, match=r"rank 0 and rank 1 both read cpu.package-0 of host node1"):
        readers.merged(window((1.0, 0.0)), parts, leader="leader", nodes=2)


def test_a_host_that_two_ranks_read_is_refused():
    parts = [part(rank, window((1.0, 0.0)), who=identity(rank, "same")) for rank in (0, 1)]
    with pytest.raises(DuplicateReaderError, match="its joules would count twice"):
        readers.merged(window((1.0, 0.0)), parts, leader="leader", nodes=2)


def test_a_rank_that_reads_the_counters_of_the_leader_is_refused():
    with pytest.raises(DuplicateReaderError, match="the leader and rank 0 both read"):
        readers.merged(
            window((1.0, 0.0)), [part(0, window((1.0, 0.0)), who=identity(0, "here"))], leader="here", nodes=1
        )


@examples(hosts=st.lists(st.sampled_from("abc"), min_size=1, max_size=8), leader=st.sampled_from("abcd"))
def test_each_host_but_the_leaders_has_one_reader_and_each_network_too(hosts: list[str], leader: str):
    ranks = [identity(rank, host) for rank, host in enumerate(hosts)]
    reads = readers.assign(ranks, leader=leader)
    of_hosts = [hosts[rank] for rank, one in reads.items() if one.host]
    assert sorted(of_hosts) == sorted(set(hosts) - {leader})
    assert sorted(hosts[rank] for rank, one in reads.items() if one.interfaces) == sorted(set(hosts))


@examples(bytes_sent=st.lists(st.integers(0, 1 << 40), min_size=1, max_size=5))
def test_bytes_of_all_ranks_are_summed_and_those_of_an_interface_once(bytes_sent: list[int]):
    parts = [
        part(rank, who=identity(rank, "same"), payload_bytes=float(one), tcp_bytes=2.0 * one, **wire)
        for rank, one in enumerate(bytes_sent)
        for wire in [{"wire_bytes": 7.0} if rank == 0 else {}]
    ]
    found = readers.merged(window((1.0, 0.0)), parts, leader="same", nodes=len(parts))
    assert found["traffic"] == {
        "payload_bytes": sum(bytes_sent), "tcp_bytes": 2.0 * sum(bytes_sent), "wire_bytes": 7.0
    }  # fmt: skip
    assert ("machine-wide" in found["flags"]) == (len(parts) > 1)


def test_bytes_that_one_rank_could_not_read_are_absent():
    parts = [part(0, payload_bytes=1.0, tcp_bytes=2.0), part(1, payload_bytes=1.0)]
    assert readers.traffic(parts) == {"payload_bytes": 2.0}


def test_a_window_that_lost_a_rank_says_so_and_tells_no_bytes():
    found = readers.merged(window((1.0, 0.0)), [part(0, payload_bytes=1.0)], leader="host0", nodes=2)
    assert (found["flags"], found["traffic"]) == (["rank-lost"], {})


@examples(
    offset=st.integers(-(10**12), 10**12),
    trips=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), min_size=1, max_size=20),
)
def test_a_clock_is_off_by_no_more_than_half_the_best_round_trip(offset: int, trips: list[tuple[int, int]]):
    pings = [(0, there + offset, there + back) for there, back in trips]
    found, round_trip = readers.clock_offset(pings)
    assert abs(found - offset / 1e9) <= round_trip / 2 + 1e-9
    assert round_trip == min(there + back for there, back in trips) / 1e9


def pair() -> tuple[Channel, socket.socket]:
    ours, theirs = socket.socketpair()
    return Channel(ours), theirs


def test_messages_that_arrive_together_are_told_apart():
    channel, other = pair()
    with other:
        other.sendall(b'{"a": 1}\n{"b": 2}\n{"c"')
        assert [channel.receive(0.0), channel.receive(0.0), channel.receive(0.0)] == [{"a": 1}, {"b": 2}, None]
        other.sendall(b": 3}\n")
        assert channel.receive(0.0) == {"c": 3}
    with pytest.raises(ChannelError, match="the other side closed the connection"):
        channel.receive()
    channel.close()


def test_a_listener_that_nobody_holds_does_not_answer(tmp_path: Path):
    Listener(path=tmp_path / "gone").close()
    with pytest.raises(ChannelError, match="does not answer"):
        connect(f"unix:{tmp_path / 'gone'}", timeout=1.0)


TORCHRUN = {"RANK": "1", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "MASTER_ADDR": "node0", "MASTER_PORT": "29500"}
SLURM = {"SLURM_PROCID": "3", "SLURM_STEP_NUM_TASKS": "4", "SLURM_LOCALID": "1", "SLURM_STEP_NODELIST": "gpu[03-04]"}


def test_a_place_is_read_from_what_torchrun_has_set():
    place = Given(rank=1, nodes=4, local_rank=1, address="node0", port=29500, has_store=False)
    assert given(TORCHRUN) == place
    found = given(TORCHRUN | {"TORCHELASTIC_USE_AGENT_STORE": "True"})
    assert found is not None
    assert found.has_store


def test_a_place_is_read_from_what_slurm_has_set_and_jobs_have_ports_of_their_own():
    found = given(SLURM | {"SLURM_JOB_ID": "20077"})
    assert found == Given(rank=3, nodes=4, local_rank=1, address="gpu03", port=20077, has_store=False)
    assert given(SLURM | {"SLURM_JOB_ID": "78", "MASTER_ADDR": "a", "MASTER_PORT": "5"}) == Given(
        rank=3, nodes=4, local_rank=1, address="a", port=5, has_store=False
    )


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"RANK": "", "WORLD_SIZE": ""},
        {"SLURM_PROCID": "0"},
        {"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "1"},
    ],
)
def test_nobody_gave_a_place(environ: dict[str, str]):
    assert given(environ) is None


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"RANK": "1", "WORLD_SIZE": "4"}, "RANK, WORLD_SIZE set and MASTER_ADDR, MASTER_PORT not: set all four"),
        ({"WORLD_SIZE": "4"}, "WORLD_SIZE set and RANK, MASTER_ADDR, MASTER_PORT not"),
        (TORCHRUN | {"RANK": "4"}, "rank 4 of 4: ranks go from 0 to 3; correct RANK"),
        (TORCHRUN | {"RANK": "-1"}, "RANK='-1' is no whole number"),
        (TORCHRUN | {"WORLD_SIZE": "many"}, "WORLD_SIZE='many' is no whole number"),
        (TORCHRUN | {"MASTER_PORT": "70000"}, "MASTER_PORT=70000 is no port"),
        (SLURM | {"SLURM_STEP_NUM_TASKS": "x"}, "SLURM_STEP_NUM_TASKS='x' is no whole number"),
        (SLURM | {"SLURM_JOB_ID": "x"}, "SLURM_JOB_ID='x' is no whole number"),
    ],
)
def test_half_a_place_is_refused(environ: dict[str, str], message: str):
    with pytest.raises(GivenError, match=message.replace("(", r"\(")):
        given(environ)


@pytest.mark.parametrize(
    ("hosts", "first"),
    [("gpu[03-07,12],login1", "gpu03"), ("a,b", "a"), ("node7", "node7"), ("rack1-[2,4]", "rack1-2"), ("", "")],
)
def test_the_first_of_slurms_hosts_has_the_store(hosts: str, first: str):
    assert first_host(hosts) == first


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def place_at(port: int, rank: int = 1) -> Given:
    return Given(rank=rank, nodes=2, local_rank=0, address="127.0.0.1", port=port, has_store=False)


def test_a_port_in_use_is_told_with_what_to_set():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(meeting.PortError, match=f"at 127.0.0.1:{port}: Address already in use; set MASTER_PORT"):
            meeting.make_store("127.0.0.1", port, timeout=1.0)


def test_a_rank_without_rank_0_says_where_it_looked():
    port = free_port()
    with pytest.raises(meeting.MeetingError, match=f"no rank 0 answers at 127.0.0.1:{port} within 0.3 s: start it"):
        meeting.find_leader(place_at(port), timeout=0.3)


def test_something_else_that_listens_where_rank_0_should_keeps_nobody():
    with socket.create_server(("127.0.0.1", 0)) as server:
        place = place_at(server.getsockname()[1])
        with pytest.raises(meeting.MeetingError, match="no rank 0 answers"):
            meeting.find_leader(place, timeout=0.5)


def test_a_leader_is_found_where_it_has_said_that_it_is():
    store = meeting.make_store("127.0.0.1", 0, timeout=5.0)
    with pytest.raises(meeting.MeetingError, match=r"rank 0 has not said within 0.2 s where it leads from"):
        meeting.find_leader(place_at(store.port), timeout=0.2)
    meeting.announce(store, "tcp:127.0.0.1:5", "secret")
    assert meeting.find_leader(place_at(store.port), timeout=5.0) == ("tcp:127.0.0.1:5", "secret")


def test_a_leader_with_nothing_to_do_lets_the_others_go():
    store = meeting.make_store("127.0.0.1", 0, timeout=5.0)
    store.set(meeting.KEY, meeting.OVER)
    assert meeting.find_leader(place_at(store.port), timeout=5.0) is None
    meeting.announce_over(store, 2)  # who has read it is not waited for


def run_by_hand(rank: int, port: int, folder: Path, *words: str, **environ: str) -> subprocess.Popen[str]:
    """`energybench run dist-train` as one of two ranks that a hand has started."""
    command = [sys.executable, "-m", "energybench", "run", "dist-train", "--quick", "--windows=1", "--seconds=0.05"]
    command += ["--param=steps=20", "--param=hidden=16", f"--output={folder / 'records'}", *words]
    place = {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    quick = {"ENERGYBENCH_IDLE": "0", "ENERGYBENCH_WARMUP": "0.1", "ENERGYBENCH_LOCK": str(folder / "lock")}
    if "SLURM_PROCID" in environ:
        place = {}
    return subprocess.Popen(
        command, env={**os.environ, **place, **quick, **environ}, text=True, cwd=folder, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip


def ended(process: subprocess.Popen[str]) -> tuple[int, list[str]]:
    _, said = process.communicate(timeout=PATIENCE)
    return process.returncode, [line for line in said.splitlines() if line.startswith("energybench: ")]


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in (folder / "records").glob("*/*.json")]


def test_ranks_that_a_hand_started_make_one_record_and_with_resume_none(tmp_path: Path):
    port = free_port()
    pair = [run_by_hand(rank, port, tmp_path, "--strategy=sync") for rank in (0, 1)]
    assert [ended(one)[0] for one in pair] == [0, 0]
    assert [one["parameters"]["nodes"] for one in records(tmp_path)] == [2]
    again = [run_by_hand(rank, port, tmp_path, "--strategy=sync", "--resume") for rank in (0, 1)]
    assert [ended(one)[0] for one in again] == [0, 0]
    assert len(records(tmp_path)) == 1


def test_ranks_under_slurm_that_disagree_say_so_on_the_one_that_saw_it(tmp_path: Path):
    slurm = SLURM | {"SLURM_STEP_NUM_TASKS": "2", "SLURM_STEP_NODELIST": "localhost", "MASTER_PORT": str(free_port())}
    ranks = [
        run_by_hand(rank, 0, tmp_path, f"--strategy={strategy}", **slurm | {"SLURM_PROCID": str(rank)})
        for rank, strategy in enumerate(("sync", "local"))
    ]
    code, said = ended(ranks[1])
    ranks[0].send_signal(signal.SIGTERM)  # it would wait for one that agrees
    assert (code, said) == (
        1,
        ["energybench: rank 1 may not join: strategy is local there and sync at the leader; start all ranks with the "
         "same command"],
    )  # fmt: skip
    assert ended(ranks[0])[0] == 128 + signal.SIGTERM


def test_another_number_of_nodes_than_ranks_were_started_is_refused(monkeypatch: pytest.MonkeyPatch):
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(gangs.NodesError, match="nodes=3 and 4 ranks were started: leave nodes out"):
        gangs.take(Plan(nodes=3))


@examples(
    st.dictionaries(
        st.sampled_from(["rank", "host", "network", "name", "pid", "more"]),
        st.none() | st.booleans() | st.integers(-2, 5) | st.text(max_size=3) | st.lists(st.integers(), max_size=1),
    )
)
def test_what_a_stranger_says_of_itself_is_an_identity_or_is_refused_without_an_error(told: dict[str, object]):
    whole = {"rank": 1, "host": "h", "network": "n", "name": "m", "pid": 7}
    assert is_identity(whole, 4)
    mixed = whole | told
    fits = all(type(mixed[key]) is type(value) for key, value in whole.items()) and set(mixed) == set(whole)
    assert is_identity(mixed, 4) == (fits and mixed["pid"] > 0 and mixed["rank"] >= 0)
    assert not is_identity([told], 4)
