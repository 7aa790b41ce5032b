"""Followers: each moves one projection on, batch by batch, its position in the same transaction."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import msgspec
from psycopg import Connection, Cursor
from psycopg.rows import DictRow, dict_row
from psycopg.sql import SQL, Identifier
from psycopg_pool import ConnectionPool

from personakit.eventlog import recorder
from personakit.eventlog.recorder import notification_of
from personakit.eventlog.stored import LogNotification
from personakit.projections.quarantine import UNTAKEABLE, ProjectionBroken, quarantine, quarantined
from personakit.projections.sql import Handler, Projection

BATCH = 500
logger = logging.getLogger(__name__)
Pool = ConnectionPool[Connection[DictRow]]

# Fixed texts, so plain strings: the tables of the log are the same for every projection.
_LOCK = "SELECT pg_advisory_xact_lock(7165064743)"
_REGISTER = """
INSERT INTO personakit.projections (name, definition, schema, active)
SELECT %(name)s, %(definition)s, %(schema)s,
       NOT EXISTS (SELECT FROM personakit.projections WHERE name = %(name)s)
ON CONFLICT DO NOTHING
"""
_TAKE = """
SELECT position, active FROM personakit.projections
WHERE name = %(name)s AND definition = %(definition)s FOR UPDATE
"""
_MOVE = """
UPDATE personakit.projections SET position = %(position)s, updated_at = clock_timestamp()
WHERE name = %(name)s AND definition = %(definition)s
"""
_DEACTIVATE = "UPDATE personakit.projections SET active = false WHERE name = %(name)s AND active"
_ACTIVATE = """
UPDATE personakit.projections SET active = true WHERE name = %(name)s AND definition = %(definition)s
"""


def open_pool(conninfo: str, size: int) -> Pool:
    """Connections in autocommit mode that give rows as dicts: `size` held, a few times that at most."""
    return ConnectionPool(
        conninfo,
        connection_class=Connection[DictRow],
        min_size=size,
        max_size=size * 6,
        timeout=10.0,
        kwargs={"autocommit": True, "row_factory": dict_row},
        open=True,
    )


def install(pool: Pool, projections: Mapping[str, Projection]) -> None:
    """Makes the tables of every definition that has none yet, and brings those that are not read yet up
    to the log, so that this release's queries read this release's tables."""
    with pool.connection() as connection, connection.transaction():
        connection.execute(_LOCK)
        for projection in projections.values():
            if connection.execute(_REGISTER, _names(projection)).rowcount:
                connection.execute(SQL("CREATE SCHEMA {}").format(Identifier(projection.schema)))
                _enter(connection, projection)
                connection.execute(projection.ddl)
    for projection in projections.values():
        Follower(pool, projection).take_over()


class Follower:
    """Moves one projection on. Any number may run: the position's row lock lets one at a time."""

    def __init__(self, pool: Pool, projection: Projection) -> None:
        self._pool = pool
        self._projection = projection

    def catch_up(self) -> bool:
        """Takes events until there are none; whether there were any."""
        moved = False
        while self.step():
            moved = True
        return moved

    def take_over(self) -> None:
        """Makes this definition the one that is read, once it has taken all there is."""
        names = _names(self._projection)
        with self._pool.connection() as connection:
            taken = connection.execute(_TAKE, names).fetchone()
        if taken is None or taken["active"]:
            return
        logger.warning("Building %s anew, because its definition has changed.", self._projection.name)
        self.catch_up()
        with self._pool.connection() as connection, connection.transaction():
            connection.execute(_LOCK)
            connection.execute(_DEACTIVATE, names)
            connection.execute(_ACTIVATE, names)

    def step(self, batch: int = BATCH) -> bool:
        """Takes at most `batch` events; whether there were any. The stream of one that cannot be taken is
        quarantined."""
        names = _names(self._projection)
        with self._pool.connection() as connection, connection.transaction():
            taken = connection.execute(_TAKE, names).fetchone()
            if taken is None:
                raise LookupError(f"The projection {self._projection.name} is not installed.")
            after = {"after": taken["position"], "limit": batch}
            events = [notification_of(row) for row in connection.execute(recorder.SQL["batch"], after)]
            if events:
                self._take(connection, events)
                connection.execute(_MOVE, names | {"position": events[-1].id})
        return bool(events)

    def _take(self, connection: Connection[DictRow], events: Sequence[LogNotification]) -> None:
        """Applies the events together; where one of them cannot be taken, each by itself."""
        still = quarantined(connection, self._projection)
        moving = [event for event in events if str(event.originator_id) not in still]
        try:
            with connection.transaction():
                self._apply(connection, moving)
        except UNTAKEABLE:
            self._take_singly(connection, moving)

    def _take_singly(self, connection: Connection[DictRow], events: Sequence[LogNotification]) -> None:
        still: set[str] = set()
        for event in events:
            if str(event.originator_id) in still:
                continue
            try:
                with connection.transaction():
                    self._apply(connection, [event])
            except UNTAKEABLE as error:
                still.add(str(event.originator_id))
                quarantine(connection, self._projection, event, error)

    def _apply(self, connection: Connection[DictRow], events: Sequence[LogNotification]) -> None:
        _enter(connection, self._projection)
        handled = [event for event in events if _name(event) in self._projection.handlers]
        with connection.cursor() as cursor:
            for name, run in groupby(handled, key=_name):
                for round_ in rounds(run):
                    _execute(cursor, self._projection.handlers[name], round_)


def rounds(events: Iterable[LogNotification]) -> Iterator[list[LogNotification]]:
    """Splits events into rounds of at most one event a stream, each stream's own order kept.

    Statements are set-based, and one statement may change a row once; events of one type on different
    streams commute.
    """
    waiting: list[list[LogNotification]] = []
    depth: dict[str, int] = {}
    for event in events:
        key = str(event.originator_id)
        at = depth[key] = depth.get(key, -1) + 1
        if at == len(waiting):
            waiting.append([])
        waiting[at].append(event)
    yield from waiting


def _execute(cursor: Cursor[DictRow], handlers: Sequence[Handler], events: Sequence[LogNotification]) -> None:
    batch = msgspec.json.encode([_as_row(event) for event in events]).decode()
    for handler in handlers:
        changed = cursor.execute(handler.sql, {"events": batch}).rowcount
        if handler.exactly and changed != len(events):
            raise ProjectionBroken(
                f"{len(events)} {_name(events[0])} up to position {events[-1].id} changed {changed} rows."
            )


def _as_row(event: LogNotification) -> dict[str, Any]:
    """The columns of `personakit.events_of`; the payload goes through as the bytes in the log."""
    return {
        "position": event.id,
        "recorded_at": event.recorded_at,
        "tenant": event.stream_id.tenant,
        "stream": event.stream_id.stream,
        "version": event.originator_version,
        "person": event.person,
        "payload": msgspec.Raw(event.state),
    }


def _enter(connection: Connection[DictRow], projection: Projection) -> None:
    connection.execute(SQL("SET LOCAL search_path TO {}").format(Identifier(projection.schema)))


def _names(projection: Projection) -> dict[str, Any]:
    return {"name": projection.name, "definition": projection.definition, "schema": projection.schema}


def _name(event: LogNotification) -> str:
    return event.topic.partition(".")[0]
