"""Intervals hold what they promise, and small cases have the textbook's numbers."""

import math
import random
import statistics
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energybench import stats

samples = st.lists(st.floats(0.1, 1e6), min_size=3, max_size=12)


def test_median_and_mad_of_known_numbers() -> None:
    assert stats.median([1.0, 9.0, 2.0]) == 2.0
    assert stats.mad([1.0, 2.0, 3.0, 4.0, 100.0]) == pytest.approx(1.4826, rel=1e-4)


def test_t_interval_of_the_mean_matches_the_table() -> None:
    interval = stats.mean_interval([9.0, 10.0, 11.0, 10.0, 10.0])
    error = math.sqrt(0.5) / math.sqrt(5)
    assert interval.standard_uncertainty == pytest.approx(error)
    assert interval.high - interval.value == pytest.approx(2.776445 * error, rel=1e-6)


def test_t_interval_covers_the_truth_in_95_of_100_runs() -> None:
    rng = random.Random(1)
    hits = 0
    for _ in range(2000):
        interval = stats.mean_interval([rng.gauss(50, 3) for _ in range(5)])
        hits += interval.low <= 50 <= interval.high
    assert 0.935 <= hits / 2000 <= 0.965


def test_a_known_systematic_part_widens_and_lends_its_certainty_to_the_interval() -> None:
    alone = stats.combined_interval(10.0, 0.1, 4, 0.0)
    both = stats.combined_interval(10.0, 0.1, 4, 0.5)
    assert alone.high - 10 == pytest.approx(2.776445 * 0.1, rel=1e-6)
    assert both.standard_uncertainty == pytest.approx(math.hypot(0.1, 0.5))
    assert both.high - 10 == pytest.approx(1.96 * math.hypot(0.1, 0.5), rel=0.01)


def test_nothing_uncertain_gives_an_interval_of_no_width() -> None:
    assert stats.combined_interval(2.0, 0.0, 4, 0.0).high == 2.0


def test_bootstrap_of_the_mean_agrees_with_t_on_many_normal_samples() -> None:
    rng = random.Random(2)
    values = [rng.gauss(10, 1) for _ in range(60)]
    boot = stats.bootstrap(values, statistics.fmean)
    exact = stats.mean_interval(values)
    assert boot.low == pytest.approx(exact.low, abs=0.05)
    assert boot.high == pytest.approx(exact.high, abs=0.05)


def test_bootstrap_leans_towards_the_long_tail() -> None:
    rng = random.Random(3)
    values = [rng.expovariate(1) for _ in range(30)]
    boot = stats.bootstrap(values, statistics.fmean)
    assert boot.high - boot.value > boot.value - boot.low


def test_bootstrap_of_equal_samples_has_no_width() -> None:
    assert stats.bootstrap([3.0] * 5) == stats.Interval(value=3.0, low=3.0, high=3.0, standard_uncertainty=0.0)


@pytest.mark.parametrize(("m", "n", "rank"), [(4, 4, 1), (5, 5, 3), (6, 6, 6), (10, 10, 24), (8, 10, 18)])
def test_rank_sum_limits_are_those_of_the_printed_tables(m: int, n: int, rank: int) -> None:
    differences = stats.hodges_lehmann([float(i) for i in range(m)], [1000.0 * i for i in range(n)])
    everything = sorted(1000.0 * h - b for b in range(m) for h in range(n))
    assert differences.low == everything[rank - 1]
    assert differences.high == everything[-rank]


def test_three_against_three_cannot_give_95_percent() -> None:
    with pytest.raises(ValueError, match="at least 4 of each"):
        stats.hodges_lehmann([1.0, 2.0, 3.0], [4.0, 5.0, 6.0])


def test_ratio_covers_the_truth_and_pairing_removes_a_common_drift() -> None:
    rng = random.Random(4)
    hits, narrower = 0, 0
    for _ in range(1000):
        drift = [1 + 0.02 * i for i in range(8)]
        base = [d * math.exp(rng.gauss(0, 0.01)) for d in drift]
        head = [1.05 * d * math.exp(rng.gauss(0, 0.01)) for d in drift]
        paired, loose = stats.ratio(base, head, paired=True), stats.ratio(base, head)
        hits += paired.low <= 1.05 <= paired.high
        narrower += paired.high - paired.low < loose.high - loose.low
    assert 0.93 <= hits / 1000 <= 0.97
    assert narrower > 990


def test_ratio_by_ranks_ignores_one_wild_repeat() -> None:
    base = [1.0, 1.01, 0.99, 1.02, 0.98, 1.0]
    head = [1.1, 1.11, 1.09, 1.12, 1.08, 50.0]
    assert stats.ratio_hodges_lehmann(base, head).value == pytest.approx(1.1, rel=0.02)
    assert stats.ratio(base, head).value > 1.5


@given(samples)
def test_ratio_of_a_thing_to_itself_is_one_and_inside(values: list[float]) -> None:
    interval = stats.ratio(values, values)
    assert interval.value == pytest.approx(1.0)
    assert interval.low <= 1.0000001
    assert interval.high >= 0.9999999


def test_ratio_of_net_energies_below_zero_is_refused_with_a_way_out() -> None:
    with pytest.raises(ValueError, match="difference"):
        stats.ratio([1.0, 2.0], [-1.0, 2.0])


def test_effect_sizes_of_known_samples() -> None:
    assert stats.cliffs_delta([1.0, 2.0], [3.0, 4.0]) == 1.0
    assert stats.cliffs_delta([1.0, 2.0], [2.0, 1.0]) == 0.0
    assert stats.hedges_g([1.0, 2.0, 3.0], [2.0, 3.0, 4.0]) == pytest.approx(0.8)
    assert stats.hedges_g([1.0, 1.0], [2.0, 2.0]) == math.inf


def test_dependent_samples_are_worth_fewer() -> None:
    rng = random.Random(5)
    x, chain = 0.0, []
    for _ in range(20000):
        x = 0.9 * x + rng.gauss(0, 1)
        chain.append(x)
    assert stats.effective_samples(chain) == pytest.approx(20000 * 0.1 / 1.9, rel=0.1)
    assert stats.effective_samples([1.0, -1.0, 1.0, -1.0]) == 4
    assert stats.effective_samples([2.0, 2.0, 2.0]) == 1


def test_batch_means_use_equal_batches_in_order() -> None:
    assert stats.batch_means([float(i) for i in range(7)], batches=3) == [0.5, 2.5, 4.5]
    with pytest.raises(ValueError, match="fewer"):
        stats.batch_means([1.0], batches=3)


@pytest.mark.parametrize("few", [[], [1.0]])
def test_too_few_repeats_are_refused(few: list[float]) -> None:
    with pytest.raises(ValueError, match="too few"):
        stats.mean_interval(few)


def test_importing_the_module_loads_neither_scipy_nor_numpy() -> None:
    code = "import sys, energybench.stats; assert not {'scipy', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_wilsons_interval_of_90_of_100_is_the_published_one() -> None:
    low, high = stats.wilson_interval(0.9, 100)
    assert (round(low, 3), round(high, 3)) == (0.826, 0.945)
    assert stats.wilson_interval(1.0, 359)[1] == 1.0
