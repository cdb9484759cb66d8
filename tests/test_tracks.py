"""Totals from raw counters: wraps, resets, standstill and gaps."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energybench.model import Domain, Unavailable
from energybench.tracks import CounterTrack, GaugeTrack, Mark, poll_seconds

MODULUS = 1000


def counter(**settings) -> CounterTrack:
    plain = {"name": "cpu.package-0", "probe": "test", "modulus": MODULUS, "max_rate": 100.0}
    return CounterTrack(Domain(**(plain | settings)))


def ns(seconds: float) -> int:
    return round((1 + seconds) * 1e9)


@given(
    st.lists(st.tuples(st.floats(0.1, 9.9), st.floats(0.0, 1.0)), min_size=1, max_size=60),
    st.integers(0, MODULUS - 1),
)
def test_any_number_of_wraps_adds_up_while_gap_times_power_is_below_the_range(
    steps: list[tuple[float, float]], start: int
) -> None:
    track, seconds, true = counter(), 0.0, start
    first = track.edge((ns(0), start))
    for gap, share in steps:
        seconds += gap
        true += int(gap * 100.0 * share)
        last = track.edge((ns(seconds), true % MODULUS))
    assert isinstance(first, Mark)
    assert isinstance(last, Mark)
    assert last.breaks == first.breaks
    assert last.total - first.total == true - start


def test_a_gap_in_which_the_counter_could_wrap_twice_breaks_the_window() -> None:
    track = counter()
    first, last = track.edge((ns(0), 5)), track.edge((ns(10.0), 6))
    assert last.breaks == first.breaks + 1
    assert "more than once" in track.reason.reason


@pytest.mark.parametrize("modulus", [MODULUS, None])
def test_a_counter_that_goes_backwards_is_a_reset_and_not_a_wrap(modulus: int | None) -> None:
    track = counter(modulus=modulus)
    first, last = track.edge((ns(0), 900)), track.edge((ns(1), 100))
    assert last.breaks == first.breaks + 1
    assert "backwards" in track.reason.reason


def test_a_failed_reading_is_handed_on_and_adds_nothing() -> None:
    track, lost = counter(), Unavailable(reason="EIO", remedy="")
    track.edge((ns(0), 10))
    assert track.edge((ns(1), lost)) is lost
    after = track.edge((ns(2), 60))
    assert (after.total, after.breaks) == (50, 0)


def test_a_counter_that_stands_still_for_twenty_ticks_breaks_the_window() -> None:
    track = counter(tick=0.01)
    first = track.edge((ns(0), 10))
    track.edge((ns(0.04), 10))
    assert track.breaks == first.breaks
    track.edge((ns(0.25), 10))
    assert track.breaks == first.breaks + 1
    assert "stood still" in track.reason.reason


def test_bytes_may_stand_still() -> None:
    track = counter(quantity="dram_bytes", tick=0.01, max_rate=None)
    first, last = track.edge((ns(0), 10)), track.edge((ns(100), 10))
    assert first.breaks == last.breaks


def test_the_poll_is_a_quarter_of_the_shortest_wrap_and_thirty_seconds_at_most() -> None:
    domain = Domain(name="d", probe="p", scale=1e-6, modulus=65_532_610, max_rate=1000.0)
    assert poll_seconds(domain) == pytest.approx(0.0164, rel=0.01)
    assert poll_seconds(Domain(name="d", probe="p", scale=1e-6, modulus=262_143_328_911, max_rate=1000.0)) == 30


@given(st.floats(1, 500), st.floats(-20, 20), st.lists(st.floats(0.001, 0.5), min_size=2, max_size=50))
def test_a_gauge_is_integrated_exactly_over_its_own_timestamps(start: float, slope: float, gaps: list[float]) -> None:
    track = GaugeTrack(Domain(name="g", probe="p", kind="gauge", scale=1e-9))
    seconds = 0.0
    first = track.edge((ns(0), round(start * 1e9)))
    for gap in gaps:
        seconds += gap
        last = track.edge((ns(seconds), round((start + slope * seconds) * 1e9)))
    exact = start * seconds + slope * seconds**2 / 2
    assert last.total - first.total == pytest.approx(exact, rel=1e-6, abs=1e-6)


def test_a_repeated_sensor_timestamp_counts_once() -> None:
    track = GaugeTrack(Domain(name="g", probe="p", kind="gauge"))
    for _ in range(5):
        mark = track.edge((ns(0), 7))
    assert mark.samples == 1


def test_the_first_step_of_a_counter_that_had_frozen_breaks_the_window() -> None:
    track = counter(tick=0.01)
    track.edge((ns(0), 10))
    begin = track.edge((ns(0.5), 10))  # it stood for 50 ticks before the window
    end = track.edge((ns(0.7), 60))  # what it holds of those 50 ticks is not the window's
    assert end.breaks > begin.breaks
    assert "stood still" in track.reason.reason


def test_a_backward_fault_that_heals_inside_a_window_breaks_it_too() -> None:
    track = counter(modulus=None, max_rate=1000.0)
    track.edge((ns(0), 900))
    begin = track.edge((ns(1), 800))
    end = track.edge((ns(1.2), 950))
    assert end.breaks > begin.breaks


def test_more_than_the_part_can_use_is_a_jump_and_no_energy() -> None:
    track = counter(modulus=None)
    begin, end = track.edge((ns(0), 0)), track.edge((ns(1), 200))
    assert end.breaks > begin.breaks
    assert "jumped" in track.reason.reason


def test_a_gauge_that_failed_in_between_has_no_joules() -> None:
    track, lost = GaugeTrack(Domain(name="g", probe="p", kind="gauge")), Unavailable(reason="EIO", remedy="")
    begin = track.edge((ns(0), 100))
    track.edge((ns(1), lost))
    end = track.edge((ns(9), 100))
    assert end.breaks > begin.breaks
    assert track.reason is lost


def test_a_counter_that_paused_for_five_ticks_breaks_at_its_next_step() -> None:
    track = counter(tick=0.01)
    track.edge((ns(0), 10))
    begin = track.edge((ns(0.06), 10))
    end = track.edge((ns(0.07), 17))
    assert end.breaks == begin.breaks + 1
