"""The last, the smallest and the largest value. Age does not count: what was seen was seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from uuid import UUID

import msgspec

from personakit.domain.aggregates.accumulator import Options, Reading
from personakit.domain.aggregates.decay import Weight
from personakit.domain.aggregates.sample import Number, Sample, number

LARGEST_VALUE: Final = 4096
"""Bytes of JSON that a value may have to be kept as the last one."""


class Last:
    """The value of the newest observation, by (occurredAt, id)."""

    def __init__(self, state: Any, _options: Options) -> None:
        self._state: dict[str, Any] | None = state

    def take(self, sample: Sample) -> int:
        if len(msgspec.json.encode(sample.value)) > LARGEST_VALUE:
            return 0
        if self._state is None or (sample.micros, sample.id) > (self._state["at"], UUID(self._state["id"])):
            self._state = {"at": sample.micros, "id": str(sample.id), "value": sample.value}
        return 1

    def dump(self) -> Any:
        return self._state

    def read(self, _as_of: Weight) -> Reading:
        return Reading(None if self._state is None else self._state["value"])


class Extreme:
    """The smallest or the largest number."""

    choose: Callable[[Number, Number], Number]

    def __init__(self, state: Any, _options: Options) -> None:
        self._value: Number | None = state

    def take(self, sample: Sample) -> int:
        value = number(sample.value)
        if value is None:
            return 0
        self._value = value if self._value is None else self.choose(self._value, value)
        return 1

    def dump(self) -> Any:
        return self._value

    def read(self, _as_of: Weight) -> Reading:
        return Reading(self._value)


class Min(Extreme):
    """The smallest number."""

    choose = staticmethod(min)


class Max(Extreme):
    """The largest number."""

    choose = staticmethod(max)
