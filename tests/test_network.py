"""Bytes over connections of this very process, over fake interfaces, and over a real pair of network namespaces."""

import json
import os
import shutil
import socket
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import ExitStack, contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

import energybench as eb
from energybench.model import Domain, Probe, Unavailable
from energybench.probes import _tcp_info, _threads, network
from energybench.probes._tcp_info import TcpSocket, own_sockets
from energybench.probes._threads import ThreadTime

LOST = Unavailable(reason="gone", remedy="look for it")
HEAD = "Inter-|   Receive      |  Transmit\n face |bytes    packets errs drop fifo frame compressed multicast|bytes …\n"


class Machine:
    """A tree with /proc/self/net/dev and, for those that have them, the interfaces' folders under /sys/class/net."""

    def __init__(self, root):
        self.root = root
        self._file = root / "proc/self/net/dev"
        self._file.parent.mkdir(parents=True)

    def transmit(self, **sent):
        lines = (f"{name:>6}: 77 1 0 0 0 0 0 0 {count} 2 0 0 0 0 0 0\n" for name, count in sent.items())
        self._file.write_text(HEAD + "".join(lines))

    def interface(self, name, *, up=True, device=False, on=()):
        folder = self.root / "sys/class/net" / name
        folder.mkdir(parents=True)
        (folder / "flags").write_text("0x1003\n" if up else "0x1002\n")
        for below in [*(["device"] if device else []), *(f"lower_{other}" for other in on)]:
            (folder / below).mkdir()

    def stop(self):
        self._file.unlink()


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path / "machine")


@pytest.fixture
def opened(machine, fake_clock):
    """Open the probe on the fake interfaces, with connections that the test says."""
    machine.transmit(lo=500, eth0=1000)

    def open_it(**changes):
        given = {"sockets": lambda known: {}} | changes
        return network.open_probe(root=machine.root, clock=fake_clock, **given)

    return open_it


@contextmanager
def connection(family=socket.AF_INET, port=0):
    """Both ends of a connection inside this process."""
    host = "127.0.0.1" if family == socket.AF_INET else "::1"
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server((host, port), family=family))
        client = stack.enter_context(socket.create_connection(server.getsockname()[:2]))
        yield client, stack.enter_context(server.accept()[0])


def send(one, other, count):
    """Send from one end and wait until the other has it all: then it has left."""
    one.sendall(bytes(count))
    while count:
        count -= len(other.recv(count))


def values(probe):
    """Raw counts by domain."""
    names = [name for name, domain in probe.domains.items() if isinstance(domain, Domain)]
    return {name: raw for name, (_, raw) in zip(names, probe.read(), strict=True)}


@contextmanager
def difference(probe):
    """What each domain has counted inside the block."""
    before, counted = values(probe), {}
    yield counted
    counted |= {name: raw - before[name] for name, raw in values(probe).items()}


def real(**changes):
    probe = network.open_probe(**changes)
    if isinstance(probe, Unavailable):
        pytest.skip(probe.reason)
    if isinstance(probe.domains["net.tcp-sent"], Unavailable):
        pytest.skip(probe.domains["net.tcp-sent"].reason)
    return probe


@pytest.mark.parametrize("count", [1, 1000, 3_000_000])
def test_what_one_end_sends_is_counted_to_the_byte(count):
    with connection() as (client, server), difference(real()) as counted:
        send(client, server, count)
        send(server, client, 17)
    assert (counted["net.tcp-sent"], counted["net.tcp-received"]) == (count + 17, count + 17)


def test_ipv6_is_counted_as_well():
    try:
        ends = ExitStack()
        client, server = ends.enter_context(connection(socket.AF_INET6))
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")
    with ends, difference(real()) as counted:
        send(client, server, 1234)
    assert counted["net.tcp-sent"] == 1234


def test_a_connection_with_two_descriptors_counts_once():
    with connection() as (client, server), client.dup() as twin, difference(real()) as counted:
        send(twin, server, 100)
        send(client, server, 10)
    assert counted["net.tcp-sent"] == 110


def test_a_connection_that_is_closed_stays_in_the_total_as_it_was_last_seen():
    probe = real()
    with difference(probe) as counted, connection() as (client, server):
        send(client, server, 5000)
        values(probe)
        send(client, server, 70)
    assert counted["net.tcp-sent"] == 5000
    assert probe.state()["tcp_connections_ended"] == 2
    with connection() as (client, server), difference(probe) as again:  # under the numbers that are free now
        send(client, server, 1)
    assert again["net.tcp-sent"] == 1


def test_what_is_no_connection_is_not_ours():
    real()
    before = set(own_sockets({}))
    with ExitStack() as stack:
        stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        for end in socket.socketpair():
            stack.enter_context(end)
        datagrams = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        datagrams.connect(("127.0.0.1", 9))
        stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        assert set(own_sockets({})) == before
        pair = stack.enter_context(connection())
        assert set(own_sockets({})) - before == {os.fstat(end.fileno()).st_ino for end in pair}


def test_control_traffic_is_kept_apart_by_its_port_even_when_it_is_over():
    with connection() as (client, server), connection() as (control, store):
        port = store.getsockname()[1]
        probe = real(apart_ports=[port])
        with difference(probe) as counted:
            send(control, store, 300)
            send(store, control, 40)
            send(client, server, 5)
        assert (counted["net.tcp-apart"], counted["net.tcp-sent"], counted["net.tcp-received"]) == (340, 5, 5)
        assert probe.domains["net.tcp-apart"].quantity == "tcp_apart_bytes"
        with difference(probe) as after:
            control.shutdown(socket.SHUT_WR)
            store.shutdown(socket.SHUT_WR)
            assert (control.recv(1), store.recv(1)) == (b"", b"")
        assert (after["net.tcp-apart"], after["net.tcp-sent"]) == (0, 0)


def test_without_ports_to_keep_apart_there_is_no_such_domain(opened):
    assert "net.tcp-apart" not in opened().domains


def test_a_connection_goes_on_blocking_though_a_default_timeout_is_set():
    before = socket.getdefaulttimeout()
    with connection() as (client, _):
        socket.setdefaulttimeout(5.0)
        try:
            assert os.fstat(client.fileno()).st_ino in own_sockets({})
        finally:
            socket.setdefaulttimeout(before)
        assert os.get_blocking(client.fileno())
        assert client.gettimeout() is None


def tcp(sent, *, again=0, received=0, ports=(40_000, 80)):
    return TcpSocket(sent=sent, again=again, received=received, ports=ports)


def readings_of(*listings):
    """A reader of connections that gives one listing after the other; the first is what the probe opens with."""
    left = iter(listings)
    return lambda known: next(left)


def test_bytes_sent_again_are_taken_out(opened):
    probe = opened(sockets=readings_of({}, {7: tcp(1500, again=500, received=3)}))
    assert values(probe) == {"net.tcp-sent": 1000, "net.tcp-received": 3, "net.eth0": 1000}


def test_a_connection_that_was_missed_once_is_not_counted_twice(opened):
    probe = opened(sockets=readings_of({}, {7: tcp(1000)}, {}, {7: tcp(1200)}))
    assert [values(probe)["net.tcp-sent"] for _ in range(3)] == [1000, 1000, 1200]
    assert probe.state() == {"tcp_connections": 1, "tcp_connections_ended": 0}


def test_a_socket_that_connects_anew_starts_from_zero_and_keeps_what_it_had(opened):
    probe = opened(sockets=readings_of({}, {7: tcp(1000)}, {7: tcp(30)}, {7: tcp(40)}))
    assert [values(probe)["net.tcp-sent"] for _ in range(3)] == [1000, 1030, 1040]
    assert probe.state()["tcp_connections_ended"] == 1


@given(st.lists(st.dictionaries(st.integers(0, 5), st.integers(0, 1000)), max_size=12))
def test_the_total_is_what_was_last_seen_of_each_connection(steps):
    connections, now, totals, ended = network.Connections(()), {}, [], 0
    fresh = iter(range(10_000))
    names = {}
    for step in steps:  # a number that is absent from a step is closed; its successor is another connection
        names = {number: names.get(number) or next(fresh) + 1 for number in step}
        for number, name in names.items():
            now[name] = now.get(name, 0) + step[number]
        totals.append(connections.move({name: tcp(now[name], again=now[name] // 3) for name in names.values()})[0])
        ended = len(now) - len(names)
    assert totals == sorted(totals)
    assert totals[-1:] == [sum(sent - sent // 3 for sent in now.values())] * bool(steps)
    assert connections.ended == ended


def test_a_kernel_that_does_not_count_sent_bytes_is_told_with_a_remedy(opened):
    assert _tcp_info.too_short(216) is None
    old = _tcp_info.too_short(192)
    assert old is not None
    assert "192 bytes" in old.reason
    assert "Linux 4.19" in old.remedy
    probe = opened(sockets=lambda known: old)
    assert probe.domains["net.tcp-sent"] == probe.domains["net.tcp-received"] == old
    assert values(probe) == {"net.eth0": 1000}
    assert probe.state() == {}


def test_connections_that_cannot_be_listed_for_once_leave_the_interfaces_readable(opened):
    probe = opened(sockets=readings_of({}, {7: tcp(10)}, LOST, {7: tcp(25)}))
    assert values(probe)["net.tcp-sent"] == 10
    assert values(probe) == {"net.tcp-sent": LOST, "net.tcp-received": LOST, "net.eth0": 1000}
    assert values(probe)["net.tcp-sent"] == 25


def test_a_machine_without_network_statistics_is_told(tmp_path):
    probe = network.open_probe(root=tmp_path)
    assert isinstance(probe, Unavailable)
    assert "proc/self/net/dev" in probe.reason
    assert "Linux" in probe.remedy


def wire(probe):
    return [name for name, domain in probe.domains.items() if getattr(domain, "quantity", "") == "wire_bytes"]


def test_loopback_is_no_wire_unless_it_is_asked_for(opened):
    assert wire(opened()) == ["net.eth0"]
    asked = opened(interfaces=["lo"])
    assert values(asked)["net.lo"] == 500
    assert asked.domains["net.lo"].flags == ("loopback",)
    assert wire(asked) == ["net.lo"]


def test_bytes_that_a_bridge_or_a_tunnel_hands_on_are_counted_where_they_leave(machine, opened):
    for name, shape in {"eth0": {"device": True}, "tun0": {}, "br0": {"on": ["veth1"]}, "veth1": {}}.items():
        machine.interface(name, **shape)
    machine.transmit(lo=1, eth0=2, tun0=3, br0=4, veth1=5)
    assert wire(opened()) == ["net.eth0"]
    assert wire(opened(interfaces=["tun0", "eth0"])) == ["net.tun0", "net.eth0"]


def test_in_a_container_its_end_of_the_pair_is_the_wire_and_what_is_down_is_none(machine, opened):
    for name, shape in {"eth0": {}, "vlan7": {"on": ["eth0"]}, "tunl0": {"up": False}}.items():
        machine.interface(name, **shape)
    machine.transmit(lo=1, eth0=2, vlan7=3, tunl0=0)
    assert wire(opened()) == ["net.eth0"]


def test_an_alias_with_a_colon_is_read(machine, opened):
    machine.transmit(**{"lo": 1, "eth0:1": 9})
    assert values(opened())["net.eth0:1"] == 9


def test_an_interface_that_vanishes_is_unavailable_and_one_that_appears_is_not_seen(machine, opened):
    machine.transmit(eth0=1000, wlan0=10)
    probe = opened()
    machine.transmit(eth0=1100, usb0=5)
    after = values(probe)
    assert after["net.eth0"] == 1100
    assert "wlan0" in after["net.wlan0"].reason
    assert "net.usb0" not in after
    machine.stop()
    assert all(isinstance(values(probe)[name], Unavailable) for name in wire(probe))


def test_an_interface_that_is_not_there_is_unavailable_from_the_start(opened):
    probe = opened(interfaces=["eth0", "eth7"])
    assert isinstance(probe.domains["net.eth7"], Unavailable)
    assert values(probe)["net.eth0"] == 1000


def test_only_the_process_s_own_bytes_are_exclusive(opened):
    probe = opened(apart_ports=[1])
    assert isinstance(probe, Probe)
    assert {name: domain.exclusive for name, domain in probe.domains.items()} == {
        "net.tcp-sent": True, "net.tcp-received": True, "net.tcp-apart": True, "net.eth0": False,
    }  # fmt: skip


def test_a_window_tells_what_was_sent_apart_from_what_was_received_and_kept_apart(machine, opened, fake_clock):
    begin = {7: tcp(100, received=5), 8: tcp(1000, ports=(1, 2))}
    end = {7: tcp(400, received=7), 8: tcp(5000, ports=(1, 2))}
    probe = opened(sockets=readings_of({}, begin, begin, end), apart_ports=[2])
    meter = eb.Meter({"network": probe}, clock=fake_clock, poll=False)
    with meter.window() as window:
        machine.transmit(lo=500, eth0=1400)
    assert window.traffic == {
        "tcp_bytes": 300, "tcp_received_bytes": 2, "tcp_apart_bytes": 4000, "wire_bytes": 400,
    }  # fmt: skip
    assert {(part.standard_uncertainty, part.provenance) for part in window.traffic_detail.values()} == {
        (0.0, "measured")
    }
    assert window.domains == {}
    assert window.total is None


def test_wire_bytes_are_absent_where_one_interface_vanished_in_the_window(machine, opened, fake_clock):
    meter = eb.Meter({"network": opened()}, clock=fake_clock, poll=False)
    with meter.window() as window:
        machine.transmit(lo=1)
    assert set(window.traffic) == {"tcp_bytes", "tcp_received_bytes"}
    assert "eth0" in window.domains["net.eth0"].reason


def test_measure_counts_the_block_s_bytes_when_the_probe_is_asked_for():
    real()
    with connection() as (client, server), eb.measure(probes=["network"]) as window:
        send(client, server, 4321)
    assert (window.traffic["tcp_bytes"], window.traffic["tcp_received_bytes"]) == (4321, 4321)
    assert window.traffic_detail["tcp_bytes"].domains == ("net.tcp-sent",)
    assert window.traffic_detail["tcp_bytes"].provenance == "measured"


def test_no_window_reads_it_unasked():
    from energybench import probes

    assert "network" in probes.names()
    assert probes.is_on_request("network")


def test_measuring_a_command_says_nothing_of_our_own_connections(tmp_path):
    probe = real()
    command = [sys.executable, "-m", "energybench", "measure", "--json", "--probe", "network", "--", "true"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    told = json.loads(done.stdout)
    assert set(told["traffic"]) == ({"wire_bytes"} if wire(probe) else set())
    assert "tcp" not in done.stderr


IN_A_NAMESPACE = """
    import json, os, socket, subprocess, sys, time
    from energybench.probes import network

    def ip(line):
        subprocess.run(["ip", *line.split()], check=True)

    here = os.readlink("/proc/self/ns/net")
    peer = subprocess.Popen(["unshare", "-n", "sh", "-c", "ip link set lo up; exec sleep 60"])
    try:
        while os.readlink(f"/proc/{peer.pid}/ns/net") == here:
            time.sleep(0.01)
        ip(f"link add v0 type veth peer name v1 netns {peer.pid}")
        ip("addr add 10.7.0.1/24 dev v0")
        ip("link set v0 gso_max_segs 1 up")
        if sys.argv[2:]:
            subprocess.run(["tc", "qdisc", "add", "dev", "v0", "root", *sys.argv[2:]], check=True)
        inside = ["nsenter", "-t", str(peer.pid), "-n"]
        subprocess.run([*inside, "ip", "addr", "add", "10.7.0.2/24", "dev", "v1"], check=True)
        subprocess.run([*inside, "ip", "link", "set", "v1", "up"], check=True)
        drain = "import socket; s = socket.create_server(('10.7.0.2', 7070)); print(flush=True); c, _ = s.accept()"
        drain += "\\nwhile c.recv(1 << 20): pass"
        receiver = subprocess.Popen([*inside, sys.executable, "-c", drain], stdout=subprocess.PIPE)
        receiver.stdout.readline()
        probe = network.open_probe()
        names = list(probe.domains)
        with socket.create_connection(("10.7.0.2", 7070)) as one:
            mss = one.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG)
            before = [raw for _, raw in probe.read()]
            one.sendall(bytes(int(sys.argv[1])))
            one.shutdown(socket.SHUT_WR)
            one.recv(1)  # the receiver has read it all, and closes
            after = [raw for _, raw in probe.read()]
        receiver.wait()
        print(json.dumps({"mss": mss} | {n: b - a for n, a, b in zip(names, before, after)}))
    finally:
        peer.kill()
        peer.wait()
"""


def over_a_wire(count, *shape):
    """Send that many bytes from one network namespace to another; what was counted by domain, and the segment size."""
    for program in ("unshare", "nsenter", "ip", "tc"):
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed")
    if os.geteuid() or subprocess.run(["unshare", "-n", "true"], capture_output=True, check=False).returncode:
        pytest.skip("a network namespace needs root")
    command = ["unshare", "-n", sys.executable, "-c", textwrap.dedent(IN_A_NAMESPACE), str(count), *shape]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    for missing in ("Unknown device type", "Specified qdisc kind is unknown", "not supported"):
        if missing in done.stderr:
            pytest.skip(f"this kernel lacks a virtual link: {missing}")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_on_a_wire_every_segment_carries_its_headers():
    told = over_a_wire(2_000_000)
    assert told["net.tcp-sent"] == 2_000_000
    # Ethernet 14, IPv4 20, TCP with time stamps 32, on as many segments as the bytes need at least.
    assert told["net.v0"] >= 2_000_000 + 66 * -(-2_000_000 // told["mss"])
    assert told["net.v0"] <= 1.08 * 2_000_000


def test_bytes_that_the_machine_s_own_queue_refused_count_once():
    told = over_a_wire(1_000_000, "tbf", "rate", "100mbit", "burst", "10kb", "limit", "20kb")
    assert 0 <= told["net.tcp-sent"] - 1_000_000 <= 2
    assert told["net.v0"] <= 1.08 * 1_000_000


@pytest.fixture
def threads(tmp_path):
    """Write a thread's files: name, nanoseconds on a processor and in its queue."""

    def write(thread, name, computed, queued):
        folder = tmp_path / f"proc/42/task/{thread}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "comm").write_text(f"{name}\n")
        (folder / "schedstat").write_text(f"{computed} {queued} 9\n")

    return write


def test_the_main_thread_was_blocked_when_it_neither_computed_nor_queued(tmp_path, threads):
    threads(42, "python", 1_000_000_000, 200_000_000)
    threads(43, "gloo_tcp_loop", 500_000_000, 0)
    before = _threads.thread_times(tmp_path, 42)
    assert before[43] == ThreadTime(name="gloo_tcp_loop", cpu_seconds=0.5, queued_seconds=0.0)
    threads(42, "python", 3_000_000_000, 700_000_000)
    threads(43, "gloo_tcp_loop", 750_000_000, 0)
    threads(44, "gloo_tcp_loop", 125_000_000, 0)  # born in the span
    found = _threads.span(before, _threads.thread_times(tmp_path, 42), seconds=10.0, main=42)
    assert isinstance(found, _threads.ThreadSpan)
    assert (found.cpu_seconds, found.queued_seconds, found.blocked_seconds) == (2.0, pytest.approx(0.5), 7.5)
    assert found.other_cpu_seconds == {"gloo_tcp_loop": 0.375}


def test_a_thread_that_ends_while_it_is_read_is_left_out(tmp_path, threads):
    threads(42, "python", 1, 0)
    (tmp_path / "proc/42/task/43").mkdir()
    assert set(_threads.thread_times(tmp_path, 42)) == {42}


@pytest.mark.parametrize("computed", [None, 0])
def test_a_kernel_that_keeps_no_account_is_told(tmp_path, threads, computed):
    if computed is not None:
        threads(42, "python", computed, 0)
    times = _threads.thread_times(tmp_path, 42)
    found = _threads.span(times, times, seconds=1.0, main=42)
    assert isinstance(found, Unavailable)
    assert "CONFIG_SCHED_INFO" in found.remedy


def test_the_calling_thread_s_account_is_exact_to_the_moment():
    me = threading.get_native_id()
    before = time.thread_time()
    times = _threads.thread_times()
    after = time.thread_time()
    if not times.get(me, ThreadTime(name="", cpu_seconds=0.0, queued_seconds=0.0)).cpu_seconds:
        pytest.skip("this kernel keeps no account of threads")
    assert before <= times[me].cpu_seconds <= after
