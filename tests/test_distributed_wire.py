"""The byte model of gloo and the TCPStore, against gloo's loops written out and against real ranks' sockets."""

import importlib.util
import json
import math
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energybench.workloads.distributed import wire
from energybench.workloads.distributed.wire import Asked, Sent

FAKES = Path(__file__).parent / "fakes"
STEPS = 2
SMALL = [(1024, 64), (1024,), (10, 1024), (10,)]
SEVERAL = [(700, 64), (700,), (600, 700), (600,), (500, 600), (500,), (10, 500), (10,)]
CONVOLUTION = [(20, 1, 3, 3), (20,), (64, 720), (64,)]
NARROW = [(2, 64), (2,)]


def written_out(size, nodes, rank, element=4):
    """The two loops of gloo's ring, one segment after the other: payload and messages of a rank."""
    most = element * max(1, (1 << 20) // element)
    own = math.ceil(max(math.ceil(size / most), 2 * nodes) / nodes)
    count = own * nodes
    length = element * math.ceil(size / count / element)
    lengths = [
        min(length, size - (start * own + i) * length % (count * length))
        for start in (rank + 1, rank)
        for i in range(count - own)
    ]
    kept = [part for part in lengths if part > 0]
    return sum(kept), len(kept)


def test_a_preamble_goes_before_a_message_before_its_announcement_and_back_for_each_received():
    assert Sent(payload=100, messages=3, received=2).tcp_bytes == 100 + 48 * 8


def test_what_is_sent_adds_up_and_scales():
    one = Sent(payload=10, messages=2, received=1)
    assert one + one * 2 == 3 * one == wire.total([one] * 3) == Sent(payload=30, messages=6, received=3)


def test_a_ring_of_four_sends_twelve_messages_and_a_half_more_than_the_tensor():
    sent = wire.all_reduce(340_008, 4, 1)
    assert (sent.messages, sent.received, sent.payload) == (12, 12, 510_000)


@pytest.mark.parametrize(("nodes", "most"), [(2, 340_584), (4, 511_752)])
def test_an_all_reduce_of_85_002_floats_puts_the_published_bytes_on_tcp(nodes, most):
    assert max(wire.all_reduce(340_008, nodes, rank).tcp_bytes for rank in range(nodes)) == most


def test_digits_in_sync_send_57_660_bytes_a_step_and_node():
    parameters = 64 * 128 + 128 + 128 * 10 + 10
    sent = wire.total(wire.all_reduce(4 * parameters, 4, rank) for rank in range(4))
    assert sent.payload == 4 * 57_660


@given(
    elements=st.integers(0, 3_000_000), nodes=st.integers(1, 40), element=st.sampled_from([1, 2, 4, 8]), data=st.data()
)
def test_the_closed_form_of_the_ring_is_gloo_s_loop(elements, nodes, element, data):
    size, rank = elements * element, data.draw(st.integers(0, nodes - 1))
    expected = (0, 0) if nodes == 1 or size == 0 else written_out(size, nodes, rank, element)
    sent = wire.all_reduce(size, nodes, rank, element)
    assert (sent.payload, sent.messages) == expected
    assert sent.received == wire.all_reduce(size, nodes, (rank + 1) % nodes, element).messages


@given(elements=st.integers(1, 10**8), nodes=st.integers(1, 300))
def test_all_ranks_of_a_ring_send_the_tensor_twice_each_but_one(elements, nodes):
    assert wire.total(wire.all_reduce(4 * elements, nodes, r) for r in range(nodes)).payload == 8 * elements * (
        nodes - 1
    )


def test_ten_thousand_nodes_are_counted_as_two_are():
    sent = wire.all_reduce(4 * 10**9, 10_000, 9_999)
    assert sent.payload == pytest.approx(8 * 10**9, rel=1e-3)
    assert wire.all_gather(32, 10_000, 0) == Sent(payload=319_968, messages=19_998, received=19_998)


@pytest.mark.parametrize("call", [wire.all_reduce, wire.all_gather, wire.star, wire.gather, wire.broadcast])
def test_a_single_node_sends_nothing(call):
    assert call(1000, 1, 0) == Sent()
    assert wire.barrier(1, 0) == Sent()


def test_a_rank_outside_the_ring_is_refused():
    with pytest.raises(ValueError, match="rank 4 is not among 4 nodes: give one from 0 to 3"):
        wire.all_reduce(4, 4, 4)


@given(nodes=st.integers(1, 200), data=st.data())
def test_a_broadcast_reaches_every_rank_once(nodes, data):
    root = data.draw(st.integers(0, nodes - 1))
    ranks = [wire.broadcast(7, nodes, rank, root) for rank in range(nodes)]
    assert [sent.received for sent in ranks] == [int(rank != root) for rank in range(nodes)]
    assert wire.total(ranks).messages == nodes - 1


def test_the_star_s_server_sends_a_tensor_to_each_worker():
    assert wire.star(340_008, 4, 0).tcp_bytes == 3 * (340_008 + 3 * 48)
    assert wire.star(340_008, 4, 3).tcp_bytes == 340_008 + 3 * 48


def test_power_sgd_sums_the_biases_then_all_left_then_all_right_factors():
    assert wire.power_sgd(SMALL, 2) == [4 * 1034, 4 * 2 * 1034, 4 * 2 * (64 + 1024)]


def test_power_sgd_sends_a_matrix_whole_that_it_would_not_make_twice_smaller():
    assert wire.power_sgd([(4, 4)], 1) == [64, 0, 0]
    assert wire.power_sgd([(4, 4)], 1, min_compression_rate=1.9) == [0, 16, 16]


def test_a_bucket_closes_when_it_has_a_mebibyte_and_the_next_ones_at_25():
    assert wire.buckets([1 << 20, 4, 25 << 20, 8]) == [1 << 20, (25 << 20) + 4, 8]


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """Bytes that real ranks sent: {nodes: [{case: bytes} of rank 0, …]}."""
    pytest.importorskip("torch")
    folder = tmp_path_factory.mktemp("ranks")
    counts = (2, 3, 4, 5, 8)
    environment = {**os.environ, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    script = str(FAKES / "gloo_ranks.py")
    done = subprocess.run(
        [sys.executable, script, str(folder), *map(str, counts)], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return {
        nodes: [json.loads((folder / f"{nodes}-{rank}.json").read_text()) for rank in range(nodes)] for nodes in counts
    }


def modelled(nodes, rank):
    """What one step of each case sends; cases as in tests/fakes/gloo_ranks.py."""

    def reduced(sizes, element=4):
        return wire.total(wire.all_reduce(size, nodes, rank, element) for size in sizes)

    def power(shapes):
        return reduced(wire.power_sgd(reversed(shapes), 2))

    for size in (4, 12, 44, 1000, 4100, 307_240, 340_008, *([9_000_004] if nodes <= 4 else [])):
        yield f"all_reduce {size}", reduced([size])
    for size in (2, 6, 1002, 170_006):
        yield f"all_reduce half {size}", reduced([size], 2)
    yield "all_reduce async", reduced([4_000_004])
    yield "all_reduce byte", reduced([1_500_001], 1)
    yield "all_reduce empty", Sent()
    yield "all_reduce own group", reduced([4000])
    for size in (1, 2, 7, 32, 321, 100_001):
        yield f"all_gather {size}", wire.all_gather(size, nodes, rank)
    yield "all_gather list", wire.all_gather(321, nodes, rank)
    yield "all_gather async", wire.all_gather(321, nodes, rank)
    yield "send", {0: wire.send(100_012), 1: wire.receive()}.get(rank, Sent())
    yield "star", wire.star(340_008, nodes, rank)
    yield "broadcast", wire.broadcast(40_004, nodes, rank)
    yield "broadcast from the last", wire.broadcast(40_004, nodes, rank, root=nodes - 1)
    yield "gather", wire.gather(321, nodes, rank, root=1)
    yield "barrier", wire.barrier(nodes, rank)
    parameters = 4 * sum(map(math.prod, SMALL))
    yield "local sgd", reduced([parameters])
    yield "ddp small", reduced([parameters])
    yield "ddp several buckets", reduced(wire.buckets([4 * math.prod(shape) for shape in reversed(SEVERAL)]))
    yield "ddp fp16", reduced([parameters // 2], 2)
    yield "power small", power(SMALL)
    yield "power convolution", power(CONVOLUTION)
    yield "power narrow", power(NARROW)


@pytest.mark.parametrize("nodes", [2, 3, 4, 5, 8])
def test_real_ranks_send_what_the_model_says_to_the_last_byte(measured, nodes):
    residuals = {}
    for rank, seen in enumerate(measured[nodes]):
        expected = {name: STEPS * sent.tcp_bytes for name, sent in modelled(nodes, rank)}
        assert seen.keys() - {"buckets"} == expected.keys()
        residuals |= {(name, rank): seen[name] - value for name, value in expected.items() if seen[name] != value}
    assert residuals == {}


def test_real_buckets_are_those_of_the_model(measured):
    assert measured[2][0]["buckets"] == wire.buckets([4 * math.prod(shape) for shape in reversed(SEVERAL)])


@pytest.fixture
def mailbox():
    """A TCPStore of this process, a client of it, and what the client sent and got in one call."""
    dist = pytest.importorskip("torch.distributed")
    spec = importlib.util.spec_from_file_location("tcp_bytes", FAKES / "tcp_bytes.py")
    reader = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reader)
    wait = {"wait_for_workers": False, "timeout": timedelta(seconds=20)}
    server = dist.TCPStore("127.0.0.1", 0, is_master=True, **wait)
    client = dist.TCPStore("127.0.0.1", server.port, is_master=False, **wait)
    assert client.libuvBackend

    def asked(call):
        sent, received = reader.sent_and_received(server.port)
        call(client)
        after = reader.sent_and_received(server.port)
        return Asked(sent=after[0] - sent, received=after[1] - received)

    return asked


@pytest.mark.parametrize("size", [0, 1, 100, 1440, 100_003])
def test_the_store_takes_and_gives_a_value_in_the_bytes_of_its_protocol(mailbox, size):
    assert mailbox(lambda store: store.set("outputs/3", bytes(size))) == wire.store_set("outputs/3", size)
    assert mailbox(lambda store: store.get("outputs/3")) == wire.store_get("outputs/3", size)
    assert mailbox(lambda store: store.check(["outputs/3", "none"])) == wire.store_check(["outputs/3", "none"])


def test_a_check_and_a_get_of_one_byte_cost_the_client_67_bytes_and_11_back():
    assert wire.store_check(["message"]) + wire.store_get("message", 1) == Asked(sent=67, received=11)


def test_many_values_come_in_one_question(mailbox):
    mailbox(lambda store: store.set("a", bytes(5)))
    mailbox(lambda store: store.set("bcd", bytes(7)))
    assert mailbox(lambda store: store.multi_get(["a", "bcd"])) == wire.store_multi_get(["a", "bcd"], [5, 7])


def test_a_prefix_store_s_key_is_longer_by_its_prefix_and_a_slash(mailbox):
    dist = pytest.importorskip("torch.distributed")
    sent = mailbox(lambda store: dist.PrefixStore("group", store).set("a", bytes(5)))
    assert sent == wire.store_set("group/a", 5)
