"""`dist-train` on real processes: what strategies do to weights and bytes, what a record says, what is refused."""

import os
import signal
import statistics
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from energybench import matrix
from energybench.distributed import gangs
from energybench.model import Parameter
from energybench.workloads.distributed import codecs, scaling, strategies
from energybench.workloads.distributed._recipe import recipe
from energybench.workloads.distributed.train import CODECS, STRATEGIES, workload

SHORT: dict[str, Any] = {"nodes": 2, "steps": 40, "hidden": 32, "timeout": 30.0}


@pytest.fixture(scope="module")
def held() -> Iterator[None]:
    """A task that is held open, so that all others of two nodes share its processes."""
    task = workload.prepare(SHORT, seed=0, quick=True)
    yield
    task.close()


def trained(held: None, seed: int = 0, **more: Any) -> tuple[dict[str, float], dict[str, Any]]:
    task = workload.prepare(SHORT | more, seed=seed, quick=True)
    try:
        task.step()
        return dict(task.evaluate()), dict(task.details())
    finally:
        task.close()


def nodes_of(details: dict[str, Any]) -> list[dict[str, Any]]:
    return details["distributed"]["nodes"]


# Payload of a step and node with 2 nodes and 2,410 parameters (64-32-10), 32 samples a step, every 10 steps.
PAYLOAD = {
    "isolated": 0,
    "own-outputs": 0,
    "sync": 9640,
    "star": 9640,
    "local": 964,
    "cultural": 32,
    "distilled": 600 * 40 / 80,
}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_byte_of_a_strategy_is_that_of_the_model_and_its_payload_is_known(held: None, strategy: str):
    found, details = trained(held, strategy=strategy)
    assert [one["measured_minus_model_per_step"] for one in nodes_of(details)] == [0.0, 0.0]
    assert found["payload_bytes_per_step"] == PAYLOAD[strategy]
    assert found["tcp_bytes_per_step"] >= found["payload_bytes_per_step"]


@pytest.mark.parametrize("compression", ["fp16", "powersgd"])
def test_compressed_gradients_send_what_the_model_says(held: None, compression: str):
    found, details = trained(held, strategy="sync", compression=compression)
    assert [one["measured_minus_model_per_step"] for one in nodes_of(details)] == [0.0, 0.0]
    assert 0 < found["payload_bytes_per_step"] <= 4820


@pytest.mark.parametrize("compression", ["none", "powersgd"])
def test_gradients_of_several_buckets_send_what_the_model_says(held: None, compression: str):
    _, details = trained(held, strategy="sync", compression=compression, hidden=8192, steps=10)
    assert [one["measured_minus_model_per_step"] for one in nodes_of(details)] == [0.0, 0.0]


@pytest.mark.parametrize("codec", CODECS)
def test_a_codec_sends_as_many_bytes_as_it_says(held: None, codec: str):
    found, details = trained(held, codec=codec)
    width = 32 if codec == "representation" else 10
    assert found["payload_bytes_per_step"] == codecs.CODECS[codec].bytes(320, width) / 10
    assert [one["measured_minus_model_per_step"] for one in nodes_of(details)] == [0.0, 0.0]


def test_synchronized_sgd_and_the_star_are_the_same_training(held: None):
    sync, star = trained(held, strategy="sync")[0], trained(held, strategy="star")[0]
    assert sync["accuracy"] == sync["accuracy_worst"] == sync["accuracy_ensemble"]
    assert star["accuracy"] == pytest.approx(sync["accuracy"], abs=2 / 593)


def test_local_sgd_of_one_step_is_close_to_synchronized_sgd(held: None):
    sync, local = trained(held, strategy="sync")[0], trained(held, strategy="local", every=1)[0]
    assert local["accuracy"] == local["accuracy_worst"]
    assert local["accuracy"] == pytest.approx(sync["accuracy"], abs=0.03)


def test_nodes_that_hear_each_other_agree_more_than_those_that_do_not(held: None):
    apart = trained(held, strategy="isolated", steps=200)[1]["distributed"]["disagreement"]
    together = trained(held, strategy="cultural", steps=200)[1]["distributed"]["disagreement"]
    assert together < apart


def test_isolated_nodes_are_judged_each_and_together(held: None):
    found, details = trained(held, strategy="isolated", steps=200)
    each = [one["accuracy"] for one in nodes_of(details)]
    assert found["accuracy"] == pytest.approx(statistics.fmean(each))
    assert found["accuracy_worst"] == min(each)


def test_only_the_student_of_a_distillation_is_judged(held: None):
    found, details = trained(held, strategy="distilled")
    assert "accuracy_worst" not in found
    assert ["accuracy" in one for one in nodes_of(details)] == [True, False]
    assert [one["step"] for one in nodes_of(details)] == [80, 80]


def test_the_same_seed_gives_the_same_training_and_another_another(held: None):
    first, again = (trained(held, strategy="sync", seed=3)[0]["accuracy"] for _ in range(2))
    assert first == again
    assert trained(held, strategy="isolated", seed=3)[1] != trained(held, strategy="isolated", seed=4)[1]


def test_windows_hold_the_bytes_of_all_nodes_and_where_their_time_went(held: None):
    from energybench.distributed import readers

    task = workload.prepare(SHORT | {"strategy": "local"}, seed=0, quick=True)
    try:
        task.step()
        task.open_windows()
        for _ in range(3):
            task.step()
        parts = task.close_windows()
    finally:
        task.close()
    own = {"seconds": 1.0, "domains": {}, "traffic": {}, "flags": []}
    found = readers.merged(own, parts, leader=task.host, nodes=2)
    assert found["traffic"]["payload_bytes"] == 2 * 3 * 9640
    assert found["traffic"]["tcp_bytes"] == sum(part.values["model_bytes"] for part in parts)
    assert found["flags"] == ["machine-wide", "loopback"]
    assert found["communication"]["nodes"] == 2
    assert 0 < found["communication"]["communication_cpu_seconds"] < found["communication"]["cpu_seconds"]


def test_what_every_node_computes_is_counted(held: None):
    counts = []
    for strategy in ("isolated", "cultural"):
        task = workload.prepare(SHORT | {"strategy": strategy}, seed=0, quick=True)
        task.step()
        counts.append(task.counts())
        task.close()
    isolated, cultural = counts
    assert [one["flops"] for one in isolated] == [isolated[0]["flops"]] * 2
    # Forward and backward of 32 samples, less the gradient of the inputs, ten times.
    assert isolated[0]["operations"]["fp32.mul"] >= 10 * 32 * (2 * 64 * 32 + 3 * 32 * 10)
    assert all(more["flops"] > less["flops"] for more, less in zip(cultural, isolated, strict=True))


def test_a_learner_begins_anew_and_goes_round_by_round(held: None):
    task = workload.prepare(SHORT | {"strategy": "sync"}, seed=0, quick=True)
    try:
        learner = task.learner(5)
        assert learner.passes == 4
        begin = learner.accuracy()
        assert [learner.learn() for _ in range(4)] == [2 * 32 * 10] * 4
        assert learner.accuracy() > begin
        assert task.learner(5).accuracy() == begin
    finally:
        task.close()


def test_a_record_has_a_modelled_curve_where_there_is_a_model_of_the_strategy(held: None):
    curves = {name: trained(held, strategy=name)[1].get("scaling") for name in ("sync", "distilled")}
    assert curves["distilled"] is None
    assert curves["sync"]["provenance"] == "modelled"
    assert [point["nodes"] for point in curves["sync"]["points"]] == list(scaling.NODES)
    assert curves["sync"]["points"][1]["payload_bytes"] == 9640


def test_one_node_alone_sends_nothing():
    task = workload.prepare(SHORT | {"nodes": 1, "strategy": "sync"}, seed=0, quick=True)
    try:
        found = dict(task.evaluate())
        told = dict(task.details())
    finally:
        task.close()
    assert found["tcp_bytes_per_step"] == 0
    assert "accuracy_worst" not in found
    assert "scaling" not in told  # without a message nobody knows what one costs


def test_a_mailbox_counts_what_its_store_sends_beside_what_nodes_send():
    task = workload.prepare(SHORT | {"carrier": "mailbox"}, seed=0, quick=True)
    try:
        found, nodes = dict(task.evaluate()), nodes_of(dict(task.details()))
    finally:
        task.close()
    assert [one["measured_minus_model_per_step"] for one in nodes] == [0.0, 0.0]
    assert [one["received_minus_model_per_step"] for one in nodes] == [0.0, 0.0]
    assert found["payload_bytes_per_step"] == 32
    assert found["store_tcp_bytes_per_step"] > 0


def test_a_distillations_windows_claim_no_bytes_for_they_hold_no_exchange(held: None):
    task = workload.prepare(SHORT | {"strategy": "distilled"}, seed=0, quick=True)
    try:
        task.open_windows()
        task.step()
        assert [dict(part.values["traffic"]) for part in task.close_windows()] == [{}, {}]
    finally:
        task.close()


def test_an_interrupted_training_is_broken_off_and_leaves_no_process():
    task = workload.prepare(SHORT | {"steps": 10_000_000, "strategy": "sync"} | {"nodes": 3}, seed=0, quick=True)
    ranks = [one.pid for one in gangs.take(task._plan).ranks]
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            task.evaluate()
    finally:
        timer.join()
        signal.signal(signal.SIGINT, before)
        task.close()
    assert not any(Path(f"/proc/{pid}/cmdline").exists() for pid in ranks)


def test_an_mlp_and_a_convolutional_network_teach_each_other(held: None):
    found, details = trained(held, net="mlp+conv", steps=100)
    assert [one["net"] for one in nodes_of(details)] == ["mlp", "conv"]
    assert nodes_of(details)[0]["parameters"] != nodes_of(details)[1]["parameters"]
    assert found["payload_bytes_per_step"] == 32


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"net": "mlp+conv", "strategy": "sync"}, "share weights"),
        ({"net": "resnet"}, "there is no 'resnet'"),
        ({"compression": "fp16"}, "of sync alone"),
        ({"carrier": "mailbox", "strategy": "star"}, "only cultural"),
        ({"steps": 45}, "no multiple of every=10"),
        ({"skew": 0.3, "shards": "same"}, "every node then has the same labels"),
        ({"labels": 700}, "give fewer nodes, labels or shared inputs"),
        ({"nodes": 0}, "it is 1 or more"),
        ({"link": "carrier-pigeon"}, "there is no link"),
        ({"learning_rate": 0.0}, "above 0"),
        ({"timeout": 0.0}, "above 0"),
        ({"checkpoint": -5}, "or 0 for none"),
        ({"restarts": -1}, "it is 0 or more"),
    ],
)
def test_parameters_that_do_not_fit_are_refused_before_anything_starts(given: dict[str, Any], said: str):
    with pytest.raises(ValueError, match=said):
        workload.prepare(SHORT | given, seed=0, quick=True)


def test_a_training_that_diverges_says_so_and_names_the_rank(held: None):
    task = workload.prepare(SHORT | {"strategy": "isolated", "learning_rate": 1e6}, seed=0, quick=True)
    try:
        with pytest.raises(ValueError, match=r"rank \d: the loss is not finite after \d+ steps; lower learning_rate"):
            task.evaluate()
    finally:
        task.close()


def test_labels_are_shared_out_evenly_or_by_a_dirichlet_draw():
    from energybench.workloads.distributed import shards

    even = [shards.load(recipe(SHORT | {"strategy": "isolated"}), rank, seed=1) for rank in range(2)]
    skewed = [shards.load(recipe(SHORT | {"strategy": "isolated", "skew": 0.1}), rank, seed=1) for rank in range(2)]
    same = [shards.load(recipe(SHORT | {"strategy": "isolated", "same_shard": True}), rank, seed=1) for rank in (0, 1)]
    assert not (even[0].inputs[:, None] == even[1].inputs[None]).all(2).any()
    assert (even[0].shared == even[1].shared).all()
    assert (same[0].inputs == same[1].inputs).all()
    largest = [max(one.labels.bincount(minlength=10)) for one in (*even, *skewed)]
    assert min(largest[2:]) > max(largest[:2])


def test_strategies_and_codecs_are_offered_by_the_names_of_their_files():
    assert sorted(STRATEGIES) == strategies.names()
    assert sorted(CODECS) == sorted(codecs.CODECS)


def test_run_compares_what_the_workload_offers_and_gives_way_to_what_is_asked():
    points = matrix.expand(workload, {})
    assert [(one["nodes"], one["strategy"]) for one in points] == [
        (nodes, name) for nodes in (2, 4) for name in ("isolated", "star", "sync", "local", "cultural")
    ]
    assert len(matrix.expand(workload, {"nodes": ["8"]})) == 5
    assert [one["nodes"] for one in matrix.expand(workload, {"strategy": ["sync"]})] == [2, 4]
    assert isinstance(workload.parameters["nodes"], Parameter)
