"""Builds: which tables there are of which definition, how far they follow the log, and which are read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec
from psycopg import Connection
from psycopg.errors import InsufficientPrivilege
from psycopg.rows import DictRow, dict_row
from psycopg.sql import SQL, Identifier
from psycopg_pool import ConnectionPool

from personakit.eventlog.recorder import RECONNECT_SECONDS
from personakit.eventlog.roles import guard, not_the_owner
from personakit.projections.sql import Projection

Pool = ConnectionPool[Connection[DictRow]]
IDLE_SECONDS, UNHELD_SECONDS = 600.0, 3.0
"""How long a connection beyond those that are held stays when nobody uses it."""
LOCK = "SELECT pg_advisory_xact_lock(7165064743)"
UNUSED_AFTER = "1 day"
"""How long the tables of a definition that no process uses are kept: a release may be rolled back."""
RETIRED_AFTER = "10 minutes"
"""How long tables that were replaced are kept: whoever reads them in an open snapshot has ended by then."""
UNFOLLOWED_AFTER = "1 minute"
"""How long tables that nobody follows are kept once somebody was erased who may still stand in them."""

_ADD = """
INSERT INTO personakit.builds (schema, name, definition, source)
SELECT %(base)s || '_' || coalesce(max(substring(schema FROM '_(\\d+)$')::int), 0) + 1,
       %(name)s, %(definition)s, %(source)s
FROM personakit.builds WHERE name = %(name)s AND definition = %(definition)s
RETURNING schema
"""
_ACTIVATE = """
INSERT INTO personakit.active AS a (name, definition, schema)
VALUES (%(name)s, %(definition)s, %(schema)s)
ON CONFLICT (name, definition) DO UPDATE SET schema = excluded.schema
"""
_RETIRE = """
UPDATE personakit.builds SET retired_at = clock_timestamp()
WHERE name = %(name)s AND definition = %(definition)s AND schema <> %(schema)s AND retired_at IS NULL
"""
_UNFINISHED = """
SELECT schema FROM personakit.builds AS b
WHERE name = %(name)s AND definition = %(definition)s AND retired_at IS NULL
  AND NOT EXISTS (SELECT FROM personakit.active AS a WHERE a.schema = b.schema)
ORDER BY created_at DESC LIMIT 1
"""
_ACTIVE = """
SELECT schema FROM personakit.active WHERE name = %(name)s AND definition = %(definition)s
"""
_USE = """
INSERT INTO personakit.definitions_used (name, definition)
SELECT * FROM unnest(%(names)s::text[], %(definitions)s::text[]) AS u(name, definition) ORDER BY 1, 2
ON CONFLICT (name, definition) DO UPDATE SET used_at = clock_timestamp()
"""
_USED_ELSEWHERE = """
SELECT b.name, b.source, b.definition FROM personakit.builds AS b JOIN personakit.active AS a USING (schema)
JOIN personakit.definitions_used AS u ON (u.name, u.definition) = (a.name, a.definition)
WHERE u.used_at > clock_timestamp() - interval '1 minute' AND NOT a.definition = ANY (%(definitions)s)
"""
_DROPPABLE = """
SELECT b.schema FROM personakit.builds AS b
LEFT JOIN personakit.definitions_used AS u ON (u.name, u.definition) = (b.name, b.definition)
WHERE NOT b.definition = ANY (%(definitions)s)
        AND coalesce(u.used_at, b.updated_at) < clock_timestamp() - %(unused)s::interval
   OR b.retired_at < clock_timestamp() - %(retired)s::interval
   OR b.updated_at < (SELECT max(erased_at) FROM personakit.erased)
        AND greatest(b.updated_at, b.retired_at, u.used_at) < clock_timestamp() - %(unfollowed)s::interval
        AND (b.retired_at IS NOT NULL OR NOT b.definition = ANY (%(definitions)s)
             OR NOT EXISTS (SELECT FROM personakit.active AS a WHERE a.schema = b.schema))
"""
_LIST = """
SELECT b.name, b.schema, b.position, head, greatest(head - b.position, 0) AS lag_events,
       CASE WHEN b.retired_at IS NOT NULL THEN 'retired'
            WHEN a.schema IS NULL THEN 'building'
            WHEN b.definition = ANY (%(definitions)s) THEN 'active'
            ELSE 'other release' END AS state,
       (SELECT count(*) FROM personakit.quarantine AS q WHERE q.schema = b.schema) AS quarantined,
       coalesce((SELECT extract(epoch FROM clock_timestamp() - recorded_at) FROM personakit.events AS e
                 WHERE e.position > b.position ORDER BY e.position LIMIT 1), 0)::float AS lag_seconds,
       b.created_at
FROM personakit.builds AS b LEFT JOIN personakit.active AS a USING (schema),
     (SELECT coalesce(max(position), 0) AS head FROM personakit.events) AS log
ORDER BY b.name, b.created_at
"""


class BuildState(msgspec.Struct, frozen=True, kw_only=True):
    """How far a build has come. `lag_seconds` is the age of the oldest event it has not taken.

    `state`: `active` is read by this release, `building` is being made, `retired` was replaced, and of
    `other release` are those that a release with another definition reads.
    `quarantined` counts the streams that stand still in it.
    `lag_events` counts positions between here and the head: about as many events.
    """

    name: str
    state: Literal["active", "building", "retired", "other release"]
    position: int
    head: int
    lag_events: int
    lag_seconds: float
    quarantined: int
    schema: str
    created_at: datetime


def open_pool(conninfo: str, size: int, most: int | None = None) -> Pool:
    """Connections in autocommit mode that give rows as dicts: `size` held, and `most` at a time, or a few
    times as many. Where none is held, none stays for long."""
    return ConnectionPool(
        conninfo,
        connection_class=Connection[DictRow],
        min_size=size,
        max_size=most or size * 6,
        max_idle=IDLE_SECONDS if size else UNHELD_SECONDS,
        timeout=10.0,
        reconnect_timeout=RECONNECT_SECONDS,
        kwargs={"autocommit": True, "row_factory": dict_row},
        open=True,
    )


def names(projection: Projection) -> dict[str, Any]:
    """What identifies a definition in every query here."""
    return {"name": projection.name, "definition": projection.definition}


def active(connection: Connection[DictRow], projection: Projection) -> str | None:
    """The schema that is read of this definition; None while there is none yet."""
    row = connection.execute(_ACTIVE, names(projection)).fetchone()
    return row["schema"] if row else None


def begin(connection: Connection[DictRow], projection: Projection) -> str:
    """The schema of a build to go on with: an unfinished one, else a new one with empty tables."""
    with connection.transaction():
        connection.execute(LOCK)
        found = connection.execute(_UNFINISHED, names(projection)).fetchone()
        if found is not None:
            return str(found["schema"])
        base = f"p_{projection.name}_{projection.definition}"
        values = names(projection) | {"base": base, "source": projection.source}
        made = connection.execute(_ADD, values).fetchone()
        if made is None:
            raise LookupError("A build that was added gave no schema.")
        create_tables(connection, projection, made["schema"])
        return str(made["schema"])


def create_tables(connection: Connection[DictRow], projection: Projection, schema: str) -> None:
    """Makes a schema with the definition's tables, guarded: the reader sees one tenant in them. Raises
    NotTheOwner."""
    try:
        connection.execute(SQL("CREATE SCHEMA {}").format(Identifier(schema)))
    except InsufficientPrivilege as error:
        raise not_the_owner(connection.info.user, error) from None
    connection.execute(SQL("SET LOCAL search_path TO {}").format(Identifier(schema)))
    connection.execute(projection.ddl)
    guard(connection, schema)


def activate(connection: Connection[DictRow], projection: Projection, schema: str) -> None:
    """Lets `schema` be the one that is read from the next snapshot on, and retires the others."""
    values = names(projection) | {"schema": schema}
    connection.execute(_ACTIVATE, values)
    connection.execute(_RETIRE, values)


def say_used(pool: Pool, projections: Iterable[Projection]) -> None:
    """Notes that this process reads these definitions, so that workers of other releases follow them."""
    used = list(projections)
    values = {"names": [each.name for each in used], "definitions": [each.definition for each in used]}
    with pool.connection() as connection, connection.transaction():
        connection.execute(LOCK)  # so that it is seen by whoever is about to drop something
        connection.execute(_USE, values)


def used_elsewhere(pool: Pool, own: Sequence[str]) -> list[tuple[str, str, str]]:
    """Name, source and hash of the definitions that processes of other releases read now; `own` are ours."""
    with pool.connection() as connection:
        rows = connection.execute(_USED_ELSEWHERE, {"definitions": list(own)}).fetchall()
    return [(row["name"], row["source"], row["definition"]) for row in rows]


def drop_unused(
    pool: Pool,
    own: Sequence[str],
    *,
    unused: str = UNUSED_AFTER,
    retired: str = RETIRED_AFTER,
    unfollowed: str = UNFOLLOWED_AFTER,
) -> list[str]:
    """Drops what nobody can be reading any more, after these intervals, and what nobody follows who may have
    been erased stands in; the schemas that went."""
    values = {"definitions": list(own), "unused": unused, "retired": retired, "unfollowed": unfollowed}
    with pool.connection() as connection:
        found = [row["schema"] for row in connection.execute(_DROPPABLE, values).fetchall()]
    gone = []
    for schema in found:
        with pool.connection() as connection, connection.transaction():
            connection.execute(LOCK)
            still = {row["schema"] for row in connection.execute(_DROPPABLE, values).fetchall()}
            if schema in still:  # else a process has begun to use it meanwhile
                drop(connection, schema)
                gone.append(schema)
    return gone


def drop(connection: Connection[DictRow], schema: str) -> None:
    """Removes a build and all that is known of it."""
    for table in ("active", "quarantine", "builds"):
        statement = SQL("DELETE FROM personakit.{} WHERE schema = %s").format(Identifier(table))
        connection.execute(statement, (schema,))
    connection.execute(SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(Identifier(schema)))


def states(pool: Pool, own: Sequence[str]) -> list[BuildState]:
    """Every build of every projection, by name and age; `own` are the definitions of this release."""
    with pool.connection() as connection:
        rows = connection.execute(_LIST, {"definitions": list(own)}).fetchall()
    return [BuildState(**row) for row in rows]
