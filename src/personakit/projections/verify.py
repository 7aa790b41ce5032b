"""Verify: a projection replayed aside from the log, and compared with the live one at one position.

The live tables are read in one open snapshot, at the position they have in it, while followers go on. Two
rows are the same when PostgreSQL writes them as the same text.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import Any, Literal, NamedTuple
from uuid import UUID, uuid4

import msgspec
from psycopg import Connection, IsolationLevel, sql
from psycopg.rows import DictRow

from personakit.eventlog.person_keys import PersonKeys
from personakit.projections import builds
from personakit.projections.builds import Pool
from personakit.projections.sql import Projection
from personakit.projections.take import Target, batches, take

SPAN = 5000
PAGE = 2000
MOST_DIFFERENCES = 100
PREFIX = "verify_"
Report = Callable[[str, int, int | None], None]

_LIVE = """
SELECT b.schema, b.position FROM personakit.builds AS b JOIN personakit.active AS a USING (schema)
WHERE a.name = %(name)s AND a.definition = %(definition)s
"""
_TABLES = """
SELECT c.relname AS table,
       (SELECT array_agg(a.attname::text ORDER BY array_position(i.indkey::int[], a.attnum::int))
        FROM pg_index AS i JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey)
        WHERE i.indrelid = c.oid AND i.indisprimary) AS key
FROM pg_class AS c WHERE c.relnamespace = %(schema)s::regnamespace AND c.relkind = 'r' ORDER BY c.relname
"""
_LEFT_OVER = "SELECT nspname AS schema FROM pg_namespace WHERE nspname LIKE 'verify\\_%'"
_MINE = "SELECT pg_try_advisory_lock(hashtextextended('personakit verify ' || %s, 0)) AS mine"
_NOT_MINE = "SELECT pg_advisory_unlock(hashtextextended('personakit verify ' || %s, 0))"


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A row that is not the same: `missing` from the live table, `extra` in it, or `different` in the
    columns named. What stands in the columns is not told: it is about people."""

    table: str
    key: dict[str, Any]
    kind: Literal["missing", "extra", "different"]
    columns: list[str] = []


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """What a verification found; at most MOST_DIFFERENCES are named, `count` counts all."""

    name: str
    position: int
    rows: int
    count: int
    differences: list[Difference]
    seconds: float

    @property
    def clean(self) -> bool:
        """Whether live and replayed were the same."""
        return self.count == 0


class _Row(NamedTuple):
    key: str
    side: Literal["live", "replayed"]
    content: dict[str, Any]


def verify(
    pool: Pool,
    projection: Projection,
    keys: PersonKeys,
    report: Report = lambda *_: None,
    person: UUID | None = None,
) -> Verified:
    """Replays a projection aside and compares. With `person` only that person's events are replayed, and
    only rows that name them are compared."""
    began = time.monotonic()
    with pool.connection() as live, _frozen(live), pool.connection() as aside:
        row = live.execute(_LIVE, builds.names(projection)).fetchone()
        if row is None:
            raise LookupError(f"There is no build of {projection.name!r} to verify.")
        with _scratch(aside, projection) as schema:
            _replay(pool, aside, Target(projection, schema), keys, row["position"], report, person)
            count, rows = 0, 0
            named: list[Difference] = []
            with aside.transaction():  # the cursors that it is read by live in one
                for difference in _compare(live, row["schema"], aside, schema, person):
                    rows += 1
                    count += difference is not None
                    if difference is not None and len(named) < MOST_DIFFERENCES:
                        named.append(difference)
    return Verified(
        name=projection.name,
        position=row["position"],
        rows=rows,
        count=count,
        differences=named,
        seconds=time.monotonic() - began,
    )


@contextmanager
def _frozen(connection: Connection[DictRow]) -> Iterator[None]:
    connection.isolation_level = IsolationLevel.REPEATABLE_READ
    connection.read_only = True
    try:
        with connection.transaction():
            yield
    finally:
        if not connection.closed:
            connection.isolation_level = None
            connection.read_only = None


@contextmanager
def _scratch(connection: Connection[DictRow], projection: Projection) -> Iterator[str]:
    """A schema with the definition's tables, gone afterwards; those of killed verifications go first."""
    for row in connection.execute(_LEFT_OVER).fetchall():
        mine = connection.execute(_MINE, (row["schema"],)).fetchone()
        if mine and mine["mine"]:
            _drop(connection, row["schema"])
    schema = f"{PREFIX}{projection.name}_{uuid4().hex[:8]}"
    connection.execute(_MINE, (schema,))
    try:
        with connection.transaction():
            builds.create_tables(connection, projection, schema)
        yield schema
    finally:
        if not connection.closed:
            _drop(connection, schema)


def _drop(connection: Connection[DictRow], schema: str) -> None:
    with connection.transaction():
        builds.drop(connection, schema)
    connection.execute(_NOT_MINE, (schema,))


def _replay(
    pool: Pool,
    connection: Connection[DictRow],
    target: Target,
    keys: PersonKeys,
    stop: int,
    report: Report,
    person: UUID | None,
) -> None:
    for batch in batches(pool, keys, target.projection, 0, SPAN, stop, person):
        with connection.transaction():
            connection.execute("SET LOCAL synchronous_commit TO off")
            take(connection, target, batch.events)
        report(target.projection.name, batch.through, stop)
    report(target.projection.name, stop, stop)


def _compare(
    live: Connection[DictRow],
    live_schema: str,
    aside: Connection[DictRow],
    aside_schema: str,
    person: UUID | None,
) -> Iterator[Difference | None]:
    """Each difference, and None for each row that is the same."""
    for table in aside.execute(_TABLES, {"schema": aside_schema}).fetchall():
        if not table["key"]:
            raise LookupError(f"The table {table['table']} has no primary key to compare its rows by.")
        pair = heapq.merge(
            _rows(live, live_schema, table, "live", person),
            _rows(aside, aside_schema, table, "replayed", person),
            key=lambda row: row.key,
        )
        for _, same_key in groupby(pair, key=lambda row: row.key):
            yield _difference(table, list(same_key))


def _rows(
    connection: Connection[DictRow],
    schema: str,
    table: dict[str, Any],
    side: Literal["live", "replayed"],
    person: UUID | None,
) -> Iterator[_Row]:
    """The rows of a table by key, a page at a time, each as PostgreSQL writes it."""
    named = sql.Identifier(schema, table["table"])
    key = sql.SQL("ROW({})::text").format(sql.SQL(", ").join(map(sql.Identifier, table["key"])))
    query = sql.SQL(
        "SELECT {key} AS key, t::text AS text, to_jsonb(t) AS content FROM {named} AS t "
        # Of a person no rows that a created persona has of them: those follow from the persona's events too.
        "WHERE %(person)s::text IS NULL OR (t::text LIKE '%%' || %(person)s || '%%' "
        "AND coalesce(to_jsonb(t)->>'persona', %(person)s) = %(person)s) "
        'ORDER BY ({key}) COLLATE "C"'
    ).format(key=key, named=named)
    values = {"person": None if person is None else str(person)}
    with connection.cursor(name=f"rows_of_{side}") as cursor:
        cursor.itersize = PAGE
        for row in cursor.execute(query, values):
            yield _Row(row["key"], side, {"text": row["text"], **row["content"]})


def _difference(table: dict[str, Any], rows: Sequence[_Row]) -> Difference | None:
    if len(rows) == 2 and rows[0].content["text"] == rows[1].content["text"]:
        return None
    key = {name: rows[0].content[name] for name in table["key"]}
    if len(rows) == 1:
        kind: Literal["missing", "extra"] = "extra" if rows[0].side == "live" else "missing"
        return Difference(table=table["table"], key=key, kind=kind)
    one, other = (row.content for row in rows)
    columns = sorted(name for name in one if name != "text" and one[name] != other.get(name))
    return Difference(table=table["table"], key=key, kind="different", columns=columns)
