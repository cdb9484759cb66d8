"""What `energybench gate` finds, misses and raises in vain, with asv's own rule beside it, on simulated values.

    python tests/bench/gate_simulation.py --matrices 1000 --output docs/results/gate-simulation.json
    python tests/bench/gate_simulation.py --quick

unchanged  a matrix of 200 points, CV 2 %, drift 1 % an hour, base and head in ABBA order, 10 rounds and 10 more for
           what is open: matrices with a false alarm, points that pass.
tight      the same with a margin of 0.1 %, so that hardly anything passes and only the tests hold false alarms back.
worse      +5 % planted in 20 of those points: how many are found.
fine       +2 % at one point, margin 1 %, up to 40 rounds.
stored     two sets measured at different times, the machine 1 % off between them, with a noise floor learnt from 10
           simulated repeats of an unchanged commit, and without one.
accuracy   0.93 to 0.90 over 10 seeds.
certain    modelled joules 0.1 % up, and sides that cannot be compared.

A pass over the matrix measures every point of one side, 10 seconds each; base and head of a round are two passes, so
that half an hour and half a per cent of drift lie between the two values of a pair. All values go through `judge` and
`take_look` as those of records do. asv's column is its comparison (asv.commands.compare) of the same samples.
"""

import argparse
import json
import math
import multiprocessing
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from asv.commands.compare import _is_result_better
from asv_runner.statistics import compute_stats

from energybench.gate import judge
from energybench.gating.looks import Progress, take_look
from energybench.gating.rules import Rules
from energybench.gating.series import Floor, Key, Round, Series, Side
from energybench.gating.spending import Schedule

POINTS, CV, DRIFT_AN_HOUR, RUN_SECONDS = 200, 0.02, 0.01, 10.0
TWO_LOOKS, FOUR_LOOKS = Schedule(rounds=(10, 20)), Schedule(rounds=(10, 20, 30, 40))
PLANTED, HISTORY, BETWEEN = 20, 10, 0.01
GROUNDS = {"machine": "simulated-machine", "domains": "cpu.package-0", "probes": "powercap", "protocol": "1"}
PROCESSES = 2
ASV_MATRICES = 100
"""asv's exact rank test is slow: it judges the first of the matrices."""


def keys(n: int = POINTS) -> list[Key]:
    """So many points of one workload."""
    return [Key(workload="matrix", parameters=(("point", i),), metric="joules_per_sample") for i in range(n)]


def joules(key: Key, rounds: Iterable[Round]) -> Series:
    """A measured series."""
    return Series(
        key=key,
        family="joules",
        unit="J",
        provenance="measured",
        higher_is_better=False,
        exact=False,
        grounds=GROUNDS,
        rounds=tuple(rounds),
    )


@dataclass
class Machine:
    """A machine that drifts, and the two sides that are measured on it by turns."""

    rng: np.random.Generator
    factors: dict[Key, float]
    sign: float = 1.0
    seconds: float = 0.0
    passes: int = 0
    values: tuple[dict[Key, list[Round]], dict[Key, list[Round]]] = field(default_factory=lambda: ({}, {}))

    def measure(self, points: Sequence[Key], rounds: int) -> None:
        """Rounds of both sides in ABBA order."""
        for _ in range(rounds):
            order = (0, 1) if self.passes % 2 == 0 else (1, 0)
            for side in order:
                self._pass(points, side, f"round-{self.passes}")
            self.passes += 1

    def _pass(self, points: Sequence[Key], side: int, pair: str) -> None:
        noise = self.rng.normal(0.0, CV, len(points)).tolist()
        for key, error in zip(points, noise, strict=True):
            self.seconds += RUN_SECONDS
            drift = self.sign * DRIFT_AN_HOUR * self.seconds / 3600
            value = math.exp(drift + error) * (self.factors.get(key, 1.0) if side else 1.0)
            self.values[side].setdefault(key, []).append(Round(values=(value,), when=self.seconds, pair=pair))

    def sides(self) -> tuple[Side, Side]:
        """All that was measured so far."""
        base, head = ({key: joules(key, found) for key, found in side.items()} for side in self.values)
        return Side(name="base", series=base), Side(name="head", series=head)


def gate_run(machine: Machine, points: Sequence[Key], rules: Rules, schedule: Schedule) -> Progress:
    """What `gate --run` does: look, measure what is open again, look again."""
    progress: Progress | None = None
    done, open_points = 0, list(points)
    while progress is None or progress.again:
        target = schedule.rounds[progress.looks if progress else 0]
        machine.measure(open_points, target - done)
        done = target
        progress = take_look(*machine.sides(), rules, schedule, progress)
        open_points = [key for key in points if key in progress.again]
    return progress


def asv_worse(base: Sequence[float], head: Sequence[float], factor: float) -> bool:
    """Whether asv continuous would call head worse, or better where the two are turned."""
    (old, old_stats), (new, new_stats) = compute_stats(list(base), 1), compute_stats(list(head), 1)
    return bool(_is_result_better(old, new, (old_stats, list(base)), (new_stats, list(head)), factor))


def words(progress: Progress) -> dict[Key, str]:
    """The last verdict of each series."""
    return {one.key: one.word for one in progress.judgement.verdicts}


def matrix(seed: int, planted: int, margin: float = 0.05) -> dict[str, Any]:
    """One matrix, with +5 % in so many of its points."""
    rng = np.random.default_rng([seed, planted])
    points = keys()
    worse = [points[i] for i in rng.choice(POINTS, planted, replace=False)]
    machine = Machine(rng=rng, factors=dict.fromkeys(worse, 1.05), sign=float(rng.choice((-1.0, 1.0))))
    found = words(gate_run(machine, points, Rules(margins={"joules": margin}), TWO_LOOKS))
    first = [[one.values[0] for one in machine.values[side][key][:10]] for key in points for side in (0, 1)]
    asv = {
        f"{factor:g}": [asv_worse(first[2 * i], first[2 * i + 1], factor) for i in range(POINTS)]
        for factor in (1.05, 1.1)
        if seed < ASV_MATRICES and margin == 0.05
    }
    planted_set = set(worse)
    return {
        "false": sum(word == "regression" for key, word in found.items() if key not in planted_set),
        "pass": sum(word == "pass" for key, word in found.items() if key not in planted_set),
        "found": sum(found[key] == "regression" for key in worse),
        "passed_worse": sum(found[key] == "pass" for key in worse),
        "again": sum(len(found_rounds) > 10 for found_rounds in machine.values[0].values()),
        "asv_false": {
            f: sum(h for k, h in zip(points, v, strict=True) if k not in planted_set) for f, v in asv.items()
        },
        "asv_found": {f: sum(h for k, h in zip(points, v, strict=True) if k in planted_set) for f, v in asv.items()},
    }


def unchanged(matrices: int) -> dict[str, Any]:
    """A/A: nobody changed anything."""
    found = spread(matrix, [(seed, 0) for seed in range(matrices)])
    with_asv = [one["asv_false"] for one in found if one["asv_false"]]
    return {
        "matrices": matrices,
        "matrices_with_false_alarm": share(one["false"] > 0 for one in found),
        "points_passed": sum(one["pass"] for one in found) / (matrices * POINTS),
        "points_measured_again_a_matrix": sum(one["again"] for one in found) / matrices,
        "asv_matrices": len(with_asv),
        "asv_matrices_with_false_alarm": {
            f"factor {factor}": share(one[factor] > 0 for one in with_asv) for factor in ("1.05", "1.1")
        },
    }


def tight(matrices: int) -> dict[str, Any]:
    """A/A with a margin that lets hardly anything pass."""
    found = spread(matrix, [(seed, 0, 0.001) for seed in range(matrices)])
    return {
        "matrices": matrices,
        "matrices_with_false_alarm": share(one["false"] > 0 for one in found),
        "points_passed": sum(one["pass"] for one in found) / (matrices * POINTS),
    }


def worse(matrices: int) -> dict[str, Any]:
    """+5 % at the margin itself, in 20 of 200 points."""
    found = spread(matrix, [(seed, PLANTED) for seed in range(matrices)])
    with_asv = [one["asv_found"] for one in found if one["asv_found"]]
    return {
        "points_planted": matrices * PLANTED,
        "found": sum(one["found"] for one in found) / (matrices * PLANTED),
        "called_pass": sum(one["passed_worse"] for one in found) / (matrices * PLANTED),
        "matrices_with_false_alarm": share(one["false"] > 0 for one in found),
        "asv_found_10_rounds": {
            f"factor {factor}": sum(one[factor] for one in with_asv) / (len(with_asv) * PLANTED)
            for factor in ("1.05", "1.1")
        },
        "asv_different": {f"CV {cv:.0%}, {n} rounds": asv_power(cv, n) for cv in (0.01, 0.02) for n in (5, 6, 7, 10)},
    }


def asv_power(cv: float, n: int, trials: int = 400) -> float:
    """How often asv sees +5 % as a difference at all, whatever its factor."""
    rng = np.random.default_rng([n, round(cv * 1000)])
    samples = rng.normal(1.0, cv, (trials, 2, n))
    return share(asv_worse(old.tolist(), (1.05 * new).tolist(), 1.0) for old, new in samples)


def one_point(seed: int, factor: float) -> tuple[str, int]:
    """+2 % at one point with a margin of 1 %."""
    rng = np.random.default_rng([seed, 3])
    points = keys(1)
    machine = Machine(rng=rng, factors={points[0]: factor}, sign=float(rng.choice((-1.0, 1.0))))
    progress = gate_run(machine, points, Rules(margins={"joules": 0.01}), FOUR_LOOKS)
    return words(progress)[points[0]], len(machine.values[0][points[0]])


def fine(trials: int) -> dict[str, Any]:
    """A small difference with a small margin."""
    found = spread(one_point, [(seed, 1.02) for seed in range(trials)])
    same = spread(one_point, [(seed, 1.0) for seed in range(trials)])
    kinds = ("regression", "inconclusive", "pass", "improvement")
    return {
        "trials": trials,
        "plus_2_percent": {kind: share(word == kind for word, _ in found) for kind in kinds},
        "mean_rounds": sum(rounds for _, rounds in found) / trials,
        "unchanged": {kind: share(word == kind for word, _ in same) for kind in kinds},
    }


def two_sets(rng: np.random.Generator, factor: float, worse_points: int = 0) -> tuple[Side, Side]:
    """Two sets of 10 rounds; the whole machine is off by 1 % (standard deviation) between them."""
    offset = rng.normal(0.0, BETWEEN)
    noise = rng.normal(0.0, CV, (2, POINTS, 10))
    sides = []
    for number, name in enumerate(("base", "head")):
        values = np.exp(noise[number] + number * offset)
        values[:worse_points] *= factor if number else 1.0
        rounds = ([Round(values=(value,), when=0.0) for value in row] for row in values.tolist())
        sides.append(Side(name=name, series={key: joules(key, one) for key, one in zip(keys(), rounds, strict=True)}))
    return sides[0], sides[1]


def learnt(rng: np.random.Generator) -> Floor:
    """The floor of a machine from unchanged repeats: what their log ratios scatter beyond their own rounds.

    All points of a repeat share its offset, so that repeats are the degrees of freedom and not points.
    """
    squares = []
    for _ in range(HISTORY):
        logs = rng.normal(0.0, CV, (2, POINTS, 10))
        logs[1] += rng.normal(0.0, BETWEEN)
        ratio = logs[1].mean(axis=1) - logs[0].mean(axis=1)
        own = (logs.var(axis=2, ddof=1) / 10).sum(axis=0)
        squares.append(float((ratio**2 - own).mean()))
    return Floor(relative=math.sqrt(max(0.0, float(np.mean(squares)))), degrees=HISTORY, source="simulated repeats")


def stored_matrix(seed: int) -> dict[str, Any]:
    """One pair of stored sets, with and without a floor; and one with +20 % in 20 points."""
    rng = np.random.default_rng([seed, 4])
    floor = learnt(rng)
    base, head = two_sets(rng, 1.0)
    known = judge(base, head, Rules(), floors=lambda _: floor)
    unknown = judge(base, head, Rules())
    changed = judge(*two_sets(rng, 1.2, PLANTED), Rules(), floors=lambda _: floor)
    asv = [
        asv_worse(*([r.values[0] for r in side.series[key].rounds] for side in (base, head)), 1.0)
        for key in base.series
        if seed < ASV_MATRICES
    ]
    return {
        "false": len(known.of("regression")),
        "pass": len(known.of("pass")),
        "without": len(unknown.of("inconclusive")),
        "found": len({one.key for one in changed.of("regression")} & set(keys(PLANTED))),
        "asv": sum(asv) if asv else None,
    }


def stored(matrices: int) -> dict[str, Any]:
    """Sets without interleaving."""
    found = spread(stored_matrix, [(seed,) for seed in range(matrices)])
    return {
        "matrices": matrices,
        "matrices_with_false_alarm": share(one["false"] > 0 for one in found),
        "points_passed": sum(one["pass"] for one in found) / (matrices * POINTS),
        "inconclusive_without_floor": sum(one["without"] for one in found) / (matrices * POINTS),
        "plus_20_percent_found": sum(one["found"] for one in found) / (matrices * PLANTED),
        "asv_matrices_with_a_point_called_different": share(one["asv"] > 0 for one in found if one["asv"] is not None),
    }


def seeds(values: Iterable[float]) -> Series:
    """Accuracies of one run each, as asv stores them: samples of one round."""
    return replace(
        joules(Key(workload="net", parameters=(), metric="accuracy"), [Round(values=tuple(values), when=0.0)]),
        family="accuracy",
        unit="1",
        higher_is_better=True,
    )


def accuracy(trials: int) -> dict[str, Any]:
    """0.93 to 0.90 over 10 seeds, each 0.005 apart from the next (standard deviation)."""
    rng = np.random.default_rng(5)
    ours, asv_better, asv_worst = [], [], []
    for _ in range(trials):
        old, new = (rng.normal(mean, 0.005, 10).tolist() for mean in (0.93, 0.90))
        sides = [Side(name="x", series={(one := seeds(values)).key: one}) for values in (old, new)]
        ours.append(judge(*sides, Rules()).verdicts[0].word)
        asv_better.append(asv_worse(new, old, 1.02))
        asv_worst.append(asv_worse(old, new, 1.02))
    return {
        "trials": trials,
        "regression": share(word == "regression" for word in ours),
        "asv_factor_1.02": {"improvement": share(asv_better), "regression": share(asv_worst)},
    }


def certain(_: int) -> dict[str, Any]:
    """What needs no luck: exact values, and exit codes."""
    key = keys(1)[0]
    one = replace(joules(key, [Round(values=(1.0,), when=0.0)]), family="modelled", provenance="modelled", exact=True)
    more = replace(one, rounds=(Round(values=(1.001,), when=0.0),))
    measured = joules(key, [Round(values=(1.0, 1.01), when=0.0)])
    lost = replace(measured, grounds=GROUNDS | {"domains": "cpu.dram-0"})
    other = replace(measured, grounds=GROUNDS | {"machine": "another"})

    def code(old: Series, new: Series | None) -> int:
        head = Side(name="head", series={key: new} if new else {})
        return judge(Side(name="base", series={key: old}), head, Rules()).exit

    return {
        "modelled_plus_0.1_percent_exit": code(one, more),
        "modelled_unchanged_exit": code(one, one),
        "head_measured_nothing_exit": code(measured, None),
        "head_lost_a_domain_exit": code(measured, lost),
        "base_of_another_machine_exit": code(other, measured),
    }


def share(found: Iterable[bool]) -> float:
    """How many of all are true."""
    listed = list(found)
    return sum(listed) / len(listed)


def spread(call: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Call it with each, on two cores."""
    with multiprocessing.get_context("fork").Pool(PROCESSES) as pool:
        return pool.starmap(call, arguments, chunksize=max(1, len(arguments) // 40))


CASES = {
    "unchanged": unchanged,
    "tight": tight,
    "worse": worse,
    "fine": fine,
    "stored": stored,
    "accuracy": accuracy,
    "certain": certain,
}


def main() -> None:
    """Parse, simulate, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--matrices", type=int, default=1000)
    parser.add_argument("--quick", action="store_true", help="20 matrices")
    parser.add_argument("--output", type=Path, help="a JSON file to write the numbers to")
    given = parser.parse_args()
    found: dict[str, Any] = {
        "settings": {
            "points": POINTS,
            "cv": CV,
            "drift_an_hour": DRIFT_AN_HOUR,
            "run_seconds": RUN_SECONDS,
            "between_stored_sets": BETWEEN,
            "unchanged_repeats": HISTORY,
            "asv": version("asv"),
        }
    }
    for name in given.cases.split(","):
        begin = time.perf_counter()
        found[name] = CASES[name](20 if given.quick else given.matrices)
        print(name, f"{time.perf_counter() - begin:.1f} s", json.dumps(found[name], indent=1), flush=True)
    if given.output:
        given.output.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
