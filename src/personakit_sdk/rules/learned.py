"""What was learned of a mapper's rules, for one persona: which multipliers its weights get."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

LEAST: Final = 0.01
"""No multiplier falls below this: a rule that learning had silenced could never be heard again."""
DIGITS: Final = 4
"""Decimals of a multiplier."""


def bounds(settings: Mapping[str, float]) -> tuple[float, float]:
    """Between what a multiplier stays, by a mapper's `feedback_settings`. 1 always lies between the two: a
    rule of which nothing is known yet stays as its author made it."""
    return max(LEAST, min(settings["min_weight"], 1.0)), max(settings["max_weight"], 1.0)


def combined(
    shared: Mapping[str, float], own: Mapping[str, float], settings: Mapping[str, float]
) -> dict[str, float]:
    """By rule, the mapper's multiplier times the persona's own, within the `bounds` of the two."""
    low, high = bounds(settings)
    rules = sorted(shared.keys() | own.keys())
    return {rule: min(max(_product(shared, own, rule), low), high) for rule in rules}


def _product(shared: Mapping[str, float], own: Mapping[str, float], rule: str) -> float:
    """0.9 × 1.1 is 0.99, without the tail that binary fractions have."""
    return round(shared.get(rule, 1.0) * own.get(rule, 1.0), DIGITS)
