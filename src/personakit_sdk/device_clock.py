"""The time, as far as a device knows it: its own clock, corrected by what the service's answers say.

A device's clock may be years off, or be set while the program runs. What must not be fooled by that is
told the corrected time: when something happened, and whether cached personas may still be served.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

from personakit_sdk.store import Store

TOLERATED: Final = 60.0
"""Seconds that a clock may differ from the service's and be believed: HTTP says only seconds, and late."""
_OFFSET: Final = "clock offset"
_SEEN: Final = "latest instant"


def wall_clock() -> datetime:
    """The device's own clock."""
    return datetime.now(UTC)


class DeviceClock:
    """`wall` reads the device's clock and `steady` one that nobody sets, in seconds."""

    def __init__(
        self,
        store: Store,
        *,
        wall: Callable[[], datetime] = wall_clock,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._wall, self._steady = store, wall, steady
        with store.reading() as connection:
            self._offset = float(store.note(connection, _OFFSET) or 0.0)
            seen = float(store.note(connection, _SEEN) or 0.0)
        self._anchor = (datetime.fromtimestamp(seen, UTC), steady())

    @property
    def offset(self) -> float:
        """Seconds by which the service's clock is ahead of the device's; 0 while they agree."""
        return self._offset

    def now(self) -> datetime:
        """The corrected time; never before the latest instant that the service was heard at."""
        return max(self._wall() + timedelta(seconds=self._offset), self._at_least())

    def hear(self, date: str | None) -> None:
        """Takes the `Date` of an answer that has just come; without one nothing is learned."""
        try:
            said = parsedate_to_datetime(date or "")
        except (TypeError, ValueError):
            return
        if said.utcoffset() is None:
            return
        difference = (said - self._wall()).total_seconds()
        offset = difference if abs(difference) > TOLERATED else 0.0
        changed = abs(offset - self._offset) > TOLERATED
        self._offset, self._anchor = offset, (said, self._steady())
        if changed:
            self.keep()

    def keep(self) -> None:
        """Writes down what is known of the time, for the next process: that much has gone by, whatever the
        device's clock will be set to meanwhile."""
        with self._store.writing() as connection:
            self._store.write_note(connection, _OFFSET, self._offset)
            self._store.write_note(connection, _SEEN, self._at_least().timestamp())

    def _at_least(self) -> datetime:
        """The latest instant that the service was heard at, and what has gone by since."""
        instant, then = self._anchor
        return instant + timedelta(seconds=max(0.0, self._steady() - then))
