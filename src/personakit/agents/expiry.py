"""Expiry: observations whose time is over are retracted, each by an event, so that a replay sees it too."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from personakit.eventlog.retractions import Recorded, Retractions
from personakit.projections.read import Reader

AT_ONCE: Final = 1000


class Expiry:
    """Looks for observations that have expired."""

    def __init__(self, reader: Reader, retractions: Retractions) -> None:
        self._reader = reader
        self._retractions = retractions

    def sweep(self, now: datetime) -> bool:
        """Retracts at most AT_ONCE of those that expired by `now`; whether there may be more. Whoever else is
        at it, each is retracted once."""
        with self._reader.snapshot_of_all() as snapshot:
            rows = snapshot.rows("observations.expired", now=now, limit=AT_ONCE)
        self._retractions.expire([Recorded(row["tenant"], row["id"], row["person"]) for row in rows])
        return len(rows) == AT_ONCE
