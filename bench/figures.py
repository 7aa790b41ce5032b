"""From measurements to figures: percentiles, ratios within a round, medians over rounds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

import msgspec

from bench.catalogue import BY_NAME


class Figure(msgspec.Struct, frozen=True):
    """What was measured for a key: one value a round, and beside which absolute numbers."""

    key: str
    rounds: tuple[float, ...]
    note: str

    @property
    def value(self) -> float:
        """The median of the rounds."""
        return statistics.median(self.rounds)

    @property
    def holds(self) -> bool | None:
        """Whether the bound is kept; None where there is none."""
        bound = BY_NAME[self.key]
        if bound.at_least is not None:
            return self.value >= bound.at_least
        return None if bound.at_most is None else self.value <= bound.at_most


def ratio(key: str, measured: Sequence[float], limit: Sequence[float], note: str) -> Figure:
    """`measured` ÷ `limit`, each taken in the same round; the note begins with both medians."""
    rounds = tuple(ours / theirs for ours, theirs in zip(measured, limit, strict=True))
    beside = f"{_number(statistics.median(measured))} beside {_number(statistics.median(limit))}"
    return Figure(key, rounds, f"{beside}: {note}")


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least `percent` of all do not exceed (the nearest-rank method)."""
    if not values:
        raise ValueError("There is no percentile of nothing.")
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
