"""Expiry: observations whose time is over are retracted, each by an event, so that a replay sees it too."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from personakit.eventlog.retractions import Recorded, Retractions
from personakit.projections.read import Reader

AT_ONCE: Final = 1000
_FIRST: Final[dict[str, Any]] = {"after": datetime.min.replace(tzinfo=UTC), "tenant": "", "id": UUID(int=0)}


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
            after = {"after": rows[-1]["expires_at"], "tenant": rows[-1]["tenant"], "id": rows[-1]["id"]}
        return expired

    def _page(self, now: datetime, limit: int, after: dict[str, Any]) -> list[dict[str, Any]]:
        with self._reader.snapshot_of_all() as snapshot:
            return snapshot.rows("observations.expired", now=now, limit=limit, **after)
