"""Quarantine: a stream with an event that a projection cannot take stands still in it; others go on.

A changed definition has a schema of its own and no quarantine, so a mended one takes the stream up again.
"""

from __future__ import annotations

import logging

import psycopg
from psycopg import Connection
from psycopg.rows import DictRow

from personakit.eventlog.stored import LogNotification
from personakit.projections.sql import Projection

logger = logging.getLogger(__name__)

_STREAMS = "SELECT tenant, kind, stream FROM personakit.quarantine WHERE schema = %(schema)s"
_ADD = """
INSERT INTO personakit.quarantine (schema, tenant, kind, stream, position, error)
VALUES (%(schema)s, %(tenant)s, %(kind)s, %(stream)s, %(position)s, %(error)s)
ON CONFLICT DO NOTHING
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


def quarantined(connection: Connection[DictRow], projection: Projection) -> frozenset[str]:
    """The streams that stand still in this projection, as `str()` of their StreamIds."""
    rows = connection.execute(_STREAMS, {"schema": projection.schema})
    return frozenset(f"{row['tenant']}/{row['kind']}/{row['stream']}" for row in rows)


def quarantine(
    connection: Connection[DictRow], projection: Projection, event: LogNotification, error: Exception
) -> None:
    """Lets the event's stream stand still from here on. What is logged names no person and no content."""
    stream = event.stream_id
    values = {
        "schema": projection.schema,
        "tenant": stream.tenant,
        "kind": stream.kind,
        "stream": stream.stream,
    }
    reason = type(error).__name__
    connection.execute(_ADD, values | {"position": event.id, "error": reason})
    logger.error(
        "The projection %s cannot take the event at position %d (%s): stream %s stands still in it.",
        projection.name,
        event.id,
        reason,
        stream,
    )
