"""How fast each key goes, in this process and in all: buckets here, and what was spent is told through the
database. The header fields are those of draft-ietf-httpapi-ratelimit-headers-11.

A request asks no database: it takes from the bucket that its key has in this process. What a key has spent
here is added, now and then, to what it spent everywhere, and what others spent meanwhile is taken out here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from math import ceil
from typing import Any, Final, cast

from litestar.types import Scope

from personakit.api.problems import RateExceeded
from personakit.domain.rate import BURST_SECONDS, Bucket, Rate
from personakit.eventlog.access import ApiKey, Spent

TOLD_OF: Final = 0.05
"""What part of a bucket a key has spent here before others are told: until then they lose little."""
REMEMBERED_SECONDS: Final = 60.0
_ALLOWANCE: Final = "personakit.allowance"
_ITEMS: Final = "personakit.items"
Headers = tuple[tuple[bytes, bytes], tuple[bytes, bytes]]


class Allowance:
    """What one key may do in this process; for threads."""

    __slots__ = (
        "_items",
        "_lock",
        "_policy",
        "_requests",
        "_seen",
        "_spent_items",
        "_spent_requests",
        "asked_at",
    )

    def __init__(self, rate: Rate, now: float) -> None:
        self._lock = threading.Lock()
        self._requests = Bucket(rate.requests, now)
        self._items = Bucket(rate.items, now)
        self._policy = (b"ratelimit-policy", _policy(rate))
        self._spent_requests = self._spent_items = 0
        self._seen: Spent | None = None
        self.asked_at = now

    def request(self, now: float) -> None:
        """Takes a request. Raises RateExceeded."""
        with self._lock:
            seconds = self._requests.take(1, now)
            if seconds == 0:
                self._spent_requests += 1
        self.asked_at = now
        if seconds:
            raise RateExceeded("requests", self._requests.rate, seconds)

    def items(self, count: int, now: float) -> None:
        """Takes the items of a request. Raises RateExceeded."""
        with self._lock:
            seconds = self._items.take(count, now)
            if seconds == 0:
                self._spent_items += count
        if seconds:
            raise RateExceeded("items", self._items.rate, seconds)

    def headers(self, *, items: bool) -> Headers:
        """What the answer to a request tells of it that took, or did not take, items as well."""
        asked, sent = self._requests, self._items
        told = b'"requests";r=%d;t=%d' % (asked.left, asked.full_in)
        if items:
            told += b', "items";r=%d;t=%d' % (sent.left, sent.full_in)
        return self._policy, (b"ratelimit", told)

    def untold(self) -> tuple[int, int] | None:
        """Requests and items that others are to be told of; None while it is little."""
        spent = self._spent_requests, self._spent_items
        much = spent[0] >= TOLD_OF * self._requests.size or spent[1] >= TOLD_OF * self._items.size
        return spent if much else None

    def told(self, here: tuple[int, int], everywhere: Spent) -> None:
        """`here` was added to what is spent everywhere, which is now `everywhere`."""
        with self._lock:
            self._spent_requests -= here[0]
            self._spent_items -= here[1]
            if self._seen is not None:
                self._requests.charge(everywhere.requests - self._seen.requests - here[0])
                self._items.charge(everywhere.items - self._seen.items - here[1])
            self._seen = everywhere


class Rates:
    """The allowances of the keys that were used here lately. A key without a rate of its own has `usual`."""

    def __init__(self, usual: Rate) -> None:
        self._usual = usual
        self._of: dict[str, Allowance] = {}

    def admit(self, scope: Scope, key: ApiKey) -> None:
        """Takes a request of a key. Raises RateExceeded."""
        now = time.monotonic()
        allowance = self._of.get(key.prefix)
        if allowance is None:
            allowance = self._of[key.prefix] = Allowance(key.rate or self._usual, now)
        cast(dict[str, Any], scope)[_ALLOWANCE] = allowance  # a refusal tells of it as well
        allowance.request(now)

    def untold(self) -> dict[str, tuple[int, int]]:
        """By key: what others are to be told of. Keys that were long not used are forgotten."""
        now = time.monotonic()
        told: dict[str, tuple[int, int]] = {}
        for prefix, allowance in list(self._of.items()):
            spent = allowance.untold()
            if spent is not None:
                told[prefix] = spent
            elif allowance.asked_at < now - REMEMBERED_SECONDS:
                del self._of[prefix]
        return told

    def told(self, here: dict[str, tuple[int, int]], everywhere: Iterator[Spent]) -> None:
        """What comes of having told."""
        for spent in everywhere:
            if (allowance := self._of.get(spent.prefix)) is not None:
                allowance.told(here[spent.prefix], spent)


def take_items(scope: Scope, count: int) -> None:
    """Takes so many items from what the key of a request may send. Raises RateExceeded."""
    given = cast(dict[str, Any], scope)
    if (allowance := given.get(_ALLOWANCE)) is not None:
        given[_ITEMS] = True
        allowance.items(count, time.monotonic())


def rate_headers(scope: Scope) -> Headers | None:
    """What the answer to a request tells of its key's rate; None for one without a key."""
    given = cast(dict[str, Any], scope)
    allowance: Allowance | None = given.get(_ALLOWANCE)
    return None if allowance is None else allowance.headers(items=_ITEMS in given)


def _policy(rate: Rate) -> bytes:
    """As the draft writes it; a bucket's size is the quota of the window in which it fills."""
    window = ceil(BURST_SECONDS)
    requests, items = int(rate.requests * BURST_SECONDS), int(rate.items * BURST_SECONDS)
    return b'"requests";q=%d;w=%d, "items";q=%d;qu="personakit-items";w=%d' % (
        requests,
        window,
        items,
        window,
    )
