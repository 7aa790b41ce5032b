"""How fast somebody may go: a bucket that fills at a rate, and is emptied by what is asked."""

from __future__ import annotations

from math import ceil
from typing import Final

import msgspec

BURST_SECONDS: Final = 10.0
"""How much may come at once: what a bucket is filled with in so many seconds."""

_ROUNDING: Final = 1e-6


class Rate(msgspec.Struct, frozen=True):
    """Requests and items (observations and feedback) a second, on the long average."""

    requests: float
    items: float


class Bucket:
    """Holds what may be taken now. Instants are seconds of one clock that does not go back.

    It gives to whoever asks while 1 is in it (or, where it holds less, while it is full), and may owe
    afterwards; so even what is larger than the whole bucket is given, and paid for by those who come next.
    Within any t seconds no more is given than `size`, t times `rate` and one taking.
    """

    __slots__ = ("_at", "_least", "_level", "rate", "size")

    def __init__(self, rate: float, now: float, seconds: float = BURST_SECONDS) -> None:
        self.rate = rate
        self.size = rate * seconds
        self._least = min(1.0, self.size) - _ROUNDING
        self._level = self.size
        self._at = now

    def take(self, amount: float, now: float) -> float:
        """Takes `amount` and returns 0; or takes nothing, and returns the seconds until it gives again."""
        level = min(self.size, self._level + (now - self._at) * self.rate)
        self._at = now
        if level >= self._least:
            self._level = level - amount
            return 0.0
        self._level = level
        return (self._least + _ROUNDING - level) / self.rate

    def charge(self, amount: float) -> None:
        """Takes `amount` that was given elsewhere."""
        self._level -= amount

    def refill(self, now: float) -> None:
        """Brings it up to `now`, as each taking does."""
        self._level = min(self.size, self._level + (now - self._at) * self.rate)
        self._at = now

    @property
    def left(self) -> int:
        """How often 1 could be taken, at the instant that it was brought up to."""
        level = self._level
        if level < self._least:
            return 0
        return int(level + _ROUNDING) or 1

    @property
    def full_in(self) -> int:
        """In how many seconds after that it is full again, at least 1."""
        return ceil((self.size - self._level) / self.rate) or 1
