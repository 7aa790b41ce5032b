"""What every aggregate can do: take samples in, write down its state, be read."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from personakit.domain.aggregates.decay import Weight
from personakit.domain.aggregates.sample import Sample


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What a definition may ask of its aggregate. `quantiles` are whole percents, for example 50."""

    half_life_days: float | None = None
    min_samples: int = 1
    quantiles: tuple[int, ...] = ()


class Reading(msgspec.Struct, frozen=True):
    """An aggregate's value, and how far its samples disagree, 0 to 1.

    `truncated` says that more keys came than are kept, so that the value is an estimate.
    """

    value: Any
    spread: float = 0.0
    truncated: bool = False


class Accumulator(Protocol):
    """One aggregate's samples so far. Its state depends on which samples came, not on their order."""

    def take(self, sample: Sample) -> int:
        """Takes a sample in; 1, or 0 where its value is none for this aggregate."""
        ...

    def dump(self) -> Any:
        """The state as plain JSON, bounded in size."""
        ...

    def read(self, as_of: Weight, /) -> Reading:
        """The value; decayed counts are as of the sample whose weight is `as_of`. Needs a sample."""
        ...
