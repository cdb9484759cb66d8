"""Trainings whose nodes are network namespaces: their bytes to the last one, and what an interface makes of them.

Where no namespaces can be made these are skipped with the reason; ENERGYBENCH_NAMESPACES=required has them fail.
"""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from energybench.workloads.distributed.train import STRATEGIES

FAKES = Path(__file__).parent / "fakes"


def load_fake(name):
    """A module of tests/fakes; `tests` is no package."""
    full = f"energybench_fakes_{name}"
    spec = importlib.util.spec_from_file_location(full, FAKES / f"{name}.py")
    module = sys.modules[full] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


netlab = load_fake("netlab")
STEPS = 20
SENDING = [name for name in STRATEGIES if name not in ("isolated", "own-outputs")]
CASES = [(nodes, strategy, "gather") for nodes in (2, 4) for strategy in STRATEGIES] + [(2, "cultural", "mailbox")]


@pytest.fixture(scope="module", autouse=True)
def _namespaces():
    reason = netlab.why_not()
    if reason and os.environ.get("ENERGYBENCH_NAMESPACES") == "required":
        pytest.fail(f"{reason}, and ENERGYBENCH_NAMESPACES=required")
    if reason:
        pytest.skip(reason)


@pytest.fixture(scope="module")
def trained():
    """By nodes, strategy and carrier: a training of 76,810 weights a node."""
    asked = [
        {"nodes": nodes, "strategy": strategy, "carrier": carrier, "steps": STEPS, "hidden": 1024}
        for nodes, strategy, carrier in CASES
    ]
    with netlab.lab(4) as net:
        command = [*net.at_leader, sys.executable, str(FAKES / "trainings.py"), json.dumps(asked)]
        done = subprocess.run(command, env=net.environment, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return dict(zip(CASES, map(json.loads, done.stdout.splitlines()), strict=True))


@pytest.mark.parametrize(("nodes", "strategy", "carrier"), CASES)
def test_every_node_sends_what_the_model_says_to_a_byte_a_step(trained, nodes, strategy, carrier):
    told = trained[nodes, strategy, carrier]["nodes"]
    assert [one["rank"] for one in told] == list(range(nodes))
    for one in told:
        assert 0 <= one["measured_minus_model_per_step"] <= 1


@pytest.mark.parametrize(("nodes", "strategy", "carrier"), [case for case in CASES if case[1] in SENDING])
def test_the_bytes_of_a_step_are_those_of_each_node_s_own_interface(trained, nodes, strategy, carrier):
    found = trained[nodes, strategy, carrier]
    steps = found["nodes"][0]["step"]
    for kind in ("tcp_bytes", "wire_bytes"):
        of_nodes = [one[kind] for one in found["nodes"]]
        assert found["results"][f"{kind}_per_step"] == pytest.approx(sum(of_nodes) / nodes / steps)
    assert all(one["wire_bytes"] > one["tcp_bytes"] > 0 for one in found["nodes"])


@pytest.mark.parametrize("nodes", [2, 4])
def test_headers_add_3_to_8_percent_to_a_gradient(trained, nodes):
    results = trained[nodes, "sync", "gather"]["results"]
    assert 1.03 <= results["wire_bytes_per_step"] / results["tcp_bytes_per_step"] <= 1.08


def test_nodes_of_a_mailbox_hear_each_other_across_namespaces(trained):
    found = trained[2, "cultural", "mailbox"]
    assert [one["refused"] for one in found["nodes"]] == [[], []]
    assert found["results"]["payload_bytes_per_step"] == 32  # a byte a sample


RECEIVER = """
    import socket, sys, time
    server = socket.create_server((sys.argv[1], 5000))
    print("ready", flush=True)
    stream, left = server.accept()[0], int(sys.argv[2])
    first = len(stream.recv(1 << 16))
    begin = time.perf_counter()
    left -= first
    size = left
    while left:
        left -= len(stream.recv(1 << 16))
    print(8 * size / (time.perf_counter() - begin))
"""
SENDER = """
    import socket, sys
    with socket.socket() as stream:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
        stream.connect((sys.argv[1], 5000))
        stream.sendall(bytes(int(sys.argv[2])))
"""


def test_a_shaped_cable_carries_its_rate_less_headers():
    rate, size = 20e6, 2_000_000
    arguments = [netlab.address(1), str(size)]
    with netlab.lab(2, rate=rate) as net:
        receiver, sender = (
            [*netlab.at(net.node(number)), sys.executable, "-c", textwrap.dedent(text), *arguments]
            for number, text in ((1, RECEIVER), (0, SENDER))
        )
        with subprocess.Popen(receiver, stdout=subprocess.PIPE, text=True) as hearing:
            try:
                assert hearing.stdout.readline() == "ready\n"
                subprocess.run(sender, check=True, timeout=30)
                seen = float(hearing.stdout.readline())
            finally:
                hearing.kill()
    # 1,448 of the 1,514 bytes of a frame are the program's: 95.6 %.
    assert 0.94 <= seen / rate <= 0.97


KILLED = """
    import importlib.util, sys, time
    spec = importlib.util.spec_from_file_location("netlab", sys.argv[1])
    netlab = sys.modules["netlab"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(netlab)
    with netlab.lab(1) as net:
        print(net.prefix, flush=True)
        time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_namespaces_are_gone_however_their_maker_ends(number):
    command = [sys.executable, "-c", textwrap.dedent(KILLED), str(FAKES / "netlab.py")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as maker:
        prefix = maker.stdout.readline().strip()
        assert prefix in namespaces()
        maker.send_signal(number)
        maker.stdout.read()  # its remover has the other end until it is done
    assert prefix not in namespaces()


def namespaces():
    return subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout


def test_ranks_that_two_hosts_were_given_meet_and_count_their_own_interface(tmp_path):
    words = ["run", "dist-train", "--strategy", "sync", "--quick", "--seconds", "0.2", "--windows", "2", "--json"]
    with netlab.lab(2) as net:
        ranks = []
        for rank in range(2):
            place = {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": netlab.address(0), "MASTER_PORT": "29511"}
            own = {"ENERGYBENCH_LOCK": str(tmp_path / f"lock-{rank}"), "ENERGYBENCH_RECORDS": str(tmp_path / "records")}
            environment = {**os.environ, **place, **own, "GLOO_SOCKET_IFNAME": netlab.INTERFACE, "OMP_NUM_THREADS": "1"}
            command = [*netlab.at(net.node(rank)), sys.executable, "-m", "energybench", *words]
            process = subprocess.Popen(
                command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            ranks.append(process)
        answers = [rank.communicate(timeout=200) for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0], answers
    (record,) = json.loads(answers[0][0])["records"]
    found = {name: one["value"] for name, one in record["results"].items()}
    # 9,610 weights of 4 bytes; the rest are gloo's preambles
    assert found["payload_bytes_per_step"] == 38440
    assert found["tcp_bytes_per_step"] == 39016
    # headers of Ethernet, IP and TCP; a loopback has segments of 64 KiB instead
    assert 1.03 < found["wire_bytes_per_step"] / found["tcp_bytes_per_step"] < 1.2
