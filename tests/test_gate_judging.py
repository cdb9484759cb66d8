"""Verdicts: what is certain is said, what is shown to be the same passes, and what nobody can tell stays open."""

import datetime as dt
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from energybench.gate import judge
from energybench.gating.accepted import Accepted, AcceptedError, read_accepted
from energybench.gating.decide import rounds_needed, worsening
from energybench.gating.effects import Effect, newcombe
from energybench.gating.from_asv import DESCRIBED
from energybench.gating.looks import Progress, take_look
from energybench.gating.rules import Rules, RulesError
from energybench.gating.series import Floor, Gap, Key, Round, Series, Side
from energybench.gating.spending import Schedule
from energybench.gating.verdicts import Judgement, Verdict

GROUNDS = {"machine": "bench-1", "domains": "cpu.package-0", "probes": "powercap"}
FLOOR = Floor(relative=0.01, degrees=10, source="ten unchanged repeats")
TODAY = dt.date(2026, 6, 1)


def key(metric: str = "joules_per_sample", workload: str = "qnn-infer", **parameters: Any) -> Key:
    return Key(workload=workload, parameters=tuple(parameters.items()), metric=metric)


def series(values: Sequence[float], *, paired: bool = True, seeds: Sequence[int] | None = None, **more: Any) -> Series:
    """A series with one value a round."""
    rounds = tuple(
        Round(
            values=(value,),
            when=float(i),
            pair=f"round-{i}" if paired else None,
            seed=seeds[i] if seeds else None,
        )
        for i, value in enumerate(values)
    )
    given: dict[str, Any] = {
        "key": key(),
        "family": "joules",
        "unit": "J",
        "provenance": "measured",
        "higher_is_better": False,
        "exact": False,
        "grounds": GROUNDS,
        "rounds": rounds,
    }
    return Series(**given | more)


def accuracy(values: Sequence[float], **more: Any) -> Series:
    return series(
        values,
        **{"paired": False, "key": key("accuracy"), "family": "accuracy", "unit": "1", "higher_is_better": True} | more,
    )


def modelled(value: float, **more: Any) -> Series:
    given: dict[str, Any] = {"key": key("modelled_joules_per_sample"), "provenance": "modelled", "exact": True}
    return series([value], **{"paired": False, "family": "modelled"} | given | more)


def side(*found: Series, name: str = "base", **more: Any) -> Side:
    return Side(name=name, series={one.key: one for one in found}, **more)


def judged(base: Series | None, head: Series | None, rules: Rules | None = None, **more: Any) -> Judgement:
    old = side(*([base] if base else []))
    new = side(*([head] if head else []), name="head")
    return judge(old, new, rules or Rules(), **more)


def only(base: Series, head: Series, rules: Rules | None = None, **more: Any) -> Verdict:
    (verdict,) = judged(base, head, rules, **more).verdicts
    return verdict


def noisy(seed: int, n: int = 10, factor: float = 1.0, cv: float = 0.01) -> list[float]:
    rng = random.Random(seed)
    return [factor * rng.lognormvariate(0.0, cv) for _ in range(n)]


def shared_noise(factor: float, n: int = 10) -> tuple[list[float], list[float]]:
    """Rounds whose machine moves by far more than base and head differ."""
    rng = random.Random(7)
    drift = [rng.uniform(0.5, 2.0) for _ in range(n)]
    return [d * rng.lognormvariate(0, 0.002) for d in drift], [factor * d * rng.lognormvariate(0, 0.002) for d in drift]


# Statistical series


def test_ten_interleaved_rounds_of_the_same_pass_and_of_thirty_per_cent_more_do_not() -> None:
    assert only(series(noisy(1)), series(noisy(2))).word == "pass"
    worse = only(series(noisy(1)), series(noisy(2, factor=1.3)))
    assert (worse.word, worse.rounds, worse.paired) == ("regression", 10, True)
    assert worse.change == pytest.approx(0.3, abs=0.02)
    assert worse.low is not None
    assert worse.high is not None
    assert worse.low < worse.change < worse.high


def test_the_paired_bounds_are_those_of_students_t() -> None:
    verdict = only(series([1.0, 1.0, 1.0]), series([1.01, 1.02, 1.03]))
    assert verdict.change == pytest.approx((1.01 * 1.02 * 1.03) ** (1 / 3) - 1)
    assert verdict.high == pytest.approx(0.06098, abs=1e-5)  # mean + 6.965 s/√3 of the logs


def test_pairs_cancel_what_the_machine_does_in_between() -> None:
    old, new = shared_noise(1.10)
    assert only(series(old), series(new)).word == "regression"
    assert only(series(old, paired=False), series(new, paired=False), floors=lambda _: FLOOR).word == "inconclusive"


def test_rounds_without_a_partner_are_not_compared() -> None:
    longer = series([*noisy(1), 50.0, 60.0])
    assert only(longer, series(noisy(2))).rounds == 10


def test_two_per_cent_for_certain_within_a_margin_of_five_passes_and_says_so() -> None:
    old, new = shared_noise(1.02)
    verdict = only(series(old), series(new))
    assert verdict.word == "pass"
    assert "certainly worse, by 2." in verdict.reason


def test_a_metric_of_which_more_is_better_gets_worse_by_falling() -> None:
    old, new = shared_noise(0.8)
    rate = {"key": key("samples_per_second"), "family": "seconds", "unit": "1/s", "higher_is_better": True}
    assert only(series(old, **rate), series(new, **rate)).word == "regression"
    assert only(series(new, **rate), series(old, **rate)).word == "improvement"


def test_sets_of_different_times_are_inconclusive_without_a_floor_whatever_they_hold() -> None:
    for factor in (1.0, 3.0):
        judgement = judged(series(noisy(1), paired=False), series(noisy(2, factor=factor), paired=False))
        assert (judgement.verdicts[0].word, judgement.exit) == ("inconclusive", 3)
        assert "no history of unchanged repeats" in judgement.verdicts[0].reason
        assert "gate --run" in judgement.verdicts[0].reason


def test_a_floor_tells_a_step_from_a_shift_between_days() -> None:
    old = series(noisy(1), paired=False)
    for factor, word in ((1.0, "pass"), (1.3, "regression"), (0.7, "improvement"), (1.025, "inconclusive")):
        new = series(noisy(2, factor=factor), paired=False)
        assert only(old, new, floors=lambda _: FLOOR).word == word


def test_windows_of_a_single_round_and_the_floor_judge_together() -> None:
    def one_round(factor: float) -> Series:
        return series([], rounds=(Round(values=tuple(noisy(3, factor=factor)), when=0.0),))

    verdict = only(one_round(1.0), one_round(1.5), floors=lambda _: FLOOR)
    assert (verdict.word, verdict.rounds) == ("regression", 1)


def test_a_single_value_of_each_side_has_no_scatter_to_judge_by() -> None:
    verdict = only(series([1.0], paired=False), series([1.4], paired=False), floors=lambda _: FLOOR)
    assert verdict.word == "inconclusive"
    assert "at least 3 rounds" in verdict.reason


def test_values_at_or_below_zero_are_compared_by_their_difference() -> None:
    old, loss = [value - 1.0 for value in noisy(1, cv=0.05)], {"key": key("loss"), "family": "quality"}
    assert only(series([-1.0, -1.01, -0.99], **loss), series([-1.0, -1.0, -1.0], **loss)).word == "pass"
    assert only(series([0.0, 0.0], **loss), series([0.0, 0.0], **loss)).word == "pass"
    assert only(series(old, **loss), series([1.0] * 10, **loss)).word in ("regression", "inconclusive")
    nothing = only(series([0.0, 0.0], **loss), series([1.0, 1.0], **loss))
    assert nothing.word == "inconclusive"
    assert "base is 0" in nothing.reason


def test_what_is_no_number_is_inconclusive_and_named() -> None:
    verdict = only(series([1.0, float("nan"), 1.0]), series([1.0, 1.0, float("inf")]))
    assert verdict.word == "inconclusive"
    assert "not a finite number" in verdict.reason


def test_the_rounds_needed_are_those_of_the_power_formula() -> None:
    effect = Effect(scale="log", change=0.0, low=-0.1, high=0.1, above=0.5, below=0.5, spread=0.1, rounds=4)
    seen = worsening(effect, higher_is_better=False, margin=0.05)
    needed = rounds_needed(effect, seen, level=0.01, confidence=0.99)
    assert needed == 45  # (2.414 + 0.842)² · (0.1 / log 1.05)² with t of 44 degrees
    floored = replace(effect, floor=0.02)
    assert rounds_needed(floored, seen, level=0.01, confidence=0.99) is None


def test_an_open_series_says_how_many_rounds_would_settle_it() -> None:
    verdict = only(series(noisy(1, 4, cv=0.05)), series(noisy(2, 4, cv=0.05)))
    assert verdict.word == "inconclusive"
    assert verdict.needed is not None
    assert verdict.needed > 4
    assert f"{verdict.needed} rounds a side" in verdict.reason


def test_many_series_share_the_allowed_error() -> None:
    old, new = noisy(1, cv=0.02), noisy(5, factor=1.045, cv=0.02)
    alone = judged(series(old), series(new))
    points = [key(point=i) for i in range(1000)]
    many = judge(
        side(*(series(old, key=one) for one in points)), side(*(series(new, key=one) for one in points)), Rules()
    )
    assert (alone.family, alone.verdicts[0].word) == (1, "regression")
    assert (many.family, many.verdicts[0].word) == (1000, "inconclusive")


# Accuracy


def test_accuracy_that_falls_over_ten_seeds_is_a_regression() -> None:
    rng = random.Random(0)
    old = tuple(rng.gauss(0.93, 0.005) for _ in range(10))
    new = tuple(rng.gauss(0.90, 0.005) for _ in range(10))
    one_run = [accuracy([], rounds=(Round(values=values, when=0.0),)) for values in (old, new)]
    by_seed = [accuracy(values, seeds=range(10)) for values in (old, new)]
    for before, after in (one_run, by_seed):
        verdict = only(before, after)
        assert (verdict.word, verdict.absolute, verdict.margin) == ("regression", True, 0.01)
        assert only(after, before).word == "improvement"


def test_equal_seeds_are_compared_with_each_other() -> None:
    old = [0.80, 0.85, 0.90, 0.95]
    new = [value - 0.03 + 1e-4 * i for i, value in enumerate(old)]
    assert only(accuracy(old, seeds=[1, 2, 3, 4]), accuracy(new[::-1], seeds=[4, 3, 2, 1])).word == "regression"
    assert only(accuracy(old, seeds=[1, 2, 3, 4]), accuracy(new, seeds=[5, 6, 7, 8])).word == "inconclusive"


def test_seeds_that_base_lacks_count_too() -> None:
    old = accuracy([0.93] * 5, seeds=range(5))
    verdict = only(old, accuracy([0.93] * 2 + [0.50] * 10, seeds=[0, 1, *range(5, 15)]))
    assert (verdict.word, verdict.paired) == ("regression", False)
    assert "the seeds are not those of base" in verdict.reason
    assert only(old, accuracy([0.93] * 12, seeds=[0, 1, *range(5, 15)])).word == "pass"


def test_seeds_that_head_lacks_are_not_measured() -> None:
    old = accuracy([0.93 + 1e-3 * i for i in range(10)], seeds=range(10))
    for head in (accuracy([0.93, 0.931], seeds=[0, 1]), accuracy([0.93], seeds=[0])):
        judgement = judged(old, head)
        assert (judgement.verdicts[0].word, judgement.exit) == ("not measured", 4)
        assert f"head was not run with {10 - len(head.rounds)} of base's 10 seeds" in judgement.verdicts[0].reason
    fewer = accuracy([0.90 + 1e-3 * i for i in range(9)], seeds=range(9))
    assert only(old, fewer).word == "regression"


def repeated(value: float, *, judged_samples: int | None = None, seed: int | None = 0, times: int = 2) -> Series:
    rounds = [
        Round(values=(value,), when=float(i), seed=seed, judged=judged_samples, pair=f"round-{i}") for i in range(times)
    ]
    return accuracy([], rounds=tuple(rounds))


def test_repeats_of_one_seed_are_one_observation_over_the_samples_that_it_was_judged_on() -> None:
    few = only(repeated(348 / 359, judged_samples=359), repeated(344 / 359, judged_samples=359))
    once = only(repeated(348 / 359, judged_samples=359, times=1), repeated(344 / 359, judged_samples=359, times=1))
    assert few.word == once.word == "inconclusive"
    assert few.p == once.p
    assert few.p == pytest.approx(0.213, abs=0.001)
    assert only(repeated(0.93, judged_samples=10_000), repeated(0.90, judged_samples=10_000)).word == "regression"
    assert only(repeated(0.93, judged_samples=100), repeated(0.80)).word == "inconclusive"


def test_one_seed_that_repeats_itself_exactly_is_certain_at_that_seed() -> None:
    worse, fine = only(repeated(0.93), repeated(0.90)), only(repeated(0.93), repeated(0.925))
    assert (worse.word, fine.word) == ("regression", "pass")
    assert "at one seed" in worse.reason
    assert "at one seed" in fine.reason
    assert only(repeated(0.93, times=1), repeated(0.90)).word == "inconclusive"
    assert only(repeated(0.93), repeated(0.90, seed=1)).word == "inconclusive"
    scattering = accuracy([0.90, 0.91], seeds=[0, 0])
    assert only(repeated(0.93), scattering).word == "inconclusive"


def test_rounds_of_one_seed_stay_what_is_compared_where_timing_makes_them_scatter() -> None:
    missed = {"key": key("messages_missed"), "family": "quality", "higher_is_better": False, "paired": True}
    old, new = (accuracy(noisy(i, factor=f), seeds=[0] * 10, **missed) for i, f in ((1, 1.0), (2, 1.3)))
    verdict = only(old, new)
    assert (verdict.word, verdict.rounds) == ("regression", 10)


def test_accuracies_that_were_summarised_are_judged_by_their_standard_error() -> None:
    def summary(value: float, error: float, count: int = 10) -> Series:
        return accuracy([], rounds=(Round(values=(value,), when=0.0, standard_error=error, count=count),))

    worse = only(summary(0.93, 0.002), summary(0.60, 0.002))
    assert (worse.word, worse.rounds) == ("regression", 10)
    assert only(summary(0.93, 0.002), summary(0.929, 0.002)).word == "pass"
    assert only(summary(0.93, 0.0), summary(0.90, 0.0)).word == "regression"
    assert only(summary(0.93, 0.1), summary(0.90, 0.1)).word == "inconclusive"
    assert only(summary(0.93, 0.002), accuracy([0.60, 0.61, 0.59])).word == "regression"


def test_constant_accuracies_without_scatter_are_decided() -> None:
    assert only(accuracy([0.93] * 5), accuracy([0.90] * 5)).word == "regression"
    assert only(accuracy([0.93] * 5), accuracy([0.925] * 5)).word == "pass"
    assert only(accuracy([0.93] * 5), accuracy([0.93] * 5)).word == "pass"


def test_one_accuracy_each_is_judged_over_its_samples_or_not_at_all() -> None:
    def over(value: float, judged_samples: int | None) -> Series:
        return accuracy([], rounds=(Round(values=(value,), when=0.0, judged=judged_samples),))

    assert only(over(0.93, 10_000), over(0.90, 10_000)).word == "regression"
    assert only(over(0.93, 100), over(0.90, 100)).word == "inconclusive"
    assert only(over(0.93, None), over(0.90, None)).word == "inconclusive"
    assert only(over(0.93, None), over(0.93, None)).word == "pass"
    assert only(over(1.0, 10_000), over(0.0, 10_000)).word == "regression"


def test_newcombes_interval_is_that_of_his_paper() -> None:
    low, high = newcombe(48 / 80, 80, 56 / 70, 70, 1.959964)
    assert (low, high) == pytest.approx((0.0524, 0.3339), abs=1e-4)


def test_a_loss_is_judged_by_its_ratio() -> None:
    loss = {"key": key("loss"), "family": "quality", "higher_is_better": False}
    assert only(accuracy([2.0, 2.01, 1.99], **loss), accuracy([2.4, 2.41, 2.39], **loss)).word == "regression"


# Exact series


def test_modelled_joules_that_grow_by_a_thousandth_are_a_regression() -> None:
    assert only(modelled(1.0), modelled(1.001)).word == "regression"
    assert only(modelled(1.0), modelled(0.999)).word == "improvement"
    assert only(modelled(1.0), modelled(1.0 + 1e-12)).word == "pass"
    assert only(modelled(0.0), modelled(0.0)).word == "pass"
    sent = {"key": key("payload_bytes_per_step"), "unit": "B"}
    assert only(modelled(0.0, **sent), modelled(1.0, **sent)).word == "regression"
    assert only(modelled(1.0), modelled(1.001), Rules(margins={"modelled": 0.01})).word == "pass"


def test_modelled_joules_of_another_torch_are_refused() -> None:
    old, new = (modelled(1.0, grounds=GROUNDS | {"torch": version}) for version in ("2.13.0", "2.14.0"))
    judgement = judged(old, new)
    assert (judgement.verdicts[0].word, judgement.exit) == ("not comparable", 2)
    assert judgement.verdicts[0].reason == "torch 2.13.0 in base, 2.14.0 in head"


def test_counts_that_depend_on_data_are_judged_by_their_scatter() -> None:
    rng = random.Random(3)
    counts = [[rng.gauss(100, 3) for _ in range(30)] for _ in range(2)]
    old, new = (modelled(1.0, rounds=tuple(Round(values=(v,), when=0.0) for v in c)) for c in counts)
    verdict = only(old, new)
    assert (verdict.word, verdict.margin) == ("pass", 0.05)


def counts(*seeds_and_values: tuple[int, float], **more: Any) -> Series:
    rounds = tuple(Round(values=(value,), when=float(i), seed=seed) for i, (seed, value) in enumerate(seeds_and_values))
    return modelled(1.0, rounds=rounds, **more)


def test_counts_that_differ_between_seeds_are_compared_seed_by_seed_exactly() -> None:
    old = counts((0, 1.0), (1, 1.1))
    verdict = only(old, counts((1, 1.1 * 1.03), (0, 1.03)))
    assert (verdict.word, verdict.margin) == ("regression", 0.0)
    assert verdict.change == pytest.approx(0.03)
    assert only(old, counts((1, 1.1), (0, 1.0))).word == "pass"
    one_worse = only(old, counts((0, 0.5), (1, 1.1001)))
    assert (one_worse.word, one_worse.base, one_worse.head) == ("regression", 1.1, 1.1001)
    assert one_worse.reason == "at seed 1, of 2 in common"
    assert only(old, counts((0, 0.9), (1, 1.1))).word == "improvement"


def test_a_head_whose_counts_do_not_repeat_is_compared_by_the_worst_of_them() -> None:
    old = counts((0, 1.0))
    verdict = only(old, counts((0, 1.04), (0, 1.0401), exact=False))
    assert (verdict.word, verdict.head) == ("regression", 1.0401)
    assert verdict.reason == "head gives 2 numbers for the same work, and the worst counts"
    assert only(old, counts((0, 1.0), (0, 1.0))).word == "pass"


def test_counts_that_base_itself_does_not_repeat_are_judged_by_their_scatter() -> None:
    old = counts(*((0, 1.0 + 1e-4 * i) for i in range(10)))
    verdict = only(old, counts(*((0, 1.001 + 1e-4 * i) for i in range(10))))
    assert (verdict.word, verdict.margin) == ("pass", 0.05)


def test_a_seed_that_head_was_not_run_with_is_not_measured() -> None:
    old = counts((0, 1.0), (1, 1.1), (2, 1.2))
    verdict = only(old, counts((0, 1.0), (2, 1.2)))
    assert verdict.word == "not measured"
    assert verdict.reason == "head was not run with 1 of base's 3 seeds (1)"
    assert only(old, counts((0, 1.0), (2, 1.3))).word == "regression"
    assert only(old, counts((0, 1.0), (2, 1.2)), Rules(allow_missing=("*",))).word == "pass"


def test_counts_without_a_seed_in_common_are_refused_and_others_compared_at_the_seeds_that_both_have() -> None:
    def seeded(*pairs: tuple[int, float]) -> Series:
        return counts(*pairs, grounds={"seed": ", ".join(str(seed) for seed, _ in pairs)})

    apart = only(seeded((0, 1.0)), seeded((1, 1.0)))
    assert (apart.word, apart.reason) == ("not comparable", "seed 0 in base, 1 in head")
    assert only(seeded((0, 1.0)), seeded((0, 1.0), (1, 5.0))).word == "pass"
    assert only(seeded((0, 1.0)), seeded((0, 1.1), (1, 1.0))).word == "regression"
    assert only(seeded((0, 1.0), (1, 1.0)), seeded((0, 1.0))).word == "not measured"


def test_the_size_of_a_file_is_compared_exactly_however_often_it_was_written() -> None:
    size = {"key": key("file_bytes"), "family": "size", "unit": "B", "provenance": "measured", "exact": False}
    old = counts((0, 1000.0), (0, 1000.0), **size)
    assert only(old, counts((0, 1001.0), (0, 1001.0), **size)).word == "regression"
    assert only(old, counts((0, 1000.0), (0, 1000.0), **size)).word == "pass"
    assert only(old, counts((0, 999.0), (0, 999.0), **size)).word == "improvement"


# Values that cannot be, and flags


def test_joules_below_zero_or_of_a_counter_that_stood_still_are_refused() -> None:
    for values in ([-1.0, -1.1, -1.2], [1.0, 0.0, 1.0]):
        judgement = judged(series([1.0, 1.1, 1.2]), series(values))
        assert (judgement.verdicts[0].word, judgement.exit) == ("not comparable", 2)
    assert judgement.verdicts[0].reason == "head is 0 J: its counter did not move; measure longer windows"


def test_modelled_joules_that_vanish_or_turn_negative_are_refused() -> None:
    assert only(modelled(1.0), modelled(-1.0)).reason == "head is -1 J, and cannot be less than 0; measure it again"
    for old, new in ((1.0, 0.0), (0.0, 1.0)):
        verdict = only(modelled(old), modelled(new))
        assert verdict.word == "not comparable"
        assert "nothing was counted" in verdict.reason


def test_an_accuracy_that_is_no_share_is_refused() -> None:
    verdict = only(accuracy([93.0, 93.0]), accuracy([92.5, 92.5]))
    assert verdict.word == "not comparable"
    assert verdict.reason.startswith("base is 93, and an accuracy is a share of 0 to 1; give it as one; head is 92.5")


def flagged(values: Sequence[float], flag: str, times: int) -> Series:
    one = series(values)
    rounds = tuple(replace(each, flags=(flag,)) if i < times else each for i, each in enumerate(one.rounds))
    return replace(one, rounds=rounds)


def test_joules_below_the_resolution_of_their_counter_are_inconclusive() -> None:
    verdict = only(series(noisy(1)), flagged(noisy(2, factor=0.5), "below-resolution", 5))
    assert (verdict.word, verdict.p) == ("inconclusive", None)
    assert verdict.reason == "head is below its counter's resolution in 5 of 10 rounds; measure longer windows"
    assert only(series(noisy(1)), flagged(noisy(2), "below-resolution", 4)).word == "pass"


def test_a_machine_that_was_throttled_or_not_quiet_is_said_beside_the_verdict() -> None:
    verdict = only(flagged(noisy(1), "not-quiet", 10), flagged(noisy(2), "throttled", 3))
    assert verdict.word == "pass"
    assert verdict.reason == ("head was throttled in 3 of 10 rounds; base was measured on a machine that was not quiet")
    both = only(flagged(noisy(1), "not-quiet", 10), flagged(noisy(2), "not-quiet", 10))
    assert both.reason == "each side was measured on a machine that was not quiet"


def test_what_a_source_says_of_its_series_is_said_once_in_the_reason() -> None:
    old, new = modelled(1.0, note="nobody told the version of torch"), modelled(1.0)
    assert only(old, new).reason == "nobody told the version of torch"
    assert only(old, replace(new, note=old.note)).reason == old.note


# What is joined, and the exit code


def test_what_no_index_describes_any_more_is_missed_where_head_lacks_it_and_else_left_out() -> None:
    old = accuracy([1.0], key=key("seconds"), family="quality", grounds={DESCRIBED: "no"})
    assert judge(side(old, modelled(1.0)), side(modelled(1.0), name="head"), Rules()).exit == 4
    both = judge(side(old, modelled(1.0)), side(replace(old), modelled(1.0), name="head"), Rules())
    assert (both.verdicts[0].word, both.exit) == ("left out", 0)


def test_each_difference_of_ground_is_named_with_both_values() -> None:
    other = GROUNDS | {"machine": "bench-2", "driver": "intel-rapl"}
    judgement = judged(series(noisy(1)), series(noisy(2), grounds=other))
    assert (
        judgement.verdicts[0].reason
        == "machine bench-1 in base, bench-2 in head; driver absent in base, intel-rapl in head"
    )
    assert (judgement.exit, judgement.compared) == (2, 0)


def test_measured_and_estimated_joules_are_never_compared() -> None:
    judgement = judged(
        series(noisy(1)), series(noisy(2), provenance="estimated"), Rules(allow=frozenset({"estimated"}))
    )
    assert judgement.verdicts[0].reason == "provenance measured in base, estimated in head"


@pytest.mark.parametrize("provenance", ["estimated", "simulated"])
def test_what_is_estimated_or_simulated_is_refused_unless_asked_for(provenance: Any) -> None:
    old, new = series(noisy(1), provenance=provenance), series(noisy(2), provenance=provenance)
    refused = judged(old, new)
    assert refused.exit == 2
    assert f"--allow {provenance}" in refused.verdicts[0].reason
    assert judged(old, new, Rules(allow=frozenset({provenance}))).exit == 0


def test_a_head_that_measured_nothing_is_four_even_where_it_may_miss_all() -> None:
    assert judged(series(noisy(1)), None).exit == 4
    assert judged(series(noisy(1)), None, Rules(allow_missing=("*",))).exit == 4


def test_a_base_without_anything_or_nothing_in_common_is_two() -> None:
    assert judged(None, series(noisy(1))).exit == 2
    assert judged(None, None).exit == 2
    apart = judged(series(noisy(1)), series(noisy(2), key=key(workload="other")))
    assert (apart.exit, apart.compared) == (2, 0)
    assert "no series in common" in apart.reason


def test_a_point_that_crashed_in_head_is_not_measured_unless_allowed() -> None:
    kept, lost = series(noisy(1)), series(noisy(2), key=key(bits=2))
    gap = Gap(key=replace(lost.key, metric=""), reason="CUDA out of memory")
    new = side(replace(kept, rounds=series(noisy(3)).rounds), name="head", gaps=(gap,))
    judgement = judge(side(kept, lost), new, Rules())
    assert judgement.exit == 4
    assert [one.reason for one in judgement.of("not measured")] == ["CUDA out of memory"]
    assert judge(side(kept, lost), new, Rules(allow_missing=("qnn-infer bits=2*",))).exit == 0


def test_a_point_that_crashes_in_head_after_some_rounds_is_not_measured_unless_allowed() -> None:
    lost = Gap(key=key("*"), reason="killed by signal 11")
    for old, new in ((series(noisy(1)), series(noisy(2))), (modelled(1.0), modelled(1.0))):
        judgement = judge(side(old), side(new, name="head", gaps=(lost,)), Rules())
        assert (judgement.verdicts[0].word, judgement.exit) == ("not measured", 4)
        assert judgement.verdicts[0].reason.startswith("killed by signal 11, after 1")
        assert judge(side(old), side(new, name="head", gaps=(lost,)), Rules(allow_missing=("*",))).exit == 0


def test_a_crash_of_base_after_some_rounds_is_said_beside_the_verdict() -> None:
    lost = Gap(key=key("*"), reason="killed by signal 11")
    judgement = judge(side(series(noisy(1)), gaps=(lost,)), side(series(noisy(2)), name="head"), Rules())
    assert judgement.exit == 0
    assert judgement.verdicts[0].reason == "base, after 10 rounds: killed by signal 11"


def test_what_base_should_have_had_and_has_not_is_inconclusive_and_not_new() -> None:
    fine, lost = series(noisy(1)), series(noisy(2), key=key(bits=2))
    whole = Gap(key=replace(lost.key, metric="*"), reason="b.json: its row is damaged")
    for gap in (Gap(key=lost.key, reason="failed in asv"), whole):
        judgement = judge(side(fine, gaps=(gap,)), side(replace(fine), lost, name="head"), Rules())
        by_key = {one.key: one for one in judgement.verdicts}
        assert by_key[lost.key].word == "inconclusive"
        assert gap.reason in by_key[lost.key].reason
        assert judgement.exit == 3


def test_a_name_that_is_nothing_here_is_refused_with_what_is_near_it() -> None:
    old, new = series(noisy(1), key=key(bits=8)), series(noisy(2), key=key(bits=8))
    for rules, near in (
        (Rules(only=("joule",)), "joules"),
        (Rules(only=("joules", "joules_per_smaple")), "joules_per_sample"),
        (Rules(margins={"modeled": 0.1}), "modelled"),
        (Rules(margins={"qnn-infer bits=4*": 0.1}), "qnn-infer bits=8 · joules_per_sample"),
    ):
        with pytest.raises(RulesError, match=f"is no family, metric or series of these results; did you mean .*{near}"):
            judged(old, new, rules)
        with pytest.raises(RulesError, match="is no family"):
            take_look(side(old), side(new), rules, Schedule(rounds=(10, 20)))
    for name in ("joules", "accuracy", "joules_per_sample", "qnn-infer bits=8*", "*/joules_per_sample"):
        assert judged(old, new, Rules(margins={name: 0.1})).exit == 0
    assert judged(old, None, Rules(margins={"modeled": 0.1})).exit == 4


def test_a_margin_of_a_hundred_per_cent_or_more_is_refused_where_it_is_a_share() -> None:
    with pytest.raises(RulesError, match="the margin of modelled is 5, that is 500 %"):
        Rules(margins={"modelled": 5})
    with pytest.raises(RulesError, match="the margin of joules_per_sample is 1, that is 100 %"):
        judged(series(noisy(1)), series(noisy(2)), Rules(margins={"joules_per_sample": 1}))
    score = {"key": key("score"), "family": "quality", "higher_is_better": True}
    assert (
        only(accuracy([20.0] * 3, **score), accuracy([19.0] * 3, **score), Rules(margins={"score": 2})).word == "pass"
    )


def test_a_series_that_only_head_has_is_new_and_does_no_harm() -> None:
    old, more = series(noisy(1)), series(noisy(2), key=key(bits=2))
    judgement = judge(side(old), side(old, more, name="head"), Rules())
    assert [one.word for one in judgement.verdicts] == ["pass", "new"]
    assert judgement.exit == 0


def test_the_exit_is_the_first_that_holds_of_two_one_four_three_and_zero() -> None:
    def pair(name: str, factor: float, **more: Any) -> tuple[Series, Series]:
        one = {"key": key(workload=name)}
        return series(noisy(1), **one), series(noisy(2, factor=factor), **one | more)

    other = pair("other", 1.0, grounds={"machine": "x"})
    worse, lost, fine = pair("worse", 2.0), pair("lost", 1.0), pair("fine", 1.0)
    unsure = (series(noisy(1, cv=1), key=key(workload="?")), series(noisy(2, cv=1), key=key(workload="?")))
    order = [(other, 2), (worse, 1), (lost, 4), (unsure, 3), (fine, 0)]
    for i, (_, code) in enumerate(order):
        left = [both for both, _ in order[i:]]
        heads = [new for _, new in left if new.key.workload != "lost"]
        assert judge(side(*(old for old, _ in left)), side(*heads, name="head"), Rules()).exit == code


def test_only_what_is_selected_is_judged() -> None:
    old, new = side(series(noisy(1)), modelled(1.0)), side(series(noisy(2, factor=2)), modelled(1.0), name="head")
    assert judge(old, new, Rules(only=("modelled",))).exit == 0
    assert judge(old, new, Rules(only=("joules_per_sample",))).exit == 1
    assert judge(old, new, Rules(only=("accuracy",))).exit == 2


def test_the_most_particular_margin_holds() -> None:
    one = series(noisy(1), key=key(bits=8), margin=0.3)
    assert Rules().margin(one) == 0.3
    assert Rules(margins={"joules": 0.2}).margin(one) == 0.2
    assert Rules(margins={"joules": 0.2, "joules_per_sample": 0.1}).margin(one) == 0.1
    assert Rules(margins={"joules_per_sample": 0.1, "qnn-infer bits=8 *": 0.07}).margin(one) == 0.07
    assert Rules(margins={"qnn-infer/*": 0.06, one.key.label: 0.02}).margin(one) == 0.02
    with pytest.raises(RulesError, match="margin of joules"):
        Rules(margins={"joules": -1})


# Joules and accuracy together


def test_energy_that_was_bought_with_accuracy_is_said_to_be() -> None:
    old, new = side(series(noisy(1)), accuracy([0.93] * 5)), side(series(noisy(2, factor=0.7)), accuracy([0.9] * 5))
    (point,) = judge(old, new, Rules()).points
    assert point.sentence.startswith("energy gain bought with accuracy: joules_per_sample -")
    (back,) = judge(new, old, Rules()).points
    assert back.sentence.startswith("accuracy gain bought with energy")


# Accepted regressions


def accepted_file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "accepted.toml"
    path.write_text(text)
    return path


def test_an_accepted_regression_is_shown_and_does_not_count(tmp_path: Path) -> None:
    text = '[[accepted]]\nseries = "qnn-infer/*/joules_*"\nreason = "exact kernel"\nuntil = 2026-06-01\n'
    entries = read_accepted(accepted_file(tmp_path, text))
    old, new = series(noisy(1)), series(noisy(2, factor=1.3))
    judgement = judged(old, new, accepted=entries, today=TODAY)
    assert (judgement.exit, judgement.verdicts[0].word) == (0, "accepted")
    assert judgement.verdicts[0].reason == "accepted until 2026-06-01: exact kernel"
    late = judged(old, new, accepted=entries, today=TODAY + dt.timedelta(days=1))
    assert late.exit == 1
    assert [why for _, why in late.idle] == ["expired on 2026-06-01, it does not count any more"]


def test_an_entry_holds_for_its_commit_its_size_and_its_series() -> None:
    def entry(**more: Any) -> Accepted:
        return Accepted(**{"series": "*", "reason": "known", "until": TODAY} | more)

    old, new = side(series(noisy(1))), side(series(noisy(2, factor=1.3)), name="head", commit="abc123")
    for one, code in (
        (entry(), 0),
        (entry(up_to=0.2), 1),
        (entry(up_to=0.4), 0),
        (entry(commit="abc"), 0),
        (entry(commit="def"), 1),
        (entry(series="other/*"), 1),
    ):
        assert judge(old, new, Rules(), accepted=[one], today=TODAY).exit == code
    idle = judge(old, new, Rules(), accepted=[entry(series="other/*"), entry(up_to=0.1)], today=TODAY).idle
    assert [why for _, why in idle] == ["matches no series", "covers no regression of this comparison"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[[accepted]\n", "must be TOML"),
        ("[other]\n", "only"),
        ('[[accepted]]\nseries = "*"\nuntil = 2026-01-01\n', "reason must be some text"),
        ('[[accepted]]\nseries = "*"\nreason = "x"\n', "until is None"),
        ('[[accepted]]\nseries = "*"\nreason = "x"\nuntil = "soon"\n', "until is 'soon'"),
        ('[[accepted]]\nseries = "*"\nreason = "x"\nuntil = 2026-01-01\nup_to = "a"\n', "up_to is 'a'"),
        ('[[accepted]]\nseries = "*"\nreason = "x"\nuntil = 2026-01-01\nupto = 1\n', "has upto"),
        ("accepted = 3\n", "only"),
        ("accepted = [3]\n", "is no table"),
    ],
)
def test_a_damaged_file_of_accepted_regressions_is_named(tmp_path: Path, text: str, why: str) -> None:
    path = accepted_file(tmp_path, text)
    with pytest.raises(AcceptedError, match=why) as caught:
        read_accepted(path)
    assert str(caught.value).startswith(str(path))


def test_a_file_of_accepted_regressions_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "accepted.toml"
    text = '[[accepted]]\nseries = "*"\nreason = "x"\nuntil = 2026-01-01\n'
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert [entry.series for entry in read_accepted(path)] == ["*"]


def test_a_missing_file_of_accepted_regressions_is_named(tmp_path: Path) -> None:
    with pytest.raises(AcceptedError, match="No such file"):
        read_accepted(tmp_path / "none.toml")


# Looks


def looked(
    factor: float, schedule: Schedule, *, seed: int = 0, cv: float = 0.02, margin: float = 0.05
) -> list[Progress]:
    rng = random.Random(seed)
    old: list[float] = []
    new: list[float] = []
    steps: list[Progress] = []
    while not steps or steps[-1].again:
        until = schedule.rounds[len(steps)]
        while len(old) < until:
            old.append(rng.lognormvariate(0, cv))
            new.append(factor * rng.lognormvariate(0, cv))
        before = steps[-1] if steps else None
        sides = side(series(old)), side(series(new), name="head")
        steps.append(take_look(*sides, Rules(margins={"joules": margin}), schedule, before))
    return steps


def test_the_first_look_declares_no_regression_and_the_second_confirms_it() -> None:
    first, second = looked(1.3, Schedule(rounds=(10, 20)))
    assert (first.judgement.verdicts[0].word, first.suspects) == ("inconclusive", {key()})
    assert first.points == {("qnn-infer", ())}
    assert (second.judgement.verdicts[0].word, second.judgement.exit) == ("regression", 1)


def test_what_passes_at_the_first_look_is_not_measured_again() -> None:
    (first,) = looked(1.0, Schedule(rounds=(10, 20)), cv=0.01)
    assert (first.judgement.exit, first.again) == (0, frozenset())


def test_a_suspect_that_fresh_rounds_do_not_confirm_stays_open() -> None:
    schedule = Schedule(rounds=(10, 20))
    rng = random.Random(1)
    old = [rng.lognormvariate(0, 0.02) for _ in range(20)]
    new = [value * (1.5 if i < 10 else 1.0) * rng.lognormvariate(0, 0.02) for i, value in enumerate(old)]
    first = take_look(side(series(old[:10])), side(series(new[:10])), Rules(alpha=0.1), schedule)
    second = take_look(side(series(old)), side(series(new)), Rules(alpha=0.1), schedule, first)
    (verdict,) = second.judgement.verdicts
    assert verdict.p is not None
    assert verdict.p < 0.1
    assert (verdict.word, verdict.suspect, second.judgement.exit) == ("inconclusive", True, 3)


def test_what_is_settled_keeps_its_verdict_at_later_looks() -> None:
    schedule = Schedule(rounds=(10, 20))
    fine, unsure = key(point=0), key(point=1)
    first = take_look(
        side(series(noisy(1), key=fine), series(noisy(2, cv=0.3), key=unsure)),
        side(series(noisy(3), key=fine), series(noisy(4, cv=0.3), key=unsure)),
        Rules(),
        schedule,
    )
    assert first.again == {unsure}
    second = take_look(
        side(series(noisy(1), key=fine), series(noisy(2, 20, cv=0.3), key=unsure)),
        side(series([value * 9 for value in noisy(3)], key=fine), series(noisy(4, 20, cv=0.3), key=unsure)),
        Rules(),
        schedule,
        first,
    )
    assert [one.word for one in second.judgement.verdicts] == ["pass", "inconclusive"]
    assert second.judgement.family == 2


def test_a_point_that_head_cannot_run_any_more_loses_the_verdict_it_had() -> None:
    schedule = Schedule(rounds=(10, 20))
    fine, unsure = key(), key("loss")
    more: dict[str, Any] = {"key": unsure, "family": "quality"}

    def sides(n: int, *gaps: Gap) -> tuple[Side, Side]:
        base = side(series(noisy(1, n), key=fine), series(noisy(2, n, cv=0.3), **more))
        return base, side(series(noisy(3, n), key=fine), series(noisy(4, n, cv=0.3), **more), name="head", gaps=gaps)

    first = take_look(*sides(10), Rules(), schedule)
    assert [one.word for one in first.judgement.verdicts] == ["pass", "inconclusive"]
    second = take_look(*sides(12, Gap(key=key("*"), reason="killed by signal 9")), Rules(), schedule, first)
    assert [one.word for one in second.judgement.verdicts] == ["not measured", "not measured"]
    assert (second.judgement.exit, second.again) == (4, frozenset())


def test_the_levels_of_all_looks_sum_to_the_whole() -> None:
    schedule = Schedule(rounds=(10, 20, 30, 40))
    assert [schedule.share(look) for look in range(4)] == [0.0, 0.5, 0.25, 0.25]
    assert [schedule.share_of_gains(look) for look in range(4)] == [0.25] * 4
    for rounds in ((10,), (20, 10), (1, 5)):
        with pytest.raises(RulesError):
            Schedule(rounds=rounds)


# Whatever the values

positive = st.lists(st.floats(1e-6, 1e6), min_size=2, max_size=8)
any_value = st.floats(allow_nan=True, allow_infinity=True)
MIRRORED = {"regression": "improvement", "improvement": "regression"}


@st.composite
def two_sides(draw: st.DrawFn) -> tuple[Series, Series]:
    paired = draw(st.booleans())
    cv = draw(st.sampled_from([0.0, 1e-3, 0.02, 0.2]))
    n, factor = draw(st.integers(2, 12)), draw(st.floats(0.5, 2.0))
    seed = draw(st.integers(0, 10_000))
    old, new = noisy(seed, n, cv=cv), noisy(seed + 1, n, factor=factor, cv=cv)
    if draw(st.booleans()):
        return accuracy([value / 9 for value in old]), accuracy([value / 9 for value in new])
    return series(old, paired=paired), series(new, paired=paired)


@given(two_sides())
@settings(max_examples=200, deadline=None)
def test_sides_that_change_places_change_regression_for_improvement(both: tuple[Series, Series]) -> None:
    old, new = both
    there, back = only(old, new, floors=lambda _: FLOOR), only(new, old, floors=lambda _: FLOOR)
    if there.word in MIRRORED or back.word in MIRRORED:
        assert back.word == MIRRORED.get(there.word)


@given(two_sides(), st.integers(-20, 20))
@settings(max_examples=200, deadline=None)
def test_another_unit_changes_no_verdict(both: tuple[Series, Series], power: int) -> None:
    old, new = both
    if old.family == "accuracy":
        return

    def scaled(one: Series) -> Series:
        return replace(one, rounds=tuple(replace(r, values=(r.values[0] * 2.0**power,)) for r in one.rounds))

    assert only(old, new, floors=lambda _: FLOOR).word == only(scaled(old), scaled(new), floors=lambda _: FLOOR).word


@given(positive, st.integers(1, 5), st.booleans())
@settings(max_examples=100, deadline=None)
def test_more_rounds_of_the_same_values_never_make_a_regression(values: list[float], times: int, paired: bool) -> None:
    for n in range(1, times + 1):
        one = series(values * n, paired=paired)
        verdict = only(one, one, floors=lambda _: FLOOR)
        assert verdict.word == "pass" if paired else verdict.word in ("pass", "inconclusive")


@given(
    st.lists(any_value, max_size=6),
    st.lists(any_value, max_size=6),
    st.booleans(),
    st.sampled_from(["joules", "quality"]),
)
@settings(max_examples=300, deadline=None)
def test_no_values_make_it_crash(old: list[float], new: list[float], exact: bool, family: Any) -> None:
    for paired in (True, False):
        sides = [series(values, paired=paired, exact=exact, family=family) for values in (old, new)]
        judgement = judged(*sides, floors=lambda _: FLOOR)
        assert judgement.exit in (0, 1, 2, 3, 4)
        assert judgement.exit or judgement.compared


def test_estimates_decide_nothing_until_they_are_asked_for():
    more = {"provenance": "estimated", "key": key("estimated_joules_per_sample")}
    estimates = series([1.0, 1.01, 0.99], paired=False, **more), series([9.0, 9.1, 9.2], paired=False, **more)
    beside = modelled(1.0)
    base, head = side(estimates[0], beside), side(estimates[1], beside, name="head")
    judgement = judge(base, head, Rules())
    assert {one.key.metric: one.word for one in judgement.verdicts} == {
        "estimated_joules_per_sample": "left out",
        "modelled_joules_per_sample": "pass",
    }
    assert judgement.exit == 0
    assert judge(base, side(beside, name="head"), Rules()).exit == 0
    asked = judge(base, head, Rules(allow=frozenset({"estimated"})), floors=lambda _: FLOOR)
    assert asked.exit == 1
    alone = judge(side(estimates[0]), side(estimates[1], name="head"), Rules())
    assert alone.exit == 2
    assert alone.compared == 0
