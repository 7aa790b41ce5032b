"""Waits until nothing is left to do: read models at the head of the log, no derivation due, and quiet."""

from __future__ import annotations

import time
from typing import Any, LiteralString

import psycopg
from psycopg import Connection
from psycopg.rows import DictRow, dict_row

SECONDS = 60.0
QUIET_SECONDS = 1.0

_BEHIND: LiteralString = """
SELECT b.name, b.position, head FROM personakit.builds AS b JOIN personakit.active USING (schema),
       (SELECT coalesce(max(position), 0) AS head FROM personakit.events) AS log
WHERE b.position <> head
"""
_SCHEMA: LiteralString = """
SELECT set_config('search_path', string_agg(quote_ident(schema), ', '), false) FROM personakit.active
"""
_DUE: LiteralString = "SELECT count(*) AS people FROM derivation_due WHERE due > read_through"
_HEAD: LiteralString = "SELECT max(position) AS head FROM personakit.events"


def open_models(conninfo: str) -> Connection[DictRow]:
    """A connection that finds the tables of the active builds by their names."""
    connection = psycopg.connect(conninfo, autocommit=True, row_factory=dict_row)
    connection.execute(_SCHEMA)
    return connection


def unsettled(conninfo: str) -> list[str]:
    """Waits; what is not done after SECONDS, which should be nothing."""
    deadline = time.monotonic() + SECONDS
    with open_models(conninfo) as connection:
        while True:
            before = one(connection, _HEAD)
            left = _left(connection)
            if not left:
                time.sleep(QUIET_SECONDS)
                if not (left := _left(connection)) and one(connection, _HEAD) == before:
                    return []
            if time.monotonic() > deadline:
                return left or ["The log grows although nobody writes"]
            time.sleep(0.1)


def _left(connection: Connection[DictRow]) -> list[str]:
    behind = connection.execute(_BEHIND).fetchall()
    due = one(connection, _DUE)["people"]
    return [
        *(f"{row['name']} stands at {row['position']}, the log at {row['head']}" for row in behind),
        *([f"{due} people await derivation"] if due else []),
    ]


def one(connection: Connection[DictRow], query: LiteralString) -> dict[str, Any]:
    """The only row of a query."""
    row = connection.execute(query).fetchone()
    if row is None:
        raise LookupError("A query that gives one row gave none.")
    return row
