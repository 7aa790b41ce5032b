"""When observations happen: counts by hour of the day and by day of the week, on the person's own clock."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Final

from personakit.domain.aggregates.accumulator import Options, Reading
from personakit.domain.aggregates.decay import Sums, Weight
from personakit.domain.aggregates.sample import Number, Sample, tidy
from personakit_sdk.rules.clock import PERIODS, WEEKDAYS, period_of

HOURS: Final = 24
DAYS: Final = len(WEEKDAYS)
_TURN: Final = 10**6
"""Sines and cosines are whole millionths: a last digit that differs between C libraries rounds away."""


class Histogram(ABC):
    """Weighted counts by slot of a cycle."""

    slots: int

    def __init__(self, state: Any, options: Options) -> None:
        self._sums = Sums.load(state)
        self._decays = options.half_life_days is not None

    def take(self, sample: Sample) -> int:
        self._sums.add(sample.weight, str(self.slot(sample)))
        return 1

    def dump(self) -> Any:
        return self._sums.dump()

    def read(self, as_of: Weight) -> Reading:
        totals = self._sums.totals()
        counts = [totals.get(str(slot), 0) for slot in range(self.slots)]
        value = self.describe(counts) | {"counts": self._as_of(counts, self._sums.in_unit(as_of))}
        return Reading(value, circular_variance(counts))

    def _as_of(self, counts: Sequence[int], unit: int) -> list[Number]:
        return [tidy(round(count / unit, 2)) for count in counts] if self._decays else list(counts)

    @abstractmethod
    def slot(self, sample: Sample) -> int:
        """Where in the cycle an observation falls."""

    @abstractmethod
    def describe(self, counts: Sequence[int]) -> dict[str, Any]:
        """The cycle in words: its peak and the shares that matter."""


class HourHistogram(Histogram):
    """By hour, 0 to 23, in the offset that `occurredAt` came with."""

    slots = HOURS

    def slot(self, sample: Sample) -> int:
        return sample.local.hour

    def describe(self, counts: Sequence[int]) -> dict[str, Any]:
        periods = dict.fromkeys(PERIODS, 0)
        for hour, count in enumerate(counts):
            periods[period_of(hour)] += count
        peak = _peak(counts)
        period = max(periods, key=periods.__getitem__)
        return {"peak": peak, "share": _share(counts[peak], counts), "period": period}


class WeekdayHistogram(Histogram):
    """By day of the week, Monday first, in the offset that `occurredAt` came with."""

    slots = DAYS

    def slot(self, sample: Sample) -> int:
        return sample.local.weekday()

    def describe(self, counts: Sequence[int]) -> dict[str, Any]:
        peak = _peak(counts)
        weekend = sum(counts[WEEKDAYS.index("saturday") :])
        return {
            "peak": WEEKDAYS[peak],
            "share": _share(counts[peak], counts),
            "weekend_share": _share(weekend, counts),
        }


def circular_variance(counts: Sequence[int]) -> float:
    """1 - R, with R the mean resultant length: 0 when all fall into one slot, 1 when they are spread
    evenly around the cycle, and 23 h is as near to 0 h as 1 h is (Mardia and Jupp, Directional
    Statistics, 2000, section 2.3)."""
    angles = [2 * math.pi * slot / len(counts) for slot in range(len(counts))]
    east = sum(count * round(_TURN * math.cos(angle)) for count, angle in zip(counts, angles, strict=True))
    north = sum(count * round(_TURN * math.sin(angle)) for count, angle in zip(counts, angles, strict=True))
    length = math.isqrt(east * east + north * north) / (_TURN * sum(counts))
    return round(max(0.0, 1 - length), 4)


def _peak(counts: Sequence[int]) -> int:
    """The slot of the highest count, the earliest of equals."""
    return max(range(len(counts)), key=counts.__getitem__)


def _share(part: int, counts: Sequence[int]) -> Number:
    return tidy(round(part / sum(counts), 2))
