"""Counts, sums and means, from exact sums."""

from __future__ import annotations

from math import isqrt
from typing import Any

from personakit.domain.aggregates.accumulator import Options, Reading
from personakit.domain.aggregates.decay import Sums, Weight
from personakit.domain.aggregates.sample import RESOLUTION, Sample, exact, fixed, number, rounded


class Count:
    """How many observations there were; with a half-life, how many of them still count."""

    def __init__(self, state: Any, options: Options) -> None:
        self._sums = Sums.load(state)
        self._quotient = exact if options.half_life_days is None else rounded

    def take(self, sample: Sample) -> int:
        self._sums.add(sample.weight, "n")
        return 1

    def dump(self) -> Any:
        return self._sums.dump()

    def read(self, as_of: Weight) -> Reading:
        return Reading(self._quotient(self._sums.totals()["n"], self._sums.in_unit(as_of)))


class Sum:
    """The exact sum; with a half-life, of each value by what it still counts."""

    def __init__(self, state: Any, options: Options) -> None:
        self._sums = Sums.load(state)
        self._quotient = exact if options.half_life_days is None else rounded

    def take(self, sample: Sample) -> int:
        value = number(sample.value)
        if value is None:
            return 0
        self._sums.add(sample.weight, "x", fixed(value))
        return 1

    def dump(self) -> Any:
        return self._sums.dump()

    def read(self, as_of: Weight) -> Reading:
        return Reading(self._quotient(self._sums.totals()["x"], RESOLUTION * self._sums.in_unit(as_of)))


class Mean:
    """The mean, weighted by age where there is a half-life (then `ewma` is another word for it)."""

    def __init__(self, state: Any, _options: Options) -> None:
        self._sums = Sums.load(state)

    def take(self, sample: Sample) -> int:
        value = number(sample.value)
        if value is None:
            return 0
        units = fixed(value)
        self._sums.add(sample.weight, "n")
        self._sums.add(sample.weight, "x", units)
        self._sums.add(sample.weight, "xx", units * units)
        return 1

    def dump(self) -> Any:
        return self._sums.dump()

    def read(self, _as_of: Weight) -> Reading:
        totals = self._sums.totals()
        value = rounded(totals["x"], RESOLUTION * totals["n"])
        return Reading(value, variation(totals["n"], totals["x"], totals["xx"]))


def variation(n: int, x: int, xx: int) -> float:
    """s / (s + |mean|), 0 to 1, from the sums of weights, values and squares; s is the population's
    standard deviation. With the coefficient of variation c = s / |mean| it is c / (1 + c)."""
    deviation = isqrt(n * xx - x * x)
    return round(deviation / (deviation + abs(x)), 4) if deviation else 0.0
