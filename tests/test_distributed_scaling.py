"""Links, frames and joules on them, and the modelled step on 1 to 10,000 nodes."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energybench.workloads.distributed import links as linked
from energybench.workloads.distributed import wire
from energybench.workloads.distributed.links import links, named, shaped, wire_bytes, wire_joules
from energybench.workloads.distributed.scaling import (
    NODES,
    STRATEGIES,
    Range,
    Setting,
    curve,
    exchange,
    point,
)

WEIGHTS = 307_240
FAST = links()["ethernet-1g"]
SETTING = Setting(
    compute_seconds=0.004,
    extra_seconds=0.002,
    batch=32,
    size=WEIGHTS,
    outputs=320,
    message_seconds=2e-4,
    byte_seconds=4e-9,
    cores=2,
    static_watts=Range(value=30.0, low=20.0, high=50.0),
    joules_per_cpu_second=Range(value=8.0, low=6.0, high=10.0),
)


def writes(sent: wire.Sent) -> int:
    return 2 * sent.messages + sent.received


def test_the_links_that_were_asked_for_are_there():
    assert list(links()) == [
        "loopback", "ethernet-100m", "ethernet-1g", "ethernet-10g", "ethernet-100g", "ethernet-400g", "nvlink"
    ]  # fmt: skip
    assert named("ethernet-400g").bits_per_second == 4e11


def test_a_link_that_is_not_there_is_refused_with_those_that_are():
    with pytest.raises(ValueError, match="no link 'ether': take one of loopback, ethernet-100m"):
        named("ether")


def test_every_constant_lies_in_its_range_and_says_where_it_is_from():
    constants = [*linked.parts().values()]
    for link in links().values():
        constants += [one for one in (link.latency_seconds, link.end_watts, link.switch_watts) if one is not None]
    for one in constants:
        assert 0 < one.low <= one.value <= one.high
        assert len(one.source) > 20
        assert set(one.read) == {"value", "low", "high"}
        assert set(one.read.values()) <= {"primary", "secondary", "measured", "recalled", "assumed"}


def test_joules_a_bit_of_a_part_are_of_the_device_or_of_the_path():
    assert {name: part.level for name, part in linked.parts().items()}["gpu-dram-to-l2"] == "path"
    assert {part.level for part in linked.parts().values()} == {"device", "path"}


def test_an_optical_end_of_9_watts_takes_22_pj_for_a_bit_at_full_rate():
    low, value, high = linked.joules_per_bit(named("ethernet-400g")) or ()
    assert (low / 2, value / 2, high / 2) == pytest.approx((20e-12, 22.5e-12, 30e-12))


def test_a_full_frame_carries_1448_bytes_behind_66_of_headers():
    assert wire_bytes(1448 * 99, 1, 1500, acknowledgements=0) == 1448 * 99 + 100 * 66
    assert named("ethernet-1g").goodput == pytest.approx(1448 / 1538)
    assert shaped(named("ethernet-100m")).goodput == pytest.approx(0.9564, abs=1e-4)


def test_small_messages_are_mostly_framing():
    small = wire.all_gather(32, 4, 0)
    assert small.tcp_bytes == 960
    assert wire_bytes(small.tcp_bytes, writes(small), 1500) == pytest.approx(2450, rel=0.05)


def test_the_wire_carries_3_to_8_per_cent_more_than_tcp_in_a_ring():
    sent = wire.all_reduce(WEIGHTS, 4, 0)
    assert 1.03 <= wire_bytes(sent.tcp_bytes, writes(sent), 1500) / sent.tcp_bytes <= 1.08


def test_nothing_sent_is_nothing_on_the_wire():
    assert wire_bytes(0, 0, 1500) == 0


@pytest.mark.parametrize("name", [name for name in links() if name != "loopback"])
@given(sent=st.floats(0, 1e12), seconds=st.floats(0, 1e4))
def test_joules_of_a_wire_lie_between_their_low_and_high(name: str, sent: float, seconds: float):
    low, value, high = wire_joules(named(name), sent, seconds) or ()
    assert 0 <= low <= value <= high


def test_low_joules_are_of_the_bits_and_high_ones_of_the_time():
    low, value, high = wire_joules(named("ethernet-1g"), 1e6, 2.0) or ()
    assert low == pytest.approx(2 * 0.3 * 8e-3)
    assert value == pytest.approx(2 * 0.5 * 2)
    assert high == pytest.approx((2 * 0.7 + 2.3) * 2)


def test_a_loopback_has_no_wire_and_no_joules_of_one():
    assert wire_joules(named("loopback"), 1e6, 2.0) is None
    assert linked.joules_per_bit(named("loopback")) is None
    assert "wire" not in point("sync", 4, named("loopback"), SETTING)["terms"]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_one_node_alone_computes_and_sends_nothing(strategy: str):
    found = point(strategy, 1, FAST, SETTING)
    assert found["seconds"] == 0.004
    assert [found[f"{kind}_bytes"] for kind in ("payload", "tcp", "wire")] == [0, 0, 0]
    assert list(found["terms"]) == ["compute"]


def test_a_ring_lasts_as_long_as_its_line_is_busy_and_three_latencies():
    link = shaped(named("ethernet-100m"))
    free = replace(SETTING, message_seconds=0.0, byte_seconds=0.0)
    sent = wire.all_reduce(WEIGHTS, 4, 0)
    line = link.line_seconds(sent.tcp_bytes, writes(sent))
    assert line == pytest.approx(38.2e-3, rel=1e-3)
    assert exchange("sync", 4, link, free).seconds == pytest.approx(line + 3 * 65e-6)


def test_a_ring_of_many_nodes_waits_for_latencies():
    free = replace(SETTING, message_seconds=0.0, byte_seconds=0.0, size=80_000)
    assert exchange("sync", 10_000, FAST, free).seconds > 2 * 9_999 * FAST.latency_seconds.value


def test_small_exchanges_take_the_processor_time_of_all_ranks_and_a_wake_up_a_phase():
    link = shaped(named("ethernet-100m"))
    shared = replace(SETTING, outputs=32, ranks=8, byte_seconds=0.0, wake_seconds=1e-4)
    expected = 14 * 2e-4 * 8 / 2 + 7 * (65e-6 + 1e-4)
    assert exchange("cultural", 8, link, shared).seconds == pytest.approx(expected)
    busy = replace(shared, cores=1.6)  # other work takes the rest
    assert exchange("cultural", 8, link, busy).seconds == pytest.approx(14 * 2e-4 * 5 + 7 * 165e-6)


def test_a_star_is_held_up_by_its_server_and_a_ring_is_not():
    link = named("ethernet-100m")
    star, ring = (exchange(strategy, 8, link, SETTING) for strategy in ("star", "sync"))
    assert star.busiest[0] == 7 * WEIGHTS
    assert star.mean[0] == 14 * WEIGHTS / 8
    assert star.seconds > 5 * ring.seconds


def test_a_star_of_two_takes_a_gradient_each_way():
    link = replace(named("ethernet-100m"), acknowledgements=0.0)
    free = replace(SETTING, message_seconds=0.0, byte_seconds=0.0)
    sent = wire.star(WEIGHTS, 2, 0)
    line = link.line_seconds(sent.tcp_bytes, writes(sent))
    assert exchange("star", 2, link, free).seconds == pytest.approx(2 * line + 2 * link.latency_seconds.value)


def test_fp16_gradients_are_half_the_payload():
    whole, half = (exchange("sync", 4, FAST, replace(SETTING, element=element)).mean[0] for element in (4, 2))
    assert half == whole / 2


def test_local_steps_share_one_exchange():
    sync, local = point("sync", 4, FAST, SETTING), point("local", 4, FAST, SETTING)
    assert local["payload_bytes"] == sync["payload_bytes"] / 10
    assert local["seconds"] - 0.004 == pytest.approx((sync["seconds"] - 0.004) / 10)


def test_cultural_exchange_costs_no_time_while_it_fits_into_a_round():
    assert point("cultural", 8, FAST, SETTING)["seconds"] == pytest.approx(0.006)
    assert point("cultural", 8, FAST, SETTING)["payload_bytes"] == 7 * 320 / 10
    longer = point("cultural", 10_000, FAST, SETTING)
    assert longer["seconds"] == pytest.approx(exchange("cultural", 10_000, FAST, SETTING).seconds / 10)


def test_a_core_that_also_talks_computes_more_slowly():
    alone = replace(SETTING, cores=1)
    talking = exchange("cultural", 8, FAST, alone).cpu_seconds / 10
    assert point("cultural", 8, FAST, alone)["seconds"] == pytest.approx(0.006 + talking)


def test_ranks_that_share_cores_take_turns():
    shared = replace(SETTING, ranks=8)
    assert [point("isolated", nodes, FAST, shared)["seconds"] for nodes in (1, 2, 4, 8, 16)] == pytest.approx(
        [0.004, 0.004, 0.008, 0.016, 0.016]
    )


def test_terms_add_up_to_the_joules_of_a_step_and_these_over_the_batch_are_of_a_sample():
    found = point("sync", 8, FAST, SETTING)
    assert list(found["terms"]) == ["compute", "communication CPU", "waiting", "wire"]
    for end in ("joules", "low", "high"):
        assert sum(term[end] for term in found["terms"].values()) == pytest.approx(found[end])
    assert found["terms"]["compute"]["joules"] == pytest.approx(0.004 * (8 + 30))
    assert found["terms"]["waiting"]["joules"] == pytest.approx(30 * (found["seconds"] - 0.004))
    assert found["joules_per_sample"]["value"] == pytest.approx(found["joules"] / 32)


def test_joules_are_absent_where_nobody_knows_the_watts():
    found = point("sync", 8, FAST, replace(SETTING, static_watts=None))
    assert not {"joules", "low", "high", "terms", "joules_per_sample"} & set(found)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_curve_is_plain_and_says_that_it_is_modelled(strategy: str):
    found = curve(strategy, FAST, SETTING)
    assert found == json.loads(json.dumps(found))
    assert found["provenance"] == "modelled"
    assert [one["nodes"] for one in found["points"]] == list(NODES)
    assert found["link"]["name"] == "ethernet-1g"
    assert "stragglers" in found["assumed"]["left_out"]
    for one in found["points"]:
        assert one["low"] <= one["joules"] <= one["high"]


@given(nodes=st.integers(2, 300), size=st.integers(1, 10**6), every=st.integers(1, 100))
def test_a_step_is_never_shorter_than_its_computing(nodes: int, size: int, every: int):
    setting = replace(SETTING, size=4 * size, outputs=size, every=every)
    for strategy in STRATEGIES:
        found = point(strategy, nodes, FAST, setting)
        assert found["seconds"] >= 0.004
        assert found["payload_bytes"] <= found["tcp_bytes"] <= found["wire_bytes"]
        assert found["busiest"]["wire_bytes"] >= found["wire_bytes"] * (1 - 1e-12)


def test_a_strategy_without_a_model_is_refused():
    with pytest.raises(ValueError, match="no model of 'gossip': take one of isolated, sync"):
        point("gossip", 4, FAST, SETTING)
