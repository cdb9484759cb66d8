"""Student's t as scipy has it, and as tables print it."""

import math
import statistics
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import stdtr, stdtrit

from energybench import student

degrees = st.one_of(st.integers(1, 60).map(float), st.floats(0.5, 1e6))


@pytest.mark.parametrize(
    ("freedom", "level", "printed"),
    [(1, 0.975, 12.706), (2, 0.975, 4.303), (4, 0.975, 2.776), (9, 0.95, 1.833), (30, 0.995, 2.750)],
)
def test_quantiles_are_those_of_the_printed_tables(freedom: float, level: float, printed: float) -> None:
    assert student.quantile(freedom, level) == pytest.approx(printed, abs=5e-4)


@given(degrees, st.floats(1e-9, 1 - 1e-9))
def test_quantiles_are_those_of_scipy(freedom: float, level: float) -> None:
    assert student.quantile(freedom, level) == pytest.approx(float(stdtrit(freedom, level)), rel=1e-9, abs=1e-9)


@given(degrees, st.floats(0, 200))
def test_tails_are_those_of_scipy_however_small(freedom: float, t: float) -> None:
    assert student.tail(freedom, t) == pytest.approx(float(stdtr(freedom, -t)), rel=1e-9, abs=1e-290)


@given(degrees, st.floats(0.001, 0.499))
def test_one_side_mirrors_the_other(freedom: float, level: float) -> None:
    assert student.quantile(freedom, 1 - level) == pytest.approx(-student.quantile(freedom, level), rel=1e-9)


def test_one_degree_is_the_cauchy_distribution() -> None:
    assert student.quantile(1.0, 0.9) == pytest.approx(math.tan(0.4 * math.pi), rel=1e-13)
    assert student.tail(1.0, 1.0) == pytest.approx(0.25, rel=1e-13)


def test_known_spreads_take_the_normal_distribution_and_many_degrees_come_close_to_it() -> None:
    normal = statistics.NormalDist().inv_cdf(0.975)
    assert student.quantile(math.inf, 0.975) == normal
    assert student.quantile(1e6, 0.975) == pytest.approx(normal, rel=2e-6)
    assert student.quantile(5.0, 0.5) == 0.0


def test_a_quantile_needs_no_other_library() -> None:
    code = "import sys; from energybench import stats; stats.t_factor(4); print({'scipy', 'numpy'} & {*sys.modules})"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "set()\n"
