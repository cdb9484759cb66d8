"""What a side says of itself: an interval where there is one to state, and `exact` where none is needed."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energybench.gate import judge
from energybench.gating.outputs.plain import plain
from energybench.gating.rules import Rules
from energybench.gating.series import Key, Round, Series, Side
from energybench.gating.summary import Summary, summary
from energybench.stats import mean_interval


def series(rounds: Sequence[Round], **more: Any) -> Series:
    given: dict[str, Any] = {
        "key": Key(workload="w", parameters=(), metric="joules_per_sample"),
        "family": "joules",
        "unit": "J",
        "provenance": "measured",
        "higher_is_better": False,
        "exact": False,
        "grounds": {},
    }
    return Series(**given | more, rounds=tuple(rounds))


def rounds(*values: float, **more: Any) -> list[Round]:
    return [Round(values=(value,), when=float(number), **more) for number, value in enumerate(values)]


def counted(*values: float, **more: Any) -> Series:
    of = Key(workload="w", parameters=(), metric="operand_bytes_per_sample")
    return series(
        [Round(values=(value,), when=0.0, seed=seed) for seed, value in enumerate(values)],
        **{"key": of, "family": "modelled", "unit": "B", "provenance": "modelled", "exact": True} | more,
    )


def test_rounds_have_students_interval() -> None:
    told = summary(series(rounds(1.0, 2.0, 3.0)))
    # s = 1, n = 3, t = 4.303 at 2 degrees of freedom: 2 ± 2.484, and joules do not go below 0.
    assert told.bounds == pytest.approx((0.0, 2 + 4.3027 / 3**0.5), rel=1e-4)
    assert (told.value, told.spread, told.exact) == (2.0, 1.0, False)


@given(st.lists(st.floats(0.5, 2.0), min_size=2, max_size=20).filter(lambda values: len(set(values)) > 1))
def test_the_interval_of_rounds_is_that_of_their_mean(values: list[float]) -> None:
    told = summary(series(rounds(*values)))
    expected = mean_interval(values)
    assert told.bounds == pytest.approx((max(expected.low, 0.0), expected.high))


def test_what_all_rounds_share_is_not_made_smaller_by_their_number() -> None:
    values = [100.0 + 0.01 * (number % 2) for number in range(1000)]
    told = summary(series(rounds(*values, systematic=0.02)))
    assert told.bounds == pytest.approx((100.005 * (1 - 0.02 * 1.96), 100.005 * (1 + 0.02 * 1.96)), rel=1e-4)


def test_net_joules_may_lie_below_zero() -> None:
    net = Key(workload="w", parameters=(), metric="net_joules_per_sample")
    told = summary(series(rounds(0.0, 1.0), key=net))
    assert told.bounds is not None
    assert told.bounds[0] < 0


def test_a_single_round_has_the_interval_that_its_record_states() -> None:
    assert summary(series(rounds(1.0, bounds=(0.9, 1.2)))).bounds == (0.9, 1.2)


def test_a_single_round_without_a_statement_has_that_of_its_windows() -> None:
    told = summary(series([Round(values=(1.0, 2.0, 3.0), when=0.0)]))
    assert told.bounds == pytest.approx((0.0, 2 + 4.3027 / 3**0.5), rel=1e-4)


def test_asvs_summary_of_samples_has_the_interval_of_its_standard_error() -> None:
    told = summary(series(rounds(10.0, standard_error=1.0, count=3)))
    assert told.bounds == pytest.approx((10 - 4.3027, 10 + 4.3027), rel=1e-4)


@pytest.mark.parametrize("provenance", ["estimated", "modelled"])
def test_many_rounds_of_an_estimate_are_as_unsure_as_one(provenance: Any) -> None:
    many = series(rounds(*([1.0, 1.01] * 50), bounds=(0.5, 2.0)), provenance=provenance)
    assert summary(many).bounds == pytest.approx((0.5, 2.0))


def test_an_accuracy_at_one_seed_has_the_interval_of_its_test_set_however_often_it_is_run() -> None:
    of = {"key": Key(workload="w", parameters=(), metric="accuracy"), "family": "accuracy", "unit": "1"}
    told = summary(series(rounds(0.95, 0.95, 0.95, seed=0, bounds=(0.92, 0.97)), **of))
    assert told.bounds == pytest.approx((0.92, 0.97))
    apart = [Round(values=(value,), when=0.0, seed=seed, bounds=(0.4, 0.6)) for seed, value in enumerate((0.1, 0.9))]
    assert summary(series(apart, **of)).bounds == (0.0, 1.0)


def test_one_value_that_nothing_is_said_of_has_no_interval_and_is_not_exact() -> None:
    assert summary(series(rounds(1.0))) == Summary(value=1.0)
    assert summary(series([])) == Summary()


def test_a_count_is_exact_and_has_no_interval() -> None:
    assert summary(counted(5e5)) == Summary(value=5e5, exact=True)
    assert summary(counted(5e5, 5e5)).exact
    assert summary(counted(5e5, 5e5)).bounds is None


def test_counts_that_differ_from_seed_to_seed_are_not_exact_as_a_mean() -> None:
    told = summary(counted(1.0, 3.0))
    assert (told.value, told.exact) == (2.0, False)
    assert told.bounds is not None


def test_modelled_joules_are_exact_and_have_the_range_of_their_model() -> None:
    one = [Round(values=(2e-5,), when=0.0, bounds=(1e-5, 4e-5))]
    told = summary(series(one, family="modelled", provenance="modelled", exact=True))
    assert (told.bounds, told.exact) == ((1e-5, 4e-5), True)


def sides(base: Series, head: Series) -> list[Side]:
    return [Side(name=name, series={one.key: one}) for name, one in (("base", base), ("head", head))]


def test_the_json_of_the_gate_has_the_intervals_of_both_sides() -> None:
    base, head = (series(rounds(*(level + step for step in (-0.01, 0.0, 0.01)))) for level in (1.0, 1.5))
    (told,) = json.loads(json.dumps(plain(judge(*sides(base, head), Rules()))))["series"]
    assert told["base_low"] < told["base"] < told["base_high"] < told["head_low"] < told["head"] < told["head_high"]
    assert "exact" not in told


def test_the_json_of_the_gate_says_what_is_exact_and_has_no_interval_for_it() -> None:
    (told,) = plain(judge(*sides(counted(100.0), counted(101.0)), Rules()))["series"]  # type: ignore[misc]
    assert (told["verdict"], told["base"], told["head"], told["exact"]) == ("regression", 100.0, 101.0, True)
    assert not {"base_low", "base_high", "head_low", "head_high"} & told.keys()


def test_of_several_seeds_the_interval_is_that_of_the_seed_that_is_shown() -> None:
    def modelled(values: Sequence[float]) -> Series:
        found = [
            Round(values=(one,), when=0.0, seed=seed, bounds=(one / 2, one * 2)) for seed, one in enumerate(values)
        ]
        return series(found, family="modelled", provenance="modelled", exact=True)

    (one,) = judge(*sides(modelled([1.0, 2.0]), modelled([1.0, 3.0])), Rules()).verdicts
    assert (one.word, one.base, one.head) == ("regression", 2.0, 3.0)
    assert (one.base_bounds, one.head_bounds) == ((1.0, 4.0), (1.5, 6.0))
    assert one.exact
