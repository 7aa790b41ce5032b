"""Which changes of a trait are material: large enough to make a core stale."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from personakit.domain.traits import Trait, coarse, is_material
from tests.unit.domain.observing import START


def changes(before: Any, after: Any, precision: Any = None) -> bool:
    return is_material(Trait(value=before), Trait(value=after, precision=precision))


@pytest.mark.parametrize(
    ("before", "after", "precision", "material"),
    [
        (1041, 1042, None, False),
        (104, 105, None, False),
        (99, 100, None, True),
        (1.0, 1, None, False),
        (0.1234, 0.1239, None, False),
        (0.12, 0.13, None, True),
        (0.12, 0.13, 0.1, False),
        (41, 44, 10, False),
        (44, 46, 10, True),
        (-0.0, 0, None, False),
        (True, 1, None, True),
        ("1", 1, None, True),
        (None, 0, None, True),
        ("Python", "Python", None, False),
        ("Python", "Rust", None, True),
        ({"p50": 451, "p90": 90}, {"p50": 452, "p90": 90}, None, False),
        ({"p50": 451, "p90": 90}, {"p50": 452, "p90": 99}, None, True),
        ({"p50": 1}, {"p50": 1, "p90": 2}, None, True),
        ([100, 200], [101, 201], None, False),
        ([1, 2], [1, 2, 3], None, True),
        (["a", "b"], ["b", "a"], None, True),
        ({"peak": 9, "counts": [7]}, {"peak": 9, "counts": [8]}, {"counts": 100}, False),
        ({"peak": 9, "counts": [7]}, {"peak": 10, "counts": [8]}, {"counts": 100}, True),
        ([7], [8], {"counts": 100}, True),
        (1e308, -1e308, 1e-9, True),
    ],
)
def test_a_value_is_compared_at_its_precision(
    before: Any, after: Any, precision: Any, material: bool
) -> None:
    assert changes(before, after, precision) is material


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
precisions = st.none() | st.floats(1e-9, 1e9) | st.dictionaries(st.text(max_size=3), st.floats(1e-9, 1e9))


@settings(deadline=None)
@given(values, precisions)
def test_nothing_is_material_against_itself(value: Any, precision: Any) -> None:
    trait = Trait(value=value, precision=precision)
    assert is_material(trait, trait) is False
    assert coarse(value, precision) == coarse(value, precision)


def test_coming_and_going_is_material_and_staying_away_is_not() -> None:
    shown, hidden = Trait(value=1), Trait(value=None, visible=False)
    for absent in (None, hidden):
        assert is_material(absent, shown)
        assert is_material(shown, absent)
        assert not is_material(absent, hidden)
    assert not is_material(None, None)


def test_a_fast_trait_is_material_only_when_it_was_or_becomes_slow() -> None:
    fast, faster = Trait(value=1, volatility="high"), Trait(value=9, volatility="high")
    slow, slower = Trait(value=1, volatility="medium"), Trait(value=1, volatility="low")
    assert not is_material(fast, faster)
    assert not is_material(None, fast)
    assert is_material(fast, slow)
    assert is_material(slow, fast)
    assert is_material(slow, slower)


def test_crossing_a_band_of_confidence_is_material() -> None:
    def believed(weight: float) -> Trait:
        return Trait(value=1, weight=weight, last_observed_at=START)

    # confidence is weight / (weight + 4): 0.4 at 2.67, 0.7 at 9.33
    assert not is_material(believed(1), believed(2))
    assert is_material(believed(2), believed(3))
    assert not is_material(believed(3), believed(9))
    assert is_material(believed(9), believed(10))


def test_confidence_is_judged_at_the_newest_instant() -> None:
    # both had 0.71 when they were last seen, but by now the older one has aged below 0.4
    old = Trait(value=1, weight=10, half_life_days=10, last_observed_at=START)
    new = Trait(value=1, weight=10, half_life_days=10, last_observed_at=START + timedelta(days=10))
    assert is_material(old, new)
