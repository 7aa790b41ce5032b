"""What belongs to all, so that no key can take it: room for bodies, places to wait, streamed answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from litestar.types import Scope


class Shares:
    """So much of something, for all keys; on one event loop.

    A key may come to hold as much as was free before, and no more: whoever takes all it can leaves half, a
    second one half of that. So it takes many that act together to leave nothing. (These are the dynamic
    thresholds of Choudhury and Hahne, with a factor of 1.)
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._of: dict[str, int] = {}
        self.taken = 0

    def take(self, key: str, amount: int = 1) -> bool:
        """Whether `key` has so much more now. It always has nothing more."""
        if amount == 0:
            return True
        held = self._of.get(key, 0) + amount
        if held > self._most - self.taken:
            return False
        self._of[key] = held
        self.taken += amount
        return True

    def give_back(self, key: str, amount: int = 1) -> None:
        """`key` has so much less."""
        self.taken -= amount
        self._of[key] -= amount
        if self._of[key] == 0:
            del self._of[key]

    @contextmanager
    def one(self, key: str, refused: Exception) -> Iterator[None]:
        """`key` has one more for as long as it lasts. Raises `refused` where it may not."""
        if not self.take(key):
            raise refused
        try:
            yield
        finally:
            self.give_back(key)


def key_of(scope: Scope) -> str:
    """The prefix of the key of a request; of all that have none, the same."""
    key = cast(dict[str, Any], scope).get("auth")
    return "" if key is None else str(key.prefix)
