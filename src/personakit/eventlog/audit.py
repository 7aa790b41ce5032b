"""The audit: who read or changed whose data, noted in memory and written now and then.

To note something costs a hot read next to nothing: equal notes are one entry with a count, and a thread
writes what has come together every KEEP_SECONDS. What a process that is killed had not written is lost.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, Final, NamedTuple
from uuid import UUID

import psycopg
from eventsourcing.persistence import PersistenceError

from personakit.eventlog.log_sql import SQL
from personakit.eventlog.recorder import LogRecorder

KEEP_SECONDS: Final = 1.0
PRUNE_SECONDS: Final = 3600.0
MOST: Final = 50_000
"""Entries in memory. Where more would come together, because the database is away or slow, who read and how
often is still counted, but no longer of whom."""
CHUNK: Final = 2_000
SOMEBODY: Final = UUID(int=0)
"""Stands for people whom there was no room to name."""
CLI: Final = "cli"
"""Stands for the key of who reads with a command, past the API."""
COMMAND_STATUS: Final = 0
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

logger = logging.getLogger(__name__)


By = tuple[str, str, str, int]
"""Who did what, with which outcome: tenant, key, operation, status. (A plain tuple, for one is made for each
request.)"""


class Audited(NamedTuple):
    """A row of the audit. `person_id` is None for who was erased since, and for many that are not named;
    `key_name` for a command."""

    id: int
    person_id: str | None
    person: UUID
    key: str
    key_name: str | None
    operation: str
    status: int
    times: int
    first_at: datetime
    last_at: datetime
    position: int | None


class Asked(NamedTuple):
    """Which rows are asked for; None is any."""

    person: UUID | None = None
    key: str | None = None
    operation: str | None = None


_Entry = list[Any]
"""How often, first and last (seconds since 1970), and the newest position of a change or None."""


class Audit:
    """Notes, and writes what was noted; rows older than `days` are not shown, and go."""

    def __init__(self, recorder: LogRecorder, days: int) -> None:
        self._recorder = recorder
        self._kept = timedelta(days=days)
        self._lock = threading.Lock()
        self._noted: dict[By, dict[UUID, _Entry]] = {}
        self._size = 0

    def note(self, by: By, people: Iterable[UUID], at: float, position: int | None = None) -> None:
        """Notes that something was done about people at an instant (seconds since 1970); `position` is where
        it stands in the log, if it changed something."""
        with self._lock:
            entries = self._noted.get(by)
            if entries is None:
                entries = self._noted[by] = {}
            for person in people:
                known = entries.get(person)
                if known is None or at < known[2] or position is not None:
                    self._add(entries, person, [1, at, at, position])
                else:  # nearly always
                    known[0] += 1
                    known[2] = at

    def keep(self) -> None:
        """Writes what was noted here; with the database away it is kept for the next time."""
        with self._lock:
            noted, self._noted, self._size = self._noted, {}, 0
        rows = ((by, person, entry) for by, entries in noted.items() for person, entry in entries.items())
        while chunk := list(islice(rows, CHUNK)):
            try:
                with self._recorder.datastore.get_connection() as connection:
                    connection.execute(SQL["keep_audit"], _columns(chunk))
            except (psycopg.Error, PersistenceError) as error:
                logger.warning("The audit cannot be written now: %s", error)
                self._put_back([*chunk, *rows])

    def page(self, tenant: str, asked: Asked, before: int, limit: int, now: datetime) -> list[Audited]:
        """Rows, the newest first: those that all processes have written, and what was noted in this one."""
        self.keep()
        query = "audit" if asked.person is None else "audit_of_person"
        page = {"before": before, "limit": limit, "since": now - self._kept}
        rows = self._recorder.rows_of(tenant, query, **page, **asked._asdict())
        return [Audited(**row) for row in rows]

    def about(self, tenant: str, person: UUID, now: datetime, page: int) -> Iterator[list[Audited]]:
        """All rows about a person, a page at a time, the newest first."""
        before = 2**63 - 1
        while rows := self.page(tenant, Asked(person=person), before, page, now):
            yield rows
            before = rows[-1].id

    def prune(self) -> None:
        """Removes what is older than is kept; with the database away it is left to the next time."""
        values = {"until": datetime.now(UTC) - self._kept, "limit": CHUNK}
        try:
            with self._recorder.datastore.get_connection() as connection:
                while connection.execute(SQL["prune_audit"], values).rowcount == CHUNK:
                    pass
        except (psycopg.Error, PersistenceError) as error:
            logger.warning("The audit cannot be pruned now: %s", error)

    def _add(self, entries: dict[UUID, _Entry], person: UUID, more: _Entry) -> None:
        known = entries.get(person)
        if known is None and self._size >= MOST:
            person, known = SOMEBODY, entries.get(SOMEBODY)
        if known is None:
            entries[person] = more
            self._size += 1
            return
        known[0] += more[0]
        known[1], known[2] = min(known[1], more[1]), max(known[2], more[2])
        if more[3] is not None:
            known[3] = more[3] if known[3] is None else max(known[3], more[3])

    def _put_back(self, rows: Iterable[tuple[By, UUID, _Entry]]) -> None:
        with self._lock:
            for by, person, entry in rows:
                self._add(self._noted.setdefault(by, {}), person, entry)


def _columns(rows: list[tuple[By, UUID, _Entry]]) -> dict[str, list[Any]]:
    return {
        "tenants": [tenant for (tenant, _, _, _), _, _ in rows],
        "people": [person for _, person, _ in rows],
        "keys": [key for (_, key, _, _), _, _ in rows],
        "operations": [operation for (_, _, operation, _), _, _ in rows],
        "statuses": [status for (_, _, _, status), _, _ in rows],
        "times": [entry[0] for _, _, entry in rows],
        "firsts": [_instant(entry[1]) for _, _, entry in rows],
        "lasts": [_instant(entry[2]) for _, _, entry in rows],
        "positions": [entry[3] for _, _, entry in rows],
    }


def _instant(seconds: float) -> datetime:
    return _EPOCH + timedelta(seconds=seconds)
