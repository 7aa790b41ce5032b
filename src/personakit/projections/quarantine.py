"""Quarantine: a stream with an event that a projection cannot take stands still in it; others go on.

A changed definition has a schema of its own and no quarantine, so a mended one takes the stream up again.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from uuid import UUID

import msgspec
import psycopg
from psycopg import Connection
from psycopg.rows import DictRow

from personakit.eventlog.stored import StreamId
from personakit.projections.opened import Opened

logger = logging.getLogger(__name__)

_STREAMS = "SELECT tenant, kind, stream FROM personakit.quarantine WHERE schema = %(schema)s"
_ADD = """
INSERT INTO personakit.quarantine (schema, tenant, kind, stream, position, error)
VALUES (%(schema)s, %(tenant)s, %(kind)s, %(stream)s, %(position)s, %(error)s)
ON CONFLICT DO NOTHING
"""
_LIFT = """
DELETE FROM personakit.quarantine AS q
WHERE q.schema = %(schema)s
  AND EXISTS (SELECT FROM personakit.events AS e
              WHERE e.tenant = q.tenant AND e.kind = q.kind AND e.stream = q.stream
                AND (e.person = ANY (%(people)s) OR e.stream = ANY (%(people)s)))
"""


class ProjectionBroken(Exception):
    """An event does not fit the rows that the events before it made."""


# What the event is to blame for; a database that is away or at odds with another transaction is not here.
UNTAKEABLE = (
    ProjectionBroken,
    psycopg.DataError,
    psycopg.IntegrityError,
    psycopg.ProgrammingError,
    psycopg.NotSupportedError,
    psycopg.errors.ProgramLimitExceeded,
)


NOT_THE_EVENT = (
    psycopg.errors.InsufficientPrivilege,
    psycopg.errors.UndefinedTable,
    psycopg.errors.UndefinedFunction,
    psycopg.errors.InvalidSchemaName,
)
"""Of those, what a database that is not set up as it should be is to blame for."""


def quarantined(connection: Connection[DictRow], schema: str) -> frozenset[StreamId]:
    """The streams that stand still in this build."""
    rows = connection.execute(_STREAMS, {"schema": schema})
    return frozenset(StreamId(row["tenant"], row["kind"], row["stream"]) for row in rows)


def lift(connection: Connection[DictRow], schema: str, people: Sequence[UUID]) -> None:
    """Lets nothing stand still any more that is about these people or personas, who were erased: what could
    not be taken of them is absent from here on."""
    connection.execute(_LIFT, {"schema": schema, "people": list(people)})


def quarantine(
    connection: Connection[DictRow], schema: str, name: str, event: Opened, error: Exception
) -> None:
    """Lets the event's stream stand still from here on. What is logged names no person and no content."""
    stream, position = event.stream_id, event.row.position
    reason = type(error.__cause__ or error).__name__
    values = msgspec.structs.asdict(stream) | {"schema": schema, "position": position, "error": reason}
    connection.execute(_ADD, values)
    logger.error(
        "The projection %s cannot take the event at position %d (%s): stream %s stands still in it "
        "(tenant %s).",
        name,
        position,
        reason,
        stream,
        stream.tenant,
    )
