"""How much a sample counts, and exact sums of weighted samples that no order of arrival can change.

A weight is 1 or, with a half-life, 2^((t - EPOCH) / half-life): it grows for newer samples instead of
shrinking for older ones, so that no sum is ever touched because time went by (forward decay: Cormode,
Shkapenyuk, Srivastava and Xu, ICDE 2009). Weights are integers; sums of integers have no rounding that
could depend on the order of adding.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from math import isqrt
from typing import Final, NamedTuple, Self

import msgspec

EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
UNIT_BITS: Final = 20
"""A weight is exact to 2^-20, about one in a million, of itself."""
WINDOW: Final = 32
"""Half-lives that share one window of sums."""
WINDOWS_KEPT: Final = 3
"""The newest sample's window and the two before: what is dropped weighs below 2^-64 of the newest."""

_ROOT_BITS: Final = 64


class Weight(NamedTuple):
    """`units` in the unit of the window numbered `window`; each window's unit is 2^32 of the last's."""

    window: int
    units: int


_ONE: Final = Weight(0, 1)


class Decay(msgspec.Struct, frozen=True):
    """The weights of one half-life; None counts every sample as 1."""

    half_life_micros: int | None

    @classmethod
    def of_days(cls, days: float | None) -> Self:
        return cls(None if days is None else round(days * 86_400_000_000))

    def weight(self, micros: int) -> Weight:
        """The weight of a sample `micros` microseconds after EPOCH (before it, when negative)."""
        if self.half_life_micros is None:
            return _ONE
        steps = (micros << UNIT_BITS) // self.half_life_micros
        window, within = divmod(steps, WINDOW << UNIT_BITS)
        halvings, fraction = divmod(within, 1 << UNIT_BITS)
        return Weight(window, power_of_two(fraction) << halvings)


def micros_of(at: datetime) -> int:
    """Whole microseconds from EPOCH to an aware instant."""
    since = at - EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def instant_of(micros: int) -> datetime:
    """The instant, in UTC, that `micros_of` took."""
    return EPOCH + timedelta(microseconds=micros)


def _roots() -> tuple[int, ...]:
    """2^(1/2), 2^(1/4), 2^(1/8) … in units of 2^-64."""
    roots, root = [], 2 << _ROOT_BITS
    for _ in range(UNIT_BITS):
        root = isqrt(root << _ROOT_BITS)
        roots.append(root)
    return tuple(roots)


_ROOTS: Final = _roots()


def power_of_two(fraction: int) -> int:
    """2^(fraction / 2^20) in units of 2^-20. In integers, because `pow` differs between C libraries."""
    product = 1 << _ROOT_BITS
    for place, root in enumerate(_ROOTS, start=1):
        if fraction >> (UNIT_BITS - place) & 1:
            product = product * root >> _ROOT_BITS
    half = 1 << (_ROOT_BITS - UNIT_BITS - 1)
    return (product + half) >> (_ROOT_BITS - UNIT_BITS)


class Sums:
    """Weighted sums by key, in the newest windows.

    Which samples are kept depends on the newest one alone, not on when it came: a window that is too
    old for the newest sample is dropped whole, and a sample that belongs to it is dropped when it comes.
    """

    __slots__ = ("windows",)

    def __init__(self) -> None:
        self.windows: dict[int, dict[str, int]] = {}

    @classmethod
    def load(cls, state: Mapping[str, Mapping[str, str]] | None) -> Self:
        """The sums that `dump` gave; empty ones for None."""
        sums = cls()
        for window, cell in (state or {}).items():
            sums.windows[int(window)] = {key: int(units, 16) for key, units in cell.items()}
        return sums

    def dump(self) -> dict[str, dict[str, str]]:
        """Hexadecimal text, because JSON readers do not agree on integers above 2^53."""
        return {
            str(window): {key: f"{cell[key]:x}" for key in sorted(cell)}
            for window, cell in sorted(self.windows.items())
        }

    def add(self, weight: Weight, key: str, term: int = 1) -> None:
        """Adds weight × term under a key, unless the window is too old to keep."""
        window, units = weight
        cell = self.cell(window)
        if cell is not None:
            cell[key] = cell.get(key, 0) + units * term

    def cell(self, window: int) -> dict[str, int] | None:
        """The sums of a window by key, to be changed in place; None if it is too old to keep. A new one
        ends those that are too old beside it."""
        cell = self.windows.get(window)
        if cell is None:
            if self.windows and window <= max(self.windows) - WINDOWS_KEPT:
                return None
            cell = self.windows[window] = {}
            for old in [old for old in self.windows if old <= window - WINDOWS_KEPT]:
                del self.windows[old]
        return cell

    def totals(self) -> dict[str, int]:
        """The sums over all windows, in the unit of the oldest one."""
        totals: dict[str, int] = {}
        for window, cell in self.windows.items():
            for key, units in cell.items():
                totals[key] = totals.get(key, 0) + (units << self._shift(window))
        return totals

    def in_unit(self, weight: Weight) -> int:
        """A weight in the unit of `totals`; dividing a total by it gives the total as of that instant."""
        return weight.units << self._shift(weight.window)

    def _shift(self, window: int) -> int:
        return WINDOW * (window - min(self.windows))
