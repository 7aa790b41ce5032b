"""The SQL of the log, behind the recorder interface of `eventsourcing`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid4

import msgspec
import psycopg
from eventsourcing.persistence import IntegrityError, Notification, StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore
from psycopg import Connection
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import DictRow

from personakit.eventlog.log_sql import SQL
from personakit.eventlog.person_keys import PersonErased
from personakit.eventlog.roles import Logins, guard, make_roles, not_the_owner, require_roles, unguarded
from personakit.eventlog.stored import LogEvent, LogNotification, Row, StreamId
from personakit_sdk.errors import PersonaKitError

FORMAT = 2
Lend = Callable[[], AbstractContextManager[Connection[DictRow]]]
_MIGRATION_LOCK = 7165064742
_ATTEMPTS = 10
_ERASED = "PK410"
_MADE_BY: Final = f"log.sql {hashlib.sha256(SQL['create'].encode()).hexdigest()[:16]}"
"""Kept with the schema: which text made it."""
RECONNECT_SECONDS = 2.0
"""How long a pool tries to replace a connection. It waits twice as long before each further try, so that
without an end it would stay away after an outage for as long as that took. When it has given up, the next
who asks for a connection makes it try anew, at once."""


STATEMENT_SECONDS = 60
"""How long one statement of a read may take; then whoever waits for it is told to come again."""


class LogFormatUnknown(PersonaKitError):
    """The database holds a log that this release cannot read."""


class RestoreUnfinished(PersonaKitError):
    """A backup was being restored into the database, and not all of it is there."""

    def __init__(self, backup: str) -> None:
        super().__init__(
            f"The backup {backup} was being restored into this database and that did not end: nothing may "
            "serve it. Run personakit restore again; it begins anew."
        )


class Appended(msgspec.Struct, frozen=True):
    """Where an event of a tenant's stands; where it repeats one, where that `first` one stands."""

    position: int
    tenant: str
    first: LogNotification | None = None

    @property
    def duplicate(self) -> bool:
        """Whether it was there already."""
        return self.first is not None


class VersionConflict(IntegrityError):
    """Another writer appended this version first: read the stream again and decide anew."""


def open_datastore(conninfo: str, pool_size: int = 4) -> PostgresDatastore:
    """The library's datastore on the database at `conninfo` (libpq keywords or a URL)."""
    parts = {key: str(value) for key, value in conninfo_to_dict(conninfo).items() if value is not None}
    datastore = PostgresDatastore(
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
    # What the library has no parameter for, such as `sslmode`, counts as well.
    datastore.pool.kwargs = {**parts, **dict(datastore.pool.kwargs or {})}  # type: ignore[arg-type]  # never a callable here
    datastore.pool.reconnect_timeout = RECONNECT_SECONDS  # the library passes none on
    return datastore


def make_log(found: Logins) -> None:
    """Creates in the database what is missing of the log, as its owner; the others may use it then. Raises as
    `create_table`, and RolesMissing where one of them may not."""
    with closing(open_datastore(found.owner, pool_size=1)) as datastore:
        LogRecorder(datastore).create_table()
    require_roles(found)


class LogRecorder(PostgresApplicationRecorder):
    """`eventsourcing`'s recorder with rows of our own: tenant, stream kind, person, append id.

    The library's composite type, table lock and insert function are not used; its interface,
    connection pool and LISTEN/NOTIFY subscription are. An originator id is `str()` of a StreamId.
    """

    def __init__(self, datastore: PostgresDatastore, reading: Lend | None = None) -> None:
        """`reading` lends connections of the reader, to whoever holds one of another pool already; without it
        the login asks about one tenant, too."""
        super().__init__(datastore, events_table_name="events")
        self._lend_reading = reading or datastore.get_connection

    def create_table(self) -> None:
        """Creates what is missing, the roles too, as the owner; safe to run from several processes at once.

        Raises LogFormatUnknown for a log whose rows this release cannot read, RestoreUnfinished for one that
        is not all there, RolesMissing, and NotTheOwner.
        """
        if (restoring := self.make_tables()) is not None:
            raise RestoreUnfinished(restoring)

    def make_tables(self) -> str | None:
        """As `create_table`, for whoever restores; the backup that is being restored already."""
        with self.datastore.get_connection() as connection:
            make_roles(connection)
            try:
                found, anew = _created(connection)
                # What an older release made, too, and what was restored.
                for schema in {*unguarded(connection), *anew}:
                    _guard(connection, schema)
            except psycopg.errors.InsufficientPrivilege as error:
                raise not_the_owner(connection.info.user, error) from None
        if found is None or found["format"] != FORMAT:
            raise LogFormatUnknown(
                f"The log in this database has format {found and found['format']}, and this release reads "
                f"format {FORMAT}: it was made by another version of PersonaKit. Use that version, or "
                "another database."
            )
        restoring: str | None = found["restoring"]
        return restoring

    def rows_of(self, tenant: str, query: str, **values: Any) -> list[DictRow]:
        """The rows of a named query about one tenant, whose rows alone are there for it: in one round trip,
        which is one transaction, in which the tenant is named before."""
        with self._lend_reading() as connection, connection.pipeline():
            naming = {"tenant": tenant, "timeout": f"{STATEMENT_SECONDS}s"}
            connection.execute(SQL["name_tenant"], naming)
            return connection.execute(SQL[query], {"tenant": tenant, **values}).fetchall()

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:  # noqa: ARG002 - the library's signature
        """Appends `LogEvent`s; the library's own way in. No retry: a lost answer is not a conflict."""
        events = [event for event in stored_events if isinstance(event, LogEvent)]
        if len(events) != len(stored_events):
            raise TypeError("The log takes LogEvents: they bear tenant and person.")
        with self.datastore.get_connection() as connection:
            rows = [event.row for event in events]
            return [appended.position for appended in self.append(connection, rows, uuid4())]

    def append(self, connection: Connection[DictRow], rows: Sequence[Row], append_id: UUID) -> list[Appended]:
        """Appends all of `rows` in one transaction, or none, in one round trip; the connection is in
        autocommit mode.

        Raises VersionConflict when a version is taken, unless the row is `once`: then it counts as a
        duplicate and the answer bears the first one. Raises PersonErased when one of the people is gone.
        """
        people = [row.person for row in rows]
        alive = {(row.person, row.sealed_after) for row in rows if row.person is not None}
        alive |= {(person, 0) for row in rows for person in row.alive}
        values = {
            "append_id": append_id,
            "people": people,
            "topics": [row.topic for row in rows],
            "states": [row.state for row in rows],
            "once": [row.once for row in rows],
            "alive": [person for person, _ in alive],
            "sealed_after": [after for _, after in alive],
        }
        try:
            done = connection.execute(SQL["append"], _keys(rows) | values).fetchone()
        except psycopg.errors.UniqueViolation:
            # By another writer, or by ourselves: the connection may have broken while this very append
            # still waited for the lock, and it was committed after all.
            if (ours := self.find(connection, rows, append_id)) is not None:
                return ours
            raise VersionConflict("A version of this append is taken.") from None
        except psycopg.DatabaseError as error:
            if error.sqlstate == _ERASED:
                raise PersonErased from None
            raise
        if done is None:
            raise LookupError("An append gave no answer.")
        if done["repeated"]:
            return self._outcome(connection.execute(SQL["stored"], _keys(rows)).fetchall(), rows, append_id)
        head = done["head"]
        return [Appended(head + nr, row.stream_id.tenant) for nr, row in enumerate(rows, start=1)]

    def find(
        self, connection: Connection[DictRow], rows: Sequence[Row], append_id: UUID
    ) -> list[Appended] | None:
        """What became of an append whose answer was lost: its outcome, or None if it left no trace."""
        stored = connection.execute(SQL["stored"], _keys(rows)).fetchall()
        ours = any(row["append_id"] == append_id for row in stored)
        return self._outcome(stored, rows, append_id) if ours else None

    @staticmethod
    def _outcome(stored: Sequence[dict[str, Any]], rows: Sequence[Row], append_id: UUID) -> list[Appended]:
        """The fate of each row, by what stands at its key."""
        outcome: list[Appended] = []
        seen: set[int] = set()
        for found, row in zip(stored, rows, strict=True):
            ours = found["append_id"] == append_id and found["position"] not in seen
            if not ours and not row.once:
                raise VersionConflict(f"Version {row.version} of {row.stream_id} is taken.")
            seen.add(found["position"])
            outcome.append(
                Appended(found["position"], found["tenant"], None if ours else notification_of(found))
            )
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
        query = "stream_backwards" if desc else "stream"
        named = {"kind": stream.kind, "stream": stream.stream}
        rows = self.rows_of(stream.tenant, query, **named, gt=gt or 0, lte=lte, limit=limit)
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


def _created(connection: Connection[DictRow]) -> tuple[DictRow | None, list[str]]:
    """The format of the log, once all is there; and the schema, where it was made or changed."""
    anew = []
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_MIGRATION_LOCK,))
        # Even what changes nothing takes locks that appends would wait behind, so it is done once.
        made = connection.execute(SQL["made_by"]).fetchone()
        if made is None or made["text"] != _MADE_BY:
            connection.execute(SQL["create"])
            connection.execute(f"COMMENT ON SCHEMA personakit IS '{_MADE_BY}'")
            anew = ["personakit"]
        return connection.execute(SQL["format"]).fetchone(), anew


def _guard(connection: Connection[DictRow], schema: str) -> None:
    """Guards the tables of a schema. Processes of an older release may be at them, in another order than this
    one locks them: whoever PostgreSQL lets go first, this one tries again."""
    for left in reversed(range(_ATTEMPTS)):
        try:
            with connection.transaction():
                connection.execute("SELECT pg_advisory_xact_lock(%s)", (_MIGRATION_LOCK,))
                guard(connection, schema)
        except psycopg.errors.DeadlockDetected:
            if not left:
                raise
        else:
            return


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


def _keys(rows: Sequence[Row]) -> dict[str, list[Any]]:
    return {
        "tenants": [row.stream_id.tenant for row in rows],
        "kinds": [row.stream_id.kind for row in rows],
        "streams": [row.stream_id.stream for row in rows],
        "versions": [row.version for row in rows],
    }
