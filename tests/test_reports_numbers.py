"""How numbers with intervals are printed: one prefix, the same decimals, and no more digits than are known."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energybench.reports import numbers


@pytest.mark.parametrize(
    ("value", "half", "unit", "text"),
    [
        (0.002, 0.00817, "%", "+0.20 ± 0.82 %"),
        (-0.012, 0.00123, "points", "−1.20 ± 0.12 points"),
        (0.0123456, 0.000123, "J", "+12.35 ± 0.12 mJ"),
        (12345.0, 678.0, "", "+12340 ± 680"),
        (0.0, 0.0999, "%", "0 ± 10 %"),
        (0.001, 0.2, "J", "0 ± 200 mJ"),
        (3.0, 0.0, "s", "+3.00 s"),
        (1.0, 1e-9, "", "+1.00 ± 1.00 × 10⁻⁹"),
    ],
)
def test_a_number_and_half_its_interval_have_the_same_decimals(value: float, half: float, unit: str, text: str):
    assert numbers.plus_minus(value, half, unit, signed=True) == text


@given(st.floats(-1e3, 1e3), st.floats(1e-3, 1e3))
def test_half_an_interval_has_two_digits_at_most(value: float, half: float):
    told, _, width = numbers.plus_minus(value, half, "").partition(" ± ")
    assert len(told.partition(".")[2]) == len(width.partition(".")[2])
    assert len(width.replace(".", "").strip("0")) <= 2
    assert float(width) == pytest.approx(half, rel=0.051)
    assert abs(float(told.replace("−", "-")) - value) <= 0.051 * half + 1e-12


@pytest.mark.parametrize(
    ("value", "limits", "texts"),
    [
        (0.0123, (0.0119, 0.0128), ("12.3 mJ", "11.9 to 12.8 mJ")),
        (12.345e-3, (12.343e-3, 12.347e-3), ("12.345 mJ", "12.343 to 12.347 mJ")),
        (10.04, (9.98, 10.1), ("10.04 J", "9.98 to 10.10 J")),
        (1.0, (0.1, 30.0), ("1.00 J", "0.100 to 30.0 J")),
        (5.0, (0.0, 12.0), ("5.00 J", "0 to 12.0 J")),
        (0.0, (-1.0, 1.0), ("0 J", "−1.00 to 1.00 J")),
    ],
)
def test_a_number_is_as_precise_as_its_interval(value: float, limits: tuple[float, float], texts: tuple[str, str]):
    assert numbers.stated(value, limits, "J") == texts


@pytest.mark.parametrize(
    ("value", "limits", "unit", "texts"),
    [
        (0.05, (0.031, 0.072), "%", ("+5.00 %", "+3.10 to +7.20 %")),
        (-0.0207, (-0.0348, -0.00655), "points", ("−2.07 points", "−3.48 to −0.66 points")),
        (0.06, (-1e-4, 0.123), "%", ("+6.0 %", "0.0 to +12.3 %")),
        (9.1, (0.0005, 12.0), "%", ("+910 %", "+0.0500 to +1200 %")),
        (2.2e-4, (2.1e-4, 2.5e-4), "J", ("+220 µJ", "+210 to +250 µJ")),
        (1.0, None, "%", ("+100 %", "")),
    ],
)
def test_a_change_has_its_signs(value: float, limits: tuple[float, float] | None, unit: str, texts: tuple[str, str]):
    assert numbers.change(value, limits, unit) == texts


@given(st.floats(1e-2, 1e4), st.floats(0.0, 0.5), st.floats(1e-2, 0.5))
def test_what_is_printed_of_an_interval_is_it_to_its_digits(value: float, below: float, above: float):
    low, high = value * (1 - below), value * (1 + above)
    text, interval = numbers.stated(value, (low, high), "")
    found = [float(one) for one in re.findall(r"\d+(?:\.\d+)?", interval)]
    assert found == pytest.approx([low, high], abs=0.06 * (high - low), rel=0.006)
    assert float(text) == pytest.approx(value, abs=0.06 * (high - low), rel=0.006)
