"""The SQL of the log, behind the recorder interface of `eventsourcing`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import msgspec
from eventsourcing.persistence import IntegrityError, Notification, StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore
from psycopg import Connection
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import DictRow

from personakit.eventlog.stored import LogEvent, LogNotification, StreamId
from personakit.named_sql import queries

SQL = queries(Path(__file__).with_name("log.sql"))
_MIGRATION_LOCK = 7165064742


class Appended(msgspec.Struct, frozen=True):
    """Where an event of an append stands: its own position, or that of the one it repeats."""

    position: int
    duplicate: bool
    topic: str
    state: bytes
    person: UUID | None


class VersionConflict(IntegrityError):
    """Another writer appended this version first: read the stream again and decide anew."""


def open_datastore(conninfo: str, pool_size: int = 4) -> PostgresDatastore:
    """The library's datastore on the database at `conninfo` (libpq keywords or a URL)."""
    parts = {key: str(value) for key, value in conninfo_to_dict(conninfo).items() if value is not None}
    return PostgresDatastore(
        dbname=parts.get("dbname", "personakit"),
        host=parts.get("host", "localhost"),
        port=parts.get("port", "5432"),
        user=parts.get("user", "personakit"),
        password=parts.get("password", ""),
        schema="personakit",
        originator_id_type="text",
        pool_size=pool_size,
        max_overflow=16,
    )


class LogRecorder(PostgresApplicationRecorder):
    """`eventsourcing`'s recorder with rows of our own: tenant, stream kind, person, append id.

    The library's composite type, table lock and insert function are not used; its interface,
    connection pool and LISTEN/NOTIFY subscription are. An originator id is `str()` of a StreamId.
    """

    def __init__(self, datastore: PostgresDatastore) -> None:
        super().__init__(datastore, events_table_name="events")

    def create_table(self) -> None:
        """Creates what is missing; safe to run from several processes at once."""
        with self.datastore.transaction(commit=True) as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_MIGRATION_LOCK,))
            cursor.execute(SQL["create"])

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:  # noqa: ARG002 - the library's signature
        """Appends `LogEvent`s; the library's own way in. No retry: a lost answer is not a conflict."""
        events = [event for event in stored_events if isinstance(event, LogEvent)]
        if len(events) != len(stored_events):
            raise TypeError("The log takes LogEvents: they bear tenant and person.")
        with self.datastore.get_connection() as connection:
            return [appended.position for appended in self.append(connection, events, uuid4())]

    def append(
        self, connection: Connection[DictRow], events: Sequence[LogEvent], append_id: UUID
    ) -> list[Appended]:
        """Appends all of `events` in one transaction, or none.

        Raises VersionConflict when a version is taken, unless the event is `once`: then it counts as
        a duplicate and the answer bears the first one's position and content.
        """
        keys = _keys(events)
        row_values = {
            "append_id": append_id,
            "people": [event.person for event in events],
            "topics": [event.topic for event in events],
            "states": [event.state for event in events],
        }
        with connection.transaction(), connection.cursor() as cursor:
            cursor.execute(SQL["lock"])
            cursor.execute(SQL["insert"], keys | row_values)
            appended = self._outcome(cursor.execute(SQL["stored"], keys).fetchall(), events, append_id)
            self._notify_channel(cursor)
        return appended

    def find(
        self, connection: Connection[DictRow], events: Sequence[LogEvent], append_id: UUID
    ) -> list[Appended] | None:
        """What became of an append whose answer was lost: its outcome, or None if it left no trace."""
        rows = connection.execute(SQL["stored"], _keys(events)).fetchall()
        ours = any(row["append_id"] == append_id for row in rows)
        return self._outcome(rows, events, append_id) if ours else None

    @staticmethod
    def _outcome(
        rows: Sequence[dict[str, Any]], events: Sequence[LogEvent], append_id: UUID
    ) -> list[Appended]:
        """The fate of each event, by the row that stands at its key."""
        outcome: list[Appended] = []
        seen: set[int] = set()
        for row, event in zip(rows, events, strict=True):
            ours = row["append_id"] == append_id and row["position"] not in seen
            if not ours and not event.once:
                raise VersionConflict(
                    f"Version {event.originator_version} of {event.originator_id} is taken."
                )
            seen.add(row["position"])
            state = bytes(row["state"])
            outcome.append(Appended(row["position"], not ours, row["topic"], state, row["person"]))
        return outcome

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[LogNotification]:
        """The events of one stream, by version; `originator_id` is `str()` of a StreamId."""
        stream = StreamId.parse(str(originator_id))
        values = {**msgspec.structs.asdict(stream), "gt": gt or 0, "lte": lte, "limit": limit}
        with self.datastore.get_connection() as connection:
            rows = connection.execute(SQL["stream_backwards" if desc else "stream"], values).fetchall()
        return [notification_of(row) for row in rows]

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        """The log from `start` on, in order of position."""
        after = (start or 0) - (1 if inclusive_of_start and start is not None else 0)
        values = {"after": after, "stop": stop, "topics": list(topics) or None, "limit": limit}
        with self.datastore.get_connection() as connection:
            return [
                notification_of(row) for row in connection.execute(SQL["notifications"], values).fetchall()
            ]

    def max_notification_id(self) -> int | None:
        """The position of the newest event; None in an empty log."""
        with self.datastore.get_connection() as connection:
            row = connection.execute(SQL["head"]).fetchone()
        return row["position"] if row else None

    def recorded_at(self, position: int) -> datetime | None:
        """When the newest event at or below `position` was recorded; None when there is no such event."""
        with self.datastore.get_connection() as connection:
            row = connection.execute(SQL["recorded_at"], {"position": position}).fetchone()
        return row["recorded_at"] if row else None

    def position_at(self, instant: datetime) -> int:
        """The position of the newest event recorded at or before `instant`; 0 when there is no such event."""
        with self.datastore.get_connection() as connection:
            row = connection.execute(SQL["position_at"], {"instant": instant}).fetchone()
        return row["position"] if row else 0


def notification_of(row: dict[str, Any]) -> LogNotification:
    """The event in a row of the table `events`."""
    stream_id = StreamId(row["tenant"], row["kind"], row["stream"])
    return LogNotification(
        originator_id=str(stream_id),
        originator_version=row["version"],
        topic=row["topic"],
        state=bytes(row["state"]),
        id=row["position"],
        stream_id=stream_id,
        person=row["person"],
        recorded_at=row["recorded_at"],
    )


def _keys(events: Sequence[LogEvent]) -> dict[str, list[Any]]:
    return {
        "tenants": [event.stream_id.tenant for event in events],
        "kinds": [event.stream_id.kind for event in events],
        "streams": [event.stream_id.stream for event in events],
        "versions": [event.originator_version for event in events],
    }
