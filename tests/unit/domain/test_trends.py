"""A trend: the line that a textbook would draw, and a direction only where the line is no accident."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from random import Random
from statistics import linear_regression
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from personakit.domain.computed_traits import Observed
from tests.unit.domain.observing import PATH, START, folded, in_batches, observe, observed, one

DAY = timedelta(days=1)
plain_numbers = st.integers(-1_000_000, 1_000_000).map(lambda thousandths: thousandths / 1000)
series = st.lists(st.tuples(plain_numbers, st.integers(0, 400)), min_size=2, max_size=40)


def history(rows: Sequence[tuple[float, int]], later: timedelta = timedelta()) -> list[Observed]:
    """One observation a row of value and day."""
    return [observed(value, START + day * DAY + later, n) for n, (value, day) in enumerate(rows)]


def trend(*values: Any, **options: Any) -> Any:
    """Of one value a day."""
    return folded(one("trend", options), observe(*values, every=DAY)).value


def test_a_line_is_told_exactly() -> None:
    assert trend(1, 1.25, 1.5, 1.75) == {"direction": "rising", "per_day": 0.25, "fit": 1}
    assert trend(30, 27, 24, 21, 18) == {"direction": "falling", "per_day": -3, "fit": 1}
    assert trend(7, 7, 7, 7) == {"direction": "steady", "per_day": 0, "fit": 0}


def test_a_known_series_has_the_slope_and_fit_of_the_textbook() -> None:
    """y = 2.2 + 0.6 x through (1, 2), (2, 4), (3, 5), (4, 4), (5, 5), with R² = 0.6; t² is 4.5, below 9."""
    assert trend(2, 4, 5, 4, 5) == {"direction": "steady", "per_day": 0.6, "fit": 0.6}


def test_two_samples_or_one_instant_are_no_trend() -> None:
    assert trend(5) == {"direction": "steady", "per_day": 0, "fit": 0}
    assert trend(5, 9) == {"direction": "steady", "per_day": 4, "fit": 1}
    at_once = [observed(value, START, value) for value in (1, 5, 9)]
    assert folded(one("trend"), at_once).value == {"direction": "steady", "per_day": 0, "fit": 0}


@pytest.mark.parametrize(("slope", "direction"), [(0.5, "rising"), (0.0, "steady"), (-0.5, "falling")])
def test_noise_does_not_hide_a_trend_nor_make_one(slope: float, direction: str) -> None:
    random = Random(3)
    told = trend(*(60 + slope * day + random.gauss(0, 10) for day in range(90)))
    assert told["direction"] == direction
    assert told["per_day"] == pytest.approx(slope, abs=0.2)


def test_with_a_half_life_the_newest_days_decide() -> None:
    up_then_down = [*range(60), *range(60, 30, -1)]
    assert trend(*up_then_down)["direction"] == "rising"
    assert trend(*up_then_down, half_life_days=4)["direction"] == "falling"


def test_samples_on_a_line_agree_however_steep_it_is() -> None:
    rising = folded(one("trend"), observe(10, 20, 30, 40, every=DAY))
    scattered = folded(one("trend"), observe(10, 40, 10, 40, every=DAY))
    assert rising.spread == 0
    assert scattered.spread > 0.3


@settings(deadline=None)
@given(series)
def test_the_slope_is_that_of_least_squares(rows: list[tuple[float, int]]) -> None:
    days, values = [day for _, day in rows], [value for value, _ in rows]
    assume(len(set(days)) > 1)
    expected = linear_regression(days, values).slope
    assert folded(one("trend"), history(rows)).value["per_day"] == pytest.approx(expected, rel=1e-5, abs=1e-6)


@settings(deadline=None)
@given(series, st.integers(-(10**15), 10**15), st.randoms(use_true_random=False), st.integers(0, 40))
def test_neither_time_nor_order_nor_batches_change_it(
    rows: list[tuple[float, int]], micros: int, random: Random, cut: int
) -> None:
    computed = one("trend")
    still = folded(computed, history(rows))
    moved = history(rows, timedelta(microseconds=micros))
    random.shuffle(moved)
    other = in_batches(computed, moved, [cut])[PATH]
    assert (other.value, other.spread) == (still.value, still.spread)


@settings(deadline=None)
@given(series, st.integers(-300, 300))
def test_moved_by_whole_half_lives_a_decayed_trend_is_the_same(
    rows: list[tuple[float, int]], half_lives: int
) -> None:
    """All weights are multiplied by a power of two then; where the windows of sums begin is not moved along,
    so that this holds for histories that lie within those that are kept whichever way they fall."""
    computed = one("trend", {"half_life_days": 10})
    moved = folded(computed, history(rows, half_lives * 10 * DAY))
    still = folded(computed, history(rows))
    assert (moved.value, moved.spread) == (still.value, still.spread)
