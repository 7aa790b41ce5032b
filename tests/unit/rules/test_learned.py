"""What was learned, as one persona gets it: the two multipliers together, within bounds, never 0."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personakit_sdk.rules import compile_mapper
from personakit_sdk.rules.learned import LEAST, bounds, combined
from tests.mapper_documents import mapper

DEFAULTS = {"min_weight": 0.5, "max_weight": 2.0}
multipliers = st.dictionaries(st.sampled_from("abcd"), st.floats(0, 100))
weights = st.floats(0, 10)


@pytest.mark.parametrize(
    ("least", "most", "low", "high"),
    [
        (0.5, 2.0, 0.5, 2.0),
        (0.0, 10.0, LEAST, 10.0),
        (0.0, 0.0, LEAST, 1.0),
        (0.2, 0.8, 0.2, 1.0),
        (1.5, 3.0, 1.0, 3.0),
        (1.0, 1.0, 1.0, 1.0),
    ],
)
def test_1_lies_between_the_bounds_and_0_below_them(
    least: float, most: float, low: float, high: float
) -> None:
    assert bounds({"min_weight": least, "max_weight": most}) == (low, high)


@given(multipliers, multipliers, weights, weights)
def test_what_is_combined_is_within_bounds(
    shared: dict[str, float], own: dict[str, float], least: float, most: float
) -> None:
    settings = {"min_weight": min(least, most), "max_weight": max(least, most)}
    low, high = bounds(settings)
    together = combined(shared, own, settings)
    assert list(together) == sorted({*shared, *own})
    assert all(0 < low <= each <= high for each in together.values())


@given(multipliers, multipliers)
def test_shared_and_own_are_alike_and_a_rule_that_is_not_named_is_left_as_it_is(
    shared: dict[str, float], own: dict[str, float]
) -> None:
    assert combined(shared, own, DEFAULTS) == combined(own, shared, DEFAULTS)
    assert combined(shared, dict.fromkeys(shared, 1.0), DEFAULTS) == combined(shared, {}, DEFAULTS)


def test_a_product_is_told_in_four_decimals() -> None:
    assert combined({"a": 0.9, "b": 2.0}, {"a": 1.1, "b": 4.0, "c": 0.9}, DEFAULTS) == {
        "a": 0.99,
        "b": 2.0,
        "c": 0.9,
    }


def test_the_settings_of_a_document_are_what_bounds_are_made_of() -> None:
    assert bounds(compile_mapper(mapper()).document["feedback_settings"]) == (0.5, 2.0)
