"""Aggregates: how the observations of one kind fold into a value, one at a time and in any order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from personakit.domain.aggregates.accumulator import Accumulator, Options
from personakit.domain.aggregates.categories import Mode, Set
from personakit.domain.aggregates.extremes import Last, Max, Min
from personakit.domain.aggregates.histograms import HourHistogram, WeekdayHistogram
from personakit.domain.aggregates.moments import Count, Mean, Sum
from personakit.domain.aggregates.quantiles import Quantiles
from personakit.domain.aggregates.trends import Trend


class Aggregate(msgspec.Struct, frozen=True):
    """`start` makes an accumulator from a dumped state (None: an empty one). `requires` are the options
    it cannot do without; `reads` is false where it takes nothing from the content."""

    start: Callable[[Any, Options], Accumulator]
    reads: bool = True
    requires: tuple[str, ...] = ()


AGGREGATES: Final[Mapping[str, Aggregate]] = {
    "last": Aggregate(Last),
    "count": Aggregate(Count, reads=False),
    "sum": Aggregate(Sum),
    "mean": Aggregate(Mean),
    "ewma": Aggregate(Mean, requires=("half_life_days",)),
    "min": Aggregate(Min),
    "max": Aggregate(Max),
    "mode": Aggregate(Mode),
    "quantiles": Aggregate(Quantiles, requires=("quantiles",)),
    "set": Aggregate(Set),
    "histogram_by_hour": Aggregate(HourHistogram, reads=False),
    "histogram_by_weekday": Aggregate(WeekdayHistogram, reads=False),
    "trend": Aggregate(Trend),
}
