"""The limit for writes: the same rows by binary COPY into a bare table with the log's indexes.

One connection, one commit every RUN_ROWS rows. The rows are read from the log beforehand. They are then
handed to COPY as what a Python program has, its values; and, beside that, as bytes that were encoded
beforehand, which is what PostgreSQL alone could take.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
from psycopg import Connection, Copy
from psycopg.sql import SQL, Composed, Literal

from bench.database import Database

RUN_ROWS: Final = 10_000
REPEATS: Final = 3
EVERYTHING: Final = SQL("true")
OBSERVATIONS: Final = SQL("topic LIKE 'ObservationRecorded.%'")
TYPES: Final = ("text", "text", "uuid", "int8", "int8", "timestamptz", "uuid", "uuid", "text", "bytea")
_EVENTS: Final = SQL("SELECT * FROM personakit.events WHERE position > {} AND {}")
_PAGE: Final = SQL("{} ORDER BY position OFFSET {} LIMIT {}")
_OUT: Final = SQL("COPY ({}) TO STDOUT (FORMAT binary)")
_IN: Final = SQL("COPY personakit.bare FROM STDIN (FORMAT binary)")


class CopyLimit(msgspec.Struct, frozen=True):
    """Rows a second by COPY: handed over as values, and as bytes encoded beforehand."""

    rate: float
    encoded_rate: float


def copy_limit(database: Database, selection: SQL = EVERYTHING, after: int = 0) -> CopyLimit:
    """What COPY does with the events above `after` that fulfil `selection`; the median of REPEATS."""
    events = _EVENTS.format(Literal(after), selection)
    with database.connect() as connection:
        count = _count(connection, events)
        starts = range(0, count, RUN_ROWS)
        rows = [_values(connection, events, start) for start in starts]
        encoded = [_encoded(connection, events, start) for start in starts]
        return CopyLimit(
            rate=count / _median(connection, count, rows, _write_values),
            encoded_rate=count / _median(connection, count, encoded, Copy.write),
        )


def rates(limits: Sequence[CopyLimit]) -> list[float]:
    """The limit of each round, of rows that are handed over as values."""
    return [limit.rate for limit in limits]


def beside(limits: Sequence[CopyLimit]) -> str:
    """The other limit, for a note."""
    return f"{statistics.median(limit.encoded_rate for limit in limits):,.0f} rows/s were they encoded before"


def _count(connection: Connection[Any], rows: Composed) -> int:
    found = connection.execute(SQL("SELECT count(*) FROM ({}) AS chosen").format(rows)).fetchone()
    return int(found[0])


def _values(connection: Connection[Any], events: Composed, start: int) -> list[tuple[Any, ...]]:
    """A run of rows in the log's order."""
    page = _PAGE.format(events, Literal(start), Literal(RUN_ROWS))
    with connection.cursor(binary=True) as cursor:
        return cursor.execute(page).fetchall()


def _encoded(connection: Connection[Any], events: Composed, start: int) -> bytes:
    """The same run as the bytes of one COPY."""
    page = _PAGE.format(events, Literal(start), Literal(RUN_ROWS))
    with connection.cursor() as cursor, cursor.copy(_OUT.format(page)) as copy:
        return b"".join(copy)


def _write_values(copy: Copy, rows: Sequence[tuple[Any, ...]]) -> None:
    copy.set_types(TYPES)
    for row in rows:
        copy.write_row(row)


def _median(
    connection: Connection[Any], count: int, runs: Sequence[Any], write: Callable[[Copy, Any], None]
) -> float:
    """The seconds that the runs take, each a transaction, into a table that is new each time."""
    return statistics.median(_once(connection, count, runs, write) for _ in range(REPEATS))


def _once(
    connection: Connection[Any], count: int, runs: Sequence[Any], write: Callable[[Copy, Any], None]
) -> float:
    connection.execute("CREATE TABLE personakit.bare (LIKE personakit.events INCLUDING INDEXES)")
    connection.execute("CHECKPOINT")
    began = time.perf_counter()
    for run in runs:
        with connection.cursor() as cursor, cursor.copy(_IN) as copy:
            write(copy, run)
    seconds = time.perf_counter() - began
    if _count(connection, SQL("SELECT FROM personakit.bare").format()) != count:
        raise AssertionError("COPY did not store every row.")
    connection.execute("DROP TABLE personakit.bare")
    return seconds
