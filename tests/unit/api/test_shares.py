"""Shares: never more than there is, and whatever others took, something is left."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from personakit.api.shares import Shares

steps = st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 40), st.booleans()), max_size=60)


@given(st.integers(1, 100), steps)
def test_a_key_comes_to_hold_as_much_as_was_free_and_no_more(
    most: int, steps: list[tuple[str, int, bool]]
) -> None:
    shares = Shares(most)
    held: Counter[str] = Counter()
    for key, amount, gives in steps:
        if gives and held[key]:
            given_back = min(amount, held[key])
            shares.give_back(key, given_back)
            held[key] -= given_back
        else:
            fits = amount == 0 or held[key] + amount <= most - held.total()
            assert shares.take(key, amount) == fits
            held[key] += amount * fits
        assert shares._of == +held
        assert shares.taken == held.total() <= most


@given(st.integers(1, 6), st.integers(0, 1000))
def test_however_many_take_all_they_can_there_is_some_for_the_next(keys: int, more: int) -> None:
    shares = Shares(2**keys + more)
    for key in range(keys):
        while shares.take(str(key)):
            pass
    assert shares.take("next")
