"""Quantiles from a sketch that is small, exact to 1 % and the same in any order.

DDSketch (Masson, Rim and Lee, VLDB 2019): values are counted in bins whose bounds grow by 1 %, so that
any number of a bin is within 1 % of every value counted in it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from decimal import Context, Decimal
from functools import cache
from itertools import accumulate
from typing import Any, Final

from personakit.domain.aggregates.accumulator import Options, Reading
from personakit.domain.aggregates.decay import Sums, Weight
from personakit.domain.aggregates.sample import LARGEST, RESOLUTION, Number, Sample, number, tidy

GROWTH: Final = Decimal("1.01")
"""The paper's gamma: 1 + the relative accuracy that any number of a bin keeps."""
BINS_KEPT: Final = 2048
"""Of each sign and window, from the largest magnitude down to about 10^-9 of it; what is smaller is
counted in the lowest of them (the paper's collapsing)."""


class Quantiles:
    """Bin 0 counts magnitudes up to 10^-9, bin i those in (10^-9 × 1.01^(i-1), 10^-9 × 1.01^i], and -i
    the same for negative numbers."""

    def __init__(self, state: Any, options: Options) -> None:
        self._sums = Sums.load(state)
        self._percents = options.quantiles
        self._tops: dict[tuple[int, int], int] = {}
        self._bottoms: dict[tuple[int, int], int] = {}
        for window, cell in self._sums.windows.items():
            for name in cell:
                place = int(name)
                self._raise_top(window, place)
                self._lower_bottom(window, place)

    def take(self, sample: Sample) -> int:
        value = number(sample.value)
        if value is None:
            return 0
        window, place = sample.weight.window, _bin(value)
        if self._raise_top(window, place):
            self._collapse(window, _sign(place))
        kept = self._kept(window, place)
        self._lower_bottom(window, kept)
        self._sums.add(sample.weight, str(kept))
        return 1

    def dump(self) -> Any:
        return self._sums.dump()

    def read(self, _as_of: Weight) -> Reading:
        bins = sorted((int(name), weight) for name, weight in self._sums.totals().items())
        value = {f"p{percent}": _quantile(bins, percent) for percent in self._percents}
        return Reading(value, quartile_dispersion(_quantile(bins, 25), _quantile(bins, 75)))

    def _raise_top(self, window: int, place: int) -> bool:
        """Notes the largest magnitude of each sign; whether this is a new one."""
        top = self._tops.get((window, _sign(place)), 0)
        self._tops[window, _sign(place)] = max(top, abs(place))
        return abs(place) > top

    def _lower_bottom(self, window: int, place: int) -> None:
        """Notes the smallest magnitude of each sign that is counted in a bin of its own."""
        key = window, _sign(place)
        self._bottoms[key] = min(abs(place), self._bottoms.get(key, abs(place)))

    def _kept(self, window: int, place: int) -> int:
        """The bin that counts what falls into `place`. It depends on the largest magnitude alone, so
        that it makes no difference when a sample came."""
        lowest = self._tops[window, _sign(place)] - BINS_KEPT + 1
        return _sign(place) * max(abs(place), lowest) if place else 0

    def _collapse(self, window: int, sign: int) -> None:
        """Moves what a window counts in bins that are too low by now."""
        lowest = self._tops[window, sign] - BINS_KEPT + 1
        if self._bottoms.get((window, sign), lowest) >= lowest:
            return
        self._bottoms[window, sign] = lowest
        cell = self._sums.windows.get(window, {})
        for place in [int(name) for name in cell if sign * int(name) > 0]:
            kept = self._kept(window, place)
            if kept != place:
                cell[str(kept)] = cell.get(str(kept), 0) + cell.pop(str(place))


def quartile_dispersion(low: Number, high: Number) -> float:
    """(Q3 - Q1) / (|Q3| + |Q1|), 0 to 1: the quartile coefficient of dispersion (Bonett, Computational
    Statistics and Data Analysis 50, 2006), kept within 1 where the quartiles differ in sign."""
    return round((high - low) / (abs(high) + abs(low)), 4) if high != low else 0.0


@cache
def _bounds() -> tuple[float, ...]:
    """Upper bounds of the bins from 0 on. In decimals, because `log` differs between C libraries."""
    context = Context(prec=40)
    bounds, bound = [], Decimal(1) / RESOLUTION
    while bound < LARGEST:
        bounds.append(float(bound))
        bound = context.multiply(bound, GROWTH)
    return (*bounds, float(bound))


def _bin(value: Number) -> int:
    place = bisect_left(_bounds(), abs(value))
    return place if value > 0 else -place


def _sign(place: int) -> int:
    return 1 if place > 0 else -1


def _quantile(bins: Sequence[tuple[int, int]], percent: int) -> Number:
    """The smallest value at or below which `percent` of the weight lies (definition 1 of Hyndman and
    Fan, The American Statistician 50, 1996, which weights carry over to)."""
    reached = accumulate(weight for _, weight in bins)
    wanted = percent * sum(weight for _, weight in bins)
    return _shown(
        next(place for (place, _), weight in zip(bins, reached, strict=True) if 100 * weight >= wanted)
    )


@cache
def _shown(place: int) -> Number:
    """The shortest number in a bin, nearest to its middle: 45 rather than 44.87."""
    if place == 0:
        return 0
    low, high = _bounds()[abs(place) - 1], _bounds()[abs(place)]
    shortest = (float(f"{(low + high) / 2:.{digits}g}") for digits in (1, 2, 3, 4))
    value = next(candidate for candidate in shortest if low < candidate <= high)
    return tidy(value if place > 0 else -value)
