"""A bucket gives what its rate allows: never more, and never nothing for ever."""

from __future__ import annotations

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personakit.domain.rate import Bucket

rates = st.floats(0.01, 10_000)
pauses = st.floats(0, 30)
amounts = st.integers(1, 1000)
askings = st.lists(st.tuples(pauses, amounts), min_size=1, max_size=60)


@given(rates, askings)
def test_within_any_time_no_more_is_given_than_the_size_the_rate_and_one_taking(
    rate: float, asked: list[tuple[float, int]]
) -> None:
    bucket = Bucket(rate, 0.0)
    instants = list(accumulate(pause for pause, _ in asked))
    amounts_asked = [amount for _, amount in asked]
    given_at = [
        (now, amount)
        for now, amount in zip(instants, amounts_asked, strict=True)
        if bucket.take(amount, now) == 0
    ]
    for begin, (began, _) in enumerate(given_at):
        for end in range(begin, len(given_at)):
            taken = sum(amount for _, amount in given_at[begin : end + 1])
            largest = max(amount for _, amount in given_at[begin : end + 1])
            most = bucket.size + rate * (given_at[end][0] - began) + largest
            assert taken <= most * (1 + 1e-9) + 1e-6


@given(rates, askings)
def test_whoever_comes_again_when_told_is_given(rate: float, asked: list[tuple[float, int]]) -> None:
    bucket, now = Bucket(rate, 0.0), 0.0
    for pause, amount in asked:
        now += pause
        seconds = bucket.take(amount, now)
        if seconds:
            now += seconds
            assert bucket.take(amount, now) == 0


@given(rates, askings)
def test_what_is_told_to_be_left_can_be_taken_one_by_one(rate: float, asked: list[tuple[float, int]]) -> None:
    bucket, now = Bucket(rate, 0.0), 0.0
    for pause, amount in asked:
        now += pause
        bucket.take(amount, now)
    left = min(bucket.left, 500)
    assert [bucket.take(1, now) for _ in range(left)] == [0] * left
    if left < 500:
        assert bucket.take(1, now) > 0
        assert bucket.left == 0


@given(rates, askings)
def test_it_is_full_again_when_it_says(rate: float, asked: list[tuple[float, int]]) -> None:
    bucket, now = Bucket(rate, 0.0), 0.0
    for pause, amount in asked:
        now += pause
        bucket.take(amount, now)
    bucket.refill(now + bucket.full_in)
    assert bucket.left >= int(bucket.size * (1 - 1e-9))
    assert bucket.full_in == 1


@given(rates, st.integers(1, 100_000))
def test_what_was_given_elsewhere_is_missing_here(rate: float, elsewhere: int) -> None:
    here, told = Bucket(rate, 0.0), Bucket(rate, 0.0)
    told.charge(elsewhere)
    assert told.left == pytest.approx(max(0, here.left - elsewhere), abs=1)
