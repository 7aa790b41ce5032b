"""Expiry: observations whose time is over are retracted, each by an event, so that a replay sees it too."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from personakit.eventlog.retractions import Recorded, Retractions
from personakit.projections.read import Reader

AT_ONCE: Final = 1000
_FIRST: Final = (datetime.min.replace(tzinfo=UTC), "", UUID(int=0))


class Expiry:
    """Looks for observations that have expired."""

    def __init__(self, reader: Reader, retractions: Retractions) -> None:
        self._reader = reader
        self._retractions = retractions

    def sweep(self, now: datetime, at_once: int = AT_ONCE) -> int:
        """Retracts those that expired by `now`, `at_once` of them in memory; how many. Whoever else is at it,
        each is retracted once. Those that the read model keeps all the same (their stream stands still, or
        it has not followed yet) hold up no others."""
        expired, after = 0, _FIRST
        while rows := self._page(now, at_once, after):
            expired += self._retractions.expire(
                [Recorded(row["tenant"], row["id"], row["person"]) for row in rows]
            )
            after = rows[-1]["expires_at"], rows[-1]["tenant"], rows[-1]["id"]
        return expired

    def _page(self, now: datetime, limit: int, after: tuple[datetime, str, UUID]) -> list[dict[str, Any]]:
        last = dict(zip(("after", "after_tenant", "after_id"), after, strict=True))
        with self._reader.snapshot_of_all() as snapshot:
            return snapshot.rows("observations.expired", now=now, limit=limit, **last)
