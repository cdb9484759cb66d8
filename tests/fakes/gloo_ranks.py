"""Real ranks of gloo on the loopback, forked from one process so that torch is imported once.

python gloo_ranks.py FOLDER NODES… writes FOLDER/NODES-RANK.json: {case: bytes that the rank sent in `STEPS` steps}.
"""

import json
import os
import sys
import warnings
from datetime import timedelta
from pathlib import Path

import torch
import torch._dynamo  # a gradient that is averaged imports it: here once, and in no rank
import torch.distributed as dist
from torch import nn
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import fp16_compress_hook
from torch.distributed.algorithms.ddp_comm_hooks.powerSGD_hook import PowerSGDState, powerSGD_hook

sys.path.insert(0, str(Path(__file__).parent))
from tcp_bytes import sent_and_received

SIZES = [4, 12, 44, 1000, 4100, 307_240, 340_008]
LONG = 9_000_004  # more than two segments of 1 MiB a node, where nodes are at most 4
HALVES = [2, 6, 1002, 170_006]
GATHERED = [1, 2, 7, 32, 321, 100_001]
STEPS = 2
POWER_RANK = 2


def model(name):
    return {
        "small": lambda: nn.Sequential(nn.Linear(64, 1024), nn.ReLU(), nn.Linear(1024, 10)),
        "several buckets": lambda: nn.Sequential(
            nn.Linear(64, 700), nn.ReLU(), nn.Linear(700, 600), nn.ReLU(), nn.Linear(600, 500), nn.Linear(500, 10)
        ),
        "convolution": lambda: nn.Sequential(nn.Conv2d(1, 20, 3), nn.ReLU(), nn.Flatten(), nn.Linear(720, 64)),
        "narrow": lambda: nn.Linear(64, 2),
    }[name]()


def step(net):
    shape = (4, 1, 8, 8) if any(isinstance(part, nn.Conv2d) for part in net.modules()) else (4, 64)
    net.zero_grad()
    net(torch.rand(shape)).square().mean().backward()


def ddp(name, register=lambda net: None):
    net = nn.parallel.DistributedDataParallel(model(name))
    register(net)
    for _ in range(3):
        step(net)
    return lambda: step(net)


def buckets_of(name):
    """Bytes of the buckets of a real step after the third."""
    net, seen = nn.parallel.DistributedDataParallel(model(name)), []

    def hook(group, bucket):
        seen.append(bucket.buffer().nbytes)
        work = dist.all_reduce(bucket.buffer(), group=group, async_op=True)
        return work.get_future().then(lambda future: future.value()[0])

    net.register_comm_hook(dist.group.WORLD, hook)
    for _ in range(3):
        step(net)
    seen.clear()
    step(net)
    return seen


def halved(net):
    net.register_comm_hook(dist.group.WORLD, fp16_compress_hook)


def power(net):
    state = PowerSGDState(dist.group.WORLD, matrix_approximation_rank=POWER_RANK, start_powerSGD_iter=2)
    net.register_comm_hook(state, powerSGD_hook)


def star(tensor, rank, nodes):
    def run():
        peers = range(1, nodes) if rank == 0 else [0]
        if rank:
            dist.isend(tensor, 0).wait()
            dist.irecv(tensor, 0).wait()
            return
        parts = [torch.empty_like(tensor) for _ in peers]
        for work in [dist.irecv(part, peer) for part, peer in zip(parts, peers, strict=True)]:
            work.wait()
        for work in [dist.isend(tensor, peer) for peer in peers]:
            work.wait()

    return run


def to_rank_one(tensor, rank):
    def run():
        if rank == 0:
            dist.send(tensor, 1)
        elif rank == 1:
            dist.recv(tensor, 0)

    return run


def reduced(tensor):
    return lambda: dist.all_reduce(tensor)


def waited(call):
    return lambda: call().wait()


def cases(rank, nodes):
    for size in [*SIZES, LONG] if nodes <= 4 else SIZES:
        yield f"all_reduce {size}", reduced(torch.ones(size // 4))
    tensor = torch.ones(1_000_001)
    yield "all_reduce async", waited(lambda: dist.all_reduce(tensor, async_op=True))
    for size in HALVES:
        yield f"all_reduce half {size}", reduced(torch.ones(size // 2, dtype=torch.float16))
    yield "all_reduce byte", lambda: dist.all_reduce(torch.ones(1_500_001, dtype=torch.uint8))
    yield "all_reduce empty", lambda: dist.all_reduce(torch.ones(0))
    group = dist.new_group(backend="gloo")
    yield "all_reduce own group", lambda: dist.all_reduce(torch.ones(1000), group=group)
    for size in GATHERED:
        own = torch.ones(size, dtype=torch.uint8)
        into = torch.empty(nodes * size, dtype=torch.uint8)
        yield f"all_gather {size}", lambda own=own, into=into: dist.all_gather_single(into, own)
    parts = list(torch.empty(nodes, 321, dtype=torch.uint8))
    yield "all_gather list", lambda: dist.all_gather(parts, torch.ones(321, dtype=torch.uint8))
    into = torch.empty(nodes * 321, dtype=torch.uint8)
    own = torch.ones(321, dtype=torch.uint8)
    yield "all_gather async", waited(lambda: dist.all_gather_single(into, own, group=group, async_op=True))
    yield "send", to_rank_one(torch.ones(25_003), rank)
    yield "star", star(torch.ones(85_002), rank, nodes)
    yield "broadcast", lambda: dist.broadcast(torch.ones(10_001), 0)
    yield "broadcast from the last", lambda: dist.broadcast(torch.ones(10_001), nodes - 1)
    yield "gather", lambda: dist.gather(own, list(torch.empty(nodes, 321, dtype=torch.uint8)) if rank == 1 else None, 1)
    yield "barrier", dist.barrier
    vector = nn.utils.parameters_to_vector(model("small").parameters()).detach()
    yield "local sgd", lambda: dist.all_reduce(vector)
    yield "ddp small", ddp("small")
    yield "ddp several buckets", ddp("several buckets")
    yield "ddp fp16", ddp("small", halved)
    for name in ("small", "convolution", "narrow"):
        yield f"power {name}", ddp(name, power)


def rank_of(rank, nodes, folder):
    torch.manual_seed(0)
    store = dist.FileStore(str(folder / f"store-{nodes}"), nodes)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=nodes, timeout=timedelta(seconds=60))
    dist.barrier()
    found = {}
    for name, run in cases(rank, nodes):
        before = sent_and_received()[0]
        for _ in range(STEPS):
            run()
        found[name] = sent_and_received()[0] - before
    found["buckets"] = buckets_of("several buckets")
    (folder / f"{nodes}-{rank}.json").write_text(json.dumps(found))
    dist.barrier()
    dist.destroy_process_group()


def main(folder, *counts):
    warnings.simplefilter("error")
    torch.set_num_threads(1)
    for nodes in map(int, counts):
        children = []
        for rank in range(nodes):
            child = os.fork()
            if child == 0:
                try:
                    rank_of(rank, nodes, Path(folder))
                    os._exit(0)
                except BaseException:
                    sys.excepthook(*sys.exc_info())
                    os._exit(1)
            children.append(child)
        failed = [child for child in children if os.waitpid(child, 0)[1]]
        if failed:
            sys.exit(f"a rank of {nodes} failed")


if __name__ == "__main__":
    main(*sys.argv[1:])
