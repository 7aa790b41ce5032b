"""Where numbers are heading: the slope of a line through them, from exact sums."""

from __future__ import annotations

from math import isqrt
from typing import Any, Final, NamedTuple

from personakit.domain.aggregates.accumulator import Options, Reading
from personakit.domain.aggregates.decay import Sums, Weight
from personakit.domain.aggregates.sample import RESOLUTION, Sample, fixed, number, rounded, tidy

DAY: Final = 86_400_000_000
"""Microseconds."""
ERRORS_APART: Final = 3
"""A slope counts as a trend when it is so many of its standard errors away from none: by chance that
happens to about three in a thousand lines through many samples, to far more of those through a handful."""


class Trend:
    """The least-squares line of value over time, each sample by its weight.

    With S the weighted sums of squares and products about the means, the slope is Stx / Stt, the share of
    the scatter that the line explains is R² = Stx² / (Stt Sxx), and the slope's t, with W samples that
    still count, is t² = (W - 2) R² / (1 - R²) (Draper and Smith, Applied Regression Analysis, 1998,
    chapter 1; a weight counts as so much of an observation). `steady` is a slope with |t| below
    ERRORS_APART, and one of two samples or fewer. Time is in whole microseconds, so that a history moved
    in time has the same line to the digit where nothing decays.
    """

    def __init__(self, state: Any, _options: Options) -> None:
        self._sums = Sums.load(state)

    def take(self, sample: Sample) -> int:
        value = number(sample.value)
        if value is None:
            return 0
        t, x = sample.micros, fixed(value)
        for name, term in (("n", 1), ("t", t), ("tt", t * t), ("x", x), ("tx", t * x), ("xx", x * x)):
            self._sums.add(sample.weight, name, term)
        return 1

    def dump(self) -> Any:
        return self._sums.dump()

    def read(self, as_of: Weight) -> Reading:
        line = _line(self._sums.totals())
        rising = line.tx > 0
        found = line.is_trend(self._sums.in_unit(as_of))
        value = {
            "direction": ("rising" if rising else "falling") if found else "steady",
            "per_day": rounded(line.tx * DAY, line.tt * RESOLUTION) if line.tt else 0,
            "fit": tidy(round(line.tx**2 / (line.tt * line.xx), 2)) if line.tx else 0,
        }
        return Reading(value, line.spread())


class _Line(NamedTuple):
    """Weighted sums about the means, each times the total weight `n`; `x` is the sum of the values."""

    n: int
    x: int
    tt: int
    tx: int
    xx: int

    def is_trend(self, one: int) -> bool:
        """Whether t² is at least ERRORS_APART²; `one` is the weight of a sample that counts fully."""
        beyond_two = self.n - 2 * one
        unexplained = self.tt * self.xx - self.tx**2
        return (
            self.tx != 0 and beyond_two > 0 and self.tx**2 * beyond_two >= ERRORS_APART**2 * unexplained * one
        )

    def spread(self) -> float:
        """s / (s + |mean|), 0 to 1, with s the standard deviation about the line."""
        about = (self.tt * self.xx - self.tx**2) // self.tt if self.tt else self.xx
        deviation = isqrt(about)
        return round(deviation / (deviation + abs(self.x)), 4) if deviation else 0.0


def _line(sums: dict[str, int]) -> _Line:
    n, t, x = sums["n"], sums["t"], sums["x"]
    return _Line(n, x, n * sums["tt"] - t * t, n * sums["tx"] - t * x, n * sums["xx"] - x * x)
