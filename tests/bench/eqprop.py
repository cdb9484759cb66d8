"""What relaxation and learning by equilibrium propagation cost beside bare matrix products and backpropagation.

    python tests/bench/eqprop.py --output docs/results/eqprop.json
    python tests/bench/eqprop.py --cases sweep,step --rounds 25

sweep     an asynchronous sweep against its matrix products alone (torch.mm into buffers, warm, the faster layout).
conv      a sweep of a convolutional net in bfloat16, channels last, against float32.
step      a training step (free and nudged phases, gradients, momentum SGD) against closed-form backpropagation.
stopping  sample-sweeps of a trained net, samples stopping one by one against all waiting for the last.
memory    bytes that a training step adds: EqProp against backpropagation through the sweeps.

Rounds are interleaved in random order; ratios are medians of the ratios of a round. The clock is the thread's
processor time, on one thread.
"""

import argparse
import json
import os
import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

Call = Callable[[], object]
ROWS, SEED = 64, 0
STEPS = {"784-512-10": (8, 6, 1.9), "784-500-500-10": (20, 10, 9.5)}
SWEEPS = {"784-512-10": None, "784-500-500-10": 1.15, "784-500-500-500-10": 1.15}
CONV_LIMIT, STOPPING_LEAST = 0.55, 2.0
LEARNING_RATE, MOMENTUM, BETA = 1e-5, 0.9, 0.2


def main() -> None:
    """Parse, set the threads before torch is loaded, run the cases."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", default="sweep,conv,step,stopping,memory")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--output", type=Path, help="a JSON file to write the numbers to")
    given = parser.parse_args()
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = "1"
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    cases = {"sweep": sweeps, "conv": convolutions, "step": steps, "stopping": stopping, "memory": memory}
    found = {name: cases[name](given.rounds) for name in given.cases.split(",")}
    if given.output:
        _write(given.output, found)


def sweeps(rounds: int) -> dict[str, Any]:
    """A sweep of a dense net in training's batch."""
    from energybench.workloads.eqprop.relaxation import Relaxation

    rows = {}
    for spec, limit in SWEEPS.items():
        relaxation = Relaxation(_network(spec), ROWS)
        relaxation.clamp(_batch()[0])
        relaxation.settle(5)
        calls = {"sweep": relaxation.sweep, **_floors(relaxation.network)}
        rows[spec] = table(f"sweep {spec}", calls, rounds, base="floor", limit=limit)
    return rows


def _floors(network: Any) -> dict[str, Call]:
    """The matrix products of a sweep alone: each weight matrix once up, once down, by either layout."""
    import torch

    couplings = network.couplings
    states = [torch.rand(ROWS, shape[0]) for shape in network.shapes]
    rooms = [torch.empty_like(state) for state in states]
    turned = [coupling.weight.t().contiguous() for coupling in couplings]
    views = [coupling.weight.t() for coupling in couplings]

    def run(downs: Sequence[Any]) -> None:
        for layer in range(1, len(states)):
            torch.mm(states[layer - 1], couplings[layer].weight, out=rooms[layer])
            torch.mm(states[layer], downs[layer], out=rooms[layer - 1])

    return {"floor, row-major": lambda: run(turned), "floor, transposed view": lambda: run(views)}


def convolutions(rounds: int) -> dict[str, Any]:
    """A sweep of 32c5-64c5-10 on 32 pictures of 28 by 28."""
    import torch

    from energybench.workloads.eqprop.network import build
    from energybench.workloads.eqprop.relaxation import Relaxation

    network = build("32c5-64c5-10", shape=(28, 28, 1), classes=10, gain=0.5)
    calls = {}
    for name, dtype in (("fp32", torch.float32), ("bfloat16", torch.bfloat16)):
        relaxation = Relaxation(network, 32, dtype=dtype)
        relaxation.clamp(torch.rand(32, 784))
        relaxation.settle(2)
        calls[name] = relaxation.sweep
    rows = table("conv 32-64, B=32, channels last", calls, rounds, base="fp32", of="bfloat16", limit=CONV_LIMIT)
    return rows | {"bfloat16 instructions": _has_bfloat16()}


def steps(rounds: int) -> dict[str, Any]:
    """A whole training step, three forms of the nudged phases, against backpropagation."""
    rows = {}
    for spec, (free, nudged, limit) in STEPS.items():
        calls = dict(_steps(spec, free, nudged))
        of = "deviation float32" if spec != "784-512-10" else "EqProp"
        rows[spec] = table(f"step {spec} ({free}/{nudged})", calls, rounds, base="backpropagation", of=of, limit=limit)
    return rows


def _steps(spec: str, free: int, nudged: int) -> Iterator[tuple[str, Call]]:
    from energybench.workloads.eqprop.estimators import estimate
    from energybench.workloads.eqprop.relaxation import Relaxation

    yield "backpropagation", backpropagation(spec)
    x, y = _batch()
    forms: dict[str, dict[str, Any]] = {"EqProp": {}}
    for kind in ("float32", "bfloat16", "int8"):
        forms[f"deviation {kind}"] = {"deviation": True, "dtype": kind}
    for name, form in forms.items():
        network = _network(spec)
        relaxation, gradients = Relaxation(network, ROWS), _like(network.parameters())
        update = momentum(network.parameters(), gradients)

        def step(relaxation: Any = relaxation, into: Any = gradients, update: Call = update, form: Any = form) -> None:
            estimate(relaxation, x, y, beta=BETA, free=free, nudged=nudged, into=into, watch=False, **form)
            update()

        yield name, step


def backpropagation(spec: str) -> Call:
    """The step of bp-train: forward, backward and update written out, into buffers made once."""
    import torch

    from energybench.workloads.eqprop.backprop import Backprop

    network = _network(spec)
    method, gradients = Backprop(network, ROWS), _like(network.parameters())
    update = momentum(network.parameters(), gradients)
    x, y = _batch()

    def step() -> None:
        with torch.no_grad():
            loss, correct = method.gradients(x, y, gradients)
            float(loss), int(correct)  # as EqProp's step tells them
        update()

    return step


def momentum(parameters: Sequence[Any], gradients: Sequence[Any]) -> Call:
    """SGD with momentum, the same for all."""
    import torch

    velocities = _like(parameters)

    def update() -> None:
        for parameter, gradient, velocity in zip(parameters, gradients, velocities, strict=True):
            torch.add(gradient, velocity, alpha=MOMENTUM, out=velocity)
            parameter.add_(velocity, alpha=-LEARNING_RATE)

    return update


def stopping(rounds: int) -> dict[str, Any]:
    """Sample-sweeps of two hidden layers, trained on digits, over the held-out samples in batches of 64."""
    from energybench.workloads.eqprop.relaxation import Relaxation

    network, x = _trained("64-128-128-10")
    counts = {}
    for name, compact in (("one by one", True), ("with the last", False)):
        relaxation, taken = Relaxation(network, ROWS), 0
        for part in x.split(ROWS):
            relaxation.clamp(part)
            taken += int(relaxation.settle(200, tolerance=1e-3, compact=compact).sweeps.sum())
        counts[name] = taken
    ratio = counts["with the last"] / counts["one by one"]
    print(f"stopping, 64-128-128-10 on digits, tolerance 1e-3: {counts}, {ratio:.2f}× fewer")
    return {"sample-sweeps": counts, "ratio": ratio, "least": STOPPING_LEAST, **_apart(network, x, 1e-3)}


def _apart(network: Any, x: Any, tolerance: float) -> dict[str, float]:
    """How far stopped samples are from their fixed points, found in float64 from where they stopped."""
    import torch

    from energybench.workloads.eqprop.relaxation import Relaxation

    stopped, exact = Relaxation(network, len(x)), Relaxation(network.to(torch.float64), len(x))
    stopped.clamp(x)
    sweeps = stopped.settle(200, tolerance=tolerance).sweeps.double()
    exact.clamp(x.double())
    exact.load([state.double() for state in stopped.states])
    exact.settle(3000)
    pairs = zip(stopped.states, exact.states, strict=True)
    error = torch.cat([low.double() - high for low, high in pairs], 1).square().mean(1).sqrt()
    found = {
        "median sweeps": float(sweeps.median()),
        "most sweeps": float(sweeps.max()),
        "outside tolerance": float((error > tolerance).double().mean()),
        "largest error / tolerance": float(error.max()) / tolerance,
    }
    print("  " + ", ".join(f"{name} {value:.3g}" for name, value in found.items()))
    return found


def _trained(spec: str) -> tuple[Any, Any]:
    """Digits, thirty passes of centered EqProp by the project's own trainer."""
    import torch

    from energybench.workloads import data
    from energybench.workloads.eqprop._recipe import Recipe
    from energybench.workloads.eqprop.learning import Trainer

    dataset = data.load("digits", seed=SEED)
    trainer = Trainer(Recipe(data="digits", net=spec, free=20, nudged=10, seed=SEED), dataset)
    for _ in range(30):
        trainer.epoch()
    print(f"\ndigits {spec}: {100 * (1 - trainer.accuracy()):.2f} % test error")
    return trainer.network, torch.from_numpy(dataset.test_pixels).float() / dataset.levels


def memory(rounds: int) -> dict[str, Any]:
    """Most bytes that torch holds beyond weights and data, in a step of 784-500-500-10."""
    from energybench.workloads.eqprop.estimators import estimate
    from energybench.workloads.eqprop.relaxation import Relaxation
    from energybench.workloads.eqprop.through_time import ThroughTime

    rows: dict[str, Any] = {}
    x, y = _batch()
    for free in (10, 30, 100):
        network = _network("784-500-500-10")
        into = _like(network.parameters())

        def eqprop(network: Any = network, into: Any = into, free: int = free) -> None:
            estimate(Relaxation(network, ROWS), x, y, beta=BETA, free=free, nudged=10, into=into)

        def through(network: Any = network, into: Any = into, free: int = free) -> None:
            ThroughTime(network, sweeps=free).gradients(x, y, into)

        held = {"EqProp": _peak(eqprop), "through time": _peak(through)}
        rows[f"{free} sweeps"] = held
        print(f"memory, {free} sweeps: " + ", ".join(f"{k} {v / 1e6:.2f} MB" for k, v in held.items()))
    return rows


def _peak(call: Call) -> int:
    """Most bytes allocated at a time during a call, from torch's own record of allocations."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        call()
    held = most = 0
    for event in seen.profiler.kineto_results.events():
        if event.name() == "[memory]":
            held += event.nbytes()
            most = max(most, held)
    return most


def table(
    case: str, calls: dict[str, Call], rounds: int, *, base: str, limit: float | None, of: str | None = None
) -> dict[str, Any]:
    """Run the calls by turns; milliseconds, and each round's ratio to the fastest call named `base`."""
    times = interleaved(calls, rounds)
    bases = [name for name in calls if name.startswith(base)]
    best = min(bases, key=lambda name: statistics.median(times[name]))
    print(f"\n{case}, {rounds} rounds, load {os.getloadavg()[0]:.1f}", flush=True)
    rows: dict[str, Any] = {}
    for name, values in times.items():
        ratios = sorted(one / other for one, other in zip(values, times[best], strict=True))
        quarter = len(ratios) // 4
        rows[name] = {
            "milliseconds": statistics.median(values) * 1e3,
            "ratio": statistics.median(ratios),
            "quartiles": [ratios[quarter], ratios[-1 - quarter]],
        }
        asked = f"  (asked {limit}×)" if limit and name == (of or next(iter(calls))) else ""
        middle = rows[name]["ratio"]
        print(f"  {name:24s} {rows[name]['milliseconds']:9.3f} ms {middle:6.3f}×{asked}", flush=True)
    return {"calls": rows, "asked": limit}


def interleaved(calls: dict[str, Call], rounds: int) -> dict[str, list[float]]:
    """Seconds a call, of each call in each round, in random order; short calls are repeated to 5 ms."""
    import torch

    repeats = {}
    times: dict[str, list[float]] = {name: [] for name in calls}
    with torch.inference_mode():
        for name, call in calls.items():
            call()
            start = time.perf_counter()
            call()
            repeats[name] = max(1, min(100, round(5e-3 / (time.perf_counter() - start))))
        for _ in range(rounds):
            for name in random.sample(list(calls), len(calls)):
                calls[name]()
                start = time.thread_time()
                for _ in range(repeats[name]):
                    calls[name]()
                times[name].append((time.thread_time() - start) / repeats[name])
    return times


def _network(spec: str) -> Any:
    from energybench.workloads.eqprop.network import build

    return build(spec, shape=(28, 28, 1), classes=10, gain=0.5, seed=SEED)


def _batch() -> tuple[Any, Any]:
    import torch

    random_ = torch.Generator().manual_seed(SEED)
    return torch.rand(ROWS, 784, generator=random_), torch.eye(10)[torch.arange(ROWS) % 10]


def _like(tensors: Sequence[Any]) -> list[Any]:
    import torch

    return [torch.zeros_like(tensor) for tensor in tensors]


def _has_bfloat16() -> bool:
    import cpuinfo

    return any("bf16" in flag for flag in cpuinfo.get_cpu_info().get("flags", ()))


def _write(path: Path, found: dict[str, Any]) -> None:
    """Replace these cases in the file, under what they were read with."""
    import cpuinfo
    import torch

    before = json.loads(path.read_text()) if path.exists() else {}
    key = f"{cpuinfo.get_cpu_info()['brand_raw']}, torch {torch.__version__}, 1 thread"
    before.setdefault(key, {}).update(found)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(before, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
